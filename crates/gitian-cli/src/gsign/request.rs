//! Signing where the key is: `--request` writes what is to be signed, `--sign-request` signs it on another host, `--import`
//! publishes the answer. Both sides check.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use gitian_build::Workdir;
use gitian_manifest::{SigsTree, read_file, write_out};
use gitian_process::interrupt;
use gitian_sign::{By, Draft, Item, Request, Signing};
use gitian_verify::{Document, Facts, Keyring, Naming, Policy, Question, Signature, Unpaired, Verdict, check, decide};

use super::keys::Keys;
use super::terminal::{NoTerminal, Terminal};
use super::{agreement, expectation, holder, load, places, publish, tree};
use crate::args::gsign::Args;
use crate::gverify::words;
use crate::printable::printable;
use crate::printed::tell;
use crate::surroundings::Surroundings;

/// The largest request or answer that is read, in bytes.
const LIMIT: u64 = 64 << 20;

/// A file that cannot be meant: what it is, and the option that takes it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct OtherFile {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub what: &'static str,
    /// What takes it.
    pub option: &'static str,
}

/// A signature that gverify would not accept where it belongs.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}: {reasons}", path.display(), words::verdict(verdict))]
pub struct NotGood {
    /// Where it would go.
    pub path: PathBuf,
    /// What gverify would say.
    pub verdict: Verdict,
    /// Why.
    pub reasons: String,
}

/// Writes what is to be signed.
pub fn write(file: &Path, drafts: Vec<Draft>, args: &Args) -> Result<()> {
    let request = Request::new(drafts);
    let text = request.render()?;
    write_out(file, text.as_bytes()).with_context(|| file.display().to_string())?;
    if !args.quiet {
        show(&request)?;
        tell(&format!("gsign: {} asks for this; nothing is signed yet", printable(&file.display().to_string())));
    }
    Ok(())
}

/// Signs what a file asks for, and writes the answer.
pub fn sign(file: &Path, args: &Args) -> Result<()> {
    let request = read(file)?;
    if request.items.iter().any(|item| item.signature.is_some()) {
        let what = "is signed already";
        return Err(OtherFile { path: file.to_owned(), what, option: "--import" }.into());
    }
    let path = args.answer.clone().unwrap_or_else(|| {
        let mut name = file.to_owned().into_os_string();
        name.push(".signed");
        name.into()
    });
    places::check_answer(args, file, &path, request.items.iter().map(|item| &item.draft))?;
    show(&request)?;
    if !args.yes && !Terminal::open(NoTerminal::CONSENT)?.consents("Sign this?")? {
        bail!("nothing was signed");
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let at = SystemTime::now();
    let key = holder::unlocked(args, at)?;
    let answer = request.answered(|draft| {
        let name = args.signer.as_ref().unwrap_or(&draft.subject.signer);
        let by = match &key {
            Some(key) => By::Key { key, at },
            None => By::Program { command: &args.signing_program, key: name.as_str() },
        };
        by.signature_of(draft, folder)
    })?;
    interrupt::check()?;
    write_out(&path, answer.render()?.as_bytes()).with_context(|| path.display().to_string())?;
    if !args.quiet {
        let path = printable(&path.display().to_string());
        tell(&format!("gsign: {path} holds the signatures; it goes back to where the request came from"));
    }
    Ok(())
}

/// Checks the signatures of a file against the reports that are here, and publishes them.
pub fn import(file: &Path, args: &Args, around: &Surroundings) -> Result<()> {
    let answer = read(file)?;
    if !answer.is_answer() {
        let what = "is a request, and not signed yet";
        return Err(OtherFile { path: file.to_owned(), what, option: "--sign-request" }.into());
    }
    if !args.quiet {
        show(&answer)?;
    }
    let loaded = load(args, around)?;
    expectation::check(file, &answer, args, &loaded)?;
    let at = SystemTime::now();
    let trees: Vec<SigsTree> = answer.items.iter().map(|item| tree(&item.draft, args, around)).collect();
    let mut keys = Keys::new(args);
    let mut drafts = Vec::new();
    let mut signing = Signing::default();
    for (Item { draft, signature }, tree) in answer.items.into_iter().zip(&trees) {
        let signature = signature.unwrap_or_default();
        places::check_folders(&draft.subject, tree)?;
        is_of_report(&draft)?;
        is_good(&draft, &signature, tree, keys.of(tree)?, at)?;
        signing.attestation(&draft, tree, &signature)?;
        drafts.push(draft);
    }
    agreement::check_all(&drafts, &trees, &loaded, &mut keys, args, at)?;
    publish(signing, args)
}

fn read(file: &Path) -> Result<Request> {
    let bytes = read_file(file, LIMIT).with_context(|| file.display().to_string())?;
    let text = String::from_utf8(bytes).with_context(|| format!("{}: is not text", file.display()))?;
    Request::parse(&text).with_context(|| file.display().to_string())
}

fn show(request: &Request) -> Result<()> {
    for line in request.summary()?.trim_end().lines() {
        tell(format!("gsign: {}", printable(line)).trim_end());
    }
    Ok(())
}

/// Checks that an assertion is the one of the report that is here: what was asked for.
fn is_of_report(draft: &Draft) -> Result<()> {
    let report = Workdir::new("").report(&draft.subject.package);
    let optionals = draft.assertion().optionals();
    let optionals = optionals.map(|list| list.into_iter().map(str::to_owned).collect());
    let own = Draft::of_report(&report, draft.subject.clone(), optionals)?;
    ensure!(
        own.bytes() == draft.bytes(),
        "{} is not what was signed: its assertion has the sha256 {}, the signed one {}",
        report.display(),
        own.digest(),
        draft.digest()
    );
    Ok(())
}

/// Checks a signature as gverify would. A key that is not known here is said, and no reason to refuse what one's own key
/// made elsewhere.
fn is_good(draft: &Draft, signature: &[u8], tree: &SigsTree, keys: &Keyring, at: SystemTime) -> Result<()> {
    let subject = &draft.subject;
    let signature = check(signature, draft.bytes(), keys, at);
    let facts = [Facts {
        naming: match &signature {
            Signature::Good(good) => keys.naming(subject.signer.as_str(), good),
            _ => Naming::Folder,
        },
        signer: subject.signer.to_string(),
        assert_path: subject.assert_path(tree),
        signature_path: subject.signature_path(tree),
        document: Document::Read(Arc::new(draft.assertion().clone())),
        signature,
        others: Vec::new(),
        unpaired: Unpaired::default(),
        misnamed_signature: None,
    }];
    let policy = Policy::of_tree(&tree.root)?.unwrap_or_default();
    let (release, package) = (subject.release.to_string(), subject.package.to_string());
    let question = Question { tree: tree.clone(), release, package };
    let decision = decide(&facts, &question.criteria(&policy, at));
    let reasons = words::reasons(&facts, &decision, 0, false).join("; ");
    match &decision.verdicts[0] {
        Verdict::Ok | Verdict::NotCompared => Ok(()),
        Verdict::NoKey => {
            let path = subject.signature_path(tree);
            tell(&printable(&format!("gsign: note: {}: {reasons}; it is not checked", path.display())));
            Ok(())
        }
        verdict => bail!(NotGood { path: subject.signature_path(tree), verdict: verdict.clone(), reasons }),
    }
}
