//! Guests of Ubuntu, made from a small archive of our own that is served on this host, and what becomes of a build when
//! that archive misbehaves.
//!
//! There is one mirror, since its address is part of the base image, and one working directory: tests take turns.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use support::archive::{Archive, SUITE, State};
use support::mirror::Mirror;
use support::programs::{self, Answer};

/// More often than anybody asks.
const FOR_EVER: usize = usize::MAX;

/// The archive on its mirror, and a working directory with a base image made from it.
struct Stage {
    archive: Archive,
    mirror: Mirror,
    work: PathBuf,
}

/// Waits for its turn; then the mirror is as it should be, and packages of our own have to be downloaded.
fn stage() -> Option<MutexGuard<'static, Stage>> {
    static STAGE: OnceLock<Option<Mutex<Stage>>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| Stage::set_up().map(Mutex::new)).as_ref()?;
    let stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    stage.serve(State::Now);
    stage.archive.forget_own_packages();
    Some(stage)
}

impl Stage {
    fn set_up() -> Option<Self> {
        let archive = Archive::open()?;
        let mirror = Mirror::start(&archive.port_note());
        let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ubuntu");
        fs::create_dir_all(&work).unwrap();
        for entry in fs::read_dir(&work).unwrap() {
            // Where an earlier run of this program had its base image.
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("base-") {
                fs::remove_file(path).unwrap();
            }
        }
        // What a guest leaves behind becomes a child of ours, where it is seen.
        nix::sys::prctl::set_child_subreaper(true).unwrap();
        let stage = Self { archive, mirror, work };
        stage.serve(State::Now);
        succeeds(&stage.make_base_in(&stage.work));
        Some(stage)
    }

    fn serve(&self, state: State) {
        self.mirror.serve(self.archive.root(state));
    }

    /// Makes a base image as a user of this mirror would; ubuntu is the default.
    fn make_base_in(&self, work: &Path) -> Answer {
        let keyring = self.archive.keyring();
        let args = ["--suite", SUITE, "--mirror", &self.mirror.url(), "--keyring", keyring.to_str().unwrap()];
        programs::run("make-base-vm", &args, work)
    }

    /// Builds a descriptor that looks around, from scratch.
    fn build(&self, packages: &str) -> Answer {
        self.build_with(packages, &["--no-layer-cache"])
    }

    fn build_with(&self, packages: &str, options: &[&str]) -> Answer {
        let descriptor = format!(
            "name: toy\nsuites: [{SUITE}]\narchitectures: [amd64]\npackages: [{packages}]\nremotes: []\nfiles: []\n\
             reference_datetime: \"2022-04-21 00:00:00\"\nscript: |\n  {{\n    whoami\n    echo $HOME\n    \
             locale -a | grep en_US\n    cat /usr/share/*/version\n    cat /etc/apt/sources.list\n  }} > $OUTDIR/seen\n"
        );
        fs::write(self.work.join("toy.yml"), descriptor).unwrap();
        fs::remove_file(self.report()).ok();
        let answer = programs::run("gbuild", &[options, &["toy.yml"]].concat(), &self.work);
        assert_eq!(left_running(), Vec::<WaitStatus>::new(), "{}", answer.stderr);
        answer
    }

    fn report(&self) -> PathBuf {
        self.work.join("result/toy-res.yml")
    }

    /// What the last build saw around it.
    fn seen(&self) -> String {
        fs::read_to_string(self.work.join("build/out/seen")).unwrap()
    }
}

/// Returns our children, of which there should be none: each program that we start is waited for.
fn left_running() -> Vec<WaitStatus> {
    let mut left = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return left,
            Ok(status @ WaitStatus::StillAlive) => {
                left.push(status);
                return left;
            }
            // It has ended, and nobody had asked yet.
            Ok(_) => {}
            Err(errno) => panic!("{errno}"),
        }
    }
}

fn succeeds(answer: &Answer) {
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
}

/// Fails with a message that says all this, and with a hint.
fn fails(answer: &Answer, says: &[&str]) {
    assert_eq!(answer.code, 1, "{}{}", answer.stdout, answer.stderr);
    for part in says.iter().chain(&[": error: ", "\nhint: "]) {
        assert!(answer.stderr.contains(part), "'{part}' is missing in\n{}", answer.stderr);
    }
}

#[test]
fn a_script_finds_its_user_its_locale_and_the_suites_three_archives() {
    let Some(stage) = stage() else { return };
    let url = stage.mirror.url();
    succeeds(&stage.build("greeting, almanac"));
    let seen = stage.seen();
    let lines: Vec<&str> = seen.lines().filter(|line| !line.is_empty()).collect();
    // `almanac` is in universe, `greeting` newer in the security archive.
    assert_eq!(
        lines,
        [
            "ubuntu",
            "/home/ubuntu",
            "en_US.utf8",
            "1.0",
            "1.1",
            "1:22.04+20240212",
            &format!("deb {url} jammy main universe"),
            &format!("deb {url} jammy-updates main universe"),
            &format!("deb {url} jammy-security main universe"),
        ]
    );
    let report = fs::read_to_string(stage.report()).unwrap();
    for file in ["almanac_1.0_all.deb", "greeting_1.1_all.deb", "language-pack-en_1%3a22.04+20240212_all.deb"] {
        assert!(report.contains(&format!("  {file}\n")), "{file} is not in\n{report}");
    }
    assert!(!report.contains("greeting_1.0"), "{report}");
}

#[test]
fn a_server_that_recovers_only_costs_time() {
    let Some(stage) = stage() else { return };
    stage.mirror.fail("/jammy-security/InRelease", 429, 1);
    stage.mirror.fail("/almanac", 503, 1);
    let built = stage.build("almanac");
    succeeds(&built);
    assert_eq!(built.stderr.matches("trying again").count(), 2, "{}", built.stderr);
    assert_eq!(stage.mirror.asked("/almanac"), 2);

    stage.serve(State::Now);
    stage.mirror.fail("/jammy/InRelease", 429, 1);
    let work = tempfile::tempdir().unwrap();
    let made = stage.make_base_in(work.path());
    succeeds(&made);
    assert_eq!(made.stdout.matches("trying again").count(), 1, "{}", made.stdout);
}

#[test]
fn a_server_that_stays_broken_is_named_with_its_status() {
    let Some(stage) = stage() else { return };
    stage.mirror.fail("/greeting", 503, FOR_EVER);
    let url = stage.mirror.url();
    let address = format!("{url}/pool/jammy-security/main/greeting_1.1_all.deb");
    fails(&stage.build("greeting"), &[&address, "503  Service Unavailable", "hint: the server is overloaded"]);
    assert_eq!(stage.mirror.asked("/greeting"), 4);
    assert!(!stage.report().exists());

    // With an archive that has changed, the base image in the cache is of no use.
    stage.serve(State::Later);
    stage.mirror.fail("/jammy/main/binary-amd64/Packages", 429, FOR_EVER);
    let work = tempfile::tempdir().unwrap();
    let made = stage.make_base_in(work.path());
    fails(&made, &["the mirror is busy", &format!("{url}/dists/jammy/main/binary-amd64/Packages"), "  429  "]);
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0);

    stage.serve(State::Now);
    succeeds(&stage.build("greeting"));
}

#[test]
fn a_repository_that_changes_before_the_install_is_read_again() {
    let Some(stage) = stage() else { return };
    stage.mirror.turn_at("/almanac_1.0", stage.archive.root(State::Later));
    let built = stage.build("almanac");
    succeeds(&built);
    assert!(built.stderr.contains("the repository has changed meanwhile"), "{}", built.stderr);
    assert!(stage.seen().contains("\n1.1\n"), "{}", stage.seen());
    assert!(fs::read_to_string(stage.report()).unwrap().contains("  almanac_1.1_all.deb\n"));
}

#[test]
fn a_repository_that_changes_while_it_is_read_is_read_again() {
    let Some(stage) = stage() else { return };
    stage.mirror.turn_at("/jammy-updates/universe/binary-amd64/Packages", stage.archive.root(State::Later));
    succeeds(&stage.build("almanac"));
    assert!(stage.seen().contains("\n1.1\n"), "{}", stage.seen());
}

#[test]
fn kept_packages_are_not_used_once_the_repository_has_changed() {
    const USED: &str = "Using the packages of an earlier build";
    let Some(stage) = stage() else { return };
    succeeds(&stage.build_with("almanac", &[]));
    let again = stage.build_with("almanac", &[]);
    succeeds(&again);
    assert!(again.stdout.contains(USED), "{}", again.stdout);
    assert!(stage.seen().contains("\n1.0\n"), "{}", stage.seen());
    stage.serve(State::Later);
    let changed = stage.build_with("almanac", &[]);
    succeeds(&changed);
    assert!(!changed.stdout.contains(USED), "{}", changed.stdout);
    let log = std::fs::read_to_string(stage.work.join("var/install.log")).unwrap();
    let why_not = log.lines().next().unwrap_or_default();
    assert!(why_not.starts_with("The packages of an earlier build are not used: http://"), "{log}");
    assert!(why_not.ends_with("InRelease has changed"), "{log}");
    assert!(stage.seen().contains("\n1.1\n"), "{}", stage.seen());
    // A server that cannot be asked is no reason to believe that nothing has changed.
    stage.serve(State::Expired);
    fails(&stage.build_with("almanac", &[]), &["is expired"]);
}

#[test]
fn an_archive_that_cannot_be_trusted_stops_a_build_with_the_reason() {
    let Some(stage) = stage() else { return };
    for (state, missing, says) in [
        (State::Expired, None, ["is expired (invalid since", "hint: the mirror is no longer updated"]),
        (State::Tampered, None, ["BADSIG", "hint: what the mirror sent is not what was signed"]),
        (State::Foreign, None, ["NO_PUBKEY", "--keyring FILE"]),
        (State::Now, Some("/dists/jammy/"), ["does not have a Release file", "Ubuntu's old-releases mirror"]),
    ] {
        stage.serve(state);
        if let Some(part) = missing {
            stage.mirror.fail(part, 404, FOR_EVER);
        }
        fails(
            &stage.build("greeting"),
            &[&["apt-get update of jammy-amd64 ended with exit status 100"], &says[..]].concat(),
        );
        assert!(!stage.report().exists(), "{state:?}");
        stage.serve(State::Now);
        succeeds(&stage.build("greeting"));
    }
}

#[test]
fn an_archive_that_cannot_be_trusted_makes_no_base_image() {
    let Some(stage) = stage() else { return };
    let work = tempfile::tempdir().unwrap();
    let mirror = stage.mirror.url();
    let keyring = stage.archive.keyring();
    let ours = ["--mirror", &mirror, "--keyring", keyring.to_str().unwrap()];
    let nobody = ["--mirror", "http://127.0.0.1:9/ubuntu"];
    let no_keys = ["--mirror", &mirror, "--keyring", "/etc/passwd"];
    for (state, suite, options, says) in [
        (State::Now, "jummy", &ours[..], ["ubuntu jummy is not on the mirror: misspelt", "check --distro and --suite"]),
        (State::Now, "zesty", &ours, ["past its end of life", "Ubuntu's old-releases"]),
        (State::Now, SUITE, &nobody, ["the mirror is not reached: ", "http://127.0.0.1:9/ubuntu"]),
        (State::Now, SUITE, &ours[..2], ["a key that is not trusted", "--keyring FILE"]),
        (State::Now, SUITE, &no_keys, ["keyring /etc/passwd: holds no OpenPGP keys", "gpg --export"]),
        (State::Expired, SUITE, &ours, ["is expired (invalid since", "check `date`, or use a current mirror"]),
        (State::Tampered, SUITE, &ours, ["not what was signed", "BADSIG"]),
        (State::Foreign, SUITE, &ours, ["a key that is not trusted", "NO_PUBKEY"]),
    ] {
        stage.serve(state);
        let made = programs::run("make-base-vm", &[&["--suite", suite], options].concat(), work.path());
        fails(&made, &says);
        assert_eq!(left_running(), Vec::<WaitStatus>::new());
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0, "{state:?} {suite}");
    }
}

#[test]
fn a_package_that_no_archive_has_is_named() {
    let Some(stage) = stage() else { return };
    fails(&stage.build("greeting, no-such-package"), &["Unable to locate package no-such-package", "packages:"]);
    fails(&stage.build("greeting=7"), &["Version '7' for 'greeting' was not found", "packages:"]);
}

#[test]
fn an_address_that_is_none_is_wrong_usage() {
    let work = tempfile::tempdir().unwrap();
    for mirror in ["ubuntu", "http://a b", "http://a\ndeb http://b", "file:///srv"] {
        let made = programs::run("make-base-vm", &["--mirror", mirror], work.path());
        assert_eq!(made.code, 2, "{mirror}: {}", made.stderr);
        assert!(made.stderr.contains("write it like http://HOST/ubuntu"), "{}", made.stderr);
    }
}
