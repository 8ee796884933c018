//! Why a build stopped, for causes that someone acts on.

use std::fmt;
use std::path::PathBuf;

use gitian_process::Status;
use gitian_vm::{Problem, TargetId};

/// Everything that would stop the build, found before anything was touched.
#[derive(Debug)]
pub struct BuildStopped {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for BuildStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

impl std::error::Error for BuildStopped {}

/// git could not bring a remote to its commit.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct GitRefused {
    /// Which remote and commit, and what to do.
    pub problem: Problem,
    /// What git said last.
    pub last_lines: Vec<String>,
}

/// A script in the guest (the descriptor's, or one of the steps before it) ended badly.
#[derive(Debug, thiserror::Error)]
#[error("{what} of {target} {status}")]
pub struct ScriptFailed {
    /// What ran: `build script`, `apt-get update`.
    pub what: String,
    /// In which guest.
    pub target: TargetId,
    /// How it ended.
    pub status: Status,
    /// The last lines of its log.
    pub last_lines: Vec<String>,
    /// The whole log, relative to the working directory.
    pub log: PathBuf,
}

/// Outputs that cannot be recorded: the build is kept, the report is not written.
#[derive(Debug, thiserror::Error)]
#[error("build/out: {} of the outputs cannot be recorded", refused.len())]
pub struct OutputsRefused {
    /// Path below the outputs, and why.
    pub refused: Vec<(String, String)>,
}

/// The script left no folder of outputs that could be copied.
#[derive(Debug, thiserror::Error)]
#[error("{target}: the script left no folder $OUTDIR")]
pub struct NoOutputs {
    /// In which guest.
    pub target: TargetId,
}

/// A started guest that gives no answer.
#[derive(Debug, thiserror::Error)]
#[error("{target}: the target gave no answer within {seconds} s: {last}")]
pub struct GuestSilent {
    /// Which guest.
    pub target: TargetId,
    /// How long it was asked.
    pub seconds: u64,
    /// What the last question met with.
    pub last: String,
}

/// Installed packages whose digest nobody knows: neither the repositories' index nor an earlier download.
#[derive(Debug, thiserror::Error)]
#[error("{target}: no digest is known for installed {}", files.join(", "))]
pub struct PackagesUnknown {
    /// In which guest.
    pub target: TargetId,
    /// The packages' file names.
    pub files: Vec<String>,
}
