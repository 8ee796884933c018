//! `gitian init`: driver scripts and descriptors as projects have them, the first `gitian.toml`, and whether a release by
//! it runs the same commands as the script.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support;
use crate::support::programs::{Workdir, answer};

const SDK: &str = "5a60e0a4b3e0b4d655317b2f12a810211c50242138322b16e7e01c6fbb89d92f";

/// In the style of those that are run as `gitian-build.py VERSION`.
const PYTHON: &str = r#"#!/usr/bin/env python3
import argparse, os, subprocess

def build():
    global args
    os.makedirs('coin-binaries/' + args.version, exist_ok=True)
    os.chdir('gitian-builder')
    subprocess.check_call(['wget', '-O', 'inputs/tool-2.0.tar.gz', 'https://example.org/tool/2.0.tar.gz'])
    subprocess.check_call(["echo 'SDK inputs/tool-2.0.tar.gz' | sha256sum -c"], shell=True)
    if args.linux:
        print('\nCompiling ' + args.version + ' Linux')
        subprocess.check_call(['bin/gbuild', '-j', args.jobs, '-m', args.memory, '--commit', 'coin='+args.commit,
                               '--url', 'coin='+args.url, '../coin/contrib/gitian-descriptors/gitian-linux.yml'])
        subprocess.check_call(['bin/gsign', '-p', args.sign_prog, '--signer', args.signer, '--release', args.version+'-linux', '--destination', '../gitian.sigs/', '../coin/contrib/gitian-descriptors/gitian-linux.yml'])
        subprocess.check_call('mv build/out/coin-*.tar.gz build/out/src/coin-*.tar.gz ../coin-binaries/'+args.version, shell=True)
    if args.windows:
        subprocess.check_call(['bin/gbuild', '-j', args.jobs, '-m', args.memory, '--commit', 'coin='+args.commit, '--url', 'coin='+args.url, '../coin/contrib/gitian-descriptors/gitian-win.yml'])
        subprocess.check_call(['bin/gsign', '-p', args.sign_prog, '--signer', args.signer, '--release', args.version+'-win-unsigned', '--destination', '../gitian.sigs/', '../coin/contrib/gitian-descriptors/gitian-win.yml'])
        subprocess.check_call('mv build/out/coin-*-win-unsigned.tar.gz inputs/', shell=True)
        subprocess.check_call('mv build/out/coin-*.zip ../coin-binaries/'+args.version, shell=True)

def sign():
    global args
    subprocess.check_call('cp inputs/coin-' + args.version + '-win-unsigned.tar.gz inputs/coin-win-unsigned.tar.gz', shell=True)
    subprocess.check_call(['bin/gbuild', '--commit', 'signature='+args.commit, '../coin/contrib/gitian-descriptors/gitian-win-signer.yml'])
    subprocess.check_call(['bin/gsign', '-p', args.sign_prog, '--signer', args.signer, '--release', args.version+'-win-signed', '--destination', '../gitian.sigs/', '../coin/contrib/gitian-descriptors/gitian-win-signer.yml'])

def verify():
    subprocess.check_call(['bin/gverify', '-v', '-d', '../gitian.sigs/', '-r', args.version+'-linux', '../coin/contrib/gitian-descriptors/gitian-linux.yml'])

def main():
    global args
    parser = argparse.ArgumentParser(description='Script for running full Gitian builds.')
    parser.add_argument('-u', '--url', dest='url', default='https://github.com/coin/coin', help='Specify the URL of the repository. Default is %(default)s')
    parser.add_argument('-j', '--jobs', dest='jobs', default='2', help='Number of processes to use. Default %(default)s')
    parser.add_argument('-m', '--memory', dest='memory', default='2000', help='Memory to allocate in MiB. Default %(default)s')
    parser.add_argument('signer', nargs='?', help='GPG signer')
    parser.add_argument('version', nargs='?', help='Version number, commit, or branch to build.')
    args = parser.parse_args()
    # Add leading 'v' for tags
    args.commit = ('' if args.commit else 'v') + args.version
    if not os.path.isdir('gitian.sigs'):
        subprocess.check_call(['git', 'clone', 'https://github.com/coin/gitian.sigs.git'])
        subprocess.check_call(['git', 'clone', 'https://github.com/coin/coin-detached-sigs.git'])
    os.chdir('coin')
    subprocess.check_call(['git', 'checkout', args.commit])
"#;

/// In the style of those that are run as `gitian-build.sh SIGNER VERSION`.
const SHELL: &str = r#"#!/bin/bash
sign=false
proc=2
mem=2000
url=https://github.com/coin/coin
toolUrl=https://example.org/tool/2.0.tar.gz
while :; do
    case $1 in
        -j) if [ -n "$2" ]; then proc=$2; shift; fi ;;
    esac
    shift
done
VERSION=$1
if [[ $commit = false ]]; then
    COMMIT="v${VERSION}"
else
    COMMIT="${VERSION}"
fi
if [[ $setup = true ]]; then
    git clone https://github.com/coin/gitian.sigs.git
    git clone https://github.com/coin/coin-detached-sigs.git
fi
pushd ./coin
git checkout ${COMMIT}
popd
mkdir -p ./coin-binaries/${VERSION}
pushd ./gitian-builder
wget -N -O inputs/tool-2.0.tar.gz $toolUrl
echo "SDK  inputs/tool-2.0.tar.gz" | sha256sum -c
# ./bin/gbuild --commit coin=none ../coin/contrib/gitian-descriptors/gitian-old.yml
if [[ $linux = true ]]; then
    ./bin/gbuild -j ${proc} -m ${mem} --commit coin=${COMMIT} --url coin=${url} \
        ../coin/contrib/gitian-descriptors/gitian-linux.yml
    ./bin/gsign -p $signProg --signer "$SIGNER" --release ${VERSION}-linux --destination ../gitian.sigs/ ../coin/contrib/gitian-descriptors/gitian-linux.yml
    mv build/out/coin-*.tar.gz build/out/src/coin-*.tar.gz ../coin-binaries/${VERSION}
fi
if [[ $windows = true ]]; then
    ./bin/gbuild -j ${proc} -m ${mem} --commit coin=${COMMIT} --url coin=${url} ../coin/contrib/gitian-descriptors/gitian-win.yml
    ./bin/gsign -p $signProg --signer "$SIGNER" --release ${VERSION}-win-unsigned --destination ../gitian.sigs/ ../coin/contrib/gitian-descriptors/gitian-win.yml
    mv build/out/coin-*-win-unsigned.tar.gz inputs/coin-win-unsigned.tar.gz
    mv build/out/coin-*.zip ../coin-binaries/${VERSION}
fi
popd
./bin/gbuild --commit signature=${COMMIT} ../coin/contrib/gitian-descriptors/gitian-win-signer.yml
./bin/gsign -p $signProg --signer "$SIGNER" --release ${VERSION}-win-signed --destination ../gitian.sigs/ ../coin/contrib/gitian-descriptors/gitian-win-signer.yml
"#;

/// What both scripts run for version 1.0, as their authors would type it; folders and the signing program aside.
const COMMANDS: [&str; 6] = [
    "gbuild -j 2 -m 2000 --commit coin=v1.0 --url coin=https://github.com/coin/coin gitian-linux.yml",
    "gbuild -j 2 -m 2000 --commit coin=v1.0 --url coin=https://github.com/coin/coin gitian-win.yml",
    "gbuild --commit signature=v1.0 gitian-win-signer.yml",
    "gsign --signer alice --release 1.0-linux gitian-linux.yml",
    "gsign --signer alice --release 1.0-win-unsigned gitian-win.yml",
    "gsign --signer alice --release 1.0-win-signed gitian-win-signer.yml",
];

/// A repository with a driver script, and a tag.
fn repository(script: Option<(&str, &str)>) -> Workdir {
    let mut work = Workdir::new();
    // Nobody out there is asked.
    work.set_env("GIT_ALLOW_PROTOCOL", "file");
    let descriptors = work.path().join("contrib/gitian-descriptors");
    fs::create_dir_all(&descriptors).unwrap();
    let head = "distro: debian\nsuites:\n- \"bookworm\"\narchitectures:\n- \"amd64\"\nreference_datetime: \"2020-01-01 00:00:00\"\n";
    let coin = "remotes:\n- \"url\": \"https://github.com/coin/coin.git\"\n  \"dir\": \"coin\"\n";
    for (name, rest) in [
        ("linux", format!("name: coin-linux\nfiles: []\n{coin}")),
        ("win", format!("name: coin-win\nfiles:\n- \"tool-2.0.tar.gz\"\n{coin}")),
        (
            "win-signer",
            "name: coin-win-signer\nfiles:\n- \"coin-win-unsigned.tar.gz\"\nremotes:\n\
             - \"url\": \"https://github.com/coin/coin-detached-sigs.git\"\n  \"dir\": \"signature\"\n"
                .to_owned(),
        ),
        ("old", format!("name: coin-old\nfiles: [secret.tar]\n{coin}")),
    ] {
        fs::write(descriptors.join(format!("gitian-{name}.yml")), format!("---\n{head}{rest}script: |\n  true\n"))
            .unwrap();
    }
    // What is none.
    fs::write(work.path().join("contrib/other.yml"), "a: b\n").unwrap();
    fs::write(work.path().join("contrib/other.py"), "print('gbuild')\n").unwrap();
    if let Some((name, text)) = script {
        fs::write(work.path().join("contrib").join(name), text.replace("SDK", SDK)).unwrap();
    }
    work
}

fn commit(work: &Workdir) {
    let mut git = assert_cmd::Command::new("bash");
    git.current_dir(work.path()).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let identity = "-c user.name=a -c user.email=a@example.org";
    let script = format!("set -e; git init -q; git add -A; git {identity} commit -q -m 1; git tag v1.0; git tag v0.9");
    assert_eq!(answer(git.args(["-c", &script])).code, 0);
}

/// The commands of a plan for version 1.0, without folders and destinations.
fn planned(work: &Workdir) -> Vec<String> {
    let script = work.run("gitian", &["release", "--dry-run", "--signer", "alice", "1.0"]).succeeds().stdout;
    let plain = |line: &str| {
        let (_, command) = line.strip_suffix(')')?.split_once(" && ")?;
        let mut words: Vec<&str> = command.split(' ').collect();
        words[0] = words[0].rsplit('/').next()?;
        if let Some(at) = words.iter().position(|word| *word == "--destination") {
            words.drain(at..at + 2);
        }
        *words.last_mut()? = words.last()?.rsplit('/').next()?;
        ["gbuild", "gsign"].contains(&words[0]).then(|| words.join(" "))
    };
    script.lines().filter_map(plain).collect()
}

#[test]
fn a_release_runs_the_commands_that_the_script_would_run() {
    for script in [("gitian-build.py", PYTHON), ("gitian-build.sh", SHELL)] {
        let work = repository(Some(script));
        commit(&work);
        let told = work.run("gitian", &["init"]).succeeds();
        assert!(
            told.stdout.starts_with(&format!("gitian.toml: 3 descriptors, from these and contrib/{}\n", script.0)),
            "{}",
            told.stdout
        );
        let toml = fs::read_to_string(work.path().join("gitian.toml")).unwrap();
        assert_eq!(planned(&work), COMMANDS, "{}: {toml}", script.0);
        for expected in [
            "descriptors-at = \"v{version}\"\n",
            "[sigs]\nurl = \"https://github.com/coin/gitian.sigs.git\"\n",
            &format!(
                "[inputs.\"tool-2.0.tar.gz\"]\nsha256 = \"{SDK}\"\nurl = \"https://example.org/tool/2.0.tar.gz\"\n"
            ),
            "collect = [\"coin-*.tar.gz\", \"src/coin-*.tar.gz\"]\n",
            "inputs.\"coin-win-unsigned.tar.gz\" = { from = \"win\", output = \"coin-*-win-unsigned.tar.gz\" }\n",
            "# Not built by the script:\n#[descriptors.old]\n",
        ] {
            assert!(toml.contains(expected), "{}: {expected}: {toml}", script.0);
        }
        assert!(!toml.contains("other.yml") && !toml.contains("${"), "{toml}");
        let again = work.run("gitian", &["init"]);
        assert!(again.code == 1 && again.stderr.contains("gitian.toml is there already"), "{}", again.stderr);
        let printed = work.run("gitian", &["init", "--print"]).succeeds().stdout;
        assert_eq!(printed, toml);
    }
}

#[test]
fn without_a_script_what_is_not_known_is_said_in_comments() {
    let work = repository(None);
    commit(&work);
    let told = work.run("gitian", &["init", "."]).succeeds();
    assert!(told.stdout.contains("4 descriptors, from these\n") && told.stdout.contains("things are left to look at"));
    let toml = fs::read_to_string(work.path().join("gitian.toml")).unwrap();
    for expected in [
        "# Which commit of it a version is was not found; this is what tags usually look like.\ncommit = \"v{version}\"\n",
        "#[inputs.\"secret.tar\"]\n#sha256 = \"\"\n",
        "#[sigs]\n#url = \"https://\"\n",
    ] {
        assert!(toml.contains(expected), "{expected}: {toml}");
    }
    let builds: BTreeSet<String> = planned(&work).into_iter().filter(|line| line.starts_with("gbuild")).collect();
    assert_eq!(builds.len(), 4, "{builds:?}");
    // Those comments, once filled in, are what is meant.
    let filled = toml
        .replace("#[inputs.", "[inputs.")
        .replace("#sha256 = \"\"", &format!("sha256 = \"{SDK}\""))
        .replace("#url = \"\"", "url = \"https://example.org/x\"")
        .replace("#[sigs]\n#url = \"https://\"", "[sigs]\nurl = \"https://example.org/sigs\"");
    fs::write(work.path().join("gitian.toml"), filled).unwrap();
    assert_eq!(planned(&work).len(), 8);
}

#[test]
fn what_the_script_says_by_what_only_its_run_knows_is_told_and_not_guessed() {
    let head = "git clone https://github.com/coin/gitian.sigs.git\n";
    let of = "../coin/contrib/gitian-descriptors/gitian";
    let by_number = format!(
        "{head}gbuild -j 4 --commit coin=v$1 --url coin=$(pwd) {of}-linux.yml\nmv build/out/coin-$1.tar.gz ../out/\n"
    );
    let in_a_loop = format!(
        "{head}for os in $(ls {of}*); do\n  gbuild -j 4 -m 4000 --commit coin=v$VERSION {of}-$os.yml\n  \
         gsign --signer x --release $VERSION-$os -d ../gitian.sigs {of}-$os.yml\ndone\n"
    );
    for (script, expected, told) in [
        (
            by_number,
            &[
                "processors = 4\n",
                "# The script says v${1}, whatever that is then; this is what tags usually look like.\ncommit = \"v{version}\"\n",
                "collect = [\"coin-*.tar.gz\"]\n",
            ][..],
            None,
        ),
        (
            in_a_loop,
            &[
                "# Nothing of this call is here, since it fits no descriptor: gbuild -j 4 -m 4000 --commit coin=v{version} ",
                "# Which commit of it a version is was not found;",
            ],
            Some("gitian: warning: this call of the script fits no descriptor: gbuild -j 4 -m 4000 "),
        ),
    ] {
        let work = repository(Some(("gitian-build.sh", &script)));
        commit(&work);
        let answer = work.run("gitian", &["init"]).succeeds();
        assert_eq!(answer.stderr.contains("fits no descriptor"), told.is_some(), "{}", answer.stderr);
        assert!(answer.stderr.contains(told.unwrap_or_default()), "{}", answer.stderr);
        let toml = fs::read_to_string(work.path().join("gitian.toml")).unwrap();
        for expected in expected {
            assert!(toml.contains(expected), "{expected}: {toml}");
        }
        assert!(!planned(&work).is_empty());
    }
}

/// Loops over platforms as scripts have them, each with what it stands for.
const LOOPS: [(&str, &str); 6] = [
    (
        "gitian-build.py",
        r#"
platforms = {'l': ['Linux', 'linux', 'tar.gz'], 'w': ['Windows', 'win', 'zip']}
parser.add_argument('-o', '--os', dest='os', default='lw', help='Which: l, w or both')
version = args.version
commit = 'v' + version
for i in args.os:
    title, name, ending = platforms[i]
    if i == 'w':
        suffix = name + '-unsigned'
    else:
        suffix = name
    print('Building ' + title)
    check_call(['bin/gbuild', '-j', '2', '-m', '2000', '--commit', 'coin=' + commit, '../coin/contrib/gitian-descriptors/gitian-' + name + '.yml'])
    check_call(['bin/gsign', '--signer', args.signer, '--release', version + '-' + suffix, '--destination', '../gitian.sigs/', f'../coin/contrib/gitian-descriptors/gitian-{platforms[i][1]}.yml'])
    check_call(f'mv build/out/coin-*.{ending} ../binaries/', shell=True)
"#,
    ),
    (
        "gitian-build.py",
        r#"
def build(os, suffix, ending='tar.gz'):
    descriptor = '../coin/contrib/gitian-descriptors/gitian-%s.yml' % os
    check_call(['bin/gbuild', '-j', '2', '-m', '2000', '--commit', 'coin=v%s' % version, descriptor])
    check_call(['bin/gsign', '--signer', args.signer, '--release', '{}-{}'.format(version, suffix), '-d', '../gitian.sigs/', descriptor])
    check_call('mv build/out/coin-*.' + ending + ' ../binaries/', shell=True)

for os, suffix in (('linux', 'linux'), ('win', 'win-unsigned')):
    if os == 'linux':
        build(os, suffix)
    else:
        build(os, suffix, ending='zip')
"#,
    ),
    (
        "gitian-build.py",
        r#"
targets = [
    {'name': 'linux', 'release': 'linux', 'out': 'tar.gz'},
    {'name': 'win', 'release': 'win-unsigned', 'out': 'zip'},
]
for target in targets:
    yml = '../coin/contrib/gitian-descriptors/gitian-' + target['name'] + '.yml'
    subprocess.check_call('bin/gbuild -j 2 -m 2000 --commit coin=v' + version + ' ' + yml, shell=True)
    subprocess.check_call(f"bin/gsign --signer {args.signer} --release {version}-{target['release']} -d ../gitian.sigs/ {yml}", shell=True)
    subprocess.check_call(f"mv build/out/coin-*.{target['out']} ../binaries/", shell=True)
"#,
    ),
    (
        "gitian-build.sh",
        r#"
for os in linux win; do
    case $os in
        linux) suffix=linux; ending=tar.gz ;;
        win|osx)
            suffix=${os}-unsigned
            ending=zip ;;
    esac
    ./bin/gbuild -j 2 -m 2000 --commit coin=v${VERSION} ../coin/contrib/gitian-descriptors/gitian-${os}.yml
    ./bin/gsign --signer "$SIGNER" --release ${VERSION}-$suffix -d ../gitian.sigs/ ../coin/contrib/gitian-descriptors/gitian-${os}.yml
    mv build/out/coin-*.$ending ../binaries/
done
"#,
    ),
    (
        "gitian-build.sh",
        r#"
DESCRIPTORS=(
    linux
    win
)
build_one() {
    local os="$1" suffix="$2"
    ./bin/gbuild -j 2 -m 2000 --commit coin=v${VERSION} ../coin/contrib/gitian-descriptors/gitian-$os.yml
    ./bin/gsign --signer "$SIGNER" --release ${VERSION}-$suffix -d ../gitian.sigs/ ../coin/contrib/gitian-descriptors/gitian-$os.yml
    mv build/out/coin-*.$3 ../binaries/
}
for descriptor in "${DESCRIPTORS[@]}"; do
    if [ "$descriptor" = win ]; then
        build_one $descriptor ${descriptor}-unsigned zip
    else
        build_one $descriptor $descriptor tar.gz
    fi
done
"#,
    ),
    (
        "gitian-build.sh",
        r#"
build() {
    ./bin/gbuild -j 2 -m 2000 --commit coin=v${VERSION} ../coin/contrib/gitian-descriptors/gitian-$1.yml
    ./bin/gsign --signer "$SIGNER" --release ${VERSION}-$2 -d ../gitian.sigs/ ../coin/contrib/gitian-descriptors/gitian-$1.yml
    mv build/out/coin-*.$3 ../binaries/
}
if [[ $linux = true ]]; then build linux linux tar.gz; fi
if [[ $windows = true ]]; then build win win-unsigned zip; fi
"#,
    ),
];

#[test]
fn a_loop_over_platforms_is_a_command_for_each() {
    for (name, script) in LOOPS {
        let work = repository(Some((name, script)));
        commit(&work);
        let answer = work.run("gitian", &["init"]).succeeds();
        let toml = fs::read_to_string(work.path().join("gitian.toml")).unwrap();
        assert_eq!(answer.stderr.lines().count(), 1, "{script}: {}", answer.stderr);
        let expected = [
            "gbuild -j 2 -m 2000 --commit coin=v1.0 gitian-linux.yml",
            "gbuild -j 2 -m 2000 --commit coin=v1.0 gitian-win.yml",
            "gsign --signer alice --release 1.0-linux gitian-linux.yml",
            "gsign --signer alice --release 1.0-win-unsigned gitian-win.yml",
        ];
        assert_eq!(planned(&work), expected, "{script}: {toml}");
        for collected in ["collect = [\"coin-*.tar.gz\"]\n", "collect = [\"coin-*.zip\"]\n"] {
            assert!(toml.contains(collected), "{script}: {toml}");
        }
    }
}

#[test]
fn what_a_release_does_not_take_over_is_a_comment() {
    let of = "../coin/contrib/gitian-descriptors/gitian-linux.yml";
    let script = format!(
        "make -C ../coin/depends download SOURCES_PATH=`pwd`/cache/common\n./bin/gbuild --commit coin=v$VERSION {of}\n\
         mv build/out/coin.tar.gz ../out/coin-$VERSION.tar.gz\nmv build/out/coin.zip ../out/coin.zip\n"
    );
    let work = repository(Some(("gitian-build.sh", &script)));
    commit(&work);
    let told = work.run("gitian", &["init"]).succeeds().stdout;
    assert!(told.starts_with("gitian.toml: 1 descriptor, from it and contrib/gitian-build.sh\n"), "{told}");
    let toml = fs::read_to_string(work.path().join("gitian.toml")).unwrap();
    let comment = "# The script also does this, and a release by this file does not: ";
    let expected = [
        "make -C ../coin/depends download SOURCES_PATH=`pwd`/cache/common",
        "mv build/out/coin.tar.gz ../out/coin-{version}.tar.gz",
    ];
    let found: Vec<&str> = toml.lines().filter_map(|line| line.strip_prefix(comment)).collect();
    assert_eq!(found, expected);
    assert!(toml.contains("collect = [\"coin.tar.gz\", \"coin.zip\"]\n"), "{toml}");
}

#[test]
fn what_the_script_says_in_its_own_way_is_read_or_told() {
    let of = "'../coin/contrib/gitian-descriptors/gitian-linux.yml'";
    let lost = "# Nothing of this call is here, since it fits no descriptor: gbuild";
    let warning = "gitian: warning: this call of the script fits no descriptor: gbuild";
    for (script, expected, warning) in [
        // Strings that are formatted.
        (format!("check_call(['bin/gbuild', '--commit', 'coin=%s' % version, {of}])"), "commit = \"{version}\"\n", ""),
        (
            format!("check_call(['bin/gbuild', '--commit', 'coin=v{{}}'.format(version), {of}])"),
            "commit = \"v{version}\"\n",
            "",
        ),
        (
            format!("check_call(['bin/gbuild', '--commit', 'coin=%s' % commit, {of}])"),
            "# The script says ${commit}, whatever that is then; this is what tags usually look like.\ncommit = \"v{version}\"\n",
            "",
        ),
        // What cannot be a commit, or a number of processors.
        (
            format!("check_call(['bin/gbuild', '--commit', 'coin=%s', {of}])"),
            "# The script says %s, whatever that is then; this is what tags usually look like.\ncommit = \"v{version}\"\n",
            "",
        ),
        (
            format!("check_call(['bin/gbuild', '-j', '0', {of}])"),
            "# Left out, since it cannot be used. processors: 0 is not between 1 and 1024\n#processors = 0\n",
            "",
        ),
        // Calls in variables.
        (
            format!("cmd = ['bin/gbuild', '--commit', 'coin=n%s' % version, {of}]\ncheck_call(cmd)"),
            "commit = \"n{version}\"\n",
            "",
        ),
        (format!("cmd = ['bin/gbuild', '-j', '2']\ncheck_call(cmd + [{of}])"), lost, warning),
        (format!("cmd = ['bin/gbuild']\ncmd.append({of})\ncheck_call(cmd)"), lost, warning),
        ("check_call(['bin/gbuild'] + options + [descriptor])".to_owned(), lost, warning),
    ] {
        let work = repository(Some(("gitian-build.py", &script)));
        commit(&work);
        let answer = work.run("gitian", &["init"]).succeeds();
        assert!(answer.stdout.contains(" and contrib/gitian-build.py"), "{script}: {}", answer.stdout);
        assert_eq!(answer.stderr.contains("warning"), !warning.is_empty(), "{script}: {}", answer.stderr);
        assert!(answer.stderr.contains(warning), "{script}: {}", answer.stderr);
        let toml = fs::read_to_string(work.path().join("gitian.toml")).unwrap();
        assert!(toml.contains(expected), "{script}: {toml}");
        assert!(!planned(&work).is_empty());
    }
}

/// A driver in shell: what stands before the build, gbuild's words, gsign's, and what stands behind.
fn shell_driver(before: &str, built: &str, signed: &str, behind: &str) -> String {
    let of = "../coin/contrib/gitian-descriptors/gitian-linux.yml";
    format!(
        "{before}\n./bin/gbuild --commit coin=v$VERSION {built} {of}\n./bin/gsign --signer x {signed} {of}\n{behind}\n"
    )
}

#[test]
fn no_value_of_a_driver_in_shell_is_dropped_without_a_word() {
    let built = |before, built| shell_driver(before, built, "", "");
    let signed = |before, signed| shell_driver(before, "", signed, "");
    let out =
        "mv build/out/coin-*-osx-unsigned.tar.gz inputs/coin-osx-unsigned.tar.gz\nmv build/out/coin-*.tar.gz ../out/";
    let said = "# The script says";
    for (script, expected) in [
        (signed("", "--release=$VERSION-lin"), &["release = \"{version}-lin\"\n"][..]),
        (signed("", "-r$VERSION-lin"), &["release = \"{version}-lin\"\n"]),
        (
            signed("", "--release $VERSION-$(uname -m) -d ../sigs"),
            &["# The script says {version}-$(uname -m) for its folder in the tree of assertions, whatever that is then; here it is {version}-linux, unless you add `release`.\n"],
        ),
        (
            signed("declare -A S=([win]=win-unsigned)", "--release \"$VERSION-${S[$p]}\""),
            &["# The script says {version}-${S[$p]} for its folder"],
        ),
        (signed("", "--release 1.0-lin"), &["# The script says 1.0-lin for its folder"]),
        (built("", "--url coin=${URL:-https://x.org/coin.git}"), &["url = \"https://x.org/coin.git\"\n"]),
        (
            built("", "--url coin=$2"),
            &["# The script says it comes from ${2}, whatever that is then; without `url` it is the descriptor's.\n"],
        ),
        (built("", "--url $2"), &["# The script says --url ${2} here too, which could not be read.\n"]),
        (built("", "-j3 -m4000"), &["processors = 3\n", "memory = 4000\n"]),
        (built("", "-j ${J:-3} -m ${MEM:=4000}"), &["processors = 3\n", "memory = 4000\n"]),
        (built("PROC=${PROC:-3}\n: ${MEM:=4000}", "-j $PROC -m $MEM"), &["processors = 3\n", "memory = 4000\n"]),
        (
            built("PROC=`nproc`", "-j $PROC -m $(free -m | x)"),
            &["# Nothing of this call is here, since it fits no descriptor: gbuild --commit coin=v{version} -j ${PROC} -m $(free -m\n"],
        ),
        (
            built("PROC=`nproc`", "-j $PROC -m $(memory --of x)"),
            &[
                "# The script says ${PROC} for `processors`, whatever that is then; without it, it is gbuild's own.\n",
                "# The script says $(memory --of x) for `memory`, ",
            ],
        ),
        (
            shell_driver("", "", "", "find build/out -name '*.exe' -exec mv {} ../out \\;"),
            &["# The script also does this, and a release by this file does not: find build/out -name *.exe -exec mv {} ../out\n"],
        ),
        (
            shell_driver("", "", "", out),
            &["collect = [\"coin-*.tar.gz\"]\n# The script moves coin-*-osx-unsigned.tar.gz away before it takes coin-*.tar.gz: here that takes both along.\n"],
        ),
        (
            "for p in linux:lin win:win; do\n n=${p%%:*}\n gbuild -j3 contrib/gitian-$n.yml\n gsign -r $VERSION-${p##*:} contrib/gitian-$n.yml\ndone".to_owned(),
            &[
                "fits no descriptor: gbuild -j3 contrib/gitian-${p%%:*}.yml\n",
                "fits no descriptor: gsign -r {version}-${p##*:} contrib/gitian-${p%%:*}.yml\n",
            ],
        ),
        (
            "./bin/gbuild $HOME/coin/contrib/gitian-descriptors/gitian-linux.yml\n./bin/gsign -r $VERSION-lin contrib/gitian-descriptors/gitian-linux.yml".to_owned(),
            &["release = \"{version}-lin\"\n"],
        ),
    ] {
        let work = repository(Some(("gitian-build.sh", &script)));
        commit(&work);
        work.run("gitian", &["init"]).succeeds();
        let toml = fs::read_to_string(work.path().join("gitian.toml")).unwrap();
        for expected in expected {
            assert!(toml.contains(expected), "{script}: {expected}: {toml}");
        }
        assert!(toml.contains(said) == expected.iter().any(|text| text.starts_with(said)), "{script}: {toml}");
        assert!(!planned(&work).is_empty());
    }
}

#[test]
fn a_platform_that_the_script_leaves_out_is_not_built() {
    let of = "../coin/contrib/gitian-descriptors/gitian";
    let script = format!(
        "for p in linux win win-signer; do\n  gbuild {of}-$p.yml && gsign --signer x -r $VERSION-$p {of}-$p.yml\n  \
         [ \"$p\" = win ] && break\ndone\n"
    );
    let work = repository(Some(("gitian-build.sh", &script)));
    commit(&work);
    work.run("gitian", &["init"]).succeeds();
    let toml = fs::read_to_string(work.path().join("gitian.toml")).unwrap();
    assert!(toml.contains("[descriptors.win]") && toml.contains("\n#[descriptors.win-signer]"), "{toml}");
}

#[test]
fn the_hint_is_for_the_file_that_was_written() {
    let script = "git clone https://github.com/coin/gitian.sigs.git\n\
                  gbuild --commit coin=v$VERSION ../coin/contrib/gitian-descriptors/gitian-linux.yml\n";
    let work = repository(Some(("gitian-build.sh", script)));
    commit(&work);
    let above = work.path().parent().unwrap();
    let named = format!("{}/", work.path().file_name().unwrap().to_str().unwrap());
    let told = support::programs::run("gitian", &["init", &named], above).succeeds();
    assert!(
        told.stdout.contains("\n1 thing is left to look at: a comment in the file says which\n"),
        "{}",
        told.stdout
    );
    let hint = told.stderr.lines().find_map(|line| line.strip_prefix("hint: gitian ")).unwrap();
    let (command, _) = hint.split_once("    ").unwrap();
    assert_eq!(command, format!("release --file {named}gitian.toml --dry-run VERSION"));
    let command = command.replace("VERSION", "1.0") + " --signer alice";
    let args: Vec<&str> = command.split(' ').collect();
    let plan = support::programs::run("gitian", &args, above).succeeds().stdout;
    assert!(plan.contains("gitian-linux.yml"), "{plan}");
    fs::remove_file(work.path().join("gitian.toml")).unwrap();
    let told = work.run("gitian", &["init"]).succeeds();
    assert!(told.stderr.contains("hint: gitian release --dry-run VERSION    "), "{}", told.stderr);
}

#[test]
fn where_there_is_nothing_to_read_nothing_is_written() {
    let work = Workdir::new();
    let told = work.run("gitian", &["init"]);
    assert!(told.code == 1 && told.stderr.contains("there is no descriptor"), "{}", told.stderr);
    assert!(!Path::new(&work.path().join("gitian.toml")).exists());
}

#[test]
fn a_remote_with_a_dot_in_its_name_is_one_name() {
    let work = repository(None);
    let path = work.path().join("contrib/gitian-descriptors/gitian-linux.yml");
    let text = fs::read_to_string(&path).unwrap().replace("\"dir\": \"coin\"", "\"dir\": \"coin-1.0\"");
    fs::write(&path, text).unwrap();
    commit(&work);
    work.run("gitian", &["init"]).succeeds();
    let toml = fs::read_to_string(work.path().join("gitian.toml")).unwrap();
    assert!(toml.contains("\n[remotes.\"coin-1.0\"]\n"), "{toml}");
    assert!(planned(&work).iter().any(|line| line.contains("--commit coin-1.0=v1.0")), "{:?}", planned(&work));
}
