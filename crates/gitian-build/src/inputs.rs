//! `files:` of a descriptor, present and hashed, and the in manifest.

use std::fs::{self, File};
use std::io::ErrorKind;

use anyhow::{Context, Result};
use gitian_descriptor::{Descriptor, InputName};
use gitian_manifest::Digest;
use gitian_vm::Problem;

use crate::hashed::Hashed;
use crate::remotes::CheckedOut;
use crate::workdir::Workdir;

/// Returns which input files are missing or cannot be read.
///
/// Deviation: the original only warns about a missing file, and fails when it copies it.
pub fn check(descriptor: &Descriptor, workdir: &Workdir) -> Vec<Problem> {
    descriptor.files.iter().filter_map(|name| problem(name, workdir)).collect()
}

fn problem(name: &InputName, workdir: &Workdir) -> Option<Problem> {
    let path = workdir.input(name);
    let shown = workdir.shown(&path).display().to_string();
    let inputs = workdir.inputs();
    let mut mend = format!("mkdir -p {0} && cp /path/to/{name} {0}/", workdir.shown(&inputs).display());
    let what = match fs::metadata(&path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => format!("input file {shown} does not exist"),
        Err(cause) => format!("input file {shown} cannot be read: {cause}"),
        Ok(meta) if !meta.is_file() => {
            mend = format!("mv {shown} {shown}.away && cp /path/to/{name} {}/", workdir.shown(&inputs).display());
            let kind = if meta.is_dir() { "a folder" } else { "a pipe or device" };
            format!("input file {shown} is {kind}, not a regular file")
        }
        Ok(_) => match File::open(&path) {
            Ok(_) => return None,
            Err(cause) => {
                mend = format!("sudo chown $(id -un) {shown} && chmod u+r {shown}");
                format!("input file {shown} cannot be read: {cause}")
            }
        },
    };
    Some(Problem { what, mend })
}

/// Returns the in manifest: the descriptor, the input files, the remotes, in this order.
///
/// Kept: a remote's line has no newline of its own, and several run together; the bytes are signed.
/// Source: gitian-builder 11f91fb, bin/gbuild.
pub fn manifest(
    descriptor: &Descriptor,
    bytes: &[u8],
    workdir: &Workdir,
    remotes: &[CheckedOut],
    hashed: &Hashed,
) -> Result<String> {
    let mut text = format!("{}  {}-desc.yml\n", Digest::of_bytes(bytes), descriptor.name);
    for name in &descriptor.files {
        let path = workdir.input(name);
        let digest = hashed.file(&path).with_context(|| workdir.shown(&path).display().to_string())?;
        text += &format!("{digest}  {name}\n");
    }
    for remote in remotes {
        text += &format!("git:{} {}", remote.commit, remote.dir);
    }
    Ok(text)
}
