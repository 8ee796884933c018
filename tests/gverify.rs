//! gverify as a user runs it: every recorded run of the original (`data/original/sign`), trees that somebody hostile
//! made, and the sources of keys.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use nix::sys::stat::Mode;
use tempfile::TempDir;

use crate::support;
use crate::support::gnupg::Home;
use crate::support::programs::{Answer, Workdir, answer};
use crate::support::{shared, tree};

/// What we do otherwise than the original: recorded run, exit status, standard output without what explains it (lines
/// joined by `; `, bold and empty lines left out), why. share/doc/compatibility.md says the same in words.
const DEVIATIONS: [(&str, u8, &str, &str); 36] = [
    ("allmissing", 2, MISSING_BOTH, NOTHING_VERIFIED),
    ("allmissing-calice-v", 2, MISSING_BOTH, CRASHED),
    ("allmissing-cbob-nm", 2, MISSING_BOTH, CRASHED),
    ("allmissing-v", 2, MISSING_BOTH, NOTHING_VERIFIED),
    ("bad-release", 2, "", WRONG_USAGE),
    ("badname", 0, WITH_BLANK, "a signer's name may hold anything that a folder's name may"),
    ("badname-calice-v", 0, WITH_BLANK, "likewise"),
    ("badname-cbob-nm", 0, WITH_BLANK, "likewise"),
    ("badname-v", 0, WITH_BLANK, "likewise"),
    ("badyaml", 1, "alice: OK; bob: BAD SIGNATURE", CRASHED),
    ("badyaml-calice-v", 1, "alice: OK; bob: BAD SIGNATURE", CRASHED),
    ("badyaml-cbob-nm", 1, "alice: NOT COMPARED; bob: BAD SIGNATURE", UNSIGNED_REFERENCE),
    ("badyaml-v", 1, "alice: OK; bob: BAD SIGNATURE", CRASHED),
    ("c-nobody", 2, "alice: NOT COMPARED; bob: NOT COMPARED", CRASHED),
    ("default-release", 2, "", NOTHING_VERIFIED),
    ("empty", 2, "", NOTHING_VERIFIED),
    ("empty-calice-v", 2, "", CRASHED),
    ("empty-cbob-nm", 2, "", CRASHED),
    ("empty-v", 2, "", NOTHING_VERIFIED),
    ("fewer", 2, NEITHER, TIED),
    ("fewer-calice-v", 1, FEWER, CRASHED),
    ("fewer-v", 2, NEITHER, TIED),
    ("mismatch", 2, NEITHER, TIED),
    ("mismatch-v", 2, NEITHER, TIED),
    ("more", 2, NEITHER, TIED),
    ("more-calice-v", 1, MORE, "lines that only the signer has are shown too"),
    ("more-v", 2, NEITHER, TIED),
    ("no-desc", 2, "", WRONG_USAGE),
    (
        "noassert-cbob-nm",
        2,
        "alice: NOT COMPARED; missing result at SIGN/sigs-noassert/1.0/bob/hello-debian-build.assert",
        CRASHED,
    ),
    (
        "nosig-cbob-nm",
        2,
        "alice: NOT COMPARED; missing signature at SIGN/sigs-nosig/1.0/bob/hello-debian-build.assert.sig",
        UNSIGNED_REFERENCE,
    ),
    ("relmis", 1, "alice: OK; bob: MISMATCH", "the original never looks at the first signer's release and name"),
    ("relmis-v", 1, "alice: OK; bob: MISMATCH", "likewise"),
    ("tamper", 1, "alice: OK; bob: BAD SIGNATURE", UNSIGNED_REFERENCE),
    ("tamper-cbob-nm", 1, "alice: NOT COMPARED; bob: BAD SIGNATURE", UNSIGNED_REFERENCE),
    ("tamper-v", 1, "alice: OK; bob: BAD SIGNATURE", UNSIGNED_REFERENCE),
    ("help", 0, "", "the help text is our own"),
];
const CRASHED: &str = "the original crashes";
const NOTHING_VERIFIED: &str = "nothing verified is no success";
const WRONG_USAGE: &str = "wrong usage ends with 2";
const TIED: &str = "the reference is what the most built, not the folder's first entry; here one stands against one";
const NEITHER: &str = "alice: NOT COMPARED; bob: NOT COMPARED";
const UNSIGNED_REFERENCE: &str = "a manifest without a good signature is no reference";
const MISSING_BOTH: &str = "missing result at SIGN/sigs-allmissing/1.0/alice/hello-debian-build.assert; missing result at SIGN/sigs-allmissing/1.0/bob/hello-debian-build.assert";
const WITH_BLANK: &str = "alice: OK; missing result at SIGN/sigs-badname/1.0/an na/hello-debian-build.assert; bob: OK";
const FEWER: &str =
    "alice: OK; bob: MISMATCH; - 1111111111111111111111111111111111111111111111111111111111111111  extra.bin";
const MORE: &str =
    "alice: OK; bob: MISMATCH; + 1111111111111111111111111111111111111111111111111111111111111111  extra.bin";

#[test]
fn every_recorded_run_of_the_original_is_repeated() {
    let Some(data) = shared("original/sign") else { return };
    let Some(home) = Home::new() else { return };
    let work = Workdir::new();
    let sign = work.path().to_owned();
    lay_out(&data, &sign);
    home.gpg(&["--import", data.join("alice.asc").to_str().unwrap(), data.join("bob.asc").to_str().unwrap()]);
    let same_gpg = home.version() == "2.2.40";
    let mut cases: Vec<String> = fs::read_dir(&data)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().unwrap().strip_prefix("gverify-").map(str::to_owned))
        .collect();
    cases.sort();
    assert_eq!(cases.len(), 66);
    let mut wrong = Vec::new();
    for case in &cases {
        let read = |file: &str| fs::read_to_string(data.join(format!("gverify-{case}")).join(file)).unwrap();
        let words = shell_words::split(&read("cmd")).unwrap();
        let mut program = work.program("gverify");
        for word in &words[1..] {
            let word = word.replace("SIGN/gnupg-verifier", home.path().to_str().unwrap());
            program.arg(word.replace("SIGN", sign.to_str().unwrap()));
        }
        if case == "gnupghome" {
            program.env("GNUPGHOME", home.path());
        }
        let ours = answer(&mut program);
        let stdout = ours.stdout.replace(sign.to_str().unwrap(), "SIGN");
        let recorded_code: i32 = read("exit-code").trim().parse().unwrap();
        let (code, expected, got) = match DEVIATIONS.iter().find(|(name, ..)| name == case) {
            Some((_, code, expected, _)) if *case == "help" => {
                assert!(stdout.contains("Usage: gverify"), "{stdout}");
                (i32::from(*code), (*expected).to_owned(), String::new())
            }
            Some((_, code, expected, _)) => {
                let same = (recorded_code, verdicts(&read("stdout"))) == (i32::from(*code), (*expected).to_owned());
                assert!(!same, "{case} is no deviation");
                (i32::from(*code), (*expected).to_owned(), verdicts(&stdout))
            }
            None => {
                let marked = read("cmd").contains(" -m ");
                // What gpg says belongs to its version, and is not there when no program was asked for.
                let gpg_counts = same_gpg && read("cmd").contains(" -p ");
                let shape = |text: &str| blocks(text, marked, gpg_counts);
                (recorded_code, shape(&read("stdout")), shape(&stdout))
            }
        };
        if (ours.code, &got) != (code, &expected) {
            wrong.push(format!("{case}: {code} {expected}\n  but {} {got}\n{}", ours.code, ours.stderr));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Lays out the recorded trees, with the empty folders that the recording could not keep.
fn lay_out(data: &Path, sign: &Path) {
    tree::copy(&data.join("trees"), sign);
    fs::copy(data.join("hello.yml"), sign.join("hello.yml")).unwrap();
    for empty in ["sigs-empty/1.0", "sigs-stray/1.0/emptydir", "sigs-badname/1.0/an na"] {
        fs::create_dir_all(sign.join(empty)).unwrap();
    }
    for signer in ["alice", "bob"] {
        fs::remove_file(sign.join(format!("sigs-allmissing/1.0/{signer}/hello-debian-build.assert"))).ok();
    }
}

/// Returns verdicts and differing lines, without bold, joined by `; `.
fn verdicts(stdout: &str) -> String {
    let lines = stdout.lines().filter(|line| !line.is_empty() && !from_a_program(line));
    let plain = |line: &str| line.replace("\x1b[1m", "").replace("\x1b[0m", "");
    lines.map(plain).collect::<Vec<_>>().join("; ")
}

fn from_a_program(line: &str) -> bool {
    ["gverify: ", "gpg: ", "Primary key fingerprint: "].iter().any(|start| line.starts_with(start))
}

/// Returns standard output signer by signer in name order, without our reasons; without gpg's words and bold where those
/// do not count. The original goes in the folder's order and prints bold unless told not to.
fn blocks(stdout: &str, marked: bool, gpg_counts: bool) -> String {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut pending = String::new();
    for line in stdout.lines() {
        if line.starts_with("gverify: ") || !gpg_counts && from_a_program(line) {
            continue;
        }
        let plain = line.replace("\x1b[1m", "").replace("\x1b[0m", "");
        let line = if marked { line } else { &plain };
        let signer = match plain.split_once(" at SIGN/") {
            Some((_, path)) => path.rsplit('/').nth(1),
            None => plain.split_once(": ").filter(|_| !from_a_program(&plain)).map(|(signer, _)| signer),
        };
        match (signer, blocks.last_mut()) {
            (Some(signer), _) => blocks.push((signer.to_owned(), std::mem::take(&mut pending) + line + "\n")),
            (None, Some((_, block))) if line.is_empty() || line.starts_with(['-', '+']) => {
                block.push_str(line);
                block.push('\n');
            }
            _ => pending = pending + line + "\n",
        }
    }
    blocks.sort();
    blocks.into_iter().map(|(_, block)| block).collect::<String>() + &pending
}

/// A copy of the recorded trees, with the keys beside it as files.
struct Fixture {
    work: Workdir,
}

impl Fixture {
    fn new() -> Option<Self> {
        let data = shared("original/sign")?;
        let work = Workdir::new();
        lay_out(&data, work.path());
        for key in ["alice.asc", "bob.asc", "carol.asc"] {
            fs::copy(data.join(key), work.path().join(key)).unwrap();
        }
        Some(Self { work })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.work.path().join(path)
    }

    fn run(&self, args: &[&str]) -> Answer {
        self.work.run("gverify", &[&["-r", "1.0"], args, &["hello.yml"]].concat())
    }

    /// Runs with the keys of alice and bob.
    fn verify(&self, tree: &str) -> Answer {
        self.run(&["-d", tree, "--keys", "alice.asc", "--keys", "bob.asc"])
    }
}

const ASSERT: &str = "sigs-ok/1.0/bob/hello-debian-build.assert";
const SIGNATURE: &str = "sigs-ok/1.0/bob/hello-debian-build.assert.sig";

#[test]
fn a_missing_key_is_its_own_verdict_and_named() {
    let Some(fixture) = Fixture::new() else { return };
    let answer = fixture.verify("sigs-unkkey");
    assert_eq!((verdicts(&answer.stdout).as_str(), answer.code), ("alice: OK; bob: OK; carol: NO KEY", 1));
    let wanted = "524C5F6DF06BFF6C16286993D49F6CBFBF44F581";
    assert!(answer.stdout.contains(&format!("signed by key {wanted}, which is not")), "{}", answer.stdout);
    assert!(answer.stderr.contains("hint: ") && answer.stderr.contains(wanted), "{}", answer.stderr);
}

#[test]
fn keys_are_taken_from_options_then_from_a_folder_by_the_tree_then_from_gnupg() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(home) = Home::new() else { return };
    home.gpg(&["--import", fixture.path("bob.asc").to_str().unwrap()]);
    let verify = |args: &[&str]| {
        let mut program = fixture.work.program("gverify");
        program.args(["-r", "1.0", "-d", "sigs-ok"]).args(args).arg("hello.yml").env("GNUPGHOME", home.path());
        answer(&mut program)
    };
    let from_gnupg = verify(&[]);
    assert_eq!(verdicts(&from_gnupg.stdout), "alice: NO KEY; bob: OK");
    assert!(from_gnupg.stderr.contains("hint: gpg --recv-keys 61482021DB50A3E6D988340BF66BEB66CC2D1955\n"));

    // A file of keys beside the tree is found, however the tree is named.
    fs::copy(fixture.path("alice.asc"), fixture.path("allkeys.pgp")).unwrap();
    fs::create_dir(fixture.path("sigs-ok/.below")).unwrap();
    for (folder, tree, keys) in [
        ("", "sigs-ok", "./allkeys.pgp"),
        ("sigs-ok", ".", "../allkeys.pgp"),
        ("sigs-ok/.below", "..", "../../allkeys.pgp"),
    ] {
        let mut program = fixture.work.program("gverify");
        program.args(["-r", "1.0", "--name", "hello-debian", "-d", tree]).current_dir(fixture.path(folder));
        let told = answer(program.env("GNUPGHOME", home.path())).stderr;
        assert!(told.contains(&format!("hint: gpg --import {keys}   #")), "{tree}: {told}");
    }
    fs::remove_file(fixture.path("allkeys.pgp")).unwrap();

    for (place, name) in [("builder-keys", "alice.asc"), ("sigs-ok/gitian-keys", "alice.asc")] {
        fs::create_dir(fixture.path(place)).unwrap();
        fs::write(fixture.path(place).join("README.md"), "The keys of all builders.\n").unwrap();
        fs::copy(fixture.path("alice.asc"), fixture.path(place).join(name)).unwrap();
        let from_folder = verify(&[]);
        assert_eq!(verdicts(&from_folder.stdout), "alice: OK; bob: NO KEY", "{place}");
        assert!(from_folder.stderr.starts_with("gverify: 1 key of "), "{}", from_folder.stderr);
        // Who does as the hint says loses none of the keys that were used before.
        let hint = from_folder.stderr.split("give all: ").nth(1).and_then(|rest| rest.split("   #").next()).unwrap();
        let terms: Vec<&str> = hint.split(' ').map(|word| if word == "FILE" { "bob.asc" } else { word }).collect();
        let followed = verify(&terms);
        assert_eq!(verdicts(&followed.stdout), "alice: OK; bob: OK", "{hint}");
    }

    let given = verify(&["--keys", "alice.asc", "--keys", "bob.asc"]);
    assert_eq!((verdicts(&given.stdout).as_str(), given.code), ("alice: OK; bob: OK", 0));
    assert_eq!(given.stderr, "");
}

#[test]
fn a_key_file_without_keys_is_an_error() {
    let Some(fixture) = Fixture::new() else { return };
    for (path, message) in [
        ("hello.yml", "gverify: error: keys hello.yml: holds no OpenPGP certificate\n"),
        ("sigs-ok", "gverify: error: keys sigs-ok: holds no OpenPGP certificate\n"),
        ("no-such-file", "gverify: error: keys no-such-file: No such file or directory\n"),
    ] {
        let answer = fixture.run(&["-d", "sigs-ok", "--keys", path]);
        assert_eq!((answer.stderr.as_str(), answer.stdout.as_str(), answer.code), (message, "", 2));
    }
}

#[test]
fn whatever_lies_in_a_signers_folder_is_a_verdict_for_that_signer() {
    let secret = TempDir::new().unwrap();
    fs::write(secret.path().join("secret"), "out_manifest: SECRET\n").unwrap();
    let make_pipe = |path: &Path| nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let replace = |path: PathBuf, make: &dyn Fn(&Path)| {
        fs::remove_file(&path).unwrap();
        make(&path);
    };
    type Harm<'a> = &'a dyn Fn(&Fixture);
    let cases: [(&str, Harm<'_>, &str, &str); 12] = [
        ("assert is a pipe", &|f| replace(f.path(ASSERT), &make_pipe), "bob: UNREADABLE", "is not a regular file"),
        (
            "signature is a pipe",
            &|f| replace(f.path(SIGNATURE), &make_pipe),
            "bob: UNREADABLE",
            "signature is not a regular file",
        ),
        (
            "assert links out of the tree",
            &|f| replace(f.path(ASSERT), &|path| symlink(secret.path().join("secret"), path).unwrap()),
            "bob: UNREADABLE",
            "is a link out of the tree",
        ),
        (
            "assert links to itself",
            &|f| replace(f.path(ASSERT), &|path| symlink(path, path).unwrap()),
            "bob: UNREADABLE",
            "symbolic link",
        ),
        (
            "assert links to nothing",
            &|f| replace(f.path(ASSERT), &|path| symlink("nothing", path).unwrap()),
            "bob: UNREADABLE",
            "is a link to nothing",
        ),
        (
            "assert is a folder",
            &|f| replace(f.path(ASSERT), &|path| fs::create_dir(path).unwrap()),
            "bob: UNREADABLE",
            "is not a regular file",
        ),
        (
            "assert is larger than memory should be",
            &|f| replace(f.path(ASSERT), &|path| fs::File::create(path).unwrap().set_len(2 << 30).unwrap()),
            "bob: UNREADABLE",
            "is larger than",
        ),
        (
            "signature is large",
            &|f| replace(f.path(SIGNATURE), &|path| fs::File::create(path).unwrap().set_len(2 << 20).unwrap()),
            "bob: UNREADABLE",
            "signature is larger than",
        ),
        (
            "signature is empty",
            &|f| fs::write(f.path(SIGNATURE), "").unwrap(),
            "bob: BAD SIGNATURE",
            "the signature file is empty",
        ),
        (
            "signature is something else",
            &|f| fs::write(f.path(SIGNATURE), "<html>404</html>").unwrap(),
            "bob: BAD SIGNATURE",
            "the signature file is not OpenPGP",
        ),
        (
            "signature is a key",
            &|f| assert!(fs::copy(f.path("bob.asc"), f.path(SIGNATURE)).is_ok()),
            "bob: BAD SIGNATURE",
            "is not a detached signature",
        ),
        (
            "assert is changed",
            &|f| fs::write(f.path(ASSERT), "--- !!omap\n- out_manifest: ''\n").unwrap(),
            "bob: BAD SIGNATURE",
            "it does not belong to the document",
        ),
    ];
    for (what, harm, verdict, reason) in cases {
        let Some(fixture) = Fixture::new() else { return };
        harm(&fixture);
        let answer = fixture.verify("sigs-ok");
        assert_eq!(verdicts(&answer.stdout), format!("alice: OK; {verdict}"), "{what}: {}", answer.stdout);
        assert!(answer.stdout.contains(reason) && !answer.stdout.contains("SECRET"), "{what}: {}", answer.stdout);
        assert_eq!(answer.code, 1, "{what}");
        // The same with a program, which is not even asked about what it might hang on.
        let answer = fixture.run(&["-d", "sigs-ok", "-p", "false"]);
        assert_eq!(answer.code, 1, "{what}");
        assert!(answer.stdout.starts_with("gverify: the program ended with exit status 1\nalice: BAD SIGNATURE\n"));
    }
}

#[test]
fn a_file_that_may_not_be_read_is_a_verdict() {
    if nix::unistd::geteuid().is_root() {
        return support::skip("ordinary-user", "root may read every file");
    }
    let Some(fixture) = Fixture::new() else { return };
    fs::set_permissions(fixture.path(ASSERT), fs::Permissions::from_mode(0o000)).unwrap();
    let answer = fixture.verify("sigs-ok");
    assert_eq!(verdicts(&answer.stdout), "alice: OK; bob: UNREADABLE");
    assert!(answer.stdout.contains("gverify: may not be read\n"), "{}", answer.stdout);
}

#[test]
fn strange_names_are_printed_escaped_and_links_are_nobody() {
    use std::os::unix::ffi::OsStrExt;
    let Some(fixture) = Fixture::new() else { return };
    let release = fixture.path("sigs-ok/1.0");
    fs::rename(release.join("bob"), release.join("b\n\x1b[2Jb: OK")).unwrap();
    fs::create_dir(release.join(std::ffi::OsStr::from_bytes(b"caf\xe9"))).unwrap();
    symlink("alice", release.join("dave")).unwrap();
    fs::create_dir(release.join(".git")).unwrap();
    fs::write(release.join("README"), "").unwrap();
    let answer = fixture.verify("sigs-ok");
    let expected = "alice: OK; b\\n\\u{1b}[2Jb: OK: OK; caf\\xe9: UNREADABLE; dave: UNREADABLE";
    assert_eq!((verdicts(&answer.stdout).as_str(), answer.code), (expected, 1));
}

#[test]
fn one_key_under_two_names_is_told() {
    let Some(fixture) = Fixture::new() else { return };
    tree::copy(&fixture.path("sigs-ok/1.0/alice"), &fixture.path("sigs-ok/1.0/mallory"));
    let answer = fixture.verify("sigs-ok");
    assert_eq!(verdicts(&answer.stdout), "alice: OK; bob: OK; mallory: OK");
    let note = "gverify: signed with the same key as alice; one key counts once\nmallory: OK\n";
    assert!(answer.stdout.contains(note), "{}", answer.stdout);
}

#[test]
fn a_reader_who_goes_away_ends_it_without_a_word() {
    let Some(fixture) = Fixture::new() else { return };
    let args = ["--all", "-d", "sigs-ok"];
    assert!(!fixture.work.run("gverify", &args).stdout.is_empty());
    let answer = fixture.work.run_unread("gverify", &args);
    assert!(!answer.stderr.contains("error"), "{}", answer.stderr);
    assert_eq!(answer.code, 141);
}

#[test]
fn a_report_goes_where_it_is_wanted_and_leaves_that_what_it_is() {
    let Some(fixture) = Fixture::new() else { return };
    let report = |args: &[&str]| fixture.run(&[&["-d", "sigs-ok", "--keys", "alice.asc"], args].concat());
    std::os::unix::fs::symlink("page.md", fixture.path("link.md")).unwrap();
    report(&["--markdown", "link.md"]);
    assert!(fixture.path("link.md").is_symlink() && fixture.path("page.md").is_file());
    let told = report(&["--quiet", "--markdown", "/dev/stdout"]).stdout;
    assert!(told.starts_with('#') && told.contains("alice"), "{told}");
    for (args, says) in [
        (&["--html", "."][..], "error: . is a folder"),
        (&["--html", "x", "--markdown", "x"], "error: --html and --markdown are both x"),
        (&["--html", "x", "--markdown", "./x"], "error: --html and --markdown are both x"),
        (&["--html", "page.md", "--markdown", "link.md"], "error: --html and --markdown are both page.md"),
        (&["--html", "no/such/x"], "error: no/such/x: there is no folder no/such\n"),
    ] {
        let answer = report(args);
        assert!(answer.stderr.contains(says) && answer.code == 2 && answer.stdout.is_empty(), "{}", answer.stderr);
    }
}

#[test]
fn another_package_is_answered_with_those_that_there_are() {
    let Some(fixture) = Fixture::new() else { return };
    let answer = fixture.work.run("gverify", &["-d", "sigs-ok", "-r", "1.0", "--name", "nope"]);
    assert!(answer.stderr.contains("sigs-ok/1.0: holds no signature for nope\n"), "{}", answer.stderr);
    assert!(answer.stderr.ends_with("hint: --name hello-debian; there are: hello-debian\n"), "{}", answer.stderr);
    assert_eq!(answer.code, 2);
}

#[test]
fn bold_is_printed_when_asked_for_and_never_into_a_file() {
    let Some(fixture) = Fixture::new() else { return };
    let keys = ["-d", "sigs-ok", "--keys", "alice.asc", "--keys", "bob.asc"];
    for (flags, bold) in [(&[][..], false), (&["-m"], true), (&["--no-markup"], false), (&["-m", "--no-markup"], false)]
    {
        let answer = fixture.run(&[&keys, flags].concat());
        assert_eq!(answer.stdout.contains("\x1b[1malice: OK\x1b[0m\n\n"), bold, "{flags:?}");
        assert_eq!(answer.stdout.contains("\x1b"), bold, "{flags:?}");
    }
}

#[test]
fn a_program_gets_its_words_as_a_shell_would_split_them() {
    let Some(fixture) = Fixture::new() else { return };
    let checker = fixture.path("check it");
    fs::write(&checker, "#!/bin/sh\nprintf '%s|' \"$@\"\n").unwrap();
    fs::set_permissions(&checker, fs::Permissions::from_mode(0o755)).unwrap();
    let answer = fixture.run(&["-d", "sigs-ok", "-p", "'./check it' \"a  b\" $HOME;x"]);
    let first = answer.stdout.lines().next().unwrap_or_default();
    let expected = "a  b|$HOME;x|--quiet|--batch|--verify|sigs-ok/1.0/alice/hello-debian-build.assert.sig|\
                    sigs-ok/1.0/alice/hello-debian-build.assert|";
    assert_eq!((first, answer.code), (expected, 0), "{}", answer.stderr);

    let answer = fixture.run(&["-d", "sigs-ok", "-p", "no-such-program"]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("", 2));
    assert!(
        answer.stderr.starts_with("gverify: error: program no-such-program is not installed\n"),
        "{}",
        answer.stderr
    );
    for (text, message) in [("", "names no program"), ("'gpg", "a quote is not closed")] {
        let answer = fixture.run(&["-d", "sigs-ok", "-p", text]);
        assert!(answer.stderr.contains(message) && answer.code == 2, "{}", answer.stderr);
    }
}

#[test]
fn a_program_is_asked_about_one_signature_at_a_time() {
    let Some(fixture) = Fixture::new() else { return };
    let checker = fixture.path("check");
    fs::write(&checker, "#!/bin/sh\nmkdir asked || exit 1\nsleep 0.2\nrmdir asked\n").unwrap();
    fs::set_permissions(&checker, fs::Permissions::from_mode(0o755)).unwrap();
    let answer = fixture.run(&["-d", "sigs-ok", "-p", "./check"]);
    assert_eq!((verdicts(&answer.stdout).as_str(), answer.code), ("alice: OK; bob: OK", 0), "{}", answer.stderr);
}

#[test]
fn a_release_is_reported_as_soon_as_those_before_it_are() {
    let Some(fixture) = Fixture::new() else { return };
    let checker = fixture.path("check");
    fs::write(&checker, "#!/bin/sh\necho x >> asked\nsleep 0.1\n").unwrap();
    fs::set_permissions(&checker, fs::Permissions::from_mode(0o755)).unwrap();
    let tree = fixture.path("sigs-ok");
    for number in 1..40 {
        let copy = tree.join(format!("1.{number}"));
        answer(Command::new("cp").arg("-r").arg(tree.join("1.0")).arg(copy)).succeeds();
    }
    let script = "\"$0\" --all -d sigs-ok -p ./check | head -1";
    let gverify = support::checkout().join("target/release/gverify");
    let first = answer(fixture.work.tool("bash").args(["-c", script]).arg(gverify)).succeeds();
    assert!(first.stdout.starts_with("1.0 "), "{}", first.stdout);
    // Of 80 signatures, and those that were on their way then.
    let asked = fs::read_to_string(fixture.path("asked")).unwrap().lines().count();
    assert!(asked < 24, "{asked}");
}

#[test]
fn a_release_that_is_not_there_says_which_are() {
    let Some(fixture) = Fixture::new() else { return };
    let answer = fixture.work.run("gverify", &["-d", "sigs-ok", "hello.yml"]);
    let expected = "gverify: error: sigs-ok/current does not exist\nhint: --release 1.0; there are: 1.0\n";
    assert_eq!((answer.stderr.as_str(), answer.code), (expected, 2));
    // However deep they lie; what the hint says leads on.
    let work = Workdir::new();
    for path in ["archive/1.0/a/app", "archive/2.0/a/app", "archive/2.0-rc1/a/app", "3.0/a/tool", "2/a/tool"] {
        let path = work.path().join("nest").join(format!("{path}-build.assert"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "--- {}\n").unwrap();
    }
    let all_of_app = "there are: archive/1.0, archive/2.0, archive/2.0-rc1\n";
    for (release, name, hint) in [
        ("1.0", "app", format!("hint: --release archive/1.0; {all_of_app}")),
        ("2.0", "app", format!("hint: --release archive/2.0; {all_of_app}")),
        ("archive/1", "app", format!("hint: --release archive/1.0; {all_of_app}")),
        ("9.9.9", "app", format!("hint: {all_of_app}")),
        ("3", "tool", "hint: --release 3.0; there are: 2, 3.0\n".to_owned()),
        (
            "3",
            "other",
            "hint: --release 3.0; there are: 2, 3.0, archive/1.0, archive/2.0, archive/2.0-rc1\n".to_owned(),
        ),
    ] {
        let answer = work.run("gverify", &["-d", "nest", "-r", release, "--name", name]);
        assert!(answer.stderr.ends_with(&format!("does not exist\n{hint}")), "{release} {name}: {}", answer.stderr);
        assert_eq!(answer.code, 2);
    }
}

#[test]
fn a_name_that_cannot_be_meant_is_called_what_it_is() {
    let work = Workdir::new();
    fs::create_dir(work.path().join("sigs")).unwrap();
    for (args, says) in [
        (&["--name", ""][..], "package '' is empty"),
        (&["--name", "../x"], "package '../x' holds a path separator"),
        (&["--name", "x", "-r", "a/../b"], "release '..' names a folder"),
        (&["--since", "2021-02-30"], "--since 2021-02-30: there is no such day"),
        (&["--lint", "base"], "base is no file of the tree; what changed since a commit is --lint base..HEAD"),
    ] {
        let answer = work.run("gverify", &[&["-d", "sigs"], args].concat());
        assert!(answer.stderr.contains(says) && answer.code == 2, "{args:?}: {}", answer.stderr);
    }
}

#[test]
fn whatever_gpg_makes_is_understood() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(home) = Home::new() else { return };
    let assert = fs::read(fixture.path("sigs-ok/1.0/alice/hello-debian-build.assert")).unwrap();
    let cases: [(&str, &str, &[&str], &str); 7] = [
        ("armored", "ed25519", &["--armor"], ""),
        (
            "dsa",
            "dsa1024",
            &["--digest-algo", "SHA1"],
            "gverify: note: SHA1 is a weak digest\ngverify: note: DSA 1024 is a short key\n",
        ),
        ("eddsa", "ed25519", &[], ""),
        ("nist", "nistp256", &[], ""),
        ("rsa", "rsa2048", &[], ""),
        ("rsa-sha1", "rsa2048", &["--digest-algo", "SHA1"], "gverify: note: SHA1 is a weak digest\n"),
        ("text", "ed25519", &["--textmode"], ""),
    ];
    fs::create_dir(fixture.path("keys")).unwrap();
    let mut expected = String::new();
    for (signer, algorithm, options, notes) in cases {
        home.make_key(signer, algorithm);
        home.export(&format!("{signer}@example.org"), &fixture.path("keys"));
        let folder = fixture.path("sigs/1.0").join(signer);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("hello-debian-build.assert");
        fs::write(&path, &assert).unwrap();
        let (user, output) = (format!("{signer}@example.org"), format!("{}.sig", path.display()));
        let fixed = ["--yes", "-u", &user, "--output", &output, "--detach-sign", path.to_str().unwrap()];
        home.gpg(&[options, &fixed].concat());
        expected += &format!("{notes}{signer}: OK\n\n");
    }
    for folder in ["alice", "bob", "alice@example.org"] {
        fs::remove_dir_all(fixture.path("sigs/1.0").join(folder)).ok();
    }
    let answer = fixture.run(&["-d", "sigs", "--keys", "keys"]);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str(), answer.code), (expected.as_str(), "", 0));
}

#[test]
fn a_good_signature_on_something_else_than_an_assertion_is_told_apart() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(home) = Home::new() else { return };
    home.make_key("carol", "ed25519");
    let carol = home.export("carol", fixture.work.path());
    fs::create_dir(fixture.path("sigs-ok/1.0/carol")).unwrap();
    let path = fixture.path("sigs-ok/1.0/carol/hello-debian-build.assert");
    let deep = "[".repeat(100_000);
    for (document, verdict, reason) in [
        ("<html>404</html>\n", "UNREADABLE", "gverify: "),
        ("", "UNREADABLE", "gverify: "),
        (deep.as_str(), "UNREADABLE", "gverify: "),
        ("--- !!omap\n- in_manifest: ''\n", "UNREADABLE", "gverify: has no out_manifest\n"),
        ("--- !!omap\n- out_manifest: ''\n", "MISMATCH", "gverify: release is not stated, not 1.0\n"),
    ] {
        fs::write(&path, document).unwrap();
        home.gpg(&["--yes", "--detach-sign", path.to_str().unwrap()]);
        let keys = ["--keys", "alice.asc", "--keys", "bob.asc", "--keys", carol.to_str().unwrap()];
        let answer = fixture.run(&[&["-d", "sigs-ok"], &keys[..]].concat());
        assert_eq!(verdicts(&answer.stdout), format!("alice: OK; bob: OK; carol: {verdict}"), "{document:.20}");
        assert!(answer.stdout.contains(reason) && answer.code == 1, "{}", answer.stdout);
        // Nobody is compared with what cannot be read.
        let answer = fixture.run(&[&["-d", "sigs-ok", "-c", "carol"], &keys[..]].concat());
        let others = if verdict == "MISMATCH" { "MISMATCH" } else { "NOT COMPARED" };
        assert_eq!(verdicts(&answer.stdout), format!("alice: {others}; bob: {others}; carol: {verdict}"));
    }
}

#[test]
fn who_agrees_on_nothing_is_told_so() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(home) = Home::new() else { return };
    home.make_key("carol", "ed25519");
    let carol = home.export("carol", fixture.work.path());
    fs::create_dir_all(fixture.path("empty/1.0/carol")).unwrap();
    let path = fixture.path("empty/1.0/carol/hello-debian-build.assert");
    fs::write(&path, "--- !!omap\n- out_manifest: ''\n- release: '1.0'\n- name: hello-debian\n").unwrap();
    home.gpg(&["--detach-sign", path.to_str().unwrap()]);
    let answer = fixture.run(&["-d", "empty", "--keys", carol.to_str().unwrap()]);
    assert_eq!((answer.stdout.as_str(), answer.code), ("gverify: what was built is nothing at all\ncarol: OK\n\n", 0));
}

/// The real trees of fifteen years, as of the day when their verdicts were recorded.
fn real(args: &[&str]) -> Option<Answer> {
    let data = shared("sigs")?;
    let (tree, keys) = (data.join("sigs"), data.join("keys"));
    let fixed = ["-d", tree.to_str().unwrap(), "--keys", keys.to_str().unwrap()];
    let at: &[&str] = if args.contains(&"--at") { &[] } else { &["--at", "2026-11-21"] };
    Some(Workdir::new().run("gverify", &[&fixed, at, args].concat()))
}

/// Returns the lines about releases, without those about their signers.
fn releases(stdout: &str) -> Vec<&str> {
    stdout.lines().filter(|line| !line.starts_with(' ')).collect()
}

#[test]
fn a_whole_history_is_a_line_for_each_release_in_their_order() {
    let Some(answer) = real(&["--all"]) else { return };
    let lines = releases(&answer.stdout);
    assert_eq!(lines.len(), 35);
    assert_eq!(lines[0], "0.4.0 bitcoin: 1 OK, 1 MISMATCH");
    let subject = "  bluematt: MISMATCH: the assertion names release v0.4.0 instead of 0.4.0, though the outputs are the same\n\
                   \u{20}   next: gsign --signer bluematt --release 0.4.0 ";
    assert!(answer.stdout.contains(subject), "{}", answer.stdout);
    assert_eq!(lines[6], "0.9.5rc1-osx bitcoin: 4 NOT COMPARED; a tie between fanquake, laanwj, michagogo, thrasher");
    assert_eq!(lines[33], "0.21.1-linux bitcoin-core-linux-0.21: 13 OK, 6 NO KEY");
    let nested = "0.10.3-win/0.10.3-win-unsigned bitcoin-win-0.10: 1 OK";
    assert!(lines.contains(&nested));
    let misnamed = "  sjors: MISSING SIGNATURE: bitcoin-osx-0.16-build.assert.sig beside it is a good signature of it, under another name\n";
    assert!(answer.stdout.contains(misnamed), "{}", answer.stdout);
    // He has a newer grub, too, as gavinandresen has, but not the file of the one before: that is no cause.
    let outputs = "  devrandom: MISMATCH: only ";
    assert!(answer.stdout.contains(outputs) && !answer.stdout.contains("grub-common"), "{}", answer.stdout);
    assert!(answer.stdout.contains("\n    next: "));
    assert!(answer.stderr.contains("0.6.0.7rc1-win32/bitcoin-build.assert lies outside of a signer's folder\n"));
    let summary = "gverify: 35 releases and packages: 5 verified, 27 with something wrong, 3 without a verdict\n";
    assert!(answer.stderr.contains(summary), "{}", answer.stderr);
    assert!(answer.stderr.contains("hint: get the missing keys"));
    assert_eq!(answer.code, 1);
}

#[test]
fn a_range_is_named_by_patterns_by_a_first_release_or_by_a_date() {
    for (args, count, first, code) in [
        (&["--since", "0.21.1"][..], 2, "0.21.1-linux", 1),
        (&["--since", "2021-03-01"], 3, "0.20.2-osx-signed", 1),
        (&["--release", "0.10.*"], 5, "0.10.0-osx-unsigned", 1),
        (&["--all", "--name", "bitcoin-core-*"], 4, "0.19.0rc1-win-unsigned", 1),
        (&["--release", "*-linux", "--name", "*0.12"], 1, "0.12.0rc5-linux", 1),
        (&["--all", "--release", "0.9.5-osx"], 1, "0.9.5-osx", 0),
        (&["--all", "--release", "0.10.3-win/*"], 1, "0.10.3-win/0.10.3-win-unsigned", 0),
        (&["--all", "--release", "0.9.5rc1-*"], 1, "0.9.5rc1-osx", 2),
    ] {
        let Some(answer) = real(args) else { return };
        let lines = releases(&answer.stdout);
        assert_eq!((lines.len(), answer.code), (count, code), "{args:?}: {}", answer.stdout);
        assert!(lines[0].starts_with(&format!("{first} ")), "{args:?}: {}", lines[0]);
    }
    for args in [&["--all", "--release", "23.*"][..], &["--since", "99"], &["--since", "2030-01-01"]] {
        let Some(answer) = real(args) else { return };
        assert!(
            answer.stderr.contains("none of 35 releases and packages fits") && answer.code == 2,
            "{}",
            answer.stderr
        );
    }
    let Some(answer) = real(&["--since", "yesterday"]) else { return };
    assert!(answer.stderr.contains("yesterday: is neither a date") && answer.code == 2, "{}", answer.stderr);
}

#[test]
fn a_release_needs_no_descriptor_but_a_name() {
    let Some(answer) = real(&["-r", "0.9.5-osx", "--name", "bitcoin"]) else { return };
    assert_eq!(verdicts(&answer.stdout).matches(": OK").count(), 6);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let Some(fixture) = Fixture::new() else { return };
    // gbuild would refuse this descriptor: it lacks nearly everything.
    // The one that is there is a copy of one that may only be read.
    fs::remove_file(fixture.path("hello.yml")).unwrap();
    fs::write(fixture.path("hello.yml"), "name: hello-debian\nsuites: 5\n").unwrap();
    let answer = fixture.verify("sigs-ok");
    assert_eq!((verdicts(&answer.stdout).as_str(), answer.code), ("alice: OK; bob: OK", 0), "{}", answer.stderr);
    assert!(answer.stderr.contains("only its name is needed here"), "{}", answer.stderr);
    fs::write(fixture.path("hello.yml"), "suites: [bookworm]\n").unwrap();
    let answer = fixture.verify("sigs-ok");
    assert_eq!((answer.stdout.as_str(), answer.code), ("", 2));
    assert!(answer.stderr.contains("key 'name' is missing"), "{}", answer.stderr);
    let answer = fixture.work.run("gverify", &["-d", "sigs-ok"]);
    assert!(answer.stderr.starts_with("gverify: error: which package? ") && answer.code == 2, "{}", answer.stderr);
    for args in [&["--all"][..], &["--name", "hello-*", "-r", "1.0"], &["--since", "1.0"]] {
        let answer = fixture.work.run("gverify", args);
        assert!(answer.stderr.starts_with("gverify: error: which tree? --destination") && answer.code == 2, "{args:?}");
    }
}

#[test]
fn a_mismatch_is_explained_and_says_what_to_do_next() {
    let Some(fixture) = Fixture::new() else { return };
    let keys = ["--keys", "alice.asc", "--keys", "bob.asc"];
    let answer = fixture.run(&[&["-d", "sigs-mismatch", "-c", "alice"], &keys[..]].concat());
    let said = "gverify: what was built differs from alice's in 2 lines; -v shows them\n\
                gverify: why: nothing that is recorded and used differs from alice's: the build depends on time, chance or the host\n\
                gverify: next: gbuild hello.yml; cp -r build/out first; gbuild hello.yml; diffoscope first build/out\n\
                bob: MISMATCH\n";
    assert!(answer.stdout.contains(said), "{}", answer.stdout);
    // Without a reference there is a tie, which says how to get one.
    let answer = fixture.run(&[&["-d", "sigs-mismatch"], &keys[..]].concat());
    let said = "gverify: error: 2 different things were built, with the same weight of 1 behind each, so there is nothing to compare with\n\
                hint: alice and bob differ; to see how: gverify -v --compare-to alice --release 1.0 --name hello-debian --destination sigs-mismatch --keys alice.asc --keys bob.asc\n";
    assert_eq!((answer.stderr.as_str(), answer.code), (said, 2));
    // -v shows the lines of every manifest that differs, both ways.
    let Some(answer) = real(&["-v", "-r", "0.6.0rc5", "--name", "bitcoin"]) else { return };
    for line in [
        "\ngverify: base_manifests lucid-amd64:\n- ",
        "\ngverify: why: unused packages, which newer ones superseded, differ from gavinandresen's: no grub-common 1.98",
        "\n+ ",
        "\ndevrandom: MISMATCH\n",
    ] {
        assert!(answer.stdout.contains(line), "{line}: {}", answer.stdout);
    }
}

#[test]
fn a_policy_in_the_tree_counts_until_told_otherwise() {
    let Some(fixture) = Fixture::new() else { return };
    let alice = "[signers.alice]\nkeys = ['61482021DB50A3E6D988340BF66BEB66CC2D1955']\n";
    for (policy, args, verdict, said, code) in [
        ("min-good = 2\n", &[][..], "alice: OK; bob: OK", "", 0),
        ("min-good = 3\n", &[], "alice: OK; bob: OK", "the policy is not met: 2 of the 3 that must agree do\n", 1),
        ("min-good = 3\n", &["--no-policy"], "alice: OK; bob: OK", "", 0),
        ("min-good = 3\n", &["--min-good", "2"], "alice: OK; bob: OK", "", 0),
        (
            "[groups.maintainers]\nmembers = ['alice', 'dave']\nmin-good = 2\n",
            &[],
            "alice: OK; bob: OK",
            "not met: 1 of the 2 of maintainers that must agree do, without dave\n",
            1,
        ),
        ("", &["--require", "carol"], "alice: OK; bob: OK", "not met: carol must agree and does not\n", 1),
        (
            "[signers.bob]\nkeys = []\n[signers.carol]\nkeys = ['61482021DB50A3E6D988340BF66BEB66CC2D1955']\n",
            &[],
            "alice: WRONG KEY; bob: OK",
            "",
            1,
        ),
        (alice, &[], "alice: OK; bob: OK", "", 0),
        ("max-age-days = 1\n", &["--at", "2100-01-01"], "alice: REFUSED; bob: REFUSED", "", 1),
        ("", &["--at", "1990-01-01"], "alice: REFUSED; bob: REFUSED", "", 1),
        ("min-good = 2\ngood = 1\n", &[], "", "error: policy sigs-ok/gverify.toml: line 2: unknown field `good`", 2),
    ] {
        fs::write(fixture.path("sigs-ok/gverify.toml"), policy).unwrap();
        let keys = ["-d", "sigs-ok", "--keys", "alice.asc", "--keys", "bob.asc"];
        let answer = fixture.run(&[&keys, args].concat());
        assert_eq!(
            (verdicts(&answer.stdout).as_str(), answer.code),
            (verdict, code),
            "{policy}{args:?} {}",
            answer.stderr
        );
        assert!(answer.stderr.contains(said), "{policy}{args:?}: {}", answer.stderr);
        let told = answer.stderr.contains("gverify: policy sigs-ok/gverify.toml; --no-policy decides without it\n");
        assert_eq!(told, code != 2 && !args.contains(&"--no-policy"), "{}", answer.stderr);
    }
    let strict = fixture.run(&["-d", "sigs-ok", "--no-policy", "--strict", "-p", "true"]);
    assert_eq!(verdicts(&strict.stdout), "alice: REFUSED; bob: REFUSED");
}

#[test]
fn json_says_what_the_text_says_and_quiet_only_the_exit_status() {
    let Some(answer) = real(&["--all", "--json"]) else { return };
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((json["schema"].as_u64(), json["at"].as_str()), (Some(1), Some("2026-11-21T23:59:59Z")));
    assert_eq!((json["exit_status"].as_i64(), answer.code), (Some(1), 1));
    let releases = json["releases"].as_array().unwrap();
    assert_eq!((releases.len(), json["strays"].as_array().unwrap().len()), (35, 2));
    let of = |release: &str| releases.iter().find(|found| found["release"] == release).unwrap();
    let linux = of("0.21.1-linux");
    assert_eq!((&linux["weight"], &linux["outcome"]), (&13.into(), &"failed".into()));
    assert_eq!(linux["reference"]["signer"], "CoinForensics");
    let signer = &linux["signers"][0];
    assert_eq!((&signer["verdict"], &signer["signature"]["check"]["state"]), (&"ok".into(), &"good".into()));
    assert_eq!(signer["assert"]["document"]["dialect"], "!!omap");
    assert_eq!(of("0.9.5rc1-osx")["reference"], serde_json::json!({ "state": "tied", "camps": 4 }));
    let causes =
        &of("0.6.0rc5")["signers"].as_array().unwrap().iter().find(|at| at["signer"] == "devrandom").unwrap()["causes"];
    assert_eq!(causes[0]["kind"], "some-outputs");
    // One release gives the same, in the same frame.
    let Some(one) = real(&["-r", "0.9.5-osx", "--name", "bitcoin", "--json"]) else { return };
    let one: serde_json::Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!(&one["releases"][0], of("0.9.5-osx"));
    for (args, code) in [(&["-r", "0.9.5-osx", "--name", "bitcoin"][..], 0), (&["--all"], 1)] {
        let Some(quiet) = real(&[args, &["--quiet"]].concat()) else { return };
        assert_eq!((quiet.stdout.as_str(), quiet.code), ("", code));
    }
}
