//! Any text is a manifest: lines that are read are written so that they read the same again. Any text is a clear-signed
//! message or is not: what is signed holds nothing that signing would have changed.
#![no_main]

use gitian_manifest::Manifest;
use gitian_verify::ClearSigned;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let parsed = Manifest::parse(&text);
    let again = Manifest::parse(&parsed.manifest.render());
    assert!(again.unreadable.is_empty());
    assert_eq!(again.manifest, parsed.manifest);
    if let Some(message) = ClearSigned::parse(&text) {
        assert!(message.text.lines().all(|line| line.trim_end_matches([' ', '\t']) == line));
        assert!(message.signatures.starts_with("-----BEGIN PGP SIGNATURE-----\n"));
    }
    let half = text.len() / 2;
    let (one, other) = text.split_at((half..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len()));
    let (one, other) = (Manifest::parse(one).manifest, Manifest::parse(other).manifest);
    assert!(one.difference(&one).is_empty());
    assert_eq!(one.difference(&other).is_empty(), other.difference(&one).is_empty());
});
