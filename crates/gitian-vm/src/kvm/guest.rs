//! A running machine: the backend's [`Target`].

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use gitian_process::{Input, Status, Streams};
use serde::{Deserialize, Serialize};

use super::base_image::OPTION;
use super::layer::Layers;
use super::machine::{self, MachinePlace};
use super::qmp::Qmp;
use super::{Image, overlay};
use crate::boot::larger_disk;
use crate::document::{Which, read_document, write_document};
use crate::ssh::{SYNC, Ssh, Unreached};
use crate::{GuestCommand, GuestGone, GuestUser, Layer, Problem, Target, TargetId};

/// A machine that runs: `var/kvm/machine.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Running {
    pub(super) target: Which,
    /// The port of the host that leads to its sshd.
    pub(super) port: u16,
}

/// A running machine.
pub(super) struct Guest {
    pub(super) place: MachinePlace,
    pub(super) target: TargetId,
    pub(super) ssh: Ssh,
    pub(super) layers: Layers,
    pub(super) notice: Option<String>,
}

impl Guest {
    /// Returns why the guest is not reached: it is gone, it stands still, or else what ssh said.
    fn explained(&self, unreached: anyhow::Error) -> anyhow::Error {
        let gone = || anyhow::Error::from(GuestGone { target: self.target.to_string() });
        match self.place.process() {
            Ok(Some(_)) => {}
            Ok(None) => return gone(),
            Err(error) => return error,
        }
        match standstill(&self.place.folder()) {
            Some(state) => stands_still(&self.target, &state).into(),
            None => unreached,
        }
    }
}

/// Returns the state of a machine that says that its processors do not run.
fn standstill(folder: &Path) -> Option<String> {
    Qmp::connect(folder).and_then(|mut qmp| qmp.state()).ok().filter(|state| state != "running")
}

/// Returns the problem of a machine whose processors do not run.
fn stands_still(target: &TargetId, state: &str) -> Problem {
    match state {
        "io-error" => Problem {
            what: format!("the guest {target} stands still: its disk could not be written on the host"),
            mend: "make room on the disk (`df -h .`), then build again".into(),
        },
        _ => Problem {
            what: format!("the guest {target} stands still: its machine is in the state '{state}'"),
            mend: "libexec/stop-target, then build again".into(),
        },
    }
}

impl Target for Guest {
    fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
        let folder = self.place.folder();
        match self.ssh.run(command, streams, &|| standstill(&folder).is_some()) {
            Err(error) if error.is::<Unreached>() => Err(self.explained(error)),
            other => other,
        }
    }

    fn keep_layer(&mut self, layer: &Layer) -> Result<()> {
        let image = read_document::<Image>(&self.place.image())?.context("the target's image.yml is missing")?;
        // Where the base image is not in the cache, nothing else can be.
        let (true, Some(kept)) = (image.cached && image.layer.is_none(), self.layers.place(&layer.key)?) else {
            return Ok(());
        };
        let synced = self.ssh.ask(GuestUser::Builder, "sync", Input::Empty, SYNC);
        synced.context("the guest does not write what it has in memory to its disk")?;
        let mut qmp = Qmp::connect(&self.place.folder())?;
        let size = qmp.disk_size()?;
        let disk = self.place.disk();
        if fs::rename(&disk, &kept).is_err() {
            // The cache is on another file system.
            return Ok(());
        }
        let changed = overlay(&kept, &disk, Some(size)).and_then(|()| qmp.change_disk(&disk));
        if let Err(error) = changed {
            fs::rename(&kept, &disk).with_context(|| disk.display().to_string())?;
            return Err(error);
        }
        let image = Image { layer: Some(kept.clone()), ..image };
        write_document(&self.place.image(), &image)?;
        self.layers.keep(&layer.key, &kept, &image.base)
    }

    fn stop(self: Box<Self>) -> Result<()> {
        machine::stop(&self.place, Some(&self.ssh))
    }

    fn detach(self: Box<Self>) -> Result<()> {
        // It belongs to nobody anyway.
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
    fn a_machine_that_stands_still_is_told_with_its_reason() {
        let which = Which { distro: "debian".into(), suite: "sid".into(), architecture: "i386".into() };
        let target = which.target().unwrap();
        for (state, what) in [("io-error", "its disk could not be written"), ("paused", "in the state 'paused'")] {
            assert!(stands_still(&target, state).what.contains(what), "{state}");
        }
    }
}
