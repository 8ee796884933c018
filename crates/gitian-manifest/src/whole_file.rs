//! Files that are there whole or not at all, and files of unknown origin that are read within a limit.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use tempfile::NamedTempFile;

/// Writes a file under a temporary name in its folder and then renames it, in place of what may be there.
///
/// Whoever looks sees the old content or the new, also when the process is killed or the disk is full; what a killed
/// process leaves is named `.<name>.….part`.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = beside(path, 0o666)?;
    file.write_all(bytes)?;
    put_in_place(file, path)
}

/// Makes a file under a temporary name in the folder of another, whose content it is to become: [`put_in_place`]. It gets
/// `mode` less the umask, as any other file does. An error names the folder if that is what is missing, and never the
/// temporary name, which nobody asked for.
pub fn beside(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    prefix.push(".");
    let made = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".part")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder);
    made.map_err(|error| match folder.metadata() {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            io::Error::new(why.kind(), format!("there is no folder {}", folder.display()))
        }
        Err(why) => why,
        Ok(there) if !there.is_dir() => {
            io::Error::new(io::ErrorKind::NotADirectory, format!("{} is no folder", folder.display()))
        }
        // The system's words, without the temporary name behind them.
        Ok(_) => match error.to_string().split_once(" at path ") {
            Some((words, _)) => io::Error::new(error.kind(), words.to_owned()),
            None => error,
        },
    })
}

/// Gives a file that was made with [`beside`] its name, in place of what may be there.
pub fn put_in_place(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Writes what a user asked for to where he wants it: a file as [`write_atomically`] does, behind a link the one that it
/// leads to; into a pipe or a device, which stay what they are.
pub fn write_out(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if there.is_file() => write_atomically(&fs::canonicalize(path)?, bytes),
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => File::options().write(true).open(path)?.write_all(bytes),
        Err(_) if path.is_symlink() => File::create(path)?.write_all(bytes),
        Err(_) => write_atomically(path, bytes),
    }
}

/// Reads a regular file of at most `limit` bytes, and nothing else: not through a link, not from a pipe or device.
pub fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Without waiting: opening a pipe would else wait for its writer.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags.bits()).open(path) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => return Err(refused("is a symbolic link")),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refused("is not a regular file"));
    }
    let mut bytes = Vec::with_capacity(metadata.len().min(limit) as usize);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(refused(&format!("is larger than {limit} bytes"))),
        false => Ok(bytes),
    }
}

fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_the_permissions_of_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        fs::write(&other, "").unwrap();
        for content in ["old and longer", "new"] {
            write_atomically(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for (path, says) in [
            ("taken", "Is a directory (os error 21)".to_owned()),
            ("none/file", format!("there is no folder {}/none", folder.path().display())),
            ("file/file", format!("{}/file is no folder", folder.path().display())),
        ] {
            assert_eq!(write_atomically(&folder.path().join(path), b"x").unwrap_err().to_string(), says);
        }
        assert!(write_atomically(Path::new("/"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_a_user_names_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "old").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = std::thread::spawn({
            let pipe = at("pipe");
            move || fs::read_to_string(pipe).unwrap()
        });
        std::os::unix::fs::symlink("other", at("nowhere")).unwrap();
        for name in ["link", "pipe", "new", "nowhere"] {
            write_out(&at(name), b"text").unwrap();
        }
        assert_eq!(reader.join().unwrap(), "text");
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "text");
        assert_eq!(fs::read_to_string(at("new")).unwrap(), "text");
        assert_eq!(fs::read_to_string(at("other")).unwrap(), "text");
        assert!(at("link").is_symlink() && at("nowhere").is_symlink() && !fs::metadata(at("pipe")).unwrap().is_file());
        assert_eq!(write_out(folder.path(), b"").unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn only_a_regular_file_within_the_limit_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "12345").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(read_file(&at("file"), 5).unwrap(), b"12345");
        for (name, reason) in
            [("link", "is a symbolic link"), ("pipe", "is not a regular file"), ("", "is not a regular file")]
        {
            assert_eq!(read_file(&at(name), 5).unwrap_err().to_string(), reason, "{name}");
        }
        assert_eq!(read_file(&at("file"), 4).unwrap_err().to_string(), "is larger than 4 bytes");
        assert_eq!(read_file(&at("none"), 4).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
