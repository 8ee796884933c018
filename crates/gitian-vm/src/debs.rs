//! The packages that were ever downloaded on this host, by content, for every guest.
//!
//! `<cache>/debs/<sha256>` is a package; `<cache>/debs/names/<file>/<sha256>` says under which file name it was had.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_manifest::Digest;

/// The cache of packages.
#[derive(Clone, Debug)]
pub struct Debs {
    folder: PathBuf,
}

impl Debs {
    /// Names the cache below the folder of all caches. Nothing is made yet.
    pub fn new(cache: &Path) -> Self {
        Self { folder: cache.join("debs") }
    }

    /// Returns the package with this content.
    pub fn find(&self, sha256: &Digest) -> Option<PathBuf> {
        let path = self.folder.join(sha256.to_string());
        path.is_file().then_some(path)
    }

    /// Returns the contents that were ever had under a file name.
    pub fn named(&self, file: &str) -> Vec<Digest> {
        if file.contains('/') || file.starts_with('.') {
            return Vec::new();
        }
        let Ok(entries) = fs::read_dir(self.folder.join("names").join(file)) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }

    /// Takes a package in under the digest of its content, which is returned; the file itself is left where it is.
    pub fn add(&self, deb: &Path) -> Result<Digest> {
        let within = || format!("package cache {}", self.folder.display());
        fs::create_dir_all(&self.folder).with_context(within)?;
        // Hashed after it was copied: what is kept is what was hashed, whatever happens to the file meanwhile.
        let mut copy = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder).with_context(within)?;
        let mut original = fs::File::open(deb).with_context(|| deb.display().to_string())?;
        io::copy(&mut original, &mut copy).with_context(within)?;
        copy.as_file().set_permissions(fs::Permissions::from_mode(0o644)).with_context(within)?;
        let digest = Digest::of_file(copy.path())?;
        copy.persist(self.folder.join(digest.to_string())).with_context(within)?;
        if let Some(name) = deb.file_name() {
            let names = self.folder.join("names").join(name);
            fs::create_dir_all(&names).with_context(within)?;
            fs::File::create(names.join(digest.to_string())).with_context(within)?;
        }
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_found_by_its_content_and_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let deb = folder.path().join("x_1%3a2_all.deb");
        fs::write(&deb, "content").unwrap();
        let debs = Debs::new(&folder.path().join("cache"));
        let digest = debs.add(&deb).unwrap();
        assert_eq!(digest, Digest::of_bytes(b"content"));
        assert_eq!(fs::read(debs.find(&digest).unwrap()).unwrap(), b"content");
        assert_eq!(debs.named("x_1%3a2_all.deb"), [digest]);
        assert!(debs.find(&Digest::of_bytes(b"other")).is_none());
        assert!(debs.named("../debs").is_empty());
    }
}
