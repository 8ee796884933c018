//! copy-from-target: a file or folder of the running target → the host.

use std::io::Write;

use anyhow::{Context, Result};
use gitian_vm::Limits;

use crate::args::copy_from_target::Args;
use crate::surroundings::Surroundings;
use crate::target;

/// What is copied at most: a terabyte in ten million files.
const LIMITS: Limits = Limits { bytes: 1 << 40, entries: 10_000_000 };

/// The folder to copy into is not there.
#[derive(Debug, thiserror::Error)]
#[error("{path} {}", if *is_file { "is a file, not a folder" } else { "does not exist" })]
pub struct NoFolder {
    /// As it was given.
    pub path: String,
    /// Something else is in its place.
    pub is_file: bool,
}

/// Runs copy-from-target. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    let folder = around.workdir.join(&args.folder);
    if !folder.is_dir() {
        let is_file = std::fs::symlink_metadata(&folder).is_ok();
        return Err(NoFolder { path: args.folder.display().to_string(), is_file }.into());
    }
    let target = target::running(around)?;
    let user = target::user(&*target, args.user.as_deref())?;
    gitian_vm::copy_out_into(&*target, user, &args.path, &folder, LIMITS)
        .with_context(|| format!("copy {} of the target to {}", args.path, args.folder.display()))?;
    Ok(0)
}
