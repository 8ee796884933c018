//! The check of a change to a tree, before it is merged: are the files where they belong, does the signer's own key vouch
//! for them, and is nobody else's folder touched? Which files changed is told; what they hold is read from the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use gitian_manifest::{Assertion, Manifest, SigsTree};
use gitian_process::interrupt;

use crate::facts::{Document, Facts, Good, Signature, Standing, Unknown};
use crate::fault::{Change, Fault, Finding, Former};
use crate::history::{DEPTH, in_order};
use crate::key_files::{self, KeyFile};
use crate::keyring::{KEY_FOLDERS, Keyring, holds_secret};
use crate::merged::{Merged, Said};
use crate::openpgp::check;
use crate::policy::Policy;
use crate::statement::{Place, kind_of, release_name, signer_documents};
use crate::tree_file::{self, Content};
use crate::{ASSERT_LIMIT, Checker, SIGNATURE_LIMIT};

/// How many of a signer's older signatures are looked at for the key that he signs with.
const OLDER: usize = 20;
/// The largest key file that is let through, in bytes; real ones with many signatures have up to 1 MB.
const KEY_LIMIT: u64 = 4 << 20;

/// Where a changed file belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    /// A document or its signature.
    Attestation(Place),
    /// A key in one of the folders for keys; who it belongs to, by the name of the file.
    Key { owner: String },
    /// Nothing of ours.
    Other,
}

/// Checks changes to a tree, one finding for each fault, in the order of paths. `signer` proposes them; without a name it
/// is the one in whose folder most of them are.
pub fn lint(
    root: &Path,
    changes: &[Change],
    signer: Option<&str>,
    keys: &Keyring,
    now: SystemTime,
) -> Result<Vec<Finding>> {
    let mut lint = Lint {
        tree: SigsTree::new(root),
        top: root.canonicalize().with_context(|| root.display().to_string())?,
        keys,
        policy: Policy::of_tree(root)?.unwrap_or_default(),
        now,
        changed: BTreeSet::new(),
        brought: Vec::new(),
        before: Vec::new(),
        releases: crate::statement::releases(root)?,
    };
    lint.releases.sort_by(|a, b| in_order(release_name(b), release_name(a)));
    lint.before = lint.key_files_before(changes);
    let roles: Vec<(&Change, Role)> = changes.iter().map(|change| (change, role(&change.path))).collect();
    lint.changed =
        roles.iter().filter_map(|(change, role)| role.place().filter(|_| !change.removed).cloned()).collect();
    let brought = roles.iter().filter(|(change, role)| matches!(role, Role::Key { .. }) && !change.removed);
    lint.brought = brought.map(|(change, _)| change.path.clone()).collect();
    let mut findings = BTreeSet::new();
    let by = signer.map(str::to_owned).or_else(|| author(&roles));
    for (change, role) in &roles {
        interrupt::check()?;
        let mut find = |fault| findings.insert(Finding { path: change.path.clone(), fault });
        let owner = match role {
            Role::Other => {
                find(Fault::OutOfPlace);
                continue;
            }
            Role::Key { owner } => owner,
            Role::Attestation(place) => &place.signer,
        };
        if let Some(by) = by.as_ref().filter(|by| *by != owner) {
            find(Fault::Foreign { owner: owner.clone(), by: by.clone() });
        }
        match role {
            _ if change.removed => drop(find(Fault::Removed)),
            Role::Key { owner } => {
                let finding = |fault| Finding { path: change.path.clone(), fault };
                findings.extend(lint.key(change, owner).into_iter().map(finding));
            }
            // Together with the rest of it, below.
            Role::Attestation(_) if matches!(change.former, Former::Bytes(_)) => drop(find(Fault::Replaced)),
            Role::Attestation(_) | Role::Other => {}
        }
    }
    for place in &lint.changed {
        interrupt::check()?;
        findings.extend(lint.attestation(place)?);
    }
    Ok(findings.into_iter().collect())
}

/// Returns who has the most of the changed files; the first by name if several have.
fn author(roles: &[(&Change, Role)]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, role) in roles {
        match role {
            Role::Attestation(place) => *counts.entry(&place.signer).or_default() += 1,
            Role::Key { owner } => *counts.entry(owner).or_default() += 1,
            Role::Other => {}
        }
    }
    let most = counts.values().max().copied()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(signer, _)| signer.to_owned())
}

fn role(path: &Path) -> Role {
    let parts: Option<Vec<&str>> = path
        .components()
        .map(|part| match part {
            Component::Normal(part) => part.to_str().filter(|part| !part.starts_with('.')),
            // A key folder beside the tree.
            Component::ParentDir => Some(".."),
            _ => None,
        })
        .collect();
    match parts.as_deref() {
        Some(&[folder, _] | &["..", folder, _]) if KEY_FOLDERS.contains(&folder) => {
            key_files::owner(path).map_or(Role::Other, |owner| Role::Key { owner: owner.to_owned() })
        }
        Some([release @ .., signer, file])
            if (1..DEPTH).contains(&release.len())
                && !release.iter().chain([signer]).any(|part| *part == "..")
                && !KEY_FOLDERS.contains(&release[0]) =>
        {
            let document = match [".sig", ".asc"].iter().find_map(|end| Some((file.strip_suffix(end)?, *end))) {
                // One of the other kind is not read, and would hide what it is.
                Some((document, end)) if kind_of(document).is_some_and(|(kind, _)| kind.signature_end() == end) => {
                    document
                }
                Some(_) => return Role::Other,
                None => file,
            };
            Place::named(&release.join("/"), signer, document).map_or(Role::Other, Role::Attestation)
        }
        _ => Role::Other,
    }
}

impl Role {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Attestation(place) => Some(place),
            Self::Key { .. } | Self::Other => None,
        }
    }
}

struct Lint<'a> {
    tree: SigsTree,
    top: PathBuf,
    keys: &'a Keyring,
    policy: Policy,
    now: SystemTime,
    /// What is part of the change, and proves nothing about it.
    changed: BTreeSet<Place>,
    /// The key files that are part of it.
    brought: Vec<PathBuf>,
    /// The key files as they were before the change, as far as we know.
    before: Vec<KeyFile>,
    /// All releases, the newest first.
    releases: Vec<String>,
}

/// The keys that a signer signed with before.
#[derive(Default)]
struct Older {
    keys: BTreeSet<String>,
    /// Whether some were made by keys that we do not have.
    unknown: bool,
}

impl Older {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.unknown
    }
}

impl Lint<'_> {
    /// Returns the faults of a key file. Whoever had keys or signed before has none but those: else anyone could take over
    /// his name with a key of his own, in place of the old one or beside it. And he keeps those, revoked if they were.
    fn key(&self, change: &Change, owner: &str) -> Vec<Fault> {
        let bytes = match self.read_key(&change.path, KEY_LIMIT) {
            Content::Bytes(bytes) if holds_secret(&bytes) => return vec![Fault::SecretKey],
            Content::Bytes(bytes) => bytes,
            Content::Absent => return vec![Fault::Unreadable("is not there".into())],
            Content::Refused(reason) => return vec![Fault::Unreadable(reason)],
        };
        let mut own = Keyring::default();
        if own.add(&bytes, "") == 0 {
            return vec![Fault::NotAKey];
        }
        if !own.problems().is_empty() {
            return vec![Fault::NotOnlyKeys];
        }
        let keys = own.fingerprints();
        let older = self.older(owner, &own);
        let known: BTreeSet<&String> = self.keys_before(owner).chain(&older.keys).collect();
        if known.is_empty() && !older.unknown {
            let others = keys.iter().filter_map(|key| Some((key, self.owner_by_file(owner, key)?)));
            return others
                .map(|(key, owner)| Fault::HoldsKeyOf { key: key.clone(), owner: owner.to_owned() })
                .collect();
        }
        if !keys.iter().any(|key| known.contains(key)) {
            return vec![Fault::KeyExchanged { owner: owner.to_owned() }];
        }
        let new = keys.iter().filter(|key| !known.contains(key));
        let new = new.map(|key| Fault::NewKey { key: key.clone(), owner: owner.to_owned() });
        new.chain(self.lost(change, owner)).collect()
    }

    /// Returns what a key file held before the change and neither it nor another file of its owner in the same folder holds
    /// after it. Where nobody tells what was there, the owner's files in the folders that the user gave do.
    fn lost(&self, change: &Change, owner: &str) -> Vec<Fault> {
        let is_own = |path: &Path| key_files::owner(path) == Some(owner);
        let (mut before, mut after) = (Keyring::default(), Keyring::default());
        match &change.former {
            Former::Absent => return Vec::new(),
            Former::Bytes(bytes) => drop(before.add(bytes, "")),
            Former::Unknown => {
                for file in self.keys.files().iter().filter(|file| is_own(&file.path)) {
                    if let Ok(bytes) = gitian_manifest::read_file(&file.path, ASSERT_LIMIT) {
                        before.add(&bytes, "");
                    }
                }
            }
        }
        for path in self.key_paths().filter(|path| path.parent() == change.path.parent() && is_own(path)) {
            if let Content::Bytes(bytes) = self.read_key(&path, ASSERT_LIMIT) {
                after.add(&bytes, "");
            }
        }
        let (certs, after) = (after.fingerprints(), after.merged());
        let lost = before.merged().into_iter().filter(|merged| !after.contains(merged));
        lost.filter_map(|Merged { cert, said }| match said {
            Said::Signs(key) => Some(Fault::KeyGone { key, owner: owner.to_owned() }),
            // What is said of a certificate goes with it.
            Said::Revoked { part, .. } => certs.contains(&cert).then_some(Fault::RevocationGone { part }),
        })
        .collect()
    }

    fn attestation(&self, place: &Place) -> Result<Vec<Finding>> {
        let checker = Checker::Keys { keys: self.keys, now: self.now };
        let facts = place.facts(&self.tree, &self.top, &checker)?;
        // Of several good signatures in one file, one without fault is enough.
        let of_each = facts.goods().map(|(good, _)| about_good(good).into_iter().chain(self.own_key(place, good)));
        let least = of_each.map(Iterator::collect).min_by_key(Vec::len);
        let mut faults = least.unwrap_or_else(|| self.about_signature(&facts));
        if self.is_astray(place) {
            faults.push(Fault::OutOfPlace);
        }
        match &facts.document {
            Document::Absent => faults.push(Fault::NoDocument),
            Document::OutOfReach(reason) | Document::Malformed(reason) => {
                faults.push(Fault::Unreadable(reason.clone()))
            }
            Document::Read(assertion) => faults.extend(about_document(assertion, place)),
        }
        let path = facts.assert_path.strip_prefix(&self.tree.root).unwrap_or(&facts.assert_path);
        Ok(faults.into_iter().map(|fault| Finding { path: path.to_owned(), fault }).collect())
    }

    fn about_signature(&self, facts: &Facts) -> Vec<Fault> {
        let Signature::NoKey(Unknown { key: Some(key), .. }) = &facts.signature else { return about_signature(facts) };
        let holds_it = |path: &&PathBuf| match self.read_key(path, KEY_LIMIT) {
            Content::Bytes(bytes) => {
                let mut brought = Keyring::default();
                brought.add(&bytes, "");
                brought.may_have_signed(key)
            }
            Content::Absent | Content::Refused(_) => false,
        };
        match self.brought.iter().find(holds_it) {
            Some(file) => vec![Fault::KeyComesAlong { key: key.clone(), file: file.clone() }],
            None => about_signature(facts),
        }
    }

    /// Whether a signer's folder lies in another one's, or another one's in it: then one of them is nobody's.
    fn is_astray(&self, place: &Place) -> bool {
        let above = Path::new(&place.release).ancestors().filter(|folder| !folder.as_os_str().is_empty());
        let folder = self.tree.signer_folder(&place.release, &place.signer);
        let below = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        let below = below.filter(|path| path.is_dir() && !path.is_symlink());
        above.map(|folder| self.tree.root.join(folder)).chain(below).any(|folder| holds_document(&folder))
    }

    /// Returns a fault if a signature is by another key than the signer's: those that the policy names, else those in the
    /// files of his name before the change, else those that he signed with before, else those in a file that comes with the
    /// change.
    fn own_key(&self, place: &Place, good: &Good) -> Option<Fault> {
        let (signer, used) = (&place.signer, &good.primary_key);
        let other = |known_by: String| Some(Fault::OtherKey { used: used.clone(), known_by });
        if self.policy.signers.get(signer).is_some_and(|known| !known.keys.is_empty()) {
            let own = self.policy.owner_of(good).is_some_and(|owner| owner == signer);
            return if own { None } else { other(Policy::FILE.into()) };
        }
        let files = |files: &[KeyFile]| -> Vec<String> {
            let own = files.iter().filter(|file| file.owner() == Some(signer));
            own.map(|file| file.path.strip_prefix(&self.tree.root).unwrap_or(&file.path).display().to_string())
                .collect()
        };
        let before = files(&self.before);
        if !before.is_empty() {
            let own = self.keys_before(signer).any(|key| key == used);
            return if own { None } else { other(before.join(" or ")) };
        }
        let older = self.older(signer, &Keyring::default());
        if !older.is_empty() {
            return if older.keys.contains(used) { None } else { other(format!("{signer}'s older signatures")) };
        }
        let now: Vec<KeyFile> = self.key_files_now().collect();
        let brought = files(&now);
        let holds = |file: &KeyFile| file.owner() == Some(signer) && file.keys.contains(used);
        if !brought.is_empty() && !now.iter().any(holds) {
            return other(brought.join(" or "));
        }
        self.owner_beside(place, used).map(|owner| Fault::KeyOf { used: used.clone(), owner })
    }

    fn keys_before<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a String> {
        self.before.iter().filter(move |file| file.owner() == Some(owner)).flat_map(|file| &file.keys)
    }

    /// Returns another signer whose key this is by the key files before the change.
    fn owner_by_file(&self, signer: &str, key: &str) -> Option<&str> {
        let others = self.before.iter().filter(|file| file.owner() != Some(signer) && file.keys.contains(key));
        let signs = |owner: &str| self.releases.iter().any(|release| self.tree.signer_folder(release, owner).is_dir());
        others.filter(|file| file.is_of_one() || file.owner().is_some_and(signs)).find_map(KeyFile::owner)
    }

    /// Returns another signer whose key this is: by the files of keys, or by what was signed in the same release.
    fn owner_beside(&self, place: &Place, key: &str) -> Option<String> {
        if let Some(owner) = self.owner_by_file(&place.signer, key) {
            return Some(owner.to_owned());
        }
        let signers = self.tree.signers(&place.release).map(|signers| signers.names).unwrap_or_default();
        let others = signers.iter().filter(|other| **other != place.signer);
        let documents = others.flat_map(|other| signer_documents(&self.tree, &place.release, other));
        let checker = Checker::Keys { keys: self.keys, now: self.now };
        documents.filter(|other| !self.changed.contains(other)).find_map(|other| {
            let facts = other.facts(&self.tree, &self.top, &checker).ok()?;
            facts.goods().any(|(good, _)| good.primary_key == key).then_some(other.signer)
        })
    }

    /// Returns the keys of a signer's good signatures that are not part of the change; `brought` are keys that he may have
    /// signed with as well.
    fn older(&self, signer: &str, brought: &Keyring) -> Older {
        let mut found = Older::default();
        let documents = self.releases.iter().flat_map(|release| signer_documents(&self.tree, release, signer));
        for older in documents.filter(|place| !self.changed.contains(place)).take(OLDER) {
            let [document, signature] = older.paths(&self.tree);
            let (Content::Bytes(document), Content::Bytes(signature)) = (
                tree_file::read(&self.top, &document, ASSERT_LIMIT),
                tree_file::read(&self.top, &signature, SIGNATURE_LIMIT),
            ) else {
                continue;
            };
            let state = match check(&signature, &document, self.keys, self.now) {
                Signature::NoKey(_) => check(&signature, &document, brought, self.now),
                known => known,
            };
            match state {
                Signature::Good(good) => drop(found.keys.insert(good.primary_key)),
                Signature::NoKey(_) => found.unknown = true,
                _ => {}
            }
        }
        found
    }

    /// Returns the key files that were there before the change: those that it leaves alone, those that it changes as they
    /// were, and those that the user has in another place.
    fn key_files_before(&self, changes: &[Change]) -> Vec<KeyFile> {
        let key_changes = || changes.iter().filter(|change| matches!(role(&change.path), Role::Key { .. }));
        let changed: BTreeSet<PathBuf> = key_changes().filter_map(|change| self.real(&change.path)).collect();
        let is_changed = |path: &Path| path.canonicalize().is_ok_and(|real| changed.contains(&real));
        let mut files: Vec<KeyFile> = self.key_files_now().filter(|file| !is_changed(&file.path)).collect();
        files.extend(key_changes().filter_map(|change| match &change.former {
            Former::Bytes(bytes) => Some(KeyFile::of(self.tree.root.join(&change.path), bytes)),
            Former::Unknown | Former::Absent => None,
        }));
        let here: BTreeSet<PathBuf> = files.iter().filter_map(|file| file.path.canonicalize().ok()).collect();
        let is_here = |path: &Path| path.canonicalize().is_ok_and(|real| here.contains(&real));
        let given = self.keys.files().iter().filter(|file| !is_changed(&file.path) && !is_here(&file.path));
        files.extend(given.cloned());
        files.retain(|file| !file.keys.is_empty());
        files
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.tree.root.join(path).canonicalize().ok()
    }

    /// Returns where the files of the key folders in and beside the tree are, from the tree.
    fn key_paths(&self) -> impl Iterator<Item = PathBuf> {
        let folders =
            [Path::new(""), Path::new("..")].into_iter().flat_map(|place| KEY_FOLDERS.map(|name| place.join(name)));
        folders.flat_map(|folder| {
            let entries = self.tree.root.join(&folder).read_dir().into_iter().flatten().flatten();
            entries.map(move |entry| folder.join(entry.file_name()))
        })
    }

    /// Returns the files of the key folders in and beside the tree.
    fn key_files_now(&self) -> impl Iterator<Item = KeyFile> {
        let files = self.key_paths().filter_map(|path| match self.read_key(&path, ASSERT_LIMIT) {
            Content::Bytes(bytes) => Some(KeyFile::of(self.tree.root.join(path), &bytes)),
            Content::Absent | Content::Refused(_) => None,
        });
        files.filter(|file| !file.keys.is_empty())
    }

    /// Reads a file of a key folder, which may lie beside the tree as well as in it.
    fn read_key(&self, path: &Path, limit: u64) -> Content {
        let path = self.tree.root.join(path);
        match path.parent().map(Path::canonicalize) {
            Some(Ok(folder)) => tree_file::read(&folder, &path, limit),
            _ => Content::Absent,
        }
    }
}

fn holds_document(folder: &Path) -> bool {
    let mut entries = folder.read_dir().into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_str().is_some_and(|name| kind_of(name).is_some()))
}

fn about_signature(facts: &Facts) -> Vec<Fault> {
    let bad = |reason: &str| vec![Fault::BadSignature(reason.to_owned())];
    match &facts.signature {
        Signature::Absent => vec![Fault::NoSignature],
        Signature::OutOfReach(reason) => vec![Fault::Unreadable(format!("its signature {reason}"))],
        // The document's own state says why.
        Signature::NotChecked => Vec::new(),
        Signature::NotDetached(found) => bad(&format!("the file {found}")),
        Signature::NoKey(wanted) => vec![Fault::NoKey(wanted.key.clone())],
        Signature::BrokenHash { hash } => bad(&format!("it is made with {hash}, which anyone can forge")),
        Signature::Bad { reason, .. } => bad(reason),
        Signature::Program(answer) if answer.status.success() => Vec::new(),
        Signature::Program(answer) => bad(&format!("the program {}", answer.status)),
        Signature::Good(good) => about_good(good),
    }
}

fn about_good(good: &Good) -> Vec<Fault> {
    let bad = |reason: &str| vec![Fault::BadSignature(reason.to_owned())];
    let mut faults = match good.standing {
        Standing::Sound | Standing::KeyExpiredSince | Standing::KeyRevokedLater => Vec::new(),
        Standing::MadeAfterExpiry => {
            vec![Fault::Weak("is signed after the key had expired; add a newer copy of the key".into())]
        }
        Standing::MadeAfterRevocation => bad("it was made after the key had been revoked"),
        Standing::KeyCompromised => bad("the key was revoked because somebody else has it"),
        Standing::SignatureExpired => bad("it was limited in time, and that time is over"),
    };
    faults.extend(good.weak.iter().map(|weakness| Fault::Weak(format!("is signed weakly: {weakness}"))));
    faults
}

fn about_document(assertion: &Assertion, place: &Place) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (what, found, wanted) in
        [("release", assertion.release(), place.release_name()), ("name", assertion.name(), &*place.package)]
    {
        if found != Some(wanted) {
            faults.push(Fault::Says { what, found: found.map(str::to_owned), wanted: wanted.to_owned() });
        }
    }
    let built = Manifest::parse(assertion.out_manifest().unwrap_or_default());
    if let Some(line) = built.unreadable.first() {
        let line: String = line.chars().take(80).collect();
        faults.push(Fault::Manifest(format!("out_manifest has a line that is no digest and path: {line}")));
    } else if built.manifest.entries.is_empty() {
        faults.push(Fault::Manifest("says that nothing was built".into()));
    }
    faults
}

impl Place {
    fn named(release: &str, signer: &str, document: &str) -> Option<Self> {
        let (kind, package) = kind_of(document)?;
        Some(Self { release: release.into(), signer: signer.into(), package: package.into(), kind })
    }

    fn paths(&self, tree: &SigsTree) -> [PathBuf; 2] {
        let document = self.path(tree);
        let mut signature = document.clone().into_os_string();
        signature.push(self.kind.signature_end());
        [document, signature.into()]
    }
}
