//! `gverify --files` as an ordinary user runs it: files that were downloaded, a tree of gitian's or of guix' layout, a
//! list with its signatures.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use gitian_manifest::Digest;

use crate::support::gnupg::Home;
use crate::support::programs::{Answer, Workdir};

const GOOD: &str = "the right bytes\n";
const EVIL: &str = "other bytes\n";

/// Three builders with keys, and downloads beside their trees.
struct Fixture {
    home: Home,
    work: Workdir,
    /// The time at which signatures are made, in seconds after the epoch, if it is not now.
    clock: Cell<Option<u64>>,
}

impl Fixture {
    fn new() -> Option<Self> {
        let fixture = Self { home: Home::new()?, work: Workdir::new(), clock: Cell::new(None) };
        fs::create_dir_all(fixture.path("sigs/builder-keys")).unwrap();
        for name in ["alice", "bob", "carol"] {
            fixture.home.make_key(name, "ed25519");
            fixture.home.export(name, &fixture.path("sigs/builder-keys"));
        }
        fixture.home.make_key("mallory", "ed25519");
        for (name, content) in [("app-1.0.zip", GOOD), ("doc.txt", "read me\n")] {
            fs::write(fixture.path(name), content).unwrap();
        }
        Some(fixture)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.work.path().join(path)
    }

    /// Lets somebody sign a list of files in the layout of guix.
    fn guix(&self, release: &str, signer: &str, key: &str, files: &[(&str, &str)]) {
        let path = self.path("sigs").join(release).join(signer).join("noncodesigned.SHA256SUMS");
        write(&path, &list(files));
        self.sign(key, &path, &["--armor", "--output", &format!("{}.asc", path.display()), "--detach-sign"]);
    }

    /// Lets somebody sign an assertion in the layout of gitian.
    fn gitian(&self, release: &str, signer: &str, files: &[(&str, &str)]) {
        let path = self.path("sigs").join(release).join(signer).join("app-build.assert");
        let lines: String = list(files).lines().map(|line| format!("    {line}\n")).collect();
        write(&path, &format!("--- !!omap\n- out_manifest: |\n{lines}- release: '{release}'\n- name: app\n"));
        self.sign(signer, &path, &["--output", &format!("{}.sig", path.display()), "--detach-sign"]);
    }

    fn sign(&self, key: &str, path: &Path, how: &[&str]) {
        let user = format!("{key}@example.org");
        let clock = self.clock.get().map(|at| format!("--faked-system-time={at}!"));
        let clock: Vec<&str> = clock.iter().map(String::as_str).collect();
        self.home.gpg(&[&clock[..], &["--yes", "-u", &user], how, &[path.to_str().unwrap()]].concat());
    }

    /// Lets an hour pass for those who sign from now on, and the clock stand still.
    fn later(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        self.clock.set(Some(now + 3600));
    }

    /// Keeps copies of what people left in a folder of the tree, as `zed1`, `zed2`, … of another.
    fn copies(&self, from: &str, signers: &[&str], to: &str) {
        for (number, signer) in (1..).zip(signers) {
            let folder = self.path("sigs").join(to).join(format!("zed{number}"));
            fs::create_dir_all(&folder).unwrap();
            for entry in fs::read_dir(self.path("sigs").join(from).join(signer)).unwrap().map(Result::unwrap) {
                fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
        }
    }

    fn ask(&self, args: &[&str]) -> Answer {
        self.work.run("gverify", args)
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn list(files: &[(&str, &str)]) -> String {
    files.iter().map(|(name, content)| format!("{}  {name}\n", Digest::of_bytes(content.as_bytes()))).collect()
}

#[test]
fn a_file_is_ok_when_two_people_with_good_signatures_built_it() {
    let Some(fixture) = Fixture::new() else { return };
    let files = [("app-1.0.zip", GOOD), ("app-1.0-win.zip", "not downloaded\n")];
    fixture.guix("1.0", "alice", "alice", &files);
    fixture.gitian("1.0-linux", "bob", &files);
    let answer = fixture.ask(&["-d", "sigs", "--files", "app-1.0.zip"]);
    let expected = "app-1.0.zip: OK, built by 2 for 1.0, 1.0-linux (alice, bob)\n";
    assert_eq!((answer.stdout.as_str(), answer.code), (expected, 0), "{}", answer.stderr);
    // A file that nobody lists is named, and no success.
    let answer = fixture.ask(&["-d", "sigs", "--files", "app-1.0.zip", "doc.txt"]);
    assert!(answer.stdout.ends_with("doc.txt: NOT LISTED: nobody says that he built it\n"), "{}", answer.stdout);
    assert_eq!(answer.code, 1);
    assert_eq!(fixture.ask(&["-d", "sigs", "--files", "doc.txt"]).code, 2);
    // One release alone has only one of them.
    let answer = fixture.ask(&["-d", "sigs", "-r", "1.0", "--files", "app-1.0.zip"]);
    let expected = "app-1.0.zip: TOO FEW: built by 1 for 1.0 (alice), wanted are 2\n";
    assert_eq!((answer.stdout.as_str(), answer.code), (expected, 1));
    assert_eq!(answer.stderr.lines().last(), Some("hint: --min-good 1 is content with a single person's word"));
    let answer = fixture.ask(&["-d", "sigs", "-r", "1.0", "--min-good", "1", "--files", "app-1.0.zip"]);
    assert_eq!(answer.code, 0, "{}", answer.stdout);
    // Under another name it is the same file, but nobody vouches for the name.
    fs::rename(fixture.path("app-1.0.zip"), fixture.path("app-9.9.zip")).unwrap();
    let answer = fixture.ask(&["-v", "-d", "sigs", "--files", "app-9.9.zip"]);
    let expected =
        "app-9.9.zip: OTHER NAME: these are the bytes of app-1.0.zip, built by 2 for 1.0, 1.0-linux (alice, bob)\n";
    assert!(
        answer.stdout.starts_with(expected) && answer.stdout.contains("  ~ bob of 1.0-linux: app-1.0.zip\n"),
        "{}",
        answer.stdout
    );
    assert_eq!(answer.code, 1);
}

#[test]
fn only_good_signatures_of_different_people_count() {
    type Plant<'a> = &'a dyn Fn(&Fixture);
    let cases: [(&str, Plant<'_>, &str); 10] = [
        (
            "one key under two names",
            &|f| {
                f.guix("1.0", "alice", "alice", &[("app-1.0.zip", GOOD)]);
                f.guix("1.0", "twin", "alice", &[("app-1.0.zip", GOOD)]);
            },
            "TOO FEW: built by 1 for 1.0 (alice), wanted are 2",
        ),
        (
            "a key that is not known",
            &|f| f.guix("1.0", "mallory", "mallory", &[("app-1.0.zip", GOOD)]),
            "UNPROVEN: listed without a signature that counts by mallory of 1.0 (NO KEY)",
        ),
        (
            "a list that was changed",
            &|f| {
                f.guix("1.0", "bob", "bob", &[("app-1.0.zip", EVIL)]);
                let path = f.path("sigs/1.0/bob/noncodesigned.SHA256SUMS");
                fs::write(path, list(&[("app-1.0.zip", GOOD)])).unwrap();
            },
            "UNPROVEN: listed without a signature that counts by bob of 1.0 (BAD SIGNATURE)",
        ),
        (
            "everybody built something else",
            &|f| {
                f.guix("1.0", "bob", "bob", &[("app-1.0.zip", EVIL)]);
                f.guix("1.0", "carol", "carol", &[("sub/app-1.0.zip", EVIL)]);
            },
            "MISMATCH: something else was built by 2 for 1.0 (bob, carol)",
        ),
        (
            "two against one",
            &|f| {
                f.guix("1.0", "alice", "alice", &[("app-1.0.zip", GOOD)]);
                f.guix("1.0", "bob", "bob", &[("app-1.0.zip", EVIL)]);
                f.guix("1.0", "carol", "carol", &[("app-1.0.zip", EVIL)]);
            },
            "DISPUTED: built by 1 for 1.0 (alice), something else by 2 for 1.0 (bob, carol)",
        ),
        (
            "a release of one's own hides nobody",
            &|f| {
                f.guix("evil", "alice", "alice", &[("app-1.0.zip", GOOD)]);
                f.guix("1.0", "bob", "bob", &[("app-1.0.zip", EVIL)]);
            },
            "DISPUTED: built by 1 for evil (alice), something else by 1 for 1.0 (bob)",
        ),
        (
            "an older file under the new one's name",
            &|f| {
                for signer in ["alice", "bob"] {
                    f.guix("0.9", signer, signer, &[("app-0.9.zip", GOOD)]);
                    f.guix("1.0", signer, signer, &[("app-1.0.zip", EVIL)]);
                }
            },
            "DISPUTED: these are the bytes of app-0.9.zip, built by 2 for 0.9 (alice, bob); \
             under this name something else by 2 for 1.0 (alice, bob)",
        ),
        (
            "an older file that more built",
            &|f| {
                for signer in ["alice", "bob", "carol"] {
                    f.guix("0.9", signer, signer, &[("app-0.9.zip", GOOD)]);
                }
                f.guix("1.0", "alice", "alice", &[("app-1.0.zip", EVIL)]);
            },
            "DISPUTED: these are the bytes of app-0.9.zip, built by 3 for 0.9 (alice, bob, carol); \
             under this name something else by 1 for 1.0 (alice)",
        ),
        (
            "no signature",
            &|f| write(&f.path("sigs/1.0/bob/all.SHA256SUMS"), &list(&[("app-1.0.zip", GOOD)])),
            "UNPROVEN: listed without a signature that counts by bob of 1.0 (MISSING SIGNATURE)",
        ),
        (
            "one with, one without a key",
            &|f| {
                f.guix("1.0", "alice", "alice", &[("app-1.0.zip", GOOD)]);
                f.guix("1.0", "mallory", "mallory", &[("app-1.0.zip", GOOD)]);
            },
            "TOO FEW: built by 1 for 1.0 (alice), wanted are 2; \
             without a signature that counts by mallory of 1.0 (NO KEY)",
        ),
    ];
    for (what, plant, line) in cases {
        let Some(fixture) = Fixture::new() else { return };
        plant(&fixture);
        let answer = fixture.ask(&["-d", "sigs", "--files", "app-1.0.zip"]);
        assert_eq!(answer.stdout, format!("app-1.0.zip: {line}\n"), "{what}: {}", answer.stderr);
        assert_eq!(answer.code, 1, "{what}");
    }
}

#[test]
fn what_its_owners_have_replaced_does_not_count() {
    let all = ["alice", "bob", "carol"];
    let replaced =
        "without a signature that counts by zed1 of 1.0 (REPLACED), zed2 of 1.0 (REPLACED), zed3 of 1.0 (REPLACED)";
    let mismatch = format!("MISMATCH: something else was built by 3 for 1.0 (alice, bob, carol); {replaced}");
    let guix =
        |f: &Fixture, name: &str, content: &str| all.iter().for_each(|who| f.guix("1.0", who, who, &[(name, content)]));
    let gitian =
        |f: &Fixture, name: &str, content: &str| all.iter().for_each(|who| f.gitian("1.0", who, &[(name, content)]));
    type Plant<'a> = &'a dyn Fn(&Fixture);
    let cases: [(&str, Plant<'_>, String); 7] = [
        (
            "assertions",
            &|f| {
                gitian(f, "app-1.0.zip", GOOD);
                f.copies("1.0", &all, "1.0");
                f.later();
                gitian(f, "app-1.0.zip", EVIL);
            },
            mismatch.clone(),
        ),
        (
            "lists",
            &|f| {
                guix(f, "app-1.0.zip", GOOD);
                f.copies("1.0", &all, "1.0");
                f.later();
                guix(f, "app-1.0.zip", EVIL);
            },
            mismatch.clone(),
        ),
        (
            "by something that does not name the file any more",
            &|f| {
                gitian(f, "app-1.0.zip", GOOD);
                f.copies("1.0", &all, "1.0");
                f.later();
                gitian(f, "app-1.0.1.zip", EVIL);
            },
            format!("UNPROVEN: listed {replaced}"),
        ),
        (
            "copies where another folder has the release's name",
            &|f| {
                gitian(f, "app-1.0.zip", GOOD);
                f.copies("1.0", &all, "archive/1.0");
                f.later();
                gitian(f, "app-1.0.zip", EVIL);
            },
            mismatch.replace(" of 1.0 (", " of archive/1.0 ("),
        ),
        (
            "copies under another package's name",
            &|f| {
                gitian(f, "app-1.0.zip", GOOD);
                f.copies("1.0", &all, "1.0");
                for who in ["zed1", "zed2", "zed3"] {
                    for end in ["", ".sig"] {
                        let path =
                            |package: &str| f.path("sigs/1.0").join(who).join(format!("{package}-build.assert{end}"));
                        fs::rename(path("app"), path("other")).unwrap();
                    }
                }
                f.later();
                gitian(f, "app-1.0.zip", EVIL);
            },
            mismatch.clone(),
        ),
        (
            "two things at the same time",
            &|f| {
                f.later();
                gitian(f, "app-1.0.zip", GOOD);
                f.copies("1.0", &["alice"], "1.0");
                f.gitian("1.0", "alice", &[("app-1.0.zip", EVIL)]);
            },
            "OK, built by 2 for 1.0 (bob, carol)".into(),
        ),
        (
            "what is about another release stays",
            &|f| {
                for who in ["alice", "bob"] {
                    f.gitian("1.0", who, &[("app-1.0.zip", GOOD)]);
                }
                f.later();
                for who in ["alice", "bob"] {
                    f.gitian("1.1", who, &[("app-1.0.zip", EVIL)]);
                }
            },
            "OK, built by 2 for 1.0 (alice, bob)".into(),
        ),
    ];
    for (what, plant, line) in cases {
        let Some(fixture) = Fixture::new() else { return };
        plant(&fixture);
        let answer = fixture.ask(&["-d", "sigs", "--files", "app-1.0.zip"]);
        assert_eq!(answer.stdout, format!("app-1.0.zip: {line}\n"), "{what}: {}", answer.stderr);
        assert_eq!(answer.code, i32::from(!line.starts_with("OK")), "{what}");
        if what == "two things at the same time" {
            let answer = fixture.ask(&["-v", "-d", "sigs", "--files", "app-1.0.zip"]);
            let neither =
                "  ? zed1 of 1.0: CONTRADICTED: the same person vouches for something else there at the same time";
            assert!(answer.stdout.contains(neither), "{}", answer.stdout);
        }
    }
}

#[test]
fn a_list_that_was_replaced_stays_so_wherever_a_copy_lies() {
    let Some(fixture) = Fixture::new() else { return };
    let ask = || fixture.ask(&["-d", "sigs", "-r", "1.0", "--files", "app-1.0.zip"]);
    for signer in ["alice", "bob"] {
        fixture.guix("1.0", signer, signer, &[("app-1.0.zip", GOOD)]);
    }
    assert_eq!(ask().code, 0);
    // Who puts copies of it back: under another name, below another folder, beside an assertion.
    fixture.copies("1.0", &["alice", "bob"], "1.0");
    for zed in ["zed1", "zed2"] {
        for end in ["", ".asc"] {
            let place = |name: &str| fixture.path("sigs/1.0").join(zed).join(format!("{name}.SHA256SUMS{end}"));
            fs::rename(place("noncodesigned"), place("other")).unwrap();
        }
    }
    fixture.copies("1.0", &["alice", "bob"], "archive/1.0");
    fixture.later();
    for signer in ["alice", "bob"] {
        fixture.guix("1.0", signer, signer, &[("app-1.0.zip", EVIL)]);
    }
    let answer = ask();
    assert!(answer.stdout.starts_with("app-1.0.zip: MISMATCH: something else was built by 2"), "{}", answer.stdout);
    assert_eq!(answer.code, 1);
    // An assertion takes a list back as well.
    for signer in ["alice", "bob"] {
        fs::remove_dir_all(fixture.path("sigs/1.0").join(signer)).unwrap();
        fixture.gitian("1.0", signer, &[("app-1.0.zip", EVIL)]);
    }
    assert!(ask().stdout.starts_with("app-1.0.zip: MISMATCH: "), "{}", ask().stdout);
}

#[test]
fn a_list_says_which_of_its_signatures_do_not_count_and_why() {
    let Some(fixture) = Fixture::new() else { return };
    let (plain, sums, asc) = (fixture.path("plain"), fixture.path("SHA256SUMS"), fixture.path("SHA256SUMS.asc"));
    let (good, evil) = (list(&[("app-1.0.zip", GOOD)]), list(&[("app-1.0.zip", EVIL)]));
    let sign = |key: &str, text: &str, how: &str| {
        fs::write(&plain, text).unwrap();
        fixture.sign(key, &plain, &["--armor", "--output", asc.to_str().unwrap(), how]);
    };
    let [alice, mallory] = ["alice", "mallory"].map(|key| fixture.home.fingerprint(key));
    let unproven = "UNPROVEN: listed without a signature that counts by";
    type Plant<'a> = &'a dyn Fn();
    type Case<'a> = (&'a str, Plant<'a>, &'a [&'a str], String, String, &'a str);
    let cases: [Case<'_>; 5] = [
        (
            "a clear-signed list where the signature should be",
            &|| sign("alice", &good, "--clear-sign"),
            &["SHA256SUMS"],
            format!("{unproven} somebody (BAD SIGNATURE)"),
            "SHA256SUMS.asc: BAD SIGNATURE: the signature file holds a clear-signed text, not a detached signature"
                .into(),
            "hint: SHA256SUMS.asc is no signature of the list but a list with its own: --files SHA256SUMS.asc",
        ),
        (
            "a list that was changed",
            &|| {
                sign("alice", &good, "--detach-sign");
                fs::write(&sums, &evil).unwrap();
            },
            &["SHA256SUMS"],
            format!(
                "MISMATCH: the file here is not the one that the list means; the listed one: {unproven} {alice} (BAD SIGNATURE)"
            ),
            format!("SHA256SUMS.asc: BAD SIGNATURE: the signature names key {alice}, but "),
            "hint: download SHA256SUMS and SHA256SUMS.asc again: the list is not what was signed",
        ),
        (
            "a clear-signed list that was changed",
            &|| {
                sign("alice", &evil, "--clear-sign");
                let signed = fs::read_to_string(&asc).unwrap();
                fs::write(&asc, signed.replace(evil.trim_end(), good.trim_end())).unwrap();
            },
            &["SHA256SUMS.asc"],
            format!("{unproven} {alice} (BAD SIGNATURE)"),
            format!("SHA256SUMS.asc: BAD SIGNATURE: the signature names key {alice}, but "),
            "hint: download SHA256SUMS.asc again: the list is not what was signed",
        ),
        (
            "a key that is not known",
            &|| sign("mallory", &good, "--detach-sign"),
            &["SHA256SUMS"],
            format!("{unproven} {mallory} (NO KEY)"),
            format!("SHA256SUMS.asc: NO KEY: signed by key {mallory}, which is not among the known keys"),
            "hint: get the missing keys into a FILE, and give all: --keys ",
        ),
        (
            "a program that is asked about a clear-signed list",
            &|| sign("alice", &good, "--clear-sign"),
            &["SHA256SUMS.asc", "-p", "false"],
            format!("{unproven} somebody (UNREADABLE)"),
            "SHA256SUMS.asc: UNREADABLE: signature is in the same file as the text; a program is asked".into(),
            "hint: leave out -p: a list that is signed in the same file is checked without another program",
        ),
    ];
    for (what, plant, args, line, why, hint) in cases {
        fs::write(&sums, &good).unwrap();
        plant();
        let keys: &[&str] = if args.contains(&"-p") { &[] } else { &["--keys", "sigs/builder-keys"] };
        let answer = fixture.ask(&[keys, &["--files"], args].concat());
        assert_eq!((answer.stdout, answer.code), (format!("app-1.0.zip: {line}\n"), 1), "{what}: {}", answer.stderr);
        assert!(answer.stderr.contains(&format!("gverify: {why}")), "{what}: {}", answer.stderr);
        assert!(answer.stderr.contains(hint), "{what}: {}", answer.stderr);
    }
    let answer = fixture.ask(&["--keys", "sigs/builder-keys", "--json", "--files", "SHA256SUMS.asc"]);
    assert_eq!(answer.code, 1, "one is not independent of himself: {}", answer.stderr);
    fs::remove_file(&asc).unwrap();
    sign("mallory", &good, "--detach-sign");
    let answer = fixture.ask(&["--keys", "sigs/builder-keys", "--json", "--files", "SHA256SUMS"]);
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let word = &json["files"][0]["unproven"][0];
    assert_eq!((&word["verdict"], &word["path"]), (&"no-key".into(), &"SHA256SUMS".into()), "{word}");
    assert!(word["reasons"][0].as_str().unwrap().contains(&mallory), "{word}");
}

#[test]
fn a_long_list_takes_no_longer_than_its_lines() {
    let Some(fixture) = Fixture::new() else { return };
    let digest = |number: usize| Digest::of_bytes(&number.to_le_bytes());
    let many = 40_000;
    let named = (0..many).map(|number| format!("{}  {number}/app.zip\n", digest(number)));
    let unrelated = (many..2 * many).map(|number| format!("{}  {number}.zip\n", digest(number)));
    let sums = fixture.path("SHA256SUMS");
    fs::write(&sums, named.chain(unrelated).collect::<String>()).unwrap();
    fixture.sign("alice", &sums, &["--armor", "--detach-sign"]);
    let start = Instant::now();
    let answer = fixture.ask(&["--keys", "sigs/builder-keys", "--min-good", "1", "--files", "SHA256SUMS"]);
    // With each line compared with each other one, over a minute.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let disputed = answer.stdout.lines().filter(|line| !line.contains(": OK, built by 1 (alice <")).count();
    assert_eq!((answer.stdout.lines().count(), disputed, answer.code), (2 * many, 0, 0), "{}", answer.stderr);
}

#[test]
fn an_assertion_about_another_release_proves_nothing_about_this_one() {
    let Some(fixture) = Fixture::new() else { return };
    for signer in ["alice", "bob"] {
        fixture.gitian("0.9", signer, &[("app-1.0.zip", GOOD)]);
    }
    fs::rename(fixture.path("sigs/0.9"), fixture.path("sigs/1.0")).unwrap();
    let answer = fixture.ask(&["-d", "sigs", "--files", "app-1.0.zip"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("app-1.0.zip: NOT LISTED: nobody says that he built it\n", 2));
    assert!(answer.stderr.contains("1.0/alice/app-build.assert: is about release 0.9, not 1.0"), "{}", answer.stderr);
}

#[test]
fn releases_are_found_however_deep_they_lie() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.gitian("0.3", "alice", &[("app-1.0.zip", GOOD)]);
    fixture.guix("0.3", "bob", "bob", &[("app-1.0.zip", GOOD)]);
    fs::create_dir(fixture.path("sigs/archive")).unwrap();
    fs::rename(fixture.path("sigs/0.3"), fixture.path("sigs/archive/0.3")).unwrap();
    for release in [&[][..], &["-r", "archive/0.3"], &["-r", "0.3"], &["-r", "archive/*"]] {
        let answer = fixture.ask(&[&["-d", "sigs", "--files", "app-1.0.zip"], release].concat());
        let expected = "app-1.0.zip: OK, built by 2 for archive/0.3 (alice, bob)\n";
        assert_eq!((answer.stdout.as_str(), answer.code), (expected, 0), "{release:?}: {}", answer.stderr);
    }
    let answer = fixture.ask(&["-d", "sigs", "-r", "0.4", "--files", "app-1.0.zip"]);
    assert!(answer.stderr.contains("sigs: has no release 0.4") && answer.code == 2, "{}", answer.stderr);
}

#[test]
fn what_has_no_meaning_for_files_is_refused() {
    let Some(fixture) = Fixture::new() else { return };
    for (tree, word) in [("doc.txt", "is a file"), ("nowhere", "does not exist")] {
        let answer = fixture.ask(&["-d", tree, "--files", "app-1.0.zip"]);
        let error = format!("gverify: error: {tree} {word}; --destination takes the folder that holds the releases");
        assert_eq!((answer.stdout.as_str(), answer.code), ("", 2), "{tree}");
        assert!(answer.stderr.contains(&error), "{tree}: {}", answer.stderr);
    }
    for option in [&["--since", "1.0"][..], &["-c", "bob"], &["--html", "x"]] {
        let answer = fixture.ask(&[&["-d", "sigs", "--files", "app-1.0.zip"], option].concat());
        assert_eq!((answer.stdout.as_str(), answer.code), ("", 2), "{option:?}");
        assert!(answer.stderr.contains("cannot be used with"), "{option:?}: {}", answer.stderr);
    }
}

#[test]
fn a_policy_counts_for_files_as_for_releases() {
    let Some(fixture) = Fixture::new() else { return };
    for signer in ["alice", "bob"] {
        fixture.gitian("1.0", signer, &[("app-1.0.zip", GOOD)]);
    }
    let built = "built by 2 for 1.0 (alice, bob)";
    let alice = fixture.home.fingerprint("alice");
    let own = format!("[signers.bob]\nkeys = ['{alice}']\n");
    let cases: [(&str, &[&str], String); 9] = [
        ("", &[], format!("OK, {built}")),
        ("", &["--strict", "--max-age", "1", "--require", "bob"], format!("OK, {built}")),
        ("", &["--require", "carol"], format!("POLICY NOT MET: {built}, but carol must agree and does not")),
        (
            "",
            &["--at", "2020-01-01"],
            "UNPROVEN: listed without a signature that counts by alice of 1.0 (REFUSED), bob of 1.0 (REFUSED)".into(),
        ),
        ("min-good = 3\n", &[], format!("TOO FEW: {built}, wanted are 3")),
        ("min-good = 3\n", &["--no-policy"], format!("OK, {built}")),
        ("[signers.alice]\nweight = 0\n", &[], "TOO FEW: built by 1 for 1.0 (bob), wanted are 2".into()),
        ("[groups.core]\nmembers = ['carol']\n", &[], format!("POLICY NOT MET: {built}, but 0 of the 1 of core")),
        (
            &own,
            &[],
            "UNPROVEN: listed without a signature that counts by alice of 1.0 (WRONG KEY), bob of 1.0 (WRONG KEY)"
                .into(),
        ),
    ];
    for (policy, options, line) in cases {
        fs::write(fixture.path("sigs/gverify.toml"), policy).unwrap();
        let answer = fixture.ask(&[&["-d", "sigs", "--files", "app-1.0.zip"], options].concat());
        let found = answer.stdout.trim_end();
        assert!(found.starts_with(&format!("app-1.0.zip: {line}")), "{policy} {options:?}: {found}\n{}", answer.stderr);
        assert_eq!(answer.code, i32::from(!line.starts_with("OK")), "{policy} {options:?}");
    }
}

#[test]
fn a_name_is_met_by_its_keys_alone() {
    let Some(fixture) = Fixture::new() else { return };
    let files = [("app-1.0.zip", GOOD)];
    for (signer, key) in [("alice", "alice"), ("bob", "bob"), ("carol", "mallory"), ("dave", "carol")] {
        fixture.guix("1.0", signer, key, &files);
    }
    fixture.home.export("mallory", &fixture.path("sigs/builder-keys"));
    // Carol has a key file, and another key signed in her folder; nobody has one for dave.
    for keys in [&[][..], &["--keys", "sigs/builder-keys"]] {
        let answer = fixture
            .ask(&[&["-d", "sigs", "-r", "1.0", "--name", "noncodesigned", "--require", "carol"], keys].concat());
        let why = format!("signed with key {}, which is not in ", fixture.home.fingerprint("mallory"));
        assert!(answer.stdout.contains("carol: WRONG KEY\n") && answer.stdout.contains(&why), "{}", answer.stdout);
        assert!(answer.stdout.contains("dave: OK\n") && answer.code == 1, "{}{}", answer.stdout, answer.stderr);
        let answer = fixture.ask(&[&["-d", "sigs", "--require", "carol", "--files", "app-1.0.zip"], keys].concat());
        let expected = "app-1.0.zip: POLICY NOT MET: built by 3 for 1.0 (alice, bob, dave), \
                        but carol must agree and does not; without a signature that counts by carol of 1.0 (WRONG KEY)\n";
        assert_eq!((answer.stdout.as_str(), answer.code), (expected, 1), "{}", answer.stderr);
    }
    let policy = format!("[signers.carol]\nkeys = ['{}']\n", fixture.home.fingerprint("mallory"));
    fs::write(fixture.path("sigs/gverify.toml"), policy).unwrap();
    let answer = fixture.ask(&["-d", "sigs", "-r", "1.0", "--name", "noncodesigned", "--require", "carol"]);
    // What else is in her key file is not heard, in whatever folder.
    let told = answer.stdout.contains("carol: OK\n") && answer.stdout.contains("dave: WRONG KEY\n");
    assert!(told && !answer.stderr.contains("not met"), "{}{}", answer.stdout, answer.stderr);
    // A user id can be anybody's name.
    let spoof = ["--quick-gen-key", "--allow-freeform-uid", "alice", "ed25519", "sign", "never"];
    fixture.home.gpg(&[&spoof[1..2], &spoof[..1], &spoof[2..]].concat());
    fs::write(fixture.path("spoof.pgp"), fixture.home.gpg(&["--export", "=alice"])).unwrap();
    let sums = fixture.path("SHA256SUMS");
    fs::write(&sums, list(&files)).unwrap();
    let signature = format!("{}.sig", sums.display());
    fixture.home.gpg(&["--yes", "-u", "=alice", "--output", &signature, "--detach-sign", sums.to_str().unwrap()]);
    let spoofed = ["--keys", "spoof.pgp", "--files", "SHA256SUMS", "--min-good"];
    let answer = fixture.ask(&[&spoofed[..], &["1", "--require", "alice"]].concat());
    assert_eq!(answer.stdout, "app-1.0.zip: POLICY NOT MET: built by 1 (alice), but alice must agree and does not\n");
    assert!(answer.code == 1 && answer.stderr.contains("hint: who signed a list is known by keys alone"));
    fs::write(fixture.path("policy"), "[signers.alice]\nweight = 5\n[groups.core]\nmembers = ['alice']\n").unwrap();
    let answer = fixture.ask(&[&spoofed[..], &["2", "--policy", "policy"]].concat());
    assert_eq!(answer.stdout, "app-1.0.zip: TOO FEW: built by 1 (alice), wanted are 2\n", "{}", answer.stderr);
    let answer = fixture.ask(&[&spoofed[..], &["1", "--policy", "policy"]].concat());
    assert!(answer.stdout.contains("POLICY NOT MET: ") && answer.code == 1, "{}", answer.stdout);
}

#[test]
fn json_says_of_files_what_the_lines_say() {
    let Some(fixture) = Fixture::new() else { return };
    for signer in ["alice", "bob"] {
        fixture.gitian("1.0", signer, &[("app-1.0.zip", GOOD)]);
    }
    let answer = fixture.ask(&["-d", "sigs", "--json", "--files", "app-1.0.zip", "doc.txt"]);
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((json["exit_status"].as_i64(), answer.code), (Some(1), 1));
    assert_eq!((&json["files"][0]["opinion"], &json["files"][1]["opinion"]), (&"agreed".into(), &"not-listed".into()));
    assert_eq!(json["files"][0]["built_by"][1]["signer"], "bob");
}

#[test]
fn a_tree_of_guix_has_releases_and_verdicts_as_well() {
    let Some(fixture) = Fixture::new() else { return };
    for (signer, content) in [("alice", GOOD), ("bob", GOOD), ("carol", EVIL)] {
        fixture.guix("1.0", signer, signer, &[("app-1.0.zip", content)]);
    }
    let answer = fixture.ask(&["-d", "sigs", "--all"]);
    assert!(answer.stdout.starts_with("1.0 noncodesigned: 2 OK, 1 MISMATCH\n  carol: MISMATCH: "), "{}", answer.stdout);
    assert_eq!(answer.code, 1);
    let answer = fixture.ask(&["-d", "sigs", "-r", "1.0/", "--name", "noncodesigned"]);
    assert!(answer.stdout.contains("alice: OK\n\nbob: OK\n\n") && answer.code == 1, "{}", answer.stdout);
    // A signature without its list is told, by whatever ending.
    let path = |name: &str| fixture.path("sigs/2.0/alice").join(name);
    fixture.guix("2.0", "alice", "alice", &[("app-2.0.zip", GOOD)]);
    fs::remove_file(path("noncodesigned.SHA256SUMS")).unwrap();
    fs::rename(path("noncodesigned.SHA256SUMS.asc"), path("noncodesigned.SHA256SUMS.sig")).unwrap();
    let answer = fixture.ask(&["-d", "sigs", "-r", "2.0", "--name", "noncodesigned"]);
    assert!(answer.stdout.contains("missing result at sigs/2.0/alice/noncodesigned.SHA256SUMS\n"), "{}", answer.stdout);
    let answer = fixture.ask(&["-d", "sigs", "--all", "-r", "2.0"]);
    assert!(
        answer.stdout.starts_with("2.0 noncodesigned: 1 MISSING RESULT\n") && answer.code == 2,
        "{}",
        answer.stdout
    );
    fs::remove_dir_all(fixture.path("sigs/2.0")).unwrap();
    // An assertion without a signature is not covered up by a list.
    fixture.gitian("1.0", "alice", &[("app-1.0.zip", GOOD)]);
    let answer = fixture.ask(&["-d", "sigs", "--all", "--name", "app"]);
    assert_eq!(answer.stdout, "1.0 app: 1 OK, 2 MISSING RESULT\n", "{}", answer.stderr);
    // Nor does an assertion cover up a list without a word.
    fs::write(fixture.path("sigs/1.0/alice/app.SHA256SUMS"), list(&[("app-1.0.zip", EVIL)])).unwrap();
    let answer = fixture.ask(&["-d", "sigs", "--all", "--name", "app"]);
    assert_eq!(answer.stdout, "1.0 app: 1 OK, 2 MISSING RESULT\n", "{}", answer.stderr);
    assert!(
        answer.stderr.contains("1.0/alice/app.SHA256SUMS is passed over, since there is an assertion"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_list_is_asked_about_with_all_its_files_and_its_own_signatures() {
    let Some(fixture) = Fixture::new() else { return };
    let text = list(&[("app-1.0.zip", GOOD), ("app-1.0-win.zip", "not downloaded\n")]);
    let sums = fixture.path("SHA256SUMS");
    fs::write(&sums, &text).unwrap();
    // Without signatures there is nobody to believe.
    let answer = fixture.ask(&["--files", "SHA256SUMS"]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("--destination TREE, or a SHA256SUMS with its signatures"), "{}", answer.stderr);
    // Several in one file; a bad one and an unknown one hide nobody.
    let keys = ["--keys", "sigs/builder-keys"];
    for armor in ["--no-armor", "--armor"] {
        let mut signatures = Vec::new();
        for (key, document) in [("mallory", &*text), ("carol", "another list"), ("alice", &text), ("bob", &text)] {
            let (path, output) = (fixture.path("document"), fixture.path("one.sig"));
            fs::write(&path, document).unwrap();
            fixture.sign(key, &path, &[armor, "--output", output.to_str().unwrap(), "--detach-sign"]);
            signatures.extend(fs::read(output).unwrap());
        }
        fs::write(fixture.path("SHA256SUMS.sig"), signatures).unwrap();
        let answer = fixture.ask(&[&keys[..], &["--files", "SHA256SUMS", "SHA256SUMS.sig"]].concat());
        let people = "(alice <alice@example.org>, bob <bob@example.org>)";
        let expected = format!(
            "app-1.0.zip: OK, built by 2 {people}\napp-1.0-win.zip: OK, built by 2 {people}; not here, so not hashed\n"
        );
        assert_eq!((answer.stdout, answer.code), (expected, 0), "{armor}: {}", answer.stderr);
        assert!(answer.stderr.starts_with("gverify: 1 listed file is not here; "), "{}", answer.stderr);
    }
    // Comments are nobody's word; signatures may be called as those of the list alone.
    fs::write(&sums, format!("# of the release\n{text}")).unwrap();
    for key in ["alice", "bob"] {
        let output = fixture.path(&format!("{key}.gpg"));
        fixture.sign(key, &sums, &["--output", output.to_str().unwrap(), "--detach-sign"]);
    }
    fs::remove_file(fixture.path("SHA256SUMS.sig")).unwrap();
    let both = ["alice.gpg", "bob.gpg"].map(|name| fs::read(fixture.path(name)).unwrap()).concat();
    fs::write(fixture.path("SHA256SUMS.gpg"), both).unwrap();
    let answer = fixture.ask(&[&keys[..], &["--files", "SHA256SUMS", "SHA256SUMS.gpg"]].concat());
    assert!(answer.stdout.starts_with("app-1.0.zip: OK, built by 2 ("), "{}{}", answer.stdout, answer.stderr);
    assert_eq!(answer.code, 0);
    // What lies here is not what the list means.
    fs::write(fixture.path("app-1.0.zip"), EVIL).unwrap();
    let answer = fixture.ask(&[&keys[..], &["--files", "SHA256SUMS"]].concat());
    assert!(answer.stdout.starts_with("app-1.0.zip: MISMATCH: the file here is not"), "{}", answer.stdout);
    assert_eq!(answer.code, 1);
}

#[test]
fn what_lies_beside_a_list_is_compared_however_it_is_listed() {
    let Some(fixture) = Fixture::new() else { return };
    for signer in ["alice", "bob"] {
        fixture.guix("1.0", signer, signer, &[("app-1.0.zip", GOOD)]);
    }
    fs::write(fixture.path("evil"), EVIL).unwrap();
    let ok = "OK, built by 2 for 1.0 (alice, bob)";
    let mismatch = "MISMATCH: the file here is not the one that the list means; download it again";
    let refused = |what: &str| format!("UNREADABLE: what lies here {what}; nothing was compared");
    type Plant<'a> = &'a dyn Fn(&Path);
    let link = |to: &'static str| move |path: &Path| std::os::unix::fs::symlink(to, path).unwrap();
    let fifo = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let cases: [(&str, &str, Plant<'_>, String, &str); 12] = [
        ("file", "app-1.0.zip", &|path| fs::write(path, GOOD).unwrap(), ok.into(), "agreed"),
        ("damaged", "app-1.0.zip", &|path| fs::write(path, EVIL).unwrap(), mismatch.into(), "damaged"),
        ("dot", "./app-1.0.zip", &|path| fs::write(path, GOOD).unwrap(), ok.into(), "agreed"),
        ("damaged-dot", "./app-1.0.zip", &|path| fs::write(path, EVIL).unwrap(), mismatch.into(), "damaged"),
        ("dots", ".//./app-1.0.zip", &|path| fs::write(path, EVIL).unwrap(), mismatch.into(), "damaged"),
        ("link", "app-1.0.zip", &link("../app-1.0.zip"), ok.into(), "agreed"),
        ("damaged-link", "app-1.0.zip", &link("../evil"), mismatch.into(), "damaged"),
        ("dead-link", "app-1.0.zip", &link("nothing"), refused("is a link to nothing"), "unreadable"),
        ("folder", "app-1.0.zip", &|path| fs::create_dir(path).unwrap(), refused("is a folder"), "unreadable"),
        ("fifo", "./app-1.0.zip", &fifo, refused("is not a regular file"), "unreadable"),
        ("device", "app-1.0.zip", &link("/dev/null"), refused("is not a regular file"), "unreadable"),
        ("absent", "./app-1.0.zip", &|_| {}, format!("{ok}; not here, so not hashed"), "agreed"),
    ];
    for (what, listed, plant, line, opinion) in cases {
        let folder = fixture.path(what);
        write(&folder.join("SHA256SUMS"), &list(&[(listed, GOOD)]));
        plant(&folder.join("app-1.0.zip"));
        let sums = format!("{what}/SHA256SUMS");
        let answer = fixture.ask(&["-d", "sigs", "--files", &sums]);
        assert_eq!(answer.stdout, format!("{listed}: {line}\n"), "{what}: {}", answer.stderr);
        assert_eq!(answer.code, i32::from(opinion != "agreed"), "{what}");
        let nothing =
            answer.stderr.contains("1 listed file is not here; only the listed digest was looked up; no file was");
        assert_eq!(nothing, what == "absent", "{what}: {}", answer.stderr);
        let answer = fixture.ask(&["-d", "sigs", "--json", "--files", &sums]);
        let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        let hashed = what != "absent" && opinion != "unreadable";
        assert_eq!(
            (&json["files"][0]["opinion"], &json["files"][0]["hashed"]),
            (&opinion.into(), &hashed.into()),
            "{what}"
        );
    }
}

#[test]
fn a_list_and_its_signatures_are_found_whatever_lies_beside_them() {
    let Some(fixture) = Fixture::new() else { return };
    for signer in ["alice", "bob"] {
        fixture.guix("1.0", signer, signer, &[("app-1.0.zip", GOOD)]);
    }
    // Somebody puts another file where the signature is looked for first.
    let path = |end: &str| fixture.path("sigs/1.0/bob").join(format!("noncodesigned.SHA256SUMS.{end}"));
    fs::rename(path("asc"), path("gpg")).unwrap();
    fs::write(path("asc"), "no signature").unwrap();
    let answer = fixture.ask(&["-d", "sigs", "-r", "1.0", "--name", "noncodesigned", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    let bob = &json["releases"][0]["signers"][1];
    let signature = "sigs/1.0/bob/noncodesigned.SHA256SUMS.gpg";
    assert_eq!((&bob["verdict"], &bob["signature"]["path"]), (&"ok".into(), &signature.into()), "{bob}");
    // A list that the user names may be a link to where he keeps it.
    write(&fixture.path("kept/SHA256SUMS"), &list(&[("app-1.0.zip", GOOD)]));
    fs::create_dir(fixture.path("downloads")).unwrap();
    std::os::unix::fs::symlink("../kept/SHA256SUMS", fixture.path("downloads/SHA256SUMS")).unwrap();
    let answer = fixture.ask(&["-d", "sigs", "--files", "downloads/SHA256SUMS"]);
    assert!(answer.stdout.starts_with("app-1.0.zip: OK, built by 2 for 1.0 (alice, bob)"), "{}", answer.stderr);
    // Digests in capitals are the same, however few files are asked about.
    let capitals = list(&[("other.zip", GOOD)]).replace("other.zip", "").trim().to_uppercase() + "  other.zip\n";
    write(&fixture.path("sigs/2.0/carol/noncodesigned.SHA256SUMS"), &capitals);
    let list = fixture.path("sigs/2.0/carol/noncodesigned.SHA256SUMS");
    fixture.sign("carol", &list, &["--armor", "--output", &format!("{}.asc", list.display()), "--detach-sign"]);
    let answer = fixture.ask(&["-d", "sigs", "-r", "2.0", "--files", "app-1.0.zip"]);
    assert!(answer.stdout.starts_with("app-1.0.zip: OTHER NAME: "), "{}{}", answer.stdout, answer.stderr);
}

#[test]
fn a_clear_signed_list_counts_and_what_stands_around_it_does_not() {
    let Some(fixture) = Fixture::new() else { return };
    let plain = fixture.path("plain");
    fs::write(&plain, list(&[("app-1.0.zip", GOOD)])).unwrap();
    let sums = fixture.path("SHA256SUMS.asc");
    fixture.sign("alice", &plain, &["--output", sums.to_str().unwrap(), "--clear-sign"]);
    let args = ["--keys", "sigs/builder-keys", "--min-good", "1", "--files", "SHA256SUMS.asc"];
    let answer = fixture.ask(&args);
    let expected = "app-1.0.zip: OK, built by 1 (alice <alice@example.org>)\n";
    assert_eq!((answer.stdout.as_str(), answer.code), (expected, 0), "{}", answer.stderr);
    let signed = fs::read_to_string(&sums).unwrap();
    for changed in [
        signed.replace("app-1.0.zip", "app-2.0.zip"),
        format!("{}{signed}", list(&[("doc.txt", "read me\n")])),
        signed.replacen("\n\n", &format!("\n{}\n", list(&[("doc.txt", "read me\n")])), 1),
    ] {
        fs::write(&sums, changed).unwrap();
        let answer = fixture.ask(&args);
        assert!(answer.code != 0 && !answer.stdout.contains("OK"), "{}", answer.stdout);
    }
}

#[test]
fn names_in_a_list_lead_nowhere() {
    let Some(fixture) = Fixture::new() else { return };
    let secret = fixture.path("secret");
    fs::write(&secret, GOOD).unwrap();
    nix::unistd::mkfifo(&fixture.path("downloads.fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let listed =
        [("../secret", EVIL), (secret.to_str().unwrap(), EVIL), ("downloads.fifo", EVIL), ("\u{1b}[2Kx: OK", EVIL)];
    fs::create_dir(fixture.path("downloads")).unwrap();
    fixture.guix("1.0", "alice", "alice", &listed);
    fixture.guix("1.0", "bob", "bob", &listed);
    fs::write(fixture.path("downloads/SHA256SUMS"), list(&listed)).unwrap();
    let answer = fixture.ask(&["-d", "sigs", "--files", "downloads/SHA256SUMS"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stderr.contains("gverify: 4 listed files are not here"), "{}", answer.stderr);
    assert!(answer.stdout.contains(r"\u{1b}[2Kx: OK: OK, built by 2") && !answer.stdout.contains('\u{1b}'));
    let answer = fixture.ask(&["-d", "sigs", "--files", "downloads.fifo"]);
    assert_eq!(
        (answer.stderr.lines().last(), answer.code),
        (Some("gverify: error: downloads.fifo: is not a regular file"), 2)
    );
}

/// Anna has two keys in one file, which is called after her; no name in it is hers.
fn anna(fixture: &Fixture) {
    let key = |name: &str| fixture.home.gpg(&["--export", &format!("{name}@example.org")]);
    for name in ["alice.pgp", "carol.pgp"] {
        fs::remove_file(fixture.path("sigs/builder-keys").join(name)).unwrap();
    }
    fs::write(fixture.path("sigs/builder-keys/anna.gpg"), [key("alice"), key("carol")].concat()).unwrap();
}

#[test]
fn a_person_with_two_keys_is_one_wherever_they_signed() {
    let Some(fixture) = Fixture::new() else { return };
    anna(&fixture);
    let files = [("app-1.0.zip", GOOD)];
    fixture.guix("1.0", "anna", "alice", &files);
    fixture.guix("2.0", "yan", "alice", &files);
    fixture.guix("2.0", "zoe", "carol", &files);
    fs::write(fixture.path("SHA256SUMS"), list(&files)).unwrap();
    let sign = |key: &str, end: &str| {
        let (list, to) = (fixture.path("SHA256SUMS"), fixture.path(&format!("SHA256SUMS.{end}")));
        fixture.sign(key, &list, &["--armor", "--output", to.to_str().unwrap(), "--detach-sign"]);
    };
    sign("carol", "asc");
    // In a release in which she has no folder, and in a list beside a tree in which she has one.
    for args in [
        &["-d", "sigs", "-r", "2.0", "--name", "noncodesigned", "--min-good", "2"][..],
        &["-d", "sigs", "-r", "2.0", "--files", "app-1.0.zip"],
        &["-d", "sigs", "-r", "1.0", "--files", "SHA256SUMS"],
    ] {
        let answer = fixture.ask(args);
        assert_eq!(answer.code, 1, "{args:?}: {}{}", answer.stdout, answer.stderr);
    }
    // A policy that names one of her keys leaves her the other.
    let fingerprint = fixture.home.fingerprint("alice");
    fs::write(fixture.path("sigs/gverify.toml"), format!("[signers.anna]\nkeys = [\"{fingerprint}\"]\n")).unwrap();
    let answer = fixture.ask(&["-d", "sigs", "-r", "2.0", "--name", "noncodesigned", "--min-good", "2"]);
    assert!(answer.code == 1 && answer.stdout.contains("zoe: WRONG KEY"), "{}{}", answer.stdout, answer.stderr);
    // Without a tree, a file that is called after whose certificate it holds is one person's.
    fs::rename(fixture.path("sigs/builder-keys/anna.gpg"), fixture.path("sigs/builder-keys/alice.gpg")).unwrap();
    sign("alice", "sig");
    let answer = fixture.ask(&["--keys", "sigs/builder-keys", "--files", "SHA256SUMS"]);
    assert!(answer.code == 1 && answer.stdout.contains("TOO FEW: built by 1"), "{}{}", answer.stdout, answer.stderr);
}

#[test]
fn a_program_that_does_not_tell_whose_a_signature_is_counts_for_one_person() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.gitian("1.0", "alice", &[("app-1.0.zip", GOOD)]);
    fixture.copies("1.0", &["alice"], "1.0");
    let ask = |more: &[&str]| fixture.ask(&[&["-d", "sigs", "-p", "true", "--files", "app-1.0.zip"], more].concat());
    let answer = ask(&[]);
    assert!(answer.code == 1 && answer.stdout.contains("UNPROVEN"), "{}{}", answer.stdout, answer.stderr);
    assert_eq!(ask(&["--min-good", "1"]).code, 0, "{}", ask(&["--min-good", "1"]).stdout);
}

#[test]
fn of_several_files_of_one_name_the_one_in_the_same_folder_is_meant() {
    let Some(fixture) = Fixture::new() else { return };
    for signer in ["alice", "bob"] {
        fixture.gitian("1.0", signer, &[("bin/32/app", "small\n"), ("bin/64/app", "large\n"), ("lib/one", "one\n")]);
    }
    for (listed, content, code, told) in [
        ("bin/64/app", "large\n", 0, "bin/64/app: OK, built by 2 for 1.0 (alice, bob); not here"),
        ("./bin/64/app", "large\n", 0, "OK"),
        ("bin/32/app", "large\n", 1, "bin/32/app: DISPUTED: these are the bytes of app, built by 2"),
        ("elsewhere/app", "large\n", 1, "elsewhere/app: OTHER NAME: these are the bytes of app"),
        // Only one file is called so: its folder does not matter.
        ("share/one", "one\n", 0, "OK"),
        ("app", "small\n", 0, "OK"),
    ] {
        fs::write(fixture.path("SHA256SUMS"), list(&[(listed, content)])).unwrap();
        let answer = fixture.ask(&["-d", "sigs", "--files", "SHA256SUMS"]);
        assert!(answer.code == code && answer.stdout.contains(told), "{listed}: {}{}", answer.stdout, answer.stderr);
    }
    // Two files of one name that were named are told by where they are.
    for (place, content) in [("a/app", "large\n"), ("b/app", EVIL)] {
        write(&fixture.path(place), content);
    }
    let answer = fixture.ask(&["-d", "sigs", "--files", "a/app", "b/app"]);
    assert!(answer.stdout.contains("a/app: OK") && answer.stdout.contains("b/app: MISMATCH"), "{}", answer.stdout);
    // Whoever lists others of that name dissents, also from a folder that only those have who lie.
    fixture.home.export("mallory", &fixture.path("sigs/builder-keys"));
    for signer in ["carol", "mallory"] {
        fixture.gitian("1.0", signer, &[("rel/bin/32/app", EVIL), ("rel/bin/64/app", "evil too\n")]);
    }
    fs::write(fixture.path("SHA256SUMS"), list(&[("rel/bin/64/app", "evil too\n")])).unwrap();
    let answer = fixture.ask(&["-d", "sigs", "--files", "SHA256SUMS"]);
    assert!(answer.code == 1 && answer.stdout.contains("DISPUTED: built by 2"), "{}", answer.stdout);
}

#[test]
fn an_assertion_beside_a_list_counts_and_the_list_does_not() {
    let Some(fixture) = Fixture::new() else { return };
    for signer in ["alice", "bob"] {
        fixture.gitian("1.0", signer, &[("app-1.0.zip", EVIL)]);
        let path = fixture.path("sigs/1.0").join(signer).join("app.SHA256SUMS");
        write(&path, &list(&[("app-1.0.zip", GOOD)]));
        fixture.sign(signer, &path, &["--armor", "--output", &format!("{}.asc", path.display()), "--detach-sign"]);
    }
    let answer = fixture.ask(&["-d", "sigs", "--files", "app-1.0.zip"]);
    assert!(answer.code == 1 && answer.stdout.contains("MISMATCH: something else"), "{}", answer.stdout);
    assert!(answer.stdout.contains("alice of 1.0 (PASSED OVER)"), "{}", answer.stdout);
    // One that nobody signed takes no word away.
    for signer in ["alice", "bob"] {
        fs::write(fixture.path("sigs/1.0").join(signer).join("app-build.assert.sig"), "").unwrap();
    }
    let answer = fixture.ask(&["-d", "sigs", "--files", "app-1.0.zip"]);
    assert!(answer.stdout.contains("app-1.0.zip: OK, built by 2"), "{}", answer.stdout);
}

#[test]
fn a_list_of_ones_own_is_older_than_what_its_signers_say_of_that_release_since() {
    let Some(fixture) = Fixture::new() else { return };
    let sums = fixture.path("SHA256SUMS");
    fs::write(&sums, list(&[("app-1.0.zip", GOOD)])).unwrap();
    for (signer, end) in [("alice", "asc"), ("bob", "sig")] {
        let to = fixture.path(&format!("SHA256SUMS.{end}"));
        fixture.sign(signer, &sums, &["--armor", "--output", to.to_str().unwrap(), "--detach-sign"]);
    }
    fixture.later();
    fixture.gitian("1.0", "alice", &[("app-1.0.zip", EVIL)]);
    fixture.gitian("1.0", "bob", &[("app-1.0.zip", EVIL)]);
    let ask =
        |more: &[&str]| fixture.ask(&[&["-d", "sigs", "--at", "2099-01-01", "--files", "SHA256SUMS"], more].concat());
    let answer = ask(&["-r", "1.0"]);
    assert!(answer.code == 1 && answer.stdout.contains("REPLACED"), "{}{}", answer.stdout, answer.stderr);
    // Nobody said which release the list is about.
    assert_eq!(ask(&[]).code, 0);
}

#[test]
fn keys_that_come_along_with_a_download_are_not_believed() {
    let Some(fixture) = Fixture::new() else { return };
    let sums = fixture.path("sigs/SHA256SUMS");
    fs::write(&sums, list(&[("app-1.0.zip", GOOD)])).unwrap();
    let signature = format!("{}.asc", sums.display());
    fixture.sign("alice", &sums, &["--armor", "--output", &signature, "--detach-sign"]);
    let answer = fixture.ask(&["--min-good", "1", "--files", "sigs/SHA256SUMS"]);
    assert_eq!(answer.code, 1, "{}{}", answer.stdout, answer.stderr);
    let hint = "hint: keys lie beside the list; if you believe whoever put them there: --keys sigs/builder-keys";
    assert!(answer.stderr.contains(hint), "{}", answer.stderr);
    let answer = fixture.ask(&["--min-good", "1", "--keys", "sigs/builder-keys", "--files", "sigs/SHA256SUMS"]);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
}

#[test]
fn what_only_ends_like_a_signature_is_asked_about_like_anything_else() {
    let Some(fixture) = Fixture::new() else { return };
    for signer in ["alice", "bob"] {
        fixture.gitian("1.0", signer, &[("app-1.0.zip", GOOD)]);
    }
    fs::write(fixture.path("setup.sig"), EVIL).unwrap();
    fs::write(fixture.path("app-1.0.zip.asc"), "a signature\n").unwrap();
    let answer = fixture.ask(&["-d", "sigs", "--files", "app-1.0.zip", "app-1.0.zip.asc", "setup.sig"]);
    let expected =
        "app-1.0.zip: OK, built by 2 for 1.0 (alice, bob)\nsetup.sig: NOT LISTED: nobody says that he built it\n";
    assert_eq!((answer.stdout.as_str(), answer.code), (expected, 1), "{}", answer.stderr);
    let answer = fixture.ask(&["-d", "sigs", "--files", "app-1.0.zip", "absent.asc"]);
    assert!(
        answer.code == 2 && answer.stderr.contains("absent.asc: No such file"),
        "{}{}",
        answer.stdout,
        answer.stderr
    );
}
