//! The user's terminal, asked for what only he knows; standard input may be something else.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use anyhow::{Result, bail};
use gitian_process::interrupt;
use gitian_sign::Passphrase;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// How often a question looks whether we were asked to stop, in milliseconds.
const STEP_MS: u8 = 100;
/// The longest line that is read, in bytes: what the terminal itself allows.
const LINE: usize = 4096;

/// There is nobody to ask.
#[derive(Debug, thiserror::Error)]
#[error("there is no terminal to ask for {wanted}")]
pub struct NoTerminal {
    /// What was to be asked.
    pub wanted: &'static str,
}

impl NoTerminal {
    /// Whether to sign.
    pub const CONSENT: &'static str = "your consent";
    /// The passphrase of a secret key.
    pub const PASSPHRASE: &'static str = "the passphrase of the key";
}

/// The terminal that we were started from.
pub struct Terminal {
    device: File,
}

impl Terminal {
    /// Opens the terminal to ask for something.
    ///
    /// # Errors
    ///
    /// [`NoTerminal`].
    pub fn open(wanted: &'static str) -> Result<Self> {
        let device = File::options().read(true).write(true).open("/dev/tty").map_err(|_| NoTerminal { wanted })?;
        Ok(Self { device })
    }

    /// Writes a text.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.device.write_all(text.as_bytes())
    }

    /// Asks for a passphrase, which is not shown.
    pub fn passphrase(&mut self, question: &str) -> Result<Passphrase> {
        let hidden = Hidden::new(self.device.try_clone()?)?;
        self.say(question)?;
        let line = self.line();
        drop(hidden);
        // The end of the line was not shown either.
        self.say("\n")?;
        Ok(Passphrase::of_line(line?))
    }

    /// Asks a question; anything but `y` or `yes` means no.
    pub fn consents(&mut self, question: &str) -> Result<bool> {
        self.say(&format!("{question} [y/N] "))?;
        let answer = self.line()?;
        Ok([&b"y"[..], b"yes"].iter().any(|yes| answer.trim_ascii().eq_ignore_ascii_case(yes)))
    }

    /// Reads a line into one allocation. Ctrl-c ends the wait.
    fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            interrupt::check()?;
            let mut waited = [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waited, PollTimeout::from(STEP_MS)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
                Ok(_) => {}
                Err(cause) => return Err(cause.into()),
            }
            let mut line = vec![0; LINE];
            match self.device.read(&mut line) {
                Ok(0) => bail!("the terminal was closed"),
                Ok(length) => {
                    line.truncate(length);
                    return Ok(line);
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause.into()),
            }
        }
    }
}

/// A terminal that does not show what is typed, until dropped.
struct Hidden {
    device: File,
    before: Termios,
}

impl Hidden {
    fn new(device: File) -> Result<Self> {
        let before = tcgetattr(&device)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        // What was typed ahead was shown and is not meant for this.
        tcsetattr(&device, SetArg::TCSAFLUSH, &hidden)?;
        Ok(Self { device, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        tcsetattr(&self.device, SetArg::TCSAFLUSH, &self.before).ok();
    }
}
