//! `gbuild --cross-check`: the same build in several kinds of guest at once, and whether all of them gave the same.
//!
//! The first backend builds in the working directory, as without the option. Each of the others has a working directory
//! of its own below `var/cross-check/`, with the same inputs and base images, and caches as they were before.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, Result};
use gitian_build::{BuildOptions, BuildStopped, Event, Workdir};
use gitian_descriptor::Loaded;
use gitian_manifest::{Assertion, Manifest, Report};
use gitian_process::{Command, Streams, interrupt};
use gitian_verify::{Mismatch, explain};
use gitian_vm::{Backend, Debs, Settings, UnknownBackend, select};

use crate::args::WrongUsage;
use crate::failure::one_line;
use crate::progress::Progress;
use crate::surroundings::Surroundings;

/// Where the working directories of all but the first lie, in that of the first.
const BESIDE: &str = "var/cross-check";

/// Returns the working directories of cross-checks that were made in one.
pub fn beside(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join(BESIDE)) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Stops guests that a cross-check which was killed has left beside a working directory; those of one that goes on stay.
pub fn stop_left(around: &Surroundings) {
    for folder in beside(&around.workdir) {
        if let Ok(_lock) = Workdir::new(&folder).lock() {
            // Who cannot be asked or stopped is not in this build's way.
            gitian_vm::stop(&around.settings, &folder).ok();
        }
    }
}

/// What shall be built, and how.
pub struct CrossCheck<'a> {
    /// The names of the backends.
    pub backends: &'a [String],
    /// The descriptor.
    pub loaded: &'a Loaded,
    /// How each of them builds.
    pub options: &'a BuildOptions,
    /// Nothing but warnings and the result is told.
    pub quiet: bool,
}

/// One of the builds.
struct Place {
    name: String,
    workdir: Workdir,
}

/// What a build has to say, by its number.
enum News {
    Happened(usize, Event),
    Ended(usize, Result<PathBuf>),
}

impl CrossCheck<'_> {
    /// Builds, and returns the exit code: 1 if outputs differ. The error of a build that failed is the whole's.
    pub fn run(&self, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
        let places = self.places(&around.workdir)?;
        self.check(&places, around)?;
        stop_left(around);
        for place in &places[1..] {
            self.prepare(place, &Workdir::new(&around.workdir))?;
        }
        let at_once = self.at_once(places.len());
        let (news, told) = channel();
        let reports = std::thread::scope(|scope| {
            let start = |number: usize| {
                let (place, news) = (&places[number], news.clone());
                scope.spawn(move || {
                    let ended = self.build(number, place, &around.settings, &news);
                    // Whoever listens stays until all have ended.
                    news.send(News::Ended(number, ended)).ok();
                });
            };
            self.follow(&places, at_once, &told, &start, out)
        })?;
        self.compare(&places, &reports, out)
    }

    fn places(&self, root: &Path) -> Result<Vec<Place>> {
        let mut places: Vec<Place> = Vec::new();
        for name in self.backends {
            if !gitian_vm::names().any(|known| known == name) {
                return Err(UnknownBackend { asked_by: "--cross-check", name: name.clone() }.into());
            }
            if places.iter().any(|place| place.name == *name) {
                return Err(WrongUsage(format!("--cross-check names {name} twice")).into());
            }
            let folder = match places.is_empty() {
                true => root.to_owned(),
                false => root.join(BESIDE).join(name),
            };
            places.push(Place { name: name.clone(), workdir: Workdir::new(folder) });
        }
        if places.len() < 2 {
            return Err(
                WrongUsage("--cross-check needs two backends, as in --cross-check sandbox,docker".into()).into()
            );
        }
        Ok(places)
    }

    /// Finds everything that would stop any of the builds, before anything is touched.
    fn check(&self, places: &[Place], around: &Surroundings) -> Result<()> {
        let main = Workdir::new(&around.workdir);
        let mut problems = Vec::new();
        for place in places {
            let backend = select(Some(&place.name), &around.settings, main.root(), &[])?;
            for problem in gitian_build::check(self.loaded, self.options, &main, &*backend) {
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        interrupt::check()?;
        if problems.is_empty() { Ok(()) } else { Err(BuildStopped { problems }.into()) }
    }

    /// Gives a build of its own working directory what it shares with the first.
    fn prepare(&self, place: &Place, main: &Workdir) -> Result<()> {
        let to = place.workdir.root();
        let shown = || to.display().to_string();
        fs::create_dir_all(place.workdir.var()).with_context(shown)?;
        link(&main.inputs(), &place.workdir.inputs()).with_context(shown)?;
        for entry in fs::read_dir(to).with_context(shown)?.chain(fs::read_dir(main.root()).with_context(shown)?) {
            let entry = entry.with_context(shown)?;
            if entry.file_name().as_encoded_bytes().starts_with(b"base-") {
                link(&main.root().join(entry.file_name()), &to.join(entry.file_name())).with_context(shown)?;
            }
        }
        // The key that booted guests know.
        for key in ["id_rsa", "id_rsa.pub"] {
            link(&main.var().join(key), &place.workdir.var().join(key)).with_context(shown)?;
        }
        if self.loaded.descriptor.enable_cache {
            let name = &self.loaded.descriptor.name;
            for (from, to) in [
                (main.common_cache(), place.workdir.common_cache()),
                (main.package_cache(name), place.workdir.package_cache(name)),
            ] {
                copy_cache(&from, &to).with_context(|| to.display().to_string())?;
            }
        }
        Ok(())
    }

    /// How many of them the host's memory has room for at once.
    fn at_once(&self, places: usize) -> usize {
        let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
            line.trim().strip_suffix(" kB")?.parse::<usize>().ok()
        });
        let each = self.options.resources.memory_mib as usize * 1024;
        available.map_or(1, |available| (available / each).clamp(1, places))
    }

    fn build(&self, number: usize, place: &Place, settings: &Settings, news: &Sender<News>) -> Result<PathBuf> {
        let backend: Box<dyn Backend> = select(Some(&place.name), settings, place.workdir.root(), &[])?;
        let debs = Debs::new(&settings.cache);
        let mut tell = |event| {
            news.send(News::Happened(number, event)).ok();
        };
        gitian_build::build(self.loaded, self.options, &place.workdir, &*backend, &debs, &mut tell)
            .with_context(|| place.name.clone())
    }

    /// Starts the builds one after the other and tells what happens in each. The next one begins when the one before has
    /// its inputs: they share them, and git fetches into them.
    fn follow(
        &self,
        places: &[Place],
        at_once: usize,
        told: &Receiver<News>,
        start: &dyn Fn(usize),
        out: &mut dyn Write,
    ) -> Result<Vec<PathBuf>> {
        let mut reports: Vec<Option<PathBuf>> = vec![None; places.len()];
        let mut failed = None;
        let (mut started, mut running, mut has_inputs) = (0, 0, true);
        loop {
            if has_inputs && running < at_once && started < places.len() && failed.is_none() {
                start(started);
                (started, running, has_inputs) = (started + 1, running + 1, false);
                continue;
            }
            if running == 0 {
                break;
            }
            match told.recv()? {
                News::Happened(number, event) => {
                    has_inputs |= number + 1 == started && matches!(event, Event::Building(_));
                    let mut labelled = Labelled { label: &places[number].name, out, held: Vec::new() };
                    Progress::new(&mut labelled, self.quiet, false).show(&event);
                }
                News::Ended(number, ended) => {
                    running -= 1;
                    has_inputs |= number + 1 == started;
                    match ended {
                        Ok(report) => reports[number] = Some(report),
                        // The others go on to their end: what they leave is of use.
                        Err(error) => failed = failed.or(Some(error)),
                    }
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(reports.into_iter().flatten().collect()),
        }
    }

    fn compare(&self, places: &[Place], reports: &[PathBuf], out: &mut dyn Write) -> Result<u8> {
        let assertions = reports.iter().map(|path| self.assertion(path)).collect::<Result<Vec<_>>>()?;
        let [(first, reference), others @ ..] = &*places.iter().zip(&assertions).collect::<Vec<_>>() else {
            return Ok(1);
        };
        let wanted = reference.out_manifest().unwrap_or_default();
        let mut differ = false;
        for (place, assertion) in others {
            if assertion.out_manifest().unwrap_or_default() == wanted {
                let count = Manifest::parse(wanted).manifest.entries.len();
                let outputs = if count == 1 { "the same output" } else { "the same outputs" };
                writeln!(out, "{} and {}: {outputs} ({count})", first.name, place.name)?;
                continue;
            }
            differ = true;
            writeln!(out, "{} and {}: DIFFERENT OUTPUTS", first.name, place.name)?;
            let mismatch = Mismatch { manifest: true, ..Mismatch::default() };
            for cause in explain(reference, assertion, &[], &mismatch).causes {
                writeln!(out, "  {}", one_line(&cause.sentence(&first.name)))?;
            }
            let there = place.workdir.root().strip_prefix(first.workdir.root()).unwrap_or(place.workdir.root());
            writeln!(out, "hint: diffoscope build/out {}/build/out", there.display())?;
        }
        Ok(u8::from(differ))
    }

    fn assertion(&self, report: &Path) -> Result<Assertion> {
        let shown = || report.display().to_string();
        let report = Report::read(&fs::read(report).with_context(shown)?).with_context(shown)?;
        Ok(Assertion::new(report, "", self.loaded.descriptor.name.as_str(), None))
    }
}

/// Makes `to` a link to `from`, or nothing if that is not there. Only a link is replaced.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    if to.is_symlink() {
        fs::remove_file(to)?;
    }
    if from.exists() { symlink(std::path::absolute(from)?, to) } else { Ok(()) }
}

/// Makes `to` a cache with what is in `from`.
fn copy_cache(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    if from.exists() {
        let copy = Command::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from.join(".")).arg(to);
        copy.run_ok(Streams::default())?;
    }
    Ok(())
}

/// Writes the name of a build before each line.
struct Labelled<'a> {
    label: &'a str,
    out: &'a mut dyn Write,
    held: Vec<u8>,
}

impl Write for Labelled<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Called behind whole lines: see [`Progress`].
    fn flush(&mut self) -> io::Result<()> {
        for line in self.held.split_inclusive(|byte| *byte == b'\n') {
            write!(self.out, "{}: ", self.label)?;
            self.out.write_all(line)?;
        }
        self.held.clear();
        self.out.flush()
    }
}
