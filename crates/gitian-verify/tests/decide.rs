//! Whose manifest is the reference, and what policies demand.

mod made;

use std::time::SystemTime;

use gitian_verify::{
    Camp, Criteria, Decision, Facts, Good, Naming, Outcome, Policy, Reference, Refusal, Signature, Standing, Unmet,
    Verdict, Weakness, WrongKey, decide,
};
use made::{about, built, day, facts, fingerprint, good, signer};

fn judge_at(facts: &[Facts], policy: &str, at: SystemTime) -> Decision {
    let policy = Policy::parse(policy).unwrap();
    decide(facts, &Criteria { release: "1.0", package: "hello", compare_to: None, policy: &policy, at })
}

fn judge(facts: &[Facts], policy: &str) -> Decision {
    judge_at(facts, policy, day(101))
}

fn bad(name: &str, out: &str) -> Facts {
    facts(name, built(out), Signature::Bad { key: fingerprint(name), reason: "it does not belong".into(), made: None })
}

fn with_key(name: &str, key: &str, out: &str) -> Facts {
    facts(name, built(out), Signature::Good(Box::new(good(key, day(100)))))
}

#[test]
fn the_reference_is_what_the_most_built_whoever_comes_first() {
    for (story, facts, reference, camps) in [
        ("nobody", vec![], Reference::Nobody, &[][..]),
        ("one", vec![signer("a", built("x"))], Reference::Signer(0), &[1]),
        (
            "two against one",
            vec![signer("a", built("y")), signer("b", built("x")), signer("c", built("x"))],
            Reference::Signer(1),
            &[2, 1],
        ),
        ("one against one", vec![signer("a", built("y")), signer("b", built("x"))], Reference::Tied(2), &[1, 1]),
        (
            "three for three things",
            vec![signer("a", built("x")), signer("b", built("y")), signer("c", built("z"))],
            Reference::Tied(3),
            &[1, 1, 1],
        ),
        (
            "bad signatures do not vote",
            vec![bad("a", "y"), bad("b", "y"), signer("c", built("x"))],
            Reference::Signer(2),
            &[1],
        ),
        (
            "a key counts once",
            vec![with_key("a", "k", "y"), with_key("b", "k", "y"), with_key("c", "k", "y"), signer("d", built("x"))],
            Reference::Tied(2),
            &[1, 1],
        ),
        (
            "who is about something else does not vote",
            vec![
                signer("a", about("y", "0.9", "hello")),
                signer("b", about("y", "1.0", "bye")),
                signer("c", built("x")),
            ],
            Reference::Signer(2),
            &[1],
        ),
    ] {
        let decision = judge(&facts, "");
        assert_eq!(decision.reference, reference, "{story}");
        let weights: Vec<u64> = decision.camps.iter().map(|camp| camp.weight).collect();
        assert_eq!(weights, camps, "{story}");
        if let Reference::Tied(_) | Reference::Nobody = reference {
            assert_eq!(decision.outcome(), Outcome::Nothing, "{story}");
            assert!(!decision.verdicts.contains(&Verdict::Ok), "{story}");
        }
    }
}

#[test]
fn a_demanded_number_is_of_people_not_of_folders() {
    let facts = [
        with_key("alice", "a", "x"),
        with_key("alice2", "a", "x"),
        with_key("bob", "b", "x"),
        with_key("carol", "c", "y"),
    ];
    let decision = judge(&facts, "min-good = 2\n");
    assert_eq!((decision.weight, decision.unmet.as_slice()), (2, &[][..]));
    assert_eq!(decision.same_key_as, [None, Some(0), None, None]);
    assert_eq!(decision.camps[0], Camp { signers: vec![0, 1, 2], weight: 2 });
    let decision = judge(&facts[..3], "min-good = 3\n");
    assert_eq!(decision.unmet, [Unmet::TooFew { wanted: 3, found: 2 }]);
    assert_eq!(decision.outcome(), Outcome::Failed);
    assert_eq!(judge(&facts[..3], "").outcome(), Outcome::Verified);
}

/// A folder of this name with an assertion that a key signed on a day.
fn signed_on(name: &str, key: &str, count: u64, out: &str) -> Facts {
    facts(name, built(out), Signature::Good(Box::new(good(key, day(count)))))
}

#[test]
fn who_vouches_for_two_things_counts_for_the_newest_only() {
    let (alice, bob, carol) = (signed_on("alice", "a", 90, "new"), signed_on("bob", "b", 90, "new"), "carol");
    let carol = signed_on(carol, "c", 90, "old");
    // What bob signed first and replaced: anybody can put it into a folder, before his own or behind.
    for name in ["aaa", "zed"] {
        let mut all = vec![alice.clone(), bob.clone(), carol.clone(), signed_on(name, "b", 80, "old")];
        all.sort_by(|a, b| a.signer.cmp(&b.signer));
        let at = |name: &str| all.iter().position(|facts| facts.signer == name).unwrap();
        let decision = judge(&all, "min-good = 2\n");
        assert_eq!(decision.reference, Reference::Signer(at("alice")));
        assert_eq!((decision.weight, decision.camps[0].weight, decision.camps[1].weight), (2, 2, 1));
        assert_eq!(decision.camps[1].signers, [at("carol")]);
        assert_eq!((decision.same_key_as[at(name)], decision.same_key_as[at("bob")]), (Some(at("bob")), None));
        assert!(decision.superseded[at(name)] && !decision.superseded[at("bob")]);
        assert_eq!(decision.verdicts[at("bob")], Verdict::Ok);
        // Nor does it count for the one whom somebody wants to compare with.
        let policy = Policy::default();
        let criteria =
            Criteria { release: "1.0", package: "hello", compare_to: Some("carol"), policy: &policy, at: day(101) };
        let decision = decide(&all, &criteria);
        assert_eq!((&decision.verdicts[at(name)], decision.weight), (&Verdict::Ok, 1));
    }
    // Of one against one the copy makes no majority.
    let replayed = [signed_on("alice", "a", 90, "old"), bob, signed_on("zed", "b", 80, "old")];
    assert_eq!(judge(&replayed, "").reference, Reference::Tied(2));
}

#[test]
fn who_vouches_for_two_things_at_once_does_not_count() {
    let mut all =
        vec![signed_on("alice", "a", 90, "x"), signed_on("bob", "b", 90, "x"), signed_on("zed", "b", 90, "y")];
    let decision = judge(&all, "");
    assert_eq!((decision.reference, decision.weight), (Reference::Signer(0), 1));
    assert_eq!((decision.superseded, decision.same_key_as), (vec![false, true, true], vec![None, None, Some(1)]));
    all.remove(0);
    let decision = judge(&all, "");
    assert_eq!((decision.reference, decision.weight), (Reference::Nobody, 0));
    // The same thing in two folders, and something about another release, contradict nothing.
    let again = [
        signed_on("alice", "a", 90, "x"),
        signed_on("alice2", "a", 80, "x"),
        facts("alice3", about("y", "0.9", "hello"), Signature::Good(Box::new(good("a", day(95))))),
    ];
    let decision = judge(&again, "");
    assert_eq!((decision.weight, decision.superseded), (1, vec![false; 3]));
    assert_eq!(decision.same_key_as, [None, Some(0), Some(0)]);
}

#[test]
fn several_keys_of_one_signer_are_one_person() {
    let policy =
        format!("min-good = 2\n[signers.alice]\nkeys = ['{}', '{}']\n", fingerprint("old"), fingerprint("new"));
    let facts = [with_key("alice", "old", "x"), with_key("alice-laptop", "new", "x")];
    let decision = judge(&facts, &policy);
    let wrong = WrongKey { key: Some(fingerprint("new")), owner: Some("alice".into()), file: None };
    assert_eq!(decision.verdicts, [Verdict::Ok, Verdict::WrongKey(wrong)]);
    assert_eq!((decision.weight, decision.outcome()), (1, Outcome::Failed));
}

#[test]
fn a_folder_signed_with_somebody_elses_key_has_its_own_verdict() {
    let policy = format!("[signers.alice]\nkeys = ['{}']\n[signers.bob]\n", fingerprint("alice"));
    for (name, key, expected) in [
        ("alice", "alice", None),
        ("alice", "mallory", Some(WrongKey { key: Some(fingerprint("mallory")), owner: None, file: None })),
        ("bob", "alice", Some(WrongKey { key: Some(fingerprint("alice")), owner: Some("alice".into()), file: None })),
        ("bob", "mallory", None),
        ("stranger", "stranger", None),
    ] {
        let expected = expected.map_or(Verdict::Ok, Verdict::WrongKey);
        assert_eq!(judge(&[with_key(name, key, "x")], &policy).verdicts, [expected], "{name} {key}");
    }
}

#[test]
fn weights_groups_and_names_are_demanded_together() {
    let policy = "min-good = 3\nrequire = ['dave']\nunlisted-weight = 0\n[signers.alice]\nweight = 2\n[signers.bob]\n\
                  [groups.maintainers]\nmembers = ['alice', 'dave']\nmin-good = 2\n";
    let everybody: Vec<Facts> = ["alice", "bob", "dave"].map(|name| signer(name, built("x"))).into();
    let decision = judge(&everybody, policy);
    assert_eq!((decision.weight, decision.unmet.as_slice()), (3, &[][..]));
    let decision = judge(&everybody[1..], policy);
    let few = Unmet::TooFew { wanted: 3, found: 1 };
    let few_of = Unmet::TooFewOf { group: "maintainers".into(), wanted: 2, found: 0, others: vec!["alice".into()] };
    assert_eq!(decision.unmet, [few, few_of]);
    assert_eq!(judge(&everybody[..2], policy).unmet, [Unmet::Required("dave".into())]);
    // Strangers without weight make no reference, however many they are.
    let facts = [signer("x", built("evil")), signer("y", built("evil")), signer("bob", built("x"))];
    let decision = judge(&facts, policy);
    assert_eq!(decision.reference, Reference::Signer(2));
    assert_eq!(judge(&facts[..2], policy).reference, Reference::Nobody);
}

/// ```text
/// signature made      day 100 ──┬──────────┬──────────────┬───────▶
/// decided for                  100        130            131
/// max-age-days = 30             │ accepted │   too old    │
/// ```
#[test]
fn a_signature_is_as_old_as_the_time_that_is_asked_about_says() {
    let facts = [signer("alice", built("x"))];
    for (at, expected) in [
        (day(98), Verdict::Refused(vec![Refusal::FromTheFuture { made: day(100) }])),
        (day(99), Verdict::Ok),
        (day(100), Verdict::Ok),
        (day(130), Verdict::Ok),
        (
            day(131),
            Verdict::Refused(vec![Refusal::TooOld { made: day(100), limit: day(30).duration_since(day(0)).unwrap() }]),
        ),
    ] {
        assert_eq!(judge_at(&facts, "max-age-days = 30\n", at).verdicts, [expected]);
    }
}

#[test]
fn strict_refuses_what_is_weak_or_expired_and_nothing_else() {
    let weak = [Weakness::Hash("SHA1".into()), Weakness::ShortKey("DSA 1024".into())];
    for (weak, standing, expected) in [
        (&[][..], Standing::Sound, None),
        (&weak[..1], Standing::Sound, Some(vec![Refusal::Weak(weak[0].clone())])),
        (&weak, Standing::Sound, Some(weak.iter().cloned().map(Refusal::Weak).collect())),
        (&[], Standing::KeyExpiredSince, Some(vec![Refusal::KeyExpired { at: None }])),
        (&[], Standing::MadeAfterExpiry, Some(vec![Refusal::KeyExpired { at: None }])),
        (&[], Standing::KeyRevokedLater, None),
    ] {
        let signature = gitian_verify::Good { weak: weak.to_vec(), standing, ..good("alice", day(100)) };
        let facts = [facts("alice", built("x"), Signature::Good(Box::new(signature)))];
        let expected = expected.map_or(Verdict::Ok, Verdict::Refused);
        assert_eq!(judge(&facts, "strict = true\n").verdicts, [expected]);
        assert_eq!(judge(&facts, "").verdicts, [Verdict::Ok]);
    }
}

#[test]
fn a_key_file_of_a_signers_name_binds_the_folder_unless_a_policy_does() {
    let file = || std::path::PathBuf::from("builder-keys/carol.gpg");
    let carol = Facts { naming: Naming::FolderOfOtherKeys(file()), ..with_key("carol", "mallory", "x") };
    let others = [signer("alice", built("x")), signer("bob", built("x"))];
    let facts: Vec<Facts> = others.into_iter().chain([carol]).collect();
    let wrong = |owner: Option<&str>, file| {
        Verdict::WrongKey(WrongKey { key: Some(fingerprint("mallory")), owner: owner.map(str::to_owned), file })
    };
    let key = |name: &str, key: &str| format!("[signers.{name}]\nkeys = ['{}']\n", fingerprint(key));
    for (policy, verdict, unmet) in [
        ("require = ['carol']\n".to_owned(), wrong(None, Some(file())), 1),
        ("min-good = 3\n".to_owned(), wrong(None, Some(file())), 1),
        ("[signers.carol]\nweight = 2\n".to_owned(), wrong(None, Some(file())), 0),
        (key("carol", "carol"), wrong(None, None), 0),
        (key("mallory", "mallory"), wrong(Some("mallory"), None), 0),
        // The policy knows better which key is hers.
        (format!("require = ['carol']\n{}", key("carol", "mallory")), Verdict::Ok, 0),
    ] {
        let decision = judge(&facts, &policy);
        assert_eq!((&decision.verdicts[2], decision.unmet.len()), (&verdict, unmet), "{policy}");
    }
}

#[test]
fn a_user_id_is_nobodys_name() {
    let named = |key: &str| Facts { naming: Naming::UserId, ..with_key("alice", key, "x") };
    let policy =
        |text: &str| format!("{text}[signers.alice]\nweight = 5\n[groups.core]\nmembers = ['alice']\nmin-good = 1\n");
    let decision = judge(&[named("mallory")], &policy("require = ['alice']\n"));
    assert_eq!((decision.weight, decision.unmet.len()), (1, 2), "{:?}", decision.unmet);
    // Her key is hers under any name.
    let known = format!("{}[signers.carol]\nkeys = ['{}']\n", policy("require = ['carol']\n"), fingerprint("carol"));
    let facts = [Facts { naming: Naming::UserId, ..with_key("carol", "carol", "x") }];
    assert_eq!(judge(&facts, &known).unmet.len(), 1);
}

/// The key of a signature, the day on which it was made, and what is weak about it.
type Made<'a> = (&'a str, u64, &'a [Weakness]);

/// Signatures of one file in the folder `alice`, the newest first.
fn several(goods: &[Made<'_>], file: Option<&str>) -> Facts {
    let mut found = goods.iter().map(|(key, made, weak)| {
        let other = file.filter(|own| own != key).map(|own| Naming::FolderOfOtherKeys(format!("{own}.gpg").into()));
        (Good { weak: weak.to_vec(), ..good(key, day(*made)) }, other.unwrap_or_default())
    });
    let (first, naming) = found.next().unwrap();
    let others = found.collect();
    Facts { naming, others, ..facts("alice", built("x"), Signature::Good(Box::new(first))) }
}

#[test]
fn of_several_good_signatures_in_one_file_the_one_that_a_policy_accepts_counts() {
    let sha1 = [Weakness::Hash("SHA1".into())];
    let keys = format!("[signers.alice]\nkeys = ['{}']\n", fingerprint("a"));
    let both = format!("{keys}[signers.eve]\nkeys = ['{}']\nweight = 7\n", fingerprint("e"));
    let [a, eve, weak, old_weak]: [Made<'_>; 4] = [("a", 90, &[]), ("e", 100, &[]), ("a", 95, &sha1), ("a", 80, &sha1)];
    let cases = [
        ("any key", vec![eve, a], None, "", "e"),
        ("a file of alice's key", vec![eve, a], Some("a"), "", "a"),
        ("a policy with her key", vec![eve, a], None, &*keys, "a"),
        ("a policy with both keys", vec![eve, a], None, &both, "a"),
        ("a policy against the file", vec![eve, a], Some("e"), &keys, "a"),
        ("weak ones beside it", vec![weak, a, old_weak], None, "strict = true\n", "a"),
        ("a weak one of hers and a stranger's", vec![eve, weak, a], Some("a"), "strict = true\n", "a"),
        ("an old strong one, and age counts", vec![weak, a], None, "max-age-days = 8\n", "a"),
    ];
    for (story, goods, file, policy, person) in cases {
        let mut facts = several(&goods, file);
        let rules = Policy::parse(policy).unwrap();
        for settled in [false, true] {
            let decision = judge(&[facts.clone(), signer("zed", built("x"))], policy);
            assert_eq!(decision.verdicts[0], Verdict::Ok, "{story}, settled: {settled}");
            assert_eq!(decision.weight, 2, "{story}");
            facts.settle(&rules);
        }
        // What is shown is what counted.
        let Signature::Good(shown) = &facts.signature else { panic!("{story}") };
        assert_eq!(shown.primary_key, fingerprint(person), "{story}");
    }
    // Where none is acceptable, the verdict is that of the one against which there is least.
    let refused = several(&[eve, weak], Some("a"));
    let decision = judge(std::slice::from_ref(&refused), "strict = true\n");
    assert_eq!(decision.verdicts[0], Verdict::Refused(vec![Refusal::Weak(sha1[0].clone())]));
    let decision = judge(&[several(&[eve], Some("a"))], "");
    assert!(matches!(decision.verdicts[0], Verdict::WrongKey(_)), "{:?}", decision.verdicts);
}

#[test]
fn whoever_signs_in_two_folders_is_one_of_those_whom_they_name() {
    let both = [with_key("alice", "mallory", "x"), with_key("bob", "mallory", "x")];
    let group = |name: &str| format!("[groups.of-{name}]\nmembers = ['{name}']\n");
    for (policy, unmet) in [
        ("require = ['alice']\n".to_owned(), 0),
        ("require = ['bob']\n".to_owned(), 0),
        ("require = ['alice', 'bob']\n".to_owned(), 1),
        (group("alice") + &group("bob"), 1),
        (format!("require = ['bob']\n{}", group("alice")), 1),
        ("[groups.both]\nmembers = ['alice', 'bob']\n".to_owned(), 0),
    ] {
        assert_eq!(judge(&both, &policy).unmet.len(), unmet, "{policy}");
    }
}

#[test]
fn a_certificate_is_one_person_whichever_of_its_keys_a_policy_names() {
    let certificate = || vec![fingerprint("primary"), fingerprint("subkey")];
    let by = |folder: &str, key: &str| {
        let good = good(key, day(100));
        let good = Good { primary_key: fingerprint("primary"), certificate: certificate(), ..good };
        facts(folder, built("x"), Signature::Good(Box::new(good)))
    };
    let facts = [by("sub", "subkey"), by("zed", "primary")];
    let key = |name: &str, key: &str| format!("[signers.{name}]\nkeys = ['{}']\n", fingerprint(key));
    for policy in [String::new(), key("sub", "subkey"), key("sub", "subkey") + &key("zed", "primary")] {
        let decision = judge(&facts, &format!("min-good = 2\n{policy}"));
        assert_eq!((decision.weight, decision.unmet.len()), (1, 1), "{policy}");
    }
}

#[test]
fn a_word_counts_though_somebody_signed_beside_it() {
    let by = |folder: &str, out: &str, goods: &[(&str, u64)]| {
        let mut found = goods.iter().map(|(key, made)| good(key, day(*made)));
        let first = found.next().unwrap();
        let others = found.map(|good| (good, Naming::Folder)).collect();
        Facts { others, ..facts(folder, built(out), Signature::Good(Box::new(first))) }
    };
    // What alice replaced since lies in the folder zed, and mallory's signature beside her newer one.
    let facts = [by("alice", "new", &[("mallory", 95), ("alice", 90)]), by("zed", "old", &[("alice", 80)])];
    let decision = judge(&facts, "");
    assert_eq!((decision.superseded, decision.same_key_as), (vec![false, true], vec![None, Some(0)]));
    assert_eq!(decision.camps.len(), 1);
}
