//! Why a run stopped, with the exit code that drivers know.

use std::time::SystemTime;

/// Why a run stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The destination cannot be used.
    #[error("{0}")]
    Destination(String),
    /// Nothing could be downloaded; why, for each place.
    #[error("nothing to download{}", reasons(.0))]
    NothingToDownload(Vec<String>),
    /// What is offered is installed.
    #[error("release {0} is installed, and nothing newer is offered")]
    SameRelease(String),
    /// The package is not the one that is installed or wanted.
    #[error("the package is {found}, and not {wanted}")]
    OtherPackage {
        /// What is installed or wanted.
        wanted: String,
        /// What came.
        found: String,
    },
    /// The release is older than the one that is installed.
    #[error("{what} {found} is older than {installed}, which is installed")]
    Downgrade {
        /// Whose word it is.
        what: String,
        /// What is installed.
        installed: String,
        /// What came.
        found: String,
    },
    /// The package cannot be trusted: too little weight, or not what was signed.
    #[error("the package is not trusted: {0}")]
    NotTrusted(String),
    /// What comes is older than it should be: somebody may be holding back newer releases.
    #[error("{0}: newer releases may be held back")]
    Frozen(String),
    /// A package waits to be installed.
    #[error("release {release} waits to be installed")]
    Waiting {
        /// Which.
        release: String,
        /// Until when.
        until: SystemTime,
    },
}

impl Stopped {
    /// Returns the exit code. Source: gitian-builder 11f91fb, share/gitian-updater; 6 is ours.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Destination(_) => 1,
            Self::NothingToDownload(_) | Self::SameRelease(_) => 2,
            Self::OtherPackage { .. } => 3,
            Self::Downgrade { .. } => 4,
            Self::NotTrusted(_) => 5,
            Self::Frozen(_) => 6,
            Self::Waiting { .. } => 100,
        }
    }

    /// Returns whether it is what was offered that stopped the run: another place may offer something else.
    pub(crate) fn is_refusal(&self) -> bool {
        self.gravity() > 0
    }

    /// Returns how much a refusal says about the place, so that the gravest of several is told in the end; 0 is none.
    pub(crate) fn gravity(&self) -> u8 {
        match self {
            Self::Destination(_) | Self::Waiting { .. } | Self::NothingToDownload(_) => 0,
            Self::SameRelease(_) => 1,
            Self::Downgrade { .. } => 2,
            Self::Frozen(_) => 3,
            Self::OtherPackage { .. } => 4,
            Self::NotTrusted(_) => 5,
        }
    }
}

fn reasons(reasons: &[String]) -> String {
    reasons.iter().map(|reason| format!("; {reason}")).collect()
}
