//! zip and jar: the central directory is what counts, and every local header has to agree with it.
//!
//! Everything is deflated anew by the library that is linked, and stored where that does not make it smaller. What Java
//! wants at the beginning stays there. Extra fields, comments and the times in them are not kept.

mod dos;
mod read;
mod write;

use std::fs::File;

use anyhow::Result;

use crate::Run;
use crate::listing::settle;
use crate::part::Part;

pub(crate) use read::read;

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END64: [u8; 4] = *b"PK\x06\x06";
const END64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// The flag of names in UTF-8.
const UTF8: u16 = 1 << 11;
/// The value of a field whose true value is in the extra field of zip64.
const IN_ZIP64: u32 = u32::MAX;

/// Writes the canonical form of a zip.
pub(crate) fn rewrite(part: &Part, out: &mut File, run: &mut Run<'_>) -> Result<()> {
    let entries = read(part, run)?;
    let entries = settle(entries, &run.rules, rank)?;
    for what in entries.iter().filter_map(|entry| dos::not_told(entry.time)) {
        run.notes.left_out(what);
    }
    write::write(&entries, out)
}

/// What has to come first. Source: java.util.jar.JarInputStream (folder and manifest), EPUB and OpenDocument (`mimetype`).
fn rank(path: &[u8]) -> u8 {
    match path {
        b"mimetype" => 0,
        b"META-INF" => 1,
        b"META-INF/MANIFEST.MF" => 2,
        _ => 3,
    }
}
