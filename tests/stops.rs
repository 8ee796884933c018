//! Builds that are stopped at random moments, in every kind of guest: nothing of them stays that the next run does not take
//! over, and that one succeeds.
//!
//! `GITIAN_TEST_STOPS` says how many builds of each kind are stopped; by default a few. `GITIAN_TEST_KINDS=kvm,vbox` takes
//! these kinds only. `GITIAN_TEST_SEED` repeats a run.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;

use crate::support::backends::{ROWS, Row};
use crate::support::programs::{Workdir, answer};
use crate::support::running::{processes_with, within};

/// How long the end of what was told to end may take.
const END: Duration = Duration::from_secs(30);

fn setting(variable: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    std::env::var(variable).ok()
}

fn number(variable: &str) -> Option<u64> {
    setting(variable).map(|text| text.parse().unwrap())
}

/// Numbers that look random; the same for the same seed. Source: Marsaglia, Xorshift RNGs.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u128) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u64::try_from(u128::from(self.0) % limit.max(1)).unwrap()
    }
}

/// What is there on this host because of a working directory: processes, mounts, running containers, temporary files.
fn left(row: &Row, work: &Workdir) -> Vec<String> {
    let path = work.path().display().to_string();
    let mark = format!("mark-{}", work.path().file_name().unwrap().to_str().unwrap());
    let mut left = Vec::new();
    for text in [format!("HOME={path}\0"), mark] {
        let of_process = |path: &Path| fs::read_to_string(path.join("comm")).unwrap_or_default();
        left.extend(processes_with(&text).iter().map(|path| format!("{}: {}", path.display(), of_process(path))));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(&path)).map(str::to_owned));
    left.extend(
        fs::read_dir(work.path().join("tmp")).unwrap().map(|entry| entry.unwrap().path().display().to_string()),
    );
    left.extend(containers(row, work, &[]));
    left
}

/// The containers of a working directory: those that run, and with `--all` those that ended.
fn containers(row: &Row, work: &Workdir, which: &[&str]) -> Vec<String> {
    if row.backend != "docker" {
        return Vec::new();
    }
    let mut list = work.tool(row.name);
    let listed = answer(list.args(["ps", "--format", "{{.ID}} {{.Labels}}"]).args(which)).succeeds().stdout;
    let own = work.path().display().to_string();
    let of_work = listed.lines().filter(|line| line.contains(&own));
    of_work.map(|line| format!("container {}", line.split(' ').next().unwrap())).collect()
}

fn stop_at_random(row: &Row, random: &mut Random, stops: u64) {
    let Some(mut work) = row.workdir() else { return };
    let folder = work.path().join("tmp");
    fs::create_dir(&folder).unwrap();
    work.set_env("TMPDIR", &folder.display().to_string());
    let mark = format!("mark-{}", work.path().file_name().unwrap().to_str().unwrap());
    let script = format!("perl -e 'sleep 1' {mark}\nseq 100000 > $OUTDIR/numbers");
    let descriptor = work.descriptor("", &script);
    let began = Instant::now();
    let whole = work.run("gbuild", &[descriptor]).succeeds().stdout;
    let whole_time = began.elapsed();
    // A container that ended is kept for `gbuild -i`.
    let kept = || containers(row, &work, &["--all"]).len();
    for stop in 0..stops {
        let signal = if stop % 2 == 0 { Signal::SIGINT } else { Signal::SIGKILL };
        let moment = Duration::from_millis(random.below(whole_time.as_millis()));
        let before = left(row, &work);
        let running = work.start("gbuild", &[descriptor]);
        std::thread::sleep(moment);
        running.signal(signal);
        let told = running.answer();
        let what = format!("{}, {signal} after {moment:?} of {whole_time:?}", row.name);
        // It may have been done before.
        assert!([0, 128 + signal as i32].contains(&told.code), "{what}: {} {}{}", told.code, told.stdout, told.stderr);
        if signal == Signal::SIGINT && told.code != 0 {
            // What the run before it left, it may have had no time to take over.
            let more = || left(row, &work).into_iter().filter(|line| !before.contains(line)).collect::<Vec<_>>();
            let gone = within(END, || more().is_empty());
            assert!(gone && kept() <= 1, "{what}: {:#?}\n{}{}", more(), told.stdout, told.stderr);
        }
    }
    let next = work.run("gbuild", &[descriptor]).succeeds().stdout;
    let report = |stdout: &str| stdout.split_once("Generating report\n").unwrap().1.to_owned();
    assert_eq!(report(&next), report(&whole), "{}", row.name);
    work.run("stop-target", &[]);
    let gone = within(END, || left(row, &work).is_empty());
    assert!(gone && kept() <= 1, "{}, at the end: {:#?}", row.name, left(row, &work));
}

/// Machines take a quarter of a minute of a processor to boot, so that few are stopped unless more are asked for.
#[test]
fn builds_that_are_stopped_at_random_moments_leave_nothing_that_is_in_the_way() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number("GITIAN_TEST_SEED").unwrap_or(now.as_secs() | 1);
    println!("GITIAN_TEST_SEED={seed}");
    let kinds = setting("GITIAN_TEST_KINDS");
    let is_asked = |row: &&Row| kinds.as_ref().is_none_or(|kinds| kinds.split(',').any(|kind| kind == row.name));
    for row in ROWS.iter().filter(is_asked) {
        let usual = match (row.elsewhere, row.boots()) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 8,
        };
        let stops = number("GITIAN_TEST_STOPS").unwrap_or(usual);
        if stops == 0 {
            println!("skipped: {}: its machines cost minutes; GITIAN_TEST_STOPS=2 stops some", row.name);
            continue;
        }
        let began = Instant::now();
        stop_at_random(row, &mut Random(seed), stops);
        println!("{}: {stops} builds stopped in {:?}", row.name, began.elapsed());
    }
}

#[test]
fn several_builds_run_at_once_in_any_mix_of_guests() {
    let works: Vec<(&Row, Workdir)> =
        ROWS.iter().filter(|row| !row.boots()).filter_map(|row| Some((row, row.workdir()?))).collect();
    let twice = ROWS[0].workdir();
    let builds: Vec<_> = works
        .iter()
        .map(|(row, work)| (row.name, work))
        .chain(twice.iter().map(|work| ("a second of the first kind", work)))
        .map(|(name, work)| {
            let descriptor = work.descriptor("", "perl -e 'sleep 3'\nuname -n > $OUTDIR/name\nid -un >> $OUTDIR/name");
            (name, work, work.start("gbuild", &[descriptor]))
        })
        .collect();
    let reports: Vec<(&str, Vec<u8>)> = builds
        .into_iter()
        .map(|(name, work, running)| {
            let told = running.answer();
            assert_eq!(told.code, 0, "{name}: {}{}", told.stdout, told.stderr);
            (name, fs::read(work.path().join("result/trial-res.yml")).unwrap())
        })
        .collect();
    let Some(((_, first), others)) = reports.split_first() else { return };
    for (name, report) in others {
        assert_eq!(String::from_utf8_lossy(report), String::from_utf8_lossy(first), "{name}");
    }
}
