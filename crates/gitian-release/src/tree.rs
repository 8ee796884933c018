//! The sigs tree as a clone: made, committed to, pushed, by the `git` program.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gitian_process::{Command, Failure, Input, Output, Streams, interrupt};
use gitian_vm::Problem;

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
        let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if self.path.symlink_metadata().is_ok() && !is_empty(self.path) {
            return Err(self.no_clone());
        }
        let own = self.path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".{own}.gitian-clone-");
        // What a run that was killed left; perhaps its git is still at it.
        for entry in fs::read_dir(folder).with_context(context)? {
            let path = entry.with_context(context)?.path();
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
                fs::remove_dir_all(path).ok();
            }
        }
        let scratch = tempfile::Builder::new().prefix(&prefix).tempdir_in(folder).with_context(context)?;
        let fresh = scratch.path().join("tree");
        git().args(["clone", "--quiet", "--", url]).arg(&fresh).run_ok(asking()).with_context(context)?;
        fs::rename(&fresh, self.path).with_context(context)
    }

    /// Commits files, those of them that are not committed. Returns whether there were any.
    pub fn commit(&self, files: &[PathBuf], message: &str) -> Result<bool> {
        let context = || format!("sigs tree {}", self.shown.display());
        self.expect_own()?;
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
        self.expect_own()?;
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

    /// Insists on a repository of the tree's own: in a folder without one, git takes that which the folder lies in.
    fn expect_own(&self) -> Result<()> {
        let context = || format!("sigs tree {}", self.shown.display());
        let path = self.path.canonicalize().with_context(context)?;
        match self.git().args(["rev-parse", "--show-toplevel"]).text() {
            Ok(top) if Path::new(&top) == path => Ok(()),
            Ok(_) | Err(Failure::ProgramFailed { .. }) => Err(self.no_clone()),
            Err(other) => Err(other).with_context(context),
        }
    }

    fn no_clone(&self) -> anyhow::Error {
        let shown = self.shown.display();
        Problem {
            what: format!("sigs tree {shown} is there, and is no clone"),
            mend: format!("mv {shown} {shown}.before    and run it again: it is cloned anew"),
        }
        .into()
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
    // Hooks are programs that nobody asked for, as long as others may write there.
    let settings = ["-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null"];
    let git = Command::new("git").args(settings).env("LC_ALL", "C.UTF-8").may_ask();
    of_another.into_iter().fold(git, Command::without_env)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository at a path, with one commit.
    fn repository(path: &Path) {
        fs::create_dir_all(path).unwrap();
        run(path, &["init", "--quiet"]);
        run(path, &["commit", "--quiet", "--allow-empty", "-m", "first"]);
    }

    fn run(path: &Path, args: &[&str]) -> String {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        git().args(who).args(args).folder(path).text().unwrap()
    }

    #[test]
    fn nothing_is_committed_or_pushed_where_the_tree_has_no_repository_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        repository(&project);
        let sigs = project.join("sigs");
        fs::create_dir_all(&sigs).unwrap();
        fs::write(sigs.join("a.assert"), "a").unwrap();
        let tree = Tree { path: &sigs, shown: Path::new("sigs") };
        let url = folder.path().join("origin").display().to_string();
        for refused in [tree.commit(&["a.assert".into()], "1.0").map(drop), tree.push(), tree.clone_from(&url)] {
            assert_eq!(refused.unwrap_err().to_string(), "sigs tree sigs is there, and is no clone");
        }
        assert_eq!(run(&project, &["log", "--format=%s"]), "first");
        assert_eq!(run(&project, &["status", "--porcelain"]), "?? sigs/");
    }

    #[test]
    fn a_clone_is_made_beside_what_others_have_and_no_hook_runs_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        repository(&at("origin"));
        for name in [".clone-of-somebody", ".sigs.gitian-clone-killed", "sigs"] {
            fs::create_dir(at(name)).unwrap();
        }
        let sigs = at("sigs");
        let tree = Tree { path: &sigs, shown: Path::new("sigs") };
        tree.clone_from(&at("origin").display().to_string()).unwrap();
        assert!(at(".clone-of-somebody").exists(), "somebody's");
        assert!(!at(".sigs.gitian-clone-killed").exists(), "ours");
        run(&sigs, &["config", "user.name", "a"]);
        run(&sigs, &["config", "user.email", "a@example.org"]);
        let hook = sigs.join(".git/hooks/pre-commit");
        fs::create_dir_all(sigs.join(".git/hooks")).unwrap();
        fs::write(&hook, "#!/bin/sh\ntouch hooked\n").unwrap();
        fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(sigs.join("a.assert"), "a").unwrap();
        assert!(tree.commit(&["a.assert".into()], "1.0").unwrap());
        assert_eq!(run(&sigs, &["log", "-1", "--format=%s"]), "1.0");
        assert!(!sigs.join("hooked").exists());
    }
}
