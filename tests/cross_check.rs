//! `gbuild --cross-check`: one build in two kinds of guest.

use std::fs;
use std::time::Duration;

use assert_cmd::Command;
use nix::sys::signal::Signal;

use crate::support::backends::row;
use crate::support::programs::{Workdir, answer};
use crate::support::running::within;

const BOTH: [&str; 2] = ["--cross-check", "sandbox,docker"];

/// A working directory with base images of the sandbox and of Docker.
fn with_both() -> Option<Workdir> {
    let mut work = row("docker").workdir()?;
    work.set_env("GITIAN_BACKEND", "");
    work.run("make-base-vm", &["--distro", "debian", "--suite", "bookworm", "--backend", "sandbox"]).succeeds();
    Some(work)
}

#[test]
fn the_same_outputs_in_both_are_told_and_recorded_as_by_a_build_in_the_first() {
    let Some(work) = with_both() else { return };
    fs::create_dir_all(work.path().join("inputs")).unwrap();
    fs::write(work.path().join("inputs/input"), "input").unwrap();
    fs::create_dir_all(work.path().join("cache/trial")).unwrap();
    fs::write(work.path().join("cache/trial/old"), "old").unwrap();
    let script = "cp input $OUTDIR/; ls $GBUILD_PACKAGE_CACHE > $OUTDIR/cached; echo new > $GBUILD_PACKAGE_CACHE/new";
    let descriptor = work.descriptor("files: [input]\nenable_cache: true\n", script);
    for cached in ["old\n", "new\nold\n"] {
        let told = work.run("gbuild", &[&BOTH[..], &[descriptor]].concat()).succeeds().stdout;
        for line in [
            "\nsandbox: Running build script (log in var/build.log)\n",
            "\ndocker: Running build script (log in var/build.log)\n",
            "\nsandbox: Done.\n",
            "\ndocker: Done.\n",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
        assert!(told.ends_with("\nsandbox and docker: the same outputs (2)\n"), "{told}");
        for out in ["build/out", "var/cross-check/docker/build/out"] {
            assert_eq!(fs::read_to_string(work.path().join(out).join("cached")).unwrap(), cached, "{out}");
        }
        let record = |root: &str| fs::read(work.path().join(root).join("result/trial-res.yml")).unwrap();
        assert!(record("") == record("var/cross-check/docker"), "one record");
    }
}

/// What runs in a working directory is found by whoever does not say of which kind.
#[test]
fn a_target_of_another_kind_is_stopped_before_one_is_started() {
    let Some(work) = with_both() else { return };
    let build = |backend: &str| {
        let descriptor = work.descriptor("", &format!("echo {backend} > $OUTDIR/kind"));
        work.run("gbuild", &["-q", "--skip-cleanup", "--backend", backend, descriptor]).succeeds();
    };
    for backend in ["sandbox", "docker", "sandbox"] {
        build(backend);
        assert_eq!(work.run("on-target", &["cat", "out/kind"]).succeeds().stdout, format!("{backend}\n"));
    }
    work.run("stop-target", &[]).succeeds();
    let told = work.run("on-target", &["true"]);
    assert!(told.code == 1 && told.stderr.contains("no target runs in"), "{}", told.stderr);
}

#[test]
fn guests_that_a_killed_one_left_are_stopped_by_stop_target_and_by_the_next_build() {
    let Some(work) = with_both() else { return };
    let listed = || {
        let mut ps = Command::new("docker");
        ps.env("DOCKER_HOST", work.env("DOCKER_HOST")).args(["ps", "--format", "{{.Label \"gitian.owner\"}}"]);
        let told = answer(&mut ps).succeeds().stdout;
        told.lines().filter(|owner| owner.contains(work.path().to_str().unwrap())).count()
    };
    for ender in ["stop-target", "gbuild"] {
        let log = work.path().join("var/cross-check/docker/var/build.log");
        fs::remove_file(&log).ok();
        let descriptor = work.descriptor("", "test ! -e /.dockerenv || { echo it runs; sleep 600; }");
        let mut running = work.start("gbuild", &[&BOTH[..], &["-q", descriptor]].concat());
        let runs = || fs::read_to_string(&log).is_ok_and(|log| log.contains("\nit runs\n"));
        assert!(within(Duration::from_secs(180), || runs() || running.has_ended()), "the script does not run");
        running.signal(Signal::SIGKILL);
        running.answer();
        assert_eq!(listed(), 1, "it was killed");
        match ender {
            "gbuild" => work.run(ender, &[work.descriptor("", "true")]),
            _ => work.run(ender, &[]),
        }
        .succeeds();
        assert_eq!(listed(), 0, "after {ender}");
    }
}

#[test]
fn different_outputs_are_an_error_that_is_explained() {
    let Some(work) = with_both() else { return };
    let script = "test ! -e /.dockerenv || echo docker > $OUTDIR/kind; echo same > $OUTDIR/same; cd $OUTDIR; test -e kind || echo other > kind";
    let answer = work.run("gbuild", &[&BOTH[..], &["-q", work.descriptor("", script)]].concat());
    assert_eq!(answer.code, 1, "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stdout.starts_with("sandbox and docker: DIFFERENT OUTPUTS\n"), "{}", answer.stdout);
    assert!(answer.stdout.contains("kind"), "{}", answer.stdout);
    assert!(
        answer.stdout.ends_with("\nhint: diffoscope build/out var/cross-check/docker/build/out\n"),
        "{}",
        answer.stdout
    );
}

#[test]
fn a_script_that_fails_in_one_of_them_is_told_with_its_name() {
    let Some(work) = with_both() else { return };
    let script = "if test -e /.dockerenv; then exit 7; fi";
    let answer = work.run("gbuild", &[&BOTH[..], &[work.descriptor("", script)]].concat());
    assert_eq!(answer.code, 1, "{}{}", answer.stdout, answer.stderr);
    let error = "gbuild: error: docker: build script of bookworm-amd64 ended with exit status 7\n";
    assert!(answer.stderr.starts_with(error), "{}", answer.stderr);
    assert!(work.path().join("result/trial-res.yml").exists(), "the first one's record");
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_is_touched() {
    let work = Workdir::new();
    let descriptor = work.descriptor("", "true");
    for (names, code, told) in [
        ("sandbox", 2, "gbuild: error: --cross-check needs two backends, as in --cross-check sandbox,docker\n"),
        ("sandbox,sandbox", 2, "gbuild: error: --cross-check names sandbox twice\n"),
        ("sandbox,bochs", 1, "gbuild: error: --cross-check: there is no backend 'bochs'"),
        ("sandbox,docker", 1, "gbuild: error: base image base-bookworm-amd64.sandbox does not exist\n"),
    ] {
        let answer = work.run("gbuild", &["--cross-check", names, descriptor]);
        assert_eq!(answer.code, code, "{names}: {}", answer.stderr);
        assert!(answer.stderr.contains(told), "{names}: {}", answer.stderr);
    }
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 1, "only the descriptor");
}
