//! Whether files that somebody has are those that independent people built: for each file who vouches for exactly
//! these bytes, and who for others under its name. Pure; where the statements come from is known to `statement`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use gitian_manifest::{Assertion, Digest, Manifest};

use crate::decide::{Person, unmet_by, weigh};
use crate::facts::{Document, Facts};
use crate::policy::Policy;
use crate::statement::Statement;
use crate::verdict::Unmet;

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
    /// Who built exactly this under its name: independent people, each with a good signature and counted once.
    pub built_by: Vec<Builder>,
    /// Who built exactly this and gave it another name only: an older release, perhaps.
    pub renamed: Vec<Builder>,
    /// Who built something else and gave it this name, and never built this.
    pub otherwise: Vec<Builder>,
    /// Who says that he built this, without a signature that counts by the policy; as `signer of release`.
    pub unproven: BTreeSet<String>,
    /// What the policy demands of those who built this, except for how many they are.
    pub unmet: Vec<Unmet>,
}

/// Somebody with a signature that counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Builder {
    /// Who.
    pub signer: String,
    /// The release.
    pub release: String,
    /// The name under which the file is listed.
    pub path: String,
    /// How much the word counts.
    pub weight: u64,
}

/// What an agreement amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// Enough people built this, and more than built anything else.
    Agreed,
    /// Somebody built this, but fewer than asked for, and nobody anything else.
    TooFew,
    /// As many or more built something else under this name.
    Disputed,
    /// Who built this gave it another name, and nobody lists this one.
    OtherName,
    /// Everybody built something else under this name.
    Different,
    /// Enough people built it, but not those whom the policy wants.
    Unmet,
    /// Only people without a good signature list it.
    Unproven,
    /// Nobody lists it.
    NotListed,
}

impl Agreement {
    /// Returns what the agreement amounts to if so much weight of independent people is wanted; without weights, so many.
    pub fn opinion(&self, wanted: u64) -> Opinion {
        let weight = |builders: &[Builder]| builders.iter().map(|builder| builder.weight).sum::<u64>();
        match (weight(&self.built_by), weight(&self.otherwise)) {
            (0, 0) if !self.renamed.is_empty() => Opinion::OtherName,
            (0, _) if !self.renamed.is_empty() => Opinion::Disputed,
            (0, 0) if self.unproven.is_empty() => Opinion::NotListed,
            (0, 0) => Opinion::Unproven,
            (0, _) => Opinion::Different,
            (these, others) if others >= these => Opinion::Disputed,
            (these, _) if these < wanted.max(1) => Opinion::TooFew,
            _ if !self.unmet.is_empty() => Opinion::Unmet,
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
    /// Whose word it is: nobody's if the signature does not count.
    person: Option<&'s Person<'s>>,
}

/// Returns who stands behind a statement, if the signature counts and the word has weight.
fn person<'s>(facts: &'s Facts, policy: &'s Policy, at: SystemTime) -> Option<Person<'s>> {
    let counts = weigh(facts, policy, at).is_ok() && policy.weight_of(facts) > 0;
    counts.then(|| Person::of(facts, policy))
}

/// Finds who vouches for each file, in their order.
pub fn agreements(asked: &[Asked], statements: &[Statement], policy: &Policy, at: SystemTime) -> Vec<Agreement> {
    let manifests: Vec<(&Statement, Manifest, Option<Person<'_>>)> = statements
        .iter()
        .filter_map(|statement| match &statement.facts.document {
            Document::Read(assertion) => {
                Some((statement, out_manifest(assertion), person(&statement.facts, policy, at)))
            }
            _ => None,
        })
        .collect();
    let mut by_digest: HashMap<Digest, Vec<Listed<'_>>> = HashMap::new();
    let mut by_name: HashMap<&str, Vec<Listed<'_>>> = HashMap::new();
    for (statement, manifest, person) in &manifests {
        for entry in &manifest.entries {
            let listed = Listed { statement, path: &entry.path, digest: entry.digest, person: person.as_ref() };
            by_digest.entry(entry.digest).or_default().push(listed);
            by_name.entry(base_name(&entry.path)).or_default().push(listed);
        }
    }
    let of_file = |file: &Asked| {
        let same = by_digest.get(&file.digest).map(Vec::as_slice).unwrap_or_default();
        let named = by_name.get(base_name(&file.name)).map(Vec::as_slice).unwrap_or_default();
        agreement(file, same, named, policy)
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

fn agreement(file: &Asked, same: &[Listed<'_>], named: &[Listed<'_>], policy: &Policy) -> Agreement {
    // Whatever their release: a statement about another one must not keep these from being heard. Who built this under
    // this name and, for another release, something else, vouches for this; who gave this another name does not: it would
    // make an older release pass for the new one.
    let (these, others): (Vec<_>, Vec<_>) = named.iter().partition(|listed| listed.digest == file.digest);
    let built_by = people(these.iter().copied(), policy);
    let mut otherwise = people(others.into_iter(), policy);
    otherwise.retain(|person, _| !built_by.contains_key(person));
    let mut renamed = people(same.iter(), policy);
    renamed.retain(|person, _| !built_by.contains_key(person));
    let unproven = same.iter().filter(|listed| listed.person.is_none());
    let unproven =
        unproven.map(|listed| format!("{} of {}", listed.statement.facts.signer, listed.statement.release)).collect();
    let sorted = |people: BTreeMap<&Person<'_>, Builder>| {
        let mut people: Vec<Builder> = people.into_values().collect();
        people.sort();
        people
    };
    let proven = these.iter().filter(|listed| listed.person.is_some()).map(|listed| &listed.statement.facts);
    let unmet = unmet_by(proven.collect(), policy);
    Agreement { built_by: sorted(built_by), renamed: sorted(renamed), otherwise: sorted(otherwise), unproven, unmet }
}

/// Returns who stands behind lines, each once, with the first of his lines.
fn people<'s>(lines: impl Iterator<Item = &'s Listed<'s>>, policy: &Policy) -> BTreeMap<&'s Person<'s>, Builder> {
    let mut people = BTreeMap::new();
    for listed in lines {
        let Some(person) = listed.person else { continue };
        people.entry(person).or_insert_with(|| Builder {
            signer: listed.statement.facts.signer.clone(),
            release: listed.statement.release.clone(),
            path: listed.path.to_owned(),
            weight: u64::from(policy.weight_of(&listed.statement.facts)),
        });
    }
    people
}
