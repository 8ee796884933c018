//! Kept layers: disks with the packages of a descriptor installed, on top of a base image's disk in the cache.
//!
//! `kvm/layers/<key>.yml` in the cache names the newest disk of a key, `<key>-<made>.qcow2`. A disk is whole before it is
//! named, and never changes afterwards. A guest that runs has its disks open, so that removing one takes nothing from it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::document::{read_document, remove_file, write_document};
use crate::lock::lock;
use crate::sandbox::place::make_private;

/// How many layers are kept, the latest used.
const KEPT: usize = 8;
/// How long a disk stays after its last use: a build that has chosen it may not have it open yet.
const SPARED: Duration = Duration::from_secs(600);

/// What `<key>.yml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// Identifies the base image below.
    base: String,
    /// The file's name.
    disk: String,
}

/// The layers in the cache.
pub(super) struct Layers(PathBuf);

impl Layers {
    pub(super) fn new(cache: &Path) -> Self {
        Self(cache.join("kvm/layers"))
    }

    fn record(&self, key: &str) -> PathBuf {
        self.0.join(format!("{key}.yml"))
    }

    /// Returns the disk of a layer that stands on this base image, and notes that it was used.
    pub(super) fn find(&self, key: &str, base: &str) -> Result<Option<PathBuf>> {
        if !is_key(key) {
            return Ok(None);
        }
        let Some(record) = read_document::<Record>(&self.record(key)).unwrap_or(None) else { return Ok(None) };
        let disk = self.0.join(&record.disk);
        if record.base != base || !record.disk.starts_with(key) || record.disk.contains('/') || !disk.is_file() {
            return Ok(None);
        }
        for path in [&self.record(key), &disk] {
            let touched = File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
            touched.with_context(|| format!("note the use of {}", path.display()))?;
        }
        Ok(Some(disk))
    }

    /// Returns a name for a new disk of a key; `None` if there can be none.
    pub(super) fn place(&self, key: &str) -> Result<Option<PathBuf>> {
        if !is_key(key) {
            return Ok(None);
        }
        make_private(&self.0)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Ok(Some(self.0.join(format!("{key}-{now:x}-{}.qcow2", std::process::id()))))
    }

    /// Names a disk that is whole as the newest of its key, and removes what nobody needs any more.
    pub(super) fn keep(&self, key: &str, disk: &Path, base: &str) -> Result<()> {
        let object = || format!("keep {}", disk.display());
        File::open(disk).and_then(|file| file.sync_data()).with_context(object)?;
        let name = disk.file_name().and_then(|name| name.to_str()).with_context(object)?;
        let _lock = lock(&self.0.join("lock"))?;
        write_document(&self.record(key), &Record { base: base.to_owned(), disk: name.to_owned() })?;
        self.prune()
    }

    /// Removes all but the latest used records, and the disks that no record names.
    fn prune(&self) -> Result<()> {
        let object = || format!("read {}", self.0.display());
        let (mut records, mut disks) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.0).with_context(object)? {
            let path = entry.with_context(object)?.path();
            let used = path.metadata().and_then(|found| found.modified()).with_context(object)?;
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("yml") => records.push((used, path)),
                Some("qcow2") => disks.push((used, path)),
                _ => {}
            }
        }
        records.sort();
        for (_, path) in records.iter().rev().skip(KEPT) {
            remove_file(path)?;
        }
        let named: Vec<String> = records
            .iter()
            .rev()
            .take(KEPT)
            .filter_map(|(_, path)| read_document::<Record>(path).ok().flatten())
            .map(|record| record.disk)
            .collect();
        for (used, path) in disks {
            let spared = used.elapsed().is_ok_and(|since| since < SPARED);
            if !spared && !named.iter().any(|name| path.ends_with(name)) {
                remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Whether a key can be part of a file's name.
fn is_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= 128 && key.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(layers: &Layers, key: &str, base: &str) -> PathBuf {
        let disk = layers.place(key).unwrap().unwrap();
        fs::write(&disk, "disk").unwrap();
        layers.keep(key, &disk, base).unwrap();
        disk
    }

    #[test]
    fn the_newest_disk_of_a_key_is_found_on_the_base_that_it_was_made_on() {
        let cache = tempfile::tempdir().unwrap();
        let layers = Layers::new(cache.path());
        assert_eq!(layers.find("k1", "base").unwrap(), None);
        let first = made(&layers, "k1", "base");
        assert_eq!(layers.find("k1", "base").unwrap(), Some(first.clone()));
        let second = made(&layers, "k1", "base");
        assert_eq!(layers.find("k1", "base").unwrap(), Some(second.clone()));
        assert!(first.exists(), "somebody may just have chosen it");
        assert_eq!(layers.find("k1", "another").unwrap(), None);
        assert_eq!(layers.find("k2", "base").unwrap(), None);
        fs::remove_file(second).unwrap();
        assert_eq!(layers.find("k1", "base").unwrap(), None, "its disk has gone");
    }

    #[test]
    fn old_disks_go_when_new_ones_are_kept() {
        let cache = tempfile::tempdir().unwrap();
        let layers = Layers::new(cache.path());
        let long_ago = SystemTime::now() - Duration::from_secs(10_000);
        let old: Vec<PathBuf> = (0..KEPT).map(|number| made(&layers, &format!("old{number}"), "base")).collect();
        let superseded = made(&layers, "old0", "base");
        for entry in fs::read_dir(&layers.0).unwrap().flatten() {
            File::options().append(true).open(entry.path()).unwrap().set_modified(long_ago).unwrap();
        }
        layers.find("old3", "base").unwrap().unwrap();
        made(&layers, "new1", "base");
        assert_eq!(old.iter().filter(|disk| disk.exists()).count(), KEPT - 1, "one is too many");
        assert!(old[3].exists(), "used just now");
        assert!(!old[0].exists() && !superseded.exists(), "no record names them");
    }

    #[test]
    fn a_key_that_is_no_plain_word_has_no_layer() {
        let cache = tempfile::tempdir().unwrap();
        let layers = Layers::new(cache.path());
        for key in ["", ".", "a/b", "..", "a-b"] {
            assert_eq!(layers.find(key, "base").unwrap(), None);
            assert_eq!(layers.place(key).unwrap(), None);
        }
    }
}
