//! Files into and out of a guest as tar streams; what comes out is hostile.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use gitian_process::{Input, Output, Streams};

use crate::{GuestCommand, GuestUser, Target};

/// What a stream out of a guest may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

/// Copies a host file or folder into a folder of the guest (relative to the user's home), owned by that user.
pub fn copy_in(target: &dyn Target, user: GuestUser, host: &Path, guest_folder: &str) -> Result<()> {
    let name = host.file_name().context("nothing to copy")?;
    let write = |pipe: &mut dyn Write| -> io::Result<()> {
        let mut builder = tar::Builder::new(pipe);
        builder.follow_symlinks(false);
        if fs::metadata(host)?.is_dir() {
            builder.append_dir_all(name, host)?;
        } else {
            builder.append_path_with_name(fs::canonicalize(host)?, name)?;
        }
        builder.finish()
    };
    let command = GuestCommand::new(user, ["tar", "-xf", "-", "--no-same-owner", "-C", guest_folder]);
    let streams = Streams { stdin: Input::Produce(Box::new(write)), ..Streams::default() };
    let status = target.run(&command, streams)?;
    if !status.success() {
        bail!("tar in the guest {status}");
    }
    Ok(())
}

/// Copies what lies in a guest folder (relative to the user's home) into a host folder, replacing what was there.
pub fn copy_out(target: &dyn Target, user: GuestUser, guest_folder: &str, host: &Path, _limits: Limits) -> Result<()> {
    if host.exists() {
        fs::remove_dir_all(host)?;
    }
    fs::create_dir_all(host)?;
    let read = |pipe: &mut dyn Read| -> io::Result<()> { tar::Archive::new(pipe).unpack(host) };
    let command = GuestCommand::new(user, ["tar", "-cf", "-", "-C", guest_folder, "."]);
    let streams = Streams { stdout: Output::Consume(Box::new(read)), ..Streams::default() };
    let status = target.run(&command, streams)?;
    if !status.success() {
        bail!("tar in the guest {status}");
    }
    Ok(())
}
