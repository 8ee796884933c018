//! From facts to verdicts: whose manifest is the reference, who agrees with it, and what the whole amounts to.

use std::collections::HashMap;

use gitian_manifest::{Assertion, Manifest};

use crate::facts::{Document, Facts, Signature};

/// What is decided about a release, one verdict for each of the facts, in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whose manifest the others were compared with.
    pub reference: Reference,
    /// The verdicts.
    pub verdicts: Vec<Verdict>,
    /// For each signer with the verdict `Ok`, an earlier one whose key it is: one key counts once.
    pub same_key_as: Vec<Option<usize>>,
}

/// Whose manifest the others are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// This signer's, an index into the facts.
    Signer(usize),
    /// Nobody's: no signer has a good signature on an assertion about this release and package.
    Nobody,
    /// The wanted signer has no folder.
    Unknown(String),
    /// The wanted signer, an index into the facts, has no good signature on an assertion.
    Unusable(usize),
}

/// What is said about one signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A good signature on the same manifest, for this release and package.
    Ok,
    /// A good signature on something else.
    Mismatch(Box<Mismatch>),
    /// A good signature, and no manifest to compare with.
    NotCompared,
    /// The signature is wrong, or the owner of its key no longer stands for it.
    BadSignature,
    /// The signature was made by a key that we do not have.
    NoKey,
    /// The assertion or its signature cannot be read, for this reason.
    Unreadable(String),
    /// There is no assertion.
    MissingResult,
    /// There is no signature.
    MissingSignature,
}

/// How an assertion differs from what it should say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// The release that it names instead, if it names one.
    pub release: Option<Stated>,
    /// The package that it names instead, if it names one.
    pub name: Option<Stated>,
    /// Whether the manifests differ at all.
    pub manifest: bool,
    /// The lines in which the manifests differ, by path.
    pub lines: Vec<Line>,
}

/// A value that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// What it should be.
    pub wanted: String,
    /// What it is.
    pub found: Option<String>,
}

/// A line of one manifest that the other does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Of the reference.
    Reference(String),
    /// Of the signer.
    Signer(String),
}

/// What all verdicts together amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody was verified, and nothing is wrong.
    Verified,
    /// Something is wrong.
    Failed,
    /// Nobody was verified, and nothing is wrong either.
    Nothing,
}

impl Decision {
    /// Returns what all verdicts together amount to.
    pub fn outcome(&self) -> Outcome {
        let failed = |verdict: &Verdict| match verdict {
            Verdict::Mismatch(_) | Verdict::BadSignature | Verdict::NoKey | Verdict::Unreadable(_) => true,
            Verdict::Ok | Verdict::NotCompared | Verdict::MissingResult | Verdict::MissingSignature => false,
        };
        if self.verdicts.iter().any(failed) {
            Outcome::Failed
        } else if self.verdicts.contains(&Verdict::Ok) {
            Outcome::Verified
        } else {
            Outcome::Nothing
        }
    }
}

/// Decides about the signers of a release. `compare_to` names the signer whose manifest is the reference; without it,
/// that is the first in the order of the facts with a good signature on an assertion about this release and package.
pub fn decide(facts: &[Facts], release: &str, package: &str, compare_to: Option<&str>) -> Decision {
    let fits = |facts: &Facts| {
        signed(facts).is_ok_and(|assertion| assertion.release() == Some(release) && assertion.name() == Some(package))
    };
    let reference = match compare_to {
        None => facts.iter().position(fits).map_or(Reference::Nobody, Reference::Signer),
        Some(wanted) => match facts.iter().position(|facts| facts.signer == wanted) {
            Some(index) if signed(&facts[index]).is_ok() => Reference::Signer(index),
            Some(index) => Reference::Unusable(index),
            None => Reference::Unknown(wanted.to_owned()),
        },
    };
    let golden = match reference {
        Reference::Signer(index) => signed(&facts[index]).ok().and_then(Assertion::out_manifest),
        _ => None,
    };
    let judge = |facts: &Facts| match signed(facts) {
        Err(verdict) => verdict,
        Ok(assertion) => compare(assertion, release, package, golden),
    };
    let verdicts: Vec<Verdict> = facts.iter().map(judge).collect();
    let mut seen = HashMap::new();
    let same_key_as = facts.iter().zip(&verdicts).enumerate().map(|(index, (facts, verdict))| match &facts.signature {
        Signature::Good(good) if *verdict == Verdict::Ok => {
            let first = *seen.entry(&good.primary_key).or_insert(index);
            (first != index).then_some(first)
        }
        _ => None,
    });
    let same_key_as = same_key_as.collect();
    Decision { reference, verdicts, same_key_as }
}

/// Returns the assertion that a signer vouches for with a signature that counts, or why there is none.
fn signed(facts: &Facts) -> Result<&Assertion, Verdict> {
    match &facts.document {
        Document::Absent => return Err(Verdict::MissingResult),
        Document::OutOfReach(reason) => return Err(Verdict::Unreadable(reason.clone())),
        Document::Malformed(_) | Document::Read(_) => {}
    }
    match &facts.signature {
        Signature::Absent => return Err(Verdict::MissingSignature),
        Signature::OutOfReach(reason) => return Err(Verdict::Unreadable(format!("signature {reason}"))),
        Signature::NoKey(_) => return Err(Verdict::NoKey),
        Signature::Good(good) if good.standing.counts() => {}
        Signature::Program(answer) if answer.status.success() => {}
        Signature::Good(_)
        | Signature::Program(_)
        | Signature::Bad { .. }
        | Signature::BrokenHash { .. }
        | Signature::NotDetached(_)
        | Signature::NotChecked => return Err(Verdict::BadSignature),
    }
    match &facts.document {
        Document::Read(assertion) => Ok(assertion),
        Document::Malformed(reason) => Err(Verdict::Unreadable(reason.clone())),
        Document::Absent | Document::OutOfReach(_) => Err(Verdict::MissingResult),
    }
}

fn compare(assertion: &Assertion, release: &str, package: &str, golden: Option<&str>) -> Verdict {
    let stated = |found: Option<&str>, wanted: &str| {
        (found != Some(wanted)).then(|| Stated { wanted: wanted.to_owned(), found: found.map(str::to_owned) })
    };
    let mut mismatch = Mismatch {
        release: stated(assertion.release(), release),
        name: stated(assertion.name(), package),
        ..Mismatch::default()
    };
    let own = assertion.out_manifest().unwrap_or_default();
    if let Some(golden) = golden.filter(|golden| *golden != own) {
        mismatch.manifest = true;
        mismatch.lines = differing_lines(golden, own);
    }
    match golden {
        _ if mismatch != Mismatch::default() => Verdict::Mismatch(Box::new(mismatch)),
        Some(_) => Verdict::Ok,
        None => Verdict::NotCompared,
    }
}

/// Returns the lines that one manifest holds and the other does not, sorted by path, the reference's first.
///
/// The original pairs lines by their number, and ends with an error when the other manifest is shorter.
fn differing_lines(reference: &str, signer: &str) -> Vec<Line> {
    let (reference, signer) = (Manifest::parse(reference), Manifest::parse(signer));
    let difference = reference.manifest.difference(&signer.manifest);
    let mut lines = Vec::new();
    for entry in difference.only_here {
        lines.push((entry.path.clone(), 0, format!("{}  {}", entry.digest, entry.path)));
    }
    for entry in difference.only_there {
        lines.push((entry.path.clone(), 1, format!("{}  {}", entry.digest, entry.path)));
    }
    for changed in difference.changed {
        lines.push((changed.path.clone(), 0, format!("{}  {}", changed.here, changed.path)));
        lines.push((changed.path.clone(), 1, format!("{}  {}", changed.there, changed.path)));
    }
    lines.sort();
    let mut lines: Vec<Line> =
        lines.into_iter().map(|(_, side, line)| [Line::Reference, Line::Signer][side](line)).collect();
    let strange = |own: &[String], other: &[String], make: fn(String) -> Line| -> Vec<Line> {
        own.iter().filter(|line| !other.contains(line)).cloned().map(make).collect()
    };
    lines.extend(strange(&reference.unreadable, &signer.unreadable, Line::Reference));
    lines.extend(strange(&signer.unreadable, &reference.unreadable, Line::Signer));
    lines
}
