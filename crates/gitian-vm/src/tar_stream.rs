//! Files into and out of a guest as tar streams; what comes out is hostile. `pack` and `unpack` are the host's ends, GNU
//! tar in the guest is the other.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use gitian_process::{Failure, Input, Output, Status, Streams, last_lines};

use crate::pack::pack;
use crate::{GuestCommand, GuestFull, GuestUser, Limits, Target, UnpackError, merge, unpack};

/// How much of what the guest's tar complains about is kept, in bytes.
const COMPLAINTS: u64 = 16 * 1024;

/// The guest's tar could not pack all that was to be copied out.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct NotPacked(pub Failure);

/// Copies a host file or folder into a folder of the guest (relative to the user's home), owned by that user.
///
/// Kept are names, contents, symbolic links, modification times (in seconds) and whether a file is executable; modes
/// become 755 and 644. If the host path is a symbolic link, what it points to is copied, under the link's name.
pub fn copy_in(target: &dyn Target, user: GuestUser, host: &Path, guest_folder: &str) -> Result<()> {
    let tar = ["tar", "-xf", "-", "-C", guest_folder, "--no-same-owner", "--preserve-permissions"];
    let produce = |out: &mut dyn Write| pack(host, out);
    let streams = Streams { stdin: Input::Produce(Box::new(produce)), stdout: Output::Discard, ..Streams::default() };
    run(target, &GuestCommand::new(user, tar), streams)
}

/// Copies what lies in a guest folder (relative to the user's home) into a host folder, replacing what was there.
///
/// The stream is unpacked beside the host folder and takes its place at the end: after an error, what was there is there
/// still. What comes out is described at [`unpack`].
///
/// # Errors
/// [`ArchiveRefused`](crate::ArchiveRefused) names the entry that is not taken.
pub fn copy_out(target: &dyn Target, user: GuestUser, guest_folder: &str, host: &Path, limits: Limits) -> Result<()> {
    let parent = host.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = || host.display().to_string();
    let beside = tempfile::Builder::new().prefix(".incoming-").tempdir_in(parent).with_context(shown)?;
    let fresh = beside.path().join("new");
    fs::create_dir(&fresh).with_context(shown)?;
    fetch(target, user, (guest_folder, "."), &fresh, limits)?;
    replace(&fresh, host, &beside.path().join("old")).with_context(shown)
}

/// Copies a guest file or folder (relative to the user's home) into a host folder that is there, under its own name and
/// over what has that name: folders are merged. A path that ends with `.` names what lies in a folder.
///
/// # Errors
/// As of [`copy_out`]; what was there is there still, unless it is the last step, putting things in their place, that
/// fails.
pub fn copy_out_into(
    target: &dyn Target,
    user: GuestUser,
    guest_path: &str,
    host: &Path,
    limits: Limits,
) -> Result<()> {
    let shown = || host.display().to_string();
    let fresh = tempfile::Builder::new().prefix(".incoming-").tempdir_in(host).with_context(shown)?;
    fetch(target, user, folder_and_name(guest_path), fresh.path(), limits)?;
    merge(fresh.path(), host).with_context(shown)
}

/// Splits a path of the guest into a folder and what in it is meant.
fn folder_and_name(path: &str) -> (&str, &str) {
    let whole = path.trim_end_matches('/');
    let (folder, name) = match whole.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => (".", whole),
    };
    match name {
        "" => ("/", "."),
        "." => (folder, "."),
        ".." => (whole, "."),
        name => (folder, name),
    }
}

/// Unpacks one entry of a guest folder, with all that is below it, into an empty folder of the host.
fn fetch(
    target: &dyn Target,
    user: GuestUser,
    (folder, name): (&str, &str),
    fresh: &Path,
    limits: Limits,
) -> Result<()> {
    let tar = ["tar", "-cf", "-", "-C", folder, "--format=gnu", "--numeric-owner", "--", name];
    let mut unpacked = Err(UnpackError::Stream(io::ErrorKind::UnexpectedEof.into()));
    let consume = |pipe: &mut dyn Read| {
        unpacked = unpack(pipe, fresh, limits);
        match &unpacked {
            Ok(()) => Ok(()),
            // The guest's tar is ended by whatever is returned here; why, is told below.
            Err(UnpackError::Stream(cause)) => Err(cause.kind().into()),
            Err(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    };
    let streams = Streams { stdout: Output::Consume(Box::new(consume)), ..Streams::default() };
    let ran = run(target, &GuestCommand::new(user, tar), streams).map_err(|error| match error.downcast() {
        Ok(failure @ Failure::ProgramFailed { .. }) => NotPacked(failure).into(),
        Ok(other) => other.into(),
        Err(error) => error,
    });
    match unpacked {
        Ok(()) => ran,
        // When the stream just ends, the guest knows better why.
        Err(UnpackError::Stream(cause)) => ran.and(Err(anyhow!(UnpackError::Stream(cause)))),
        Err(UnpackError::Refused(refused)) => Err(refused.into()),
        Err(error) => Err(error.into()),
    }
}

/// Runs the guest's tar; an exit status other than 0 is an error with its last lines.
fn run<'a>(target: &dyn Target, command: &GuestCommand, streams: Streams<'a>) -> Result<()> {
    let mut complaints = Vec::new();
    let consume = |pipe: &mut dyn Read| pipe.take(COMPLAINTS).read_to_end(&mut complaints).map(drop);
    let status = target.run(command, Streams { stderr: Output::Consume(Box::new(consume)), ..streams })?;
    if status == Status::Exited(0) {
        return Ok(());
    }
    let words: Vec<_> = command.argv.iter().map(|word| word.to_string_lossy()).collect();
    let text = String::from_utf8_lossy(&complaints);
    let last_lines = last_lines(&text, 10);
    let command_line = format!("in the guest: {}", words.join(" "));
    let failed = Failure::ProgramFailed { command_line, status, last_lines: last_lines.clone() };
    Err(GuestFull::told(target, &last_lines, failed.into()))
}

/// Puts a new folder in the place of whatever is there, which goes to `old`.
fn replace(fresh: &Path, place: &Path, old: &Path) -> io::Result<()> {
    match fs::rename(place, old) {
        Ok(()) => fs::rename(fresh, place).or_else(|cause| {
            fs::rename(old, place)?;
            Err(cause)
        }),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => fs::rename(fresh, place),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_path_is_split_into_folder_and_name() {
        for (path, expected) in [
            ("out", (".", "out")),
            ("out/", (".", "out")),
            ("cache/common/.", ("cache/common", ".")),
            ("a/b//", ("a", "b")),
            ("/etc/hosts", ("/etc", "hosts")),
            ("/etc", ("/", "etc")),
            ("/", ("/", ".")),
            (".", (".", ".")),
            ("a/..", ("a/..", ".")),
            ("..", ("..", ".")),
            ("-x", (".", "-x")),
        ] {
            assert_eq!(folder_and_name(path), expected, "{path}");
        }
    }
}
