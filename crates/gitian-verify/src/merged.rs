//! What key files said before a change and must go on saying: which keys signatures are checked with, which of them are
//! revoked, and what their owner said of them last. Whoever may take such a thing away takes back a signer's word, or gives
//! a stolen key its voice again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::amalgamation::key::PrimaryKey;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::serialize::MarshalInto;
use sequoia_openpgp::types::HashAlgorithm;

use crate::certificate::may_sign;

/// Something that a key file says about a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Merged {
    /// The certificate, as 40 hexadecimal digits.
    pub cert: String,
    /// What about it.
    pub said: Said,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    /// This key of it signs: the primary key or a subkey, as 40 hexadecimal digits.
    Signs(String),
    /// A part of it is revoked.
    Revoked {
        /// The part, in words.
        part: String,
        /// When, and why, as the owner says: by code and in words.
        by: (Option<SystemTime>, Option<(u8, Vec<u8>)>),
    },
    /// The last that its owner said of a part: that it is his, how long, and for what.
    Last {
        /// The part, in words.
        part: String,
        /// The key of it, as 40 hexadecimal digits, if it is one.
        key: Option<String>,
        /// When.
        made: Option<SystemTime>,
        /// All that is signed of it.
        text: Vec<u8>,
    },
}

impl Merged {
    /// Returns all that a certificate says.
    pub fn of(cert: &Cert) -> BTreeSet<Self> {
        let mut all = BTreeSet::new();
        let fingerprint = cert.fingerprint().to_hex();
        let mut add = |said| all.insert(Self { cert: fingerprint.clone(), said });
        for key in cert.keys() {
            let name = key.key().fingerprint().to_hex();
            let part = format!("{} {name}", if key.primary() { "key" } else { "subkey" });
            for by in key.bundle().self_revocations() {
                add(revoked(&part, by));
            }
            if may_sign(&key) {
                last(&part, Some(&name), key.bundle().self_signatures()).map(&mut add);
                add(Said::Signs(name));
            }
        }
        for id in cert.userids() {
            let part = user_id(cert, id.userid().value());
            for by in id.bundle().self_revocations() {
                add(revoked(&part, by));
            }
            last(&part, None, id.bundle().self_signatures()).map(&mut add);
        }
        all
    }

    /// Returns what of it is no longer said. A newer word of its owner takes the place of an older one.
    pub fn lost(before: BTreeSet<Self>, after: &BTreeSet<Self>) -> Vec<Self> {
        let mut newest: BTreeMap<(&str, &str), Option<SystemTime>> = BTreeMap::new();
        for Self { cert, said } in after {
            if let Said::Last { part, made, .. } = said {
                let known = newest.entry((cert, part)).or_default();
                *known = (*known).max(*made);
            }
        }
        let is_replaced = |Self { cert, said }: &Self| match said {
            Said::Last { part, made, .. } => newest.get(&(&**cert, &**part)).is_some_and(|newest| newest > made),
            Said::Signs(_) | Said::Revoked { .. } => false,
        };
        before.into_iter().filter(|merged| !after.contains(merged) && !is_replaced(merged)).collect()
    }
}

/// Returns the parts of a certificate, in words, that its owner has not said to be of it: anybody can put them in.
pub(crate) fn unbound(cert: &Cert) -> Vec<String> {
    let subkeys =
        cert.keys().subkeys().map(|key| (key.bundle(), format!("subkey {}", key.key().fingerprint().to_hex())));
    let subkeys = subkeys.map(|(bundle, part)| (is_bound(bundle.self_signatures(), bundle.self_revocations()), part));
    let ids = cert.userids().map(|id| (id.bundle(), user_id(cert, id.userid().value())));
    let ids = ids.map(|(bundle, part)| (is_bound(bundle.self_signatures(), bundle.self_revocations()), part));
    let pictures = cert.user_attributes().map(|picture| picture.bundle());
    let pictures = pictures.map(|bundle| {
        let part = format!("a picture of key {}", cert.fingerprint().to_hex());
        (is_bound(bundle.self_signatures(), bundle.self_revocations()), part)
    });
    let unknown =
        cert.unknowns().map(|_| (false, format!("a part of an unknown kind of key {}", cert.fingerprint().to_hex())));
    let all = subkeys.chain(ids).chain(pictures).chain(unknown);
    all.filter(|(is_bound, _)| !is_bound).map(|(_, part)| part).collect()
}

fn is_bound<'s>(mut by: impl Iterator<Item = &'s Signature>, mut revoked: impl Iterator<Item = &'s Signature>) -> bool {
    by.next().is_some() || revoked.next().is_some()
}

fn user_id(cert: &Cert, id: &[u8]) -> String {
    format!("user id {} of key {}", String::from_utf8_lossy(id), cert.fingerprint().to_hex())
}

/// Returns the last of what an owner said about a part. What is made with MD5 nobody hears.
fn last<'s>(part: &str, key: Option<&str>, by: impl Iterator<Item = &'s Signature>) -> Option<Said> {
    let heard = by.filter(|by| by.hash_algo() != HashAlgorithm::MD5);
    let last = heard.max_by_key(|by| by.signature_creation_time())?;
    let text = last.hashed_area().to_vec().ok()?;
    Some(Said::Last { part: part.into(), key: key.map(str::to_owned), made: last.signature_creation_time(), text })
}

/// Returns what a revocation says of a part.
fn revoked(part: &str, by: &Signature) -> Said {
    let reason = by.reason_for_revocation().map(|(code, comment)| (code.into(), comment.to_owned()));
    Said::Revoked { part: part.to_owned(), by: (by.signature_creation_time(), reason) }
}
