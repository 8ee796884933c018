//! Standard output and standard error, which may lose their readers: `gverify --all | head` is no failure of ours.

use std::io::{self, ErrorKind, Write};

use anyhow::Error;

/// The exit code when nobody reads on: that of a program which SIGPIPE ends.
pub const READER_GONE: u8 = 141;

/// Whoever read standard output has gone away.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
struct ReaderGone;

/// Standard output; that its reader has gone away is told apart from every other broken pipe.
pub struct Printed<W>(pub W);

impl<W: Write> Write for Printed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(told)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(told)
    }
}

/// Writes a line to standard error. A reader that has gone away must not end the program, as `eprintln!` would.
pub fn tell(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

fn told(cause: io::Error) -> io::Error {
    match cause.kind() {
        ErrorKind::BrokenPipe => io::Error::new(ErrorKind::BrokenPipe, ReaderGone),
        _ => cause,
    }
}

/// Whether an error says that nobody reads on.
pub fn is_reader_gone(error: &Error) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause.is_some_and(|inner| inner.is::<ReaderGone>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refuses(ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn only_a_reader_of_standard_output_can_be_gone() {
        let failed = |kind| Error::new(Printed(Refuses(kind)).write(b"x").unwrap_err()).context("a line");
        assert!(is_reader_gone(&failed(ErrorKind::BrokenPipe)));
        assert!(!is_reader_gone(&failed(ErrorKind::StorageFull)));
        assert!(!is_reader_gone(&Error::new(io::Error::from(ErrorKind::BrokenPipe))));
    }
}
