//! Checks signatures by another program (`-p PROG`): its exit status decides.

use std::path::Path;

use gitian_process::{Command, Failure, Output, Status, Streams};

/// A program that checks signatures, called as `PROG --quiet --batch --verify SIGNATURE ASSERT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(pub Command);

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
        let command = self.0.clone().args(["--quiet", "--batch", "--verify"]).arg(signature).arg(document);
        let outcome = command.run(Streams { stdout: Output::Capture, merged: true, ..Streams::default() })?;
        Ok(Answer { status: outcome.status, output: outcome.stdout })
    }
}
