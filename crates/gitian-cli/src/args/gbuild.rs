//! `gbuild [options] <descriptor>.yml`. Source: gitian-builder 11f91fb, bin/gbuild.

use std::path::PathBuf;

use clap::{ArgAction, Parser};
use gitian_descriptor::{Commit, Network, Url};

/// Build what a descriptor says in a clean guest, and record the digest of everything that went in and came out.
///
/// The report is result/<name>-res.yml. Inputs are looked for in inputs/, all folders are those of the working directory.
#[derive(Debug, Parser)]
#[command(name = "gbuild", version, max_term_width = 100, args_override_self = true, infer_long_args = true)]
pub struct Args {
    /// The descriptor
    #[arg(value_name = "DESCRIPTOR.yml")]
    pub descriptor: PathBuf,

    /// Let the script use sudo without a password, if the descriptor has `sudo: true`
    #[arg(long)]
    pub allow_sudo: bool,

    /// Use the present target as it is, make no clean one
    #[arg(short = 'i', long)]
    pub skip_image: bool,

    /// Upgrade the guest's packages even if that was done once before
    #[arg(long)]
    pub upgrade: bool,

    /// Print nothing but warnings and errors
    #[arg(short, long)]
    pub quiet: bool,

    /// Processors for the guest and for make
    #[arg(short = 'j', long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub num_make: u32,

    /// Memory for the guest, in MiB
    #[arg(short, long, value_name = "MIB", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(64..))]
    pub memory: u32,

    /// Build this commit, tag or branch of a remote: DIR=COMMIT, several separated by commas
    #[arg(short, long, value_name = "DIR=COMMIT,…", value_delimiter = ',', value_parser = pair::<Commit>, action = ArgAction::Append)]
    pub commit: Vec<(String, Commit)>,

    /// Fetch a remote from here instead: DIR=URL, several separated by commas
    #[arg(short, long, value_name = "DIR=URL,…", value_delimiter = ',', value_parser = pair::<Url>, action = ArgAction::Append)]
    pub url: Vec<(String, Url)>,

    /// Use the caches, do not copy them back
    #[arg(short = 'o', long)]
    pub cache_read_only: bool,

    /// Fetch nothing; check out what is in inputs/
    #[arg(long)]
    pub skip_fetch: bool,

    /// Fetch all branches of the remotes into inputs/
    #[arg(long)]
    pub fetch_branches: bool,

    /// Fetch all tags of the remotes into inputs/
    #[arg(long)]
    pub fetch_tags: bool,

    /// Leave the target running after the build
    #[arg(long)]
    pub skip_cleanup: bool,

    /// Build in this kind of guest
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,

    /// Build in each of these kinds of guest, the first as without this option, and compare what they gave
    #[arg(long, value_name = "NAME,NAME…", value_delimiter = ',', conflicts_with_all = ["backend", "check", "skip_image", "skip_cleanup"])]
    pub cross_check: Vec<String>,

    /// Give the script the network, or none (default: as the descriptor says, else on; off is recommended)
    #[arg(long, value_name = "on|off", value_parser = network)]
    pub network: Option<Network>,

    /// Install all packages anew, even if an earlier build left the same ones
    #[arg(long)]
    pub no_layer_cache: bool,

    /// Record the outputs of several suites or architectures in a folder each
    #[arg(long)]
    pub out_per_suite: bool,

    /// Only say what would stop this build, and how to mend it; change nothing
    #[arg(long)]
    pub check: bool,
}

fn pair<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<(String, T), String> {
    let (dir, value) = text.split_once('=').ok_or_else(|| "is not of the form DIR=VALUE".to_owned())?;
    let value = value.parse().map_err(|cause: T::Err| cause.to_string())?;
    Ok((dir.to_owned(), value))
}

fn network(text: &str) -> Result<Network, String> {
    match text {
        "on" => Ok(Network::On),
        "off" => Ok(Network::Off),
        _ => Err("is neither on nor off".to_owned()),
    }
}
