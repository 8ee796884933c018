//! What a tree held before a change: who signed there, with which keys, and whose keys those are. What the change brings
//! proves nothing about itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;
use gitian_manifest::SigsTree;

use super::Role;
use crate::clear_signed::ClearSigned;
use crate::facts::Signature;
use crate::fault::{Change, Former};
use crate::history::in_order;
use crate::key_files::{self, KeyFile};
use crate::keyring::{KEY_FOLDERS, Keyring};
use crate::merged::Merged;
use crate::place::{Kind, Place, release_name, signer_documents};
use crate::statement::releases;
use crate::tree_file::{self, Content};
use crate::{ASSERT_LIMIT, Checker};

/// How many of a signer's older signatures are looked at for the key that he signs with.
const OLDER: usize = 20;

/// What was there before a change.
pub(super) struct Past<'a> {
    tree: &'a SigsTree,
    top: &'a Path,
    keys: &'a Keyring,
    now: SystemTime,
    /// What is part of the change.
    changed: &'a BTreeSet<Place>,
    /// The documents of each signer, those of the newest release first.
    documents: BTreeMap<String, Vec<Place>>,
    /// The names of all folders that a release lies in, and its own.
    release_parts: BTreeSet<String>,
    /// The key files: those that the change leaves alone, those that it changes as they were, and those that the user has
    /// in another place.
    files: Vec<KeyFile>,
    /// By key, the files that hold it.
    by_key: HashMap<String, Vec<usize>>,
    /// All that key files said of each certificate.
    said: BTreeMap<String, BTreeSet<Merged>>,
    /// The folders with key files, from the tree.
    key_folders: BTreeSet<PathBuf>,
    /// Known names, by their small letters.
    names: BTreeMap<String, String>,
    older: RefCell<HashMap<String, Older>>,
    beside: RefCell<HashMap<String, BTreeMap<String, BTreeSet<String>>>>,
    /// What each signer's lists say, and where.
    lists: RefCell<HashMap<String, HashMap<String, Vec<Place>>>>,
}

/// A key file of a folder in or beside the tree, as it is now.
pub(super) struct Held {
    /// Where it is, from the tree.
    pub path: PathBuf,
    /// What it holds.
    pub keys: Keyring,
    /// Whether it is part of the change.
    pub is_changed: bool,
}

/// The keys that a signer signed with before.
#[derive(Clone, Default)]
pub(super) struct Older {
    /// The primary keys.
    pub keys: BTreeSet<String>,
    /// Documents that he signed with keys that we do not have.
    unknown: Vec<Place>,
    /// Whether there are others, of which nothing can be told.
    more: bool,
}

impl Older {
    /// Returns whether he signed nothing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.is_in_doubt()
    }

    /// Returns whether he may have other keys than those.
    pub fn is_in_doubt(&self) -> bool {
        self.more || !self.unknown.is_empty()
    }
}

impl<'a> Past<'a> {
    /// Reads the names of a tree and its key files.
    pub fn of(
        tree: &'a SigsTree,
        top: &'a Path,
        (keys, now): (&'a Keyring, SystemTime),
        roles: &[(&Change, Role)],
        changed: &'a BTreeSet<Place>,
        held: &[Held],
    ) -> Result<Self> {
        let mut past = Self {
            tree,
            top,
            keys,
            now,
            changed,
            documents: BTreeMap::new(),
            release_parts: BTreeSet::new(),
            files: Vec::new(),
            by_key: HashMap::new(),
            said: BTreeMap::new(),
            key_folders: BTreeSet::new(),
            names: BTreeMap::new(),
            older: RefCell::default(),
            beside: RefCell::default(),
            lists: RefCell::default(),
        };
        past.read_names()?;
        past.read_key_files(roles, held);
        let owners = past.files.iter().filter(|file| file.is_of_one()).filter_map(KeyFile::owner);
        past.names = past
            .documents
            .keys()
            .map(String::as_str)
            .chain(owners)
            .map(|name| (name.to_lowercase(), name.to_owned()))
            .collect();
        Ok(past)
    }

    fn read_names(&mut self) -> Result<()> {
        let mut releases = releases(&self.tree.root)?;
        releases.sort_by(|a, b| in_order(release_name(b), release_name(a)));
        for release in releases {
            let signers = self.tree.signers(&release).map(|signers| signers.names).unwrap_or_default();
            let before = |place: &Place| !self.changed.contains(place);
            let documents =
                signers.iter().flat_map(|signer| signer_documents(self.tree, &release, signer)).filter(before);
            let documents: Vec<Place> = documents.collect();
            if !documents.is_empty() {
                self.release_parts.extend(release.split('/').map(str::to_owned));
            }
            for place in documents {
                self.documents.entry(place.signer.clone()).or_default().push(place);
            }
        }
        Ok(())
    }

    fn read_key_files(&mut self, roles: &[(&Change, Role)], held: &[Held]) {
        let mut said = vec![self.keys.merged()];
        for Held { path, keys, .. } in held.iter().filter(|held| !held.is_changed) {
            self.key_folders.extend(path.parent().map(Path::to_owned));
            said.push(keys.merged());
            self.files.push(KeyFile { path: self.tree.root.join(path), keys: keys.fingerprints() });
        }
        for (change, _) in roles.iter().filter(|(_, role)| matches!(role, Role::Key { .. })) {
            let Former::Bytes(bytes) = &change.former else { continue };
            let mut former = Keyring::default();
            former.add(bytes, "");
            self.key_folders.extend(change.path.parent().map(Path::to_owned));
            said.push(former.merged());
            self.files.push(KeyFile { path: self.tree.root.join(&change.path), keys: former.fingerprints() });
        }
        let real = |path: &Path| self.tree.root.join(path).canonicalize().ok();
        let here: BTreeSet<PathBuf> = held.iter().filter_map(|held| real(&held.path)).collect();
        let is_here = |path: &Path| path.canonicalize().is_ok_and(|real| here.contains(&real));
        for given in self.keys.files().iter().filter(|file| !is_here(&file.path)) {
            let folder = given.path.parent().and_then(Path::file_name);
            self.key_folders
                .extend(folder.filter(|folder| KEY_FOLDERS.iter().any(|known| folder == known)).map(PathBuf::from));
            self.files.push(given.clone());
        }
        self.files.retain(|file| !file.keys.is_empty());
        for merged in said.into_iter().flatten() {
            self.said.entry(merged.cert.clone()).or_default().insert(merged);
        }
        for (at, file) in self.files.iter().enumerate() {
            for key in &file.keys {
                self.by_key.entry(key.clone()).or_default().push(at);
            }
        }
    }

    /// Returns whether somebody of this name signed or had a key file.
    pub fn knows(&self, name: &str) -> bool {
        self.documents.contains_key(name) || self.files_of(name).next().is_some()
    }

    /// Returns whether a release, or a folder that one lies in, is called so.
    pub fn names_release(&self, name: &str) -> bool {
        self.release_parts.contains(name)
    }

    /// Returns somebody known whose name differs from that of somebody new in nothing but capital letters.
    pub fn like(&self, name: &str) -> Option<&str> {
        let known = self.names.get(&name.to_lowercase())?;
        (!self.knows(name)).then_some(known)
    }

    /// Returns the key files that are called after a signer.
    pub fn files_of<'s>(&'s self, owner: &'s str) -> impl Iterator<Item = &'s KeyFile> {
        self.files.iter().filter(move |file| file.owner() == Some(owner))
    }

    /// Returns the keys in the files that are called after a signer.
    pub fn keys_of<'s>(&'s self, owner: &'s str) -> impl Iterator<Item = &'s String> {
        self.files_of(owner).flat_map(|file| &file.keys)
    }

    /// Returns all that any key file said of a certificate.
    pub fn said_of(&self, cert: &str) -> impl Iterator<Item = &Merged> {
        self.said.get(cert).into_iter().flatten()
    }

    /// Returns the folder that keys are in, if there is one and it is not this one.
    pub fn other_key_folder(&self, folder: &Path) -> Option<&Path> {
        let is_in_use = self.key_folders.contains(folder);
        self.key_folders.iter().next().filter(|_| !is_in_use).map(PathBuf::as_path)
    }

    /// Returns another signer whose key this is by the key files.
    pub fn owner_by_file(&self, signer: &str, key: &str) -> Option<&str> {
        let holders = self.by_key.get(key).into_iter().flatten().filter_map(|at| self.files.get(*at));
        let others = holders.filter(|file| file.owner() != Some(signer));
        let signs = |owner: &str| self.documents.contains_key(owner);
        others.filter(|file| file.is_of_one() || file.owner().is_some_and(signs)).find_map(KeyFile::owner)
    }

    /// Returns another signer whose key this is: by the key files, or by what was signed in the same release.
    pub fn owner_beside(&self, place: &Place, key: &str) -> Option<String> {
        if let Some(owner) = self.owner_by_file(&place.signer, key) {
            return Some(owner.to_owned());
        }
        let mut beside = self.beside.borrow_mut();
        let signers = beside.entry(place.release.clone()).or_insert_with(|| self.signers_by_key(&place.release));
        signers.get(key)?.iter().find(|other| **other != place.signer).cloned()
    }

    /// Returns who signed in a release with which keys.
    fn signers_by_key(&self, release: &str) -> BTreeMap<String, BTreeSet<String>> {
        let signers = self.tree.signers(release).map(|signers| signers.names).unwrap_or_default();
        let documents = signers.iter().flat_map(|signer| signer_documents(self.tree, release, signer));
        let checker = Checker::Keys { keys: self.keys, now: self.now };
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for place in documents.filter(|place| !self.changed.contains(place)) {
            let Ok(facts) = place.facts(self.tree, self.top, &checker) else { continue };
            for (good, _) in facts.goods() {
                found.entry(good.primary_key.clone()).or_default().insert(place.signer.clone());
            }
        }
        found
    }

    /// Returns the keys of a signer's older signatures; `brought` are keys that he may have signed with as well.
    pub fn older_with(&self, signer: &str, brought: &Keyring) -> Older {
        let mut older = self.older(signer);
        older.unknown.retain(|place| match self.signature(place, brought) {
            Some(Signature::Good(good)) => {
                older.keys.insert(good.primary_key);
                false
            }
            _ => true,
        });
        older
    }

    /// Returns the keys of a signer's older signatures.
    pub fn older(&self, signer: &str) -> Older {
        if let Some(known) = self.older.borrow().get(signer) {
            return known.clone();
        }
        let mut found = Older::default();
        let documents = self.documents.get(signer).map(Vec::as_slice).unwrap_or_default();
        found.more = documents.len() > OLDER;
        for place in documents.iter().take(OLDER) {
            match self.signature(place, self.keys) {
                Some(Signature::Good(good)) => drop(found.keys.insert(good.primary_key)),
                Some(Signature::NoKey(_)) => found.unknown.push(place.clone()),
                _ => found.more = true,
            }
        }
        // What he signed well tells enough.
        found.more &= found.keys.is_empty();
        self.older.borrow_mut().insert(signer.to_owned(), found.clone());
        found
    }

    /// Checks the best signature of a document, if both are there.
    fn signature(&self, place: &Place, keys: &Keyring) -> Option<Signature> {
        let facts = place.facts(self.tree, self.top, &Checker::Keys { keys, now: self.now }).ok()?;
        Some(facts.signature)
    }

    /// Returns where a signer has the same list for another release.
    pub fn same_list(&self, place: &Place) -> Option<PathBuf> {
        if place.kind != Kind::Sums {
            return None;
        }
        let list = self.signed_text(place)?;
        let mut lists = self.lists.borrow_mut();
        let known = lists.entry(place.signer.clone()).or_insert_with(|| {
            let documents = self.documents.get(&place.signer).into_iter().flatten();
            let mut known: HashMap<String, Vec<Place>> = HashMap::new();
            for place in documents.filter(|place| place.kind == Kind::Sums) {
                if let Some(list) = self.signed_text(place) {
                    known.entry(list).or_default().push(place.clone());
                }
            }
            known
        });
        let same = known.get(&list)?.iter().find(|same| same.release_name() != place.release_name())?;
        Some(self.shown(same))
    }

    /// Returns the lines of a list without what a signature may leave out: the frame of a clear-signed one, the ends of lines
    /// and blanks before them.
    fn signed_text(&self, place: &Place) -> Option<String> {
        let Content::Bytes(bytes) = tree_file::read(self.top, &place.path(self.tree), ASSERT_LIMIT) else {
            return None;
        };
        let text = String::from_utf8(bytes).ok()?;
        let text = ClearSigned::parse(&text).map_or(text, |message| message.text);
        Some(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
    }

    /// Returns the document of the other kind that a signer has for the same package since before the change: one of the two
    /// is passed over.
    pub fn other_kind(&self, place: &Place) -> Option<PathBuf> {
        let kind = match place.kind {
            Kind::Assert => Kind::Sums,
            Kind::Sums => Kind::Assert,
        };
        let other = Place { kind, ..place.clone() };
        let is_there = !self.changed.contains(&other) && other.path(self.tree).symlink_metadata().is_ok();
        is_there.then(|| self.shown(&other))
    }

    fn shown(&self, place: &Place) -> PathBuf {
        let path = place.path(self.tree);
        path.strip_prefix(&self.tree.root).map_or_else(|_| path.clone(), Path::to_owned)
    }
}

impl Held {
    /// Reads the files of the key folders in and beside a tree. What a file without keys revokes is said by those of the same
    /// name beside it.
    pub fn all(root: &Path, changed: &BTreeSet<PathBuf>) -> Vec<Self> {
        let places = [Path::new(""), Path::new("..")];
        let folders = places.into_iter().flat_map(|place| KEY_FOLDERS.map(|name| place.join(name)));
        let mut paths: Vec<PathBuf> = folders
            .flat_map(|folder| {
                let entries = root.join(&folder).read_dir().into_iter().flatten().flatten();
                entries.map(move |entry| folder.join(entry.file_name()))
            })
            .collect();
        paths.sort_unstable();
        let (mut found, mut without_keys): (Vec<Self>, Vec<(PathBuf, Vec<u8>)>) = Default::default();
        for path in paths {
            let Content::Bytes(bytes) = read_key(root, &path, ASSERT_LIMIT) else { continue };
            let mut keys = Keyring::default();
            if keys.add(&bytes, "") == 0 {
                without_keys.push((path, bytes));
                continue;
            }
            let is_changed = root.join(&path).canonicalize().is_ok_and(|real| changed.contains(&real));
            found.push(Self { path, keys, is_changed });
        }
        for (path, bytes) in without_keys {
            let is_beside = |held: &&mut Self| held.path.with_extension("") == path.with_extension("");
            for held in found.iter_mut().filter(is_beside) {
                held.keys.add(&bytes, "");
            }
        }
        found
    }

    /// Returns whose keys it holds.
    pub fn owner(&self) -> Option<&str> {
        key_files::owner(&self.path)
    }
}

/// Reads a file of a key folder, which may lie beside the tree as well as in it.
pub(super) fn read_key(root: &Path, path: &Path, limit: u64) -> Content {
    let path = root.join(path);
    match path.parent().map(Path::canonicalize) {
        Some(Ok(folder)) => tree_file::read(&folder, &path, limit),
        _ => Content::Absent,
    }
}
