//! A file or folder of the host → a tar stream that depends on names, contents, modification times and x bits only, not
//! on the host's umask, owners or the order of its folders.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use tar::{EntryType, Header};
use walkdir::WalkDir;

/// A pipe's size and more, in bytes.
const BUFFER: usize = 128 * 1024;
const BLOCK: u64 = 512;

/// Writes a host file, or a folder with all that is in it, under its own name.
///
/// The path itself may be a symbolic link, since people keep large inputs elsewhere; links below it are packed as links.
/// Sockets are left out: nothing could answer in them. Devices and named pipes are refused.
pub(crate) fn pack(path: &Path, out: &mut dyn Write) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} has no name of its own", path.display())));
    };
    let mut packer = Packer { out: BufWriter::with_capacity(BUFFER, out), buffer: vec![0; BUFFER] };
    for entry in WalkDir::new(path).follow_root_links(true).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(path).display().to_string();
            let cause = error.into_io_error().unwrap_or_else(|| io::ErrorKind::InvalidInput.into());
            io::Error::new(cause.kind(), format!("{path}: {cause}"))
        })?;
        let within = entry.path().strip_prefix(path).unwrap_or(Path::new(""));
        let mut packed = name.as_bytes().to_vec();
        if !within.as_os_str().is_empty() {
            packed.push(b'/');
            packed.extend_from_slice(within.as_os_str().as_bytes());
        }
        let root = entry.depth() == 0;
        let meta = if root { fs::metadata(path) } else { fs::symlink_metadata(entry.path()) };
        let meta = meta.map_err(|cause| named(entry.path(), cause))?;
        packer.entry(entry.path(), &packed, &meta, root)?;
    }
    packer.out.write_all(&[0; 2 * BLOCK as usize])?;
    packer.out.flush()
}

fn named(path: &Path, cause: io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("{}: {cause}", path.display()))
}

struct Packer<'w> {
    out: BufWriter<&'w mut dyn Write>,
    buffer: Vec<u8>,
}

impl Packer<'_> {
    fn entry(&mut self, path: &Path, name: &[u8], meta: &Metadata, root: bool) -> io::Result<()> {
        let kind = meta.file_type();
        let mut header = Header::new_gnu();
        header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
        header.set_mode(if kind.is_dir() || kind.is_symlink() || meta.mode() & 0o111 != 0 { 0o755 } else { 0o644 });
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            self.header(header, &[name, b"/"].concat(), b"")
        } else if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            let target = fs::read_link(path).map_err(|cause| named(path, cause))?;
            self.header(header, name, target.as_os_str().as_bytes())
        } else if kind.is_file() {
            header.set_entry_type(EntryType::Regular);
            header.set_size(meta.len());
            // What was a file a moment ago must not be followed out of the folder now.
            let flags = if root { OFlag::empty() } else { OFlag::O_NOFOLLOW };
            let file = File::options().read(true).custom_flags(flags.bits()).open(path);
            let file = file.map_err(|cause| named(path, cause))?;
            self.header(header, name, b"")?;
            self.data(path, file, meta.len())
        } else if kind.is_socket() && !root {
            Ok(())
        } else {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, "is neither a file nor a folder nor a link");
            Err(named(path, cause))
        }
    }

    fn header(&mut self, mut header: Header, name: &[u8], link: &[u8]) -> io::Result<()> {
        self.long(EntryType::GNULongLink, link)?;
        self.long(EntryType::GNULongName, name)?;
        if let Some(gnu) = header.as_gnu_mut() {
            copy_start(&mut gnu.name, name);
            copy_start(&mut gnu.linkname, link);
        }
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    /// Writes a name that a header is too small for ahead of it. Source: GNU tar manual, Basic Tar Format.
    fn long(&mut self, kind: EntryType, text: &[u8]) -> io::Result<()> {
        if text.len() < 100 {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(text.len() as u64 + 1);
        header.set_mode(0o644);
        if let Some(gnu) = header.as_gnu_mut() {
            copy_start(&mut gnu.name, b"././@LongLink");
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(text)?;
        self.out.write_all(&[0])?;
        self.pad(text.len() as u64 + 1)
    }

    fn data(&mut self, path: &Path, mut file: File, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let wanted = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = match file.read(&mut self.buffer[..wanted]) {
                Ok(0) => {
                    let cause = io::Error::other("became shorter while it was copied");
                    return Err(named(path, cause));
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                answer => answer.map_err(|cause| named(path, cause))?,
            };
            self.out.write_all(&self.buffer[..count])?;
            left -= count as u64;
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = usize::try_from(size.wrapping_neg() % BLOCK).unwrap_or(0);
        self.out.write_all(&[0; BLOCK as usize][..padding])
    }
}

fn copy_start(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}
