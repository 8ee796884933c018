//! tar: reads ustar, pax, GNU and the oldest; writes GNU's dialect, which is the one that everybody reads (dpkg knows no pax).
//!
//! Sparse files, archives of several volumes and anything behind the end are refused. Names of owners, extended attributes,
//! access control lists and comments are not kept.

mod read;
mod write;

use std::io::Write;

use anyhow::Result;

use crate::Run;
use crate::entry::Entry;
use crate::listing::settle;

pub(crate) use read::{is_header, read};
pub(crate) use write::{Style, write};

/// The unit of a tar, in bytes.
const BLOCK: u64 = 512;

/// Writes the canonical form of a tar.
pub(crate) fn rewrite(entries: Vec<Entry>, out: &mut dyn Write, run: &mut Run<'_>) -> Result<()> {
    write(&settle(entries, &run.rules, |_| 0)?, Style::Plain, out)
}
