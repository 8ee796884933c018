//! Base trees: the pristine system for one suite and architecture, as every kind of guest begins with it.
//!
//! [`Maker`] has mmdebstrap make one, or finds one in the cache that the archives still agree with; a backend turns it
//! into what it starts from: [`tar`](BaseTree::tar) for images, [`unpacked`](BaseTree::unpacked) for overlays. A kind of
//! guest that needs more packages (a kernel) asks for them, and gets a tree of its own.
//!
//! `bases/<digest of the tar>/` in the cache holds `rootfs.tar.zst`, `record.yml` and, below `fs`, trees unpacked for the
//! ids of callers. What lies there never changes.

mod devices;
mod keyring;
mod maker;
mod mirror;
mod mmdebstrap;
mod pointer;
mod record;
mod trouble;

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use gitian_process::{Command, Input, Streams};

use self::devices::WithoutDevices;
pub(crate) use self::maker::Maker;
pub(crate) use self::pointer::Pointers;
use crate::TargetId;
use crate::cache::CachePlace;
use crate::lock::lock;
use crate::sandbox::enclosure::Enclosure;
use crate::sandbox::id_map::IdMap;
use crate::sandbox::place::make_fs;

/// Returns the command that makes a target's base image; `option` chooses the kind of guest and ends with a blank, or is
/// empty.
pub(crate) fn command_for(option: &str, target: &TargetId) -> String {
    let TargetId { distro, suite, architecture } = target;
    format!("bin/make-base-vm {option}--distro {distro} --suite {suite} --arch {}", architecture.debian())
}

/// A base tree in the cache.
#[derive(Clone, Debug)]
pub(crate) struct BaseTree {
    folder: PathBuf,
    digest: String,
}

impl BaseTree {
    /// Returns the tree with this digest if the cache has it.
    pub(crate) fn find(cache: &CachePlace, digest: &str) -> Option<Self> {
        let folder = cache.base(digest);
        folder.join("record.yml").is_file().then(|| Self { folder, digest: digest.to_owned() })
    }

    /// Returns the SHA-256 of the tree's tar, in hex: what it is called by.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    fn archive(&self) -> PathBuf {
        self.folder.join("rootfs.tar.zst")
    }

    /// Reads the tree as a tar: names begin with `./`, owners are numbers, device nodes and extended attributes are in it,
    /// and no time is later than [`SOURCE_DATE_EPOCH`](crate::debian::SOURCE_DATE_EPOCH).
    pub(crate) fn tar(&self) -> Result<impl Read + Send + use<>> {
        let object = || format!("read {}", self.archive().display());
        let file = File::open(self.archive()).with_context(object)?;
        zstd::Decoder::new(file).with_context(object)
    }

    /// Reads the tree as a tar that holds nothing in `./dev/`; one that ends early is an error.
    pub(crate) fn tar_without_devices(&self) -> Result<impl Read + Send + use<>> {
        // What asks for little at a time is given a buffer.
        Ok(BufReader::with_capacity(1 << 16, WithoutDevices::new(self.tar()?)))
    }

    /// Returns the tree unpacked below one folder for these ids, unpacking it if they have none yet.
    pub(crate) fn unpacked(&self, map: &IdMap) -> Result<PathBuf> {
        // A tree's files belong to certain ids, so each range has its own.
        let name = format!("tree-{}-{}", map.first_uid, map.first_gid);
        let tree = self.folder.join("fs").join(&name);
        if !tree.is_dir() {
            let lock = lock(&self.folder.join("lock"))?;
            if !tree.is_dir() {
                self.unpack(&name, map)?;
            }
            drop(lock);
        }
        Ok(tree)
    }

    /// Unpacks the tar into `fs/<name>`.
    fn unpack(&self, name: &str, map: &IdMap) -> Result<()> {
        let object = || format!("unpack {}", self.archive().display());
        let fs = make_fs(&self.folder)?;
        let enclosure = Enclosure::of_ids(map)?;
        // Unpacked under another name: a tree is there as a whole or not at all.
        let half = format!("half-{name}");
        let run = |command: Command, streams| enclosure.run_ok(&command.folder(&fs), streams).with_context(object);
        run(Command::new("rm").args(["-rf", "--", &half]), Streams::default())?;
        run(Command::new("mkdir").args(["-m", "755", "--", &half]), Streams::default())?;
        let mut archive = self.tar()?;
        let feed = move |pipe: &mut dyn Write| std::io::copy(&mut archive, pipe).map(drop);
        let tar = Command::new("tar")
            .args(["-x", "-p", "--numeric-owner", "--same-owner", "--xattrs", "--xattrs-include=*"])
            // Not everybody may make device nodes; a guest gets the host's.
            .args(["--anchored", "--exclude=./dev/*", "-C", &half]);
        run(tar, Streams::default().with_input(Input::Produce(Box::new(feed))))?;
        run(Command::new("mv").args(["-T", "--", &half, name]), Streams::default())?;
        Ok(())
    }
}
