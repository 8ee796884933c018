//! Detached signatures by another program: `gpg --detach-sign`, or what else the user names.

use std::path::Path;

use anyhow::Result;
use gitian_process::{Command, Failure, Streams};

/// The program that signs did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("{program} did not sign as {key}")]
pub struct NotSigned {
    /// The name of the program.
    pub program: String,
    /// The key that it was to use.
    pub key: String,
    /// How it ended.
    #[source]
    pub cause: Failure,
}

/// The program that signs succeeded, and there is no signature.
#[derive(Debug, thiserror::Error)]
#[error("{program} left no signature of the {what}: it ended well, and wrote no FILE.sig")]
pub struct NothingSigned {
    /// The program, with its arguments.
    pub program: String,
    /// What it was to sign.
    pub what: &'static str,
}

/// Runs the program with our own terminal: it may ask for a passphrase.
pub(crate) fn run(command: &Command, key: &str, draft: &Path) -> Result<()> {
    match command.clone().args(["-u", key]).arg(draft).run_ok(Streams::inherit()) {
        Ok(_) => Ok(()),
        Err(cause @ Failure::ProgramFailed { .. }) => {
            Err(NotSigned { program: command.to_string(), key: key.to_owned(), cause }.into())
        }
        Err(cause) => Err(cause.into()),
    }
}
