//! A tar without what lies in `./dev/`: not everybody may make device nodes, and every kind of guest has its own.

use std::io::{self, Read};

const BLOCK: usize = 512;

/// Reads another reader's tar, leaving out what lies in `./dev/` (the folder itself stays). Names there are short: they
/// need no further headers of their own.
pub(crate) struct WithoutDevices<R> {
    tar: R,
    block: [u8; BLOCK],
    /// What of the block was handed on.
    done: usize,
    /// How many blocks of the present member are still to come.
    content: u64,
    ended: bool,
}

impl<R: Read> WithoutDevices<R> {
    /// Wraps a reader of a tar.
    pub(crate) fn new(tar: R) -> Self {
        Self { tar, block: [0; BLOCK], done: BLOCK, content: 0, ended: false }
    }

    /// Reads the next block that is handed on; at the end there is none.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            if self.ended {
                // Behind the end there may be padding.
                return self.next_block();
            }
            if !self.next_block()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.content > 0 {
                self.content -= 1;
                return Ok(true);
            }
            self.ended = self.block.iter().all(|byte| *byte == 0);
            self.content = size(&self.block)?.div_ceil(BLOCK as u64);
            let name = self.block.iter().take(100).take_while(|byte| **byte != 0).copied().collect::<Vec<u8>>();
            if name.strip_prefix(b"./dev/").is_none_or(<[u8]>::is_empty) {
                return Ok(true);
            }
            for _ in 0..std::mem::take(&mut self.content) {
                self.next_block()?;
            }
        }
    }

    fn next_block(&mut self) -> io::Result<bool> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.tar.read(&mut self.block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.done = 0;
        Ok(true)
    }
}

/// Returns the size that a header tells, in bytes. Source: GNU tar's manual, "Basic Tar Format".
fn size(header: &[u8; BLOCK]) -> io::Result<u64> {
    let field = &header[124..136];
    if field[0] & 0x80 != 0 {
        // Sizes that do not fit in octal digits.
        return Ok(field[4..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let digits = field.iter().filter(|byte| byte.is_ascii_digit());
    let mut sum: u64 = 0;
    for digit in digits {
        sum = sum.checked_mul(8).ok_or(io::ErrorKind::InvalidData)? + u64::from(digit - b'0');
    }
    Ok(sum)
}

impl<R: Read> Read for WithoutDevices<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.done == BLOCK && !self.advance()? {
            return Ok(0);
        }
        let count = buffer.len().min(BLOCK - self.done);
        buffer[..count].copy_from_slice(&self.block[self.done..self.done + count]);
        self.done += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tar: impl Read) -> Vec<(String, usize)> {
        let mut archive = tar::Archive::new(tar);
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content.len())
            })
            .collect()
    }

    #[test]
    fn only_what_lies_in_dev_is_left_out() {
        let mut builder = tar::Builder::new(Vec::new());
        let long = "./usr/".to_owned() + &"x".repeat(200);
        for (name, content) in [
            ("./dev/", 0),
            ("./dev/null", 0),
            ("./dev/odd", 1500),
            ("./a", 512),
            ("./device", 1),
            (&long, 513),
            ("./usr/dev/x", 7),
            ("./z", 0),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content);
            header.set_mode(0o644);
            header.set_entry_type(if name.ends_with('/') {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            });
            let bytes = vec![b'c'; usize::try_from(content).unwrap()];
            if name.len() > 100 {
                builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
            } else {
                header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
                header.set_cksum();
                builder.append(&header, bytes.as_slice()).unwrap();
            }
        }
        let tar = builder.into_inner().unwrap();
        let found = names(WithoutDevices::new(tar.as_slice()));
        let plain: Vec<_> = found.iter().map(|(name, size)| (name.trim_start_matches("./"), *size)).collect();
        let long = long.trim_start_matches("./");
        assert_eq!(plain, [("dev/", 0), ("a", 512), ("device", 1), (long, 513), ("usr/dev/x", 7), ("z", 0)]);
        let cut = &tar[..tar.len() - 2048];
        assert!(io::copy(&mut WithoutDevices::new(cut), &mut io::sink()).is_err(), "a tar that ends early is an error");
    }
}
