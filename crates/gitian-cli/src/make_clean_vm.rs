//! make-clean-vm: suite and architecture → a pristine, stopped target.

use std::io::Write;

use anyhow::Result;
use gitian_build::Workdir;

use crate::args::make_clean_vm::Args;
use crate::surroundings::Surroundings;
use crate::target;

/// Runs make-clean-vm. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    let backend = target::backend(around, &args.suite, args.arch)?;
    let id = target::named(around, &*backend, args.suite, args.arch)?;
    let _lock = Workdir::new(&around.workdir).lock()?;
    backend.make_clean(&id, None)?;
    Ok(0)
}
