//! Everything that a script may look at, recorded in one kind of guest and compared with another.

use std::collections::BTreeMap;
use std::fs;

use gitian_manifest::Report;

use super::backends::Row;
use super::programs::Workdir;

/// Insists on the same base manifests but for what a guest that boots has more.
pub fn assert_same_packages(row: &Row, expected: &Report, found: &Report) {
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

/// What a script found around it, and the record of its build.
pub struct Dump {
    outputs: BTreeMap<String, String>,
    report: Report,
}

impl Dump {
    /// Builds it in a working directory with a base image.
    pub fn of(work: &Workdir, options: &[&str]) -> Self {
        let text = format!(
            "name: around\ndistro: debian\nsuites: [bookworm]\narchitectures: [amd64]\npackages: []\n\
             reference_datetime: \"2020-02-03 04:05:06\"\nscript: |{DUMP}"
        );
        fs::write(work.path().join("around.yml"), text).unwrap();
        work.run("gbuild", &[options, &["around.yml"]].concat()).succeeds();
        let out = fs::read_dir(work.path().join("build/out")).unwrap();
        let log = fs::read_to_string(work.path().join("var/build.log")).unwrap();
        assert_eq!(log.lines().filter(|line| *line == "told").count(), 2, "{log}");
        let report = Report::read(&fs::read(work.path().join("result/around-res.yml")).unwrap()).unwrap();
        let outputs = out.map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            let text = without_known_differences(&name, &text);
            (name, text)
        });
        Self { outputs: outputs.collect(), report }
    }

    /// Insists on the same as in another kind of guest.
    pub fn assert_like(&self, expected: &Self, row: &Row) {
        assert_same_packages(row, &expected.report, &self.report);
        for (name, text) in &expected.outputs {
            assert_eq!(self.outputs.get(name), Some(text), "{}: {name}", row.name);
        }
        assert_eq!(self.outputs.len(), expected.outputs.len(), "{}", row.name);
    }
}
