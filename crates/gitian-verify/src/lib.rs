//! Sigs tree to one verdict per signer.
//!
//! [`gather`] reads what each signer of a release left and checks the signature: [`Facts`]. [`decide`] chooses the
//! reference manifest, compares, and applies the [`Policy`]: a [`Decision`]. [`explain`] says why a signer built something
//! else. Nothing here prints.
//!
//! A signer's files are hostile. Whatever is wrong with them is a fact about that signer, never the end of the run.
//!
//! ```no_run
//! use std::time::SystemTime;
//! use gitian_manifest::SigsTree;
//! use gitian_verify::{Checker, Folders, Policy, Question, Source, decide, gather};
//!
//! let question = Question { tree: SigsTree::new("gitian.sigs"), release: "22.0".into(), package: "bitcoin-linux".into() };
//! let keys = Source::choose(&[], &question.tree.root).load()?;
//! let at = SystemTime::now();
//! let facts = gather(&question, &Checker::Keys { keys: &keys, now: at }, &Folders::default())?;
//! let decision = decide(&facts, &question.criteria(&Policy::default(), at));
//! println!("{:?}", decision.outcome());
//! # Ok::<(), anyhow::Error>(())
//! ```

mod agreement;
mod certificate;
mod choice;
mod clear_signed;
mod deb_version;
mod decide;
mod differences;
mod explain;
mod facts;
mod fault;
mod history;
mod key_files;
mod keyring;
mod lint;
mod merged;
mod openpgp;
mod packages;
mod place;
mod policy;
mod program;
mod statement;
mod sums;
mod tree_file;
mod unpaired;
mod verdict;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result};
use gitian_manifest::{Assertion, Signers, SigsTree};
use gitian_process::interrupt;
use rayon::prelude::*;

use choice::own_first;
use openpgp::check_all;
use place::Place;
use tree_file::Content;

pub use agreement::{Agreement, Asked, Builder, Opinion, Uncounted, Unproven, agreements, base_name};
pub use clear_signed::ClearSigned;
pub use decide::{Criteria, decide};
pub use differences::{Difference, differences};
pub use explain::{Cache, Cause, CommitChange, Explanation, InputChange, InputKind, Part, explain, explain_verdict};
pub use facts::{Document, Facts, Good, Naming, Revocation, Signature, Standing, Unknown, Weakness};
pub use fault::{Change, Fault, Finding, Former};
pub use history::{History, Stray, fits, in_order};
pub use keyring::{KEY_FOLDERS, Keyring, Source};
pub use lint::lint;
pub use openpgp::{check, check_each};
pub use packages::PackageChange;
pub use place::release_name;
pub use policy::{Group, Policy, PolicyRefused, Signer};
pub use program::{Answer, Program};
pub use statement::{Statement, releases, statements};
pub use sums::Sums;
pub use unpaired::{Folders, Unpaired};
pub use verdict::{Camp, Decision, Line, Mismatch, Outcome, Reference, Refusal, Stated, Unmet, Verdict, WrongKey};

/// The largest assertion that is read, in bytes; real ones have up to 200 KB.
const ASSERT_LIMIT: u64 = 8 << 20;
/// The largest assertion that is kept though no good signature vouches for it, in bytes: anybody can leave any number.
const UNSIGNED_LIMIT: usize = 1 << 20;
/// The largest signature that is read, in bytes.
const SIGNATURE_LIMIT: u64 = 1 << 20;
/// How many signatures under other names are tried on an assertion that has none.
const MISNAMED: usize = 4;
/// The largest of them, in bytes; real ones have up to a kilobyte or two.
const MISNAMED_LIMIT: u64 = 1 << 16;
/// How many releases are read or wait to be reported at a time: enough for all cores, few enough for the memory.
const AT_ONCE: usize = 16;

/// What is to be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The tree of assertions.
    pub tree: SigsTree,
    /// The release: a folder of the tree, perhaps below others (`archive/0.10.0`).
    pub release: String,
    /// The package, as the descriptor names it.
    pub package: String,
}

impl Question {
    /// Checks that there is something to verify, before keys are looked for.
    ///
    /// # Errors
    ///
    /// [`ReleaseMissing`].
    pub fn check(&self) -> Result<()> {
        self.signers().map(|_| ())
    }

    /// Returns what an assertion has to say about its release: the last part of the folder.
    pub fn release_name(&self) -> &str {
        release_name(&self.release)
    }

    /// Returns what the facts are decided by, without a signer to compare with.
    pub fn criteria<'a>(&'a self, policy: &'a Policy, at: SystemTime) -> Criteria<'a> {
        Criteria { release: self.release_name(), package: &self.package, compare_to: None, policy, at }
    }

    fn signers(&self) -> Result<Signers> {
        self.tree.signers(&self.release).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => ReleaseMissing::new(self).into(),
            _ => anyhow::Error::new(cause).context(self.tree.release_folder(&self.release).display().to_string()),
        })
    }
}

/// Who checks signatures.
#[derive(Clone, Copy, Debug)]
pub enum Checker<'a> {
    /// We do, against these keys, at this time.
    Keys {
        /// The keys.
        keys: &'a Keyring,
        /// The time for which keys and signatures must still be valid.
        now: SystemTime,
    },
    /// Another program does.
    Program(&'a Program),
}

/// The folder of a release is not there.
#[derive(Debug, thiserror::Error)]
#[error("{} does not exist", folder.display())]
pub struct ReleaseMissing {
    /// Where it should be.
    pub folder: PathBuf,
    /// The releases that are there instead, perhaps below other folders (`archive/1.0`), in the order of their numbers: those
    /// of the package, or all if there is none of it.
    pub releases: Vec<String>,
}

impl ReleaseMissing {
    fn new(Question { tree, release, package }: &Question) -> Self {
        // A tree that cannot be read is told by who reads it first.
        let there = History::of(tree).unwrap_or_default().questions;
        let of_package = there.iter().any(|question| question.package == *package);
        let meant = there.into_iter().filter(|question| !of_package || question.package == *package);
        let mut releases: Vec<String> = meant.map(|question| question.release).collect();
        releases.dedup();
        Self { folder: tree.release_folder(release), releases }
    }
}

/// Finds out about every signer of a release, in name order. `folders` may be shared by questions about the same tree, as
/// long as it does not change.
///
/// # Errors
///
/// [`ReleaseMissing`]; a program of [`Checker::Program`] that cannot be run; an interrupt.
pub fn gather(question: &Question, checker: &Checker<'_>, folders: &Folders) -> Result<Vec<Facts>> {
    let tree = &question.tree;
    let signers = question.signers()?;
    let root = tree.root.canonicalize().with_context(|| tree.root.display().to_string())?;
    let known = signers.names.par_iter().map(|signer| {
        interrupt::check()?;
        let mut facts = Place::find(question, signer).facts(tree, &root, checker)?;
        find_counterpart(&mut facts, question, &root, checker, folders);
        anyhow::Ok(facts)
    });
    let mut facts = known.collect::<Result<Vec<_>>>()?;
    if let Checker::Keys { keys, .. } = checker {
        keys.tell_owners(&mut facts, &|name| folders.has_signer(tree, name));
    }
    own_first(&mut facts.iter_mut().collect::<Vec<_>>());
    facts.extend(signers.strays.iter().filter_map(|path| stray_facts(question, path)));
    facts.sort_by(|a, b| a.signer.cmp(&b.signer));
    Ok(facts)
}

/// Finds out about many releases, on all cores, and hands each on in the order of the questions as soon as those before
/// it are done. What cannot be read is an error of that question.
///
/// # Errors
///
/// What `each` returns, at once; an interrupt.
pub fn judge_all(
    questions: &[Question],
    judge: &(dyn Fn(&Question) -> Result<Judged> + Sync),
    each: &mut dyn FnMut(&Question, Result<Judged>) -> Result<()>,
) -> Result<()> {
    // Not rayon's: one of its threads that waits for a part of its release takes up another release meanwhile, and the
    // first one has to wait for that.
    let workers = thread::available_parallelism().map_or(1, usize::from).min(questions.len());
    let is_over = AtomicBool::new(false);
    let (orders, jobs) = mpsc::channel::<(&Question, Sender<Result<Judged>>)>();
    let jobs = Mutex::new(jobs);
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let work = || {
        while let Ok((question, judged)) = next() {
            if !is_over.load(Ordering::Relaxed) {
                judged.send(judge(question)).ok();
            }
        }
    };
    thread::scope(|scope| {
        (0..workers).for_each(|_| drop(scope.spawn(work)));
        let orders = orders;
        let mut to_come = questions.iter();
        let mut ahead = VecDeque::with_capacity(AT_ONCE);
        let done = loop {
            for question in to_come.by_ref().take(AT_ONCE - ahead.len()) {
                let (judged, comes) = mpsc::channel();
                orders.send((question, judged)).ok();
                ahead.push_back((question, comes));
            }
            let Some((question, comes)) = ahead.pop_front() else { break Ok(()) };
            let judged = interrupt::check()
                .map_err(Into::into)
                .and_then(|()| comes.recv().context("the thread that judged a release ended"));
            if let Err(cause) = judged.and_then(|judged| each(question, judged)) {
                break Err(cause);
            }
        };
        // What nobody waits for any more is not begun.
        is_over.store(true, Ordering::Relaxed);
        done
    })
}

/// What is known and decided about a release and package.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What is known about each signer.
    pub facts: Vec<Facts>,
    /// What is decided.
    pub decision: Decision,
}

fn signer_facts(question: &Question, checker: &Checker<'_>, root: &Path, signer: &str) -> Result<Facts> {
    let Question { tree, release, package } = question;
    let assert_path = tree.assert_path(release, signer, package);
    let signature_path = tree.signature_path(release, signer, package);
    let bytes = tree_file::read(root, &assert_path, ASSERT_LIMIT);
    let (signature, others) = match (&bytes, tree_file::read(root, &signature_path, SIGNATURE_LIMIT)) {
        (_, Content::Absent) => (Signature::Absent, Vec::new()),
        (_, Content::Refused(reason)) => (Signature::OutOfReach(reason), Vec::new()),
        (Content::Bytes(document), Content::Bytes(signature)) => match checker {
            Checker::Keys { keys, now } => check_all(&signature, document, keys, *now),
            Checker::Program(program) => {
                (Signature::Program(program.check(&signature_path, &assert_path)?), Vec::new())
            }
        },
        (_, Content::Bytes(_)) => (Signature::NotChecked, Vec::new()),
    };
    let document = match bytes {
        Content::Absent => Document::Absent,
        Content::Refused(reason) => Document::OutOfReach(reason),
        Content::Bytes(bytes) if bytes.len() > UNSIGNED_LIMIT && !is_vouched_for(&signature) => {
            Document::OutOfReach(format!("is larger than {UNSIGNED_LIMIT} bytes, without a good signature"))
        }
        Content::Bytes(bytes) => document(&bytes),
    };
    Ok(Facts {
        signer: signer.to_owned(),
        assert_path,
        signature_path,
        document,
        signature,
        others: others.into_iter().map(|good| (good, Naming::default())).collect(),
        unpaired: Unpaired::default(),
        misnamed_signature: None,
        naming: Naming::default(),
    })
}

fn is_vouched_for(signature: &Signature) -> bool {
    match signature {
        Signature::Good(_) => true,
        Signature::Program(answer) => answer.status.success(),
        _ => false,
    }
}

/// Where the assertion or the signature is absent, looks for it under another name.
fn find_counterpart(facts: &mut Facts, question: &Question, root: &Path, checker: &Checker<'_>, folders: &Folders) {
    let is_unsigned = matches!(facts.signature, Signature::Absent);
    if !is_unsigned && !matches!(facts.document, Document::Absent) {
        return;
    }
    let folder = question.tree.signer_folder(&question.release, &facts.signer);
    let listing = folders.listing(&folder);
    facts.unpaired = listing.without([&facts.assert_path, &facts.signature_path]);
    let mut candidates = listing.signatures().take(MISNAMED).peekable();
    let Checker::Keys { keys, now } = checker else { return };
    if !is_unsigned || candidates.peek().is_none() {
        return;
    }
    let Content::Bytes(document) = tree_file::read(root, &facts.assert_path, ASSERT_LIMIT) else { return };
    let is_good = |name: &&String| match tree_file::read(root, &folder.join(name), MISNAMED_LIMIT) {
        Content::Bytes(bytes) => matches!(check(&bytes, &document, keys, *now), Signature::Good(_)),
        Content::Absent | Content::Refused(_) => false,
    };
    facts.misnamed_signature = candidates.find(is_good).cloned();
}

fn document(bytes: &[u8]) -> Document {
    match Assertion::read(bytes) {
        Ok(assertion) if assertion.out_manifest().is_some() => Document::Read(Arc::new(assertion)),
        Ok(_) => Document::Malformed("has no out_manifest".into()),
        Err(cause) => Document::Malformed(format!("{cause:#}")),
    }
}

/// Returns the facts about something in a release's folder that looks like a signer and is not taken for one. Plain
/// files and hidden folders are nobody's.
fn stray_facts(question: &Question, path: &Path) -> Option<Facts> {
    let name = path.file_name()?;
    let link = path.is_symlink();
    if name.as_encoded_bytes().starts_with(b".") || !link && !path.is_dir() {
        return None;
    }
    let reason = if link { "is a link; a signer has a folder" } else { "has a name that is not UTF-8" };
    let file = format!("{}-build.assert", question.package);
    Some(Facts {
        signer: name.as_encoded_bytes().escape_ascii().to_string(),
        assert_path: path.join(&file),
        signature_path: path.join(file + ".sig"),
        document: Document::OutOfReach(reason.into()),
        signature: Signature::NotChecked,
        others: Vec::new(),
        unpaired: Unpaired::default(),
        misnamed_signature: None,
        naming: Naming::default(),
    })
}
