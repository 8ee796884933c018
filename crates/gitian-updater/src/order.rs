//! The order of releases: digits as numbers, everything else by its bytes, and what comes before a release before it.

use std::cmp::Ordering;

/// What the name of a release that comes before another begins with, behind the name of that one.
const BEFORE: [&str; 6] = ["alpha", "beta", "preview", "prerelease", "pre", "rc"];

/// Compares the names of two releases. `1.0rc2`, `1.0-beta` and `1.0~1` come before `1.0`, which comes before `1.0.1` and `1.0-1`.
pub(crate) fn in_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    // Letters in the middle of a word are no mark: `arch` is no release candidate.
    let mut in_word = false;
    loop {
        match (a, b) {
            ([], []) => return Ordering::Equal,
            _ if in_word => {}
            _ => match (before(a), before(b)) {
                (Some(_), None) => return Ordering::Less,
                (None, Some(_)) => return Ordering::Greater,
                // Both come before the same release, however that is written.
                (Some(x), Some(y)) => (a, b) = (x, y),
                (None, None) => {}
            },
        }
        let (number_a, number_b) = (digits(a), digits(b));
        let ordering = match (number_a, number_b) {
            (&[], _) | (_, &[]) => a.first().cmp(&b.first()),
            // Without leading zeros the longer number is the larger.
            (x, y) => (significant(x).len(), significant(x)).cmp(&(significant(y).len(), significant(y))),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
        in_word = a.first().is_some_and(u8::is_ascii_alphabetic);
        (a, b) = (&a[number_a.len().max(1).min(a.len())..], &b[number_b.len().max(1).min(b.len())..]);
    }
}

/// Returns what is left without separators if it is the rest of a name that comes before the name without it.
fn before(rest: &[u8]) -> Option<&[u8]> {
    let separators = rest.iter().take_while(|byte| b"-._~".contains(byte)).count();
    let (separators, word) = rest.split_at(separators);
    let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let is_mark = BEFORE.iter().any(|mark| word[..letters].eq_ignore_ascii_case(mark.as_bytes()));
    (is_mark || separators.contains(&b'~')).then_some(word)
}

fn digits(text: &[u8]) -> &[u8] {
    &text[..text.iter().take_while(|byte| byte.is_ascii_digit()).count()]
}

fn significant(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|digit| **digit == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_a_release_is_older_than_it() {
        let rising = [
            "0.9",
            "1.0~1",
            "1.0alpha",
            "1.0-alpha.2",
            "1.0_beta1",
            "1.0beta2",
            "1.0.pre1",
            "1.0rc1",
            "1.0-rc2",
            "1.0rc10",
            "1.0",
            "1.0-1",
            "1.0.1rc1",
            "1.0.1",
            "1.0.1-arch",
            "1.2",
            "1.10",
            "v1",
        ];
        for (index, a) in rising.iter().enumerate() {
            for (other, b) in rising.iter().enumerate() {
                assert_eq!(in_order(a, b), index.cmp(&other), "{a} {b}");
            }
        }
        for (a, b, expected) in [
            ("", "", Ordering::Equal),
            ("1.01", "1.1", Ordering::Equal),
            ("1.0rc1", "1.0-rc1", Ordering::Equal),
            ("ma", "march", Ordering::Less),
            ("1.0-arch", "1.0", Ordering::Greater),
            ("1.0-RC1", "1.0", Ordering::Less),
            ("rc1", "1", Ordering::Less),
        ] {
            assert_eq!(in_order(a, b), expected, "{a} {b}");
            assert_eq!(in_order(b, a), expected.reverse(), "{b} {a}");
        }
    }
}
