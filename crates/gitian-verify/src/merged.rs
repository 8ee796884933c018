//! What key files said before a change and must go on saying: which keys signatures are checked with, and which of them
//! are revoked. Whoever may take such a thing away takes back a signer's word, or gives a stolen key its voice again.

use std::collections::BTreeSet;
use std::time::SystemTime;

use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::amalgamation::key::PrimaryKey;
use sequoia_openpgp::packet::Signature;

use crate::keyring::may_sign;

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
                add(Said::Signs(name));
            }
        }
        for id in cert.userids() {
            let part = format!("user id {} of key {fingerprint}", String::from_utf8_lossy(id.userid().value()));
            for by in id.bundle().self_revocations() {
                add(revoked(&part, by));
            }
        }
        all
    }
}

fn revoked(part: &str, by: &Signature) -> Said {
    let reason = by.reason_for_revocation().map(|(code, comment)| (code.into(), comment.to_owned()));
    Said::Revoked { part: part.to_owned(), by: (by.signature_creation_time(), reason) }
}
