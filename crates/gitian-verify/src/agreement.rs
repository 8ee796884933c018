//! Whether files that somebody has are those that independent people built: for each file who vouches for exactly
//! these bytes, and who for others under its name. Pure; where the statements come from is known to `statement`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gitian_manifest::{Assertion, Digest, Manifest};

use crate::facts::{Document, Signature};
use crate::statement::Statement;

/// A file that somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its name, without folder.
    pub name: String,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
}

/// What is known about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Who built exactly this: independent people, each with a good signature and counted once.
    pub built_by: Vec<Builder>,
    /// Who built something else and gave it this name, and never built this.
    pub otherwise: Vec<Builder>,
    /// Who says that he built this, without a good signature; as `signer of release`.
    pub unproven: BTreeSet<String>,
}

/// Somebody with a good signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Builder {
    /// Who.
    pub signer: String,
    /// The release.
    pub release: String,
    /// The name under which the file is listed.
    pub path: String,
}

/// What an agreement amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// Enough people built this, and more than built anything else.
    Agreed,
    /// Somebody built this, but fewer than asked for, and nobody anything else.
    TooFew,
    /// As many or more built something else.
    Disputed,
    /// Everybody built something else under this name.
    Different,
    /// Only people without a good signature list it.
    Unproven,
    /// Nobody lists it.
    NotListed,
}

impl Agreement {
    /// Returns what the agreement amounts to if so many independent people are wanted.
    pub fn opinion(&self, wanted: usize) -> Opinion {
        match (self.built_by.len(), self.otherwise.len()) {
            (0, 0) if self.unproven.is_empty() => Opinion::NotListed,
            (0, 0) => Opinion::Unproven,
            (0, _) => Opinion::Different,
            (these, others) if others >= these => Opinion::Disputed,
            (these, _) if these < wanted.max(1) => Opinion::TooFew,
            _ => Opinion::Agreed,
        }
    }
}

/// A line of somebody's manifest.
#[derive(Clone, Copy)]
struct Listed<'s> {
    statement: &'s Statement,
    path: &'s str,
    digest: Digest,
}

impl Listed<'_> {
    /// Who a signer is: his key, or his folder if another program checked the signature. Nothing without a good one.
    fn identity(&self) -> Option<&str> {
        match &self.statement.facts.signature {
            Signature::Good(good) if good.standing.counts() => Some(&good.primary_key),
            Signature::Program(answer) if answer.status.success() => Some(&self.statement.facts.signer),
            _ => None,
        }
    }
}

/// Finds who vouches for each file, in their order.
pub fn agreements(asked: &[Asked], statements: &[Statement]) -> Vec<Agreement> {
    let manifests: Vec<(&Statement, Manifest)> = statements
        .iter()
        .filter_map(|statement| match &statement.facts.document {
            Document::Read(assertion) => Some((statement, out_manifest(assertion))),
            _ => None,
        })
        .collect();
    let mut by_digest: HashMap<Digest, Vec<Listed<'_>>> = HashMap::new();
    let mut by_name: HashMap<&str, Vec<Listed<'_>>> = HashMap::new();
    for (statement, manifest) in &manifests {
        for entry in &manifest.entries {
            let listed = Listed { statement, path: &entry.path, digest: entry.digest };
            by_digest.entry(entry.digest).or_default().push(listed);
            by_name.entry(base_name(&entry.path)).or_default().push(listed);
        }
    }
    let of_file = |file: &Asked| {
        let same = by_digest.get(&file.digest).map(Vec::as_slice).unwrap_or_default();
        let named = by_name.get(base_name(&file.name)).map(Vec::as_slice).unwrap_or_default();
        agreement(file, same, named)
    };
    asked.iter().map(of_file).collect()
}

fn out_manifest(assertion: &Assertion) -> Manifest {
    Manifest::parse(assertion.out_manifest().unwrap_or_default()).manifest
}

/// Returns a path without its folders.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn agreement(file: &Asked, same: &[Listed<'_>], named: &[Listed<'_>]) -> Agreement {
    let built_by = people(same.iter());
    // Whatever their release: a statement about another one must not keep these from being heard. Who built this and,
    // for another release, something else under the same name, vouches for this.
    let mut otherwise = people(named.iter().filter(|listed| listed.digest != file.digest));
    otherwise.retain(|key, _| !built_by.contains_key(key));
    let unproven = same.iter().filter(|listed| listed.identity().is_none());
    let unproven =
        unproven.map(|listed| format!("{} of {}", listed.statement.facts.signer, listed.statement.release)).collect();
    let sorted = |people: BTreeMap<&str, Builder>| {
        let mut people: Vec<Builder> = people.into_values().collect();
        people.sort();
        people
    };
    Agreement { otherwise: sorted(otherwise), built_by: sorted(built_by), unproven }
}

/// Returns who stands behind lines, each once, with the first of his lines.
fn people<'s>(lines: impl Iterator<Item = &'s Listed<'s>>) -> BTreeMap<&'s str, Builder> {
    let mut people = BTreeMap::new();
    for listed in lines {
        let Some(identity) = listed.identity() else { continue };
        people.entry(identity).or_insert_with(|| Builder {
            signer: listed.statement.facts.signer.clone(),
            release: listed.statement.release.clone(),
            path: listed.path.to_owned(),
        });
    }
    people
}
