//! What a certificate says that is its owner's: names, and keys that may sign.

use std::collections::BTreeSet;

use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::amalgamation::key::{ErasedKeyAmalgamation, PrimaryKey};
use sequoia_openpgp::packet::key::PublicParts;
use sequoia_openpgp::types::HashAlgorithm;

/// Returns the names and addresses in the user ids of a certificate that its owner has signed, in small letters.
pub(crate) fn names(cert: &Cert) -> BTreeSet<String> {
    let own = cert.userids().filter(|id| id.bundle().self_signatures().next().is_some());
    let parts = own.flat_map(|id| {
        [id.userid().name(), id.userid().email()].map(|part| part.ok().flatten().map(str::to_lowercase))
    });
    parts.flatten().collect()
}

/// Whether a key belongs to its certificate: it is the primary key, or bound by a signature of the primary key that
/// makes it a signing key, which itself agreed (without that, anyone could claim another's subkey).
pub(crate) fn may_sign(key: &ErasedKeyAmalgamation<'_, PublicParts>) -> bool {
    key.primary()
        || key.bundle().self_signatures().any(|binding| {
            binding.hash_algo() != HashAlgorithm::MD5 && binding.key_flags().is_some_and(|flags| flags.for_signing())
        })
}
