//! Reading one file of a tree that somebody else wrote: never out of the tree, never a pipe or device, never more than
//! a limit.

use std::io::ErrorKind;
use std::path::Path;

/// What came of reading a file.
pub(crate) enum Content {
    /// There is no such file.
    Absent,
    /// The bytes.
    Bytes(Vec<u8>),
    /// There is something that is not read, and why.
    Refused(String),
}

/// Reads a file of at most `limit` bytes. `root` is the tree's canonical path; links inside of it are followed.
pub(crate) fn read(root: &Path, path: &Path, limit: u64) -> Content {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            return match path.symlink_metadata() {
                Ok(_) => Content::Refused("is a link to nothing".into()),
                Err(_) => Content::Absent,
            };
        }
        Err(cause) => return refused(&cause),
    };
    if !real.starts_with(root) {
        return Content::Refused("is a link out of the tree".into());
    }
    // No link is left in the canonical path; should one appear at its end in between, it is not followed.
    match gitian_manifest::read_file(&real, limit) {
        Ok(bytes) => Content::Bytes(bytes),
        Err(cause) => refused(&cause),
    }
}

fn refused(cause: &std::io::Error) -> Content {
    Content::Refused(match cause.kind() {
        ErrorKind::PermissionDenied => "may not be read".into(),
        _ => cause.to_string(),
    })
}
