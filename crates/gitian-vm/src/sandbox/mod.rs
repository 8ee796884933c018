//! The embedded backend: Linux namespaces and overlayfs, no daemon, no root needed.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{Backend, BaseRequest, Event, Layer, Problem, Resources, Settings, Target, TargetId};

/// The sandbox of one working directory.
pub struct Sandbox {
    cache: PathBuf,
    workdir: PathBuf,
}

impl Sandbox {
    /// Names the caches and the working directory that it works in.
    pub fn new(settings: &Settings, workdir: &Path) -> Self {
        Self { cache: settings.cache.clone(), workdir: workdir.to_owned() }
    }
}

impl Backend for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }
    fn check(&self, _targets: &[TargetId]) -> Vec<Problem> {
        Vec::new()
    }
    fn make_base(&self, _request: &BaseRequest, _report: &mut dyn FnMut(Event)) -> Result<()> {
        bail!("not yet: {} {}", self.cache.display(), self.workdir.display())
    }
    fn base_id(&self, _target: &TargetId) -> Result<String> {
        bail!("not yet")
    }
    fn make_clean(&self, _target: &TargetId, _layer: Option<&Layer>) -> Result<bool> {
        bail!("not yet")
    }
    fn start(&self, _target: &TargetId, _resources: Resources) -> Result<Box<dyn Target>> {
        bail!("not yet")
    }
    fn attach(&self) -> Result<Option<Box<dyn Target>>> {
        Ok(None)
    }
}
