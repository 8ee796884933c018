//! How much an archive may make us unpack.

use anyhow::Result;

/// What one archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What all that is compressed may come to when unpacked, in bytes.
    pub bytes: u64,
    /// How many entries there may be, those of archives within included.
    pub entries: u64,
}

impl Default for Limits {
    /// 64 GiB and two million entries: more than any release has, less than a disk.
    fn default() -> Self {
        Self { bytes: 64 << 30, entries: 2_000_000 }
    }
}

/// An archive holds more than the limits allow.
#[derive(Debug, thiserror::Error)]
pub enum TooLarge {
    /// It unpacks to too much.
    #[error("unpacks to more than {0} bytes")]
    Bytes(u64),
    /// It has too many entries.
    #[error("has more than {0} entries")]
    Entries(u64),
}

/// What is left of the limits.
pub(crate) struct Budget {
    limits: Limits,
    bytes: u64,
    entries: u64,
}

impl Budget {
    pub fn new(limits: Limits) -> Self {
        Self { limits, bytes: 0, entries: 0 }
    }

    /// How many entries there were.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many bytes may still be unpacked.
    pub fn bytes_left(&self) -> u64 {
        self.limits.bytes - self.bytes
    }

    /// The error of unpacking more than is left.
    pub fn exhausted(&self) -> anyhow::Error {
        TooLarge::Bytes(self.limits.bytes).into()
    }

    pub fn spend_entry(&mut self) -> Result<()> {
        if self.entries >= self.limits.entries {
            return Err(TooLarge::Entries(self.limits.entries).into());
        }
        self.entries += 1;
        Ok(())
    }

    pub fn spend_bytes(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.bytes_left() {
            return Err(self.exhausted());
        }
        self.bytes += bytes;
        Ok(())
    }
}
