//! gsign: the reports of builds → signed assertions in the sigs tree. Standard output stays empty, as in the original.
//!
//! `agreement` looks at what others signed, checked against the `keys` that gverify would use; `holder` unlocks a secret key,
//! `request` is for keys on another host and `expectation` for what comes back from there, `places` are where outputs
//! go, `terminal` asks the user.

pub mod agreement;
mod expectation;
mod holder;
mod keys;
mod places;
mod request;
mod terminal;

use std::io::Write;
use std::time::SystemTime;

use anyhow::Result;
use gitian_build::Workdir;
use gitian_descriptor::{Loaded, ReleaseName, SignerName};
use gitian_manifest::SigsTree;
use gitian_process::interrupt;
use gitian_sign::{By, Draft, Signing, Subject, statement, sums};

use crate::args::WrongUsage;
use crate::args::gsign::Args;
use crate::args::sigs_tree;
use crate::descriptor_file;
use crate::printable::printable;
use crate::printed::tell;
use crate::surroundings::Surroundings;

use keys::Keys;

pub use expectation::Unexpected;
pub use request::{NotGood, OtherFile};
pub use terminal::NoTerminal;

/// Runs gsign. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    match (&args.sign_request, &args.import, &args.signer, &args.release) {
        (Some(file), ..) => request::sign(file, &args)?,
        (None, Some(file), ..) => request::import(file, &args, around)?,
        (None, None, Some(signer), Some(release)) => sign(signer, release, &args, around)?,
        (None, None, ..) => return Err(WrongUsage("who signs what? --signer SIGNER --release REL".into()).into()),
    }
    Ok(0)
}

fn sign(signer: &SignerName, release: &ReleaseName, args: &Args, around: &Surroundings) -> Result<()> {
    let loaded = load(args, around)?;
    let drafts = loaded.iter().map(|loaded| draft(signer, release, loaded)).collect::<Result<Vec<Draft>>>()?;
    let trees: Vec<SigsTree> = drafts.iter().map(|draft| tree(draft, args, around)).collect();
    places::check(args, &drafts, &trees)?;
    for (draft, tree) in drafts.iter().zip(&trees) {
        places::check_folders(&draft.subject, tree)?;
    }
    let at = SystemTime::now();
    agreement::check_all(&drafts, &trees, &loaded, &mut Keys::new(args), args, at)?;
    if let Some(file) = &args.request {
        return request::write(file, drafts, args);
    }
    // What cannot be said is found before anybody is asked for a passphrase.
    let sums = args.sha256sums.as_ref().map(|file| anyhow::Ok((file, sums(&drafts)?))).transpose()?;
    let statements = args.in_toto.as_ref().map(|file| anyhow::Ok((file, statements(&drafts, &loaded)?))).transpose()?;
    let key = holder::unlocked(args, at)?;
    let by = match &key {
        Some(key) => By::Key { key, at },
        None => By::Program { command: &args.signing_program, key: signer.as_str() },
    };
    let mut signing = Signing::default();
    for (draft, tree) in drafts.iter().zip(&trees) {
        signing.assertion(draft, tree, &by)?;
    }
    if let Some((file, sums)) = sums {
        signing.sums(file, &sums, &by)?;
    }
    if let Some((file, statements)) = statements {
        signing.statements(file, &statements, &by)?;
    }
    publish(signing, args)
}

/// Publishes everything, unless we were asked to stop: from here on it would be too late.
fn publish(signing: Signing, args: &Args) -> Result<()> {
    interrupt::check()?;
    for signed in signing.publish()? {
        if !signed.signed && !args.quiet {
            let signature = printable(&signed.signature_path.display().to_string());
            tell(&format!("gsign: note: {} left no signature; {signature} is yet to be made", args.signing_program));
        }
    }
    Ok(())
}

/// Reads the descriptors. Two of one package share a report, and can only be a mistake.
fn load(args: &Args, around: &Surroundings) -> Result<Vec<Loaded>> {
    let mut all: Vec<Loaded> = Vec::new();
    for path in &args.descriptors {
        let mut loaded = descriptor_file::load(path, &around.workdir, around.live)?;
        loaded.path.clone_from(path);
        let package = &loaded.descriptor.name;
        if let Some(first) = all.iter().find(|known| known.descriptor.name == *package) {
            let (first, second) = (first.path.display(), path.display());
            return Err(WrongUsage(format!("{first} and {second} are both about {package}")).into());
        }
        all.push(loaded);
    }
    Ok(all)
}

fn draft(signer: &SignerName, release: &ReleaseName, loaded: &Loaded) -> Result<Draft> {
    let package = loaded.descriptor.name.clone();
    let report = Workdir::new("").report(&package);
    let subject = Subject { release: release.clone(), signer: signer.clone(), package };
    Draft::of_report(&report, subject, loaded.descriptor.optionals.clone())
}

fn statements(drafts: &[Draft], loaded: &[Loaded]) -> Result<Vec<Vec<u8>>> {
    drafts.iter().zip(loaded).map(|(draft, loaded)| statement(draft, loaded)).collect()
}

fn tree(draft: &Draft, args: &Args, around: &Surroundings) -> SigsTree {
    sigs_tree(args.destination.as_deref(), &around.settings.installation, draft.subject.package.as_str())
}
