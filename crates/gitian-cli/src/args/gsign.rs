//! `gsign [options] <descriptor>.yml`. Source: gitian-builder 11f91fb, bin/gsign.

use std::path::PathBuf;

use clap::Parser;
use gitian_descriptor::{ReleaseName, SignerName};
use gitian_process::Command;

use super::program;

/// Vouch for the outcome of a build: add release and name to its report, sign that, and put both into the sigs tree.
///
/// The report is result/<name>-res.yml below the working directory, written by gbuild. The signed assertion becomes
/// DEST/REL/SIGNER/<name>-build.assert, its detached signature <name>-build.assert.sig beside it.
#[derive(Debug, Parser)]
#[command(name = "gsign", version, max_term_width = 100, args_override_self = true, infer_long_args = true)]
pub struct Args {
    /// The descriptor that was built
    #[arg(value_name = "DESCRIPTOR.yml")]
    pub descriptor: PathBuf,

    /// Who signs: the name of the folder in the tree, and the key as GnuPG takes it (key id, fingerprint, e-mail, name)
    #[arg(short, long, value_name = "SIGNER")]
    pub signer: SignerName,

    /// Name of the release, a folder in the tree
    #[arg(short, long, value_name = "REL", default_value = "test")]
    pub release: ReleaseName,

    /// The sigs tree (default: sigs/<name> below GITIAN_BASE, which bin/gsign of a checkout sets to the checkout, else below
    /// the working directory)
    #[arg(short, long, value_name = "DEST")]
    pub destination: Option<PathBuf>,

    /// What signs, run as `PROG -u SIGNER ASSERT`; `true` leaves an assertion to be signed elsewhere
    #[arg(
        short = 'p',
        long = "signing_program",
        alias = "signing-program",
        value_name = "PROG",
        value_parser = program,
        default_value = "gpg --detach-sign"
    )]
    pub signing_program: Command,

    /// Print nothing but warnings and errors
    #[arg(short, long)]
    pub quiet: bool,
}
