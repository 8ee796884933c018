//! A hostile tar stream → a folder. Nothing outside of that folder is touched, whatever the stream says.
//!
//! Every path is walked from the folder's own descriptor, one component at a time, without following links; links are
//! made, never used. Owner is the caller; the caller's umask applies; setuid, setgid and sticky bits are dropped; folders
//! stay usable and files readable and writable for the caller.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fstat, fstatat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use crate::archive::{ArchiveRefused, Kind, Member, Members, UnpackError};

/// What a stream out of a guest may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together; a hard link counts like the file it repeats.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

/// How long a path may be, in bytes. Source: Linux, PATH_MAX.
const PATH_LENGTH: usize = 4095;
/// How long the name of one file or folder may be, in bytes. Source: Linux, NAME_MAX.
const NAME_LENGTH: usize = 255;
/// How deep folders may lie in one another: deleting them must not need more descriptors than a process usually has.
const DEPTH: usize = 200;

/// Unpacks a whole tar stream into an existing, empty folder.
///
/// Hard links become copies of what they repeat, which must be a regular file that was unpacked before; symbolic links are
/// made as they are, wherever they point. Modification times are kept, in seconds. After an error, the folder holds some
/// of the stream.
///
/// # Errors
/// [`UnpackError::Refused`] names the entry; [`UnpackError::Stream`] of kind `UnexpectedEof` is a stream that was cut off.
pub fn unpack(reader: impl Read, into: &Path, limits: Limits) -> Result<(), UnpackError> {
    let mut unpacker = Unpacker::new(into, limits)?;
    let mut members = Members::new(reader);
    while let Some(member) = members.next()? {
        unpacker.member(&member, &mut members)?;
    }
    unpacker.finish()
}

struct Unpacker {
    into: PathBuf,
    root: OwnedFd,
    /// The folder of the last entry, since the next one is usually beside it.
    last: (Vec<u8>, OwnedFd),
    limits: Limits,
    bytes: u64,
    entries: u64,
    /// Folders and their times, which are set when nothing is put into them any more.
    folders: Vec<(Vec<u8>, i64)>,
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

impl Unpacker {
    fn new(into: &Path, limits: Limits) -> Result<Self, UnpackError> {
        let open = |at| openat(at, into, FOLDER, Mode::empty());
        let write = |errno: Errno| UnpackError::Write { path: into.to_owned(), cause: errno.into() };
        let root = open(AT_FDCWD).map_err(write)?;
        let last = (Vec::new(), open(AT_FDCWD).map_err(write)?);
        Ok(Self { into: into.to_owned(), root, last, limits, bytes: 0, entries: 0, folders: Vec::new() })
    }

    fn member<R: Read>(&mut self, member: &Member, members: &mut Members<R>) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(member.refused(format!("is one more than the {} allowed", self.limits.entries)).into());
        }
        let components = components(member, &member.path)?;
        let Some((name, parents)) = components.split_last() else {
            // `./`, the folder itself.
            return match member.kind {
                Kind::Folder => {
                    self.folders.push((b".".to_vec(), member.mtime));
                    Ok(())
                }
                _ => Err(member.refused("has no name").into()),
            };
        };
        if member.kind == Kind::HardLink {
            // Opened before the entry's own place is cleared, which may be the same.
            let (source, stat) = self.linked(member)?;
            self.enter(member, parents)?;
            self.take_bytes(member, u64::try_from(stat.st_size).unwrap_or(u64::MAX))?;
            return self.copy(member, name, source, &stat);
        }
        self.enter(member, parents)?;
        match member.kind {
            Kind::Folder => self.folder(member, name, &components),
            Kind::Symlink => self.symlink(member, name),
            Kind::File | Kind::HardLink => {
                self.take_bytes(member, member.size)?;
                let mut file = self.create(member, name, member.mode)?;
                members.data(|chunk| file.write_all(chunk).map_err(|cause| self.write_error(member, cause)))?;
                self.set_time(member, &file, member.mtime)
            }
        }
    }

    fn finish(self) -> Result<(), UnpackError> {
        for (path, mtime) in self.folders.iter().rev() {
            let (atime, mtime) = (TimeSpec::UTIME_OMIT, TimeSpec::new(*mtime, 0));
            // All components are folders that were made here, and a folder is never replaced.
            utimensat(&self.root, path.as_slice(), &atime, &mtime, UtimensatFlags::NoFollowSymlink)
                .map_err(|errno| UnpackError::Write { path: self.into.clone(), cause: errno.into() })?;
        }
        Ok(())
    }

    fn take_bytes(&mut self, member: &Member, size: u64) -> Result<(), ArchiveRefused> {
        self.bytes = self.bytes.saturating_add(size);
        match self.bytes > self.limits.bytes {
            true => Err(member.refused(format!("makes it more than the {} bytes allowed", self.limits.bytes))),
            false => Ok(()),
        }
    }

    fn write_error(&self, member: &Member, cause: impl Into<io::Error>) -> UnpackError {
        use std::os::unix::ffi::OsStrExt;
        let path = self.into.join(std::ffi::OsStr::from_bytes(&member.path));
        UnpackError::Write { path, cause: cause.into() }
    }

    /// Makes the folder of an entry the present one; folders that the archive left out are made.
    fn enter(&mut self, member: &Member, parents: &[&[u8]]) -> Result<(), UnpackError> {
        let path = parents.join(&b'/');
        if path != self.last.0 {
            self.last = (path, self.walk(member, parents, true)?);
        }
        Ok(())
    }

    fn walk(&self, member: &Member, parents: &[&[u8]], make: bool) -> Result<OwnedFd, UnpackError> {
        let mut folder =
            openat(&self.root, ".", FOLDER, Mode::empty()).map_err(|errno| self.write_error(member, errno))?;
        for name in parents {
            if make {
                match mkdirat(&folder, *name, Mode::from_bits_truncate(0o777)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(self.write_error(member, errno)),
                }
            }
            folder = openat(&folder, *name, FOLDER, Mode::empty()).map_err(|errno| match errno {
                Errno::ELOOP | Errno::ENOTDIR => member.refused("leads through something that is not a folder").into(),
                Errno::ENOENT => member.refused("is linked to nothing that came before").into(),
                _ => self.write_error(member, errno),
            })?;
        }
        Ok(folder)
    }

    fn folder(&mut self, member: &Member, name: &[u8], components: &[&[u8]]) -> Result<(), UnpackError> {
        let mode = Mode::from_bits_truncate(member.mode & 0o777 | 0o700);
        match mkdirat(&self.last.1, name, mode) {
            Ok(()) => {}
            Err(Errno::EEXIST) => match self.stat(name) {
                Ok(stat) if is(&stat, SFlag::S_IFDIR) => {}
                Ok(_) => return Err(member.refused("is a folder, but was a file or link before").into()),
                Err(errno) => return Err(self.write_error(member, errno)),
            },
            Err(errno) => return Err(self.write_error(member, errno)),
        }
        self.folders.push((components.join(&b'/'), member.mtime));
        Ok(())
    }

    fn symlink(&self, member: &Member, name: &[u8]) -> Result<(), UnpackError> {
        if member.link.is_empty() || member.link.len() > PATH_LENGTH || member.link.contains(&0) {
            return Err(member.refused("is a link to nowhere").into());
        }
        self.clear(member, name)?;
        symlinkat(member.link.as_slice(), &self.last.1, name).map_err(|errno| self.write_error(member, errno))?;
        let (atime, mtime) = (TimeSpec::UTIME_OMIT, TimeSpec::new(member.mtime, 0));
        utimensat(&self.last.1, name, &atime, &mtime, UtimensatFlags::NoFollowSymlink)
            .map_err(|errno| self.write_error(member, errno))
    }

    /// Opens what a hard link repeats: a regular file that was unpacked before.
    fn linked(&self, member: &Member) -> Result<(File, FileStat), UnpackError> {
        let components = components(member, &member.link)?;
        let Some((name, parents)) = components.split_last() else {
            return Err(member.refused("is linked to a folder").into());
        };
        let folder = self.walk(member, parents, false)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let source = openat(&folder, *name, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::ENOENT => member.refused("is linked to nothing that came before").into(),
            Errno::ELOOP => member.refused("is linked to a symbolic link").into(),
            _ => self.write_error(member, errno),
        })?;
        let stat = fstat(&source).map_err(|errno| self.write_error(member, errno))?;
        match is(&stat, SFlag::S_IFREG) {
            true => Ok((source.into(), stat)),
            false => Err(member.refused("is linked to a folder").into()),
        }
    }

    fn copy(&self, member: &Member, name: &[u8], mut source: File, stat: &FileStat) -> Result<(), UnpackError> {
        let mut file = self.create(member, name, stat.st_mode)?;
        source
            .rewind()
            .and_then(|()| io::copy(&mut source, &mut file))
            .map_err(|cause| self.write_error(member, cause))?;
        self.set_time(member, &file, stat.st_mtime)
    }

    /// Makes a new file in the present folder.
    fn create(&self, member: &Member, name: &[u8], mode: u32) -> Result<File, UnpackError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(mode & 0o777 | 0o600);
        let open = || openat(&self.last.1, name, flags, mode);
        let file = match open() {
            Err(Errno::EEXIST) => {
                self.clear(member, name)?;
                open()
            }
            answer => answer,
        };
        file.map(File::from).map_err(|errno| self.write_error(member, errno))
    }

    /// Removes what an earlier entry of the same name left; the last one counts, as for every tar.
    fn clear(&self, member: &Member, name: &[u8]) -> Result<(), UnpackError> {
        match self.stat(name) {
            Err(Errno::ENOENT) => Ok(()),
            Ok(stat) if is(&stat, SFlag::S_IFDIR) => Err(member.refused("is no folder, but was one before").into()),
            Ok(_) => unlinkat(&self.last.1, name, UnlinkatFlags::NoRemoveDir)
                .map_err(|errno| self.write_error(member, errno)),
            Err(errno) => Err(self.write_error(member, errno)),
        }
    }

    fn stat(&self, name: &[u8]) -> nix::Result<FileStat> {
        fstatat(&self.last.1, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    fn set_time(&self, member: &Member, file: &impl AsFd, mtime: i64) -> Result<(), UnpackError> {
        futimens(file, &TimeSpec::UTIME_OMIT, &TimeSpec::new(mtime, 0)).map_err(|errno| self.write_error(member, errno))
    }
}

fn is(stat: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == kind
}

/// Returns the parts of a path below the folder; none for the folder itself.
fn components<'p>(member: &Member, path: &'p [u8]) -> Result<Vec<&'p [u8]>, ArchiveRefused> {
    let reason = match path {
        b"" => "has an empty path",
        _ if path.starts_with(b"/") => "has an absolute path",
        _ if path.contains(&0) => "has a NUL in its path",
        _ if path.len() > PATH_LENGTH => "has a path of more than 4095 bytes",
        _ => "",
    };
    if !reason.is_empty() {
        return Err(member.refused(reason));
    }
    let components: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    let reason = match components.as_slice() {
        names if names.contains(&b"..".as_slice()) => "has '..' in its path",
        names if names.iter().any(|name| name.len() > NAME_LENGTH) => "has a name of more than 255 bytes",
        names if names.len() > DEPTH => "lies more than 200 folders deep",
        _ => return Ok(components),
    };
    Err(member.refused(reason))
}
