//! Every program: its name, its command line, what runs it.
//!
//! An installation has one file for all of them, which knows by the name that it is called by what it is to be. Manual pages
//! and completions are made from this list too.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use gitian_process::{interrupt, trace};

use crate::calls::Calls;
use crate::printable::printable;
use crate::printed::{Printed, tell};
use crate::surroundings::Surroundings;
use crate::{
    args, canon_zip, carried, config_bootstrap_fixup, config_lxc, copy_from_target, copy_to_target, failure, gbuild,
    gitian, gsign, gverify,
};
use crate::{make_base_vm, make_clean_vm, on_target, start_target, stop_target, updater};

/// A program of `bin/` or `libexec/`.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// What it is called.
    pub name: &'static str,
    /// Its options and arguments.
    pub command: fn() -> clap::Command,
    /// Reads the command line of this process and does what it says.
    pub main: fn() -> ExitCode,
}

/// All programs; `gitian` is first.
pub const PROGRAMS: [Program; 15] = [
    Program {
        name: "gitian",
        command: args::gitian::Args::command,
        main: || main_with(wrong_usage(), "gitian", gitian::run),
    },
    Program { name: "gbuild", command: args::gbuild::Args::command, main: || main("gbuild", gbuild::run) },
    Program {
        name: "gitian-updater",
        command: args::updater::Args::command,
        // 2 means that there is nothing to download.
        main: || main_with(1, "gitian-updater", updater::run),
    },
    Program { name: "canon-zip", command: args::canon_zip::Args::command, main: || main("canon-zip", canon_zip::run) },
    Program { name: "gsign", command: args::gsign::Args::command, main: || main("gsign", gsign::run) },
    Program { name: "gverify", command: args::gverify::Args::command, main: || main("gverify", gverify::run) },
    Program {
        name: "make-base-vm",
        command: args::make_base_vm::Args::command,
        main: || main("make-base-vm", make_base_vm::run),
    },
    Program {
        name: "config-bootstrap-fixup",
        command: args::config_bootstrap_fixup::Args::command,
        main: || main("config-bootstrap-fixup", config_bootstrap_fixup::run),
    },
    Program {
        name: "config-lxc",
        command: args::config_lxc::Args::command,
        main: || main("config-lxc", config_lxc::run),
    },
    Program {
        name: "copy-from-target",
        command: args::copy_from_target::Args::command,
        main: || main("copy-from-target", copy_from_target::run),
    },
    Program {
        name: "copy-to-target",
        command: args::copy_to_target::Args::command,
        main: || main("copy-to-target", copy_to_target::run),
    },
    Program {
        name: "make-clean-vm",
        command: args::make_clean_vm::Args::command,
        main: || main("make-clean-vm", make_clean_vm::run),
    },
    Program { name: "on-target", command: args::on_target::Args::command, main: || main("on-target", on_target::run) },
    Program {
        name: "start-target",
        command: args::start_target::Args::command,
        main: || main("start-target", start_target::run),
    },
    Program {
        name: "stop-target",
        command: args::stop_target::Args::command,
        main: || main("stop-target", stop_target::run),
    },
];

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

/// Returns what a command line of `gitian` that is not understood ends with: what the program that it names would.
fn wrong_usage() -> u8 {
    if std::env::args_os().nth(1).is_some_and(|program| program == "updater") { 1 } else { 2 }
}

/// Returns the program that this file is called as: `gitian` under any name but those of the others. One that carries an
/// updater's config is an updater, whatever its name.
pub fn called(as_what: Option<&OsStr>) -> Program {
    let carries = std::env::current_exe().is_ok_and(|file| carried::read(&file).is_ok_and(|config| config.is_some()));
    named(if carries { Some(OsStr::new("gitian-updater")) } else { as_what })
}

fn named(as_what: Option<&OsStr>) -> Program {
    let name = as_what.map(Path::new).and_then(Path::file_name);
    PROGRAMS.into_iter().find(|program| Some(OsStr::new(program.name)) == name).unwrap_or(PROGRAMS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_the_name_that_it_is_called_by() {
        for (called_as, expected) in [
            (Some("/usr/bin/gbuild"), "gbuild"),
            (Some("on-target"), "on-target"),
            (Some("./gitian"), "gitian"),
            (Some("gitian-0.1"), "gitian"),
            (Some("gbuilder"), "gitian"),
            (Some(""), "gitian"),
            (None, "gitian"),
        ] {
            assert_eq!(named(called_as.map(OsStr::new)).name, expected, "{called_as:?}");
        }
    }

    #[test]
    fn a_program_calls_itself_as_it_is_listed() {
        for program in PROGRAMS {
            assert_eq!((program.command)().get_name(), program.name);
        }
    }
}
