//! stop-target: running targets → none.

use std::io::Write;

use anyhow::Result;

use crate::args::stop_target::Args;
use crate::surroundings::Surroundings;

/// Runs stop-target. Returns the exit code.
///
/// Kept: that no target runs is no error. Source: gitian-builder 11f91fb, bin/gbuild, which calls it first of all.
pub fn run(_args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    gitian_vm::stop(&around.settings, &around.workdir)?;
    Ok(0)
}
