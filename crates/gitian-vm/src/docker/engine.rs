//! The program that stands for docker, how its complaints are understood, and what is asked of it.

use gitian_process::{Command, Failure, Outcome, Streams};

use super::args::LAYERS;
use crate::Problem;
use crate::host_programs::{install, sudo};

/// The `docker` command, or one that is used like it: contexts, `DOCKER_HOST` and remote engines are its business.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    program: String,
}

/// What was asked about does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{line}")]
pub(super) struct NotThere {
    /// What the engine said.
    line: String,
}

/// A container's name belongs to somebody else's.
#[derive(Debug, thiserror::Error)]
#[error("{line}")]
pub(super) struct NameTaken {
    /// What the engine said.
    line: String,
}

impl Engine {
    pub(super) fn new(program: &str) -> Self {
        Self { program: program.to_owned() }
    }

    /// What the user calls it by.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// Begins a command line.
    pub(super) fn command(&self, verb: &str) -> Command {
        Command::new(&self.program).arg(verb)
    }

    /// Runs a command that has to succeed; a complaint that somebody can act on becomes a [`Problem`], [`NotThere`] or
    /// [`NameTaken`].
    pub(super) fn run(&self, command: &Command, streams: Streams<'_>) -> anyhow::Result<Outcome> {
        command.run_ok(streams).map_err(|failure| self.understood(failure))
    }

    /// Runs a command that has to succeed, and returns what it says, trimmed.
    pub(super) fn ask(&self, command: &Command) -> anyhow::Result<String> {
        let outcome = self.run(command, Streams::default())?;
        Ok(String::from_utf8_lossy(&outcome.stdout).trim_end().to_owned())
    }

    /// Like [`ask`](Self::ask), but what does not exist is `None`.
    pub(super) fn find(&self, command: &Command) -> anyhow::Result<Option<String>> {
        match self.ask(command) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.is::<NotThere>() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns what keeps the engine from working, if something does.
    pub(super) fn trouble(&self) -> Option<Problem> {
        let error = self.ask(&self.command("ps").arg("--quiet")).err()?;
        Some(error.downcast().unwrap_or_else(|error| Problem {
            what: format!("{} does not work: {error:#}", self.program),
            mend: format!("{} info    (or use another backend)", self.program),
        }))
    }

    fn understood(&self, failure: Failure) -> anyhow::Error {
        let sudo = sudo();
        match failure {
            Failure::ProgramNotFound { program } => Problem {
                what: format!("program {program} is not installed"),
                mend: match program.as_str() {
                    "docker" => install("docker.io"),
                    "podman" => install("podman"),
                    _ => "set GITIAN_DOCKER to docker or podman".to_owned(),
                },
            }
            .into(),
            Failure::ProgramFailed { command_line, status, last_lines } => match meaning(&last_lines) {
                Some((Meaning::NotThere, line)) => NotThere { line: line.to_owned() }.into(),
                Some((Meaning::NameTaken, line)) => NameTaken { line: line.to_owned() }.into(),
                Some((meaning, line)) => {
                    Problem { what: format!("{}: {line}", self.program), mend: meaning.mend(&self.program, sudo) }
                        .into()
                }
                None => Failure::ProgramFailed { command_line, status, last_lines }.into(),
            },
            other => other.into(),
        }
    }
}

/// What a complaint means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    NoPermission,
    NoDaemon,
    NoSpace,
    NoNetwork,
    NameTaken,
    NotThere,
}

/// What complaints contain, in small letters; the cause of others before what follows from it.
const SIGNS: [(Meaning, &str); 16] = [
    (Meaning::NoPermission, "permission denied while trying to connect"),
    (Meaning::NoPermission, "dial unix /var/run/docker.sock: connect: permission denied"),
    (Meaning::NoDaemon, "cannot connect to the docker daemon"),
    (Meaning::NoDaemon, "error during connect"),
    (Meaning::NoDaemon, "cannot connect to podman"),
    (Meaning::NoDaemon, "unable to connect to podman"),
    (Meaning::NoSpace, "no space left on device"),
    (Meaning::NoSpace, "disk quota exceeded"),
    (Meaning::NoNetwork, "network bridge not found"),
    (Meaning::NameTaken, "is already in use"),
    (Meaning::NotThere, "no such image"),
    (Meaning::NotThere, "no such container"),
    (Meaning::NotThere, "no such object"),
    (Meaning::NotThere, "image not known"),
    (Meaning::NotThere, "no container with name or id"),
    (Meaning::NotThere, "failed to find image"),
];

impl Meaning {
    fn mend(self, program: &str, sudo: &str) -> String {
        match self {
            Self::NoPermission => "sudo usermod -aG docker $USER, then log in again (or use another backend)".into(),
            Self::NoDaemon if program == "podman" => {
                "systemctl --user start podman.socket    (or check `podman system connection list`)".into()
            }
            Self::NoDaemon => format!(
                "{sudo}systemctl start docker    (with another engine: check DOCKER_HOST and `{program} context ls`)"
            ),
            Self::NoSpace => room(program),
            Self::NoNetwork => "export GITIAN_DOCKER_NETWORK=host    (the engine has no network of its own)".into(),
            Self::NameTaken | Self::NotThere => {
                format!("`{program} ps --all` and `{program} images` show what there is")
            }
        }
    }
}

/// Returns what makes room on the disk that an engine keeps everything on.
pub(super) fn room(program: &str) -> String {
    format!(
        "the disk of the engine is full: `{program} system df` shows what takes the room, `{program} image prune` and \
         `{program} rmi $({program} images -q {LAYERS})` make some; then try again"
    )
}

fn meaning(lines: &[String]) -> Option<(Meaning, &str)> {
    SIGNS.iter().find_map(|(meaning, sign)| {
        let line = lines.iter().find(|line| line.to_lowercase().contains(sign))?;
        let line = line.trim_start_matches("docker: ").trim_start_matches("Error response from daemon: ");
        Some((*meaning, line.trim_end_matches('.')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_docker_and_podman_are_understood() {
        let cases = [
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                Meaning::NoDaemon,
            ),
            ("error during connect: Get \"http://host:2375/v1.24/containers/json\": dial tcp", Meaning::NoDaemon),
            (
                "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: \
                 Get \"http://%2Fvar%2Frun%2Fdocker.sock/v1.24/containers/json\": dial unix /var/run/docker.sock: \
                 connect: permission denied",
                Meaning::NoPermission,
            ),
            (
                "Got permission denied while trying to connect to the Docker daemon socket at unix:///x: Get",
                Meaning::NoPermission,
            ),
            (
                "Error response from daemon: Error processing tar file(exit status 1): write /usr/lib/x: no space left \
                 on device",
                Meaning::NoSpace,
            ),
            ("docker: Error response from daemon: network bridge not found.", Meaning::NoNetwork),
            (
                "docker: Error response from daemon: Conflict. The container name \"/gitian-target\" is already in use \
                 by container \"1c\". You have to remove (or rename) that container to be able to reuse that name.",
                Meaning::NameTaken,
            ),
            (
                "Error: creating container storage: the container name \"gitian-target\" is already in use by 1c. You \
                 have to remove that container to be able to reuse that name: that name is already in use",
                Meaning::NameTaken,
            ),
            ("Error: No such image: base-bookworm-amd64", Meaning::NotThere),
            ("Error response from daemon: No such image: base-bookworm-amd64:latest", Meaning::NotThere),
            ("Error: base-x: image not known", Meaning::NotThere),
            ("Error response from daemon: No such container: gitian-target", Meaning::NotThere),
            ("Error: no container with name or ID \"gitian-target\" found: no such container", Meaning::NotThere),
        ];
        for (line, expected) in cases {
            let lines = ["Run 'docker run --help' for more information".to_owned(), line.to_owned()];
            assert_eq!(meaning(&lines).map(|(found, _)| found), Some(expected), "{line}");
        }
        assert_eq!(meaning(&["Error response from daemon: something else".to_owned()]), None);
    }

    #[test]
    fn advice_is_for_the_engine_that_is_used() {
        for meaning in [Meaning::NoDaemon, Meaning::NoSpace, Meaning::NoNetwork, Meaning::NotThere] {
            let mend = meaning.mend("podman", "sudo ");
            assert!(!mend.contains("docker"), "{meaning:?}: {mend}");
            assert!(meaning.mend("docker", "").len() > 10, "{meaning:?}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_a_problem() {
        let problem = Engine::new("no-such-docker").trouble().unwrap();
        assert_eq!(problem.what, "program no-such-docker is not installed");
        assert_eq!(problem.mend, "set GITIAN_DOCKER to docker or podman");
    }
}
