//! gitian canon: archives of the same tree become the same bytes.

use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};
use gitian_canon::{Limits, Order, Rules, canonicalise};

use crate::args::WrongUsage;
use crate::args::canon::Args;
use crate::place::is_same_file;
use crate::printable::printable;
use crate::printed::tell;
use crate::surroundings::Surroundings;

/// The first time that a zip can tell: 1980-01-01, in seconds since 1970.
const EARLIEST: i64 = 315_532_800;

/// Runs gitian canon. Returns the exit code.
pub fn run(args: Args, _around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    let output = args.output.as_ref().unwrap_or(&args.input);
    if let Some(standard) = [&args.input, output].into_iter().find(|path| path.as_os_str() == "-") {
        let path = Path::new(".").join(standard);
        bail!(WrongUsage(format!(
            "IN and OUT are files: an archive is read twice; a file of that name is {}",
            path.display()
        )));
    }
    if !args.in_place && is_same_file(&args.input, output) {
        bail!(WrongUsage("OUT is IN; --in-place allows that".into()));
    }
    let done = canonicalise(&Order {
        input: &args.input,
        output,
        format: args.format,
        rules: Rules {
            clamp: args.clamp,
            sort: !args.keep_order,
            keep_owners: args.keep_owners,
            keep_modes: args.keep_modes,
            ..Rules::at(args.date.or(args.epoch).unwrap_or(EARLIEST))
        },
        limits: Limits { bytes: args.max_size << 30, entries: args.max_entries },
    })?;
    if !args.quiet {
        for (what, count) in &done.notes.0 {
            tell(&printable(&format!("canon: note: {}: not kept: {what} ({count})", args.input.display())));
        }
    }
    Ok(0)
}
