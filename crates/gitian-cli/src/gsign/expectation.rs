//! What an answer has to be about, where the command line of `--import` says so: whose, of which release, which packages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gitian_descriptor::Loaded;
use gitian_sign::{Request, Subject};

use crate::args::gsign::Args;

/// An answer is not the one that was expected.
#[derive(Debug, thiserror::Error)]
#[error("{}: its {what} is {found}, expected was {expected}", path.display())]
pub struct Unexpected {
    /// The answer.
    pub path: PathBuf,
    /// What of it: signer, release or package.
    pub what: &'static str,
    /// What it has, of all its assertions.
    pub found: String,
    /// What the command line names.
    pub expected: String,
}

/// Checks that an answer has what the command line names, all of that and nothing else.
pub fn check(file: &Path, answer: &Request, args: &Args, loaded: &[Loaded]) -> Result<(), Unexpected> {
    let found = |part: fn(&Subject) -> &str| answer.items.iter().map(|item| part(&item.draft.subject)).collect();
    let packages = loaded.iter().map(|loaded| loaded.descriptor.name.as_str()).collect();
    for (what, found, expected) in [
        ("signer", found(|subject| subject.signer.as_str()), args.signer.iter().map(|name| name.as_str()).collect()),
        ("release", found(|subject| subject.release.as_str()), args.release.iter().map(|name| name.as_str()).collect()),
        ("package", found(|subject| subject.package.as_str()), packages),
    ] {
        let (found, expected): (BTreeSet<&str>, BTreeSet<&str>) = (found, expected);
        if !expected.is_empty() && found != expected {
            return Err(Unexpected { path: file.to_owned(), what, found: listed(found), expected: listed(expected) });
        }
    }
    Ok(())
}

fn listed(names: BTreeSet<&str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(" and ")
}
