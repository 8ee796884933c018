//! Whatever ends a build early, nothing of it stays on the host that stands in the way of the next one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support;
use crate::support::programs::{Answer, Workdir, cache};
use crate::support::running::{Running, processes_with, within};

/// How long the end of what was told to end may take.
const END: Duration = Duration::from_secs(20);

/// A text for a command line in the guest by which the host recognises its processes.
fn mark(work: &Workdir) -> String {
    format!("mark-{}", work.path().file_name().unwrap().to_str().unwrap())
}

/// A script that says that it runs, and then does so for long.
fn endless(work: &Workdir) -> String {
    format!("echo it runs\nperl -e 'sleep 600' {}\n", mark(work))
}

/// Starts a build of the descriptor and waits until its script runs.
fn start(work: &Workdir, descriptor: &str) -> Running {
    let log = work.path().join("var/build.log");
    fs::remove_file(&log).ok();
    let mut running = work.start("gbuild", &[descriptor]);
    let holds = |text: &str| fs::read_to_string(&log).is_ok_and(|log| log.contains(text));
    assert!(within(Duration::from_secs(120), || holds("\nit runs\n") || running.has_ended()));
    if running.has_ended() {
        let answer = running.answer();
        panic!("{}{}", answer.stdout, answer.stderr);
    }
    running
}

fn builds(work: &Workdir, args: &[&str]) -> Answer {
    let answer = work.run("gbuild", args);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    answer
}

/// Looks for processes of the host and of the guest, and for mounts.
fn assert_nothing_runs(work: &Workdir, after: &str) {
    let home = format!("HOME={}\0", work.path().display());
    for text in [home, mark(work)] {
        let gone = within(END, || processes_with(&text).is_empty());
        assert!(gone, "{after}: still there: {:?}", described(&processes_with(&text)));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(work.path().to_str().unwrap()), "{after}: {mounts}");
}

fn described(processes: &[PathBuf]) -> Vec<String> {
    let read = |path: &Path, name: &str| fs::read_to_string(path.join(name)).unwrap_or_default().replace('\0', " ");
    processes
        .iter()
        .map(|path| format!("{}: {}{}", path.display(), read(path, "comm"), read(path, "cmdline")))
        .collect()
}

/// The process that is first in the guest of a working directory.
fn guests_init(work: &Workdir) -> Pid {
    let text = fs::read_to_string(work.path().join("var/target/init.yml")).unwrap();
    let pid = text.lines().find_map(|line| line.trim().strip_prefix("pid: ")).unwrap();
    Pid::from_raw(pid.parse().unwrap())
}

fn is_there(pid: Pid) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_second_build_in_the_same_folder_is_refused_and_harms_nothing() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let descriptor = work.descriptor("", "echo it runs\nsleep 3\necho done > $OUTDIR/done");
    let first = start(&work, descriptor);
    for _ in 0..2 {
        let second = work.run("gbuild", &[descriptor]);
        assert_eq!((second.code, second.stdout.as_str()), (1, ""));
        let expected = format!(
            "gbuild: error: {}: another build runs here, process {pid}\n\
             hint: wait for it, end it with `kill {pid}`, or build in another folder\n",
            work.path().display(),
            pid = first.pid(),
        );
        assert_eq!(second.stderr, expected);
    }
    let answer = first.answer();
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert_eq!(fs::read_to_string(work.path().join("build/out/done")).unwrap(), "done\n");
    builds(&work, &[descriptor]);
}

#[test]
fn builds_in_different_folders_run_at_the_same_time() {
    let (Some(one), Some(other)) = (Workdir::with_bookworm(), Workdir::with_bookworm()) else { return };
    let first = start(&one, one.descriptor("", &endless(&one)));
    builds(&other, &[other.descriptor("", "echo x > $OUTDIR/x")]);
    first.signal(Signal::SIGINT);
    assert_eq!(first.answer().code, 130);
    assert_nothing_runs(&one, "ctrl-c");
}

#[test]
fn a_signal_ends_the_build_the_guest_and_nothing_else() {
    let Some(work) = Workdir::with_bookworm() else { return };
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        // A script that does not let itself be ended.
        let stubborn = format!("trap '' INT TERM HUP\n{}", endless(&work));
        let running = start(&work, work.descriptor("", &stubborn));
        running.signal(signal);
        let began = Instant::now();
        let answer = running.answer();
        assert_eq!((answer.code, answer.stderr.as_str()), (code, "gbuild: interrupted\n"));
        assert!(began.elapsed() < Duration::from_secs(10), "{signal}: {:?}", began.elapsed());
        assert!(!work.path().join("result/trial-res.yml").exists());
        assert_nothing_runs(&work, signal.as_str());
    }
    builds(&work, &[work.descriptor("", "true")]);
}

#[test]
fn ctrl_c_at_a_terminal_hits_git_as_well_and_is_an_interruption_all_the_same() {
    let work = Workdir::new();
    let waiting = work.path().join("waiting");
    let fake = work.path().join("git");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *ls-remote*) touch {}; exec sleep 600;; *) exec /usr/bin/git \"$@\";; esac\n",
        waiting.display()
    );
    fs::write(&fake, text).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let remote = "remotes:\n- url: https://coin.invalid/coin.git\n  dir: coin\n  commit: v1\n";
    let descriptor = work.descriptor(remote, "true");
    for _ in 0..5 {
        fs::remove_file(&waiting).ok();
        let path = format!("{}:/usr/bin:/bin", work.path().display());
        let running = work.start_in_group("gbuild", &["--check", descriptor], &path);
        assert!(within(Duration::from_secs(60), || waiting.exists()));
        running.signal_group(Signal::SIGINT);
        let answer = running.answer();
        assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (130, "", "gbuild: interrupted\n"));
        assert!(within(END, || processes_with(&format!("HOME={}\0", work.path().display())).is_empty()));
    }
}

#[test]
fn ctrl_c_at_any_time_is_an_interruption() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let descriptor = work.descriptor("enable_cache: true\n", "echo x > $OUTDIR/x\necho y > $GBUILD_COMMON_CACHE/y");
    builds(&work, &[descriptor]);
    let began = Instant::now();
    builds(&work, &[descriptor]);
    let whole = began.elapsed();
    const STEPS: u32 = 20;
    let mut interrupted = 0;
    for step in 1..STEPS {
        fs::remove_file(work.path().join("result/trial-res.yml")).ok();
        let running = work.start("gbuild", &[descriptor]);
        std::thread::sleep(whole * step / STEPS);
        running.signal(Signal::SIGINT);
        let answer = running.answer();
        let reported = work.path().join("result/trial-res.yml").exists();
        match answer.code {
            130 => {
                // Before signals are listened to, the system ends the program.
                assert!(["", "gbuild: interrupted\n"].contains(&answer.stderr.as_str()), "{}", answer.stderr);
                assert!(!reported);
                interrupted += 1;
            }
            code => assert_eq!((code, reported), (0, true), "{}{}", answer.stdout, answer.stderr),
        }
        assert_nothing_runs(&work, "ctrl-c");
    }
    assert!(interrupted > 3, "{interrupted} of {STEPS}");
    builds(&work, &[descriptor]);
    assert_nothing_under_way(&work.path().join("var"));
    assert_nothing_under_way(&work.path().join("cache"));
}

/// Looks for what is named as something that is not finished.
fn assert_nothing_under_way(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(!name.starts_with('.') && !name.starts_with("old-"), "{}", path.display());
    }
}

#[test]
fn a_guest_that_vanishes_is_told() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let running = start(&work, work.descriptor("", &endless(&work)));
    kill(guests_init(&work), Signal::SIGKILL).unwrap();
    let answer = running.answer();
    assert_eq!(answer.code, 1);
    assert_eq!(
        answer.stderr,
        "gbuild: error: the guest bookworm-amd64 is gone: something ended its first process\n\
         hint: build again; if it happens again, `dmesg` tells whether the memory was used up\n"
    );
    assert_nothing_runs(&work, "the guest's end");
    builds(&work, &[work.descriptor("", "true")]);
}

#[test]
fn a_guest_that_was_left_running_is_stopped_by_the_next_build() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let descriptor = work.descriptor("", "true");
    builds(&work, &["--skip-cleanup", descriptor]);
    let left = guests_init(&work);
    assert!(is_there(left), "it does not run");
    builds(&work, &[descriptor]);
    assert!(within(END, || !is_there(left)), "it still runs");
    assert_nothing_runs(&work, "a second build");
}

#[test]
fn a_guest_that_forks_for_ever_is_contained() {
    let Some(work) = Workdir::with_bookworm() else { return };
    // Every process forks until that is refused, and then waits: a bomb that leaves the processors to others.
    let bomb = format!("echo it runs\nperl -e '1 while defined fork; sleep 600' {}", mark(&work));
    let running = start(&work, work.descriptor("", &bomb));
    let count = || processes_with(&mark(&work)).len();
    let mut last = 0;
    let settled = within(Duration::from_secs(120), || {
        std::thread::sleep(Duration::from_millis(500));
        let before = std::mem::replace(&mut last, count());
        last > 500 && last == before
    });
    assert!(settled && last < 4000, "{last} processes");
    running.signal(Signal::SIGINT);
    let answer = running.answer();
    assert_eq!((answer.code, answer.stderr.as_str()), (130, "gbuild: interrupted\n"));
    assert_nothing_runs(&work, "a fork bomb");
    builds(&work, &[work.descriptor("", "true")]);
}

/// A cache of its own for a working directory, with the base images of the tests' cache.
fn own_cache(work: &mut Workdir) -> PathBuf {
    let folder = work.path().join("own");
    fs::create_dir_all(folder.join("gitian")).unwrap();
    symlink(cache().join("gitian/bases"), folder.join("gitian/bases")).unwrap();
    work.use_cache(folder.clone());
    folder.join("gitian")
}

#[test]
fn killed_at_any_time_a_build_leaves_nothing_and_the_next_one_succeeds() {
    let Some(mut work) = Workdir::with_bookworm() else { return };
    let cache = own_cache(&mut work);
    // Installed already, but each makes another layer, so that every run goes all the way.
    let packages = ["apt", "bash", "coreutils", "dash", "dpkg", "findutils", "gzip", "grep"];
    let named = |package: &str| {
        let descriptor = format!("{package}.yml");
        let keys = format!("packages: [hello, {package}]\nenable_cache: true\n");
        let script = "echo x > $OUTDIR/x\necho y > $GBUILD_COMMON_CACHE/y";
        fs::rename(work.path().join(work.descriptor(&keys, script)), work.path().join(&descriptor)).unwrap();
        descriptor
    };
    let began = Instant::now();
    builds(&work, &[&named("base-files")]);
    // The first build may have had to wait for much that the others find there.
    let mut whole = began.elapsed();
    let steps = u32::try_from(packages.len()).unwrap();
    let mut killed = 0;
    for (step, package) in (1..).zip(packages) {
        let mut running = work.start("gbuild", &[&named(package)]);
        let moment = whole * step / (steps + 1);
        std::thread::sleep(moment);
        if running.has_ended() {
            whole = moment;
        } else {
            killed += 1;
        }
        drop(running);
        assert_nothing_runs(&work, &format!("killed at {step}/{}", steps + 1));
        if step % 4 == 0 {
            builds(&work, &["base-files.yml"]);
        }
    }
    assert!(killed > steps / 2, "{killed} of {steps}");
    // Among the layers, what is half made is removed by whoever makes the next one.
    builds(&work, &[&named("libc-bin")]);
    assert_nothing_runs(&work, "a build to the end");
    for folder in ["var", "cache", "result", "build"] {
        assert_nothing_under_way(&work.path().join(folder));
    }
    for entry in fs::read_dir(cache.join("layers")).unwrap() {
        assert_nothing_under_way(&entry.unwrap().path());
    }
    assert_nothing_under_way(&cache.join("debs"));
    let temporary = support::tree::listing(&work.path().join("tmp"));
    assert_eq!(temporary, "");
}

#[test]
fn killed_while_it_makes_a_base_image_make_base_vm_leaves_what_the_next_one_removes() {
    if Workdir::with_bookworm().is_none() {
        return;
    }
    let mut work = Workdir::new();
    let own = work.path().join("own");
    work.use_cache(own.clone());
    let started = || {
        fs::read_dir(own.join("gitian/bases")).map_or(0, |entries| {
            entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".new-")).count()
        })
    };
    for milliseconds in [0, 700, 1500] {
        let running = work.start("make-base-vm", &["--distro", "debian", "--suite", "bookworm"]);
        assert!(within(END, || started() > 0));
        std::thread::sleep(Duration::from_millis(milliseconds));
        drop(running);
        assert_nothing_runs(&work, &format!("killed after {milliseconds} ms"));
        assert_eq!(started(), 1);
        assert!(!work.path().join("base-bookworm-amd64.sandbox").exists());
    }
    let running = work.start("make-base-vm", &["--distro", "debian", "--suite", "bookworm"]);
    std::thread::sleep(Duration::from_millis(1000));
    running.signal(Signal::SIGINT);
    let answer = running.answer();
    assert_eq!((answer.code, answer.stderr.as_str()), (130, "make-base-vm: interrupted\n"));
    assert_eq!(started(), 0);
    assert_nothing_runs(&work, "ctrl-c");
}
