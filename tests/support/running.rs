//! A program that runs while a test looks on, and what is left of it afterwards.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::programs::Answer;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs until it ends by itself, is told to, or is dropped.
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts a prepared program with both outputs piped.
    pub fn start(command: &mut std::process::Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Sends a signal to its process group, as a terminal does; for one that was started in a group of its own.
    pub fn signal_group(&self, signal: Signal) {
        killpg(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub fn answer(mut self) -> Answer {
        let ended = within(PATIENCE, || self.has_ended());
        assert!(ended, "process {} does not end", self.pid());
        let status = self.child.wait().unwrap();
        let read = |pipe: Option<&mut dyn Read>| {
            let mut bytes = Vec::new();
            pipe.unwrap().read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Answer {
            stdout: read(self.child.stdout.as_mut().map(|pipe| pipe as &mut dyn Read)),
            stderr: read(self.child.stderr.as_mut().map(|pipe| pipe as &mut dyn Read)),
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Whether something becomes true in this time.
pub fn within(limit: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if is_true() {
            return true;
        }
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes whose environment or command line holds a text, this one aside: environments tell which working
/// directory a program of ours runs for (HOME), command lines of guests' programs are seen from the host.
pub fn processes_with(text: &str) -> Vec<PathBuf> {
    let own = format!("/proc/{}", std::process::id());
    let holds = |path: PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().chars().all(|c| c.is_ascii_digit()))
        .filter(|path| *path != Path::new(&own))
        .filter(|path| holds(path.join("environ")) || holds(path.join("cmdline")))
        .collect()
}
