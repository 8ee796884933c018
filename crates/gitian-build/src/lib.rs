//! One gbuild run: from descriptor and inputs to a report.
//!
//! [`build`] is the whole order of work, one call a step. [`check`] finds everything that would stop it beforehand.
//! Nothing here prints: what happens is handed to the caller as [`Event`]s.

mod apt;
mod collect;
mod configuration;
mod event;
mod failure;
mod guest;
mod hashed;
mod inputs;
mod log;
mod packages;
mod remotes;
mod script;
mod workdir;

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, Result};
use gitian_descriptor::{Commit, Descriptor, Loaded, Network, ReferenceDatetime, Url};
use gitian_manifest::{Digest, Report};
use gitian_process::interrupt;
use gitian_vm::{Backend, Debs, Problem, Resources};

use configuration::Run;
pub use event::{Event, Step};
pub use failure::{BuildStopped, GitRefused, GuestSilent, NoOutputs, OutputsRefused, PackagesUnknown, ScriptFailed};
use hashed::Hashed;
pub use remotes::FetchOptions;
pub use workdir::{Lock, Workdir};

/// How to build, apart from what the descriptor says.
#[derive(Debug)]
pub struct BuildOptions {
    /// The script may use sudo if the descriptor asks for it.
    pub allow_sudo: bool,
    /// The target of an earlier build is used as it is.
    pub skip_image: bool,
    /// Packages are upgraded even in a target that was upgraded before.
    pub upgrade: bool,
    /// What the guest may use.
    pub resources: Resources,
    /// `--commit`: dir of a remote and what to build.
    pub commits: Vec<(String, Commit)>,
    /// `--url`: dir of a remote and where to fetch it from.
    pub urls: Vec<(String, Url)>,
    /// Caches are not copied back.
    pub cache_read_only: bool,
    /// What git may fetch.
    pub fetch: FetchOptions,
    /// The target is left running.
    pub skip_cleanup: bool,
    /// Whether the script has the network; else as the descriptor says.
    pub network: Option<Network>,
    /// Installed packages are kept for the next build, and taken from an earlier one.
    pub layer_cache: bool,
    /// Outputs of several configurations are recorded below a folder each.
    pub out_per_suite: bool,
    /// Where the build log goes as well.
    pub log_copy: Option<File>,
}

/// Returns everything that would stop this build, all at once; changes nothing.
pub fn check(loaded: &Loaded, options: &BuildOptions, workdir: &Workdir, backend: &dyn Backend) -> Vec<Problem> {
    let descriptor = &loaded.descriptor;
    let mut problems = backend.check(&backend.configurations(descriptor));
    problems.extend(inputs::check(descriptor, workdir));
    let (sources, undecided) = remotes::decide(&descriptor.remotes, &options.commits, &options.urls, workdir);
    problems.extend(undecided);
    problems.extend(remotes::check(&sources, workdir, options.fetch));
    problems
}

/// Builds a descriptor and returns where the report was written.
///
/// 1. everything that would stop the build is looked for ([`check`]); the working directory is locked
/// 2. remotes are fetched and checked out; descriptor, files and remotes are the in manifest
/// 3. `build/` is emptied, `result/` and the caches are made: up to here, what the last build left is still there
/// 4. each suite and architecture is built ([`configuration`])
/// 5. the last target is stopped, also after an error or ctrl-c, unless it shall be left
/// 6. outputs and caches are hashed
/// 7. the report is written
///
/// # Errors
/// [`BuildStopped`] before anything was touched; [`ScriptFailed`], [`GuestSilent`], [`PackagesUnknown`] from the guest;
/// [`OutputsRefused`] when an output cannot be recorded; `gitian_process::Failure::Interrupted` when asked to stop.
pub fn build(
    loaded: &Loaded,
    options: &BuildOptions,
    workdir: &Workdir,
    backend: &dyn Backend,
    debs: &Debs,
    report: &mut dyn FnMut(Event),
) -> Result<PathBuf> {
    let descriptor = &loaded.descriptor;

    let problems = check(loaded, options, workdir, backend);
    // A question that was broken off is no problem of this host.
    interrupt::check()?;
    if !problems.is_empty() {
        return Err(BuildStopped { problems }.into());
    }
    let _lock = workdir.lock()?;
    workdir.remove_leftovers()?;

    let (remotes, reference) = fetch_remotes(descriptor, options, workdir, report)?;
    let hashed = Hashed::begin(report);
    let in_manifest = inputs::manifest(descriptor, loaded.source.as_bytes(), workdir, &remotes, &hashed)?;

    make_folders(descriptor, workdir)?;

    let run = Run { descriptor, options, workdir, backend, debs, reference: &reference };
    let base_manifests = build_configurations(&run, report)?;

    report(Event::Step(Step::Report, None));
    let hashed = Hashed::begin(report);
    let out_manifest = hash_outputs(workdir, &hashed, report)?;
    let (common, package) = hash_caches(descriptor, workdir, &hashed, report)?;

    let document = Report::new(out_manifest, in_manifest, base_manifests, Some(common), Some(package));
    let bytes = document.render();
    let path = workdir.report(&descriptor.name);
    gitian_manifest::write_atomically(&path, &bytes).with_context(|| workdir.shown(&path).display().to_string())?;
    let file = format!("{}-res.yml", descriptor.name);
    report(Event::Reported { file, digest: Digest::of_bytes(&bytes) });
    Ok(path)
}

fn make_folders(descriptor: &Descriptor, workdir: &Workdir) -> Result<()> {
    empty(&workdir.build()).with_context(|| "build".to_owned())?;
    let mut folders = vec![workdir.result(), workdir.var()];
    if descriptor.enable_cache {
        folders.extend([workdir.common_cache(), workdir.package_cache(&descriptor.name)]);
    }
    for folder in folders {
        fs::create_dir_all(&folder).with_context(|| workdir.shown(&folder).display().to_string())?;
    }
    Ok(())
}

/// Removes what is in a folder, not the folder itself: it may be a link to another disk.
fn empty(folder: &std::path::Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

/// Brings every remote to its commit. Returns them with the reference date and time: the descriptor's, else the author
/// date of the last remote.
fn fetch_remotes(
    descriptor: &Descriptor,
    options: &BuildOptions,
    workdir: &Workdir,
    report: &mut dyn FnMut(Event),
) -> Result<(Vec<remotes::CheckedOut>, ReferenceDatetime)> {
    let (sources, problems) = remotes::decide(&descriptor.remotes, &options.commits, &options.urls, workdir);
    if !problems.is_empty() {
        return Err(BuildStopped { problems }.into());
    }
    let mut remotes = Vec::new();
    for source in &sources {
        remotes.push(remotes::fetch(source, workdir, options.fetch, &mut |line| report(Event::Said(line)))?);
    }
    let reference = match (&descriptor.reference_datetime, remotes.last()) {
        (Some(given), _) => given.clone(),
        (None, Some(last)) => last.author_datetime()?,
        (None, None) => anyhow::bail!("neither reference_datetime nor a remote"),
    };
    Ok((remotes, reference))
}

/// Builds all configurations, one after the other. The guest that runs is stopped whatever happens.
fn build_configurations(run: &Run<'_>, report: &mut dyn FnMut(Event)) -> Result<Vec<(String, String)>> {
    let mut running = None;
    let built = build_each(run, &mut running, report);
    let left = if run.options.skip_cleanup {
        running.map_or(Ok(()), |guest| guest.target.detach())
    } else {
        if built.is_ok() {
            report(Event::Step(Step::CleanUp, None));
        }
        configuration::stop_running(run.backend, running)
    };
    // What went wrong first says more.
    let manifests = built?;
    left?;
    Ok(manifests)
}

fn build_each(
    run: &Run<'_>,
    running: &mut Option<guest::Guest>,
    report: &mut dyn FnMut(Event),
) -> Result<Vec<(String, String)>> {
    let workdir = run.workdir;
    let targets = run.backend.configurations(run.descriptor);
    let mut manifests = Vec::new();
    let mut outputs = Vec::new();
    for id in &targets {
        let out = match (targets.len(), run.options.out_per_suite) {
            (1, false) => workdir.out(),
            (_, false) => workdir.out_of(id),
            (_, true) => workdir.out().join(id.to_string()),
        };
        manifests.push((id.to_string(), run.configuration(id, &out, running, report)?));
        outputs.push((id.clone(), out));
    }
    if targets.len() > 1 && !run.options.out_per_suite {
        for (path, loser) in collect::merge_outputs(&outputs, &workdir.out())? {
            report(Event::Warning(format!(
                "output {} differs between suites or architectures; the record holds the last one, {loser} lost \
                 (--out-per-suite keeps all)",
                path.display()
            )));
        }
    }
    Ok(manifests)
}

fn hash_outputs(workdir: &Workdir, hashed: &Hashed, report: &mut dyn FnMut(Event)) -> Result<String> {
    let scan = hashed.folder(&workdir.out()).context("build/out")?;
    if !scan.refused.is_empty() {
        let refused =
            scan.refused.into_iter().map(|refused| (refused.path.display().to_string(), refused.reason)).collect();
        return Err(OutputsRefused { refused }.into());
    }
    let text = scan.manifest.render();
    for line in text.lines() {
        report(Event::Output(line.to_owned()));
    }
    Ok(text)
}

fn hash_caches(
    descriptor: &Descriptor,
    workdir: &Workdir,
    hashed: &Hashed,
    report: &mut dyn FnMut(Event),
) -> Result<(String, String)> {
    if !descriptor.enable_cache {
        return Ok(Default::default());
    }
    let mut hash = |folder: PathBuf| -> Result<String> {
        let scan = hashed.folder(&folder).with_context(|| workdir.shown(&folder).display().to_string())?;
        for refused in &scan.refused {
            let shown = workdir.shown(&folder).display();
            report(Event::Warning(format!(
                "{shown}/{} is not recorded: it {}",
                refused.path.display(),
                refused.reason
            )));
        }
        Ok(scan.manifest.render())
    };
    Ok((hash(workdir.common_cache())?, hash(workdir.package_cache(&descriptor.name))?))
}
