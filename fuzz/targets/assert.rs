//! Any bytes are an assertion or are refused; what is read is written so that it reads the same again, and compares
//! equal with itself.
#![no_main]

use gitian_manifest::{Assertion, Manifest, Report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(assertion) = Assertion::read(bytes) {
        let written = assertion.render();
        let again = Assertion::read(&written).expect("what we write can be read");
        assert_eq!(again.out_manifest(), assertion.out_manifest());
        assert_eq!(again.release(), assertion.release());
        assert_eq!(again.name(), assertion.name());
        let texts = [assertion.out_manifest(), assertion.in_manifest(), assertion.cache_common_manifest()];
        let base = assertion.base_manifests().unwrap_or_default();
        for text in texts.into_iter().flatten().chain(base.into_iter().map(|(_, text)| text)) {
            let manifest = Manifest::parse(text).manifest;
            assert!(manifest.difference(&manifest).is_empty());
        }
    }
    if let Ok(report) = Report::read(bytes) {
        Report::read(&report.render()).expect("what we write can be read");
    }
});
