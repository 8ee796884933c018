//! Any text is a policy or is refused with its line.
#![no_main]

use gitian_verify::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Err(refused) = Policy::parse(&text) {
        assert!((1..=text.lines().count() + 1).contains(&refused.line), "{refused}");
        assert!(!refused.message.is_empty() && !refused.message.contains('\n'));
    }
});
