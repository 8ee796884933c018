//! Whether guests really run with this host's KVM: on some hosts `/dev/kvm` is there, opens, and every guest hangs.
//!
//! The smallest guest there is, `probe.s`, is run. That it works, or hangs, is kept in the cache until the host starts anew;
//! any other trouble may pass, and is asked about again.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use gitian_process::{Command, Failure, Status, Streams};
use serde::{Deserialize, Serialize};

use super::args::{Accelerator, PROGRAM};
use crate::document::{read_state, write_document};
use crate::host_programs::quoted_path;

/// A multiboot kernel, assembled from `probe.s`.
const GUEST: &[u8] = include_bytes!("probe.bin");
/// With what QEMU ends when the guest came to its end.
const GOOD: Status = Status::Exited(33);
/// A good answer takes 0.1 s; where KVM does not work, none comes.
const PATIENCE: Duration = Duration::from_secs(3);

/// The trouble that does not pass by itself.
const HANGS: &str = "guests hang with this host's KVM";

/// An answer in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// Which start of the host it is for.
    boot: String,
    /// `None`: it works.
    trouble: Option<String>,
}

/// The host, as far as it matters here.
pub(super) struct Host<'a> {
    pub(super) device: &'a Path,
    pub(super) boot_id: &'a Path,
    pub(super) program: &'a Path,
}

/// This host.
pub(super) fn this_host() -> Host<'static> {
    Host {
        device: Path::new("/dev/kvm"),
        boot_id: Path::new("/proc/sys/kernel/random/boot_id"),
        program: Path::new(PROGRAM),
    }
}

impl Host<'_> {
    /// Returns what guests shall run on, asking the host or the cache.
    ///
    /// # Errors
    /// QEMU is not installed; we were asked to stop.
    pub(super) fn accelerator(&self, cache: &Path) -> Result<Accelerator> {
        let device = self.device.display();
        let tcg = |why: String| Ok(Accelerator::Tcg { why });
        match File::options().read(true).write(true).open(self.device) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return tcg(format!("this host has no {device}")),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return tcg(format!("{device} is closed to this user (sudo adduser $(id -un) kvm, then log in again)"));
            }
            Err(error) => return tcg(format!("{device} cannot be opened: {error}")),
        }
        let boot = std::fs::read_to_string(self.boot_id).unwrap_or_default().trim().to_owned();
        let note = cache.join("kvm-works.yml");
        let kept: Option<Answer> = read_state(&note);
        let lasts = |trouble: &Option<String>| trouble.as_deref().is_none_or(|why| why == HANGS);
        let trouble = match kept.filter(|kept| !boot.is_empty() && kept.boot == boot && lasts(&kept.trouble)) {
            Some(answer) => answer.trouble,
            None => {
                let trouble = self.run_guest()?;
                if lasts(&trouble) {
                    // Without a note it is asked again the next time.
                    write_document(&note, &Answer { boot, trouble: trouble.clone() }).ok();
                }
                trouble
            }
        };
        match trouble {
            None => Ok(Accelerator::Kvm),
            Some(why) if why == HANGS => tcg(format!("{HANGS} (`rm {}` has it tried again)", quoted_path(&note))),
            Some(why) => tcg(why),
        }
    }

    /// Runs the smallest guest with KVM; returns what is the trouble, if anything.
    fn run_guest(&self) -> Result<Option<String>> {
        let mut file = tempfile::NamedTempFile::new().context("a temporary file")?;
        file.write_all(GUEST).context("a temporary file")?;
        let ask = Command::new(self.program)
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "q35"])
            .args(["-accel", "kvm", "-m", "16", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-kernel"])
            .arg(file.path())
            .timeout(PATIENCE);
        match ask.run(Streams::default()) {
            Ok(outcome) if outcome.status == GOOD => Ok(None),
            Ok(outcome) => {
                let said = String::from_utf8_lossy(&outcome.stderr);
                let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
                Ok(Some(format!("a trial guest {} ({})", outcome.status, last.unwrap_or("without a word"))))
            }
            Err(Failure::TimedOut { .. }) => Ok(Some(HANGS.to_owned())),
            Err(failure) => Err(failure.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    /// A host whose QEMU is this script, and which counts how often it is asked.
    fn asked(folder: &Path, script: &str) -> Accelerator {
        let program = folder.join("qemu");
        fs::write(&program, format!("#!/bin/sh\necho x >> {}/asked\n{script}\n", folder.display())).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let device = folder.join("kvm");
        fs::write(&device, "").unwrap();
        let boot_id = folder.join("boot");
        Host { device: &device, boot_id: &boot_id, program: &program }.accelerator(folder).unwrap()
    }

    fn times(folder: &Path) -> usize {
        fs::read_to_string(folder.join("asked")).unwrap_or_default().lines().count()
    }

    #[test]
    fn only_a_guest_that_comes_to_its_end_counts_and_what_lasts_is_asked_once_a_start_of_the_host() {
        for (script, trouble, lasts) in [
            ("exit 33", None, true),
            ("exec sleep 60", Some(HANGS), true),
            ("exit 0", Some("a trial guest ended with exit status 0 (without a word)"), false),
            (
                "echo 'qemu: failed to initialize kvm: No space left on device' >&2; exit 1",
                Some(
                    "a trial guest ended with exit status 1 (qemu: failed to initialize kvm: No space left on device)",
                ),
                false,
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("boot"), "one\n").unwrap();
            for asked_before in 0..2 {
                match (asked(folder.path(), script), trouble) {
                    (Accelerator::Kvm, None) => {}
                    (Accelerator::Tcg { why }, Some(trouble)) => {
                        assert!(why.starts_with(trouble), "{why}");
                        let note =
                            format!("(`rm {}` has it tried again)", folder.path().join("kvm-works.yml").display());
                        assert_eq!(why.contains(&note), lasts, "{why}");
                    }
                    (found, _) => panic!("{script}: {found:?}"),
                }
                assert_eq!(times(folder.path()), if lasts { 1 } else { asked_before + 1 }, "{script}");
            }
            let before = times(folder.path());
            fs::write(folder.path().join("boot"), "two\n").unwrap();
            assert_eq!(asked(folder.path(), "exit 33"), Accelerator::Kvm);
            assert_eq!(times(folder.path()), before + 1, "{script}");
        }
    }

    #[test]
    fn a_device_that_is_missing_or_closed_is_told_and_nothing_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let why = |device: &Path| {
            let host = Host { device, boot_id: Path::new("/none"), program: Path::new("/no/such/qemu") };
            match host.accelerator(folder.path()).unwrap() {
                Accelerator::Tcg { why } => why,
                Accelerator::Kvm => panic!("{}", device.display()),
            }
        };
        let missing = folder.path().join("kvm");
        assert_eq!(why(&missing), format!("this host has no {}", missing.display()));
        // Nobody may write there, not even root.
        let closed = Path::new("/proc/sys/kernel/ostype");
        let mend = "is closed to this user (sudo adduser $(id -un) kvm, then log in again)";
        assert_eq!(why(closed), format!("{} {mend}", closed.display()));
    }

    #[test]
    fn a_missing_program_is_an_error_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host { device: Path::new("/dev/null"), boot_id: Path::new("/none"), program: Path::new("no-qemu") };
        let error = host.accelerator(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "program no-qemu is not installed");
    }

    #[test]
    fn the_guest_is_what_its_source_says() {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kvm/probe.s");
        let made = Command::new("as").args(["--32", "-o", "probe.o"]).arg(source).folder(folder.path()).text();
        if let Err(Failure::ProgramNotFound { .. }) = made {
            crate::skip::skip("kvm", "there is no assembler");
            return;
        }
        made.unwrap();
        let copy = Command::new("objcopy").args(["-O", "binary", "-j", ".text", "probe.o", "probe.bin"]);
        copy.folder(folder.path()).text().unwrap();
        assert!(fs::read(folder.path().join("probe.bin")).unwrap() == GUEST);
    }
}
