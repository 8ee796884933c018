//! Facts about signers who never were, for tests of what is decided and explained.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gitian_manifest::{Assertion, Digest, Report};
use gitian_verify::{Document, Facts, Good, Naming, Signature, Standing, Unpaired};

/// The start of a day, counted from 1970.
pub fn day(count: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(count * 24 * 3600)
}

/// A fingerprint, the same for the same name.
pub fn fingerprint(name: &str) -> String {
    Digest::of_bytes(name.as_bytes()).to_string()[..40].to_uppercase()
}

/// A line of a manifest, with a digest of its own for each content.
pub fn line(content: &str, path: &str) -> String {
    format!("{}  {path}\n", Digest::of_bytes(content.as_bytes()))
}

/// An assertion of the package `hello` in release `1.0` that says only what was built.
pub fn built(out: &str) -> Assertion {
    about(out, "1.0", "hello")
}

/// An assertion that says only what was built.
pub fn about(out: &str, release: &str, name: &str) -> Assertion {
    let report = Report::new(line(out, "hello.tar.gz"), String::new(), vec![], None, None);
    Assertion::new(report, release, name, None)
}

/// A sound signature by a key, made on a day.
pub fn good(key: &str, made: SystemTime) -> Good {
    Good {
        key: fingerprint(key),
        primary_key: fingerprint(key),
        certificate: vec![fingerprint(key)],
        user_ids: vec![format!("{key} <{key}@example.org>")],
        made,
        expires: None,
        hash: "SHA512".into(),
        algorithm: "EdDSA".into(),
        weak: Vec::new(),
        standing: Standing::Sound,
        key_expires: None,
        key_revoked: None,
    }
}

/// What is known about a signer with an assertion and a signature.
pub fn facts(signer: &str, assertion: Assertion, signature: Signature) -> Facts {
    Facts {
        signer: signer.into(),
        assert_path: PathBuf::from(format!("sigs/1.0/{signer}/hello-build.assert")),
        signature_path: PathBuf::from(format!("sigs/1.0/{signer}/hello-build.assert.sig")),
        document: Document::Read(Arc::new(assertion)),
        signature,
        others: Vec::new(),
        unpaired: Unpaired::default(),
        misnamed_signature: None,
        naming: Naming::Folder,
    }
}

/// A signer with a key of the same name who signed on day 100.
pub fn signer(name: &str, assertion: Assertion) -> Facts {
    facts(name, assertion, Signature::Good(Box::new(good(name, day(100)))))
}
