//! Every recorded run of the original gbuild (`data/original/gbuild-stub`), run again against fake guests: same standard
//! output, exit status, build script and report. Each deliberate deviation is a line in `DEVIATIONS` and in
//! share/doc/compatibility.md.

#[path = "support/fake.rs"]
mod fake;
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use clap::Parser;
use fake::{Fake, Script};
use gitian_cli::args::gbuild::Args;
use gitian_cli::calls::Calls;
use gitian_cli::surroundings::Surroundings;
use gitian_cli::{failure, gbuild};
use gitian_vm::Settings;
use support::{hello, shared};

/// What we do otherwise than the original, and why.
enum Deviation {
    /// Nothing is on standard output, with this exit status; the message holds this text.
    Refuses(u8, &'static str),
    /// Standard output holds the recorded lines up to and without the first that starts so; exit status 1, this text.
    StopsBefore(&'static str, &'static str),
    /// Standard output is this.
    Says(&'static str),
    /// The original fails, crashes or is silent; ours builds.
    Builds,
    /// Standard output is another text, and there are no results; the exit status is 0.
    Help,
}
use Deviation::{Builds, Help, Refuses, Says, StopsBefore};

const DEVIATIONS: &[(&str, Deviation)] = &[
    ("ci-build-fails", StopsBefore("Grabbing results", "build script of bookworm-amd64 ended with exit status 1")),
    ("err-arch", Refuses(1, "architecture 'arm64' is not known")),
    ("err-missing-input", Refuses(1, "input file inputs/missing.txt does not exist")),
    ("err-nofiles", Builds),
    ("err-nopackages", Builds),
    ("err-noremotes", Builds),
    ("err-option", Refuses(2, "unexpected argument '--bogus'")),
    ("err-unquoted-ref", Builds),
    ("opt-help", Help),
    ("quiet", Says("")),
    ("remote-badcommit", Refuses(1, "has no commit, tag or branch nonexist")),
    ("remote-url-bad", Refuses(2, "url '/tmp/x;y'")),
];

#[test]
fn every_recorded_run_of_the_original_is_repeated() {
    let Some(data) = shared("original/gbuild-stub") else { return };
    let mut cases: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert_eq!(cases.len(), 67);
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(what) = repeat(case) {
            wrong.push(format!("{}: {what}", case.file_name().unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn repeat(case: &Path) -> Result<(), String> {
    let name = case.file_name().unwrap().to_str().unwrap();
    let read = |file: &str| fs::read_to_string(case.join(file)).unwrap_or_default();
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    fs::create_dir_all(work.join("inputs")).unwrap();
    fs::copy(case.join("descriptor.yml"), work.join("d.yml")).unwrap();
    fs::write(work.join("inputs/in.txt"), "hello\n").unwrap();
    if name == "twofiles" {
        fs::write(work.join("inputs/in-2.txt"), "two\n").unwrap();
    }
    let outputs = folder.path().join("outputs");
    lay_out(name, &outputs);
    let caches = folder.path().join("caches");
    fs::create_dir_all(&caches).unwrap();
    if read("descriptor.yml").contains("enable_cache: true") {
        write(&caches.join("common/f"), "cached\n");
        write(&caches.join("t1/f"), "cached\n");
    }
    if name == "cache-ro" {
        write(&work.join("cache/t1/x"), "1\n");
    }
    let command = read("cmd");
    let base_manifests = fs::read_dir(case).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let id = path.file_name()?.to_str()?.strip_prefix("base-")?.strip_suffix(".manifest")?.to_owned();
        Some((id, fs::read_to_string(path).unwrap()))
    });
    let base_manifests = base_manifests.collect();
    let script = Script {
        base_manifests,
        by_digest: command.starts_with("USE=docker"),
        upgraded: name == "no-upgrade",
        fails: match name {
            "fail-apt-update" => vec![" update".into()],
            "fail-build" => vec!["mkdir install".into()],
            "build-fails" | "ci-build-fails" => vec!["bash -x".into()],
            _ => Vec::new(),
        },
        outputs: Some(outputs),
        caches: Some(caches),
        problems: Vec::new(),
    };
    let fake = Fake::new(&folder.path().join("guest"), script);

    let mut words: Vec<&str> = command.split_whitespace().filter(|word| !word.starts_with("USE=")).collect();
    let mut argv = vec!["gbuild".to_owned(), "--no-layer-cache".to_owned()];
    let uses_remote = read("descriptor.yml").contains("PEER/repo/hello.git");
    if uses_remote {
        let Some(repository) = hello::repository() else {
            return Err(hello::WHY_NOT.to_owned());
        };
        // The recorded descriptors and options name a place of another machine.
        let descriptor = read("descriptor.yml");
        for dir in descriptor.lines().filter_map(|line| line.strip_prefix("  dir: ")) {
            argv.push(format!("--url={dir}=file://{}", repository.display()));
        }
        if words.iter().any(|word| word.contains("PEER")) {
            words.retain(|word| *word != "-u" && !word.contains("PEER"));
        }
        if name == "remote-skip-fetch" {
            let cloned = assert_cmd::Command::new("git")
                .arg("clone")
                .arg("-q")
                .arg(&repository)
                .arg("hello")
                .current_dir(work.join("inputs"))
                .output();
            assert!(cloned.unwrap().status.success());
        }
    }
    argv.extend(words.into_iter().map(str::to_owned));
    let around = Surroundings {
        settings: Settings { ci: name.starts_with("ci"), cache: folder.path().join("cache"), ..Settings::default() },
        workdir: work.clone(),
        live: false,
        calls: Calls::default(),
    };

    let mut out = Vec::new();
    let (code, message) = match Args::try_parse_from(&argv) {
        Err(error) => (u8::try_from(error.exit_code()).unwrap(), error.to_string()),
        Ok(args) => match gbuild::run_with(args, &around, &fake, &mut out) {
            Ok(code) => (code, String::new()),
            Err(error) => {
                let mut message = Vec::new();
                let code = failure::report("gbuild", &error, &Calls::default(), false, &mut message);
                (code, String::from_utf8(message).unwrap())
            }
        },
    };
    let out = String::from_utf8(out).unwrap().replace(work.to_str().unwrap(), "STUB/work");

    let differ = |what: &str, ours: &str, theirs: &str| {
        if ours == theirs {
            Ok(())
        } else {
            Err(format!("{what} differs\n--- theirs\n{theirs}\n--- ours\n{ours}\n{message}"))
        }
    };
    let results = || {
        differ(
            "build script",
            &fs::read_to_string(work.join("var/build-script")).unwrap_or_default(),
            &read("build-script"),
        )?;
        let package = if name == "err-intname" { "22" } else { "t1" };
        let file = format!("{package}-res.yml");
        differ("report", &fs::read_to_string(work.join("result").join(&file)).unwrap_or_default(), &read(&file))
    };
    let theirs = read("stdout");
    match DEVIATIONS.iter().find(|(of, _)| *of == name).map(|(_, deviation)| deviation) {
        None => {
            differ("exit status", &code.to_string(), read("exit-code").trim())?;
            results()?;
            differ("standard output", &out, &theirs)
        }
        Some(Refuses(expected, text)) => {
            differ("exit status", &code.to_string(), &expected.to_string())?;
            differ("standard output", &out, "")?;
            if work.join("build").exists() || work.join("var").exists() {
                return Err("something was touched".into());
            }
            if message.contains(text) { Ok(()) } else { Err(format!("the message is {message}")) }
        }
        Some(StopsBefore(start, text)) => {
            differ("exit status", &code.to_string(), "1")?;
            let kept: String =
                theirs.lines().take_while(|line| !line.starts_with(start)).map(|line| format!("{line}\n")).collect();
            differ("standard output", &out, &kept)?;
            if message.contains(text) { Ok(()) } else { Err(format!("the message is {message}")) }
        }
        Some(Says(text)) => {
            differ("exit status", &code.to_string(), read("exit-code").trim())?;
            differ("standard output", &out, text)?;
            results()
        }
        Some(Builds) => {
            differ("exit status", &code.to_string(), "0")?;
            if out.ends_with("Done.\n") { Ok(()) } else { Err(format!("it says {out}\n{message}")) }
        }
        Some(Help) => differ("exit status", &code.to_string(), "0").map_err(|what| format!("{what} {message}")),
    }
}

/// What the recorded guests left in `out/`.
fn lay_out(name: &str, outputs: &Path) {
    fs::create_dir_all(outputs).unwrap();
    let files: &[(&str, &str)] = match name {
        "out-empty" => &[],
        "out-single" => &[("single", "a\n")],
        "out-order" => &[
            ("1", "8\n"),
            ("10", "9\n"),
            ("@x+y:z", "6\n"),
            ("B", "2\n"),
            ("_u", "7\n"),
            ("a-b", "5\n"),
            ("a.b", "3\n"),
            ("a/b", "4\n"),
            ("b", "1\n"),
        ],
        "out-dirlink" => &[("a/f", "1\n")],
        "out-broken-link" => &[],
        "out-space" => &[("foo bar", "1\n")],
        "out-tilde" => &[("foo~1.deb", "1\n")],
        _ => &[(".hid/x", "d\n"), ("a-file", "e\n"), ("b.tar.gz", "a\n"), ("sub/.dot", "c\n")],
    };
    for (path, text) in files {
        write(&outputs.join(path), text);
    }
    match name {
        "out-dirlink" => symlink("a", outputs.join("l")).unwrap(),
        "out-broken-link" => symlink("nowhere", outputs.join("x")).unwrap(),
        _ if outputs.join("sub").exists() => symlink("../a-file", outputs.join("sub/link")).unwrap(),
        _ => (),
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_target_that_cannot_be_left_running_does_not_hide_why_the_build_failed() {
    let folder = tempfile::tempdir().unwrap();
    let descriptor = "name: trial\ndistro: debian\nsuites: [bookworm]\narchitectures: [amd64]\npackages: []\n\
                      remotes: []\nfiles: []\nreference_datetime: '2020-01-01 00:00:00'\nscript: make\n";
    fs::write(folder.path().join("trial.yml"), descriptor).unwrap();
    let around = Surroundings {
        settings: Settings { cache: folder.path().join("cache"), ..Settings::default() },
        workdir: folder.path().to_owned(),
        live: false,
        calls: Calls::default(),
    };
    for (fails, expected) in [
        (&["bash -x", "detach"][..], "build script of bookworm-amd64 ended with exit status 1"),
        (&["detach"], "the fake guest cannot be left"),
    ] {
        let fails = fails.iter().map(|text| (*text).to_owned()).collect();
        let fake = Fake::new(&folder.path().join("guest"), Script { fails, ..Script::default() });
        let args = Args::try_parse_from(["gbuild", "--skip-cleanup", "--no-layer-cache", "trial.yml"]).unwrap();
        let error = gbuild::run_with(args, &around, &fake, &mut Vec::new()).unwrap_err();
        assert_eq!(format!("{error:#}"), expected);
        assert_eq!(fake.calls().last().unwrap(), "detach");
    }
}
