//! The keys that are trusted for a mirror, as the caller gives them.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::Problem;

/// Reads a file of OpenPGP keys, armoured or not.
pub(super) fn read_keys(path: &Path) -> Result<Vec<u8>> {
    let problem = |what: String| Problem {
        what: format!("keyring {}: {what}", path.display()),
        mend: "give --keyring the file of the mirror's keys: gpg --export KEY > keys.gpg".into(),
    };
    let keys = fs::read(path).map_err(|error| problem(error.to_string()))?;
    // Every packet of binary OpenPGP data begins with a byte whose first bit is set. Source: RFC 9580, section 4.2.
    if !is_armoured(&keys) && keys.first().is_none_or(|first| first & 0x80 == 0) {
        return Err(problem("holds no OpenPGP keys".into()).into());
    }
    Ok(keys)
}

fn is_armoured(keys: &[u8]) -> bool {
    keys.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")
}

/// Returns the name of a keyring: apt sees by the ending what is in it. Source: apt-key(8).
pub(super) fn keyring_name(keys: &[u8]) -> &'static str {
    if is_armoured(keys) { "mirror.asc" } else { "mirror.gpg" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_is_named_after_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        for (content, name) in [
            (&b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"[..], Some("mirror.asc")),
            (b"\x98\x33\x04", Some("mirror.gpg")),
            (b"root:x:0:0\n", None),
            (b"", None),
        ] {
            let path = folder.path().join("keys");
            fs::write(&path, content).unwrap();
            assert_eq!(read_keys(&path).ok().as_deref().map(keyring_name), name, "{content:?}");
        }
    }
}
