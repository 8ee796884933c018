//! SHA-256 of bytes, a stream or a file: one pass through one small buffer. Which files to hash is known to `scan`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Bytes read at a time: large enough for a system call to cost nothing, small enough to live on the stack.
const CHUNK: usize = 64 * 1024;

/// A SHA-256 digest; written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of these bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns the digest of all that can be read.
    pub fn of_reader(reader: impl Read) -> io::Result<Self> {
        Self::of_reader_watched(reader, |_| Ok(()))
    }

    /// Returns the digest of a file's content.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        Self::of_reader(File::open(path)?)
    }

    /// Returns the digest of all that can be read. `on_bytes` is told after each piece how many bytes it had, and breaks
    /// off with an error of its own.
    pub fn of_reader_watched(
        mut reader: impl Read,
        mut on_bytes: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut buffer = [0; CHUNK];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Self(hash.finalize().into())),
                Ok(count) => {
                    hash.update(&buffer[..count]);
                    on_bytes(count as u64)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a SHA-256 digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a sha256: 64 hex digits", .0.escape_default())]
pub struct NotADigest(pub String);

impl FromStr for Digest {
    type Err = NotADigest;

    /// Reads 64 hex digits of either case.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let refused = || NotADigest(text.chars().take(80).collect());
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(refused());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |c: u8| (c as char).to_digit(16).map(|digit| digit as u8);
            *byte = match (digit(pair[0]), digit(pair[1])) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(refused()),
            };
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_digest_of_abc_is_the_one_in_the_standard() {
        assert_eq!(Digest::of_bytes(b"abc").to_string(), OF_ABC);
    }

    #[test]
    fn a_stream_has_the_digest_of_its_bytes_however_they_arrive() {
        let bytes: Vec<u8> = (0..3 * CHUNK + 7).map(|n| (n % 251) as u8).collect();
        let mut counted = 0;
        let count = |count| {
            counted += count;
            Ok(())
        };
        let streamed = Digest::of_reader_watched(&bytes[..], count).unwrap();
        assert_eq!((streamed, counted), (Digest::of_bytes(&bytes), bytes.len() as u64));
    }

    #[test]
    fn a_digest_is_read_in_either_case_and_written_in_lower_case() {
        assert_eq!(OF_ABC.to_uppercase().parse::<Digest>().unwrap().to_string(), OF_ABC);
        for text in ["", "abc", &OF_ABC[1..], &format!("{OF_ABC}0"), &OF_ABC.replace('b', "g"), &"é".repeat(32)] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
