//! Five hundred releases, each with a signer who built something else for a planted reason: the explanation that comes
//! first is the planted one.

mod made;

use gitian_manifest::{Assertion, Report};
use gitian_verify::{
    Cache, Cause, Criteria, Decision, Facts, Mismatch, Part, Policy, Reference, Verdict, decide, explain,
    explain_verdict,
};
use made::{day, line, signer};

/// Why a signer built something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plant {
    Input,
    InputMissing,
    MacOsSdk,
    Unsigned,
    Commit,
    Descriptor,
    Guest,
    Toolchain,
    CommonCache,
    PackageCache,
    OtherPackage,
    Leftovers,
    SomeOutputs,
    Release,
    Name,
    Nothing,
}

use Plant::*;

/// Those that are recorded somewhere and can come in pairs.
const RECORDED: [Plant; 11] = [
    Input,
    InputMissing,
    MacOsSdk,
    Unsigned,
    Commit,
    Descriptor,
    Guest,
    Toolchain,
    CommonCache,
    PackageCache,
    OtherPackage,
];
/// Those that come alone: they say that nothing else is wrong. What is left in a guest is no cause, with others neither.
const ALONE: [Plant; 5] = [SomeOutputs, Release, Name, Nothing, Leftovers];

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// One signer's build. What differs innocently depends on the day of the build alone: packages get updates, and caches hold
/// what was fetched.
struct Build {
    /// The day on which ordinary packages were installed.
    day: u64,
    /// The day on which compilers were installed and caches filled.
    tools_day: u64,
    plants: Vec<Plant>,
    /// Makes planted differences different.
    seed: u64,
}

impl Build {
    fn has(&self, plant: Plant) -> bool {
        self.plants.contains(&plant)
    }

    /// The content of something that a plant changes.
    fn content(&self, plant: Plant) -> String {
        if self.has(plant) { format!("other {}", self.seed) } else { "usual".to_owned() }
    }

    fn assertion(&self) -> Assertion {
        let words_only = self.plants.iter().all(|plant| matches!(plant, Release | Name));
        let outputs = (0..6).map(|at| {
            let changed = !words_only && (at == 2 || !self.has(SomeOutputs));
            let content = if changed { format!("built by {}", self.seed) } else { "built".to_owned() };
            line(&content, &format!("hello-{at}.tar.gz"))
        });
        let mut inputs = line(&self.content(Descriptor), "hello-desc.yml");
        inputs += &line("usual", "osslsigncode-1.7.1.tar.gz");
        inputs += &line(&self.content(MacOsSdk), "MacOSX10.11.sdk.tar.gz");
        inputs += &line(&self.content(Unsigned), "hello-win-unsigned.tar.gz");
        inputs += &line(&self.content(Input), "openssl-1.0.1k.tar.gz");
        if !self.has(InputMissing) {
            inputs += &line("usual", "miniupnpc-1.9.tar.gz");
        }
        inputs += &format!("git:{:040x} hello", if self.has(Commit) { self.seed + 1 } else { 0 });
        inputs += &format!("git:{:040x} signatures", 7);
        let mut guests = vec![("bionic-amd64".to_owned(), self.packages())];
        if !self.has(Guest) {
            guests.push(("bionic-i386".to_owned(), self.packages()));
        }
        let common = line(&self.content(CommonCache), "sources/boost.tar.gz") + &line("usual", "sources/qt.tar.gz");
        let package = line(&self.content(PackageCache), "x86_64/boost.tar.gz")
            + &line(&format!("of day {}", self.tools_day), "x86_64/log");
        let report = Report::new(outputs.collect(), inputs, guests, Some(common), Some(package));
        let release = if self.has(Release) { "0.9" } else { "1.0" };
        let name = if self.has(Name) { "hello-win" } else { "hello" };
        Assertion::new(report, release, name, None)
    }

    fn packages(&self) -> String {
        let gcc = if self.has(Toolchain) { format!("8.{}-9", self.seed) } else { "8.4.0-1".to_owned() };
        let zip = if self.has(OtherPackage) { format!("4.{}-1", self.seed) } else { "3.0-11".to_owned() };
        let mut files = vec![format!("gcc-8_{gcc}_amd64.deb"), format!("zip_{zip}_amd64.deb")];
        // Updates come one after the other, of compilers too: whoever builds later has all of them.
        let mut update = |day: u64, names: [&str; 3]| {
            files.extend((0..).zip(names).map(|(at, name)| format!("{name}_1.{}_amd64.deb", u64::from(day > 2 * at))));
        };
        update(self.day, ["tzdata", "systemd", "perl"]);
        update(self.tools_day, ["binutils-common", "libc-bin", "g++-8"]);
        // Who upgrades a guest again and again has the older files too, also of what everybody uses.
        if self.has(Leftovers) {
            files.extend((1..4).map(|at| format!("gcc-8_8.0.{at}-1~r{}_amd64.deb", self.seed)));
            files.push(format!("lib7_1.7-1.{}_amd64.deb", self.seed));
        }
        files.extend((0..40).map(|at| format!("lib{at}_1.{at}-2_amd64.deb")));
        files.sort();
        files.iter().map(|file| line(file, file)).collect()
    }
}

/// Whether a cause is the one that was planted.
fn is(cause: &Cause, plant: Plant) -> bool {
    match (cause, plant) {
        (Cause::Inputs(changes), Input) => changes[0].name.starts_with("openssl"),
        (Cause::Inputs(changes), InputMissing) => {
            changes[0].name.starts_with("miniupnpc") && changes[0].signer.is_none()
        }
        (Cause::Inputs(changes), MacOsSdk) => changes[0].name.starts_with("MacOSX"),
        (Cause::Inputs(changes), Unsigned) => changes[0].name.contains("unsigned"),
        (Cause::Commits(changes), Commit) => changes.len() == 1 && changes[0].dir == "hello",
        (Cause::Descriptor(change), Descriptor) => change.name == "hello-desc.yml",
        (Cause::Guests { reference, .. }, Guest) => reference[..] == ["bionic-i386"],
        (Cause::Packages { toolchain, .. }, Toolchain) => toolchain.iter().any(|change| change.name == "gcc-8"),
        (Cause::Superseded(changes), Leftovers) => {
            let left = |name: &str| changes.iter().any(|change| change.name == name);
            left("gcc-8") && left("lib7") && changes.iter().all(|change| change.superseded)
        }
        (Cause::Packages { others, .. }, OtherPackage) => others.iter().any(|change| change.name == "zip"),
        (Cause::Cache { which, files }, CommonCache) => {
            *which == Cache::Common && files[..] == ["sources/boost.tar.gz"]
        }
        (Cause::Cache { which, files }, PackageCache) => *which == Cache::Package && files[0] == "x86_64/boost.tar.gz",
        (Cause::SomeOutputs { differing, same: 5 }, SomeOutputs) => differing[..] == ["hello-2.tar.gz"],
        (Cause::OtherSubject { release: Some(_), name: None, same_outputs: true }, Release)
        | (Cause::OtherSubject { release: None, name: Some(_), same_outputs: true }, Name)
        | (Cause::Unexplained, Nothing) => true,
        _ => false,
    }
}

/// A release: three to seven who agree, and in between one who does not. Returns facts and where that one is.
fn release(chance: &mut Chance, plants: &[Plant]) -> (Vec<Facts>, usize) {
    let agreeing = 3 + chance.below(5);
    let days: Vec<u64> = (0..agreeing).map(|_| chance.below(6)).collect();
    let own_day = days[usize::try_from(chance.below(agreeing)).unwrap()];
    // Half of them had updates that nobody else had; where nothing is recorded, that would be a cause by itself.
    let alone = plants.iter().all(|plant| RECORDED.contains(plant)) && chance.below(2) == 0;
    let place = usize::try_from(chance.below(agreeing + 1)).unwrap();
    let innocent = |day| Build { day, tools_day: day, plants: Vec::new(), seed: 0 };
    let mut builds: Vec<Build> = days.into_iter().map(innocent).collect();
    let seed = 1 + chance.below(1000);
    let day = if alone { 7 } else { own_day };
    builds.insert(place, Build { day, tools_day: own_day, plants: plants.to_vec(), seed });
    let facts = builds.iter().enumerate().map(|(at, build)| signer(&format!("signer{at}"), build.assertion()));
    (facts.collect(), place)
}

fn judge(facts: &[Facts]) -> Decision {
    let policy = Policy::default();
    decide(facts, &Criteria { release: "1.0", package: "hello", compare_to: None, policy: &policy, at: day(200) })
}

#[test]
fn what_was_planted_is_what_is_said_first() {
    let mut chance = Chance(4);
    let (mut trees, mut wrong) = (0, Vec::new());
    while trees < 500 {
        for first in 0..RECORDED.len() + ALONE.len() {
            let plants = match RECORDED.get(first) {
                Some(&one) if chance.below(2) == 0 => {
                    let other = usize::try_from(chance.below(12)).unwrap();
                    let other = RECORDED.get(other).copied().unwrap_or(Leftovers);
                    if one == other { vec![one] } else { vec![one, other] }
                }
                Some(&one) => vec![one],
                None => vec![ALONE[first - RECORDED.len()]],
            };
            trees += 1;
            let (facts, place) = release(&mut chance, &plants);
            let decision = judge(&facts);
            assert!(matches!(decision.verdicts[place], Verdict::Mismatch(_)), "{plants:?}");
            let explanation = explain_verdict(&facts, &decision, place).unwrap();
            let top = &explanation.causes[0];
            let is_said = match plants[..] {
                [Leftovers] => is(top, Nothing),
                [first, Leftovers] => is(top, first),
                _ => plants.iter().any(|&plant| is(top, plant)),
            };
            if !is_said {
                wrong.push(format!("{plants:?}: {}", top.sentence("signer0")));
            }
            // Both of a pair are said, somewhere.
            for &plant in &plants {
                assert!(explanation.causes.iter().any(|cause| is_among(cause, plant)), "{plant:?}: {explanation:?}");
            }
        }
    }
    // The aim is 99 of 100.
    assert!(wrong.is_empty(), "{} of {trees} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether a cause names what was planted, perhaps not as the first thing of its kind.
fn is_among(cause: &Cause, plant: Plant) -> bool {
    let Cause::Inputs(changes) = cause else { return is(cause, plant) };
    changes.iter().any(|change| is(&Cause::Inputs(vec![change.clone()]), plant))
}

#[test]
fn what_somebody_who_agrees_has_too_is_no_cause() {
    let build = |plants: &[Plant], day| Build { day, tools_day: day, plants: plants.to_vec(), seed: 5 }.assertion();
    // Carol has another compiler, and built the same as alice; bob has the same compiler and another cache.
    let same_outputs = |assertion: &Assertion| {
        let base = assertion.base_manifests().unwrap();
        let base = base.into_iter().map(|(guest, text)| (guest.to_owned(), text.to_owned())).collect();
        let usual = build(&[], 0);
        let report = Report::new(
            usual.out_manifest().unwrap().to_owned(),
            assertion.in_manifest().unwrap().to_owned(),
            base,
            assertion.cache_common_manifest().map(str::to_owned),
            assertion.cache_package_manifest().map(str::to_owned),
        );
        Assertion::new(report, "1.0", "hello", None)
    };
    let alice = signer("alice", same_outputs(&build(&[], 0)));
    let bob = signer("bob", build(&[Toolchain, CommonCache], 0));
    let carol = signer("carol", same_outputs(&build(&[Toolchain], 0)));
    let facts = [alice, bob, carol];
    let decision = judge(&facts);
    assert_eq!(decision.reference, Reference::Signer(0));
    let explanation = explain_verdict(&facts, &decision, 1).unwrap();
    assert!(is(&explanation.causes[0], CommonCache), "{explanation:?}");
    assert_eq!((explanation.causes.len(), explanation.harmless), (1, 2));
    // Without carol it is the compiler.
    let decision = judge(&facts[..2]);
    assert_eq!(decision.reference, Reference::Tied(2));
    let policy = Policy::default();
    let criteria =
        Criteria { release: "1.0", package: "hello", compare_to: Some("alice"), policy: &policy, at: day(200) };
    let decision = decide(&facts[..2], &criteria);
    let explanation = explain_verdict(&facts[..2], &decision, 1).unwrap();
    assert!(is(&explanation.causes[0], Toolchain), "{explanation:?}");
}

/// The same outputs in the same order is another statement by its bytes, and that is all there is to say.
#[test]
fn a_list_that_is_only_written_otherwise_is_not_said_to_be_in_another_order() {
    let listed = |text: String| {
        let report = Report::new(text, String::new(), vec![], None, None);
        signer("x", Assertion::new(report, "1.0", "hello", None))
    };
    let (a, b) = (line("1", "a"), line("2", "b"));
    let usual = a.clone() + &b;
    let strange = format!("{usual}no line of a manifest\n");
    for (reference, other, cause) in [
        (&usual, usual.trim_end().to_owned(), Cause::Spelling),
        (&usual, usual.replace("  ", " *"), Cause::Spelling),
        (&usual, usual.to_uppercase().replace("  A", "  a").replace("  B", "  b"), Cause::Spelling),
        (&usual, usual.replace('\n', "\n\n"), Cause::Spelling),
        (&usual, usual.replace('\n', "\r\n"), Cause::Spelling),
        (&usual, b.clone() + &a, Cause::Order),
        (&usual, (b.clone() + &a).replace("  ", " *"), Cause::Order),
        (&strange, format!("{a}no line of a manifest\n{b}"), Cause::Order),
    ] {
        let facts = [listed(reference.clone()), listed(other.clone())];
        let policy = Policy::default();
        let criteria =
            Criteria { release: "1.0", package: "hello", compare_to: Some("x"), policy: &policy, at: day(200) };
        let decision = decide(&facts, &criteria);
        assert_eq!(explain_verdict(&facts, &decision, 1).unwrap().causes, [cause], "{other:?}");
    }
}

/// What one of the two does not record may be the same or not: nothing is said of it but that.
#[test]
fn what_is_not_recorded_is_never_said_to_differ() {
    let usual = Build { day: 0, tools_day: 0, plants: Vec::new(), seed: 0 }.assertion();
    let recorded = |parts: &[Part], outputs: &str| {
        let has = |part| parts.contains(&part);
        let base = usual.base_manifests().unwrap();
        let base = base.into_iter().map(|(guest, text)| (guest.to_owned(), text.to_owned())).collect();
        let inputs = usual.in_manifest().unwrap();
        let report = Report::new(
            outputs.to_owned(),
            match (has(Part::Inputs), has(Part::Descriptor)) {
                (true, true) => inputs.to_owned(),
                (true, false) => inputs.lines().skip(1).map(|line| format!("{line}\n")).collect(),
                (false, _) => String::new(),
            },
            if has(Part::Packages) { base } else { Vec::new() },
            has(Part::Caches).then(|| usual.cache_common_manifest().unwrap().to_owned()),
            has(Part::Caches).then(|| usual.cache_package_manifest().unwrap().to_owned()),
        );
        Assertion::new(report, "1.0", "hello", None)
    };
    let (one, other) = (line("1", "a"), line("2", "a"));
    let all = [Part::Inputs, Part::Descriptor, Part::Packages, Part::Caches];
    let without = |part: Part| all.into_iter().filter(|&other| other != part).collect::<Vec<_>>();
    for (reference, signer, said) in [
        (
            &all[..],
            &all[..],
            "nothing that is recorded and used differs from x's: the build depends on time, chance or the host",
        ),
        (&all, &[], "the signer's record says nothing of inputs, packages and caches"),
        (&[], &all, "x's record says nothing of inputs, packages and caches"),
        (&[], &[], "neither the signer's record nor x's says anything of inputs and packages"),
        (&all, &without(Part::Inputs), "the signer's record says nothing of inputs"),
        (&all, &without(Part::Descriptor), "the signer's record says nothing of the descriptor"),
        (&without(Part::Descriptor), &all, "x's record says nothing of the descriptor"),
        (&all, &without(Part::Packages), "the signer's record says nothing of packages"),
        (&all, &without(Part::Caches), "the signer's record says nothing of caches"),
        (
            &without(Part::Packages),
            &without(Part::Inputs),
            "the signer's record says nothing of inputs, x's nothing of packages",
        ),
    ] {
        let (reference, signer) = (recorded(reference, &one), recorded(signer, &other));
        let mismatch = Mismatch { manifest: true, ..Mismatch::default() };
        let explanation = explain(&reference, &signer, &[], &mismatch);
        let sentences: Vec<String> = explanation.causes.iter().map(|cause| cause.sentence("x")).collect();
        assert_eq!((sentences, explanation.harmless), (vec![said.to_owned()], 0));
    }
    // What the outputs tell is said first; and somebody who agrees and records nothing makes nothing harmless.
    let planted = Build { day: 0, tools_day: 0, plants: vec![InputMissing, Guest], seed: 1 }.assertion();
    let mismatch = Mismatch { manifest: true, ..Mismatch::default() };
    let list = recorded(&[], usual.out_manifest().unwrap());
    let explanation = explain(&usual, &planted, &[&list], &mismatch);
    assert_eq!(explanation.harmless, 0);
    assert!(is(&explanation.causes[0], InputMissing) && is(&explanation.causes[1], Guest), "{explanation:?}");
    let two = recorded(&[], &(one.clone() + &line("3", "b")));
    let explanation = explain(&two, &recorded(&[], &(other + &line("3", "b"))), &[], &mismatch);
    let parts = || vec![Part::Inputs, Part::Packages];
    let some = Cause::SomeOutputs { differing: vec!["a".into()], same: 1 };
    assert_eq!(explanation.causes, [some, Cause::NotRecorded { reference: parts(), signer: parts() }]);
}
