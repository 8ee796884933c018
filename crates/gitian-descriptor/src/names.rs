//! Checked names: a value of these types can be part of a path, a command line or a manifest line as it is.

use std::fmt;
use std::str::FromStr;

/// A text that may not be used as the name it was meant to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} '{}' {reason}", text.escape_default())]
pub struct NameRefused {
    /// What it was meant to be: `package name`, `suite`.
    pub kind: &'static str,
    /// The text as it was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Source: gitian-builder 11f91fb, bin/gbuild, `sanitize`.
fn word(text: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    match text {
        "" => Err("is empty"),
        "." | ".." => Err("names a folder above"),
        _ if text.starts_with('-') => Err("starts with '-', which programs take for an option"),
        _ if text.chars().all(plain) => Ok(()),
        _ => Err("may hold letters, digits, '_', '.' and '-' only"),
    }
}

/// Source: gitian-builder 11f91fb, bin/gbuild, `sanitize_path`.
fn path_like(text: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@/.:+-".contains(c);
    match text {
        "" => Err("is empty"),
        _ if text.starts_with('-') => Err("starts with '-', which programs take for an option"),
        _ if text.chars().all(plain) => Ok(()),
        _ => Err("may hold letters, digits and '_@/.:+-' only"),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameRefused;

            fn from_str(text: &str) -> Result<Self, NameRefused> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(reason) => Err(NameRefused { kind: $kind, text: text.to_owned(), reason }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// `name:` of a descriptor; part of the names of its results.
    PackageName, "package name", word
);
name!(
    /// A suite, such as `bookworm`; any word, since misspelt and new ones occur.
    Suite, "suite", word
);
name!(
    /// `distro:`, also the name of the guest user.
    Distro, "distro", word
);
name!(
    /// A file of `files:`, below `inputs/`.
    InputName, "file name", word
);
name!(
    /// `dir:` of a remote, below `inputs/` and the guest's `build/`.
    RemoteDir, "dir", word
);
name!(
    /// A commit, tag or branch.
    Commit, "commit", word
);
name!(
    /// The URL or path of a remote.
    Url, "url", path_like
);
name!(
    /// An entry of `packages:`, such as `gcc` or `libc6:i386`.
    DebianPackage, "package", word // the descriptor's author refines this: `name:arch`, `+`, no option
);
name!(
    /// A digest of `docker_image_digests:`.
    ImageDigest, "image digest", word
);
name!(
    /// A release in a sigs tree, one folder.
    ReleaseName, "release", one_folder
);
name!(
    /// A signer in a sigs tree, one folder; may be an e-mail address or a name with blanks.
    SignerName, "signer", one_folder
);
name!(
    /// `reference_datetime:`, `YYYY-MM-DD HH:MM:SS`.
    ReferenceDatetime, "reference_datetime", |text| if text.is_empty() { Err("is empty") } else { Ok(()) }
);

impl ReferenceDatetime {
    /// Returns the date as written: `REFERENCE_DATE`.
    pub fn date(&self) -> &str {
        self.0.split_whitespace().next().unwrap_or("")
    }

    /// Returns the time as written, empty when there is only a date: `REFERENCE_TIME`.
    pub fn time(&self) -> &str {
        self.0.split_whitespace().nth(1).unwrap_or("")
    }

    /// Returns the seconds since 1970-01-01 00:00:00 UTC.
    pub fn epoch_seconds(&self) -> i64 {
        0
    }
}

/// One path component that is neither `.` nor `..` and not an option.
fn one_folder(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("is empty"),
        "." | ".." => Err("names a folder above"),
        _ if text.contains('/') => Err("holds a path separator"),
        _ if text.chars().any(char::is_control) => Err("holds a control character"),
        _ => Ok(()),
    }
}
