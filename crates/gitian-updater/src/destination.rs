//! The destination: what is installed, what waits, and the folder in which the next release is made ready.
//!
//! `.gitian-manifest` says what is installed, `.gitian-waiting` what waits since when; everything else of ours is below
//! `.gitian-update/`, on the same file system, so that installing is renaming.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use gitian_manifest::{Digest, OMap, read_file, write_atomically};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::syncfs;

use crate::Stopped;
use crate::install::Journal;
use crate::installed::Installed;
use crate::package::Package;

const MANIFEST: &str = ".gitian-manifest";
const WAITING: &str = ".gitian-waiting";
const WORK: &str = ".gitian-update";
/// Says what is to be done; there until everything is in its place.
const JOURNAL: &str = "journal.yml";
/// The journal from then on, until everything is removed that was needed, and what follows an installation is done.
const FINISHED: &str = "finished.yml";
const LIMIT: u64 = 64 << 20;

/// A folder that releases are installed into.
pub(crate) struct Destination {
    root: PathBuf,
    /// Where a dry run puts its download.
    elsewhere: Option<tempfile::TempDir>,
    /// Was not there, and is removed again if nothing is installed.
    new: bool,
    _lock: Option<Flock<File>>,
}

/// A package that waits.
pub(crate) struct Waiting {
    pub release: String,
    pub since: SystemTime,
    pub package: PathBuf,
}

/// Whether a package waits.
pub(crate) enum Waits {
    Nothing,
    /// Something does that is not what was put there.
    Changed,
    Package(Waiting),
}

impl Drop for Destination {
    fn drop(&mut self) {
        // A folder that we made for nothing goes; one with half a download is gone on with.
        let work = self.root.join(WORK);
        let half = work.join("download.part").metadata().is_ok_and(|there| there.len() > 0);
        if self.new && !half && !self.root.join(MANIFEST).exists() {
            for name in ["lock", "download.part", "download.yml"] {
                fs::remove_file(work.join(name)).ok();
            }
            // Only what is empty can go.
            fs::remove_dir_all(work.join("stage")).ok();
            fs::remove_dir(work).ok();
            fs::remove_dir(&self.root).ok();
        }
    }
}

impl Destination {
    /// Opens a folder, for this process alone.
    pub fn open(root: &Path, dry_run: bool) -> Result<Self> {
        let stopped = |why: &str| Stopped::Destination(format!("{}: {why}", root.display()));
        let new = match root.metadata() {
            Ok(there) if there.is_dir() => false,
            Ok(_) => bail!(stopped("is not a folder")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(stopped(&error.to_string()).into()),
        };
        let foreign = || -> std::io::Result<bool> {
            for entry in root.read_dir()? {
                let name = entry?.file_name();
                if ![MANIFEST, WAITING, WORK].iter().any(|own| name == *own) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if !new && !root.join(MANIFEST).exists() && !root.join(WORK).join(JOURNAL).exists() {
            match foreign() {
                Ok(false) => {}
                Ok(true) => bail!(stopped("is not empty, and nothing was installed there before")),
                Err(error) => return Err(stopped(&error.to_string()).into()),
            }
        }
        if dry_run {
            return Ok(Self { root: root.to_owned(), elsewhere: Some(tempfile::tempdir()?), new: false, _lock: None });
        }
        let mut destination = Self { root: root.to_owned(), elsewhere: None, new, _lock: None };
        fs::create_dir_all(root).map_err(|error| stopped(&error.to_string()))?;
        let work = root.join(WORK);
        if work.is_symlink() {
            bail!(stopped(&format!("{WORK} is a link")));
        }
        DirBuilder::new().mode(0o700).recursive(true).create(&work).map_err(|error| stopped(&error.to_string()))?;
        let lock = File::options().create(true).append(true).open(work.join("lock"));
        let lock = lock.map_err(|error| stopped(&error.to_string()))?;
        match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => destination._lock = Some(lock),
            Err(_) => {
                destination.new = false;
                bail!(stopped("another gitian-updater is at work there"));
            }
        }
        Ok(destination)
    }

    fn work(&self) -> PathBuf {
        self.root.join(WORK)
    }

    fn stage_folder(&self) -> PathBuf {
        self.work().join("stage")
    }

    /// Where downloads are.
    pub fn downloads(&self) -> PathBuf {
        self.elsewhere.as_ref().map_or_else(|| self.work(), |folder| folder.path().to_owned())
    }

    /// Finishes an installation that was interrupted, or undoes it; returns whether there was one. What follows an
    /// installation is still to be done then.
    pub fn recover(&self) -> Result<bool> {
        let journal = self.work().join(JOURNAL);
        if self.elsewhere.is_some() {
            return Ok(false);
        }
        if !journal.exists() {
            let finished = self.work().join(FINISHED).exists();
            if finished {
                self.clean()?;
            }
            return Ok(finished);
        }
        let bytes = read_file(&journal, LIMIT).with_context(|| journal.display().to_string())?;
        let journal = Journal::parse(&bytes).map_err(|error| {
            Stopped::Destination(format!(
                "{}: an interrupted installation cannot be read: {error:#}",
                self.root.display()
            ))
        })?;
        // Whoever could write there can have changed anything since.
        match journal.check_begun(&self.root, &self.work()) {
            Ok(()) => self.carry_out(&journal)?,
            Err(error) => return Err(self.undo(&journal, &error)),
        }
        Ok(true)
    }

    /// Reads what is installed.
    pub fn installed(&self) -> Result<Option<Installed>> {
        let path = self.root.join(MANIFEST);
        let wrong = |why: String| Stopped::Destination(format!("{}: {why}", path.display()));
        let bytes = match read_file(&path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(error.to_string()).into()),
        };
        Installed::parse(&bytes).map(Some).map_err(|error| wrong(format!("{error:#}")).into())
    }

    /// Returns what it takes to replace what is installed.
    pub fn journal(&self, new: &Installed) -> Result<Journal> {
        Journal::new(&self.root, self.installed()?.as_ref(), new)
    }

    /// Lays out the files of a package, each with the hash that was signed.
    pub fn stage(&self, package: &Package) -> Result<()> {
        let stage = self.stage_folder();
        remove_tree(&stage)?;
        remove_tree(&self.work().join("old"))?;
        fs::create_dir_all(&stage).with_context(|| stage.display().to_string())?;
        let done = self.lay_out(package, &stage);
        if done.is_err() {
            remove_tree(&stage)?;
        }
        done
    }

    fn lay_out(&self, package: &Package, stage: &Path) -> Result<()> {
        for file in package.files() {
            gitian_process::interrupt::check()?;
            let path = stage.join(file.path);
            let name = || path.display().to_string();
            fs::create_dir_all(path.parent().unwrap_or(stage)).with_context(name)?;
            let mode = if file.runs() { 0o777 } else { 0o666 };
            let mut to = File::options().write(true).create_new(true).mode(mode).open(&path).with_context(name)?;
            file.write(&mut to)?;
        }
        // All at once: on the disk before the journal says that it is there.
        let folder = File::open(stage).with_context(|| stage.display().to_string())?;
        nix::unistd::syncfs(folder).with_context(|| stage.display().to_string())
    }

    /// Puts what was laid out in its place: from here on a crash is finished by the next run.
    pub fn install(&self, journal: &Journal) -> Result<()> {
        let path = self.work().join(JOURNAL);
        write_atomically(&path, &journal.render()?).with_context(|| path.display().to_string())?;
        self.sync()?;
        self.carry_out(journal)
    }

    /// What is renamed in our own folder is on the disk before anything else happens.
    fn sync(&self) -> Result<()> {
        let work = self.work();
        File::open(&work).and_then(|folder| folder.sync_all()).with_context(|| work.display().to_string())
    }

    fn carry_out(&self, journal: &Journal) -> Result<()> {
        if let Err(error) = journal.carry_out(&self.root, &self.work()) {
            return Err(self.undo(journal, &error));
        }
        write_atomically(&self.root.join(MANIFEST), journal.manifest.as_bytes())
            .with_context(|| MANIFEST.to_owned())?;
        // What the journal is for is on the disk before that is gone.
        let root = File::open(&self.root).with_context(|| self.root.display().to_string())?;
        syncfs(root).with_context(|| self.root.display().to_string())?;
        // Without `old/` the journal could not be gone on with: a user's own file where an old one was would go into it.
        let (from, to) = (self.work().join(JOURNAL), self.work().join(FINISHED));
        fs::rename(from, &to).with_context(|| to.display().to_string())?;
        self.sync()?;
        self.clean()
    }

    /// Forgets that there was an installation: what follows one is done.
    pub fn forget_finished(&self) -> Result<()> {
        remove_file(&self.work().join(FINISHED))
    }

    /// Takes an installation back; returns why, and what came of it. While something is still in `old/`, so is the journal.
    fn undo(&self, journal: &Journal, why: &anyhow::Error) -> anyhow::Error {
        let undone = match journal.undo(&self.root, &self.work()) {
            Ok(undone) => undone,
            Err(error) => return error.context("to undo an installation"),
        };
        if undone.kept.is_empty()
            && let Err(error) = remove_file(&self.work().join(JOURNAL)).and_then(|()| self.clean())
        {
            return error;
        }
        let mut came = Vec::new();
        if undone.is_whole() {
            came.push("everything is as it was".to_owned());
        }
        for (paths, what) in [
            (&undone.kept, "something else is in its place; the old file is in .gitian-update/old"),
            (&undone.gone, "is gone"),
            (&undone.foreign, "is not what was installed, and stays"),
        ] {
            came.extend(paths.iter().take(10).map(|path| format!("{path}: {what}")));
        }
        Stopped::Destination(format!("{}: {why:#}; {}", self.root.display(), came.join("; "))).into()
    }

    /// Removes what an installation needed.
    fn clean(&self) -> Result<()> {
        self.forget_waiting()?;
        self.forget_download()?;
        remove_tree(&self.stage_folder())?;
        remove_tree(&self.work().join("old"))
    }

    /// Removes what arrived of a package.
    pub fn forget_download(&self) -> Result<()> {
        ["download.part", "download.yml"].iter().try_for_each(|name| remove_file(&self.downloads().join(name)))
    }

    /// Reads what waits.
    pub fn waiting(&self) -> Result<Waits> {
        let path = self.root.join(WAITING);
        let bytes = match read_file(&path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Waits::Nothing),
            Err(_) => return Ok(Waits::Changed),
        };
        let package = self.work().join("waiting.zip");
        let read = || {
            let map = OMap::parse(&bytes).ok()?;
            let text = |key: &str| map.get(key)?.as_written().map(str::to_owned);
            let since = UNIX_EPOCH.checked_add(Duration::from_secs(text("since")?.parse().ok()?))?;
            let is_file = package.symlink_metadata().ok()?.is_file();
            let same = is_file && Digest::of_file(&package).ok()?.to_string() == text("sha256")?;
            same.then_some(Waiting { release: text("release")?, since, package: package.clone() })
        };
        Ok(read().map_or(Waits::Changed, Waits::Package))
    }

    /// Keeps a package until its time has come.
    pub fn keep_waiting(&self, waiting: &Waiting) -> Result<()> {
        let package = self.work().join("waiting.zip");
        fs::rename(&waiting.package, &package).with_context(|| package.display().to_string())?;
        remove_file(&self.work().join("download.yml"))?;
        let since = waiting.since.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut map = OMap::default();
        map.set("release", waiting.release.clone());
        map.set("since", since.to_string());
        map.set("sha256", Digest::of_file(&package)?.to_string());
        let path = self.root.join(WAITING);
        write_atomically(&path, &map.render()).with_context(|| path.display().to_string())
    }

    /// Removes what waits.
    pub fn forget_waiting(&self) -> Result<()> {
        if self.elsewhere.is_some() {
            return Ok(());
        }
        remove_file(&self.root.join(WAITING))?;
        remove_file(&self.work().join("waiting.zip"))
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}
