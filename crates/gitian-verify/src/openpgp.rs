//! Checks detached OpenPGP signatures in-process, against given keys.
//!
//! A signature is judged mathematically first; what its key's life and its algorithms mean is recorded as a fact. A
//! library's standard policy would refuse half of the signatures of the last fifteen years that GnuPG accepts, for
//! reasons that have nothing to do with who signed what.

use std::time::SystemTime;

use sequoia_openpgp::cert::amalgamation::ValidateAmalgamation;
use sequoia_openpgp::cert::amalgamation::key::{ErasedKeyAmalgamation, ValidErasedKeyAmalgamation};
use sequoia_openpgp::crypto::hash::Context;
use sequoia_openpgp::packet::key::PublicParts;
use sequoia_openpgp::packet::signature::subpacket::SubpacketValue;
use sequoia_openpgp::packet::{self, Packet};
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse};
use sequoia_openpgp::policy::{HashAlgoSecurity, Policy};
use sequoia_openpgp::types::{HashAlgorithm, PublicKeyAlgorithm, ReasonForRevocation, SignatureType};
use sequoia_openpgp::{Cert, Error, KeyHandle};

use crate::certificate::may_sign;
use crate::clear_signed::ClearSigned;
use crate::facts::{CLOCKS, Good, Revocation, Signature, Standing, Unknown, Weakness};
use crate::keyring::{Keyring, blocks};

/// How many signatures of one file may be salted: each of those needs the whole document to be hashed anew.
const SALTED_LIMIT: usize = 16;
/// Says how mail is to be written, and nothing about a document.
const HARMLESS_NOTATION: &str = "preferred-email-encoding@pgp.com";
/// How many signatures of one file are told that are not good: anybody can add any number.
const NOT_GOOD_LIMIT: usize = 100;

/// Checks a file of detached signatures, binary or armored. If it holds several, the best one counts, wherever it is: a bad
/// one never hides a good one.
pub fn check(signature: &[u8], document: &[u8], keys: &Keyring, now: SystemTime) -> Signature {
    check_all(signature, document, keys, now).0
}

/// Checks a file of detached signatures. Returns the best one, and the other good ones, the best first.
pub(crate) fn check_all(signature: &[u8], document: &[u8], keys: &Keyring, now: SystemTime) -> (Signature, Vec<Good>) {
    let checked = check_each(signature, document, keys, now);
    let ((), best, others) = best_first(checked.into_iter().map(|state| ((), state)).collect(), now);
    (best, others)
}

/// Returns the best of some states and where it is, and the other good ones, the best first.
pub(crate) fn best_first<P: Default>(mut states: Vec<(P, Signature)>, now: SystemTime) -> (P, Signature, Vec<Good>) {
    states.sort_by(|(_, a), (_, b)| rank(b, now).cmp(&rank(a, now)));
    let mut states = states.into_iter();
    let (place, best) = states.next().unwrap_or_else(|| (P::default(), Signature::NotDetached("is empty".into())));
    let good = |(_, state)| if let Signature::Good(good) = state { Some(*good) } else { None };
    (place, best, states.filter_map(good).collect())
}

/// Checks a file of detached signatures, each by itself, in the order of the file; never returns nothing. Of those that a
/// verdict cannot tell apart only the newest is there; of those that are not good only so many, and a last word on the rest.
pub fn check_each(signature: &[u8], document: &[u8], keys: &Keyring, now: SystemTime) -> Vec<Signature> {
    if ClearSigned::begins(signature) {
        return vec![Signature::NotDetached("holds a clear-signed text, not a detached signature".into())];
    }
    match signatures(signature) {
        Ok(packets) if packets.is_empty() => vec![Signature::NotDetached("is empty".into())],
        Ok(packets) => {
            let mut digests = Digests { document, unsalted: Vec::new(), salted: 0 };
            distinct(packets.iter().map(|packet| check_one(packet, &mut digests, keys, now)), now)
        }
        Err(found) => vec![Signature::NotDetached(found)],
    }
}

/// Returns one of each kind of state, in the order in which the kinds come.
fn distinct(states: impl Iterator<Item = Signature>, now: SystemTime) -> Vec<Signature> {
    let mut kept: Vec<Signature> = Vec::new();
    let (mut not_good, mut more) = (0, 0);
    for state in states {
        if let Some(known) = kept.iter_mut().find(|known| is_like(known, &state)) {
            if rank(&state, now) > rank(known, now) {
                *known = state;
            }
        } else if matches!(state, Signature::Good(_)) {
            kept.push(state);
        } else if not_good < NOT_GOOD_LIMIT {
            not_good += 1;
            kept.push(state);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        kept.push(Signature::NotDetached(format!("holds {more} more signatures, none of them good")));
    }
    kept
}

/// Whether two signatures by one key are worth the same.
fn is_like(a: &Signature, b: &Signature) -> bool {
    match (a, b) {
        (Signature::Good(a), Signature::Good(b)) => a.key == b.key && a.standing == b.standing && a.weak == b.weak,
        (Signature::Bad { key: a, .. }, Signature::Bad { key: b, .. }) => a == b,
        (Signature::NoKey(a), Signature::NoKey(b)) => a.key == b.key,
        (a, b) => a == b,
    }
}

/// What is better is greater. Good ones are in the order of time, since a signer counts with the newest; those that are from
/// the future come last. Equal ones differ in nothing that a verdict depends on.
fn rank(state: &Signature, now: SystemTime) -> (u8, Option<GoodRank<'_>>) {
    match state {
        Signature::Good(good) => {
            let worth = match good.standing {
                Standing::Sound => 4,
                Standing::KeyExpiredSince => 3,
                Standing::KeyRevokedLater => 2,
                Standing::MadeAfterExpiry => 1,
                Standing::SignatureExpired | Standing::MadeAfterRevocation | Standing::KeyCompromised => 0,
            };
            let is_ahead = good.made.duration_since(now).is_ok_and(|ahead| ahead > CLOCKS);
            let rank = if good.standing.counts() { 5 } else { 4 };
            (rank, Some((!is_ahead, good.made, worth, good.weak.is_empty(), &good.key)))
        }
        Signature::Bad { .. } => (3, None),
        Signature::BrokenHash { .. } => (2, None),
        Signature::NoKey(_) => (1, None),
        _ => (0, None),
    }
}

/// Not from the future, when, how the key fares, not weak, the key.
type GoodRank<'g> = (bool, SystemTime, u8, bool, &'g str);

/// Returns the signatures of a file that holds nothing else, or what it holds instead. What cannot be read, of several
/// armored blocks or within one, hides none of the others.
fn signatures(bytes: &[u8]) -> Result<Vec<packet::Signature>, String> {
    let mut blocks = blocks(bytes, b"-----BEGIN PGP SIGNATURE-----");
    if blocks.is_empty() {
        blocks.push(bytes);
    }
    let mut found = Vec::new();
    let mut refused = None;
    for block in &blocks {
        match signatures_of(block) {
            Ok(signatures) => found.extend(signatures),
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    match refused {
        Some(reason) if found.is_empty() => Err(reason),
        _ => Ok(found),
    }
}

fn signatures_of(bytes: &[u8]) -> Result<Vec<packet::Signature>, String> {
    let not_openpgp = |cause: anyhow::Error| format!("is not OpenPGP: {}", first_line(&cause));
    if bytes.is_empty() {
        return Err("is empty".into());
    }
    let mut found = Vec::new();
    let mut refused = None;
    let mut next = PacketParser::from_bytes(bytes).map_err(not_openpgp)?;
    while let PacketParserResult::Some(parser) = next {
        // Before the parser goes on: what it may then stumble over is not this one's fault.
        match &parser.packet {
            Packet::Signature(signature) => found.push(signature.clone()),
            Packet::Marker(_) | Packet::Padding(_) => {}
            Packet::Unknown(unknown) => {
                refused.get_or_insert_with(|| format!("cannot be read: {}", first_line(unknown.error())));
            }
            other => return Err(format!("is not a detached signature but starts with: {}", other.tag())),
        }
        match parser.next() {
            Ok((_, rest)) => next = rest,
            Err(cause) => {
                refused.get_or_insert_with(|| not_openpgp(cause));
                break;
            }
        }
    }
    match refused {
        Some(reason) if found.is_empty() => Err(reason),
        _ => Ok(found),
    }
}

fn first_line(cause: &anyhow::Error) -> String {
    cause.to_string().lines().next().unwrap_or_default().to_owned()
}

fn check_one(signature: &packet::Signature, digests: &mut Digests<'_>, keys: &Keyring, now: SystemTime) -> Signature {
    // Which key a signature names is not itself signed: a wrong name only leads to a key that does not fit.
    let issuers = signature.get_issuers();
    let mut candidates: Vec<_> = issuers.iter().flat_map(|issuer| keys.find(issuer)).collect();
    candidates.dedup_by(|(_, a), (_, b)| a.key().fingerprint() == b.key().fingerprint());
    if candidates.is_empty() {
        let key = issuers.first().map(KeyHandle::to_hex);
        return Signature::NoKey(Unknown { key, made: signature.signature_creation_time() });
    }
    let hash = signature.hash_algo();
    if hash == HashAlgorithm::MD5 {
        return Signature::BrokenHash { hash: hash.to_string() };
    }
    let mut bad = Signature::NotChecked;
    for (cert, key) in candidates {
        match verify(signature, digests, &key) {
            Ok(made) => return Signature::Good(Box::new(good(signature, made, cert, &key, keys, now))),
            Err(cause) => {
                bad = Signature::Bad {
                    key: key.key().fingerprint().to_hex(),
                    reason: why(&cause),
                    made: signature.signature_creation_time(),
                }
            }
        }
    }
    bad
}

fn why(cause: &anyhow::Error) -> String {
    match cause.downcast_ref() {
        // Any other complaint of the mathematics comes out as this one too.
        Some(Error::ManipulatedMessage) => "it does not belong to the document".into(),
        _ => first_line(cause),
    }
}

/// Returns when a signature was made, if it is mathematically right.
fn verify(
    signature: &packet::Signature,
    digests: &mut Digests<'_>,
    key: &ErasedKeyAmalgamation<'_, PublicParts>,
) -> anyhow::Result<SystemTime> {
    let digest = digests.digest(signature)?;
    signature.verify_hash(key.key(), digest)?;
    if let Some(unknown) = critical_unknown(signature) {
        anyhow::bail!("it says something critical that is not known here: {unknown}");
    }
    signature.signature_creation_time().ok_or_else(|| anyhow::anyhow!("has no date"))
}

/// Returns what a signature wants nobody to accept it without, if that is nothing we know. Source: RFC 9580, section 5.2.3.7;
/// GnuPG 2.2 refuses the same.
fn critical_unknown(signature: &packet::Signature) -> Option<String> {
    let mut critical = signature.hashed_area().iter().filter(|subpacket| subpacket.critical());
    critical.find_map(|subpacket| match subpacket.value() {
        SubpacketValue::NotationData(notation) if notation.name() == HARMLESS_NOTATION => None,
        SubpacketValue::NotationData(notation) => Some(format!("notation {}", notation.name())),
        SubpacketValue::Unknown { tag, .. } => Some(format!("subpacket {tag}")),
        _ => None,
    })
}

/// A document as hashed so far, once for each way of hashing: a file may hold thousands of signatures.
struct Digests<'d> {
    document: &'d [u8],
    unsalted: Vec<((HashAlgorithm, u8, SignatureType), Context)>,
    salted: usize,
}

impl Digests<'_> {
    /// Returns the hash that a signature completes with what it says itself.
    fn digest(&mut self, signature: &packet::Signature) -> anyhow::Result<Context> {
        let way = (signature.hash_algo(), signature.version(), signature.typ());
        if signature.salt().is_some() {
            self.salted += 1;
            anyhow::ensure!(self.salted <= SALTED_LIMIT, "comes after {SALTED_LIMIT} others with salt");
            return self.hash(signature);
        }
        if let Some((_, known)) = self.unsalted.iter().find(|(known, _)| *known == way) {
            return Ok(known.clone());
        }
        let hashed = self.hash(signature)?;
        self.unsalted.push((way, hashed.clone()));
        Ok(hashed)
    }

    fn hash(&self, signature: &packet::Signature) -> anyhow::Result<Context> {
        let mut digest = signature.hash_algo().context()?.for_signature(signature.version());
        if let Some(salt) = signature.salt() {
            digest.update(salt);
        }
        match signature.typ() {
            SignatureType::Binary => digest.update(self.document),
            SignatureType::Text => text_lines(self.document, |bytes| digest.update(bytes)),
            other => anyhow::bail!("signs something else than a document: {other}"),
        }
        Ok(digest)
    }
}

/// Hands out a document as signatures over text see it: each line ends in CR LF. Source: RFC 4880, section 5.2.1;
/// carriage returns before a line's end are dropped as GnuPG does.
fn text_lines(document: &[u8], mut hash: impl FnMut(&[u8])) {
    for line in document.split_inclusive(|&byte| byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                let end = line.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
                hash(&line[..end]);
                hash(b"\r\n");
            }
            None => hash(line),
        }
    }
}

fn good(
    signature: &packet::Signature,
    made: SystemTime,
    cert: &Cert,
    key: &ErasedKeyAmalgamation<'_, PublicParts>,
    keys: &Keyring,
    now: SystemTime,
) -> Good {
    let hash = signature.hash_algo();
    let bits = key.key().mpis().bits();
    let algorithm = match bits {
        Some(bits) => format!("{} {bits}", kind(key.key().pk_algo())),
        None => kind(key.key().pk_algo()),
    };
    let mut weak = Vec::new();
    if matches!(hash, HashAlgorithm::SHA1 | HashAlgorithm::RipeMD) {
        weak.push(Weakness::Hash(hash.to_string()));
    }
    if is_short(key.key().pk_algo(), bits) {
        weak.push(Weakness::ShortKey(algorithm.clone()));
    }
    let expires = signature.signature_expiration_time();
    let key_expires = expiry(cert, key, now);
    let key_revoked = revocation(cert, key, keys);
    Good {
        standing: Standing::of(made, expires, key_expires, key_revoked.as_ref(), now),
        key: key.key().fingerprint().to_hex(),
        primary_key: cert.fingerprint().to_hex(),
        certificate: cert.keys().filter(may_sign).map(|key| key.key().fingerprint().to_hex()).collect(),
        // Anybody can put another one beside them.
        user_ids: cert
            .userids()
            .filter(|id| id.bundle().self_signatures().next().is_some())
            .map(|id| String::from_utf8_lossy(id.userid().value()).into_owned())
            .collect(),
        owner: None,
        made,
        expires,
        hash: hash.to_string(),
        algorithm,
        weak,
        key_expires,
        key_revoked,
    }
}

/// Takes what an owner signed about a key for true, whatever the algorithms, except MD5: an old key's own signatures
/// are as old as it is.
#[derive(Debug)]
struct OwnersWord;

impl Policy for OwnersWord {
    fn signature(&self, signature: &packet::Signature, _: HashAlgoSecurity) -> anyhow::Result<()> {
        anyhow::ensure!(signature.hash_algo() != HashAlgorithm::MD5, "is made with MD5");
        Ok(())
    }

    fn key(&self, _: &ValidErasedKeyAmalgamation<'_, PublicParts>) -> anyhow::Result<()> {
        Ok(())
    }
}

fn kind(algorithm: PublicKeyAlgorithm) -> String {
    #[expect(deprecated, reason = "old signatures are what this is for")]
    match algorithm {
        PublicKeyAlgorithm::RSAEncryptSign | PublicKeyAlgorithm::RSASign => "RSA".into(),
        PublicKeyAlgorithm::EdDSA | PublicKeyAlgorithm::Ed25519 | PublicKeyAlgorithm::Ed448 => "EdDSA".into(),
        PublicKeyAlgorithm::DSA => "DSA".into(),
        PublicKeyAlgorithm::ECDSA => "ECDSA".into(),
        other => other.to_string(),
    }
}

fn is_short(algorithm: PublicKeyAlgorithm, bits: Option<usize>) -> bool {
    matches!(&*kind(algorithm), "RSA" | "DSA") && bits.is_some_and(|bits| bits < 2048)
}

/// Returns when a key expires or did, by what its owner said last: itself or its certificate, whichever is earlier.
fn expiry(cert: &Cert, key: &ErasedKeyAmalgamation<'_, PublicParts>, now: SystemTime) -> Option<SystemTime> {
    let policy = &OwnersWord;
    let own = key.clone().with_policy(policy, now).ok().and_then(|valid| valid.key_expiration_time());
    let primary = cert.primary_key().with_policy(policy, now).ok().and_then(|valid| valid.key_expiration_time());
    [own, primary].into_iter().flatten().min()
}

/// Returns how a key or its certificate was revoked, by its owner or by whom the owner allows to: as compromised if that was
/// ever said, else what came first.
fn revocation(cert: &Cert, key: &ErasedKeyAmalgamation<'_, PublicParts>, keys: &Keyring) -> Option<Revocation> {
    let primary = cert.primary_key();
    let revocations = primary.bundle().self_revocations().chain(key.bundle().self_revocations());
    let revocations = revocations.chain(designated_revocations(cert, keys));
    let revocations = revocations.filter(|by| by.hash_algo() != HashAlgorithm::MD5).filter_map(|by| {
        let (reason, comment) = by.reason_for_revocation().unwrap_or((ReasonForRevocation::Unspecified, b""));
        Some(Revocation {
            at: by.signature_creation_time()?,
            compromised: reason == ReasonForRevocation::KeyCompromised,
            comment: String::from_utf8_lossy(comment).into_owned(),
        })
    });
    revocations.min_by_key(|revocation| (!revocation.compromised, revocation.at))
}

/// Returns the revocations of a certificate by others whom its owner allows to, as far as we have their keys.
fn designated_revocations<'k>(cert: &'k Cert, keys: &'k Keyring) -> impl Iterator<Item = &'k packet::Signature> {
    // Every signature is checked when it is looked at: seldom has a certificate anything of others.
    let allows = |revoker: &Cert| {
        let by_owner = cert.primary_key().bundle().self_signatures();
        let mut by_owner = by_owner.chain(cert.userids().flat_map(|id| id.bundle().self_signatures()));
        by_owner.any(|by| by.revocation_keys().any(|allowed| *allowed.revoker().1 == revoker.fingerprint()))
    };
    let is_theirs = move |by: &&packet::Signature| {
        let candidates = by.get_issuers().into_iter().flat_map(|issuer| keys.find(&issuer)).collect::<Vec<_>>();
        candidates.into_iter().any(|(revoker, key)| {
            by.verify_primary_key_revocation(key.key(), cert.primary_key().key()).is_ok() && allows(revoker)
        })
    };
    cert.primary_key().bundle().other_revocations().filter(is_theirs)
}
