//! The program VBoxManage: asked and told.

use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use anyhow::Result;
use gitian_process::{Command, Streams};

use super::answer::{Answer, Refused, Why, judge};
use super::info::Info;

/// The program.
pub(super) const PROGRAM: &str = "VBoxManage";
/// How long it may take: a disk of many GB may have to be removed.
const LIMIT: Duration = Duration::from_secs(300);
/// How long a machine may be busy with its own end: for a moment after it has ended, nobody else can have it.
const BUSY: Duration = Duration::from_secs(15);

/// VBoxManage.
#[derive(Clone, Debug)]
pub(super) struct Manage {
    program: OsString,
}

impl Manage {
    pub(super) fn new(program: impl AsRef<OsStr>) -> Self {
        Self { program: program.as_ref().into() }
    }

    /// Runs it. What it is told to do is not broken off half-way: it is short, and nobody would know how far it came.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Answer> {
        // Its words are recognised: they have to be English ones.
        let command = Command::new(&self.program).args(args).env("LC_ALL", "C").timeout(LIMIT).uninterruptible();
        let began = Instant::now();
        loop {
            let outcome = command.run(Streams::default())?;
            let [stdout, stderr] = [&outcome.stdout, &outcome.stderr].map(|bytes| String::from_utf8_lossy(bytes));
            match judge(&command.to_string(), outcome.status, &stdout, &stderr) {
                Err(Refused { why: Why::Busy, .. }) if began.elapsed() < BUSY => {
                    std::thread::sleep(Duration::from_millis(300));
                }
                other => return Ok(other?),
            }
        }
    }

    /// Asks about a machine; `None` if there is none of this name.
    pub(super) fn info(&self, machine: &str) -> Result<Option<Info>> {
        match self.run(["showvminfo", machine, "--machinereadable"]) {
            Ok(answer) => Ok(Some(Info::parse(&answer.text))),
            Err(error) if why(&error) == Some(Why::NoMachine) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a machine of this name runs, or does anything else that can be ended.
    pub(super) fn is_on(&self, machine: &str) -> Result<bool> {
        Ok(self.info(machine)?.is_some_and(|info| info.is_on()))
    }
}

/// Returns why VBoxManage refused, if that is what an error is about.
pub(super) fn why(error: &anyhow::Error) -> Option<Why> {
    error.downcast_ref::<Refused>().map(|refused| refused.why)
}
