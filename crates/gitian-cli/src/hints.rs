//! Known cause → what to do next. The only place that gives advice, apart from what a [`Problem`] brings along.

use anyhow::Error;
use gitian_process::Failure;
use gitian_vm::{Problem, UnknownBackend};

/// Returns what to do next about an error, if we know.
pub fn hint(error: &Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(problem) = cause.downcast_ref::<Problem>() {
            return Some(problem.mend.clone());
        }
        if let Some(unknown) = cause.downcast_ref::<UnknownBackend>() {
            return Some(format!("{} is not there yet; use --backend sandbox", unknown.name));
        }
        match cause.downcast_ref::<Failure>()? {
            Failure::ProgramNotFound { program } => Some(format!("sudo apt-get install {}", package_of(program))),
            _ => None,
        }
    })
}

/// Returns the Debian package that holds a program.
fn package_of(program: &str) -> &str {
    match program.rsplit('/').next().unwrap_or(program) {
        "gpg" => "gnupg",
        "newuidmap" | "newgidmap" => "uidmap",
        name => name,
    }
}
