//! Namespaces with a first process that keeps them: started, found again, entered, ended.
//!
//! An enclosure dies with its owner, whatever happens to the owner, unless it was told to live on. A guest is one; a
//! smaller kind, which has only the user ids, is where files that belong to guests are made, moved and removed.

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gitian_process::{Command, Failure, Outcome, Streams};
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::wait::WaitPidFlag;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::enter::{self, ALL, Bounds, Doors, Entry, Handle, NotBorn, Program, Stage, Step, USER};
use super::id_map::IdMap;

/// How long an enclosure's end may take.
const END: Duration = Duration::from_secs(20);
/// How long the host may take to notice that processes inside have ended whose parents outside ended before them. Some
/// containers' first processes never do.
const NOTICE: Duration = Duration::from_secs(2);

/// Running namespaces.
pub(crate) struct Enclosure {
    init: Init,
    handle: Handle,
    doors: Arc<Doors>,
    /// `None` for one that somebody else owns or that lives on by itself.
    lifeline: Option<OwnedFd>,
    child: bool,
}

/// Identifies an enclosure's first process across processes and restarts of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Init {
    /// Its process id.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the host's start.
    pub(crate) started: u64,
    /// Which start of the host that was.
    pub(crate) boot: String,
}

impl Init {
    fn of(pid: Pid) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        // Fields are counted behind the name, which may hold blanks: starttime is field 22.
        let started = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse().ok());
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Self {
            pid: pid.as_raw(),
            started: started.with_context(|| format!("{path} has no start time"))?,
            boot: boot.trim().to_owned(),
        })
    }
}

/// Someone inside an enclosure.
pub(crate) struct Insider {
    /// User and group id.
    pub(crate) id: u32,
    /// The folder to start in; `None`: the command's.
    pub(crate) folder: Option<CString>,
    /// The program; `None`: the command's.
    pub(crate) program: Option<Program>,
    /// Limits of a guest.
    pub(crate) bounds: Option<Bounds>,
    /// Only a loopback of its own for a network.
    pub(crate) without_network: bool,
}

impl Insider {
    /// Root of the enclosure, running what the command says.
    pub(crate) fn root() -> Self {
        Self { id: 0, folder: None, program: None, bounds: None, without_network: false }
    }
}

/// A command could not be put to an enclosure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEntered {
    /// On the way in.
    #[error("{}: {cause}", stage.describe())]
    Stage {
        /// Where.
        stage: Stage,
        /// What the system said.
        cause: Failure,
    },
    /// As with any other program.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl NotEntered {
    /// Returns what is the matter without this envelope, which nobody outside looks into.
    pub(crate) fn opened(self) -> anyhow::Error {
        match self {
            Self::Failure(failure) => failure.into(),
            stage @ Self::Stage { .. } => stage.into(),
        }
    }
}

impl Enclosure {
    /// Starts one with all namespaces (the network is the host's), prepared by these steps. Its first process holds
    /// `kept` open as long as it lives.
    pub(crate) fn start(map: &IdMap, steps: &[Step], kept: Option<BorrowedFd<'_>>) -> Result<Self, NotBorn> {
        Self::start_with(ALL, map, steps, kept)
    }

    /// Starts one that has only the user ids and sees the host's files with them.
    pub(crate) fn of_ids(map: &IdMap) -> Result<Self, NotBorn> {
        Self::start_with(USER, map, &[], None)
    }

    fn start_with(
        namespaces: CloneFlags,
        map: &IdMap,
        steps: &[Step],
        kept: Option<BorrowedFd<'_>>,
    ) -> Result<Self, NotBorn> {
        let mut doors = None;
        let born = enter::start(namespaces, steps, kept, |pid| {
            map.write(pid)?;
            // Before the steps: afterwards the process no longer lets its namespaces be seen by its owner.
            doors = Some((Doors::open(pid, namespaces)?, Handle::open(pid)?, Init::of(pid)?));
            Ok(())
        })?;
        let (doors, handle, init) = doors.ok_or(NotBorn::Ended)?;
        Ok(Self { init, handle, doors: Arc::new(doors), lifeline: Some(born.lifeline), child: true })
    }

    /// Identifies its first process.
    pub(crate) fn init(&self) -> &Init {
        &self.init
    }

    /// Returns the enclosure of this first process if it still runs.
    pub(crate) fn find(init: &Init) -> Result<Option<Self>> {
        let pid = Pid::from_raw(init.pid);
        // The handle is opened before the look at the start time: what the two agree on is one process.
        let Ok(handle) = Handle::open(pid) else { return Ok(None) };
        if Init::of(pid).ok().as_ref() != Some(init) || handle.has_ended_within(0)? {
            return Ok(None);
        }
        let doors = match Doors::open(pid, ALL) {
            Ok(doors) => doors,
            // One that is ending has none any more, but may have processes that still write.
            Err(_) if wait_for_end(&handle, pid)? => return Ok(None),
            Err(error) => return Err(error).context("open the guest's namespaces"),
        };
        Ok(Some(Self { init: init.clone(), handle, doors: Arc::new(doors), lifeline: None, child: false }))
    }

    /// Whether its first process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.handle.has_ended_within(0).unwrap_or(true)
    }

    /// Whether its first process has ended or does so this moment: it is the last one to go.
    pub(crate) fn is_ending(&self) -> bool {
        const MOMENT_MS: u16 = 500;
        self.handle.has_ended_within(MOMENT_MS).unwrap_or(true)
    }

    /// Runs a command inside.
    pub(crate) fn run(&self, command: &Command, insider: Insider, streams: Streams<'_>) -> Result<Outcome, NotEntered> {
        let entry = Entry {
            doors: Arc::clone(&self.doors),
            id: insider.id,
            folder: insider.folder,
            program: insider.program,
            bounds: insider.bounds,
            without_network: insider.without_network,
        };
        let not_started = |cause| Failure::NotStarted { command_line: command.to_string(), cause };
        let (mut stage, report) = std::io::pipe().map_err(not_started)?;
        nix::fcntl::fcntl(stage.as_fd(), nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|errno| not_started(errno.into()))?;
        let result = command.run_prepared(streams, |command| enter::prepare(command, entry, report.into()));
        let mut byte = [0];
        match (result, stage.read(&mut byte)) {
            (Err(cause), Ok(1)) => match Stage::from_byte(byte[0]) {
                Some(stage) => Err(NotEntered::Stage { stage, cause }),
                None => Err(cause.into()),
            },
            (result, _) => Ok(result?),
        }
    }

    /// Runs a program of the host with the enclosure's ids, as its root; a status other than 0 is an error.
    pub(crate) fn run_ok(&self, command: &Command, streams: Streams<'_>) -> Result<Outcome> {
        let outcome = self.run(command, Insider::root(), streams).map_err(NotEntered::opened)?;
        if outcome.status.success() {
            return Ok(outcome);
        }
        let text = String::from_utf8_lossy(&outcome.stderr).into_owned();
        Err(failed(command, &outcome, &text).into())
    }

    /// Ends it and everything inside, and waits for the end.
    pub(crate) fn end(mut self) -> Result<()> {
        self.kill()
    }

    fn kill(&mut self) -> Result<()> {
        self.handle.kill().context("end the guest's first process")?;
        if !wait_for_end(&self.handle, Pid::from_raw(self.init.pid))? {
            bail!("the guest's first process (pid {}) does not end", self.init.pid);
        }
        if std::mem::take(&mut self.child) {
            // Here it is certain to have ended, or another will take notice of its end.
            nix::sys::wait::waitpid(Pid::from_raw(self.init.pid), Some(WaitPidFlag::WNOHANG)).ok();
        }
        Ok(())
    }

    /// Lets it live on without this process.
    pub(crate) fn release(mut self) -> Result<()> {
        if let Some(lifeline) = self.lifeline.take() {
            std::fs::File::from(lifeline).write_all(b"d").context("release the guest")?;
        }
        self.child = false;
        Ok(())
    }
}

/// Waits for the end of a first process and of all that ran inside; whether it came.
fn wait_for_end(handle: &Handle, pid: Pid) -> Result<bool> {
    const PATIENCE_MS: u16 = 50;
    let began = Instant::now();
    loop {
        if handle.has_ended_within(PATIENCE_MS)? {
            return Ok(true);
        }
        // It gives up its namespaces when it ends; then everything inside is ended, and it waits until that is noticed.
        let is_ending = std::fs::read_link(format!("/proc/{pid}/ns/uts")).is_err();
        if began.elapsed() > if is_ending { NOTICE } else { END } {
            return Ok(is_ending);
        }
    }
}

impl Drop for Enclosure {
    /// Ends an enclosure that is ours: one that was forgotten on the way of an error.
    fn drop(&mut self) {
        if self.child {
            self.kill().ok();
        }
    }
}

/// Returns the error of a program that ended badly, with the last lines of what it said.
pub(crate) fn failed(command: &Command, outcome: &Outcome, said: &str) -> Failure {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last_lines = lines[lines.len().saturating_sub(10)..].iter().map(|line| (*line).to_owned()).collect();
    Failure::ProgramFailed { command_line: command.to_string(), status: outcome.status, last_lines }
}
