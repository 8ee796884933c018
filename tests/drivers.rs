//! What driver scripts of many projects do with a checkout, as they do it: through `bin/` by relative path, through PATH,
//! with standard error closed, with files moved away in between.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use clap::Parser;
use gitian_cli::args;
use gitian_manifest::Report;

use crate::support::checkout::{COIN_LINUX, Checkout};
use crate::support::gnupg;
use crate::support::mirror::Mirror;

#[test]
fn a_release_driver_runs_as_it_is() {
    let Some(checkout) = Checkout::new() else { return };
    // The whole of a release: image, two versions, records, files moved where the driver wants them.
    let driver = format!(
        r#"set -e
        bin/make-base-vm --distro debian --suite bookworm --arch amd64 --disksize 13000
        mkdir -p inputs cache/common ../gitian.sigs
        cp ../sdk.tar inputs/
        echo seed > cache/common/seed
        for version in 1.0 1.1; do
          mkdir -p ../coin-binaries/$version
          ./bin/gbuild -j 3 -m 3000 --commit coin=v$version --url coin=$COIN --fetch-tags {COIN_LINUX}
          ./bin/gsign -p true --signer alice --release $version-linux --destination ../gitian.sigs/ {COIN_LINUX} 2>&-
          mv build/out/coin-*.txt build/out/src/coin-*.tar.gz ../coin-binaries/$version
          mv var/install.log ../install-$version.log
          mv var/build.log ../build-$version.log
          cp result/coin-linux-res.yml ../coin-binaries/$version
        done"#
    );
    let told = checkout.sh(&driver).succeeds();
    let expected = [
        "--- Building for bookworm amd64 ---",
        "Making a new image copy",
        "Starting target",
        "Running build script (log in var/build.log)",
        "Grabbing results from target",
        "Generating report",
        "Done.",
    ];
    let mut lines = told.stdout.lines();
    for line in expected {
        assert!(lines.any(|told| told == line), "{line} is not in its place:\n{}", told.stdout);
    }
    for version in ["1.0", "1.1"] {
        let folder = checkout.path().join("coin-binaries").join(version);
        let file = folder.join(format!("coin-{version}.txt"));
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("coin {version} -j3 3 3000\n"));
        let meta = fs::symlink_metadata(&file).unwrap();
        assert_eq!(meta.uid(), nix::unistd::getuid().as_raw(), "owned by the caller");
        assert!(meta.is_file() && meta.permissions().mode() & 0o200 != 0, "an ordinary, writable file");
        assert!(folder.join(format!("coin-{version}.tar.gz")).is_file());
        assert!(
            fs::read_to_string(checkout.path().join(format!("build-{version}.log"))).unwrap().contains("+ cd coin")
        );
        assert!(checkout.path().join(format!("install-{version}.log")).is_file());
        let record = fs::read(folder.join("coin-linux-res.yml")).unwrap();
        let report = Report::read(&record).unwrap();
        let common = report.cache_common_manifest.unwrap();
        assert!(common.ends_with("  seed\n") && common.lines().count() == 1, "{common}");
        let signed = format!("gitian.sigs/{version}-linux/alice/coin-linux-build.assert");
        assert!(
            fs::read_to_string(checkout.path().join(signed)).unwrap().contains(&format!("release: {version}-linux"))
        );
    }
    // Nothing of this is in the way of the checkout's next version.
    let told = checkout.sh("set -e
        (cd ../origin && echo more >> share/more && git add -A && git commit -q -m More)
        git status --porcelain
        git pull -q
        cat share/more
        ls base-bookworm-amd64.sandbox");
    assert_eq!(told.succeeds().stdout, "more\nbase-bookworm-amd64.sandbox\n");
    let told = checkout.sh("bin/make-base-vm --distro debian --suite bookworm --arch amd64");
    assert_eq!(told.code, 1);
    assert!(
        told.stderr.contains("base-bookworm-amd64.sandbox already exists, please remove it first"),
        "{}",
        told.stderr
    );
}

#[test]
fn programs_work_through_path_from_another_folder_and_with_nothing_to_write_to() {
    let Some(checkout) = Checkout::ready() else { return };
    let elsewhere = checkout.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let told = checkout.sh_at(
        &elsewhere,
        "set -e
        export PATH=$PWD/../gitian-builder/bin:$PATH
        make-base-vm --distr debian --suite=bookworm -aamd64 2>&-
        mkdir inputs; cp ../sdk.tar inputs
        gbuild --quie --num-make=3 -m3000 --com coin=v1.0 -u coin=$COIN ../coin/contrib/gitian-descriptors/gitian-linux.yml 2>&-
        gsign --signe alice --rel 1.0 --dest sigs -p true -q ../coin/contrib/gitian-descriptors/gitian-linux.yml 2>&-
        ls sigs/1.0/alice; cat build/out/coin-1.0.txt",
    );
    let told = told.succeeds();
    assert!(told.stdout.ends_with("coin-linux-build.assert\ncoin 1.0 -j3 3 3000\n"), "{}", told.stdout);
    let quiet = told.stdout.lines().skip_while(|line| !line.starts_with("base image for")).count();
    assert_eq!(quiet, 3, "gbuild -q prints nothing: {}", told.stdout);
    // The installation's own tree, when no other is named.
    let told = checkout.sh_at(&elsewhere, &format!("../gitian-builder/bin/gsign -s alice -p true {COIN_LINUX}"));
    told.succeeds();
    assert!(checkout.builder().join("sigs/coin-linux/test/alice/coin-linux-build.assert").is_file());
    // A reader that goes away early does not end a build.
    let told = checkout.sh_at(
        &elsewhere,
        &format!("rm -r result; gbuild=../gitian-builder/bin/gbuild; $gbuild --commit coin=v1.0 --url coin=$COIN {COIN_LINUX} | head -n 1; ls result"),
    );
    assert_eq!(told.stdout, "--- Building for bookworm amd64 ---\ncoin-linux-res.yml\n", "{}", told.stderr);
}

#[test]
fn the_present_target_is_used_again_and_upgraded_when_asked() {
    let Some(checkout) = Checkout::ready() else { return };
    let build = |options: &str, version: &str| {
        checkout
            .sh(&format!("bin/gbuild {options} --commit coin=v{version} --url coin=$COIN {COIN_LINUX}"))
            .succeeds()
            .stdout
    };
    let told = build("", "1.0");
    // Which of the two depends on earlier builds of other folders.
    let (anew, again) = ("Installing additional packages", "Using the packages of an earlier build (");
    assert!(told.contains(anew) != told.contains(again), "{told}");
    let told = build("--no-layer-cache", "1.0");
    assert!(told.contains(anew) && !told.contains(again), "{told}");
    let told = build("-i", "1.1");
    assert!(!told.contains("Making a new image copy"), "{told}");
    assert!(!told.contains("Upgrading system"), "it was upgraded once: {told}");
    assert!(checkout.builder().join("build/out/coin-1.1.txt").is_file());
    assert!(!checkout.builder().join("build/out/coin-1.0.txt").exists(), "build/ was emptied");
    let told = build("--skip-image --upgrade", "1.0");
    assert!(!told.contains("Making a new image copy"), "{told}");
    assert!(told.contains("Upgrading system, may take a while"), "{told}");
    // The same record, whichever way.
    let record = checkout.read("result/coin-linux-res.yml");
    build("--cache-read-only", "1.0");
    assert_eq!(checkout.read("result/coin-linux-res.yml"), record);
}

#[test]
fn a_merge_commit_that_the_driver_fetched_is_built_by_the_descriptor_beside_it() {
    let Some(checkout) = Checkout::ready() else { return };
    let told = checkout.sh("set -e
        git clone -q $COIN inputs/coin
        cd inputs/coin
        git fetch -q $COIN +refs/pull/1/merge
        commit=$(git show -s --format=%H FETCH_HEAD)
        cd ../..
        bin/gbuild --commit coin=$commit inputs/coin/contrib/gitian-descriptors/gitian-linux.yml
        git -C inputs/coin ls-files TOPIC
        tail -n +2 result/coin-linux-res.yml | grep -F \"git:$commit coin\"
        bin/gbuild -q --skip-fetch -c coin=v1.0 inputs/coin/contrib/gitian-descriptors/gitian-linux.yml
        cat build/out/coin-1.0.txt
        git -C inputs/coin status --porcelain");
    let told = told.succeeds();
    let last: Vec<&str> = told.stdout.lines().rev().take(3).collect();
    assert_eq!(last[0], "coin 1.0 -j2 2 2000", "{}", told.stdout);
    assert!(last[1].trim_start().starts_with("git:"), "{}", told.stdout);
    assert_eq!(last[2], "TOPIC");
    // The tags that came with the clone are the script's too.
    assert_eq!(checkout.read("build/out/tags"), "v1.0\nv1.1\n");
}

#[test]
fn the_build_log_is_on_standard_output_too_where_ci_is_set() {
    let Some(checkout) = Checkout::ready() else { return };
    let told = checkout
        .sh(&format!("CI=1 bin/gbuild --commit coin=v1.0 --url coin=$COIN {COIN_LINUX}; echo code $?"))
        .succeeds();
    let log = checkout.read("var/build.log");
    assert!(log.contains("\n+ cd coin\n"), "{log}");
    assert!(told.stdout.contains(&log), "{}", told.stdout);
    assert!(told.stdout.ends_with("Done.\ncode 0\n"), "{}", told.stdout);
    let told = checkout.sh(&format!("CI=1 bin/gbuild --commit coin=v1.0 --url coin=$COIN {COIN_LINUX} | cat"));
    assert!(told.stdout.contains(&log), "through a pipe: {}", told.stdout);
}

#[test]
fn two_signers_are_compared_and_the_exit_status_says_what_came_out() {
    let (Some(checkout), Some(home)) = (Checkout::ready(), gnupg::Home::new()) else { return };
    for signer in ["alice", "bob", "carol"] {
        home.make_key(signer, "ed25519");
    }
    let gnupg = format!("export GNUPGHOME={}; sigs=../gitian.sigs/; mkdir -p $sigs\n", home.path().display());
    let driver = format!(
        r#"set -e
        bin/gbuild --commit coin=v1.0 --url coin=$COIN {COIN_LINUX}
        bin/gsign --signer alice --release 1.0-linux --destination $sigs {COIN_LINUX} 2>&-
        bin/gsign -p "gpg --batch --detach-sign" --signer bob --release 1.0-linux --destination $sigs {COIN_LINUX}"#
    );
    checkout.sh(&(gnupg.clone() + &driver)).succeeds();
    let told = checkout.sh(&format!("{gnupg}bin/gverify -v -d $sigs -r 1.0-linux {COIN_LINUX}")).succeeds();
    for signer in ["alice", "bob"] {
        assert!(told.stdout.contains(&format!("{signer}: OK")), "{}{}", told.stdout, told.stderr);
    }
    let driver = format!(
        "set -e
        bin/gbuild -j 5 --commit coin=v1.0 --url coin=$COIN {COIN_LINUX}
        bin/gsign -p 'gpg --detach-sign' --signer carol --release 1.0-linux --destination $sigs {COIN_LINUX}"
    );
    // The original would sign it; ours wants to be told.
    let told = checkout.sh(&(gnupg.clone() + &driver));
    assert_eq!(told.code, 1, "{}{}", told.stdout, told.stderr);
    assert!(told.stderr.contains("what was built here is not what alice, bob built"), "{}", told.stderr);
    checkout.sh(&(gnupg.clone() + &driver.replace("--signer carol", "--anyway --signer carol"))).succeeds();
    let told = checkout.sh(&format!("{gnupg}bin/gverify -v -d $sigs -r 1.0-linux {COIN_LINUX}"));
    assert_eq!(told.code, 1, "{}{}", told.stdout, told.stderr);
    assert!(told.stdout.contains("carol: MISMATCH"), "{}{}", told.stdout, told.stderr);
    let told = checkout.sh(&format!("{gnupg}bin/gverify -v -d $sigs -r 2.0-linux {COIN_LINUX}"));
    assert_eq!(told.code, 2, "{}{}", told.stdout, told.stderr);
}

#[test]
fn a_repository_from_elsewhere_cannot_name_files_of_this_host() {
    let Some(checkout) = Checkout::ready() else { return };
    let server = Mirror::start(&checkout.path().join("port"));
    server.serve(checkout.path().to_owned());
    let url = format!("{}/coin.git", server.url());
    let told = checkout.sh(&format!(
        "set -e
        git clone -q --bare $COIN ../coin.git; git -C ../coin.git update-server-info
        bin/gbuild -q --commit coin=v1.1 --url coin={url} {COIN_LINUX}
        git -C inputs/coin describe --tags"
    ));
    assert_eq!(told.succeeds().stdout, "v1.1\n", "http(s) works as such");
    let told = checkout.sh(&format!(
        "cd $COIN; git -c protocol.file.allow=always submodule --quiet add file://$COIN sub && git commit -q -m Sub && git tag sub
        cd - > /dev/null; rm -rf ../coin.git; git clone -q --bare $COIN ../coin.git; git -C ../coin.git update-server-info
        bin/gbuild -q --commit coin=sub --url coin={url} {COIN_LINUX}"
    ));
    assert_eq!(told.code, 1, "{}{}", told.stdout, told.stderr);
    assert!(told.stderr.contains("transport 'file' not allowed"), "{}", told.stderr);
    // The same from a repository of this host is meant.
    let told = checkout.sh(&format!(
        "bin/gbuild -q --commit coin=sub --url coin=$COIN {COIN_LINUX}; git -C inputs/coin/sub rev-parse --is-inside-work-tree"
    ));
    assert_eq!((told.code, told.stdout.as_str()), (0, "true\n"), "{}", told.stderr);
}

/// Command lines that mean the same.
const SAME: [(&[&str], &[&str]); 9] = [
    (&["-j", "3", "-m", "3000"], &["--num-make", "3", "--memory", "3000"]),
    (&["-j3", "-m3000"], &["--num-make=3", "--memory=3000"]),
    (&["--num", "3", "--mem", "3000"], &["-j", "3", "-m", "3000"]),
    (&["-i", "-q", "-o"], &["--skip-image", "--quiet", "--cache-read-only"]),
    (&["-iqo"], &["--skip-i", "--quie", "--ca"]),
    (&["-c", "a=v1,b=v2", "-u", "a=/x,b=/y"], &["--commit", "a=v1", "--commit=b=v2", "--url", "a=/x", "--url=b=/y"]),
    (&["-ca=v1", "-ua=/x"], &["--com", "a=v1", "--ur", "a=/x"]),
    (&["--upg", "--skip-f", "--skip-c", "--allow"], &["--upgrade", "--skip-fetch", "--skip-cleanup", "--allow-sudo"]),
    (&["--fetch-b", "--fetch-t", "-j", "9", "-j", "2"], &["--fetch-branches", "--fetch-tags", "-j2"]),
];

#[test]
fn options_are_read_in_every_spelling_of_the_original() {
    let read = |options: &[&str], before: bool| {
        let place = |at: bool| if at { vec!["d.yml"] } else { Vec::new() };
        let argv = [vec!["gbuild"], place(before), options.to_vec(), place(!before)].concat();
        args::gbuild::Args::try_parse_from(&argv)
            .map(|args| format!("{args:?}"))
            .unwrap_or_else(|error| panic!("{error}"))
    };
    for (one, other) in SAME {
        assert_eq!(read(one, true), read(other, false), "{one:?} {other:?}");
    }
    for (argv, text) in [
        (&["gbuild", "--skip", "d.yml"][..], "unexpected argument '--skip'"),
        (&["gbuild", "-j", "0", "d.yml"], "invalid value '0'"),
        (&["gbuild", "-c", "coin", "d.yml"], "is not of the form DIR=VALUE"),
        (&["gbuild"], "DESCRIPTOR.yml"),
        (&["gbuild", "a.yml", "b.yml"], "unexpected argument 'b.yml'"),
    ] {
        let error = args::gbuild::Args::try_parse_from(argv).expect_err("is refused");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(text), "{argv:?}: {error}");
    }
    let base = |argv: &[&str]| {
        args::make_base_vm::Args::try_parse_from(argv)
            .map(|args| format!("{args:?}"))
            .unwrap_or_else(|error| panic!("{error}"))
    };
    assert_eq!(
        base(&["make-base-vm", "-d", "debian", "-s", "bookworm", "-a", "i386", "--disksize", "13000"]),
        base(&["make-base-vm", "--distro=debian", "--suite=bookworm", "--arch=i386", "--disk=13000"])
    );
}
