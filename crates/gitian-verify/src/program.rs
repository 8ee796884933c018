//! Checks signatures by another program (`-p PROG`): its exit status decides.

use std::ffi::OsString;
use std::path::Path;

use gitian_process::{Command, Failure, Output, Status, Streams};

/// A program that checks signatures, `PROG [--quiet] --batch --verify SIGNATURE ASSERT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program and its first arguments.
    pub words: Vec<String>,
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

/// A text that names no program.
#[derive(Debug, thiserror::Error)]
pub enum NoProgram {
    /// There is no word in it.
    #[error("names no program")]
    Empty,
    /// A quote is not closed.
    #[error("has a quote that is not closed")]
    Quote,
}

impl Program {
    /// Splits a text into words as a shell would, with its quotes and nothing else of a shell.
    pub fn parse(text: &str, quiet: bool) -> Result<Self, NoProgram> {
        let words = shell_words::split(text).map_err(|_| NoProgram::Quote)?;
        if words.is_empty() { Err(NoProgram::Empty) } else { Ok(Self { words, quiet }) }
    }

    /// Asks the program about one signature. Whatever it answers is an answer; an error means that it could not be
    /// asked.
    pub(crate) fn check(&self, signature: &Path, document: &Path) -> Result<Answer, Failure> {
        let (program, first) = self.words.split_first().map_or(("", &[][..]), |(program, first)| (program, first));
        let quiet = self.quiet.then_some("--quiet");
        let command = Command::new(program).args(first).args(quiet).args(["--batch", "--verify"]);
        let command = command.arg(no_option(signature)).arg(no_option(document));
        let outcome = command.run(Streams { stdout: Output::Capture, merged: true, ..Streams::default() })?;
        Ok(Answer { status: outcome.status, output: outcome.stdout })
    }
}

/// Returns a path that cannot be taken for an option.
fn no_option(path: &Path) -> OsString {
    match path.as_os_str().as_encoded_bytes().first() {
        Some(b'-') => Path::new(".").join(path).into_os_string(),
        _ => path.into(),
    }
}
