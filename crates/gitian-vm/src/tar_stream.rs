//! Files into and out of a guest as tar streams; what comes out is hostile.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{GuestUser, Target};

/// What a stream out of a guest may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

/// Copies a host file or folder into a folder of the guest (relative to the user's home), owned by that user.
pub fn copy_in(_target: &dyn Target, _user: GuestUser, _host: &Path, _guest_folder: &str) -> Result<()> {
    bail!("not yet")
}

/// Copies what lies in a guest folder (relative to the user's home) into a host folder, replacing what was there.
pub fn copy_out(
    _target: &dyn Target,
    _user: GuestUser,
    _guest_folder: &str,
    _host: &Path,
    _limits: Limits,
) -> Result<()> {
    bail!("not yet")
}
