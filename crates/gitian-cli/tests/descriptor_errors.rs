//! The whole message for everything that can be wrong with a descriptor.

use std::path::Path;

use gitian_cli::descriptor_error::{render, render_warnings};
use gitian_descriptor::Descriptor;

/// What a case does not say itself.
const REST: [&str; 5] = [
    "name: hello",
    "suites: [bookworm]",
    "architectures: [amd64]",
    "reference_datetime: \"2020-01-01 00:00:00\"",
    "script: make",
];

/// Makes a descriptor of some lines and returns all that is said about it.
fn told(lines: &str) -> String {
    let mut source = lines.to_owned();
    for rest in REST {
        let key = &rest[..=rest.find(':').unwrap()];
        // `-name` leaves a key away.
        if source.contains(&format!("-{key}\n")) {
            source = source.replace(&format!("-{key}\n"), "");
        } else if !source.lines().any(|line| line.starts_with(key)) {
            source += &format!("{rest}\n");
        }
    }
    told_of(source)
}

fn told_of(source: String) -> String {
    let path = Path::new("hello.yml");
    match Descriptor::parse(path, source) {
        Ok(loaded) => format!("accepted\n{}", render_warnings(path, &loaded, false)),
        Err(refusals) => {
            for finding in refusals.findings.iter().chain(&refusals.warnings) {
                // What is drawn points to where the finding says.
                let place = format!("hello.yml:{}:{}", finding.line, finding.column);
                let drawn = render(path, &refusals, false);
                assert!(drawn.contains(&place), "{place} in\n{drawn}");
            }
            format!("refused\n{}", render(path, &refusals, false))
        }
    }
}

fn all(cases: &[(&str, &str)]) -> String {
    cases.iter().map(|(name, lines)| format!("## {name}: {}", told(lines))).collect()
}

#[test]
fn required_keys() {
    let told = all(&[
        ("no name", "-name:\n"),
        ("a name without value", "name:\n"),
        ("a misspelt name", "nmae: hello\n-name:\n"),
        ("no suites", "-suites:\n"),
        ("suites without entry", "suites: []\n"),
        ("no architectures", "-architectures:\n"),
        ("architectures without entry", "architectures: []\n"),
        ("neither reference_datetime nor remotes", "-reference_datetime:\n"),
        ("neither reference_datetime nor an entry in remotes", "remotes: []\n-reference_datetime:\n"),
        ("no script", "-script:\n"),
        ("nothing right", "ipackages: []\n-name:\n-suites:\n-architectures:\n-reference_datetime:\n"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn names() {
    let told = all(&[
        ("a name with a blank", "name: \"t 1\"\n"),
        ("a name that leaves its folder", "name: ..\n"),
        ("a name that UTF-7 mangled", "name: \"hello+ACI-\"\n"),
        ("a name that is a list", "name: [hello]\n"),
        ("an empty name", "name: \"\"\n"),
        ("a name with terminal control", "name: \"\\e[31mred\"\n"),
        ("a distro that is an option", "distro: -debian\n"),
        ("two suites in one", "suites: [bullseye bookworm]\n"),
        ("a suite that is a list", "suites: [[bookworm]]\n"),
        ("an architecture of another name", "architectures: [x86_64, i686]\n"),
        ("an unknown architecture", "architectures: [arm64]\n"),
        ("a package that is an option", "packages: [gcc, -y]\n"),
        ("two packages in one", "packages: [gcc make]\n"),
        ("a package with a shell command", "packages: [\"$(reboot)\"]\n"),
        ("a package that is a map", "packages:\n- gcc: 12\n"),
        ("a multiarch that is none", "multiarch: [AMD64]\n"),
        ("a file in a folder", "files: [sub/in.txt]\n"),
        ("a file with a tilde and one with an at sign", "files:\n- \"foo~1.deb\"\n- 'foo@2.deb'\n"),
        ("an empty file entry", "files:\n- \n- a\n"),
        ("digests", "docker_image_digests: [\"sha256:00\"]\n"),
        ("more digests than suites", "docker_image_digests: [a, b]\n"),
        ("all of them", "name: a b\nsuites: [c d]\narchitectures: [e]\nfiles: [f/g]\n"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn lists_and_booleans() {
    let told = all(&[
        ("suites as a text", "suites: bookworm\n"),
        ("architectures as a text", "architectures: amd64\n"),
        ("packages as a map", "packages:\n  gcc:\n  make:\n"),
        ("files as a text", "files: a.tar.gz\n"),
        ("remotes as a map", "remotes:\n  url: https://example.org/a.git\n  dir: a\n"),
        ("optionals as a text", "optionals: abcd\n"),
        ("an optional that is a map", "optionals:\n- c: d\n"),
        ("repositories as a text", "repositories: deb http://example.org x main\n"),
        ("alternatives as a text", "alternatives: cc\n"),
        ("multiarch as a text", "multiarch: i386\n"),
        ("docker_image_digests as a text", "docker_image_digests: abc\n"),
        ("sudo as a word", "sudo: maybe\n"),
        ("sudo as a number", "sudo: 1\n"),
        ("sudo as false in quotes", "sudo: \"false\"\n"),
        ("enable_cache as a list", "enable_cache: [true]\n"),
        ("source_date_epoch as a number", "source_date_epoch: 1577836800\n"),
        ("network as a word", "network: none\n"),
        ("a script that is a list", "script:\n- make\n"),
        ("a script that is a map", "script:\n  run: make\n"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn reference_datetimes() {
    let told = all(&[
        ("a word", "reference_datetime: now\n"),
        ("a day that does not exist", "reference_datetime: \"2019-02-29 00:00:00\"\n"),
        ("the other way round", "reference_datetime: \"31.01.2020 00:00\"\n"),
        ("a shell command", "reference_datetime: \"2020-01-01'; reboot; '\"\n"),
        ("a list", "reference_datetime: [2020-01-01]\n"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn remotes_repositories_and_alternatives() {
    let told = all(&[
        ("a remote that is a text", "remotes: [https://example.org/a.git]\n"),
        ("a remote without url and dir", "remotes:\n- commit: v1\n"),
        ("a url with a variable", "remotes:\n- url: ${URL}/a.git\n  dir: a\n"),
        ("a url that is an option", "remotes:\n- url: --upload-pack=reboot\n  dir: a\n"),
        ("a dir in a folder", "remotes:\n- url: /srv/a\n  dir: src/a\n"),
        ("a commit with a slash", "remotes:\n- url: /srv/a\n  dir: a\n  commit: feature/x\n"),
        ("a misspelt key of a remote", "remotes:\n- url: /srv/a\n  dri: a\n"),
        ("one dir twice", "remotes:\n- url: /srv/a\n  dir: a\n- url: /srv/b\n  dir: a\n"),
        ("one dir twice among other errors", "remotes:\n- url: $A\n  dir: a\n- url: /srv/b\n  dir: a\n"),
        ("a dir that is a file", "files: [a]\nremotes:\n- url: /srv/a\n  dir: a\n"),
        ("a repository without anything", "repositories:\n- {}\n"),
        ("a repository of two lines", "repositories:\n- source: \"deb x\\ndeb y\"\n  distribution: x\n"),
        ("a repository that is none", "repositories:\n- source: ppa:x/y\n  distribution: \"x y\"\n  packages: a\n"),
        ("a repository with more keys", "repositories:\n- {source: deb http://x y z, distribution: y, key: k}\n"),
        ("an alternative without anything", "alternatives:\n- {}\n"),
        ("an alternative with a relative path", "alternatives:\n- package: c c\n  path: bin/gcc\n"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn keys() {
    let told = all(&[
        ("unknown keys", "ipackages: [gcc]\nbackports_packages: []\narch: [amd64]\n"),
        ("a key twice", "packages: [gcc]\nfiles: []\npackages: [make]\n"),
        ("a key of a remote twice", "remotes:\n- {url: /a, dir: a, url: /b}\n"),
        ("a key that is a list", "[a, b]: c\n"),
        ("an endless key", &format!("? {}\n: x\n", "k".repeat(300))),
        ("numbers that are read differently", "suites: [22.10, 22.04]\nname: 010\nfiles: [1_0]\nscript: 0x10\n"),
        ("a suite and an architecture twice", "suites: [b, a, b]\narchitectures: [amd64, amd64]\n"),
        ("a suite twice with digests", "suites: [b, b]\ndocker_image_digests: [0, 1]\n"),
        ("another distribution", "distro: fedora\n"),
        ("a package entry without name", "packages:\n- gcc\n-\n- make\n"),
        ("an unknown anchor", "packages: *base\n"),
        ("an anchor in itself", "packages: &a [*a]\n"),
        ("a merge key that takes no map", "<<: [1]\n"),
        ("a ruby object", "packages: !ruby/object:Gem::Requirement {}\n"),
        ("a number with a tag", "name: !!int 5\n"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn yaml_syntax() {
    let cases = [
        ("an empty file", ""),
        ("only a comment", "# nothing\n"),
        ("nothing but ---", "---\n"),
        ("a list", "- a\n"),
        ("a text", "hello\n"),
        ("an open bracket", "a: [\n"),
        ("an open bracket further up", "name: hello\nsuites: [a, b\nfiles: []\n"),
        ("an open brace", "a: {b: 1\nc: 2\n"),
        ("a tab that indents", "remotes:\n\t- url: x\n"),
        ("a tab that indents a script", "script: |\n\tmake\n"),
        ("an unclosed quote", "name: \"hello\nsuites: [a]\nfiles: []\n"),
        ("text behind a quote", "name: 'hello' world\n"),
        ("an escape that does not exist", "name: \"a\\qb\"\n"),
        ("a merge conflict", "name: hello\n<<<<<<< HEAD\nsuites: [a]\n=======\nsuites: [b]\n>>>>>>> other\n"),
        ("an unindented script", "name: hello\nscript: |\n  cd hello\nmake all\nmake install\n"),
        ("a script that is indented less further down", "name: hello\nscript: |\n    cd hello\n  make\n"),
        ("a colon in a value", "name: hello: world\n"),
        ("a key that is indented too far", "name: hello\n  suites: [a]\n"),
        ("a key that is indented too little", "  name: hello\nsuites: [a]\n"),
        ("a list behind its key", "suites: - a\n"),
        ("a list that is indented less further down", "suites:\n  - a\n - b\n"),
        ("an at sign", "name: @hello\n"),
        ("an asterisk", "files:\n- *.deb\n"),
        ("an exclamation mark", "name: !x!y\n"),
        ("two documents", "name: hello\n---\nname: other\n"),
        ("a directive", "%TAG ! x:\n---\nname: hello\n"),
        ("a control character", "name: he\x07llo\n"),
        ("a byte order mark", "\u{feff}name: a b\n"),
        ("windows line ends", "name: a b\r\nsuites: c\r\n"),
        ("letters beyond ASCII", "# é\nname: é b # ü\nzoë: 1\n"),
    ];
    let text: String = cases.iter().map(|(name, source)| format!("## {name}: {}", told_of((*source).into()))).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn a_hostile_file_is_drawn_in_few_lines() {
    let source = format!("name: hello\nfiles: [{}]\n", "a b, ".repeat(5000));
    let text = told_of_unplaced(source);
    assert!(text.contains("… and 4983 more"), "{}", &text[text.len() - 300..]);
    assert!(text.lines().all(|line| line.chars().count() < 250), "{text}");
}

fn told_of_unplaced(source: String) -> String {
    let path = Path::new("hello.yml");
    render(path, &Descriptor::parse(path, source).unwrap_err(), false)
}

#[test]
fn colour_is_there_only_when_asked_for_and_never_from_the_file() {
    let path = Path::new("he\x1b[31mllo.yml");
    let refusals = Descriptor::parse(path, "name: \"a\\eb\"\n# \u{202e}\n\u{202e}: 1\n".into()).unwrap_err();
    assert!(render(path, &refusals, true).contains('\x1b'));
    let plain = render(path, &refusals, false);
    assert!(!plain.contains(['\x1b', '\u{202e}']), "{plain}");
}
