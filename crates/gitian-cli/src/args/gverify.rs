//! `gverify [options] <descriptor>.yml`. Source: gitian-builder 11f91fb, bin/gverify.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Parser;
use gitian_descriptor::{NameRefused, ReleaseName};
use gitian_process::Command;

use super::program;
use crate::utc;

/// Check who vouches for a release with a good signature, and whether they all built the same.
///
/// Reads DEST/REL/<signer>/<name>-build.assert and .sig of every signer, or <name>.SHA256SUMS
/// and .asc. Keys: those of --keys; else of a folder builder-keys, gitian-keys or gitian-pubkeys
/// in the tree or beside it; else of your GnuPG keyring.
///
/// Exit status: 0 if at least one signer was verified and nothing is wrong, 1 if anything is
/// wrong or the policy demands more, 2 if there was nothing to decide about.
///
/// To begin with:
///     gverify --all -d gitian.sigs                          what there is
///     gverify --all -d gitian.sigs --keys KEYS.pgp          the same, with keys from a file or folder
///     gverify -v -r RELEASE --name PACKAGE -d gitian.sigs   one of them, with every reason
#[derive(Debug, Parser)]
#[command(
    name = "gverify",
    version,
    verbatim_doc_comment,
    max_term_width = 100,
    args_override_self = true,
    infer_long_args = true
)]
pub struct Args {
    /// The descriptor that was built; only its name matters
    #[arg(value_name = "DESCRIPTOR.yml")]
    pub descriptor: Option<PathBuf>,

    /// The package, instead of a descriptor; may hold `*` and `?` for several
    #[arg(long, value_name = "NAME", value_parser = package, conflicts_with = "descriptor")]
    pub name: Option<String>,

    /// Tell more about each signature, and the lines that differ: `- ` of the reference, `+ ` of the signer
    #[arg(short, long)]
    pub verbose: bool,

    /// Print the verdicts in bold (default: if standard output is a terminal)
    #[arg(short, long, overrides_with = "no_markup")]
    pub markup: bool,

    /// Print the verdicts plain
    #[arg(long, overrides_with = "markup")]
    pub no_markup: bool,

    /// Name of the release, a folder in the tree; may hold `*` and `?` for several (default: current)
    #[arg(short, long, value_name = "REL", value_parser = pattern)]
    pub release: Option<String>,

    /// All releases and packages of the tree, those of --release and --name if given: a line each
    #[arg(long)]
    pub all: bool,

    /// The same, from this release on, or with a signature made on or after this date (2021-05-01)
    #[arg(long, value_name = "REL|DATE")]
    pub since: Option<String>,

    /// The sigs tree (default: sigs/<name> of the installation)
    #[arg(short, long, value_name = "DEST")]
    pub destination: Option<PathBuf>,

    /// Compare with what this signer built (default: with what the most built)
    #[arg(short, long, value_name = "SIGNER")]
    pub compare_to: Option<String>,

    /// Check signatures with `PROG --quiet --batch --verify SIGNATURE ASSERT`; its exit status decides
    #[arg(short = 'p', long, value_name = "PROG", value_parser = program, conflicts_with = "keys")]
    pub verify_program: Option<Command>,

    /// Check signatures against the keys of this file or folder; may be given several times
    #[arg(long, value_name = "FILE|DIR")]
    pub keys: Vec<PathBuf>,

    /// How many must agree; a key counts once (with --files: how many must have built each file, default 2)
    #[arg(long, value_name = "N")]
    pub min_good: Option<u64>,

    /// A signer who must agree; may be given several times
    #[arg(long, value_name = "SIGNER")]
    pub require: Vec<String>,

    /// Refuse signatures that are older, in days
    #[arg(long, value_name = "DAYS")]
    pub max_age: Option<u32>,

    /// Refuse SHA-1, keys shorter than 2048 bits, and keys that have expired
    #[arg(long)]
    pub strict: bool,

    /// The policy to apply (default: gverify.toml in the tree, if there is one)
    #[arg(long, value_name = "FILE", conflicts_with = "no_policy")]
    pub policy: Option<PathBuf>,

    /// Apply no policy but these options
    #[arg(long)]
    pub no_policy: bool,

    /// Decide as of this time: 2021-05-01, 2021-05-01T12:00:00Z or @1619870400 (default: now)
    #[arg(long, value_name = "DATE", value_parser = time)]
    pub at: Option<SystemTime>,

    /// Print facts, verdicts and reasons as JSON (gverify.md in share/doc describes it)
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,

    /// Print nothing on standard output; the exit status tells
    #[arg(short, long)]
    pub quiet: bool,

    /// Write the verdicts with their reasons as a page for a browser as well
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write the verdicts with their reasons as Markdown, for a comment on a pull request, as well
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,

    /// Tell instead whether these files are what independent people built; a SHA256SUMS stands for all that it lists
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["descriptor", "name", "all", "html", "markdown", "since", "compare_to"])]
    pub files: Vec<PathBuf>,

    /// Check instead a change to the tree before it is merged: BASE..HEAD of its git repository, or the changed paths
    #[arg(long, value_name = "RANGE|PATH", num_args = 1.., conflicts_with_all = ["descriptor", "name", "all", "html", "markdown", "files", "require", "max_age", "min_good", "strict", "policy", "no_policy", "release", "since", "compare_to"])]
    pub lint: Vec<OsString>,

    /// Who proposes the change (default: whose folder most of the changed files are in)
    #[arg(long, value_name = "SIGNER", requires = "lint")]
    pub signer: Option<String>,
}

impl Args {
    /// Returns the options that say which signatures count, for another command line about the same tree.
    pub fn terms(&self) -> Vec<OsString> {
        let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut terms = Vec::new();
        let mut option = |name: &str, value: Option<OsString>| {
            terms.extend(value.map(|value| [name.into(), value]).into_iter().flatten());
        };
        option("--verify-program", self.verify_program.as_ref().map(|program| program.to_string().into()));
        for keys in &self.keys {
            option("--keys", Some(keys.into()));
        }
        option("--max-age", self.max_age.map(|days| days.to_string().into()));
        option("--policy", self.policy.as_ref().map(Into::into));
        option("--at", self.at.map(|at| format!("@{}", seconds(at)).into()));
        let flags = [(self.strict, "--strict"), (self.no_policy, "--no-policy")];
        terms.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag.into()));
        terms
    }
}

/// A name of one folder, or several below each other; `*` and `?` allowed.
fn pattern(text: &str) -> Result<String, String> {
    // A shell that completes the name of a folder adds one.
    let text = text.trim_end_matches('/');
    for part in text.split('/') {
        part.parse::<ReleaseName>().map_err(|refused| refused.to_string())?;
    }
    Ok(text.to_owned())
}

/// A name without folders; `*` and `?` allowed.
fn package(text: &str) -> Result<String, String> {
    match text.parse::<ReleaseName>() {
        Ok(_) => Ok(text.to_owned()),
        Err(refused) => Err(NameRefused { kind: "package", ..refused }.to_string()),
    }
}

fn time(text: &str) -> Result<SystemTime, String> {
    utc::parse(text).ok_or_else(|| "is not a date such as 2021-05-01".to_owned())
}
