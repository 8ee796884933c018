//! A started guest of one configuration, and the commands that are run in it.

use std::time::{Duration, Instant};

use anyhow::Result;
use gitian_process::{Input, Output, Status, Streams, interrupt};
use gitian_vm::{GuestCommand, GuestFull, GuestGone, GuestUser, Target, TargetId};

use crate::failure::{GuestSilent, ScriptFailed};
use crate::log::Log;

/// How long a started guest may take to answer. Source: gitian-builder 11f91fb, bin/gbuild.
const PATIENCE: Duration = Duration::from_secs(60);
/// The wait between two questions.
const PAUSE: Duration = Duration::from_millis(250);
/// What a guest may answer at most, in bytes: a manifest of every package that Debian has is a quarter of it.
pub const ANSWER_LIMIT: u64 = 32 << 20;

/// A started guest.
pub struct Guest {
    /// Which configuration.
    pub id: TargetId,
    /// The machine.
    pub target: Box<dyn Target>,
}

impl Guest {
    /// Waits until the guest answers.
    ///
    /// # Errors
    /// [`GuestSilent`] when it does not within a minute.
    pub fn await_answer(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            interrupt::check()?;
            let last = match self.target.run(&GuestCommand::new(GuestUser::Builder, ["true"]), Streams::default()) {
                Ok(Status::Exited(0)) => return Ok(()),
                Ok(status) => format!("`true` {status}"),
                // It will not come back.
                Err(cause) if cause.is::<GuestGone>() => return Err(cause),
                Err(cause) => format!("{cause:#}"),
            };
            if began.elapsed() > PATIENCE {
                return Err(GuestSilent { target: self.id.clone(), seconds: PATIENCE.as_secs(), last }.into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Runs a command and returns what it wrote to standard output.
    pub fn read(&self, command: &GuestCommand) -> Result<(Status, String)> {
        gitian_vm::read(&*self.target, command, ANSWER_LIMIT)
    }

    /// Runs a command that has to succeed; what it says goes to the log.
    pub fn run_ok(&self, command: &GuestCommand, input: Input<'_>, log: &Log) -> Result<()> {
        log.mark()?;
        let status = self.target.run(command, Streams::to_log(log.file()?).with_input(input))?;
        let argv: Vec<_> = command.argv.iter().map(|word| word.to_string_lossy()).collect();
        self.must_succeed(status, &argv.join(" "), log)
    }

    /// Writes a file of the guest, as root.
    pub fn write(&self, path: &str, text: &str, log: &Log) -> Result<()> {
        let tee = GuestCommand::new(GuestUser::Root, ["tee", path]);
        let streams = Streams { stdout: Output::Discard, ..Streams::default() };
        let status = self.target.run(&tee, streams.with_input(Input::Bytes(text.as_bytes())))?;
        self.must_succeed(status, &format!("tee {path}"), log)
    }

    /// Turns a status other than 0 into an error with the last lines of the log.
    pub fn must_succeed(&self, status: Status, what: &str, log: &Log) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        // A guest that was stopped because we were asked to stop has nothing to explain.
        interrupt::check()?;
        let last_lines = log.last_lines(10)?;
        let failed = ScriptFailed {
            what: what.to_owned(),
            target: self.id.clone(),
            status,
            last_lines: last_lines.clone(),
            log: log.shown().to_owned(),
        };
        Err(GuestFull::told(&*self.target, &last_lines, failed.into()))
    }
}
