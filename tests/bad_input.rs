//! What can be wrong with what a user gives: each has a message that names object, cause and remedy, an exit status other
//! than 0, and leaves the working directory as it was.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use assert_cmd::Command;

use crate::support;
use crate::support::programs::{Answer, Workdir, answer};
use crate::support::tree::listing;

fn gbuild(work: &Workdir, args: &[&str]) -> Answer {
    work.run("gbuild", args)
}

/// Returns what a program says that refuses to work, after a look that it has changed nothing.
fn refusal(work: &Workdir, program: &str, args: &[&str]) -> String {
    let before = listing(work.path());
    let answer = work.run(program, args);
    let name = work.path().display().to_string();
    assert_ne!(answer.code, 0, "{args:?}: {}", answer.stdout);
    assert_eq!(listing(work.path()), before, "{args:?}: {}", answer.stderr);
    assert_eq!(answer.stdout, "", "{args:?}");
    answer.stderr.replace(&name, "WORK")
}

/// A build that begins and fails: its message, and a look that no record was written.
fn failure(work: &Workdir, args: &[&str]) -> String {
    let answer = gbuild(work, args);
    assert_eq!(answer.code, 1, "{}{}", answer.stdout, answer.stderr);
    assert!(!work.path().join("result/trial-res.yml").exists(), "{args:?}");
    answer.stderr.replace(&work.path().display().to_string(), "WORK")
}

fn builds(work: &Workdir, args: &[&str]) -> Answer {
    let answer = gbuild(work, args);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    answer
}

/// A good descriptor, key by key; a case replaces one, or adds another.
const GOOD: [(&str, &str); 5] = [
    ("name", "name: trial"),
    ("suites", "suites: [bookworm]"),
    ("architectures", "architectures: [amd64]"),
    ("reference_datetime", "reference_datetime: '2020-01-01 00:00:00'"),
    ("script", "script: make"),
];

#[test]
fn a_malformed_key_is_refused_with_its_place() {
    let cases = [
        "",
        "name: [a]",
        "name: a b",
        "name:",
        "distro: -x",
        "suites: bookworm",
        "suites: [a/b]",
        "suites: []",
        "architectures: [arm64]",
        "architectures: amd64",
        "packages: gcc",
        "packages: [-y]",
        "multiarch: [x_y]",
        "repositories: [{source: 'deb x y z'}]",
        "alternatives: [{package: cc, path: gcc}]",
        "sudo: maybe",
        "enable_cache: 1",
        "reference_datetime: yesterday",
        "remotes: [{url: /srv/a}]",
        "remotes: [{url: /srv/a, dir: ../a, commit: v1}]",
        "remotes: [{url: --upload-pack=x, dir: a, commit: v1}]",
        "remotes: [{url: /srv/a, dir: a, commit: v1/x}]",
        "files: in.txt",
        "files: [../in.txt]",
        "files: [a/in.txt]",
        "script: [make]",
        "optionals: x",
        "docker_image_digests: [x, y]",
        "source_date_epoch: 0",
        "network: none",
        "name: trial\nname: again",
        "files: [",
    ];
    let work = Workdir::new();
    let mut told = String::new();
    for case in cases {
        let key = case.split(':').next().unwrap();
        let mut text: String = GOOD.iter().filter(|(of, _)| *of != key).map(|(_, line)| format!("{line}\n")).collect();
        if case.is_empty() {
            text.clear();
        }
        // In front, so that its line number is the same in all of them.
        fs::write(work.path().join("trial.yml"), format!("{case}\n{text}")).unwrap();
        told += &format!("## {case}\n{}\n", refusal(&work, "gbuild", &["trial.yml"]));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_descriptor_that_cannot_be_read_is_named() {
    let work = Workdir::new();
    fs::create_dir(work.path().join("folder.yml")).unwrap();
    for (args, told) in [
        (["none.yml"], "gbuild: error: descriptor none.yml: No such file or directory\n"),
        (["folder.yml"], "gbuild: error: descriptor folder.yml: Is a directory\n"),
    ] {
        assert_eq!(refusal(&work, "gbuild", &args), told);
    }
}

#[test]
fn wrong_usage_ends_with_exit_status_2() {
    let work = Workdir::new();
    work.descriptor("", "true");
    for args in [
        &[][..],
        &["--no-such-option", "trial.yml"],
        &["trial.yml", "other.yml"],
        &["-j", "0", "trial.yml"],
        &["-m", "x", "trial.yml"],
        &["--commit", "hello", "trial.yml"],
        &["--url", "hello=--upload-pack=x", "trial.yml"],
        &["--network", "perhaps", "trial.yml"],
    ] {
        let answer = gbuild(&work, args);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{args:?}: {}", answer.stderr);
        assert!(answer.stderr.starts_with("error: "), "{args:?}: {}", answer.stderr);
    }
}

#[test]
fn everything_that_would_stop_a_build_is_told_at_once() {
    let work = Workdir::new();
    let descriptor = work.descriptor(
        "files: [a.tar.gz, b.tar.gz]
remotes:
- {url: http://127.0.0.1:1/gone.git, dir: gone, commit: v1}
- {url: /srv/undecided.git, dir: undecided}
",
        "true",
    );
    let problems = "base image base-bookworm-amd64.sandbox does not exist
hint: bin/make-base-vm --distro debian --suite bookworm --arch amd64
input file inputs/a.tar.gz does not exist
hint: mkdir -p inputs && cp /path/to/a.tar.gz inputs/
input file inputs/b.tar.gz does not exist
hint: mkdir -p inputs && cp /path/to/b.tar.gz inputs/
remote undecided: neither the descriptor nor --commit says which commit to build
hint: add --commit undecided=TAG
remote gone: http://127.0.0.1:1/gone.git gives no answer: ";
    let hint = "\nhint: git ls-remote http://127.0.0.1:1/gone.git    (or --url gone=OTHER, or --skip-fetch to build what is in \
                inputs/gone)\n";

    let told = refusal(&work, "gbuild", &[descriptor]).replace("gbuild: error: ", "");
    assert!(told.starts_with(problems) && told.ends_with(hint), "{told}");
    let cause = &told[problems.len()..told.len() - hint.len()];
    assert!(cause.contains("Connection refused") || cause.contains("onnect"), "{cause}");
    assert!(!cause.contains('\n'), "{cause}");

    let before = listing(work.path());
    let checked = gbuild(&work, &["--check", descriptor]);
    assert_eq!(checked.code, 1);
    assert_eq!(checked.stdout.replace("problem: ", ""), told + "5 problems would stop a build of trial\n");
    assert_eq!(listing(work.path()), before);
}

#[test]
fn a_check_of_a_good_build_says_so_and_touches_nothing() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let descriptor = work.descriptor("", "true");
    let before = listing(work.path());
    let checked = gbuild(&work, &["--check", descriptor]);
    assert_eq!(checked.stdout, "nothing would stop a build of trial (sandbox)\n", "{}", checked.stderr);
    assert_eq!(checked.code, 0);
    assert_eq!(listing(work.path()), before);
}

#[test]
fn an_input_file_that_is_none_is_told_before_anything_starts() {
    let Some(work) = Workdir::with_bookworm() else { return };
    fs::create_dir_all(work.path().join("inputs/folder")).unwrap();
    symlink("nowhere", work.path().join("inputs/link")).unwrap();
    symlink("/dev/null", work.path().join("inputs/device")).unwrap();
    let descriptor = work.descriptor("files: [folder, link, device]\n", "true");
    assert_eq!(
        refusal(&work, "gbuild", &[descriptor]),
        "gbuild: error: input file inputs/folder is a folder, not a regular file
hint: mv inputs/folder inputs/folder.away && cp /path/to/folder inputs/
gbuild: error: input file inputs/link does not exist
hint: mkdir -p inputs && cp /path/to/link inputs/
gbuild: error: input file inputs/device is a pipe or device, not a regular file
hint: mv inputs/device inputs/device.away && cp /path/to/device inputs/
"
    );
}

#[test]
fn a_missing_base_image_is_told_with_the_command_that_makes_it() {
    let work = Workdir::new();
    let trial = |distro: &str, suite: &str| {
        let text: String = GOOD.iter().map(|(_, line)| format!("{line}\n")).collect();
        fs::write(work.path().join("trial.yml"), format!("{distro}{text}").replace("bookworm", suite)).unwrap();
        refusal(&work, "gbuild", &["trial.yml"])
    };
    assert_eq!(
        trial("distro: debian\n", "bookworm"),
        "gbuild: error: base image base-bookworm-amd64.sandbox does not exist
hint: bin/make-base-vm --distro debian --suite bookworm --arch amd64\n"
    );
    assert_eq!(
        trial("", "bionic"),
        "gbuild: error: base image base-bionic-amd64.sandbox does not exist
hint: bin/make-base-vm --distro ubuntu --suite bionic --arch amd64\n"
    );
    let pointer = work.path().join("base-bionic-amd64.sandbox");
    for (content, said) in [
        ("", "base-bionic-amd64.sandbox: "),
        ("\0\u{1b}", "base-bionic-amd64.sandbox: "),
        (
            "distro: ubuntu\nsuite: xenial\narchitecture: amd64\nbase: abc\n",
            "base image base-bionic-amd64.sandbox is not what its name says",
        ),
        (
            &format!("distro: debian\nsuite: bionic\narchitecture: amd64\nbase: {}\n", "ab".repeat(32)),
            "base image base-bionic-amd64.sandbox is one of distro debian, not ubuntu",
        ),
        (
            &format!("distro: ubuntu\nsuite: bionic\narchitecture: amd64\nbase: {}\n", "ab".repeat(32)),
            "base image base-bionic-amd64.sandbox names abababababab…, which is not in this user's cache",
        ),
    ] {
        fs::write(&pointer, content).unwrap();
        let told = trial("", "bionic");
        assert!(told.contains(said), "{told}");
        assert!(told.contains("bin/make-base-vm --distro ubuntu --suite bionic --arch amd64\n"), "{told}");
    }
}

#[test]
fn a_suite_that_the_mirror_does_not_have_is_told_by_make_base_vm() {
    let work = Workdir::new();
    if Workdir::with_bookworm().is_none() {
        return;
    }
    let answer = work.run("make-base-vm", &["--distro", "debian", "--suite", "bookwurm"]);
    assert_eq!(answer.code, 1);
    assert_eq!(
        answer.stderr,
        "make-base-vm: error: debian bookwurm is not on the mirror: misspelt, not for amd64, or past its end of life
hint: check --distro and --suite; what is past its end of life moves to another mirror (Debian's archive): \
bin/make-base-vm --distro debian --suite bookwurm --arch amd64 --mirror URL\n"
    );
    assert_eq!(listing(work.path()), "");
    for (args, said) in [
        (&["--distro", "fedora", "--suite", "40"][..], "fedora"),
        (&["--distro", "debian", "--suite", "../x"], "--suite"),
        (&["--distro", "debian", "--suite", "bookworm", "--arch", "arm64"], "--arch"),
    ] {
        let told = refusal(&work, "make-base-vm", args);
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn a_user_without_subordinate_ids_is_told_how_to_get_some() {
    let Some(work) = Workdir::of_user_without_ids() else { return };
    let descriptor = work.descriptor("", "true");
    let told = refusal(&work, "gbuild", &[descriptor]);
    assert!(told.contains("has no range of 65536 user ids in /etc/subuid"), "{told}");
    assert!(told.contains("usermod --add-subuids "), "{told}");
}

#[test]
fn a_working_directory_that_cannot_be_written_to_is_told() {
    let Some(work) = Workdir::of_ordinary_user() else { return };
    let descriptor = work.descriptor("", "true");
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(
        refusal(&work, "gbuild", &[descriptor]),
        "gbuild: error: the working directory WORK cannot be written to\nhint: work in another folder\n"
    );
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_backend_that_does_not_exist_is_told_with_who_asked_for_it() {
    let work = Workdir::new();
    let descriptor = work.descriptor("", "true");
    let names: Vec<&str> = gitian_vm::names().collect();
    let there_is = names.join(", ");
    assert_eq!(
        refusal(&work, "gbuild", &["--backend", "foo", descriptor]),
        format!(
            "gbuild: error: --backend: there is no backend 'foo' (there is: {there_is})\nhint: use --backend sandbox\n"
        )
    );
    for program in ["gbuild", "make-base-vm"] {
        let mut command = work.program(program);
        command.env("GITIAN_BACKEND", "bar");
        if program == "gbuild" {
            command.arg(descriptor);
        }
        let answer = support::programs::answer(&mut command);
        let expected = format!(
            "{program}: error: GITIAN_BACKEND: there is no backend 'bar' (there is: {there_is})\n\
             hint: use --backend sandbox\n"
        );
        assert_eq!((answer.code, answer.stderr), (1, expected));
    }
}

/// Runs git in a folder and returns what it says.
fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=master"]);
    command.args(args).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with the tags v1 and v2, between which the files differ.
fn repository(work: &Workdir) -> PathBuf {
    let folder = work.path().join("upstream");
    fs::create_dir(&folder).unwrap();
    git(&folder, &["init", "-q"]);
    for tag in ["v1", "v2"] {
        fs::write(folder.join("a.txt"), tag).unwrap();
        fs::write(folder.join("trial.yml"), remote_descriptor(tag, &format!("echo {tag} > $OUTDIR/which"))).unwrap();
        git(&folder, &["add", "-A"]);
        git(&folder, &["commit", "-q", "-m", tag]);
        git(&folder, &["tag", tag]);
    }
    folder
}

fn remote_descriptor(commit: &str, script: &str) -> String {
    format!(
        "name: trial\ndistro: debian\nsuites: [bookworm]\narchitectures: [amd64]\npackages: []\n\
         remotes:\n- url: ../../upstream\n  dir: hello\n  commit: {commit}\nscript: |\n  {script}\n"
    )
}

fn with_remote(work: &Workdir, commit: &str) -> &'static str {
    fs::write(work.path().join("trial.yml"), remote_descriptor(commit, "cp hello/a.txt $OUTDIR/")).unwrap();
    "trial.yml"
}

#[test]
fn a_remote_without_the_commit_is_told_and_no_clone_is_left() {
    let Some(work) = Workdir::with_bookworm() else { return };
    repository(&work);
    assert_eq!(
        refusal(&work, "gbuild", &[with_remote(&work, "v3")]),
        "gbuild: error: remote hello: WORK/upstream has no commit, tag or branch v3
hint: git ls-remote WORK/upstream    shows what it has; then --commit hello=TAG\n"
    );
    assert_eq!(
        refusal(&work, "gbuild", &["--skip-fetch", with_remote(&work, "v1")]),
        "gbuild: error: inputs/hello: commit v1 is not there\nhint: build without --skip-fetch\n"
    );
    // Whether a remote has an id, only fetching it tells. What the last build left is still there.
    fs::create_dir_all(work.path().join("build/out")).unwrap();
    fs::write(work.path().join("build/out/kept"), "").unwrap();
    for id in ["0123456789012345678901234567890123456789", "0123456"] {
        let answer = gbuild(&work, &[with_remote(&work, id)]);
        assert_eq!(answer.code, 1, "{}", answer.stdout);
        let expected = format!(
            "gbuild: error: remote hello: commit {id} cannot be fetched from WORK/upstream
hint: git ls-remote WORK/upstream    shows what it has; then --commit hello=TAG\n"
        );
        let expected = expected.replace("WORK", work.path().to_str().unwrap());
        // Not at the end: a helper of git's may have its last word after git has ended.
        assert!(answer.stderr.contains(&expected), "{}", answer.stderr);
        assert!(answer.stderr.contains("fatal: "), "git says more: {}", answer.stderr);
        assert!(!work.path().join("inputs/hello").exists());
        assert!(work.path().join("build/out/kept").exists());
    }
}

#[test]
fn a_remote_by_name_is_asked_for_where_it_is_fetched() {
    let work = Workdir::new();
    repository(&work);
    // The repository around has a remote of that name too, without the commit.
    git(work.path(), &["init", "-q"]);
    git(work.path(), &["init", "-q", "empty"]);
    git(work.path(), &["remote", "add", "origin", "empty"]);
    let problems = |commit: &str| {
        let answer = gbuild(&work, &["--check", "--url", "hello=origin", with_remote(&work, commit)]);
        let of_remote = answer.stdout.lines().filter(|line| line.starts_with("problem: remote hello: "));
        of_remote.map(str::to_owned).collect::<Vec<_>>()
    };
    let without_clone = problems("v1");
    assert!(without_clone[0].contains("origin gives no answer: "), "{without_clone:?}");
    fs::create_dir(work.path().join("inputs")).unwrap();
    git(work.path(), &["clone", "-q", "upstream", "inputs/hello"]);
    assert_eq!(problems("v1"), Vec::<String>::new());
    assert_eq!(problems("v3"), ["problem: remote hello: origin has no commit, tag or branch v3"]);
}

#[test]
fn a_clone_that_a_killed_git_locked_is_told_how_to_free_it() {
    let Some(work) = Workdir::with_bookworm() else { return };
    repository(&work);
    fs::create_dir(work.path().join("inputs")).unwrap();
    git(work.path(), &["clone", "-q", "upstream", "inputs/hello"]);
    fs::write(work.path().join("inputs/hello/.git/index.lock"), "").unwrap();
    let told = failure(&work, &[with_remote(&work, "v1")]);
    let hint = "\nhint: rm inputs/hello/.git/index.lock    if no other git works there: one that was killed left it\n";
    assert!(told.contains("inputs/hello: commit v1 cannot be checked out\n") && told.ends_with(hint), "{told}");
}

#[test]
fn debugging_tells_every_command_line_that_is_run() {
    let work = Workdir::new();
    let upstream = repository(&work);
    let check = |value: &str| {
        let mut program = work.program("gbuild");
        answer(program.args(["--check", with_remote(&work, "v1")]).env("GITIAN_DEBUG", value)).stderr
    };
    let told = check("1");
    let asked = format!("ls-remote -- {} v1 refs/tags/v1 refs/heads/v1", upstream.display());
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("runs: ")).collect();
    assert!(lines.contains(&"runs: git --version"), "{told}");
    assert!(lines.iter().any(|line| line.contains(" git -c ") && line.ends_with(&asked)), "{told}");
    assert_eq!(check("0"), "");
}

#[test]
fn quiet_says_nothing_but_warnings_and_errors() {
    let Some(work) = Workdir::with_bookworm() else { return };
    repository(&work);
    let text = remote_descriptor("v1", "cp hello/a.txt $OUTDIR/") + "scirpt: x\n";
    fs::write(work.path().join("trial.yml"), text).unwrap();
    for fetched in ["--fetch-tags", "--fetch-branches"] {
        let answer = builds(&work, &["-q", fetched, "--commit", "hallo=v1", "trial.yml"]);
        assert_eq!(answer.stdout, "");
        let warning = "gbuild: warning: --commit hallo: the descriptor has no remote of that name\n";
        assert!(answer.stderr.starts_with("warning: ") && answer.stderr.contains("scirpt"), "{}", answer.stderr);
        assert!(answer.stderr.ends_with(warning), "{}", answer.stderr);
    }
    // What is not a warning is not there: the same without -q tells of the fetched tags.
    fs::remove_dir_all(work.path().join("inputs")).unwrap();
    assert!(builds(&work, &["--fetch-tags", "trial.yml"]).stderr.contains("-> v1"));
}

#[test]
fn changes_in_a_clone_are_not_lost() {
    let Some(work) = Workdir::with_bookworm() else { return };
    repository(&work);
    builds(&work, &[with_remote(&work, "v1")]);
    let clone = work.path().join("inputs/hello");
    fs::write(clone.join("a.txt"), "mine").unwrap();
    fs::remove_file(work.path().join("result/trial-res.yml")).unwrap();
    let told = failure(&work, &[with_remote(&work, "v2")]);
    assert!(
        told.ends_with(
            "gbuild: error: inputs/hello: commit v2 cannot be checked out
  | error: Your local changes to the following files would be overwritten by checkout:
  | \ta.txt
  | Please commit your changes or stash them before you switch branches.
  | Aborting
hint: git -C inputs/hello stash -u    puts your changes aside; git -C inputs/hello stash pop brings them back\n"
        ),
        "{told}"
    );
    assert_eq!(fs::read_to_string(clone.join("a.txt")).unwrap(), "mine");
    git(&clone, &["stash", "-u"]);
    builds(&work, &[with_remote(&work, "v2")]);
    assert_eq!(fs::read_to_string(work.path().join("build/out/a.txt")).unwrap(), "v2");
}

#[test]
fn a_folder_that_is_no_clone_is_refused_and_the_repository_around_it_left_alone() {
    let Some(work) = Workdir::with_bookworm() else { return };
    repository(&work);
    git(work.path(), &["init", "-q"]);
    fs::create_dir_all(work.path().join("inputs/hello")).unwrap();
    fs::write(work.path().join("inputs/hello/a.txt"), "mine").unwrap();
    for args in [&[][..], &["--skip-fetch"]] {
        let told = refusal(&work, "gbuild", &[args, &[with_remote(&work, "v1")]].concat());
        assert!(
            told.starts_with("gbuild: error: inputs/hello is there, but is not a git repository of its own: "),
            "{told}"
        );
        assert!(told.ends_with("\nhint: mv inputs/hello inputs/hello.away\n"), "{told}");
    }
}

#[test]
fn a_descriptor_inside_a_clone_is_built_and_recorded_as_it_was_read() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let upstream = repository(&work);
    fs::create_dir(work.path().join("inputs")).unwrap();
    git(work.path(), &["clone", "-q", "upstream", "inputs/hello"]);
    let descriptor = work.path().join("inputs/hello/trial.yml");
    let digest = gitian_manifest::Digest::of_file(&descriptor).unwrap();
    // The descriptor of v2 lies there; it is told to build v1, which has another.
    builds(&work, &["--commit", "hello=v1", "inputs/hello/trial.yml"]);
    assert_ne!(gitian_manifest::Digest::of_file(&descriptor).unwrap(), digest);
    assert_eq!(fs::read_to_string(work.path().join("build/out/which")).unwrap(), "v2\n");
    let record = fs::read_to_string(work.path().join("result/trial-res.yml")).unwrap();
    assert!(record.contains(&format!("{digest}  trial-desc.yml")), "{record}");
    assert!(record.contains(&format!("git:{} hello", git(&upstream, &["rev-parse", "v1"]))), "{record}");
}

#[test]
fn an_option_for_a_remote_that_is_not_there_is_warned_of() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let descriptor = work.descriptor("", "true");
    let answer = builds(&work, &["--commit", "hallo=v1", "--url", "holla=/srv/a", descriptor]);
    assert_eq!(
        answer.stderr,
        "gbuild: warning: --commit hallo: the descriptor has no remote of that name
gbuild: warning: --url holla: the descriptor has no remote of that name\n"
    );
}

#[test]
fn a_build_goes_on_when_nobody_listens() {
    let Some(work) = Workdir::with_bookworm() else { return };
    // Unknown keys are warned of.
    let descriptor = work.descriptor("unknown: x\n", "true");
    let report = work.path().join("result/trial-res.yml");
    let gbuild = support::checkout().join("target/release/gbuild");
    let redirections = [">&-", "2>&-", "<&- >&- 2>&-", "> >(exit)", "2> >(exit)", "> /dev/full 2> /dev/full"];
    // With CI set, the log of the script goes to standard output as well.
    for (redirection, ci) in
        redirections.into_iter().flat_map(|redirection| [(redirection, false), (redirection, true)])
    {
        let line = format!("\"$0\" {descriptor} {redirection}");
        let mut command = Command::new("bash");
        command.args(["-c", &line]).arg(&gbuild).current_dir(work.path()).env_remove("CI");
        command.env("XDG_CACHE_HOME", support::programs::cache()).envs(ci.then_some(("CI", "1")));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{redirection}, CI set: {ci}: {output:?}");
        assert!(report.exists(), "{redirection}");
        fs::remove_file(&report).unwrap();
    }
}

#[test]
fn a_package_that_does_not_exist_is_told_in_apts_words() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let descriptor = work.descriptor("packages: [no-such-package-here]\n", "true");
    let told = failure(&work, &[descriptor]);
    assert!(
        told.starts_with("gbuild: error: apt-get install of bookworm-amd64 ended with exit status 100\n"),
        "{told}"
    );
    assert!(told.contains("\n  | E: Unable to locate package no-such-package-here\n"), "{told}");
    assert!(told.contains("\nhint: correct the name under packages: of the descriptor"), "{told}");
}

#[test]
fn a_failing_script_is_told_with_the_end_of_its_log() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let descriptor = work.descriptor("", "set +x\nseq 20\nprintf 'bad \\033[2J\\n' >&2\nexit 7");
    assert_eq!(
        failure(&work, &[descriptor]),
        "gbuild: error: build script of bookworm-amd64 ended with exit status 7
  | 12
  | 13
  | 14
  | 15
  | 16
  | 17
  | 18
  | 19
  | 20
  | bad \\u{1b}[2J
hint: whole log in var/build.log; to look around: gbuild --skip-cleanup …, then libexec/on-target\n"
    );
    assert!(fs::read_to_string(work.path().join("var/build.log")).unwrap().contains("\n1\n2\n"));
    let killed = failure(&work, &[work.descriptor("", "kill -SEGV $$")]);
    assert!(killed.starts_with("gbuild: error: build script of bookworm-amd64 was ended by SIGSEGV\n"), "{killed}");
}

#[test]
fn outputs_that_cannot_be_recorded_are_all_told_and_the_build_is_kept() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let script = "cd $OUTDIR
echo good > good
echo blank > 'a b'
echo newline > $'c\\nd'
echo latin > $'\\xe9'
echo option > -x
ln -s /etc/passwd absolute
ln -s ../../../../../../../../etc/passwd up
ln -s nothing broken
ln good hard
mkdir sub
echo 5 > sub/setuid
chmod 6755 sub/setuid
chmod 7777 sub";
    let descriptor = work.descriptor("", script);
    assert_eq!(
        failure(&work, &[descriptor]),
        "gbuild: error: build/out: 7 of the outputs cannot be recorded
  | -x: has a name that starts with '-'
  | a b: has ' ' in its name; letters, digits and '_@/.:+-' are allowed
  | absolute: is a link that leaves the folder
  | broken: is a link to nothing
  | c\\nd: has '\\n' in its name; letters, digits and '_@/.:+-' are allowed
  | up: is a link that leaves the folder
  | \u{fffd}: has a name that is not UTF-8
hint: the build is kept in build/out; let the script leave regular files with plain names, then build again\n"
    );
    let out = work.path().join("build/out");
    assert_eq!(fs::read_to_string(out.join("good")).unwrap(), "good\n");
    assert_eq!(fs::read_to_string(out.join("hard")).unwrap(), "good\n");
    for name in ["sub", "sub/setuid"] {
        let mode = fs::symlink_metadata(out.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7000, 0, "{name} has mode {mode:o}");
    }
}

#[test]
fn many_refused_outputs_are_counted() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let told = failure(&work, &[work.descriptor("", "cd $OUTDIR\nfor n in $(seq 100 149); do echo > \"$n é\"; done")]);
    assert!(
        told.starts_with("gbuild: error: build/out: 50 of the outputs cannot be recorded\n  | 100 é: has ' ' in"),
        "{told}"
    );
    assert!(
        told.contains("\n  | 119 é: ") && !told.contains("120") && told.contains("\n  | and 30 more\nhint: "),
        "{told}"
    );
}

#[test]
fn a_script_that_spoils_its_output_folder_is_told_what_to_do() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let gone = "gbuild: error: bookworm-amd64: the script left no folder $OUTDIR
hint: let the script fill the folder $OUTDIR, and neither remove nor replace it\n";
    for script in ["rm -r $OUTDIR", "rm -r $OUTDIR; ln -s /etc $OUTDIR", "rm -r $OUTDIR; echo > $OUTDIR"] {
        assert_eq!(failure(&work, &[work.descriptor("", script)]), gone, "{script}");
    }
    let told = failure(&work, &[work.descriptor("", "echo > $OUTDIR/secret; chmod 0 $OUTDIR/secret")]);
    assert!(told.contains("\n  | tar: ./secret: Cannot open: Permission denied\n"), "{told}");
    assert!(told.ends_with("\nhint: let the script leave what its user can read: chmod -R u+rX $OUTDIR\n"), "{told}");
}

/// The header of a member of a tar file.
fn header(name: &str, kind: u8, link: &str, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0006755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(157, link);
    put(257, "ustar\x0000");
    put(329, "0000001\0");
    put(337, "0000003\0");
    block[156] = kind;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn file(name: &str, text: &str) -> Vec<u8> {
    let mut bytes = header(name, b'0', "", text.len());
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[test]
fn a_guest_whose_tar_lies_harms_nothing_outside() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let victim = work.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    // The guest's root puts a script in the place of tar, which sends this file instead of the outputs.
    let descriptor = work.descriptor(
        "sudo: true\nfiles: [stream]\n",
        "printf '#!/bin/sh\\nexec cat /home/debian/build/stream\\n' > tar
chmod 755 tar
sudo mv tar /usr/bin/tar",
    );
    let absolute = victim.to_str().unwrap();
    let cases: [(&str, Vec<Vec<u8>>, &str); 9] = [
        (
            "a path that leaves",
            vec![file("./../../victim", "x")],
            "archive entry './../../victim' has '..' in its path",
        ),
        ("an absolute path", vec![file(absolute, "x")], "has an absolute path"),
        (
            "a way through a link",
            vec![header("./l", b'2', work.path().to_str().unwrap(), 0), file("./l/victim", "x")],
            "archive entry './l/victim' leads through something that is not a folder",
        ),
        (
            "a hard link to the outside",
            vec![header("./h", b'1', absolute, 0)],
            "archive entry './h' has an absolute path",
        ),
        (
            "a hard link that leaves",
            vec![header("./h", b'1', "../../victim", 0)],
            "archive entry './h' has '..' in its path",
        ),
        ("a device", vec![header("./null", b'3', "", 0)], "archive entry './null' "),
        ("a block device", vec![header("./disk", b'4', "", 0)], "archive entry './disk' "),
        ("a pipe", vec![header("./fifo", b'6', "", 0)], "archive entry './fifo' "),
        ("no tar at all", vec![vec![b'x'; 4096]], "archive"),
    ];
    fs::create_dir(work.path().join("inputs")).unwrap();
    for (what, members, expected) in cases {
        let mut stream = members.concat();
        stream.extend([0; 1024]);
        fs::write(work.path().join("inputs/stream"), stream).unwrap();
        let told = failure(&work, &["--allow-sudo", descriptor]);
        assert!(
            told.starts_with("gbuild: error: copy out/ from the guest: ") && told.contains(expected),
            "{what}: {told}"
        );
        assert!(told.contains("\nhint: "), "{what}: {told}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched", "{what}");
        let left = listing(&work.path().join("build"));
        assert_eq!(left, "", "{what}");
    }
    // Special bits are dropped, an owner is not believed.
    let mut stream = file("./suid", "x");
    stream.extend([0; 1024]);
    fs::write(work.path().join("inputs/stream"), stream).unwrap();
    builds(&work, &["--allow-sudo", descriptor]);
    let mode = fs::metadata(work.path().join("build/out/suid")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn a_fifo_among_the_outputs_is_refused() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let told = failure(&work, &[work.descriptor("", "mkfifo $OUTDIR/pipe")]);
    assert!(told.starts_with("gbuild: error: copy out/ from the guest: archive entry './pipe' "), "{told}");
}

/// A small file system in memory, mounted on a folder until dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(folder: &Path, options: &str) -> Option<Self> {
        if !nix::unistd::Uid::effective().is_root() {
            support::skip("root", "only root can mount a small file system");
            return None;
        }
        fs::create_dir_all(folder).unwrap();
        let mut command = Command::new("mount");
        let mounted = command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).output().unwrap();
        if !mounted.status.success() {
            support::skip("mount", "this host does not let a small file system be mounted");
            return None;
        }
        Some(Self(folder.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).output().unwrap();
    }
}

#[test]
fn a_disk_without_room_is_told_beforehand() {
    let Some(mut work) = Workdir::with_bookworm() else { return };
    let small = work.path().join("small");
    let Some(_mounted) = Tmpfs::mount(&small, "size=64m") else { return };
    let descriptor = work.descriptor("", "true");
    work.use_cache(small.clone());
    let told = refusal(&work, "gbuild", &[descriptor]);
    assert!(
        told.starts_with("gbuild: error: the cache WORK/small/gitian has only 64 MiB free\nhint: free at least 1 GiB"),
        "{told}"
    );

    let base = "base-bookworm-amd64.sandbox";
    for name in [base, descriptor] {
        fs::copy(work.path().join(name), small.join(name)).unwrap();
    }
    let before = listing(&small);
    let answer = support::programs::run("gbuild", &[descriptor], &small);
    assert_eq!(answer.code, 1);
    assert!(
        answer.stderr.contains("the working directory") && answer.stderr.contains("has only 63 MiB free"),
        "{}",
        answer.stderr
    );
    assert_eq!(listing(&small), before);
}

#[test]
fn a_disk_that_fills_up_during_a_build_is_told_and_the_next_build_succeeds() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let small = work.path().join("small");
    // Files are counted rather than bytes, which would be taken from memory.
    let Some(_mounted) = Tmpfs::mount(&small, "size=2g,nr_inodes=25k") else { return };
    let fill = "i=0
set +x
while [ $i -lt 60000 ]; do echo $i > $OUTDIR/$i; i=$((i+1)); done";
    let descriptor = work.descriptor("", fill);
    let base = "base-bookworm-amd64.sandbox";
    for name in [base, descriptor] {
        fs::copy(work.path().join(name), small.join(name)).unwrap();
    }
    let answer = support::programs::run("gbuild", &[descriptor], &small);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    assert!(answer.stderr.contains("No space left on device"), "{}", answer.stderr);
    assert!(answer.stderr.contains("\nhint: make room on the disk (`df -h` shows which is full), then try again"));
    assert!(!small.join("result/trial-res.yml").exists());
    fs::copy(work.path().join(work.descriptor("", "true")), small.join(descriptor)).unwrap();
    let answer = support::programs::run("gbuild", &[descriptor], &small);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
}

#[test]
fn a_reader_of_help_that_goes_away_is_no_crash() {
    let work = Workdir::new();
    let gbuild = support::checkout().join("target/release/gbuild");
    for option in ["--help", "--version"] {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("\"$0\" {option} > >(exit)")]).arg(&gbuild).current_dir(work.path());
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{option}: {output:?}");
    }
}
