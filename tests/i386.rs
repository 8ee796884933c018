//! Guests of i386, and packages of i386 in a guest of amd64.
//!
//! Made from the release alone, without its updates: a mirror's lists of updates for i386 are seldom whole, and the
//! packages of both architectures have to be of one version.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use assert_cmd::Command;

use crate::support;
use crate::support::backends::row;
use crate::support::mirror::Mirror;
use crate::support::programs::{Workdir, cache};

/// A mirror that has the release only, at the same port in every run, so that what was made from it is found again.
static MIRROR: LazyLock<Option<Mirror>> = LazyLock::new(|| {
    let listed = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)", "Codename: bookworm", "Created-By: Packages"])
        .output();
    let listed = String::from_utf8(listed.map(|output| output.stdout).unwrap_or_default()).unwrap();
    let Some(archive) = listed.lines().find(|uri| uri.starts_with("http") && uri.contains("/debian/")) else {
        support::skip("sandbox", "apt of this host has no archive of bookworm over http");
        return None;
    };
    let folder = cache().join("gitian/tests");
    fs::create_dir_all(&folder).unwrap();
    let mirror = Mirror::start(&folder.join("port-i386"));
    mirror.forward_debian(archive);
    Some(mirror)
});

/// A working directory with the base image of an architecture, for a kind of guest.
fn with_base(architecture: &str, kind: &str) -> Option<Workdir> {
    let work = row(kind).bare_workdir()?;
    let mirror = MIRROR.as_ref()?.debian_url();
    let which = ["--distro", "debian", "--suite", "bookworm", "--arch", architecture, "--backend", kind];
    work.run("make-base-vm", &[&which[..], &["--mirror", &mirror]].concat()).succeeds();
    Some(work)
}

fn build(work: &Workdir, options: &[&str], keys: &str, script: &str) -> PathBuf {
    let mut text =
        "name: both\ndistro: debian\nsuites: [bookworm]\nreference_datetime: \"2020-01-01 00:00:00\"\n".to_owned();
    text += keys;
    text += "script: |\n";
    text += &script.lines().map(|line| format!("  {}\n", line.trim_start())).collect::<String>();
    fs::write(work.path().join("both.yml"), text).unwrap();
    work.run("gbuild", &[options, &["both.yml"]].concat()).succeeds();
    work.path().join("build/out")
}

/// Has a guest of i386 tell what it is, and what it makes.
fn assert_is_i386(work: &Workdir, options: &[&str], keys: &str) {
    let script = "
        uname -m > $OUTDIR/machine
        cat /proc/self/personality > $OUTDIR/personality
        echo $GBUILD_BITS > $OUTDIR/bits
        dpkg --print-architecture > $OUTDIR/architecture
        echo 'int main(void) { return sizeof(void *); }' > size.c
        gcc -o size size.c
        ./size || echo $? > $OUTDIR/pointer";
    let out = build(work, options, &format!("architectures: [i386]\n{keys}"), script);
    for (name, expected) in
        [("machine", "i686"), ("personality", "00000008"), ("bits", "32"), ("architecture", "i386"), ("pointer", "4")]
    {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), format!("{expected}\n"), "{name}");
    }
    let manifest = fs::read_to_string(work.path().join("var/base-bookworm-i386.manifest")).unwrap();
    assert!(manifest.lines().all(|line| line.ends_with("_i386.deb") || line.ends_with("_all.deb")), "{manifest}");
    assert!(manifest.contains("  libc6_2.36-"), "{manifest}");
}

#[test]
fn an_i386_guest_is_one() {
    let Some(work) = with_base("i386", "sandbox") else { return };
    assert_is_i386(&work, &[], "packages: [gcc, libc6-dev]\n");
}

/// Its kernel is one of 32 bits, which finds its disk by what its initrd holds.
#[test]
fn an_i386_machine_is_one() {
    let Some(work) = with_base("i386", "kvm") else { return };
    let run = |name: &str, args: &[&str]| work.run(name, args).succeeds();
    run("make-clean-vm", &["--suite", "bookworm", "--arch", "i386"]);
    run("start-target", &["32", "bookworm-i386"]);
    // The mirror is on this host's loopback, which a machine reaches by another address.
    run("on-target", &["-u", "root", "sed", "-i", "s/127.0.0.1/10.0.2.2/", "/etc/apt/sources.list"]);
    assert_is_i386(&work, &["--skip-image"], "");
}

#[test]
fn packages_of_another_architecture_are_there_for_the_asking() {
    let Some(work) = with_base("amd64", "sandbox") else { return };
    let script = "
        dpkg --print-architecture > $OUTDIR/own
        dpkg --print-foreign-architectures > $OUTDIR/foreign
        /lib/ld-linux.so.2 --version | head -n 1 | cut -d' ' -f1 > $OUTDIR/loader";
    let out = build(&work, &[], "architectures: [amd64]\nmultiarch: [i386]\npackages: [\"libc6:i386\"]\n", script);
    for (name, expected) in [("own", "amd64"), ("foreign", "i386"), ("loader", "ld.so")] {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), format!("{expected}\n"), "{name}");
    }
    let manifest = fs::read_to_string(work.path().join("var/base-bookworm-amd64.manifest")).unwrap();
    for architecture in ["amd64", "i386"] {
        let libc = |line: &str| line.contains("  libc6_2.36-") && line.ends_with(&format!("_{architecture}.deb"));
        assert!(manifest.lines().any(libc), "{architecture}: {manifest}");
    }
}
