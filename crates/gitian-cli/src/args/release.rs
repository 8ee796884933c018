//! `gitian release [options] VERSION`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Parser;
use gitian_descriptor::SignerName;
use gitian_process::Command;
use gitian_release::{Kind, Step, Version};

/// Make a release: base images, inputs, builds, binaries, signatures, a commit to the sigs tree, the verdict.
///
/// gitian.toml in the project's repository says what a release is made of (release.md in share/doc; `gitian init` writes
/// a first one). Everything is made below .gitian/ of the working directory. What is done already and unchanged is not done
/// again, so that the same command goes on where it was interrupted.
///
/// Exit status: 0 if all is done and verified, 1 if a step failed, 2 for wrong usage, 3 if the rest is done but a
/// descriptor waits for the commit of a remote that is not there yet, such as detached signatures.
#[derive(Clone, Debug, Parser)]
#[command(name = "gitian release", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {
    /// Which version: {version} in gitian.toml
    #[arg(value_name = "VERSION")]
    pub version: Version,

    /// Only these descriptors of gitian.toml
    #[arg(long, value_name = "NAME,NAME…", value_delimiter = ',')]
    pub os: Vec<String>,

    /// Only these steps: base, input, build, collect, sigs, sign, commit, verify, push
    #[arg(long, value_name = "STEP,STEP…", value_delimiter = ',', value_parser = kind)]
    pub step: Vec<Kind>,

    /// Do the steps again although they are done
    #[arg(long)]
    pub again: bool,

    /// Print the command lines that would be run, as a script for a shell; run none
    #[arg(long)]
    pub dry_run: bool,

    /// The project (default: gitian.toml in the working directory)
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// How many builds side by side (default: as memory and processors allow)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,

    /// Who signs (default: signer in gitian.toml, else `git config gitian.signer`)
    #[arg(short, long, value_name = "SIGNER")]
    pub signer: Option<SignerName>,

    /// The sigs tree, where there is one already (default: a clone in .gitian/sigs)
    #[arg(long, value_name = "DIR")]
    pub sigs: Option<PathBuf>,

    /// Where the outputs are collected (default: as gitian.toml says, else binaries/VERSION)
    #[arg(long, value_name = "DIR")]
    pub binaries: Option<PathBuf>,

    /// Build in this kind of guest
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,

    /// Sign nothing here: write what is to be signed to a file for each descriptor in this folder, for a host that has the
    /// key and does `gsign --sign-request FILE`
    #[arg(long, value_name = "DIR", conflicts_with_all = ["import", "push"])]
    pub request: Option<PathBuf>,

    /// Take the answers to --request from this folder, and go on
    #[arg(long, value_name = "DIR")]
    pub import: Option<PathBuf>,

    /// Sign and push what most of the others did not build, too
    #[arg(long)]
    pub anyway: bool,

    /// Push the commit to where the sigs tree came from
    #[arg(long)]
    pub push: bool,

    /// Print nothing but warnings and errors
    #[arg(short, long)]
    pub quiet: bool,
}

impl Args {
    /// Returns the command line for a shell, without `--again`, with steps added to those that it asks for.
    pub fn command(&self, more: &[&Step]) -> String {
        let mut command = Command::new("gitian").arg("release");
        let mut option = |name: &str, value: Option<&OsStr>| {
            if let Some(value) = value {
                command = command.clone().arg(name).arg(value);
            }
        };
        let mut steps = self.step.clone();
        if !steps.is_empty() {
            steps.extend(more.iter().map(|step| step.kind));
        }
        steps.sort();
        steps.dedup();
        let mut os = self.os.clone();
        for step in more.iter().filter(|step| step.kind == Kind::Build) {
            if !os.is_empty() && !os.contains(&step.of) {
                os.push(step.of.clone());
            }
        }
        let joined = |names: Vec<&str>| (!names.is_empty()).then(|| OsString::from(names.join(",")));
        option("--file", self.file.as_ref().map(AsRef::as_ref));
        option("--os", joined(os.iter().map(String::as_str).collect()).as_deref());
        option("--step", joined(steps.into_iter().map(Kind::name).collect()).as_deref());
        option("--jobs", self.jobs.map(|jobs| OsString::from(jobs.to_string())).as_deref());
        option("--signer", self.signer.as_ref().map(|signer| signer.as_str().as_ref()));
        option("--sigs", self.sigs.as_ref().map(AsRef::as_ref));
        option("--binaries", self.binaries.as_ref().map(AsRef::as_ref));
        option("--backend", self.backend.as_ref().map(AsRef::as_ref));
        option("--request", self.request.as_ref().map(AsRef::as_ref));
        option("--import", self.import.as_ref().map(AsRef::as_ref));
        let flags =
            [(self.anyway, "--anyway"), (self.push, "--push"), (self.quiet, "--quiet"), (self.dry_run, "--dry-run")];
        let flags = flags.into_iter().filter_map(|(set, flag)| set.then_some(flag));
        command.args(flags).arg(self.version.as_str()).to_string()
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        format!("is none of {}", names.join(", "))
    })
}
