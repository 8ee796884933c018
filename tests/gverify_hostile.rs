//! gverify on trees that were made to do harm: one verdict for the signer who did it, a clear word, the others untouched,
//! within bounds of time and memory. What lies in a signer's folder instead of a file is in `gverify.rs`.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use support::gnupg::Home;
use support::programs::{Answer, Workdir};
use support::running::{Running, within};

/// How long a run may take on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);
const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// Alice and bob with their keys; alice built `app.zip` and signed.
struct Fixture {
    home: Home,
    work: Workdir,
}

impl Fixture {
    fn new() -> Option<Self> {
        Self::of(Workdir::new())
    }

    fn of(work: Workdir) -> Option<Self> {
        let fixture = Self { home: Home::new()?, work };
        let keys = fixture.path("keys");
        fs::create_dir_all(&keys).unwrap();
        for name in ["alice", "bob"] {
            fixture.home.make_key(name, "ed25519");
            fixture.home.export(name, &keys);
        }
        fs::write(fixture.path("app.yml"), DESCRIPTOR).unwrap();
        fixture.sign("alice", &document(&format!("    {DIGEST}  app.zip\n")));
        Some(fixture)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.work.path().join(path)
    }

    fn assert_path(&self, signer: &str) -> PathBuf {
        self.path("sigs/1.0").join(signer).join("app-build.assert")
    }

    fn sign(&self, signer: &str, document: &str) {
        let path = self.assert_path(signer);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, document).unwrap();
        let (user, signature) = (format!("{signer}@example.org"), format!("{}.sig", path.display()));
        self.home.gpg(&["--yes", "-u", &user, "--output", &signature, "--detach-sign", path.to_str().unwrap()]);
    }

    fn verify(&self, args: &[&str]) -> Answer {
        let began = Instant::now();
        let common = ["-r", "1.0", "-d", "sigs", "--keys", "keys", "-c", "alice", "app.yml"];
        let answer = self.work.run("gverify", &[args, &common].concat());
        assert!(began.elapsed() < PATIENCE, "took {:?}", began.elapsed());
        answer
    }
}

const DESCRIPTOR: &str = "name: app\ndistro: debian\nsuites: [bookworm]\narchitectures: [amd64]\n\
                          reference_datetime: \"2020-01-01 00:00:00\"\nscript: \"true\"\n";

fn document(lines: &str) -> String {
    format!("--- !!omap\n- out_manifest: |\n{lines}- release: '1.0'\n- name: app\n")
}

/// The largest memory that any program run by this test program had so far, in MiB.
fn peak_mib() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024
}

/// Everything that needs much memory is in one test, so that the peak belongs to it.
#[test]
fn huge_documents_cost_bounded_time_and_memory() {
    let Some(fixture) = Fixture::new() else { return };
    let lines = |count: usize| (0..count).map(|number| format!("    {DIGEST}  f{number}\n")).collect::<String>();
    let (many, more) = (document(&lines(90_000)), document(&lines(200_000)));
    for (what, text, verdict) in [("a big one", &many, "MISMATCH"), ("one over the limit", &more, "UNREADABLE")] {
        fixture.sign("bob", text);
        let answer = fixture.verify(&[]);
        assert!(answer.stdout.contains("alice: OK\n"), "{what}: {}", answer.stdout);
        assert!(answer.stdout.contains(&format!("bob: {verdict}\n")), "{what}: {}", answer.stdout);
        assert!(answer.stdout.len() < 100_000 && answer.code == 1, "{what}: {}", answer.stdout.len());
    }
    // Who signs well may say much; all of it is shown where somebody asks, and otherwise counted.
    fixture.sign("bob", &many);
    let answer = fixture.verify(&["-v"]);
    assert_eq!(answer.stdout.lines().filter(|line| line.starts_with("+ ")).count(), 90_000);
    let answer = fixture.verify(&["--json"]);
    assert!(answer.stdout.contains("\"more_lines\":89001") && answer.stdout.len() < 500_000, "{}", answer.stdout.len());
    // What nobody vouches for is not kept.
    fixture.sign("bob", &document(&lines(10)));
    for number in 0..40 {
        let path = fixture.assert_path(&format!("mallory{number}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &many).unwrap();
        fs::copy(fixture.path("sigs/1.0/bob/app-build.assert.sig"), path.with_extension("assert.sig")).unwrap();
    }
    let answer = fixture.verify(&[]);
    let kept = "gverify: the signature names key";
    assert!(answer.stdout.contains(kept) && answer.stdout.contains("is larger than 1048576 bytes, without a good"));
    assert_eq!(answer.stdout.matches(": UNREADABLE\n").count(), 40);
    fs::File::create(fixture.assert_path("bob")).unwrap().set_len(2 << 30).unwrap();
    let answer = fixture.verify(&[]);
    assert!(
        answer.stdout.contains("is larger than") && answer.stdout.contains("bob: UNREADABLE\n"),
        "{}",
        answer.stdout
    );
    // Thousands of signatures of one list, which each once had a copy of.
    let sums = fixture.path("SHA256SUMS");
    fs::write(&sums, (0..90_000).map(|number| format!("{DIGEST}  f{number}\n")).collect::<String>()).unwrap();
    let gpg = |user: &str| {
        let signature = fixture.path(&format!("{user}.sig"));
        let (user, output) = (format!("{user}@example.org"), signature.to_str().unwrap());
        fixture.home.gpg(&["-u", &user, "--output", output, "--detach-sign", sums.to_str().unwrap()]);
        fs::read(signature).unwrap()
    };
    fixture.home.make_key("mallory", "ed25519");
    let signatures = [gpg("alice"), gpg("mallory"), gpg("bob")].concat();
    fs::write(fixture.path("SHA256SUMS.asc"), signatures.repeat(2_500)).unwrap();
    let began = Instant::now();
    let answer = fixture.work.run("gverify", &["--files", "SHA256SUMS", "--keys", "keys"]);
    assert_eq!(answer.stdout.matches(": OK, built by 2 (").count(), 90_000, "{}", answer.stderr);
    assert!(began.elapsed() < PATIENCE, "took {:?}", began.elapsed());
    assert!(peak_mib() < 256, "{} MiB", peak_mib());
}

#[test]
fn a_folder_full_of_files_costs_what_it_holds_and_no_more() {
    let Some(fixture) = Fixture::new() else { return };
    for signer in ["mallory", "trudy"] {
        let folder = fixture.path("sigs/1.0").join(signer);
        fs::create_dir_all(&folder).unwrap();
        (0..1000).for_each(|number| fs::write(folder.join(format!("p{number}-build.assert")), "x").unwrap());
    }
    let answer = fixture.work.run("gverify", &["--all", "-d", "sigs", "--keys", "keys"]);
    let folders = "MISSING SIGNATURE: in the same folder, p0-build.assert, p1-build.assert, p10-build.assert, ";
    assert!(answer.stdout.contains(folders) && answer.stdout.contains(" and 989 more have no counterpart either\n"));
    assert!(answer.stdout.contains("1.0 app: 1 OK, 2 MISSING RESULT\n"), "{}", &answer.stdout[..1000]);
    // Two thousand lines; each once named all the others, and took as long.
    assert!(answer.stdout.len() < 800_000, "{}", answer.stdout.len());
}

/// Whether a program has a handler for ctrl-c.
fn listens(running: &Running) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (Signal::SIGINT as u64 - 1) != 0
}

#[test]
fn a_run_that_is_told_to_stop_stops() {
    let Some(fixture) = Fixture::new() else { return };
    // Work for seconds: a signer is judged in an instant, all of them are not.
    let lines: String = (0..11_000).map(|number| format!("    {DIGEST}  f{number}\n")).collect();
    fixture.home.make_key("s", "ed25519");
    fixture.home.export("s", &fixture.path("keys"));
    fixture.sign("s", &document(&format!("    {DIGEST}  app.zip\n{lines}")));
    let signed = fixture.assert_path("s");
    for number in 0..500 {
        let path = fixture.assert_path(&format!("s{number}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::hard_link(&signed, &path).unwrap();
        fs::hard_link(signed.with_extension("assert.sig"), path.with_extension("assert.sig")).unwrap();
    }
    let file = fixture.path("app.zip");
    fs::write(&file, "abc").unwrap();
    let changed: Vec<String> = (0..500).map(|number| format!("1.0/s{number}/app-build.assert")).collect();
    let lint: Vec<&str> = ["--lint"].into_iter().chain(changed.iter().map(String::as_str)).collect();
    for args in [&["-r", "1.0", "--name", "app"][..], &["--all"], &["--files", "app.zip"], &lint] {
        let common = ["-v", "-d", "sigs", "--keys", "keys"];
        let running = fixture.work.start("gverify", &[&common, args].concat());
        assert!(within(PATIENCE, || listens(&running)));
        running.signal(Signal::SIGINT);
        let answer = running.answer();
        assert_eq!(answer.code, 130, "{:?}: {}", args.first(), answer.stderr);
        assert!(answer.stderr.contains("gverify: interrupted\n"), "{}", answer.stderr);
    }
    // At a pipe that nobody reads the system holds it.
    let Some(fixture) = Fixture::new() else { return };
    let pipe = fixture.path("page");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let mut running = fixture.work.start("gverify", &["-r", "1.0", "--name", "app", "-d", "sigs", "--html", "page"]);
    assert!(within(PATIENCE, || listens(&running)));
    std::thread::sleep(Duration::from_secs(3));
    running.signal(Signal::SIGTERM);
    assert!(within(Duration::from_secs(10), || running.has_ended()), "a pipe holds it");
    assert_eq!(running.answer().code, 143);
}

#[test]
fn documents_that_are_made_to_explode_are_one_signers_fault() {
    let Some(fixture) = Fixture::new() else { return };
    let mut bomb = String::from("--- !!omap\n- a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (name, of) in ('b'..='i').zip('a'..) {
        bomb += &format!("- {name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n");
    }
    let nested = |open: &str, count| format!("--- !!omap\n- out_manifest: {}\n", open.repeat(count));
    for (text, reason) in [
        (bomb, "gverify: line 3: an alias\n"),
        (nested("[", 1_000_000), "gverify: line 2: nested too deeply\n"),
        (nested("{a: ", 500_000), "gverify: line 2: nested too deeply\n"),
        ("- ".repeat(1_000_000), "gverify: line 1: "),
        ("--- !ruby/object:Gem::Installer\ni: x\n".into(), "a map with the tag !ruby/object:Gem::Installer\n"),
    ] {
        fixture.sign("bob", &text);
        let answer = fixture.verify(&[]);
        let (alice, bob) = answer.stdout.split_once("alice: OK\n\n").expect("alice is OK");
        assert!(alice.is_empty() && bob.contains(reason), "{reason}: {}", answer.stdout);
        assert!(bob.ends_with("bob: UNREADABLE\n\n") && answer.code == 1, "{}", answer.stdout);
    }
}

#[test]
fn names_of_files_are_printed_escaped() {
    let Some(fixture) = Fixture::new() else { return };
    let hostile = r"\e[2K\e[1Aalice: OK\u202Eback\r";
    let text = format!(
        "--- !!omap\n- out_manifest: \"{DIGEST}  {hostile}\\n\"\n- release: \"1.0\\e[31m\"\n- name: \"app\\nbob: OK\\n\"\n"
    );
    fixture.sign("bob", &text);
    let answer = fixture.verify(&["-v"]);
    assert!(answer.stdout.contains("bob: MISMATCH\n") && answer.code == 1, "{}", answer.stdout);
    for character in ['\u{1b}', '\u{202e}', '\r'] {
        assert!(!answer.stdout.contains(character) && !answer.stderr.contains(character), "{}", answer.stdout);
    }
    assert!(!answer.stdout.lines().any(|line| line == "bob: OK"), "{}", answer.stdout);
}

#[test]
fn files_of_others_that_may_not_be_read_are_a_verdict_for_an_ordinary_user_too() {
    let Some(work) = Workdir::of_user_without_ids() else { return };
    let Some(fixture) = Fixture::of(work) else { return };
    fixture.sign("bob", "--- !!omap\n- out_manifest: ''\n");
    let set = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(fixture.assert_path("bob"), 0o000);
    let answer = fixture.verify(&[]);
    assert!(
        answer.stdout.ends_with("gverify: may not be read\nbob: UNREADABLE\n\n"),
        "{}{}",
        answer.stdout,
        answer.stderr
    );
    set(fixture.assert_path("bob"), 0o644);
    set(fixture.path("sigs/1.0/bob"), 0o000);
    let answer = fixture.verify(&[]);
    assert!(
        answer.stdout.ends_with("gverify: may not be read\nbob: UNREADABLE\n\n"),
        "{}{}",
        answer.stdout,
        answer.stderr
    );
    set(fixture.path("sigs/1.0/bob"), 0o755);
}

/// Somebody exchanges a file for others, as fast as possible, while it is read.
#[test]
fn a_tree_that_changes_while_it_is_read_gives_one_verdict_each_time() {
    let Some(fixture) = Fixture::new() else { return };
    let text = document(&format!("    {DIGEST}  app.zip\n"));
    fixture.sign("bob", &text);
    let secret = fixture.path("secret");
    fs::write(&secret, document("    SECRET\n")).unwrap();
    let (path, stop) = (fixture.assert_path("bob"), AtomicBool::new(false));
    let staged = |name: &str| fixture.path(name);
    let mut verdicts = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Each is renamed into place, so that there is always something.
            for number in 0_usize.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let next = staged(&format!("next-{number}"));
                match number % 5 {
                    0 => fs::write(&next, &text).unwrap(),
                    1 => symlink(&secret, &next).unwrap(),
                    2 => nix::unistd::mkfifo(&next, Mode::S_IRUSR | Mode::S_IWUSR).unwrap(),
                    3 => fs::File::create(&next).unwrap().set_len(1 << 31).unwrap(),
                    _ => fs::write(&next, "changed").unwrap(),
                }
                fs::rename(next, &path).unwrap();
            }
        });
        for _ in 0..40 {
            let answer = fixture.verify(&["-v"]);
            let (_, bob) = answer.stdout.split_once("alice: OK\n\n").unwrap_or_else(|| {
                stop.store(true, Ordering::Relaxed);
                panic!("{}{}", answer.stdout, answer.stderr)
            });
            let verdict = bob.lines().filter_map(|line| line.strip_prefix("bob: ")).collect::<Vec<_>>();
            if verdict.len() != 1 || answer.stdout.contains("SECRET") {
                stop.store(true, Ordering::Relaxed);
                panic!("{}", answer.stdout);
            }
            verdicts.insert(verdict[0].to_owned());
        }
        stop.store(true, Ordering::Relaxed);
    });
    // Whatever it was at that moment: never anything else than these.
    let known = ["BAD SIGNATURE", "OK", "UNREADABLE"];
    assert!(verdicts.iter().all(|verdict| known.contains(&verdict.as_str())), "{verdicts:?}");
    assert!(verdicts.len() > 1, "nothing was exchanged: {verdicts:?}");
}
