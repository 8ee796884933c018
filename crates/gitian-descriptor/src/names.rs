//! Checked names: a value of these types can be part of a path, a command line or a manifest line as it is.

use std::fmt;
use std::str::FromStr;

/// A text that may not be used as the name it was meant to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {} {reason}", Shown(text))]
pub struct NameRefused {
    /// What it was meant to be: `package name`, `suite`.
    pub kind: &'static str,
    /// The text as it was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A text in quotes for a message: on one line, without control characters, and not endless.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

/// How much of a value a message repeats, in characters.
const SHOWN: usize = 80;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for c in self.0.chars().take(SHOWN) {
            match c {
                '\'' | '"' | '\\' => write!(f, "{c}")?,
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        f.write_str(if self.0.chars().nth(SHOWN).is_some() { "…'" } else { "'" })
    }
}

/// How long a name may be, in bytes: file systems allow 255, and our own endings are added.
const LENGTH: usize = 200;
/// How long a URL or path may be, in bytes.
const PATH_LENGTH: usize = 4000;

/// Source: gitian-builder 11f91fb, bin/gbuild, `sanitize`; which accepts nothing, dots and a leading '-' as well.
fn word(text: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    match text {
        "" => Err("is empty"),
        "." | ".." => Err("names a folder, not something in it"),
        _ if text.starts_with('-') => Err("starts with '-', which programs take for an option"),
        _ if text.len() > LENGTH => Err("is longer than 200 bytes"),
        _ if text.chars().all(plain) => Ok(()),
        _ => Err("may hold letters, digits, '_', '.' and '-' only"),
    }
}

/// Source: gitian-builder 11f91fb, bin/gbuild, `sanitize_path`.
pub(crate) fn path_like(text: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@/.:+-".contains(c);
    match text {
        "" => Err("is empty"),
        _ if text.starts_with('-') => Err("starts with '-', which programs take for an option"),
        _ if text.len() > PATH_LENGTH => Err("is longer than 4000 bytes"),
        _ if text.chars().all(plain) => Ok(()),
        _ => Err("may hold letters, digits and '_@/.:+-' only"),
    }
}

/// What `apt-get install` takes for one package: `name`, `name:architecture`, `name=version`, `name/suite`.
fn debian_package(text: &str) -> Result<(), &'static str> {
    if text.len() > LENGTH {
        return Err("is longer than 200 bytes");
    }
    let all = |text: &str, more: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let (rest, version) = text.split_once('=').map_or((text, None), |(rest, version)| (rest, Some(version)));
    let (rest, suite) = rest.split_once('/').map_or((rest, None), |(rest, suite)| (rest, Some(suite)));
    let (name, arch) = rest.split_once(':').map_or((rest, None), |(name, arch)| (name, Some(arch)));
    match text {
        "" => Err("is empty"),
        _ if text.starts_with('-') => Err("starts with '-', which programs take for an option"),
        _ if !all(name, "+.-") => Err("is not the name of a package: letters, digits, '+', '.' and '-'"),
        _ if !arch.is_none_or(|arch| all(arch, "-")) => Err("has no architecture such as i386 behind ':'"),
        _ if !suite.is_none_or(|suite| all(suite, "_.-")) => Err("has no suite behind '/'"),
        _ if !version.is_none_or(|version| all(version, ".:+~-")) => Err("has no version behind '='"),
        _ => Ok(()),
    }
}

/// The link group of `update-alternatives`, such as `x86_64-w64-mingw32-g++`.
pub(crate) fn link_group(text: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    match text {
        "" => Err("is empty"),
        _ if text.starts_with('-') => Err("starts with '-', which programs take for an option"),
        _ if text.len() > LENGTH => Err("is longer than 200 bytes"),
        _ if text.chars().all(plain) => Ok(()),
        _ => Err("may hold letters, digits, '_', '.', '+' and '-' only"),
    }
}

/// One path component that is neither `.` nor `..`.
fn one_folder(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("is empty"),
        "." | ".." => Err("names a folder, not something in it"),
        _ if text.contains('/') => Err("holds a path separator"),
        _ if text.chars().any(char::is_control) => Err("holds a control character"),
        _ if text.len() > LENGTH => Err("is longer than 200 bytes"),
        _ => Ok(()),
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
                match $check(text) {
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

impl Distro {
    /// Those that base images are made of.
    pub const KNOWN: [&str; 2] = ["debian", "ubuntu"];
}

name!(
    /// A file of `files:`, directly in `inputs/`.
    InputName, "file name", word
);
name!(
    /// `dir:` of a remote, directly in `inputs/` and the guest's `build/`.
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
    /// An entry of `packages:`, such as `gcc`, `libc6:i386` or `g++=4:12.2.0-3`.
    DebianPackage, "package", debian_package
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each text is accepted as this kind of name.
    fn accepted<T: FromStr>(texts: &[&str]) -> Vec<bool> {
        texts.iter().map(|text| text.parse::<T>().is_ok()).collect()
    }

    #[test]
    fn a_word_is_what_the_original_accepts() {
        let good = ["bitcoin-core_0.21", "22.04", "a", "A.b", ".hidden", "_"];
        assert_eq!(accepted::<PackageName>(&good), [true; 6]);
        let bad = ["", "t 1", "a/b", "a@b", "foo~1", "a+b", "é", "a\n", "..", ".", "-x", "$(x)", &"x".repeat(201)];
        assert_eq!(accepted::<InputName>(&bad), [false; 13]);
    }

    #[test]
    fn every_url_in_use_is_accepted_and_no_shell_syntax() {
        let good = [
            "https://github.com/bitcoin/bitcoin.git",
            "git@github.com:x/y.git",
            "git://host:9418/x",
            "file:///srv/repo",
            "/srv/repo",
            "ssh://git@host/x+y",
        ];
        assert_eq!(accepted::<Url>(&good), [true; 6]);
        let bad = ["", "${URL}", "--upload-pack=x", "https://x/?a=b", "https://x/~me", "a b", "ext::sh -c x"];
        assert_eq!(accepted::<Url>(&bad), [false; 7]);
    }

    #[test]
    fn packages_may_have_an_architecture_a_suite_or_a_version() {
        let good = [
            "gcc",
            "g++",
            "libstdc++6:i386",
            "libc6:i386",
            "python3.11",
            "gcc=4:12.2.0-3",
            "libc6:i386=2.36-9+deb12u1",
            "x=1.0~rc1",
            "git/bookworm-backports",
        ];
        assert_eq!(accepted::<DebianPackage>(&good), [true; 9]);
        let bad = ["", "-y", "--force", "gcc make", "gcc;x", "+x", "a:", "a=", "a/", "a:b:c", "é", "a=b c"];
        assert_eq!(accepted::<DebianPackage>(&bad), [false; 12]);
    }

    #[test]
    fn a_signer_is_one_folder() {
        assert_eq!(accepted::<SignerName>(&["bob@example.org", "Jane Doe", "Zoë"]), [true; 3]);
        assert_eq!(accepted::<SignerName>(&["", "..", "a/b", "a\0b", "a\nb"]), [false; 5]);
    }

    #[test]
    fn a_refusal_names_kind_value_and_reason_on_one_line() {
        let refused = "t\n1'\u{202e}é".parse::<PackageName>().unwrap_err();
        assert_eq!(
            refused.to_string(),
            r"package name 't\n1'\u{202e}é' may hold letters, digits, '_', '.' and '-' only"
        );
        let refused = "ab".repeat(1000).parse::<Suite>().unwrap_err();
        assert_eq!(refused.to_string(), format!("suite '{}…' is longer than 200 bytes", "ab".repeat(40)));
    }
}
