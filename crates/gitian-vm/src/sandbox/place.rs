//! The sandbox's place in a working directory, and how folders that hold guests' files are made and removed.
//!
//! A folder that guests' files go to is private to the caller; inside it `fs` may be written by everybody, because the
//! host sees a guest's users as somebody else. What lies in `fs` belongs to the guest's users and is made, moved and
//! removed from within an [`Enclosure`] only.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_process::{Command, Streams};
use nix::fcntl::Flock;

use super::enclosure::Enclosure;
use super::id_map::IdMap;
use crate::lock::{LockKind, lock, try_lock};

/// The working directory's part.
pub(crate) struct TargetPlace(PathBuf);

impl TargetPlace {
    pub(crate) fn new(workdir: &Path) -> Self {
        Self(workdir.join("var/target"))
    }
    /// The private folder of the target.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }
    /// What the guest writes.
    pub(crate) fn fs(&self) -> PathBuf {
        self.0.join("fs")
    }
    /// What the target was made from.
    pub(crate) fn image(&self) -> PathBuf {
        self.0.join("image.yml")
    }
    /// Which process is the running guest's first.
    pub(crate) fn init(&self) -> PathBuf {
        self.0.join("init.yml")
    }
}

/// Makes a folder, and those above it, that only the caller may enter.
pub(crate) fn make_private(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("make {}", folder.display()))
}

/// Makes `fs` in a private folder.
pub(crate) fn make_fs(folder: &Path) -> Result<PathBuf> {
    let fs = folder.join("fs");
    let made = match fs::create_dir(&fs) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    made.and_then(|()| fs::set_permissions(&fs, Permissions::from_mode(0o777)))
        .with_context(|| format!("make {}", fs.display()))?;
    Ok(fs)
}

/// Removes a private folder with what guests left in its `fs`.
pub(crate) fn remove(folder: &Path, enclosure: &Enclosure) -> Result<()> {
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
pub(crate) fn entries(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
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
pub(crate) fn move_tree(enclosure: &Enclosure, from: (&Path, &str), to: (&Path, &str)) -> Result<()> {
    let object = || format!("move {} to {}", from.0.join(from.1).display(), to.0.join(to.1).display());
    // The target folder's path need not be open to the guest's users: it is given as an open folder.
    let folder = File::open(to.0).with_context(object)?;
    nix::fcntl::fcntl(&folder, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).with_context(object)?;
    let target = format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), to.1);
    let command = Command::new("mv").args(["-T", "--", from.1, &target]).folder(from.0);
    enclosure.run_ok(&command, Streams::default()).with_context(object)?;
    Ok(())
}

/// Makes a folder in a part of the cache for something new, with the lock that says that it is being worked on. What
/// runs that were killed left there is removed.
pub(crate) fn new_folder(part: &Path, map: &IdMap) -> Result<(PathBuf, Flock<File>)> {
    let _guard = lock(&part.join("lock"))?;
    remove_leftovers(part, map)?;
    let folder = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(part)
        .context("make a folder in the cache")?;
    // It will hold files of other ids, which only `remove` can remove.
    let folder = folder.keep();
    let lock =
        try_lock(&folder.join("lock"), LockKind::Exclusive)?.context("a new folder is locked by somebody else")?;
    Ok((folder, lock))
}

fn remove_leftovers(folder: &Path, map: &IdMap) -> Result<()> {
    let mut ids = None;
    for name in entries(folder)? {
        if !name.to_string_lossy().starts_with('.') {
            continue;
        }
        let leftover = folder.join(&name);
        // Whoever works there holds the lock.
        let Some(lock) = try_lock(&leftover.join("lock"), LockKind::Exclusive).unwrap_or(None) else { continue };
        let ids = match &ids {
            Some(ids) => ids,
            None => ids.insert(Enclosure::of_ids(map)?),
        };
        remove(&leftover, ids)?;
        drop(lock);
    }
    Ok(())
}
