//! `gverify --lint` on pull requests to a sigs repository: right ones pass, each kind of wrong one is named.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use assert_cmd::Command;

use crate::support::gnupg::Home;
use crate::support::programs::{Answer, Workdir};

const LINES: &str = "    ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  app-1.0.zip\n";

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A repository with alice's and bob's keys and one release of each.
struct Fixture {
    home: Home,
    work: Workdir,
}

impl Fixture {
    fn new() -> Option<Self> {
        let fixture = Self { home: Home::new()?, work: Workdir::new() };
        fs::create_dir_all(fixture.path("builder-keys")).unwrap();
        for name in ["alice", "bob"] {
            fixture.home.make_key(name, "ed25519");
            let key = fixture.home.export(name, fixture.work.path());
            fs::rename(key, fixture.path(&format!("builder-keys/{name}.gpg"))).unwrap();
            fixture.add("1.0", name, name);
        }
        fixture.home.make_key("mallory", "ed25519");
        fixture.git(&["init", "-q", "-b", "main"]);
        fixture.commit();
        Some(fixture)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.work.path().join("sigs").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn add(&self, release: &str, signer: &str, key: &str) {
        self.add_signed(release, signer, "app", key, &[]);
    }

    fn add_signed(&self, release: &str, signer: &str, name: &str, key: &str, options: &[&str]) {
        let document = format!("{release}/{signer}/{name}-build.assert");
        let text = format!("--- !!omap\n- out_manifest: |\n{LINES}- release: '{release}'\n- name: {name}\n");
        self.write(&document, &text);
        self.sign(&document, key, options);
    }

    fn add_list(&self, list: &str, key: &str, options: &[&str]) {
        self.write(list, &format!("{}\n", LINES.trim()));
        self.sign(list, key, &[&["--armor"], options].concat());
        fs::rename(self.path(&format!("{list}.sig")), self.path(&format!("{list}.asc"))).unwrap();
    }

    /// Copies a file, made something else.
    fn copy(&self, from: &str, to: &str, make: &dyn Fn(String) -> String) {
        let text = fs::read_to_string(self.path(from)).unwrap();
        self.write(to, &make(text));
    }

    /// The revocation that GnuPG makes along with a key.
    fn revocation(&self, name: &str) -> String {
        let made = self.home.path().join(format!("openpgp-revocs.d/{}.rev", self.home.fingerprint(name)));
        fs::read_to_string(made).unwrap().replace(":-----BEGIN", "-----BEGIN")
    }

    fn sign(&self, document: &str, key: &str, options: &[&str]) {
        let (path, user) = (self.path(document), format!("{key}@example.org"));
        let signature = format!("{}.sig", path.display());
        let fixed = ["--yes", "-u", &user, "--output", &signature, "--detach-sign", path.to_str().unwrap()];
        self.home.gpg(&[options, &fixed].concat());
    }

    fn git(&self, args: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgSign=false"]);
        git.args(args).current_dir(self.path("")).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", self.work.path());
        git.assert().success();
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "change"]);
    }

    fn lint(&self, args: &[&str]) -> Answer {
        self.work.run("gverify", &[&["-d", "sigs"], args].concat())
    }
}

#[test]
fn a_signers_own_release_with_a_good_signature_is_ok() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.add("2.0", "alice", "alice");
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("2 changed files: OK\n", 0), "{}", answer.stderr);
    let paths = ["2.0/alice/app-build.assert", "2.0/alice/app-build.assert.sig"];
    assert_eq!(fixture.lint(&["--lint", paths[0], paths[1]]).stdout, answer.stdout);
    assert_eq!(fixture.lint(&["--lint", "HEAD..HEAD"]).code, 2);
    let told = |answer: Answer, error: &str, hint: &str| {
        let expected = format!("gverify: error: {error}\nhint: {hint}\n");
        assert_eq!((&*answer.stderr, answer.code), (&*expected, 2));
    };
    told(
        fixture.lint(&["--lint", "origin/no-such-branch..HEAD"]),
        "git repository sigs: has no commit origin/no-such-branch",
        "git -C sigs fetch origin no-such-branch",
    );
    // A part of the history only.
    fixture.git(&["checkout", "-q", "--orphan", "other"]);
    fixture.commit();
    fixture.git(&["checkout", "-q", "main"]);
    told(
        fixture.lint(&["--lint", "other..HEAD"]),
        "git repository sigs: does not hold where HEAD left other",
        "git -C sigs fetch --unshallow   # if it is a part of the history only",
    );
    let answer = fixture.lint(&["-r", "2.0", "--lint", "HEAD~1..HEAD"]);
    assert!(answer.stderr.contains("cannot be used with"), "{}", answer.stderr);
}

#[test]
fn what_others_merged_meanwhile_is_not_part_of_the_change() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.git(&["checkout", "-q", "-b", "change"]);
    fixture.add("2.0", "alice", "alice");
    fixture.commit();
    fixture.git(&["checkout", "-q", "main"]);
    fixture.add("2.0", "bob", "bob");
    fixture.commit();
    fixture.git(&["checkout", "-q", "change"]);
    let answer = fixture.lint(&["--lint", "main..change", "--signer", "alice"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("2 changed files: OK\n", 0), "{}", answer.stderr);
    fixture.git(&["checkout", "-q", "main"]);
    let answer = fixture.lint(&["--lint", "main~1..change"]);
    assert!(answer.stderr.ends_with("hint: git -C sigs checkout change\n"), "{}", answer.stderr);
    fixture.git(&["checkout", "-q", "change"]);
    // The files must be here as they are there.
    fixture.write("2.0/alice/app-build.assert", "something else");
    let answer = fixture.lint(&["--lint", "main..change"]);
    assert!(answer.stderr.contains("2.0/alice/app-build.assert: is not here as it is in"), "{}", answer.stderr);
    assert_eq!((answer.stdout.as_str(), answer.code), ("", 2));
    assert!(answer.stderr.contains("\nhint: git -C sigs stash   # "), "{}", answer.stderr);
    fixture.git(&["stash", "-q"]);
    assert_eq!(fixture.lint(&["--lint", "main..change"]).code, 0);
}

/// A branch from before alice had a key is not judged as if she had none.
#[test]
fn keys_that_the_base_has_since_count() {
    let Some(fixture) = Fixture::new() else { return };
    let key = fs::read(fixture.path("builder-keys/alice.gpg")).unwrap();
    fs::remove_file(fixture.path("builder-keys/alice.gpg")).unwrap();
    fs::remove_dir_all(fixture.path("1.0/alice")).unwrap();
    fixture.commit();
    fixture.git(&["checkout", "-q", "-b", "change"]);
    fs::write(fixture.path("builder-keys/alice.asc"), fixture.home.gpg(&["--export", "mallory"])).unwrap();
    fixture.commit();
    assert_eq!(fixture.lint(&["--lint", "main..change"]).code, 0);
    fixture.git(&["checkout", "-q", "main"]);
    fs::write(fixture.path("builder-keys/alice.gpg"), key).unwrap();
    fixture.commit();
    fs::create_dir(fixture.work.path().join("base-keys")).unwrap();
    fs::copy(fixture.path("builder-keys/alice.gpg"), fixture.work.path().join("base-keys/alice.gpg")).unwrap();
    fixture.git(&["checkout", "-q", "change"]);
    let answer = fixture.lint(&["--lint", "main..change"]);
    let expected = "gverify: error: builder-keys/alice.gpg: is another in main since change left it\n\
                    hint: git -C sigs merge main\n";
    assert_eq!((&*answer.stderr, answer.code), (expected, 2));
    let exchanged = "builder-keys/alice.asc: holds none of the keys that alice had before\n";
    assert_eq!(fixture.lint(&["--lint", "main..change", "--keys", "base-keys"]).stdout, exchanged);
    fixture.git(&["merge", "-q", "--no-edit", "main"]);
    assert_eq!(fixture.lint(&["--lint", "main..change"]).stdout, exchanged);
}

#[test]
fn a_release_may_lie_deeper_and_no_signer_in_another() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.add("0.3", "alice", "alice");
    fs::create_dir(fixture.path("archive")).unwrap();
    fs::rename(fixture.path("0.3"), fixture.path("archive/0.3")).unwrap();
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("2 changed files: OK\n", 0), "{}", answer.stderr);
    // What alice signed there is what she signed before.
    fs::remove_file(fixture.path("builder-keys/alice.gpg")).unwrap();
    fs::remove_dir_all(fixture.path("1.0/alice")).unwrap();
    fixture.commit();
    fixture.add("2.0", "alice", "bob");
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert!(answer.stdout.ends_with("which is not in alice's older signatures\n"), "{}", answer.stdout);
    for place in ["1.0/bob", "archive"] {
        let from = fixture.path(if place == "archive" { "1.0/bob" } else { "archive/0.3/alice" });
        let to = fixture.path(place).join(if place == "archive" { "0.3" } else { "alice" });
        fs::create_dir_all(&to).unwrap();
        for file in ["app-build.assert", "app-build.assert.sig"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
        fixture.commit();
        let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
        assert!(answer.stdout.contains("app-build.assert: is neither an assertion"), "{place}: {}", answer.stdout);
        fixture.git(&["reset", "-q", "--hard", "HEAD~1"]);
    }
}

/// How mallory, a builder with a key of his own, tries to speak as somebody else.
#[test]
fn nobody_takes_over_a_signers_name() {
    type Change<'a> = &'a dyn Fn(&Fixture);
    let append = |f: &Fixture, key: &str, file: &str| {
        let mut keys = fs::read(f.path(file)).unwrap_or_default();
        keys.extend(f.home.gpg(&["--export", key]));
        fs::write(f.path(file), keys).unwrap();
    };
    let lost: Change<'_> = &|f| {
        fs::remove_file(f.path("builder-keys/alice.gpg")).unwrap();
        f.commit();
    };
    let none: Change<'_> = &|_| ();
    let cases: [(&str, Change<'_>, Change<'_>, &str, &str); 7] = [
        (
            "beside the old key",
            none,
            &|f| append(f, "mallory", "builder-keys/alice.gpg"),
            "builder-keys/alice.gpg: brings the new key ",
            "1.1/alice/app-build.assert: is signed by key ",
        ),
        (
            "in a file of another ending",
            none,
            &|f| append(f, "mallory", "builder-keys/alice.asc"),
            "builder-keys/alice.asc: holds none of the keys that alice had before\n",
            "which is not in builder-keys/alice.gpg",
        ),
        (
            "in another folder",
            none,
            &|f| {
                fs::create_dir(f.path("gitian-keys")).unwrap();
                append(f, "mallory", "gitian-keys/alice.gpg");
            },
            "gitian-keys/alice.gpg: holds none of the keys that alice had before\n",
            "which is not in builder-keys/alice.gpg",
        ),
        (
            "before she signed anything",
            &|f| {
                fs::remove_dir_all(f.path("1.0/alice")).unwrap();
                fs::rename(f.path("builder-keys/alice.gpg"), f.path("builder-keys/alice.asc")).unwrap();
                f.commit();
            },
            &|f| append(f, "mallory", "builder-keys/alice.gpg"),
            "builder-keys/alice.gpg: holds none of the keys that alice had before\n",
            "which is not in builder-keys/alice.asc",
        ),
        (
            "whose key nobody has any more",
            lost,
            &|f| append(f, "mallory", "builder-keys/alice.gpg"),
            "builder-keys/alice.gpg: holds none of the keys that alice had before\n",
            "which is not in alice's older signatures\n",
        ),
        (
            "whose key nobody has any more, and a known key",
            lost,
            none,
            "1.1/alice/app-build.assert: is signed by key ",
            "which is not in alice's older signatures\n",
        ),
        (
            "by way of her key in a file of his",
            none,
            &|f| {
                append(f, "alice", "builder-keys/zed.gpg");
                fs::create_dir_all(f.path("1.0/zed")).unwrap();
                for file in ["app-build.assert", "app-build.assert.sig"] {
                    fs::copy(f.path(&format!("1.0/alice/{file}")), f.path(&format!("1.0/zed/{file}"))).unwrap();
                }
            },
            "builder-keys/zed.gpg: holds key ",
            "1.0/zed/app-build.assert: is signed by key ",
        ),
    ];
    for (story, before, change, key_fault, fault) in cases {
        let Some(fixture) = Fixture::new() else { return };
        append(&fixture, "mallory", "builder-keys/mallory.gpg");
        fixture.commit();
        before(&fixture);
        let keys = fixture.work.path().join("base-keys");
        fs::create_dir(&keys).unwrap();
        for file in fs::read_dir(fixture.path("builder-keys")).unwrap().flatten() {
            fs::copy(file.path(), keys.join(file.file_name())).unwrap();
        }
        change(&fixture);
        if !fixture.path("1.0/zed").exists() {
            fixture.add("1.1", "alice", "mallory");
        }
        fixture.commit();
        for keys in [&[][..], &["--signer", "alice"], &["--keys", "base-keys"]] {
            let answer = fixture.lint(&[&["--lint", "HEAD~1..HEAD"], keys].concat());
            let shown = format!("{story} {keys:?}: {}{}", answer.stdout, answer.stderr);
            assert!(answer.stdout.contains(key_fault) && answer.stdout.contains(fault) && answer.code == 1, "{shown}");
        }
    }
    // Keys that lie beside the tree, in the same repository.
    let Some(fixture) = Fixture::new() else { return };
    fs::create_dir(fixture.path("tree")).unwrap();
    fs::rename(fixture.path("1.0"), fixture.path("tree/1.0")).unwrap();
    fixture.commit();
    append(&fixture, "mallory", "builder-keys/alice.gpg");
    fixture.commit();
    let answer = fixture.work.run("gverify", &["-d", "sigs/tree", "--lint", "HEAD~1..HEAD"]);
    let expected = "../builder-keys/alice.gpg: brings the new key ";
    assert!(answer.stdout.starts_with(expected) && answer.code == 1, "{}{}", answer.stdout, answer.stderr);
}

/// Somebody who was never there may bring a key and a release; the next release needs no key.
#[test]
fn a_new_signer_brings_a_key_once() {
    let Some(fixture) = Fixture::new() else { return };
    let key = fixture.home.export("mallory", fixture.work.path());
    fs::rename(key, fixture.path("builder-keys/mallory.gpg")).unwrap();
    fixture.add("1.0", "mallory", "mallory");
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("3 changed files: OK\n", 0), "{}", answer.stderr);
    // With the keys of the base, the key has to be there before.
    let base = fixture.work.path().join("base-keys");
    fs::create_dir(&base).unwrap();
    fs::copy(fixture.path("builder-keys/alice.gpg"), base.join("alice.gpg")).unwrap();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD", "--keys", "base-keys"]);
    let expected = "which only comes with this change, in builder-keys/mallory.gpg\n";
    assert!(answer.stdout.ends_with(expected) && answer.code == 1, "{}", answer.stdout);
    assert!(answer.stderr.contains("hint: propose builder-keys/mallory.gpg by itself first"), "{}", answer.stderr);
    fixture.add("2.0", "mallory", "mallory");
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("2 changed files: OK\n", 0), "{}", answer.stderr);
    // A newer copy of the same key, prolonged, is no new key.
    fixture.home.gpg(&["--quick-set-expire", &fixture.home.fingerprint("alice"), "5y"]);
    fs::write(fixture.path("builder-keys/alice.gpg"), fixture.home.gpg(&["--export", "alice"])).unwrap();
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("1 changed file: OK\n", 0), "{}", answer.stderr);
}

#[test]
fn every_kind_of_fault_is_named() {
    type Change<'a> = &'a dyn Fn(&Fixture);
    let outside = tempfile::TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "SECRET").unwrap();
    let cases: [(Change<'_>, &[&str], &[&str]); 45] = [
        (
            &|f| f.add("2.0", "alice", "mallory"),
            &[],
            &["2.0/alice/app-build.assert: is signed by key ", "which is not in builder-keys/alice.gpg\n"],
        ),
        (
            &|f| f.add("2.0", "carol", "mallory"),
            &[],
            &["2.0/carol/app-build.assert: is signed by key ", "which is not among the known keys\n"],
        ),
        (
            &|f| f.add("2.0", "alice", "bob"),
            &[],
            &["2.0/alice/app-build.assert: is signed by key ", "which is not in builder-keys/alice.gpg\n"],
        ),
        (
            &|f| {
                fs::rename(f.path("builder-keys/alice.gpg"), f.path("builder-keys/all.gpg")).unwrap();
                f.commit();
                f.add("2.0", "alice", "bob");
            },
            &[],
            &["which is not in alice's older signatures\n"],
        ),
        (
            &|f| {
                fs::copy(f.path("builder-keys/bob.gpg"), f.path("builder-keys/alice.gpg")).unwrap();
                f.home.export("alice", f.work.path());
                f.add("2.0", "alice", "bob");
            },
            &["--keys", "sigs/builder-keys", "--keys", "alice.pgp"],
            &["builder-keys/alice.gpg: holds none of the keys that alice had before\n"],
        ),
        (
            // Without the keys as they were before.
            &|f| {
                fs::copy(f.path("builder-keys/bob.gpg"), f.path("builder-keys/alice.gpg")).unwrap();
            },
            &[],
            &["builder-keys/alice.gpg: holds none of the keys that alice had before\n"],
        ),
        (
            &|f| {
                fs::create_dir_all(f.path("1.0/mallory")).unwrap();
                for file in ["app-build.assert", "app-build.assert.sig"] {
                    fs::copy(f.path(&format!("1.0/alice/{file}")), f.path(&format!("1.0/mallory/{file}"))).unwrap();
                }
            },
            &[],
            &["1.0/mallory/app-build.assert: is signed by key ", ", which is alice's\n"],
        ),
        (
            &|f| {
                f.add("2.0", "alice", "alice");
                f.add("2.0", "bob", "bob");
                fs::remove_file(f.path("2.0/bob/app-build.assert.sig")).unwrap();
            },
            &[],
            &[
                "2.0/bob/app-build.assert: belongs to bob, but the change is by alice\n",
                "app-build.assert: has no signature",
            ],
        ),
        (&|f| f.add("2.0", "bob", "bob"), &["--signer", "alice"], &["belongs to bob, but the change is by alice\n"]),
        (
            &|f| {
                f.add("2.0", "alice", "alice");
                fs::rename(f.path("2.0"), f.path("3.0")).unwrap();
            },
            &[],
            &["3.0/alice/app-build.assert: release is 2.0, not 3.0\n"],
        ),
        (
            &|f| {
                f.add("2.0", "alice", "alice");
                for end in ["assert", "assert.sig"] {
                    let path = |name: &str| f.path(&format!("2.0/alice/{name}-build.{end}"));
                    fs::rename(path("app"), path("tool")).unwrap();
                }
            },
            &[],
            &["2.0/alice/tool-build.assert: name is app, not tool\n"],
        ),
        (
            &|f| {
                f.add("2.0", "alice", "alice");
                f.write("2.0/alice/app-build.assert", "--- !!omap\n- out_manifest: ''\n");
            },
            &[],
            &["2.0/alice/app-build.assert: bad signature: it does not belong", "says that nothing was built\n"],
        ),
        (
            &|f| {
                f.add("2.0", "alice", "alice");
                fs::remove_file(f.path("2.0/alice/app-build.assert")).unwrap();
            },
            &[],
            &["2.0/alice/app-build.assert: has a signature, but is not there\n"],
        ),
        (
            &|f| fs::remove_file(f.path("1.0/bob/app-build.assert.sig")).unwrap(),
            &[],
            &["assert.sig: is removed, though"],
        ),
        (
            &|f| {
                f.add("2.0", "alice", "alice");
                f.write("README.md", "text\n");
                f.write("2.0/alice/notes.txt", "text\n");
                f.write(".github/workflows/x.yml", "text\n");
            },
            &[],
            &["README.md: is neither", "2.0/alice/notes.txt: is neither", ".github/workflows/x.yml: is neither"],
        ),
        (
            &|f| f.write("builder-keys/carol.gpg", "no key\n"),
            &[],
            &["builder-keys/carol.gpg: holds no OpenPGP certificate\n"],
        ),
        (
            &|f| {
                f.add("2.0", "alice", "alice");
                f.sign("2.0/alice/app-build.assert", "alice", &["--digest-algo", "SHA1"]);
            },
            &[],
            &["2.0/alice/app-build.assert: is signed weakly: SHA1 is a weak digest\n"],
        ),
        (
            &|f| {
                fs::create_dir_all(f.path("2.0/alice")).unwrap();
                let at = |end: &str| f.path(&format!("2.0/alice/app-build.assert{end}"));
                std::os::unix::fs::symlink(outside.path().join("secret"), at("")).unwrap();
                fs::copy(f.path("1.0/alice/app-build.assert.sig"), at(".sig")).unwrap();
            },
            &[],
            &["2.0/alice/app-build.assert: is a link, not a plain file\n"],
        ),
        (
            &|f| {
                f.write(
                    "2.0/alice/app-build.assert",
                    "--- !!omap\n- out_manifest: |\n    \\x1b[2J\n- release: '2.0'\n- name: app\n",
                );
                f.sign("2.0/alice/app-build.assert", "alice", &[]);
            },
            &[],
            &["2.0/alice/app-build.assert: out_manifest has a line that is no digest and path: "],
        ),
        (
            &|f| {
                let secret = f.home.gpg(&["--export-secret-keys", "mallory"]);
                fs::write(f.path("builder-keys/mallory.gpg"), secret).unwrap();
            },
            &[],
            &["builder-keys/mallory.gpg: holds a secret key: "],
        ),
        (
            &|f| {
                let secret = f.home.gpg(&["--armor", "--export-secret-keys", "mallory"]);
                let public = f.home.gpg(&["--armor", "--export", "mallory"]);
                fs::write(f.path("builder-keys/mallory.asc"), [public, secret].concat()).unwrap();
            },
            &[],
            &["builder-keys/mallory.asc: holds a secret key: "],
        ),
        (
            // What she revoked, taken back.
            &|f| {
                let copy = fs::read(f.path("builder-keys/alice.gpg")).unwrap();
                fs::write(f.path("../alice.rev"), f.revocation("alice")).unwrap();
                f.home.gpg(&["--import", f.path("../alice.rev").to_str().unwrap()]);
                fs::write(f.path("builder-keys/alice.gpg"), f.home.gpg(&["--export", "alice"])).unwrap();
                f.commit();
                fs::write(f.path("builder-keys/alice.gpg"), copy).unwrap();
            },
            &[],
            &["builder-keys/alice.gpg: no longer says that key ", " is revoked\n"],
        ),
        (
            &|f| {
                fs::write(f.path("builder-keys/bob.gpg"), f.home.gpg(&["--export", "bob", "mallory"])).unwrap();
                f.commit();
                fs::write(f.path("builder-keys/bob.gpg"), f.home.gpg(&["--export", "mallory"])).unwrap();
            },
            &[],
            &[
                "builder-keys/bob.gpg: no longer holds key ",
                ": what bob signed with it could not be checked any more\n",
            ],
        ),
        (
            &|f| {
                let mut key = f.home.gpg(&["--export", "mallory"]);
                key.extend([0; 5000]);
                fs::write(f.path("builder-keys/mallory.gpg"), key).unwrap();
            },
            &[],
            &["builder-keys/mallory.gpg: holds something besides OpenPGP certificates\n"],
        ),
        (
            &|f| {
                let mut key = f.home.gpg(&["--armor", "--export", "mallory"]);
                key.resize(5 << 20, 0);
                fs::write(f.path("builder-keys/mallory.asc"), key).unwrap();
            },
            &[],
            &["builder-keys/mallory.asc: "],
        ),
        (
            &|f| f.write("1.0/bob/app-build.assert.asc", "anything at all\n"),
            &[],
            &["1.0/bob/app-build.assert.asc: is neither an assertion"],
        ),
        (
            &|f| {
                let document = fs::read_to_string(f.path("1.0/bob/app-build.assert")).unwrap();
                f.write("1.0/bob/app-build.assert", &document.replace("app-1.0.zip", "app-1.1.zip"));
                f.sign("1.0/bob/app-build.assert", "bob", &[]);
            },
            &[],
            &["1.0/bob/app-build.assert: is changed, though it was merged before\n"],
        ),
        (
            &|f| f.sign("1.0/bob/app-build.assert", "bob", &["--sig-notation", "x@example.org=again"]),
            &[],
            &["1.0/bob/app-build.assert.sig: is changed, though it was merged before\n"],
        ),
        (
            &|f| fs::remove_file(f.path("builder-keys/bob.gpg")).unwrap(),
            &[],
            &["builder-keys/bob.gpg: is removed, though it was merged before\n"],
        ),
        (
            // Who looks into this folder would see nobody else.
            &|f| {
                fs::create_dir(f.path("gitian-keys")).unwrap();
                fs::write(f.path("gitian-keys/mallory.gpg"), f.home.gpg(&["--export", "mallory"])).unwrap();
            },
            &[],
            &["gitian-keys/mallory.gpg: lies in another folder than the other keys: builder-keys\n"],
        ),
        (
            &|f| {
                f.add("2.0", "alice", "alice");
                let later = format!(
                    "{}!",
                    (SystemTime::now() + 400 * DAY).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
                );
                f.sign("2.0/alice/app-build.assert", "alice", &["--faked-system-time", &later]);
            },
            &[],
            &["2.0/alice/app-build.assert: is signed in the future: gverify would refuse it\n"],
        ),
        (
            // Ours to read, though nobody proposes it.
            &|f| {
                fs::create_dir_all(f.path("2.0/alice")).unwrap();
                for end in ["", ".sig"] {
                    let name = format!("app-build.assert{end}");
                    fs::rename(f.path(&format!("1.0/alice/{name}")), f.path(&format!(".git/{name}"))).unwrap();
                    std::os::unix::fs::symlink(format!("../../.git/{name}"), f.path(&format!("2.0/alice/{name}")))
                        .unwrap();
                }
            },
            &[],
            &[
                "2.0/alice/app-build.assert: is a link, not a plain file\n",
                "2.0/alice/app-build.assert.sig: is a link, not a plain file\n",
            ],
        ),
        (
            &|f| std::os::unix::fs::symlink("bob.gpg", f.path("builder-keys/carol.gpg")).unwrap(),
            &[],
            &["builder-keys/carol.gpg: is a link, not a plain file\n"],
        ),
        (
            // A repository in the repository, and then another commit of it.
            &|f| {
                let inner = f.path("2.0/alice/app-build.assert");
                fs::create_dir_all(&inner).unwrap();
                f.git(&["-C", inner.to_str().unwrap(), "init", "-q"]);
                f.git(&["-C", inner.to_str().unwrap(), "commit", "-q", "--allow-empty", "-m", "one"]);
                f.commit();
                f.git(&["-C", inner.to_str().unwrap(), "commit", "-q", "--allow-empty", "-m", "two"]);
            },
            &[],
            &["2.0/alice/app-build.assert: is a folder, not a plain file\n"],
        ),
        (
            // Alice has not been there yet, and would come in mallory's way.
            &|f| {
                fs::write(f.path("builder-keys/mallory.gpg"), f.home.gpg(&["--export", "mallory"])).unwrap();
                f.commit();
                f.add("2.0", "mallory", "mallory");
                fs::create_dir_all(f.path("2.0/alice/2.0")).unwrap();
                fs::rename(f.path("2.0/mallory"), f.path("2.0/alice/2.0/mallory")).unwrap();
            },
            &[],
            &["2.0/alice/2.0/mallory/app-build.assert: is neither an assertion"],
        ),
        (
            &|f| {
                fs::write(f.path("builder-keys/1.0.gpg"), f.home.gpg(&["--export", "mallory"])).unwrap();
                f.add("2.0", "1.0", "mallory");
            },
            &[],
            &["builder-keys/1.0.gpg: is neither", "2.0/1.0/app-build.assert: is neither"],
        ),
        (
            &|f| {
                fs::write(f.path("builder-keys/Alice.gpg"), f.home.gpg(&["--export", "mallory"])).unwrap();
                f.add("2.0", "Alice", "mallory");
            },
            &[],
            &[
                "builder-keys/Alice.gpg: is of somebody new whose name looks like alice's\n",
                "2.0/Alice/app-build.assert: is of somebody new whose name looks like alice's\n",
            ],
        ),
        (
            &|f| f.add("2.0", "al\u{200b}ice", "alice"),
            &[],
            &["2.0/al\\u{200b}ice/app-build.assert: is neither an assertion"],
        ),
        (
            // Keys in one ring say nothing about names; whom the policy demands is for a maintainer to say.
            &|f| {
                for name in ["alice", "bob"] {
                    fs::remove_file(f.path(&format!("builder-keys/{name}.gpg"))).unwrap();
                }
                fs::write(f.path("builder-keys/all.gpg"), f.home.gpg(&["--export"])).unwrap();
                f.write("gverify.toml", "require = ['carol']\n");
                f.commit();
                f.add("2.0", "carol", "mallory");
            },
            &[],
            &["2.0/carol/app-build.assert: would be carol, of whom gverify.toml speaks without naming a key"],
        ),
        (
            // The policy that counts is the one before.
            &|f| {
                f.write("gverify.toml", "max-age-days = 100\nstrict = true\n");
                f.commit();
                f.write("gverify.toml", "");
                f.add("2.0", "alice", "alice");
                f.sign("2.0/alice/app-build.assert", "alice", &["--faked-system-time", "20500101T000000!"]);
            },
            &["--at", "2051-01-01"],
            &[
                "gverify.toml: is neither",
                "app-build.assert: is signed longer ago than gverify.toml allows: 100 days\n",
            ],
        ),
        (
            // A list does not say which release it is about.
            &|f| {
                f.add_list("1.0/alice/all.SHA256SUMS", "alice", &[]);
                f.commit();
                for file in ["all.SHA256SUMS", "all.SHA256SUMS.asc"] {
                    f.copy(&format!("1.0/alice/{file}"), &format!("2.0/alice/{file}"), &|text| text);
                }
            },
            &[],
            &["2.0/alice/all.SHA256SUMS: is the same list as 1.0/alice/all.SHA256SUMS: it is about that release\n"],
        ),
        (
            // A signature over text leaves out how lines end.
            &|f| {
                f.add_list("1.0/alice/all.SHA256SUMS", "alice", &["--textmode"]);
                f.commit();
                f.copy("1.0/alice/all.SHA256SUMS", "2.0/alice/all.SHA256SUMS", &|text| text.replace('\n', "\r\n"));
                f.copy("1.0/alice/all.SHA256SUMS.asc", "2.0/alice/all.SHA256SUMS.asc", &|text| text);
            },
            &[],
            &["2.0/alice/all.SHA256SUMS: is the same list as 1.0/alice/all.SHA256SUMS: it is about that release\n"],
        ),
        (
            // A clear-signed one leaves out blanks there, and how it is framed.
            &|f| {
                f.write("1.0/alice/all.SHA256SUMS", &format!("{}\n", LINES.trim()));
                let list = f.path("1.0/alice/all.SHA256SUMS");
                let signed = f.home.gpg(&["-u", "alice", "--output", "-", "--clear-sign", list.to_str().unwrap()]);
                fs::write(list, signed).unwrap();
                f.commit();
                f.copy("1.0/alice/all.SHA256SUMS", "2.0/alice/all.SHA256SUMS", &|text| {
                    format!("\n{}", text.replace("app-1.0.zip", "app-1.0.zip \t"))
                });
            },
            &[],
            &["2.0/alice/all.SHA256SUMS: is the same list as 1.0/alice/all.SHA256SUMS: it is about that release\n"],
        ),
        (
            // From then on the list would be passed over.
            &|f| {
                f.add_list("1.0/alice/tool.SHA256SUMS", "alice", &[]);
                f.commit();
                f.add_signed("1.0", "alice", "tool", "alice", &[]);
            },
            &[],
            &["1.0/alice/tool-build.assert: is about the same as 1.0/alice/tool.SHA256SUMS, which was merged: "],
        ),
        (
            &|f| f.add_list("1.0/alice/app.SHA256SUMS", "alice", &[]),
            &[],
            &["1.0/alice/app.SHA256SUMS: is about the same as 1.0/alice/app-build.assert, which was merged: "],
        ),
    ];
    for (number, (change, args, expected)) in cases.into_iter().enumerate() {
        let Some(fixture) = Fixture::new() else { return };
        change(&fixture);
        fixture.commit();
        let answer = fixture.lint(&[&["--lint", "HEAD~1..HEAD"], args].concat());
        assert_eq!(answer.code, 1, "case {number}: {}{}", answer.stdout, answer.stderr);
        for words in expected {
            assert!(answer.stdout.contains(words), "case {number}: {words}\n{}", answer.stdout);
        }
        assert!(!answer.stdout.contains("SECRET") && !answer.stdout.contains("OK"), "{}", answer.stdout);
    }
}

#[test]
fn a_policy_behind_a_link_is_not_read_from_what_the_change_brings() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.write("other.toml", "strict = true\n");
    std::os::unix::fs::symlink("other.toml", fixture.path("gverify.toml")).unwrap();
    fixture.commit();
    fixture.add("2.0", "alice", "alice");
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert!(answer.code == 2 && answer.stderr.contains("policy gverify.toml of "), "{}", answer.stderr);
    assert!(answer.stderr.contains(": is no plain file\nhint: a maintainer "), "{}", answer.stderr);
}

/// Mallory's key is hers by the policy; who brings it under another name gets no further than gverify would let him.
#[test]
fn what_gverify_would_not_take_is_a_fault() {
    let Some(fixture) = Fixture::new() else { return };
    let key = fixture.home.fingerprint("mallory");
    fixture.write("gverify.toml", &format!("[signers.mallory]\nkeys = ['{key}']\n"));
    fixture.commit();
    fs::write(fixture.path("builder-keys/zed.gpg"), fixture.home.gpg(&["--export", "mallory"])).unwrap();
    fixture.add("2.0", "zed", "mallory");
    fixture.commit();
    let expected = format!(
        "2.0/zed/app-build.assert: is signed by key {key}, which is mallory's\n\
         builder-keys/zed.gpg: holds key {key}, which is mallory's\n"
    );
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert_eq!((answer.stdout, answer.code), (expected, 1), "{}", answer.stderr);
    let judged = fixture.work.run("gverify", &["-d", "sigs", "-r", "2.0", "--name", "app"]);
    assert!(judged.stdout.contains("WRONG KEY") && judged.code == 1, "{}", judged.stdout);
    // Another's key in place of hers.
    fixture.git(&["reset", "-q", "--hard", "HEAD~1"]);
    fixture.home.make_key("eve", "ed25519");
    fs::write(fixture.path("builder-keys/mallory.gpg"), fixture.home.gpg(&["--export", "eve"])).unwrap();
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert!(answer.stdout.ends_with(", which gverify.toml does not name among mallory's\n"), "{}", answer.stdout);
}

/// Whoever finds a key that is over can date what he signs back.
#[test]
fn a_new_document_needs_a_key_that_is_in_use() {
    let Some(fixture) = Fixture::new() else { return };
    let then = ["--faked-system-time", "20200601T000000!"];
    for (name, life) in [("old", "1y"), ("gone", "never")] {
        let user = format!("{name} <{name}@example.org>");
        let make = ["--quick-gen-key", &user, "ed25519", "sign", life];
        fixture.home.gpg(&[&["--faked-system-time", "20200101T000000!"], &make[..]].concat());
        fs::write(fixture.path(&format!("builder-keys/{name}.gpg")), fixture.home.gpg(&["--export", name])).unwrap();
    }
    fixture.commit();
    let check = |expected: &str, args: &[&str]| {
        let answer = fixture.lint(&[&["--lint", "HEAD~1..HEAD"], args].concat());
        let code = i32::from(!expected.ends_with("OK\n"));
        assert_eq!((&*answer.stdout, answer.code), (expected, code), "{}", answer.stderr);
        assert_eq!(answer.stderr.contains("hint: sign with a key that is in use; "), code == 1, "{}", answer.stderr);
    };
    fixture.add_signed("2.0", "old", "app", "old", &then);
    fixture.commit();
    check("2.0/old/app-build.assert: is signed with a key that has expired\n", &[]);
    check("2 changed files: OK\n", &["--at", "2020-07-01"]);
    // Prolonged, but nobody has been told.
    fixture.home.gpg(&["--quick-set-expire", &fixture.home.fingerprint("old"), "5y"]);
    fixture.sign("2.0/old/app-build.assert", "old", &[]);
    fixture.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    check("2.0/old/app-build.assert: is signed with a key that has expired\n", &[]);
    fixture.git(&["reset", "-q", "--hard", "HEAD~1"]);
    fs::write(fixture.path("builder-keys/old.gpg"), fixture.home.gpg(&["--export", "old"])).unwrap();
    fixture.commit();
    check("1 changed file: OK\n", &[]);
    fixture.add_signed("2.0", "old", "app", "old", &[]);
    fixture.commit();
    check("2 changed files: OK\n", &[]);
    // Revoked after the date that the signature bears.
    fixture.add_signed("2.0", "gone", "app", "gone", &then);
    fixture.commit();
    check("2 changed files: OK\n", &[]);
    let revocation = fixture.work.path().join("gone.rev");
    let mut gpg = Command::new("gpg");
    gpg.args(["--no-tty", "--quiet", "--yes", "--command-fd", "0", "--pinentry-mode", "loopback", "--passphrase", ""]);
    gpg.args(["--faked-system-time", "20210101T000000!", "--output", revocation.to_str().unwrap()]);
    gpg.args(["--gen-revoke", "gone@example.org"]).env("GNUPGHOME", fixture.home.path());
    gpg.write_stdin("y\n3\nmoved on\n\ny\n").assert().success();
    fixture.git(&["reset", "-q", "--hard", "HEAD~1"]);
    fs::copy(&revocation, fixture.path("builder-keys/gone.rev")).unwrap();
    fixture.commit();
    fixture.add_signed("2.0", "gone", "app", "gone", &then);
    fixture.commit();
    check("2.0/gone/app-build.assert: is signed with a key that its owner has revoked\n", &[]);
    check("2 changed files: OK\n", &["--at", "2020-07-01"]);
}

#[test]
fn an_owner_revokes_his_key_by_what_gnupg_wrote() {
    let Some(fixture) = Fixture::new() else { return };
    let renewed = {
        fixture.home.gpg(&["--quick-set-expire", &fixture.home.fingerprint("alice"), "5y"]);
        fixture.home.gpg(&["--export", "alice"])
    };
    let not_his = "holds a revocation, but of no key in alice's key files beside it\n";
    let [alice, mallory] = ["alice", "mallory"].map(|name| fixture.revocation(name));
    let key = String::from_utf8(fixture.home.gpg(&["--armor", "--export", "mallory"])).unwrap();
    for (file, text, expected) in [
        ("alice.rev", &mallory, format!("builder-keys/alice.rev: {not_his}")),
        ("alice.rev", &format!("{alice}{mallory}"), format!("builder-keys/alice.rev: {not_his}")),
        ("bob.rev", &alice, format!("builder-keys/bob.rev: {}", not_his.replace("alice", "bob"))),
        ("alice.rev", &format!("{alice}{key}"), "builder-keys/alice.rev: holds ".into()),
        ("alice.gpg", &alice, "builder-keys/alice.gpg: ".into()),
        ("alice.rev", &"nothing\n".into(), "builder-keys/alice.rev: holds no OpenPGP certificate\n".into()),
        ("alice.rev", &alice, "1 changed file: OK\n".into()),
    ] {
        fixture.write(&format!("builder-keys/{file}"), text);
        fixture.commit();
        let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
        assert!(answer.stdout.starts_with(&expected), "{expected}{}{}", answer.stdout, answer.stderr);
        assert_eq!(answer.code, i32::from(!expected.ends_with("OK\n")), "{}", answer.stdout);
        if answer.code == 1 {
            fixture.git(&["reset", "-q", "--hard", "HEAD~1"]);
        }
    }
    let judged = fixture.work.run("gverify", &["-d", "sigs", "-r", "1.0", "--name", "app"]);
    assert!(judged.stdout.contains("alice: BAD SIGNATURE"), "{}", judged.stdout);
    // It still says so beside another copy of the key.
    fs::write(fixture.path("builder-keys/alice.gpg"), renewed).unwrap();
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("1 changed file: OK\n", 0), "{}", answer.stderr);
}

/// What is told to do about an unsigned list makes a signed one of it.
#[test]
fn a_list_is_signed_as_told() {
    let Some(fixture) = Fixture::new() else { return };
    let list = "2.0/alice/all.SHA256SUMS";
    fixture.write(list, &format!("{}\n", LINES.trim()));
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    let told = answer.stderr.split_once("gpg ").and_then(|(_, told)| told.split_once(" LIST writes LIST.asc\n"));
    let (told, _) = told.unwrap_or_else(|| panic!("{}", answer.stderr));
    let options: Vec<&str> = told.split(' ').collect();
    fixture.home.gpg(&[&["-u", "alice"], &options[..], &[fixture.path(list).to_str().unwrap()]].concat());
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~2..HEAD"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("2 changed files: OK\n", 0), "{}", answer.stderr);
    fixture.git(&["mv", &format!("{list}.asc"), &format!("{list}.sig")]);
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~3..HEAD"]);
    assert!(answer.stdout.contains("all.SHA256SUMS.sig: is neither"), "{}", answer.stdout);
    assert!(answer.stderr.contains("hint: a list's signature is armored, in LIST.asc: gpg "), "{}", answer.stderr);
}

/// Where it says that a key lies in the wrong folder, it says how to move it; what is there in the end is OK.
#[test]
fn a_key_in_the_wrong_folder_is_moved_as_told() {
    let Some(fixture) = Fixture::new() else { return };
    fs::create_dir(fixture.path("gitian-keys")).unwrap();
    fs::write(fixture.path("gitian-keys/mallory.gpg"), fixture.home.gpg(&["--export", "mallory"])).unwrap();
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    let hint = "hint: git -C sigs mv gitian-keys/mallory.gpg builder-keys/mallory.gpg\n";
    assert!(answer.stderr.ends_with(hint) && answer.code == 1, "{}", answer.stderr);
    fixture.git(&["mv", "gitian-keys/mallory.gpg", "builder-keys/mallory.gpg"]);
    fixture.commit();
    let answer = fixture.lint(&["--lint", "HEAD~2..HEAD"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("1 changed file: OK\n", 0), "{}", answer.stderr);
    // The first folder of all may be any.
    fs::rename(fixture.path("builder-keys"), fixture.path("../kept")).unwrap();
    fixture.commit();
    fs::rename(fixture.path("../kept"), fixture.path("gitian-keys")).unwrap();
    fs::remove_dir_all(fixture.path("1.0")).unwrap();
    fixture.git(&["add", "gitian-keys"]);
    fixture.git(&["commit", "-q", "-m", "keys"]);
    let answer = fixture.lint(&["--lint", "HEAD~1..HEAD"]);
    assert!(!answer.stdout.contains("another folder"), "{}", answer.stdout);
}
