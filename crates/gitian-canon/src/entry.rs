//! One entry of an archive, whichever its format.

use std::io::{BufReader, Write};

use anyhow::{Context, Result, bail};
use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use crate::part::{Part, copy};
use crate::{Refused, refused};

/// The longest path or target that is taken, in bytes. Source: PATH_MAX of Linux.
pub(crate) const PATH_LIMIT: usize = 4096;

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// From the top of the tree: no `.`, no `..`, no slash at either end.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Permissions with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// In seconds since 1970.
    pub time: i64,
    /// Attributes of a zip, with the system they belong to.
    pub attributes: Option<(u8, u32)>,
}

/// What an entry is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Folder,
    File(Content),
    /// Where it points; made by [`Kind::symlink`].
    Symlink(Vec<u8>),
    /// The same file as another entry's.
    HardLink(Vec<u8>),
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    Pipe,
}

impl Kind {
    /// A symbolic link that a file system could hold.
    pub fn symlink(target: Vec<u8>) -> Result<Self> {
        match target.as_slice() {
            [] => Err(refused("is a symbolic link to nothing")),
            target if target.contains(&0) => Err(refused("is a symbolic link with a zero byte in its target")),
            _ => Ok(Self::Symlink(target)),
        }
    }
}

/// The bytes of a file.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub part: Part,
    /// For what a zip has deflated or stored: its size and CRC when unpacked.
    pub zipped: Option<Zipped>,
}

/// How the bytes of a file lie in a zip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zipped {
    pub deflated: bool,
    pub size: u64,
    pub crc: u32,
}

impl Content {
    pub fn plain(part: Part) -> Self {
        Self { part, zipped: None }
    }

    /// How many bytes the file has.
    pub fn size(&self) -> u64 {
        self.zipped.map_or(self.part.len(), |zipped| zipped.size)
    }

    /// Writes the bytes, no more and no fewer than there have to be.
    pub fn write(&self, to: &mut dyn Write) -> Result<()> {
        let Some(zipped) = self.zipped else {
            copy(&mut self.part.reader(), to, self.part.len())?.ok_or_else(|| refused("grew meanwhile"))?;
            return Ok(());
        };
        let mut to = Summed { to, crc: Crc::new() };
        let copied = if zipped.deflated {
            let packed = BufReader::with_capacity(64 << 10, self.part.reader());
            let mut reader = DeflateDecoder::new(packed);
            let copied = copy(&mut reader, &mut to, zipped.size).context("is not deflated well")?;
            if copied.is_some() && reader.total_in() != self.part.len() {
                bail!(Refused("has something behind its end".into()));
            }
            copied
        } else {
            copy(&mut self.part.reader(), &mut to, zipped.size)?
        };
        if copied != Some(zipped.size) {
            bail!(Refused(format!("does not have the {} bytes that it should have", zipped.size)));
        }
        if to.crc.sum() != zipped.crc {
            bail!(Refused("does not have the check sum that it should have".into()));
        }
        Ok(())
    }

    /// Reads the bytes, if there are few enough.
    pub fn whole(&self, limit: u64) -> Result<Vec<u8>> {
        if self.size() > limit {
            return Err(refused(format!("has {} bytes where at most {limit} are read", self.size())));
        }
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }
}

struct Summed<'a> {
    to: &'a mut dyn Write,
    crc: Crc,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Returns a path as it is kept; nothing for the top of the tree.
pub(crate) fn path(name: &[u8]) -> Result<Option<Vec<u8>>> {
    let refuse = |why: &str| Err(refused(format!("{}: {why}", shown(name))));
    if name.len() > PATH_LIMIT {
        return refuse("the path is too long");
    }
    if name.starts_with(b"/") {
        return refuse("the path is absolute");
    }
    if name.contains(&0) {
        return refuse("the path has a zero byte");
    }
    let mut path = Vec::with_capacity(name.len());
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return refuse("the path leaves the tree"),
            _ => {}
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    Ok((!path.is_empty()).then_some(path))
}

/// Returns a path for a message.
pub(crate) fn shown(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) => text.chars().take(200).collect(),
        Err(_) => path.iter().take(200).copied().collect::<Vec<u8>>().escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_tree() {
        for (name, expected) in [
            ("a", Some("a")),
            ("./a/b/", Some("a/b")),
            ("a//./b", Some("a/b")),
            ("./", None),
            ("", None),
            ("...", Some("...")),
            ("a/..b", Some("a/..b")),
        ] {
            assert_eq!(path(name.as_bytes()).unwrap().as_deref(), expected.map(str::as_bytes), "{name}");
        }
        for name in ["/a", "..", "a/../b", "a/..", "../a", "a\0b"] {
            assert!(path(name.as_bytes()).is_err(), "{name}");
        }
        assert!(path(&[b'a'; PATH_LIMIT + 1]).is_err());
    }
}
