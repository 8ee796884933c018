//! From a folder to its manifest: which files count, which are refused and why. Nothing outside the folder is opened.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use rayon::prelude::*;
use walkdir::WalkDir;

use crate::{Digest, Entry, Manifest};

/// Is told after each piece how many bytes were read; an error ends the reading of that file.
pub type OnBytes<'a> = dyn Fn(u64) -> io::Result<()> + Sync + 'a;

/// What was found below a folder. While anything is refused, the manifest is incomplete: not one to be signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The files, sorted by the bytes of their paths.
    pub manifest: Manifest,
    /// What cannot be part of a manifest, sorted likewise.
    pub refused: Vec<Refused>,
}

/// Something below a folder that cannot be part of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The path below the folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl Scan {
    /// Hashes every file below a folder, hidden ones too, on all processors.
    ///
    /// A link to a file below the folder counts as a file, a link to a folder below it is passed over, as in the
    /// original. A link that leaves the folder is refused, even if it comes back.
    ///
    /// Source: gitian-builder 11f91fb, bin/gbuild, `Dir.glob`, `sanitize_path`.
    pub fn of_folder(root: &Path, on_bytes: &OnBytes<'_>) -> Result<Self> {
        let folder = File::open(root).with_context(|| root.display().to_string())?;
        let mut paths = Vec::new();
        let mut scan = Self::default();
        for entry in WalkDir::new(root).min_depth(1) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => paths.push(below(root, entry.path())),
                Err(error) => {
                    let path = error.path().map_or_else(PathBuf::new, |path| below(root, path));
                    let cause = error.io_error().map_or_else(|| error.to_string(), io::Error::to_string);
                    scan.refused.push(Refused { path, reason: format!("cannot be read: {cause}") });
                }
            }
        }
        // Not the order of `Path`, which is by component: `a.b` is before `a/b`, `a/b` before `a0`.
        paths.sort_unstable_by(|a, b| bytes(a).cmp(bytes(b)));
        let found: Vec<_> = paths.into_par_iter().map(|path| (examine(&folder, &path, on_bytes), path)).collect();
        for (result, path) in found {
            match result {
                Ok(Some(entry)) => scan.manifest.entries.push(entry),
                Ok(None) => {}
                Err(reason) => scan.refused.push(Refused { path, reason }),
            }
        }
        scan.refused.sort_unstable_by(|a, b| bytes(&a.path).cmp(bytes(&b.path)));
        Ok(scan)
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

/// Returns the line of a file, nothing for a link to a folder, or why it is refused.
fn examine(folder: &File, path: &Path, on_bytes: &OnBytes<'_>) -> Result<Option<Entry>, String> {
    let name = manifest_name(path.as_os_str())?;
    // First without really opening, which has effects of its own on a device.
    if is_folder(&open_below(folder, path, OFlag::O_PATH)?)? {
        return Ok(None);
    }
    let file = open_below(folder, path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?;
    if is_folder(&file)? {
        return Ok(None);
    }
    let digest = Digest::of_reader_watched(file, on_bytes).map_err(unreadable)?;
    Ok(Some(Entry { digest, path: name.to_owned() }))
}

/// Returns whether this is a folder; a file is none, all else is refused.
fn is_folder(file: &File) -> Result<bool, String> {
    let metadata = file.metadata().map_err(unreadable)?;
    match metadata.is_dir() || metadata.is_file() {
        true => Ok(metadata.is_dir()),
        false => Err("is neither a file nor a folder".to_owned()),
    }
}

fn unreadable(error: io::Error) -> String {
    format!("cannot be read: {error}")
}

/// Returns a path as a manifest has it.
///
/// Source: gitian-builder 11f91fb, bin/gbuild, `sanitize_path`; there, a leading `-` is an option of `sha256sum`.
fn manifest_name(path: &OsStr) -> Result<&str, String> {
    let name = path.to_str().ok_or("has a name that is not UTF-8")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@/.:+-".contains(c);
    match name.chars().find(|&c| !plain(c)) {
        Some(c) => Err(format!("has '{}' in its name; letters, digits and '_@/.:+-' are allowed", shown(c))),
        None if name.starts_with('-') => Err("has a name that starts with '-'".to_owned()),
        None => Ok(name),
    }
}

/// Returns a character as a reader can recognise it.
fn shown(c: char) -> String {
    if c.is_control() || c.is_whitespace() && c != ' ' { c.escape_default().to_string() } else { c.to_string() }
}

/// Opens what is at a path, through links only while they stay below the folder: the kernel sees to it, so that nothing
/// can be exchanged between a check and the opening.
fn open_below(folder: &File, path: &Path, flags: OFlag) -> Result<File, String> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(folder, path, how).map(File::from).map_err(|error| match error {
        Errno::EXDEV => "is a link that leaves the folder".to_owned(),
        Errno::ELOOP => "is a link to itself".to_owned(),
        Errno::ENOENT | Errno::ENOTDIR => "is a link to nothing".to_owned(),
        Errno::ENOSYS => "cannot be opened safely: linux 5.6 or newer is needed".to_owned(),
        error => unreadable(error.into()),
    })
}
