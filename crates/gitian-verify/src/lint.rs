//! The check of a change to a tree, before it is merged: are the files where they belong, does the signer's own key vouch
//! for them, and is nobody else's folder touched? Which files changed is told; what they hold is read from the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use gitian_manifest::{Assertion, Manifest, SigsTree};
use gitian_process::interrupt;

use crate::facts::{Document, Facts, Good, Signature, Standing};
use crate::keyring::{KEY_FOLDERS, Keyring};
use crate::openpgp::check;
use crate::policy::Policy;
use crate::statement::{Place, SUMS_END, signer_documents};
use crate::tree_file::{self, Content};
use crate::{ASSERT_LIMIT, Checker, SIGNATURE_LIMIT};

/// How many of a signer's older signatures are looked at for the key that he signs with.
const OLDER: usize = 20;

/// A file that is changed, added or removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Where, below the tree.
    pub path: PathBuf,
    /// Whether it is gone.
    pub removed: bool,
}

/// Something that speaks against a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file or folder, below the tree.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is not in a signer's folder, or is nothing that belongs there.
    OutOfPlace,
    /// Something that was signed is gone.
    Removed,
    /// There is no document for a signature.
    NoDocument,
    /// There is no signature for a document.
    NoSignature,
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// The signature does not vouch for the document, for this reason.
    BadSignature(String),
    /// It is signed by a key that we do not have.
    NoKey(Option<String>),
    /// It is signed well, but with something that is no longer recommended.
    Weak(String),
    /// It is signed with this key, but the signer's is another.
    OtherKey {
        /// The key, as 40 hexadecimal digits.
        used: String,
        /// How we know of the signer's keys.
        known_by: String,
    },
    /// It is signed with a key that is another signer's.
    KeyOf {
        /// The key, as 40 hexadecimal digits.
        used: String,
        /// Whose key it is.
        owner: String,
    },
    /// The document names another release or package than its place.
    Says {
        /// `release` or `name`.
        what: &'static str,
        /// What it says.
        found: Option<String>,
        /// What it should say.
        wanted: String,
    },
    /// Nothing was built, or a line of what was built cannot be read.
    Manifest(String),
    /// A key file holds no key.
    NotAKey,
    /// A key file holds none of the keys that its owner signed with.
    KeyExchanged {
        /// Whose keys they should be.
        owner: String,
    },
    /// It belongs to another signer than the rest.
    Foreign {
        /// Whose folder it is.
        owner: String,
        /// Who proposes the change.
        by: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfPlace => f.write_str("is neither an assertion nor its signature in RELEASE/SIGNER/, nor a key"),
            Self::Removed => f.write_str("is removed, though it was signed"),
            Self::NoDocument => f.write_str("has a signature, but is not there"),
            Self::NoSignature => f.write_str("has no signature beside it"),
            Self::Unreadable(reason) => f.write_str(reason),
            Self::BadSignature(reason) => write!(f, "bad signature: {reason}"),
            Self::NoKey(Some(key)) => write!(f, "is signed by key {key}, which is not among the known keys"),
            Self::NoKey(None) => f.write_str("is signed by a key that the signature does not name"),
            Self::Weak(weakness) => write!(f, "{weakness}"),
            Self::OtherKey { used, known_by } => write!(f, "is signed by key {used}, which is not in {known_by}"),
            Self::KeyOf { used, owner } => write!(f, "is signed by key {used}, which is {owner}'s"),
            Self::Says { what, found: Some(found), wanted } => write!(f, "{what} is {found}, not {wanted}"),
            Self::Says { what, found: None, wanted } => write!(f, "{what} is not stated, should be {wanted}"),
            Self::Manifest(fault) => f.write_str(fault),
            Self::NotAKey => f.write_str("holds no OpenPGP certificate"),
            Self::KeyExchanged { owner } => write!(f, "holds none of the keys that {owner} signed with before"),
            Self::Foreign { owner, by } => write!(f, "belongs to {owner}, but the change is by {by}"),
        }
    }
}

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
    };
    let roles: Vec<(&Change, Role)> = changes.iter().map(|change| (change, role(&change.path))).collect();
    lint.changed =
        roles.iter().filter_map(|(change, role)| role.place().filter(|_| !change.removed).cloned()).collect();
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
            Role::Key { owner } => findings.extend(lint.key(&change.path, owner)),
            // Together with the rest of it, below.
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
            _ => None,
        })
        .collect();
    match parts.as_deref() {
        Some(&[folder, file]) if KEY_FOLDERS.contains(&folder) => {
            Role::Key { owner: file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned() }
        }
        Some(&[release, signer, file]) => {
            let document = file.strip_suffix(".sig").or_else(|| file.strip_suffix(".asc")).unwrap_or(file);
            Place::named(release, signer, document).map_or(Role::Other, Role::Attestation)
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
}

impl Lint<'_> {
    /// Returns a fault of a key file. A new key for somebody who signed before has to come with the old one: else anyone
    /// could take over his name.
    fn key(&self, path: &Path, owner: &str) -> Option<Finding> {
        let mut own = Keyring::default();
        let fault = match tree_file::read(&self.top, &self.top.join(path), ASSERT_LIMIT) {
            Content::Bytes(bytes) if own.add(&bytes, "") > 0 => {
                let older = self.older_keys(owner);
                let known = older.is_empty() || older.iter().any(|key| own.holds(key));
                if known { None } else { Some(Fault::KeyExchanged { owner: owner.to_owned() }) }
            }
            Content::Bytes(_) => Some(Fault::NotAKey),
            Content::Absent => Some(Fault::Unreadable("is not there".into())),
            Content::Refused(reason) => Some(Fault::Unreadable(reason)),
        };
        fault.map(|fault| Finding { path: path.to_owned(), fault })
    }

    fn attestation(&self, place: &Place) -> Result<Vec<Finding>> {
        let checker = Checker::Keys { keys: self.keys, now: self.now };
        let facts = place.facts(&self.tree, &self.top, &checker)?;
        let mut faults = about_signature(&facts);
        match &facts.document {
            Document::Absent => faults.push(Fault::NoDocument),
            Document::OutOfReach(reason) | Document::Malformed(reason) => {
                faults.push(Fault::Unreadable(reason.clone()))
            }
            Document::Read(assertion) => faults.extend(about_document(assertion, place)),
        }
        if let Signature::Good(good) = &facts.signature {
            faults.extend(self.own_key(place, good));
        }
        let path = facts.assert_path.strip_prefix(&self.tree.root).unwrap_or(&facts.assert_path);
        Ok(faults.into_iter().map(|fault| Finding { path: path.to_owned(), fault }).collect())
    }

    /// Returns a fault if a signature is by another key than the signer's: those that the policy names, else the one in
    /// the file of his name, else the one that he signed with before.
    fn own_key(&self, place: &Place, good: &Good) -> Option<Fault> {
        let other = |known_by: String| Some(Fault::OtherKey { used: good.primary_key.clone(), known_by });
        if self.policy.signers.get(&place.signer).is_some_and(|known| !known.keys.is_empty()) {
            let own = self.policy.owner_of(good).is_some_and(|owner| owner == place.signer);
            return if own { None } else { other(Policy::FILE.into()) };
        }
        let folders = [self.top.clone(), self.top.join("..")];
        for folder in folders.iter().flat_map(|top| KEY_FOLDERS.map(|name| top.join(name))) {
            for end in ["gpg", "asc", "pgp", "key"] {
                let file = folder.join(format!("{}.{end}", place.signer));
                // A folder beside the tree is as much ours as one within.
                let Ok(root) = folder.canonicalize() else { continue };
                if let Content::Bytes(bytes) = tree_file::read(&root, &file, ASSERT_LIMIT) {
                    let mut own = Keyring::default();
                    own.add(&bytes, "");
                    let file = file.strip_prefix(&self.top).unwrap_or(&file).display().to_string();
                    return if own.holds(&good.primary_key) { None } else { other(file) };
                }
            }
        }
        let older = self.older_keys(&place.signer);
        let known_by = || format!("{}'s older signatures", place.signer);
        if older.contains(&good.primary_key) {
            return None;
        }
        if !older.is_empty() {
            return other(known_by());
        }
        let used = good.primary_key.clone();
        self.owner_beside(place, &used).map(|owner| Fault::KeyOf { used, owner })
    }

    /// Returns another signer whose key this is: by the files of keys, or by what was signed in the same release.
    fn owner_beside(&self, place: &Place, key: &str) -> Option<String> {
        let folders = [self.top.clone(), self.top.join("..")];
        for folder in folders.iter().flat_map(|top| KEY_FOLDERS.map(|name| top.join(name))) {
            let Ok(root) = folder.canonicalize() else { continue };
            for entry in root.read_dir().into_iter().flatten().flatten() {
                let file = entry.path();
                let Some(owner) = file.file_stem().and_then(|stem| stem.to_str()) else { continue };
                let mut own = Keyring::default();
                if let Content::Bytes(bytes) = tree_file::read(&root, &file, ASSERT_LIMIT)
                    && own.add(&bytes, "") > 0
                    && own.holds(key)
                {
                    return Some(owner.to_owned());
                }
            }
        }
        let signers = self.tree.signers(&place.release).map(|signers| signers.names).unwrap_or_default();
        let others = signers.iter().filter(|other| **other != place.signer);
        let documents = others.flat_map(|other| signer_documents(&self.tree, &place.release, other));
        let checker = Checker::Keys { keys: self.keys, now: self.now };
        documents.filter(|other| !self.changed.contains(other)).find_map(|other| {
            match other.facts(&self.tree, &self.top, &checker).ok()?.signature {
                Signature::Good(good) if good.primary_key == key => Some(other.signer),
                _ => None,
            }
        })
    }

    /// Returns the keys of a signer's good signatures that are not part of the change.
    fn older_keys(&self, signer: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let releases = crate::statement::releases(&self.tree.root).unwrap_or_default();
        let documents = releases.iter().rev().flat_map(|release| signer_documents(&self.tree, release, signer));
        for older in documents.filter(|place| !self.changed.contains(place)).take(OLDER) {
            let [document, signature] = older.paths(&self.tree);
            if let (Content::Bytes(document), Content::Bytes(signature)) = (
                tree_file::read(&self.top, &document, ASSERT_LIMIT),
                tree_file::read(&self.top, &signature, SIGNATURE_LIMIT),
            ) && let Signature::Good(good) = check(&signature, &document, self.keys, self.now)
            {
                found.insert(good.primary_key);
            }
        }
        found
    }
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
        Signature::Good(good) => {
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
    }
}

fn about_document(assertion: &Assertion, place: &Place) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (what, found, wanted) in
        [("release", assertion.release(), &place.release), ("name", assertion.name(), &place.package)]
    {
        if found != Some(wanted.as_str()) {
            faults.push(Fault::Says { what, found: found.map(str::to_owned), wanted: wanted.clone() });
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
        let (kind, package) = crate::statement::kind_of(document)?;
        Some(Self { release: release.into(), signer: signer.into(), package: package.into(), kind })
    }

    fn paths(&self, tree: &SigsTree) -> [PathBuf; 2] {
        let document = self.path(tree);
        let end = if document.as_os_str().as_encoded_bytes().ends_with(SUMS_END.as_bytes()) { ".asc" } else { ".sig" };
        let mut signature = document.clone().into_os_string();
        signature.push(end);
        [document, signature.into()]
    }
}
