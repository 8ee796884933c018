//! `gsign [options] <descriptor>.yml …`. Source: gitian-builder 11f91fb, bin/gsign.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::ArgPredicate;
use gitian_descriptor::{ReleaseName, SignerName};
use gitian_process::Command;

use super::program;

/// Vouch for the outcome of a build: add release and name to its report, sign that, and put both into the sigs tree.
///
/// The report is result/<name>-res.yml below the working directory, written by gbuild. The signed assertion becomes
/// DEST/REL/SIGNER/<name>-build.assert, its detached signature <name>-build.assert.sig beside it. Of several descriptors all
/// are signed, or nothing is written.
///
/// If others have signed this release already, their verdicts are shown, and what differs from what most of them built is
/// not signed.
#[derive(Debug, Parser)]
#[command(name = "gsign", version, max_term_width = 100, args_override_self = true, infer_long_args = true)]
pub struct Args {
    /// The descriptors that were built
    #[arg(
        value_name = "DESCRIPTOR.yml",
        required_unless_present_any = ["sign_request", "import"],
        conflicts_with = "sign_request"
    )]
    pub descriptors: Vec<PathBuf>,

    /// Who signs: the name of the folder in the tree, and the key as GnuPG takes it (key id, fingerprint, e-mail, name);
    /// with --sign-request the key only
    #[arg(short, long, value_name = "SIGNER", required_unless_present_any = ["sign_request", "import"])]
    pub signer: Option<SignerName>,

    /// Name of the release, a folder in the tree
    // The aliases are what was short for it before there was --request.
    #[arg(
        short,
        long,
        aliases = ["r", "re"],
        value_name = "REL",
        default_value = "test",
        default_value_if("import", ArgPredicate::IsPresent, None),
        conflicts_with = "sign_request"
    )]
    pub release: Option<ReleaseName>,

    /// The sigs tree (default: sigs/<name> below GITIAN_BASE, which bin/gsign of a checkout sets to the checkout, else below
    /// the working directory)
    #[arg(short, long, value_name = "DEST", conflicts_with = "sign_request")]
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

    /// Sign what most of the others did not build, too
    #[arg(long, conflicts_with = "sign_request")]
    pub anyway: bool,

    /// Check the others' signatures against the keys of this file or folder; may be given several times (default: as
    /// gverify)
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "sign_request")]
    pub keys: Vec<PathBuf>,

    /// Sign with this secret key instead, an exported file; its passphrase is asked for on the terminal
    #[arg(long, value_name = "FILE", conflicts_with_all = ["signing_program", "import", "request"])]
    pub key: Option<PathBuf>,

    /// Take the passphrase from the first line of this file; /dev/fd/N is an open file descriptor
    #[arg(long, value_name = "FILE", requires = "key")]
    pub passphrase_file: Option<PathBuf>,

    /// Write the digests of all outputs too, and an armored signature of that, FILE.asc
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "sign_request", "import"])]
    pub sha256sums: Option<PathBuf>,

    /// Write in-toto statements with SLSA provenance too, signed in envelopes of DSSE, one a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "sign_request", "import"])]
    pub in_toto: Option<PathBuf>,

    /// Sign nothing here: write what is to be signed to a text file, for a host that has the key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["signing_program", "sign_request", "import"])]
    pub request: Option<PathBuf>,

    /// Show what a file of --request asks for, and sign it; needs neither tree nor descriptors
    #[arg(long, value_name = "FILE", conflicts_with = "import")]
    pub sign_request: Option<PathBuf>,

    /// Where the answer to --sign-request goes (default: its FILE.signed)
    #[arg(long, value_name = "FILE", requires = "sign_request", conflicts_with_all = ["descriptors", "import"])]
    pub answer: Option<PathBuf>,

    /// Sign a request without being asked
    #[arg(long, requires = "sign_request", conflicts_with_all = ["descriptors", "import"])]
    pub yes: bool,

    /// Check the answer to a request against the reports here, and put assertions and signatures into the sigs tree; where
    /// --signer, --release or descriptors are given, only if the answer is about exactly these
    #[arg(long, value_name = "FILE", conflicts_with = "signing_program")]
    pub import: Option<PathBuf>,
}
