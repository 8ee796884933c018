//! What to do next when apt failed in a guest.

use gitian_build::ScriptFailed;
use gitian_vm::{AptTrouble, AptTroubleKind};

/// Returns what to do next about a failed `apt-get`; `None` for other commands.
pub fn hint(failed: &ScriptFailed) -> Option<String> {
    if !failed.what.starts_with("apt-get") {
        return None;
    }
    let Some(trouble) = AptTrouble::find(failed.last_lines.iter().map(String::as_str)) else {
        return Some(format!("the whole log is in {}", failed.log.display()));
    };
    let (distro, suite, arch) = (&failed.target.distro, &failed.target.suite, failed.target.architecture.debian());
    let anew = |option: &str| {
        format!(
            "make the base image anew: rm base-{suite}-{arch}* && bin/make-base-vm --distro {distro} --suite {suite} \
             --arch {arch} {option}"
        )
    };
    Some(match trouble.kind {
        AptTroubleKind::Busy => "the server is overloaded; run gbuild again later".to_owned(),
        AptTroubleKind::Unreachable => "check the network, then run gbuild again".to_owned(),
        AptTroubleKind::Syncing => "the mirror is being updated; run gbuild again in some minutes".to_owned(),
        AptTroubleKind::NoRelease if !is_of_suite(&trouble.line, suite.as_str()) => {
            "correct this address or distribution under repositories: of the descriptor".to_owned()
        }
        AptTroubleKind::NoRelease => format!(
            "{suite} has left this mirror: past its end of life, a suite moves to {}; {}",
            match distro.as_str() {
                "ubuntu" => "Ubuntu's old-releases mirror",
                _ => "the distribution's archive of old releases",
            },
            anew("--mirror URL")
        ),
        AptTroubleKind::Expired => {
            format!(
                "the mirror is no longer updated, or this machine's clock is ahead (`date`); {}",
                anew("--mirror URL")
            )
        }
        AptTroubleKind::NotYetValid => "this machine's clock is behind; `date` shows it".to_owned(),
        AptTroubleKind::BadSignature => format!(
            "what the mirror sent is not what was signed, and is not used; run gbuild again later, or {}",
            anew("--mirror URL")
        ),
        AptTroubleKind::UnknownKey => {
            format!("the guest lacks the key that signs this repository; {}", anew("[--mirror URL] --keyring FILE"))
        }
        AptTroubleKind::NoPackage => format!(
            "correct the name under packages: of the descriptor, or name the repository that has it under repositories: \
             ({suite} has not)"
        ),
        AptTroubleKind::Conflict => {
            format!("these packages cannot be installed together; the whole log is in {}", failed.log.display())
        }
        AptTroubleKind::NoSpace => "free some space where the build runs, then run gbuild again".to_owned(),
    })
}

/// Whether a repository without Release file (`The repository 'URL SUITE Release' does not …`) is one of this suite.
fn is_of_suite(line: &str, suite: &str) -> bool {
    let named = line.split('\'').nth(1).and_then(|repository| repository.split(' ').nth(1));
    named.is_none_or(|named| named == suite || named.starts_with(&format!("{suite}-")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use gitian_descriptor::Architecture;
    use gitian_process::Status;
    use gitian_vm::TargetId;

    use super::*;

    fn failed(what: &str, line: &str) -> ScriptFailed {
        ScriptFailed {
            what: what.to_owned(),
            target: TargetId {
                distro: "ubuntu".parse().unwrap(),
                suite: "jammy".parse().unwrap(),
                architecture: Architecture::Amd64,
            },
            status: Status::Exited(100),
            last_lines: vec![line.to_owned()],
            log: PathBuf::from("var/install.log"),
        }
    }

    #[test]
    fn every_trouble_with_apt_has_its_advice() {
        for (line, advice) in [
            ("E: Failed to fetch http://h/x  503  Service Unavailable [IP: ::1 80]", "later"),
            ("E: The repository 'http://h/u jammy Release' does not have a Release file.", "old-releases"),
            ("E: The repository 'http://h/u jammy-updates Release' does not have a Release file.", "old-releases"),
            ("E: The repository 'http://h/u jam Release' does not have a Release file.", "repositories:"),
            ("E: Release file for http://h/x is expired (invalid since 3d).", "--mirror URL"),
            ("W: GPG error: http://h jammy InRelease: … NO_PUBKEY 1D", "--keyring FILE"),
            ("W: GPG error: http://h jammy InRelease: … BADSIG 1D", "not what was signed"),
            ("E: Unable to locate package nonsuch", "packages:"),
            ("E: Sub-process /usr/bin/dpkg returned an error code (1)", "var/install.log"),
        ] {
            let hint = hint(&failed("apt-get update", line)).unwrap();
            assert!(hint.contains(advice), "{line}: {hint}");
        }
    }

    #[test]
    fn what_is_not_apt_is_left_to_others() {
        assert_eq!(hint(&failed("build script", "E: Unable to locate package nonsuch")), None);
    }
}
