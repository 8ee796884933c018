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
    /// Something whose bytes do not matter.
    Something,
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
    /// It is no plain file: a link, a folder, a pipe.
    NotAFile(&'static str),
    /// Something that was merged is gone.
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
    /// It is signed well, but with a key that is not in use at the time of the check, in these words: whoever finds an old
    /// key can date what he signs back.
    KeyNotInUse(&'static str),
    /// It is dated in the future.
    FromTheFuture,
    /// It is signed well, but the policy of the tree does not accept it, for this reason.
    Refused(String),
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
    /// A list is the same as one of another release, which it does not say itself.
    CopyOf(PathBuf),
    /// It is a list beside an assertion that was merged, or the other way round: the assertion counts, and the list is passed
    /// over.
    Beside(PathBuf),
    /// Nothing was built, or a line of what was built cannot be read.
    Manifest(String),
    /// What was merged before is something else now.
    Replaced,
    /// A key file holds a secret key.
    SecretKey,
    /// A key file holds something besides keys.
    NotOnlyKeys,
    /// A file of revocations revokes none of the keys in the files of its name.
    RevokesNothing {
        /// Whose keys they should be.
        owner: String,
    },
    /// A key file holds no key.
    NotAKey,
    /// A key file lies in a folder that is not in use.
    OtherKeyFolder {
        /// The folder that is, below the tree.
        used: PathBuf,
    },
    /// A key file holds parts that the owner of the key does not say to be of it.
    Unbound {
        /// The part, in words.
        part: String,
    },
    /// A key file brings a key that the policy of the tree does not name for its owner.
    NotInPolicy {
        /// The key, as 40 hexadecimal digits.
        key: String,
        /// Whose key it is to be.
        owner: String,
    },
    /// Somebody new takes a name that the policy of the tree speaks of, without saying whose keys it means.
    NamedInPolicy {
        /// The name.
        owner: String,
    },
    /// Somebody new takes a name that differs from another's in nothing but capital letters.
    NameLike {
        /// The other.
        owner: String,
    },
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
    /// A key file no longer says what the owner of a key said last.
    OlderCopy {
        /// The key, subkey or user id that it was said of, in words.
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
            Self::NotAFile(kind) => write!(f, "is {kind}, not a plain file"),
            Self::Removed => f.write_str("is removed, though it was merged before"),
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
            Self::KeyNotInUse(how) => write!(f, "is signed with a key that {how}"),
            Self::FromTheFuture => f.write_str("is signed in the future: gverify would refuse it"),
            Self::Refused(reason) => f.write_str(reason),
            Self::OtherKey { used, known_by } => write!(f, "is signed by key {used}, which is not in {known_by}"),
            Self::KeyOf { used, owner } => write!(f, "is signed by key {used}, which is {owner}'s"),
            Self::Says { what, found: Some(found), wanted } => write!(f, "{what} is {found}, not {wanted}"),
            Self::Says { what, found: None, wanted } => write!(f, "{what} is not stated, should be {wanted}"),
            Self::CopyOf(path) => write!(f, "is the same list as {}: it is about that release", path.display()),
            Self::Beside(path) => {
                write!(
                    f,
                    "is about the same as {}, which was merged: only the assertion of the two counts",
                    path.display()
                )
            }
            Self::Manifest(fault) => f.write_str(fault),
            Self::Replaced => f.write_str("is changed, though it was merged before"),
            Self::SecretKey => f.write_str("holds a secret key: whoever has read this can sign as its owner"),
            Self::NotOnlyKeys => f.write_str("holds something besides OpenPGP certificates"),
            Self::RevokesNothing { owner } => {
                write!(f, "holds a revocation, but of no key in {owner}'s key files beside it")
            }
            Self::NotAKey => f.write_str("holds no OpenPGP certificate"),
            Self::OtherKeyFolder { used } => {
                write!(f, "lies in another folder than the other keys: {}", used.display())
            }
            Self::Unbound { part } => write!(f, "holds {part}, which its owner did not sign: anybody can put that in"),
            Self::NotInPolicy { key, owner } => {
                write!(f, "holds key {key}, which gverify.toml does not name among {owner}'s")
            }
            Self::NamedInPolicy { owner } => {
                write!(f, "would be {owner}, of whom gverify.toml speaks without naming a key: needs a maintainer")
            }
            Self::NameLike { owner } => write!(f, "is of somebody new whose name looks like {owner}'s"),
            Self::KeyExchanged { owner } => write!(f, "holds none of the keys that {owner} had before"),
            Self::NewKey { key, owner } => {
                write!(f, "brings the new key {key} for {owner}, who has another: needs a maintainer")
            }
            Self::KeyGone { key, owner } => {
                write!(f, "no longer holds key {key}: what {owner} signed with it could not be checked any more")
            }
            Self::RevocationGone { part } => write!(f, "no longer says that {part} is revoked"),
            Self::OlderCopy { part } => write!(f, "does not say what was last said of {part}: it is an older copy"),
            Self::HoldsKeyOf { key, owner } => write!(f, "holds key {key}, which is {owner}'s"),
            Self::Foreign { owner, by } => write!(f, "belongs to {owner}, but the change is by {by}"),
        }
    }
}
