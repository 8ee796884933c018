//! Guests that are containers of Docker, or of Podman.
//!
//! All goes through the command-line program, files as tar streams, so that remote engines work as local ones. A target is
//! a container; `var/docker.yml` says which, and a label of the container says whose it is, so that whatever ended a run,
//! the next one takes over what it left.

mod args;
mod base_image;
mod engine;
mod guest;
mod layer;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gitian_descriptor::{Architecture, Descriptor, Distro, Suite};
use gitian_manifest::Digest;
use gitian_process::{Failure, Streams, interrupt};
use nix::unistd::{gethostname, getuid};
use serde::{Deserialize, Serialize};

use self::args::{CONTAINER, DISTRO, MOVED, OWNER, SETTLE};
use self::base_image::{Image, OPTION};
use self::engine::{Engine, NameTaken};
use self::guest::Guest;
use crate::backend::suites_and_architectures;
use crate::base_tree::Maker;
use crate::cache::CachePlace;
use crate::document::{Which, read_state, remove_file, unusable, write_document};
use crate::sandbox::base_tree_problems;
use crate::{Backend, BaseRequest, Event, Layer, Problem, Resources, Settings, Target, TargetId};

/// Docker's guests of one working directory.
#[derive(Clone, Debug)]
pub(crate) struct Docker {
    engine: Engine,
    cache: PathBuf,
    workdir: PathBuf,
    network: Option<String>,
    privileged: bool,
    proxy_host: Option<String>,
    host_ip: Option<String>,
}

/// How a container on Docker's own network reaches its host. Source: gitian-builder 11f91fb, bin/make-base-vm.
const HOST_IP: &str = "172.17.0.1";

/// What a target is: `var/docker.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    target: Which,
    /// The id of the base image.
    base: String,
    /// The id of the image that the container was, or will be, made from.
    image: String,
    /// The id of the container, once there is one.
    container: Option<String>,
    /// Whether the container has no network.
    offline: bool,
    processors: u32,
    memory_mib: u32,
}

impl Docker {
    pub(crate) fn new(settings: &Settings, workdir: &Path) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            engine: Engine::new(settings.docker.as_deref().unwrap_or("docker")),
            cache: absolute(&settings.cache),
            workdir: absolute(workdir),
            network: settings.docker_network.clone(),
            privileged: settings.allow_privileged,
            proxy_host: settings.mirror_host.clone(),
            host_ip: settings.host_ip.clone(),
        }
    }

    fn record(&self) -> PathBuf {
        self.workdir.join("var/docker.yml")
    }

    fn write(&self, record: &Record) -> Result<()> {
        let path = self.record();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        write_document(&path, record)
    }

    /// What containers of this working directory are labelled with: an engine may serve several users and hosts.
    fn owner(&self) -> String {
        let host = gethostname().unwrap_or_default();
        format!("{}:{}:{}", host.display(), getuid(), self.workdir.display())
    }

    /// The host as guests see it, where they do not share its loopback.
    fn host_seen(&self) -> &str {
        match self.network.as_deref() {
            Some("host") => "",
            _ => self.host_ip.as_deref().unwrap_or(HOST_IP),
        }
    }

    /// Removes every container of this working directory, and the images that they went on from.
    fn remove(&self) -> Result<()> {
        self.remove_of(&self.owner())
    }

    fn remove_of(&self, owner: &str) -> Result<()> {
        let ask = |verb: &str, label: &str, more: &[&str]| {
            let list = self.engine.command(verb).args(["--quiet", "--no-trunc"]).args(more);
            self.engine.ask(&list.arg(format!("--filter=label={label}")).uninterruptible())
        };
        let containers = ask("ps", &format!("{OWNER}={owner}"), &["--all"])?;
        if !containers.is_empty() {
            let remove = self.engine.command("rm").args(["--force", "--volumes"]).args(containers.lines());
            self.engine.run(&remove.uninterruptible(), Streams::default())?;
        }
        let images = ask("images", &moved(owner), &[])?;
        if !images.is_empty() {
            let remove = self.engine.command("rmi").args(images.lines());
            // A layer may stand on one; it goes when that goes.
            remove.uninterruptible().run(Streams::default())?;
        }
        Ok(())
    }

    /// Starts a new container for a target; returns its id.
    fn run(&self, record: &Record, resources: Resources) -> Result<String> {
        let owner = self.owner();
        let network = if record.offline { Some("none") } else { self.network.as_deref() };
        let run = |name: &str| {
            let guest = args::Guest {
                name,
                owner: &owner,
                image: &record.image,
                network,
                privileged: self.privileged,
                tasks: resources.tasks(),
            };
            // Not interrupted half-way: what the engine is doing then goes on, and nobody would know of the container.
            let run = self.engine.command("run").args(args::run(&guest)).uninterruptible();
            interrupt::check()?;
            self.engine.ask(&run).map(|id| id.lines().last().unwrap_or_default().to_owned())
        };
        let started = run(CONTAINER).or_else(|error| {
            if !error.is::<NameTaken>() {
                return Err(error);
            }
            // Somebody else's: another name does as well.
            let own = Digest::of_bytes(owner.as_bytes()).to_string();
            run(&format!("{CONTAINER}-{}", &own[..12]))
        });
        let ready = started.and_then(|id| self.settle(&id, record).map(|()| id));
        ready.with_context(|| format!("start the guest {}", record.target)).inspect_err(|_| {
            // The first error says more than one that follows from it; what stays is the next run's.
            self.remove().ok();
        })
    }

    /// Makes a container that was started a guest like others.
    fn settle(&self, container: &str, record: &Record) -> Result<()> {
        let settle = self.engine.command("exec").args(["--user=0:0", container, "/bin/bash", "-c", SETTLE, "settle"]);
        let settle = settle.args([record.target.distro.as_str(), self.host_seen()]);
        let trouble = match self.engine.run(&settle, Streams::default()).map_err(|error| error.downcast()) {
            Ok(_) => return Ok(()),
            Err(Ok(Failure::ProgramFailed { last_lines, .. })) => last_lines.join(": "),
            Err(Ok(failure)) => return Err(failure.into()),
            Err(Err(other)) => return Err(other),
        };
        let target = record.target.target()?;
        let name = base_image::name(&target.suite, target.architecture);
        Err(Problem {
            what: format!("docker image {name} does not make a guest: {trouble}"),
            mend: format!("{} rmi {name} && {}", self.engine.program(), base_image::command(&target)),
        }
        .into())
    }

    /// Removes what stopped targets of this user and host have left whose folders are gone.
    fn remove_abandoned(&self) -> Result<()> {
        let list = self.engine.command("ps").args(["--all", "--quiet", "--no-trunc", "--filter=status=exited"]);
        let stopped = self.engine.ask(&list.arg(format!("--filter=label={OWNER}")))?;
        if stopped.is_empty() {
            return Ok(());
        }
        let format = format!("{{{{json (index .Config.Labels \"{OWNER}\")}}}}");
        let inspect = self.engine.command("inspect").args(["--format", &format]).args(stopped.lines());
        // Another run may be removing one: then it is the next one's.
        let Some(owners) = self.engine.find(&inspect)? else { return Ok(()) };
        let own = self.owner();
        let prefix = own.strip_suffix(&self.workdir.display().to_string()).unwrap_or(&own);
        for owner in owners.lines().filter_map(|line| serde_json::from_str::<String>(line).ok()) {
            let folder = owner.strip_prefix(prefix).map(Path::new);
            if folder.is_some_and(|folder| matches!(folder.try_exists(), Ok(false))) {
                self.remove_of(&owner)?;
            }
        }
        Ok(())
    }

    /// Goes on in a new container, with or without the network, that has the file system of the present one.
    fn move_on(&self, record: &mut Record, offline: bool) -> Result<()> {
        let Some(container) = record.container.clone() else { bail!("the target {} has no container", record.target) };
        let commit = self.engine.command("commit");
        let commit = commit.args(["--change", &format!("LABEL {}", moved(&self.owner())), &container]);
        let image = self.engine.ask(&commit)?;
        let image = image.lines().last().unwrap_or_default();
        let remove = self.engine.command("rm").args(["--force", "--volumes", &container]).uninterruptible();
        self.engine.run(&remove, Streams::default())?;
        record.image = image.strip_prefix("sha256:").unwrap_or(image).to_owned();
        record.offline = offline;
        record.container = Some(self.run(record, record.resources())?);
        self.write(record)
    }

    fn is_running(&self, container: &str) -> Result<Option<bool>> {
        let inspect = self.engine.command("inspect").args(["--type=container", "--format", "{{.State.Running}}"]);
        let said = self.engine.find(&inspect.arg(container).uninterruptible())?;
        Ok(said.map(|said| said == "true"))
    }
}

/// Returns the label of images that an owner's target went on from. It is read as a line of a Dockerfile, in which much
/// has a meaning that a folder's name may hold.
fn moved(owner: &str) -> String {
    format!("{MOVED}={}", Digest::of_bytes(owner.as_bytes()))
}

impl Record {
    fn resources(&self) -> Resources {
        Resources { processors: self.processors, memory_mib: self.memory_mib }
    }
}

impl Backend for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn configurations(&self, descriptor: &Descriptor) -> Vec<TargetId> {
        // Source: gitian-builder 11f91fb, bin/gbuild.
        let digests: Vec<Suite> =
            descriptor.docker_image_digests.iter().filter_map(|digest| digest.as_str().parse().ok()).collect();
        suites_and_architectures(descriptor, if digests.is_empty() { &descriptor.suites } else { &digests })
    }

    fn check(&self, targets: &[TargetId]) -> Vec<Problem> {
        if let Some(problem) = self.engine.trouble() {
            return vec![problem];
        }
        let trouble = |target| {
            let error = base_image::of_target(&self.engine, target).err()?;
            Some(
                error
                    .downcast()
                    .unwrap_or_else(|error| Problem { what: format!("{error:#}"), mend: base_image::command(target) }),
            )
        };
        targets.iter().filter_map(trouble).collect()
    }

    fn make_base(&self, request: &BaseRequest, report: &mut dyn FnMut(Event)) -> Result<()> {
        let target = &request.target;
        let name = base_image::name(&target.suite, target.architecture);
        if Image::find(&self.engine, &name)?.is_some() {
            let what = format!("docker image {name} already exists, please remove it first");
            return Err(Problem { what, mend: format!("{} rmi {name}", self.engine.program()) }.into());
        }
        if let Some(digest) = &request.image_digest {
            report(Event::Step(format!("building docker image {name}")));
            let proxy = self.proxy_host.as_deref().map(|host| match host {
                "127.0.0.1" | "localhost" if !self.host_seen().is_empty() => self.host_seen(),
                other => other,
            });
            return base_image::build(&self.engine, request, digest.as_str(), self.network.as_deref(), proxy);
        }
        let cache = CachePlace::new(&self.cache);
        if let Some(problem) = base_tree_problems(&cache, &self.workdir).into_iter().next() {
            return Err(problem.into());
        }
        let proxy_host = self.proxy_host.as_deref();
        let tree = Maker { cache: &cache, proxy_host, option: OPTION, report }.make(request, &[])?;
        report(Event::Step(format!("importing docker image {name}")));
        base_image::import(&self.engine, target, &tree)
    }

    fn base_distro(&self, suite: &Suite, architecture: Architecture) -> Result<Option<Distro>> {
        let name = base_image::name(suite, architecture);
        let Some(image) = Image::find(&self.engine, &name)? else { return Ok(None) };
        let Some(distro) = image.labels.get(DISTRO) else { return Ok(None) };
        distro.parse().map(Some).with_context(|| format!("docker image {name}"))
    }

    fn base_id(&self, target: &TargetId) -> Result<String> {
        Ok(base_image::of_target(&self.engine, target)?.id)
    }

    fn make_clean(&self, target: &TargetId, layer: Option<&Layer>) -> Result<bool> {
        let base = base_image::of_target(&self.engine, target)?.id;
        self.remove()?;
        // What others left is in nobody's way.
        self.remove_abandoned().ok();
        let kept = match layer {
            Some(layer) => layer::find(&self.engine, layer, &base)?,
            None => None,
        };
        let from_layer = kept.is_some();
        let record = Record {
            target: Which::of(target),
            image: kept.map_or_else(|| base.clone(), |image| image.id),
            base,
            container: None,
            offline: false,
            processors: 0,
            memory_mib: 0,
        };
        self.write(&record)?;
        Ok(from_layer)
    }

    fn start(&self, target: &TargetId, resources: Resources) -> Result<Box<dyn Target>> {
        let which = Which::of(target);
        let shown = self.workdir.display();
        let Some(mut record) = read_state::<Record>(&self.record()) else {
            return Err(unusable(format!("there is no target {target} in {shown}"), &which).into());
        };
        if record.target != which {
            return Err(unusable(format!("the target in {shown} is {}, not {target}", record.target), &which).into());
        }
        (record.processors, record.memory_mib) = (resources.processors, resources.memory_mib);
        match record.container.clone() {
            None => record.container = Some(self.run(&record, resources)?),
            Some(container) => {
                if self.is_running(&container)?.is_none() {
                    let what = format!("the container of the target {target} is gone");
                    return Err(unusable(what, &which).into());
                }
                if record.offline {
                    self.move_on(&mut record, false)?;
                } else {
                    let restart = self.engine.command("restart").args(["-t", "0", &container]);
                    self.engine.run(&restart, Streams::default())?;
                    self.settle(&container, &record)?;
                }
            }
        }
        self.write(&record)?;
        Ok(Box::new(Guest::new(self.clone(), record)))
    }

    fn attach(&self) -> Result<Option<Box<dyn Target>>> {
        let Some(record) = read_state::<Record>(&self.record()) else {
            if self.record().exists() {
                // Nobody knows what it is.
                self.remove()?;
                remove_file(&self.record())?;
            }
            return Ok(None);
        };
        let Some(container) = &record.container else { return Ok(None) };
        match self.is_running(container)? {
            Some(true) => Ok(Some(Box::new(Guest::new(self.clone(), record)))),
            _ => Ok(None),
        }
    }
}
