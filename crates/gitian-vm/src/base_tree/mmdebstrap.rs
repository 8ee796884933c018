//! The program that makes a root file system: its command line, and its run inside an enclosure.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::mpsc;

use anyhow::Result;
use gitian_manifest::Digest;
use gitian_process::{Command, Output, Streams};

use super::record::Wanted;
use super::trouble::MirrorFailed;
use crate::debian::{Distribution, SOURCE_DATE_EPOCH};
use crate::sandbox::enclosure::{Enclosure, Insider, NotEntered, failed};
use crate::sandbox::rootfs::WORKSHOP;
use crate::{AptTrouble, Event};

/// Runs mmdebstrap; its tar goes into `archive`. Returns the tar's digest.
pub(super) fn run(
    command: &Command,
    enclosure: &Enclosure,
    archive: &Path,
    report: &mut dyn FnMut(Event),
) -> Result<String> {
    let mut said = String::new();
    let mut digest = String::new();
    let (send, receive) = mpsc::channel::<String>();
    let streams = Streams {
        stdout: Output::Consume(Box::new(|tar| {
            digest = keep_tar(tar, archive)?;
            Ok(())
        })),
        stderr: Output::Consume(Box::new(|lines| {
            for line in BufReader::new(lines).split(b'\n') {
                // Whoever listens may have gone; the text is still needed.
                send.send(String::from_utf8_lossy(&line?).into_owned()).ok();
            }
            drop(send);
            Ok(())
        })),
        ..Streams::default()
    };
    let outcome = std::thread::scope(|scope| {
        let worker = scope.spawn(|| enclosure.run(command, Insider::root(), streams));
        for line in receive {
            if let Some(step) = step_of(&line) {
                report(Event::Step(step.to_owned()));
            }
            said.push_str(&line);
            said.push('\n');
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
    .map_err(NotEntered::opened)?;
    if !outcome.status.success() {
        // What it says while it takes everything down again is longer than the lines that a failure keeps.
        return Err(match AptTrouble::find(said.lines()) {
            Some(trouble) => MirrorFailed(trouble).into(),
            None => failed(command, &outcome, &said).into(),
        });
    }
    Ok(digest)
}

/// Returns the step that mmdebstrap announces in a line, if it is one that tells the user something.
fn step_of(line: &str) -> Option<&str> {
    let step = line.strip_prefix("I: ")?.trim_end_matches("...");
    let known =
        ["running apt-get update", "downloading ", "extracting ", "installing ", "cleaning ", "creating tarball"];
    known.iter().any(|known| step.starts_with(known)).then_some(step)
}

/// Writes a tar to a file as it comes, compressed, and returns the digest of the tar itself.
fn keep_tar(tar: &mut dyn Read, archive: &Path) -> io::Result<String> {
    let mut kept = Kept { tar, packed: zstd::Encoder::new(File::create(archive)?, 3)? };
    let digest = Digest::of_reader(&mut kept)?;
    kept.packed.finish()?.sync_data()?;
    Ok(digest.to_string())
}

/// A tar that is kept, compressed, while it is read.
struct Kept<'t> {
    tar: &'t mut dyn Read,
    packed: zstd::Encoder<'static, File>,
}

impl Read for Kept<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.packed.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// Returns the command that writes a base tree's tar to standard output; it works in [`WORKSHOP`]. The keyring is a file
/// there; without source lines mmdebstrap makes its own.
pub(super) fn command(wanted: &Wanted, distribution: Distribution, keyring: Option<&str>, lines: &[String]) -> Command {
    let user = distribution.name();
    let mut command = Command::new("mmdebstrap")
        .args(["--mode=root", "--variant=minbase", "--format=tar"])
        .arg(format!("--architectures={}", wanted.architecture))
        .arg(format!("--components={}", wanted.components))
        .arg(format!("--include={}", wanted.packages.join(",")))
        .arg("--aptopt=Acquire::Retries \"5\"")
        .arg("--aptopt=APT::Update::Error-Mode \"any\"")
        // Descriptions in other languages decide nothing.
        .arg("--aptopt=Acquire::Languages \"none\"")
        // Nobody needs half a base image after a power cut; what is written last is synchronised.
        .arg("--dpkgopt=force-unsafe-io")
        .arg("--skip=essential/unlink")
        .arg(format!(
            "--customize-hook=chroot \"$1\" useradd --uid 1000 --user-group --create-home --shell /bin/bash {user} \
             && chroot \"$1\" chmod 755 /home/{user}"
        ))
        // Some of it was taken from this host or made by chance, and would not be the same everywhere.
        .arg(
            "--customize-hook=rm -f \"$1/etc/hosts\" \"$1/etc/hostname\" \"$1/etc/resolv.conf\" \
             \"$1/etc/apt/apt.conf.d/99mmdebstrap\" \"$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap\" \
             \"$1\"/etc/ssh/ssh_host_*",
        )
        .arg(format!("--customize-hook=install -m 644 {WORKSHOP}/hosts {WORKSHOP}/hostname \"$1/etc/\""))
        .arg(format!(
            "--customize-hook=cp \"$1\"/etc/apt/sources.list \"$1\"/var/lib/apt/lists/*Release {WORKSHOP}/found/ \
             && mv \"$1\"/var/cache/apt/archives/*.deb {WORKSHOP}/debs/"
        ));
    if let Some(proxy) = &wanted.proxy {
        // Kept in the image: what was made through a proxy also installs through it, as with the original.
        command = command.arg(format!("--aptopt=Acquire::http::Proxy \"{proxy}\"")).arg(format!(
            "--customize-hook=echo 'Acquire::http::Proxy \"{proxy}\";' > \"$1/etc/apt/apt.conf.d/80proxy\""
        ));
    }
    if let Some(name) = keyring {
        // For mmdebstrap's apt, and for the guest's.
        command = command
            .arg(format!("--keyring={WORKSHOP}/{name}"))
            .arg(format!("--customize-hook=install -D -m 644 {WORKSHOP}/{name} \"$1/etc/apt/trusted.gpg.d/{name}\""));
    }
    command
        .args([wanted.suite.as_str(), "-"])
        .args(lines)
        .folder("/")
        .env("LC_ALL", "C.UTF-8")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH.to_string())
        .env("TMPDIR", WORKSHOP)
}
