//! The order of versions of Debian packages: `[epoch:]upstream[-revision]`.

use std::cmp::Ordering;

/// Compares two versions. Source: deb-version(7).
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let parts = |version| -> [&str; 3] {
        let (epoch, rest) = str::split_once(version, ':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        [epoch, upstream, revision]
    };
    let pairs = parts(a).into_iter().zip(parts(b));
    pairs.map(|(a, b)| part(a.as_bytes(), b.as_bytes())).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Compares text and numbers in turn.
fn part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, text_b) = (cut(&mut a, false), cut(&mut b, false));
        for at in 0..text_a.len().max(text_b.len()) {
            let order = rank(text_a.get(at)).cmp(&rank(text_b.get(at)));
            if order.is_ne() {
                return order;
            }
        }
        let (number_a, number_b) = (cut(&mut a, true), cut(&mut b, true));
        let significant = |digits: &[u8]| digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
        let (number_a, number_b) = (&number_a[significant(number_a)..], &number_b[significant(number_b)..]);
        let order = (number_a.len(), number_a).cmp(&(number_b.len(), number_b));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Takes the digits, or what is none, from the beginning.
fn cut<'v>(version: &mut &'v [u8], digits: bool) -> &'v [u8] {
    let end = version.iter().position(|byte| byte.is_ascii_digit() != digits).unwrap_or(version.len());
    let (taken, rest) = version.split_at(end);
    *version = rest;
    taken
}

/// A tilde comes before the end, letters before everything else.
fn rank(byte: Option<&u8>) -> (u8, u8) {
    match byte {
        Some(b'~') => (0, 0),
        None => (1, 0),
        Some(letter) if letter.is_ascii_alphabetic() => (2, *letter),
        Some(other) => (3, *other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_dpkg() {
        let sorted = [
            "0",
            "1.0~beta1~svn1245-1",
            "1.0~beta1-1",
            "1.0-1",
            "1.0-1ubuntu1~18.04",
            "1.0-1ubuntu1",
            "1.0-1ubuntu2",
            "1.0-1ubuntu10",
            "1.0a-1",
            "1.0+dfsg-1",
            "1.0.1-1",
            "2.24-5ubuntu3",
            "2.24-5ubuntu14",
            "2.24-5ubuntu14.1",
            "2.24-5ubuntu14.2",
            "10",
            "1:0.1",
        ];
        for (at, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        for (a, b) in [("1.08", "1.8"), ("0:1-0", "1"), ("1.", "1.0")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
    }
}
