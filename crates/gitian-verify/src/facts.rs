//! What is known about one signer: the document, and what its signature is worth. Facts only: whether they are good
//! enough is decided in `decide`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gitian_manifest::Assertion;

use crate::program::Answer;
use crate::unpaired::Unpaired;

/// How far clocks may differ before a signature is from the future.
pub(crate) const CLOCKS: Duration = Duration::from_secs(24 * 3600);

/// What is known about one signer of a release.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The name of the signer's folder; bytes that are not UTF-8 are escaped.
    pub signer: String,
    /// Where the assertion is, or should be.
    pub assert_path: PathBuf,
    /// Where its signature is, or should be.
    pub signature_path: PathBuf,
    /// The assertion.
    pub document: Document,
    /// Its signature; of several in one file the best.
    pub signature: Signature,
    /// The other good ones in the same file, who may rather be meant first, each with what the name would rest on by it: a policy may
    /// prefer one of them. Of one key's only those that differ in what they are worth.
    pub others: Vec<(Good, Naming)>,
    /// Where one of the two is absent: other assertions without a signature and signatures without an assertion in the same
    /// folder. It may be there under a wrong name.
    pub unpaired: Unpaired,
    /// Where the signature is absent: another file of the folder that is a good signature of this assertion.
    pub misnamed_signature: Option<String>,
    /// What the signer's name rests on.
    pub naming: Naming,
}

/// What the name of a signer rests on, before a policy is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// The folder, which is called so.
    #[default]
    Folder,
    /// The folder alone: this file, which is called after the signer too, does not hold the key that signed.
    FolderOfOtherKeys(PathBuf),
    /// The first user id of the key, which everybody chooses as he likes: nobody's name.
    UserId,
}

/// The state of an assertion.
#[derive(Clone, Debug)]
pub enum Document {
    /// There is none.
    Absent,
    /// There is something, but it cannot be had: a link out of the tree, a pipe, no permission, too large.
    OutOfReach(String),
    /// It is not an assertion.
    Malformed(String),
    /// It was read; everybody who signed one list has the same.
    Read(Arc<Assertion>),
}

/// The state of a signature file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// There is none.
    Absent,
    /// There is something, but it cannot be had: a link out of the tree, a pipe, no permission, too large.
    OutOfReach(String),
    /// There was no document to check it against.
    NotChecked,
    /// The file holds something else than a detached signature.
    NotDetached(String),
    /// Made by a key that we do not have.
    NoKey(Unknown),
    /// Made with a digest that anyone can forge.
    BrokenHash {
        /// The digest.
        hash: String,
    },
    /// Does not belong to the document.
    Bad {
        /// The key that is said to have made it, as 40 hexadecimal digits.
        key: String,
        /// What is wrong.
        reason: String,
        /// When it was made, by its own word.
        made: Option<SystemTime>,
    },
    /// Made by a key that we have, over exactly this document.
    Good(Box<Good>),
    /// Another program answered.
    Program(Answer),
}

/// A signature by a key that we do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The key that is said to have made it: 40 hexadecimal digits, or 16 where the signature tells no more.
    pub key: Option<String>,
    /// When it was made, by its own word.
    pub made: Option<SystemTime>,
}

/// A signature that is mathematically right, and what is known about its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    /// The key that made it, as 40 hexadecimal digits; a subkey perhaps.
    pub key: String,
    /// The primary key that it belongs to, as 40 hexadecimal digits: who a signer is.
    pub primary_key: String,
    /// All keys of the same certificate that may sign, as 40 hexadecimal digits each.
    pub certificate: Vec<String>,
    /// The user ids of the key that its owner has signed.
    pub user_ids: Vec<String>,
    /// Whose the certificate is by the files of key folders: by one that is called after a signer of the tree, or whose
    /// certificates are one person's by their user ids.
    pub owner: Option<String>,
    /// When it was made, by its own word.
    pub made: SystemTime,
    /// When it ceases to count, by its own word.
    pub expires: Option<SystemTime>,
    /// The digest: `SHA512`.
    pub hash: String,
    /// The kind of key: `RSA 4096`, `EdDSA`.
    pub algorithm: String,
    /// What is weak about it, though still accepted.
    pub weak: Vec<Weakness>,
    /// What the key's life means for the signature, at the time for which it was checked.
    pub standing: Standing,
    /// When the key expires or did.
    pub key_expires: Option<SystemTime>,
    /// How the key was revoked.
    pub key_revoked: Option<Revocation>,
}

/// How a key was revoked by its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: SystemTime,
    /// Whether the owner said that somebody else has the key: then no date can be trusted.
    pub compromised: bool,
    /// Why, in the owner's words; may be empty.
    pub comment: String,
}

/// Something that a signature relies on and that is no longer recommended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// SHA-1 or RIPEMD-160.
    Hash(String),
    /// An RSA or DSA key of less than 2048 bits.
    ShortKey(String),
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => write!(f, "{hash} is a weak digest"),
            Self::ShortKey(key) => write!(f, "{key} is a short key"),
        }
    }
}

/// What the life of its key means for a good signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The key is in use.
    Sound,
    /// The key expired after the signature was made.
    KeyExpiredSince,
    /// The key was revoked after the signature was made, not because it was compromised.
    KeyRevokedLater,
    /// The signature was made after the key had expired. The owner may have prolonged it in a newer copy of the key.
    MadeAfterExpiry,
    /// The signature was made after the key had been revoked.
    MadeAfterRevocation,
    /// The key was revoked because somebody else has it.
    KeyCompromised,
    /// The signature itself was limited in time.
    SignatureExpired,
}

impl Standing {
    /// Returns what the life of a key means for a signature, seen from a point in time. The gravest fact wins.
    pub fn of(
        made: SystemTime,
        expires: Option<SystemTime>,
        key_expires: Option<SystemTime>,
        key_revoked: Option<&Revocation>,
        now: SystemTime,
    ) -> Self {
        let over = |end: Option<SystemTime>| end.is_some_and(|end| end <= now);
        match (key_revoked, key_expires) {
            (Some(revoked), _) if revoked.compromised => Self::KeyCompromised,
            (Some(revoked), _) if revoked.at <= made => Self::MadeAfterRevocation,
            _ if over(expires) => Self::SignatureExpired,
            (_, Some(end)) if end <= made => Self::MadeAfterExpiry,
            (Some(_), _) => Self::KeyRevokedLater,
            (None, end) if over(end) => Self::KeyExpiredSince,
            (None, _) => Self::Sound,
        }
    }

    /// Returns whether the owner of the key still stands for the signature, as far as anyone can know.
    ///
    /// A signature that was made after the key expired counts: nobody else can have made it, and a newer copy of the
    /// key may well say that it lives on.
    pub fn counts(self) -> bool {
        match self {
            Self::Sound | Self::KeyExpiredSince | Self::KeyRevokedLater | Self::MadeAfterExpiry => true,
            Self::MadeAfterRevocation | Self::KeyCompromised | Self::SignatureExpired => false,
        }
    }
}
