//! The files of a key folder: each holds the keys of whom it is called after.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file of a key folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFile {
    /// Where it is.
    pub path: PathBuf,
    /// The fingerprints of its certificates, as 40 hexadecimal digits.
    pub keys: BTreeSet<String>,
}

impl KeyFile {
    /// Returns whose keys the file holds.
    pub fn owner(&self) -> Option<&str> {
        owner(&self.path)
    }

    /// Returns whether the file is one person's by its name or by what it holds: a ring of many keys is nobody's.
    pub fn is_of_one(&self) -> bool {
        let named_by_key = |stem: &str| stem.len() == 40 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.keys.len() == 1 && !self.owner().is_some_and(named_by_key)
    }
}

/// Returns whose keys a file holds by its name: `alice` for `builder-keys/alice.gpg`.
pub(crate) fn owner(path: &Path) -> Option<&str> {
    path.file_stem().and_then(|stem| stem.to_str())
}
