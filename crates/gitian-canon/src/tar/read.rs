//! A tar to entries. Every length is checked against the file before anything is read by it.

use anyhow::{Context, Result, bail};
use gitian_process::interrupt;

use super::BLOCK;
use crate::entry::{Content, Entry, Kind, PATH_LIMIT, path, shown};
use crate::part::{Part, cut_off};
use crate::{Refused, Run, refused};

/// The largest extended header, in bytes.
const EXTENDED_LIMIT: u64 = 1 << 20;

type Header = [u8; BLOCK as usize];

/// Whether a file begins with the header of an entry.
pub(crate) fn is_header(head: &[u8]) -> bool {
    head.get(..BLOCK as usize).and_then(|head| head.try_into().ok()).is_some_and(|head| checked(head).is_some())
}

/// Returns the entries of a tar, in its order, hard links as they are.
pub(crate) fn read(part: &Part, run: &mut Run<'_>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut more = Extended::default();
    let mut at = 0;
    loop {
        interrupt::check()?;
        let header: Header = part.bytes_at(at)?;
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        run.budget.spend_entry()?;
        let header = checked(&header).ok_or_else(|| refused(format!("has no header of a tar at byte {at}")))?;
        at += BLOCK;
        let kind = header[156];
        let own_size = number(&header[124..136])?;
        // Only what has content has the size of an extended header.
        let of_file = !matches!(kind, b'L' | b'K' | b'x' | b'g' | b'X');
        let size = if of_file { more.size.unwrap_or(own_size) } else { own_size };
        let size = if matches!(kind, b'1'..=b'6') { 0 } else { size };
        let content = part.slice(at, size)?;
        at = padded(at + size)?;
        if at > part.len() {
            return Err(cut_off());
        }
        match kind {
            b'L' => more.set_path(long_name(&content)?)?,
            b'K' => more.set_target(long_name(&content)?)?,
            b'x' | b'X' => more.read(&content, run)?,
            b'g' => Extended::default().read_global(&content, run)?,
            b'S' => bail!(Refused(format!("{}: is a sparse file", shown(&more.name(header))))),
            b'M' | b'V' | b'N' => bail!(Refused("is one of several volumes, or older than ustar".into())),
            _ => entries.extend(entry(header, std::mem::take(&mut more), content)?),
        }
    }
    if more != Extended::default() {
        return Err(cut_off());
    }
    if part.skip_zeros(at)?.is_some() {
        bail!(Refused("has something behind its end".into()));
    }
    Ok(entries)
}

/// Returns the place of the block that begins at or behind a place.
fn padded(at: u64) -> Result<u64> {
    at.checked_next_multiple_of(BLOCK).ok_or_else(cut_off)
}

fn entry(header: &Header, more: Extended, content: Part) -> Result<Option<Entry>> {
    let name = more.name(header);
    let target = |more: &Extended| more.target.clone().unwrap_or_else(|| text(&header[157..257]).to_vec());
    let kind = match header[156] {
        b'0' | 0 | b'7' if name.ends_with(b"/") => Kind::Folder,
        b'0' | 0 | b'7' => Kind::File(Content::plain(content)),
        b'1' => match path(&target(&more))? {
            Some(target) => Kind::HardLink(target),
            None => bail!(Refused(format!("{}: is a hard link to a folder", shown(&name)))),
        },
        b'2' => Kind::symlink(target(&more)).with_context(|| shown(&name))?,
        kind @ (b'3' | b'4') => {
            Kind::Device { block: kind == b'4', major: device(&header[329..337])?, minor: device(&header[337..345])? }
        }
        b'5' => Kind::Folder,
        b'6' => Kind::Pipe,
        other => bail!(Refused(format!("{}: is of a type that is not known ({other:#04x})", shown(&name)))),
    };
    let Some(path) = path(&name)? else {
        return match kind {
            // The top of the tree is there anyway.
            Kind::Folder => Ok(None),
            _ => Err(refused("has an entry without a name")),
        };
    };
    let own = |from, to, given: Option<u64>| given.map_or_else(|| number(&header[from..to]), Ok);
    Ok(Some(Entry {
        path,
        kind,
        mode: u32::try_from(number(&header[100..108])? & 0o7777)?,
        uid: own(108, 116, more.uid)?,
        gid: own(116, 124, more.gid)?,
        // Before 1970 is as early as it gets.
        time: match more.time {
            Some(time) => time,
            None if header[136] == 0xff => 0,
            None => i64::try_from(number(&header[136..148])?).unwrap_or(i64::MAX),
        },
        attributes: None,
    }))
}

fn device(field: &[u8]) -> Result<u32> {
    u32::try_from(number(field)?).map_err(|_| refused("has a device whose number is too large"))
}

/// Returns the header if its check sum is right.
fn checked(header: &Header) -> Option<&Header> {
    let stated = number(&header[148..156]).ok()?;
    let sum = |value: fn(u8) -> i64| -> i64 {
        let blank = |index: usize| (148..156).contains(&index);
        header.iter().enumerate().map(|(index, byte)| if blank(index) { 32 } else { value(*byte) }).sum()
    };
    // Some sum up signed bytes. Source: POSIX.1-1988's ustar, as GNU tar reads it.
    let stated = i64::try_from(stated).ok()?;
    (stated == sum(i64::from) || stated == sum(|byte| i64::from(byte.cast_signed()))).then_some(header)
}

/// Reads a number: octal digits, or bytes behind a first one of 0x80.
fn number(field: &[u8]) -> Result<u64> {
    let wrong = || refused("has a header with something that is no number");
    if let [0x80, rest @ ..] = field {
        return rest.iter().try_fold(0_u64, |value, byte| {
            value.checked_mul(256).and_then(|value| value.checked_add(u64::from(*byte))).ok_or_else(wrong)
        });
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8).map(|value| value + u64::from(digit - b'0')).ok_or_else(wrong),
        _ => Err(wrong()),
    })
}

/// Returns what stands before the first zero byte.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn long_name(content: &Part) -> Result<Vec<u8>> {
    Ok(text(&content.whole(PATH_LIMIT as u64 + 1)?).to_vec())
}

/// What comes before the header of an entry, and counts instead of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Extended {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    time: Option<i64>,
}

impl Extended {
    fn name(&self, header: &Header) -> Vec<u8> {
        if let Some(path) = &self.path {
            return path.clone();
        }
        let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
        // GNU's dialect has other things there.
        if &header[257..263] == b"ustar\0" && !prefix.is_empty() {
            return [prefix, b"/", name].concat();
        }
        name.to_vec()
    }

    fn set_path(&mut self, path: Vec<u8>) -> Result<()> {
        match self.path.replace(path) {
            Some(_) => Err(refused("has an entry with two names")),
            None => Ok(()),
        }
    }

    fn set_target(&mut self, target: Vec<u8>) -> Result<()> {
        match self.target.replace(target) {
            Some(_) => Err(refused("has a link with two targets")),
            None => Ok(()),
        }
    }

    fn read(&mut self, content: &Part, run: &mut Run<'_>) -> Result<()> {
        let bytes = content.whole(EXTENDED_LIMIT)?;
        let mut attributes = false;
        for record in records(&bytes) {
            let (key, value) = record?;
            let count = || {
                let text =
                    std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                text.and_then(|text| text.parse().ok())
                    .ok_or_else(|| refused("has an extended header with a bad number"))
            };
            match key {
                b"path" => self.set_path(value.to_vec())?,
                b"linkpath" => self.set_target(value.to_vec())?,
                b"size" => self.size = Some(count()?),
                b"uid" => self.uid = Some(count()?),
                b"gid" => self.gid = Some(count()?),
                b"mtime" => self.time = Some(time(value)?),
                key if key.starts_with(b"GNU.sparse.") => bail!(Refused("has a sparse file".into())),
                key if key.starts_with(b"SCHILY.xattr.") || key.starts_with(b"LIBARCHIVE.xattr.") => attributes = true,
                key if key.starts_with(b"SCHILY.acl.") => attributes = true,
                _ => {}
            }
        }
        if attributes {
            run.notes.left_out("extended attributes and access control lists");
        }
        Ok(())
    }

    /// What counts for all entries that follow: comments only.
    fn read_global(mut self, content: &Part, run: &mut Run<'_>) -> Result<()> {
        self.read(content, run)?;
        let Self { path, target, size, .. } = self;
        match (path, target, size) {
            (None, None, None) => {
                run.notes.left_out("comments");
                Ok(())
            }
            _ => Err(refused("gives the same name or size to all entries")),
        }
    }
}

/// Reads `<length> <key>=<value>\n`, again and again. Source: POSIX.1-2001, pax.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8])>> {
    let mut next = move || -> Option<Option<(&[u8], &[u8])>> {
        if bytes.is_empty() {
            return None;
        }
        let record = || {
            let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
            let len: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
            let record = bytes.get(blank + 1..len)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            Some((len, (&record[..equals], &record[equals + 1..])))
        };
        let (len, record) = match record() {
            Some(found) => found,
            None => {
                bytes = &[];
                return Some(None);
            }
        };
        bytes = &bytes[len..];
        Some(Some(record))
    };
    std::iter::from_fn(move || Some(next()?.ok_or_else(|| refused("has an extended header that cannot be read"))))
}

/// Reads a time with its parts of a second, which are dropped.
fn time(value: &[u8]) -> Result<i64> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let whole = text.split('.').next().unwrap_or_default();
    whole.parse().map_err(|_| refused("has an extended header with a bad time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"77777777777", Some(0o77_777_777_777)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(8 << 30)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xff\xff\xff\xff", None),
            (b"-1", None),
            (b"9", None),
        ] {
            assert_eq!(number(field).ok(), expected, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn records_that_lie_about_their_length_are_refused() {
        for (bytes, good) in [
            (&b"11 path=ab\n"[..], true),
            (b"11 path=ab\n8 a=b=c\n", true),
            (b"12 path=ab\n", false),
            (b"10 path=ab\n", false),
            (b"0 path=ab\n", false),
            (b"99999999999999999999999 a=b\n", false),
            (b"path=ab\n", false),
            (b"6 pat\n", false),
        ] {
            assert_eq!(records(bytes).all(|record| record.is_ok()), good, "{}", bytes.escape_ascii());
        }
    }
}
