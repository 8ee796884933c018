//! A project to be released: its repository with `gitian.toml` and three descriptors, the repository of detached
//! signatures, the one of assertions, and people with keys and a folder each.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

use super::gnupg::Home;
use super::programs::{self, Answer};
use super::running::Running;

/// Everything of a project, in one folder.
pub struct Project {
    folder: tempfile::TempDir,
}

/// Somebody who releases.
pub struct Person {
    /// Name of the signer and of the key.
    pub name: &'static str,
    /// The folder of releases.
    pub folder: PathBuf,
    home: PathBuf,
    keys: Home,
}

const DESCRIPTORS: [(&str, &str); 3] = [
    (
        "gitian-linux.yml",
        "name: coin-linux\nfiles: [sdk.tar]\nremotes:\n- url: https://coin.invalid/coin.git\n  dir: coin\n\
         script: |\n  cp sdk.tar $OUTDIR/\n  cp coin/VERSION $OUTDIR/coin-linux.txt\n  mkdir $OUTDIR/src\n  \
         cp coin/VERSION $OUTDIR/src/coin-src.txt\n",
    ),
    (
        "gitian-win.yml",
        "name: coin-win\nfiles: []\nremotes:\n- url: https://coin.invalid/coin.git\n  dir: coin\n\
         script: |\n  (echo unsigned; cat coin/VERSION) > $OUTDIR/coin-$(cat coin/VERSION)-win-unsigned.txt\n  mkdir $OUTDIR/src\n  \
         cp coin/VERSION $OUTDIR/src/coin-src.txt\n",
    ),
    (
        "gitian-win-signer.yml",
        "name: coin-win-signed\nfiles: [coin-win-unsigned.txt]\nremotes:\n- url: https://coin.invalid/detached.git\n  dir: signature\n\
         script: |\n  cat coin-win-unsigned.txt signature/signature > $OUTDIR/coin-win-setup.txt\n",
    ),
];

const GITIAN_TOML: &str = r#"
descriptors-at = "v{version}"
flat = true

[sigs]
url = "../gitian.sigs.git"

[remotes.coin]
commit = "v{version}"
url = "."

[remotes.signature]
commit = "v{version}"
url = "../detached"

[inputs."sdk.tar"]
sha256 = "SDK"
url = "../sdk-{version}.tar"

[descriptors.linux]
file = "contrib/gitian-linux.yml"
collect = ["*.txt", "src/*"]

[descriptors.win]
file = "contrib/gitian-win.yml"
release = "{version}-win-unsigned"

[descriptors.win-signed]
file = "contrib/gitian-win-signer.yml"
inputs."coin-win-unsigned.txt" = { from = "win", output = "coin-*-win-unsigned.txt" }
"#;

impl Project {
    /// Makes one with version 1.0, and detached signatures for it.
    pub fn new() -> Option<Self> {
        let project = Self::without_detached_signatures()?;
        project.sign_detached();
        Some(project)
    }

    /// The same before anybody made detached signatures.
    pub fn without_detached_signatures() -> Option<Self> {
        if !Path::new("/usr/bin/mmdebstrap").exists() {
            super::skip("sandbox", "mmdebstrap is not installed");
            return None;
        }
        let project = Self { folder: tempfile::Builder::new().prefix("gitian-").tempdir().unwrap() };
        let coin = project.coin();
        fs::create_dir_all(coin.join("contrib")).unwrap();
        for (name, text) in DESCRIPTORS {
            let text = format!(
                "distro: debian\nsuites: [bookworm]\narchitectures: [amd64]\nreference_datetime: \"2020-01-01 00:00:00\"\n{text}"
            );
            fs::write(coin.join("contrib").join(name), text).unwrap();
        }
        fs::write(project.path().join("sdk-1.0.tar"), "sdk").unwrap();
        let digest = gitian_manifest::Digest::of_bytes(b"sdk").to_string();
        fs::write(coin.join("gitian.toml"), GITIAN_TOML.replace("SDK", &digest)).unwrap();
        fs::write(coin.join("VERSION"), "1.0").unwrap();
        project
            .sh("set -e
            git init -q --bare gitian.sigs.git
            cd coin; git init -q; git add -A; git commit -q -m 1.0; git tag -a v1.0 -m 'coin 1.0'; cd ..
            git init -q detached; cd detached; echo a > README; git add -A; git commit -q -m First")
            .succeeds();
        Some(project)
    }

    /// Makes the detached signatures for version 1.0.
    pub fn sign_detached(&self) {
        self.sh("cd detached && echo signed > signature && git add -A && git commit -q -m 1.0 && git tag v1.0")
            .succeeds();
    }

    /// The folder of everything.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The project's repository.
    pub fn coin(&self) -> PathBuf {
        self.path().join("coin")
    }

    /// Runs a script in the folder of everything.
    pub fn sh(&self, script: &str) -> Answer {
        let mut command = programs::surrounded(Command::new("bash"), self.path());
        git_identity(&mut command, "Coin");
        programs::answer(command.args(["-c", script]))
    }

    /// Somebody with a key and an empty folder.
    pub fn person(&self, name: &'static str) -> Option<Person> {
        let keys = Home::new()?;
        keys.make_key(name, "ed25519");
        let (folder, home) = (self.path().join(name), self.path().join(format!("home-{name}")));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&home).unwrap();
        Some(Person { name, folder, home, keys })
    }
}

impl Person {
    /// Another empty folder of the same person.
    pub fn elsewhere(self, name: &str) -> Self {
        let folder = self.folder.with_file_name(name);
        fs::create_dir(&folder).unwrap();
        Self { folder, ..self }
    }

    /// Takes somebody's public key.
    pub fn knows(&self, other: &Self) {
        let key = other.keys.export(other.name, &other.folder);
        self.keys.gpg(&["--import", key.to_str().unwrap()]);
        fs::remove_file(key).unwrap();
    }

    /// Prepares a program in the person's folder.
    pub fn program(&self, name: &str) -> Command {
        let mut command = programs::program(name, &self.folder);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        git_identity(command, self.name);
        command.env("GNUPGHOME", self.keys.path()).env("HOME", &self.home);
        let programs = super::checkout().join("target/release");
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", programs.display()));
    }

    /// The command line of `gitian release 1.0`, with more arguments.
    pub fn release_args<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec!["release", "--file", "../coin/gitian.toml", "--signer", self.name, "1.0"];
        args.extend(more);
        args
    }

    /// Runs `gitian release 1.0`.
    pub fn release(&self, more: &[&str]) -> Answer {
        programs::answer(self.program("gitian").args(self.release_args(more)))
    }

    /// Starts it, to be looked at, or ended.
    pub fn start_release(&self, more: &[&str]) -> Running {
        let prepared = self.program("gitian");
        #[expect(clippy::disallowed_methods, reason = "the test framework's command cannot run in the background")]
        let mut command = std::process::Command::new(prepared.get_program());
        command.args(self.release_args(more)).env_clear().current_dir(&self.folder);
        command.envs(prepared.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Running::start(&mut command)
    }

    /// Runs a script in the person's folder.
    pub fn sh(&self, script: &str) -> Answer {
        let mut command = programs::surrounded(Command::new("bash"), &self.folder);
        self.surround(&mut command);
        programs::answer(command.args(["-c", script]))
    }

    /// Removes all that a release made. Files that a guest wrote belong to an ordinary user's subordinate ids.
    pub fn clear(&self) {
        let as_their_owner = match nix::unistd::Uid::effective().is_root() {
            true => "",
            false => "unshare --map-auto --map-root-user ",
        };
        self.sh(&format!("{as_their_owner}rm -r .gitian binaries")).succeeds();
    }

    /// What a release left, for comparison: binaries, and the sigs tree as it is committed, a signature by its name only
    /// since it holds a time.
    pub fn outcome(&self) -> String {
        self.sh("set -e
            find binaries -type f | sort | while read -r file; do echo \"$file: $(cat $file)\"; done
            cd .gitian/sigs; git status --porcelain; git ls-files | while read -r file; do
              case $file in *.sig) echo $file;; *) sha256sum $file;; esac
            done")
            .succeeds()
            .stdout
    }
}

fn git_identity(command: &mut Command, name: &str) {
    command.env("GIT_CONFIG_SYSTEM", "/dev/null").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CONFIG_COUNT", "1");
    command.env("GIT_CONFIG_KEY_0", "init.defaultBranch").env("GIT_CONFIG_VALUE_0", "master");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), name).env(format!("GIT_{who}_EMAIL"), "coin@example.org");
        command.env(format!("GIT_{who}_DATE"), "1700000000 +0100");
    }
}
