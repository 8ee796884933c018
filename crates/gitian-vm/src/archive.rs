//! The members of a tar stream: headers, long names, sizes. Nothing here touches a file system.
//!
//! GNU and POSIX (pax) names are understood; whatever two readers could understand differently is refused. The loop is our
//! own, on the header type of the `tar` crate, because that crate's reads a name of any size into memory and takes a
//! stream that was cut off between two members for a whole one.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use tar::{EntryType, Header};

/// Something in an archive that is not unpacked, and with it the whole archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("archive entry {} {reason}", Shown(entry))]
pub struct ArchiveRefused {
    /// The entry's path as the archive has it; empty when it has none that can be read.
    pub entry: PathBuf,
    /// What is wrong with it: continues a sentence that begins with the entry.
    pub reason: String,
}

/// A path in quotes, on one line.
struct Shown<'a>(&'a PathBuf);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        let shown: String = text.chars().take(200).flat_map(char::escape_debug).collect();
        write!(f, "'{shown}{}'", if text.chars().nth(200).is_some() { "…" } else { "" })
    }
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It holds what it must not.
    #[error(transparent)]
    Refused(#[from] ArchiveRefused),
    /// It could not be read, or ends early (`UnexpectedEof`).
    #[error("archive: {0}")]
    Stream(io::Error),
    /// It could not be written here.
    #[error("{}: {cause}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Symlink,
    HardLink,
}

/// One member, without its data.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) path: Vec<u8>,
    /// What a link points to.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    /// Bytes of data.
    pub(crate) size: u64,
    pub(crate) mode: u32,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
}

impl Member {
    pub(crate) fn refused(&self, reason: impl Into<String>) -> ArchiveRefused {
        refused(&self.path, reason)
    }
}

fn refused(path: &[u8], reason: impl Into<String>) -> ArchiveRefused {
    use std::os::unix::ffi::OsStrExt;
    ArchiveRefused { entry: std::ffi::OsStr::from_bytes(path).into(), reason: reason.into() }
}

const BLOCK: usize = 512;
/// How much an extended header (a long name, pax records) may hold, in bytes.
const EXTENDED: u64 = 64 * 1024;
/// How many of those one member may have: two names, pax records, global pax records.
const EXTENDED_HEADERS: u32 = 4;
/// A pipe's size and more, in bytes.
const BUFFER: usize = 128 * 1024;

/// Reads the members of a stream one after another.
pub(crate) struct Members<R> {
    reader: BufReader<R>,
    /// What is left of the present member's data, and of what fills its last block.
    data: u64,
    padding: u64,
}

/// What precedes a member because its header is too small for it.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    mtime: Option<i64>,
    /// Headers so far.
    headers: u32,
}

impl<R: Read> Members<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER, reader), data: 0, padding: 0 }
    }

    /// Returns the next member; `None` at the archive's own end mark.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, UnpackError> {
        self.skip()?;
        let mut extension = Extension::default();
        loop {
            let Some(header) = self.header()? else {
                return match extension.headers > 0 {
                    true => Err(refused(b"", "is announced but does not come").into()),
                    false => Ok(None),
                };
            };
            let path = header.path_bytes().into_owned();
            let number = |value: io::Result<u64>| value.map_err(|_| refused(&path, "has an unreadable header"));
            let size = number(header.entry_size())?;
            self.data = size;
            self.padding = size.wrapping_neg() % BLOCK as u64;
            match header.entry_type() {
                EntryType::GNULongName => extension.set_path(self.extended(&path)?)?,
                EntryType::GNULongLink => extension.set_link(self.extended(&path)?)?,
                EntryType::XHeader => extension.read_pax(&self.extended(&path)?)?,
                EntryType::XGlobalHeader => Extension::default().read_pax(&self.extended(&path)?)?,
                entry_type => {
                    // A time before 1970 or beyond all bounds is no reason to lose a build.
                    let mtime = header.mtime().ok().and_then(|mtime| mtime.try_into().ok()).unwrap_or(0);
                    let mode = header.mode().map_err(|_| refused(&path, "has an unreadable header"))?;
                    let path = extension.path.unwrap_or(path);
                    let kind = kind(entry_type, &path).map_err(|reason| refused(&path, reason))?;
                    if kind != Kind::File && size != 0 {
                        return Err(refused(&path, "is no file but holds data").into());
                    }
                    let link = extension.link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
                    let (link, mtime) = (link.unwrap_or_default(), extension.mtime.unwrap_or(mtime));
                    return Ok(Some(Member { path, link, kind, size, mode, mtime }));
                }
            }
            extension.headers += 1;
            if extension.headers > EXTENDED_HEADERS {
                return Err(refused(&path, format!("has more than {EXTENDED_HEADERS} extended headers")).into());
            }
        }
    }

    /// Hands the data of the present member, piece by piece, to `write`.
    pub(crate) fn data(&mut self, mut write: impl FnMut(&[u8]) -> Result<(), UnpackError>) -> Result<(), UnpackError> {
        while self.data > 0 {
            let chunk = self.reader.fill_buf().map_err(UnpackError::Stream)?;
            if chunk.is_empty() {
                return Err(cut_off());
            }
            let count = chunk.len().min(usize::try_from(self.data).unwrap_or(usize::MAX));
            write(&chunk[..count])?;
            self.reader.consume(count);
            self.data -= count as u64;
        }
        Ok(())
    }

    fn skip(&mut self) -> Result<(), UnpackError> {
        self.data(|_| Ok(()))?;
        self.data = std::mem::take(&mut self.padding);
        self.data(|_| Ok(()))
    }

    /// Reads the data of a small member whole, and goes to the next header.
    fn extended(&mut self, path: &[u8]) -> Result<Vec<u8>, UnpackError> {
        if self.data > EXTENDED {
            return Err(refused(path, format!("is an extended header of more than {EXTENDED} bytes")).into());
        }
        let mut bytes = Vec::new();
        self.data(|chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        self.skip()?;
        Ok(bytes)
    }

    /// Reads a header; `None` is a block of zeros, the end.
    fn header(&mut self) -> Result<Option<Header>, UnpackError> {
        let mut block = [0; BLOCK];
        self.reader.read_exact(&mut block).map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => cut_off(),
            _ => UnpackError::Stream(cause),
        })?;
        if block == [0; BLOCK] {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte }))
            .sum();
        match header.cksum() {
            Ok(expected) if expected == sum => Ok(Some(header)),
            _ => Err(refused(b"", "has a damaged header").into()),
        }
    }
}

fn cut_off() -> UnpackError {
    UnpackError::Stream(io::Error::new(io::ErrorKind::UnexpectedEof, "ends early"))
}

fn kind(entry_type: EntryType, path: &[u8]) -> Result<Kind, &'static str> {
    match entry_type {
        // Before POSIX, a slash at the end made a folder.
        EntryType::Regular if path.ends_with(b"/") => Ok(Kind::Folder),
        EntryType::Regular | EntryType::Continuous => Ok(Kind::File),
        EntryType::Directory => Ok(Kind::Folder),
        EntryType::Symlink => Ok(Kind::Symlink),
        EntryType::Link => Ok(Kind::HardLink),
        EntryType::Char | EntryType::Block => Err("is a device"),
        EntryType::Fifo => Err("is a named pipe"),
        // Never asked for; what it says about sizes would have to be believed.
        EntryType::GNUSparse => Err("is a sparse file"),
        _ => Err("is of an unknown type"),
    }
}

impl Extension {
    fn set_path(&mut self, mut name: Vec<u8>) -> Result<(), ArchiveRefused> {
        if name.last() == Some(&0) {
            name.pop();
        }
        match self.path.replace(name) {
            None => Ok(()),
            Some(first) => Err(refused(&first, "has two names")),
        }
    }

    fn set_link(&mut self, mut target: Vec<u8>) -> Result<(), ArchiveRefused> {
        if target.last() == Some(&0) {
            target.pop();
        }
        match self.link.replace(target) {
            None => Ok(()),
            Some(first) => Err(refused(&first, "has two link targets")),
        }
    }

    /// Reads pax records, `<length> <key>=<value>\n`. Source: POSIX.1-2017, pax, Extended Header.
    fn read_pax(&mut self, mut records: &[u8]) -> Result<(), ArchiveRefused> {
        let malformed = || refused(b"", "has malformed pax records");
        while !records.is_empty() {
            let blank = records.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
            let length: usize = std::str::from_utf8(&records[..blank])
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(malformed)?;
            let record =
                records.get(blank + 1..length).and_then(|rest| rest.strip_suffix(b"\n")).ok_or_else(malformed)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.set_path(value.to_owned())?,
                b"linkpath" => self.set_link(value.to_owned())?,
                b"mtime" => {
                    let whole = value.split(|byte| *byte == b'.').next().unwrap_or(value);
                    self.mtime = std::str::from_utf8(whole).ok().and_then(|seconds| seconds.parse().ok());
                }
                // A second size is how one archive is made to look like two.
                b"size" => return Err(refused(self.path.as_deref().unwrap_or(b""), "has its size in a pax record")),
                _ if key.starts_with(b"GNU.sparse") => return Err(refused(b"", "is a sparse file")),
                _ => {}
            }
            records = &records[length..];
        }
        Ok(())
    }
}
