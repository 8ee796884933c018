//! The programs under test, run as a user would.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use assert_cmd::Command;
use gitian_vm::{Sandbox, Settings};

use super::running::Running;

/// What a program answered.
pub struct Answer {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit status; 128 + n for signal n.
    pub code: i32,
}

impl Answer {
    /// Insists on exit status 0.
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }
}

/// The cache that tests share with each other and with later runs: base images are expensive.
pub fn cache() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    let (xdg, home) = (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"));
    xdg.map_or_else(|| PathBuf::from(home.unwrap_or_else(|| "/root".into())).join(".cache"), PathBuf::from)
}

/// An ordinary user with subordinate ids, for when the tests run as root; `make setup-test` makes it.
const ORDINARY_USER: &str = "gitian-test";

/// A working directory, and who works in it.
pub struct Workdir {
    folder: tempfile::TempDir,
    user: Option<&'static str>,
    /// Another cache than the tests' own.
    cache: Option<PathBuf>,
    /// More variables for programs.
    env: Vec<(String, String)>,
}

impl Drop for Workdir {
    /// Has an ordinary user's guests' files removed: they belong to others, and would keep the folder from being removed.
    fn drop(&mut self) {
        if nix::unistd::Uid::effective().is_root() {
            return;
        }
        let cache = self.cache.clone().unwrap_or_else(cache).join("gitian");
        let sandbox = Sandbox::new(&Settings { cache, ..Settings::default() }, self.path());
        sandbox.remove_target().ok();
        if self.cache.is_some() {
            sandbox.remove_layers().ok();
        }
    }
}

impl Workdir {
    /// An empty working directory.
    pub fn new() -> Self {
        Self {
            folder: tempfile::Builder::new().prefix("gitian-").tempdir().unwrap(),
            user: None,
            cache: None,
            env: Vec::new(),
        }
    }

    /// Uses another cache from now on, and `tmp/` for temporary files.
    pub fn use_cache(&mut self, cache: PathBuf) {
        std::fs::create_dir_all(self.path().join("tmp")).unwrap();
        self.cache = Some(cache);
    }

    /// Sets a variable for programs from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The value of a variable that was set.
    pub fn env(&self, name: &str) -> String {
        self.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// One with the bookworm base image; made from the cache when it was made before.
    pub fn with_bookworm() -> Option<Self> {
        let work = Self::new();
        work.make_bookworm().then_some(work)
    }

    /// One of an ordinary user without subordinate ids, when the tests run as root.
    pub fn of_user_without_ids() -> Option<Self> {
        let work = Self::of("nobody")?;
        let ranges = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
        assert!(!ranges.contains("nobody"), "nobody has subordinate ids");
        Some(work)
    }

    /// One of an ordinary user with the bookworm base image, when the tests run as root.
    pub fn of_ordinary_user() -> Option<Self> {
        let work = Self::of(ORDINARY_USER)?;
        work.make_bookworm().then_some(work)
    }

    fn of(name: &'static str) -> Option<Self> {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let Some(user) = passwd.lines().map(fields).find(|fields| fields[0] == name) else {
            super::skip("user", &format!("there is no user {name} (`make setup-test` as root makes gitian-test)"));
            return None;
        };
        if !nix::unistd::Uid::effective().is_root() {
            super::skip("user", "the tests themselves run as an ordinary user");
            return None;
        }
        let mut work = Self::new();
        work.user = Some(name);
        std::os::unix::fs::chown(work.path(), user[2].parse().ok(), user[3].parse().ok()).unwrap();
        Some(work)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Places a file in `inputs/`.
    pub fn input(&self, name: &str, file: &Path) {
        let inputs = self.path().join("inputs");
        std::fs::create_dir_all(&inputs).unwrap();
        std::fs::copy(file, inputs.join(name)).unwrap();
    }

    fn make_bookworm(&self) -> bool {
        if !Path::new("/usr/bin/mmdebstrap").exists() {
            super::skip("sandbox", "mmdebstrap is not installed");
            return false;
        }
        let made = self.run("make-base-vm", &["--distro", "debian", "--suite", "bookworm", "--backend", "sandbox"]);
        assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
        true
    }

    /// Writes a descriptor that builds for bookworm and installs nothing, so that all of these share one layer; `more`
    /// are further keys. Returns its name.
    pub fn descriptor(&self, more: &str, script: &str) -> &'static str {
        let mut text = String::from("name: trial\ndistro: debian\nsuites: [bookworm]\narchitectures: [amd64]\n");
        text += "reference_datetime: \"2020-01-01 00:00:00\"\n";
        text += more;
        text += "script: |\n";
        text += &script.lines().map(|line| format!("  {line}\n")).collect::<String>();
        std::fs::write(self.path().join("trial.yml"), text).unwrap();
        "trial.yml"
    }

    /// Starts a program that a test looks at while it runs.
    pub fn start(&self, name: &str, args: &[&str]) -> Running {
        Running::start(&mut self.startable(name, args))
    }

    /// Starts a program as a shell with a terminal does, in a process group of its own, with another PATH.
    pub fn start_in_group(&self, name: &str, args: &[&str], path: &str) -> Running {
        Running::start(self.startable(name, args).process_group(0).env("PATH", path))
    }

    /// Runs a program whose standard output nobody reads.
    pub fn run_unread(&self, name: &str, args: &[&str]) -> Answer {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = self.startable(name, args).stdin(Stdio::null()).stdout(writer).output().unwrap();
        answered(output)
    }

    fn startable(&self, name: &str, args: &[&str]) -> std::process::Command {
        let prepared = self.program(name);
        #[expect(clippy::disallowed_methods, reason = "the test framework's command cannot run in the background")]
        let mut command = std::process::Command::new(prepared.get_program());
        command.args(prepared.get_args()).args(args).env_clear().current_dir(self.path());
        command.envs(prepared.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Prepares a program, with a cleared environment.
    pub fn program(&self, name: &str) -> Command {
        let Some(user) = self.user else {
            let mut command = program(name, self.path());
            command.envs(self.env.iter().map(|(name, value)| (name, value)));
            if let Some(cache) = &self.cache {
                command.env("XDG_CACHE_HOME", cache).env("TMPDIR", self.path().join("tmp"));
            }
            return command;
        };
        let mut command = surrounded(Command::new("runuser"), self.path());
        command.args(["-u", user, "--"]).arg(path_of(name));
        command.env("XDG_CACHE_HOME", Path::new("/home").join(user).join(".cache"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Prepares a program that is not ours, with the variables that ours get.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = surrounded(Command::new(name), self.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a program.
    pub fn run(&self, name: &str, args: &[&str]) -> Answer {
        answer(self.program(name).args(args))
    }
}

fn path_of(name: &str) -> PathBuf {
    super::checkout().join("target/release").join(name)
}

/// Gives a command a folder and a cleared environment.
pub fn surrounded(mut command: Command, workdir: &Path) -> Command {
    command.current_dir(workdir).env_clear();
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("HOME", workdir).env("XDG_CACHE_HOME", cache());
    command
}

/// Prepares a program in a folder, with a cleared environment.
pub fn program(name: &str, workdir: &Path) -> Command {
    surrounded(Command::new(path_of(name)), workdir)
}

/// Runs a program in a folder.
pub fn run(name: &str, args: &[&str], workdir: &Path) -> Answer {
    answer(program(name, workdir).args(args))
}

/// Runs a prepared program.
pub fn answer(command: &mut Command) -> Answer {
    answered(command.output().unwrap())
}

fn answered(output: std::process::Output) -> Answer {
    let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
    Answer {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code,
    }
}
