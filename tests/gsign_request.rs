//! Signing on a host that has the key and nothing else: request, answer, import; and whatever is changed between.

use std::fs;

use crate::support::signers::{Builder, files, names};

/// A host where things are built, which knows the signer's public key, and one that holds the secret key.
fn hosts() -> Option<[Builder; 2]> {
    let (build, key) = (Builder::without_key("alice")?, Builder::new("alice")?);
    let public = key.home.export("alice", build.work.path());
    build.home.gpg(&["--import", public.to_str().unwrap()]);
    fs::remove_file(public).unwrap();
    build.built("hello", "same");
    build.built("other", "same");
    Some([build, key])
}

const REQUEST: [&str; 4] = ["--request", "please.txt", "hello.yml", "other.yml"];

/// Takes a file from one host to the other.
fn carry(from: &Builder, to: &Builder, file: &str) {
    fs::copy(from.path(file), to.path(file)).unwrap();
}

#[test]
fn a_request_is_signed_elsewhere_and_comes_back_into_the_tree() {
    let Some([build, key]) = hosts() else { return };
    let tree = build.path("sigs");
    let asked = build.sign(&tree, &REQUEST).succeeds();
    assert!(asked.stderr.contains("gsign: hello, release 1.0, as alice\n"), "{}", asked.stderr);
    assert!(asked.stderr.ends_with("gsign: please.txt asks for this; nothing is signed yet\n"), "{}", asked.stderr);
    assert!(!tree.exists());
    let text = fs::read_to_string(build.path("please.txt")).unwrap();

    carry(&build, &key, "please.txt");
    // Neither tree nor descriptors nor reports are there.
    let shown = key.run(&["--sign-request", "please.txt", "--yes"]).succeeds();
    for line in text.lines().filter(|line| line.starts_with("  ")) {
        assert!(shown.stderr.contains(line), "{line} is not in {}", shown.stderr);
    }
    assert_eq!(
        names(key.work.path()).iter().filter(|name| !name.starts_with(".gnupg")).collect::<Vec<_>>(),
        ["please.txt", "please.txt.signed"]
    );

    carry(&key, &build, "please.txt.signed");
    let imported = build.run(&["--import", "please.txt.signed", "--destination", tree.to_str().unwrap()]).succeeds();
    assert!(imported.stderr.contains("gsign: other, release 1.0, as alice\n"), "{}", imported.stderr);
    for package in ["hello", "other"] {
        assert_eq!(build.verify(&tree, package).succeeds().stdout, "alice: OK\n\n");
    }
    let expected = ["hello-build.assert", "hello-build.assert.sig", "other-build.assert", "other-build.assert.sig"];
    assert_eq!(names(&tree.join("1.0/alice")), expected);
    // The same bytes as a gsign that has the key would write.
    let direct = key.path("direct");
    key.built("hello", "same");
    key.sign(&direct, &["hello.yml"]).succeeds();
    let assert = |tree: &std::path::Path| fs::read(tree.join("1.0/alice/hello-build.assert")).unwrap();
    assert_eq!(assert(&tree), assert(&direct));
    // Again changes nothing.
    let before = files(&tree);
    build.run(&["-q", "--import", "please.txt.signed", "--destination", tree.to_str().unwrap()]).succeeds();
    assert_eq!(files(&tree), before);
}

#[test]
fn a_request_is_signed_with_a_secret_key_and_where_it_is_asked_to() {
    let Some([build, key]) = hosts() else { return };
    build.sign(&build.path("sigs"), &REQUEST).succeeds();
    carry(&build, &key, "please.txt");
    fs::write(key.path("alice.key"), key.home.gpg(&["--export-secret-keys", "alice"])).unwrap();
    let args = ["--sign-request", "please.txt", "--yes", "--key", "alice.key", "--answer", "done.txt"];
    key.run(&args).succeeds();
    carry(&key, &build, "done.txt");
    build.run(&["--import", "done.txt", "--destination", "sigs"]).succeeds();
    assert_eq!(build.verify(&build.path("sigs"), "other").succeeds().stdout, "alice: OK\n\n");
}

#[test]
fn an_answer_goes_over_nothing_that_is_there_for_something_else() {
    let Some([build, key]) = hosts() else { return };
    build.sign(&build.path("sigs"), &REQUEST).succeeds();
    carry(&build, &key, "please.txt");
    fs::write(key.path("k.sec"), key.home.gpg(&["--export-secret-keys", "alice"])).unwrap();
    fs::write(key.path("pass"), "secret\n").unwrap();
    fs::create_dir(key.path("result")).unwrap();
    fs::write(key.path("result/hello-res.yml"), "report").unwrap();
    for (link, to) in [("link", "k.sec"), ("nowhere", "new"), ("please.txt.signed", "pass")] {
        std::os::unix::fs::symlink(to, key.path(link)).unwrap();
    }
    let content = || {
        let mut files = files(key.work.path());
        files.retain(|(name, _)| !name.starts_with(".gnupg"));
        files
    };
    let before = content();
    for (answer, expected) in [
        (Some("k.sec"), "--answer k.sec is the same file as --key k.sec"),
        (Some("./result/../pass"), "--answer ./result/../pass is the same file as --passphrase-file pass"),
        (Some("please.txt"), "--answer please.txt is the same file as --sign-request please.txt"),
        (Some("result/hello-res.yml"), "--answer result/hello-res.yml is the same file as report result/hello-res.yml"),
        (Some("link"), "--answer link is the same file as --key k.sec"),
        (Some("nowhere"), "--answer nowhere is there and is no file"),
        (Some("/dev/null"), "--answer /dev/null is there and is no file"),
        (None, "--answer please.txt.signed is the same file as --passphrase-file pass"),
    ] {
        let mut args = vec!["--sign-request", "please.txt", "--key", "k.sec", "--passphrase-file", "pass"];
        args.extend(answer.map(|answer| ["--answer", answer]).into_iter().flatten());
        // Nobody is asked: there is no terminal here.
        let told = key.run(&args);
        assert!(told.stderr.starts_with(&format!("gsign: error: {expected}\n")), "{answer:?}: {}", told.stderr);
        assert_eq!(told.code, 2, "{answer:?}");
        assert!(content() == before, "{answer:?}");
    }
}

#[test]
fn nobody_signs_a_request_without_consent() {
    let Some([build, key]) = hosts() else { return };
    build.sign(&build.path("sigs"), &REQUEST).succeeds();
    carry(&build, &key, "please.txt");
    let gsign = key.gsign(&[]).get_program().display().to_string();
    let home = key.home.path().display();
    let mut alone = assert_cmd::Command::new("sh");
    alone.args(["-c", &format!("GNUPGHOME={home} setsid {gsign} --sign-request please.txt")]);
    let output = alone.current_dir(key.work.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("gsign: error: there is no terminal to ask for your consent\nhint: --yes "), "{stderr}");
    for (said, code) in [("n", 1), ("", 1), ("yes please", 1), ("y", 0)] {
        let line = format!("GNUPGHOME={home} {gsign} --sign-request please.txt");
        let mut script = assert_cmd::Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(key.work.path()).write_stdin(format!("{said}\n"));
        let output = script.output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains("Sign this? [y/N]"), "{shown}");
        assert_eq!(output.status.code(), Some(code), "{said}: {shown}");
        assert_eq!(key.path("please.txt.signed").exists(), code == 0, "{said}");
    }
}

#[test]
fn a_request_that_was_changed_is_not_signed() {
    let Some([build, key]) = hosts() else { return };
    build.sign(&build.path("sigs"), &REQUEST).succeeds();
    let text = fs::read_to_string(build.path("please.txt")).unwrap();
    for (changed, message) in [
        (text.replace("hello.tar.gz", "hallo.tar.gz"), "was changed on the way: its sha256 is"),
        (text.replacen("hello.tar.gz", "hallo.tar.gz", 1), "was changed on the way: line 5 is '  built: "),
        (
            text.replace("release 1.0, as alice", "release 0.9, as alice"),
            "was changed on the way: line 3 is 'hello, release 0.9",
        ),
        (text[..text.len() / 2].to_owned(), ""),
        (text.replace("signing request 1", "signing request 2"), "is neither a signing request nor an answer to one"),
        (text.replace("| - name", "| - \u{1b}[2Kname"), ""),
    ] {
        fs::write(key.path("please.txt"), changed).unwrap();
        let answer = key.run(&["--sign-request", "please.txt", "--yes"]);
        assert!(answer.stderr.starts_with("gsign: error: please.txt: "), "{}", answer.stderr);
        assert!(answer.stderr.contains(message) && answer.code == 1, "{message} is not in {}", answer.stderr);
        assert!(!answer.stderr.contains('\u{1b}'));
        assert!(!key.path("please.txt.signed").exists(), "{message}");
    }
    // A key that is not there.
    fs::write(key.path("please.txt"), text).unwrap();
    let answer = key.run(&["--sign-request", "please.txt", "--yes", "--signer", "nobody"]);
    assert!(answer.stderr.contains("did not sign as nobody") && answer.code == 1, "{}", answer.stderr);
    assert_eq!(
        names(key.work.path()).iter().filter(|name| !name.starts_with(".gnupg")).collect::<Vec<_>>(),
        ["please.txt"]
    );
}

#[test]
fn an_answer_that_does_not_fit_is_not_published() {
    let Some([build, key]) = hosts() else { return };
    let Some(mallory) = Builder::new("mallory") else { return };
    let tree = build.path("sigs");
    build.sign(&tree, &REQUEST).succeeds();
    for host in [&key, &mallory] {
        carry(&build, host, "please.txt");
        host.run(&["--sign-request", "please.txt", "--yes", "--signer", host.name]).succeeds();
    }
    let import = || build.run(&["--import", "please.txt.signed", "--destination", tree.to_str().unwrap()]);
    let refused = |text: &str, message: &str| {
        fs::write(build.path("please.txt.signed"), text).unwrap();
        let answer = import();
        assert!(answer.stderr.contains(message) && answer.code == 1, "{message} is not in {}", answer.stderr);
        assert!(!tree.exists(), "{message}");
    };
    let good = fs::read_to_string(key.path("please.txt.signed")).unwrap();
    let begin = "-----BEGIN PGP SIGNATURE-----";
    let end = "-----END PGP SIGNATURE-----\n";
    let signature = |text: &str, number: usize| {
        let start = text.match_indices(begin).nth(number).unwrap().0;
        text[start..start + text[start..].find(end).unwrap() + end.len()].to_owned()
    };
    // The two signatures swapped: each is good, and of the other document.
    let (first, second) = (signature(&good, 0), signature(&good, 1));
    let swapped = good.replace(&first, "HERE").replace(&second, &first).replace("HERE", &second);
    refused(&swapped, "1.0/alice/hello-build.assert.sig: BAD SIGNATURE: ");
    refused(&good.replace("hello.tar.gz", "hallo.tar.gz"), "was changed on the way");
    refused(&good.replace(&second, ""), "the signature");
    refused(&good.replace(&second, &format!("{begin}\n\nnonsense\n{end}")), "the signature");
    refused(
        &fs::read_to_string(build.path("please.txt")).unwrap(),
        "is a request, and not signed yet\nhint: gsign --sign-request",
    );
    // What was built meanwhile is not what was signed.
    build.built("other", "built again");
    refused(&good, "result/other-res.yml is not what was signed: its assertion has the sha256 ");
    fs::remove_file(build.path("result/other-res.yml")).unwrap();
    refused(&good, "result/other-res.yml does not exist");
    build.built("other", "same");
    // A policy knows whose key alice's is.
    let others = fs::read_to_string(mallory.path("please.txt.signed")).unwrap();
    build.knows(&mallory);
    fs::write(build.path("please.txt.signed"), &others).unwrap();
    fs::create_dir(&tree).unwrap();
    let listed = String::from_utf8(key.home.gpg(&["--with-colons", "--list-keys", "alice"])).unwrap();
    let own = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned();
    fs::write(tree.join("gverify.toml"), format!("[signers.alice]\nkeys = [\"{own}\"]\n")).unwrap();
    let answer = import();
    assert!(answer.stderr.contains("hello-build.assert.sig: WRONG KEY: ") && answer.code == 1, "{}", answer.stderr);
    assert_eq!(names(&tree), ["gverify.toml"]);
    // And what is right comes in.
    fs::write(build.path("please.txt.signed"), good.replace('\n', "\r\n")).unwrap();
    import().succeeds();
    assert_eq!(build.verify(&tree, "hello").succeeds().stdout, "alice: OK\n\n");
    // An answer is not signed once more.
    let answer = key.run(&["--sign-request", "please.txt.signed", "--yes"]);
    assert!(answer.stderr.contains("is signed already\nhint: gsign --import please.txt.signed"), "{}", answer.stderr);
}

#[test]
fn an_answer_with_a_key_that_is_not_in_the_signers_key_file_is_not_published() {
    let Some([alice, bob]) = Builder::new("alice").zip(Builder::new("bob")).map(<[Builder; 2]>::from) else { return };
    let tree = bob.path("sigs");
    bob.built("hello", "same");
    bob.sign(&tree, &["--request", "please.txt", "hello.yml"]).succeeds();
    carry(&bob, &alice, "please.txt");
    alice.run(&["--sign-request", "please.txt", "--yes", "--signer", "alice"]).succeeds();
    carry(&alice, &bob, "please.txt.signed");
    let keys = tree.join("builder-keys");
    fs::create_dir_all(&keys).unwrap();
    for builder in [&alice, &bob] {
        builder.home.export(builder.name, &keys);
    }
    let import = |more: &[&str]| {
        bob.run(&[&["-q", "--import", "please.txt.signed", "--destination", tree.to_str().unwrap()], more].concat())
    };
    // The keys of a folder, and those that are named.
    for more in [&[][..], &["--keys", keys.to_str().unwrap()]] {
        let before = files(&tree);
        let refused = import(more);
        let wanted = "1.0/bob/hello-build.assert.sig: WRONG KEY: signed with key ";
        assert!(refused.stderr.contains(wanted) && refused.code == 1, "{}", refused.stderr);
        let wanted = "builder-keys/bob.pgp\nhint: sign the request with the signer's own key: ";
        assert!(refused.stderr.contains(wanted), "{}", refused.stderr);
        assert_eq!(files(&tree), before);
    }
    // The policy has the last word, for gverify and here.
    let listed = String::from_utf8(alice.home.gpg(&["--with-colons", "--list-keys", "alice"])).unwrap();
    let key = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned();
    fs::write(tree.join("gverify.toml"), format!("[signers.bob]\nkeys = [\"{key}\"]\n")).unwrap();
    import(&[]).succeeds();
    assert_eq!(bob.verify(&tree, "hello").succeeds().stdout, "bob: OK\n\n");
    fs::remove_file(tree.join("gverify.toml")).unwrap();
    let verified = bob.verify(&tree, "hello");
    assert!(verified.stdout.contains("bob: WRONG KEY") && verified.code == 1, "{}", verified.stdout);
}

#[test]
fn an_answer_that_is_about_something_else_than_expected_is_not_published() {
    let Some([build, key]) = hosts() else { return };
    let tree = build.path("sigs");
    build.sign(&tree, &REQUEST).succeeds();
    carry(&build, &key, "please.txt");
    key.run(&["--sign-request", "please.txt", "--yes"]).succeeds();
    carry(&key, &build, "please.txt.signed");
    build.built("third", "same");
    let import = |expected: &[&str]| {
        build.run(
            &[&["-q", "--import", "please.txt.signed", "--destination", tree.to_str().unwrap()], expected].concat(),
        )
    };
    for (expected, message) in [
        (&["--signer", "bob"][..], "its signer is alice, expected was bob"),
        (&["--release", "0.9"], "its release is 1.0, expected was 0.9"),
        // The default of signing, when it is written.
        (&["--release", "test"], "its release is 1.0, expected was test"),
        (&["hello.yml"], "its package is hello and other, expected was hello"),
        (&["hello.yml", "third.yml"], "its package is hello and other, expected was hello and third"),
        (
            &["hello.yml", "other.yml", "third.yml"],
            "its package is hello and other, expected was hello and other and third",
        ),
        (&["-s", "alice", "-r", "0.9", "hello.yml"], "its release is 1.0, expected was 0.9"),
    ] {
        let answer = import(expected);
        let wanted =
            format!("gsign: error: please.txt.signed: {message}\nhint: --import takes the answer to the request");
        assert!(answer.stderr.starts_with(&wanted) && answer.code == 1, "{expected:?}: {}", answer.stderr);
        assert!(!tree.exists(), "{expected:?}");
    }
    for expected in [
        &["--signer", "alice", "--release", "1.0", "other.yml", "hello.yml"][..],
        &["--signer", "alice"],
        &["--release", "1.0"],
        &["hello.yml", "other.yml"],
        &[],
    ] {
        let answer = import(expected).succeeds();
        assert_eq!(answer.stderr, "", "{expected:?}");
        assert_eq!(build.verify(&tree, "other").succeeds().stdout, "alice: OK\n\n");
        fs::remove_dir_all(&tree).unwrap();
    }
}

#[test]
fn a_key_that_is_not_known_here_is_said_and_the_others_are_compared_at_both_ends() {
    let Some([build, key]) = hosts() else { return };
    let Some(bob) = Builder::new("bob") else { return };
    let tree = build.path("sigs");
    let keys = bob.home.export("bob", build.work.path());
    let keys = ["--keys", keys.to_str().unwrap()];
    build.sign(&tree, &[&keys[..], &REQUEST].concat()).succeeds();
    carry(&build, &key, "please.txt");
    key.run(&["--sign-request", "please.txt", "--yes"]).succeeds();
    carry(&key, &build, "please.txt.signed");
    // Meanwhile somebody signed something else.
    bob.built("hello", "else");
    bob.sign(&tree, &["hello.yml"]).succeeds();
    let before = files(&tree);
    let again = build.sign(&tree, &[&keys[..], &REQUEST].concat());
    assert!(again.stderr.contains("what was built here is not what bob built") && again.code == 1, "{}", again.stderr);
    let import = |more: &[&str]| {
        build.run(
            &[&["--import", "please.txt.signed", "--destination", tree.to_str().unwrap()], &keys[..], more].concat(),
        )
    };
    let refused = import(&[]);
    assert!(refused.stderr.contains("what was built here is not what bob built"), "{}", refused.stderr);
    assert_eq!((refused.code, files(&tree)), (1, before));
    let insisted = import(&["--anyway"]).succeeds();
    assert!(insisted.stderr.contains("hello-build.assert.sig: signed by key "), "{}", insisted.stderr);
    assert!(insisted.stderr.contains("which is not among the known keys; it is not checked\n"), "{}", insisted.stderr);
    assert!(tree.join("1.0/alice/other-build.assert.sig").is_file());
}

#[test]
fn options_that_contradict_each_other_are_wrong_usage() {
    let Some([build, _]) = hosts() else { return };
    for args in [
        &["--sign-request", "x", "hello.yml"][..],
        &["--import", "x", "--sign-request", "y"],
        &["--import", "x", "--request", "y", "-s", "alice", "hello.yml"],
        &["--sign-request", "x", "--release", "1.0"],
        &["--request", "x", "-s", "alice", "--key", "k", "hello.yml"],
        &["--request", "x", "-s", "alice", "--in-toto", "k", "hello.yml"],
        &["--request", "x", "-s", "alice", "-p", "true", "hello.yml"],
        &["--key", "k", "-p", "true", "-s", "alice", "hello.yml"],
        &["--passphrase-file", "k", "-s", "alice", "hello.yml"],
        &["--yes", "-s", "alice", "hello.yml"],
        &["--answer", "x", "-s", "alice", "hello.yml"],
        &["--yes", "--import", "x"],
        &["-s", "alice", "hello.yml", "./hello.yml"],
    ] {
        let answer = build.run(args);
        assert_eq!((answer.code, &*answer.stdout), (2, ""), "{args:?}: {}", answer.stderr);
    }
}
