//! A backend for tests: guest commands that only touch files run for real in a temporary folder, the rest is answered as
//! told. Never in `select.rs`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Result, ensure};
use gitian_descriptor::{Architecture, Descriptor, Distro, Suite};
use gitian_process::{Command, Output, Status, Streams};

use gitian_vm::{
    Backend, BaseRequest, Event, GuestCommand, GuestUser, Layer, Problem, Resources, Target, TargetId,
    suites_and_architectures,
};

/// Programs that run for real: they touch files and nothing else.
const REAL: [&str; 9] = ["cat", "find", "mkdir", "rm", "tar", "tee", "test", "touch", "true"];

/// What the fake guests do.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The package manifests, by configuration.
    pub base_manifests: BTreeMap<String, String>,
    /// Image digests stand in for suites, as with Docker.
    pub by_digest: bool,
    /// Every guest was upgraded before.
    pub upgraded: bool,
    /// A command whose line holds one of these texts ends with exit status 1; `detach` cannot be done.
    pub fails: Vec<String>,
    /// What the build script leaves in `out/`: an existing folder, copied with links and modes.
    pub outputs: Option<PathBuf>,
    /// What the build script leaves in `cache/`, likewise.
    pub caches: Option<PathBuf>,
    /// What a check finds.
    pub problems: Vec<Problem>,
}

/// The backend; its root folder is the disk of all its guests.
#[derive(Clone, Debug)]
pub struct Fake {
    root: PathBuf,
    script: Rc<Script>,
    calls: Rc<RefCell<Vec<String>>>,
}

impl Fake {
    /// Makes a backend whose guests live below `root`.
    pub fn new(root: &Path, script: Script) -> Self {
        Self { root: root.to_owned(), script: Rc::new(script), calls: Rc::default() }
    }

    /// Returns what was done so far: verbs of the backend, and `user: command line` for commands.
    pub fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    fn note(&self, call: String) {
        self.calls.borrow_mut().push(call);
    }
}

impl Backend for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn configurations(&self, descriptor: &Descriptor) -> Vec<TargetId> {
        let digests = descriptor.docker_image_digests.iter().filter_map(|digest| digest.as_str().parse().ok());
        let digests: Vec<Suite> = digests.collect();
        let by_digest = self.script.by_digest && !digests.is_empty();
        suites_and_architectures(descriptor, if by_digest { &digests } else { &descriptor.suites })
    }

    fn check(&self, _targets: &[TargetId]) -> Vec<Problem> {
        self.script.problems.clone()
    }

    fn make_base(&self, _request: &BaseRequest, _report: &mut dyn FnMut(Event)) -> Result<()> {
        Ok(())
    }

    fn base_distro(&self, _suite: &Suite, _architecture: Architecture) -> Result<Option<Distro>> {
        Ok(None)
    }

    fn base_id(&self, target: &TargetId) -> Result<String> {
        Ok(format!("fake {target}"))
    }

    fn make_clean(&self, target: &TargetId, _layer: Option<&Layer>) -> Result<bool> {
        self.note(format!("make clean {target}"));
        if self.root.exists() {
            fs::remove_dir_all(&self.root)?;
        }
        Ok(false)
    }

    fn start(&self, target: &TargetId, resources: Resources) -> Result<Box<dyn Target>> {
        self.note(format!("start {target} -j{} -m{}", resources.processors, resources.memory_mib));
        let home = self.root.join("home").join(target.distro.as_str());
        fs::create_dir_all(&home)?;
        for folder in ["etc/apt", "etc/sudoers.d", "var/cache/gitian"] {
            fs::create_dir_all(self.root.join(folder))?;
        }
        if self.script.upgraded {
            fs::write(self.root.join("var/cache/gitian/initial-upgrade"), "")?;
        }
        Ok(Box::new(FakeTarget { fake: self.clone(), id: target.clone(), home }))
    }

    fn attach(&self) -> Result<Option<Box<dyn Target>>> {
        Ok(None)
    }
}

struct FakeTarget {
    fake: Fake,
    id: TargetId,
    home: PathBuf,
}

impl Target for FakeTarget {
    fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
        let script = &self.fake.script;
        let line = command.argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let first = line.lines().next().unwrap_or_default();
        let user = if command.user == GuestUser::Root { "root" } else { "builder" };
        self.fake.note(format!("{user}: {first}"));
        if script.fails.iter().any(|text| line.contains(text)) {
            return Ok(Status::Exited(1));
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            // The descriptor's script: its outputs are given.
            ["setarch", _, "bash", "-x", ..] => {
                for (left, folder) in [(&script.outputs, "out"), (&script.caches, "cache")] {
                    if let Some(left) = left {
                        let copy = Command::new("cp").args(["-a", "-T"]).arg(left).arg(self.home.join(folder));
                        copy.run_ok(Streams::default())?;
                    }
                }
                Ok(Status::Exited(0))
            }
            ["setarch", _, "bash", ..] => self.really(&command.argv[2..], streams),
            // grab-packages.sh, which asks dpkg what is installed.
            ["bash", "-c", ..] if line.contains("dpkg-query") => {
                if let Output::Consume(consume) = streams.stdout {
                    let manifest = script.base_manifests.get(&self.id.to_string());
                    consume(&mut manifest.map_or("", String::as_str).as_bytes())?;
                }
                Ok(Status::Exited(0))
            }
            [program, ..] if REAL.contains(program) => self.really(&command.argv, streams),
            _ => {
                if let Output::Consume(consume) = streams.stdout {
                    consume(&mut std::io::empty())?;
                }
                Ok(Status::Exited(0))
            }
        }
    }

    fn keep_layer(&mut self, _layer: &Layer) -> Result<()> {
        Ok(())
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.fake.note("stop".into());
        Ok(())
    }

    fn detach(self: Box<Self>) -> Result<()> {
        self.fake.note("detach".into());
        ensure!(!self.fake.script.fails.iter().any(|text| text == "detach"), "the fake guest cannot be left");
        Ok(())
    }
}

impl FakeTarget {
    /// Runs a command on the host, in the guest's home, with absolute paths taken to lie below the fake root.
    fn really(&self, argv: &[OsString], streams: Streams<'_>) -> Result<Status> {
        let words = argv.iter().map(|word| match word.to_str().and_then(|text| text.strip_prefix('/')) {
            Some(below) => self.fake.root.join(below).into_os_string(),
            None => word.clone(),
        });
        let mut words = words.collect::<Vec<_>>().into_iter();
        let command =
            Command::new(words.next().unwrap_or_default()).args(words).folder(&self.home).env("HOME", &self.home);
        Ok(command.run(streams)?.status)
    }
}
