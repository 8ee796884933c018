//! `gitian doctor`: the host at a glance. What each kind of guest needs is known to its backend; here it is asked and told.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use gitian_process::{Command, Failure, interrupt};
use gitian_vm::{Problem, host_programs, select};
use indicatif::HumanBytes;
use nix::sys::statvfs::statvfs;

use crate::args::doctor::Args;
use crate::failure::one_line;
use crate::printable::printable;
use crate::surroundings::Surroundings;

/// What was found about one thing.
struct Finding {
    /// The thing, in one word.
    of: String,
    /// What can be said about it.
    is: String,
    problems: Vec<Problem>,
}

impl Finding {
    fn good(of: &str, is: impl Into<String>) -> Self {
        Self { of: of.to_owned(), is: is.into(), problems: Vec::new() }
    }

    fn bad(of: &str, is: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        let problems = vec![Problem { what: what.into(), mend: mend.into() }];
        Self { of: of.to_owned(), is: is.into(), problems }
    }
}

/// Runs `gitian doctor`. Returns the exit code.
pub fn run(_args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    let default = select(None, &around.settings, &around.workdir, &[])?.name();
    let mut can_build = false;
    for name in gitian_vm::names() {
        let mut finding = backend(name, around)?;
        interrupt::check()?;
        if name == default {
            can_build = finding.problems.is_empty();
            finding.is += " (what gbuild uses here)";
        }
        tell(&finding, around, out)?;
    }
    let folders = [("cache", &around.settings.cache), ("disk", &around.workdir)];
    let others = folders.into_iter().map(|(of, folder)| disk(of, folder)).chain([ids(), clock(), keys(), git(around)]);
    for finding in others {
        tell(&finding, around, out)?;
    }
    interrupt::check()?;
    let verdict = if can_build { "can build" } else { "cannot build yet" };
    writeln!(out, "this host {verdict} ({default})")?;
    Ok(u8::from(!can_build))
}

fn tell(finding: &Finding, around: &Surroundings, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "{:<8} {}", finding.of, printable(&finding.is))?;
    for problem in &finding.problems {
        writeln!(out, "{:<8} {}", "", one_line(&problem.what))?;
        writeln!(out, "{:<8} hint: {}", "", around.calls.in_hint(&problem.mend))?;
    }
    Ok(())
}

fn backend(name: &str, around: &Surroundings) -> Result<Finding> {
    let backend = select(Some(name), &around.settings, &around.workdir, &[])?;
    let problems = backend.check(&[]);
    let is = match (problems.is_empty(), problems.is_empty().then(|| backend.remark()).flatten()) {
        (false, _) => "cannot build".to_owned(),
        (true, Some(remark)) => format!("can build; {remark}"),
        (true, None) => "can build".to_owned(),
    };
    Ok(Finding { of: name.to_owned(), is, problems })
}

/// The least free space that is worth a word, in bytes: two base images with their packages and a build.
const ROOM: u64 = 10 << 30;

fn disk(of: &str, folder: &Path) -> Finding {
    // What does not exist yet will be made in the nearest folder that does.
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
    let free = statvfs(there).ok().map(|found| found.blocks_available().saturating_mul(found.fragment_size()));
    let shown = folder.display();
    match free {
        Some(free) if free < ROOM => Finding::bad(
            of,
            format!("{} free in {shown}", HumanBytes(free)),
            "a release of several descriptors may need more",
            "make room (`df -h` shows which disk is full), or export XDG_CACHE_HOME=<another folder>",
        ),
        Some(free) => Finding::good(of, format!("{} free in {shown}", HumanBytes(free))),
        None => Finding::good(of, format!("{shown}: the system does not say how much is free")),
    }
}

/// The range of ids that guests of an ordinary user have; that one is missing is said by the sandbox.
fn ids() -> Finding {
    let uid = nix::unistd::getuid();
    if uid.is_root() {
        return Finding::good("ids", "you are root: guests have ids of their own, far from the host's");
    }
    let user = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name).unwrap_or_default();
    let ranges = fs::read_to_string("/etc/subuid").unwrap_or_default();
    let of_user = |line: &&str| line.split(':').next().is_some_and(|name| name == user || name == uid.to_string());
    match ranges.lines().find(of_user) {
        Some(line) => Finding::good(
            "ids",
            format!("/etc/subuid gives you {}", line.split_once(':').map_or(line, |(_, range)| range)),
        ),
        None => Finding::bad(
            "ids",
            "no subordinate ids",
            format!("/etc/subuid has no range for {user}"),
            format!("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"),
        ),
    }
}

/// Signatures carry a time, and packages' lists expire: a clock that is wrong makes both look bad.
fn clock() -> Finding {
    let mend = format!("{}timedatectl set-ntp true", host_programs::sudo());
    let now = SystemTime::now();
    let built = std::env::current_exe().and_then(|program| program.metadata()?.modified());
    if built.is_ok_and(|built| built > now) {
        return Finding::bad("clock", "is wrong", "it is earlier than when this program was installed", mend);
    }
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).text();
    match asked.as_deref() {
        Ok("yes") => Finding::good("clock", "is synchronised"),
        Ok("no") => Finding::bad("clock", "is not synchronised", "nothing keeps it right", mend),
        _ => Finding::good("clock", "looks right (nothing here says whether it is synchronised)"),
    }
}

fn keys() -> Finding {
    let listed = match Command::new("gpg").args(["--batch", "--list-secret-keys", "--with-colons"]).text() {
        Ok(listed) => listed,
        Err(Failure::ProgramNotFound { .. }) => {
            return Finding::bad(
                "keys",
                "cannot be asked for",
                "program gpg is not installed",
                host_programs::install("gnupg"),
            );
        }
        Err(cause) => return Finding::bad("keys", "cannot be asked for", cause.to_string(), "gpg --list-secret-keys"),
    };
    let names: Vec<&str> =
        listed.lines().filter(|line| line.starts_with("uid:")).filter_map(|line| line.split(':').nth(9)).collect();
    match names.as_slice() {
        [] => Finding::bad(
            "keys",
            "none to sign with",
            "gpg has no secret key",
            "gpg --quick-generate-key \"NAME <ADDRESS>\" ed25519 sign never    (or gpg --import)",
        ),
        names => Finding::good("keys", names.join(", ")),
    }
}

fn git(around: &Surroundings) -> Finding {
    let ask = |args: &[&str]| Command::new("git").args(args).folder(&around.workdir).text();
    let version = match ask(&["--version"]) {
        Ok(version) => version,
        Err(cause) => return Finding::bad("git", "cannot be used", cause.to_string(), host_programs::install("git")),
    };
    let config = |key: &str| ask(&["config", "--get", key]).ok().filter(|value| !value.is_empty());
    let Some(name) = config("user.name").filter(|_| config("user.email").is_some()) else {
        return Finding::bad(
            "git",
            version,
            "it does not know who commits to a sigs repository",
            "git config --global user.name NAME; git config --global user.email ADDRESS",
        );
    };
    let signer = config("gitian.signer").map_or_else(String::new, |signer| format!(", signs as {signer}"));
    Finding::good("git", format!("{version}, commits as {name}{signer}"))
}
