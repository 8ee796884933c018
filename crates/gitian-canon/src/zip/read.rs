//! A zip to entries, by its central directory. Entries may neither overlap nor be called otherwise in their own headers.

use anyhow::{Context, Result, bail};
use flate2::Crc;
use gitian_process::interrupt;

use super::{CENTRAL, DEFLATED, END, END64, END64_LOCATOR, IN_ZIP64, LOCAL, STORED, UTF8, dos};
use crate::entry::{Content, Entry, Kind, PATH_LIMIT, Zipped, path, shown};
use crate::part::{Part, cut_off};
use crate::{Refused, Run, refused};

const END_SIZE: u64 = 22;
const END64_SIZE: u64 = 56;
const LOCATOR_SIZE: u64 = 20;
const CENTRAL_SIZE: u64 = 46;
const LOCAL_SIZE: u64 = 30;
const UNIX: u8 = 3;
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

/// Returns the entries of a zip, in the order of its directory.
pub(crate) fn read(part: &Part, run: &mut Run<'_>) -> Result<Vec<Entry>> {
    let directory = Directory::find(part, run)?;
    let mut entries = Vec::new();
    let mut spans = Vec::new();
    let mut at = directory.at;
    let end = directory.at + directory.size;
    for _ in 0..directory.count {
        interrupt::check()?;
        run.budget.spend_entry()?;
        let record = Record::read(part, at, end)?;
        at = record.next;
        let name = shown(&record.name);
        let content = record.content(part, directory.at).with_context(|| name.clone())?;
        spans.push((record.offset, content.end, name.clone()));
        run.budget.spend_bytes(record.size)?;
        if record.comment {
            run.notes.left_out("comments");
        }
        entries.extend(entry(record, content.part, &name)?);
    }
    if at != end {
        bail!(Refused("has a directory with more than its entries".into()));
    }
    spans.sort_unstable();
    match spans.first() {
        Some((0, ..)) | None => {}
        Some((offset, ..)) => bail!(Refused(format!("has {offset} bytes before its first entry"))),
    }
    for pair in spans.windows(2) {
        if let [(_, end, first), (next, _, second)] = pair
            && next < end
        {
            bail!(Refused(format!("{first} and {second} overlap")));
        }
    }
    refuse_signed_apk(part, directory.at)?;
    Ok(entries)
}

/// A signature of the whole file is before the directory. Source: Android's APK signature scheme v2.
fn refuse_signed_apk(part: &Part, directory: u64) -> Result<()> {
    const MAGIC: &[u8; 16] = b"APK Sig Block 42";
    match directory.checked_sub(16) {
        Some(at) if part.bytes_at::<16>(at)? == *MAGIC => Err(refused("is signed as a whole, which would be lost")),
        _ => Ok(()),
    }
}

/// Where the directory is.
struct Directory {
    at: u64,
    size: u64,
    count: u64,
}

impl Directory {
    fn find(part: &Part, run: &mut Run<'_>) -> Result<Self> {
        let tail = part.len().min(END_SIZE + u64::from(u16::MAX));
        let from = part.len() - tail;
        let bytes = part.vec_at(from, usize::try_from(tail)?)?;
        let is_end = |at: &usize| {
            let record = &bytes[*at..];
            record.starts_with(&END) && record.len() >= 22 && record.len() == 22 + usize::from(u16_at(record, 20))
        };
        let mut ends = (0..bytes.len()).filter(is_end);
        let (Some(end), None) = (ends.next(), ends.next()) else {
            return Err(refused("has no end of a zip, or several"));
        };
        let record = &bytes[end..];
        if u16_at(record, 20) > 0 {
            run.notes.left_out("comments");
        }
        let end = from + end as u64;
        let [disk, directory_disk] = [4, 6].map(|at| u16_at(record, at));
        let [count, size, at] = [u32::from(u16_at(record, 10)), u32_at(record, 12), u32_at(record, 16)];
        let is_64 = count == 0xffff || size == IN_ZIP64 || at == IN_ZIP64;
        let locator = end.checked_sub(LOCATOR_SIZE).filter(|_| is_64);
        let locator =
            locator.map(|at| part.bytes_at::<20>(at)).transpose()?.filter(|bytes| bytes.starts_with(&END64_LOCATOR));
        let (found, end) = match locator {
            Some(locator) => Self::find64(part, &locator, end)?,
            None if disk != 0 || directory_disk != 0 => bail!(Refused("is one of several volumes".into())),
            None => (Self { at: at.into(), size: size.into(), count: count.into() }, end),
        };
        if found.at.checked_add(found.size) != Some(end) {
            bail!(Refused("has a directory that is not where its end says".into()));
        }
        // Each entry has at least the fixed part of a record.
        if found.count > found.size / CENTRAL_SIZE {
            bail!(Refused("has a directory that is too small for its entries".into()));
        }
        Ok(found)
    }

    fn find64(part: &Part, locator: &[u8], end: u64) -> Result<(Self, u64)> {
        let at = u64_at(locator, 8);
        if at.checked_add(END64_SIZE + LOCATOR_SIZE) != Some(end) {
            bail!(Refused("has an end of zip64 that is not where it should be".into()));
        }
        let record: [u8; END64_SIZE as usize] = part.bytes_at(at)?;
        if !record.starts_with(&END64) || u64_at(&record, 4) != END64_SIZE - 12 {
            bail!(Refused("has an end of zip64 that cannot be read".into()));
        }
        if u32_at(&record, 16) != 0 || u32_at(&record, 20) != 0 {
            bail!(Refused("is one of several volumes".into()));
        }
        Ok((Self { at: u64_at(&record, 48), size: u64_at(&record, 40), count: u64_at(&record, 32) }, at))
    }
}

/// What the directory says about an entry.
struct Record {
    name: Vec<u8>,
    made_by: u8,
    method: u16,
    flags: u16,
    time: i64,
    crc: u32,
    packed: u64,
    size: u64,
    attributes: u32,
    offset: u64,
    comment: bool,
    /// Where the next one is.
    next: u64,
    /// The name as both headers have it.
    raw_name: Vec<u8>,
}

impl Record {
    fn read(part: &Part, at: u64, end: u64) -> Result<Self> {
        let fixed: [u8; CENTRAL_SIZE as usize] = part.bytes_at(at)?;
        if !fixed.starts_with(&CENTRAL) {
            bail!(Refused(format!("has no entry of a directory at byte {at}")));
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| u64::from(u16_at(&fixed, at)));
        let next = at + CENTRAL_SIZE + name + extra + comment;
        if next > end {
            return Err(cut_off());
        }
        let name = part.vec_at(at + CENTRAL_SIZE, usize::try_from(name)?)?;
        let extra = part.vec_at(at + CENTRAL_SIZE + name.len() as u64, usize::try_from(extra)?)?;
        let mut record = Self {
            made_by: fixed[5],
            flags: u16_at(&fixed, 8),
            method: u16_at(&fixed, 10),
            time: dos::to_epoch(u16_at(&fixed, 14), u16_at(&fixed, 12)),
            crc: u32_at(&fixed, 16),
            packed: u32_at(&fixed, 20).into(),
            size: u32_at(&fixed, 24).into(),
            attributes: u32_at(&fixed, 38),
            offset: u32_at(&fixed, 42).into(),
            comment: comment > 0,
            next,
            raw_name: name.clone(),
            name,
        };
        record.extra(&extra)?;
        Ok(record)
    }

    /// Reads what counts instead of the fixed fields. Source: PKWARE's APPNOTE 4.5.3 and 4.6.9.
    fn extra(&mut self, mut extra: &[u8]) -> Result<()> {
        const ZIP64: u16 = 1;
        const UNICODE_PATH: u16 = 0x7075;
        while extra.len() >= 4 {
            let (id, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
            let field = extra.get(4..4 + len).ok_or_else(|| refused("has an extra field that is cut off"))?;
            extra = &extra[4 + len..];
            match id {
                ZIP64 => {
                    let mut numbers = field.chunks_exact(8).map(|chunk| u64_at(chunk, 0));
                    for value in [&mut self.size, &mut self.packed, &mut self.offset] {
                        if *value == u64::from(IN_ZIP64) {
                            *value = numbers.next().ok_or_else(|| refused("has a zip64 field that is cut off"))?;
                        }
                    }
                }
                UNICODE_PATH if field.len() > 5 && self.flags & UTF8 == 0 => {
                    let mut crc = Crc::new();
                    crc.update(&self.raw_name);
                    if field[0] == 1 && u32_at(field, 1) == crc.sum() && std::str::from_utf8(&field[5..]).is_ok() {
                        self.name = field[5..].to_vec();
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Finds the bytes of an entry by its local header.
    fn content(&self, part: &Part, directory: u64) -> Result<Placed> {
        if self.flags & ENCRYPTED != 0 {
            bail!(Refused("is encrypted".into()));
        }
        if !matches!(self.method, STORED | DEFLATED) {
            bail!(Refused(format!("is packed by method {}; stored and deflated are known", self.method)));
        }
        if self.method == STORED && self.packed != self.size {
            bail!(Refused("is stored, and has two sizes".into()));
        }
        let fixed: [u8; LOCAL_SIZE as usize] = part.bytes_at(self.offset)?;
        if !fixed.starts_with(&LOCAL) {
            bail!(Refused("is not where the directory says".into()));
        }
        let (name, extra) = (u16_at(&fixed, 26), u16_at(&fixed, 28));
        if part.vec_at(self.offset + LOCAL_SIZE, name.into())? != self.raw_name || u16_at(&fixed, 8) != self.method {
            bail!(Refused("is something else in its own header".into()));
        }
        let at = self.offset + LOCAL_SIZE + u64::from(name) + u64::from(extra);
        let end = at.checked_add(self.packed).filter(|end| *end <= directory).ok_or_else(cut_off)?;
        Ok(Placed { part: part.slice(at, self.packed)?, end })
    }
}

struct Placed {
    part: Part,
    end: u64,
}

fn entry(record: Record, part: Part, shown: &str) -> Result<Option<Entry>> {
    let kind = kind(&record, part).with_context(|| shown.to_owned())?;
    let Some(path) = path(&record.name)? else {
        return match kind {
            Kind::Folder => Ok(None),
            _ => Err(refused(format!("{shown}: has no name"))),
        };
    };
    let mode = record.attributes >> 16;
    let usual = if matches!(kind, Kind::Folder) { 0o755 } else { 0o644 };
    Ok(Some(Entry {
        path,
        kind,
        mode: if mode == 0 { usual } else { mode & 0o7777 },
        uid: 0,
        gid: 0,
        time: record.time,
        attributes: Some((if mode == 0 { record.made_by } else { UNIX }, record.attributes)),
    }))
}

fn kind(record: &Record, part: Part) -> Result<Kind> {
    const LINK: u32 = 0o120_000;
    const FOLDER: u32 = 0o040_000;
    const FILE: u32 = 0o100_000;
    let name = &record.name;
    if name.contains(&b'\\') || matches!(&**name, [drive, b':', ..] if drive.is_ascii_alphabetic()) {
        bail!(Refused("the path is one of Windows".into()));
    }
    let zipped = Zipped { deflated: record.method == DEFLATED, size: record.size, crc: record.crc };
    let content = Content { part, zipped: Some(zipped) };
    let is_folder = name.ends_with(b"/");
    match record.attributes >> 16 & 0o170_000 {
        LINK if !is_folder => Kind::symlink(content.whole(PATH_LIMIT as u64)?),
        of_type @ (FOLDER | FILE | 0 | LINK) if is_folder || of_type == FOLDER => {
            if record.size > 0 {
                bail!(Refused("is a folder with a content".into()));
            }
            Ok(Kind::Folder)
        }
        FILE | 0 => Ok(Kind::File(content)),
        other => bail!(Refused(format!("is of a type that is not known ({other:#o})"))),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes[at..].first_chunk().map_or(0, |chunk| u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}
