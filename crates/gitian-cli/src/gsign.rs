//! gsign: the report of a build → a signed assertion in the sigs tree. Silent when all is well, as the original.

use std::io::Write;

use anyhow::Result;
use gitian_build::Workdir;
use gitian_sign::{Order, sign};

use crate::args::gsign::Args;
use crate::args::sigs_tree;
use crate::descriptor_file;
use crate::failure::tell;
use crate::printable::printable;
use crate::surroundings::Surroundings;

/// Runs gsign. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    let descriptor = descriptor_file::load(&args.descriptor, &around.workdir, around.live)?.descriptor;
    let package = descriptor.name;
    let tree = sigs_tree(args.destination.as_deref(), &around.settings.installation, package.as_str());
    let signed = sign(&Order {
        report: &Workdir::new("").report(&package),
        release: &args.release,
        package: &package,
        optionals: descriptor.optionals,
        signer: &args.signer,
        tree: &tree,
        program: &args.signing_program,
    })?;
    if !signed.signed && !args.quiet {
        let signature = printable(&signed.signature_path.display().to_string());
        tell(&format!("gsign: note: {} left no signature; {signature} is yet to be made", args.signing_program));
    }
    Ok(0)
}
