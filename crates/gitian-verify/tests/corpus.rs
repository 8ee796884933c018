//! Real signatures of fifteen years give the recorded answers: GnuPG's verdict for each of 231 assertions, and the
//! original's for each signer of 32 releases.

#[path = "../../../tests/support/skip.rs"]
mod skip;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gitian_manifest::SigsTree;
use gitian_verify::{
    Checker, Criteria, Facts, Folders, Keyring, Policy, Question, Signature, Source, Verdict, check, decide, gather,
};
use skip::skip;

/// The day on which the verdicts were recorded, 2026-11-21, in seconds since 1970.
const RECORDED: u64 = 1_795_219_200;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(RECORDED)
}

/// Returns the folder of recorded data, or says that it is missing.
fn data() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sigs");
    if !folder.is_dir() {
        skip("data", &format!("{} is not there", folder.display()));
        return None;
    }
    Some(folder)
}

fn keys(data: &std::path::Path) -> Keyring {
    Source::Given(vec![data.join("keys")]).load().unwrap()
}

/// Returns what GnuPG would call a signature. It looks at a key as it is now, expiry before revocation, and never at
/// when the signature was made.
fn as_gnupg(signature: &Signature, now: SystemTime) -> &'static str {
    match signature {
        Signature::Good(good) if good.key_expires.is_some_and(|end| end <= now) => "EXPKEYSIG",
        Signature::Good(good) if good.key_revoked.is_some() => "REVKEYSIG",
        Signature::Good(_) => "GOODSIG",
        Signature::Bad { .. } => "BADSIG",
        Signature::NoKey(_) => "NO_PUBKEY",
        Signature::NotDetached(_) => "MALFORMED",
        _ => "?",
    }
}

#[test]
fn every_signature_gets_the_verdict_of_gnupg() {
    let Some(data) = data() else { return };
    let keys = keys(&data);
    let table = fs::read_to_string(data.join("verdicts.tsv")).unwrap();
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let (path, verdict, created) = (column("path"), column("verdict"), column("created"));
    let (fingerprint, sig_path, hash) = (column("fingerprint_primary"), column("sig_path"), column("digest_algo"));
    let mut counts = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        *counts.entry(cells[verdict]).or_insert(0) += 1;
        let document = data.join("sigs").join(cells[path]);
        let signature = data.join("sigs").join(cells[sig_path]);
        match cells[verdict] {
            "MISSING_SIG" => assert!(document.is_file() && cells[sig_path].is_empty(), "{line}"),
            "MISSING_DATA" => assert!(document.is_file() && cells[path].ends_with(".sig"), "{line}"),
            // Recorded for a file that holds signature and document in one.
            "MALFORMED" => {
                let state = check(&fs::read(&document).unwrap(), b"", &keys, now());
                assert_eq!(as_gnupg(&state, now()), "MALFORMED", "{state:?}");
            }
            expected => {
                let state = check(&fs::read(signature).unwrap(), &fs::read(document).unwrap(), &keys, now());
                let same_key = match &state {
                    Signature::Good(good) => good.primary_key == cells[fingerprint] && good.hash == cells[hash],
                    _ => true,
                };
                if as_gnupg(&state, now()) != expected || !same_key {
                    wrong.push(format!("{} made {}: {expected}, but {state:?}", cells[path], cells[created]));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let expected = [
        ("BADSIG", 4),
        ("EXPKEYSIG", 45),
        ("GOODSIG", 134),
        ("MALFORMED", 1),
        ("MISSING_DATA", 3),
        ("MISSING_SIG", 6),
        ("NO_PUBKEY", 38),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
}

/// Returns the word that the recorded table has for a verdict.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "OK",
        Verdict::Mismatch(_) => "MISMATCH",
        // The first deliberate difference: a key that we do not have makes no signature bad.
        Verdict::BadSignature | Verdict::NoKey => "BAD SIGNATURE",
        Verdict::MissingResult => "MISSING_RESULT",
        Verdict::MissingSignature => "MISSING_SIG",
        Verdict::NotCompared => "not compared",
        Verdict::Unreadable(_) => "unreadable",
        Verdict::WrongKey(_) | Verdict::Refused(_) => "not by the default policy",
    }
}

/// The second deliberate difference: without a signer to compare with, the reference is what the most built. Release,
/// signer, what the original says with the first entry of the folder as its reference, what we say.
/// share/doc/compatibility.md has the same table.
const WITHOUT_REFERENCE: [(&str, &str, &str, &str); 4] = [
    ("0.9.5rc1-osx", "fanquake", "OK", "not compared"),
    ("0.9.5rc1-osx", "laanwj", "MISMATCH", "not compared"),
    ("0.9.5rc1-osx", "michagogo", "MISMATCH", "not compared"),
    ("0.9.5rc1-osx", "thrasher", "MISMATCH", "not compared"),
];

#[test]
fn the_majority_gives_the_verdicts_of_the_named_reference_unless_there_is_a_tie() {
    let Some(data) = data() else { return };
    let keys = keys(&data);
    let releases: Vec<serde_json::Value> =
        serde_json::from_slice(&fs::read(data.join("expected.json")).unwrap()).unwrap();
    let policy = Policy::default();
    let mut different = Vec::new();
    for entry in releases {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        let tree = SigsTree::new(data.join("sigs"));
        let question = Question { tree, release: text("release"), package: text("name") };
        let facts = gather(&question, &Checker::Keys { keys: &keys, now: now() }, &Folders::default()).unwrap();
        let decision = decide(&facts, &question.criteria(&policy, now()));
        for (Facts { signer, .. }, verdict) in facts.iter().zip(&decision.verdicts) {
            let expected = entry["signers"][signer]["expected"].as_str().unwrap();
            if word(verdict) != expected {
                different.push((text("release"), signer.clone(), expected.to_owned(), word(verdict)));
            }
        }
    }
    let different: Vec<(&str, &str, &str, &str)> =
        different.iter().map(|(a, b, c, d)| (&**a, &**b, &**c, *d)).collect();
    assert_eq!(different, WITHOUT_REFERENCE);
}

#[test]
fn every_signer_gets_the_verdict_of_the_original() {
    let Some(data) = data() else { return };
    let keys = keys(&data);
    let releases: Vec<serde_json::Value> =
        serde_json::from_slice(&fs::read(data.join("expected.json")).unwrap()).unwrap();
    let policy = Policy::default();
    let (mut wrong, mut standings, mut compared) = (Vec::new(), BTreeMap::new(), 0);
    for entry in releases {
        let text = |key: &str| entry[key].as_str().map(str::to_owned);
        let question = Question {
            tree: SigsTree::new(data.join("sigs")),
            release: text("release").unwrap(),
            package: text("name").unwrap(),
        };
        let facts = gather(&question, &Checker::Keys { keys: &keys, now: now() }, &Folders::default()).unwrap();
        let golden = text("golden");
        let decision = decide(&facts, &Criteria { compare_to: golden.as_deref(), ..question.criteria(&policy, now()) });
        for (Facts { signer, signature, .. }, verdict) in facts.iter().zip(&decision.verdicts) {
            let expected = entry["signers"][signer]["expected"].as_str().unwrap_or("not recorded");
            let got = word(verdict);
            assert_eq!(*verdict == Verdict::NoKey, matches!(signature, Signature::NoKey(_)));
            if let Signature::Good(good) = signature {
                *standings.entry(format!("{:?}", good.standing)).or_insert(0) += 1;
            }
            compared += 1;
            if got != expected {
                wrong.push(format!("{}/{signer} {}: {expected}, but {verdict:?}", question.release, question.package));
            }
        }
        assert_eq!(facts.len(), entry["signers"].as_object().unwrap().len());
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(compared, 260);
    let expected = [("KeyExpiredSince", 38), ("KeyRevokedLater", 1), ("MadeAfterExpiry", 4), ("Sound", 134)];
    assert_eq!(standings.into_iter().collect::<Vec<_>>(), expected.map(|(name, count)| (name.to_owned(), count)));
}
