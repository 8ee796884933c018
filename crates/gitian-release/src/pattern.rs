//! Patterns that choose outputs by path: `*` and `?` within one folder's name.

use std::fmt;

/// A path below `build/out` with `*` (any characters) and `?` (one), neither of which stands for a `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Takes a pattern. One that leads out of the outputs fits nothing, since no output's path does.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether a path fits.
    pub fn fits(&self, path: &str) -> bool {
        let (pattern, path): (Vec<&str>, Vec<&str>) = (self.0.split('/').collect(), path.split('/').collect());
        pattern.len() == path.len() && pattern.iter().zip(path).all(|(pattern, name)| fits_name(pattern, name))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Keeps, for each beginning of the pattern, whether it fits the name so far: no pattern takes longer than its length
/// times the name's.
fn fits_name(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut fits = vec![false; pattern.len() + 1];
    fits[0] = true;
    skip_stars(&pattern, &mut fits);
    for c in name.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for (at, wanted) in pattern.iter().enumerate().filter(|(at, _)| fits[*at]) {
            match wanted {
                '*' => next[at] = true,
                wanted => next[at + 1] |= *wanted == '?' || *wanted == c,
            }
        }
        skip_stars(&pattern, &mut next);
        fits = next;
    }
    fits[pattern.len()]
}

/// A star stands for nothing as well.
fn skip_stars(pattern: &[char], fits: &mut [bool]) {
    for (at, c) in pattern.iter().enumerate() {
        fits[at + 1] |= *c == '*' && fits[at];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stay_within_a_folder() {
        for (pattern, path, fits) in [
            ("coin-*.tar.gz", "coin-1.0.tar.gz", true),
            ("coin-*.tar.gz", "src/coin-1.0.tar.gz", false),
            ("src/coin-*", "src/coin-1.0.tar.gz", true),
            ("*/*", "src/x", true),
            ("*", "src/x", false),
            ("coin-?.zip", "coin-1.zip", true),
            ("coin-?.zip", "coin-.zip", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("x", "x", true),
            ("", "x", false),
            ("../x", "x", false),
        ] {
            assert_eq!(Pattern::new(pattern).fits(path), fits, "{pattern} {path}");
        }
        let long = "a".repeat(2000);
        assert!(!Pattern::new("*a".repeat(500) + "b").fits(&long));
    }
}
