//! Report to signed assertion, in its place in the sigs tree.
//!
//! [`sign`] writes the assertion into a hidden folder beside its place, has a program sign it there, and moves both to
//! their places together. Whatever fails before leaves the tree as it was.

mod folders;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use gitian_descriptor::{PackageName, ReleaseName, SignerName};
use gitian_manifest::{Assertion, Report, SigsTree, read_file};
use gitian_process::{Command, Failure, Streams};

use folders::NewFolders;

/// The largest report that is read, in bytes.
const REPORT_LIMIT: u64 = 64 << 20;

/// What is to be signed, by whom.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The report of a build, `result/<package>-res.yml`.
    pub report: &'a Path,
    /// The release that it is for.
    pub release: &'a ReleaseName,
    /// The package.
    pub package: &'a PackageName,
    /// The descriptor's list, if it has one.
    pub optionals: Option<Vec<String>>,
    /// The folder in the tree, and the key to sign with.
    pub signer: &'a SignerName,
    /// Where assertion and signature go.
    pub tree: &'a SigsTree,
    /// What signs: called with `-u SIGNER ASSERT`, leaves `ASSERT.sig`.
    pub program: &'a Command,
}

/// What [`sign`] left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The assertion.
    pub assert_path: PathBuf,
    /// Where its signature belongs.
    pub signature_path: PathBuf,
    /// Whether there is a signature of exactly this assertion: a program that signs nothing (`true`) leaves a tree that
    /// is to be signed elsewhere.
    pub signed: bool,
}

/// There is no report to sign.
#[derive(Debug, thiserror::Error)]
#[error("{} does not exist", path.display())]
pub struct ReportMissing {
    /// Where it should be.
    pub path: PathBuf,
}

/// The program that signs did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("{program} did not sign as {signer}")]
pub struct NotSigned {
    /// The name of the program.
    pub program: String,
    /// The key that it was to use.
    pub signer: String,
    /// How it ended.
    #[source]
    pub cause: Failure,
}

/// Makes the assertion of a report and has it signed. Both replace what an earlier run left.
///
/// # Errors
///
/// [`ReportMissing`]; [`NotSigned`].
pub fn sign(order: &Order<'_>) -> Result<Signed> {
    let assertion = assertion(order)?.render();
    let (release, signer, package) = (order.release.as_str(), order.signer.as_str(), order.package.as_str());
    let signed = Signed {
        assert_path: order.tree.assert_path(release, signer, package),
        signature_path: order.tree.signature_path(release, signer, package),
        signed: false,
    };
    let folder = order.tree.signer_folder(release, signer);
    let new_folders = NewFolders::create(&folder).with_context(|| folder.display().to_string())?;
    let workshop = tempfile::Builder::new().prefix(".gsign-").tempdir_in(&folder);
    let workshop = workshop.with_context(|| folder.display().to_string())?;
    // As the user typed it, while the temporary folder's own path is absolute: programs get to see it.
    let draft = folder.join(workshop.path().file_name().unwrap_or_default());
    let draft = draft.join(signed.assert_path.file_name().unwrap_or_default());
    fs::write(&draft, &assertion).with_context(|| draft.display().to_string())?;
    run(order, &draft)?;
    let same = read_file(&draft, REPORT_LIMIT).is_ok_and(|now| now == assertion);
    ensure!(same, "{} changed the assertion that it was to sign", order.program);
    let signed = publish(&draft, &assertion, order.program, signed)?;
    new_folders.keep();
    Ok(signed)
}

fn assertion(order: &Order<'_>) -> Result<Assertion> {
    let bytes = read_file(order.report, REPORT_LIMIT).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => anyhow::Error::new(ReportMissing { path: order.report.to_owned() }),
        _ => anyhow::Error::new(cause).context(order.report.display().to_string()),
    })?;
    let report = Report::read(&bytes).with_context(|| order.report.display().to_string())?;
    Ok(Assertion::new(report, order.release.as_str(), order.package.as_str(), order.optionals.clone()))
}

/// Runs the program with our own terminal: it may ask for a passphrase.
fn run(order: &Order<'_>, draft: &Path) -> Result<()> {
    let command = order.program.clone().args(["-u", order.signer.as_str()]).arg(draft);
    match command.run_ok(Streams::inherit()) {
        Ok(_) => Ok(()),
        Err(cause @ Failure::ProgramFailed { .. }) => {
            let (program, signer) = (order.program.to_string(), order.signer.to_string());
            Err(NotSigned { program, signer, cause }.into())
        }
        Err(cause) => Err(cause.into()),
    }
}

/// Moves a draft and all that the program left beside it to their places.
///
/// A signature of another document goes first, then the assertion takes its place in one step, then come its signature and
/// the rest: at no moment is there no assertion, or a signature beside a document that it does not belong to. What has
/// no place is found before anything is changed.
fn publish(draft: &Path, assertion: &[u8], program: &Command, mut signed: Signed) -> Result<Signed> {
    let context = |path: &Path| path.display().to_string();
    let workshop = draft.parent().unwrap_or(Path::new("."));
    let folder = signed.assert_path.parent().unwrap_or(Path::new("."));
    let made: Vec<PathBuf> = workshop
        .read_dir()
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| context(workshop))?;
    for path in &made {
        let place = folder.join(path.file_name().unwrap_or_default());
        ensure!(fits(path, &place, &signed), "{}: {program} left what cannot take this place", context(&place));
    }
    let unchanged = read_file(&signed.assert_path, REPORT_LIMIT).is_ok_and(|old| old == assertion);
    let new_signature = signed.signature_path.file_name().is_some_and(|name| workshop.join(name).is_file());
    let absent = |result: io::Result<()>| match result {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    };
    if !unchanged {
        absent(fs::remove_file(&signed.signature_path)).with_context(|| context(&signed.signature_path))?;
    }
    fs::rename(draft, &signed.assert_path).with_context(|| context(&signed.assert_path))?;
    let is_signature = |path: &&PathBuf| path.file_name() == signed.signature_path.file_name();
    let rest = made.iter().filter(|path| *path != draft && !is_signature(path));
    for path in made.iter().filter(is_signature).chain(rest) {
        let place = folder.join(path.file_name().unwrap_or_default());
        fs::rename(path, &place).with_context(|| context(&place))?;
    }
    signed.signed = new_signature || (unchanged && signed.signature_path.is_file());
    Ok(signed)
}

/// Whether what a program left can take its place: a file that of nothing or a file, a folder that of nothing, and never
/// that of the assertion or its signature.
fn fits(made: &Path, place: &Path, signed: &Signed) -> bool {
    let is_folder = |path: &Path| fs::symlink_metadata(path).map(|there| there.is_dir());
    match (is_folder(made), is_folder(place)) {
        (Ok(true), Ok(_)) | (_, Ok(true)) => false,
        (Ok(true), Err(_)) => place != signed.assert_path && place != signed.signature_path,
        _ => true,
    }
}
