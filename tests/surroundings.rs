//! What a build script sees around it, on a real guest of the sandbox: exactly what it sees with the original, and what
//! a descriptor may ask for beyond that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use gitian_manifest::{Manifest, Report};

use crate::support;
use crate::support::mirror::Mirror;
use crate::support::programs::{Answer, Workdir};

/// A descriptor with these keys and this script.
fn descriptor(keys: &str, script: &str) -> String {
    let script: String = script.lines().map(|line| format!("  {}\n", line.trim_start())).collect();
    let mut text = format!("name: around\ndistro: debian\nreference_datetime: \"2020-02-03 04:05:06\"\n{keys}\n");
    for (key, default) in [("suites", "[bookworm]"), ("architectures", "[amd64]"), ("packages", "[]")] {
        if !keys.contains(&format!("{key}:")) {
            text += &format!("{key}: {default}\n");
        }
    }
    text + "script: |\n" + &script
}

fn gbuild(work: &Workdir, options: &[&str], keys: &str, script: &str) -> Answer {
    fs::write(work.path().join("around.yml"), descriptor(keys, script)).unwrap();
    work.run("gbuild", &[options, &["around.yml"]].concat())
}

/// Builds, and returns what each output holds, trimmed.
fn outputs(work: &Workdir, options: &[&str], keys: &str, script: &str) -> BTreeMap<String, String> {
    gbuild(work, options, keys, script).succeeds();
    fs::read_dir(work.path().join("build/out"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).trim_end().to_owned();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect()
}

/// Insists on these outputs and no others.
#[track_caller]
fn expect(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, text) in expected {
        assert_eq!(found.get(*name).map(String::as_str), Some(*text), "{name}");
    }
    assert_eq!(found.len(), expected.len(), "{:?}", found.keys());
}

#[test]
fn a_script_sees_what_it_sees_with_the_original() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let script = r#"
        env | sort > $OUTDIR/environment
        echo "$-" > $OUTDIR/flags
        id > $OUTDIR/id
        umask > $OUTDIR/umask
        hostname > $OUTDIR/hostname
        getent hosts gitian localhost > $OUTDIR/hosts
        locale -a > $OUTDIR/locales
        stat -c '%n %a %U %G' $HOME $HOME/* > $OUTDIR/folders
        ls -A $HOME $HOME/build $HOME/install $HOME/cache > $OUTDIR/contents
        ulimit -c > $OUTDIR/core
        date +%Z%z > $OUTDIR/zone
        uname -sm > $OUTDIR/machine
        cat /proc/self/personality > $OUTDIR/personality
        sudo -n true 2> $OUTDIR/sudo && exit 1
        cat > $OUTDIR/input
        read line || echo nothing > $OUTDIR/read
        tty > $OUTDIR/terminal && exit 1
        touch $HOME/new; mkdir $HOME/newer
        stat -c %a $HOME/new $HOME/newer > $OUTDIR/modes
        echo "${MAKEOPTS[@]}|$MAKEOPTS|${#MAKEOPTS[@]}|$NUM_PROCS|$NUM_MEM|$GBUILD_BITS" > $OUTDIR/numbers
        echo "${GBUILD_CACHE_ENABLED-}|${GBUILD_PACKAGE_CACHE-}|${GBUILD_COMMON_CACHE-}" > $OUTDIR/caches
        echo "$REFERENCE_DATETIME|$REFERENCE_DATE|$REFERENCE_TIME" > $OUTDIR/reference
        echo "${SOURCE_DATE_EPOCH-none}" > $OUTDIR/epoch
        echo told > /dev/stderr
        echo told | tee /dev/stderr > $OUTDIR/tee
        ls /proc/self/fd | wc -w > $OUTDIR/descriptors
        grep -c . /proc/self/cgroup > /dev/null || true
        echo "$0" > $OUTDIR/name"#;
    let found = outputs(&work, &["-j", "3", "-m", "1234"], "", script);
    expect(
        &found,
        &[
            (
                "environment",
                // bash itself adds OLDPWD at the `cd build` of the preamble, PWD, SHLVL and `_`.
                "HOME=/home/debian\nLANG=en_US.UTF-8\nLC_ALL=en_US.UTF-8\nLOGNAME=debian\nOLDPWD=/home/debian\n\
                 OUTDIR=/home/debian/out\nPATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games\n\
                 PWD=/home/debian/build\nSHELL=/bin/bash\nSHLVL=1\nUSER=debian\n_=/usr/bin/env",
            ),
            ("flags", "ehxB"),
            ("id", "uid=1000(debian) gid=1000(debian) groups=1000(debian)"),
            ("umask", "0002"),
            ("hostname", "gitian"),
            ("hosts", "127.0.1.1       gitian\n127.0.0.1       localhost"),
            ("locales", "C\nC.utf8\nPOSIX"),
            (
                "folders",
                "/home/debian 755 debian debian\n/home/debian/build 755 debian debian\n\
                 /home/debian/cache 755 debian debian\n/home/debian/install 755 debian debian\n\
                 /home/debian/out 755 debian debian",
            ),
            (
                "contents",
                "/home/debian:\n.bash_logout\n.bashrc\n.profile\nbuild\ncache\ninstall\nout\n\n/home/debian/build:\n\n\
                 /home/debian/cache:\n\n/home/debian/install:",
            ),
            ("core", "0"),
            ("zone", "UTC+0000"),
            ("machine", "Linux x86_64"),
            ("personality", "00000000"),
            ("sudo", "sudo: a password is required"),
            ("input", ""),
            ("read", "nothing"),
            ("terminal", "not a tty"),
            ("modes", "664\n775"),
            ("numbers", "-j3|-j3|1|3|1234|64"),
            ("caches", "||"),
            ("reference", "2020-02-03 04:05:06|2020-02-03|04:05:06"),
            ("epoch", "none"),
            ("tee", "told"),
            ("descriptors", "4"),
            ("name", "/var/cache/gitian/build-script"),
        ],
    );
    let log = fs::read_to_string(work.path().join("var/build.log")).unwrap();
    assert_eq!(log.lines().filter(|line| *line == "told").count(), 2, "{log}");
    // Another machine type for another personality is i386's; linux64 is as amd64.
    let found = outputs(
        &work,
        &[],
        "architectures: [linux64]",
        "uname -m > $OUTDIR/machine\ncat /proc/self/personality > $OUTDIR/personality\necho $GBUILD_BITS > $OUTDIR/bits",
    );
    expect(&found, &[("machine", "x86_64"), ("personality", "00000000"), ("bits", "64")]);
}

#[test]
fn sudo_needs_both_the_descriptor_and_the_option() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let script = "sudo -n id -u > $OUTDIR/id || echo refused > $OUTDIR/id";
    for (options, keys, id) in [
        (&["--allow-sudo"][..], "sudo: true", "0"),
        (&[], "sudo: true", "refused"),
        (&["--allow-sudo"], "sudo: false", "refused"),
        (&["--allow-sudo"], "", "refused"),
    ] {
        expect(&outputs(&work, options, keys, script), &[("id", id)]);
    }
    // What a script did as root is gone with its target.
    let script = "sudo -n touch /etc/was-here && echo done > $OUTDIR/done";
    expect(&outputs(&work, &["--allow-sudo"], "sudo: true", script), &[("done", "done")]);
    let script = "ls /etc/was-here > $OUTDIR/seen 2>/dev/null || true";
    expect(&outputs(&work, &[], "", script), &[("seen", "")]);
}

#[test]
fn a_script_has_the_network_as_descriptor_and_option_say() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("served"), "served").unwrap();
    let server = Mirror::start(&folder.path().join("port"));
    server.serve(folder.path().to_owned());
    let script = format!(
        "wget -q -T 5 -t 1 -O $OUTDIR/served {}/served || echo nothing > $OUTDIR/served
        sed -n 's/^ *\\(.*\\): .*/\\1/p' /proc/net/dev > $OUTDIR/interfaces
        timeout 20 getent hosts deb.debian.org > $OUTDIR/names || echo none > $OUTDIR/names
        (exec 3<>/dev/tcp/127.0.0.1/9) 2> $OUTDIR/loopback || true",
        server.url()
    );
    for (options, keys, on) in [
        (&[][..], "", true),
        (&[], "network: on", true),
        (&[], "network: off", false),
        (&["--network", "off"], "network: on", false),
        (&["--network", "on"], "network: off", true),
    ] {
        let found = outputs(&work, options, keys, &script);
        assert_eq!(found["served"], if on { "served" } else { "nothing" }, "{options:?} {keys}");
        assert!(found["loopback"].contains("Connection refused"), "there is a loopback: {}", found["loopback"]);
        if !on {
            assert_eq!((found["interfaces"].as_str(), found["names"].as_str()), ("lo", "none"), "{options:?} {keys}");
        }
    }
}

#[test]
fn caches_last_from_build_to_build_unless_they_are_read_only() {
    let Some(work) = Workdir::with_bookworm() else { return };
    fs::create_dir_all(work.path().join("cache/common")).unwrap();
    fs::write(work.path().join("cache/common/seed"), "seed").unwrap();
    let script = "
        echo $GBUILD_CACHE_ENABLED $GBUILD_PACKAGE_CACHE $GBUILD_COMMON_CACHE > $OUTDIR/variables
        ls $GBUILD_PACKAGE_CACHE $GBUILD_COMMON_CACHE > $OUTDIR/before
        echo x >> $GBUILD_PACKAGE_CACHE/count
        cat $GBUILD_PACKAGE_CACHE/count | wc -l > $OUTDIR/count
        rm $GBUILD_COMMON_CACHE/seed
        mkdir -p $GBUILD_COMMON_CACHE/sub; echo y > $GBUILD_COMMON_CACHE/sub/y";
    let folders = |package: &str, common: &str| {
        format!("/home/debian/cache/around:\n{package}\n/home/debian/cache/common:\n{common}").trim_end().to_owned()
    };
    let variables = "1 /home/debian/cache/around /home/debian/cache/common";
    for (options, before, count) in [
        (&["-o"][..], folders("", "seed"), "1"),
        (&[], folders("", "seed"), "1"),
        // Kept: what a script removes from a cache is there again the next time.
        (&[], folders("count\n", "seed\nsub"), "2"),
        (&["--cache-read-only"], folders("count\n", "seed\nsub"), "3"),
        (&[], folders("count\n", "seed\nsub"), "3"),
    ] {
        let found = outputs(&work, options, "enable_cache: true", script);
        expect(&found, &[("variables", variables), ("before", &before), ("count", count)]);
    }
    let report = Report::read(&fs::read(work.path().join("result/around-res.yml")).unwrap()).unwrap();
    let common = Manifest::parse(&report.cache_common_manifest.unwrap()).manifest;
    let package = Manifest::parse(&report.cache_package_manifest.unwrap()).manifest;
    assert_eq!(common.render().lines().map(|line| &line[66..]).collect::<Vec<_>>(), ["seed", "sub/y"]);
    assert_eq!(package.render().lines().map(|line| &line[66..]).collect::<Vec<_>>(), ["count"]);
}

#[test]
fn a_descriptor_may_ask_for_the_reference_date_as_source_date_epoch() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let script =
        "bash -c 'echo $SOURCE_DATE_EPOCH' > $OUTDIR/epoch; date -u -d @$SOURCE_DATE_EPOCH '+%F %T' > $OUTDIR/date";
    let found = outputs(&work, &[], "source_date_epoch: true", script);
    expect(&found, &[("epoch", "1580702706"), ("date", "2020-02-03 04:05:06")]);
}

#[test]
fn outputs_of_several_configurations_are_merged_with_a_warning_or_kept_apart() {
    let Some(work) = Workdir::with_bookworm() else { return };
    let keys = "architectures: [amd64, linux64]";
    let script = "
        echo same > $OUTDIR/same
        mkdir $OUTDIR/sub
        cat /proc/sys/kernel/random/uuid > $OUTDIR/sub/differs
        cat /proc/sys/kernel/random/uuid > $OUTDIR/$(cat /proc/sys/kernel/random/uuid)";
    let told = gbuild(&work, &[], keys, script).succeeds();
    for id in ["amd64", "linux64"] {
        assert!(told.stdout.contains(&format!("--- Building for bookworm {id} ---\n")), "{}", told.stdout);
    }
    assert_eq!(
        told.stderr,
        "gbuild: warning: output sub/differs differs between suites or architectures; the record holds the last one, \
         bookworm-amd64 lost (--out-per-suite keeps all)\n"
    );
    let read = |path: &str| fs::read_to_string(work.path().join("build").join(path)).unwrap();
    assert_eq!(read("out/sub/differs"), read("bookworm-linux64/out/sub/differs"));
    assert_ne!(read("out/sub/differs"), read("bookworm-amd64/out/sub/differs"));
    let report = || Report::read(&fs::read(work.path().join("result/around-res.yml")).unwrap()).unwrap();
    assert_eq!(report().out_manifest.lines().count(), 4, "{}", report().out_manifest);
    let ids: Vec<String> = report().base_manifests.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["bookworm-amd64", "bookworm-linux64"]);

    let told = gbuild(&work, &["--out-per-suite"], keys, script).succeeds();
    assert_eq!(told.stderr, "");
    let manifest = report().out_manifest;
    assert_eq!(manifest.lines().count(), 6, "{manifest}");
    for path in ["bookworm-amd64/same", "bookworm-linux64/same", "bookworm-linux64/sub/differs"] {
        assert!(manifest.contains(&format!("  {path}\n")), "{manifest}");
    }
    assert!(!work.path().join("build/bookworm-amd64").exists(), "the last build's folders are gone");
}

/// A package whose program exists twice, the second preferred until a descriptor says otherwise.
fn make_repository(folder: &Path) {
    let tree = folder.join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/bin")).unwrap();
    let control = "Package: greet\nVersion: 1:1.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
                   Description: says hello\n";
    let postinst = "#!/bin/sh\nset -e\nfor i in 1 2; do\n\
                    update-alternatives --install /usr/bin/greet greet /usr/bin/greet-$i $i\ndone\n";
    for (path, text) in [
        ("DEBIAN/control", control),
        ("DEBIAN/postinst", postinst),
        ("usr/bin/greet-1", "#!/bin/sh\necho one\n"),
        ("usr/bin/greet-2", "#!/bin/sh\necho two\n"),
    ] {
        fs::write(tree.join(path), text).unwrap();
    }
    let script = "set -e
        chmod 755 tree tree/DEBIAN tree/DEBIAN/postinst tree/usr tree/usr/bin tree/usr/bin/*
        mkdir -p served/dists/local/main/binary-amd64 served/pool
        dpkg-deb --root-owner-group --build tree served/pool/greet_1.0_all.deb
        cd served
        apt-ftparchive packages pool > dists/local/main/binary-amd64/Packages
        cd dists/local
        apt-ftparchive -o APT::FTPArchive::Release::Suite=local -o APT::FTPArchive::Release::Codename=local \
          -o APT::FTPArchive::Release::Architectures=amd64 -o APT::FTPArchive::Release::Components=main release . > ../Release
        mv ../Release .";
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(folder).env("SOURCE_DATE_EPOCH", "1580702706").assert().success();
}

#[test]
fn packages_come_from_repositories_with_the_alternative_that_is_asked_for() {
    if !["/usr/bin/apt-ftparchive", "/usr/bin/dpkg-deb"].iter().all(|path| Path::new(path).exists()) {
        support::skip("sandbox", "apt-ftparchive or dpkg-deb is not installed");
        return;
    }
    let Some(work) = Workdir::with_bookworm() else { return };
    let folder = tempfile::tempdir().unwrap();
    make_repository(folder.path());
    let server = Mirror::start(&folder.path().join("port"));
    server.serve(folder.path().join("served"));
    let keys = format!(
        "repositories:
- source: deb [trusted=yes] {} local main
  distribution: local
  packages: [greet]
alternatives:
- package: greet
  path: /usr/bin/greet-1",
        server.url()
    );
    let script = "
        greet > $OUTDIR/greeting
        dpkg-query -W -f '${Status} ${Version}' greet > $OUTDIR/status
        tail -n 1 /etc/apt/sources.list > $OUTDIR/source";
    fs::write(work.path().join("around.yml"), descriptor(&keys, script)).unwrap();
    // A kept layer would be of no use: the next server has another port.
    let told = work.run("gbuild", &["--no-layer-cache", "around.yml"]).succeeds();
    for step in [
        "Adding repositories to the sources list (log in var/install.log)",
        "Installing additional packages from repository local (log in var/install.log)",
        "Set alternatives (log in var/install.log)",
    ] {
        assert!(told.stdout.contains(step), "{}", told.stdout);
    }
    let read = |path: &str| fs::read_to_string(work.path().join("build/out").join(path)).unwrap();
    assert_eq!(read("greeting"), "one\n");
    assert_eq!(read("status"), "install ok installed 1:1.0");
    assert_eq!(read("source"), format!("deb [trusted=yes] {} local main\n", server.url()));
    let manifest = fs::read_to_string(work.path().join("var/base-bookworm-amd64.manifest")).unwrap();
    let deb = gitian_manifest::Digest::of_file(&folder.path().join("served/pool/greet_1.0_all.deb")).unwrap();
    assert!(manifest.contains(&format!("{deb}  greet_1%3a1.0_all.deb\n")), "{manifest}");

    // The alternative of its own choice, and one that is not there.
    let keys = keys.replace("greet-1", "greet-3");
    let told = gbuild(&work, &["--no-layer-cache"], &keys, script);
    assert_eq!(told.code, 1);
    assert!(told.stderr.contains("update-alternatives --set greet /usr/bin/greet-3"), "{}", told.stderr);
    assert!(told.stderr.contains("greet-3 for greet not registered"), "{}", told.stderr);
}
