//! stop-target: running targets → none.

use std::io::Write;
use std::iter::once;

use anyhow::Result;

use crate::args::stop_target::Args;
use crate::cross_check::beside;
use crate::surroundings::Surroundings;

/// Runs stop-target. Returns the exit code.
///
/// Kept: that no target runs is no error. Source: gitian-builder 11f91fb, bin/gbuild, which calls it first of all.
pub fn run(_args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    // A cross-check that was killed has left others beside it.
    for folder in once(around.workdir.clone()).chain(beside(&around.workdir)) {
        gitian_vm::stop(&around.settings, &folder)?;
    }
    Ok(0)
}
