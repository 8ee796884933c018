//! What an archive is: told by its bytes, never by its name.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;

use crate::codec::Compression;
use crate::part::Part;
use crate::{ar, refused, tar};

/// A kind of archive, uncompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// zip and jar.
    Zip,
    /// tar, in all its dialects.
    Tar,
    /// cpio as the kernel reads it (newc), perhaps several in a row.
    Cpio,
    /// ar: static libraries.
    Ar,
    /// A Debian package: an ar of two tars.
    Deb,
    /// A tar of an OCI image layout, or what `docker save` writes.
    Image,
}

/// A kind of archive with its compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The archive.
    pub archive: Archive,
    /// What it is compressed with as a whole.
    pub compression: Compression,
}

impl Format {
    /// An archive that is not compressed as a whole.
    pub fn of(archive: Archive) -> Self {
        Self { archive, compression: Compression::None }
    }
}

const NAMES: [(&str, Archive); 8] = [
    ("zip", Archive::Zip),
    ("jar", Archive::Zip),
    ("tar", Archive::Tar),
    ("cpio", Archive::Cpio),
    ("ar", Archive::Ar),
    ("deb", Archive::Deb),
    ("image", Archive::Image),
    ("oci", Archive::Image),
];

impl Archive {
    /// Tells an archive by its bytes; an image is a tar until its entries are known.
    pub(crate) fn detect(part: &Part) -> Result<Self> {
        let head = part.head(512)?;
        // First of all: a tar begins with the name of its first entry, which may be the mark of any other archive.
        if tar::is_header(&head) {
            return Ok(Self::Tar);
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Ok(Self::Zip);
        }
        if head.starts_with(ar::MAGIC) {
            return Ok(if head[ar::MAGIC.len()..].starts_with(b"debian-binary") { Self::Deb } else { Self::Ar });
        }
        if head.starts_with(b"0707") {
            return Ok(Self::Cpio);
        }
        if !head.is_empty() && part.skip_zeros(0)?.is_none() {
            return Ok(Self::Tar);
        }
        Err(refused(
            "is no archive that is known: zip, tar, cpio (newc), ar or deb, the latter four also in gzip, xz or zstd",
        ))
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, compression) = match text.split_once('.') {
            None if text == "tgz" => ("tar", Compression::Gzip),
            None if text == "txz" => ("tar", Compression::Xz),
            None => (text, Compression::None),
            Some((name, "gz")) => (name, Compression::Gzip),
            Some((name, "xz")) => (name, Compression::Xz),
            Some((name, "zst")) => (name, Compression::Zstd),
            Some((_, other)) => return Err(format!("{other} is none of gz, xz, zst")),
        };
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let Some((_, archive)) = known else {
            return Err(format!("{name} is none of zip, jar, tar, cpio, ar, deb, image"));
        };
        if compression != Compression::None && matches!(archive, Archive::Zip | Archive::Ar | Archive::Deb) {
            return Err(format!("{name} is not compressed as a whole"));
        }
        Ok(Self { archive: *archive, compression })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, archive)| *archive == self.archive).map_or("", |(name, _)| name);
        f.write_str(name)?;
        f.write_str(match self.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Xz | Compression::XzOfKernels => ".xz",
            Compression::Zstd => ".zst",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_as_they_are_written() {
        for text in ["zip", "tar", "tar.gz", "tar.xz", "tar.zst", "cpio", "cpio.zst", "ar", "deb", "image", "image.gz"]
        {
            assert_eq!(text.parse::<Format>().unwrap().to_string(), text);
        }
        for (text, other) in [("jar", "zip"), ("tgz", "tar.gz"), ("txz", "tar.xz"), ("oci", "image")] {
            assert_eq!(text.parse::<Format>().unwrap().to_string(), other);
        }
        for text in ["", "tar.bz2", "zip.gz", "deb.xz", "rar", "tar."] {
            assert!(text.parse::<Format>().is_err(), "{text}");
        }
    }
}
