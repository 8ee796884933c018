//! `gitian PROGRAM …`: every program under one name.

use clap::{Parser, Subcommand};

use super::{adopt, canon, doctor, gbuild, gsign, gverify, init, make_base_vm, release, updater};

/// Check, by building it again, that a binary really came from its source.
#[derive(Debug, Parser)]
#[command(name = "gitian", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub program: Program,
}

/// The programs, in the order of a release. A description of its own, not a comment: that would take the place of all that
/// the program itself says in its help.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each is described by its `about`")]
#[allow(clippy::large_enum_variant, reason = "there is one, and it is moved once")]
pub enum Program {
    #[command(about = "Make the clean guest system that builds start from (make-base-vm)")]
    Base(make_base_vm::Args),
    #[command(about = "Run a descriptor's build script in a clean guest (gbuild)")]
    Build(gbuild::Args),
    #[command(about = "Sign the record of a build (gsign)")]
    Sign(gsign::Args),
    #[command(about = "Tell whether independent builders agree (gverify)")]
    Verify(gverify::Args),
    #[command(about = "Make a release: all of these, as gitian.toml says")]
    Release(release::Args),
    #[command(about = "Write a first gitian.toml for a project")]
    Init(init::Args),
    #[command(about = "Look at this host: what can build here, and what is missing")]
    Doctor(doctor::Args),
    #[command(about = "Have a checkout of gitian-builder run these programs")]
    Adopt(adopt::Args),
    #[command(about = "Make archives of the same tree the same bytes")]
    Canon(canon::Args),
    #[command(about = "Download a release, check who signed it, install it (gitian-updater)")]
    Updater(updater::Args),
}
