//! What a change to a tree consists of, and what may speak against it, in words. How faults are found is known to `lint`.

use std::fmt;
use std::path::PathBuf;

/// A file that is changed, added or removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Where, below the tree.
    pub path: PathBuf,
    /// Whether it is gone.
    pub removed: bool,
    /// What was there before.
    pub former: Former,
}

/// What was in a file's place before a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Former {
    /// Nobody told us.
    Unknown,
    /// Nothing.
    Absent,
    /// A file of these bytes.
    Bytes(Vec<u8>),
}

/// Something that speaks against a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file or folder, below the tree.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is not in a signer's folder, or is nothing that belongs there.
    OutOfPlace,
    /// Something that was signed is gone.
    Removed,
    /// There is no document for a signature.
    NoDocument,
    /// There is no signature for a document.
    NoSignature,
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// The signature does not vouch for the document, for this reason.
    BadSignature(String),
    /// It is signed by a key that we do not have.
    NoKey(Option<String>),
    /// It is signed by a key that we have from the change only.
    KeyComesAlong {
        /// The key, as far as the signature names it.
        key: String,
        /// The key file, below the tree.
        file: PathBuf,
    },
    /// It is signed well, but with something that is no longer recommended.
    Weak(String),
    /// It is signed with this key, but the signer's is another.
    OtherKey {
        /// The key, as 40 hexadecimal digits.
        used: String,
        /// How we know of the signer's keys.
        known_by: String,
    },
    /// It is signed with a key that is another signer's.
    KeyOf {
        /// The key, as 40 hexadecimal digits.
        used: String,
        /// Whose key it is.
        owner: String,
    },
    /// The document names another release or package than its place.
    Says {
        /// `release` or `name`.
        what: &'static str,
        /// What it says.
        found: Option<String>,
        /// What it should say.
        wanted: String,
    },
    /// Nothing was built, or a line of what was built cannot be read.
    Manifest(String),
    /// What was merged before is something else now.
    Replaced,
    /// A key file holds a secret key.
    SecretKey,
    /// A key file holds something besides keys.
    NotOnlyKeys,
    /// A key file holds no key.
    NotAKey,
    /// A key file holds none of the keys that its owner had or signed with.
    KeyExchanged {
        /// Whose keys they should be.
        owner: String,
    },
    /// A key file brings another key for somebody who has one.
    NewKey {
        /// The key, as 40 hexadecimal digits.
        key: String,
        /// Whose key it is to be.
        owner: String,
    },
    /// A key file no longer holds a key that it held.
    KeyGone {
        /// The key, as 40 hexadecimal digits.
        key: String,
        /// Whose key it is.
        owner: String,
    },
    /// A key file no longer says that something is revoked.
    RevocationGone {
        /// The key, subkey or user id, in words.
        part: String,
    },
    /// A key file holds somebody else's key.
    HoldsKeyOf {
        /// The key, as 40 hexadecimal digits.
        key: String,
        /// Whose key it is.
        owner: String,
    },
    /// It belongs to another signer than the rest.
    Foreign {
        /// Whose folder it is.
        owner: String,
        /// Who proposes the change.
        by: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfPlace => f.write_str("is neither an assertion nor its signature in RELEASE/SIGNER/, nor a key"),
            Self::Removed => f.write_str("is removed, though it was signed"),
            Self::NoDocument => f.write_str("has a signature, but is not there"),
            Self::NoSignature => f.write_str("has no signature beside it"),
            Self::Unreadable(reason) => f.write_str(reason),
            Self::BadSignature(reason) => write!(f, "bad signature: {reason}"),
            Self::NoKey(Some(key)) => write!(f, "is signed by key {key}, which is not among the known keys"),
            Self::NoKey(None) => f.write_str("is signed by a key that the signature does not name"),
            Self::KeyComesAlong { key, file } => {
                write!(f, "is signed by key {key}, which only comes with this change, in {}", file.display())
            }
            Self::Weak(weakness) => write!(f, "{weakness}"),
            Self::OtherKey { used, known_by } => write!(f, "is signed by key {used}, which is not in {known_by}"),
            Self::KeyOf { used, owner } => write!(f, "is signed by key {used}, which is {owner}'s"),
            Self::Says { what, found: Some(found), wanted } => write!(f, "{what} is {found}, not {wanted}"),
            Self::Says { what, found: None, wanted } => write!(f, "{what} is not stated, should be {wanted}"),
            Self::Manifest(fault) => f.write_str(fault),
            Self::Replaced => f.write_str("is changed, though it was merged before"),
            Self::SecretKey => f.write_str("holds a secret key: whoever has read this can sign as its owner"),
            Self::NotOnlyKeys => f.write_str("holds something besides OpenPGP certificates"),
            Self::NotAKey => f.write_str("holds no OpenPGP certificate"),
            Self::KeyExchanged { owner } => write!(f, "holds none of the keys that {owner} had before"),
            Self::NewKey { key, owner } => {
                write!(f, "brings the new key {key} for {owner}, who has another: needs a maintainer")
            }
            Self::KeyGone { key, owner } => {
                write!(f, "no longer holds key {key}: what {owner} signed with it could not be checked any more")
            }
            Self::RevocationGone { part } => write!(f, "no longer says that {part} is revoked"),
            Self::HoldsKeyOf { key, owner } => write!(f, "holds key {key}, which is {owner}'s"),
            Self::Foreign { owner, by } => write!(f, "belongs to {owner}, but the change is by {by}"),
        }
    }
}
