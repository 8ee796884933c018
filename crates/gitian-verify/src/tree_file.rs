//! Reading one file of a tree that somebody else wrote: never a pipe or device, never out of the tree, never more than
//! a limit.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

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
    match read_inside(root, path, limit) {
        Ok(content) => content,
        Err(cause) => Content::Refused(match cause.kind() {
            ErrorKind::PermissionDenied => "may not be read".to_owned(),
            _ => cause.to_string(),
        }),
    }
}

fn read_inside(root: &Path, path: &Path, limit: u64) -> std::io::Result<Content> {
    let refused = |reason: &str| Ok(Content::Refused(reason.to_owned()));
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            return match path.symlink_metadata() {
                Ok(_) => refused("is a link to nothing"),
                Err(_) => Ok(Content::Absent),
            };
        }
        Err(cause) => return Err(cause),
    };
    if !real.starts_with(root) {
        return refused("is a link out of the tree");
    }
    // The canonical path has no link left; should one appear in between, it is not followed. Opening does not wait
    // for the other end of a pipe.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&real)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return refused("is not a regular file");
    }
    let mut bytes = Vec::new();
    if facts.len() <= limit {
        file.take(limit + 1).read_to_end(&mut bytes)?;
    }
    if facts.len() > limit || bytes.len() as u64 > limit {
        return Ok(Content::Refused(format!("is larger than {} KiB", limit >> 10)));
    }
    Ok(Content::Bytes(bytes))
}
