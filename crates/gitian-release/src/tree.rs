//! The sigs tree as a clone: made, committed to, pushed, by the `git` program.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gitian_process::{Command, Failure, Input, Output, Streams, interrupt};
use gitian_vm::Problem;

/// How long another git may keep the index, or one that lost its caller may go on.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a repository may take to say what it has, a passphrase included.
const ANSWER: Duration = Duration::from_secs(60);

/// Others sent their commits before ours.
#[derive(Debug, thiserror::Error)]
#[error("others were quicker")]
pub(crate) struct Late;

/// How a clone stands towards the repository that it came from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It has all that the repository has; and the repository has all of it, or not.
    UpToDate {
        /// Nothing is to be sent.
        sent: bool,
    },
    /// The repository has more.
    Behind,
    /// It is a clone of this one, and should be of another.
    Elsewhere(String),
    /// Nobody could tell, for this reason.
    Silent(String),
}

/// A clone of a sigs tree.
pub(crate) struct Tree<'a> {
    /// Where it is.
    pub path: PathBuf,
    /// As it is shown.
    pub shown: &'a Path,
}

impl Tree<'_> {
    /// Clones a repository; it is there whole or not at all.
    pub fn clone_from(&self, url: &str) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let context = || format!("sigs tree {}", self.shown.display());
        fs::create_dir_all(folder).with_context(context)?;
        if let Some(problem) = self.in_the_way() {
            return Err(problem.into());
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
        fs::rename(&fresh, &self.path).with_context(context)
    }

    /// Tells how the clone stands; `url` is the repository that it has to be of. Nothing is changed.
    pub fn stands(&self, url: Option<&str>) -> Stands {
        let text = |args: &[&str]| self.git().args(args).text().ok().filter(|text| !text.is_empty());
        let holds = |args: &[&str]| self.git().args(args).run(Streams::default()).is_ok_and(|run| run.status.success());
        let origin = self.origin();
        if let Some(other) = elsewhere(origin.as_deref(), url) {
            return Stands::Elsewhere(other.to_owned());
        }
        if origin.is_none() {
            // It never came from anywhere.
            return Stands::UpToDate { sent: false };
        }
        if self.is_half_way() || self.conflicts().is_ok_and(|files| !files.is_empty()) {
            return Stands::Behind;
        }
        let Some(branch) = text(&["symbolic-ref", "--quiet", "--short", "HEAD"]) else {
            return Stands::Silent("it is on no branch".to_owned());
        };
        let followed = text(&["config", "--get", &format!("branch.{branch}.merge")]);
        let followed = followed.unwrap_or_else(|| format!("refs/heads/{branch}"));
        let ask = self
            .git()
            .args(["ls-remote", "--quiet", "origin", &followed])
            .timeout(ANSWER)
            .run_ok(Streams { stdout: Output::Capture, ..asking() });
        let theirs = match ask {
            Ok(told) => String::from_utf8_lossy(&told.stdout).split_whitespace().next().map(str::to_owned),
            Err(Failure::ProgramFailed { last_lines, .. }) => return Stands::Silent(last_lines.join(": ")),
            Err(cause) => return Stands::Silent(cause.to_string()),
        };
        match theirs {
            None => Stands::UpToDate { sent: false },
            Some(theirs) if !holds(&["merge-base", "--is-ancestor", &theirs, "HEAD"]) => Stands::Behind,
            Some(theirs) => Stands::UpToDate { sent: holds(&["merge-base", "--is-ancestor", "HEAD", &theirs]) },
        }
    }

    fn origin(&self) -> Option<String> {
        let asked = self.git().args(["config", "--get", "remote.origin.url"]).text();
        asked.ok().filter(|url| !url.is_empty())
    }

    /// Fetches what the repository has got since, and puts what is only here behind that; for a clone that
    /// [`stands`](Self::stands) behind, or elsewhere. It is not asked again how: each time may take a touch of a key.
    pub fn refresh(&self, url: Option<&str>) -> Result<()> {
        let context = || format!("sigs tree {}", self.shown.display());
        self.expect_own()?;
        self.wait_for_others()?;
        let origin = self.origin();
        if let (Some(other), Some(url)) = (elsewhere(origin.as_deref(), url), url) {
            let git = Command::new("git").arg("-C").arg(self.shown);
            let how = if origin.is_some() { "set-url" } else { "add" };
            return Err(Problem {
                what: format!("{}: it is a clone of {other}, and gitian.toml says {url}", context()),
                mend: git.args(["remote", how, "origin", url]).to_string(),
            }
            .into());
        }
        let abort = || match self.is_half_way() {
            // What it began with is there again.
            true => self.git().args(["rebase", "--abort"]).run_ok(Streams::default()).map(drop),
            false => Ok(()),
        };
        // A run that was killed left it.
        abort().with_context(context)?;
        self.expect_no_conflict()?;
        let pulled = self.git().args(["pull", "--quiet", "--rebase", "--autostash"]).run_ok(asking());
        if pulled.is_err() {
            abort().with_context(context)?;
        }
        pulled.map(drop).with_context(context)?;
        // To git that is a success.
        self.expect_no_conflict()
    }

    /// The files of which nobody has said yet what of two changes they shall have.
    fn conflicts(&self) -> Result<Vec<String>, Failure> {
        let listed = self.git().args(["diff", "--name-only", "--diff-filter=U"]).text()?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Insists that none of the user's changes that were not committed is left beside what others sent.
    fn expect_no_conflict(&self) -> Result<()> {
        let context = || format!("sigs tree {}", self.shown.display());
        let files = self.conflicts().with_context(context)?;
        let Some(first) = files.first() else { return Ok(()) };
        let stashed = self.git().args(["stash", "list", "--max-count=1", "--format=%gs"]).text();
        let git = || Command::new("git").arg("-C").arg(self.shown);
        let mend = match stashed.with_context(context)?.as_str() {
            "autostash" => format!(
                "{}    takes what others sent; all that you had not committed stays in git's stash: {}",
                git().args(["reset", "--hard"]),
                git().args(["stash", "show", "-p"])
            ),
            _ => format!("{}    tells them; commit them as they shall be", git().arg("status")),
        };
        let more = if files.len() > 1 { format!(" (and {} more)", files.len() - 1) } else { String::new() };
        let what =
            format!("{}: a change of {first}{more} that is not committed does not fit what others sent", context());
        Err(Problem { what, mend }.into())
    }

    fn is_half_way(&self) -> bool {
        self.path.join(".git/rebase-merge").exists()
    }

    /// Whether files are committed as they are.
    pub fn has_committed(&self, files: &[PathBuf]) -> bool {
        let holds = |args: &[&str]| {
            let run = self.git().args(args).arg("--").args(files).run(Streams::default());
            run.is_ok_and(|run| run.status.success())
        };
        holds(&["ls-files", "--error-unmatch"]) && holds(&["diff", "--quiet", "HEAD"])
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
                Err(self.nobody_commits().into())
            }
            other => other.map(|_| true).with_context(context),
        }
    }

    /// Returns what keeps git from committing here, or in the clone that will be here: nobody has told it by whom.
    pub fn without_committer(&self) -> Result<Option<Problem>> {
        let context = || format!("sigs tree {}", self.shown.display());
        // What git is told may depend on where a repository lies.
        let scratch;
        let folder = match self.path.join(".git").exists() {
            true => &*self.path,
            false => {
                let parent = self.path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
                scratch = tempfile::Builder::new().prefix(".gitian-").tempdir_in(parent).with_context(context)?;
                git().args(["init", "--quiet"]).folder(scratch.path()).run_ok(Streams::default())?;
                scratch.path()
            }
        };
        match git().args(["var", "GIT_COMMITTER_IDENT"]).folder(folder).run_ok(Streams::default()) {
            Err(Failure::ProgramFailed { .. }) => Ok(Some(self.nobody_commits())),
            other => other.map(|_| None).with_context(context),
        }
    }

    fn nobody_commits(&self) -> Problem {
        Problem {
            what: format!("sigs tree {}: git does not know who commits", self.shown.display()),
            mend: "git config --global user.name NAME; git config --global user.email ADDRESS".into(),
        }
    }

    /// Sends the commits where the clone came from.
    ///
    /// # Errors
    /// [`Late`] if others sent theirs before.
    pub fn push(&self) -> Result<()> {
        let context = || format!("sigs tree {}", self.shown.display());
        self.expect_own()?;
        match self.git().args(["push", "--quiet", "origin", "HEAD"]).run_ok(asking()) {
            Ok(_) => Ok(()),
            Err(Failure::ProgramFailed { last_lines, .. }) if was_late(&last_lines) => Err(Late).with_context(context),
            Err(other) => Err(other).with_context(context),
        }
    }

    fn git(&self) -> Command {
        git().folder(&self.path)
    }

    /// Insists on a repository of the tree's own: in a folder without one, git takes that which the folder lies in.
    fn expect_own(&self) -> Result<()> {
        let context = || format!("sigs tree {}", self.shown.display());
        let path = self.path.canonicalize().with_context(context)?;
        match self.git().args(["rev-parse", "--show-toplevel"]).text() {
            Ok(top) if Path::new(&top) == path => Ok(()),
            Ok(_) | Err(Failure::ProgramFailed { .. }) => Err(self.no_clone().into()),
            Err(other) => Err(other).with_context(context),
        }
    }

    /// Returns what keeps a clone from being made here: something else is there.
    pub fn in_the_way(&self) -> Option<Problem> {
        let is_empty = || fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none());
        let is_clone = || self.path.join(".git").exists();
        (self.path.symlink_metadata().is_ok() && !is_empty() && !is_clone()).then(|| self.no_clone())
    }

    fn no_clone(&self) -> Problem {
        let shown = self.shown.display();
        Problem {
            what: format!("sigs tree {shown} is there, and is no clone"),
            mend: format!("mv {shown} {shown}.before    and run it again: it is cloned anew"),
        }
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

/// Returns of what a clone is, if not of the repository that it has to be of.
fn elsewhere<'o>(origin: Option<&'o str>, url: Option<&str>) -> Option<&'o str> {
    let url = url?;
    (origin != Some(url)).then(|| origin.unwrap_or("nothing"))
}

fn was_late(said: &[String]) -> bool {
    // The last two where another's push is under way at the same moment.
    let words = ["[rejected]", "fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref"];
    words.iter().any(|words| said.iter().any(|line| line.contains(words)))
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
    // What only looks leaves the index as it is.
    let git = git.env("GIT_OPTIONAL_LOCKS", "0");
    of_another.into_iter().fold(git, Command::without_env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_late_when_another_came_first_and_not_when_it_is_refused() {
        for (line, is_late) in [
            (" ! [rejected]        HEAD -> main (fetch first)", true),
            ("remote: error: cannot lock ref 'refs/heads/main': is at 1 but expected 2", true),
            (" ! [remote rejected] HEAD -> main (failed to update ref)", true),
            ("remote: error: cannot lock ref 'refs/heads/main': reference already exists", true),
            (" ! [remote rejected] HEAD -> main (pre-receive hook declined)", false),
            ("fatal: unable to access 'https://example.org/'", false),
        ] {
            assert_eq!(was_late(&["remote: hello".into(), line.into()]), is_late, "{line}");
        }
    }

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
        let tree = Tree { path: sigs.clone(), shown: Path::new("sigs") };
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
        let tree = Tree { path: sigs.clone(), shown: Path::new("sigs") };
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

    #[test]
    fn a_clone_knows_what_it_lacks_and_ours_goes_behind_what_others_did() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("origin")).unwrap();
        run(&at("origin"), &["init", "--quiet", "--bare"]);
        let url = at("origin").display().to_string();
        let [alice, bob] = ["alice", "bob"].map(|name| {
            Tree { path: at(name), shown: Path::new(name) }.clone_from(&url).unwrap();
            run(&at(name), &["config", "user.name", name]);
            run(&at(name), &["config", "user.email", "a@example.org"]);
            at(name)
        });
        let (alice, bob) =
            (Tree { path: alice, shown: Path::new("alice") }, Tree { path: bob, shown: Path::new("bob") });
        let (sent, unsent) = (Stands::UpToDate { sent: true }, Stands::UpToDate { sent: false });
        assert_eq!(alice.stands(Some(&url)), unsent, "nobody has anything");
        for (tree, file) in [(&alice, "a"), (&bob, "b")] {
            assert!(!tree.has_committed(&[file.into()]));
            fs::write(tree.path.join(file), file).unwrap();
            tree.commit(&[file.into()], file).unwrap();
            assert!(tree.has_committed(&[file.into()]));
        }
        bob.push().unwrap();
        assert_eq!((bob.stands(Some(&url)), alice.stands(None)), (sent, Stands::Behind));
        assert!(alice.push().unwrap_err().is::<Late>());
        // Signed anew, and not committed yet.
        fs::write(alice.path.join("a"), "anew").unwrap();
        assert!(!alice.has_committed(&["a".into()]));
        alice.refresh(Some(&url)).unwrap();
        assert_eq!(alice.stands(Some(&url)), unsent);
        assert_eq!(fs::read_to_string(alice.path.join("a")).unwrap(), "anew");
        assert_eq!(run(&alice.path, &["log", "--format=%s"]), "a\nb");
        alice.push().unwrap();
        assert_eq!((alice.stands(None), bob.stands(None)), (Stands::UpToDate { sent: true }, Stands::Behind));
        // Both change the same: nothing is left half way.
        for tree in [&alice, &bob] {
            fs::write(tree.path.join("c"), tree.shown.display().to_string()).unwrap();
            tree.commit(&["c".into()], "c").unwrap();
        }
        alice.push().unwrap();
        assert!(bob.refresh(None).is_err() && !bob.is_half_way());
        assert_eq!(run(&bob.path, &["status", "--porcelain"]), "");
        // A change that is not committed does not fit: it is told until somebody decides.
        run(&bob.path, &["reset", "--quiet", "--hard", "FETCH_HEAD"]);
        bob.refresh(None).unwrap();
        fs::write(alice.path.join("c"), "anew").unwrap();
        alice.commit(&["c".into()], "c").unwrap();
        alice.push().unwrap();
        fs::write(bob.path.join("c"), "not committed").unwrap();
        for _ in 0..2 {
            let error = bob.refresh(None).unwrap_err();
            let problem = error.downcast_ref::<Problem>().unwrap();
            let what = "sigs tree bob: a change of c that is not committed does not fit what others sent";
            assert_eq!(problem.what, what);
            assert!(problem.mend.starts_with("git -C bob reset --hard    "), "{}", problem.mend);
            assert_eq!(bob.stands(None), Stands::Behind);
        }
        run(&bob.path, &["reset", "--quiet", "--hard"]);
        bob.refresh(None).unwrap();
        assert!(run(&bob.path, &["stash", "show", "-p"]).ends_with("+not committed\n\\ No newline at end of file"));
        // Another repository.
        let told = alice.refresh(Some("/other")).unwrap_err().to_string();
        assert_eq!(told, format!("sigs tree alice: it is a clone of {url}, and gitian.toml says /other"));
        fs::rename(at("origin"), at("away")).unwrap();
        assert!(matches!(alice.stands(Some(&url)), Stands::Silent(_)));
    }
}
