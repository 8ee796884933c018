//! The target of a working directory, as the programs of `libexec/` find it.

use anyhow::{Context, Result};
use gitian_descriptor::{Architecture, Distro, Suite};
use gitian_vm::{Backend, GuestCommand, GuestUser, Target, TargetId};

use crate::surroundings::Surroundings;

/// No target runs in the working directory.
#[derive(Debug, thiserror::Error)]
#[error("no target runs in {folder}")]
pub struct NoTarget {
    /// The working directory.
    pub folder: String,
}

/// A guest command was to be run by somebody else than root or the guest's ordinary user.
#[derive(Debug, thiserror::Error)]
#[error("user {asked}: commands in this guest are run by root or {builder}")]
pub struct NoSuchUser {
    /// As it was given.
    pub asked: String,
    /// The guest's ordinary user.
    pub builder: String,
}

/// Returns the backend that the environment chooses, or else the base images that are here.
pub fn backend(around: &Surroundings, suite: &Suite, architecture: Architecture) -> Result<Box<dyn Backend>> {
    Ok(gitian_vm::select(None, &around.settings, &around.workdir, &[(suite, architecture)])?)
}

/// Returns the target that runs in the working directory.
///
/// # Errors
/// [`NoTarget`] when there is none.
pub fn running(around: &Surroundings) -> Result<Box<dyn Target>> {
    let folder = || around.workdir.display().to_string();
    Ok(gitian_vm::running(&around.settings, &around.workdir)?.ok_or_else(|| NoTarget { folder: folder() })?)
}

/// Returns which target a suite and architecture mean: of the distro that `DISTRO` says, else of the base image's, else
/// of the one that has the suite.
///
/// Source: gitian-builder 11f91fb, libexec/make-clean-vm, which does not care for the distro.
pub fn named(
    around: &Surroundings,
    backend: &dyn Backend,
    suite: Suite,
    architecture: Architecture,
) -> Result<TargetId> {
    let distro: Distro = match &around.settings.distro {
        Some(name) => name.parse().context("DISTRO")?,
        None => match backend.base_distro(&suite, architecture)? {
            Some(distro) => distro,
            None => gitian_vm::distro_of(&suite).parse()?,
        },
    };
    Ok(TargetId { distro, suite, architecture })
}

/// Returns which of the guest's two users a name means; without a name, the ordinary one.
///
/// # Errors
/// [`NoSuchUser`] for anybody else.
pub fn user(target: &dyn Target, asked: Option<&str>) -> Result<GuestUser> {
    let Some(asked) = asked else { return Ok(GuestUser::Builder) };
    if asked == "root" {
        return Ok(GuestUser::Root);
    }
    // No name is longer than a line.
    let (_status, builder) = gitian_vm::read(target, &GuestCommand::new(GuestUser::Builder, ["id", "-un"]), 4096)?;
    let builder = builder.trim_end();
    if asked == builder {
        return Ok(GuestUser::Builder);
    }
    Err(NoSuchUser { asked: asked.to_owned(), builder: builder.to_owned() }.into())
}
