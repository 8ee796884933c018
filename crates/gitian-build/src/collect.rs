//! Outputs and caches from the guest to the host; everything that comes is hostile.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
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
/// What is in the way counts as itself: a link of one guest must not lead another's outputs out of the folder.
///
/// Kept: the original merges too, without a word. Source: gitian-builder 11f91fb, bin/gbuild.
pub fn merge_outputs(of: &[(TargetId, PathBuf)], out: &Path) -> Result<Vec<(PathBuf, TargetId)>> {
    let mut lost = Vec::new();
    // Whose file lies where; in the order of paths, what is below a folder follows it.
    let mut from: BTreeMap<PathBuf, &TargetId> = BTreeMap::new();
    fs::create_dir_all(out)?;
    for (id, folder) in of {
        for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name() {
            let entry = entry?;
            let relative = entry.path().strip_prefix(folder)?;
            let place = out.join(relative);
            let is_folder = entry.file_type().is_dir();
            let context = || place.display().to_string();
            match fs::symlink_metadata(&place) {
                Ok(there) if there.is_dir() && is_folder => continue,
                Ok(there) => {
                    let differs = !same(entry.path(), &place).with_context(context)?;
                    while let Some((path, loser)) = first_below(&mut from, relative) {
                        if differs {
                            lost.push((path, loser.clone()));
                        }
                    }
                    let removed = if there.is_dir() { fs::remove_dir_all(&place) } else { fs::remove_file(&place) };
                    removed.with_context(context)?;
                }
                Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                Err(cause) => return Err(cause).with_context(context),
            }
            if is_folder {
                fs::create_dir(&place).with_context(context)?;
                continue;
            }
            if entry.path_is_symlink() {
                symlink(fs::read_link(entry.path())?, &place).with_context(context)?;
            } else {
                fs::copy(entry.path(), &place).with_context(context)?;
            }
            from.insert(relative.to_owned(), id);
        }
    }
    Ok(lost)
}

/// Takes out the first entry that is this path or lies below it.
fn first_below<T>(from: &mut BTreeMap<PathBuf, T>, path: &Path) -> Option<(PathBuf, T)> {
    let found = from.range(path.to_owned()..).next()?.0.clone();
    if found.starts_with(path) { from.remove_entry(&found) } else { None }
}

/// Whether two files, or two links, are the same; folders are not.
fn same(a: &Path, b: &Path) -> Result<bool> {
    let (of_a, of_b) = (fs::symlink_metadata(a)?, fs::symlink_metadata(b)?);
    if of_a.file_type() != of_b.file_type() || of_a.len() != of_b.len() || of_a.is_dir() {
        return Ok(false);
    }
    if of_a.is_symlink() {
        return Ok(fs::read_link(a)? == fs::read_link(b)?);
    }
    Ok(gitian_manifest::Digest::of_file(a)? == gitian_manifest::Digest::of_file(b)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gitian_descriptor::Architecture;

    /// What one configuration leaves: `path/` a folder, `path -> target` a link, else `path=content`.
    fn outputs(root: &Path, suite: &str, entries: &[&str]) -> (TargetId, PathBuf) {
        let id = TargetId {
            distro: "debian".parse().unwrap(),
            suite: suite.parse().unwrap(),
            architecture: Architecture::Amd64,
        };
        let folder = root.join(suite);
        fs::create_dir_all(&folder).unwrap();
        for entry in entries {
            if let Some((path, target)) = entry.split_once(" -> ") {
                symlink(target, folder.join(path)).unwrap();
            } else if let Some((path, content)) = entry.split_once('=') {
                fs::write(folder.join(path), content).unwrap();
            } else {
                fs::create_dir_all(folder.join(entry)).unwrap();
            }
        }
        (id, folder)
    }

    fn listed(folder: &Path) -> Vec<String> {
        WalkDir::new(folder)
            .min_depth(1)
            .sort_by_file_name()
            .into_iter()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().strip_prefix(folder).unwrap().display().to_string();
                match entry.file_type() {
                    kind if kind.is_dir() => path + "/",
                    kind if kind.is_symlink() => {
                        format!("{path} -> {}", fs::read_link(entry.path()).unwrap().display())
                    }
                    _ => format!("{path}={}", fs::read_to_string(entry.path()).unwrap()),
                }
            })
            .collect()
    }

    #[test]
    fn the_later_configuration_wins_and_no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let host = root.path().join("host");
        fs::create_dir(&host).unwrap();
        fs::write(host.join("kept"), "host").unwrap();
        fs::write(host.join("file"), "host").unwrap();
        let link = |name: &str, to: &Path| format!("{name} -> {}", to.display());
        for (first, second, merged, lost) in [
            (vec!["a=1", "b=1"], vec!["a=1", "b=2", "c=2"], vec!["a=1", "b=2", "c=2"], vec!["b"]),
            (
                vec![&*link("d", &host), "e=1"],
                vec!["d/", "d/kept=2", "d/new=2"],
                vec!["d/", "d/kept=2", "d/new=2", "e=1"],
                vec!["d"],
            ),
            (vec![&*link("f", &host.join("file"))], vec!["f=2"], vec!["f=2"], vec!["f"]),
            (vec!["g=1"], vec!["g/", "g/x=2"], vec!["g/", "g/x=2"], vec!["g"]),
            (
                vec!["h/", "h/deep/", "h/deep/x=1", "h/y=1", "h-=1"],
                vec!["h=2"],
                vec!["h=2", "h-=1"],
                vec!["h/deep/x", "h/y"],
            ),
            (vec!["i/", "i/x=1"], vec![&*link("i", &host)], vec![&*link("i", &host)], vec!["i/x"]),
            (vec![&*link("j", &host)], vec![&*link("j", &host)], vec![&*link("j", &host)], vec![]),
            (vec!["k/", "k/x=1"], vec!["k/", "k/y=2"], vec!["k/", "k/x=1", "k/y=2"], vec![]),
        ] {
            let here = tempfile::tempdir_in(root.path()).unwrap();
            let of = [outputs(here.path(), "bookworm", &first), outputs(here.path(), "trixie", &second)];
            let out = here.path().join("out");
            let told = merge_outputs(&of, &out).unwrap();
            assert_eq!(listed(&out), merged, "{first:?} {second:?}");
            let told: Vec<_> = told.iter().map(|(path, of)| (path.to_str().unwrap(), of.suite.as_str())).collect();
            let lost: Vec<_> = lost.into_iter().map(|path| (path, "bookworm")).collect();
            assert_eq!(told, lost, "{first:?} {second:?}");
            assert_eq!(listed(&host), ["file=host", "kept=host"], "{first:?} {second:?}");
        }
    }
}
