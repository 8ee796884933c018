//! Checks signatures by another program (`-p PROG`): its exit status decides.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use gitian_process::{Command, Failure, Output, Status, Streams};

/// A program that checks signatures, called as `PROG --quiet --batch --verify SIGNATURE ASSERT`, one at a time as the
/// original does: it may lock its keyring (two of gpg sometimes complain about each other's lock), or want a touch.
#[derive(Debug)]
pub struct Program {
    command: Command,
    turn: Mutex<()>,
}

/// What a program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it ended; success means a good signature.
    pub status: Status,
    /// What it wrote to standard output and error.
    pub output: Vec<u8>,
}

impl Program {
    /// Returns the program that a command begins.
    pub fn new(command: Command) -> Self {
        Self { command, turn: Mutex::new(()) }
    }

    /// Asks the program about one signature. Whatever it answers is an answer; an error means that it could not be
    /// asked.
    pub(crate) fn check(&self, signature: &Path, document: &Path) -> Result<Answer, Failure> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let command = self.command.clone().args(["--quiet", "--batch", "--verify"]).arg(signature).arg(document);
        let outcome = command.run(Streams { stdout: Output::Capture, merged: true, ..Streams::default() })?;
        Ok(Answer { status: outcome.status, output: outcome.stdout })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)
    }
}
