//! Checks signatures by another program (`-p PROG`): its exit status decides.

use std::path::Path;

use gitian_process::{Command, Failure, Output, Status, Streams};

/// A program that checks signatures, `PROG [--quiet] --batch --verify SIGNATURE ASSERT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program and its first arguments.
    pub command: Command,
    /// Whether it is asked to be quiet.
    ///
    /// Source: gitian-builder 11f91fb, bin/gverify, which asks for that unless `-v` is given.
    pub quiet: bool,
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
    /// Asks the program about one signature. Whatever it answers is an answer; an error means that it could not be
    /// asked.
    pub(crate) fn check(&self, signature: &Path, document: &Path) -> Result<Answer, Failure> {
        let quiet = self.quiet.then_some("--quiet");
        let command = self.command.clone().args(quiet).args(["--batch", "--verify"]).arg(signature).arg(document);
        let outcome = command.run(Streams { stdout: Output::Capture, merged: true, ..Streams::default() })?;
        Ok(Answer { status: outcome.status, output: outcome.stdout })
    }
}
