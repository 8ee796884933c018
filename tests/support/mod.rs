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
pub mod proxy;
pub mod running;
pub mod signers;
mod skip;
pub mod tree;

use std::path::{Path, PathBuf};

pub use skip::skip;

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
