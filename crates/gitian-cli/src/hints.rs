//! Known cause → what to do next. The only place that gives advice, with `apt_hints` and what a [`Problem`] brings along.

use anyhow::Error;
use gitian_build::{GitRefused, NoOutputs, OutputsRefused, ScriptFailed};
use gitian_canon::{Refused, TooLarge};
use gitian_process::Failure;
use gitian_release::{Kind, StepFailed};
use gitian_sign::{DescriptorChanged, NotSigned, NothingSigned, ReportMissing};
use gitian_updater::ConfigRefused;
use gitian_verify::{PolicyRefused, ReleaseMissing, Verdict, release_name};
use gitian_vm::{
    ArchiveRefused, GuestFull, GuestGone, GuestNotUp, NotPacked, Problem, UnknownBackend, host_programs, says_full,
};

use crate::apt_hints;
use crate::copy_from_target::NoFolder;
use crate::gsign::agreement::Diverges;
use crate::gsign::{NoTerminal, NotGood, OtherFile, Unexpected};
use crate::printable::printable;
use crate::start_target::RunsAlready;
use crate::target::NoTarget;

/// Returns what to do next about an error, if we know.
pub fn hint(error: &Error) -> Option<String> {
    const ROOM: &str = "make room on the disk (`df -h` shows which is full), then try again";
    if let Some(full) = error.downcast_ref::<GuestFull>() {
        return Some(full.room.clone().unwrap_or_else(|| ROOM.to_owned()));
    }
    if last_lines(error).iter().any(|line| says_full(line)) || says_full(&format!("{error:#}")) {
        return Some(ROOM.to_owned());
    }
    error.chain().find_map(|cause| {
        if let Some(problem) = cause.downcast_ref::<Problem>() {
            return Some(problem.mend.clone());
        }
        if let Some(refused) = cause.downcast_ref::<GitRefused>() {
            return Some(refused.problem.mend.clone());
        }
        if let Some(failed) = cause.downcast_ref::<ScriptFailed>() {
            return apt_hints::hint(failed).or_else(|| {
                let log = failed.log.display();
                Some(format!("whole log in {log}; to look around: gbuild --skip-cleanup …, then libexec/on-target"))
            });
        }
        if cause.is::<GuestGone>() {
            return Some("build again; if it happens again, `dmesg` tells whether the memory was used up".to_owned());
        }
        if cause.is::<NoOutputs>() {
            return Some("let the script fill the folder $OUTDIR, and neither remove nor replace it".to_owned());
        }
        if let Some(not_up) = cause.downcast_ref::<GuestNotUp>() {
            return Some(format!("all that the guest's kernel said is in {}", not_up.log));
        }
        if cause.is::<OutputsRefused>() {
            return Some(
                "the build is kept in build/out; let the script leave regular files with plain names, then build again".to_owned(),
            );
        }
        if cause.is::<ArchiveRefused>() {
            return Some(
                "nothing of it was taken; let the script leave regular files, folders and links in $OUTDIR".to_owned(),
            );
        }
        if cause.is::<UnknownBackend>() {
            return Some("use --backend sandbox".to_owned());
        }
        if let Some(failed) = cause.downcast_ref::<StepFailed>() {
            return step_hint(failed);
        }
        if cause.is::<NoTarget>() {
            return Some(
                "`gbuild --skip-cleanup` leaves one running; `libexec/start-target 64 SUITE-ARCH` starts the one in var/"
                    .to_owned(),
            );
        }
        if cause.is::<RunsAlready>() {
            return Some("libexec/stop-target".to_owned());
        }
        if let Some(missing) = cause.downcast_ref::<NoFolder>() {
            return Some(match missing.is_file {
                true => "name a folder; the copy gets there under its own name".to_owned(),
                false => printable(&format!("mkdir -p {}", shell_words::quote(&missing.path))),
            });
        }
        if cause.is::<NotPacked>() {
            let unreadable = last_lines(error).iter().any(|line| line.ends_with("Permission denied"));
            return unreadable
                .then(|| "let the script leave what its user can read: chmod -R u+rX $OUTDIR".to_owned());
        }
        if cause.is::<TooLarge>() {
            return Some("if it may be that large: --max-size GIB, --max-entries N".to_owned());
        }
        if cause.is::<Refused>() {
            return Some("canon.md in share/doc tells what is refused, and why".to_owned());
        }
        if cause.is::<ConfigRefused>() {
            return Some("-c takes the config; updater.md in share/doc has every key".to_owned());
        }
        if cause.is::<ReportMissing>() {
            return Some("gbuild writes it; run gsign in the folder where gbuild was run".to_owned());
        }
        if let Some(diverges) = cause.downcast_ref::<Diverges>() {
            let next = diverges.next.as_deref().map(|next| format!("{}; ", printable(next))).unwrap_or_default();
            return Some(format!("{next}or, if you are sure: gsign --anyway …"));
        }
        if let Some(terminal) = cause.downcast_ref::<NoTerminal>() {
            let option = if terminal.wanted == NoTerminal::CONSENT { "--yes" } else { "--passphrase-file FILE" };
            return Some(format!("{option} does without"));
        }
        if let Some(other) = cause.downcast_ref::<OtherFile>() {
            let file = other.path.display().to_string();
            return Some(printable(&format!("gsign {} {}", other.option, shell_words::quote(&file))));
        }
        if let Some(not_good) = cause.downcast_ref::<NotGood>() {
            let new_key = match not_good.verdict {
                Verdict::WrongKey(_) => "; a new key has to be added to the key folder, or the policy, first",
                _ => "",
            };
            return Some(format!("sign the request with the signer's own key: gsign --sign-request FILE -s KEY{new_key}"));
        }
        if cause.is::<Unexpected>() {
            return Some("--import takes the answer to the request that was meant; without what is expected it publishes any".into());
        }
        if cause.is::<DescriptorChanged>() {
            return Some("check the descriptor out as it was built, or build again with gbuild".to_owned());
        }
        if let Some(not_signed) = cause.downcast_ref::<NotSigned>() {
            return not_signed.program.starts_with("gpg").then(|| {
                "gpg --list-secret-keys shows your keys; --signer takes a key id, fingerprint, e-mail address or name"
                    .to_owned()
            });
        }
        if cause.is::<NothingSigned>() {
            return Some(
                "-p names a program that writes FILE.sig when it is called as PROGRAM -u KEY FILE, as gpg --detach-sign does"
                    .to_owned(),
            );
        }
        if let Some(missing) = cause.downcast_ref::<ReleaseMissing>() {
            return release_hint(missing);
        }
        if cause.is::<PolicyRefused>() {
            return Some("gverify.md in share/doc has every key; gverify --no-policy decides without it".to_owned());
        }
        match cause.downcast_ref::<Failure>()? {
            Failure::ProgramNotFound { program } => Some(match package_of(program) {
                Some(package) => host_programs::install(package),
                None => "is it spelt right, installed, and in PATH?".to_owned(),
            }),
            _ => None,
        }
    })
}

/// Returns the last words of the program that failed, if one did.
pub fn last_lines(error: &Error) -> &[String] {
    error.chain().find_map(last_lines_of).unwrap_or_default()
}

fn last_lines_of<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e [String]> {
    if let Some(Failure::ProgramFailed { last_lines, .. }) = cause.downcast_ref() {
        return Some(last_lines);
    }
    if let Some(NotPacked(Failure::ProgramFailed { last_lines, .. })) = cause.downcast_ref() {
        return Some(last_lines);
    }
    if let Some(failed) = cause.downcast_ref::<ScriptFailed>() {
        return Some(&failed.last_lines);
    }
    if let Some(not_up) = cause.downcast_ref::<GuestNotUp>() {
        return Some(&not_up.last_lines);
    }
    cause.downcast_ref::<GitRefused>().map(|refused| refused.last_lines.as_slice())
}

/// Returns the Debian package that holds a program which we call ourselves.
fn package_of(program: &str) -> Option<&'static str> {
    Some(match program.rsplit('/').next().unwrap_or(program) {
        "gpg" => "gnupg",
        "newuidmap" | "newgidmap" => "uidmap",
        "curl" => "curl",
        "git" => "git",
        "ssh" | "ssh-keygen" => "openssh-client",
        "qemu-system-x86_64" => "qemu-system-x86",
        "qemu-img" => "qemu-utils",
        "mke2fs" | "debugfs" => "e2fsprogs",
        "sfdisk" => "fdisk",
        "mformat" | "mmd" | "mcopy" => "mtools",
        "VBoxManage" => "virtualbox",
        "mmdebstrap" => "mmdebstrap",
        "tar" => "tar",
        "apt-helper" => "apt",
        _ => return None,
    })
}

/// Returns how to go on with a step that failed, where the program's own words do not say it.
fn step_hint(failed: &StepFailed) -> Option<String> {
    let again = &failed.again;
    match failed.kind {
        Kind::Build => {
            let log = gitian_build::Workdir::new(gitian_release::workdir(&failed.of)).build_log();
            Some(match log.exists() {
                true => format!("the script's log is {}; then, to go on: {again}", log.display()),
                false => format!("to go on: {again}"),
            })
        }
        // What gsign advises is for the folder that it ran in.
        Kind::Sign => Some(format!(
            "what is built stays, in {}; to go on: {again}; if others built something else, and you are sure: add --anyway",
            gitian_release::workdir(&failed.of).display()
        )),
        _ => None,
    }
}

/// How many releases a hint names.
const MEANT: usize = 10;

/// Returns which releases there are instead.
fn release_hint(missing: &ReleaseMissing) -> Option<String> {
    let (Some(first), Some(last)) = (missing.releases.first(), missing.releases.last()) else {
        return Some("--destination takes a folder that holds one folder per release".to_owned());
    };
    let asked = missing.folder.file_name().unwrap_or_default().to_string_lossy();
    let fitting = |fits: &dyn Fn(&str) -> bool| -> Vec<&String> {
        missing.releases.iter().filter(|release| fits(release_name(release))).take(MEANT).collect()
    };
    // The same in another folder, else a longer name, else a digit more or less.
    let ways: [&dyn Fn(&str) -> bool; 3] =
        [&|name| name == asked, &|name| name.starts_with(&*asked), &|name| strsim::osa_distance(name, &asked) == 1];
    let meant = ways.into_iter().map(fitting).find(|found| !found.is_empty());
    let meant = meant.unwrap_or_else(|| missing.releases.iter().filter(|_| first == last).collect());
    let commands: Vec<String> = meant.iter().map(|name| format!("--release {}", shell_words::quote(name))).collect();
    let all = match missing.releases.len() {
        0..=MEANT => missing.releases.join(", "),
        count => format!("{count} releases, {first} to {last}; --all instead of --release shows them"),
    };
    let commands = if commands.is_empty() { String::new() } else { format!("{}; ", commands.join(" or ")) };
    Some(printable(&format!("{commands}there are: {all}")))
}
