//! canon-zip: a zip with one time for all entries.

use std::io::Write;

use anyhow::{Result, bail};
use gitian_canon::{Archive, Format, Limits, Order, Rules, canonicalise};

use crate::args::WrongUsage;
use crate::args::canon_zip::Args;
use crate::place::is_same_file;
use crate::surroundings::Surroundings;

/// Runs canon-zip. Returns the exit code.
pub fn run(args: Args, _around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    if is_same_file(&args.input, &args.output) {
        bail!(WrongUsage("OUTPUT is INPUT".into()));
    }
    canonicalise(&Order {
        input: &args.input,
        output: &args.output,
        format: Some(Format::of(Archive::Zip)),
        rules: Rules { sort: false, keep_owners: true, keep_modes: true, ..Rules::at(args.date) },
        limits: Limits::default(),
    })?;
    Ok(0)
}
