//! Debian packages: an ar whose first member is `debian-binary`, then the tars `control` and `data`, each canonical by itself,
//! except that what is installed keeps its modes.
//!
//! Members whose name begins with `_` are signatures of the bytes as they were, and are left out. Source: deb(5).

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context, Result, bail};

use crate::ar::{self, Member};
use crate::codec::{self, Compression};
use crate::entry::{Entry, Kind, shown};
use crate::listing::settle;
use crate::part::{Part, Spool};
use crate::{Refused, Rules, Run, refused, tar};

/// Writes the canonical form of a package.
pub(crate) fn rewrite(part: &Part, out: &mut File, run: &mut Run<'_>) -> Result<()> {
    let members = ar::read(part, run)?;
    let mut inner = Vec::new();
    for (index, member) in members.iter().enumerate() {
        match (index, &*member.name) {
            (0, b"debian-binary") => {
                if member.part.whole(64)? != b"2.0\n" {
                    bail!(Refused("is a package of a version that is not known".into()));
                }
                inner.push((member, member.part.clone()));
            }
            (_, name) if name.starts_with(b"_") => {
                run.notes.left_out("members that sign the package as it was");
            }
            (_, name) => {
                let wanted: &[u8] = match inner.len() {
                    1 => b"control.tar",
                    2 => b"data.tar",
                    _ => b"",
                };
                let end = name.strip_prefix(wanted).filter(|_| !wanted.is_empty());
                let end = end.ok_or_else(|| refused(format!("{}: is not what a package has here", shown(name))))?;
                // What is installed keeps its modes: 0440 of a list of who may become root is no accident.
                let rules = Rules { keep_modes: run.rules.keep_modes || inner.len() == 2, ..run.rules };
                let part = tree(member, end, &rules, run).with_context(|| shown(name))?;
                inner.push((member, part));
            }
        }
    }
    if inner.len() != 3 {
        bail!(Refused("lacks its control.tar or data.tar".into()));
    }
    let mut out = BufWriter::new(out);
    out.write_all(ar::MAGIC)?;
    for (member, part) in inner {
        ar::header(&member.name, Some((run.rules.time(member.time), (0, 0), 0o100_644)), part.len(), &mut out)?;
        ar::body(&part, &mut out)?;
    }
    Ok(out.flush()?)
}

/// Returns the canonical form of a tar in the package, compressed as it was.
fn tree(member: &Member, end: &[u8], rules: &Rules, run: &mut Run<'_>) -> Result<Part> {
    let packed = Compression::detect(&member.part)?;
    let stated = match end {
        b"" => Compression::None,
        b".gz" => Compression::Gzip,
        b".xz" => Compression::Xz,
        b".zst" => Compression::Zstd,
        _ => bail!(Refused("is compressed in a way that is not known".into())),
    };
    if packed != stated {
        bail!(Refused("is not compressed as its name says".into()));
    }
    let plain = codec::unpack(&member.part, packed, run)?;
    let mut entries = tar::read(&plain, run)?;
    let top = Entry {
        path: Vec::new(),
        kind: Kind::Folder,
        mode: 0o755,
        uid: 0,
        gid: 0,
        time: run.rules.epoch,
        attributes: None,
    };
    entries.insert(0, top);
    let entries = settle(entries, rules, |_| 0)?;
    let spool = Spool::beside_output(run.folder)?;
    spool.append(|file| codec::pack(file, packed, |out| tar::write(&entries, tar::Style::Dotted, out)))
}
