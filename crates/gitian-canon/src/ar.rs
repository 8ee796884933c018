//! ar: static libraries, and the outer form of Debian packages.
//!
//! The order of a library's members has a meaning (its index says where they lie, equal names are allowed), so that it is
//! kept, and only times, owners and modes are normalised, in place. Without an index, members are sorted when asked for.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Result, bail};
use gitian_process::interrupt;

use crate::entry::shown;
use crate::part::{Part, copy};
use crate::{Refused, Run, refused};

pub(crate) const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// One member, as it is.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// As the header has it, without blanks at its end.
    pub field: Vec<u8>,
    /// The name that it means.
    pub name: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub time: i64,
    /// What follows the header, a name of BSD's kind included.
    pub part: Part,
}

/// Writes the canonical form of an archive that is no package.
pub(crate) fn rewrite(part: &Part, out: &mut File, run: &mut Run<'_>) -> Result<()> {
    let mut members = read(part, run)?;
    let is_index =
        |member: &Member| matches!(&*member.field, b"/" | b"/SYM64/") || member.name.starts_with(b"__.SYMDEF");
    if !members.iter().any(is_index) {
        let mut seen = HashSet::new();
        if let Some(twice) = members.iter().find(|member| !seen.insert(&member.name)) {
            bail!(Refused(format!("{}: is there twice", shown(&twice.name))));
        }
        if run.rules.sort {
            // The table of long names comes first, as it must; where a name is in it does not move.
            members.sort_by(|a, b| (a.field != b"//", &a.name).cmp(&(b.field != b"//", &b.name)));
        }
    }
    let mut out = BufWriter::new(out);
    out.write_all(MAGIC)?;
    for member in &members {
        let table = member.field == b"//";
        write(member, table, run, &mut out)?;
    }
    Ok(out.flush()?)
}

fn write(member: &Member, table: bool, run: &Run<'_>, out: &mut dyn Write) -> Result<()> {
    let rules = &run.rules;
    let mode = match (rules.keep_modes, member.mode & 0o111) {
        (true, _) => member.mode,
        (false, 0) => 0o100_644,
        (false, _) => 0o100_755,
    };
    let owner = if rules.keep_owners { (member.uid, member.gid) } else { (0, 0) };
    if table {
        // A table of names has nothing but a size.
        header(&member.field, None, member.part.len(), out)?;
    } else {
        header(&member.field, Some((rules.time(member.time), owner, mode)), member.part.len(), out)?;
    }
    body(&member.part, out)
}

/// Writes the header of a member.
pub(crate) fn header(
    field: &[u8],
    about: Option<(i64, (u64, u64), u32)>,
    size: u64,
    out: &mut dyn Write,
) -> Result<()> {
    let (time, uid, gid, mode) = match about {
        Some((time, (uid, gid), mode)) => (time.to_string(), uid.to_string(), gid.to_string(), format!("{mode:o}")),
        None => Default::default(),
    };
    let size = size.to_string();
    let mut header = Vec::with_capacity(HEADER);
    for (text, width) in [
        (field, 16),
        (time.as_bytes(), 12),
        (uid.as_bytes(), 6),
        (gid.as_bytes(), 6),
        (mode.as_bytes(), 8),
        (size.as_bytes(), 10),
    ] {
        if text.len() > width {
            bail!(Refused(format!("{}: has a number that an ar cannot hold", shown(field))));
        }
        header.extend_from_slice(text);
        header.resize(header.len() + width - text.len(), b' ');
    }
    header.extend_from_slice(b"`\n");
    Ok(out.write_all(&header)?)
}

/// Writes what follows a header.
pub(crate) fn body(part: &Part, out: &mut dyn Write) -> Result<()> {
    copy(&mut part.reader(), out, part.len())?.ok_or_else(|| refused("grew meanwhile"))?;
    if part.len() % 2 == 1 {
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Returns the members, in their order.
pub(crate) fn read(part: &Part, run: &mut Run<'_>) -> Result<Vec<Member>> {
    const TABLE_LIMIT: u64 = 16 << 20;
    let mut members = Vec::new();
    let mut table = Vec::new();
    let mut at = MAGIC.len() as u64;
    while at < part.len() {
        interrupt::check()?;
        run.budget.spend_entry()?;
        let header: [u8; HEADER] = part.bytes_at(at)?;
        at += HEADER as u64;
        if &header[58..] != b"`\n" {
            bail!(Refused(format!("has no header of an ar before byte {at}")));
        }
        let field = header[..16].trim_ascii_end().to_vec();
        let size = number(&header[48..58], 10)?;
        let content = part.slice(at, size)?;
        at += size;
        // Some leave out the byte that fills up the last member.
        at += u64::from(size % 2 == 1 && at < part.len());
        if field == b"//" {
            if !table.is_empty() {
                bail!(Refused("has two tables of names".into()));
            }
            table = content.whole(TABLE_LIMIT)?;
        }
        members.push(Member {
            name: name(&field, &content, &table)?,
            field,
            mode: u32::try_from(number(&header[40..48], 8)?)?,
            uid: number(&header[28..34], 10)?,
            gid: number(&header[34..40], 10)?,
            time: i64::try_from(number(&header[16..28], 10)?)?,
            part: content,
        });
    }
    Ok(members)
}

fn name(field: &[u8], content: &Part, table: &[u8]) -> Result<Vec<u8>> {
    let wrong = || refused(format!("{}: the name cannot be read", shown(field)));
    let digits = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<usize>().ok();
    let name = if let Some(len) = field.strip_prefix(b"#1/") {
        let len = digits(len).filter(|len| *len <= 4096).ok_or_else(wrong)?;
        let mut name = content.slice(0, len as u64)?.whole(4096)?;
        while name.pop_if(|byte| *byte == 0).is_some() {}
        name
    } else if matches!(field, b"/" | b"//" | b"/SYM64/") {
        return Ok(field.to_vec());
    } else if let Some(at) = field.strip_prefix(b"/") {
        let at = digits(at).ok_or_else(wrong)?;
        let rest = table.get(at..).ok_or_else(wrong)?;
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        line.strip_suffix(b"/").unwrap_or(line).to_vec()
    } else {
        field.strip_suffix(b"/").unwrap_or(field).to_vec()
    };
    if name.is_empty() || name == b".." || name.contains(&b'/') || name.contains(&0) {
        return Err(refused(format!("{}: the name of a member is no file's", shown(&name))));
    }
    Ok(name)
}

fn number(field: &[u8], radix: u32) -> Result<u64> {
    let text = std::str::from_utf8(field.trim_ascii()).unwrap_or("x");
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = u64::from_str_radix(text, radix).ok().filter(|_| digits);
    number.ok_or_else(|| refused("has a header with something that is no number"))
}
