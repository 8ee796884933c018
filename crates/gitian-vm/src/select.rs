//! Which backend a run uses: the only list of them.

use std::path::Path;

use anyhow::Result;
use gitian_descriptor::{Architecture, Descriptor, Distro, Suite};

use crate::backend::base_name;
use crate::docker::Docker;
use crate::kvm::Kvm;
use crate::lxc::Lxc;
use crate::sandbox::Sandbox;
use crate::virtualbox::VirtualBox;
use crate::{Backend, BaseRequest, Event, Layer, Problem, Resources, Settings, Target, TargetId};

/// One kind of guest.
struct Kind {
    /// What `--backend` and `GITIAN_BACKEND` take.
    name: &'static str,
    /// How its base images are called in a working directory, behind `base-<suite>-<arch>`; `None` if they lie elsewhere.
    ending: Option<&'static str>,
    /// Makes the backend for a working directory.
    make: fn(&Settings, &Path) -> Box<dyn Backend>,
}

/// The kinds of guests. The first is the default; a base image in the working directory chooses the first that has one.
const KINDS: [Kind; 5] = [
    Kind { name: "sandbox", ending: Some(".sandbox"), make: |settings, dir| Box::new(Sandbox::new(settings, dir)) },
    Kind { name: "kvm", ending: Some(".qcow2"), make: |settings, dir| Box::new(Kvm::new(settings, dir)) },
    Kind { name: "lxc", ending: Some(""), make: |settings, dir| Box::new(Lxc::new(settings, dir)) },
    Kind { name: "docker", ending: None, make: |settings, dir| Box::new(Docker::new(settings, dir)) },
    Kind { name: "vbox", ending: None, make: |settings, dir| Box::new(VirtualBox::new(settings, dir)) },
];

/// The names that `--backend` and `GITIAN_BACKEND` take.
pub fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

/// A backend was asked for that this program does not have.
#[derive(Debug, thiserror::Error)]
#[error("{asked_by}: there is no backend '{name}' (there is: {})", names().collect::<Vec<_>>().join(", "))]
pub struct UnknownBackend {
    /// The option or variable that asked for it.
    pub asked_by: &'static str,
    /// As it was written.
    pub name: String,
}

/// Returns the backend for a run in `workdir`: by the option, else `GITIAN_BACKEND`, else `USE_*`, else the one that has a
/// base image here for one of these suites and architectures, else the sandbox. What runs in `workdir` of another kind
/// ends when this one makes or starts a target: one target is there at a time.
pub fn select(
    option: Option<&str>,
    settings: &Settings,
    workdir: &Path,
    wanted: &[(&Suite, Architecture)],
) -> Result<Box<dyn Backend>, UnknownBackend> {
    let kind = match asked(option, settings)? {
        Some(kind) => kind,
        None => KINDS.iter().find(|kind| kind.has_base(workdir, wanted)).unwrap_or(&KINDS[0]),
    };
    let others = KINDS.iter().filter(|other| other.name != kind.name).map(|other| (other.make)(settings, workdir));
    Ok(Box::new(Chosen { own: (kind.make)(settings, workdir), others: others.collect() }))
}

/// Returns the target that runs in `workdir`, of the kind that the environment chooses; if it chooses none, of any kind.
pub fn running(settings: &Settings, workdir: &Path) -> Result<Option<Box<dyn Target>>> {
    if let Some(kind) = asked(None, settings)? {
        return (kind.make)(settings, workdir).attach();
    }
    let mut trouble = None;
    for found in attached(settings, workdir) {
        match found {
            Ok(target) => return Ok(Some(target)),
            // A kind that cannot be asked says nothing of the others.
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    trouble.map_or(Ok(None), Err)
}

/// Stops the targets that run in `workdir`, of whatever kind.
///
/// # Errors
/// One could not be stopped; none was found, but a kind could not be asked.
pub fn stop(settings: &Settings, workdir: &Path) -> Result<()> {
    asked(None, settings)?;
    let (mut stopped, mut trouble) = (false, None);
    for found in attached(settings, workdir) {
        match found {
            Ok(target) => {
                target.stop()?;
                stopped = true;
            }
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    trouble.filter(|_| !stopped).map_or(Ok(()), Err)
}

/// Returns the targets that run in `workdir`, and the errors of kinds that could not be asked.
fn attached(settings: &Settings, workdir: &Path) -> impl Iterator<Item = Result<Box<dyn Target>>> {
    KINDS.iter().filter_map(move |kind| (kind.make)(settings, workdir).attach().transpose())
}

/// Returns the kind that somebody asks for.
fn asked(option: Option<&str>, settings: &Settings) -> Result<Option<&'static Kind>, UnknownBackend> {
    let asked = [
        ("--backend", option),
        ("GITIAN_BACKEND", settings.backend.as_deref()),
        ("USE_LXC=1", settings.use_lxc.then_some("lxc")),
        ("USE_DOCKER=1", settings.use_docker.then_some("docker")),
        ("USE_VBOX=1", settings.use_vbox.then_some("vbox")),
    ];
    let Some((asked_by, name)) = asked.into_iter().find_map(|(by, name)| Some((by, name?))) else { return Ok(None) };
    match KINDS.iter().find(|kind| kind.name == name) {
        Some(kind) => Ok(Some(kind)),
        None => Err(UnknownBackend { asked_by, name: name.to_owned() }),
    }
}

impl Kind {
    fn has_base(&self, workdir: &Path, wanted: &[(&Suite, Architecture)]) -> bool {
        let Some(ending) = self.ending else { return false };
        wanted.iter().any(|(suite, architecture)| {
            let mut name = base_name(suite, *architecture).into_os_string();
            name.push(ending);
            workdir.join(name).is_file()
        })
    }
}

/// The backend of a run, and those whose targets it must not leave running beside its own.
struct Chosen {
    own: Box<dyn Backend>,
    others: Vec<Box<dyn Backend>>,
}

impl Chosen {
    fn stop_others(&self) -> Result<()> {
        // One that cannot be asked is in nobody's way.
        self.others.iter().filter_map(|other| other.attach().ok().flatten()).try_for_each(Target::stop)
    }
}

impl Backend for Chosen {
    fn name(&self) -> &'static str {
        self.own.name()
    }

    fn configurations(&self, descriptor: &Descriptor) -> Vec<TargetId> {
        self.own.configurations(descriptor)
    }

    fn check(&self, targets: &[TargetId]) -> Vec<Problem> {
        self.own.check(targets)
    }

    fn remark(&self) -> Option<String> {
        self.own.remark()
    }

    fn make_base(&self, request: &BaseRequest, report: &mut dyn FnMut(Event)) -> Result<()> {
        self.own.make_base(request, report)
    }

    fn base_distro(&self, suite: &Suite, architecture: Architecture) -> Result<Option<Distro>> {
        self.own.base_distro(suite, architecture)
    }

    fn base_id(&self, target: &TargetId) -> Result<String> {
        self.own.base_id(target)
    }

    fn make_clean(&self, target: &TargetId, layer: Option<&Layer>) -> Result<bool> {
        self.stop_others()?;
        self.own.make_clean(target, layer)
    }

    fn start(&self, target: &TargetId, resources: Resources) -> Result<Box<dyn Target>> {
        self.stop_others()?;
        self.own.start(target, resources)
    }

    fn attach(&self) -> Result<Option<Box<dyn Target>>> {
        self.own.attach()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_so_are_endings() {
        for (number, kind) in KINDS.iter().enumerate() {
            for other in &KINDS[..number] {
                assert_ne!(kind.name, other.name);
                assert!(kind.ending.is_none() || kind.ending != other.ending, "{}", kind.name);
            }
        }
    }

    #[test]
    fn what_is_asked_for_goes_before_the_base_images_that_are_here() {
        let work = tempfile::tempdir().unwrap();
        let suite: Suite = "bookworm".parse().unwrap();
        let wanted = [(&suite, Architecture::Amd64)];
        let chosen = |option, settings: &Settings| select(option, settings, work.path(), &wanted).map(|b| b.name());
        let none = Settings::default();
        assert_eq!(chosen(None, &none).unwrap(), "sandbox");
        for kind in KINDS.iter().rev() {
            let asked = Settings { backend: Some(kind.name.to_owned()), use_lxc: true, ..Settings::default() };
            assert_eq!(chosen(None, &asked).unwrap(), kind.name);
            assert_eq!(chosen(Some(kind.name), &none).unwrap(), kind.name);
            // From the last kind to the first: each that has a base image goes before those behind it.
            if let Some(ending) = kind.ending {
                std::fs::write(work.path().join(format!("base-jammy-amd64{ending}")), "").unwrap();
                std::fs::write(work.path().join(format!("base-bookworm-amd64{ending}")), "").unwrap();
                assert_eq!(chosen(None, &none).unwrap(), kind.name);
            }
        }
        let unknown = chosen(Some("xen"), &none).unwrap_err();
        assert!(
            unknown.to_string().starts_with("--backend: there is no backend 'xen' (there is: sandbox"),
            "{unknown}"
        );
    }
}
