//! From facts to a decision: who is heard, whose manifest is the reference, who agrees with it, and whether that meets
//! the policy. What a policy says is known to `policy`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ptr;
use std::time::SystemTime;

use gitian_manifest::Assertion;

use crate::differences::differing_lines;
use crate::facts::{CLOCKS, Document, Facts, Good, Naming, Signature, Standing};
use crate::policy::Policy;
use crate::verdict::{Camp, Decision, Mismatch, Reference, Refusal, Stated, Unmet, Verdict, WrongKey};

/// How many lines of a difference are kept: whoever signs may list a hundred thousand files.
const LINES: usize = 1000;

/// What facts are decided by.
#[derive(Clone, Copy, Debug)]
pub struct Criteria<'a> {
    /// The release that assertions must be about.
    pub release: &'a str,
    /// The package that assertions must be about.
    pub package: &'a str,
    /// The signer whose manifest is the reference; without one it is what the most built.
    pub compare_to: Option<&'a str>,
    /// Who is heard, and what is demanded.
    pub policy: &'a Policy,
    /// The time for which to decide: the same that signatures were checked for.
    pub at: SystemTime,
}

/// Decides about the signers of a release.
///
/// Without a signer to compare with, the reference is the manifest with the most weight behind it among acceptable
/// signatures on assertions about this release and package; somebody who signed different things in several folders is
/// heard with the newest. Two manifests of equal weight are a tie: then nobody is compared.
pub fn decide(facts: &[Facts], criteria: &Criteria<'_>) -> Decision {
    let heard: Vec<Result<&Assertion, Verdict>> = facts.iter().map(|facts| hear(facts, criteria)).collect();
    let persons = Persons { facts: facts.iter().collect(), policy: criteria.policy };
    let word = |index: usize| {
        let manifest = fitting(&heard[index], criteria);
        heard[index].is_ok().then(|| Word {
            person: persons.of(index),
            made: made(&facts[index], criteria.policy),
            manifest,
        })
    };
    let words: Vec<_> = (0..facts.len()).map(word).collect();
    let mut beside = Vec::new();
    for (index, facts) in facts.iter().enumerate() {
        let Document::Read(assertion) = &facts.document else { continue };
        let words = words_beside(facts, criteria.policy, criteria.at, fits(assertion, criteria));
        beside.extend(words.map(|word| (index, word)));
    }
    let (same_key_as, superseded) = last_words(&words, &beside);
    let camps = camps(&heard, &superseded, &persons, criteria);
    let reference = reference(facts, &heard, &camps, criteria);
    let golden = match reference {
        Reference::Signer(index) => heard[index].as_ref().ok().and_then(|assertion| assertion.out_manifest()),
        _ => None,
    };
    let judge = |heard: Result<&Assertion, Verdict>| match heard {
        Err(verdict) => verdict,
        Ok(assertion) => compare(assertion, criteria, golden),
    };
    let verdicts: Vec<Verdict> = heard.into_iter().map(judge).collect();
    let agrees = |index: &usize| verdicts[*index] == Verdict::Ok && !superseded[*index];
    let agreeing = || (0..facts.len()).filter(agrees);
    let weight = persons.weight(agreeing());
    let unmet = unmet(&persons, weight, agreeing().collect());
    Decision { reference, verdicts, same_key_as, superseded, camps, weight, unmet }
}

/// Returns the assertion that a signer vouches for with a signature that counts, or why there is none.
fn hear<'f>(facts: &'f Facts, criteria: &Criteria<'_>) -> Result<&'f Assertion, Verdict> {
    match &facts.document {
        Document::Absent => return Err(Verdict::MissingResult),
        Document::OutOfReach(reason) => return Err(Verdict::Unreadable(reason.clone())),
        Document::Malformed(_) | Document::Read(_) => {}
    }
    weigh(facts, criteria.policy, criteria.at)?;
    match &facts.document {
        Document::Read(assertion) => Ok(assertion),
        Document::Malformed(reason) => Err(Verdict::Unreadable(reason.clone())),
        Document::Absent | Document::OutOfReach(_) => Err(Verdict::MissingResult),
    }
}

/// Decides whether a signature counts, and says why it does not.
pub(crate) fn weigh(facts: &Facts, policy: &Policy, at: SystemTime) -> Result<(), Verdict> {
    let chosen = facts.chosen(policy);
    match &facts.signature {
        Signature::Absent => return Err(Verdict::MissingSignature),
        Signature::OutOfReach(reason) => return Err(Verdict::Unreadable(format!("signature {reason}"))),
        Signature::NoKey(_) => return Err(Verdict::NoKey),
        Signature::Good(_) if chosen.is_some_and(|(good, _)| good.standing.counts()) => {}
        Signature::Program(answer) if answer.status.success() => {}
        Signature::Good(_)
        | Signature::Program(_)
        | Signature::Bad { .. }
        | Signature::BrokenHash { .. }
        | Signature::NotDetached(_)
        | Signature::NotChecked => return Err(Verdict::BadSignature),
    }
    if let Some(wrong) = wrong_key(&facts.signer, chosen, policy) {
        return Err(Verdict::WrongKey(wrong));
    }
    let refusals = refusals(chosen.map(|(good, _)| good), policy, at);
    if refusals.is_empty() { Ok(()) } else { Err(Verdict::Refused(refusals)) }
}

/// Returns the key of a good signature if it is not one of the signer's, by the policy's word, else by that of the key file
/// of his name.
pub(crate) fn wrong_key(signer: &str, good: Option<(&Good, &Naming)>, policy: &Policy) -> Option<WrongKey> {
    let own_keys_known = policy.knows_keys_of(signer);
    let Some((good, naming)) = good else {
        return own_keys_known.then_some(WrongKey { key: None, owner: None, file: None });
    };
    let owner = policy.owner_of(good);
    let (wrong, file) = match (owner, naming) {
        (Some(owner), _) => (owner != signer, None),
        (None, _) if own_keys_known || disowned(good, policy) => (true, None),
        (None, Naming::FolderOfOtherKeys(file)) => (true, Some(file.clone())),
        (None, Naming::Folder | Naming::UserId) => (false, None),
    };
    wrong.then(|| WrongKey { key: Some(good.primary_key.clone()), owner: owner.map(str::to_owned), file })
}

/// Whether a policy names other keys of whoever's file this one is in, and nobody has this one by it: he is heard with those
/// only, in whatever folder.
fn disowned(good: &Good, policy: &Policy) -> bool {
    good.owner.as_deref().is_some_and(|owner| policy.knows_keys_of(owner)) && policy.owner_of(good).is_none()
}

/// Returns why a policy does not accept a good signature. Without `good`, another program found it good.
fn refusals(good: Option<&Good>, policy: &Policy, at: SystemTime) -> Vec<Refusal> {
    let Some(good) = good else {
        let asks_who = policy.min_good.is_some_and(|wanted| wanted > 1) || !policy.require.is_empty();
        let asks = asks_who || !policy.groups.is_empty() || policy.strict || policy.max_age.is_some();
        return if asks { vec![Refusal::NotTold] } else { Vec::new() };
    };
    let mut refusals = if policy.strict { strict_refusals(good) } else { Vec::new() };
    match at.duration_since(good.made) {
        Ok(age) => {
            let limit = policy.max_age.filter(|limit| age > *limit);
            refusals.extend(limit.map(|limit| Refusal::TooOld { made: good.made, limit }));
        }
        Err(ahead) if ahead.duration() > CLOCKS => refusals.push(Refusal::FromTheFuture { made: good.made }),
        Err(_) => {}
    }
    refusals
}

/// Returns why a strict policy does not accept a good signature.
pub(crate) fn strict_refusals(good: &Good) -> Vec<Refusal> {
    let mut refusals: Vec<Refusal> = good.weak.iter().cloned().map(Refusal::Weak).collect();
    if matches!(good.standing, Standing::KeyExpiredSince | Standing::MadeAfterExpiry) {
        refusals.push(Refusal::KeyExpired { at: good.key_expires });
    }
    refusals
}

/// Who a signature speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Person<'a> {
    /// A signer whose keys the policy knows, or a file of a key folder.
    Known(&'a str),
    /// The owner of a key.
    Key(&'a str),
    /// Another program checked: all that is known is the folder.
    Folder(&'a str),
}

impl<'a> Person<'a> {
    pub fn of(facts: &'a Facts, policy: &'a Policy) -> Self {
        match facts.chosen(policy) {
            Some((good, _)) => Self::of_good(good, policy),
            None => Self::Folder(&facts.signer),
        }
    }

    fn of_good(good: &'a Good, policy: &'a Policy) -> Self {
        // A key that no policy names is still that of whoever's file it is in.
        policy.owner_of(good).or(good.owner.as_deref()).map_or(Self::Key(&good.primary_key), Self::Known)
    }
}

struct Persons<'a> {
    facts: Vec<&'a Facts>,
    policy: &'a Policy,
}

impl<'a> Persons<'a> {
    fn of(&self, index: usize) -> Person<'a> {
        Person::of(self.facts[index], self.policy)
    }

    /// Returns the weight of signers, each person counted once. A person with several folders has the heaviest one's.
    fn weight(&self, signers: impl Iterator<Item = usize>) -> u64 {
        let mut weights = BTreeMap::new();
        for index in signers {
            let weight = u64::from(self.policy.weight_of(self.facts[index]));
            let known = weights.entry(self.of(index)).or_insert(weight);
            *known = weight.max(*known);
        }
        weights.values().sum()
    }
}

/// Returns the manifest of an assertion that is about what is asked.
fn fitting<'f>(heard: &Result<&'f Assertion, Verdict>, criteria: &Criteria<'_>) -> Option<&'f str> {
    fits(heard.as_ref().ok()?, criteria)
}

fn fits<'f>(assertion: &'f Assertion, criteria: &Criteria<'_>) -> Option<&'f str> {
    let fits = assertion.release() == Some(criteria.release) && assertion.name() == Some(criteria.package);
    assertion.out_manifest().filter(|_| fits)
}

/// Returns when somebody signed, if that is known.
pub(crate) fn made(facts: &Facts, policy: &Policy) -> Option<SystemTime> {
    facts.chosen(policy).map(|(good, _)| good.made)
}

/// What somebody says about one release and package, with a signature that counts.
#[derive(Clone, Debug)]
pub(crate) struct Word<'a> {
    pub person: Person<'a>,
    /// When it was signed, if that is known.
    pub made: Option<SystemTime>,
    /// What was built; nothing if it turns out to be about something else.
    pub manifest: Option<&'a str>,
}

/// Returns what is said by the good signatures of a file that are not the signer's: each is its owner's word all the same,
/// which somebody may have put a signature of his own beside.
pub(crate) fn words_beside<'f>(
    facts: &'f Facts,
    policy: &'f Policy,
    at: SystemTime,
    manifest: Option<&'f str>,
) -> impl Iterator<Item = Word<'f>> {
    let chosen = facts.chosen(policy).map(|(good, _)| good);
    let others = facts.goods().map(|(good, _)| good).filter(move |good| !chosen.is_some_and(|own| ptr::eq(own, *good)));
    let counting = others.filter(move |good| {
        good.standing.counts() && !disowned(good, policy) && refusals(Some(good), policy, at).is_empty()
    });
    counting.map(move |good| Word { person: Person::of_good(good, policy), made: Some(good.made), manifest })
}

/// Returns for each word another one of the same person's, the one that counts, and whether the word is superseded. `beside`
/// are words in the same files as those, by their index.
/// Anybody can copy what somebody signed into a folder of another name, also what he has replaced since: so a person counts
/// with the newest signature only, and not at all if the newest ones are about different things.
pub(crate) fn last_words(words: &[Option<Word<'_>>], beside: &[(usize, Word<'_>)]) -> (Vec<Option<usize>>, Vec<bool>) {
    let told = words.iter().enumerate().filter_map(|(index, word)| Some((index, word.as_ref()?)));
    let mut by_person: HashMap<&Person<'_>, Vec<(usize, &Word<'_>)>> = HashMap::new();
    for (index, word) in told.chain(beside.iter().map(|(index, word)| (*index, word))) {
        by_person.entry(&word.person).or_default().push((index, word));
    }
    let (mut same_key_as, mut superseded) = (vec![None; words.len()], vec![false; words.len()]);
    for own in by_person.values() {
        let newest = own.iter().filter(|(_, word)| word.manifest.is_some()).map(|(_, word)| word.made).max();
        let is_last = |(_, word): &&(usize, &Word<'_>)| word.manifest.is_some() && Some(word.made) == newest;
        let last = own.iter().find(is_last).or(own.first()).copied();
        let said = last.and_then(|(_, word)| word.manifest);
        let is_clear = own.iter().filter(is_last).all(|(_, word)| word.manifest == said);
        let is_own =
            |(index, word): &&(usize, &Word<'_>)| words[*index].as_ref().is_some_and(|own| ptr::eq(own, *word));
        for (index, word) in own.iter().filter(is_own) {
            same_key_as[*index] = last.map(|(last, _)| last).filter(|last| last != index);
            superseded[*index] = word.manifest.is_some() && (!is_clear || word.manifest != said);
        }
    }
    (same_key_as, superseded)
}

fn camps(
    heard: &[Result<&Assertion, Verdict>],
    superseded: &[bool],
    persons: &Persons<'_>,
    criteria: &Criteria<'_>,
) -> Vec<Camp> {
    let mut by_manifest: HashMap<&str, usize> = HashMap::new();
    let mut camps: Vec<Camp> = Vec::new();
    for (index, heard) in heard.iter().enumerate() {
        let Some(manifest) = fitting(heard, criteria).filter(|_| !superseded[index]) else { continue };
        let camp = *by_manifest.entry(manifest).or_insert(camps.len());
        match camps.get_mut(camp) {
            Some(camp) => camp.signers.push(index),
            None => camps.push(Camp { signers: vec![index], weight: 0 }),
        }
    }
    for camp in &mut camps {
        camp.weight = persons.weight(camp.signers.iter().copied());
    }
    // Stable: among equals the camp of the first signer stays first.
    camps.sort_by_key(|camp| std::cmp::Reverse(camp.weight));
    camps
}

fn reference(
    facts: &[Facts],
    heard: &[Result<&Assertion, Verdict>],
    camps: &[Camp],
    criteria: &Criteria<'_>,
) -> Reference {
    if let Some(wanted) = criteria.compare_to {
        let has_weight = |index: usize| criteria.policy.weight_of(&facts[index]) > 0;
        return match facts.iter().position(|facts| facts.signer == wanted) {
            Some(index) if heard[index].is_ok() && has_weight(index) => Reference::Signer(index),
            Some(index) => Reference::Unusable(index),
            None => Reference::Unknown(wanted.to_owned()),
        };
    }
    let Some(most) = camps.first().filter(|camp| camp.weight > 0) else { return Reference::Nobody };
    match camps.iter().filter(|camp| camp.weight == most.weight).count() {
        1 => Reference::Signer(most.signers[0]),
        tied => Reference::Tied(tied),
    }
}

/// Returns what a policy demands, but for the number, of those who agree about something else than a release.
pub(crate) fn unmet_by(agreeing: Vec<&Facts>, policy: &Policy) -> Vec<Unmet> {
    let all = (0..agreeing.len()).collect();
    demands(&Persons { facts: agreeing, policy }, all)
}

fn unmet(persons: &Persons<'_>, weight: u64, agreeing: Vec<usize>) -> Vec<Unmet> {
    let too_few = persons.policy.min_good.filter(|wanted| weight < *wanted);
    let too_few = too_few.map(|wanted| Unmet::TooFew { wanted, found: weight });
    too_few.into_iter().chain(demands(persons, agreeing)).collect()
}

/// Returns the groups and signers whose word is wanted and is not there.
fn demands(persons: &Persons<'_>, agreeing: Vec<usize>) -> Vec<Unmet> {
    let policy = persons.policy;
    let is_wanted = |name: &str| {
        let of_group = policy.groups.values().any(|group| group.members.contains(name));
        (policy.require.contains(name), of_group)
    };
    // Whoever signs in several folders is one of those that they are called after, not all of them.
    let mut names: BTreeMap<Person<'_>, &str> = BTreeMap::new();
    for &index in &agreeing {
        let Some(name) = policy.name_of(persons.facts[index]) else { continue };
        let known = names.entry(persons.of(index)).or_insert(name);
        if is_wanted(name) > is_wanted(known) {
            *known = name;
        }
    }
    let name = |index: usize| names.get(&persons.of(index)).copied();
    let names: BTreeSet<&str> = names.values().copied().collect();
    let mut unmet = Vec::new();
    for (group, rule) in &policy.groups {
        let found = persons.weight(
            agreeing.iter().copied().filter(|&index| name(index).is_some_and(|name| rule.members.contains(name))),
        );
        if found < rule.min_good {
            let others = rule.members.iter().filter(|member| !names.contains(&***member)).cloned().collect();
            unmet.push(Unmet::TooFewOf { group: group.clone(), wanted: rule.min_good, found, others });
        }
    }
    let absent = policy.require.iter().filter(|signer| !names.contains(&***signer));
    unmet.extend(absent.map(|signer| Unmet::Required(signer.clone())));
    unmet
}

fn compare(assertion: &Assertion, criteria: &Criteria<'_>, golden: Option<&str>) -> Verdict {
    let stated = |found: Option<&str>, wanted: &str| {
        (found != Some(wanted)).then(|| Stated { wanted: wanted.to_owned(), found: found.map(str::to_owned) })
    };
    let mut mismatch = Mismatch {
        release: stated(assertion.release(), criteria.release),
        name: stated(assertion.name(), criteria.package),
        ..Mismatch::default()
    };
    let own = assertion.out_manifest().unwrap_or_default();
    if let Some(golden) = golden.filter(|golden| *golden != own) {
        mismatch.manifest = true;
        mismatch.lines = differing_lines(golden, own);
        mismatch.more_lines = mismatch.lines.len().saturating_sub(LINES);
        mismatch.lines.truncate(LINES);
        mismatch.lines.shrink_to_fit();
    }
    match golden {
        _ if mismatch != Mismatch::default() => Verdict::Mismatch(Box::new(mismatch)),
        Some(_) => Verdict::Ok,
        None => Verdict::NotCompared,
    }
}
