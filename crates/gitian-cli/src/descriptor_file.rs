//! The descriptor that a command line names.

use std::path::{Path, PathBuf};

use anyhow::Result;
use gitian_descriptor::{Descriptor, LoadError, Loaded, Refusals};

/// A descriptor whose content is refused; `failure` draws why.
#[derive(Debug, thiserror::Error)]
#[error("descriptor {}: {} to mend", path.display(), counted(refusals.findings.len()))]
pub struct DescriptorRefused {
    /// The path as the user typed it.
    pub path: PathBuf,
    /// Everything that is wrong.
    pub refusals: Box<Refusals>,
    /// Standard error is a terminal that shows colours.
    pub colour: bool,
}

fn counted(errors: usize) -> String {
    if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") }
}

/// Reads a descriptor, named relative to the working directory.
pub fn load(path: &Path, workdir: &Path, colour: bool) -> Result<Loaded> {
    match Descriptor::load(&workdir.join(path)) {
        Ok(loaded) => Ok(loaded),
        Err(LoadError::Refused(refusals)) => Err(DescriptorRefused { path: path.to_owned(), refusals, colour }.into()),
        Err(LoadError::Unreadable { cause, .. }) => Err(LoadError::Unreadable { path: path.to_owned(), cause }.into()),
        Err(LoadError::TooLarge { .. }) => Err(LoadError::TooLarge { path: path.to_owned() }.into()),
    }
}
