//! The check of a change to a tree, before it is merged: are the files where they belong, does the signer's own key vouch
//! for them, and is nobody else's folder touched? Which files changed is told; what they hold is read from the tree. What a
//! document is worth is decided as for any other, and more is asked of it.

mod key_change;
mod past;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use gitian_manifest::{Assertion, Manifest, SigsTree};
use gitian_process::interrupt;

use crate::Checker;
use crate::decide::{weigh, wrong_key};
use crate::facts::{Document, Facts, Good, Naming, Signature, Standing, Unknown};
use crate::fault::{Change, Fault, Finding, Former};
use crate::history::DEPTH;
use crate::key_files;
use crate::keyring::{KEY_FOLDERS, Keyring};
use crate::place::{Place, kind_of};
use crate::policy::Policy;
use crate::verdict::{Refusal, Verdict, WrongKey};

use key_change::{KeyChanges, is_spoken_of};
use past::{Held, Past};

/// What is said of a key that is over.
const EXPIRED: &str = "has expired";
/// The length of a day, in seconds.
const DAY: u64 = 24 * 3600;

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
/// is the one in whose folder most of them are. The policy should be that of the tree before the change.
pub fn lint(
    root: &Path,
    changes: &[Change],
    signer: Option<&str>,
    keys: &Keyring,
    policy: &Policy,
    now: SystemTime,
) -> Result<Vec<Finding>> {
    let tree = SigsTree::new(root);
    let top = root.canonicalize().with_context(|| root.display().to_string())?;
    let roles: Vec<(&Change, Role)> = changes.iter().map(|change| (change, role(&change.path))).collect();
    let changed: BTreeSet<Place> =
        roles.iter().filter_map(|(change, role)| role.place().filter(|_| !change.removed).cloned()).collect();
    let key_changes = roles.iter().filter(|(change, role)| matches!(role, Role::Key { .. }) && !change.removed);
    let changed_keys = key_changes.filter_map(|(change, _)| root.join(&change.path).canonicalize().ok()).collect();
    let held = Held::all(root, &changed_keys);
    let past = Past::of(&tree, &top, (keys, now), &roles, &changed, &held)?;
    let key_changes = KeyChanges::new(root, &past, policy, keys, &held);
    let mut findings = BTreeSet::new();
    let mut not_files = BTreeSet::new();
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
        if change.removed {
            find(Fault::Removed);
        } else if let Some(kind) = not_a_file(root, &change.path) {
            find(Fault::NotAFile(kind));
            not_files.extend(role.place());
        } else {
            match role {
                Role::Key { owner } => {
                    let finding = |fault| Finding { path: change.path.clone(), fault };
                    findings.extend(key_changes.faults(change, owner).into_iter().map(finding));
                }
                // Together with the rest of it, below.
                Role::Attestation(_) if matches!(change.former, Former::Bytes(_) | Former::Something) => {
                    find(Fault::Replaced);
                }
                Role::Attestation(_) | Role::Other => {}
            }
        }
    }
    let mut lint =
        Lint { tree: &tree, top: &top, keys, policy, now, held: &held, past: &past, folders: HashMap::new() };
    for place in changed.iter().filter(|place| !not_files.contains(place)) {
        interrupt::check()?;
        findings.extend(lint.attestation(place)?);
    }
    Ok(findings.into_iter().collect())
}

/// Returns what is in the place of a file, if it is none: who follows a link reads something that nobody proposes.
fn not_a_file(root: &Path, path: &Path) -> Option<&'static str> {
    let mut at = root.to_owned();
    let mut kind = None;
    for part in path.components() {
        at.push(part);
        kind = at.symlink_metadata().ok().map(|found| found.file_type());
        if kind.is_some_and(|kind| kind.is_symlink()) && part != Component::ParentDir {
            return Some(if at == root.join(path) { "a link" } else { "behind a link" });
        }
    }
    match kind? {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a folder"),
        _ => Some("a pipe or device"),
    }
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
            Component::Normal(part) => part.to_str().filter(|part| is_plain(part)),
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

/// Whether a name is shown as it is, and not taken for an option; hidden ones are not ours.
fn is_plain(name: &str) -> bool {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !name.starts_with(['.', '-']) && !name.contains(unseen)
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
    tree: &'a SigsTree,
    top: &'a Path,
    keys: &'a Keyring,
    policy: &'a Policy,
    now: SystemTime,
    held: &'a [Held],
    past: &'a Past<'a>,
    /// Whether there are documents in a folder.
    folders: HashMap<PathBuf, bool>,
}

impl Lint<'_> {
    fn attestation(&mut self, place: &Place) -> Result<Vec<Finding>> {
        let checker = Checker::Keys { keys: self.keys, now: self.now };
        let facts = place.facts(self.tree, self.top, &checker)?;
        // Of several good signatures in one file, one without fault is enough.
        let of_each = facts
            .goods()
            .map(|(good, naming)| about_good(good, self.now).into_iter().chain(self.own_key(place, good, naming)));
        let least = of_each.map(Iterator::collect).min_by_key(Vec::len);
        let mut faults = least.unwrap_or_else(|| self.about_signature(place, &facts));
        // What gverify would not take, for whatever reason, is not merged.
        if let Err(Verdict::Refused(reasons)) = weigh(&facts, self.policy, self.now) {
            faults.extend(reasons.into_iter().map(refused));
        }
        faults.extend(self.past.like(&place.signer).map(|known| Fault::NameLike { owner: known.to_owned() }));
        if self.is_astray(place) {
            faults.push(Fault::OutOfPlace);
        }
        faults.extend(self.past.other_kind(place).map(Fault::Beside));
        match &facts.document {
            Document::Absent => faults.push(Fault::NoDocument),
            Document::OutOfReach(reason) | Document::Malformed(reason) => {
                faults.push(Fault::Unreadable(reason.clone()))
            }
            Document::Read(assertion) => {
                faults.extend(about_document(assertion, place));
                faults.extend(self.past.same_list(place).map(Fault::CopyOf));
            }
        }
        let path = facts.assert_path.strip_prefix(&self.tree.root).unwrap_or(&facts.assert_path);
        Ok(faults.into_iter().map(|fault| Finding { path: path.to_owned(), fault }).collect())
    }

    fn about_signature(&self, place: &Place, facts: &Facts) -> Vec<Fault> {
        let Signature::NoKey(Unknown { key: Some(key), .. }) = &facts.signature else {
            return about_signature(facts, self.now);
        };
        let holders = || self.held.iter().filter(|held| held.keys.may_have_signed(key));
        if let Some(held) = holders().find(|held| held.is_changed) {
            return vec![Fault::KeyComesAlong { key: key.clone(), file: held.path.clone() }];
        }
        // It is in the tree, but not among the keys that the user gave.
        let is_his = holders().any(|held| held.owner() == Some(&*place.signer));
        match self.known_by(&place.signer).filter(|_| !is_his) {
            Some(known_by) => vec![Fault::OtherKey { used: key.clone(), known_by }],
            None => about_signature(facts, self.now),
        }
    }

    /// Returns by what a signer's keys were known before the change, in words.
    fn known_by(&self, signer: &str) -> Option<String> {
        if self.policy.knows_keys_of(signer) {
            return Some(Policy::FILE.into());
        }
        let files: Vec<String> = self.past.files_of(signer).map(|file| self.shown(&file.path)).collect();
        if !files.is_empty() {
            return Some(files.join(" or "));
        }
        (!self.past.older(signer).is_empty()).then(|| format!("{signer}'s older signatures"))
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.tree.root).unwrap_or(path).display().to_string()
    }

    /// Whether a signer's folder lies in another one's, or another one's in it, or a name is both a signer's and a release's.
    fn is_astray(&mut self, place: &Place) -> bool {
        let Place { release, signer, .. } = place;
        let is_mixed = release.split('/').any(|part| part == signer || self.past.knows(part))
            || !self.past.knows(signer) && self.past.names_release(signer);
        let above = Path::new(release).ancestors().filter(|folder| !folder.as_os_str().is_empty());
        let above: Vec<PathBuf> = above.map(|folder| self.tree.root.join(folder)).collect();
        let folder = self.tree.signer_folder(release, signer);
        let below = || -> Vec<PathBuf> {
            let entries = folder.read_dir().into_iter().flatten().flatten();
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path())
                .collect()
        };
        let known = self.folders.get(&folder).copied();
        let is_above = known.unwrap_or_else(|| below().iter().any(|folder| holds_document(folder)));
        self.folders.insert(folder, is_above);
        let mut is_below = false;
        for folder in above {
            is_below |= *self.folders.entry(folder).or_insert_with_key(|folder| holds_document(folder));
        }
        is_mixed || is_above || is_below
    }

    /// Returns a fault if a signature is by another key than the signer's: those that the policy names, else those in the
    /// files of his name before the change, else those that he signed with before, else those in a file that comes with the
    /// change.
    fn own_key(&self, place: &Place, good: &Good, naming: &Naming) -> Option<Fault> {
        let (signer, used) = (&place.signer, &good.primary_key);
        let wrong = wrong_key(signer, Some((good, naming)), self.policy);
        let wrong = wrong.map(|WrongKey { owner, file, .. }| match (owner, file) {
            (Some(owner), _) => Fault::KeyOf { used: used.clone(), owner },
            (None, file) => Fault::OtherKey {
                used: used.clone(),
                known_by: file.map_or_else(|| Policy::FILE.into(), |file| self.shown(&file)),
            },
        });
        if self.policy.knows_keys_of(signer) || self.policy.owner_of(good).is_some() {
            return wrong;
        }
        if let Some(known_by) = self.known_by(signer) {
            let has_file = self.past.files_of(signer).next().is_some();
            let is_his = match has_file {
                true => self.past.keys_of(signer).any(|key| key == used),
                false => self.past.older(signer).keys.contains(used),
            };
            return if is_his { wrong } else { Some(Fault::OtherKey { used: used.clone(), known_by }) };
        }
        let beside = || self.past.owner_beside(place, used).map(|owner| Fault::KeyOf { used: used.clone(), owner });
        let named = || is_spoken_of(self.policy, signer).then(|| Fault::NamedInPolicy { owner: signer.clone() });
        wrong.or_else(|| self.other_brought(signer, used)).or_else(beside).or_else(named)
    }

    /// Returns a fault if a new signer brings keys, and not the one that is used.
    fn other_brought(&self, signer: &str, used: &str) -> Option<Fault> {
        let brought: Vec<&Held> = self.held.iter().filter(|held| held.owner() == Some(signer)).collect();
        let holds = brought.iter().any(|held| held.keys.holds(used));
        let files: Vec<String> = brought.iter().map(|held| held.path.display().to_string()).collect();
        (!holds && !files.is_empty()).then(|| Fault::OtherKey { used: used.to_owned(), known_by: files.join(" or ") })
    }
}

/// Whether there are documents in a folder itself.
fn holds_document(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| {
        entry.file_name().to_str().is_some_and(|name| kind_of(name).is_some())
            && entry.file_type().is_ok_and(|kind| !kind.is_dir())
    })
}

fn refused(reason: Refusal) -> Fault {
    match reason {
        Refusal::Weak(weakness) => Fault::Weak(format!("is signed weakly: {weakness}")),
        Refusal::KeyExpired { .. } => Fault::KeyNotInUse(EXPIRED),
        Refusal::TooOld { limit, .. } => {
            Fault::Refused(format!("is signed longer ago than gverify.toml allows: {} days", limit.as_secs() / DAY))
        }
        Refusal::FromTheFuture { .. } => Fault::FromTheFuture,
        Refusal::NotTold => Fault::Refused("is checked by a program that tells too little for gverify.toml".into()),
    }
}

fn about_signature(facts: &Facts, now: SystemTime) -> Vec<Fault> {
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
        Signature::Good(good) => about_good(good, now),
    }
}

fn about_good(good: &Good, now: SystemTime) -> Vec<Fault> {
    let bad = |reason: &str| vec![Fault::BadSignature(reason.to_owned())];
    let mut faults = match good.standing {
        Standing::Sound => Vec::new(),
        // Its own date proves nothing here: nobody has seen it before.
        Standing::KeyExpiredSince | Standing::MadeAfterExpiry => vec![Fault::KeyNotInUse(EXPIRED)],
        Standing::KeyRevokedLater if good.key_revoked.as_ref().is_some_and(|revoked| revoked.at <= now) => {
            vec![Fault::KeyNotInUse("its owner has revoked")]
        }
        Standing::KeyRevokedLater if good.key_expires.is_some_and(|end| end <= now) => {
            vec![Fault::KeyNotInUse(EXPIRED)]
        }
        Standing::KeyRevokedLater => Vec::new(),
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
}
