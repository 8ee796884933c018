//! The sigs tree as a clone: made, committed to, pushed, by the `git` program.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gitian_process::{Command, Failure, Input, Output, Streams, interrupt};
use gitian_vm::Problem;

/// How the names of folders begin that a clone is made in.
const SCRATCH: &str = ".clone-";
/// How long another git may keep the index, or one that lost its caller may go on.
const PATIENCE: Duration = Duration::from_secs(5);

/// A clone of a sigs tree.
pub(crate) struct Tree<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// As it is shown.
    pub shown: &'a Path,
}

impl Tree<'_> {
    /// Clones a repository; it is there whole or not at all.
    pub fn clone_from(&self, url: &str) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let context = || format!("sigs tree {}", self.shown.display());
        fs::create_dir_all(folder).with_context(context)?;
        // What a run that was killed left; perhaps its git is still at it.
        for entry in fs::read_dir(folder).with_context(context)? {
            let path = entry.with_context(context)?.path();
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(SCRATCH.as_bytes())) {
                fs::remove_dir_all(path).ok();
            }
        }
        let scratch = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(folder).with_context(context)?;
        let fresh = scratch.path().join("tree");
        git().args(["clone", "--quiet", "--", url]).arg(&fresh).run_ok(asking()).with_context(context)?;
        fs::rename(&fresh, self.path).with_context(context)
    }

    /// Commits files, those of them that are not committed. Returns whether there were any.
    pub fn commit(&self, files: &[PathBuf], message: &str) -> Result<bool> {
        let context = || format!("sigs tree {}", self.shown.display());
        self.wait_for_others()?;
        self.git().args(["add", "--"]).args(files).run_ok(Streams::default()).with_context(context)?;
        let differs = self.git().args(["diff", "--cached", "--quiet", "--"]).args(files).run(Streams::default());
        if differs.with_context(context)?.status.success() {
            return Ok(false);
        }
        let commit = self.git().args(["commit", "--quiet", "-m", message, "--"]).args(files);
        match commit.run_ok(asking()) {
            Err(Failure::ProgramFailed { last_lines, .. })
                if last_lines.iter().any(|line| line.contains("tell me who")) =>
            {
                Err(Problem {
                    what: format!("sigs tree {}: git does not know who commits", self.shown.display()),
                    mend: "git config --global user.name NAME; git config --global user.email ADDRESS".into(),
                }
                .into())
            }
            other => other.map(|_| true).with_context(context),
        }
    }

    /// Sends the commits where the clone came from. If others were quicker, ours are put behind theirs.
    pub fn push(&self) -> Result<()> {
        let context = || format!("sigs tree {}", self.shown.display());
        let push = || self.git().args(["push", "--quiet", "origin", "HEAD"]).run_ok(asking());
        self.wait_for_others()?;
        if self.path.join(".git/rebase-merge").exists() {
            // A run that was killed left it; what it began with is there again.
            self.git().args(["rebase", "--abort"]).run_ok(Streams::default()).with_context(context)?;
        }
        match push() {
            Ok(_) => return Ok(()),
            Err(Failure::ProgramFailed { last_lines, .. }) if was_late(&last_lines) => {}
            Err(other) => return Err(other).with_context(context),
        }
        self.git().args(["pull", "--quiet", "--rebase"]).run_ok(asking()).with_context(context)?;
        push().map(drop).with_context(context)
    }

    fn git(&self) -> Command {
        git().folder(self.path)
    }

    /// Waits until no git has the index. One that was killed left its lock, which then has to go: git's own programs hold it
    /// for moments.
    fn wait_for_others(&self) -> Result<()> {
        let lock = self.path.join(".git/index.lock");
        let began = Instant::now();
        while lock.exists() {
            if began.elapsed() > PATIENCE {
                return Err(Problem {
                    what: format!("sigs tree {}: another git works there", self.shown.display()),
                    mend: format!(
                        "rm {}/.git/index.lock    if none does: one that was killed left it",
                        self.shown.display()
                    ),
                }
                .into());
            }
            interrupt::sleep(Duration::from_millis(50))?;
        }
        Ok(())
    }
}

fn was_late(said: &[String]) -> bool {
    ["[rejected]", "fetch first", "non-fast-forward"].iter().any(|words| said.iter().any(|line| line.contains(words)))
}

/// It may ask on the terminal, for a passphrase; what it has to say is kept for the error.
fn asking() -> Streams<'static> {
    Streams { stdin: Input::Inherit, stdout: Output::Discard, stderr: Output::Capture, merged: false }
}

fn git() -> Command {
    let of_another = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"];
    let git = Command::new("git").args(["-c", "protocol.ext.allow=never"]).env("LC_ALL", "C.UTF-8").may_ask();
    of_another.into_iter().fold(git, Command::without_env)
}
