//! Entries to a zip: sizes and sums in the headers themselves, zip64 only where a number does not fit.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail};
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::{CENTRAL, DEFLATED, END, END64, END64_LOCATOR, IN_ZIP64, LOCAL, STORED, UTF8, dos};
use crate::Refused;
use crate::entry::{Content, Entry, Kind, shown};

const LEVEL: u32 = 6;
/// Written on Unix, by version 3.0 of the format.
const UNIX: u8 = 3;
const MADE_BY: u8 = 30;
const NEEDED: u16 = 20;
const NEEDED_64: u16 = 45;
const BUFFER: usize = 128 << 10;

/// An entry that is written, as the directory tells of it.
struct Written<'a> {
    entry: &'a Entry,
    name: Vec<u8>,
    offset: u64,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
}

/// Writes the entries in the order given.
pub(super) fn write(entries: &[Entry], file: &mut File) -> Result<()> {
    let mut at = 0;
    let mut done = Vec::with_capacity(entries.len());
    for entry in entries {
        let written = one(entry, at, file).with_context(|| shown(&entry.path))?;
        at = file.stream_position()?;
        done.push(written);
    }
    let mut out = BufWriter::with_capacity(BUFFER, file);
    let mut size = 0;
    for written in &done {
        let record = central(written)?;
        out.write_all(&record)?;
        size += record.len() as u64;
    }
    out.write_all(&end(done.len() as u64, size, at))?;
    Ok(out.flush()?)
}

fn one<'a>(entry: &'a Entry, offset: u64, file: &mut File) -> Result<Written<'a>> {
    let mut name = entry.path.clone();
    let bytes;
    let content = match &entry.kind {
        Kind::Folder => {
            name.push(b'/');
            Source::Bytes(&[])
        }
        Kind::Symlink(target) => {
            bytes = target.clone();
            Source::Bytes(&bytes)
        }
        Kind::File(content) => Source::Content(content),
        _ => bail!(Refused("is nothing that a zip can hold".into())),
    };
    let mut written = Written { entry, name, offset, method: STORED, crc: 0, packed: 0, size: content.size() };
    let header = local(&written)?;
    let start = offset + header.len() as u64;
    file.write_all(&header)?;
    let to_deflate = matches!(content, Source::Content(_)) && written.size > 0 && entry.path != b"mimetype";
    if to_deflate {
        let (packed, crc) = deflate(&content, file)?;
        (written.method, written.packed, written.crc) = (DEFLATED, packed, crc);
    }
    if !to_deflate || written.packed >= written.size {
        file.set_len(start)?;
        file.seek(SeekFrom::Start(start))?;
        let mut out = BufWriter::with_capacity(BUFFER, &mut *file);
        let mut sum = Summed { to: &mut out, crc: Crc::new() };
        content.write(&mut sum)?;
        (written.method, written.packed, written.crc) = (STORED, written.size, sum.crc.sum());
        out.flush()?;
    }
    // Method, sum and sizes are known only now.
    file.write_all_at(&local(&written)?, offset)?;
    Ok(written)
}

/// What an entry holds.
enum Source<'a> {
    Bytes(&'a [u8]),
    Content(&'a Content),
}

impl Source<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Content(content) => content.size(),
        }
    }

    fn write(&self, to: &mut dyn Write) -> Result<()> {
        match self {
            Self::Bytes(bytes) => Ok(to.write_all(bytes)?),
            Self::Content(content) => content.write(to),
        }
    }
}

/// Writes deflated bytes; returns how many, and the sum of what they are made from.
fn deflate(content: &Source<'_>, file: &mut File) -> Result<(u64, u32)> {
    let out = Counted::new(BufWriter::with_capacity(BUFFER, file));
    let mut encoder = DeflateEncoder::new(out, Compression::new(LEVEL));
    let mut sum = Summed { to: &mut encoder, crc: Crc::new() };
    content.write(&mut sum)?;
    let crc = sum.crc.sum();
    let mut out = encoder.finish()?;
    out.flush()?;
    Ok((out.count, crc))
}

struct Counted<W> {
    to: W,
    count: u64,
}

impl<W> Counted<W> {
    fn new(to: W) -> Self {
        Self { to, count: 0 }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

struct Summed<'a, W> {
    to: &'a mut W,
    crc: Crc,
}

impl<W: Write> Write for Summed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Written<'_> {
    /// Whether sizes need zip64; what is packed is never larger than what it is made from, in the end.
    fn is_64(&self) -> bool {
        self.size >= u64::from(IN_ZIP64)
    }

    fn flags(&self) -> u16 {
        if !self.name.is_ascii() && std::str::from_utf8(&self.name).is_ok() { UTF8 } else { 0 }
    }

    /// Version, flags, method, time, sum and sizes: what both headers have in the same order.
    fn common(&self, is_64: bool) -> Vec<u8> {
        let (date, time) = dos::from_epoch(self.entry.time);
        let mut bytes = Vec::with_capacity(24);
        for number in [if is_64 { NEEDED_64 } else { NEEDED }, self.flags(), self.method, time, date] {
            bytes.extend(number.to_le_bytes());
        }
        let size = |size: u64| if self.is_64() { IN_ZIP64 } else { u32::try_from(size).unwrap_or(IN_ZIP64) };
        for number in [self.crc, size(self.packed), size(self.size)] {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    fn name_len(&self) -> Result<u16> {
        u16::try_from(self.name.len()).context("the path is too long")
    }
}

fn local(written: &Written<'_>) -> Result<Vec<u8>> {
    let extra = if written.is_64() { zip64(&[written.size, written.packed]) } else { Vec::new() };
    let mut header = LOCAL.to_vec();
    header.extend(written.common(written.is_64()));
    header.extend(written.name_len()?.to_le_bytes());
    header.extend(u16::try_from(extra.len())?.to_le_bytes());
    header.extend_from_slice(&written.name);
    header.extend(extra);
    Ok(header)
}

fn central(written: &Written<'_>) -> Result<Vec<u8>> {
    let far = written.offset >= u64::from(IN_ZIP64);
    let mut numbers = Vec::new();
    if written.is_64() {
        numbers.extend([written.size, written.packed]);
    }
    if far {
        numbers.push(written.offset);
    }
    let extra = if numbers.is_empty() { Vec::new() } else { zip64(&numbers) };
    let entry = written.entry;
    let (system, attributes) = entry.attributes.unwrap_or_else(|| {
        let (kind, of_dos) = match entry.kind {
            Kind::Folder => (0o040_000, 0x10),
            Kind::Symlink(_) => (0o120_000, 0),
            _ => (0o100_000, 0),
        };
        (UNIX, (kind | entry.mode) << 16 | of_dos)
    });
    let mut record = CENTRAL.to_vec();
    record.extend([MADE_BY, system]);
    record.extend(written.common(written.is_64() || far));
    record.extend(written.name_len()?.to_le_bytes());
    record.extend(u16::try_from(extra.len())?.to_le_bytes());
    // No comment, first volume, nothing known about being text.
    record.extend([0; 6]);
    record.extend(attributes.to_le_bytes());
    record.extend(u32::try_from(written.offset).unwrap_or(IN_ZIP64).to_le_bytes());
    record.extend_from_slice(&written.name);
    record.extend(extra);
    Ok(record)
}

fn zip64(numbers: &[u64]) -> Vec<u8> {
    let mut extra = vec![1, 0];
    extra.extend(u16::try_from(numbers.len() * 8).unwrap_or(0).to_le_bytes());
    extra.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    extra
}

/// Returns what follows the directory.
fn end(count: u64, size: u64, at: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if count >= 0xffff || size >= u64::from(IN_ZIP64) || at >= u64::from(IN_ZIP64) {
        bytes.extend(END64);
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend([MADE_BY, UNIX]);
        bytes.extend(NEEDED_64.to_le_bytes());
        bytes.extend([0; 8]);
        for number in [count, count, size, at] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(END64_LOCATOR);
        bytes.extend([0; 4]);
        bytes.extend((at + size).to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
    }
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    bytes.extend(END);
    bytes.extend([0; 4]);
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(u32::try_from(size).unwrap_or(IN_ZIP64).to_le_bytes());
    bytes.extend(u32::try_from(at).unwrap_or(IN_ZIP64).to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}
