//! `gverify [options] <descriptor>.yml`. Source: gitian-builder 11f91fb, bin/gverify.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use gitian_descriptor::ReleaseName;
use gitian_process::Command;

use super::program;

/// Check who vouches for a release with a good signature, and whether they all built the same.
///
/// Reads DEST/REL/<signer>/<name>-build.assert and .sig of every signer. Keys: those of --keys; else of a folder
/// builder-keys, gitian-keys or gitian-pubkeys in the tree or beside it; else of your GnuPG keyring.
///
/// Exit status: 0 if at least one signer was verified and nothing is wrong, 1 if anything is wrong, 2 if there was
/// nothing to decide about.
#[derive(Debug, Parser)]
#[command(name = "gverify", version, max_term_width = 100, args_override_self = true, infer_long_args = true)]
pub struct Args {
    /// The descriptor that was built; only its name matters
    #[arg(value_name = "DESCRIPTOR.yml", required_unless_present_any = ["files", "lint"])]
    pub descriptor: Option<PathBuf>,

    /// Tell more about each signature, and the lines that differ: `- ` of the reference, `+ ` of the signer
    #[arg(short, long)]
    pub verbose: bool,

    /// Print the verdicts in bold (default: if standard output is a terminal)
    #[arg(short, long, overrides_with = "no_markup")]
    pub markup: bool,

    /// Print the verdicts plain
    #[arg(long, overrides_with = "markup")]
    pub no_markup: bool,

    /// Name of the release, a folder in the tree (default: current; with --files: all of them)
    #[arg(short, long, value_name = "REL")]
    pub release: Option<ReleaseName>,

    /// The sigs tree (default: sigs/<name> of the installation)
    #[arg(short, long, value_name = "DEST")]
    pub destination: Option<PathBuf>,

    /// Compare with what this signer built (default: the first one with a good signature)
    #[arg(short, long, value_name = "SIGNER")]
    pub compare_to: Option<String>,

    /// Check signatures with `PROG --quiet --batch --verify SIGNATURE ASSERT`; its exit status decides
    #[arg(short = 'p', long, value_name = "PROG", value_parser = program, conflicts_with = "keys")]
    pub verify_program: Option<Command>,

    /// Check signatures against the keys of this file or folder; may be given several times
    #[arg(long, value_name = "FILE|DIR")]
    pub keys: Vec<PathBuf>,

    /// Tell instead whether these files are what independent people built; a SHA256SUMS stands for all that it lists
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "descriptor")]
    pub files: Vec<PathBuf>,

    /// How many independent people must have built each file (default: 2 with --files)
    #[arg(long, value_name = "N")]
    pub min_good: Option<usize>,

    /// Check instead a change to the tree before it is merged: BASE..HEAD of its git repository, or the changed paths
    #[arg(long, value_name = "RANGE|PATH", num_args = 1.., conflicts_with_all = ["descriptor", "files"])]
    pub lint: Vec<OsString>,

    /// Who proposes the change (default: whose folder most of the changed files are in)
    #[arg(long, value_name = "SIGNER", requires = "lint")]
    pub signer: Option<String>,

    /// Write the verdicts with their reasons as a page for a browser as well
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "lint"])]
    pub html: Option<PathBuf>,

    /// Write the verdicts with their reasons as Markdown, for a comment on a pull request, as well
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "lint"])]
    pub markdown: Option<PathBuf>,
}
