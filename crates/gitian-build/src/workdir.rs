//! Every path of a run.
//!
//! Source: gitian-builder 11f91fb, bin/gbuild: all of them are relative to the working directory.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_descriptor::{InputName, PackageName, RemoteDir};
use gitian_vm::{Problem, TargetId};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// How the names of folders begin that hold what is under way.
const SCRATCH: &str = ".gitian-";

/// The folder that a run works in.
#[derive(Clone, Debug)]
pub struct Workdir {
    root: PathBuf,
}

impl Workdir {
    /// Names the folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where input files and clones of remotes lie.
    pub fn inputs(&self) -> PathBuf {
        self.root.join("inputs")
    }

    /// One input file.
    pub fn input(&self, name: &InputName) -> PathBuf {
        self.inputs().join(name.as_str())
    }

    /// The clone of one remote.
    pub fn remote(&self, dir: &RemoteDir) -> PathBuf {
        self.inputs().join(dir.as_str())
    }

    /// What builds leave; emptied by the next.
    pub fn build(&self) -> PathBuf {
        self.root.join("build")
    }

    /// The outputs of all configurations.
    pub fn out(&self) -> PathBuf {
        self.build().join("out")
    }

    /// The outputs of one configuration, where there are several.
    pub fn out_of(&self, target: &TargetId) -> PathBuf {
        self.build().join(target.to_string()).join("out")
    }

    /// Where reports go.
    pub fn result(&self) -> PathBuf {
        self.root.join("result")
    }

    /// The report of a package.
    pub fn report(&self, name: &PackageName) -> PathBuf {
        self.result().join(format!("{name}-res.yml"))
    }

    /// The caches of all packages.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The cache that all packages share.
    pub fn common_cache(&self) -> PathBuf {
        self.cache().join("common")
    }

    /// The cache of one package.
    pub fn package_cache(&self, name: &PackageName) -> PathBuf {
        self.cache().join(name.as_str())
    }

    /// Logs and the state of the target.
    pub fn var(&self) -> PathBuf {
        self.root.join("var")
    }

    /// What the package manager said.
    pub fn install_log(&self) -> PathBuf {
        self.var().join("install.log")
    }

    /// What the build script said.
    pub fn build_log(&self) -> PathBuf {
        self.var().join("build.log")
    }

    /// The build script as it was run.
    pub fn build_script(&self) -> PathBuf {
        self.var().join("build-script")
    }

    /// The package manifest of one configuration.
    pub fn base_manifest(&self, target: &TargetId) -> PathBuf {
        self.var().join(format!("base-{target}.manifest"))
    }

    /// Returns a path as the user sees it: relative to the working directory.
    pub fn shown<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// Makes a folder for what is under way, in a folder of this working directory: what is moved from there to its place
    /// stays on one disk.
    pub fn scratch(&self, folder: &Path) -> Result<tempfile::TempDir> {
        let made = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(folder);
        made.with_context(|| self.shown(folder).display().to_string())
    }

    /// Removes what a run that was killed left under way. Only for the holder of the lock.
    pub fn remove_leftovers(&self) -> Result<()> {
        for folder in [self.var(), self.cache(), self.result()] {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                // The second kind is `gitian_manifest::write_atomically`'s.
                if name.starts_with(SCRATCH) || name.starts_with('.') && name.ends_with(".part") {
                    let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                    removed.with_context(|| self.shown(&path).display().to_string())?;
                }
            }
        }
        Ok(())
    }

    /// Returns the other process that has the working directory at the moment, if one has. Changes nothing.
    pub fn taken(&self) -> Result<Option<Problem>> {
        let Ok(mut file) = File::open(self.var().join("lock")) else { return Ok(None) };
        match Flock::lock(file.try_clone()?, FlockArg::LockSharedNonblock) {
            Err((_, Errno::EWOULDBLOCK)) => Ok(Some(self.taken_by(&mut file)?)),
            _ => Ok(None),
        }
    }

    fn taken_by(&self, lock: &mut File) -> Result<Problem> {
        let mut pid = String::new();
        lock.read_to_string(&mut pid)?;
        let (who, end) = match pid.trim().parse::<u32>() {
            Ok(pid) => (format!(", process {pid}"), format!(", end it with `kill {pid}`")),
            // It has not come to writing it down.
            Err(_) => Default::default(),
        };
        Ok(Problem {
            what: format!("{}: another build runs here{who}", self.root.display()),
            mend: format!("wait for it{end}, or build in another folder"),
        })
    }

    /// Takes the working directory for this process; another process that has it is named.
    pub fn lock(&self) -> Result<Lock> {
        fs::create_dir_all(self.var()).with_context(|| self.var().display().to_string())?;
        let path = self.var().join("lock");
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.with_context(|| path.display().to_string())?;
        match Flock::lock(file.try_clone()?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                Ok(Lock { _held: lock })
            }
            Err((_, Errno::EWOULDBLOCK)) => Err(self.taken_by(&mut file)?.into()),
            Err((_, errno)) => Err(errno).with_context(|| path.display().to_string()),
        }
    }
}

/// Holds a working directory until it is dropped, or this process ends in any way.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}
