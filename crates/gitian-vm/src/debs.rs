//! The packages that were ever downloaded on this host, by content, for every guest.
//!
//! `<cache>/debs/<sha256>` is a package; `<cache>/debs/names/<file>/<sha256>` says under which file name it was had.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_manifest::Digest;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::linkat;

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
        let (content, digest) = self.copied(deb)?;
        self.keep(content, &digest, deb)?;
        Ok(digest)
    }

    /// Takes a package in if its content has this digest; returns whether it had. One that has another is not even
    /// remembered by name: it comes from somebody who may have changed it.
    pub fn add_expected(&self, deb: &Path, expected: &Digest) -> Result<bool> {
        let (content, digest) = self.copied(deb)?;
        if digest == *expected {
            self.keep(content, &digest, deb)?;
        }
        Ok(digest == *expected)
    }

    /// Copies a file into the cache, still without a name: when we are killed, nothing is left of it. Returns the copy and
    /// its digest.
    fn copied(&self, deb: &Path) -> Result<(File, Digest)> {
        let within = || self.shown();
        fs::create_dir_all(&self.folder).with_context(within)?;
        let mut copy = tempfile::tempfile_in(&self.folder).with_context(within)?;
        let mut original = File::open(deb).with_context(|| deb.display().to_string())?;
        io::copy(&mut original, &mut copy).with_context(within)?;
        // Hashed after it was copied: what is kept is what was hashed, whatever happens to the file meanwhile.
        copy.rewind().with_context(within)?;
        let digest = Digest::of_reader(&mut copy).with_context(within)?;
        Ok((copy, digest))
    }

    fn keep(&self, content: File, digest: &Digest, deb: &Path) -> Result<()> {
        let within = || self.shown();
        self.give_name(content, digest).with_context(within)?;
        if let Some(name) = deb.file_name() {
            let names = self.folder.join("names").join(name);
            fs::create_dir_all(&names).with_context(within)?;
            File::create(names.join(digest.to_string())).with_context(within)?;
        }
        Ok(())
    }

    fn shown(&self) -> String {
        format!("package cache {}", self.folder.display())
    }

    /// Puts an unnamed file of the cache in the place of a content.
    fn give_name(&self, mut file: File, content: &Digest) -> io::Result<()> {
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        let place = self.folder.join(content.to_string());
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        match linkat(AT_FDCWD, unnamed.as_str(), AT_FDCWD, &place, AtFlags::AT_SYMLINK_FOLLOW) {
            // The same content.
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(_) => {
                // Not every file system can name a file later.
                let mut named = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder)?;
                file.rewind()?;
                io::copy(&mut file, &mut named)?;
                named.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
                named.persist(place)?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_with_another_content_than_expected_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let deb = folder.path().join("x_1_all.deb");
        fs::write(&deb, "tampered").unwrap();
        let debs = Debs::new(&folder.path().join("cache"));
        assert!(!debs.add_expected(&deb, &Digest::of_bytes(b"content")).unwrap());
        assert!(debs.named("x_1_all.deb").is_empty());
        assert!(debs.find(&Digest::of_bytes(b"tampered")).is_none());
        fs::write(&deb, "content").unwrap();
        assert!(debs.add_expected(&deb, &Digest::of_bytes(b"content")).unwrap());
        assert_eq!(debs.named("x_1_all.deb"), [Digest::of_bytes(b"content")]);
    }

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
        assert_eq!(debs.add(&deb).unwrap(), digest, "a second time");
        let mut names: Vec<_> =
            fs::read_dir(folder.path().join("cache/debs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            [digest.to_string().into(), std::ffi::OsString::from("names")],
            "nothing but what was asked for"
        );
    }
}
