//! Tests: what a real VBoxManage answered is taken for what it says, and the one of the tests answers like it.
//!
//! The transcripts are those of VirtualBox 7.2.22 on a host without the kernel's driver, once of the program itself and
//! once through Debian's starting script.

use std::fs;
use std::path::{Path, PathBuf};

use gitian_process::{Command, Status, Streams};

use super::answer::{Answer, Refused, Why, judge};
use super::info::{Forward, Info};
use super::manage::Manage;
use super::{base_image, driver_missing, explained, too_old};
use crate::{Problem, TargetId};

/// One question and its answer.
struct Transcript {
    name: String,
    args: Vec<String>,
    status: Status,
    stdout: String,
    stderr: String,
}

impl Transcript {
    fn parse(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let (head, rest) = text.split_once("--- stdout:\n").unwrap();
        let (stdout, stderr) = rest.split_once("--- stderr:\n").unwrap();
        let (line, status) = head.split_once("\n--- exit code: ").unwrap();
        Self {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            args: shell_words::split(line.strip_prefix("$ ").unwrap()).unwrap(),
            status: Status::Exited(status.split_once(' ').unwrap().0.parse().unwrap()),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        }
    }

    fn judged(&self) -> Result<Answer, Refused> {
        judge(&self.args.join(" "), self.status, &self.stdout, &self.stderr)
    }
}

/// The transcripts of VBoxManage itself (`direct-binary`) or through the starting script (`wrapper`).
fn transcripts(way: &str) -> Option<Vec<Transcript>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/virtualbox").join(way);
    let Ok(found) = fs::read_dir(&folder) else {
        crate::skip::skip("data", &format!("../shared/data/virtualbox/{way} is not beside the checkout"));
        return None;
    };
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let is_manage = |transcript: &Transcript| transcript.args[0].ends_with("VBoxManage");
    Some(paths.iter().map(|path| Transcript::parse(path)).filter(is_manage).collect())
}

/// What the recorded refusals mean; everything else was done.
const REFUSALS: [(&str, Why, &str); 13] = [
    ("03-showvminfo-missing", Why::NoMachine, "Could not find a registered machine named 'Gitian-bookworm-amd64'"),
    ("05-createvm-dup", Why::LeftOver, "already exists"),
    ("11-snapshot-list-none", Why::NoSnapshot, "This machine does not have any snapshots"),
    ("12-snapshot-restore-missing", Why::NoSnapshot, "This machine does not have any snapshots"),
    ("19-startvm-headless", Why::EndedAtOnce, "has terminated unexpectedly during startup with exit code 1 (0x1)"),
    ("23-startvm-interp", Why::EndedAtOnce, "has terminated unexpectedly during startup"),
    ("33-controlvm-poweroff-notrunning", Why::NotRunning, "Machine 'Gitian-bookworm-amd64' is not currently running."),
    ("34-controlvm-savestate-notrunning", Why::NotRunning, "is not currently running."),
    ("35-controlvm-acpi-notrunning", Why::NotRunning, "is not currently running."),
    ("36-startvm-missing", Why::NoMachine, "Could not find a registered machine named 'Gitian-nope-amd64'"),
    ("37-snapshot-missing-vm", Why::NoMachine, "Could not find a registered machine named 'Gitian-nope-amd64'"),
    ("38-natpf-dup", Why::Other, "A NAT rule of this name already exists"),
    ("45-unregistervm-missing", Why::NoMachine, "Could not find a registered machine named"),
];

#[test]
fn every_recorded_answer_is_taken_for_what_it_says() {
    for (way, without_driver) in [("direct-binary", false), ("wrapper", true)] {
        let Some(all) = transcripts(way) else { return };
        assert!(all.len() > 30, "{way}: {} transcripts", all.len());
        for transcript in &all {
            let name = &transcript.name;
            match (transcript.judged(), REFUSALS.iter().find(|(known, ..)| known == name)) {
                (Ok(answer), None) => {
                    assert_eq!(answer.without_driver, without_driver, "{way} {name}");
                    assert!(!answer.text.contains("WARNING"), "{way} {name}: {}", answer.text);
                }
                (Err(refused), Some((_, why, words))) => {
                    assert_eq!((refused.why, refused.without_driver), (*why, without_driver), "{way} {name}");
                    assert!(refused.to_string().contains(words), "{way} {name}: {refused}");
                }
                (judged, known) => panic!("{way} {name}: {judged:?}, but {known:?}"),
            }
        }
    }
}

#[test]
fn what_a_recorded_answer_tells_about_a_machine_is_read() {
    for way in ["direct-binary", "wrapper"] {
        let Some(all) = transcripts(way) else { return };
        let text = |name: &str| all.iter().find(|found| found.name == name).unwrap().judged().unwrap().text;
        let info = Info::parse(&text("16-showvminfo"));
        assert_eq!(info.settings.to_str(), Some("/vm/vms/Gitian-bookworm-amd64/Gitian-bookworm-amd64.vbox"));
        assert_eq!(info.uuid.len(), 36);
        assert!(text("17-list-vms").contains(&info.uuid));
        assert_eq!(info.state, "poweroff");
        assert!(!info.is_on() && !info.is_saved());
        assert_eq!(info.forwards, [Forward { name: "guestssh".into(), host_port: 2223, guest_port: 22 }]);
        assert!(text("14-snapshot-list").contains(info.snapshot("Gitian-Clean").unwrap()));
        assert_eq!((text("02-list-vms-empty"), too_old(&text("01-version"))), (String::new(), None));
        assert!(too_old("6.1.50r161033\n").unwrap().what.starts_with("VirtualBox 6.1.50r161033 is too old"));
    }
}

#[test]
fn recorded_refusals_become_problems_with_what_mends_them() {
    let Some(all) = transcripts("wrapper") else { return };
    let refusal = |name: &str| {
        let refused = all.iter().find(|found| found.name == name).unwrap().judged().unwrap_err();
        anyhow::Error::from(refused)
    };
    let problem = |error: anyhow::Error| error.downcast::<Problem>().unwrap();
    let target = TargetId {
        distro: "debian".parse().unwrap(),
        suite: "bookworm".parse().unwrap(),
        architecture: gitian_descriptor::Architecture::Amd64,
    };
    let left = problem(base_image::left_over(refusal("05-createvm-dup"), &target));
    assert_eq!(left.what, "the folder of an earlier machine for bookworm-amd64 is left: /vm/vms/Gitian-bookworm-amd64");
    assert!(left.mend.starts_with("rm -r /vm/vms/Gitian-bookworm-amd64 && bin/make-base-vm --vbox "), "{}", left.mend);
    let start = problem(explained(refusal("19-startvm-headless"), "M", Path::new("/vm/M/M.vbox")));
    assert_eq!(start, driver_missing());
    assert!(start.what.contains("kernel driver is not loaded") && start.mend.contains("modprobe vboxdrv"), "{start:?}");
    // What is no matter of the machine's start stays as it is.
    assert!(explained(refusal("36-startvm-missing"), "M", Path::new("/")).is::<Refused>());
}

/// The VBoxManage of the tests with a folder of its own, and a machine's end as `guest` says.
pub(super) fn fake(folder: &Path, guest: &str) -> Manage {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fake-tools/VBoxManage");
    let path = folder.join(format!("VBoxManage-{guest}"));
    let text = format!(
        "#!/bin/bash\nFAKE_VBOX={} FAKE_VBOX_GUEST={guest} exec {} \"$@\"\n",
        shell_words::quote(folder.to_str().unwrap()),
        shell_words::quote(program.to_str().unwrap())
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Manage::new(path)
}

#[test]
fn the_vboxmanage_of_the_tests_answers_like_the_recorded_one() {
    let Some(all) = transcripts("wrapper") else { return };
    let folder = tempfile::tempdir().unwrap();
    fake(folder.path(), "driverless");
    let mut asked = 0;
    for transcript in &all {
        // Questions that we do not ask.
        if ["--audio\t", "list\thd", "hostinfo", "--vm-execution-engine", "savestate"]
            .iter()
            .any(|word| transcript.args.join("\t").contains(word))
            || ["07", "11", "14", "31", "41", "43", "44"].contains(&&transcript.name[..2])
        {
            continue;
        }
        // The disk is of no matter here.
        if transcript.name.starts_with("09") {
            continue;
        }
        let args = transcript.args[1..].iter().map(|arg| arg.replace("/vm/", folder.path().join("").to_str().unwrap()));
        let command = Command::new(folder.path().join("VBoxManage-driverless")).args(args);
        let found = command.run(Streams::default()).unwrap();
        let text =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(folder.path().join("").to_str().unwrap(), "/vm/");
        let judged = judge("fake", found.status, &text(&found.stdout), &text(&found.stderr));
        let name = &transcript.name;
        match (transcript.judged(), judged) {
            (Ok(recorded), Ok(found)) => {
                let (recorded, found) = (without_uuids(&recorded.text), without_uuids(&found.text));
                match name.contains("showvminfo") || name.contains("state-after") {
                    true => compare_infos(name, &recorded, &found),
                    false => assert_eq!(found, recorded, "{name}"),
                }
            }
            (Err(recorded), Err(found)) => {
                assert_eq!((found.why, &found.words), (recorded.why, &recorded.words), "{name}");
            }
            (recorded, found) => panic!("{name}: recorded {recorded:?}, found {found:?}"),
        }
        let progress = |stderr: &str| stderr.contains("100%");
        assert_eq!(progress(&text(&found.stderr)), progress(&transcript.stderr), "{name}");
        asked += 1;
    }
    assert!(asked > 20, "{asked} questions were asked");
}

/// Every line about a machine that the one of the tests writes is one of the recorded ones.
fn compare_infos(name: &str, recorded: &str, found: &str) {
    for line in found.lines().filter(|line| !line.starts_with("\"SATA-0-0\"=\"\"")) {
        assert!(recorded.lines().any(|known| known == line), "{name}: {line}");
    }
    let (recorded, found) = (Info::parse(recorded), Info::parse(found));
    assert_eq!(found, recorded, "{name}");
}

fn without_uuids(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some(at) = rest.char_indices().map(|(at, _)| at).find(|at| is_uuid(rest.as_bytes(), *at)) {
        words += &rest[..at];
        words += "UUID";
        rest = &rest[at + 36..];
    }
    words + rest
}

fn is_uuid(bytes: &[u8], at: usize) -> bool {
    bytes.get(at..at + 36).is_some_and(|word| {
        word.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

#[test]
fn a_restored_snapshot_brings_its_settings_back() {
    // Recorded: memory 4096 becomes 1024 again, port 34567 becomes 2223.
    let folder = tempfile::tempdir().unwrap();
    let manage = fake(folder.path(), "none");
    let memory = || manage.run(["showvminfo", "M", "--machinereadable"]).unwrap().text.contains("memory=1024\n");
    let rule = |port: &str| format!("guestssh,tcp,127.0.0.1,{port},,22");
    manage.run(["createvm", "--name", "M", "--ostype", "Debian_64", "--register"]).unwrap();
    manage.run(["modifyvm", "M", "--memory", "1024", "--natpf1", &rule("2223")]).unwrap();
    manage.run(["snapshot", "M", "take", "Gitian-Clean"]).unwrap();
    manage.run(["modifyvm", "M", "--memory", "4096", "--natpf1", "delete", "guestssh"]).unwrap();
    manage.run(["modifyvm", "M", "--natpf1", &rule("34567")]).unwrap();
    let port = || manage.info("M").unwrap().unwrap().forwards[0].host_port;
    assert_eq!((memory(), port()), (false, 34567));
    manage.run(["snapshot", "M", "restore", "Gitian-Clean"]).unwrap();
    assert_eq!((memory(), port()), (true, 2223));
}
