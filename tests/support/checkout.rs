//! A checkout of the project as a driver script has one, beside a project to be built, and the driver's own shell.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

use super::programs::{self, Answer};
use super::tree;

/// A folder with `gitian-builder/` (a clone of `origin/`), `coin/` (the project's repository) and `sdk.tar`.
pub struct Checkout {
    folder: tempfile::TempDir,
}

/// The descriptor of the project, in its repository.
const DESCRIPTOR: &str = r#"---
name: "coin-linux"
distro: "debian"
enable_cache: true
suites:
- "bookworm"
architectures:
- "amd64"
packages: []
remotes:
- "url": "https://coin.invalid/coin.git"
  "dir": "coin"
files:
- "sdk.tar"
script: |
  test "$(cat sdk.tar)" = sdk
  cd coin
  VERSION=$(cat VERSION)
  mkdir -p $OUTDIR/src
  echo "coin $VERSION $MAKEOPTS $NUM_PROCS $NUM_MEM" > $OUTDIR/coin-$VERSION.txt
  echo "$REFERENCE_DATETIME" > $OUTDIR/date
  git tag > $OUTDIR/tags
  cp -r $GBUILD_COMMON_CACHE/. $OUTDIR/src
  echo built > $GBUILD_PACKAGE_CACHE/state
  printf source > $OUTDIR/src/coin-$VERSION.tar.gz
"#;

/// The descriptor's path, from `gitian-builder/`.
pub const COIN_LINUX: &str = "../coin/contrib/gitian-descriptors/gitian-linux.yml";

impl Checkout {
    /// Makes one; there is no base image in it yet.
    pub fn new() -> Option<Self> {
        if !Path::new("/usr/bin/mmdebstrap").exists() {
            super::skip("sandbox", "mmdebstrap is not installed");
            return None;
        }
        let made = Self { folder: tempfile::Builder::new().prefix("gitian-").tempdir().unwrap() };
        let origin = made.path().join("origin");
        for folder in ["bin", "libexec", "share", "target-bin"] {
            copy_programs(&super::checkout().join(folder), &origin.join(folder));
        }
        fs::copy(super::checkout().join(".gitignore"), origin.join(".gitignore")).unwrap();
        let coin = made.path().join("coin");
        fs::create_dir_all(coin.join("contrib/gitian-descriptors")).unwrap();
        fs::write(coin.join("contrib/gitian-descriptors/gitian-linux.yml"), DESCRIPTOR).unwrap();
        fs::write(made.path().join("sdk.tar"), "sdk").unwrap();
        made.sh_at(
            made.path(),
            "set -e
            cd origin; git init -q; git add -A; git commit -q -m First; cd ..
            git clone -q origin gitian-builder
            cd coin; git init -q
            echo 1.0 > VERSION; git add -A; git commit -q -m 1.0; git tag v1.0
            git checkout -q -b topic; echo topic > TOPIC; git add TOPIC; git commit -q -m Topic; git checkout -q master
            echo 1.1 > VERSION; git commit -q -a -m 1.1; git tag -a v1.1 -m 'coin 1.1'
            git checkout -q --detach; git merge -q --no-ff -m 'Merge topic' topic
            git update-ref refs/pull/1/merge HEAD; git checkout -q master; git branch -q -D topic",
        )
        .succeeds();
        Some(made)
    }

    /// One with the bookworm base image and the project's input file.
    pub fn ready() -> Option<Self> {
        let made = Self::new()?;
        made.sh("set -e
            bin/make-base-vm --suite bookworm --arch amd64 --distro debian
            mkdir -p inputs; cp ../sdk.tar inputs/")
            .succeeds();
        Some(made)
    }

    /// The folder that holds everything.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The clone that drivers work in.
    pub fn builder(&self) -> PathBuf {
        self.path().join("gitian-builder")
    }

    /// Reads a file below [`builder`](Self::builder).
    pub fn read(&self, path: &str) -> String {
        let path = self.builder().join(path);
        fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
    }

    /// Runs a driver's script in the clone. `$COIN` is the project's repository.
    pub fn sh(&self, script: &str) -> Answer {
        self.sh_at(&self.builder(), script)
    }

    /// Runs a driver's script in a folder.
    pub fn sh_at(&self, folder: &Path, script: &str) -> Answer {
        programs::answer(&mut self.prepared(folder, script))
    }

    /// Prepares a driver's script.
    pub fn prepared(&self, folder: &Path, script: &str) -> Command {
        let mut command = programs::surrounded(Command::new("bash"), folder);
        command.args(["-c", script]).env("HOME", self.path()).env("COIN", self.path().join("coin"));
        command.env("GITIAN_BIN_DIR", super::checkout().join("target/release"));
        command.env("GIT_CONFIG_SYSTEM", "/dev/null").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_COUNT", "1");
        command.env("GIT_CONFIG_KEY_0", "init.defaultBranch").env("GIT_CONFIG_VALUE_0", "master");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Coin").env(format!("GIT_{who}_EMAIL"), "coin@example.org");
            command.env(format!("GIT_{who}_DATE"), "1700000000 +0100");
        }
        command
    }
}

impl Drop for Checkout {
    /// Ends a guest that a test left running.
    fn drop(&mut self) {
        self.prepared(&self.builder(), "libexec/stop-target").output().ok();
    }
}

/// Copies a folder of small programs with their modes.
fn copy_programs(from: &Path, to: &Path) {
    tree::copy(from, to);
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let place = to.join(entry.path().strip_prefix(from).unwrap());
        fs::set_permissions(place, entry.metadata().unwrap().permissions()).unwrap();
    }
}
