//! Outputs and caches from the guest to the host; everything that comes is hostile.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_descriptor::PackageName;
use gitian_vm::{GuestCommand, GuestUser, Limits, Target, TargetId, copy_out, merge};
use walkdir::WalkDir;

use crate::failure::NoOutputs;
use crate::guest::Guest;
use crate::workdir::Workdir;

/// What a guest may hand out at most: a terabyte in a million files, far beyond any release.
const LIMITS: Limits = Limits { bytes: 1 << 40, entries: 1_000_000 };

/// Copies the outputs of a guest into a folder of the host, in place of what is there.
pub fn outputs(guest: &Guest, out: &Path) -> Result<()> {
    // A link would be followed, to files of the guest that nobody meant.
    let is_folder = GuestCommand::new(GuestUser::Builder, ["test", "-d", "out", "-a", "!", "-L", "out"]);
    if !guest.read(&is_folder)?.0.success() {
        return Err(NoOutputs { target: guest.id.clone() }.into());
    }
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    }
    copy_out(&*guest.target, GuestUser::Builder, "out", out, LIMITS).context("copy out/ from the guest")
}

/// Copies the caches of a guest over the host's.
///
/// Kept: a file that the script removed from its cache stays in the host's, and in the cache manifest.
/// Source: gitian-builder 11f91fb, bin/gbuild.
pub fn caches(target: &dyn Target, package: &PackageName, workdir: &Workdir) -> Result<()> {
    let folders = [
        (format!("cache/{package}"), workdir.package_cache(package)),
        ("cache/common".to_owned(), workdir.common_cache()),
    ];
    for (guest, host) in folders {
        let scratch = workdir.scratch(&workdir.cache())?;
        let fresh = scratch.path().join("new");
        copy_out(target, GuestUser::Builder, &guest, &fresh, LIMITS)
            .with_context(|| format!("copy {guest}/ from the guest"))?;
        merge(&fresh, &host).with_context(|| workdir.shown(&host).display().to_string())?;
    }
    Ok(())
}

/// Merges the outputs of several configurations into one folder, in order; a later one wins. Returns the paths on which
/// they differ, with the configuration that lost.
///
/// Kept: the original merges too, without a word. Source: gitian-builder 11f91fb, bin/gbuild.
pub fn merge_outputs(of: &[(TargetId, PathBuf)], out: &Path) -> Result<Vec<(PathBuf, TargetId)>> {
    let mut lost = Vec::new();
    let mut from: Vec<(PathBuf, TargetId)> = Vec::new();
    fs::create_dir_all(out)?;
    for (id, folder) in of {
        for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name() {
            let entry = entry?;
            let relative = entry.path().strip_prefix(folder)?.to_owned();
            let place = out.join(&relative);
            if entry.file_type().is_dir() {
                fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
                continue;
            }
            if let Ok(there) = fs::symlink_metadata(&place) {
                if let Some((_, loser)) = from.iter().rev().find(|(path, _)| *path == relative)
                    && !same(entry.path(), &place)?
                {
                    lost.push((relative.clone(), loser.clone()));
                }
                if there.is_dir() { fs::remove_dir_all(&place)? } else { fs::remove_file(&place)? }
            }
            if entry.file_type().is_symlink() {
                std::os::unix::fs::symlink(fs::read_link(entry.path())?, &place)?;
            } else {
                fs::copy(entry.path(), &place).with_context(|| place.display().to_string())?;
            }
            from.push((relative, id.clone()));
        }
    }
    Ok(lost)
}

fn same(a: &Path, b: &Path) -> Result<bool> {
    let (of_a, of_b) = (fs::symlink_metadata(a)?, fs::symlink_metadata(b)?);
    if of_a.file_type() != of_b.file_type() || of_a.len() != of_b.len() {
        return Ok(false);
    }
    if of_a.is_symlink() {
        return Ok(fs::read_link(a)? == fs::read_link(b)?);
    }
    Ok(gitian_manifest::Digest::of_file(a)? == gitian_manifest::Digest::of_file(b)?)
}
