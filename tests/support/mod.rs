//! What several test programs need: recorded data, skips with a reason, the programs under test, real inputs.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod archive;
pub mod backends;
pub mod checkout;
pub mod dump;
pub mod gnupg;
pub mod hello;
pub mod mirror;
pub mod programs;
pub mod project;
pub mod running;
pub mod signers;
pub mod tree;

use std::path::{Path, PathBuf};

/// The top of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Recorded data beside the checkout, where it is there.
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = checkout().join("../shared/data").join(path);
    if found.exists() {
        return Some(found);
    }
    skip("data", &format!("the recorded data {path} is not beside the checkout"));
    None
}

/// Says that a test is skipped, and why; fails instead where GITIAN_TEST_REQUIRE names what is missing.
pub fn skip(missing: &str, why: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    let required = std::env::var("GITIAN_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == missing), "{missing} is required here, but {why}");
    eprintln!("skipped: {why}");
}
