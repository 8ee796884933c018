//! An updater that carries its config: the program itself, the config behind it, its length, a mark.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result};
use gitian_manifest::{beside, put_in_place};

const MARK: &[u8] = b"gitian-updater config 1\n";
/// The longest config, in bytes.
const LIMIT: u64 = 1 << 20;

/// Returns the config that a program carries, if it carries one.
pub fn read(program: &Path) -> Result<Option<Vec<u8>>> {
    let mut file = File::open(program).with_context(|| program.display().to_string())?;
    let end = program_end(&mut file)?;
    let Some((at, len)) = end else { return Ok(None) };
    let mut config = vec![0; len];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut config)?;
    Ok(Some(config))
}

/// Returns where the config begins, and how long it is.
fn program_end(file: &mut File) -> io::Result<Option<(u64, usize)>> {
    let tail = 8 + MARK.len() as u64;
    let size = file.metadata()?.len();
    if size < tail {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(size - tail))?;
    let (mut len, mut mark) = ([0; 8], [0; MARK.len()]);
    file.read_exact(&mut len)?;
    file.read_exact(&mut mark)?;
    let len = u64::from_le_bytes(len);
    let fits = mark == *MARK && len <= LIMIT;
    Ok((size - tail).checked_sub(len).filter(|_| fits).map(|at| (at, len as usize)))
}

/// Writes a copy of a program that carries a config, whole or not at all.
pub fn write(program: &Path, config: &[u8], output: &Path) -> Result<()> {
    let mut from = File::open(program).with_context(|| program.display().to_string())?;
    // One that carries a config already gets another one.
    let size = match program_end(&mut from)? {
        Some((at, _)) => at,
        None => from.metadata()?.len(),
    };
    from.seek(SeekFrom::Start(0))?;
    let name = || output.display().to_string();
    let mut file = beside(output, 0o777).with_context(name)?;
    io::copy(&mut from.take(size), &mut file)?;
    file.write_all(config)?;
    file.write_all(&(config.len() as u64).to_le_bytes())?;
    file.write_all(MARK)?;
    put_in_place(file, output).with_context(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_carries_the_last_config_that_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("program"), "the program").unwrap();
        assert_eq!(read(&at("program")).unwrap(), None);
        write(&at("program"), b"first", &at("one")).unwrap();
        write(&at("one"), b"", &at("two")).unwrap();
        write(&at("two"), b"third", &at("three")).unwrap();
        assert_eq!(read(&at("one")).unwrap().unwrap(), b"first");
        assert_eq!(read(&at("two")).unwrap().unwrap(), b"");
        assert_eq!(std::fs::read(at("three")).unwrap().len(), b"the programthird".len() + 8 + MARK.len());
        std::fs::write(at("short"), MARK).unwrap();
        std::fs::write(at("lies"), [b"x", &[0xff; 8][..], MARK].concat()).unwrap();
        assert!(read(&at("short")).unwrap().is_none() && read(&at("lies")).unwrap().is_none());
    }
}
