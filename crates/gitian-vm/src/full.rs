//! A disk without room, met with in a guest: how it is recognised in what programs say, and what is told about it.

use crate::Target;

/// A command in a guest failed, and its last words tell of a full disk. A context of the error that says which command.
#[derive(Debug, thiserror::Error)]
#[error("no space is left in the guest")]
pub struct GuestFull {
    /// What makes room, where the disk is not the working directory's.
    pub room: Option<String>,
}

impl GuestFull {
    /// Adds that a guest's disk is full to an error, where the last words of what failed in the guest say so.
    pub fn told(target: &dyn Target, last_lines: &[String], error: anyhow::Error) -> anyhow::Error {
        match last_lines.iter().any(|line| says_full(line)) {
            true => error.context(Self { room: target.room() }),
            false => error,
        }
    }
}

/// Whether a program's words tell of a full disk.
pub fn says_full(told: &str) -> bool {
    const WORDS: [&str; 2] = ["No space left on device", "Disk quota exceeded"];
    WORDS.iter().any(|words| told.contains(words))
}
