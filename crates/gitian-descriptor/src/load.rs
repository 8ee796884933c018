//! A descriptor file: read whole, checked to be text, parsed.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Descriptor, Finding, Refusals};

/// How large a descriptor may be, in bytes.
pub const SIZE_LIMIT: u64 = 16 << 20;

/// A descriptor as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The file, as the caller named it.
    pub path: PathBuf,
    /// The file's bytes, unchanged: the in manifest's digest is taken over them.
    pub source: String,
    /// What they say.
    pub descriptor: Descriptor,
    /// What was noticed but does no harm, in the order of the file.
    pub warnings: Vec<Finding>,
}

/// Why there is no descriptor.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("descriptor {}: {cause}", path.display())]
    Unreadable {
        /// The file, as the caller named it.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is larger than [`SIZE_LIMIT`].
    #[error("descriptor {}: is larger than {} MiB", path.display(), SIZE_LIMIT >> 20)]
    TooLarge {
        /// The file, as the caller named it.
        path: PathBuf,
    },
    /// The file's content is refused.
    #[error(transparent)]
    Refused(#[from] Box<Refusals>),
}

impl Descriptor {
    /// Reads and checks a descriptor file.
    pub fn load(path: &Path) -> Result<Loaded, LoadError> {
        let source =
            std::fs::read_to_string(path).map_err(|cause| LoadError::Unreadable { path: path.to_owned(), cause })?;
        Ok(Self::parse(path, source).map_err(Box::new)?)
    }
}
