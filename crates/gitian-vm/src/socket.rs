//! Sockets of programs that serve a machine, in a folder however long its path is.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Connects to the socket of a name in a folder.
pub(crate) fn connect(folder: &Path, name: &str) -> io::Result<UnixStream> {
    // A socket's path is 107 bytes long at most; this one always is short.
    let open = File::open(folder)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{name}", open.as_raw_fd()))
}
