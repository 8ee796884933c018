//! Machines of QEMU, with KVM where that works.
//!
//! A target is `var/kvm/disk.qcow2`, which holds what the guest wrote on top of its base image; a running one is a QEMU
//! process that anybody finds again by the lock on `var/target.pid`. Commands go by ssh. The guest is a system of its own,
//! with a kernel of its own; its first process shows a script what it sees in every other kind of guest.

mod args;
mod base_image;
mod guest;
mod layer;
mod machine;
mod probe;
mod qmp;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use gitian_descriptor::{Architecture, Distro, Suite};
use gitian_process::{Command, Streams};
use serde::{Deserialize, Serialize};

use self::args::{Accelerator, Boot, Machine, PROGRAM};
use self::base_image::BaseImages;
use self::guest::{Guest, Running};
use self::layer::Layers;
use self::machine::MachinePlace;
use crate::boot::{self, FOR_ROOTS};
use crate::cache::CachePlace;
use crate::document::{Which, read_state, remove_file, unusable, write_document};
use crate::host_programs::missing;
use crate::sandbox::place::make_private;
use crate::settings::no_host_ip;
use crate::ssh::{self, Ssh};
use crate::{Backend, BaseRequest, Event, GuestNotUp, Layer, Problem, Resources, Sandbox, Settings, Target, TargetId};

/// The machines of one working directory.
pub(crate) struct Kvm {
    cache: PathBuf,
    workdir: PathBuf,
    proxy_host: Option<String>,
    /// What `GITIAN_HOST_IP` says.
    host_ip: Option<String>,
    /// What `VM_SSH_PORT` says.
    port: Option<String>,
    /// Makes base trees.
    sandbox: Sandbox,
    /// How long a guest may take to answer, instead of the usual time.
    patience: Option<Duration>,
}

/// What a target was made from: `var/kvm/image.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    target: Which,
    /// Identifies the content of the base image.
    base: String,
    /// Whether that lies in the cache.
    cached: bool,
    /// The layer between the base image and the target's disk.
    layer: Option<PathBuf>,
}

impl Kvm {
    /// Names the caches and the working directory that it works in.
    pub(crate) fn new(settings: &Settings, workdir: &Path) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            cache: absolute(&settings.cache),
            workdir: absolute(workdir),
            proxy_host: settings.mirror_host.clone(),
            host_ip: settings.host_ip.clone(),
            port: settings.vm_ssh_port.clone(),
            sandbox: Sandbox::new(settings, workdir),
            patience: None,
        }
    }

    fn place(&self) -> MachinePlace {
        MachinePlace::new(&self.workdir)
    }

    fn with_bases<T>(&self, work: impl FnOnce(&BaseImages<'_>) -> T) -> T {
        work(&BaseImages { workdir: &self.workdir, cache: &CachePlace::new(&self.cache) })
    }

    fn layers(&self) -> Layers {
        Layers::new(&self.cache)
    }

    /// Returns the port that is asked for.
    fn asked_port(&self) -> Result<Option<u16>, Problem> {
        ssh::asked_port(self.port.as_deref())
    }

    /// Returns the machine that runs, of whichever target. One that nobody saw come up is ended.
    fn running(&self) -> Result<Option<Guest>> {
        let place = self.place();
        if place.process()?.is_none() {
            return Ok(None);
        }
        let Some(running) = read_state::<Running>(&place.running()) else {
            machine::stop(&place, None)?;
            return Ok(None);
        };
        let target = running.target.target().with_context(|| place.running().display().to_string())?;
        let ssh = Ssh { folder: place.folder(), port: running.port, distro: target.distro.clone() };
        Ok(Some(Guest { place, target, ssh, layers: self.layers(), notice: None }))
    }

    fn stop_running(&self) -> Result<()> {
        match self.running()? {
            Some(stale) => Box::new(stale).stop(),
            None => Ok(()),
        }
    }
}

/// Makes an empty disk on top of another; the size is taken from that unless it is given, because the other is in use.
fn overlay(below: &Path, disk: &Path, size: Option<u64>) -> Result<()> {
    let mut create = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(below);
    if size.is_some() {
        create = create.arg("-u");
    }
    create = create.arg(disk);
    if let Some(size) = size {
        create = create.arg(size.to_string());
    }
    create.run_ok(Streams::default())?;
    Ok(())
}

/// How long a guest may take to answer: an emulated one that somebody else made has taken four minutes.
fn patience(accelerator: &Accelerator) -> Duration {
    Duration::from_secs(match accelerator {
        Accelerator::Kvm => 180,
        Accelerator::Tcg { .. } => 600,
    })
}

/// What guests need, with Debian's packages of it.
const FOR_GUESTS: [(&str, &str); 4] = [
    (PROGRAM, "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
];
/// Returns what makes guests slow, if anything does.
fn slow(accelerator: Accelerator) -> Option<String> {
    match accelerator {
        Accelerator::Kvm => None,
        Accelerator::Tcg { why } => {
            Some(format!("the guest's processor is emulated, some ten times slower than the host's: {why}"))
        }
    }
}

impl Backend for Kvm {
    fn name(&self) -> &'static str {
        "kvm"
    }

    fn check(&self, targets: &[TargetId]) -> Vec<Problem> {
        let mut problems = missing(&FOR_GUESTS);
        problems.extend(self.asked_port().err());
        problems.extend(no_host_ip(self.host_ip.as_deref()));
        if targets.is_empty() {
            problems.extend(missing(&FOR_ROOTS));
            problems.extend(self.sandbox.check(&[]));
        }
        for target in targets {
            if let Err(error) = self.with_bases(|bases| bases.find(target)) {
                problems.push(error.downcast().unwrap_or_else(|error| Problem {
                    what: format!("{error:#}"),
                    mend: "look at the file that is named".into(),
                }));
            }
        }
        problems
    }

    fn remark(&self) -> Option<String> {
        slow(probe::this_host().accelerator(&self.cache).ok()?)
    }

    fn make_base(&self, request: &BaseRequest, report: &mut dyn FnMut(Event)) -> Result<()> {
        self.with_bases(|bases| bases.make(request, self.proxy_host.as_deref(), report))
    }

    fn base_distro(&self, suite: &Suite, architecture: Architecture) -> Result<Option<Distro>> {
        self.with_bases(|bases| bases.distro(suite, architecture))
    }

    fn base_id(&self, target: &TargetId) -> Result<String> {
        Ok(self.with_bases(|bases| bases.find(target))?.id)
    }

    fn make_clean(&self, target: &TargetId, layer: Option<&Layer>) -> Result<bool> {
        let base = self.with_bases(|bases| bases.find(target))?;
        self.stop_running()?;
        let place = self.place();
        make_private(&place.folder())?;
        remove_file(&place.image())?;
        remove_file(&place.disk())?;
        let kept = match layer {
            Some(layer) if base.cached => self.layers().find(&layer.key, &base.id)?,
            _ => None,
        };
        overlay(kept.as_ref().unwrap_or(&base.disk), &place.disk(), None)?;
        let from_layer = kept.is_some();
        let image = Image { target: Which::of(target), base: base.id, cached: base.cached, layer: kept };
        write_document(&place.image(), &image)?;
        Ok(from_layer)
    }

    fn start(&self, target: &TargetId, resources: Resources) -> Result<Box<dyn Target>> {
        self.stop_running()?;
        let place = self.place();
        let asked_port = self.asked_port()?;
        no_host_ip(self.host_ip.as_deref()).map_or(Ok(()), Err)?;
        let here = self.workdir.display();
        let which = Which::of(target);
        let Some(image) = read_state::<Image>(&place.image()) else {
            return Err(unusable(format!("there is no target {target} in {here}"), &which).into());
        };
        if image.target != which {
            return Err(unusable(format!("the target in {here} is {}, not {target}", image.target), &which).into());
        }
        let base = self.with_bases(|bases| bases.find(target))?;
        if base.id != image.base {
            return Err(unusable(format!("the base image below the target {target} is another by now"), &which).into());
        }
        if image.layer.is_some_and(|layer| !layer.is_file()) {
            return Err(unusable(format!("the layer below the target {target} is no longer kept"), &which).into());
        }
        let accelerator = probe::this_host().accelerator(&self.cache)?;
        let key = ssh::public_key(place.var())?;
        let boot = match &base.kernel {
            Some(kernel) => {
                let host = self.host_ip.as_deref();
                Boot::Kernel { kernel: &kernel.file, initrd: kernel.initrd.as_deref(), key: &key, host }
            }
            None => Boot::Disk,
        };
        let name = format!("gitian-{target}");
        let machine = Machine { name: &name, boot, accelerator: &accelerator, resources, port: 0 };
        let port = machine::start(&place, &machine, asked_port)?;
        let ssh = Ssh { folder: place.folder(), port, distro: target.distro.clone() };
        let patience = self.patience.unwrap_or(patience(&accelerator));
        let up = write_document(&place.running(), &Running { target: which, port })
            .and_then(|()| ssh.await_answer(patience, || Ok(place.process()?.is_some())));
        let notice = slow(accelerator);
        let cause = match up {
            Ok(None) => {
                return Ok(Box::new(Guest { place, target: target.clone(), ssh, layers: self.layers(), notice }));
            }
            Ok(Some(cause)) => cause,
            Err(error) => {
                machine::stop(&place, Some(&ssh))?;
                return Err(error);
            }
        };
        let last_lines = boot::last_lines(&place.console());
        machine::stop(&place, None)?;
        ssh.disconnect();
        Err(GuestNotUp { target: target.to_string(), cause, log: "var/target.log".into(), last_lines }.into())
    }

    fn attach(&self) -> Result<Option<Box<dyn Target>>> {
        Ok(self.running()?.map(|guest| Box::new(guest) as Box<dyn Target>))
    }
}
