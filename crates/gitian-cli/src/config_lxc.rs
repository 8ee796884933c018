//! config-lxc: the target of LXC that is there → `var/lxc.config`.

use std::io::Write;

use anyhow::Result;
use gitian_build::Workdir;
use gitian_vm::Lxc;

use crate::args::config_lxc::Args;
use crate::surroundings::Surroundings;

/// Runs config-lxc. Returns the exit code.
pub fn run(_args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    let _lock = Workdir::new(&around.workdir).lock()?;
    Lxc::new(&around.settings, &around.workdir).write_config()?;
    Ok(0)
}
