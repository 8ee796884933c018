//! Every progress line of gbuild, in the original's wording (drivers and people read them), and the live line under the
//! current one. Source: gitian-builder 11f91fb, bin/gbuild.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gitian_build::{Event, Step};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::printable::printable;
use crate::printed::tell;

/// Prints what happens in a build.
pub struct Progress<'o> {
    out: &'o mut dyn Write,
    quiet: bool,
    live: Option<LiveLine>,
}

impl<'o> Progress<'o> {
    /// Prints to `out`, nothing if `quiet`; `live` draws a line on standard error under the current step.
    pub fn new(out: &'o mut dyn Write, quiet: bool, live: bool) -> Self {
        Self { out, quiet, live: (live && !quiet).then(LiveLine::start) }
    }

    /// Prints an event.
    pub fn show(&mut self, event: &Event) {
        match (event, &self.live) {
            (Event::Step(_, log), Some(live)) => live.watch(log.clone().map(Watched::Log)),
            (Event::Hashing(read), Some(live)) => live.watch(Some(Watched::Bytes(Arc::clone(read)))),
            _ => {}
        }
        match event {
            Event::Warning(text) => {
                let line = printable(text);
                self.undisturbed(|_| tell(&format!("gbuild: warning: {line}")));
            }
            _ if self.quiet => (),
            event => {
                let Some(line) = words(event) else { return };
                // A reader that has gone away must not end the build.
                self.undisturbed(|out| writeln!(out, "{line}").and_then(|()| out.flush()).ok());
            }
        }
    }

    fn undisturbed<T>(&mut self, print: impl FnOnce(&mut dyn Write) -> T) -> T {
        match &self.live {
            Some(live) => live.bar.suspend(|| print(self.out)),
            None => print(self.out),
        }
    }
}

fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Building(id) => format!("--- Building for {} {} ---", id.suite, id.architecture),
        Event::Step(step, _) => step_words(step),
        Event::Hashing(_) => return None,
        Event::Said(line) | Event::Warning(line) => printable(line),
        Event::Output(line) => printable(line),
        Event::Reported { file, digest } => format!("{digest}  {file}\nDone."),
    })
}

fn step_words(step: &Step) -> String {
    let text = match step {
        Step::StopTarget => "Stopping target if it is up",
        Step::MakeClean => "Making a new image copy",
        Step::StartTarget => "Starting target",
        Step::CheckTarget => "Checking if target is up",
        Step::Prepare => "Preparing build environment",
        Step::UseLayer => "Using the packages of an earlier build (the repositories have not changed since)",
        Step::AddArchitectures => "Adding multiarch support (log in var/install.log)",
        Step::AddRepositories => "Adding repositories to the sources list (log in var/install.log)",
        Step::UpdatePackageLists => "Updating apt-get repository (log in var/install.log)",
        Step::InstallPackages => "Installing additional packages (log in var/install.log)",
        Step::InstallFrom(distribution) => {
            return format!(
                "Installing additional packages from repository {} (log in var/install.log)",
                printable(distribution)
            );
        }
        Step::SetAlternatives => "Set alternatives (log in var/install.log)",
        Step::Upgrade => "Upgrading system, may take a while (log in var/install.log)",
        Step::RecordPackages => "Creating package manifest",
        Step::WriteScript => "Creating build script (var/build-script)",
        Step::RunScript => "Running build script (log in var/build.log)",
        Step::CopyOut => "Grabbing results from target",
        Step::CopyCache => "Grabbing cache from target",
        Step::CleanUp => "Cleaning up target",
        Step::Report => "Generating report",
    };
    text.to_owned()
}

/// What shows that the present step goes on.
#[derive(Clone)]
enum Watched {
    /// The last line of a log.
    Log(PathBuf),
    /// How many bytes were hashed.
    Bytes(Arc<AtomicU64>),
}

impl Watched {
    fn message(&self) -> Option<String> {
        match self {
            Self::Log(path) => last_line(path),
            Self::Bytes(read) => match read.load(Ordering::Relaxed) {
                0 => None,
                count => Some(format!("{} hashed", HumanBytes(count))),
            },
        }
    }
}

/// The elapsed time and what is watched, on standard error, gone without a trace when dropped.
struct LiveLine {
    bar: ProgressBar,
    watched: Arc<Mutex<Option<Watched>>>,
}

/// How often the live line is drawn anew.
const TICK: Duration = Duration::from_millis(250);

impl LiveLine {
    fn start() -> Self {
        let style =
            ProgressStyle::with_template("  {elapsed} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        let watched: Arc<Mutex<Option<Watched>>> = Arc::default();
        let (shared, drawn) = (Arc::clone(&watched), bar.downgrade());
        std::thread::spawn(move || {
            while let Some(bar) = drawn.upgrade() {
                let now = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                bar.set_message(now.and_then(|watched| watched.message()).unwrap_or_default());
                bar.tick();
                drop(bar);
                std::thread::sleep(TICK);
            }
        });
        Self { bar, watched }
    }

    fn watch(&self, watched: Option<Watched>) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = watched;
        self.bar.set_message("");
        self.bar.reset_elapsed();
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Returns the last line of a log that holds anything.
fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let end = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(end.saturating_sub(4096))).ok()?;
    let mut bytes = Vec::new();
    file.take(8192).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().find(|line| !line.trim().is_empty()).map(printable)
}
