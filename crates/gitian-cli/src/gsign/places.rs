//! Where the outputs of one run go, however that is spelled: each to a place of its own, and none over what is read.

use std::fmt;
use std::path::{Path, PathBuf};

use gitian_build::Workdir;
use gitian_manifest::SigsTree;
use gitian_process::Command;
use gitian_sign::{Draft, Subject};
use gitian_vm::Problem;

use crate::args::WrongUsage;
use crate::args::gsign::Args;
use crate::place::Place;

/// A file that is read or written.
struct File {
    what: &'static str,
    path: PathBuf,
    place: Place,
}

/// Checks that no output of a run goes where another goes, or to a file that the run reads.
///
/// # Errors
///
/// Names the first two that coincide.
pub fn check(args: &Args, drafts: &[Draft], trees: &[SigsTree]) -> Result<(), WrongUsage> {
    let optional = |what, path: &Option<PathBuf>| path.iter().map(|path| File::new(what, path)).collect::<Vec<_>>();
    let mut taken: Vec<File> = args.descriptors.iter().map(|path| File::new("descriptor", path)).collect();
    taken.extend(read_to_sign(args, drafts));

    let mut outputs = optional("--request", &args.request);
    if args.request.is_none() {
        for (Draft { subject, .. }, tree) in drafts.iter().zip(trees) {
            outputs.push(File::new("assertion", &subject.assert_path(tree)));
            outputs.push(File::new("signature", &subject.signature_path(tree)));
        }
    }
    let mut replaced = optional("--sha256sums", &args.sha256sums);
    replaced.extend(optional("signature", &args.sha256sums.as_ref().map(|list| armored(list))));
    replaced.extend(optional("--in-toto", &args.in_toto));
    all_apart(taken, outputs, replaced)
}

/// Checks that the answer to a request goes over nothing that is read to make it, nor over a report.
///
/// # Errors
///
/// Names both.
pub fn check_answer<'d>(
    args: &Args,
    request: &Path,
    answer: &Path,
    drafts: impl IntoIterator<Item = &'d Draft>,
) -> Result<(), WrongUsage> {
    let mut taken = vec![File::new("--sign-request", request)];
    taken.extend(read_to_sign(args, drafts));
    all_apart(taken, Vec::new(), vec![File::new("--answer", answer)])
}

/// What is read to sign drafts: the key, and the reports that they are made of.
fn read_to_sign<'d>(args: &Args, drafts: impl IntoIterator<Item = &'d Draft>) -> Vec<File> {
    let reports = drafts.into_iter().map(|draft| Workdir::new("").report(&draft.subject.package));
    let mut read: Vec<File> = reports.map(|path| File::new("report", &path)).collect();
    read.extend(args.key.iter().map(|path| File::new("--key", path)));
    read.extend(args.passphrase_file.iter().map(|path| File::new("--passphrase-file", path)));
    read
}

/// Finds an output that goes where another goes, or to a file that is `taken`; and one of those that are `replaced` whole
/// where there is something else than a file.
fn all_apart(mut taken: Vec<File>, mut outputs: Vec<File>, replaced: Vec<File>) -> Result<(), WrongUsage> {
    // What takes the place of a link or device would take it away.
    let is_other = |file: &&File| file.path.symlink_metadata().is_ok_and(|there| !there.is_file());
    let other = replaced.iter().find(is_other).map(|file| format!("{file} is there and is no file"));
    outputs.extend(replaced);
    for output in outputs {
        if let Some(other) = taken.iter().find(|file| file.place.is(&output.place)) {
            return Err(WrongUsage(format!("{output} is the same file as {other}")));
        }
        taken.push(output);
    }
    other.map_or(Ok(()), |other| Err(WrongUsage(other)))
}

/// Checks that an assertion does not go through a link: out of the tree, or over another signer's. gverify believes nobody
/// behind one.
pub fn check_folders(subject: &Subject, tree: &SigsTree) -> Result<(), Problem> {
    let (release, signer) = (subject.release.as_str(), subject.signer.as_str());
    let folders = [tree.release_folder(release), tree.signer_folder(release, signer)];
    match folders.into_iter().find(|folder| folder.is_symlink()) {
        None => Ok(()),
        Some(link) => Err(Problem {
            what: format!("{} is a link; a release and a signer have folders of their own", link.display()),
            mend: Command::new("rm").arg(&link).to_string() + "    (gsign makes the folder)",
        }),
    }
}

/// Returns where the signature of a list goes.
fn armored(list: &Path) -> PathBuf {
    let mut name = list.to_owned().into_os_string();
    name.push(".asc");
    name.into()
}

impl File {
    fn new(what: &'static str, path: &Path) -> Self {
        Self { what, path: path.to_owned(), place: Place::of(path) }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.path.display())
    }
}
