//! What accepted descriptors mean.

use std::path::Path;

use gitian_descriptor::{Architecture, Descriptor, Loaded, Network};

const REST: &str =
    "name: hello\nsuites: [bookworm]\narchitectures: [amd64]\nreference_datetime: '2020-01-01 00:00:00'\n";

fn read(source: &str) -> Loaded {
    Descriptor::parse(Path::new("hello.yml"), source.to_owned()).unwrap_or_else(|refused| panic!("{refused}\n{source}"))
}

/// A descriptor of these lines and of what every descriptor needs.
fn with(lines: &str) -> Descriptor {
    read(&format!("{REST}{lines}")).descriptor
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[test]
fn a_descriptor_with_every_key_is_read_whole() {
    let source = "\
---
name: \"hello\"
distro: debian
suites: [bullseye, 'bookworm']
architectures:
- amd64
- \"i386\"
- linux64
packages: [gcc, g++, \"libc6:i386\", gcc]
multiarch: [i386, arm64]
repositories:
- source: \"deb http://example.org/debian bookworm main\"
  distribution: bookworm
  packages: [p1]
alternatives:
- package: cc
  path: /usr/bin/gcc-12
sudo: yes
enable_cache: True
reference_datetime: \"2020-01-01 00:00:00\"
remotes:
- \"url\": \"https://example.org/a.git\"
  \"dir\": \"a\"
- url: /srv/b
  dir: b
  commit: v1.0
files: [in.tar.gz]
script: |
  make
optionals: [win, 'a b', \"c: d\"]
docker_image_digests: [0123, 'abcd']
source_date_epoch: on
network: off
";
    let loaded = read(source);
    let d = &loaded.descriptor;
    assert_eq!(loaded.source, source);
    assert_eq!((d.name.as_str(), d.distro.as_str()), ("hello", "debian"));
    assert_eq!(texts(&d.suites), ["bullseye", "bookworm"]);
    assert_eq!(d.architectures, [Architecture::Amd64, Architecture::I386, Architecture::Linux64]);
    assert_eq!(texts(&d.packages), ["gcc", "g++", "libc6:i386", "gcc"]);
    assert_eq!(texts(&d.multiarch), ["i386", "arm64"]);
    let repository = &d.repositories[0];
    assert_eq!(repository.source, "deb http://example.org/debian bookworm main");
    assert_eq!((repository.distribution.as_str(), texts(&repository.packages)), ("bookworm", vec!["p1".into()]));
    assert_eq!((d.alternatives[0].package.as_str(), d.alternatives[0].path.as_str()), ("cc", "/usr/bin/gcc-12"));
    assert!(d.sudo && d.enable_cache && d.source_date_epoch);
    assert_eq!(d.network, Network::Off);
    assert_eq!(d.reference_datetime.as_ref().map(|at| at.epoch_seconds()), Some(1_577_836_800));
    assert_eq!((d.remotes[0].url.as_str(), d.remotes[0].dir.as_str()), ("https://example.org/a.git", "a"));
    assert_eq!(d.remotes[0].commit, None);
    assert_eq!(d.remotes[1].commit.as_ref().map(ToString::to_string), Some("v1.0".into()));
    assert_eq!(texts(&d.files), ["in.tar.gz"]);
    assert_eq!(d.script, "make\n");
    assert_eq!(d.optionals, Some(vec!["win".into(), "a b".into(), "c: d".into()]));
    assert_eq!(texts(&d.docker_image_digests), ["0123", "abcd"]);
    // `0123` without quotes is a number to the original.
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
fn what_is_left_away_has_the_value_of_the_original() {
    for empty in ["", "packages:\nfiles: ~\nremotes: null\nmultiarch: []\noptionals:\nsudo:\nnetwork: ~\ndistro:\n"] {
        let d = with(empty);
        assert_eq!(d.distro.as_str(), "ubuntu");
        assert!(d.packages.is_empty() && d.files.is_empty() && d.remotes.is_empty() && d.multiarch.is_empty());
        assert!(d.repositories.is_empty() && d.alternatives.is_empty() && d.docker_image_digests.is_empty());
        assert!(!d.sudo && !d.enable_cache && !d.source_date_epoch);
        assert_eq!((d.optionals, d.network, d.script.as_str()), (None, Network::On, ""));
    }
    assert_eq!(with("optionals: []\n").optionals, Some(vec![]));
}

#[test]
fn booleans_are_those_of_yaml_1_1_as_ruby_reads_them() {
    for word in ["true", "True", "TRUE", "yes", "YES", "on", "'true'", "\"yes\""] {
        assert!(with(&format!("sudo: {word}\n")).sudo, "{word}");
        assert_eq!(with(&format!("network: {word}\n")).network, Network::On, "{word}");
    }
    for word in ["false", "False", "no", "No", "off", "OFF"] {
        assert!(!with(&format!("sudo: {word}\n")).sudo, "{word}");
        assert_eq!(with(&format!("network: {word}\n")).network, Network::Off, "{word}");
    }
    assert_eq!(with("network: 'off'\n").network, Network::Off);
    for word in ["y", "n", "1", "0", "maybe", "''"] {
        let refused = Descriptor::parse(Path::new("hello.yml"), format!("{REST}sudo: {word}\n")).unwrap_err();
        assert_eq!(refused.findings.len(), 1, "{word}");
    }
}

#[test]
fn numbers_and_dates_are_taken_as_written() {
    let d = read(
        "name: 22\nsuites: [22.04, 22.10]\narchitectures: [amd64]\nreference_datetime: 2020-01-01 00:00:00\n\
         remotes: [{url: /a, dir: 010, commit: 1e10}, {url: /b, dir: b, commit: 1234567}]\nscript: x\n",
    )
    .descriptor;
    assert_eq!(d.name.as_str(), "22");
    assert_eq!(texts(&d.suites), ["22.04", "22.10"]);
    assert_eq!(d.reference_datetime.map(|at| at.to_string()), Some("2020-01-01 00:00:00".into()));
    assert_eq!(d.remotes[0].dir.as_str(), "010");
    assert_eq!(
        d.remotes.iter().filter_map(|remote| remote.commit.clone()).map(|c| c.to_string()).collect::<Vec<_>>(),
        ["1e10", "1234567"]
    );
}

#[test]
fn scripts_are_the_bytes_that_ruby_reads() {
    let cases = [
        ("script: |\n  a\n   b\n\n  c\n", "a\n b\n\nc\n"),
        ("script: |\n  a\n  b", "a\nb"),
        ("script: |-\n  a\n", "a"),
        ("script: |+\n  a\n\n", "a\n\n"),
        ("script: |2\n   a\n", " a\n"),
        ("script: |\r\n  a\r\n  b\r\n", "a\nb\n"),
        ("script: |\r\n  a\r\n  b", "a\nb"),
        ("script: >\n  a\n  b\n", "a b\n"),
        ("script: 'a\n\n  b'\n", "a\nb"),
        ("script: \"a\\nb\\tc \\u00e9\"\n", "a\nb\tc é"),
        ("script: echo \"hi\" # not this\n", "echo \"hi\""),
        (
            "script: |\n  cat <<'EOF'\n  # no comment: é → 𝄞\n  \tTab\n  EOF\n",
            "cat <<'EOF'\n# no comment: é → 𝄞\n\tTab\nEOF\n",
        ),
        ("script: |\n  a\n# a comment at the end\n", "a\n"),
    ];
    for (yaml, script) in cases {
        assert_eq!(with(yaml).script, script, "{yaml:?}");
    }
}

#[test]
fn windows_files_and_byte_order_marks_are_read_and_kept() {
    let unix = format!("{REST}files: [a]\nscript: |\n  make\n");
    let windows = unix.replace('\n', "\r\n");
    let marked = format!("\u{feff}{unix}");
    let plain = read(&unix);
    for source in [&windows, &marked] {
        let loaded = read(source);
        assert_eq!(loaded.descriptor, plain.descriptor);
        assert_eq!(&loaded.source, source);
        assert_eq!(loaded.warnings, []);
    }
}

#[test]
fn anchors_and_merge_keys_are_resolved_and_own_keys_win() {
    let d = with(
        "packages: &tools [gcc, make]\n\
         repositories:\n\
         - &base {source: deb http://x y z, distribution: y, packages: *tools}\n\
         - <<: *base\n  distribution: w\n\
         - <<: [{distribution: first}, {distribution: second}, *base]\n",
    );
    assert_eq!(texts(&d.packages), ["gcc", "make"]);
    let distributions: Vec<&str> = d.repositories.iter().map(|repository| repository.distribution.as_str()).collect();
    assert_eq!(distributions, ["y", "w", "first"]);
    assert!(d.repositories.iter().all(|repository| texts(&repository.packages) == ["gcc", "make"]));
}

#[test]
fn digests_may_stand_in_for_the_suites() {
    let d = read("name: a\narchitectures: [amd64]\nreference_datetime: 2020-01-01\ndocker_image_digests: [aa, bb]\n");
    assert_eq!((d.descriptor.suites.len(), d.descriptor.docker_image_digests.len()), (0, 2));
}

#[test]
fn tags_that_only_say_what_is_there_are_accepted() {
    let d = with("packages: !!seq [! gcc, !!str make]\noptionals: [! '~', !!str 5, ! null]\n");
    assert_eq!(texts(&d.packages), ["gcc", "make"]);
    assert_eq!(d.optionals, Some(vec!["~".into(), "5".into(), "null".into()]));
}
