//! A log file that programs in the guest append to, and what was said last.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workdir::Workdir;

/// A log file.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    shown: PathBuf,
    mark: Cell<u64>,
}

/// How much of the end of a log is looked at, in bytes.
const TAIL: u64 = 64 * 1024;

impl Log {
    /// Empties a log of a working directory, making it if need be.
    pub fn empty(path: PathBuf, workdir: &Workdir) -> Result<Self> {
        let shown = workdir.shown(&path).to_owned();
        File::create(&path).with_context(|| shown.display().to_string())?;
        Ok(Self { path, shown, mark: Cell::new(0) })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the user finds it: relative to the working directory.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Opens it for appending.
    pub fn file(&self) -> Result<File> {
        OpenOptions::new().append(true).open(&self.path).with_context(|| self.shown.display().to_string())
    }

    /// Remembers the present end.
    pub fn mark(&self) -> Result<()> {
        self.mark.set(self.file()?.metadata()?.len());
        Ok(())
    }

    /// Returns what was appended since the mark (at most the last 64 KiB of it).
    pub fn since_mark(&self) -> Result<String> {
        let mut file = File::open(&self.path).with_context(|| self.shown.display().to_string())?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(self.mark.get().max(end.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the last lines since the mark that hold anything, at most `count`.
    pub fn last_lines(&self, count: usize) -> Result<Vec<String>> {
        Ok(gitian_process::last_lines(&self.since_mark()?, count))
    }
}
