//! A zip for those who want to look into one: as hostile to what is wrong with it as the rest.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::budget::{Budget, Limits};
use crate::entry::{Content, Kind, shown};
use crate::listing::settle;
use crate::notes::Notes;
use crate::part::Part;
use crate::{Refused, Rules, Run, zip};

/// Something in a zip.
#[derive(Clone, Debug)]
pub struct Member {
    /// From the top: no `.`, no `..`, no slash at either end.
    pub path: String,
    /// Whether its owner may run it.
    pub runs: bool,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Folder,
    File(Content),
    Other,
}

impl Member {
    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        matches!(self.what, What::Folder)
    }

    /// Returns how many bytes a regular file has; nothing for anything else.
    pub fn size(&self) -> Option<u64> {
        match &self.what {
            What::File(content) => Some(content.size()),
            _ => None,
        }
    }

    /// Writes the content of a regular file, and checks its size and sum.
    pub fn write(&self, to: &mut dyn Write) -> Result<()> {
        match &self.what {
            What::File(content) => content.write(to).with_context(|| self.path.clone()),
            _ => bail!(Refused(format!("{}: is no regular file", self.path))),
        }
    }

    /// Reads the content of a regular file, if it is small enough.
    pub fn bytes(&self, limit: u64) -> Result<Vec<u8>> {
        match &self.what {
            What::File(content) => content.whole(limit).with_context(|| self.path.clone()),
            _ => bail!(Refused(format!("{}: is no regular file", self.path))),
        }
    }
}

/// Lists what is in a zip, sorted; contents are read when they are asked for.
///
/// # Errors
///
/// [`Refused`]; [`TooLarge`](crate::TooLarge).
pub fn open_zip(path: &Path, limits: Limits) -> Result<Vec<Member>> {
    let part = Part::open(path)?;
    if !part.head(4)?.starts_with(b"PK") {
        bail!(Refused("is no zip".into()));
    }
    let rules = Rules { keep_modes: true, ..Rules::at(0) };
    let folder = crate::output::folder(path);
    let mut run = Run { rules, budget: Budget::new(limits), notes: Notes::default(), folder };
    let entries = settle(zip::read(&part, &mut run)?, &rules, |_| 0)?;
    let member = |entry: crate::entry::Entry| {
        let path = String::from_utf8(entry.path);
        let path = path.map_err(|error| Refused(format!("{}: is not UTF-8", shown(error.as_bytes()))))?;
        let what = match entry.kind {
            Kind::Folder => What::Folder,
            Kind::File(content) => What::File(content),
            _ => What::Other,
        };
        Ok(Member { path, runs: entry.mode & 0o100 != 0, what })
    };
    entries.into_iter().map(member).collect()
}
