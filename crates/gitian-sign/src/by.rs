//! What signs: another program, which knows the user's agent or smartcard, or a secret key that we hold.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use gitian_manifest::read_file;
use gitian_process::Command;

use crate::draft::{Draft, REPORT_LIMIT};
use crate::openpgp::{self, SecretKey};
use crate::program::{self, NothingSigned};
use crate::workshop::Workshop;

/// The largest signature that is read, in bytes.
const SIGNATURE_LIMIT: u64 = 1 << 20;

/// What signs.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Another program, called as `PROGRAM -u KEY FILE`, which leaves `FILE.sig`.
    Program {
        /// The program.
        command: &'a Command,
        /// The key, as GnuPG takes it.
        key: &'a str,
    },
    /// We do.
    Key {
        /// The key; unlocked.
        key: &'a SecretKey,
        /// When the signatures are made.
        at: SystemTime,
    },
}

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { command, .. } => write!(f, "{command}"),
            Self::Key { key, .. } => write!(f, "key {}", key.fingerprint()),
        }
    }
}

impl By<'_> {
    /// Signs the draft in a workshop; the signature lies beside it, unless a program left none.
    pub(crate) fn sign(&self, workshop: &Workshop) -> Result<()> {
        match self {
            Self::Program { command, key } => {
                program::run(command, key, &workshop.draft)?;
                let same = read_file(&workshop.draft, REPORT_LIMIT).is_ok_and(|now| now == workshop.bytes);
                ensure!(same, "{command} changed the {} that it was to sign", workshop.what);
                Ok(())
            }
            Self::Key { key, at } => {
                let signature = key.sign(&workshop.bytes, *at)?;
                fs::write(&workshop.signature, signature).with_context(|| workshop.signature.display().to_string())
            }
        }
    }

    /// Signs a draft outside of any tree. Returns the signature, binary; `folder`, where a program gets to see the draft, is
    /// left as it was.
    ///
    /// # Errors
    ///
    /// [`NotSigned`](crate::NotSigned).
    pub fn signature_of(&self, draft: &Draft, folder: &Path) -> Result<Vec<u8>> {
        let name = format!("{}-build.assert", draft.subject.package);
        self.sign_bytes(folder, &name, "assertion", draft.bytes())
    }

    /// Signs bytes under a name that a program gets to see, in a folder that is left as it was. Returns the signature,
    /// binary.
    pub(crate) fn sign_bytes(&self, folder: &Path, name: &str, what: &'static str, bytes: &[u8]) -> Result<Vec<u8>> {
        let workshop = Workshop::open(folder, name, what, bytes)?;
        self.sign(&workshop)?;
        if let (Self::Program { command, .. }, true) = (self, workshop.signature.symlink_metadata().is_err()) {
            return Err(NothingSigned { program: command.to_string(), what }.into());
        }
        let left = read_file(&workshop.signature, SIGNATURE_LIMIT);
        let signature = left.with_context(|| format!("{self} left no signature of the {what}"))?;
        openpgp::binary(&signature).with_context(|| format!("what {self} left for the {what}"))
    }
}
