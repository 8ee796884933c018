//! `gitian doctor`: the host at a glance.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::programs::{Workdir, answer};

#[test]
fn every_kind_of_guest_and_all_else_has_a_line_and_each_problem_what_mends_it() {
    let work = Workdir::new();
    let told = work.run("gitian", &["doctor"]);
    for name in gitian_vm::names().chain(["cache", "disk", "ids", "clock", "keys", "git"]) {
        assert!(told.stdout.lines().any(|line| line.starts_with(&format!("{name:<8} "))), "{name}: {}", told.stdout);
    }
    assert!(told.stdout.contains("(what gbuild uses here)"), "{}", told.stdout);
    // The home is empty, so that there are neither keys nor a name to commit by.
    assert!(told.stdout.contains("keys     none to sign with\n"), "{}", told.stdout);
    assert!(told.stdout.contains("hint: git config --global user.name NAME"), "{}", told.stdout);
    let hints = told.stdout.lines().filter(|line| line.trim_start().starts_with("hint: ")).count();
    assert!(hints >= 2, "{}", told.stdout);
    let last = told.stdout.lines().last().unwrap();
    match told.code {
        0 => assert_eq!(last, "this host can build (sandbox)"),
        _ => assert_eq!((told.code, last), (1, "this host cannot build yet (sandbox)")),
    }
    assert!(fs::read_dir(work.path()).unwrap().all(|entry| entry.unwrap().file_name() == ".gnupg"), "nothing is made");
}

#[test]
fn the_exit_code_is_about_the_kind_of_guest_that_gbuild_would_use() {
    let mut work = Workdir::new();
    // A docker that does not answer.
    let tool = work.path().join("docker");
    fs::write(&tool, "#!/bin/sh\necho no daemon here >&2\nexit 1\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    work.set_env("GITIAN_DOCKER", tool.to_str().unwrap());
    work.set_env("USE_DOCKER", "1");
    let told = answer(work.program("gitian").arg("doctor"));
    assert_eq!(told.code, 1, "{}", told.stdout);
    assert!(told.stdout.contains("docker   cannot build (what gbuild uses here)\n"), "{}", told.stdout);
    assert!(told.stdout.ends_with("this host cannot build yet (docker)\n"), "{}", told.stdout);
}

#[test]
fn where_gbuild_can_build_doctor_says_so() {
    let Some(work) = Workdir::with_bookworm() else { return };
    work.run("gbuild", &["--check", work.descriptor("", "true")]).succeeds();
    let told = work.run("gitian", &["doctor"]).succeeds();
    assert!(told.stdout.ends_with("this host can build (sandbox)\n"), "{}", told.stdout);
}

#[test]
fn root_is_told_of_commands_without_sudo_which_need_not_be_there() {
    let work = Workdir::new();
    let told = answer(work.program("gitian").arg("doctor").env("PATH", "/nonexistent")).stdout;
    let sudo = if nix::unistd::Uid::effective().is_root() { "" } else { "sudo " };
    for package in ["gnupg", "git"] {
        assert!(told.contains(&format!("hint: {sudo}apt-get install {package}\n")), "{package}: {told}");
    }
    assert_eq!(told.contains("sudo apt-get"), !sudo.is_empty(), "{told}");
}
