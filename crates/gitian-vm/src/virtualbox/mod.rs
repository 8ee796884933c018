//! Machines of VirtualBox.
//!
//! A base image is a machine `Gitian-<suite>-<arch>` with a snapshot `Gitian-Clean`, made by us or by somebody else; a
//! target is that machine after the snapshot was restored. Machines belong to the user and not to a working directory, so
//! that one build at a time has each; `var/vbox` says how the one that runs is reached. Commands go by ssh.
//!
//! A restored snapshot brings its settings back, so memory, processors and the port are set before every start.

mod answer;
mod args;
mod base_image;
mod disk;
mod guest;
mod info;
mod machine;
mod manage;
#[cfg(test)]
mod recorded;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use gitian_descriptor::{Architecture, Distro, Suite};
use gitian_manifest::Digest;
use gitian_process::interrupt;
use nix::fcntl::Flock;

use self::answer::{Answer, Refused, Why};
use self::args::SNAPSHOT;
use self::disk::{LOADER, SFDISK};
use self::guest::{Guest, Running};
use self::machine::{Machine, Owner};
use self::manage::{Manage, PROGRAM};
use crate::boot::{self, FOR_ROOTS, PANIC};
use crate::cache::CachePlace;
use crate::document::{Which, read_state, remove_file, unusable, write_document};
use crate::host_programs::{install, missing, sudo};
use crate::sandbox::place::make_private;
use crate::ssh::{self, Ssh};
use crate::{Backend, BaseRequest, Event, GuestNotUp, Layer, Problem, Resources, Sandbox, Settings, Target, TargetId};

/// VirtualBox, as one working directory uses it.
pub(crate) struct VirtualBox {
    cache: PathBuf,
    workdir: PathBuf,
    proxy_host: Option<String>,
    /// What `VM_SSH_PORT` says.
    port: Option<String>,
    /// Makes base trees.
    sandbox: Sandbox,
    manage: Manage,
    /// How long a guest may take to answer.
    patience: Duration,
}

/// The kernel's driver.
const DRIVER: &str = "/dev/vboxdrv";
/// The oldest version that can be told how a machine of ours is.
const OLDEST: u32 = 7;
/// How often it is tried whether a machine is free.
const TURN: Duration = Duration::from_millis(250);
/// A machine with a system of somebody else's takes a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// What guests need, with Debian's packages of it.
const FOR_GUESTS: [(&str, &str); 3] =
    [(PROGRAM, "virtualbox"), ("ssh", "openssh-client"), ("ssh-keygen", "openssh-client")];
/// What machines are made with.
const FOR_BASES: [(&str, &str); 3] = [("qemu-img", "qemu-utils"), (SFDISK, "fdisk"), ("mformat", "mtools")];

impl VirtualBox {
    /// Names the caches and the working directory that it works in.
    pub(crate) fn new(settings: &Settings, workdir: &Path) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            cache: absolute(&settings.cache),
            workdir: absolute(workdir),
            proxy_host: settings.mirror_host.clone(),
            port: settings.vm_ssh_port.clone(),
            sandbox: Sandbox::new(settings, workdir),
            manage: Manage::new(PROGRAM),
            patience: PATIENCE,
        }
    }

    fn var(&self) -> PathBuf {
        self.workdir.join("var")
    }

    /// The private folder from which the machine is reached.
    fn folder(&self) -> PathBuf {
        self.var().join("vbox")
    }

    /// What the guest's kernel writes.
    fn console(&self) -> PathBuf {
        self.var().join("target.log")
    }

    /// Returns the machine that runs for this working directory, of whichever target.
    fn running(&self) -> Result<Option<Guest>> {
        let path = Running::path(&self.folder());
        let Some(running) = read_state::<Running>(&path) else { return Ok(None) };
        let target = running.target.target().with_context(|| path.display().to_string())?;
        let name = machine::name(&target.suite, target.architecture);
        let Some(info) = self.manage.info(&name)?.filter(|info| info.is_on()) else { return Ok(None) };
        let owner = Machine::new(&name, info)?.owner()?;
        if owner.is_none_or(|owner| owner.folder != self.workdir) {
            return Ok(None);
        }
        Ok(Some(self.guest(name, target, running.port, None)))
    }

    fn guest(&self, name: String, target: TargetId, port: u16, notice: Option<String>) -> Guest {
        let ssh = Ssh { folder: self.folder(), port, distro: target.distro.clone() };
        Guest { manage: self.manage.clone(), workdir: self.workdir.clone(), name, target, ssh, notice }
    }

    /// Finds the machine of a target, and waits until nobody else changes its state.
    fn take_turn(&self, target: &TargetId) -> Result<(Machine, Flock<File>)> {
        let machine = Machine::find(&self.manage, target)?;
        // Whoever has it may be starting or ending it, which takes minutes at worst.
        let turn = loop {
            match machine.try_turn()? {
                Some(turn) => break turn,
                None => interrupt::sleep(TURN)?,
            }
        };
        // It may be another's by now.
        Ok((Machine::find(&self.manage, target)?, turn))
    }

    /// Ends what runs for this working directory, whose state nobody needs any more, and a machine that is to be used.
    fn end_running(&self, machine: &Machine) -> Result<()> {
        if let Some(Guest { name, ssh, .. }) = self.running()? {
            ssh.disconnect();
            machine::cut_off(&self.manage, &name)?;
        }
        remove_file(&Running::path(&self.folder()))?;
        match self.manage.is_on(&machine.name)? {
            true => machine::cut_off(&self.manage, &machine.name),
            false => Ok(()),
        }
    }

    /// Sets what a run needs, as far as the machine's state lets it, and starts it; returns the port that leads to it.
    fn power_on(&self, machine: &Machine, resources: Resources) -> Result<(u16, Option<String>)> {
        let name = &machine.name;
        let asked = ssh::asked_port(self.port.as_deref())?;
        let start = || {
            let started = self.manage.run(["startvm", name, "--type", "headless"]);
            started.map_err(|error| explained(error, name, &machine.info.settings))
        };
        let rules: Vec<_> = machine.info.to_ssh().collect();
        if machine.info.is_saved() {
            let wanted = |port: &u16| asked.is_none_or(|asked| asked == *port);
            let is_free = |port: &u16| machine::free_port(Some(*port)).is_ok();
            let there = rules.iter().map(|rule| rule.host_port).find(|port| wanted(port) && is_free(port));
            let port = there.map_or_else(|| machine::free_port(asked), Ok)?;
            start()?;
            if there.is_none() {
                for args in args::forward_running(name, &rules, port) {
                    self.manage.run(args)?;
                }
            }
            let notice =
                "the machine goes on where its snapshot was taken, with the memory and processors of that time";
            return Ok((port, Some(notice.to_owned())));
        }
        let port = machine::free_port(asked)?;
        self.manage.run(args::prepare(name, resources, &rules, port))?;
        if machine.record()?.is_some() {
            self.manage.run(args::log_console(name, &self.console()))?;
        }
        start()?;
        Ok((port, None))
    }

    /// Whether a guest can still come up: its machine runs, and its kernel has not given up.
    fn may_come_up(&self, guest: &Guest) -> Result<bool> {
        let given_up = || boot::last_lines(&self.console()).iter().any(|line| line.contains(PANIC));
        Ok(guest.machine()?.is_some() && !given_up())
    }

    /// Returns what is wrong with VirtualBox itself.
    fn host_problems(&self, for_guests: bool) -> Vec<Problem> {
        match self.manage.run(["--version"]) {
            Ok(Answer { without_driver: true, .. }) if for_guests => vec![driver_missing()],
            Ok(Answer { text, .. }) if !for_guests => too_old(&text).into_iter().collect(),
            Ok(_) => Vec::new(),
            Err(error) => vec![Problem { what: format!("{error:#}"), mend: reinstall() }],
        }
    }

    fn target_problems(&self, target: &TargetId) -> Vec<Problem> {
        match Machine::find(&self.manage, target) {
            Ok(machine) => {
                [machine.used_elsewhere(&self.workdir), machine.wrong_key(&self.var())].into_iter().flatten().collect()
            }
            Err(error) => {
                let unknown = |error| Problem { what: format!("{error:#}"), mend: reinstall() };
                vec![error.downcast().unwrap_or_else(unknown)]
            }
        }
    }
}

fn reinstall() -> String {
    install("--reinstall virtualbox")
}

fn driver_missing() -> Problem {
    let sudo = sudo();
    Problem {
        what: format!("VirtualBox cannot run machines: its kernel driver is not loaded, there is no {DRIVER}"),
        mend: format!(
            "{sudo}modprobe vboxdrv    (if there is none: {} linux-headers-$(uname -r), then again)",
            install("virtualbox-dkms")
        ),
    }
}

/// Returns the problem of a version that does not know all that a machine of ours is told.
fn too_old(version: &str) -> Option<Problem> {
    let major: u32 = version.trim().split('.').next()?.parse().ok()?;
    (major < OLDEST).then(|| Problem {
        what: format!("VirtualBox {} is too old to make machines: {OLDEST}.0 or later is needed", version.trim()),
        mend: "install a newer VirtualBox, or use --backend kvm".into(),
    })
}

/// Turns a machine that ended in the moment of its start into a problem with its remedy.
fn explained(error: anyhow::Error, name: &str, settings: &Path) -> anyhow::Error {
    let Some(Refused { why: Why::EndedAtOnce | Why::Other, words, without_driver, .. }) = error.downcast_ref() else {
        return error;
    };
    if *without_driver || !Path::new(DRIVER).exists() {
        return driver_missing().into();
    }
    let logs = settings.parent().unwrap_or(Path::new("")).join("Logs");
    Problem {
        what: format!("VirtualBox could not start the machine {name}: {}", words.join(": ")),
        mend: format!("look at the newest file in {}", shell_words::quote(&logs.display().to_string())),
    }
    .into()
}

impl Backend for VirtualBox {
    fn name(&self) -> &'static str {
        "vbox"
    }

    fn check(&self, targets: &[TargetId]) -> Vec<Problem> {
        let mut problems = missing(&FOR_GUESTS);
        problems.extend(ssh::asked_port(self.port.as_deref()).err());
        let is_there = !problems.iter().any(|problem| problem.what.contains(PROGRAM));
        if is_there {
            problems.extend(self.host_problems(!targets.is_empty()));
        }
        if targets.is_empty() {
            problems.extend(missing(&FOR_BASES));
            problems.extend(missing(&FOR_ROOTS));
            if !Path::new(LOADER).is_file() {
                let what = format!("the loader {LOADER} is not installed");
                problems.push(Problem { what, mend: install("systemd-boot-efi") });
            }
            problems.extend(self.sandbox.check(&[]));
        }
        if is_there {
            problems.extend(targets.iter().flat_map(|target| self.target_problems(target)));
        }
        problems
    }

    fn make_base(&self, request: &BaseRequest, report: &mut dyn FnMut(Event)) -> Result<()> {
        let cache = CachePlace::new(&self.cache);
        base_image::make(&self.manage, &cache, &self.var(), request, self.proxy_host.as_deref(), report)
    }

    fn base_distro(&self, suite: &Suite, architecture: Architecture) -> Result<Option<Distro>> {
        let name = machine::name(suite, architecture);
        let Some(info) = self.manage.info(&name)? else { return Ok(None) };
        let record = Machine::new(&name, info)?.record()?;
        record.map(|record| record.target.distro.parse().context(name)).transpose()
    }

    fn base_id(&self, target: &TargetId) -> Result<String> {
        let Machine { info, .. } = Machine::find(&self.manage, target)?;
        let snapshot = info.snapshot(SNAPSHOT).unwrap_or_default();
        Ok(Digest::of_bytes(format!("vbox {} {snapshot}", info.uuid).as_bytes()).to_string())
    }

    fn make_clean(&self, target: &TargetId, _layer: Option<&Layer>) -> Result<bool> {
        let (machine, _turn) = self.take_turn(target)?;
        if let Some(problem) = machine.used_elsewhere(&self.workdir) {
            return Err(problem.into());
        }
        make_private(&self.folder())?;
        self.end_running(&machine)?;
        machine.set_owner(None)?;
        self.manage.run(["snapshot", &machine.name, "restore", SNAPSHOT])?;
        machine.set_owner(Some(&Owner { folder: self.workdir.clone(), target: Which::of(target) }))?;
        Ok(false)
    }

    fn start(&self, target: &TargetId, resources: Resources) -> Result<Box<dyn Target>> {
        let (machine, turn) = self.take_turn(target)?;
        let which = Which::of(target);
        let here = self.workdir.display();
        match machine.owner()? {
            None => return Err(unusable(format!("there is no target {target} in {here}"), &which).into()),
            Some(owner) if owner.folder != self.workdir => {
                let what = format!("machine {} has meanwhile been used for {}", machine.name, owner.folder.display());
                return Err(unusable(what, &which).into());
            }
            Some(owner) if owner.target != which => {
                let what = format!("the target in {here} is one of distro {}", owner.target.distro);
                return Err(unusable(what, &which).into());
            }
            Some(_) => {}
        }
        make_private(&self.folder())?;
        self.end_running(&machine)?;
        machine.hand_out_key(&self.var())?;
        ssh::public_key(&self.var())?;
        remove_file(&self.console())?;
        // Ended machines have other settings than those that run.
        let machine = Machine::find(&self.manage, target)?;
        let (port, notice) = self.power_on(&machine, resources)?;
        drop(turn);
        let guest = self.guest(machine.name.clone(), target.clone(), port, notice);
        let up = write_document(&Running::path(&self.folder()), &Running { target: which, port })
            .and_then(|()| guest.ssh.await_answer(self.patience, || self.may_come_up(&guest)));
        let cause = match up {
            Ok(None) => return Ok(Box::new(guest)),
            up => up,
        };
        let last_lines = boot::last_lines(&self.console());
        guest.ssh.disconnect();
        guest.end(|| machine::cut_off(&self.manage, &machine.name))?;
        let cause = cause?.unwrap_or_default();
        Err(GuestNotUp { target: target.to_string(), cause, log: "var/target.log".into(), last_lines }.into())
    }

    fn attach(&self) -> Result<Option<Box<dyn Target>>> {
        Ok(self.running()?.map(|guest| Box::new(guest) as Box<dyn Target>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_guest_that_never_comes_up_is_told_with_what_ssh_said_and_its_machine_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        let manage = recorded::fake(folder.path(), "none");
        manage.run(["createvm", "--name", "Gitian-sid-amd64", "--ostype", "Debian_64", "--register"]).unwrap();
        manage.run(["snapshot", "Gitian-sid-amd64", "take", SNAPSHOT]).unwrap();
        let vbox = VirtualBox {
            manage: manage.clone(),
            patience: Duration::from_secs(1),
            ..VirtualBox::new(&Settings::default(), &work)
        };
        let target = TargetId {
            distro: "debian".parse().unwrap(),
            suite: "sid".parse().unwrap(),
            architecture: Architecture::Amd64,
        };
        vbox.make_clean(&target, None).unwrap();
        let error = vbox.start(&target, Resources { processors: 1, memory_mib: 64 }).map(drop).unwrap_err();
        let not_up = error.downcast::<GuestNotUp>().unwrap();
        assert!(not_up.cause.starts_with("no answer within 1 s (ssh to port "), "{not_up}");
        assert!(not_up.cause.contains("Connection refused"), "{not_up}");
        assert!(!manage.is_on("Gitian-sid-amd64").unwrap());
        assert!(vbox.attach().unwrap().is_none());
    }
}
