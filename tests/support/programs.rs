//! The programs under test, run as a user would.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// What a program answered.
pub struct Answer {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit status; 128 + n for signal n.
    pub code: i32,
}

/// The cache that tests share with each other and with later runs: base images are expensive.
pub fn cache() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    let (xdg, home) = (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"));
    xdg.map_or_else(|| PathBuf::from(home.unwrap_or_else(|| "/root".into())).join(".cache"), PathBuf::from)
}

/// Prepares a program in a folder, with a cleared environment.
pub fn program(name: &str, workdir: &Path) -> Command {
    let mut command = Command::new(super::checkout().join("target/release").join(name));
    command.current_dir(workdir).env_clear();
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("HOME", workdir).env("XDG_CACHE_HOME", cache());
    command
}

/// Runs a program in a folder.
pub fn run(name: &str, args: &[&str], workdir: &Path) -> Answer {
    answer(program(name, workdir).args(args))
}

/// Runs a prepared program.
pub fn answer(command: &mut Command) -> Answer {
    use std::os::unix::process::ExitStatusExt;
    let output = command.output().unwrap();
    let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
    Answer {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code,
    }
}

/// Makes the bookworm base image for a working directory; from the cache when it was made before.
pub fn bookworm(workdir: &Path) -> bool {
    if !Path::new("/usr/bin/mmdebstrap").exists() {
        super::skip("sandbox", "mmdebstrap is not installed");
        return false;
    }
    let made = run("make-base-vm", &["--distro", "debian", "--suite", "bookworm", "--backend", "sandbox"], workdir);
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    true
}
