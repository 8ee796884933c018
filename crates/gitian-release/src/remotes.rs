//! What the remotes of descriptors have at the commits that are to be built, asked before anything is done.

use std::path::Path;
use std::time::Duration;

use gitian_descriptor::Remote;
use gitian_process::{Command, Failure};

use crate::Version;
use crate::address::absolute;
use crate::project::Project;

/// How long a remote may take to say what it has.
const PATIENCE: Duration = Duration::from_secs(20);

/// A remote of a descriptor, with what `gitian.toml` has to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its folder.
    pub dir: String,
    /// What `--commit` says, if it has to.
    pub commit_option: Option<String>,
    /// What `--url` says, if it has to.
    pub url_option: Option<String>,
    /// What is built; nothing if nobody says it.
    pub commit: Option<String>,
    /// Where it is fetched from.
    pub url: String,
    /// What the remote answered.
    pub state: State,
}

/// What a remote has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The commit, as the lines that git tells about it.
    Has(String),
    /// No commit, tag or branch of that name.
    HasNot,
    /// Nobody could tell: it was not asked, or did not answer for this reason.
    Unknown(Option<String>),
}

impl Source {
    /// Decides what is built from where. `here` is the folder of `gitian.toml`, as a whole path.
    pub fn new(remote: &Remote, project: &Project, version: &Version, here: &Path) -> Self {
        let rule = project.remotes.get(remote.dir.as_str());
        let commit_option = rule.and_then(|rule| rule.commit.as_ref()).map(|commit| commit.of(version));
        let url_option = rule.and_then(|rule| rule.url.as_ref()).map(|url| absolute(url.as_str(), here));
        Self {
            dir: remote.dir.as_str().to_owned(),
            commit: commit_option.clone().or_else(|| remote.commit.as_ref().map(|commit| commit.as_str().to_owned())),
            url: url_option.clone().unwrap_or_else(|| remote.url.as_str().to_owned()),
            commit_option,
            url_option,
            state: State::Unknown(None),
        }
    }

    fn ask(&self) -> State {
        let Some(commit) = self.commit.as_deref() else { return State::Unknown(None) };
        if is_full_id(commit) {
            return State::Has(commit.to_owned());
        }
        // What gbuild would look for in the clone cannot be asked from here.
        if !self.url.starts_with('/') && !self.url.contains(':') {
            return State::Unknown(None);
        }
        let refs = [format!("refs/tags/{commit}"), format!("refs/tags/{commit}^{{}}"), format!("refs/heads/{commit}")];
        let answer = git().args(["ls-remote", "--", &self.url, commit]).args(refs).timeout(PATIENCE).text();
        match answer {
            Ok(lines) if !lines.is_empty() => State::Has(lines),
            // It may be the beginning of an id.
            Ok(_) if commit.len() >= 4 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) => State::Unknown(None),
            Ok(_) => State::HasNot,
            Err(Failure::ProgramFailed { last_lines, .. }) => State::Unknown(Some(last_lines.join(": "))),
            Err(cause) => State::Unknown(Some(cause.to_string())),
        }
    }
}

/// Asks all these remotes at once.
pub fn ask<'s>(sources: impl IntoIterator<Item = &'s mut Source>) {
    std::thread::scope(|scope| {
        for source in sources {
            scope.spawn(|| source.state = source.ask());
        }
    });
}

/// The `git` program, not to ask for anything and not to run what a repository names.
fn git() -> Command {
    Command::new("git")
        .args(["-c", "protocol.ext.allow=never"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        .env("LC_ALL", "C.UTF-8")
        .without_env("GIT_DIR")
        .without_env("GIT_WORK_TREE")
}

fn is_full_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_asked_for_tags_and_branches_and_an_id_is_not_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let source = |commit: &str, url: &str| Source {
            dir: "coin".into(),
            commit_option: None,
            url_option: None,
            commit: Some(commit.into()),
            url: url.into(),
            state: State::Unknown(None),
        };
        let repository = folder.path().display().to_string();
        for args in [
            &["init", "-q"][..],
            &["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "x"],
            &["tag", "v1.0"],
        ] {
            git().args(args).folder(folder.path()).text().unwrap();
        }
        let id = "0123456789012345678901234567890123456789";
        let mut asked = [
            source("v1.0", &repository),
            source("v2.0", &repository),
            source("beef", &repository),
            source(id, "https://host.invalid/x"),
            source("v1.0", "/nonexistent/x"),
            source("v1.0", "origin"),
        ];
        ask(&mut asked);
        assert!(matches!(&asked[0].state, State::Has(lines) if lines.contains("refs/tags/v1.0")), "{:?}", asked[0]);
        assert_eq!(asked[1].state, State::HasNot);
        assert_eq!(asked[2].state, State::Unknown(None));
        assert_eq!(asked[3].state, State::Has(id.to_owned()));
        assert!(matches!(&asked[4].state, State::Unknown(Some(_))));
        assert_eq!(asked[5].state, State::Unknown(None));
    }
}
