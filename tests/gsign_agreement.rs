//! gsign before it signs: what others signed is shown, and what most of them did not build is not signed.

use std::fs;
use std::path::Path;

use gitian_manifest::Digest;

use crate::support;
use crate::support::signers::{Builder, files, names};

/// Alice, Bob and Carol, who know each other's keys.
fn three() -> Option<[Builder; 3]> {
    let people = [Builder::new("alice")?, Builder::new("bob")?, Builder::new("carol")?];
    for person in &people {
        people.iter().filter(|other| other.name != person.name).for_each(|other| person.knows(other));
    }
    Some(people)
}

#[test]
fn who_is_first_sees_nothing_and_who_agrees_sees_with_whom() {
    let Some([alice, bob, carol]) = three() else { return };
    let shared = tempfile::tempdir().unwrap();
    let tree = shared.path();
    for builder in [&alice, &bob, &carol] {
        builder.built("hello", "same");
        builder.built("other", "same");
    }
    let first = alice.sign(tree, &["hello.yml"]);
    assert_eq!((&*first.stdout, &*first.stderr, first.code), ("", "", 0));
    // Nobody else has signed this one, and one's own earlier word is not somebody else's.
    let tree_name = tree.to_str().unwrap();
    // As short as the original takes it.
    assert_eq!(bob.run(&["--signe", "bob", "--r", "1.0", "--d", tree_name, "other.yml"]).succeeds().stderr, "");
    assert_eq!(alice.sign(tree, &["hello.yml"]).stderr, "");
    let second = bob.sign(tree, &["hello.yml"]);
    let told = "gsign: hello 1.0 of others: alice: OK; the same was built here\n";
    assert_eq!((&*second.stdout, &*second.stderr, second.code), ("", told, 0));
    let third = carol.sign(tree, &["hello.yml", "other.yml"]);
    let told = "gsign: hello 1.0 of others: alice: OK, bob: OK; the same was built here\n\
                gsign: other 1.0 of others: bob: OK; the same was built here\n";
    assert_eq!((&*third.stdout, &*third.stderr, third.code), ("", told, 0));
    let silent = carol.sign(tree, &["--quiet", "hello.yml"]);
    assert_eq!((&*silent.stdout, &*silent.stderr, silent.code), ("", "", 0));
    assert_eq!(alice.verify(tree, "hello").succeeds().stdout, "alice: OK\n\nbob: OK\n\ncarol: OK\n\n");
}

#[test]
fn what_most_did_not_build_is_not_signed_unless_one_insists() {
    let Some([alice, bob, carol]) = three() else { return };
    let shared = tempfile::tempdir().unwrap();
    let tree = shared.path();
    for builder in [&alice, &bob] {
        builder.built("hello", "same");
        builder.built("other", "same");
        builder.sign(tree, &["hello.yml", "other.yml"]).succeeds();
    }
    carol.built("hello", "else");
    carol.built("other", "same");
    let before = files(tree);
    // Not even the one that agrees: all or nothing.
    let refused = carol.sign(tree, &["other.yml", "hello.yml"]);
    assert_eq!((&*refused.stdout, refused.code), ("", 1));
    let digest = |content: &str| Digest::of_bytes(content.as_bytes()).to_string();
    let expected = format!(
        "gsign: other 1.0 of others: alice: OK, bob: OK; the same was built here\n\
         gsign: hello 1.0 of others: alice: OK, bob: OK; something else was built here\n\
         gsign: error: hello 1.0: what was built here is not what alice, bob built\n  \
         | - {}  hello.tar.gz\n  | + {}  hello.tar.gz\n  | why: ",
        digest("same"),
        digest("else")
    );
    assert!(refused.stderr.starts_with(&expected), "{}", refused.stderr);
    assert!(refused.stderr.ends_with("; or, if you are sure: gsign --anyway …\n"), "{}", refused.stderr);
    assert_eq!(files(tree), before);
    // Silence is no consent.
    let refused = carol.sign(tree, &["--quiet", "hello.yml"]);
    assert!(refused.stderr.starts_with("gsign: error: hello 1.0: what was built here"), "{}", refused.stderr);
    assert_eq!((refused.code, files(tree)), (1, before));

    let insisted = carol.sign(tree, &["--anyway", "other.yml", "hello.yml"]);
    let told = "gsign: warning: hello 1.0: what was built here is not what alice, bob built; it is signed anyway\n";
    assert!(insisted.stderr.ends_with(told) && insisted.code == 0, "{}", insisted.stderr);
    let verdicts = alice.verify(tree, "hello");
    assert!(verdicts.stdout.contains("carol: MISMATCH\n"), "{}", verdicts.stdout);
}

#[test]
fn without_a_majority_of_good_signatures_there_is_nothing_to_refuse_by() {
    let Some([alice, bob, carol]) = three() else { return };
    for (what, setup, told) in [
        (
            "two built different things",
            &["alice one", "bob two"][..],
            "alice: NOT COMPARED, bob: NOT COMPARED; they built",
        ),
        ("a signature is missing", &["alice unsigned"], "alice: MISSING SIGNATURE; no good signature to compare with"),
        ("a signature is bad", &["alice spoilt"], "alice: BAD SIGNATURE; no good signature to compare with"),
    ] {
        let shared = tempfile::tempdir().unwrap();
        let tree = shared.path();
        for line in setup {
            let (name, built) = line.split_once(' ').unwrap();
            let builder = if name == "alice" { &alice } else { &bob };
            builder.built("hello", built);
            builder.sign(tree, &["--quiet", "hello.yml", "--anyway"]).succeeds();
            let signature = tree.join(format!("1.0/{name}/hello-build.assert.sig"));
            match built {
                "unsigned" => fs::remove_file(signature).unwrap(),
                "spoilt" => spoil(&signature.with_extension("")),
                _ => {}
            }
        }
        carol.built("hello", "three");
        let answer = carol.sign(tree, &["hello.yml"]);
        assert!(answer.stderr.contains(told) && answer.code == 0, "{what}: {}", answer.stderr);
        assert!(tree.join("1.0/carol/hello-build.assert.sig").is_file(), "{what}");
    }
}

fn spoil(assert: &Path) {
    let text = fs::read_to_string(assert).unwrap();
    fs::write(assert, text.replace("source.tar.gz", "sauce.tar.gz")).unwrap();
}

#[test]
fn whose_key_is_not_known_has_no_say_and_other_keys_can_be_named() {
    let Some([alice, bob, _]) = three() else { return };
    let Some(dave) = Builder::new("dave") else { return };
    let shared = tempfile::tempdir().unwrap();
    let tree = shared.path().join("tree");
    alice.built("hello", "same");
    alice.sign(&tree, &["hello.yml"]).succeeds();
    dave.built("hello", "else");
    let keys = bob.home.export("bob", shared.path());
    let keys = keys.to_str().unwrap();
    let alices = alice.home.export("alice", shared.path());

    let told = "gsign: hello 1.0 of others: alice: NO KEY; no good signature to compare with\n";
    let unknown = dave.sign(&tree, &["hello.yml"]);
    assert_eq!((&*unknown.stderr, unknown.code), (told, 0));
    assert_eq!(dave.sign(&tree, &["--keys", keys, "hello.yml"]).succeeds().stderr, told);
    let known = dave.sign(&tree, &["--keys", keys, "--keys", alices.to_str().unwrap(), "hello.yml"]);
    assert_eq!(known.code, 1, "{}", known.stderr);
    // As gverify: a folder of keys in the tree comes before one's own keyring.
    fs::create_dir(tree.join("builder-keys")).unwrap();
    fs::copy(&alices, tree.join("builder-keys/alice.pgp")).unwrap();
    assert_eq!(dave.sign(&tree, &["hello.yml"]).code, 1);
    // A policy says whose keys count: this one is not alice's.
    let foreign = format!("[signers.alice]\nkeys = [\"{}\"]\n", "0123456789ABCDEF".repeat(3)[..40].to_owned());
    fs::write(tree.join("gverify.toml"), foreign).unwrap();
    let answer = dave.sign(&tree, &["hello.yml"]);
    assert!(answer.stderr.contains("alice: WRONG KEY; no good signature") && answer.code == 0, "{}", answer.stderr);
    let broken = dave.sign(&tree, &["--keys", "/nonexistent", "hello.yml"]);
    assert!(broken.stderr.contains("keys /nonexistent") && broken.code == 1, "{}", broken.stderr);
}

#[test]
fn a_host_without_gnupg_can_sign_all_the_same() {
    let Some([alice, bob, _]) = three() else { return };
    let shared = tempfile::tempdir().unwrap();
    alice.built("hello", "same");
    alice.sign(shared.path(), &["hello.yml"]).succeeds();
    bob.built("hello", "else");
    let key = bob.path("bob.key");
    fs::write(&key, bob.home.gpg(&["--export-secret-keys", "bob"])).unwrap();
    let mut program = bob.work.program("gsign");
    program.args(["-s", "bob", "-r", "1.0", "-d", shared.path().to_str().unwrap(), "--key", "bob.key", "hello.yml"]);
    let answer = support::programs::answer(program.env("PATH", "/nonexistent"));
    assert!(answer.stderr.contains("note: signatures cannot be checked: "), "{}", answer.stderr);
    assert!(answer.stderr.contains("program gpg is not installed"), "{}", answer.stderr);
    assert_eq!(answer.code, 0);
    assert_eq!(names(&shared.path().join("1.0/bob")), ["hello-build.assert", "hello-build.assert.sig"]);
}
