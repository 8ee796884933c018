//! Git remotes: what is asked for, fetched, checked out.
//!
//! Everything that talks to a repository is the `git` program's work, called without a shell; git2 answers questions
//! about the clone that is there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gitian_descriptor::{Commit, ReferenceDatetime, Remote, RemoteDir, Url, calendar};
use gitian_process::{Command, Failure, Input, Output, Streams};
use gitian_vm::{Problem, host_programs};

use crate::failure::GitRefused;
use crate::workdir::Workdir;

/// What git may fetch for one build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// No network: what is there is checked out.
    pub skip: bool,
    /// All branches are fetched into the clone, forced.
    pub branches: bool,
    /// All tags are fetched into the clone, forced.
    pub tags: bool,
    /// git says nothing but what goes wrong.
    pub quiet: bool,
}

/// A remote with everything decided that the command line may decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Below `inputs/` and the guest's `build/`.
    pub dir: RemoteDir,
    /// Where it is fetched from, wherever git is run.
    pub url: String,
    /// What is built.
    pub commit: Commit,
}

/// What a remote was checked out at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedOut {
    /// Below `inputs/` and the guest's `build/`.
    pub dir: RemoteDir,
    /// 40 hex digits.
    pub commit: String,
    /// The author date, in seconds since 1970.
    pub author_epoch: i64,
}

impl CheckedOut {
    /// Returns the author date as a reference date and time, in UTC.
    pub fn author_datetime(&self) -> Result<ReferenceDatetime> {
        calendar::utc(self.author_epoch).parse().with_context(|| format!("author date of {}", self.dir))
    }
}

/// How long a remote may take to say what it has.
const PATIENCE: Duration = Duration::from_secs(60);

/// Applies `--commit` and `--url` to the remotes of a descriptor; one without a commit is a problem, the others are not.
///
/// Kept: a relative path is one from the clone, where git is run. Source: gitian-builder 11f91fb, bin/gbuild.
pub fn decide(
    remotes: &[Remote],
    commits: &[(String, Commit)],
    urls: &[(String, Url)],
    workdir: &Workdir,
) -> (Vec<Source>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut sources = Vec::new();
    for remote in remotes {
        let dir = remote.dir.as_str();
        let commit =
            commits.iter().rev().find(|(of, _)| of == dir).map(|(_, commit)| commit).or(remote.commit.as_ref());
        let url = urls.iter().rev().find(|(of, _)| of == dir).map_or(&remote.url, |(_, url)| url);
        match commit {
            Some(commit) => {
                let url = address(url, &workdir.remote(&remote.dir));
                sources.push(Source { dir: remote.dir.clone(), url, commit: commit.clone() });
            }
            None => problems.push(Problem {
                what: format!("remote {dir}: neither the descriptor nor --commit says which commit to build"),
                mend: format!("add --commit {dir}=TAG"),
            }),
        }
    }
    (sources, problems)
}

/// Returns a url, with a relative path made absolute.
fn address(url: &Url, clone: &Path) -> String {
    let text = url.as_str();
    let first = text.split('/').next().unwrap_or_default();
    // `host:path` is a place on another host, a single word the name of a remote.
    if text.starts_with('/') || first.contains(':') || (first == text && !first.starts_with('.')) {
        return text.to_owned();
    }
    let mut path = clone.to_owned();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            // Not left to the system: the clone need not be there yet.
            ".." => drop(path.pop()),
            name => path.push(name),
        }
    }
    path.display().to_string()
}

/// Returns what would keep these remotes from being fetched: git missing, a remote that does not answer, a commit that
/// it does not have. All are asked at once; nothing is changed.
pub fn check(sources: &[Source], workdir: &Workdir, options: FetchOptions) -> Vec<Problem> {
    if sources.is_empty() {
        return Vec::new();
    }
    if let Err(Failure::ProgramNotFound { .. }) = Command::new("git").arg("--version").text() {
        return vec![Problem { what: "program git is not installed".into(), mend: host_programs::install("git") }];
    }
    std::thread::scope(|scope| {
        let questions: Vec<_> = sources
            .iter()
            .map(|source| {
                let answer = if options.skip { there } else { reachable };
                scope.spawn(move || not_a_clone(source, workdir).or_else(|| answer(source, workdir)))
            })
            .collect();
        questions.into_iter().filter_map(|question| question.join().unwrap_or_default()).collect()
    })
}

/// With `--skip-fetch`: is the commit in the clone?
fn there(source: &Source, workdir: &Workdir) -> Option<Problem> {
    let folder = workdir.remote(&source.dir);
    let known =
        git2::Repository::open(&folder).is_ok_and(|clone| clone.revparse_single(source.commit.as_str()).is_ok());
    (!known).then(|| Problem {
        what: format!("{}: commit {} is not there", workdir.shown(&folder).display(), source.commit),
        mend: "build without --skip-fetch".into(),
    })
}

/// Whether what lies in the place of the clone is none: git would take the repository around it for it.
fn not_a_clone(source: &Source, workdir: &Workdir) -> Option<Problem> {
    let folder = workdir.remote(&source.dir);
    let shown = workdir.shown(&folder).display();
    let cause = match fs::symlink_metadata(&folder) {
        Ok(_) if is_broken_off(&folder) => return None,
        Ok(_) => git2::Repository::open(&folder).err()?,
        Err(_) => return None,
    };
    Some(Problem {
        what: format!("{shown} is there, but is not a git repository of its own: {}", cause.message()),
        mend: format!("mv {shown} {shown}.away"),
    })
}

/// Whether a folder is what a killed `git init` left: nothing, or the beginnings of a `.git` without any object.
fn is_broken_off(folder: &Path) -> bool {
    let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|there| there.is_dir());
    let Ok(mut entries) = folder.read_dir() else { return false };
    let git = folder.join(".git");
    let only_git = entries.all(|entry| entry.is_ok_and(|entry| entry.path() == git && is_folder(&git)));
    let is_object = |entry: walkdir::Result<walkdir::DirEntry>| !entry.is_ok_and(|entry| entry.file_type().is_dir());
    let objects = git.join("objects");
    let has_objects = objects.exists() && walkdir::WalkDir::new(&objects).into_iter().any(is_object);
    is_folder(folder) && only_git && !has_objects && git2::Repository::open(folder).is_err()
}

fn reachable(source: &Source, workdir: &Workdir) -> Option<Problem> {
    if is_there_already(source, workdir) {
        return None;
    }
    let refs = match list_refs(source, workdir) {
        Ok(refs) => refs,
        Err(cause) => {
            let said = match &cause {
                Failure::ProgramFailed { last_lines, .. } => last_lines.join(": "),
                other => other.to_string(),
            };
            return Some(Problem {
                what: format!("remote {}: {} gives no answer: {said}", source.dir, source.url),
                mend: format!(
                    "git ls-remote {}    (or --url {}=OTHER, or --skip-fetch to build what is in inputs/{})",
                    source.url, source.dir, source.dir
                ),
            });
        }
    };
    // A commit id that no branch points to may still be had; only fetching it tells.
    let known = !refs.is_empty() || is_commit_id(source.commit.as_str());
    (!known).then(|| Problem {
        what: format!("remote {}: {} has no commit, tag or branch {}", source.dir, source.url, source.commit),
        mend: format!("git ls-remote {}    shows what it has; then --commit {}=TAG", source.url, source.dir),
    })
}

/// Whether the wanted commit is a full id that the clone holds: nothing newer can have that id.
fn is_there_already(source: &Source, workdir: &Workdir) -> bool {
    is_full_id(source.commit.as_str())
        && git2::Repository::open(workdir.remote(&source.dir)).is_ok_and(|clone| {
            git2::Oid::from_str(source.commit.as_str()).is_ok_and(|id| clone.find_commit(id).is_ok())
        })
}

/// Returns the names of the refs that the remote has for the wanted commit.
fn list_refs(source: &Source, workdir: &Workdir) -> Result<Vec<String>, Failure> {
    let commit = source.commit.as_str();
    // Asked where it will be fetched: `--url dir=origin` is a name that the clone knows, and a repository around us is none
    // of ours.
    let clone = workdir.remote(&source.dir);
    let git = git(&source.url);
    let git = if clone.is_dir() { git.folder(&clone) } else { git.env("GIT_DIR", clone.join(".git")) };
    let listed = git
        .args(["ls-remote", "--", &source.url, commit])
        .args([format!("refs/tags/{commit}"), format!("refs/heads/{commit}")])
        .timeout(PATIENCE)
        .text()?;
    Ok(listed.lines().filter_map(|line| line.split_once('\t')).map(|(_, name)| name.to_owned()).collect())
}

/// Brings a remote to its commit: clone made if absent, commit fetched, checked out, submodules updated.
///
/// `say` gets what git has to tell the user.
pub fn fetch(
    source: &Source,
    workdir: &Workdir,
    options: FetchOptions,
    say: &mut dyn FnMut(String),
) -> Result<CheckedOut> {
    let folder = workdir.remote(&source.dir);
    let shown = workdir.shown(&folder).display().to_string();
    if is_broken_off(&folder) {
        fs::remove_dir_all(&folder).with_context(|| shown.clone())?;
    }
    let is_new = !folder.exists();
    if is_new {
        fs::create_dir_all(workdir.inputs()).with_context(|| workdir.inputs().display().to_string())?;
        let init = git(&source.url).args(["init", "--"]).arg(&folder).folder(workdir.root()).text();
        say(init.with_context(|| shown.clone())?);
    }
    let brought = bring(source, &folder, &shown, workdir, options);
    if brought.is_err() && is_new {
        // Nothing but what was just made is in it.
        fs::remove_dir_all(&folder).with_context(|| shown)?;
    }
    brought
}

fn bring(source: &Source, folder: &Path, shown: &str, workdir: &Workdir, options: FetchOptions) -> Result<CheckedOut> {
    let git_there = || git(&source.url).folder(folder);
    if !options.skip {
        let mut fetches: Vec<Vec<String>> = Vec::new();
        let url = &source.url;
        let fetch = |more: &[&str]| -> Vec<String> {
            let quiet: &[&str] = if options.quiet { &["--quiet"] } else { &[] };
            ["fetch", "-f"].iter().chain(quiet).chain(more).map(|word| (*word).to_owned()).collect()
        };
        if options.branches {
            fetches.push(fetch(&["--update-head-ok", "--", url, "+refs/heads/*:refs/heads/*"]));
        }
        if options.tags {
            fetches.push(fetch(&["--", url, "+refs/tags/*:refs/tags/*"]));
        }
        // Last, because what is checked out is what this one fetched.
        if !is_there_already(source, workdir) {
            let tag = format!("refs/tags/{}", source.commit);
            if list_refs(source, workdir).with_context(|| format!("remote {}", source.dir))?.contains(&tag) {
                fetches.push(fetch(&["--no-tags", "--", url, &format!("{tag}:{tag}")]));
            } else {
                fetches.push(fetch(&["--no-tags", "--update-head-ok", "--", url, source.commit.as_str()]));
            }
        }
        for arguments in fetches {
            // Standard error is ours: git shows its progress there.
            let streams =
                Streams { stdin: Input::Empty, stdout: Output::Discard, stderr: Output::Inherit, merged: false };
            git_there().args(arguments).run_ok(streams).map_err(|cause| {
                refused(cause, |_said| Problem {
                    what: format!("remote {}: commit {} cannot be fetched from {url}", source.dir, source.commit),
                    mend: format!("git ls-remote {url}    shows what it has; then --commit {}=TAG", source.dir),
                })
            })?;
        }
    }
    let wanted = match options.skip || is_there_already(source, workdir) {
        true => source.commit.as_str(),
        false => "FETCH_HEAD",
    };
    git_there().args(["checkout", "-q", "--detach", wanted]).run_ok(Streams::default()).map_err(|cause| {
        refused(cause, |said| Problem {
            what: format!("{shown}: commit {} cannot be checked out", source.commit),
            mend: what_frees(shown, said),
        })
    })?;
    if folder.join(".gitmodules").exists() {
        // A submodule's url may be relative to where its repository came from, which the clone itself does not record.
        let submodule =
            || git_there().args(["-c", &format!("remote.origin.url={}", source.url), "submodule", "--quiet"]);
        let update = ["update", "--init", "--recursive", "--force"];
        let submodules = || format!("{shown}: submodules");
        submodule().args(["sync", "--recursive"]).run_ok(Streams::default()).with_context(submodules)?;
        submodule().args(update).run_ok(Streams::default()).with_context(submodules)?;
    }
    checked_out(&source.dir, folder).with_context(|| shown.to_owned())
}

/// Tells a refusal of git in the words of the build, with what git said; anything else stays as it is.
fn refused(cause: Failure, problem: impl FnOnce(&[String]) -> Problem) -> anyhow::Error {
    match cause {
        Failure::ProgramFailed { last_lines, .. } => GitRefused { problem: problem(&last_lines), last_lines }.into(),
        other => other.into(),
    }
}

/// Returns what makes a checkout possible in a clone that git refused to change, by what git said.
fn what_frees(clone: &str, said: &[String]) -> String {
    let says = |words: &str| said.iter().any(|line| line.contains(words));
    if says("would be overwritten") {
        return format!(
            "git -C {clone} stash -u    puts your changes aside; git -C {clone} stash pop brings them back"
        );
    }
    if says("index.lock") {
        return format!("rm {clone}/.git/index.lock    if no other git works there: one that was killed left it");
    }
    format!("git -C {clone} status")
}

fn checked_out(dir: &RemoteDir, folder: &Path) -> Result<CheckedOut> {
    let clone = git2::Repository::open(folder)?;
    let commit = clone.head()?.peel_to_commit()?;
    let id = commit.id().to_string();
    if !is_full_id(&id) {
        bail!("commit {id} has no 40-digit id");
    }
    Ok(CheckedOut { dir: dir.clone(), commit: id, author_epoch: commit.author().when().seconds() })
}

/// The `git` program, not to ask for passwords and not to run what a repository names.
fn git(url: &str) -> Command {
    let local = url.starts_with('/') || url.starts_with("file://");
    // A repository on this host may have its submodules on this host; one from elsewhere may not point into it.
    let file = if local { "protocol.file.allow=always" } else { "protocol.file.allow=user" };
    // A hook or a driver that is run by git has these set; they would turn every call to another repository.
    let of_another = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"];
    let git = Command::new("git")
        .args(["-c", "protocol.ext.allow=never", "-c", file])
        .args(["-c", "init.defaultBranch=master", "-c", "advice.detachedHead=false", "-c", "core.hooksPath=/dev/null"])
        .env("GIT_TERMINAL_PROMPT", "0")
        // By way of ssh, for a passphrase.
        .may_ask()
        .env("LC_ALL", "C.UTF-8");
    of_another.into_iter().fold(git, Command::without_env)
}

fn is_full_id(text: &str) -> bool {
    text.len() == 40 && is_commit_id(text)
}

fn is_commit_id(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_is_one_from_the_clone() {
        let clone = Path::new("/work/inputs/hello");
        for (url, expected) in [
            ("../../upstream", "/work/upstream"),
            ("./up", "/work/inputs/hello/up"),
            ("..", "/work/inputs"),
            ("../../../../../x", "/x"),
            ("/srv/a", "/srv/a"),
            ("https://h/../a.git", "https://h/../a.git"),
            ("git@h:a/b.git", "git@h:a/b.git"),
            ("origin", "origin"),
        ] {
            assert_eq!(address(&url.parse().unwrap(), clone), expected);
        }
    }

    #[test]
    fn what_a_killed_git_init_left_is_no_clone_and_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        assert!(!is_broken_off(&at("absent")));
        fs::create_dir_all(at("empty")).unwrap();
        fs::create_dir_all(at("begun/.git/objects/info")).unwrap();
        fs::write(at("begun/.git/description"), "x").unwrap();
        fs::create_dir_all(at("damaged/.git/objects/ab")).unwrap();
        fs::write(at("damaged/.git/objects/ab/cd"), "x").unwrap();
        fs::create_dir_all(at("files")).unwrap();
        fs::write(at("files/a.txt"), "mine").unwrap();
        git2::Repository::init(at("clone")).unwrap();
        std::os::unix::fs::symlink("empty", at("link")).unwrap();
        let names = ["empty", "begun", "damaged", "files", "clone", "link"];
        assert_eq!(names.map(|name| is_broken_off(&at(name))), [true, true, false, false, false, false]);
    }

    #[test]
    fn what_frees_a_clone_depends_on_what_git_said() {
        for (said, mend) in [
            (
                "error: Your local changes to the following files would be overwritten by checkout:",
                "git -C inputs/x stash -u ",
            ),
            (
                "error: The following untracked working tree files would be overwritten by checkout:",
                "git -C inputs/x stash -u ",
            ),
            ("fatal: Unable to create '/w/inputs/x/.git/index.lock': File exists.", "rm inputs/x/.git/index.lock "),
            ("fatal: unable to read tree 1234", "git -C inputs/x status"),
        ] {
            let found = what_frees("inputs/x", &[said.to_owned(), "Aborting".to_owned()]);
            assert!(found.starts_with(mend), "{said}: {found}");
        }
    }
}
