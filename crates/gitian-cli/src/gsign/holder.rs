//! The secret key of `--key`, unlocked.

use std::time::SystemTime;

use anyhow::{Result, bail};
use gitian_sign::{Passphrase, SecretKey};

use super::terminal::{NoTerminal, Terminal};
use crate::args::gsign::Args;
use crate::printable::printable;
use crate::printed::tell;

/// How often a passphrase is asked for.
const TRIES: usize = 3;

/// Returns the key of the command line, if it names one, unlocked with the passphrase of a file or of the user.
pub fn unlocked(args: &Args, at: SystemTime) -> Result<Option<SecretKey>> {
    let Some(path) = &args.key else { return Ok(None) };
    let mut key = SecretKey::open(path, at)?;
    let owner = printable(&key.owner());
    if key.is_locked() {
        match &args.passphrase_file {
            Some(file) => {
                if !key.unlock(&Passphrase::of_file(file)?) {
                    bail!("key {}: the passphrase of {} is wrong", path.display(), file.display());
                }
            }
            None => ask(&mut key, &owner)?,
        }
    }
    if !args.quiet {
        tell(&format!("gsign: signs with key {} of {owner}", key.fingerprint()));
    }
    Ok(Some(key))
}

fn ask(key: &mut SecretKey, owner: &str) -> Result<()> {
    let mut terminal = Terminal::open(NoTerminal::PASSPHRASE)?;
    for _ in 0..TRIES {
        if key.unlock(&terminal.passphrase(&format!("Passphrase of {owner}: "))?) {
            return Ok(());
        }
        terminal.say("This is not the passphrase.\n")?;
    }
    bail!("key {}: no right passphrase after {TRIES} tries", key.fingerprint())
}
