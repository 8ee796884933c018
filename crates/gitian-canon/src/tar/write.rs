//! Entries to a tar of GNU's dialect: long names in entries of their own, large numbers in bytes, two blocks at the end.

use std::io::Write;

use anyhow::{Context, Result};

use super::BLOCK;
use crate::entry::{Entry, Kind, shown};

/// How paths are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `usr/bin`.
    Plain,
    /// `./usr/bin`, as dpkg-deb does, with an entry `./` for the top.
    Dotted,
}

/// Writes the entries in the order given.
pub(crate) fn write(entries: &[Entry], style: Style, out: &mut dyn Write) -> Result<()> {
    for entry in entries {
        one(entry, style, out).with_context(|| shown(&entry.path))?;
    }
    Ok(out.write_all(&[0; 2 * BLOCK as usize])?)
}

fn one(entry: &Entry, style: Style, out: &mut dyn Write) -> Result<()> {
    let mut name = Vec::with_capacity(entry.path.len() + 3);
    let prefix: &[u8] = if style == Style::Dotted { b"./" } else { b"" };
    name.extend_from_slice(prefix);
    name.extend_from_slice(&entry.path);
    if matches!(entry.kind, Kind::Folder) && !name.ends_with(b"/") {
        name.push(b'/');
    }
    let mut size = 0;
    let mut target = Vec::new();
    let mut device = None;
    let kind = match &entry.kind {
        Kind::File(content) => {
            size = content.size();
            b'0'
        }
        Kind::HardLink(path) => {
            target.extend_from_slice(prefix);
            target.extend_from_slice(path);
            b'1'
        }
        Kind::Symlink(to) => {
            target.extend_from_slice(to);
            b'2'
        }
        Kind::Device { block, major, minor } => {
            device = Some((*major, *minor));
            if *block { b'4' } else { b'3' }
        }
        Kind::Folder => b'5',
        Kind::Pipe => b'6',
    };
    for (kind, long) in [(b'K', &target), (b'L', &name)] {
        if long.len() > 100 {
            long_name(kind, long, out)?;
        }
    }
    let mut header = [0; BLOCK as usize];
    put(&mut header[..100], &name);
    number(&mut header[100..108], u64::from(entry.mode));
    number(&mut header[108..116], entry.uid);
    number(&mut header[116..124], entry.gid);
    number(&mut header[124..136], size);
    number(&mut header[136..148], u64::try_from(entry.time).unwrap_or(0));
    header[156] = kind;
    put(&mut header[157..257], &target);
    if let Some((major, minor)) = device {
        number(&mut header[329..337], u64::from(major));
        number(&mut header[337..345], u64::from(minor));
    }
    finish(&mut header, out)?;
    if let Kind::File(content) = &entry.kind {
        content.write(out)?;
        pad(size, out)?;
    }
    Ok(())
}

fn long_name(kind: u8, name: &[u8], out: &mut dyn Write) -> Result<()> {
    let size = name.len() as u64 + 1;
    let mut header = [0; BLOCK as usize];
    put(&mut header[..100], b"././@LongLink");
    for field in [100..108, 108..116, 116..124, 136..148] {
        number(&mut header[field], 0);
    }
    number(&mut header[124..136], size);
    header[156] = kind;
    finish(&mut header, out)?;
    out.write_all(name)?;
    out.write_all(&[0])?;
    pad(size, out)
}

fn finish(header: &mut [u8; BLOCK as usize], out: &mut dyn Write) -> Result<()> {
    header[257..265].copy_from_slice(b"ustar  \0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    header[154] = 0;
    Ok(out.write_all(header)?)
}

fn put(field: &mut [u8], text: &[u8]) {
    let len = field.len().min(text.len());
    field[..len].copy_from_slice(&text[..len]);
}

/// Writes a number in octal digits with a zero byte, or in bytes where those are too few.
fn number(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let octal = format!("{value:0digits$o}");
    if octal.len() == digits {
        field[..digits].copy_from_slice(octal.as_bytes());
        return;
    }
    let bytes = value.to_be_bytes();
    field[0] = 0x80;
    // The shortest field has seven bytes behind the first: enough for all numbers of a tar that are not times.
    let len = bytes.len().min(digits);
    let from = field.len() - len;
    field[from..].copy_from_slice(&bytes[bytes.len() - len..]);
}

fn pad(size: u64, out: &mut dyn Write) -> Result<()> {
    let rest = usize::try_from(size % BLOCK)?;
    if rest > 0 {
        out.write_all(&[0; BLOCK as usize][rest..])?;
    }
    Ok(())
}
