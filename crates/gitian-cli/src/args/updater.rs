//! `gitian-updater [options]`. Source: gitian-builder 11f91fb, share/gitian-updater.

use std::path::PathBuf;

use clap::Parser;

/// Download a release, check by the weight of its signers that it is what they built, and install it whole or not at all.
///
/// Exit codes: 0 done, 1 destination, config or command line wrong, 2 nothing to download or nothing newer, 3 another package,
/// 4 an older release, 5 not enough weight or not what was signed, 6 newer releases may be held back, 100 waiting.
#[derive(Debug, Parser)]
#[command(name = "gitian-updater", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {
    /// Where the package is, instead of where the config says; may be given several times
    #[arg(short, long = "url", value_name = "URL", num_args = 1..)]
    pub url: Vec<String>,

    /// The config: signers, their weights, addresses
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The folder to install into; needed except with -m
    #[arg(short, long, value_name = "DIR")]
    pub dest: Option<PathBuf>,

    /// Say less: once no progress, twice nothing but errors
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub quiet: u8,

    /// Take an older release, and old signatures
    #[arg(short, long)]
    pub force: bool,

    /// Download and check, change nothing
    #[arg(short = 'n', long = "dryrun", alias = "dry-run")]
    pub dry_run: bool,

    /// How long a release waits before it is installed over another, in hours; 0: not at all (default: what the config says)
    #[arg(short, long, value_name = "HOURS", value_parser = clap::value_parser!(u32))]
    pub wait: Option<u32>,

    /// Accepted and not needed: signatures are checked without another program
    #[arg(short, long, value_name = "PROG")]
    pub gpg: Option<String>,

    /// Run after an installation, split into words as a shell does
    #[arg(short, long, value_name = "COMMAND", value_parser = super::program)]
    pub post: Option<gitian_process::Command>,

    /// Write an updater that carries the config of -c, and stop
    #[arg(short = 'm', long, value_name = "OUTPUT", requires = "config")]
    pub customize: Option<PathBuf>,
}
