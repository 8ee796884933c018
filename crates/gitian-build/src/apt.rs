//! apt-get in the guest: tried again when a server stumbles, with what was downloaded before handed in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result};
use gitian_manifest::Digest;
use gitian_process::{Status, Streams, interrupt};
use gitian_vm::{AptTrouble, AptTroubleKind, Debs, GuestCommand, GuestUser, Limits, Target, copy_in, copy_out};

use crate::guest::ANSWER_LIMIT;
use crate::log::Log;
use crate::workdir::Workdir;

/// What every call is given: no dialogs, few retries of its own, no waiting for the disk after each package of a guest
/// that is thrown away.
const OPTIONS: [&str; 8] = [
    "-o",
    "Acquire::Retries=3",
    "-o",
    "APT::Update::Error-Mode=any",
    "-o",
    "Dpkg::Options::=--force-unsafe-io",
    "-o",
    "Dpkg::Use-Pty=0",
];

/// How often a step is tried when the server, not the request, is at fault, and the wait before the second try.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// Where apt keeps what it downloaded, in two parts.
const ARCHIVES: (&str, &str) = ("/var/cache/apt", "archives");

/// apt-get in one guest.
pub struct Apt<'g> {
    target: &'g dyn Target,
    log: &'g Log,
    debs: &'g Debs,
    /// Where files for the guest are put together.
    workdir: &'g Workdir,
}

impl<'g> Apt<'g> {
    /// Names the guest, its log, the cache of packages, and where files for the guest may be put together.
    pub fn new(target: &'g dyn Target, log: &'g Log, debs: &'g Debs, workdir: &'g Workdir) -> Self {
        Self { target, log, debs, workdir }
    }

    /// Brings the package lists up to date. `say` gets a line for each new try.
    pub fn update(&self, say: &mut dyn FnMut(String)) -> Result<Status> {
        self.patiently(&["update"], say)
    }

    /// Installs packages without recommended ones, from one distribution if given. Where the repository has changed since
    /// the lists were fetched, they are fetched again.
    pub fn install(&self, from: Option<&str>, packages: &[String], say: &mut dyn FnMut(String)) -> Result<Status> {
        let mut request = Vec::new();
        if let Some(distribution) = from {
            request.extend(["-t", distribution]);
        }
        request.extend(["--no-install-recommends", "-y", "install"]);
        request.extend(packages.iter().map(String::as_str));
        self.with_debs(&request, say)
    }

    /// Brings every package to its newest version.
    pub fn upgrade(&self, say: &mut dyn FnMut(String)) -> Result<Status> {
        self.with_debs(&["-y", "dist-upgrade"], say)
    }

    fn with_debs(&self, request: &[&str], say: &mut dyn FnMut(String)) -> Result<Status> {
        let mut wanted = self.wanted(request)?;
        self.offer(&wanted)?;
        let mut status = self.patiently(request, say)?;
        if !status.success() && repository_changed(&self.log.since_mark()?) {
            say("the repository has changed meanwhile; fetching its lists again".into());
            let updated = self.update(say)?;
            if !updated.success() {
                return Ok(updated);
            }
            wanted = self.wanted(request)?;
            status = self.patiently(request, say)?;
        }
        if status.success() {
            self.keep(&wanted)?;
        }
        Ok(status)
    }

    /// Runs apt-get; when it fails because of a server, again after a while.
    fn patiently(&self, request: &[&str], say: &mut dyn FnMut(String)) -> Result<Status> {
        let mut wait = FIRST_WAIT;
        let mut left = TRIES;
        loop {
            self.log.mark()?;
            let status = self.target.run(&apt_get(request), Streams::to_log(self.log.file()?))?;
            left -= 1;
            if status.success() || left == 0 || !may_pass(&self.log.since_mark()?, request) {
                return Ok(status);
            }
            say(format!("apt-get: a server is busy or out of reach; trying again in {} s", wait.as_secs()));
            interrupt::sleep(wait)?;
            wait *= 2;
        }
    }

    /// Returns what apt would download for a request: file name and SHA-256.
    fn wanted(&self, request: &[&str]) -> Result<Vec<Wanted>> {
        let mut argv = vec!["-o", "Acquire::ForceHash=SHA256", "--print-uris"];
        argv.extend(request);
        // A request that cannot be met is told by the real call, in the log.
        let (_status, text) = gitian_vm::read(self.target, &apt_get(&argv), ANSWER_LIMIT)?;
        Ok(text.lines().filter_map(Wanted::parse).collect())
    }

    /// Hands in those of the wanted packages that an earlier build downloaded. apt itself only looks at the size of a
    /// file that it finds; that its content is right is certain because it is found by the digest that the signed index
    /// has for it.
    fn offer(&self, wanted: &[Wanted]) -> Result<()> {
        let folder = self.workdir.scratch(&self.workdir.var())?;
        let archives = folder.path().join(ARCHIVES.1);
        fs::create_dir(&archives)?;
        let mut any = false;
        for deb in wanted {
            if let Some(kept) = self.debs.find(&deb.sha256) {
                let name = archives.join(&deb.file);
                fs::hard_link(&kept, &name).or_else(|_| fs::copy(&kept, &name).map(drop))?;
                any = true;
            }
        }
        if any {
            fs::set_permissions(&archives, fs::Permissions::from_mode(0o755))?;
            copy_in(self.target, GuestUser::Root, &archives, ARCHIVES.0).context("packages for the guest")?;
        }
        Ok(())
    }

    /// Keeps what was downloaded now for later builds, each under the digest of its content, which is the index's: what
    /// lies in the archives of a guest by now, its root may have changed.
    fn keep(&self, wanted: &[Wanted]) -> Result<()> {
        let new: Vec<&Wanted> = wanted.iter().filter(|deb| self.debs.find(&deb.sha256).is_none()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let folder = self.workdir.scratch(&self.workdir.var())?;
        let archives = folder.path().join(ARCHIVES.1);
        let limits = Limits { bytes: 16 << 30, entries: 100_000 };
        let guest = format!("{}/{}", ARCHIVES.0, ARCHIVES.1);
        copy_out(self.target, GuestUser::Root, &guest, &archives, limits).context("packages from the guest")?;
        for deb in new {
            let path = archives.join(&deb.file);
            // A package may have been installed from elsewhere; then there is nothing to keep. Nor is there in a link.
            if fs::symlink_metadata(&path).is_ok_and(|there| there.is_file()) {
                self.debs.add_expected(&path, &deb.sha256)?;
            }
        }
        Ok(())
    }
}

/// A package that apt wants to download.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// Its name in apt's archives.
    file: String,
    /// What the signed index says of its content.
    sha256: Digest,
}

impl Wanted {
    /// Reads a line of `--print-uris`: `'URI' FILE SIZE SHA256:DIGEST`.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix('\'')?.split(' ');
        let (_uri, file, _size) = (words.next()?, words.next()?, words.next()?);
        let sha256 = words.next()?.strip_prefix("SHA256:")?.parse().ok()?;
        let plain = file.ends_with(".deb") && !file.starts_with('.') && !file.contains('/');
        plain.then(|| Self { file: file.to_owned(), sha256 })
    }
}

fn apt_get(request: &[&str]) -> GuestCommand {
    let argv = ["apt-get"].iter().chain(&OPTIONS).chain(request);
    GuestCommand::new(GuestUser::Root, argv).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C")
}

/// Whether a log tells of a server that may answer the same request later. Files that do not fit together may do so once
/// all lists are fetched anew; to install from the lists that we have would meet with the same.
fn may_pass(log: &str, request: &[&str]) -> bool {
    match AptTrouble::find(log.lines()).map(|trouble| trouble.kind) {
        Some(AptTroubleKind::Syncing) => request == ["update"],
        kind => kind.is_some_and(AptTroubleKind::may_pass),
    }
}

/// Whether a log tells of packages that are not, or no longer, what the lists say.
fn repository_changed(log: &str) -> bool {
    const SIGNS: [&str; 3] = [" 404 ", "Hash Sum mismatch", "File has unexpected size"];
    complaints(log).any(|line| SIGNS.iter().any(|sign| line.contains(sign)))
}

/// The lines of a log that complain, and those that go on from them (two blanks in front).
fn complaints(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| ["E:", "W:", "Err:", "  "].iter().any(|start| line.starts_with(start)))
}

/// Whether a line of apt only says how far it is.
pub fn is_progress(line: &str) -> bool {
    const STARTS: [&str; 6] =
        ["Get:", "Hit:", "Fetched ", "Reading package lists", "Reading state information", "Building dependency tree"];
    STARTS.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use gitian_process::Command;
    use gitian_vm::Layer;

    use super::*;

    /// A guest whose file system is a folder of the host.
    struct FolderGuest(PathBuf);

    impl Target for FolderGuest {
        fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
            let words: Vec<PathBuf> = command.argv.iter().map(PathBuf::from).collect();
            let inside = |word: &PathBuf| word.strip_prefix("/").map_or(word.clone(), |below| self.0.join(below));
            Ok(Command::new(&words[0]).args(words[1..].iter().map(inside)).run(streams)?.status)
        }

        fn keep_layer(&mut self, _layer: &Layer) -> Result<()> {
            Ok(())
        }

        fn stop(self: Box<Self>) -> Result<()> {
            Ok(())
        }

        fn detach(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_package_that_the_guest_changed_is_not_kept() {
        let root = tempfile::tempdir().unwrap();
        let archives = root.path().join("guest/var/cache/apt/archives");
        let workdir = Workdir::new(root.path());
        fs::create_dir_all(&archives).unwrap();
        fs::create_dir_all(workdir.var()).unwrap();
        fs::write(root.path().join("secret"), "of the host").unwrap();
        fs::write(archives.join("good_1_all.deb"), "good").unwrap();
        fs::write(archives.join("bad_1_all.deb"), "tampered").unwrap();
        std::os::unix::fs::symlink(root.path().join("secret"), archives.join("link_1_all.deb")).unwrap();
        let wanted =
            [("good", "good"), ("bad", "bad"), ("link", "of the host"), ("absent", "absent")].map(|(name, content)| {
                Wanted { file: format!("{name}_1_all.deb"), sha256: Digest::of_bytes(content.as_bytes()) }
            });
        let guest = FolderGuest(root.path().join("guest"));
        let log = Log::empty(workdir.install_log(), &workdir).unwrap();
        let debs = Debs::new(&root.path().join("cache"));
        Apt::new(&guest, &log, &debs, &workdir).keep(&wanted).unwrap();
        let kept: Vec<&str> =
            wanted.iter().filter(|deb| debs.find(&deb.sha256).is_some()).map(|deb| deb.file.as_str()).collect();
        assert_eq!(kept, ["good_1_all.deb"]);
        for name in ["bad", "link", "absent"] {
            assert!(debs.named(&format!("{name}_1_all.deb")).is_empty(), "{name}");
        }
        assert!(debs.find(&Digest::of_bytes(b"tampered")).is_none());
    }

    #[test]
    fn a_line_of_print_uris_names_file_and_digest() {
        let digest = "ab".repeat(32);
        let line = format!("'http://h/p/hello_2.10-3_amd64.deb' hello_2.10-3_amd64.deb 53080 SHA256:{digest}");
        assert_eq!(
            Wanted::parse(&line),
            Some(Wanted { file: "hello_2.10-3_amd64.deb".into(), sha256: digest.parse().unwrap() })
        );
        for bad in [
            "Reading package lists...".to_owned(),
            format!("'http://h/x' ../x.deb 1 SHA256:{digest}"),
            "'http://h/x.deb' x.deb 1 MD5Sum:0123".to_owned(),
            "'http://h/x.deb' x.deb 1 SHA256:xyz".to_owned(),
        ] {
            assert_eq!(Wanted::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_server_at_fault_is_worth_another_try() {
        for (log, expected) in [
            ("Err:1 http://h bookworm InRelease\n  503  Service Unavailable [IP: 127.0.0.1 80]\n", true),
            ("E: Failed to fetch http://h/x  429  Too Many Requests [IP: ::1 80]\n", true),
            ("E: Unable to locate package no-such-package\n", false),
            ("W: GPG error: http://h bookworm InRelease: The following signatures were invalid: BADSIG 1\n", false),
            ("E: Release file for http://h/InRelease is expired (invalid since 3d).\n", false),
            ("Get:1 http://h/pool 503 x\n", false),
        ] {
            assert_eq!(may_pass(log, &["update"]), expected, "{log}");
        }
        let torn = "E: Failed to fetch http://h/x.deb  Hash Sum mismatch\n";
        assert!(may_pass(torn, &["update"]));
        assert!(!may_pass(torn, &["install", "x"]) && repository_changed(torn));
    }
}
