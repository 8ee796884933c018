//! The descriptors of recorded runs of the original are accepted or refused as it did.

use std::fs;
use std::path::{Path, PathBuf};

use gitian_descriptor::{Descriptor, LoadError};

fn recorded(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/original").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}

/// Runs that the original ended for another reason than the descriptor.
const OTHER_REASONS: [&str; 11] = [
    "build-fails",
    "err-option",
    "fail-apt-update",
    "fail-build",
    "out-broken-link",
    "out-space",
    "out-tilde",
    "remote-badcommit",
    "remote-nocommit",
    "remote-url-bad",
    "ci-build-fails",
];

/// Where we differ on purpose: descriptors that the original crashes on.
const ACCEPTED_BY_US: [(&str, &str); 4] = [
    ("err-nofiles", "a missing list is empty"),
    ("err-nopackages", "a missing list is empty"),
    ("err-noremotes", "a missing list is empty"),
    ("err-unquoted-ref", "a date without quotes is taken as written"),
];

#[test]
fn every_recorded_descriptor_is_judged_as_the_original_did() {
    let Some(folder) = recorded("gbuild-stub") else { return };
    let mut judged = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let run = entry.unwrap().path();
        let name = run.file_name().unwrap().to_str().unwrap().to_owned();
        // The help needs no descriptor.
        let Ok(source) = fs::read_to_string(run.join("descriptor.yml")) else { continue };
        // The recordings name their places so.
        let source = source.replace("PEER", "/peer");
        let exit_code = fs::read_to_string(run.join("exit-code")).unwrap();
        let original = exit_code.trim() == "0" || OTHER_REASONS.contains(&name.as_str());
        let expected = original || ACCEPTED_BY_US.iter().any(|(run, _)| *run == name);
        let answer = Descriptor::parse(&run, source);
        assert_eq!(answer.is_ok(), expected, "{name}: {answer:?}");
        judged += 1;
    }
    assert!(judged >= 60, "only {judged} descriptors");
}

#[test]
fn the_descriptors_of_real_builds_and_signatures_are_read() {
    let (Some(real), Some(sign)) = (recorded("real"), recorded("sign")) else { return };
    let load = |path: PathBuf| Descriptor::load(&path).unwrap_or_else(|error: LoadError| panic!("{error}"));
    let hello = load(real.join("hello.yml"));
    assert_eq!((hello.descriptor.name.as_str(), hello.descriptor.packages.len()), ("hello-debian", 6));
    assert_eq!(hello.source.as_bytes(), fs::read(real.join("hello.yml")).unwrap());
    assert!(hello.warnings.is_empty());
    let git = load(real.join("hello-git.yml"));
    assert_eq!(git.descriptor.remotes[0].commit.as_ref().map(ToString::to_string), Some("v2.10".into()));
    let optionals = |name: &str| load(sign.join(name)).descriptor.optionals;
    assert_eq!(optionals("hello.yml"), None);
    assert_eq!(optionals("opt-optionals.yml"), Some(vec![]));
    assert_eq!(optionals("opt-optionalsabcd.yml"), Some(vec!["a b".into(), "c: d".into()]));
    assert_eq!(optionals("opt-optionalswinosx.yml"), Some(vec!["win".into(), "osx".into()]));
}
