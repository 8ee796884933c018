//! Kept layers: what was installed on top of a base image, for the next build of the same descriptor.
//!
//! `layers/<first uid>/<key>/` in the cache holds `record.yml` and the tree below `fs`. A layer is moved into its place as
//! a whole or not at all; one that is in use, or that was replaced while in use, stays until nobody holds its lock.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use gitian_process::{Command, Streams};
use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use super::base_image::new_folder;
use super::enclosure::Enclosure;
use super::id_map::IdMap;
use super::place::{
    LockKind, entries, lock, make_fs, make_private, move_tree, read_document, remove, try_lock, write_document,
};

/// How many layers are kept, the latest used.
const KEPT: usize = 8;

/// What a layer stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Tells this layer from an earlier one with the same key.
    pub(super) made: String,
    /// The base image.
    pub(super) base: String,
    /// Whether it is a whole copy rather than an overlay's upper part.
    pub(super) whole: bool,
}

/// The kept layers of certain ids.
pub(super) struct Layers {
    folder: PathBuf,
}

impl Layers {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns the tree of a layer.
    pub(super) fn tree(&self, key: &str) -> PathBuf {
        self.folder.join(key).join("fs/tree")
    }

    /// Returns a layer's record if the layer is kept and whole, and notes that it was used.
    pub(super) fn find(&self, key: &str) -> Result<Option<Record>> {
        if !is_key(key) || !self.tree(key).is_dir() {
            return Ok(None);
        }
        let path = self.folder.join(key).join("record.yml");
        let Some(record) = read_document(&path).unwrap_or(None) else { return Ok(None) };
        let touched = File::options().write(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        touched.with_context(|| format!("note the use of {}", path.display()))?;
        Ok(Some(record))
    }

    /// Holds a layer so that nobody removes it; `None` if it is not there any more.
    pub(super) fn hold(&self, key: &str, made: &str) -> Result<Option<Flock<File>>> {
        if !self.folder.join(key).is_dir() {
            return Ok(None);
        }
        let held = try_lock(&self.folder.join(key).join("lock"), LockKind::Shared)?;
        let same = self.find(key)?.is_some_and(|record| record.made == made);
        Ok(held.filter(|_| same))
    }

    /// Takes a tree out of a target's folder as this layer, in place of an earlier one.
    pub(super) fn keep(&self, key: &str, from: (&Path, &str), record: &Record, map: &IdMap) -> Result<()> {
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
        let place = self.folder.join(key);
        if place.exists() {
            let old = self.folder.join(format!(".old-{}", record.made));
            fs::rename(&place, &old).with_context(|| format!("put aside {}", place.display()))?;
        }
        fs::rename(&staging, &place).with_context(|| format!("make {}", place.display()))?;
        drop(staging_lock);
        self.prune(&ids)?;
        drop(guard);
        Ok(())
    }

    /// Removes all but the latest used layers, and those that were put aside, as far as nobody holds them.
    fn prune(&self, ids: &Enclosure) -> Result<()> {
        let mut layers = Vec::new();
        for name in entries(&self.folder)? {
            let folder = self.folder.join(&name);
            if name.to_string_lossy().starts_with(".old-") {
                remove_unless_held(&folder, ids)?;
            } else if let Ok(used) = folder.join("record.yml").metadata().and_then(|found| found.modified()) {
                layers.push((used, folder));
            }
        }
        layers.sort();
        for (_, folder) in layers.iter().rev().skip(KEPT) {
            remove_unless_held(folder, ids)?;
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
