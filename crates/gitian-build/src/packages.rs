//! The packages of one configuration: installed as the descriptor asks, or taken over from an earlier build, and listed.

use std::io::Write;

use anyhow::{Result, bail};
use gitian_descriptor::Descriptor;
use gitian_manifest::Digest;
use gitian_process::{Input, Status, Streams};
use gitian_vm::{Debs, GuestCommand, GuestUser, Layer, TargetId};

use crate::failure::{PackagesUnknown, ScriptFailed};

use crate::apt::{self, Apt};
use crate::event::{Event, Step};
use crate::guest::Guest;
use crate::log::Log;
use crate::workdir::Workdir;

const GRAB_PACKAGES: &str = include_str!("../../../target-bin/grab-packages.sh");
const RELEASES_CURRENT: &str = include_str!("../../../target-bin/releases-current.sh");

/// Where a guest keeps what concerns the build of it, out of the way of the script.
pub const FOLDER: &str = "/var/cache/gitian";
/// Where a guest keeps the manifest of its packages, so that it need not be made again for a kept layer.
const MANIFEST: &str = "/var/cache/gitian/base.manifest";
/// Says that a guest was upgraded once. Source: gitian-builder 11f91fb, target-bin/upgrade-system.sh.
const UPGRADED: &str = "/var/cache/gitian/initial-upgrade";

/// Returns the layer of a configuration: everything that decides which packages are there, apart from what the
/// repositories have at the moment.
pub fn layer(descriptor: &Descriptor, id: &TargetId, base: &str) -> Layer {
    let mut words = vec!["packages-1".to_owned(), base.to_owned(), id.to_string()];
    let mut list = |name: &str, of: Vec<String>| {
        words.push(format!("{name} {}", of.len()));
        words.extend(of);
    };
    list("multiarch", texts(&descriptor.multiarch));
    list("packages", texts(&descriptor.packages));
    for repository in &descriptor.repositories {
        list("repository", vec![repository.source.clone(), repository.distribution.clone()]);
        list("from it", texts(&repository.packages));
    }
    for alternative in &descriptor.alternatives {
        list("alternative", vec![alternative.package.clone(), alternative.path.clone()]);
    }
    Layer { key: Digest::of_bytes(words.join("\0").as_bytes()).to_string() }
}

fn texts(names: &[impl ToString]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Whether the repositories still have exactly what the packages in a guest were chosen from; if not, the log says why.
pub fn are_current(guest: &Guest, log: &Log) -> Result<bool> {
    let bash = GuestCommand::new(GuestUser::Root, ["bash", "-c", RELEASES_CURRENT]);
    let (status, why_not) = guest.read(&bash)?;
    if !status.success() {
        let why_not = if why_not.is_empty() { "their repositories cannot be asked\n" } else { &why_not };
        write!(log.file()?, "The packages of an earlier build are not used: {why_not}")?;
    }
    Ok(status.success())
}

/// Installs what the descriptor asks for and leaves the manifest in the guest.
pub fn install(
    guest: &Guest,
    descriptor: &Descriptor,
    upgrade: bool,
    debs: &Debs,
    workdir: &Workdir,
    log: &Log,
    report: &mut dyn FnMut(Event),
) -> Result<()> {
    let step = |step, report: &mut dyn FnMut(Event)| report(Event::Step(step, Some(log.path().to_owned())));
    let root = |argv: &[&str]| GuestCommand::new(GuestUser::Root, argv);
    if !descriptor.multiarch.is_empty() {
        step(Step::AddArchitectures, report);
        for architecture in &descriptor.multiarch {
            guest.run_ok(&root(&["dpkg", "--add-architecture", architecture.as_str()]), Input::Empty, log)?;
        }
    }
    if !descriptor.repositories.is_empty() {
        step(Step::AddRepositories, report);
        let sources: String =
            descriptor.repositories.iter().map(|repository| format!("{}\n", repository.source)).collect();
        guest.run_ok(&root(&["tee", "-a", "/etc/apt/sources.list"]), Input::Bytes(sources.as_bytes()), log)?;
    }
    let apt = Apt::new(&*guest.target, log, debs, workdir);
    step(Step::UpdatePackageLists, report);
    expect(guest, apt.update(&mut warn(report))?, "apt-get update", log)?;
    step(Step::InstallPackages, report);
    let packages = texts(&descriptor.packages);
    expect(guest, apt.install(None, &packages, &mut warn(report))?, "apt-get install", log)?;
    for repository in &descriptor.repositories {
        step(Step::InstallFrom(repository.distribution.clone()), report);
        let packages = texts(&repository.packages);
        let status = apt.install(Some(&repository.distribution), &packages, &mut warn(report))?;
        expect(guest, status, "apt-get install", log)?;
    }
    if !descriptor.alternatives.is_empty() {
        step(Step::SetAlternatives, report);
        for alternative in &descriptor.alternatives {
            let argv = root(&["update-alternatives", "--set", &alternative.package, &alternative.path]);
            guest.run_ok(&argv, Input::Empty, log)?;
        }
    }
    guest.run_ok(&root(&["mkdir", "-p", FOLDER]), Input::Empty, log)?;
    if upgrade || !guest.target.run(&root(&["test", "-e", UPGRADED]), Streams::default())?.success() {
        step(Step::Upgrade, report);
        expect(guest, apt.upgrade(&mut warn(report))?, "apt-get dist-upgrade", log)?;
        guest.run_ok(&root(&["touch", UPGRADED]), Input::Empty, log)?;
    }
    guest.run_ok(&root(&["apt-get", "clean"]), Input::Empty, log)?;
    step(Step::RecordPackages, report);
    let manifest = list(guest, debs, log)?;
    guest.write(MANIFEST, &manifest, log)
}

/// Turns a status of apt other than 0 into an error with what apt complained of.
fn expect(guest: &Guest, status: Status, what: &str, log: &Log) -> Result<()> {
    guest.must_succeed(status, what, log).map_err(|mut error| {
        if let Some(failed) = error.downcast_mut::<ScriptFailed>() {
            failed.last_lines.retain(|line| !apt::is_progress(line));
        }
        error
    })
}

fn warn(report: &mut dyn FnMut(Event)) -> impl FnMut(String) {
    |line| report(Event::Warning(line))
}

/// Returns the manifest that [`install`] left in the guest.
pub fn manifest(guest: &Guest, log: &Log) -> Result<String> {
    let (status, text) = guest.read(&GuestCommand::new(GuestUser::Root, ["cat", MANIFEST]))?;
    guest.must_succeed(status, "the package manifest", log)?;
    Ok(text)
}

/// Lists every installed package's file with its digest.
///
/// # Errors
/// [`PackagesUnknown`] when apt's index has no digest for some of them, and no build downloaded them before.
fn list(guest: &Guest, debs: &Debs, log: &Log) -> Result<String> {
    let (status, text) = guest.read(&GuestCommand::new(GuestUser::Root, ["bash", "-c", GRAB_PACKAGES]))?;
    guest.must_succeed(status, "grab-packages.sh", log)?;
    let mut lines = Vec::new();
    let mut found = false;
    let mut unknown = Vec::new();
    for line in text.lines() {
        match line.split_once("  ") {
            Some(("missing", file)) => match debs.named(file).as_slice() {
                [only] => {
                    lines.push((file, only.to_string()));
                    found = true;
                }
                _ => unknown.push(file.to_owned()),
            },
            Some((digest, file)) if digest.parse::<Digest>().is_ok() => lines.push((file, digest.to_owned())),
            _ => bail!("the package manifest of {} has the line '{}'", guest.id, line.escape_debug()),
        }
    }
    if !unknown.is_empty() {
        return Err(PackagesUnknown { target: guest.id.clone(), files: unknown }.into());
    }
    // The script's order is that of the manifest; only what was found here has yet to find its place.
    if found {
        lines.sort_unstable();
    }
    Ok(lines.iter().map(|(file, digest)| format!("{digest}  {file}\n")).collect())
}
