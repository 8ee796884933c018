//! Hashing that is counted while it goes on, and broken off when we are asked to stop.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use gitian_manifest::{Digest, Manifest, Scan};
use gitian_process::interrupt;

use crate::Event;

/// How many bytes were read.
pub struct Hashed(Arc<AtomicU64>);

impl Hashed {
    /// Begins to count, and reports where.
    pub fn begin(report: &mut dyn FnMut(Event)) -> Self {
        let read = Arc::default();
        report(Event::Hashing(Arc::clone(&read)));
        Self(read)
    }

    /// Returns what is below a folder.
    pub fn folder(&self, folder: &Path) -> Result<Scan> {
        let scan = Manifest::of_folder(folder, &|count| self.read(count))?;
        // A file that was broken off is among the refused.
        interrupt::check()?;
        Ok(scan)
    }

    /// Returns the digest of a file.
    pub fn file(&self, path: &Path) -> Result<Digest> {
        let digest = Digest::of_reader_watched(File::open(path)?, |count| self.read(count));
        interrupt::check()?;
        Ok(digest?)
    }

    fn read(&self, count: u64) -> io::Result<()> {
        self.0.fetch_add(count, Ordering::Relaxed);
        interrupt::check().map_err(io::Error::other)
    }
}
