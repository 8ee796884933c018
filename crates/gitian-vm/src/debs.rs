//! The cache of `.deb` files, by content: a package is downloaded once per machine.
//!
//! A file is found by the SHA-256 that a signed index names, so what the cache holds need not be trusted: it was hashed
//! when it came in, and its name is that hash.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The cache.
#[derive(Clone, Debug)]
pub struct Debs {
    folder: PathBuf,
}

impl Debs {
    /// Names the folder of a cache; nothing is made before the first [`add`](Self::add).
    pub fn new(cache: &Path) -> Self {
        Self { folder: cache.join("debs") }
    }

    /// Returns the file of this SHA-256 (64 hex digits) if it is there.
    pub fn find(&self, sha256: &str) -> Option<PathBuf> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if sha256.len() != 64 || !sha256.chars().all(hex) {
            return None;
        }
        let path = self.path(sha256);
        path.is_file().then_some(path)
    }

    /// Takes in a copy of a file and returns its SHA-256.
    pub fn add(&self, file: &Path) -> Result<String> {
        let object = || format!("keep {} in {}", file.display(), self.folder.display());
        let read = || -> io::Result<String> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let mut from = File::open(file)?;
            // The copy is hashed as it is written: what was hashed is what is kept, even if the file changes meanwhile.
            let mut copy = tempfile::NamedTempFile::new_in(&self.folder)?;
            let mut hash = Sha256::new();
            let mut buffer = vec![0; 128 * 1024];
            loop {
                let count = from.read(&mut buffer)?;
                if count == 0 {
                    break;
                }
                hash.update(&buffer[..count]);
                copy.write_all(&buffer[..count])?;
            }
            let sha256 = hex(&hash.finalize());
            if !self.path(&sha256).is_file() {
                copy.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
                copy.persist(self.path(&sha256))?;
            }
            Ok(sha256)
        };
        read().with_context(object)
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.deb"))
    }
}

/// Writes bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_by_its_digest_only() {
        let folder = tempfile::tempdir().unwrap();
        let debs = Debs::new(&folder.path().join("cache"));
        let file = folder.path().join("a.deb");
        fs::write(&file, "abc").unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(debs.find(digest), None);
        assert_eq!(debs.add(&file).unwrap(), digest);
        assert_eq!(debs.add(&file).unwrap(), digest);
        assert_eq!(fs::read(debs.find(digest).unwrap()).unwrap(), b"abc");
        assert_eq!(debs.find(&digest.to_uppercase()), None);
        assert_eq!(debs.find("../a"), None);
        assert_eq!(fs::read_dir(folder.path().join("cache/debs")).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Debs::new(folder.path()).add(&folder.path().join("b.deb")).unwrap_err();
        assert!(format!("{error:#}").contains("b.deb"), "{error:#}");
    }
}
