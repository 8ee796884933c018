//! Files that are made to harm: they are refused, fast, and never end the program.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use gitian_descriptor::{Descriptor, LoadError, Refusals, SIZE_LIMIT};
use proptest::prelude::*;

fn refused(source: String) -> Refusals {
    let began = Instant::now();
    let refusals = Descriptor::parse(Path::new("hello.yml"), source).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "took {:?}", began.elapsed());
    refusals
}

fn first(source: String) -> String {
    refused(source).findings[0].message.clone()
}

#[test]
fn a_yaml_bomb_ends_fast() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", "));
    }
    assert_eq!(first(bomb), "more than 100000 values, aliases counted as often as they are used, are too many");
}

#[test]
fn a_long_text_cannot_be_repeated_without_end() {
    let text = format!("a: &a {}\noptionals: [{}]\n", "x".repeat(8 << 20), "*a, ".repeat(90_000));
    assert_eq!(first(text), "more than 100000 values, aliases counted as often as they are used, are too many");
    let merged = format!("a: &a\n  ? {}\n  : 1\nremotes: [{}]\n", "k".repeat(8 << 20), "{<<: *a}, ".repeat(20_000));
    assert!(refused(merged).findings.iter().any(|finding| finding.message.ends_with("is longer than 200 bytes")));
}

#[test]
fn depth_is_limited_also_through_aliases() {
    let message = "values lie in one another more than 32 deep";
    assert_eq!(first("[".repeat(1 << 20)), message);
    assert_eq!(first("- ".repeat(1 << 20)), message);
    assert_eq!(first("{a: ".repeat(1 << 20)), message);
    let mut chain = "- &a0 x\n".to_owned();
    for level in 1..50_000 {
        chain += &format!("- &a{level} [*a{}]\n", level - 1);
    }
    assert_eq!(first(chain), message);
}

#[test]
fn many_directives_and_many_values_end_fast() {
    let directives: String = (0..400_000).map(|n| format!("%TAG !a{n}! x:\n")).collect();
    assert_eq!(first(directives), "a descriptor has no %TAG");
    assert_eq!(
        first("- a\n".repeat(4 << 20)),
        "more than 100000 values, aliases counted as often as they are used, are too many"
    );
}

#[test]
fn tens_of_thousands_of_refusals_are_all_told() {
    let lines = "name: a\nsuites: [b]\narchitectures: [amd64]\nreference_datetime: 2020-01-01\n";
    let refusals = refused(format!("{lines}files: [{}]\n", "a b, ".repeat(50_000)));
    assert_eq!(refusals.findings.len(), 50_000);
    assert_eq!(refusals.findings[49_999].column, 9 + 49_999 * 5);
}

#[test]
fn a_large_but_honest_script_is_read() {
    let script = "  echo a line of a very long script\n".repeat(400_000);
    let lines = "name: a\nsuites: [b]\narchitectures: [amd64]\nreference_datetime: 2020-01-01\n";
    let began = Instant::now();
    let loaded = Descriptor::parse(Path::new("hello.yml"), format!("{lines}script: |\n{script}")).unwrap();
    assert_eq!(loaded.descriptor.script.lines().count(), 400_000);
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
}

#[test]
fn files_that_are_no_text_are_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello.yml");
    let cases: [(&[u8], &str, &str); 3] = [
        (b"name: h\xe9llo\n", "line 1, column 8: byte 0xe9 is not UTF-8", "LATIN1"),
        (b"# \xc3\xa9\nname: \xc3", "line 2, column 7: byte 0xc3 is not UTF-8", "LATIN1"),
        (b"\xff\xfen\0a\0", "line 1, column 1: the file is UTF-16, not UTF-8", "UTF-16"),
    ];
    for (bytes, expected, encoding) in cases {
        fs::write(&path, bytes).unwrap();
        let Err(LoadError::Refused(refusals)) = Descriptor::load(&path) else { panic!("{expected}") };
        assert_eq!(refusals.findings[0].to_string(), expected);
        assert!(refusals.findings[0].hint.as_ref().unwrap().contains(encoding));
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.yml");
    let message = Descriptor::load(&missing).unwrap_err().to_string();
    assert_eq!(message, format!("descriptor {}: No such file or directory (os error 2)", missing.display()));
    let message = Descriptor::load(folder.path()).unwrap_err().to_string();
    assert_eq!(message, format!("descriptor {}: Is a directory (os error 21)", folder.path().display()));
    let large = folder.path().join("large.yml");
    fs::File::create(&large).unwrap().set_len(SIZE_LIMIT + 1).unwrap();
    let message = Descriptor::load(&large).unwrap_err().to_string();
    assert_eq!(message, format!("descriptor {}: is larger than 16 MiB", large.display()));
}

/// Pieces of which YAML that nearly is a descriptor can be put together.
const PIECES: [&str; 50] = [
    "name", "suites", "remotes", "files", "script", "packages", "url", "dir", "sudo", ": ", ":", "- ", "\n", "\n  ",
    "\n- ", " ", "[", "]", "{", "}", ", ", "\"", "'", "|", ">", "|2", "#", " #", "&a ", "*a", "<<: *a", "!!str ",
    "!x ", "---\n", "...\n", "!", ",", "!x,", "!<", "%41", "\u{85}", "\t", "\r\n", "\u{feff}", "é", "%", "? ", "hello",
    "yes", "\\",
];

fn check(source: String) -> Result<(), TestCaseError> {
    let (path, length) = (Path::new("hello.yml"), source.len());
    let (findings, source, accepted) = match Descriptor::parse(path, source) {
        Ok(loaded) => (loaded.warnings, loaded.source, true),
        Err(refusals) => {
            let count = refusals.findings.len();
            (refusals.findings.into_iter().chain(refusals.warnings).collect(), refusals.source, count == 0)
        }
    };
    prop_assert!(!accepted || findings.iter().all(|finding| !finding.message.is_empty()));
    prop_assert_eq!(source.len(), length);
    for finding in findings {
        // Whoever draws it can rely on the place.
        let text = source.get(finding.span.clone());
        prop_assert!(text.is_some_and(|text| !text.contains('\n')), "{:?} in {:?}", finding, source);
        prop_assert_eq!(finding.line, source[..finding.span.start].matches('\n').count() + 1);
        prop_assert!(!finding.message.contains(char::is_control), "{:?}", finding.message);
    }
    Ok(())
}

#[test]
fn tags_before_commas_are_refused_and_scripts_that_look_so_are_read() {
    let tagged = [
        "files: [!x, a]",
        "files: [!!str, a]",
        "files: [a, !<x>, b]",
        "files: {!x, a}",
        "files: [&a !x,b]",
        "files: [!!str &a !y,b]",
    ];
    for lines in tagged {
        let refusals = refused(format!("{lines}\n"));
        assert!(refusals.findings.iter().any(|f| f.message.contains("has no meaning")), "{lines}: {refusals}");
    }
    let script = "awk '!seen[$1,$2]' | sed 's/ !x,//' # !, !<a,b>\n[ ! -e a ],\n";
    let lines = "name: a\nsuites: [b]\narchitectures: [amd64]\nreference_datetime: 2020-01-01\n";
    let source =
        format!("{lines}optionals: ['!x,', hello !x]\nscript: |\n  {}\n", script.trim_end().replace('\n', "\n  "));
    assert_eq!(Descriptor::parse(Path::new("hello.yml"), source).unwrap().descriptor.script, script);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(source in any::<String>()) {
        check(source)?;
    }

    #[test]
    fn no_almost_descriptor_panics(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        check(pieces.concat())?;
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello.yml");
        fs::write(&path, &bytes).unwrap();
        if let Err(LoadError::Refused(refusals)) = Descriptor::load(&path) {
            prop_assert!(!refusals.findings.is_empty());
        }
    }

    #[test]
    fn every_cut_of_a_good_descriptor_is_told_from_it(cut in 0..GOOD.len(), with in prop::sample::select(&PIECES[..])) {
        check(format!("{}{with}{}", &GOOD[..cut], &GOOD[cut..]))?;
        check(GOOD[..cut].to_owned())?;
    }
}

const GOOD: &str = "---\nname: \"hello\"\nsuites:\n- \"bookworm\"\narchitectures: [amd64]\npackages:\n- gcc\n\
    remotes:\n- url: https://example.org/a.git\n  dir: a\nfiles: []\nreference_datetime: \"2020-01-01 00:00:00\"\n\
    script: |\n  cd a\n  make\n";
