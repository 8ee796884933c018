//! gbuild on real guests of the sandbox: the records are those of the original, the same every time and for everybody.

use std::fs;
use std::path::{Path, PathBuf};

use gitian_manifest::Report;

use crate::support;
use crate::support::programs::{Answer, Workdir};
use crate::support::{checkout, hello, shared};

/// A working directory with the bookworm base image and GNU hello's tarball in its inputs.
fn hello_workdir() -> Option<Workdir> {
    let tarball = hello::tarball()?;
    let work = Workdir::with_bookworm()?;
    work.input("hello_2.10.orig.tar.gz", &tarball);
    Some(work)
}

fn example() -> PathBuf {
    checkout().join("share/examples/hello/hello.yml")
}

fn gbuild(work: &Workdir, args: &[&str], descriptor: &Path) -> Answer {
    let mut all = args.to_vec();
    all.push(descriptor.to_str().unwrap());
    let answer = work.run("gbuild", &all);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    answer
}

fn report(work: &Workdir, package: &str) -> Vec<u8> {
    fs::read(work.path().join(format!("result/{package}-res.yml"))).unwrap()
}

#[test]
fn hello_gives_the_recorded_outputs_from_the_recorded_inputs() {
    let (Some(data), Some(work)) = (shared("original/real"), hello_workdir()) else { return };
    gbuild(&work, &[], &data.join("hello.yml"));
    let ours = Report::read(&report(&work, "hello-debian")).unwrap();
    let theirs = Report::read(&fs::read(data.join("docker-hello/hello-debian-res.yml")).unwrap()).unwrap();
    assert_eq!(ours.out_manifest, theirs.out_manifest);
    assert_eq!(ours.in_manifest, theirs.in_manifest);
}

#[test]
fn hello_from_git_gives_the_recorded_outputs_inputs_and_caches() {
    let (Some(data), Some(repository)) = (shared("original/real"), hello::repository()) else { return };
    let Some(work) = Workdir::with_bookworm() else { return };
    let url = format!("hello={}", repository.display());
    gbuild(&work, &["--url", &url], &data.join("hello-git.yml"));
    let ours = Report::read(&report(&work, "hello-git")).unwrap();
    let theirs = Report::read(&fs::read(data.join("docker-hello-git/hello-git-res.yml")).unwrap()).unwrap();
    assert_eq!(ours.out_manifest, theirs.out_manifest);
    assert_eq!(ours.in_manifest, theirs.in_manifest);
    assert_eq!(ours.cache_common_manifest, theirs.cache_common_manifest);
    assert_eq!(ours.cache_package_manifest, theirs.cache_package_manifest);
}

#[test]
fn a_report_is_the_same_again_with_and_without_layers_in_other_folders_and_for_an_ordinary_user() {
    let Some(work) = hello_workdir() else { return };
    gbuild(&work, &["--no-layer-cache"], &example());
    let first = report(&work, "hello");
    for what in ["layer made or taken", "layer taken"] {
        gbuild(&work, &[], &example());
        assert!(report(&work, "hello") == first, "{what}");
    }
    let other = hello_workdir().unwrap();
    gbuild(&other, &[], &example());
    assert!(report(&other, "hello") == first, "another working directory");

    let Some(ordinary) = Workdir::of_ordinary_user() else { return };
    ordinary.input("hello_2.10.orig.tar.gz", &hello::tarball().unwrap());
    let descriptor = ordinary.path().join("hello.yml");
    fs::copy(example(), &descriptor).unwrap();
    gbuild(&ordinary, &[], &descriptor);
    assert!(report(&ordinary, "hello") == first, "an ordinary user");
}

#[test]
fn the_package_manifest_is_what_hashing_every_installed_package_gives() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let descriptor = work.path().join("packages.yml");
    fs::write(
        &descriptor,
        r#"
name: packages
distro: debian
suites: [bookworm]
architectures: [amd64]
packages: [automake]
reference_datetime: "2020-01-01 00:00:00"
script: |
  mkdir debs
  cd debs
  apt-get download $(dpkg-query -W -f '${db:Status-Abbrev} ${Package}:${Architecture}=${Version}\n' | sed -n 's/^ii  *//p')
  sha256sum *.deb | LC_ALL=C sort --key 2 > "$OUTDIR/manifest"
"#,
    )
    .unwrap();
    gbuild(&work, &[], &descriptor);
    let hashed = fs::read_to_string(work.path().join("build/out/manifest")).unwrap();
    let ours = fs::read_to_string(work.path().join("var/base-bookworm-amd64.manifest")).unwrap();
    assert!(hashed.lines().count() > 150, "{hashed}");
    assert!(hashed.contains("%3a"), "{hashed}");
    assert_eq!(ours, hashed);
}

#[test]
fn the_demo_ends_with_two_signers_who_agree() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let mut demo = assert_cmd::Command::new(checkout().join("share/examples/demo"));
    demo.arg("demo").current_dir(work.path()).env("GITIAN_BIN_DIR", checkout().join("target/release"));
    // The demo fetches its own input; its guests' caches are those of the tests.
    demo.env("XDG_CACHE_HOME", support::programs::cache()).env_remove("CI");
    let answer = support::programs::answer(&mut demo);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stdout.contains("\nalice: OK\n") && answer.stdout.contains("\nbob: OK\n"), "{}", answer.stdout);
    let greeting = work.path().join("demo/build/out/bin/greeting");
    let said = assert_cmd::Command::new(greeting).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "bonjour\nciao\nhallo\nhello\n");
}
