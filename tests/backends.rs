//! Every kind of guest gives the same bytes: the same outputs, packages and surroundings of a script.

mod support;

use std::collections::BTreeMap;
use std::fs;

use gitian_manifest::Report;
use support::backends::{ROWS, Row};
use support::programs::Workdir;
use support::{checkout, hello};

/// Runs a comparison of every kind of guest that can run here with the first.
fn compare<T>(make: impl Fn(&Row, &Workdir) -> T, check: impl Fn(&Row, &T, &T)) {
    let mut first = None;
    for row in ROWS {
        let Some(work) = row.workdir() else { continue };
        let made = make(row, &work);
        match &first {
            None => first = Some(made),
            Some(first) => check(row, first, &made),
        }
    }
}

#[test]
fn hello_and_its_packages_are_the_same_in_every_kind_of_guest() {
    let Some(tarball) = hello::tarball() else { return };
    let build = |_: &Row, work: &Workdir| {
        work.input("hello_2.10.orig.tar.gz", &tarball);
        let example = checkout().join("share/examples/hello/hello.yml");
        work.run("gbuild", &[example.to_str().unwrap()]).succeeds();
        let first = fs::read(work.path().join("result/hello-res.yml")).unwrap();
        // The second time from a layer.
        let again = work.run("gbuild", &[example.to_str().unwrap()]).succeeds();
        assert!(again.stdout.contains("Using the packages of an earlier build"), "{}", again.stdout);
        assert!(fs::read(work.path().join("result/hello-res.yml")).unwrap() == first, "the second build's record");
        Report::read(&first).unwrap()
    };
    compare(build, |row, expected, found| {
        assert_eq!(found.out_manifest, expected.out_manifest, "{}", row.name);
        assert_eq!(found.in_manifest, expected.in_manifest, "{}", row.name);
        let is_own = |line: &&str| {
            let package = line.split_ascii_whitespace().last().unwrap_or_default();
            row.more_packages.iter().any(|prefix| package.starts_with(prefix))
        };
        for ((name, text), (other_name, other)) in found.base_manifests.iter().zip(expected.base_manifests.iter()) {
            assert_eq!(name, other_name);
            // A package that a guest of this kind has anyway may be one that the descriptor asks for.
            let common = |line: &&str| !is_own(line) || other.lines().any(|other| other == *line);
            let common: Vec<&str> = text.lines().filter(common).collect();
            assert_eq!(common, other.lines().collect::<Vec<_>>(), "{}", row.name);
        }
    });
}

/// Everything that a script may look at, one output each.
const DUMP: &str = r#"
  env | sort > $OUTDIR/environment
  echo "$-" > $OUTDIR/flags
  id > $OUTDIR/id
  umask > $OUTDIR/umask
  hostname > $OUTDIR/hostname
  getent hosts gitian localhost > $OUTDIR/hosts
  locale -a > $OUTDIR/locales
  locale > $OUTDIR/locale
  find $HOME ! -path "$OUTDIR/*" -printf '%p %m %u %g %y\n' | sort > $OUTDIR/home
  ulimit -c > $OUTDIR/core
  date +%Z%z > $OUTDIR/zone
  uname -sm > $OUTDIR/machine
  setarch i386 uname -m > $OUTDIR/machine32
  cat /proc/self/personality > $OUTDIR/personality
  ls /dev > $OUTDIR/devices
  sudo -n true 2> $OUTDIR/sudo && exit 1
  cat > $OUTDIR/input
  tty > $OUTDIR/terminal && exit 1
  touch $HOME/new; mkdir $HOME/newer
  stat -c %a $HOME/new $HOME/newer > $OUTDIR/modes
  echo "$MAKEOPTS|$NUM_PROCS|$NUM_MEM|$GBUILD_BITS|$REFERENCE_DATETIME" > $OUTDIR/numbers
  echo told > /dev/stderr
  echo told > /dev/stdout
  ls /proc/self/fd | wc -w > $OUTDIR/descriptors
  cat /etc/passwd /etc/group > $OUTDIR/users
  (cat /etc/hosts /etc/hostname; ls -l /etc/localtime) > $OUTDIR/etc
  cat /etc/apt/sources.list > $OUTDIR/sources
  find / -xdev -mindepth 1 -maxdepth 1 ! -name proc ! -name sys -printf '%p %m %u\n' | sort > $OUTDIR/top
  ls -A /tmp /var/tmp /root > $OUTDIR/temporary 2>&1 || true
  bash -c 'kill -TERM $$' || echo $? > $OUTDIR/killed
"#;

/// What may differ between kinds of guests: share/doc/backends.md says why.
fn without_known_differences(name: &str, text: &str) -> String {
    let kept = |line: &&str| match name {
        "devices" => *line != "mqueue" && *line != "console",
        "users" => !["sshd", "_ssh", "input", "sgx", "kvm", "render"].contains(&line.split(':').next().unwrap_or("")),
        "top" => *line != "/.dockerenv 755 root",
        _ => true,
    };
    text.lines().filter(kept).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_script_sees_the_same_around_it_in_every_kind_of_guest() {
    let build = |_: &Row, work: &Workdir| {
        let text = format!(
            "name: around\ndistro: debian\nsuites: [bookworm]\narchitectures: [amd64]\npackages: []\n\
             reference_datetime: \"2020-02-03 04:05:06\"\nscript: |{DUMP}"
        );
        fs::write(work.path().join("around.yml"), text).unwrap();
        work.run("gbuild", &["around.yml"]).succeeds();
        let out = fs::read_dir(work.path().join("build/out")).unwrap();
        let log = fs::read_to_string(work.path().join("var/build.log")).unwrap();
        assert_eq!(log.lines().filter(|line| *line == "told").count(), 2, "{log}");
        out.map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            let text = without_known_differences(&name, &text);
            (name, text)
        })
        .collect::<BTreeMap<String, String>>()
    };
    compare(build, |row, expected, found| {
        for (name, text) in expected {
            assert_eq!(found.get(name), Some(text), "{}: {name}", row.name);
        }
        assert_eq!(found.len(), expected.len(), "{}", row.name);
    });
}
