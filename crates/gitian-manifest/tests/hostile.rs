//! Documents that are none, too large, too deep or made to do harm are refused with a reason, quickly.

use std::time::{Duration, Instant};

use gitian_manifest::{Assertion, OMap, Report};

fn refusal(bytes: &[u8]) -> String {
    let start = Instant::now();
    let error = OMap::parse(bytes).expect_err(&String::from_utf8_lossy(&bytes[..bytes.len().min(200)]));
    assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
    error.to_string()
}

#[test]
fn what_is_no_ordered_map_is_refused_with_its_reason() {
    for (bytes, reason) in [
        (&b""[..], "empty"),
        (b" \n\n", "empty"),
        (b"# nothing\n", "empty"),
        (b"--- \n", "not an ordered map"),
        (b"hello\n", "not an ordered map"),
        (b"- a\n- b\n", "not an ordered map"),
        (b"<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html>", "a web page, not an ordered map"),
        (b"\n  <html><body>Not found</body></html>\n", "a web page, not an ordered map"),
        (b"--- !!omap\n- a: b\n- c: \xff\xfe\n", "line 3: not UTF-8"),
        (b"\xff\xfe-\0-\0-\0", "line 1: not UTF-8"),
        (b"--- !!omap\n- a: b\0c\n", "line 1: control characters are not allowed"),
        (b"--- !!omap\n- a: \x1b[0m\n", "line 1: control characters are not allowed"),
        (b"--- !!omap\n- a: [\n", "line 3: did not find expected node content"),
        (b"--- !!omap\n- a: 'b\n", "line 3: found unexpected end of stream"),
        (b"--- !!omap\n- a: \"b\\", "line 3: found unexpected end of stream"),
        (b"--- !!omap\n- a: b\n- a: c\n", "line 3: the key a a second time"),
        (b"a: b\na: c\n", "line 2: the key a a second time"),
        (b"--- !!omap\n- b: !!omap\n  - a: 1\n  - a: 2\n", "line 4: the key a a second time"),
        (b"--- !!omap\n- a: b\n  c: d\n", "line 3: two entries in one place"),
        (b"--- !!omap\n- a\n", "line 2: an ordered map holds something else than an entry"),
        (b"--- !!omap\n- [a]: b\n", "line 2: a key that is not text"),
        (b"--- !!omap\n- ~: b\n", "line 2: a key that is not text"),
        (b"--- !!omap\n- a: b\n--- !!omap\n- a: c\n", "line 3: a second document"),
        (b"--- !!omap\n- a: b\n...\n- a: c\n", "line 4: did not find expected <document start>"),
        (b"--- !ruby/object:Gem::Installer\ni: x\n", "line 1: a map with the tag !ruby/object:Gem::Installer"),
        (b"--- !!omap\n- a: !ruby/regexp /x/\n", "line 2: a value with the tag !ruby/regexp"),
        (b"--- !!omap\n- a: !!set {x, y}\n", "line 2: a map with the tag tag:yaml.org,2002:set"),
        (b"--- !!omap\n- a: !!python/tuple [x]\n", "line 2: a list with the tag tag:yaml.org,2002:python/tuple"),
        (b"--- !!omap\n- a: &x b\n- c: *x\n", "line 3: an alias"),
        (b"a: [!x,b]\n", "a tag with a comma"),
    ] {
        assert_eq!(refusal(bytes), reason, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_yaml_bomb_does_not_go_off() {
    let mut bomb = String::from("--- !!omap\n- a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (name, of) in ('b'..='i').zip('a'..) {
        bomb += &format!("- {name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n");
    }
    assert_eq!(refusal(bomb.as_bytes()), "line 3: an alias");
}

#[test]
fn deep_nesting_is_refused_however_it_is_written() {
    let block: String = (0..20_000).map(|depth| format!("{}k:\n", " ".repeat(depth.min(200)))).collect();
    for bytes in [
        format!("a: {}", "[".repeat(1_000_000)),
        format!("a: {}", "[\n".repeat(1_000_000)),
        format!("a: {}", "{a: ".repeat(1_000_000)),
        format!("a: {}", "[{a: [".repeat(300_000)),
        "- ".repeat(1_000_000),
        "? ".repeat(1_000_000),
        block,
    ] {
        refusal(bytes.as_bytes());
    }
    assert_eq!(refusal(format!("a: {}{}\n", "[".repeat(40), "]".repeat(40)).as_bytes()), "line 1: nested too deeply");
}

#[test]
fn huge_documents_are_refused_and_large_ones_are_read() {
    let huge = format!("--- !!omap\n- a: {}\n", "x".repeat(100 * 1024 * 1024));
    assert_eq!(refusal(huge.as_bytes()), "larger than 64 MiB");
    let line = format!("    {}  file\n", "0".repeat(64));
    for text in [
        format!("--- !!omap\n- out_manifest: |\n{}", line.repeat(200_000)),
        format!("--- !!omap\n- out_manifest: {}\n", "x".repeat(16 * 1024 * 1024)),
        format!("--- !!omap\n{}- out_manifest: x\n", "\n".repeat(16 * 1024 * 1024)),
    ] {
        let start = Instant::now();
        assert!(OMap::parse(text.as_bytes()).unwrap().get("out_manifest").is_some());
        assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
    }
    let keys: String = (0..300_000).map(|number| format!("- k{number}: v\n")).collect();
    assert_eq!(OMap::parse(format!("--- !!omap\n{keys}").as_bytes()).unwrap().entries.len(), 300_000);
}

#[test]
fn entries_of_the_wrong_kind_are_refused_by_name() {
    for (entry, reason) in [
        ("- out_manifest: [a]\n", "out_manifest is not text"),
        ("- out_manifest: a\n- release: {a: b}\n", "release is not text"),
        ("- out_manifest: !binary aGk=\n", "out_manifest is not text"),
    ] {
        assert_eq!(Assertion::read(format!("--- !!omap\n{entry}").as_bytes()).unwrap_err().to_string(), reason);
    }
    for (entries, reason) in [
        ("- in_manifest: a\n", "no out_manifest"),
        ("- out_manifest: a\n", "no in_manifest"),
        ("- out_manifest: a\n- in_manifest: a\n- base_manifests: a\n", "base_manifests is not a map"),
        (
            "- out_manifest: a\n- in_manifest: a\n- base_manifests: !!omap\n  - x: [a]\n",
            "base_manifests: x is not text",
        ),
    ] {
        assert_eq!(Report::read(format!("--- !!omap\n{entries}").as_bytes()).unwrap_err().to_string(), reason);
    }
}
