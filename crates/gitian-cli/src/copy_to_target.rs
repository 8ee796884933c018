//! copy-to-target: a file or folder of the host → the running target.

use std::fs;
use std::io::Write;

use anyhow::{Context, Result};

use crate::args::copy_to_target::Args;
use crate::surroundings::Surroundings;
use crate::target;

/// Runs copy-to-target. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    let target = target::running(around)?;
    let user = target::user(&*target, args.user.as_deref())?;
    let source = around.workdir.join(&args.file);
    let object = || format!("copy {} to {} of the target", args.file.display(), args.folder);
    // Else the guest tells of it, in many words.
    fs::symlink_metadata(&source).with_context(object)?;
    gitian_vm::copy_in(&*target, user, &source, &args.folder).with_context(object)?;
    Ok(0)
}
