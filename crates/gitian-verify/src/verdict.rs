//! What is decided about a release: the verdict about each signer, whose manifest was the reference, and whether the
//! policy's demands are met. How it is decided is known to `decide`.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::facts::Weakness;

/// What is decided about a release, one verdict for each of the facts, in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whose manifest the others were compared with.
    pub reference: Reference,
    /// The verdicts.
    pub verdicts: Vec<Verdict>,
    /// For each signer with an acceptable signature, another one whose word it is (the same key, or another key of the
    /// same signer), with the newest signature: a key counts once.
    pub same_key_as: Vec<Option<usize>>,
    /// For each signer, whether the word does not count because the same person vouches for something else about this
    /// release and package, with a signature that is newer or as new.
    pub superseded: Vec<bool>,
    /// Who built the same, of those whose word about this release and package counts. Who has more weight comes first, then
    /// who has the first signer.
    pub camps: Vec<Camp>,
    /// How much weight the signers with the verdict `Ok` have together; 1 each unless the policy says otherwise.
    pub weight: u64,
    /// The demands of the policy that are not met.
    pub unmet: Vec<Unmet>,
}

/// Signers who vouch for the same out manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camp {
    /// Who, as indices into the facts, in their order.
    pub signers: Vec<usize>,
    /// Their weight together; a key counts once.
    pub weight: u64,
}

/// Whose manifest the others are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// This signer's, an index into the facts: the one that was asked for, or the first of those who built what the most
    /// built.
    Signer(usize),
    /// Nobody's: no signer whose word has weight has a good signature on an assertion about this release and package.
    Nobody,
    /// Nobody's: several camps have the same weight. How many of the first camps these are.
    Tied(usize),
    /// The wanted signer has no folder.
    Unknown(String),
    /// The wanted signer, an index into the facts, has no acceptable signature on an assertion.
    Unusable(usize),
}

/// What is said about one signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A good signature on the same manifest, for this release and package.
    Ok,
    /// A good signature on something else.
    Mismatch(Box<Mismatch>),
    /// A good signature, and no manifest to compare with.
    NotCompared,
    /// A good signature by a key that is not this signer's.
    WrongKey(WrongKey),
    /// A good signature that the policy does not accept, for each of these reasons.
    Refused(Vec<Refusal>),
    /// The signature is wrong, or the owner of its key no longer stands for it.
    BadSignature,
    /// The signature was made by a key that we do not have.
    NoKey,
    /// The assertion or its signature cannot be read, for this reason.
    Unreadable(String),
    /// There is no assertion.
    MissingResult,
    /// There is no signature.
    MissingSignature,
}

/// A key that is not the signer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongKey {
    /// The primary key that signed, as 40 hexadecimal digits; nothing where another program checked and tells no key.
    pub key: Option<String>,
    /// Whose key it is by the policy's word.
    pub owner: Option<String>,
    /// The key file of the signer's name, where that says so and no policy.
    pub file: Option<PathBuf>,
}

/// Why a policy does not accept a good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It relies on something weak.
    Weak(Weakness),
    /// The key has expired.
    KeyExpired {
        /// When.
        at: Option<SystemTime>,
    },
    /// It is older than the policy wants.
    TooOld {
        /// When it was made.
        made: SystemTime,
        /// The age that is allowed.
        limit: Duration,
    },
    /// It was made after the time for which we decide.
    FromTheFuture {
        /// When it was made.
        made: SystemTime,
    },
    /// Another program checked it and does not tell what the policy asks for.
    NotTold,
}

/// A demand of the policy that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// Too few agree.
    TooFew {
        /// The weight that is demanded.
        wanted: u64,
        /// The weight of those who agree.
        found: u64,
    },
    /// Too few members of a group agree.
    TooFewOf {
        /// The group.
        group: String,
        /// The weight that is demanded.
        wanted: u64,
        /// The weight of its members who agree.
        found: u64,
        /// Its members who do not.
        others: Vec<String>,
    },
    /// This signer must agree, and does not.
    Required(String),
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { wanted, found } => write!(f, "{found} of the {wanted} that must agree do"),
            Self::TooFewOf { group, wanted, found, others } => {
                write!(f, "{found} of the {wanted} of {group} that must agree do, without {}", others.join(", "))
            }
            Self::Required(signer) => write!(f, "{signer} must agree and does not"),
        }
    }
}

/// How an assertion differs from what it should say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// The release that it names instead, if it names one.
    pub release: Option<Stated>,
    /// The package that it names instead, if it names one.
    pub name: Option<Stated>,
    /// Whether the manifests differ at all.
    pub manifest: bool,
    /// The lines in which the manifests differ, by path: the first thousand.
    pub lines: Vec<Line>,
    /// How many more there are.
    pub more_lines: usize,
}

/// A value that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// What it should be.
    pub wanted: String,
    /// What it is.
    pub found: Option<String>,
}

/// A line of one manifest that the other does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Of the reference.
    Reference(String),
    /// Of the signer.
    Signer(String),
}

/// What all verdicts together amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody was verified, nothing is wrong, and the policy's demands are met.
    Verified,
    /// Something is wrong, or a demand is not met.
    Failed,
    /// Nobody was verified, and nothing is wrong either.
    Nothing,
}

impl Verdict {
    /// Returns whether something is wrong with this signer's word.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Mismatch(_)
            | Self::WrongKey(_)
            | Self::Refused(_)
            | Self::BadSignature
            | Self::NoKey
            | Self::Unreadable(_) => true,
            Self::Ok | Self::NotCompared | Self::MissingResult | Self::MissingSignature => false,
        }
    }
}

impl Decision {
    /// Returns what all verdicts together amount to.
    pub fn outcome(&self) -> Outcome {
        let verified = self.verdicts.contains(&Verdict::Ok);
        if self.verdicts.iter().any(Verdict::is_failure) || !self.unmet.is_empty() {
            Outcome::Failed
        } else if verified {
            Outcome::Verified
        } else {
            Outcome::Nothing
        }
    }
}
