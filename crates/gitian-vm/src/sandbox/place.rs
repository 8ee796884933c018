//! Every path of the sandbox, in a working directory and in the cache, and how folders are made, locked and removed.
//!
//! A folder that guests' files go to is private to the caller; inside it `fs` may be written by everybody, because the
//! host sees a guest's users as somebody else. What lies in `fs` belongs to the guest's users and is made, moved and
//! removed from within an [`Enclosure`] only.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_descriptor::{Architecture, Suite};
use gitian_process::{Command, Streams};
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::enclosure::Enclosure;
use crate::backend::base_name;

/// The working directory's part.
pub(super) struct TargetPlace(PathBuf);

impl TargetPlace {
    pub(super) fn new(workdir: &Path) -> Self {
        Self(workdir.join("var/target"))
    }
    /// The private folder of the target.
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }
    /// What the guest writes.
    pub(super) fn fs(&self) -> PathBuf {
        self.0.join("fs")
    }
    /// What the target was made from.
    pub(super) fn image(&self) -> PathBuf {
        self.0.join("image.yml")
    }
    /// Which process is the running guest's first.
    pub(super) fn init(&self) -> PathBuf {
        self.0.join("init.yml")
    }
}

/// Returns where a working directory says which cached base image a suite and architecture have.
pub(super) fn pointer(workdir: &Path, suite: &Suite, architecture: Architecture) -> PathBuf {
    let mut name = base_name(suite, architecture).into_os_string();
    name.push(".sandbox");
    workdir.join(name)
}

/// The cache's part.
pub(super) struct CachePlace(PathBuf);

impl CachePlace {
    pub(super) fn new(cache: &Path) -> Self {
        Self(cache.to_owned())
    }
    pub(super) fn root(&self) -> &Path {
        &self.0
    }
    pub(super) fn bases(&self) -> PathBuf {
        self.0.join("bases")
    }
    pub(super) fn base(&self, digest: &str) -> PathBuf {
        self.bases().join(digest)
    }
    /// Layers belong to the ids that their files have.
    pub(super) fn layers(&self, first_uid: u32) -> PathBuf {
        self.0.join("layers").join(first_uid.to_string())
    }
}

/// Makes a folder, and those above it, that only the caller may enter.
pub(super) fn make_private(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("make {}", folder.display()))
}

/// Makes `fs` in a private folder.
pub(super) fn make_fs(folder: &Path) -> Result<PathBuf> {
    let fs = folder.join("fs");
    let made = match fs::create_dir(&fs) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    made.and_then(|()| fs::set_permissions(&fs, Permissions::from_mode(0o777)))
        .with_context(|| format!("make {}", fs.display()))?;
    Ok(fs)
}

/// Writes a document so that it is there as a whole or not at all.
pub(super) fn write_document(path: &Path, document: &impl Serialize) -> Result<()> {
    let object = || format!("write {}", path.display());
    let text = serde_yaml::to_string(document).with_context(object)?;
    let folder = path.parent().with_context(object)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(object)?;
    file.write_all(text.as_bytes()).with_context(object)?;
    file.as_file().set_permissions(Permissions::from_mode(0o644)).with_context(object)?;
    file.as_file().sync_data().with_context(object)?;
    file.persist(path).with_context(object)?;
    Ok(())
}

/// Reads a document; `None` if there is none.
pub(super) fn read_document<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read_to_string(path) {
        Ok(text) => serde_yaml::from_str(&text).map(Some).with_context(|| format!("read {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Removes a file if it is there.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes a private folder with what guests left in its `fs`.
pub(super) fn remove(folder: &Path, enclosure: &Enclosure) -> Result<()> {
    let fs = folder.join("fs");
    if fs.is_dir() {
        // An `rm` of the whole `fs` could not remove that folder itself, which is the caller's.
        let names = entries(&fs)?;
        if !names.is_empty() {
            let remove = Command::new("rm").args(["-rf", "--one-file-system", "--"]).args(names).folder(&fs);
            let remove = remove.uninterruptible();
            enclosure.run_ok(&remove, Streams::default()).with_context(|| format!("remove {}", fs.display()))?;
        }
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Returns the names in a folder, sorted.
pub(super) fn entries(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    let object = || format!("read {}", folder.display());
    let mut names = Vec::new();
    match fs::read_dir(folder) {
        Ok(found) => {
            for entry in found {
                names.push(entry.with_context(object)?.file_name());
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(object),
    }
    names.sort();
    Ok(names)
}

/// Moves `name` out of one `fs` into another under a new name, also from one file system to another.
pub(super) fn move_tree(enclosure: &Enclosure, from: (&Path, &str), to: (&Path, &str)) -> Result<()> {
    let object = || format!("move {} to {}", from.0.join(from.1).display(), to.0.join(to.1).display());
    // The target folder's path need not be open to the guest's users: it is given as an open folder.
    let folder = File::open(to.0).with_context(object)?;
    nix::fcntl::fcntl(&folder, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).with_context(object)?;
    let target = format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), to.1);
    let command = Command::new("mv").args(["-T", "--", from.1, &target]).folder(from.0);
    enclosure.run_ok(&command, Streams::default()).with_context(object)?;
    Ok(())
}

/// A lock on a file, held until dropped; where it cannot be had at once, `None`.
pub(super) fn try_lock(path: &Path, kind: LockKind) -> Result<Option<Flock<File>>> {
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

/// Waits for an exclusive lock; held for moments only, by whoever holds it.
pub(super) fn lock(path: &Path) -> Result<Flock<File>> {
    let object = || format!("lock {}", path.display());
    let file = lock_file(path).with_context(object)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno).with_context(object)
}

/// Who else may have a lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockKind {
    /// Others who share it.
    Shared,
    /// Nobody.
    Exclusive,
}

fn lock_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
