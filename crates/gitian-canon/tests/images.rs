//! Images of containers: the same image saved by different tools is one archive, and a whole one.

mod made;

use std::fs;
use std::path::Path;

use gitian_canon::{Archive, Done, Limits, Order, Rules, canonicalise};

use made::{have, run};

fn script(args: &[&str], folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/made/image.py");
    let args: Vec<&str> = [script.to_str().unwrap()].into_iter().chain(args.iter().copied()).collect();
    run("python3", &args, folder, b"");
}

fn canon(input: &Path, output: &Path) -> Result<Done, String> {
    let rules = Rules::at(1_400_000_000);
    canonicalise(&Order { input, output, format: None, rules, limits: Limits::default() })
        .map_err(|error| format!("{error:#}"))
}

#[test]
fn an_image_is_the_same_whoever_saved_it_and_every_digest_in_it_is_right() {
    if !have(&["python3"]) {
        return;
    }
    for kind in ["oci", "docker", "both"] {
        let work = tempfile::tempdir().unwrap();
        let at = |name: &str| work.path().join(name);
        let mut first = None;
        for seed in 1..=4 {
            script(&["make", kind, &seed.to_string(), "in.tar"], work.path());
            let done = canon(&at("in.tar"), &at("out.tar")).unwrap();
            assert_eq!(done.format.archive, Archive::Image);
            let said: Vec<&str> = done.notes.0.keys().map(String::as_str).collect();
            match (kind, seed % 2) {
                ("docker", _) => assert_eq!(said, ["files that the image does not need"]),
                (_, 1) => assert_eq!(said, ["signatures and attestations of the image as it was"]),
                _ => assert_eq!(said, [""; 0]),
            }
            let bytes = fs::read(at("out.tar")).unwrap();
            assert!(*first.get_or_insert_with(|| bytes.clone()) == bytes, "{kind} {seed}");
        }
        script(&["check", "out.tar"], work.path());
        canon(&at("out.tar"), &at("again.tar")).unwrap();
        assert!(fs::read(at("again.tar")).unwrap() == fs::read(at("out.tar")).unwrap(), "{kind}");
    }
}

#[test]
fn an_image_that_lies_is_refused() {
    if !have(&["python3"]) {
        return;
    }
    for (kind, reason) in [
        ("wrong-digest", "is not what its digest and size say"),
        ("wrong-diff", "names other layers than the image has"),
        ("double-key", "key manifests occurs twice"),
        ("no-blob", "is not there"),
        ("unknown", "is of a type that is not known (text/plain)"),
    ] {
        let work = tempfile::tempdir().unwrap();
        script(&["make", kind, "2", "in.tar"], work.path());
        let error = canon(&work.path().join("in.tar"), &work.path().join("out.tar")).unwrap_err();
        assert!(error.contains(reason), "{kind}: {error}");
        assert!(!work.path().join("out.tar").exists());
    }
}

#[test]
fn what_an_image_names_a_hundred_times_is_looked_at_once_and_counted_each_time() {
    if !have(&["python3"]) {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    script(&["make", "repeated", "2", "in.tar"], work.path());
    // A million manifests, if each were followed.
    let began = std::time::Instant::now();
    let done = canon(&at("in.tar"), &at("out.tar")).unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(done.entries > 300, "{}", done.entries);
    assert!(at("out.tar").metadata().unwrap().len() < 1 << 20);
    canon(&at("out.tar"), &at("again.tar")).unwrap();
    assert!(fs::read(at("again.tar")).unwrap() == fs::read(at("out.tar")).unwrap());
    let (input, output) = (&*at("in.tar"), &*at("few.tar"));
    let limits = Limits { entries: 300, ..Limits::default() };
    let order = Order { input, output, format: None, rules: Rules::at(1_400_000_000), limits };
    let error = format!("{:#}", canonicalise(&order).unwrap_err());
    assert!(error.contains("has more than 300 entries"), "{error}");
}
