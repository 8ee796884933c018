//! Which keys gsign signs with, and how often it asks: the agent, secret keys of files, a terminal. Whatever fails or is
//! cancelled leaves nothing.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::support;
use crate::support::programs::Answer;
use crate::support::running::within;
use crate::support::signers::{Builder, files, names};

const PACKAGES: [&str; 6] = ["one", "two", "three", "four", "five", "six"];
const PASSPHRASE: &str = "correct horse";
/// For the agent: that a passphrase is checked takes no time.
const QUICK: &str = "s2k-count 65536\n";

impl Builder {
    fn built_all(&self) -> Vec<String> {
        PACKAGES.iter().for_each(|package| self.built(package, "same"));
        PACKAGES.iter().map(|package| format!("{package}.yml")).collect()
    }

    /// Has the agent ask a program that notes each question and gives this answer.
    fn pinentry(&self, answer: &str) {
        self.script(
            "pinentry",
            &format!(
                "echo OK\nwhile read -r word rest; do case $word in\n\
                 GETPIN) echo asked >> {asked}; echo '{answer}'; case '{answer}' in D*) echo OK;; esac;;\n\
                 BYE) echo OK; exit;;\n*) echo OK;;\nesac; done",
                asked = self.path("asked").display()
            ),
        );
        let setting = format!("{QUICK}pinentry-program {}\n", self.path("pinentry").display());
        fs::write(self.home.path().join("gpg-agent.conf"), setting).unwrap();
        let mut stop = assert_cmd::Command::new("gpgconf");
        stop.args(["--kill", "gpg-agent"]).env("GNUPGHOME", self.home.path()).assert().success();
    }

    fn asked(&self) -> usize {
        fs::read_to_string(self.path("asked")).unwrap_or_default().lines().count()
    }

    fn script(&self, name: &str, text: &str) {
        fs::write(self.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Makes a key with a passphrase, `for what` as gpg takes it, and exports it to a file.
    fn locked_key(&self, user: &str, usage: &str, expires: &str) -> String {
        let id = format!("{user} <{user}@example.org>");
        fs::write(self.home.path().join("gpg-agent.conf"), QUICK).unwrap();
        self.home.gpg(&["--passphrase", PASSPHRASE, "--quick-gen-key", &id, "ed25519", usage, expires]);
        self.export(user)
    }

    fn export(&self, user: &str) -> String {
        let key = self.home.gpg(&["--armor", "--passphrase", PASSPHRASE, "--export-secret-keys", user]);
        fs::write(self.path(&format!("{user}.key")), key).unwrap();
        format!("{user}.key")
    }

    fn fingerprints(&self, user: &str) -> Vec<String> {
        let listed = String::from_utf8(self.home.gpg(&["--with-colons", "--list-keys", user])).unwrap();
        let lines = listed.lines().filter_map(|line| line.strip_prefix("fpr:"));
        lines.map(|line| line.trim_matches(':').to_owned()).collect()
    }
}

fn words(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[test]
fn six_assertions_need_one_passphrase() {
    let Some(alice) = Builder::without_key("alice") else { return };
    alice.locked_key("alice", "sign", "never");
    alice.pinentry(&format!("D {PASSPHRASE}"));
    let descriptors = alice.built_all();
    let tree = alice.path("sigs");
    alice.sign(&tree, &words(&descriptors)).succeeds();
    assert_eq!(alice.asked(), 1);
    for package in PACKAGES {
        assert_eq!(alice.verify(&tree, package).succeeds().stdout, "alice: OK\n\n", "{package}");
    }
}

#[test]
fn a_passphrase_that_is_not_given_leaves_nothing() {
    let Some(alice) = Builder::without_key("alice") else { return };
    alice.locked_key("alice", "sign", "never");
    alice.pinentry("ERR 83886179 Operation cancelled <Pinentry>");
    let descriptors = alice.built_all();
    let before = names(alice.work.path());
    let answer = alice.sign(&alice.path("sigs"), &words(&descriptors));
    assert_eq!((&*answer.stdout, answer.code), ("", 1), "{}", answer.stderr);
    assert!(answer.stderr.contains("gsign: error: gpg --detach-sign did not sign as alice: "), "{}", answer.stderr);
    assert_eq!(alice.asked(), 1);
    let after: Vec<String> = names(alice.work.path()).into_iter().filter(|name| name != "asked").collect();
    assert_eq!(after, before);
}

#[test]
fn when_one_of_several_is_not_signed_none_is_published() {
    let Some(alice) = Builder::new("alice") else { return };
    let descriptors = alice.built_all();
    let tree = alice.path("sigs");
    alice.sign(&tree, &["one.yml"]).succeeds();
    let before = files(&tree);
    PACKAGES.iter().for_each(|package| alice.built(package, "other"));
    // The place of the first one changes only with the last one; nothing of five signatures is left.
    alice.script("five-times", "echo x >> calls; [ $(wc -l < calls) -lt 6 ] && exec gpg --detach-sign \"$@\"");
    let answer =
        alice.sign(&tree, &[&["-p", "./five-times", "--sha256sums", "SHA256SUMS"], &*words(&descriptors)].concat());
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert_eq!(fs::read_to_string(alice.path("calls")).unwrap().lines().count(), 6);
    assert_eq!(files(&tree), before);
    assert!(!alice.path("SHA256SUMS").exists());
    // All assertions are signed, and then the list is not.
    alice.script("six-times", "echo y >> calls; [ $(grep -c y calls) -lt 7 ] && exec gpg --detach-sign \"$@\"");
    let answer =
        alice.sign(&tree, &[&["-p", "./six-times", "--sha256sums", "SHA256SUMS"], &*words(&descriptors)].concat());
    assert_eq!((answer.code, files(&tree)), (1, before), "{}", answer.stderr);
    // A program that signs nothing has nothing to put beside a list.
    let answer = alice.sign(&alice.path("new"), &["-p", "true", "--sha256sums", "SHA256SUMS", "one.yml"]);
    assert!(answer.stderr.contains("true left no signature of the list of digests: it ended well, and wrote no FILE.sig\nhint: -p names a program that "), "{}", answer.stderr);
    assert!(answer.code == 1 && !alice.path("new").exists() && !alice.path("SHA256SUMS").exists());
}

#[test]
fn a_tree_whose_last_place_is_taken_stays_as_it_was() {
    let Some(alice) = Builder::new("alice") else { return };
    let descriptors = alice.built_all();
    let tree = alice.path("sigs");
    alice.sign(&tree, &["one.yml"]).succeeds();
    alice.built("one", "other");
    fs::create_dir_all(tree.join("1.0/alice/six-build.assert/x")).unwrap();
    let before = files(&tree);
    let answer = alice.sign(&tree, &words(&descriptors));
    assert!(answer.stderr.contains("six-build.assert: gpg --detach-sign left what cannot take"), "{}", answer.stderr);
    assert_eq!((answer.code, files(&tree)), (1, before));
}

#[test]
fn ctrl_c_between_two_signatures_leaves_nothing() {
    let Some(alice) = Builder::new("alice") else { return };
    let descriptors = alice.built_all();
    let before = names(alice.work.path());
    alice.script("slow", "[ -e first ] && touch second && exec sleep 60; touch first; exec gpg --detach-sign \"$@\"");
    let args = [&["-s", "alice", "-r", "1.0", "-d", "sigs", "-p", "./slow"], &*words(&descriptors)].concat();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        ["first", "second"].iter().for_each(|mark| drop(fs::remove_file(alice.path(mark))));
        let path = "/usr/local/bin:/usr/bin:/bin";
        #[expect(clippy::disallowed_methods, reason = "the test framework's command cannot run in the background")]
        let running = {
            let prepared = alice.gsign(&args);
            let mut command = std::process::Command::new(prepared.get_program());
            command.args(prepared.get_args()).env_clear().current_dir(alice.work.path());
            command.envs(prepared.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
            support::running::Running::start(&mut command)
        };
        assert!(within(std::time::Duration::from_secs(60), || alice.path("second").exists()));
        running.signal_group(signal);
        let Answer { stderr, code, .. } = running.answer();
        assert_eq!((code, &*stderr), (128 + signal as i32, "gsign: interrupted\n"), "{signal}");
        let left: Vec<String> = names(alice.work.path())
            .into_iter()
            .filter(|name| !["slow", "first", "second"].contains(&&**name))
            .collect();
        assert_eq!(left, before, "{signal}");
    }
}

#[test]
fn a_secret_key_of_a_file_signs_without_gnupg() {
    let Some(alice) = Builder::without_key("alice") else { return };
    alice.built("hello", "same");
    fs::write(alice.path("passphrase"), format!("{PASSPHRASE}\nnot this line\n")).unwrap();
    let key = alice.locked_key("alice", "sign", "never");
    let tree = alice.path("sigs");
    let sign = |args: &[&str]| alice.sign(&tree, &[&["--key", &key], args, &["hello.yml"]].concat());
    let told = format!("gsign: signs with key {} of alice <alice@example.org>\n", alice.fingerprints("alice")[0]);
    let answer = sign(&["--passphrase-file", "passphrase"]);
    assert_eq!((&*answer.stdout, &*answer.stderr, answer.code), ("", &*told, 0));
    assert_eq!(alice.verify(&tree, "hello").succeeds().stdout, "alice: OK\n\n");
    let packets = alice.home.gpg(&["--list-packets", tree.join("1.0/alice/hello-build.assert.sig").to_str().unwrap()]);
    let packets = String::from_utf8(packets).unwrap();
    assert!(packets.contains("digest algo 10,") && packets.contains("sigclass 0x00"), "{packets}");
    assert_eq!(sign(&["-q", "--passphrase-file", "passphrase"]).succeeds().stderr, "");

    let before = files(&tree);
    fs::write(alice.path("wrong"), "wrong\n").unwrap();
    alice.built("hello", "other");
    let answer = sign(&["--passphrase-file", "wrong"]);
    assert!(answer.stderr.contains(&format!("key {key}: the passphrase of wrong is wrong")), "{}", answer.stderr);
    assert_eq!((answer.code, files(&tree)), (1, before.clone()));
    // Nobody to ask, since there is no terminal.
    let alone = format!("setsid {} -s alice -d sigs --key {key} hello.yml", alice.gsign(&[]).get_program().display());
    let mut shell = assert_cmd::Command::new("sh");
    let output = shell.args(["-c", &alone]).current_dir(alice.work.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("there is no terminal to ask for the passphrase"), "{stderr}");
    assert!(stderr.contains("hint: --passphrase-file FILE does without"), "{stderr}");
    assert_eq!(files(&tree), before);
}

#[test]
fn a_passphrase_is_asked_for_on_the_terminal_and_not_shown() {
    let Some(alice) = Builder::without_key("alice") else { return };
    alice.built("hello", "same");
    alice.locked_key("alice", "sign", "never");
    let tree = alice.path("sigs");
    let dialogue = |answers: &[&str]| {
        let gsign = alice.gsign(&[]).get_program().display().to_string();
        let line = format!("{gsign} -s alice -r 1.0 -d sigs --key alice.key hello.yml");
        #[expect(clippy::disallowed_methods, reason = "the test framework's command cannot be talked to")]
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(alice.work.path());
        let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, mut from) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        let mut shown = Vec::new();
        for answer in answers.iter().chain([&""]) {
            let questions = || String::from_utf8_lossy(&shown).matches("Passphrase of").count();
            let wanted = questions() + 1;
            while String::from_utf8_lossy(&shown).matches("Passphrase of").count() < wanted {
                let mut byte = [0];
                match from.read(&mut byte).unwrap() {
                    0 => break,
                    _ => shown.push(byte[0]),
                }
            }
            // The rest of the question.
            if !answer.is_empty() {
                to.write_all(answer.as_bytes()).unwrap();
            }
        }
        from.read_to_end(&mut shown).unwrap();
        (String::from_utf8(shown).unwrap(), script.wait().unwrap().code())
    };
    let (shown, code) = dialogue(&["wrong\n", &format!("{PASSPHRASE}\n")]);
    assert!(
        shown.contains("Passphrase of alice <alice@example.org>: ") && shown.contains("is not the passphrase"),
        "{shown}"
    );
    assert!(!shown.contains(PASSPHRASE) && !shown.contains("wrong"), "{shown}");
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(alice.verify(&tree, "hello").succeeds().stdout, "alice: OK\n\n");

    let before = files(&tree);
    alice.built("hello", "other");
    let (shown, code) = dialogue(&["a\n", "b\n", "c\n"]);
    assert!(shown.contains("no right passphrase after 3 tries"), "{shown}");
    let (shown, interrupted) = dialogue(&["a\n", "\x03"]);
    assert!(shown.contains("gsign: interrupted"), "{shown}");
    assert_eq!((code, interrupted, files(&tree)), (Some(1), Some(130), before));
}

#[test]
fn the_newest_key_that_may_sign_is_chosen_and_what_cannot_sign_says_why() {
    let Some(alice) = Builder::without_key("alice") else { return };
    alice.built("hello", "same");
    let gpg = |args: &[&str]| alice.home.gpg(args);
    let tree = alice.path("sigs");
    let sign = |key: &str| alice.sign(&tree, &["--key", key, "hello.yml"]);

    // A primary key that only certifies, an older and a newer subkey; the newer one is then revoked.
    let at = |time: &str| format!("{time}!");
    gpg(&[
        "--faked-system-time",
        &at("20200101T000000"),
        "--quick-gen-key",
        "sub <sub@example.org>",
        "ed25519",
        "cert",
        "never",
    ]);
    let primary = alice.fingerprints("sub")[0].clone();
    gpg(&["--faked-system-time", &at("20210101T000000"), "--quick-add-key", &primary, "ed25519", "sign", "never"]);
    gpg(&["--faked-system-time", &at("20220101T000000"), "--quick-add-key", &primary, "ed25519", "sign", "2y"]);
    gpg(&["--faked-system-time", &at("20230101T000000"), "--quick-add-key", &primary, "cv25519", "encr", "never"]);
    let answer = sign(&alice.export("sub"));
    // The one of 2022 expired in 2024.
    let chosen = alice.fingerprints("sub")[1].clone();
    assert!(
        answer.stderr.contains(&format!("signs with key {chosen} of sub")) && answer.code == 0,
        "{}",
        answer.stderr
    );
    gpg(&[
        "--verify",
        tree.join("1.0/alice/hello-build.assert.sig").to_str().unwrap(),
        tree.join("1.0/alice/hello-build.assert").to_str().unwrap(),
    ]);

    let before = files(&tree);
    gpg(&["--quick-gen-key", "cert <cert@example.org>", "ed25519", "cert", "never"]);
    gpg(&[
        "--faked-system-time",
        &at("20200101T000000"),
        "--quick-gen-key",
        "old <old@example.org>",
        "ed25519",
        "sign",
        "1y",
    ]);
    gpg(&["--quick-gen-key", "gone <gone@example.org>", "ed25519", "sign", "never"]);
    let gone = alice.fingerprints("gone")[0].clone();
    let certificate = alice.home.path().join(format!("openpgp-revocs.d/{gone}.rev"));
    let revocation = fs::read_to_string(&certificate).unwrap().replace(":-----BEGIN", "-----BEGIN");
    fs::write(&certificate, revocation).unwrap();
    gpg(&["--import", certificate.to_str().unwrap()]);
    fs::write(alice.path("public.key"), gpg(&["--export", "gone"])).unwrap();
    fs::write(alice.path("several.key"), gpg(&["--export-secret-keys", "cert", "sub"])).unwrap();
    fs::write(alice.path("text.key"), "a shopping list\n").unwrap();
    for (key, message) in [
        (alice.export("cert"), "is not for signing"),
        (alice.export("old"), "is not live"),
        (alice.export("gone"), "is revoked"),
        ("public.key".to_owned(), "holds no secret key"),
        ("several.key".to_owned(), "holds several secret keys"),
        ("text.key".to_owned(), "is not an OpenPGP key"),
        ("none.key".to_owned(), "No such file"),
        ("/dev/zero".to_owned(), "is larger than"),
    ] {
        let answer = sign(&key);
        assert!(answer.stderr.starts_with(&format!("gsign: error: key {key}: ")), "{}", answer.stderr);
        assert!(answer.stderr.contains(message) && answer.code == 1, "{message} is not in {}", answer.stderr);
        assert_eq!(files(&tree), before, "{key}");
    }
}
