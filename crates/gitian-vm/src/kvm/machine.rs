//! The process of a machine: started, found again, ended.
//!
//! QEMU keeps the file with its process id locked as long as it lives. Whoever holds that lock is the machine, whatever
//! happened to those who started it and whatever number another process has by now.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gitian_process::{Command, Failure, Streams};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::args::{self, Machine, PROGRAM};
use super::qmp::Qmp;
use crate::document::remove_file;
use crate::ssh::{self, SYNC, Ssh, USUAL_PORT};
use crate::{GuestUser, Problem};

/// How long each step of ending a machine may take.
const STEP: Duration = Duration::from_secs(10);
/// Where the working directory's machine has its files.
#[derive(Clone, Debug)]
pub(super) struct MachinePlace(PathBuf);

impl MachinePlace {
    pub(super) fn new(workdir: &Path) -> Self {
        Self(workdir.join("var"))
    }
    /// The folder of files that several programs share; the key for guests lies here.
    pub(super) fn var(&self) -> &Path {
        &self.0
    }
    /// The private folder in which the machine runs.
    pub(super) fn folder(&self) -> PathBuf {
        self.0.join("kvm")
    }
    pub(super) fn disk(&self) -> PathBuf {
        self.folder().join(args::DISK)
    }
    /// What the target was made from.
    pub(super) fn image(&self) -> PathBuf {
        self.folder().join("image.yml")
    }
    /// How the machine that runs is reached; written when it is whole.
    pub(super) fn running(&self) -> PathBuf {
        self.folder().join("machine.yml")
    }
    fn pid_file(&self) -> PathBuf {
        self.folder().join(args::PID_FILE)
    }
    /// What the guest's kernel wrote.
    pub(super) fn console(&self) -> PathBuf {
        self.folder().join(args::CONSOLE)
    }

    /// Returns the process of the machine, if it lives.
    pub(super) fn process(&self) -> Result<Option<Pid>> {
        let path = self.pid_file();
        let object = || format!("read {}", path.display());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(object),
        };
        let mut lock = libc::flock {
            l_type: lock_constant(libc::F_WRLCK),
            l_whence: lock_constant(libc::SEEK_SET),
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_GETLK(&mut lock)).with_context(object)?;
        Ok((lock.l_type != lock_constant(libc::F_UNLCK)).then(|| Pid::from_raw(lock.l_pid)))
    }
}

fn lock_constant(value: libc::c_int) -> libc::c_short {
    // All of them are single digits.
    libc::c_short::try_from(value).unwrap_or_default()
}

/// Starts a machine; returns the port of the host that leads to its sshd. Where no port is asked for, it is the usual one,
/// or any that is free.
pub(super) fn start(place: &MachinePlace, machine: &Machine<'_>, asked_port: Option<u16>) -> Result<u16> {
    let ports = asked_port.map_or(vec![USUAL_PORT, 0], |port| vec![port]);
    let mut taken = None;
    for port in ports {
        let command = Command::new(PROGRAM).args(args::args(&Machine { port, ..*machine })).folder(place.folder());
        match command.run_ok(Streams::default()) {
            Ok(_) if port == 0 => return Qmp::connect(&place.folder())?.ssh_port(),
            Ok(_) => return Ok(port),
            Err(failure) if says_taken(&failure) => taken = Some(port),
            Err(failure) => return Err(explained(failure)),
        }
    }
    Err(ssh::port_taken(taken.unwrap_or_default()).into())
}

/// Whether QEMU could not have the port.
fn says_taken(failure: &Failure) -> bool {
    let Failure::ProgramFailed { last_lines, .. } = failure else { return false };
    last_lines.iter().any(|line| line.contains("Could not set up host forwarding rule"))
}

/// Turns what QEMU says about the host into a problem with its remedy.
fn explained(failure: Failure) -> anyhow::Error {
    if let Failure::ProgramFailed { last_lines, .. } = &failure {
        let all = last_lines.join(": ");
        if all.contains("Cannot allocate memory") {
            return Problem {
                what: format!("this host has not enough memory for the guest: {all}"),
                mend: "gbuild -m MIB, or VMEM=MIB for start-target    (`free -m` shows what there is)".into(),
            }
            .into();
        }
    }
    failure.into()
}

/// Ends a machine: what the guest has in memory is written to its disk, QEMU is told to quit, then asked, then forced.
/// What is not there any more is passed over.
pub(super) fn stop(place: &MachinePlace, ssh: Option<&Ssh>) -> Result<()> {
    if let Some(ssh) = ssh {
        if place.process()?.is_some() && stands(place) {
            ssh.ask(GuestUser::Builder, "sync", gitian_process::Input::Empty, SYNC);
        }
        ssh.disconnect();
    }
    let steps: [fn(&MachinePlace, Pid); 3] = [
        |place, _| {
            // A machine that does not listen to this is told otherwise next.
            Qmp::connect(&place.folder()).and_then(|mut qmp| qmp.quit()).ok();
        },
        // It may have ended in this moment.
        |_, pid| kill(pid, Signal::SIGTERM).unwrap_or(()),
        |_, pid| kill(pid, Signal::SIGKILL).unwrap_or(()),
    ];
    for step in steps {
        let Some(pid) = place.process()? else { break };
        step(place, pid);
        let began = Instant::now();
        while began.elapsed() < STEP && place.process()?.is_some() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    if let Some(pid) = place.process()? {
        return Err(Problem {
            what: format!("process {pid}, the machine of {}, does not end", place.folder().display()),
            mend: format!("kill -9 {pid}"),
        }
        .into());
    }
    for path in [place.running(), place.pid_file(), place.folder().join(args::QMP)] {
        remove_file(&path)?;
    }
    Ok(())
}

/// Whether the guest's processors run.
fn stands(place: &MachinePlace) -> bool {
    Qmp::connect(&place.folder()).and_then(|mut qmp| qmp.state()).is_ok_and(|state| state == "running")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn failed(line: &str) -> Failure {
        let status = gitian_process::Status::Exited(1);
        Failure::ProgramFailed { command_line: "qemu".into(), status, last_lines: vec![line.to_owned()] }
    }

    #[test]
    fn what_qemu_says_about_the_host_is_explained() {
        assert!(says_taken(&failed(
            "qemu-system-x86_64: -netdev user,id=net: Could not set up host forwarding rule 'x'"
        )));
        assert!(!says_taken(&failed("qemu-system-x86_64: -m: no")));
        let memory =
            explained(failed("qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory"));
        let problem = memory.downcast_ref::<Problem>().unwrap();
        assert!(problem.what.contains("not enough memory") && problem.mend.contains("-m MIB"), "{problem:?}");
        assert!(explained(failed("something else")).is::<Failure>());
    }

    #[test]
    fn a_machine_is_whoever_has_the_lock_not_whose_number_is_in_the_file() {
        let work = tempfile::tempdir().unwrap();
        let place = MachinePlace::new(work.path());
        fs::create_dir_all(place.folder()).unwrap();
        assert_eq!(place.process().unwrap(), None);
        // The number of a process that lives, but is no machine.
        fs::write(place.var().join("target.pid"), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(place.process().unwrap(), None);
        stop(&place, None).unwrap();
        assert!(!place.var().join("target.pid").exists());
    }
}
