//! A machine as builds find it: which it is, whose target it is, ended.
//!
//! Machines belong to a user, not to a working directory: beside a machine's settings lie what make-base-vm made it
//! from (`gitian.yml`), the key that it lets in (`id_rsa`), and which working directory has its target
//! (`gitian-target.yml`). Who restores, starts or ends it locks `gitian-lock` there meanwhile. A machine that somebody else made has none of the first two.

use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gitian_descriptor::{Architecture, Suite};
use gitian_process::Input;
use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use super::answer::Why;
use super::args::SNAPSHOT;
use super::info::Info;
use super::manage::{Manage, PROGRAM, why};
use crate::base_tree::command_for;
use crate::document::{Which, read_document, remove_file, write_document};
use crate::lock::{LockKind, lock, try_lock};
use crate::ssh::{self, SYNC, Ssh, USUAL_PORT};
use crate::{GuestUser, Problem, TargetId};

/// Changes when machines are made to boot in another way: older ones are then refused.
pub(super) const FORMAT: u32 = 1;
/// The option of make-base-vm that makes these.
pub(super) const OPTION: &str = "--vbox ";
/// The file beside a machine's settings that is locked while the machine's state is changed.
const LOCK: &str = "gitian-lock";
/// How long each step of ending a machine may take.
const STEP: Duration = Duration::from_secs(20);
/// What a guest is told so that it ends: one of ours runs nothing that could be asked for it.
const POWER_OFF: &str = "(sleep 1; poweroff || echo o > /proc/sysrq-trigger) > /dev/null 2>&1 < /dev/null &";

/// Returns the name of a machine. Source: gitian-builder 11f91fb, libexec/make-clean-vm.
pub(super) fn name(suite: &Suite, architecture: Architecture) -> String {
    format!("Gitian-{suite}-{}", architecture.debian())
}

/// Returns the command that removes a machine.
pub(super) fn removal(name: &str) -> String {
    format!("{PROGRAM} unregistervm {name} --delete")
}

/// What a machine of ours was made from: `gitian.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) format: u32,
    /// The machine's UUID: another of its name may have come into its folder.
    pub(super) machine: String,
    pub(super) target: Which,
    /// SHA-256 of the base tree's tar.
    pub(super) base: String,
    pub(super) disk_mb: u32,
}

/// Reads no more of a record than decides whether the rest can be read.
#[derive(Deserialize)]
struct Head {
    format: u32,
    machine: String,
}

/// Whose target a machine is: `gitian-target.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    /// The working directory.
    pub(super) folder: PathBuf,
    pub(super) target: Which,
}

/// A machine that is there.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) info: Info,
    /// The folder with its settings.
    folder: PathBuf,
}

impl Machine {
    /// Names a machine by what VBoxManage told of it.
    pub(super) fn new(name: &str, info: Info) -> Result<Self> {
        let folder = info.settings.parent().filter(|folder| folder.is_absolute());
        let folder = folder.with_context(|| format!("machine {name}: its settings are in no folder"))?.to_owned();
        Ok(Self { name: name.to_owned(), info, folder })
    }

    /// Finds the machine of a target.
    ///
    /// # Errors
    /// A [`Problem`] when there is none, or one that builds cannot start from.
    pub(super) fn find(manage: &Manage, target: &TargetId) -> Result<Self> {
        let name = name(&target.suite, target.architecture);
        let problem = |what: String, mend: String| Err(Problem { what, mend }.into());
        let again = format!("{} && {}", removal(&name), command_for(OPTION, target));
        let Some(info) = manage.info(&name)? else {
            return problem(format!("machine {name} does not exist"), command_for(OPTION, target));
        };
        if info.snapshot(SNAPSHOT).is_none() {
            return problem(
                format!("machine {name} has no snapshot {SNAPSHOT}"),
                format!(
                    "{again}    (or, while it is as builds shall find it: {PROGRAM} snapshot {name} take {SNAPSHOT})"
                ),
            );
        }
        let machine = Self::new(&name, info)?;
        if let Some(Head { format, .. }) = machine.head()?.filter(|head| head.format != FORMAT) {
            return problem(
                format!("machine {name} is of format {format}, made by another version of this program"),
                again,
            );
        }
        if let Some(Record { target: found, .. }) = machine.record()?
            && found.distro != target.distro.as_str()
        {
            return problem(
                format!("machine {name} is one of distro {}, not {}", found.distro, target.distro),
                format!("write `distro: {}` in the descriptor, or: {again}", found.distro),
            );
        }
        Ok(machine)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The disk of a machine of ours.
    pub(super) fn disk(&self) -> PathBuf {
        self.place("disk.vdi")
    }

    fn head(&self) -> Result<Option<Head>> {
        let head: Option<Head> = read_document(&self.place("gitian.yml"))?;
        Ok(head.filter(|head| head.machine == self.info.uuid))
    }

    /// Returns what the machine was made from, if it is one of ours.
    pub(super) fn record(&self) -> Result<Option<Record>> {
        match self.head()? {
            Some(Head { format: FORMAT, .. }) => read_document(&self.place("gitian.yml")),
            _ => Ok(None),
        }
    }

    /// Notes what a new machine was made from, and the key that it lets in.
    pub(super) fn note(&self, record: &Record, key: &Path) -> Result<()> {
        copy_key(key, &self.place("id_rsa"))?;
        write_document(&self.place("gitian.yml"), record)
    }

    /// Removes what VirtualBox does not know of from the folder of a machine that is gone, and the folder if it is empty.
    pub(super) fn sweep(&self) -> Result<()> {
        for path in ["disk.vdi", "gitian.yml", "gitian-target.yml", "id_rsa", LOCK].map(|name| self.place(name)) {
            remove_file(&path)?;
        }
        // Whatever else lies there is somebody's.
        fs::remove_dir(&self.folder).ok();
        Ok(())
    }

    /// Returns the problem of a working directory whose key is not the one that the machine lets in.
    pub(super) fn wrong_key(&self, var: &Path) -> Option<Problem> {
        let (own, kept) = (var.join("id_rsa"), self.place("id_rsa"));
        let (Ok(found), Ok(wanted)) = (fs::read(&own), fs::read(&kept)) else { return None };
        let quoted = |path: &Path| shell_words::quote(&path.display().to_string()).into_owned();
        (found != wanted && self.record().is_ok_and(|record| record.is_some())).then(|| Problem {
            what: format!("machine {} lets another key in than var/id_rsa", self.name),
            mend: format!("cp -p {} {}", quoted(&kept), quoted(&own)),
        })
    }

    /// Gives a working directory without a key the one that the machine lets in.
    pub(super) fn hand_out_key(&self, var: &Path) -> Result<()> {
        if let Some(problem) = self.wrong_key(var) {
            return Err(problem.into());
        }
        let (own, kept) = (var.join("id_rsa"), self.place("id_rsa"));
        if self.record()?.is_some() && kept.is_file() && own.symlink_metadata().is_err() {
            copy_key(&kept, &own)?;
        }
        Ok(())
    }

    /// Waits until nobody else restores, starts or ends the machine; whoever holds this may, if the machine is his or runs
    /// for nobody.
    pub(super) fn turn(&self) -> Result<Flock<File>> {
        lock(&self.place(LOCK))
    }

    /// The same at once, or not.
    pub(super) fn try_turn(&self) -> Result<Option<Flock<File>>> {
        try_lock(&self.place(LOCK), LockKind::Exclusive)
    }

    /// Returns whose target the machine is.
    pub(super) fn owner(&self) -> Result<Option<Owner>> {
        read_document(&self.place("gitian-target.yml"))
    }

    /// Notes whose target the machine is; nobody's while it is being restored.
    pub(super) fn set_owner(&self, owner: Option<&Owner>) -> Result<()> {
        match owner {
            Some(owner) => write_document(&self.place("gitian-target.yml"), owner),
            None => remove_file(&self.place("gitian-target.yml")),
        }
    }

    /// Returns the problem of a machine that runs for another working directory. One whose directory is gone is nobody's.
    pub(super) fn used_elsewhere(&self, workdir: &Path) -> Option<Problem> {
        let owner = self.owner().unwrap_or(None).filter(|owner| owner.folder != workdir && owner.folder.is_dir())?;
        let folder = shell_words::quote(&owner.folder.display().to_string()).into_owned();
        self.info.is_on().then(|| Problem {
            what: format!("machine {} runs for {}", self.name, owner.folder.display()),
            mend: format!(
                "wait until the build there ends; what was left running: (cd {folder} && libexec/stop-target)"
            ),
        })
    }
}

/// Copies a key so that nobody else can read it.
fn copy_key(from: &Path, to: &Path) -> Result<()> {
    let object = || format!("copy {} to {}", from.display(), to.display());
    let folder = to.parent().with_context(object)?;
    fs::create_dir_all(folder).with_context(object)?;
    let half = tempfile::NamedTempFile::new_in(folder).with_context(object)?;
    fs::write(half.path(), fs::read(from).with_context(object)?).with_context(object)?;
    half.as_file().set_permissions(Permissions::from_mode(0o600)).with_context(object)?;
    half.persist(to).with_context(object)?;
    Ok(())
}

/// Returns a port of the host that is free: the one that is asked for, else the usual one, else any.
pub(super) fn free_port(asked: Option<u16>) -> Result<u16> {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).and_then(|taken| taken.local_addr()).map(|at| at.port());
    match asked {
        Some(port) => free(port).map_err(|_| ssh::port_taken(port).into()),
        None => free(USUAL_PORT).or_else(|_| free(0)).context("a free port of this host"),
    }
}

/// Ends a machine whose state nobody needs any more.
pub(super) fn cut_off(manage: &Manage, name: &str) -> Result<()> {
    match manage.run(["controlvm", name, "poweroff"]) {
        Err(error) if !matches!(why(&error), Some(Why::NotRunning | Why::NoMachine)) => Err(error),
        _ => await_end(manage, name, STEP).and_then(|ended| match ended {
            true => Ok(()),
            false => Err(does_not_end(name).into()),
        }),
    }
}

/// Ends a machine so that its files stay as they are: what it has in memory is written to its disk, it is told to end,
/// its power button is pressed, it is cut off.
pub(super) fn stop(manage: &Manage, name: &str, ssh: &Ssh) -> Result<()> {
    if manage.info(name)?.is_some_and(|info| info.state == "running") {
        let synced = ssh.ask(GuestUser::Root, "sync", Input::Empty, SYNC).is_some();
        let told = synced && ssh.ask(GuestUser::Root, POWER_OFF, Input::Empty, STEP).is_some();
        let ended = told && await_end(manage, name, STEP)?;
        // A machine that does not listen to this is told otherwise next.
        if !ended && manage.run(["controlvm", name, "acpipowerbutton"]).is_ok() {
            await_end(manage, name, STEP)?;
        }
    }
    ssh.disconnect();
    if manage.is_on(name)? { cut_off(manage, name) } else { Ok(()) }
}

fn await_end(manage: &Manage, name: &str, limit: Duration) -> Result<bool> {
    let began = Instant::now();
    while manage.is_on(name)? {
        if began.elapsed() > limit {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(true)
}

fn does_not_end(name: &str) -> Problem {
    Problem {
        what: format!("machine {name} does not end"),
        mend: format!("end its process: `ps ax | grep {name}` shows it"),
    }
}
