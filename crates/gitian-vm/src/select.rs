//! Which backend a run uses: the only list of them.

use std::path::Path;

use crate::sandbox::Sandbox;
use crate::{Backend, Settings};

/// Makes a backend for a working directory.
type Make = fn(&Settings, &Path) -> Box<dyn Backend>;

/// The names that `--backend` and `GITIAN_BACKEND` take, and what makes each.
const BACKENDS: [(&str, Make); 1] = [("sandbox", |settings, workdir| Box::new(Sandbox::new(settings, workdir)))];

/// The names that `--backend` and `GITIAN_BACKEND` take.
pub fn names() -> impl Iterator<Item = &'static str> {
    BACKENDS.iter().map(|(name, _)| *name)
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

/// Returns the backend for a run in `workdir`: by the option, else `GITIAN_BACKEND`, else `USE_*`, else the sandbox.
pub fn select(option: Option<&str>, settings: &Settings, workdir: &Path) -> Result<Box<dyn Backend>, UnknownBackend> {
    let asked = [
        ("--backend", option),
        ("GITIAN_BACKEND", settings.backend.as_deref()),
        ("USE_LXC=1", settings.use_lxc.then_some("lxc")),
        ("USE_DOCKER=1", settings.use_docker.then_some("docker")),
        ("USE_VBOX=1", settings.use_vbox.then_some("vbox")),
    ];
    let (asked_by, name) =
        asked.into_iter().find_map(|(by, name)| Some((by, name?))).unwrap_or(("the default", "sandbox"));
    match BACKENDS.iter().find(|(known, _)| *known == name) {
        Some((_, make)) => Ok(make(settings, workdir)),
        None => Err(UnknownBackend { asked_by, name: name.to_owned() }),
    }
}
