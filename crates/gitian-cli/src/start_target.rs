//! start-target: the target that is there → a running one.

use std::io::Write;

use anyhow::Result;
use gitian_build::Workdir;
use gitian_vm::Resources;

use crate::args::WrongUsage;
use crate::args::start_target::Args;
use crate::printable::printable;
use crate::printed::tell;
use crate::surroundings::Surroundings;
use crate::target;

/// A target runs already.
#[derive(Debug, thiserror::Error)]
#[error("a target runs already in {folder}")]
pub struct RunsAlready {
    /// The working directory.
    pub folder: String,
}

/// Runs start-target: starts the target, which lives on, and returns at once with the exit code.
pub fn run(args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    let (suite, architecture) = args.target;
    if args.bits != architecture.bits() {
        let message = format!("{architecture} is {}-bit, not {}-bit", architecture.bits(), args.bits);
        return Err(WrongUsage(message).into());
    }
    // What gbuild hands down. Source: gitian-builder 11f91fb, bin/gbuild and libexec/start-target.
    let resources = Resources {
        processors: number("NPROCS", around.settings.processors.as_deref(), 2)?,
        memory_mib: number("VMEM", around.settings.memory_mib.as_deref(), 2000)?,
    };
    let backend = target::backend(around, &suite, architecture)?;
    let id = target::named(around, &*backend, suite, architecture)?;
    let _lock = Workdir::new(&around.workdir).lock()?;
    if backend.attach()?.is_some() {
        return Err(RunsAlready { folder: around.workdir.display().to_string() }.into());
    }
    let target = backend.start(&id, resources)?;
    if let Some(notice) = target.notice() {
        tell(&format!("start-target: warning: {}", printable(&notice)));
    }
    target.detach()?;
    Ok(0)
}

fn number(name: &str, text: Option<&str>, default: u32) -> Result<u32, WrongUsage> {
    match text.map(str::parse) {
        None => Ok(default),
        Some(Ok(number @ 1..)) => Ok(number),
        Some(_) => Err(WrongUsage(format!("{name} is not a number above 0"))),
    }
}
