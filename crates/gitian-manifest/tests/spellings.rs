//! Every spelling of a document found in real sigs trees is read, and whatever is written is read back.

use gitian_manifest::{Assertion, OMap, Report, Value};
use proptest::prelude::*;

/// A digest and two blanks, as in a manifest.
const DIGEST: &str = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865  ";

#[test]
fn every_spelling_of_a_document_has_the_same_meaning() {
    let one_line = format!("{DIGEST}a/f\n");
    let quoted = format!("- out_manifest: '{DIGEST}a/f\n\n    '\n- release: '1.0'\n");
    let tagged = format!("- out_manifest: ! '{DIGEST}a/f\n\n'\n- release: ! '1.0'\n");
    let block = format!("- out_manifest: |\n    {DIGEST}a/f\n- release: \"1.0\"\n");
    let plain_map = format!("out_manifest: |\n  {DIGEST}a/f\nrelease: 1.0\n");
    for text in [
        format!("--- !!omap\n{quoted}"),
        format!("--- !omap\n{tagged}"),
        format!("--- !omap \n{block}"),
        format!("--- !omap \n{block}- optionals: \n"),
        format!("--- !!omap\n{block}").replace('\n', "\r\n"),
        format!("\u{feff}--- !!omap\n{block}"),
        format!("--- !<tag:yaml.org,2002:omap>\n{block}"),
        format!("---\n{plain_map}"),
        plain_map.clone(),
        format!("--- !!map\n{plain_map}...\n"),
        format!("--- !!omap\n- release: '1.0'\n- out_manifest: |\n    {DIGEST}a/f\n  "),
    ] {
        let assertion = Assertion::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error:#}:\n{text}"));
        assert_eq!(assertion.out_manifest(), Some(&*one_line), "{text}");
        assert_eq!(assertion.release(), Some("1.0"), "{text}");
        assert_eq!(assertion.optionals(), None, "{text}");
    }
}

#[test]
fn a_missing_last_newline_is_missing_in_the_text_too() {
    for (text, value) in [
        ("a: |\n  x\n  y", "x\ny"),
        ("a: |\n  x\n  y\n", "x\ny\n"),
        ("a: |+\n  x\n\n", "x\n\n"),
        ("a: |-\n  x", "x"),
        ("a: |\n  x\n# end", "x\n"),
        ("a: 'x'", "x"),
        ("a: x", "x"),
    ] {
        assert_eq!(OMap::parse(text.as_bytes()).unwrap().get("a"), Some(&Value::from(value)), "{text}");
    }
}

#[test]
fn old_documents_lack_entries_and_empty_ones_are_told_from_missing_ones() {
    let raw =
        Assertion::read(b"--- !!omap\n- out_manifest: ''\n- base_manifests: !!omap []\n- optionals: []\n").unwrap();
    assert_eq!((raw.out_manifest(), raw.in_manifest(), raw.release(), raw.name()), (Some(""), None, None, None));
    assert_eq!((raw.base_manifests(), raw.optionals()), (Some(vec![]), Some(vec![])));
    assert_eq!((raw.cache_common_manifest(), raw.cache_package_manifest()), (None, None));
}

#[test]
fn optionals_are_nothing_an_empty_list_or_a_list() {
    let report = Report::new(String::new(), String::new(), vec![], Some(String::new()), Some(String::new()));
    let start = "--- !!omap\n- out_manifest: ''\n- in_manifest: ''\n- base_manifests: !!omap []\n\
                 - cache_common_manifest: ''\n- cache_package_manifest: ''\n- release: '22.0'\n- name: hello\n- type: build\n";
    for (optionals, end) in [
        (None, "- optionals:\n"),
        (Some(vec![]), "- optionals: []\n"),
        (Some(vec!["a b", "c: d"]), "- optionals:\n  - a b\n  - 'c: d'\n"),
    ] {
        let owned = optionals.clone().map(|list: Vec<&str>| list.into_iter().map(str::to_owned).collect());
        let assertion = Assertion::new(report.clone(), "22.0", "hello", owned);
        assert_eq!(String::from_utf8(assertion.render()).unwrap(), format!("{start}{end}"));
        assert_eq!(assertion.optionals(), optionals);
    }
}

#[test]
fn entries_of_a_report_that_are_not_known_stay_as_they_are_and_where_they_are() {
    let text = "--- !!omap\n- first: 1.50\n- out_manifest: a\n- in_manifest: b\n- note:\n    x: 010\n    z: [] \n\
                - base_manifests: !!omap\n  - bookworm-amd64: c\n- date: 2020-01-01\n- nothing: \n- data: !binary |-\n    //4=\n";
    let report = Report::read(text.as_bytes()).unwrap();
    assert_eq!(report.base_manifests, [("bookworm-amd64".to_owned(), "c".to_owned())]);
    assert_eq!(String::from_utf8(report.render()).unwrap(), text.replace(" \n", "\n"));
}

#[test]
fn a_changed_report_has_its_changes_in_their_places() {
    let text = "--- !!omap\n- out_manifest: a\n- other: o\n- in_manifest: b\n- base_manifests: !!omap []\n";
    let mut report = Report::read(text.as_bytes()).unwrap();
    report.out_manifest = "c".to_owned();
    report.cache_common_manifest = Some(String::new());
    let expected = text.replace("out_manifest: a", "out_manifest: c") + "- cache_common_manifest: ''\n";
    assert_eq!(String::from_utf8(report.render()).unwrap(), expected);
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~\\n]{0,200}",
        "[-+0-9_.,:eExbT ]{0,12}",
        "([0-9a-f]{64}  [a-z/]{1,20}\\n){0,4}",
        "([ \\t\\r\\n'\"#:!&*?|>%@`{}\\[\\],\\\\-]|[a-z]{1,9}|\u{2028}|\u{85}|\u{feff}|\u{1f600}){0,60}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_is_written_is_read_back(out in texts(), guest in texts(), base in texts(), release in texts(),
                                        list in proptest::option::of(proptest::collection::vec(texts(), 0..4))) {
        let report = Report::new(out.clone(), String::new(), vec![(guest.clone(), base.clone())], None, Some(base.clone()));
        prop_assert_eq!(&Report::read(&report.render()).unwrap().base_manifests, &report.base_manifests);
        let assertion = Assertion::new(report, &release, "hello", list.clone());
        let read = Assertion::read(&assertion.render()).unwrap();
        prop_assert_eq!(&read, &assertion);
        prop_assert_eq!((read.out_manifest(), read.release()), (Some(&*out), Some(&*release)));
        prop_assert_eq!(read.base_manifests(), Some(vec![(&*guest, &*base)]));
        prop_assert_eq!(read.optionals().map(|list| list.iter().map(|&text| text.to_owned()).collect()), list);
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in any::<Vec<u8>>(), text in texts()) {
        let _ = OMap::parse(&bytes);
        let error = OMap::parse(text.as_bytes()).err().map(|error| error.to_string());
        prop_assert_ne!(error.as_deref(), Some("not readable as YAML"));
    }
}
