//! Texts of a project that hold the version: `v{version}`.

use std::fmt;

use crate::Version;

/// What stands for the version.
const MARK: &str = "{version}";

/// A text with the place of the version in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Reads a template; braces around anything but `version` are refused with a reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.chars().any(char::is_control) {
            return Err("holds a control character".to_owned());
        }
        match text.replace(MARK, "").contains(['{', '}']) {
            true => Err(format!("{text:?} has braces around something else than {MARK}")),
            false => Ok(Self(text.to_owned())),
        }
    }

    /// Takes a text of our own.
    pub(crate) fn known(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text for a version.
    pub fn of(&self, version: &Version) -> String {
        self.0.replace(MARK, version.as_str())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_takes_its_place_and_nothing_else_has_braces() {
        let version: Version = "1.0rc2".parse().unwrap();
        for (text, expected) in [("v{version}", "v1.0rc2"), ("{version}/a-{version}", "1.0rc2/a-1.0rc2"), ("x", "x")] {
            assert_eq!(Template::parse(text).unwrap().of(&version), expected);
        }
        for text in ["", "{os}", "v{version", "{ver{version}sion}", "a\nb"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
