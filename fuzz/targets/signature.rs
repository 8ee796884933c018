//! Any bytes are a signature, keys, or neither: nothing but the genuine signature is ever good, and nothing panics.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use gitian_verify::{Keyring, Signature, check};
use libfuzzer_sys::fuzz_target;

const DOCUMENT: &[u8] = include_bytes!("../seeds/document");
static KEYS: LazyLock<Keyring> = LazyLock::new(|| {
    let mut keys = Keyring::default();
    keys.add(include_bytes!("../seeds/key.pgp"), "key.pgp");
    keys
});

fuzz_target!(|bytes: &[u8]| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    // The genuine signature is over the document as it is: over another one, nothing can be good.
    let other = check(bytes, b"another document\n", &KEYS, now);
    assert!(!matches!(other, Signature::Good(_)), "{other:?}");
    if let Signature::Good(good) = check(bytes, DOCUMENT, &KEYS, now) {
        assert!(good.made < now);
    }
    // As keys, and checked against themselves.
    let mut keys = Keyring::default();
    keys.add(bytes, "fuzz");
    let own = check(include_bytes!("../seeds/signature/detached"), DOCUMENT, &keys, now);
    if let Signature::Good(good) = own {
        assert!(good.made < now);
    }
});
