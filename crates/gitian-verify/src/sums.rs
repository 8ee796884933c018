//! `SHA256SUMS`: a list of files that people sign as it is, detached or clear-signed, often several in one file. Read
//! into the same facts as an assertion: what was built is the list; release and package are those of its place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use gitian_manifest::{Assertion, Manifest, Report};

use crate::clear_signed::ClearSigned;
use crate::facts::{Document, Facts, Good, Naming, Signature};
use crate::keyring::Keyring;
use crate::openpgp::{best_first, check_each};
use crate::place::SIGNATURE_ENDS;
use crate::tree_file::{self, Content};
use crate::{ASSERT_LIMIT, Checker, SIGNATURE_LIMIT, Unpaired};

/// A list of files, as text, with where its signatures are.
#[derive(Clone, Debug)]
pub struct Sums {
    /// The file.
    pub path: PathBuf,
    /// The lines that can be read.
    pub manifest: Manifest,
    /// The list as it is signed.
    text: String,
    signatures: Signatures,
}

/// Where the signatures of a list are.
#[derive(Clone, Debug)]
enum Signatures {
    Absent(PathBuf),
    OutOfReach(PathBuf, String),
    Detached(Vec<(PathBuf, Vec<u8>)>),
    /// In the list's own file.
    Within(String),
}

impl Sums {
    /// Reads a list and the signatures beside it, or within. `root` is the canonical path that nothing may lead out of.
    /// Returns what the document is instead, if it is no list.
    pub fn read(root: &Path, path: &Path) -> Result<Self, Document> {
        let bytes = match tree_file::read(root, path, ASSERT_LIMIT) {
            Content::Absent => return Err(Document::Absent),
            Content::Refused(reason) => return Err(Document::OutOfReach(reason)),
            Content::Bytes(bytes) => bytes,
        };
        let Ok(text) = String::from_utf8(bytes) else { return Err(Document::Malformed("is not UTF-8".into())) };
        let (text, signatures) = match ClearSigned::parse(&text) {
            Some(message) => (message.text, Signatures::Within(message.signatures)),
            None => (text, beside(root, path)),
        };
        let parsed = Manifest::parse(&text);
        // A comment says nothing, as to GNU's checker.
        let strange = parsed.unreadable.iter().find(|line| !line.starts_with('#'));
        match (strange, parsed.manifest.entries.is_empty()) {
            (Some(line), _) => {
                let line: String = line.chars().take(80).collect();
                Err(Document::Malformed(format!("is no list of files: {line}")))
            }
            (None, true) => Err(Document::Malformed("lists no file".into())),
            (None, false) => Ok(Self { path: path.to_owned(), manifest: parsed.manifest, text, signatures }),
        }
    }

    /// Returns whether there is any signature.
    pub fn is_signed(&self) -> bool {
        !matches!(self.signatures, Signatures::Absent(_))
    }

    /// Returns the file of the signature, if that is a clear-signed text: perhaps the list itself, as it was signed.
    pub fn clear_signed(&self) -> Option<&Path> {
        let Signatures::Detached(files) = &self.signatures else { return None };
        files.iter().find(|(_, bytes)| ClearSigned::begins(bytes)).map(|(path, _)| &**path)
    }

    /// Returns the list as the document of a release and package.
    pub(crate) fn document(&self, release: &str, package: &str) -> Document {
        let text = if self.text.ends_with('\n') { self.text.clone() } else { format!("{}\n", self.text) };
        let report = Report::new(text, String::new(), Vec::new(), None, None);
        Document::Read(Arc::new(Assertion::new(report, release, package, None)))
    }

    /// Checks the signatures as those of one signer: returns the best one and its file, and the other good ones, the newest first.
    pub(crate) fn signature(&self, checker: &Checker<'_>) -> anyhow::Result<(PathBuf, Signature, Vec<Good>)> {
        let states = self.states(checker)?;
        Ok(match checker {
            Checker::Keys { now, .. } => best_first(states, *now),
            Checker::Program(_) => {
                let is_good = |(_, state): &(_, Signature)| matches!(state, Signature::Program(answer) if answer.status.success());
                let best = states.iter().position(is_good).unwrap_or_default();
                let (path, state) = states.into_iter().nth(best).unwrap_or((PathBuf::new(), Signature::Absent));
                (path, state, Vec::new())
            }
        })
    }

    /// Returns the facts about everyone who signed the list, each key by itself: a bad signature says nothing about the
    /// others. A signer is called after the first user id of the key, else after the key; `is_signer` knows those of a tree that
    /// is looked into as well.
    pub fn facts(&self, checker: &Checker<'_>, is_signer: &dyn Fn(&str) -> bool) -> anyhow::Result<Vec<Facts>> {
        let document = self.document("", "");
        let facts = |(signature_path, signature): (PathBuf, Signature)| Facts {
            signer: signer(&signature),
            assert_path: self.path.clone(),
            signature_path,
            document: document.clone(),
            signature,
            others: Vec::new(),
            unpaired: Unpaired::default(),
            misnamed_signature: None,
            naming: Naming::UserId,
        };
        let mut found: Vec<Facts> = self.states(checker)?.into_iter().map(facts).collect();
        if let Checker::Keys { keys, .. } = checker {
            keys.tell_owners(&mut found, is_signer);
        }
        Ok(found)
    }

    /// Checks each signature, and returns it with its file; never returns nothing.
    fn states(&self, checker: &Checker<'_>) -> anyhow::Result<Vec<(PathBuf, Signature)>> {
        let each = |path: &Path, bytes: &[u8], keys: &Keyring, now: SystemTime| {
            let states = check_each(bytes, self.text.as_bytes(), keys, now).into_iter();
            states.map(|state| (path.to_owned(), state)).collect::<Vec<_>>()
        };
        Ok(match (&self.signatures, checker) {
            (Signatures::Absent(path), _) => vec![(path.clone(), Signature::Absent)],
            (Signatures::OutOfReach(path, reason), _) => vec![(path.clone(), Signature::OutOfReach(reason.clone()))],
            (Signatures::Detached(files), Checker::Keys { keys, now }) => {
                files.iter().flat_map(|(path, bytes)| each(path, bytes, keys, *now)).collect()
            }
            (Signatures::Within(text), Checker::Keys { keys, now }) => each(&self.path, text.as_bytes(), keys, *now),
            (Signatures::Detached(files), Checker::Program(program)) => {
                let ask =
                    |(path, _): &(PathBuf, _)| Ok((path.clone(), Signature::Program(program.check(path, &self.path)?)));
                files.iter().map(ask).collect::<anyhow::Result<_>>()?
            }
            (Signatures::Within(_), Checker::Program(_)) => {
                let reason = "is in the same file as the text; a program is asked about detached ones only";
                vec![(self.path.clone(), Signature::OutOfReach(reason.into()))]
            }
        })
    }
}

/// Returns where the signature of a list that cannot be read is, or should be, and whether it is there.
pub(crate) fn unchecked(root: &Path, path: &Path) -> (PathBuf, Signature) {
    match beside(root, path) {
        Signatures::Absent(path) => (path, Signature::Absent),
        Signatures::OutOfReach(path, reason) => (path, Signature::OutOfReach(reason)),
        Signatures::Detached(mut files) => (files.swap_remove(0).0, Signature::NotChecked),
        Signatures::Within(_) => (path.to_owned(), Signature::NotChecked),
    }
}

/// Reads the signatures beside a list: all of them, since anybody may have put another one there.
fn beside(root: &Path, path: &Path) -> Signatures {
    let with_end = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(end);
        PathBuf::from(name)
    };
    let (mut files, mut refused) = (Vec::new(), None);
    for end in SIGNATURE_ENDS {
        let place = with_end(end);
        match tree_file::read(root, &place, SIGNATURE_LIMIT) {
            Content::Absent => {}
            Content::Refused(reason) => refused = refused.or(Some((place, reason))),
            Content::Bytes(bytes) => files.push((place, bytes)),
        }
    }
    match refused {
        _ if !files.is_empty() => Signatures::Detached(files),
        Some((place, reason)) => Signatures::OutOfReach(place, reason),
        None => Signatures::Absent(with_end(SIGNATURE_ENDS[0])),
    }
}

fn signer(signature: &Signature) -> String {
    let unknown = || "somebody".to_owned();
    match signature {
        Signature::Good(good) => good.user_ids.first().unwrap_or(&good.primary_key).clone(),
        Signature::NoKey(wanted) => wanted.key.clone().unwrap_or_else(unknown),
        Signature::Bad { key, .. } => key.clone(),
        _ => unknown(),
    }
}
