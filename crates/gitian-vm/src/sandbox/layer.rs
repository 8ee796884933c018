//! Kept layers: what was installed on top of a base image, for the next build of the same descriptor.
//!
//! `layers/<first uid>/<key>-<made>/` in the cache holds `record.yml` and the tree below `fs`. A layer is moved into its
//! place as a whole or not at all, and never changes again: a newer one with the same key lies beside it, so that builds in
//! several folders do not pull it from under each other. It is removed some time after its last use.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use gitian_process::{Command, Streams};
use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use super::enclosure::Enclosure;
use super::id_map::IdMap;
use super::place::{entries, make_fs, make_private, move_tree, new_folder, remove};
use crate::document::{read_document, write_document};
use crate::lock::{LockKind, lock, try_lock};

/// How many layers are kept, the latest used.
const KEPT: usize = 8;
/// How long a layer stays after its last use although there is a newer one: a build that has chosen it may not hold it yet.
const SPARED: Duration = Duration::from_secs(600);

/// A lock on a layer that a guest stands on.
pub(crate) type Held = Flock<File>;

/// Returns what tells a layer that is made now from others with the same key.
pub(crate) fn new_name() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{}", since.as_nanos(), std::process::id())
}

/// What a layer stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// Tells this layer from an earlier one with the same key.
    pub(crate) made: String,
    /// The base image.
    pub(crate) base: String,
    /// Whether it is a whole copy rather than an overlay's upper part.
    pub(crate) whole: bool,
}

/// The kept layers of certain ids.
pub(crate) struct Layers {
    folder: PathBuf,
}

impl Layers {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn place(&self, key: &str, made: &str) -> PathBuf {
        self.folder.join(format!("{key}-{made}"))
    }

    /// Returns the tree of a layer.
    pub(crate) fn tree(&self, key: &str, made: &str) -> PathBuf {
        self.place(key, made).join("fs/tree")
    }

    /// Returns the record of the newest layer with a key that is kept and whole, and notes that it was used.
    pub(crate) fn find(&self, key: &str) -> Result<Option<Record>> {
        if !is_key(key) {
            return Ok(None);
        }
        let mut newest: Option<(Record, PathBuf)> = None;
        for name in entries(&self.folder)? {
            let of_key = name.to_str().and_then(|name| name.strip_prefix(key)?.strip_prefix('-'));
            let Some(made) = of_key.filter(|made| self.tree(key, made).is_dir()) else { continue };
            let path = self.place(key, made).join("record.yml");
            let Some(record) = read_document::<Record>(&path).unwrap_or(None) else { continue };
            if newest.as_ref().is_none_or(|(other, _)| other.made < record.made) {
                newest = Some((record, path));
            }
        }
        let Some((record, path)) = newest else { return Ok(None) };
        let touched = File::options().write(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        touched.with_context(|| format!("note the use of {}", path.display()))?;
        Ok(Some(record))
    }

    /// Holds a layer so that nobody removes it; `None` if it is not there any more.
    pub(crate) fn hold(&self, key: &str, made: &str) -> Result<Option<Flock<File>>> {
        if !self.tree(key, made).is_dir() {
            return Ok(None);
        }
        let held = try_lock(&self.place(key, made).join("lock"), LockKind::Shared)?;
        Ok(held.filter(|_| self.tree(key, made).is_dir()))
    }

    /// Takes a tree out of a target's folder as this layer.
    pub(crate) fn keep(&self, key: &str, from: (&Path, &str), record: &Record, map: &IdMap) -> Result<()> {
        make_private(&self.folder)?;
        let (staging, staging_lock) = new_folder(&self.folder, map)?;
        let ids = Enclosure::of_ids(map)?;
        let fs = make_fs(&staging)?;
        let kept = move_tree(&ids, from, (&fs, "tree"))
            .and_then(|()| {
                // The target was written without care for the disk; a layer has to survive a power cut whole.
                let sync = Command::new("sync").args(["-f", "tree"]).folder(&fs);
                ids.run_ok(&sync, Streams::default()).map(drop)
            })
            .and_then(|()| write_document(&staging.join("record.yml"), record));
        if let Err(error) = kept {
            remove(&staging, &ids).ok();
            return Err(error);
        }
        let guard = lock(&self.folder.join("lock"))?;
        let place = self.place(key, &record.made);
        fs::rename(&staging, &place).with_context(|| format!("make {}", place.display()))?;
        drop(staging_lock);
        self.prune(&ids)?;
        drop(guard);
        Ok(())
    }

    /// Removes every layer that nobody holds.
    pub(crate) fn remove_all(&self, map: &IdMap) -> Result<()> {
        let ids = Enclosure::of_ids(map)?;
        for name in entries(&self.folder)? {
            let folder = self.folder.join(name);
            if folder.is_dir() {
                remove_unless_held(&folder, &ids)?;
            }
        }
        Ok(())
    }

    /// Removes all but the latest used layers, and those that a newer one has replaced, as far as nobody holds them.
    fn prune(&self, ids: &Enclosure) -> Result<()> {
        let mut layers = Vec::new();
        for name in entries(&self.folder)? {
            let folder = self.folder.join(&name);
            if let Ok(used) = folder.join("record.yml").metadata().and_then(|found| found.modified()) {
                let key = name.to_string_lossy().split('-').next().unwrap_or_default().to_owned();
                layers.push((used, key, folder));
            }
        }
        layers.sort();
        let mut seen = Vec::new();
        for (number, (used, key, folder)) in layers.into_iter().rev().enumerate() {
            let superseded = seen.contains(&key);
            let spared = used.elapsed().is_ok_and(|since| since < SPARED);
            if number >= KEPT || (superseded && !spared) {
                remove_unless_held(&folder, ids)?;
            }
            seen.push(key);
        }
        Ok(())
    }
}

fn remove_unless_held(folder: &Path, ids: &Enclosure) -> Result<()> {
    match try_lock(&folder.join("lock"), LockKind::Exclusive)? {
        Some(_held) => remove(folder, ids),
        None => Ok(()),
    }
}

/// Whether a key can be the name of a folder.
fn is_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= 128 && key.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_plain_word() {
        assert!(is_key("0123abcd"));
        for key in ["", ".", "..", "a/b", ".new-x", &"a".repeat(200)] {
            assert!(!is_key(key), "{key}");
        }
    }
}
