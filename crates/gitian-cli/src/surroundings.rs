//! What a program finds around it: environment, working directory, terminal.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use gitian_process::{interrupt, trace};
use gitian_vm::Settings;

use crate::calls::Calls;
use crate::failure::{self, tell};
use crate::printable::printable;
use crate::printed::Printed;

/// What a program finds around it; tests make their own.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The environment, as far as we look at it.
    pub settings: Settings,
    /// The working directory.
    pub workdir: PathBuf,
    /// Standard error is a terminal: a live line may be drawn there.
    pub live: bool,
    /// How hints call our programs.
    pub calls: Calls,
}

impl Surroundings {
    /// Reads them from this process.
    pub fn of_process() -> Result<Self> {
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let workdir = std::env::current_dir().context("the working directory")?;
        let mut settings = Settings::from_env(&env);
        // Between the lines of GITIAN_DEBUG it would only be in the way.
        let live = io::stderr().is_terminal() && env.get("TERM").is_none_or(|term| term != "dumb") && !settings.debug;
        // Without it, a hint may name a path less well.
        let running = std::env::current_exe().ok();
        if let Some(prefix) = running.as_deref().and_then(prefix).filter(|_| !env.contains_key("GITIAN_BASE")) {
            settings.etc = etc(prefix);
        }
        let path = env.get("PATH").map_or("", String::as_str);
        let calls = Calls::new(path, &workdir, &settings.installation, running.as_deref());
        let calls = calls.seen_as(settings.folder.take());
        Ok(Self { settings, workdir, live, calls })
    }
}

/// Returns the prefix that a program is installed below, in `lib/gitian`, if it is.
pub(crate) fn prefix(program: &Path) -> Option<&Path> {
    let folder = program.parent()?;
    if folder.ends_with("lib/gitian") { folder.ancestors().nth(2) } else { None }
}

/// Returns where the settings of an installation are; those of `/usr` are in `/etc`, which a new version leaves alone.
fn etc(prefix: &Path) -> PathBuf {
    let below = if prefix == Path::new("/usr") { Path::new("/") } else { prefix };
    below.join("etc/gitian")
}

/// Runs a program: reads its command line, calls `run`, reports an error, returns the exit code.
pub fn main<A: Parser>(program: &str, run: impl FnOnce(A, &Surroundings, &mut dyn Write) -> Result<u8>) -> ExitCode {
    main_with(2, program, run)
}

/// The same for a program whose wrong usage has an exit code of its own.
pub fn main_with<A: Parser>(
    wrong_usage: u8,
    program: &str,
    run: impl FnOnce(A, &Surroundings, &mut dyn Write) -> Result<u8>,
) -> ExitCode {
    let args = match A::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to standard output with code 0, everything else to standard error.
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { wrong_usage } else { 0 });
        }
    };
    let mut debug = false;
    let mut calls = Calls::default();
    let result = Surroundings::of_process().and_then(|around| {
        debug = around.settings.debug;
        calls = around.calls.clone();
        if debug {
            trace::listen(|command| tell(&format!("runs: {}", printable(&command.to_string()))));
        }
        interrupt::listen().context("signals")?;
        if let Some(parent) = around.settings.parent {
            interrupt::end_with(parent).context("signals")?;
        }
        run(args, &around, &mut Printed(io::stdout()))
    });
    ExitCode::from(result.unwrap_or_else(|error| failure::report(program, &error, &calls, debug, &mut io::stderr())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_prefix_are_below_it_and_those_of_a_system_in_etc() {
        for (prefix, expected) in
            [("/usr", "/etc/gitian"), ("/usr/local", "/usr/local/etc/gitian"), ("/opt/usr", "/opt/usr/etc/gitian")]
        {
            assert_eq!(etc(Path::new(prefix)), Path::new(expected));
        }
    }
}
