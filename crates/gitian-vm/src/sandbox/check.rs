//! What on this host would stop a build, and the command that mends it.

use std::path::Path;

use super::place::CachePlace;
use crate::{Problem, TargetId};

/// What was found out about this host.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {}

impl Facts {
    /// Looks around, touching nothing.
    pub(super) fn gather(_cache: &CachePlace, _workdir: &Path, _targets: &[TargetId]) -> Self {
        Self {}
    }
}

/// Returns what would stop a build.
pub(super) fn problems(_facts: &Facts) -> Vec<Problem> {
    Vec::new()
}
