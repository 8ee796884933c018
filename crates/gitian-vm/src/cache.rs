//! The cache that outlives a working directory: where things lie in it.

use std::path::{Path, PathBuf};

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
