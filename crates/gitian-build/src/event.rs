//! What a build reports while it runs; the words for it are the program's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use gitian_manifest::Digest;
use gitian_vm::TargetId;

/// One step of a build of one configuration, or of the run as a whole, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A target that still runs is stopped.
    StopTarget,
    /// A clean target is made.
    MakeClean,
    /// The target is started.
    StartTarget,
    /// The target is asked for a sign of life.
    CheckTarget,
    /// Folders are emptied, sudo is allowed, inputs are copied in.
    Prepare,
    /// The packages that an earlier build installed are used, since the repositories have nothing newer.
    UseLayer,
    /// `multiarch`.
    AddArchitectures,
    /// `repositories`.
    AddRepositories,
    /// `apt-get update`.
    UpdatePackageLists,
    /// `packages`.
    InstallPackages,
    /// The packages of one of `repositories`.
    InstallFrom(String),
    /// `alternatives`.
    SetAlternatives,
    /// `apt-get dist-upgrade`.
    Upgrade,
    /// The package manifest is recorded.
    RecordPackages,
    /// The build script is written.
    WriteScript,
    /// The build script runs.
    RunScript,
    /// The outputs are copied out.
    CopyOut,
    /// The caches are copied out.
    CopyCache,
    /// The target is stopped.
    CleanUp,
    /// Outputs are hashed, the report is written.
    Report,
}

/// Something that happened in a build.
#[derive(Clone, Debug)]
pub enum Event {
    /// A configuration begins.
    Building(TargetId),
    /// A step begins; what it says goes to this log, if to any.
    Step(Step, Option<PathBuf>),
    /// A program had a line for the user.
    Said(String),
    /// Something that the user should know but that does not stop the build.
    Warning(String),
    /// Files are hashed from now on; here is counted how many bytes were read.
    Hashing(Arc<AtomicU64>),
    /// A line of the out manifest.
    Output(String),
    /// The report was written.
    Reported {
        /// Its file name.
        file: String,
        /// Its digest.
        digest: Digest,
    },
}
