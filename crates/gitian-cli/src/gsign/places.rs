//! Where the outputs of one run go, however that is spelled: each to a place of its own, and none over what is read.

use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

use gitian_build::Workdir;
use gitian_manifest::SigsTree;
use gitian_sign::Draft;

use crate::args::gsign::Args;
use crate::canon::is_same_file;
use crate::failure::WrongUsage;

/// How many links of a path are followed: as many as Linux does.
const LINKS: usize = 40;

/// A file that is read or written.
struct Place {
    what: &'static str,
    path: PathBuf,
    /// Without links and `..`, as far as it is there.
    real: PathBuf,
}

/// Checks that no output of a run goes where another goes, or to a file that the run reads.
///
/// # Errors
///
/// Names the first two that coincide.
pub fn check(args: &Args, drafts: &[Draft], trees: &[SigsTree]) -> Result<(), WrongUsage> {
    let optional = |what, path: &Option<PathBuf>| path.iter().map(|path| Place::new(what, path)).collect::<Vec<_>>();
    let mut taken: Vec<Place> = args.descriptors.iter().map(|path| Place::new("descriptor", path)).collect();
    let reports = drafts.iter().map(|draft| Workdir::new("").report(&draft.subject.package));
    taken.extend(reports.map(|path| Place::new("report", &path)));
    taken.extend(optional("--key", &args.key));
    taken.extend(optional("--passphrase-file", &args.passphrase_file));

    let mut outputs = optional("--request", &args.request);
    if args.request.is_none() {
        for (Draft { subject, .. }, tree) in drafts.iter().zip(trees) {
            outputs.push(Place::new("assertion", &subject.assert_path(tree)));
            outputs.push(Place::new("signature", &subject.signature_path(tree)));
        }
    }
    outputs.extend(optional("--sha256sums", &args.sha256sums));
    outputs.extend(optional("signature", &args.sha256sums.as_ref().map(|list| armored(list))));
    outputs.extend(optional("--in-toto", &args.in_toto));
    for output in outputs {
        if let Some(other) = taken.iter().find(|place| place.is(&output)) {
            return Err(WrongUsage(format!("{output} is the same file as {other}")));
        }
        taken.push(output);
    }
    Ok(())
}

/// Returns where the signature of a list goes.
fn armored(list: &Path) -> PathBuf {
    let mut name = list.to_owned().into_os_string();
    name.push(".asc");
    name.into()
}

impl Place {
    fn new(what: &'static str, path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { what, path: path.to_owned(), real: real(&absolute, &mut { LINKS }) }
    }

    fn is(&self, other: &Self) -> bool {
        self.real == other.real || is_same_file(&self.path, &other.path)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.path.display())
    }
}

/// Returns where an absolute path leads, without links and `..`. What is not there yet will be no link.
fn real(path: &Path, links: &mut usize) -> PathBuf {
    let mut place = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(place.pop()),
            component => place.push(component),
        }
        if *links > 0
            && let Ok(target) = fs::read_link(&place)
        {
            *links -= 1;
            place.pop();
            place = real(&place.join(target), links);
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_spelling_of_a_path_leads_to_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        fs::create_dir(top.join("there")).unwrap();
        symlink("there", top.join("link")).unwrap();
        symlink("link/file", top.join("dangling")).unwrap();
        symlink(top.join("dangling"), top.join("twice")).unwrap();
        symlink("round", top.join("round")).unwrap();
        for (path, expected) in [
            ("there/file", "there/file"),
            ("./there/./file", "there/file"),
            ("there/../there/file", "there/file"),
            ("new/../there/file", "there/file"),
            ("link/file", "there/file"),
            ("link/../file", "file"),
            ("dangling", "there/file"),
            ("twice", "there/file"),
            ("link/new/file", "there/new/file"),
        ] {
            assert_eq!(real(&top.join(path), &mut { LINKS }), top.join(expected), "{path}");
        }
        // It ends.
        assert_eq!(real(&top.join("round"), &mut { LINKS }), top.join("round"));
    }
}
