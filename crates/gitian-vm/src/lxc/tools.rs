//! LXC's programs for one guest, and what they need of the host.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use gitian_manifest::Digest;
use gitian_process::{Command, Failure, Streams};
use nix::unistd::getuid;

use super::{Configured, NAME, user};
use crate::Problem;
use crate::document::remove_file;
use crate::host_programs::install;
use crate::sandbox::id_map::IdMap;

/// The first process of a guest: it ends at once when it is told to, and buries processes that have lost their parents.
const FIRST_PROCESS: &str = "trap 'exit 0' TERM INT; sleep infinity & wait";

/// LXC's programs for the guest of a folder, LXC's own part of which is `path`.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    path: PathBuf,
    /// What LXC takes for the folder of its guests: one that guest root may enter.
    guests: PathBuf,
    /// The guest's name there.
    name: String,
    /// The folder that the programs are taken from, instead of PATH's.
    programs: PathBuf,
}

impl Tools {
    /// `execute` is what `LXC_EXECUTE` says: the original calls that program for each command. Ours keeps a guest, for
    /// which other programs of LXC are needed as well; so it says where they all are.
    pub(super) fn new(path: PathBuf, execute: Option<&str>) -> Self {
        let programs = execute.map(Path::new).and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let (guests, name) = match getuid().is_root() {
            true => (path.clone(), NAME.to_owned()),
            false => {
                let digest = Digest::of_bytes(path.as_os_str().as_bytes()).to_string();
                (user::PLACE.into(), format!("{NAME}-{}", &digest[..12]))
            }
        };
        Self { path, guests, name, programs }
    }

    /// The folder that is LXC's.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins the command line of one of them.
    pub(super) fn command(&self, program: &str) -> Command {
        self.named(Command::new(self.programs.join(program)))
    }

    /// Tells one of them which guest.
    fn named(&self, command: Command) -> Command {
        command.arg("-P").arg(&self.guests).args(["-n", &self.name])
    }

    /// Starts the guest as a configuration says; it lives on by itself.
    pub(super) fn start(&self, configured: &Configured) -> Result<()> {
        let log = self.path.join("start.log");
        remove_file(&log)?;
        let program = self.programs.join("lxc-start");
        let start = match configured.map == IdMap::HOST {
            true => Command::new(program),
            false => user::start(&self.programs, &configured.map, &configured.folders).arg(program),
        };
        let start = self.named(start).args(["-l", "ERROR", "-o"]).arg(&log).arg("-f").arg(&configured.path);
        let start = start.args(["--", "/bin/bash", "-c", FIRST_PROCESS]);
        // Not interrupted half-way: nobody would know of the guest.
        let started = start.uninterruptible().run_ok(Streams::default());
        started.map(drop).map_err(|failure| match failure {
            Failure::ProgramFailed { command_line, status, last_lines } => {
                // What it says itself is only that more could be had in a log.
                let causes = errors(&fs::read_to_string(&log).unwrap_or_default());
                let last_lines = if causes.is_empty() { last_lines } else { causes };
                Failure::ProgramFailed { command_line, status, last_lines }.into()
            }
            other => other.into(),
        })
    }

    /// Whether the guest runs.
    pub(super) fn is_running(&self) -> Result<bool> {
        let info = self.command("lxc-info").args(["-s", "-H"]).uninterruptible();
        let outcome = info.run(Streams::default())?;
        Ok(outcome.status.success() && String::from_utf8_lossy(&outcome.stdout).trim() == "RUNNING")
    }

    /// Ends the guest, if it runs.
    pub(super) fn kill(&self) -> Result<()> {
        if self.is_running()? {
            self.command("lxc-stop").arg("-k").uninterruptible().run_ok(Streams::default())?;
        }
        Ok(())
    }
}

/// Returns what a log of LXC tells, the cause first, without who told it when and how to have it told.
fn errors(log: &str) -> Vec<String> {
    const ADVICE: [&str; 2] = ["To get more details", "Additional information"];
    // `lxc-start NAME TIME ERROR    PART - FILE:FUNCTION:LINE - TEXT`
    let texts = log.lines().filter_map(|line| line.split_once(" ERROR ")?.1.splitn(3, " - ").nth(2));
    texts.filter(|text| !ADVICE.iter().any(|advice| text.starts_with(advice))).map(str::to_owned).collect()
}

/// Returns the problem of an `LXC_EXECUTE` that names none of the two programs which it can.
fn unknown_program(execute: &str) -> Option<Problem> {
    let known = ["lxc-execute", "lxc-start"];
    let name = Path::new(execute).file_name().and_then(|name| name.to_str());
    (!name.is_some_and(|name| known.contains(&name))).then(|| Problem {
        what: format!("LXC_EXECUTE={execute} is neither lxc-execute nor lxc-start"),
        mend: "unset LXC_EXECUTE    (or give it the path of one of the two: LXC's programs are those beside it)".into(),
    })
}

/// Returns what keeps LXC from working here.
pub(super) fn problems(tools: &Tools, execute: Option<&str>, bridge: Option<&str>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = execute.and_then(unknown_program).into_iter().collect();
    if bridge.is_some() && !getuid().is_root() {
        problems.push(Problem {
            what: "an ordinary user's guests of LXC share the host's network: only root's can be on a bridge".into(),
            mend: "unset LXC_BRIDGE".into(),
        });
    }
    match Command::new(tools.programs.join("lxc-start")).arg("--version").text() {
        Ok(version) => problems.extend(too_old(&version)),
        Err(failure @ Failure::ProgramNotFound { .. }) => {
            problems.push(Problem { what: failure.to_string(), mend: install("lxc") });
        }
        Err(error) => problems.push(Problem { what: error.to_string(), mend: install("--reinstall lxc") }),
    }
    if let Some(bridge) = bridge.filter(|bridge| !Path::new("/sys/class/net").join(bridge).exists()) {
        problems.push(Problem {
            what: format!("there is no bridge {bridge}"),
            mend: "unset LXC_BRIDGE    (guests then share the host's network), or: systemctl start lxc-net".into(),
        });
    }
    problems
}

/// Returns the problem of an address that guests on a bridge cannot have.
pub(super) fn no_address(guest_ip: Option<&str>) -> Option<Problem> {
    let text = guest_ip.filter(|text| text.parse::<Ipv4Addr>().is_err())?;
    Some(Problem {
        what: format!("LXC_GUEST_IP={text} is not an address such as 10.0.3.5"),
        mend: "unset LXC_GUEST_IP    (or give the guest an address of the bridge's network)".into(),
    })
}

/// Returns the problem of a version that is too old for our configuration.
fn too_old(version: &str) -> Option<Problem> {
    let major: u32 = version.split('.').next()?.trim().parse().ok()?;
    (major < 3).then(|| Problem {
        what: format!("LXC {version} is too old: 3 or later is needed"),
        mend: "use --backend sandbox, or install a newer LXC".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_start_is_read_for_its_errors() {
        let log = "lxc-start gitian-target 20261121220000.123 ERROR    conf - ../src/lxc/conf.c:run:73 - No such - thing\n\
                   lxc-start gitian-target 20261121220000.124 WARN     conf - x.c:f:1 - never mind\n\
                   lxc-start gitian-target 20261121220000.125 ERROR    start - y.c:g:2 - Failed to start\n\
                   lxc-start gitian-target 20261121220000.126 ERROR    tool - z.c:h:3 - To get more details, run it so\n";
        assert_eq!(errors(log), ["No such - thing", "Failed to start"]);
        assert_eq!(errors(""), [""; 0]);
    }

    #[test]
    fn an_address_is_one_or_a_problem() {
        for (text, good) in [("10.0.3.5", true), ("10.0.3.5/24", false), ("", false), ("10.0.3.5\nlxc.x = y", false)] {
            assert_eq!(no_address(Some(text)).is_none(), good, "{text:?}");
        }
        assert_eq!(no_address(None), None);
    }

    #[test]
    fn versions_from_3_on_are_new_enough() {
        for (version, old) in [("1.0.10", true), ("2.0.7", true), ("3.0.3", false), ("5.0.2", false), ("6.0.0", false)]
        {
            assert_eq!(too_old(version).is_some(), old, "{version}");
        }
    }

    #[test]
    fn a_bridge_that_is_not_there_is_told() {
        let tools = Tools::new("x".into(), None);
        let found = problems(&tools, None, Some("no-such-bridge"));
        assert!(found.iter().any(|problem| problem.what == "there is no bridge no-such-bridge"), "{found:?}");
        assert!(!problems(&tools, None, None).iter().any(|problem| problem.what.contains("bridge")));
    }

    #[test]
    fn lxc_execute_says_where_the_programs_are() {
        for (execute, start) in [
            (None, "lxc-start"),
            (Some("lxc-execute"), "lxc-start"),
            (Some("/opt/lxc/bin/lxc-execute"), "/opt/lxc/bin/lxc-start"),
        ] {
            let line = Tools::new("x".into(), execute).command("lxc-start").to_string();
            assert!(line.starts_with(&format!("{start} -P ")) && line.contains(" -n gitian-target"), "{line}");
            assert_eq!(execute.and_then(unknown_program), None);
        }
        assert_eq!(
            unknown_program("/opt/run").unwrap().what,
            "LXC_EXECUTE=/opt/run is neither lxc-execute nor lxc-start"
        );
    }
}
