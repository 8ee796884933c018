//! Whether files that somebody has are those that independent people built: for each file who vouches for exactly
//! these bytes, and who for others under its name. Pure; where the statements come from is known to `statement`.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use gitian_manifest::{Digest, Entry, Manifest};

use crate::decide::{Person, Word, last_words, made, unmet_by, weigh, words_beside};
use crate::facts::Document;
use crate::place::{Kind, kind_of, release_name};
use crate::policy::Policy;
use crate::statement::Statement;
use crate::verdict::{Unmet, Verdict};

/// A file that somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// Its name, with folders if they matter: they do where somebody lists several files of one name.
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
    /// Which statements say that this was built, and do not count.
    pub unproven: Vec<Unproven>,
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

/// A word that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproven {
    /// Whose: an index into the statements.
    pub statement: usize,
    /// Why.
    pub why: Uncounted,
}

/// Why somebody's word does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// The signature is not good, or not good enough for the policy.
    Signature(Verdict),
    /// The policy gives the signer no weight.
    NoWeight,
    /// The same person vouches for something else about the same release and package, with a newer signature.
    Replaced,
    /// The same person vouches for something else about the same release and package, with a signature that is as new.
    Contradicted,
    /// A list, beside which the same person has an assertion of the same package: that counts.
    PassedOver,
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
    /// Who has the line: an index into the statements.
    statement: usize,
    path: &'s str,
}

/// Lines of all manifests that have something in common: the bytes, the name, or both.
#[derive(Default)]
struct Lines<'s> {
    /// A line of each person whose word counts, the first of the heaviest; a person is known by a number.
    people: Vec<(usize, Listed<'s>)>,
    /// The statements with such a line, each once.
    statements: Vec<usize>,
}

impl<'s> Lines<'s> {
    fn add(&mut self, listed: Listed<'s>, person: Option<usize>, weights: &[u64]) {
        // Statement by statement they come.
        if self.statements.last() != Some(&listed.statement) {
            self.statements.push(listed.statement);
        }
        if let Some(person) = person {
            self.add_person(person, listed, weights);
        }
    }

    fn add_person(&mut self, person: usize, listed: Listed<'s>, weights: &[u64]) {
        match self.people.iter_mut().find(|(known, _)| *known == person) {
            None => self.people.push((person, listed)),
            Some((_, known)) if weights[listed.statement] > weights[known.statement] => *known = listed,
            Some(_) => {}
        }
    }

    /// Puts lines together.
    fn all(parts: [Option<&Self>; 2], weights: &[u64]) -> Self {
        let mut all = Self::default();
        for part in parts.into_iter().flatten() {
            all.statements.extend(&part.statements);
            for (person, listed) in &part.people {
                all.add_person(*person, *listed, weights);
            }
        }
        all.statements.sort_unstable();
        all.statements.dedup();
        all
    }

    fn without(&self, others: &Self) -> Vec<Listed<'s>> {
        let is_other = |person: usize| others.people.iter().any(|(known, _)| *known == person);
        self.people.iter().filter(|(person, _)| !is_other(*person)).map(|(_, listed)| *listed).collect()
    }
}

fn listed<'s>(people: Vec<(usize, Listed<'s>)>) -> Vec<Listed<'s>> {
    people.into_iter().map(|(_, listed)| listed).collect()
}

/// How a line of a manifest is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Name<'s> {
    /// By its name without folders: the only file of that name in its manifest.
    Only(&'s str),
    /// By its name without folders: one of several in its manifest.
    OneOf(&'s str),
    /// One of several, by its whole path.
    Path(&'s str),
}

impl<'s> Name<'s> {
    /// Returns under which names a line of a manifest is found.
    fn of(path: &'s str, several: &HashSet<&str>) -> Vec<Self> {
        let name = base_name(path);
        if several.contains(name) { vec![Self::OneOf(name), Self::Path(plain(path))] } else { vec![Self::Only(name)] }
    }

    /// Returns which lines are meant: where a manifest has several of a name, that in the folders which are asked for, if any.
    fn asked(name: &'s str) -> [Self; 2] {
        let base = base_name(name);
        let of_several = if plain(name).contains('/') { Self::Path(plain(name)) } else { Self::OneOf(base) };
        [Self::Only(base), of_several]
    }
}

/// Returns the names that several files of a manifest have which are not the same.
fn several(entries: &[Entry]) -> HashSet<&str> {
    let mut first = HashMap::new();
    let mut several = HashSet::new();
    for Entry { path, digest } in entries {
        let name = base_name(path);
        if first.entry(name).or_insert(digest) != &digest {
            several.insert(name);
        }
    }
    several
}

/// Returns a path without the `./` that some put before it.
fn plain(path: &str) -> &str {
    path.trim_start_matches("./")
}

/// Finds who vouches for each file, in their order. `release` is the one that is meant, if only one is: a list that lies in no
/// tree is about that.
pub fn agreements(
    asked: &[Asked],
    statements: &[Statement],
    policy: &Policy,
    at: SystemTime,
    release: Option<&str>,
) -> Vec<Agreement> {
    let manifests = manifests(asked, statements);
    let standing = standing(statements, policy, at);
    let weights: Vec<u64> = statements.iter().map(|statement| u64::from(policy.weight_of(&statement.facts))).collect();
    let mut by_bytes: HashMap<Digest, Lines<'_>> = HashMap::new();
    let mut by_name: HashMap<Name<'_>, Lines<'_>> = HashMap::new();
    let mut by_both: HashMap<(Name<'_>, Digest), Lines<'_>> = HashMap::new();
    let named: Vec<HashSet<&str>> = manifests.iter().map(|(_, entries)| several(entries)).collect();
    let lines = manifests.iter().zip(&named);
    for (statement, entries, several) in
        lines.flat_map(|((who, entries), several)| who.iter().map(move |who| (*who, entries, several)))
    {
        let person = standing[statement].as_ref().ok().copied();
        for Entry { path, digest } in entries {
            let listed = Listed { statement, path };
            by_bytes.entry(*digest).or_default().add(listed, person, &weights);
            for name in Name::of(path, several) {
                by_name.entry(name).or_default().add(listed, person, &weights);
                by_both.entry((name, *digest)).or_default().add(listed, person, &weights);
            }
        }
    }
    let builders = |lines: Vec<Listed<'_>>| {
        let builder = |Listed { statement, path }| Builder {
            signer: statements[statement].facts.signer.clone(),
            release: statements[statement].release.clone(),
            path: str::to_owned(path),
            weight: weights[statement],
        };
        let mut builders: Vec<Builder> = lines.into_iter().map(builder).collect();
        builders.sort();
        builders
    };
    let nobody = Lines::default();
    // Whatever their release: a statement about another one must not keep these from being heard. Who built this under
    // this name and, for another release, something else, vouches for this; who gave this another name does not: it would
    // make an older release pass for the new one.
    let of_file = |file: &Asked| {
        let names = Name::asked(&file.name);
        let same = by_bytes.get(&file.digest).unwrap_or(&nobody);
        let called = &Lines::all(names.map(|name| by_name.get(&name)), &weights);
        let these = &Lines::all(names.map(|name| by_both.get(&(name, file.digest))), &weights);
        let of_name = &Lines::all([Some(called), by_name.get(&Name::OneOf(base_name(&file.name)))], &weights);
        let replaced = replaced(these, of_name, statements, &standing, policy, release);
        let why = |statement: usize| match &standing[statement] {
            Ok(_) => replaced.get(&statement).cloned(),
            Err(why) => Some(why.clone()),
        };
        let uncounted = |&statement: &usize| Some(Unproven { statement, why: why(statement)? });
        let proven: Vec<usize> =
            these.statements.iter().copied().filter(|&statement| why(statement).is_none()).collect();
        let counts = |person: usize| proven.iter().any(|&statement| standing[statement] == Ok(person));
        let (built_by, taken_back) = these.people.iter().copied().partition::<Vec<_>, _>(|(person, _)| counts(*person));
        let mut otherwise = builders(called.without(these));
        // Who has several files of the name, none in these folders and none of these bytes, built something else.
        otherwise.extend(builders(of_name.without(&Lines::all([Some(called), Some(same)], &weights))));
        otherwise.extend(builders(listed(taken_back)));
        otherwise.sort();
        Agreement {
            built_by: builders(listed(built_by)),
            renamed: builders(same.without(these)),
            otherwise,
            unproven: same.statements.iter().filter_map(uncounted).collect(),
            unmet: unmet_by(proven.into_iter().map(|statement| &statements[statement].facts).collect(), policy),
        }
    };
    asked.iter().map(of_file).collect()
}

/// Returns which lists' words about a file do not count, since the same person says something else about it, for a release of
/// the same name, in a document that is newer or as new. What a list is about is said by its place alone, and anybody can put
/// a copy elsewhere; an assertion says itself what it is about, and what replaces it is known from that.
fn replaced(
    these: &Lines<'_>,
    called: &Lines<'_>,
    statements: &[Statement],
    standing: &[Result<usize, Uncounted>],
    policy: &Policy,
    meant: Option<&str>,
) -> HashMap<usize, Uncounted> {
    let release_of = |statement: usize| match &*statements[statement].release {
        "" => meant.map_or("", release_name),
        release => release_name(release),
    };
    let newest_other = |statement: usize| {
        let release = release_of(statement);
        let others = called.statements.iter().filter(|other| !these.statements.contains(other));
        let of_person = others.filter(|&&other| standing[other].is_ok() && standing[other] == standing[statement]);
        let of_release = of_person.filter(|&&other| release_of(other) == release);
        of_release.filter_map(|&other| made(&statements[other].facts, policy)).max()
    };
    let why = |&statement: &usize| {
        if standing[statement].is_err() || Subject::of(&statements[statement]).is_assert {
            return None;
        }
        match newest_other(statement)?.cmp(&made(&statements[statement].facts, policy)?) {
            Ordering::Greater => Some((statement, Uncounted::Replaced)),
            Ordering::Equal => Some((statement, Uncounted::Contradicted)),
            Ordering::Less => None,
        }
    };
    these.statements.iter().filter_map(why).collect()
}

/// Returns what is listed, and by which statements: of that what has the name or the bytes of a file that is asked about.
fn manifests(asked: &[Asked], statements: &[Statement]) -> Vec<(Vec<usize>, Vec<Entry>)> {
    let names: HashSet<&str> = asked.iter().map(|file| base_name(&file.name)).collect();
    let digests: HashSet<Digest> = asked.iter().map(|file| file.digest).collect();
    let entries = |built: &str| {
        let mut entries = Manifest::parse(built).manifest.entries;
        entries.retain(|entry| digests.contains(&entry.digest) || names.contains(base_name(&entry.path)));
        entries
    };
    // Those who signed one list come one after the other, and may be hundreds.
    let is_shared = |a: &usize, b: &usize| match [a, b].map(|index| &statements[*index].facts.document) {
        [Document::Read(a), Document::Read(b)] => Arc::ptr_eq(a, b),
        _ => false,
    };
    let indices: Vec<usize> = (0..statements.len()).collect();
    let documents = indices.chunk_by(is_shared);
    documents.filter_map(|who| Some((who.to_vec(), entries(built(&statements[*who.first()?])?)))).collect()
}

/// Returns the text of what was built, if the document could be read.
fn built(statement: &Statement) -> Option<&str> {
    match &statement.facts.document {
        Document::Read(assertion) => Some(assertion.out_manifest().unwrap_or_default()),
        Document::Absent | Document::OutOfReach(_) | Document::Malformed(_) => None,
    }
}

/// Returns for each statement whose word it is, each person with a number, or why it does not count.
fn standing(statements: &[Statement], policy: &Policy, at: SystemTime) -> Vec<Result<usize, Uncounted>> {
    let signature = |statement: &Statement| weigh(&statement.facts, policy, at).map_err(Uncounted::Signature);
    let mut standing: Vec<Result<(), Uncounted>> = statements.iter().map(signature).collect();
    let mut by_subject: HashMap<Subject<'_>, Vec<usize>> = HashMap::new();
    for (index, statement) in statements.iter().enumerate().filter(|(index, _)| standing[*index].is_ok()) {
        by_subject.entry(Subject::of(statement)).or_default().push(index);
    }
    for about_it in by_subject.values() {
        let word = |&index: &usize| {
            let facts = &statements[index].facts;
            Some(Word {
                person: Person::of(facts, policy),
                made: made(facts, policy),
                manifest: built(&statements[index]),
            })
        };
        let beside = |(place, &index): (usize, &usize)| {
            let statement = &statements[index];
            words_beside(&statement.facts, policy, at, built(statement)).map(move |word| (place, word))
        };
        let beside: Vec<_> = about_it.iter().enumerate().flat_map(beside).collect();
        let (last, superseded) = last_words(&about_it.iter().map(word).collect::<Vec<_>>(), &beside);
        for (place, &index) in about_it.iter().enumerate().filter(|(place, _)| superseded[*place]) {
            let is_replaced = last[place].is_some_and(|last| !superseded[last]);
            standing[index] = Err(if is_replaced { Uncounted::Replaced } else { Uncounted::Contradicted });
        }
    }
    pass_over_lists(statements, &mut standing, policy);
    let mut numbers = HashMap::new();
    let number = |(index, standing): (usize, Result<(), Uncounted>)| {
        standing?;
        let facts = &statements[index].facts;
        if policy.weight_of(facts) == 0 {
            return Err(Uncounted::NoWeight);
        }
        let next = numbers.len();
        Ok(*numbers.entry(Person::of(facts, policy)).or_insert(next))
    };
    standing.into_iter().enumerate().map(number).collect()
}

/// Lets lists not count beside which there is an assertion of the same package and person.
fn pass_over_lists(statements: &[Statement], standing: &mut [Result<(), Uncounted>], policy: &Policy) {
    let place = |statement: &'_ Statement| {
        let Statement { release, package, facts } = statement;
        (release.clone(), facts.signer.clone(), package.clone())
    };
    let counting = |index: &usize| standing[*index].is_ok();
    let is_assert = |index: &usize| Subject::of(&statements[*index]).is_assert;
    let whose = |index: usize| (place(&statements[index]), Person::of(&statements[index].facts, policy));
    let asserted: HashSet<_> = (0..statements.len()).filter(counting).filter(is_assert).map(whose).collect();
    let lists = (0..statements.len()).filter(counting).filter(|index| !is_assert(index));
    let passed: Vec<usize> = lists.filter(|&index| asserted.contains(&whose(index))).collect();
    for index in passed {
        standing[index] = Err(Uncounted::PassedOver);
    }
}

/// What somebody can have a last word about.
#[derive(PartialEq, Eq, Hash)]
struct Subject<'s> {
    is_assert: bool,
    release: &'s str,
    package: &'s str,
}

impl<'s> Subject<'s> {
    /// Returns what a statement is about. An assertion says so itself, in whatever folder a copy of it lies; a list is about
    /// what its place says.
    fn of(statement: &'s Statement) -> Self {
        let Statement { release, package, facts } = statement;
        let name = facts.assert_path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match (&facts.document, kind_of(name)) {
            (Document::Read(assertion), Some((Kind::Assert, _))) => Self {
                is_assert: true,
                release: assertion.release().unwrap_or(release_name(release)),
                package: assertion.name().unwrap_or(package),
            },
            _ => Self { is_assert: false, release, package },
        }
    }
}

/// Returns a path without its folders.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
