//! The cache that outlives a working directory: where things lie in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// The folder of caches.
pub(crate) struct CachePlace(PathBuf);

impl CachePlace {
    pub(crate) fn new(cache: &Path) -> Self {
        Self(cache.to_owned())
    }
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }
    pub(crate) fn bases(&self) -> PathBuf {
        self.0.join("bases")
    }
    pub(crate) fn base(&self, digest: &str) -> PathBuf {
        self.bases().join(digest)
    }
    /// Layers belong to the ids that their files have.
    pub(crate) fn layers(&self, first_uid: u32) -> PathBuf {
        self.0.join("layers").join(first_uid.to_string())
    }
}

/// Makes a folder for something new in a part of the cache, whose lock the caller holds: what runs that were killed left
/// there is removed.
pub(crate) fn staging(part: &Path) -> Result<TempDir> {
    const PREFIX: &str = ".new-";
    for leftover in fs::read_dir(part).with_context(|| part.display().to_string())?.flatten() {
        if leftover.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_dir_all(leftover.path()).with_context(|| leftover.path().display().to_string())?;
        }
    }
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(part).context("make a folder in the cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_with_the_next_one() {
        let part = tempfile::tempdir().unwrap();
        let left = staging(part.path()).unwrap().keep();
        fs::write(left.join("disk"), "half").unwrap();
        fs::create_dir(part.path().join("kept")).unwrap();
        let next = staging(part.path()).unwrap();
        assert!(!left.exists() && next.path().is_dir() && part.path().join("kept").is_dir());
    }
}
