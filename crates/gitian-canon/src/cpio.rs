//! cpio in the form that the kernel reads (newc), and initial RAM disks: several in a row, the last often compressed.
//!
//! Each is put in order by itself: a later one may have the paths of an earlier one. Source: the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::HashMap;
use std::io::Write;

use anyhow::{Context, Result, bail};
use gitian_process::interrupt;

use crate::codec::{self, Compression};
use crate::entry::{Content, Entry, Kind, PATH_LIMIT, path, shown};
use crate::listing::settle;
use crate::part::{Part, Spool, copy};
use crate::{Refused, Run, refused};

const HEADER: usize = 110;
const END: &[u8] = b"TRAILER!!!";
/// What the end is filled up to, in bytes.
const BLOCK: u64 = 512;
/// How deep compressed archives may lie in compressed archives.
const DEPTH: u32 = 2;

/// Writes the canonical form of all archives in a row.
pub(crate) fn rewrite(part: &Part, out: &mut dyn Write, run: &mut Run<'_>) -> Result<()> {
    rewrite_at(part, out, run, DEPTH)
}

fn rewrite_at(part: &Part, out: &mut dyn Write, run: &mut Run<'_>, depth: u32) -> Result<()> {
    let mut at = 0;
    while let Some(next) = part.skip_zeros(at)? {
        let rest = part.from(next)?;
        let packed = Compression::detect(&rest)?;
        if packed == Compression::None {
            let (entries, end) = read(&rest, run)?;
            write(&settle(entries, &run.rules, |_| 0)?, out)?;
            at = next + end;
            continue;
        }
        if depth == 0 {
            bail!(Refused("has compressed archives in compressed archives".into()));
        }
        let plain = codec::unpack(&rest, packed, run)?;
        let spool = Spool::beside_output(run.folder)?;
        let packed = spool
            .append(|file| codec::pack(file, packed.for_kernels(), |out| rewrite_at(&plain, out, run, depth - 1)))?;
        copy(&mut packed.reader(), out, packed.len())?;
        return Ok(());
    }
    if at == 0 {
        bail!(Refused("is empty".into()));
    }
    Ok(())
}

/// One of the numbers of a header.
#[derive(Clone, Copy)]
enum Field {
    Inode,
    Mode,
    Uid,
    Gid,
    Links,
    Time,
    Size,
    Major,
    Minor,
    DeviceMajor,
    DeviceMinor,
    NameSize,
}

struct Header([u8; HEADER]);

impl Header {
    fn number(&self, field: Field) -> Result<u32> {
        let at = 6 + 8 * field as usize;
        let digits = std::str::from_utf8(&self.0[at..at + 8]).unwrap_or_default();
        let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        number.ok_or_else(|| refused("has a header with something that is no number"))
    }
}

/// A file with several names, while they are read.
struct Shared {
    /// The entry that has the content, or would have it if there is any.
    file: usize,
    names: Vec<usize>,
}

/// Returns the entries of the first archive, and where it ends.
fn read(part: &Part, run: &mut Run<'_>) -> Result<(Vec<Entry>, u64)> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut shared: HashMap<(u32, u32, u32), Shared> = HashMap::new();
    let mut at = 0;
    loop {
        interrupt::check()?;
        let header = Header(part.bytes_at(at)?);
        match &header.0[..6] {
            b"070701" | b"070702" => {}
            b"070707" => bail!(Refused("is a cpio of the old form; the kernel and we read newc".into())),
            _ => bail!(Refused(format!("has no header of a cpio at byte {at}"))),
        }
        let name_size = header.number(Field::NameSize)? as usize;
        if name_size == 0 || name_size > PATH_LIMIT + 1 {
            bail!(Refused(format!("has a name of {name_size} bytes")));
        }
        let name = part.vec_at(at + HEADER as u64, name_size)?;
        let Some(name) = name.strip_suffix(b"\0") else { bail!(Refused("has a name without its end".into())) };
        at = (at + (HEADER + name_size) as u64).next_multiple_of(4);
        let size = header.number(Field::Size)?;
        if name == END {
            if size != 0 {
                bail!(Refused("has an end with a content".into()));
            }
            break;
        }
        run.budget.spend_entry()?;
        let content = part.slice(at, u64::from(size))?;
        at = (at + u64::from(size)).next_multiple_of(4);
        let Some(entry) = entry(&header, name, content)? else { continue };
        let is_file = matches!(entry.kind, Kind::File(_));
        if is_file && header.number(Field::Links)? > 1 {
            let id = (header.number(Field::Major)?, header.number(Field::Minor)?, header.number(Field::Inode)?);
            let index = entries.len();
            let file = shared.entry(id).or_insert(Shared { file: index, names: Vec::new() });
            file.names.push(index);
            if size > 0 && file.file != index {
                if matches!(&entries[file.file].kind, Kind::File(content) if content.size() > 0) {
                    bail!(Refused(format!("{}: has a content twice", shown(&entry.path))));
                }
                file.file = index;
            }
        }
        entries.push(entry);
    }
    for Shared { file, names } in shared.into_values() {
        let target = entries[file].path.clone();
        for name in names.into_iter().filter(|name| *name != file) {
            entries[name].kind = Kind::HardLink(target.clone());
        }
    }
    Ok((entries, at.min(part.len())))
}

/// Returns a symbolic link. The zero byte behind its target may be there, and does not count. Source: Linux, usr/gen_init_cpio.c.
fn symlink(content: &Part) -> Result<Kind> {
    let mut target = content.whole(PATH_LIMIT as u64 + 1)?;
    target.pop_if(|last| *last == 0);
    Kind::symlink(target)
}

fn entry(header: &Header, name: &[u8], content: Part) -> Result<Option<Entry>> {
    let mode = header.number(Field::Mode)?;
    let device = |block| -> Result<Kind> {
        Ok(Kind::Device { block, major: header.number(Field::DeviceMajor)?, minor: header.number(Field::DeviceMinor)? })
    };
    let has_content = content.len() > 0;
    let kind = match mode & 0o170_000 {
        0o100_000 => Kind::File(Content::plain(content)),
        0o120_000 => symlink(&content).with_context(|| shown(name))?,
        0o040_000 => Kind::Folder,
        0o060_000 => device(true)?,
        0o020_000 => device(false)?,
        0o010_000 => Kind::Pipe,
        other => bail!(Refused(format!("{}: is of a type that is not known ({other:#o})", shown(name)))),
    };
    if has_content && !matches!(kind, Kind::File(_) | Kind::Symlink(_)) {
        bail!(Refused(format!("{}: has a content and is no file", shown(name))));
    }
    let Some(path) = path(name)? else {
        return match kind {
            Kind::Folder => Ok(None),
            _ => Err(refused("has an entry without a name")),
        };
    };
    Ok(Some(Entry {
        path,
        kind,
        mode: mode & 0o7777,
        uid: header.number(Field::Uid)?.into(),
        gid: header.number(Field::Gid)?.into(),
        time: header.number(Field::Time)?.into(),
        attributes: None,
    }))
}

/// Writes entries in the order given; the content of a file with several names comes with the last.
fn write(entries: &[Entry], out: &mut dyn Write) -> Result<()> {
    let mut names: HashMap<&[u8], u32> = HashMap::new();
    for entry in entries {
        if let Kind::HardLink(target) = &entry.kind {
            *names.entry(target).or_insert(1) += 1;
        }
    }
    let contents: HashMap<&[u8], &Content> = entries
        .iter()
        .filter_map(|entry| match &entry.kind {
            Kind::File(content) if names.contains_key(entry.path.as_slice()) => Some((entry.path.as_slice(), content)),
            _ => None,
        })
        .collect();
    let mut inodes: HashMap<&[u8], (u32, u32)> = HashMap::new();
    let mut written = 0;
    for (index, entry) in entries.iter().enumerate() {
        let own = u32::try_from(index + 1)?;
        let file = match &entry.kind {
            Kind::HardLink(target) => target.as_slice(),
            _ => &entry.path,
        };
        let (inode, links, content) = match (names.get(file), contents.get(file)) {
            (Some(links), Some(content)) => {
                let (inode, so_far) = inodes.entry(file).or_insert((own, 0));
                *so_far += 1;
                (*inode, *links, (so_far == links).then_some(*content))
            }
            // A file with several names that is no regular one.
            (Some(_), None) => bail!(Refused(format!("{}: is a hard link to no file", shown(&entry.path)))),
            (None, _) => match &entry.kind {
                Kind::File(content) => (own, 1, Some(content)),
                Kind::Folder => (own, 2, None),
                _ => (own, 1, None),
            },
        };
        written += one(entry, inode, links, content, out).with_context(|| shown(&entry.path))?;
    }
    written += header([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], END, out)?;
    let rest = usize::try_from(written.next_multiple_of(BLOCK) - written)?;
    Ok(out.write_all(&[0; BLOCK as usize][..rest])?)
}

fn one(entry: &Entry, inode: u32, links: u32, content: Option<&Content>, out: &mut dyn Write) -> Result<u64> {
    let mut device = (0, 0);
    let kind = match &entry.kind {
        Kind::File(_) | Kind::HardLink(_) => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
        Kind::Folder => 0o040_000,
        Kind::Pipe => 0o010_000,
        Kind::Device { block, major, minor } => {
            device = (*major, *minor);
            if *block { 0o060_000 } else { 0o020_000 }
        }
    };
    let size = match (&entry.kind, content) {
        (Kind::Symlink(target), _) => target.len() as u64,
        (_, Some(content)) => content.size(),
        (_, None) => 0,
    };
    let small = |number: u64| u32::try_from(number).map_err(|_| refused("has a number that a cpio cannot hold"));
    let time = small(u64::try_from(entry.time).unwrap_or(0))?;
    let (uid, gid, size) = (small(entry.uid)?, small(entry.gid)?, small(size)?);
    let numbers = [inode, kind | entry.mode, uid, gid, links, time, size, 0, 0, device.0, device.1];
    let written = header(numbers, &entry.path, out)?;
    match (&entry.kind, content) {
        (Kind::Symlink(target), _) => out.write_all(target)?,
        (_, Some(content)) => content.write(out)?,
        (_, None) => {}
    }
    Ok(written + u64::from(size) + pad(u64::from(size), out)?)
}

/// Writes a header with its name; returns how many bytes that were.
fn header(numbers: [u32; 11], name: &[u8], out: &mut dyn Write) -> Result<u64> {
    let mut text = String::from("070701");
    for number in numbers.into_iter().chain([u32::try_from(name.len() + 1)?, 0]) {
        text += &format!("{number:08X}");
    }
    out.write_all(text.as_bytes())?;
    out.write_all(name)?;
    out.write_all(&[0])?;
    let len = (HEADER + name.len() + 1) as u64;
    Ok(len + pad(len, out)?)
}

fn pad(len: u64, out: &mut dyn Write) -> Result<u64> {
    let more = len.next_multiple_of(4) - len;
    out.write_all(&[0; 4][..usize::try_from(more)?])?;
    Ok(more)
}
