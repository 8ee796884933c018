//! People who built and sign: a working directory with reports of their own, and keys.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use gitian_manifest::{Digest, Report};

use super::gnupg::Home;
use super::programs::{Answer, Workdir, answer};

/// Somebody with a working directory and a GnuPG home, in which his key is the only secret one.
pub struct Builder {
    /// Folder in the tree and user id of the key.
    pub name: &'static str,
    /// Where he works.
    pub work: Workdir,
    /// His keys.
    pub home: Home,
}

impl Builder {
    /// Makes somebody with a key without passphrase; `None`, said with the reason, where GnuPG is missing.
    pub fn new(name: &'static str) -> Option<Self> {
        let builder = Self::without_key(name)?;
        builder.home.make_key(name, "ed25519");
        Some(builder)
    }

    /// Makes somebody without a key.
    pub fn without_key(name: &'static str) -> Option<Self> {
        let home = Home::new()?;
        Some(Self { name, work: Workdir::new(), home })
    }

    /// A path in the working directory.
    pub fn path(&self, path: &str) -> PathBuf {
        self.work.path().join(path)
    }

    /// Writes the descriptor of a package and the report of a build of it, whose output holds `built`.
    pub fn built(&self, package: &str, built: &str) {
        let text = descriptor(package);
        fs::write(self.path(&format!("{package}.yml")), &text).unwrap();
        let line = |content: &str, path: &str| format!("{}  {path}\n", Digest::of_bytes(content.as_bytes()));
        let inputs = line(&text, &format!("{package}-desc.yml"))
            + &line("source", "source.tar.gz")
            + &format!("git:{} hello", "1".repeat(40));
        let base = line("apt", "apt_2.6.2_amd64.deb") + &line("g++", "g++_4%3a12.2.0-3_amd64.deb");
        let out = line(built, &format!("{package}.tar.gz"));
        let guests = vec![("bookworm-amd64".to_owned(), base)];
        let report = Report::new(out, inputs, guests, Some(String::new()), Some(String::new()));
        fs::create_dir_all(self.path("result")).unwrap();
        fs::write(self.path(&format!("result/{package}-res.yml")), report.render()).unwrap();
    }

    /// Knows somebody's public key from now on.
    pub fn knows(&self, other: &Self) {
        let key = other.home.export(other.name, self.work.path());
        self.home.gpg(&["--import", key.to_str().unwrap()]);
    }

    /// Prepares gsign, with these keys.
    pub fn gsign(&self, args: &[&str]) -> Command {
        let mut program = self.work.program("gsign");
        program.args(args).env("GNUPGHOME", self.home.path());
        program
    }

    /// Runs gsign.
    pub fn run(&self, args: &[&str]) -> Answer {
        answer(&mut self.gsign(args))
    }

    /// Signs release 1.0 into a tree.
    pub fn sign(&self, tree: &Path, args: &[&str]) -> Answer {
        let common = ["--signer", self.name, "--release", "1.0", "--destination", tree.to_str().unwrap()];
        self.run(&[&common[..], args].concat())
    }

    /// What gverify says about a package of release 1.0.
    pub fn verify(&self, tree: &Path, package: &str) -> Answer {
        let mut program = self.work.program("gverify");
        let args = ["--release", "1.0", "--name", package, "--destination", tree.to_str().unwrap()];
        answer(program.args(args).env("GNUPGHOME", self.home.path()))
    }
}

/// The text of a descriptor.
pub fn descriptor(package: &str) -> String {
    format!(
        "name: {package}\ndistro: debian\nsuites: [bookworm]\narchitectures: [amd64]\npackages: [g++]\n\
         remotes:\n- url: https://example.org/hello.git\n  dir: hello\nfiles: [source.tar.gz]\nscript: |\n  true\n"
    )
}

/// All files and folders below a folder, sorted, with what they hold.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = walkdir::WalkDir::new(folder)
        .min_depth(1)
        .into_iter()
        .filter_map(Result::ok)
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect();
    files.sort();
    files
}

/// The names of all files and folders below a folder.
pub fn names(folder: &Path) -> Vec<String> {
    files(folder).into_iter().map(|(name, _)| name).collect()
}
