//! A test that cannot run here; unit tests of crates use this file as well.

/// Says that a test is skipped, and why; fails instead where GITIAN_TEST_REQUIRE names what is missing.
pub fn skip(missing: &str, why: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    let required = std::env::var("GITIAN_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == missing), "{missing} is required here, but {why}");
    eprintln!("skipped: {why}");
}
