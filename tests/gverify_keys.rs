//! The life of a key as gverify tells it: keys, signatures and revocations by gpg at faked times. What each combination
//! amounts to is tested in gitian-verify (`tests/keys.rs`); here is what a user reads.

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;

use crate::support::gnupg::Home;
use crate::support::programs::Workdir;

const DESCRIPTOR: &str = "name: app\ndistro: debian\nsuites: [bookworm]\narchitectures: [amd64]\n\
                          reference_datetime: \"2010-01-01 00:00:00\"\nscript: \"true\"\n";
const DOCUMENT: &str = "--- !!omap\n- out_manifest: |\n    \
                        ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  app.zip\n\
                        - release: '1.0'\n- name: app\n";

struct Fixture {
    home: Home,
    work: Workdir,
}

impl Fixture {
    fn new() -> Option<Self> {
        let fixture = Self { home: Home::new()?, work: Workdir::new() };
        fs::create_dir(fixture.path("keys")).unwrap();
        fs::write(fixture.path("app.yml"), DESCRIPTOR).unwrap();
        Some(fixture)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.work.path().join(path)
    }

    /// Runs gpg at the start of a year.
    fn gpg(&self, year: u32, args: &[&str]) -> Vec<u8> {
        let time = format!("{year}0101T000000!");
        self.home.gpg(&[&["--faked-system-time", &time], args].concat())
    }

    fn make_key(&self, name: &str, algorithm: &str, expires: &str) {
        self.gpg(2012, &["--quick-gen-key", &format!("{name} <{name}@example.org>"), algorithm, "sign", expires]);
    }

    fn sign(&self, name: &str, year: u32, options: &[&str]) {
        let path = self.path("sigs/1.0").join(name).join("app-build.assert");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, DOCUMENT).unwrap();
        let (user, signature) = (format!("{name}@example.org"), format!("{}.sig", path.display()));
        let fixed = ["--yes", "-u", &user, "--output", &signature, "--detach-sign", path.to_str().unwrap()];
        self.gpg(year, &[options, &fixed].concat());
    }

    /// Revokes a key; reason 1: somebody else has it, 3: it is no longer used.
    fn revoke(&self, name: &str, year: u32, reason: u32) {
        let revocation = self.path(&format!("{name}.rev"));
        let mut gpg = Command::new("gpg");
        gpg.args([
            "--no-tty",
            "--quiet",
            "--yes",
            "--command-fd",
            "0",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]);
        gpg.args(["--faked-system-time", &format!("{year}0101T000000!"), "--output", revocation.to_str().unwrap()]);
        gpg.args(["--gen-revoke", &format!("{name}@example.org")]).env("GNUPGHOME", self.home.path());
        gpg.write_stdin(format!("y\n{reason}\nmoved on\n\ny\n")).assert().success();
        self.gpg(year, &["--import", revocation.to_str().unwrap()]);
    }

    fn export(&self, name: &str) {
        self.home.export(name, &self.path("keys"));
    }

    fn verify(&self) -> String {
        let args = ["-r", "1.0", "-d", "sigs", "--keys", "keys", "-c", "alice", "app.yml"];
        self.work.run("gverify", &args).stdout
    }
}

/// ```text
///            2012      2014      2016      2018      today
///   alice     ●─────────signs─────┼─────────┼─────────┤
///   bob       ●─────────signs─────┼─────────╳         │   expires
///   carol     ●─────────┼─────────╳         signs     │   expired; prolonged in a copy that we do not have
///   dave      ●─────────signs─────┼─────────╳         │   revoked: no longer used
///   erin      ●─────────┼─────────╳         signs     │   revoked: no longer used (a signature of another machine)
///   frank     ●─────────signs─────┼─────────╳         │   revoked: somebody else has it
/// ```
#[test]
fn the_life_of_a_key_is_told_with_its_dates() {
    let Some(fixture) = Fixture::new() else { return };
    for (name, expires) in [
        ("alice", "never"),
        ("bob", "2018-01-01"),
        ("carol", "2016-01-01"),
        ("dave", "never"),
        ("erin", "never"),
        ("frank", "never"),
    ] {
        fixture.make_key(name, "ed25519", expires);
        if name == "carol" {
            fixture.export(name);
            let fingerprint = fixture.gpg(2014, &["--with-colons", "--list-keys", "carol"]);
            let listed = String::from_utf8(fingerprint).unwrap();
            let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
            fixture.gpg(2014, &["--quick-set-expire", line.split(':').nth(9).unwrap(), "never"]);
        }
        fixture.sign(name, if matches!(name, "carol" | "erin") { 2018 } else { 2014 }, &[]);
    }
    fixture.revoke("dave", 2018, 3);
    fixture.revoke("erin", 2016, 3);
    fixture.revoke("frank", 2018, 1);
    for name in ["alice", "bob", "dave", "erin", "frank"] {
        fixture.export(name);
    }
    let expected = "alice: OK\n\n\
        gverify: note: the key expired on 2018-01-01, after it had signed\nbob: OK\n\n\
        gverify: note: signed on 2018-01-01, after the key had expired on 2016-01-01; a newer copy of the key may say \
        otherwise\ncarol: OK\n\n\
        gverify: note: the key was revoked on 2018-01-01 (moved on), after it had signed\ndave: OK\n\n\
        gverify: signed on 2018-01-01, after the key had been revoked on 2016-01-01 (moved on)\nerin: BAD SIGNATURE\n\n\
        gverify: somebody else has the key: it was revoked on 2018-01-01 (moved on)\nfrank: BAD SIGNATURE\n\n";
    assert_eq!(fixture.verify(), expected);
}

/// Three signatures in one file: of a key that is not known, over something else, and the right one.
#[test]
fn one_bad_signature_never_hides_the_good_one_beside_it() {
    let Some(fixture) = Fixture::new() else { return };
    for name in ["alice", "stranger"] {
        fixture.make_key(name, "ed25519", "never");
    }
    fixture.export("alice");
    let path = |name: &str| fixture.path("sigs/1.0").join(name).join("app-build.assert.sig");
    fixture.sign("stranger", 2014, &[]);
    let unknown = fs::read(path("stranger")).unwrap();
    fs::remove_dir_all(fixture.path("sigs/1.0/stranger")).unwrap();
    fixture.sign("alice", 2014, &["--textmode"]);
    let right = fs::read(path("alice")).unwrap();
    let mut wrong = right.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for order in [[&unknown, &wrong, &right], [&right, &wrong, &unknown], [&wrong, &right, &unknown]] {
        fs::write(path("alice"), order.map(Vec::as_slice).concat()).unwrap();
        assert_eq!(fixture.verify(), "alice: OK\n\n");
    }
    fs::write(path("alice"), [&unknown[..], &wrong].concat()).unwrap();
    assert!(fixture.verify().ends_with("alice: BAD SIGNATURE\n\n"), "{}", fixture.verify());
}

/// Two good signatures in one file: a stranger's, or a weak one, and the one that counts.
#[test]
fn a_good_signature_that_does_not_count_hides_none_that_does_wherever_it_is() {
    let Some(fixture) = Fixture::new() else { return };
    for name in ["alice", "eve"] {
        fixture.make_key(name, "ed25519", "never");
        fixture.export(name);
    }
    let path = |name: &str| fixture.path("sigs/1.0").join(name).join("app-build.assert.sig");
    let made = |signer: &str, year: u32, options: &[&str]| {
        fixture.sign(signer, year, options);
        fs::read(path(signer)).unwrap()
    };
    let (eve, weak, right) = (
        made("eve", 2016, &[]),
        made("alice", 2015, &["--digest-algo", "SHA1"]),
        made("alice", 2014, &["--digest-algo", "SHA512"]),
    );
    fs::remove_dir_all(fixture.path("sigs/1.0/eve")).unwrap();
    let mut cut = right.clone();
    cut.truncate(cut.len() - 9);
    let args = ["-r", "1.0", "-d", "sigs", "--keys", "keys", "--strict", "app.yml"];
    for file in [[&eve, &weak, &right, &cut], [&right, &weak, &eve, &cut], [&weak, &right, &eve, &cut]] {
        fs::write(path("alice"), file.map(Vec::as_slice).concat()).unwrap();
        let answer = fixture.work.run("gverify", &args);
        assert_eq!((answer.stdout.as_str(), answer.code), ("alice: OK\n\n", 0), "{}", answer.stderr);
    }
    for (file, verdict) in [(&eve, "alice: WRONG KEY\n\n"), (&weak, "alice: REFUSED\n\n")] {
        for file in [[&file[..], &cut], [&file[..], &file[..]]] {
            fs::write(path("alice"), file.concat()).unwrap();
            let answer = fixture.work.run("gverify", &args);
            assert!(answer.stdout.ends_with(verdict) && answer.code == 1, "{}", answer.stdout);
        }
    }
}

#[test]
fn a_key_file_that_cannot_be_used_vouches_for_nobody() {
    let Some(fixture) = Fixture::new() else { return };
    for name in ["alice", "mallory"] {
        fixture.make_key(name, "ed25519", "never");
        fixture.sign(name, 2014, &[]);
        fixture.export(name);
    }
    // In the folder of bob lies what mallory signed.
    fs::create_dir(fixture.path("sigs/1.0/bob")).unwrap();
    for file in ["app-build.assert", "app-build.assert.sig"] {
        fs::copy(fixture.path("sigs/1.0/mallory").join(file), fixture.path("sigs/1.0/bob").join(file)).unwrap();
    }
    assert!(fixture.verify().contains("bob: OK\n"), "nobody says whose keys are bob's");
    let file = fixture.path("keys/bob.gpg");
    fs::write(&file, "no key").unwrap();
    let told = fixture.verify();
    assert!(told.contains("bob: WRONG KEY\n") && told.contains("which is not in keys/bob.gpg"), "{told}");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(fixture.path("app.yml"), &file).unwrap();
    assert!(fixture.verify().contains("bob: WRONG KEY\n"));
}

#[test]
fn every_key_folder_of_a_tree_is_heard() {
    let Some(fixture) = Fixture::new() else { return };
    for name in ["alice", "bob"] {
        fixture.make_key(name, "ed25519", "never");
        fixture.sign(name, 2014, &[]);
    }
    for (name, folder) in [("alice", "gitian-keys"), ("bob", "builder-keys")] {
        fs::create_dir(fixture.path("sigs").join(folder)).unwrap();
        fixture.home.export(name, &fixture.path("sigs").join(folder));
    }
    let verify = || fixture.work.run("gverify", &["-r", "1.0", "-d", "sigs", "app.yml"]);
    let answer = verify();
    assert!(answer.stdout.contains("alice: OK\n\nbob: OK\n"), "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stderr.contains("2 keys of sigs/builder-keys and sigs/gitian-keys;"), "{}", answer.stderr);
    // An older copy in a folder that comes first does not take back what another says.
    fixture.home.export("alice", &fixture.path("sigs/builder-keys"));
    fixture.revoke("alice", 2018, 1);
    fixture.home.export("alice", &fixture.path("sigs/gitian-keys"));
    assert!(verify().stdout.contains("alice: BAD SIGNATURE\n"));
}

#[test]
fn whoever_adds_his_signature_to_others_files_does_not_take_their_place() {
    let Some(fixture) = Fixture::new() else { return };
    for name in ["alice", "bob", "mallory"] {
        fixture.make_key(name, "ed25519", "never");
        fixture.sign(name, 2014, &[]);
    }
    let signature = |name: &str| fixture.path("sigs/1.0").join(name).join("app-build.assert.sig");
    let own = ["alice", "bob"].map(|name| fs::read(signature(name)).unwrap());
    fixture.sign("mallory", 2016, &[]);
    let added = fs::read(signature("mallory")).unwrap();
    for (name, own) in ["alice", "bob"].into_iter().zip(own) {
        fs::write(signature(name), [&added[..], &own].concat()).unwrap();
    }
    // One ring, in which no file is anybody's.
    let ring = fixture.path("ring.pgp");
    fs::write(&ring, fixture.gpg(2017, &["--export"])).unwrap();
    let args = ["-r", "1.0", "-d", "sigs", "--keys", ring.to_str().unwrap(), "--min-good", "3", "app.yml"];
    let answer = fixture.work.run("gverify", &args);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    let note = "(mallory <mallory@example.org>) signed it too, in the same file; one of them counts";
    assert_eq!(answer.stdout.matches(note).count(), 2, "{}", answer.stdout);
}

#[test]
fn the_keys_of_one_file_are_one_person() {
    let Some(fixture) = Fixture::new() else { return };
    for (name, user) in [("alice", "alice"), ("new", "moved"), ("bob", "bob")] {
        fixture.gpg(2012, &["--quick-gen-key", &format!("{user} <{name}@example.org>"), "ed25519", "sign", "never"]);
        fixture.sign(name, 2014, &[]);
    }
    let key = |name: &str| fixture.gpg(2015, &["--export", &format!("{name}@example.org")]);
    // Her old and her new key, which signed in a folder of another name too.
    fs::write(fixture.path("keys/alice.pgp"), [key("alice"), key("new")].concat()).unwrap();
    fs::write(fixture.path("keys/bob.pgp"), key("bob")).unwrap();
    let verify = |wanted: &str| {
        let args = ["-r", "1.0", "-d", "sigs", "--keys", "keys", "--min-good", wanted, "app.yml"];
        fixture.work.run("gverify", &args)
    };
    assert_eq!((verify("2").code, verify("3").code), (0, 1), "{}", verify("3").stderr);
    let told = verify("2").stdout;
    assert!(told.contains("signed with the same key as alice; one key counts once"), "{told}");
    // A ring that is called like somebody's mail server is nobody's.
    fs::rename(fixture.path("keys/alice.pgp"), fixture.path("keys/example.pgp")).unwrap();
    assert_eq!(verify("3").code, 0, "{}", verify("3").stderr);
    // With another program nobody knows whose they are.
    let args = ["-r", "1.0", "-d", "sigs", "-p", "true", "--min-good", "3", "app.yml"];
    let answer = fixture.work.run("gverify", &args);
    assert!(answer.code == 1 && answer.stdout.contains("the program does not tell whose"), "{}", answer.stdout);
}

#[test]
fn whoever_has_no_weight_is_no_reference_when_asked_for_either() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.make_key("alice", "ed25519", "never");
    fixture.export("alice");
    fixture.sign("alice", 2014, &[]);
    fs::write(fixture.path("policy.toml"), "unlisted-weight = 0\n").unwrap();
    let args = ["-r", "1.0", "-d", "sigs", "--keys", "keys", "--policy", "policy.toml", "-c", "alice", "app.yml"];
    let answer = fixture.work.run("gverify", &args);
    assert!(answer.code == 2 && !answer.stdout.contains("OK"), "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stderr.contains("the policy gives alice no weight, so there is nothing"), "{}", answer.stderr);
}

#[test]
fn what_was_replaced_is_no_ok_in_a_report_and_a_range_without_releases_names_those_that_there_are() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.make_key("alice", "ed25519", "never");
    fixture.export("alice");
    fixture.sign("alice", 2014, &[]);
    // A copy of what she has replaced since, in a folder of another name.
    let path = |signer: &str, file: &str| fixture.path("sigs/1.0").join(signer).join(file);
    fs::create_dir(fixture.path("sigs/1.0/zed")).unwrap();
    for file in ["app-build.assert", "app-build.assert.sig"] {
        fs::copy(path("alice", file), path("zed", file)).unwrap();
    }
    let document = path("alice", "app-build.assert");
    fs::write(&document, DOCUMENT.replace("app.zip", "new.zip")).unwrap();
    let (user, signature) = ("alice@example.org", path("alice", "app-build.assert.sig"));
    let (signature, document) = (signature.to_str().unwrap(), document.to_str().unwrap());
    fixture.gpg(2016, &["--yes", "-u", user, "--output", signature, "--detach-sign", document]);
    let verify = |more: &[&str]| fixture.work.run("gverify", &[&["-d", "sigs", "--keys", "keys"], more].concat());
    let answer = verify(&["-r", "1.0", "--name", "app", "-c", "zed", "--markdown", "page.md"]);
    let page = fs::read_to_string(fixture.path("page.md")).unwrap();
    assert!(answer.stdout.contains("zed: OK\n") && page.contains("OK &#40;superseded&#41;"), "{}{page}", answer.stdout);
    let answer = verify(&["--all", "-r", "9*"]);
    let told = "none of 1 release and package fits; the newest releases are 1.0; --all alone shows all";
    assert!(answer.code == 2 && answer.stderr.contains(told), "{}", answer.stderr);
    let answer = verify(&["--all", "--name", "other"]);
    assert!(answer.stderr.contains("fits; the packages are app; "), "{}", answer.stderr);
    assert!(verify(&["--all"]).stderr.contains("gverify: 1 release and package: "), "{}", verify(&["--all"]).stderr);
}

#[test]
fn a_revocation_counts_wherever_it_comes_without_its_certificate() {
    let Some(fixture) = Fixture::new() else { return };
    for name in ["alice", "bob", "carol"] {
        fixture.make_key(name, "ed25519", "never");
        fixture.sign(name, 2014, &[]);
        fixture.export(name);
    }
    fixture.revoke("bob", 2013, 1);
    // As gpg --gen-revoke writes it: beside the certificate, or in a file of its own.
    let certificate = fs::read(fixture.path("keys/bob.pgp")).unwrap();
    let revocation = fs::read(fixture.path("bob.rev")).unwrap();
    let binary = fixture.gpg(2013, &["--output", "-", "--dearmor", fixture.path("bob.rev").to_str().unwrap()]);
    for (story, file, more) in [
        ("before it", [&revocation[..], &certificate].concat(), false),
        ("binary, before it", [&binary[..], &certificate].concat(), false),
        ("binary, behind it", [&certificate[..], &binary].concat(), false),
        ("behind it", [&certificate[..], &revocation].concat(), false),
        ("in a file of its own", certificate.clone(), true),
    ] {
        fs::write(fixture.path("keys/bob.pgp"), file).unwrap();
        let own = fixture.path("keys/revoked.asc");
        if more {
            fs::write(&own, &revocation).unwrap()
        } else {
            fs::remove_file(&own).unwrap_or_default()
        }
        let told = fixture.verify();
        assert!(told.contains("bob: BAD SIGNATURE\n") && told.contains("alice: OK\n"), "{story}: {told}");
    }
}
