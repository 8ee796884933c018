//! Locks on files, which end with the process that holds them.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

/// A lock on a file, held until dropped; where it cannot be had at once, `None`.
pub(crate) fn try_lock(path: &Path, kind: LockKind) -> Result<Option<Flock<File>>> {
    let object = || format!("lock {}", path.display());
    let file = lock_file(path).with_context(object)?;
    let kind = match kind {
        LockKind::Shared => FlockArg::LockSharedNonblock,
        LockKind::Exclusive => FlockArg::LockExclusiveNonblock,
    };
    match Flock::lock(file, kind) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).with_context(object),
    }
}

/// Waits for an exclusive lock, and does not hear that we are asked to stop meanwhile.
pub(crate) fn lock(path: &Path) -> Result<Flock<File>> {
    let object = || format!("lock {}", path.display());
    let file = lock_file(path).with_context(object)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno).with_context(object)
}

/// Who else may have a lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockKind {
    /// Others who share it.
    Shared,
    /// Nobody.
    Exclusive,
}

fn lock_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
