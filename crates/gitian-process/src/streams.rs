//! Where a program's input comes from and where its output goes.
//!
//! Pipes are polled rather than blocked on, so that a program's forgotten background child, which still holds the
//! other end, cannot keep us waiting after the program itself has ended.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Writes a program's standard input.
pub type Producer<'a> = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'a>;
/// Reads a program's output.
pub type Consumer<'a> = Box<dyn FnOnce(&mut dyn Read) -> io::Result<()> + Send + 'a>;

/// Where standard input comes from.
#[derive(Default)]
pub enum Input<'a> {
    /// Nothing: the program reads end of file.
    #[default]
    Empty,
    /// Our own standard input.
    Inherit,
    /// An open file.
    File(File),
    /// These bytes.
    Bytes(&'a [u8]),
    /// Whatever the function writes; it runs on a thread of its own.
    Produce(Producer<'a>),
}

/// Where standard output or standard error goes.
#[derive(Default)]
pub enum Output<'a> {
    /// Kept in memory: whole for standard output, the end of it for standard error.
    #[default]
    Capture,
    /// Nowhere.
    Discard,
    /// Our own standard output or error.
    Inherit,
    /// An open file.
    File(File),
    /// Into the function, which runs on a thread of its own.
    Consume(Consumer<'a>),
}

/// The three streams of one run. `Streams::default()`: empty input, both outputs captured.
#[derive(Default)]
pub struct Streams<'a> {
    /// Standard input.
    pub stdin: Input<'a>,
    /// Standard output.
    pub stdout: Output<'a>,
    /// Standard error.
    pub stderr: Output<'a>,
    /// Standard error goes through the same descriptor as standard output (`2>&1`), and `stderr` is not looked at.
    pub merged: bool,
}

impl<'a> Streams<'a> {
    /// Both outputs appended to one open file, in the order in which they were written.
    pub fn to_log(log: File) -> Self {
        Self { stdout: Output::File(log), merged: true, ..Self::default() }
    }

    /// Our own three streams.
    pub fn inherit() -> Self {
        Self { stdin: Input::Inherit, stdout: Output::Inherit, stderr: Output::Inherit, merged: false }
    }

    /// Whether the program gets one of our own streams.
    pub(crate) fn share_ours(&self) -> bool {
        matches!(self.stdin, Input::Inherit)
            || matches!(self.stdout, Output::Inherit)
            || matches!(self.stderr, Output::Inherit) && !self.merged
    }

    /// The same streams with another standard input.
    pub fn with_input(self, stdin: Input<'a>) -> Self {
        Self { stdin, ..self }
    }
}

/// How long a pipe that the ended program left open may stay silent before it counts as closed, in milliseconds.
const GRACE_MS: u8 = 200;

/// How long, and how many bytes, such a pipe is still read: what was on its way through a `tee` arrives, a child that
/// writes for ever is left alone.
const LAST_WORDS: (Duration, usize) = (Duration::from_secs(5), 1 << 20);

/// The reading end of a program's output.
pub(crate) struct PipeReader<'e> {
    pipe: OwnedFd,
    ended: &'e AtomicBool,
    /// Since when the program is known to have ended, and what was read since.
    last_words: Option<(Instant, usize)>,
}

impl<'e> PipeReader<'e> {
    pub(crate) fn new(pipe: OwnedFd, ended: &'e AtomicBool) -> Self {
        Self { pipe, ended, last_words: None }
    }
}

impl Read for PipeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Looked at before the wait: what was written before the end is still read.
            let ended = self.ended.load(Ordering::Acquire);
            if ended {
                let (since, read) = *self.last_words.get_or_insert_with(|| (Instant::now(), 0));
                if since.elapsed() > LAST_WORDS.0 || read > LAST_WORDS.1 {
                    return Ok(0);
                }
            }
            let mut wanted = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
            match poll(&mut wanted, PollTimeout::from(GRACE_MS)) {
                Ok(0) if ended => return Ok(0),
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => match nix::unistd::read(&self.pipe, buffer) {
                    Err(Errno::EINTR | Errno::EAGAIN) => continue,
                    Ok(count) => {
                        if let Some((_, read)) = &mut self.last_words {
                            *read += count;
                        }
                        return Ok(count);
                    }
                    Err(errno) => return Err(errno.into()),
                },
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// The writing end of a program's input.
pub(crate) struct PipeWriter<'e> {
    pipe: OwnedFd,
    ended: &'e AtomicBool,
}

impl<'e> PipeWriter<'e> {
    pub(crate) fn new(pipe: OwnedFd, ended: &'e AtomicBool) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { pipe, ended })
    }
}

impl Write for PipeWriter<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            match nix::unistd::write(&self.pipe, buffer) {
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => {
                    if self.ended.load(Ordering::Acquire) {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                    let mut wanted = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLOUT)];
                    match poll(&mut wanted, PollTimeout::from(GRACE_MS)) {
                        Ok(_) | Err(Errno::EINTR) => continue,
                        Err(errno) => return Err(errno.into()),
                    }
                }
                answer => return Ok(answer?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
