//! `gitian release`: three descriptors, one of them continued by a second stage, two signers, one sigs repository.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support;
use crate::support::mirror::Mirror;
use crate::support::programs;
use crate::support::project::Project;
use crate::support::running::{processes_with, within};

#[test]
fn one_command_leads_from_an_empty_folder_to_a_verified_tree() {
    let Some(project) = Project::new() else { return };
    let (Some(alice), Some(bob)) = (project.person("alice"), project.person("bob")) else { return };
    let told = alice.release(&["--push"]).succeeds().stdout;
    for line in [
        "base bookworm-amd64: base image for bookworm-amd64 is ready\n",
        "build linux: Done.\n",
        "verify win-signed: alice: OK\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(
        alice.outcome().lines().filter(|line| line.starts_with("binaries")).collect::<Vec<_>>(),
        [
            "binaries/1.0/coin-1.0-win-unsigned.txt: unsigned",
            "binaries/1.0/coin-linux.txt: 1.0",
            "binaries/1.0/coin-src.txt: 1.0",
            "binaries/1.0/coin-win-setup.txt: unsigned",
        ],
        "{}",
        alice.outcome()
    );

    bob.knows(&alice);
    let told = bob.release(&["--push", "--jobs", "2"]).succeeds().stdout;
    let line = |wanted: &str| told.lines().position(|line| line.starts_with(wanted)).unwrap();
    assert!(line("build win: begins") < line("build linux: done"), "side by side: {told}");
    assert!(line("build win: done") < line("build win-signed: begins"), "one continues the other: {told}");
    for name in ["linux", "win", "win-signed"] {
        for signer in ["alice", "bob"] {
            assert!(told.contains(&format!("verify {name}: {signer}: OK\n")), "{name} {signer}: {told}");
        }
    }
    let log =
        project.sh("git -C gitian.sigs.git log --format=%an:%s; git -C gitian.sigs.git ls-tree -r --name-only HEAD");
    let lines = log.succeeds().stdout;
    assert!(lines.starts_with("bob:1.0: linux, win, win-signed by bob\nalice:1.0: linux, win, win-signed by alice\n"));
    for path in ["1.0-linux", "1.0-win-unsigned", "1.0-win-signed"] {
        for file in [".assert", ".assert.sig"] {
            let found =
                lines.lines().filter(|line| line.starts_with(&format!("{path}/")) && line.ends_with(file)).count();
            assert_eq!(found, 2, "{path} {file}: {lines}");
        }
    }

    // Once more: nothing is done, and quickly.
    let listing = || {
        let listed = support::tree::listing(&bob.folder);
        listed.lines().filter(|line| !line.starts_with(".gitian/var/lock ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = listing();
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let began = Instant::now();
        let told = bob.release(&["--push"]).succeeds().stdout;
        quickest = quickest.min(began.elapsed());
        for line in told.lines().filter(|line| !line.starts_with("verify ")) {
            assert!(line.ends_with(": done already"), "{line}");
        }
        assert!(told.contains("verify linux: alice: OK\n"), "{told}");
    }
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    eprintln!("a run with nothing to do: {quickest:?}");
    let after = listing();
    assert_eq!(after.iter().find(|line| !before.contains(line)), None);
    assert_eq!(after.len(), before.len());
}

#[test]
fn a_release_that_is_killed_at_any_moment_ends_in_the_same_tree() {
    let Some(project) = Project::new() else { return };
    let Some(alice) = project.person("alice") else { return };
    let began = Instant::now();
    alice.release(&[]).succeeds();
    let whole = began.elapsed();
    let expected = alice.outcome();
    let alice = alice.elsewhere("killed");
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let mut random = seed;
    let (mut killed, mut whole_runs) = (0, 0);
    while killed < 10 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Each goes on where the one before was killed, so that late steps are met as well.
        let moment = whole.mul_f64(f64::from(random >> 8) / f64::from(1 << 24) * 0.5);
        let mut running = alice.start_release(&[]);
        if !within(moment, || running.has_ended()) {
            running.signal(Signal::SIGKILL);
            killed += 1;
            continue;
        }
        // It was quicker: from the beginning again.
        whole_runs += 1;
        assert!(whole_runs < 40, "seed {seed}");
        let told = running.answer();
        assert_eq!(told.code, 0, "seed {seed}: {}{}", told.stdout, told.stderr);
        assert_eq!(alice.outcome(), expected, "seed {seed}");
        alice.clear();
    }
    eprintln!("killed {killed} times, {whole_runs} runs came to their end between; seed {seed}");
    let told = alice.release(&[]);
    assert_eq!(told.code, 0, "seed {seed}: {}{}", told.stdout, told.stderr);
    assert_eq!(alice.outcome(), expected, "seed {seed}");
    let home = format!("HOME={}", project.path().join("home-alice").display());
    assert!(within(Duration::from_secs(20), || processes_with(&home).is_empty()), "nobody is left at work");
}

#[test]
fn what_dry_run_prints_does_the_same_in_a_shell() {
    let Some(project) = Project::new() else { return };
    let Some(alice) = project.person("alice") else { return };
    let script = alice.release(&["--dry-run"]).succeeds().stdout;
    for line in [
        "(cd .gitian && make-base-vm --distro debian --suite bookworm --arch amd64)",
        "(cd .gitian/win && gbuild --commit coin=v1.0 --url coin=",
        "(cd .gitian/linux && gsign --signer alice --release 1.0-linux --destination ../sigs gitian-linux.yml)",
        "(cd .gitian/win && gverify --release 1.0-win-unsigned --destination ../sigs gitian-win.yml)",
    ] {
        assert!(script.contains(line), "{line}: {script}");
    }
    assert_eq!(fs::read_dir(&alice.folder).unwrap().count(), 0, "nothing is done");
    alice.sh(&format!("set -e\n{script}")).succeeds();
    let expected = alice.outcome();
    let alice = alice.elsewhere("by-release");
    alice.release(&[]).succeeds();
    assert_eq!(alice.outcome(), expected);
    let script = alice.release(&["--dry-run"]).succeeds().stdout;
    assert_eq!(
        script.lines().filter(|line| line.contains("gbuild")).count(),
        0,
        "what is done is not to be run: {script}"
    );
}

#[test]
fn only_what_has_changed_is_done_again_and_the_reason_is_told() {
    let Some(project) = Project::new() else { return };
    let Some(alice) = project.person("alice") else { return };
    alice.release(&[]).succeeds();
    // A step alone, and again.
    let told = alice.release(&["--step", "build", "--os", "linux", "--again"]).succeeds().stdout;
    assert!(told.starts_with("build linux: begins again: asked for\n") && !told.contains("sign"), "{told}");
    // The same outputs: what follows is not done again, but for the time of the report.
    let told = alice.release(&[]).succeeds().stdout;
    assert!(told.contains("sign linux: done already\n"), "{told}");
    // Another descriptor at the same tag, another content of a remote's tag, an output that somebody took away.
    project.sh("cd coin && echo '  echo more > $OUTDIR/more.txt' >> contrib/gitian-linux.yml && git commit -qam more && git tag -f -a v1.0 -m 1").succeeds();
    fs::remove_file(alice.folder.join(".gitian/win-signed/build/out/coin-win-setup.txt")).unwrap();
    // That is known to a run that changes nothing, and to one that would take what was built before.
    let script = alice.release(&["--dry-run"]).succeeds().stdout;
    assert!(script.contains("# build win: the remote coin has changed\n"), "{script}");
    // With what takes its outcome.
    assert!(script.contains("# collect linux: build linux is done again\n"), "{script}");
    assert!(script.contains("# sign linux: build linux is done again\n"), "{script}");
    let told = alice.release(&["--step", "collect", "--os", "linux"]).succeeds();
    let warned = "build linux: the descriptor has changed; what follows is of the one before\n";
    assert!(told.stderr.contains(warned), "{}", told.stderr);
    let told = alice.release(&["--step", "sign", "--again", "--os", "win"]);
    let refused = "gitian: error: sign win needs build win, which is not done: the remote coin has changed\n";
    assert!(told.code == 1 && told.stderr.contains(refused), "{}", told.stderr);
    let told = alice.release(&[]).succeeds().stdout;
    for line in [
        "build linux: begins again: the descriptor has changed\n",
        "build win: begins again: the remote coin has changed\n",
        "build win-signed: begins again: .gitian/win-signed/build/out/coin-win-setup.txt is not as it was left\n",
        "collect linux: begins again: the build has changed\n",
        "sign linux: begins again: the build has changed\n",
        "sign win-signed: done already\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(fs::read_to_string(alice.folder.join("binaries/1.0/more.txt")).unwrap(), "more\n");
    // Another version: what lies there is not its build.
    project.sh("for i in coin detached; do git -C $i tag v2.0; done; cp sdk-1.0.tar sdk-2.0.tar").succeeds();
    for step in ["collect", "sign"] {
        let args = ["release", "--file", "../coin/gitian.toml", "--signer", "alice", "--step", step, "2.0"];
        for more in [&[][..], &["--dry-run"]] {
            let told = programs::answer(alice.program("gitian").args(args).args(more));
            let refused = format!("gitian: error: {step} win-signed needs build win-signed, which is not done: ");
            assert!(told.code == 1 && told.stderr.starts_with(&refused), "{}{}", told.stdout, told.stderr);
            // All that is missing at once.
            let hint = "hint: gitian release --file ../coin/gitian.toml --step input,build,";
            assert!(told.stderr.contains(&format!("{hint}{step} --signer alice")), "{}", told.stderr);
        }
    }
    assert!(!alice.folder.join("binaries/2.0").exists() && !alice.folder.join(".gitian/sigs/2.0-linux").exists());
    // Another input of the same name takes the place of what was brought.
    fs::write(project.path().join("sdk-1.0.tar"), "newer").unwrap();
    let toml = project.coin().join("gitian.toml");
    let digest = |text: &str| gitian_manifest::Digest::of_bytes(text.as_bytes()).to_string();
    let text = fs::read_to_string(&toml).unwrap().replace(&digest("sdk"), &digest("newer"));
    fs::write(&toml, text).unwrap();
    let told = alice.release(&["--step", "input"]).succeeds().stdout;
    assert!(told.starts_with("input sdk.tar: begins again: its digest has changed\n"), "{told}");
    assert_eq!(fs::read_to_string(alice.folder.join(".gitian/inputs/sdk.tar")).unwrap(), "newer");
}

#[test]
fn a_second_stage_waits_for_its_detached_signatures() {
    let Some(project) = Project::without_detached_signatures() else { return };
    let Some(alice) = project.person("alice") else { return };
    let told = alice.release(&[]);
    assert_eq!(told.code, 3, "{}{}", told.stdout, told.stderr);
    assert!(told.stderr.contains("win-signed waits: ") && told.stderr.contains(" has no v1.0 yet"), "{}", told.stderr);
    assert!(told.stdout.contains("verify win: alice: OK\n"), "{}", told.stdout);
    project.sign_detached();
    let told = alice.release(&[]).succeeds().stdout;
    assert!(told.contains("build win: done already\n") && told.contains("verify win-signed: alice: OK\n"), "{told}");
}

#[test]
fn a_second_stage_does_not_continue_another_version() {
    let Some(project) = Project::new() else { return };
    let Some(alice) = project.person("alice") else { return };
    let release = |version: &str, os: &str| {
        let args = ["release", "--file", "../coin/gitian.toml", "--signer", "alice", "--os", os, version];
        programs::answer(alice.program("gitian").args(args))
    };
    release("1.0", "linux,win").succeeds();
    project
        .sh("cd coin && echo 2.0 > VERSION && git commit -qam 2.0 && git tag v2.0; cp ../sdk-1.0.tar ../sdk-2.0.tar")
        .succeeds();
    release("2.0", "win").succeeds();
    let told = release("1.0", "win-signed");
    let refused = "build win-signed needs build win, which is not done: gbuild's command line has changed\n\
                   hint: gitian release --file ../coin/gitian.toml --os win-signed,win --signer alice 1.0\n";
    assert!(told.code == 1 && told.stderr.contains(refused), "{}{}", told.stdout, told.stderr);
    assert!(!alice.folder.join(".gitian/sigs/1.0-win-signed").exists());
    let told = release("1.0", "win-signed,win").succeeds().stdout;
    assert!(told.contains("build win: begins again: ") && told.contains("verify win-signed: alice: OK\n"), "{told}");
    assert_eq!(
        fs::read_to_string(alice.folder.join("binaries/1.0/coin-win-setup.txt")).unwrap(),
        "unsigned\n1.0signed\n"
    );
    assert!(!alice.folder.join("binaries/1.0/coin-2.0-win-unsigned.txt").exists());
}

#[test]
fn what_others_signed_since_is_looked_at_before_anything_is_signed_or_pushed() {
    let Some(project) = Project::new() else { return };
    let (Some(alice), Some(bob)) = (project.person("alice"), project.person("bob")) else { return };
    alice.knows(&bob);
    let linux = |person: &support::project::Person, more: &[&str]| person.release(&[&["--os", "linux"], more].concat());
    let log = || project.sh("git -C gitian.sigs.git log --format=%an:%s").succeeds().stdout;
    let sdk = |content: &str| {
        let toml = project.coin().join("gitian.toml");
        let old = fs::read_to_string(project.path().join("sdk-1.0.tar")).unwrap();
        let digest = |text: &str| gitian_manifest::Digest::of_bytes(text.as_bytes()).to_string();
        let text = fs::read_to_string(&toml).unwrap().replace(&digest(&old), &digest(content));
        fs::write(&toml, text).unwrap();
        fs::write(project.path().join("sdk-1.0.tar"), content).unwrap();
    };
    // Alice has a clone, and has signed; bob builds something else and is quicker.
    linux(&alice, &[]).succeeds();
    sdk("other");
    linux(&bob, &["--push"]).succeeds();
    sdk("sdk");
    let told = linux(&alice, &["--push"]);
    assert!(told.stdout.contains("sigs: begins again: others have signed\n"), "{}", told.stdout);
    let refused = "what others signed is not what alice built, so that it is not pushed\n";
    assert!(told.code == 1 && told.stderr.contains(refused), "{}{}", told.stdout, told.stderr);
    assert!(
        told.stderr
            .contains("gitian release --file ../coin/gitian.toml --os linux --signer alice --push 1.0 --anyway\n"),
        "{}",
        told.stderr
    );
    assert_eq!(log(), "bob:1.0: linux by bob\n");
    // Whoever has not signed yet does not sign it.
    alice.sh("rm -r .gitian/sigs .gitian/stamps/1.0").succeeds();
    let told = linux(&alice, &["--quiet", "--push"]);
    assert!(
        told.code == 1 && told.stderr.contains("coin-linux 1.0-linux: what was built here is not what bob built"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains("add --anyway"), "{}", told.stderr);
    // What gsign advises can be pasted here, though it ran elsewhere.
    let advice = told.stderr.lines().find_map(|line| line.strip_prefix("hint: (cd .gitian/linux && "));
    let (command, _) = advice.and_then(|advice| advice.split_once(')')).unwrap_or_else(|| panic!("{}", told.stderr));
    alice.sh(&format!("(cd .gitian/linux && {command})")).succeeds();
    // They know what they do; the tree says what it says.
    let told = linux(&alice, &["--push", "--anyway"]);
    assert!(told.stdout.contains("push: done in "), "{}{}", told.stdout, told.stderr);
    assert_eq!(log(), "alice:1.0: linux by alice\nbob:1.0: linux by bob\n");
}

#[test]
fn a_push_behind_that_of_others_is_done_once_and_a_key_that_is_not_known_keeps_it_from_nothing() {
    let Some(project) = Project::new() else { return };
    let (Some(alice), Some(bob)) = (project.person("alice"), project.person("bob")) else { return };
    let linux = ["--os", "linux"];
    let push = ["--os", "linux", "--push"];
    alice.release(&linux).succeeds();
    bob.release(&push).succeeds();
    let log = || project.sh("git -C gitian.sigs.git log --format=%an").succeeds().stdout;
    // She does not have his key: the verdict is bad, hers is not.
    let told = alice.release(&push);
    assert!(told.code == 1 && told.stdout.contains("push: done in "), "{}{}", told.stdout, told.stderr);
    assert_eq!(log(), "alice\nbob\n");
    alice.knows(&bob);
    let told = alice.release(&push).succeeds().stdout;
    for step in ["sigs", "sign linux", "commit", "push"] {
        assert!(told.contains(&format!("{step}: done already\n")), "{told}");
    }
    assert_eq!(log(), "alice\nbob\n");
    // Nobody answers: what is there is looked at, with a warning.
    project.sh("mv gitian.sigs.git away").succeeds();
    let told = alice.release(&linux).succeeds();
    assert!(told.stderr.contains("sigs: where it came from gives no answer ("), "{}", told.stderr);
    project.sh("mv away gitian.sigs.git").succeeds();
    // Another repository than that of the clone.
    let toml = project.coin().join("gitian.toml");
    let text = fs::read_to_string(&toml).unwrap().replace("../gitian.sigs.git", "../third.git");
    fs::write(&toml, text).unwrap();
    project.sh("git init -q --bare third.git").succeeds();
    let told = alice.release(&push);
    let third = project.path().join("third.git").display().to_string();
    let hint = format!("hint: git -C .gitian/sigs remote set-url origin {third}\n");
    assert!(told.code == 1 && told.stderr.contains(&hint), "{}{}", told.stdout, told.stderr);
    alice.sh(&format!("git -C .gitian/sigs remote set-url origin {third}")).succeeds();
    alice.release(&push).succeeds();
    assert_eq!(project.sh("git -C third.git log --format=%an").succeeds().stdout, "alice\nbob\n");
    // Another tree gets its own commit, and its own push.
    project.sh("git init -q --bare other.git; git clone -q other.git other").succeeds();
    alice.release(&["--os", "linux", "--push", "--sigs", "../other"]).succeeds();
    assert_eq!(project.sh("git -C other.git log --format=%an").succeeds().stdout, "alice\n");
}

#[test]
fn what_is_wrong_is_told_with_what_mends_it_before_hours_are_spent() {
    let Some(project) = Project::new() else { return };
    let Some(alice) = project.person("alice") else { return };
    let toml = project.coin().join("gitian.toml");
    let good = fs::read_to_string(&toml).unwrap();
    let sdk = project.path().join("sdk-1.0.tar");
    let run = |more: &[&str]| {
        let told = alice.release(more);
        (told.code, told.stderr)
    };
    for (from, to, code, expected) in [
        ("flat = true", "flat = 1", 1, "gitian.toml: line 3, column 8: invalid type"),
        ("flat = true", "flats = true", 1, "line 3, column 1: unknown field `flats`"),
        ("descriptors-at = \"v{version}\"", "descriptors-at = \"w{version}\"", 1, "hint: git -C ../coin fetch --tags"),
        ("commit = \"v{version}\"\nurl = \".\"", "url = \".\"", 1, "hint: write into gitian.toml: [remotes.coin]"),
        ("\"coin-win-unsigned.txt\" =", "\"other.txt\" =", 1, "the descriptor has no input other.txt"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&toml, good.replacen(from, to, 1)).unwrap();
        let (found, told) = run(&[]);
        assert_eq!(found, code, "{to}: {told}");
        assert!(told.contains(expected), "{to}: {told}");
        assert_eq!(fs::read_dir(&alice.folder).unwrap().count(), 0, "{to}");
    }
    // Where nothing can be pushed to, and where one assertion would replace another.
    let [no_url, same] = [
        good.replace("[sigs]\nurl = \"../gitian.sigs.git\"", ""),
        good.replace("release = \"{version}-win-unsigned\"", "release = \"{version}-linux\""),
    ];
    fs::write(&toml, no_url).unwrap();
    let (code, told) = run(&["--push"]);
    assert!(code == 1 && told.contains("gitian.toml has no [sigs] url: there is nowhere to push to"), "{told}");
    fs::write(&toml, same).unwrap();
    project
        .sh("cd coin && sed -i s/coin-win$/coin-linux/ contrib/gitian-win.yml && git commit -qam n && git tag -f v1.0")
        .succeeds();
    let (code, told) = run(&[]);
    assert!(code == 1 && told.contains("linux and win both sign coin-linux as 1.0-linux"), "{told}");
    project.sh("cd coin && git revert --no-edit HEAD && git tag -f v1.0").succeeds();
    fs::write(&toml, &good).unwrap();
    for (more, expected) in [
        (
            &["--step", "verify"][..],
            "verify linux needs sigs, which is not done\nhint: gitian release --file ../coin/gitian.toml --step sigs,verify --signer alice 1.0\n",
        ),
        (
            &["--os", "linux", "--step", "build"],
            "build linux needs input sdk.tar, which is not done; nor is what is before: base\nhint: gitian release --file ../coin/gitian.toml --os linux --step base,input,build --signer alice 1.0\n",
        ),
        (
            &["--step", "push"],
            "push needs commit, which is not done; nor is what is before: base, input, build, sigs, sign\nhint: gitian release --file ../coin/gitian.toml --step base,input,build,sigs,sign,commit,push --signer alice 1.0\n",
        ),
        (&["--sigs", "nowhere"], "sigs tree nowhere does not exist\nhint: git clone -- /"),
        (
            &["--os", "win-signed"],
            "build win-signed needs build win, which is not done\nhint: gitian release --file ../coin/gitian.toml --os win-signed,win --signer alice 1.0\n",
        ),
    ] {
        let (code, told) = run(more);
        assert!(code == 1 && told.contains(expected), "{told}");
    }
    let (code, told) = run(&["--os", "linux,mac"]);
    assert!(
        code == 2 && told.contains("--os mac: gitian.toml has no such descriptor (it has linux, win, win-signed)"),
        "{told}"
    );
    // Who cannot sign, or commit, is told so before the builds.
    for (script, expected) in [
        (
            "gitian release --file ../coin/gitian.toml --signer nobody 1.0",
            "gpg finds no secret key of signer nobody: error reading key: No secret key\nhint: gpg --list-secret-keys ",
        ),
        (
            "unset ${!GIT_@}; export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=user.useConfigOnly GIT_CONFIG_VALUE_0=true\n\
             gitian release --file ../coin/gitian.toml --signer alice 1.0",
            "sigs tree .gitian/sigs: git does not know who commits\nhint: git config --global user.name NAME; ",
        ),
    ] {
        let told = alice.sh(script);
        assert!(told.code == 1 && told.stderr.contains(expected), "{}", told.stderr);
        assert!(!told.stdout.contains("begins"), "{}", told.stdout);
    }
    // What a repository holds leads nowhere else, and passes for no build.
    for (script, expected) in [
        (
            "ln -s /nowhere binaries",
            "binaries is a link, and leads to /nowhere\nhint: if that link is yours: add --binaries binaries/1.0\n",
        ),
        ("rm -r .gitian; ln -s /nowhere .gitian", ".gitian is a link, and leads to /nowhere\nhint: rm .gitian "),
        (
            "git init -q; mkdir -p .gitian/stamps; touch .gitian/stamps/x; git add .gitian",
            "git has files of .gitian: what is built and signed here is not to come from a repository\nhint: git rm ",
        ),
    ] {
        alice.sh(script).succeeds();
        let (code, told) = run(&[]);
        assert!(code == 1 && told.contains(expected), "{script}: {told}");
        alice
            .sh("rm -rf .git .gitian/stamps; [ ! -L binaries ] || rm binaries; [ ! -L .gitian ] || rm .gitian")
            .succeeds();
    }
    // Nothing is emptied or filled behind a link, in whatever folder of a release's own.
    let foreign = project.path().join("foreign");
    for link in [
        ".gitian/inputs",
        ".gitian/stamps",
        ".gitian/stamps/1.0",
        ".gitian/var",
        ".gitian/linux",
        ".gitian/linux/build",
        ".gitian/linux/result",
        ".gitian/win/var",
        ".gitian/win/cache",
        ".gitian/win-signed/inputs",
    ] {
        let parent = std::path::Path::new(link).parent().unwrap().display().to_string();
        alice
            .sh(&format!(
                "mkdir ../foreign && touch ../foreign/mine && mkdir -p {parent} && ln -s ../../foreign {link}"
            ))
            .succeeds();
        let (code, told) = run(&[]);
        let expected =
            format!("error: {link} is a link, and leads to ../../foreign\nhint: rm {link}    removes the link ");
        assert!(code == 1 && told.contains(&expected) && told.matches("is a link").count() == 1, "{link}: {told}");
        assert!(foreign.join("mine").exists());
        alice.sh("rm -r ../foreign .gitian").succeeds();
    }
    // Something else lies where the sigs tree goes.
    alice.sh("mkdir -p .gitian/sigs && touch .gitian/sigs/mine").succeeds();
    let told = alice.release(&[]);
    let expected =
        "error: sigs tree .gitian/sigs is there, and is no clone\nhint: mv .gitian/sigs .gitian/sigs.before ";
    assert!(told.code == 1 && told.stderr.contains(expected), "{}", told.stderr);
    assert!(!told.stdout.contains("begins"), "{}", told.stdout);
    alice.sh("rm -r .gitian").succeeds();
    // Where the project lies, gbuild cannot fetch from.
    let told = alice.sh("mkdir '../sp ace' && cp -r ../coin '../sp ace/' && gitian release --file '../sp ace/coin/gitian.toml' --signer alice 1.0");
    let expected = "sp ace/coin' may hold letters, digits and '_@/.:+-' only";
    assert!(
        told.code == 1 && told.stderr.contains(expected) && told.stderr.contains("hint: move the project"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains("gitian.toml:10:7"), "{}", told.stderr);
    // An input with another content is never taken.
    fs::write(&sdk, "another sdk").unwrap();
    let (code, told) = run(&["--step", "input"]);
    assert!(
        code == 1 && told.contains("error: input sdk.tar: /") && told.contains("sdk-1.0.tar has sha256 "),
        "{told}"
    );
    let there = fs::read_dir(alice.folder.join(".gitian/inputs")).unwrap().count();
    assert_eq!(there, 0);
    // A script that fails is told where it fails, and the next run goes on from there.
    fs::write(&sdk, "sdk").unwrap();
    project
        .sh("cd coin && sed -i 's/mkdir/exit 7; mkdir/' contrib/gitian-win.yml && git commit -qam 7 && git tag -f v1.0")
        .succeeds();
    let (code, told) = run(&[]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("gitian: error: build win: gbuild ended with exit status 1\n"), "{told}");
    assert!(told.contains("to go on: gitian release --file ../coin/gitian.toml --signer alice 1.0\n"), "{told}");
    // Quiet or not, it is told why.
    for more in [&[][..], &["--quiet"]] {
        let (_, told) = run(more);
        assert!(told.contains("build win: gbuild: error: ") && told.contains(".gitian/win/var/build.log"), "{told}");
    }
    assert!(!alice.folder.join(".gitian/sigs").exists(), "nothing is signed");
    project.sh("cd coin && git revert --no-edit HEAD && git tag -f v1.0").succeeds();
    let told = alice.release(&[]).succeeds().stdout;
    assert!(told.contains("verify win-signed: alice: OK\n"), "{told}");
    // Only the clone knows who commits.
    alice
        .sh("unset ${!GIT_@}; export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=user.useConfigOnly GIT_CONFIG_VALUE_0=true
             git -C .gitian/sigs config user.name Alice && git -C .gitian/sigs config user.email alice@example.org &&
             git -C .gitian/sigs update-ref -d HEAD &&
             gitian release --file ../coin/gitian.toml --signer alice --step commit 1.0 &&
             [ \"$(git -C .gitian/sigs log -1 --format=%cn)\" = Alice ]")
        .succeeds();
}

#[test]
fn an_input_from_a_server_takes_its_place_only_with_the_right_content() {
    let Some(project) = Project::new() else { return };
    let Some(alice) = project.person("alice") else { return };
    let served = project.path().join("served");
    fs::create_dir(&served).unwrap();
    let mirror = Mirror::start(&project.path().join("port"));
    mirror.serve(served.clone());
    let toml = project.coin().join("gitian.toml");
    let good = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, good.replace("../sdk-{version}.tar", &format!("{}/sdk.tar", mirror.url()))).unwrap();
    let (place, part) =
        (alice.folder.join(".gitian/inputs/sdk.tar"), alice.folder.join(".gitian/inputs/.sdk.tar.part"));
    let run = |content: Option<&str>, left: Option<&str>| {
        match content {
            Some(content) => fs::write(served.join("sdk.tar"), content).unwrap(),
            None => drop(fs::remove_file(served.join("sdk.tar"))),
        }
        if let Some(left) = left {
            fs::write(&part, left).unwrap();
        }
        let told = alice.release(&["--step", "input"]);
        (told.code, told.stderr)
    };
    let (code, told) = run(None, None);
    let refused = format!("gitian: error: input sdk.tar: {}/sdk.tar: ", mirror.url());
    assert!(code == 1 && told.contains(&refused) && told.contains("404"), "{told}");
    assert!(told.contains("mkdir -p .gitian/inputs && cp /path/to/sdk.tar .gitian/inputs/\n"), "{told}");
    let (code, told) = run(Some("another"), None);
    assert!(code == 1 && told.contains(" has sha256 ") && told.contains("hint: ask the project"), "{told}");
    assert!(!place.exists() && !part.exists());
    // What an earlier run left is of another file, and longer than this one.
    let (code, told) = run(Some("sdk"), Some("another file"));
    assert_eq!((code, fs::read_to_string(&place).unwrap()), (0, "sdk".to_owned()), "{told}");
    assert!(!part.exists());
    // Once there, nobody is asked; another content in its place is noticed.
    let (code, _) = run(None, None);
    assert_eq!(code, 0);
    fs::write(&place, "mine").unwrap();
    let (code, told) = run(None, None);
    assert!(code == 1 && told.contains(".gitian/inputs/sdk.tar has sha256 "), "{told}");
    assert_eq!(fs::read_to_string(&place).unwrap(), "mine", "it may be somebody's");
}

#[test]
fn a_key_on_another_host_signs_by_way_of_files() {
    let Some(project) = Project::new() else { return };
    // The builder has no key of that name.
    let (Some(builder), Some(alice)) = (project.person("builder"), project.person("alice")) else { return };
    builder.knows(&alice);
    let as_alice = |more: &[&str]| {
        let args = ["release", "--file", "../coin/gitian.toml", "--signer", "alice", "1.0"];
        programs::answer(builder.program("gitian").args(args).args(more))
    };
    let told = as_alice(&["--request", "to-sign"]).succeeds().stdout;
    assert!(told.contains("sign win-signed: done in") && !told.contains("commit"), "{told}");
    let told = as_alice(&["--request", "to-sign"]).succeeds().stderr;
    let expected = "gitian: nothing is signed yet: to-sign/linux.request, to-sign/win.request, to-sign/win-signed.request go to where the \
                    key is\nhint: there, for each: gsign --sign-request FILE    and with each FILE.signed back in to-sign: gitian \
                    release --file ../coin/gitian.toml --signer alice --import to-sign 1.0\n";
    assert!(told.ends_with(expected), "{told}");
    as_alice(&["--request", "elsewhere"]).succeeds();
    assert_eq!(fs::read_dir(builder.folder.join("elsewhere")).unwrap().count(), 3);
    let told = as_alice(&["--import", "to-sign"]);
    let expected = "answer to-sign/linux.request.signed does not exist\nhint: where the key is: gsign --sign-request to-sign/linux.request ";
    assert!(told.code == 1 && told.stderr.contains(expected), "{}", told.stderr);
    alice.sh("set -e; for file in ../builder/to-sign/*.request; do gsign --sign-request $file --signer alice --yes; done").succeeds();
    // Another's answer is not taken for one's own, and nothing of it is left.
    let told = builder.release(&["--import", "to-sign"]);
    assert!(
        told.code == 1 && told.stderr.contains("alice") && !told.stderr.contains("No such file"),
        "{}",
        told.stderr
    );
    assert!(!builder.folder.join(".gitian/sigs/1.0-linux").exists());
    let push = ["--import", "to-sign", "--push"];
    // What is to be committed is to be pushed.
    let told = as_alice(&[&push[..], &["--dry-run"]].concat()).succeeds().stdout;
    assert!(told.contains("# push\n"), "{told}");
    let told = as_alice(&push).succeeds().stdout;
    for name in ["linux", "win", "win-signed"] {
        assert!(told.contains(&format!("verify {name}: alice: OK\n")), "{told}");
    }
    // From then on it is signed.
    let told = as_alice(&[]).succeeds().stdout;
    assert!(told.contains("sign linux: done already\n") && told.contains("commit: done already\n"), "{told}");
}

#[test]
fn asked_to_stop_it_stops_its_builds_and_the_next_run_goes_on() {
    let Some(project) = Project::new() else { return };
    let Some(alice) = project.person("alice") else { return };
    project.sh("cd coin && sed -i 's/mkdir/sleep 600; mkdir/' contrib/gitian-win.yml && git commit -qam s && git tag -f v1.0").succeeds();
    let log = alice.folder.join(".gitian/win/var/build.log");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let running = alice.start_release(&[]);
        let sleeps = || fs::read_to_string(&log).is_ok_and(|text| text.contains("+ sleep 600"));
        assert!(within(Duration::from_secs(60), sleeps), "{signal}");
        running.signal(signal);
        let told = running.answer();
        assert_eq!(told.code, 128 + signal as i32, "{}", told.stderr);
        assert!(told.stderr.ends_with("gitian: interrupted\n"), "{}", told.stderr);
        let home = format!("HOME={}", project.path().join("home-alice").display());
        assert!(within(Duration::from_secs(20), || processes_with(&home).is_empty()), "nobody is left at work");
        fs::remove_file(&log).unwrap();
    }
    project.sh("cd coin && git revert --no-edit HEAD && git tag -f v1.0").succeeds();
    let told = alice.release(&[]).succeeds().stdout;
    assert!(told.contains("verify win: alice: OK\n"), "{told}");
}
