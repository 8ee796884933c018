//! A stretch of a file: where an archive or the content of an entry lies.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use gitian_process::interrupt;
use nix::fcntl::OFlag;

use crate::{Refused, refused};

/// How much is copied at once.
const CHUNK: usize = 256 << 10;

/// A stretch of a file.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    file: Arc<File>,
    at: u64,
    len: u64,
}

impl Part {
    /// Opens a regular file, and nothing else.
    pub fn open(path: &Path) -> Result<Self> {
        // Without waiting: opening a pipe would else wait for its writer.
        let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
        if !file.metadata()?.is_file() {
            bail!(Refused("is not a regular file".into()));
        }
        Self::of(file)
    }

    /// The whole of a file.
    pub fn of(file: File) -> Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), at: 0, len })
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns a part of this one.
    pub fn slice(&self, at: u64, len: u64) -> Result<Self> {
        match at.checked_add(len) {
            Some(end) if end <= self.len => Ok(Self { file: self.file.clone(), at: self.at + at, len }),
            _ => Err(cut_off()),
        }
    }

    /// Returns what follows a place.
    pub fn from(&self, at: u64) -> Result<Self> {
        self.slice(at, self.len.checked_sub(at).ok_or_else(cut_off)?)
    }

    /// Reads all of `into`.
    pub fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
        if at.checked_add(into.len() as u64).is_none_or(|end| end > self.len) {
            return Err(cut_off());
        }
        Ok(self.file.read_exact_at(into, self.at + at)?)
    }

    /// Reads some bytes.
    pub fn bytes_at<const N: usize>(&self, at: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_at(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a length that the caller has bounded.
    pub fn vec_at(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read_at(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads up to `len` bytes of its beginning.
    pub fn head(&self, len: usize) -> Result<Vec<u8>> {
        self.vec_at(0, len.min(usize::try_from(self.len).unwrap_or(len)))
    }

    /// Reads all of it, if it is small enough.
    pub fn whole(&self, limit: u64) -> Result<Vec<u8>> {
        match usize::try_from(self.len) {
            Ok(len) if self.len <= limit => self.vec_at(0, len),
            _ => Err(refused(format!("has {} bytes where at most {limit} are read", self.len))),
        }
    }

    /// Returns the place of the first byte from a place on that is not zero.
    pub fn skip_zeros(&self, mut at: u64) -> Result<Option<u64>> {
        let mut chunk = vec![0; CHUNK];
        while at < self.len {
            let some = usize::try_from(self.len - at).unwrap_or(CHUNK).min(CHUNK);
            let some = &mut chunk[..some];
            self.read_at(at, some)?;
            if let Some(found) = some.iter().position(|byte| *byte != 0) {
                return Ok(Some(at + found as u64));
            }
            at += some.len() as u64;
            interrupt::check()?;
        }
        Ok(None)
    }

    /// Reads it from its beginning.
    pub fn reader(&self) -> PartReader<'_> {
        PartReader { part: self, at: 0 }
    }
}

/// A nameless file beside the output that grows.
pub(crate) struct Spool(Arc<File>);

impl Spool {
    pub fn beside_output(folder: &Path) -> Result<Self> {
        Ok(Self(Arc::new(tempfile::tempfile_in(folder).context("a temporary file beside the output")?)))
    }

    /// Returns what is written to its end.
    pub fn append(&self, write: impl FnOnce(&File) -> Result<()>) -> Result<Part> {
        let mut file = &*self.0;
        let at = file.seek(SeekFrom::End(0))?;
        write(file)?;
        let len = file.seek(SeekFrom::End(0))? - at;
        Ok(Part { file: self.0.clone(), at, len })
    }
}

/// An archive ended too early.
pub(crate) fn cut_off() -> anyhow::Error {
    refused("is cut off")
}

/// Reads a part from its beginning to its end.
pub(crate) struct PartReader<'a> {
    part: &'a Part,
    at: u64,
}

impl Read for PartReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.part.len - self.at).unwrap_or(usize::MAX);
        let some = left.min(into.len());
        let read = self.part.file.read_at(&mut into[..some], self.part.at + self.at)?;
        if read == 0 && some > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        Ok(read)
    }
}

/// Copies to the end, at most `limit` bytes; returns how many, or nothing if there are more.
pub(crate) fn copy(from: &mut dyn Read, to: &mut dyn Write, limit: u64) -> Result<Option<u64>> {
    let mut chunk = vec![0; CHUNK];
    let mut copied = 0_u64;
    loop {
        interrupt::check()?;
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(Some(copied)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        copied = copied.saturating_add(read as u64);
        if copied > limit {
            return Ok(None);
        }
        to.write_all(&chunk[..read])?;
    }
}
