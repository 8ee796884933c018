//! Why a program gave no usable answer.

use std::io;
use std::time::Duration;

use crate::Status;

/// Returns the last lines that hold anything, at most `count`.
pub fn last_lines(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Why a program could not be started, did not end, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The program does not exist in PATH or at the given path.
    #[error("program {program} is not installed")]
    ProgramNotFound {
        /// As it was called.
        program: String,
    },
    /// The program exists but could not be started.
    #[error("{command_line}: could not be started: {cause}")]
    NotStarted {
        /// The line that could be pasted into a shell.
        command_line: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The program ran and ended with a status other than 0.
    #[error("{command_line}: {status}")]
    ProgramFailed {
        /// The line that could be pasted into a shell.
        command_line: String,
        /// How it ended.
        status: Status,
        /// The last lines that it wrote to standard error, at most ten.
        last_lines: Vec<String>,
    },
    /// The program was still running after the time that it was given, and was ended.
    #[error("{command_line}: gave no answer within {} s", limit.as_secs())]
    TimedOut {
        /// The line that could be pasted into a shell.
        command_line: String,
        /// The time that it was given.
        limit: Duration,
    },
    /// The user or the system asked us to stop (ctrl-c, SIGTERM, SIGHUP); the program was ended.
    #[error("interrupted")]
    Interrupted,
    /// Reading from or writing to the program failed on our side (a full disk, a refused archive).
    #[error("{command_line}: {cause}")]
    Stream {
        /// The line that could be pasted into a shell.
        command_line: String,
        /// What went wrong with the stream.
        cause: io::Error,
    },
}
