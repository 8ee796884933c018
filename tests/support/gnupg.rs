//! A throw-away GnuPG home.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

/// A GnuPG home that is removed, and whose agent is ended, when dropped.
pub struct Home {
    folder: TempDir,
}

impl Drop for Home {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        command.args(["--kill", "all"]).env("GNUPGHOME", self.path()).output().ok();
    }
}

impl Home {
    /// Makes an empty home; says why there is none if GnuPG is missing. The path is short, as the agent's socket needs
    /// it to be.
    pub fn new() -> Option<Self> {
        if Command::new("gpg").arg("--version").output().is_err() {
            super::skip("gpg", "gpg is not installed");
            return None;
        }
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("gpg").permissions(private).tempdir_in("/tmp").unwrap();
        Some(Self { folder })
    }

    /// The folder, of mode 0700.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs gpg and returns its standard output.
    pub fn gpg(&self, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""]);
        let output = command.args(args).env("GNUPGHOME", self.path()).output().unwrap();
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Makes a signing key without passphrase.
    pub fn make_key(&self, name: &str, algorithm: &str) {
        self.gpg(&["--quick-gen-key", &format!("{name} <{name}@example.org>"), algorithm, "sign", "never"]);
    }

    /// Writes a public key to a file and returns its path.
    pub fn export(&self, name: &str, folder: &Path) -> PathBuf {
        let path = folder.join(format!("{name}.pgp"));
        std::fs::write(&path, self.gpg(&["--export", name])).unwrap();
        path
    }

    /// The fingerprint of a key, 40 hexadecimal digits.
    pub fn fingerprint(&self, name: &str) -> String {
        let listed = String::from_utf8(self.gpg(&["--with-colons", "--list-keys", name])).unwrap();
        let line = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
        line.trim_end_matches(':').to_owned()
    }

    /// The version, such as `2.2.40`.
    pub fn version(&self) -> String {
        let text = String::from_utf8_lossy(&self.gpg(&["--version"])).into_owned();
        text.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
    }
}
