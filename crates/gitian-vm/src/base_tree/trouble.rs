//! What is wrong with a mirror, in words, and what to do about it.

use gitian_process::Failure;

use crate::{AptTrouble, AptTroubleKind, BaseRequest, Problem};

/// A program failed because of a mirror.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.line)]
pub(super) struct MirrorFailed(pub(super) AptTrouble);

/// Returns what is wrong with a mirror, when that is why a program failed.
pub(super) fn trouble_in(error: &anyhow::Error) -> Option<AptTrouble> {
    if let Some(MirrorFailed(trouble)) = error.downcast_ref() {
        return Some(trouble.clone());
    }
    let Failure::ProgramFailed { last_lines, .. } = error.downcast_ref()? else { return None };
    AptTrouble::find(last_lines.iter().map(String::as_str))
}

/// Returns a trouble with a mirror in words, and what to do about it; `again` is the command that repeats the request.
pub(super) fn problem_of(trouble: &AptTrouble, request: &BaseRequest, again: &str) -> Problem {
    let target = &request.target;
    let (what, mend) = match trouble.kind {
        AptTroubleKind::Busy => ("the mirror is busy", format!("repeat later, or use another: {again} --mirror URL")),
        AptTroubleKind::Syncing => (
            "the mirror is being updated, its files do not fit together",
            format!("repeat in some minutes, or use another: {again} --mirror URL"),
        ),
        AptTroubleKind::Unreachable => {
            ("the mirror is not reached", format!("check the network and the address: {again} --mirror URL"))
        }
        AptTroubleKind::NoRelease => return no_such_suite(request, again),
        AptTroubleKind::Expired => (
            "the mirror is out of date, or this machine's clock is ahead",
            format!("check `date`, or use a current mirror: {again} --mirror URL"),
        ),
        AptTroubleKind::NotYetValid => ("this machine's clock is behind", "set it: `date` shows it".to_owned()),
        AptTroubleKind::BadSignature => (
            "what the mirror sent is not what was signed, and is not used",
            format!("repeat later, or use another mirror: {again} --mirror URL"),
        ),
        AptTroubleKind::UnknownKey => (
            "the mirror is signed with a key that is not trusted",
            match &request.mirror {
                Some(mirror) => format!("name the mirror's keys: {again} --mirror {mirror} --keyring FILE"),
                None => format!(
                    "install the keys of {} ({}), or name them: {again} --keyring FILE",
                    target.distro,
                    match target.distro.as_str() {
                        "ubuntu" => "package ubuntu-keyring or ubuntu-archive-keyring",
                        _ => "package debian-archive-keyring",
                    }
                ),
            },
        ),
        AptTroubleKind::NoPackage | AptTroubleKind::Conflict => (
            "the mirror lacks packages of a base image",
            format!("use a mirror that has the whole suite: {again} --mirror URL"),
        ),
        AptTroubleKind::NoSpace => ("no space is left", "free some space and repeat".to_owned()),
    };
    Problem { what: format!("{what}: {}", trouble.line), mend }
}

/// Returns the problem of a suite that a mirror does not have.
pub(super) fn no_such_suite(request: &BaseRequest, again: &str) -> Problem {
    let target = &request.target;
    Problem {
        what: format!(
            "{} {} is not on the mirror: misspelt, not for {}, or past its end of life",
            target.distro,
            target.suite,
            target.architecture.debian()
        ),
        mend: format!(
            "check --distro and --suite; what is past its end of life moves to another mirror ({}): {again} --mirror URL",
            match target.distro.as_str() {
                "ubuntu" => "Ubuntu's old-releases",
                _ => "Debian's archive",
            },
        ),
    }
}
