//! A running machine: the backend's [`Target`].

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use gitian_process::{Status, Streams};
use serde::{Deserialize, Serialize};

use super::machine::{self, Machine, OPTION};
use super::manage::{Manage, PROGRAM};
use crate::boot::larger_disk;
use crate::document::{Which, remove_file};
use crate::ssh::{Ssh, Unreached};
use crate::{GuestCommand, GuestGone, Layer, Problem, Target, TargetId};

/// How the machine that runs for a working directory is reached: `var/vbox/machine.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Running {
    pub(super) target: Which,
    /// The port of the host that leads to its sshd.
    pub(super) port: u16,
}

impl Running {
    /// Returns where a working directory has this.
    pub(super) fn path(folder: &Path) -> PathBuf {
        folder.join("machine.yml")
    }
}

/// A running machine.
pub(super) struct Guest {
    pub(super) manage: Manage,
    /// Whose machine it is as long as that runs: afterwards another's builds may have it.
    pub(super) workdir: PathBuf,
    pub(super) name: String,
    pub(super) target: TargetId,
    pub(super) ssh: Ssh,
    pub(super) notice: Option<String>,
}

impl Guest {
    /// Returns why the guest is not reached: it is gone, it stands still, or else what ssh said.
    fn explained(&self, unreached: anyhow::Error) -> anyhow::Error {
        // VirtualBox may need a moment to notice that a machine's process has gone.
        let began = Instant::now();
        loop {
            match self.machine() {
                Ok(Some(Machine { info, .. })) if info.state != "running" => {
                    return stands_still(&self.name, &info.state).into();
                }
                Ok(Some(_)) if began.elapsed() < NOTICE => std::thread::sleep(Duration::from_millis(250)),
                Ok(Some(_)) => return unreached,
                Ok(None) => return GuestGone { target: self.target.to_string() }.into(),
                Err(error) => return error,
            }
        }
    }

    /// Returns the machine, if it is on for this guest.
    pub(super) fn machine(&self) -> Result<Option<Machine>> {
        let Some(info) = self.manage.info(&self.name)?.filter(|info| info.is_on()) else { return Ok(None) };
        let machine = Machine::new(&self.name, info)?;
        let is_ours = machine.owner()?.is_some_and(|owner| owner.folder == self.workdir);
        Ok(is_ours.then_some(machine))
    }

    /// Ends the guest; what has become another's is left alone.
    pub(super) fn end(&self, end: impl FnOnce() -> Result<()>) -> Result<()> {
        if let Some(machine) = self.machine()? {
            let _turn = machine.turn()?;
            if self.machine()?.is_some() {
                end()?;
            }
        }
        remove_file(&Running::path(&self.ssh.folder))
    }
}

/// How long VirtualBox may take to notice the end of a machine.
const NOTICE: Duration = Duration::from_secs(2);

/// The problem of a machine whose processors do not run.
fn stands_still(name: &str, state: &str) -> Problem {
    Problem {
        what: format!("machine {name} stands still: it is in the state '{state}'"),
        mend: format!("{PROGRAM} controlvm {name} resume    (or libexec/stop-target, then build again)"),
    }
}

impl Target for Guest {
    fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
        let stands_still =
            || self.manage.info(&self.name).is_ok_and(|info| info.is_some_and(|info| info.stands_still()));
        match self.ssh.run(command, streams, &stands_still) {
            Err(error) if error.is::<Unreached>() => Err(self.explained(error)),
            other => other,
        }
    }

    /// None is kept: a machine's disks are VirtualBox's own.
    fn keep_layer(&mut self, _layer: &Layer) -> Result<()> {
        Ok(())
    }

    fn stop(self: Box<Self>) -> Result<()> {
        let ended = self.end(|| machine::stop(&self.manage, &self.name, &self.ssh));
        self.ssh.disconnect();
        ended
    }

    fn detach(self: Box<Self>) -> Result<()> {
        // It belongs to VirtualBox anyway.
        Ok(())
    }

    fn room(&self) -> Option<String> {
        Some(larger_disk(OPTION, &self.target))
    }

    fn notice(&self) -> Option<String> {
        self.notice.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stands_still_is_told_with_its_state() {
        assert_eq!(stands_still("M", "paused").to_string(), "machine M stands still: it is in the state 'paused'");
    }
}
