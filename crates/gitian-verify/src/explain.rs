//! Why a signer built something else: what the two assertions record about where the outputs came from, the likeliest
//! cause first. A pure function of assertions; what to do about it is left to the program.
//!
//! What somebody who built the same as the reference has in common with the signer cannot be the cause, and is passed over.
//! What one of the two does not record is not known: it is never said to differ.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use gitian_manifest::{Assertion, Entry, InManifest, Manifest, Parsed};

use crate::facts::{Document, Facts};
use crate::packages::{self, PackageChange};
use crate::verdict::{Decision, Mismatch, Reference, Stated, Verdict};

/// How many things of one kind a sentence names.
const NAMED: usize = 3;
/// How much of one name a sentence shows, in characters.
const SHOWN: usize = 100;

/// Why a signer built something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The causes, the likeliest first; never empty for a mismatch.
    pub causes: Vec<Cause>,
    /// How many recorded differences were passed over, because somebody who built the same as the reference has them too.
    pub harmless: usize,
}

/// One cause of a mismatch. The order of the variants is the order of likelihood, but for packages without a toolchain
/// among them: those come after the caches. The last two are remarks: what might be the cause and is not known, and what
/// differs and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The assertion is about another release or package.
    OtherSubject {
        /// The release.
        release: Option<Stated>,
        /// The package.
        name: Option<Stated>,
        /// Whether the outputs are the reference's all the same: then only the words are wrong.
        same_outputs: bool,
    },
    /// Input files differ.
    Inputs(Vec<InputChange>),
    /// Other commits were built.
    Commits(Vec<CommitChange>),
    /// Another descriptor was built.
    Descriptor(InputChange),
    /// Guests of other suites or architectures were used.
    Guests {
        /// Guests of the reference only.
        reference: Vec<String>,
        /// Guests of the signer only.
        signer: Vec<String>,
    },
    /// Other packages in the guests.
    Packages {
        /// Compilers, binutils and C libraries among them.
        toolchain: Vec<PackageChange>,
        /// The other packages.
        others: Vec<PackageChange>,
        /// The distribution of the guests, if they have its keyring.
        distro: Option<String>,
    },
    /// The caches held something else after the build.
    Cache {
        /// The common cache or the package's own.
        which: Cache,
        /// Files that differ or that only one has, by path.
        files: Vec<String>,
    },
    /// Nothing that is recorded explains it, and only some outputs differ: they hold something that changes from build to
    /// build, or from host to host.
    SomeOutputs {
        /// Outputs that differ.
        differing: Vec<String>,
        /// How many are the same.
        same: usize,
    },
    /// Some outputs are there on one side only, the others are the same.
    OtherOutputs {
        /// Outputs of the reference only.
        reference: Vec<String>,
        /// Outputs of the signer only.
        signer: Vec<String>,
    },
    /// The outputs are the same, listed in another order.
    Order,
    /// The outputs are the same and in the same order; only the way in which the list is written differs.
    Spelling,
    /// Nothing that is recorded explains it, and all outputs differ.
    Unexplained,
    /// What cannot be compared, since not both record it.
    NotRecorded {
        /// What the reference does not record.
        reference: Vec<Part>,
        /// What the signer does not record.
        signer: Vec<Part>,
    },
    /// Other files of packages are left in the guests, of which newer versions are used.
    Superseded(Vec<PackageChange>),
}

/// A part of what a build records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Input files, commits and the descriptor.
    Inputs,
    /// The descriptor alone.
    Descriptor,
    /// The packages in the guests.
    Packages,
    /// What the caches held.
    Caches,
}

/// One of the two caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// `cache/common`.
    Common,
    /// `cache/<package>`.
    Package,
}

/// An input file that differs, or that only one has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputChange {
    /// Its name in `inputs/`.
    pub name: String,
    /// Its digest for the reference, in hexadecimal.
    pub reference: Option<String>,
    /// Its digest for the signer, in hexadecimal.
    pub signer: Option<String>,
}

/// What an input file is, as far as its name tells: some have a usual reason to differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// The macOS SDK, which everybody packs from Apple's archive.
    MacOsSdk,
    /// What another descriptor built, to be signed in this one.
    Unsigned,
    /// Anything else.
    Plain,
}

/// A git remote of which another commit was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitChange {
    /// Its folder in `inputs/`.
    pub dir: String,
    /// The reference's commit.
    pub reference: Option<String>,
    /// The signer's commit.
    pub signer: Option<String>,
}

impl Cache {
    /// Returns what is recorded of it; an empty text is an empty cache.
    fn of(self, assertion: &Assertion) -> Option<&str> {
        match self {
            Self::Common => assertion.cache_common_manifest(),
            Self::Package => assertion.cache_package_manifest(),
        }
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::Descriptor => "the descriptor",
            Self::Packages => "packages",
            Self::Caches => "caches",
        }
    }
}

impl InputChange {
    /// Returns what the file is.
    pub fn kind(&self) -> InputKind {
        let name = self.name.to_ascii_lowercase();
        match name {
            _ if name.contains("sdk") && (name.contains("macos") || name.contains("xcode")) => InputKind::MacOsSdk,
            _ if name.contains("unsigned") => InputKind::Unsigned,
            _ => InputKind::Plain,
        }
    }
}

/// Explains why a signer has the verdict [`Verdict::Mismatch`]; nothing for any other verdict.
pub fn explain_verdict(facts: &[Facts], decision: &Decision, index: usize) -> Option<Explanation> {
    let Some(Verdict::Mismatch(mismatch)) = decision.verdicts.get(index) else { return None };
    let assertion = |index: usize| match &facts.get(index)?.document {
        Document::Read(assertion) => Some(&**assertion),
        _ => None,
    };
    let signer = assertion(index)?;
    let Reference::Signer(reference) = decision.reference else {
        return Some(Explanation { causes: subject(mismatch, false).into_iter().collect(), harmless: 0 });
    };
    let agree = |&at: &usize| decision.verdicts[at] == Verdict::Ok && at != reference;
    let agreeing: Vec<&Assertion> = (0..facts.len()).filter(agree).filter_map(assertion).collect();
    Some(explain(assertion(reference)?, signer, &agreeing, mismatch))
}

/// Explains why the signer of one assertion built something else than the signer of the reference. `agreeing` are other
/// assertions with the reference's out manifest.
pub fn explain(reference: &Assertion, signer: &Assertion, agreeing: &[&Assertion], mismatch: &Mismatch) -> Explanation {
    let mut explanation = Explanation::default();
    explanation.causes.extend(subject(mismatch, true));
    if !mismatch.manifest {
        return explanation;
    }
    let outputs = Outputs::of(reference, signer);
    if outputs.is_empty() {
        explanation.causes.push(if is_same_list(reference, signer) { Cause::Spelling } else { Cause::Order });
        return explanation;
    }
    inputs(reference, signer, agreeing, &mut explanation);
    let (packages, superseded) = guests(reference, signer, agreeing, &mut explanation);
    // Packages that make no code differ from day to day, and seldom matter; what is in the caches goes into the outputs.
    let (tools, rest): (Vec<Cause>, Vec<Cause>) = packages.into_iter().partition(Cause::is_toolchain);
    explanation.causes.extend(tools);
    for which in [Cache::Common, Cache::Package] {
        cache(which, reference, signer, agreeing, &mut explanation);
    }
    explanation.causes.extend(rest);
    let not_recorded = not_recorded(reference, signer);
    outputs.explain(not_recorded.is_some(), &mut explanation);
    explanation.causes.extend(not_recorded);
    if !superseded.is_empty() {
        explanation.causes.push(Cause::Superseded(superseded));
    }
    explanation
}

/// `compared`: whether the outputs were compared with anybody's.
fn subject(mismatch: &Mismatch, compared: bool) -> Option<Cause> {
    let Mismatch { release, name, manifest, .. } = mismatch;
    (release.is_some() || name.is_some()).then(|| Cause::OtherSubject {
        release: release.clone(),
        name: name.clone(),
        same_outputs: compared && !manifest,
    })
}

/// What an in manifest records.
#[derive(Debug, Default)]
struct Inputs {
    descriptor: Option<Entry>,
    files: Vec<Entry>,
    /// Folder and commit.
    commits: BTreeMap<String, String>,
}

impl Inputs {
    /// Returns nothing if nothing is recorded: there is a descriptor at least.
    fn of(assertion: &Assertion) -> Option<Self> {
        let InManifest { descriptor, files, commits, .. } = InManifest::parse(assertion.in_manifest()?);
        let commits: BTreeMap<_, _> = commits.into_iter().map(|commit| (commit.dir, commit.id)).collect();
        let is_empty = descriptor.is_none() && files.is_empty() && commits.is_empty();
        (!is_empty).then_some(Self { descriptor, files, commits })
    }
}

/// Returns what cannot be compared. Caches that neither records are passed over: old programs have none.
fn not_recorded(reference: &Assertion, signer: &Assertion) -> Option<Cause> {
    let (here, there) = (Inputs::of(reference), Inputs::of(signer));
    let is_without_descriptor = |own: &Option<Inputs>, other: &Option<Inputs>| matches!((own, other), (Some(own), Some(other)) if own.descriptor.is_none() && other.descriptor.is_some());
    let has_no_packages = |assertion| base_manifests(assertion).values().all(|manifest| manifest.entries.is_empty());
    let lacks_a_cache = |own: &Assertion, other: &Assertion| {
        [Cache::Common, Cache::Package].iter().any(|cache| cache.of(own).is_none() && cache.of(other).is_some())
    };
    let parts = |own, own_inputs: &Option<Inputs>, other, other_inputs: &Option<Inputs>| -> Vec<Part> {
        let parts = [
            (own_inputs.is_none(), Part::Inputs),
            (is_without_descriptor(own_inputs, other_inputs), Part::Descriptor),
            (has_no_packages(own), Part::Packages),
            (lacks_a_cache(own, other), Part::Caches),
        ];
        parts.into_iter().filter(|(lacks, _)| *lacks).map(|(_, part)| part).collect()
    };
    let (reference, signer) = (parts(reference, &here, signer, &there), parts(signer, &there, reference, &here));
    (!reference.is_empty() || !signer.is_empty()).then_some(Cause::NotRecorded { reference, signer })
}

fn inputs(reference: &Assertion, signer: &Assertion, agreeing: &[&Assertion], explanation: &mut Explanation) {
    let (Some(here), Some(there)) = (Inputs::of(reference), Inputs::of(signer)) else { return };
    let others: Vec<Inputs> = agreeing.iter().filter_map(|assertion| Inputs::of(assertion)).collect();
    let by_name = |entries: &[Entry]| -> BTreeMap<String, String> {
        entries.iter().map(|entry| (entry.path.clone(), entry.digest.to_string())).collect()
    };
    let (files, other_files) = (by_name(&here.files), by_name(&there.files));
    let known: Vec<BTreeMap<String, String>> = others.iter().map(|other| by_name(&other.files)).collect();
    let changed = changed(&files, &other_files, &known, explanation);
    let changes: Vec<InputChange> =
        changed.into_iter().map(|(name, reference, signer)| InputChange { name, reference, signer }).collect();
    if !changes.is_empty() {
        explanation.causes.push(Cause::Inputs(in_order_of_suspicion(changes)));
    }
    let known: Vec<BTreeMap<String, String>> = others.iter().map(|other| other.commits.clone()).collect();
    let changes = self::changed(&here.commits, &there.commits, &known, explanation);
    let changes: Vec<CommitChange> =
        changes.into_iter().map(|(dir, reference, signer)| CommitChange { dir, reference, signer }).collect();
    if !changes.is_empty() {
        explanation.causes.push(Cause::Commits(changes));
    }
    let (Some(here), Some(there)) = (&here.descriptor, &there.descriptor) else { return };
    if here.digest != there.digest {
        if others.iter().filter_map(|other| other.descriptor.as_ref()).any(|other| other.digest == there.digest) {
            explanation.harmless += 1;
            return;
        }
        explanation.causes.push(Cause::Descriptor(InputChange {
            name: there.path.clone(),
            reference: Some(here.digest.to_string()),
            signer: Some(there.digest.to_string()),
        }));
    }
}

/// A name, and its value for the reference and for the signer.
type Changed = (String, Option<String>, Option<String>);

/// Returns the names whose values differ, apart from those where somebody who agrees has the signer's value.
fn changed(
    reference: &BTreeMap<String, String>,
    signer: &BTreeMap<String, String>,
    agreeing: &[BTreeMap<String, String>],
    explanation: &mut Explanation,
) -> Vec<Changed> {
    let names: BTreeSet<&String> = reference.keys().chain(signer.keys()).collect();
    let differing = names.into_iter().filter(|name| reference.get(*name) != signer.get(*name));
    let (harmless, changed): (Vec<&String>, Vec<&String>) =
        differing.partition(|name| agreeing.iter().any(|other| other.get(*name) == signer.get(*name)));
    explanation.harmless += harmless.len();
    let value = |of: &BTreeMap<String, String>, name: &String| of.get(name).cloned();
    changed.into_iter().map(|name| (name.clone(), value(reference, name), value(signer, name))).collect()
}

/// Puts first what is known to differ often.
fn in_order_of_suspicion(mut changes: Vec<InputChange>) -> Vec<InputChange> {
    changes.sort_by_key(|change| match change.kind() {
        InputKind::Unsigned => 0,
        InputKind::MacOsSdk => 1,
        InputKind::Plain => 2,
    });
    changes
}

fn base_manifests(assertion: &Assertion) -> BTreeMap<&str, Manifest> {
    let guests = assertion.base_manifests().unwrap_or_default();
    guests.into_iter().map(|(guest, text)| (guest, Manifest::parse(text).manifest)).collect()
}

/// Adds other guests, and returns what differs in those that both have: packages that are used, and those that are not.
fn guests(
    reference: &Assertion,
    signer: &Assertion,
    agreeing: &[&Assertion],
    explanation: &mut Explanation,
) -> (Option<Cause>, Vec<PackageChange>) {
    let (here, there) = (base_manifests(reference), base_manifests(signer));
    if here.is_empty() || there.is_empty() {
        return (None, Vec::new());
    }
    let others: Vec<_> = agreeing.iter().map(|assertion| base_manifests(assertion)).collect();
    let only = |own: &BTreeMap<&str, Manifest>, other: &BTreeMap<&str, Manifest>| -> Vec<String> {
        own.keys().filter(|guest| !other.contains_key(*guest)).map(|guest| (*guest).to_owned()).collect()
    };
    let (reference, signer) = (only(&here, &there), only(&there, &here));
    if !reference.is_empty() || !signer.is_empty() {
        if others.iter().any(|other| other.keys().eq(there.keys())) {
            explanation.harmless += reference.len() + signer.len();
        } else {
            explanation.causes.push(Cause::Guests { reference, signer });
        }
    }
    let (mut toolchain, mut others_changed, mut superseded) = (Vec::new(), Vec::new(), Vec::new());
    let is_recorded = |manifest: &&Manifest| !manifest.entries.is_empty();
    for (guest, manifest) in here.iter().filter(|(_, manifest)| is_recorded(manifest)) {
        let Some(other) = there.get(guest).filter(is_recorded) else { continue };
        let known = Known::of(others.iter().filter_map(|other| other.get(guest).filter(is_recorded)));
        let harmless = |change: &PackageChange, entry: Option<&Entry>| match entry {
            Some(entry) => known.lines.contains(entry),
            None => !change.superseded && known.guests.iter().any(|names| !names.contains(&*change.name)),
        };
        let (changes, passed_over) = packages::changes(guest, manifest, other, harmless);
        explanation.harmless += passed_over;
        let (left, used): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| change.superseded);
        let (tools, rest): (Vec<_>, Vec<_>) = used.into_iter().partition(PackageChange::is_toolchain);
        toolchain.extend(tools);
        others_changed.extend(rest);
        superseded.extend(left);
    }
    let differ = !toolchain.is_empty() || !others_changed.is_empty();
    let distro = here.values().find_map(packages::distro).map(str::to_owned);
    (differ.then_some(Cause::Packages { toolchain, others: others_changed, distro }), superseded)
}

/// The packages of one guest of those who agree.
struct Known<'a> {
    /// All lines.
    lines: HashSet<&'a Entry>,
    /// The names of the packages of each.
    guests: Vec<HashSet<&'a str>>,
}

impl<'a> Known<'a> {
    fn of(manifests: impl Iterator<Item = &'a Manifest> + Clone) -> Self {
        let names =
            |manifest: &'a Manifest| manifest.entries.iter().map(|entry| packages::parts(&entry.path).0).collect();
        Self {
            lines: manifests.clone().flat_map(|manifest| &manifest.entries).collect(),
            guests: manifests.map(names).collect(),
        }
    }
}

fn cache(
    which: Cache,
    reference: &Assertion,
    signer: &Assertion,
    agreeing: &[&Assertion],
    explanation: &mut Explanation,
) {
    let of = |assertion: &Assertion| -> Option<BTreeMap<String, String>> {
        let entries = Manifest::parse(which.of(assertion)?).manifest.entries;
        Some(entries.into_iter().map(|entry| (entry.path, entry.digest.to_string())).collect())
    };
    let (Some(here), Some(there)) = (of(reference), of(signer)) else { return };
    let others: Vec<_> = agreeing.iter().filter_map(|assertion| of(assertion)).collect();
    let changed = changed(&here, &there, &others, explanation);
    if !changed.is_empty() {
        let files = changed.into_iter().map(|(path, ..)| path).collect();
        explanation.causes.push(Cause::Cache { which, files });
    }
}

/// Whether two out manifests list the same in the same order, however it is written.
fn is_same_list(reference: &Assertion, signer: &Assertion) -> bool {
    let [here, there] = [reference, signer].map(|assertion| assertion.out_manifest().unwrap_or_default());
    let lines = |text: &'_ str| text.lines().map(plain).filter(|line| *line != Parsed::default()).collect::<Vec<_>>();
    lines(here) == lines(there)
}

/// Reads a list as it is meant: however its paths are spelled, and without what only people read.
fn plain(text: &str) -> Parsed {
    let mut parsed = Manifest::parse(text);
    for entry in &mut parsed.manifest.entries {
        while let Some(rest) = entry.path.strip_prefix("./") {
            entry.path = rest.to_owned();
        }
    }
    parsed.unreadable.retain(|line| !line.starts_with('#'));
    parsed
}

/// How outputs differ.
struct Outputs {
    differing: Vec<String>,
    reference: Vec<String>,
    signer: Vec<String>,
    same: usize,
    /// Lines that are no lines of a manifest differ.
    strange: bool,
}

impl Outputs {
    fn of(reference: &Assertion, signer: &Assertion) -> Self {
        let parse = |assertion: &Assertion| plain(assertion.out_manifest().unwrap_or_default());
        let (here, there) = (parse(reference), parse(signer));
        let difference = here.manifest.difference(&there.manifest);
        let paths = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.path).collect();
        Self {
            same: here.manifest.entries.len() - difference.changed.len() - difference.only_here.len(),
            differing: difference.changed.into_iter().map(|changed| changed.path).collect(),
            reference: paths(difference.only_here),
            signer: paths(difference.only_there),
            strange: here.unreadable != there.unreadable,
        }
    }

    fn is_empty(&self) -> bool {
        self.differing.is_empty() && self.reference.is_empty() && self.signer.is_empty() && !self.strange
    }

    /// Adds what the outputs themselves tell. Without another cause that is all there is to say, unless something was not
    /// recorded.
    fn explain(self, not_recorded: bool, explanation: &mut Explanation) {
        let Self { differing, reference, signer, same, .. } = self;
        let some = same > 0 && !differing.is_empty();
        if !reference.is_empty() || !signer.is_empty() {
            explanation.causes.push(Cause::OtherOutputs { reference, signer });
        }
        if some {
            explanation.causes.push(Cause::SomeOutputs { differing, same });
        } else if explanation.causes.is_empty() && !not_recorded {
            explanation.causes.push(Cause::Unexplained);
        }
    }
}

impl Cause {
    /// Returns whether it is that other compilers, binutils or C libraries were used.
    pub fn is_toolchain(&self) -> bool {
        matches!(self, Self::Packages { toolchain, .. } if !toolchain.is_empty())
    }

    /// Returns the cause in one sentence, without a full stop. `reference` names the signer of the reference. Names in it
    /// are as hostile as the assertion.
    pub fn sentence(&self, reference: &str) -> String {
        match self {
            Self::OtherSubject { release, name, same_outputs } => {
                let about = |what: &str, stated: &Stated| match &stated.found {
                    Some(found) => format!("{what} {} instead of {}", short(found), stated.wanted),
                    None => format!("no {what} instead of {}", stated.wanted),
                };
                let parts = [("release", release), ("package", name)];
                let parts: Vec<String> =
                    parts.iter().filter_map(|(what, stated)| Some(about(what, stated.as_ref()?))).collect();
                let same = if *same_outputs { ", though the outputs are the same" } else { "" };
                format!("the assertion names {}{same}", parts.join(" and "))
            }
            Self::Inputs(changes) => {
                let one = |change: &InputChange| match (&change.reference, &change.signer) {
                    (Some(_), None) => format!("{} is missing", short(&change.name)),
                    (None, Some(_)) => format!("{} is additional", short(&change.name)),
                    _ => format!("{} is another file", short(&change.name)),
                };
                let kind = match changes.first().map(InputChange::kind) {
                    Some(InputKind::MacOsSdk) => "the macOS SDK differs from",
                    Some(InputKind::Unsigned) => "the unsigned build that was signed differs from",
                    _ => "input files differ from",
                };
                format!("{kind} {reference}'s: {}", listed(changes, one))
            }
            Self::Commits(changes) => {
                let one = |change: &CommitChange| match (&change.reference, &change.signer) {
                    (Some(_), None) => format!("{} was not built", short(&change.dir)),
                    (None, Some(id)) => format!("{} is additional at {}", short(&change.dir), commit(id)),
                    (here, there) => {
                        let id = |id: &Option<String>| id.as_deref().map(commit).unwrap_or_default();
                        format!("{} at {}, not {}", short(&change.dir), id(there), id(here))
                    }
                };
                format!("another git commit than {reference}'s was built: {}", listed(changes, one))
            }
            Self::Descriptor(change) => {
                format!("another descriptor than {reference}'s was built: {}", short(&change.name))
            }
            Self::Guests { reference: missing, signer } => {
                let mut parts = Vec::new();
                if !missing.is_empty() {
                    parts.push(format!("without {}", listed(missing, |guest| short(guest))));
                }
                if !signer.is_empty() {
                    parts.push(format!("with {} besides", listed(signer, |guest| short(guest))));
                }
                format!("it was built in other guests than {reference}'s: {}", parts.join(", "))
            }
            Self::Packages { toolchain, others, .. } => match (toolchain.len(), others.len()) {
                (0, _) => {
                    format!("other packages than {reference}'s were in the guests: {}", listed(others, package))
                }
                (_, 0) => format!("another toolchain than {reference}'s: {}", listed(toolchain, package)),
                (_, count) => format!(
                    "another toolchain than {reference}'s: {}; {count} other packages differ",
                    listed(toolchain, package)
                ),
            },
            Self::Cache { which, files } => {
                let which = match which {
                    Cache::Common => "the common cache",
                    Cache::Package => "the package's cache",
                };
                format!("{which} held something else than {reference}'s: {}", listed(files, |file| short(file)))
            }
            Self::SomeOutputs { differing, same } => {
                let all = differing.len() + same;
                format!("only {} of {all} outputs differ: {}", differing.len(), listed(differing, |file| short(file)))
            }
            Self::OtherOutputs { reference: missing, signer } => {
                let mut parts = Vec::new();
                if !missing.is_empty() {
                    parts.push(format!("{} missing", listed(missing, |file| short(file))));
                }
                if !signer.is_empty() {
                    parts.push(format!("{} besides", listed(signer, |file| short(file))));
                }
                format!("there are other outputs than {reference}'s: {}", parts.join("; "))
            }
            Self::Order => format!("the outputs are the same, listed in another order than {reference}'s"),
            Self::Spelling => format!(
                "the outputs are the same, but the list is written otherwise than {reference}'s: the ends of lines, * or ./ \
                 before names, capital digits, comments"
            ),
            Self::Unexplained => format!(
                "nothing that is recorded and used differs from {reference}'s: the build depends on time, chance or the host"
            ),
            Self::NotRecorded { reference: here, signer } => {
                let parts = |parts: &[Part]| match parts {
                    [] => String::new(),
                    [part] => part.name().to_owned(),
                    [parts @ .., last] => {
                        let parts: Vec<&str> = parts.iter().map(|part| part.name()).collect();
                        format!("{} and {}", parts.join(", "), last.name())
                    }
                };
                match (&here[..], &signer[..]) {
                    (here, []) => format!("{reference}'s record says nothing of {}", parts(here)),
                    ([], there) => format!("the signer's record says nothing of {}", parts(there)),
                    (here, there) if here == there => {
                        format!("neither the signer's record nor {reference}'s says anything of {}", parts(here))
                    }
                    (here, there) => format!(
                        "the signer's record says nothing of {}, {reference}'s nothing of {}",
                        parts(there),
                        parts(here)
                    ),
                }
            }
            Self::Superseded(changes) => {
                format!(
                    "unused packages, which newer ones superseded, differ from {reference}'s: {}",
                    listed(changes, package)
                )
            }
        }
    }
}

/// Returns how a package differs.
fn package(change: &PackageChange) -> String {
    let name = short(&change.name);
    match (&change.reference, &change.signer) {
        (Some(version), None) if change.superseded => format!("no {name} {}", short(version)),
        (Some(here), Some(there)) if here == there => format!("{name} {} of other content", short(here)),
        (Some(here), Some(there)) => format!("{name} {} instead of {}", short(there), short(here)),
        (Some(_), None) => format!("no {name}"),
        (None, there) => format!("{name} {} besides", short(there.as_deref().unwrap_or(""))),
    }
}

/// Names the first few things and counts the rest.
fn listed<T>(all: &[T], one: impl Fn(&T) -> String) -> String {
    let named: Vec<String> = all.iter().take(NAMED).map(one).collect();
    match all.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn short(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn commit(id: &str) -> String {
    id.chars().take(12).collect()
}
