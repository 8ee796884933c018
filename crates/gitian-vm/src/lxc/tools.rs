//! LXC's programs for one guest, and what they need of the host.

use std::path::{Path, PathBuf};

use anyhow::Result;
use gitian_process::{Command, Failure, Streams};
use nix::unistd::getuid;

use super::NAME;
use crate::Problem;

/// The first process of a guest: it ends at once when it is told to, and buries processes that have lost their parents.
const FIRST_PROCESS: &str = "trap 'exit 0' TERM INT; sleep infinity & wait";

/// LXC's programs for the guest of a folder, LXC's own part of which is `path`.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    path: PathBuf,
}

impl Tools {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder that is LXC's.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins the command line of one of them.
    pub(super) fn command(&self, program: &str) -> Command {
        Command::new(program).arg("-P").arg(&self.path).args(["-n", NAME])
    }

    /// Starts the guest as a configuration says; it lives on by itself.
    pub(super) fn start(&self, config: &Path) -> Result<()> {
        let start = self.command("lxc-start").arg("-f").arg(config).args(["--", "/bin/bash", "-c", FIRST_PROCESS]);
        // Not interrupted half-way: nobody would know of the guest.
        start.uninterruptible().run_ok(Streams::default())?;
        Ok(())
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

/// Returns what keeps LXC from working here.
pub(super) fn problems(bridge: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !getuid().is_root() {
        problems.push(Problem {
            what: "LXC's guests can only be started by root".into(),
            mend: "run it as root, or use --backend sandbox, which needs no root".into(),
        });
    }
    match Command::new("lxc-start").arg("--version").text() {
        Ok(version) => problems.extend(too_old(&version)),
        Err(Failure::ProgramNotFound { .. }) => problems.push(Problem {
            what: "program lxc-start is not installed".into(),
            mend: format!("{}apt-get install lxc", if getuid().is_root() { "" } else { "sudo " }),
        }),
        Err(error) => {
            problems.push(Problem { what: error.to_string(), mend: "apt-get install --reinstall lxc".into() })
        }
    }
    if let Some(bridge) = bridge.filter(|bridge| !Path::new("/sys/class/net").join(bridge).exists()) {
        problems.push(Problem {
            what: format!("there is no bridge {bridge}"),
            mend: "unset LXC_BRIDGE    (guests then share the host's network), or: systemctl start lxc-net".into(),
        });
    }
    problems
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
    fn versions_from_3_on_are_new_enough() {
        for (version, old) in [("1.0.10", true), ("2.0.7", true), ("3.0.3", false), ("5.0.2", false), ("6.0.0", false)]
        {
            assert_eq!(too_old(version).is_some(), old, "{version}");
        }
    }

    #[test]
    fn a_bridge_that_is_not_there_is_told() {
        let found = problems(Some("no-such-bridge"));
        assert!(found.iter().any(|problem| problem.what == "there is no bridge no-such-bridge"), "{found:?}");
        assert!(!problems(None).iter().any(|problem| problem.what.contains("bridge")));
    }
}
