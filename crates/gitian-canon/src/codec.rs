//! gzip, xz and zstd: told by their first bytes, read whole, written in one way.
//!
//! The libraries are linked, with the versions of Cargo.lock, and run on one thread, so that nothing of the host has a say.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};

use anyhow::Result;
use flate2::GzBuilder;
use flate2::bufread::MultiGzDecoder;
use liblzma::stream::{CONCATENATED, Check, Stream};

use crate::part::{Part, Spool, copy};
use crate::{Run, refused, tar};

/// How a whole archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, level 6; no name, no time, no operating system in its header.
    Gzip,
    /// xz, level 6.
    Xz,
    /// xz, level 6, with the only check that the kernel can read.
    XzOfKernels,
    /// zstd, level 3, with its check.
    Zstd,
}

const GZIP_LEVEL: u32 = 6;
const XZ_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// What unpacking xz may take, in bytes of memory; its highest level needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;
const BUFFER: usize = 128 << 10;

impl Compression {
    /// Finds out what a file is compressed with.
    pub(crate) fn detect(part: &Part) -> Result<Self> {
        let head = part.head(512)?;
        // A tar begins with the name of its first entry, which may be the mark of a compression.
        if tar::is_header(&head) { Ok(Self::None) } else { Self::of(&head) }
    }

    /// Finds out what something is compressed with that begins so.
    pub(crate) fn of(head: &[u8]) -> Result<Self> {
        const OTHERS: [(&[u8], &str); 4] =
            [(b"BZh", "bzip2"), (b"LZIP", "lzip"), (b"\x04\x22\x4d\x18", "lz4"), (b"\x5d\x00\x00", "lzma")];
        if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(refused(format!("is compressed with {name}; gzip, xz and zstd are known")));
        }
        Ok(match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        })
    }

    /// The same, where the kernel is to unpack it.
    pub(crate) fn for_kernels(self) -> Self {
        if self == Self::Xz { Self::XzOfKernels } else { self }
    }
}

/// Returns the bytes that are compressed: in a nameless file, or where they are if they are not compressed.
pub(crate) fn unpack(part: &Part, compression: Compression, run: &mut Run<'_>) -> Result<Part> {
    if compression == Compression::None {
        return Ok(part.clone());
    }
    let packed = BufReader::with_capacity(BUFFER, part.reader());
    let mut reader: Box<dyn Read + '_> = match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Compression::Xz | Compression::XzOfKernels => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(packed)?),
    };
    let spool = Spool::beside_output(run.folder)?;
    let limit = run.budget.bytes_left();
    let part = spool.append(|mut file| match copy(&mut reader, &mut file, limit) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(run.budget.exhausted()),
        Err(error) => Err(not_packed_well(error, compression)),
    })?;
    run.budget.spend_bytes(part.len())?;
    Ok(part)
}

/// What a decoder says about bad data is a refusal; what the disk says is not.
fn not_packed_well(error: anyhow::Error, compression: Compression) -> anyhow::Error {
    match error.downcast_ref::<std::io::Error>() {
        Some(cause) if cause.raw_os_error().is_none_or(|_| compression == Compression::Zstd) && !is_full(cause) => {
            let name = match compression {
                Compression::Gzip => "gzip",
                Compression::Zstd => "zstd",
                _ => "xz",
            };
            refused(format!("cannot be unpacked as {name}: {cause}"))
        }
        _ => error,
    }
}

fn is_full(cause: &std::io::Error) -> bool {
    matches!(cause.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// Writes compressed bytes to a file, where it is.
pub(crate) fn pack(
    file: &File,
    compression: Compression,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, file);
    match compression {
        Compression::None => write(&mut out)?,
        Compression::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(&mut out, level);
            write(&mut encoder)?;
            encoder.finish()?;
        }
        Compression::Xz | Compression::XzOfKernels => {
            let check = if compression == Compression::Xz { Check::Crc64 } else { Check::Crc32 };
            let stream = Stream::new_easy_encoder(XZ_LEVEL, check)?;
            let mut encoder = liblzma::write::XzEncoder::new_stream(&mut out, stream);
            write(&mut encoder)?;
            encoder.finish()?;
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(&mut out, ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            write(&mut encoder)?;
            encoder.finish()?;
        }
    }
    out.flush()?;
    Ok(())
}
