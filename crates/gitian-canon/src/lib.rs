//! Archives of the same tree become the same bytes, whoever packed them, when, and in which order.
//!
//! [`canonicalise`] reads an archive whose place in memory is only its list of entries, puts the list in order
//! (`listing`), and writes it in the one way that each format has here. Contents go from file to file; what is compressed
//! is unpacked into a nameless file beside the output first. Each format is a module that reads and writes; `codec` knows
//! the compressions, `part` where the bytes of a content lie.
//!
//! Archives are hostile: every length is checked against what is there, names cannot leave the tree, what is unpacked is
//! counted. What cannot be kept is told in [`Notes`], what cannot be understood is [`Refused`].
//!
//! ```no_run
//! use std::path::Path;
//! use gitian_canon::{Limits, Order, Rules, canonicalise};
//!
//! let rules = Rules::at(1_400_000_000);
//! let order = Order { input: Path::new("in.zip"), output: Path::new("out.zip"), format: None, rules, limits: Limits::default() };
//! canonicalise(&order)?;
//! # Ok::<(), anyhow::Error>(())
//! ```

mod ar;
mod budget;
mod codec;
mod cpio;
mod deb;
mod entry;
mod format;
mod image;
mod json;
mod listing;
mod notes;
mod opened;
mod output;
mod part;
mod tar;
mod zip;

use std::path::Path;

use anyhow::{Context, Result, bail};

use budget::Budget;
use output::Output;
use part::Part;

pub use budget::{Limits, TooLarge};
pub use codec::Compression;
pub use format::{Archive, Format};
pub use notes::Notes;
pub use opened::{Member, open_zip};

/// What makes an archive canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The time of every entry, in seconds since 1970.
    pub epoch: i64,
    /// Entries that are older than `epoch` keep their time.
    pub clamp: bool,
    /// Entries are sorted by the bytes of their paths; else they stay in their order.
    pub sort: bool,
    /// Owners stay as they are, as numbers; else everything belongs to 0:0.
    pub keep_owners: bool,
    /// Modes stay as they are; else what its owner may run and every folder is 0755, everything else 0644.
    pub keep_modes: bool,
}

impl Rules {
    /// Sorted, with the same time, owner and modes for all.
    pub fn at(epoch: i64) -> Self {
        Self { epoch, clamp: false, sort: true, keep_owners: false, keep_modes: false }
    }

    /// Returns the time that an entry gets.
    pub(crate) fn time(&self, own: i64) -> i64 {
        if self.clamp { own.min(self.epoch).max(0) } else { self.epoch }
    }
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The archive: a regular file.
    pub input: &'a Path,
    /// Where the canonical one is put, whole or not at all. It may be the input itself.
    pub output: &'a Path,
    /// What the output is; what the input is, if not given.
    pub format: Option<Format>,
    /// What is canonical.
    pub rules: Rules,
    /// How much is read.
    pub limits: Limits,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Done {
    /// What the output is.
    pub format: Format,
    /// How many entries it has, those of archives in it included.
    pub entries: u64,
    /// What was not kept.
    pub notes: Notes,
}

/// An archive that is not taken, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Returns an error for an archive that is not taken.
pub(crate) fn refused(why: impl Into<String>) -> anyhow::Error {
    Refused(why.into()).into()
}

/// What one run has at hand.
pub(crate) struct Run<'a> {
    pub rules: Rules,
    pub budget: Budget,
    pub notes: Notes,
    /// Where nameless files are made: beside the output.
    pub folder: &'a Path,
}

/// Writes the canonical form of an archive.
///
/// # Errors
///
/// [`Refused`]; [`TooLarge`].
pub fn canonicalise(order: &Order<'_>) -> Result<Done> {
    let folder = output::folder(order.output);
    // Before anything is unpacked there.
    if !folder.is_dir() {
        bail!("output {}: there is no folder {}", order.output.display(), folder.display());
    }
    let mut run = Run { rules: order.rules, budget: Budget::new(order.limits), notes: Notes::default(), folder };
    let input = Part::open(order.input).with_context(|| order.input.display().to_string())?;
    let format = rewrite(order, &input, &mut run).with_context(|| order.input.display().to_string())?;
    Ok(Done { format, entries: run.budget.entries(), notes: run.notes })
}

fn rewrite(order: &Order<'_>, input: &Part, run: &mut Run<'_>) -> Result<Format> {
    let packed = Compression::detect(input)?;
    let plain = codec::unpack(input, packed, run)?;
    let mut archive = Archive::detect(&plain)?;
    let entries = if archive == Archive::Tar { tar::read(&plain, run)? } else { Vec::new() };
    if archive == Archive::Tar && image::is_image(&entries) {
        archive = Archive::Image;
    }
    let format = wanted(order.format, Format { archive, compression: packed })?;
    let compression = format.compression;
    let mut output = Output::create(order.output, order.input)?;
    let file = output.file();
    match format.archive {
        Archive::Zip => zip::rewrite(&plain, file, run)?,
        Archive::Ar => ar::rewrite(&plain, file, run)?,
        Archive::Deb => deb::rewrite(&plain, file, run)?,
        Archive::Tar => codec::pack(file, compression, |out| tar::rewrite(entries, out, run))?,
        Archive::Cpio => codec::pack(file, compression.for_kernels(), |out| cpio::rewrite(&plain, out, run))?,
        Archive::Image => codec::pack(file, compression, |out| image::rewrite(entries, out, run))?,
    }
    output.keep()?;
    Ok(format)
}

/// Returns what the output is to be: an archive stays one of its kind, its compression may change.
fn wanted(asked: Option<Format>, found: Format) -> Result<Format> {
    let Some(asked) = asked else { return Ok(found) };
    let same = asked.archive == found.archive
        // An image is a tar, and a package an ar, to whoever says so.
        || matches!((asked.archive, found.archive), (Archive::Tar, Archive::Image) | (Archive::Ar, Archive::Deb));
    if !same {
        bail!(Refused(format!("is {found}, which cannot become {asked}")));
    }
    Ok(asked)
}
