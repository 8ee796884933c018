//! A descriptor file: read whole, checked to be text, parsed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::finding::Lines;
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
    /// Reads and checks a descriptor file. All that is wrong with its content is told at once.
    pub fn load(path: &Path) -> Result<Loaded, LoadError> {
        let mut bytes = Vec::new();
        let unreadable = |cause| LoadError::Unreadable { path: path.to_owned(), cause };
        // To open a pipe would wait for somebody to write to it.
        let kind = fs::metadata(path).map_err(unreadable)?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Err(unreadable(io::Error::other("is not a regular file")));
        }
        File::open(path).and_then(|file| file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
        if bytes.len() as u64 > SIZE_LIMIT {
            return Err(LoadError::TooLarge { path: path.to_owned() });
        }
        let loaded = match String::from_utf8(bytes) {
            Ok(source) => Self::parse(path, source),
            Err(cause) => Err(not_text(path, cause.utf8_error().valid_up_to(), cause.as_bytes())),
        };
        Ok(loaded.map_err(Box::new)?)
    }
}

fn not_text(path: &Path, at: usize, bytes: &[u8]) -> Refusals {
    let source = String::from_utf8_lossy(bytes).into_owned();
    let (message, from) = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ("the file is UTF-16, not UTF-8".to_owned(), "UTF-16"),
        _ => (format!("byte 0x{:02x} is not UTF-8", bytes.get(at).copied().unwrap_or(0)), "LATIN1"),
    };
    let hint = format!("save the file as UTF-8: iconv -f {from} -t UTF-8");
    let end = source[at..].chars().next().map_or(at, |replaced| at + replaced.len_utf8());
    let finding = Lines::new(&source).finding(at..end, message, Some(hint));
    Refusals { path: path.to_owned(), source, findings: vec![finding], warnings: Vec::new() }
}
