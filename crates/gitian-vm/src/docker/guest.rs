//! A running guest: docker's [`Target`].

use std::cell::RefCell;
use std::io::{IsTerminal, stdin, stdout};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gitian_process::{Failure, Input, Output, Status, Streams, interrupt};

use super::{Docker, Record, args, engine, layer};
use crate::login::Login;
use crate::{GuestCommand, GuestGone, Layer, Network, Target, mark};

/// What a program's exit status looks like when it was killed.
const KILLED: i32 = 137;
/// How long an engine may take to notice that a guest has ended.
const MOMENT: Duration = Duration::from_secs(1);

/// A running guest.
pub(super) struct Guest {
    docker: Docker,
    /// Changes when the guest goes on without the network.
    record: RefCell<Record>,
}

impl Guest {
    pub(super) fn new(docker: Docker, record: Record) -> Self {
        Self { docker, record: RefCell::new(record) }
    }

    fn gone(&self) -> GuestGone {
        GuestGone { target: self.record.borrow().target.to_string() }
    }

    /// Whether the guest has ended, or does so this moment, if a command ended with this status.
    fn has_ended(&self, container: &str, status: Status) -> Result<bool> {
        // The engine tells of the command's end before it takes notice of the guest's.
        let patience = if status == Status::Exited(KILLED) { MOMENT } else { Duration::ZERO };
        let began = Instant::now();
        loop {
            if self.docker.is_running(container)? != Some(true) {
                return Ok(true);
            }
            if began.elapsed() >= patience {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends what a command has left running in the guest.
    fn end(&self, container: &str, mark: &str) {
        let end =
            self.docker.engine.command("exec").args(["--user=0:0", container, "/bin/bash", "-c", &mark::end(mark)]);
        // The guest may be what was lost.
        end.timeout(mark::PATIENCE).uninterruptible().run(Streams::default()).ok();
    }

    fn container(&self) -> Result<String> {
        let container = self.record.borrow().container.clone();
        container.with_context(|| format!("the target {} has no container", self.record.borrow().target))
    }
}

impl Target for Guest {
    /// A container's network cannot be taken from one command alone: for the first that must not have it the guest goes on
    /// in a container without, and does so until it is started again.
    fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
        if command.network == Network::Off && !self.record.borrow().offline {
            self.docker.move_on(&mut self.record.borrow_mut(), true)?;
        }
        let container = self.container()?;
        let login = Login::of(command, &self.record.borrow().target.distro);
        let mark = mark::new();
        let inherited = matches!((&streams.stdin, &streams.stdout), (Input::Inherit, Output::Inherit));
        let exec = args::Exec {
            container: &container,
            user: &login.name,
            folder: &login.home,
            input: !matches!(streams.stdin, Input::Empty),
            terminal: inherited && stdin().is_terminal() && stdout().is_terminal(),
            merged: streams.merged,
            mark: &mark,
        };
        let exec = self.docker.engine.command("exec").args(args::exec(&exec, login.argv(command))?);
        let status = match exec.run(streams) {
            Ok(outcome) => outcome.status,
            Err(failure) => {
                // Its end here is not yet its end there.
                if !matches!(failure, Failure::ProgramNotFound { .. } | Failure::NotStarted { .. }) {
                    self.end(&container, &mark);
                }
                return Err(failure.into());
            }
        };
        if !status.success() && self.has_ended(&container, status)? {
            interrupt::check()?;
            return Err(self.gone().into());
        }
        Ok(status)
    }

    fn keep_layer(&mut self, layer: &Layer) -> Result<()> {
        layer::keep(&self.docker.engine, &self.container()?, layer, &self.record.borrow().base)
    }

    /// What an interrupted build leaves is of no use, and is removed.
    fn stop(self: Box<Self>) -> Result<()> {
        if interrupt::received().is_some() {
            return self.docker.remove();
        }
        let container = self.container()?;
        if self.docker.is_running(&container)? == Some(true) {
            let stop = self.docker.engine.command("stop").args(["-t", "0", &container]).uninterruptible();
            self.docker.engine.run(&stop, Streams::default())?;
        }
        Ok(())
    }

    fn room(&self) -> Option<String> {
        Some(engine::room(self.docker.engine.program()))
    }

    fn detach(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
