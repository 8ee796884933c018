//! `SHA256SUMS`: a list of files that people sign as it is, detached or clear-signed, often several in one file. Read
//! into the same facts as an assertion: what was built is the list; release and package are those of its place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gitian_manifest::{Assertion, Manifest, Report};

use crate::clear_signed::ClearSigned;
use crate::facts::{Document, Facts, Good, Naming, Signature};
use crate::openpgp::{check_all, check_each};
use crate::tree_file::{self, Content};
use crate::{ASSERT_LIMIT, Checker, SIGNATURE_LIMIT, Unpaired};

/// How a detached signature's file is called, after the name of the list.
pub(crate) const SIGNATURE_ENDS: [&str; 3] = ["asc", "sig", "gpg"];

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
    Detached(PathBuf, Vec<u8>),
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
        match &self.signatures {
            Signatures::Detached(path, bytes) if ClearSigned::begins(bytes) => Some(path),
            _ => None,
        }
    }

    /// Returns the list as the document of a release and package.
    pub(crate) fn document(&self, release: &str, package: &str) -> Document {
        let text = if self.text.ends_with('\n') { self.text.clone() } else { format!("{}\n", self.text) };
        let report = Report::new(text, String::new(), Vec::new(), None, None);
        Document::Read(Arc::new(Assertion::new(report, release, package, None)))
    }

    /// Checks the signatures as those of one signer: returns the best one, and the other good ones, the newest first.
    pub(crate) fn signature(&self, checker: &Checker<'_>) -> anyhow::Result<(Signature, Vec<Good>)> {
        let signature = match (&self.signatures, checker) {
            (Signatures::Absent(_), _) => Signature::Absent,
            (Signatures::OutOfReach(_, reason), _) => Signature::OutOfReach(reason.clone()),
            (Signatures::Detached(_, bytes), Checker::Keys { keys, now }) => {
                return Ok(check_all(bytes, self.text.as_bytes(), keys, *now));
            }
            (Signatures::Within(text), Checker::Keys { keys, now }) => {
                return Ok(check_all(text.as_bytes(), self.text.as_bytes(), keys, *now));
            }
            (Signatures::Detached(path, _), Checker::Program(program)) => {
                Signature::Program(program.check(path, &self.path)?)
            }
            (Signatures::Within(_), Checker::Program(_)) => Signature::OutOfReach(
                "is in the same file as the text; a program is asked about detached ones only".into(),
            ),
        };
        Ok((signature, Vec::new()))
    }

    /// Returns the facts about everyone who signed the list, each key by itself: a bad signature says nothing about the
    /// others. A signer is called after the first user id of the key, else after the key.
    pub fn facts(&self, checker: &Checker<'_>) -> anyhow::Result<Vec<Facts>> {
        let states = match (&self.signatures, checker) {
            (Signatures::Detached(_, bytes), Checker::Keys { keys, now }) => {
                check_each(bytes, self.text.as_bytes(), keys, *now)
            }
            (Signatures::Within(text), Checker::Keys { keys, now }) => {
                check_each(text.as_bytes(), self.text.as_bytes(), keys, *now)
            }
            _ => vec![self.signature(checker)?.0],
        };
        let signature_path = match &self.signatures {
            Signatures::Absent(path) | Signatures::OutOfReach(path, _) | Signatures::Detached(path, _) => path,
            Signatures::Within(_) => &self.path,
        };
        let document = self.document("", "");
        let facts = |signature: Signature| Facts {
            signer: signer(&signature),
            assert_path: self.path.clone(),
            signature_path: signature_path.clone(),
            document: document.clone(),
            signature,
            others: Vec::new(),
            unpaired: Unpaired::default(),
            misnamed_signature: None,
            naming: Naming::UserId,
        };
        Ok(states.into_iter().map(facts).collect())
    }
}

fn beside(root: &Path, path: &Path) -> Signatures {
    let with_end = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(end);
        PathBuf::from(name)
    };
    for end in SIGNATURE_ENDS {
        let place = with_end(end);
        match tree_file::read(root, &place, SIGNATURE_LIMIT) {
            Content::Absent => {}
            Content::Refused(reason) => return Signatures::OutOfReach(place, reason),
            Content::Bytes(bytes) => return Signatures::Detached(place, bytes),
        }
    }
    Signatures::Absent(with_end(SIGNATURE_ENDS[0]))
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
