//! The small files in a working directory that say which cached base tree a suite and architecture have.
//!
//! Several kinds of guests use them, each with its own ending of the name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_descriptor::{Architecture, Distro, Suite};
use serde::{Deserialize, Serialize};

use super::{BaseTree, command_for};
use crate::cache::CachePlace;
use crate::document::{read_document, write_document};
use crate::{Problem, TargetId, base_name};

/// What such a file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pointer {
    distro: String,
    suite: String,
    architecture: String,
    /// SHA-256 of the tree's tar.
    base: String,
}

/// The pointers of one kind of guest in a working directory.
pub(crate) struct Pointers<'a> {
    /// The working directory.
    pub(crate) workdir: &'a Path,
    /// The ending of their names, such as `.sandbox`.
    pub(crate) ending: &'static str,
    /// The option of make-base-vm that makes them, followed by a blank; empty for the default.
    pub(crate) option: &'static str,
}

impl Pointers<'_> {
    /// Returns where a suite and architecture have theirs.
    pub(crate) fn path(&self, suite: &Suite, architecture: Architecture) -> PathBuf {
        self.workdir.join(self.name(suite, architecture))
    }

    fn name(&self, suite: &Suite, architecture: Architecture) -> String {
        format!("{}{}", base_name(suite, architecture).display(), self.ending)
    }

    /// The command that removes what has a pointer's name; it may be a folder.
    fn removal(&self, target: &TargetId) -> String {
        let rm = if self.path(&target.suite, target.architecture).is_dir() { "rm -r" } else { "rm" };
        format!("{rm} {}", self.name(&target.suite, target.architecture))
    }

    fn problem(&self, what: String, target: &TargetId) -> Problem {
        Problem { what, mend: format!("{} && {}", self.removal(target), command_for(self.option, target)) }
    }

    /// Refuses a target that has a base image already.
    pub(crate) fn expect_none(&self, target: &TargetId) -> Result<(), Problem> {
        if self.path(&target.suite, target.architecture).symlink_metadata().is_err() {
            return Ok(());
        }
        let shown = self.name(&target.suite, target.architecture);
        Err(Problem { what: format!("{shown} already exists, please remove it first"), mend: self.removal(target) })
    }

    /// Points a target to a base tree.
    pub(crate) fn write(&self, target: &TargetId, tree: &BaseTree) -> Result<()> {
        let pointer = Pointer {
            distro: target.distro.to_string(),
            suite: target.suite.to_string(),
            architecture: target.architecture.debian().to_owned(),
            base: tree.digest().to_owned(),
        };
        write_document(&self.path(&target.suite, target.architecture), &pointer)
    }

    /// Returns the digest of a target's base tree; a missing pointer, or one of another distro, is a [`Problem`].
    pub(crate) fn digest(&self, target: &TargetId) -> Result<String> {
        let shown = self.name(&target.suite, target.architecture);
        let Some(found) = read_document::<Pointer>(&self.path(&target.suite, target.architecture))? else {
            let what = format!("base image {shown} does not exist");
            return Err(Problem { what, mend: command_for(self.option, target) }.into());
        };
        let whole = found.base.len() == 64 && found.base.chars().all(|c| c.is_ascii_hexdigit());
        if !whole || found.suite != target.suite.as_str() || found.architecture != target.architecture.debian() {
            return Err(self.problem(format!("base image {shown} is not what its name says"), target).into());
        }
        if found.distro != target.distro.as_str() {
            let what = format!("base image {shown} is one of distro {}, not {}", found.distro, target.distro);
            let Problem { what, mend } = self.problem(what, target);
            let mend = format!("write `distro: {}` in the descriptor, or: {mend}", found.distro);
            return Err(Problem { what, mend }.into());
        }
        Ok(found.base)
    }

    /// Returns a target's base tree; one that is not there is a [`Problem`].
    pub(crate) fn tree(&self, cache: &CachePlace, target: &TargetId) -> Result<BaseTree> {
        let digest = self.digest(target)?;
        Ok(BaseTree::find(cache, &digest).ok_or_else(|| {
            let shown = self.name(&target.suite, target.architecture);
            let what = format!("base image {shown} names {}…, which is not in this user's cache", &digest[..12]);
            self.problem(what, target)
        })?)
    }

    /// Returns what would stop a build for a target, if something would.
    pub(crate) fn trouble(&self, cache: &CachePlace, target: &TargetId) -> Option<Problem> {
        let error = self.tree(cache, target).err()?;
        Some(error.downcast().unwrap_or_else(|error| self.problem(format!("{error:#}"), target)))
    }

    /// Returns the distro of the base image for a suite and architecture, if there is one.
    pub(crate) fn distro(&self, suite: &Suite, architecture: Architecture) -> Result<Option<Distro>> {
        let path = self.path(suite, architecture);
        let Some(found) = read_document::<Pointer>(&path)? else { return Ok(None) };
        found.distro.parse().map(Some).with_context(|| path.display().to_string())
    }
}
