//! Detached OpenPGP signatures made in-process with a secret key of a file, and the two spellings of a signature.
//!
//! Secret bytes are kept in memory that is wiped when it is given back.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::cert::amalgamation::key::ErasedKeyAmalgamation;
use sequoia_openpgp::cert::amalgamation::{ValidAmalgamation, ValidateAmalgamation};
use sequoia_openpgp::crypto::mem::Protected;
use sequoia_openpgp::packet::key::{SecretParts, UnspecifiedRole};
use sequoia_openpgp::packet::{Key, Packet};
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::stream::{Message, Signer};
use sequoia_openpgp::types::{HashAlgorithm, RevocationStatus};
use sequoia_openpgp::{Cert, armor};

/// A passphrase; kept encrypted in memory, wiped when it is no longer needed.
pub struct Passphrase(sequoia_openpgp::crypto::Password);

/// The largest file with a secret key that is read, in bytes.
const KEY_LIMIT: usize = 1 << 20;
/// The longest passphrase, in bytes.
const PASSPHRASE_LIMIT: usize = 4096;

impl Passphrase {
    /// Takes a line, without its end; the bytes are wiped.
    pub fn of_line(mut line: Vec<u8>) -> Self {
        let end = line.iter().position(|&byte| byte == b'\n').unwrap_or(line.len());
        let end = if line[..end].ends_with(b"\r") { end - 1 } else { end };
        // All that the allocation holds is wiped, what is cut off too.
        line.truncate(end);
        Self(line.into())
    }

    /// Reads the first line of a file, which may be a pipe.
    pub fn of_file(path: &Path) -> Result<Self> {
        let bytes = read(path, PASSPHRASE_LIMIT).with_context(|| format!("passphrase file {}", path.display()))?;
        Ok(Self::of_line(bytes))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Reads a file of at most `limit` bytes into one allocation, so that no copy is left behind.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; limit + 1];
    let mut file = File::open(path)?;
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause.into()),
        }
    }
    if length > limit {
        drop(Protected::from(bytes));
        bail!("is larger than {limit} bytes");
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// A secret key that can sign.
pub struct SecretKey {
    cert: Cert,
    key: Key<SecretParts, UnspecifiedRole>,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.fingerprint())
    }
}

impl SecretKey {
    /// Reads a file, binary or armored, that holds one secret key with its subkeys, and chooses what signs at this time:
    /// of those that are made for signing, and neither expired nor revoked, the newest, as GnuPG does.
    pub fn open(path: &Path, at: SystemTime) -> Result<Self> {
        let bytes = read(path, KEY_LIMIT).map(Protected::from).with_context(|| format!("key {}", path.display()))?;
        Self::parse(&bytes, at).with_context(|| format!("key {}", path.display()))
    }

    fn parse(bytes: &[u8], at: SystemTime) -> Result<Self> {
        let certs: Vec<Cert> = CertParser::from_bytes(bytes)
            .and_then(Iterator::collect)
            .map_err(|cause| cause.context("is not an OpenPGP key"))?;
        let mut secret = certs.into_iter().filter(Cert::is_tsk);
        let cert = secret.next().context("holds no secret key")?;
        ensure!(secret.next().is_none(), "holds several secret keys; leave one in it");
        let mut unfit = Vec::new();
        let mut fit = Vec::new();
        for key in cert.keys().secret() {
            match unfitness(&cert, &key, at) {
                None => fit.push(key),
                Some(reason) => unfit.push(format!("{} {reason}", key.key().fingerprint())),
            }
        }
        let newest = fit.into_iter().max_by_key(|key| key.key().creation_time());
        let Some(newest) = newest else { bail!("holds nothing that can sign: {}", unfit.join(", ")) };
        let key = newest.key().clone();
        Ok(Self { key, cert: cert.clone().strip_secret_key_material() })
    }

    /// Returns the fingerprint of the key that signs, a subkey perhaps.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint().to_hex()
    }

    /// Returns whose key it is: the first user id, or the fingerprint where it has none.
    pub fn owner(&self) -> String {
        let first = self.cert.userids().next();
        first.map_or_else(|| self.cert.fingerprint().to_hex(), |id| id.userid().to_string())
    }

    /// Returns whether it needs a passphrase before it signs.
    pub fn is_locked(&self) -> bool {
        self.key.secret().is_encrypted()
    }

    /// Unlocks the key. Returns whether the passphrase was right.
    pub fn unlock(&mut self, passphrase: &Passphrase) -> bool {
        match self.key.clone().decrypt_secret(&passphrase.0) {
            Ok(key) => self.key = key,
            Err(_) => return false,
        }
        true
    }

    /// Signs a document. Returns a detached signature with SHA-512, binary.
    pub fn sign(&self, document: &[u8], at: SystemTime) -> Result<Vec<u8>> {
        ensure!(!self.is_locked(), "key {} is locked", self.fingerprint());
        let keypair = self.key.clone().into_keypair()?;
        let mut signature = Vec::new();
        let signer = Signer::new(Message::new(&mut signature), keypair)?;
        let mut signer = signer.detached().hash_algo(HashAlgorithm::SHA512)?.creation_time(at).build()?;
        signer.write_all(document)?;
        signer.finalize()?;
        Ok(signature)
    }
}

/// Returns why a key may not sign, if so.
fn unfitness(cert: &Cert, key: &ErasedKeyAmalgamation<'_, SecretParts>, at: SystemTime) -> Option<String> {
    let policy = StandardPolicy::at(at);
    let first_line = |cause: anyhow::Error| format!("{cause:#}").lines().next().unwrap_or_default().to_owned();
    let of_cert = match cert.with_policy(&policy, at) {
        Ok(valid) => valid,
        Err(cause) => return Some(format!("cannot be used: {}", first_line(cause))),
    };
    let valid = match key.clone().with_policy(&policy, at) {
        Ok(valid) => valid,
        Err(cause) => return Some(format!("cannot be used: {}", first_line(cause))),
    };
    let revoked = |status| matches!(status, RevocationStatus::Revoked(_));
    if revoked(of_cert.revocation_status()) || revoked(valid.revocation_status()) {
        return Some("is revoked".into());
    }
    if !valid.for_signing() {
        return Some("is not for signing".into());
    }
    if let Err(cause) = valid.alive() {
        return Some(first_line(cause));
    }
    (!valid.key().pk_algo().is_supported())
        .then(|| format!("is of a kind that is not known: {}", valid.key().pk_algo()))
}

/// Returns a signature, armored or binary, as binary.
pub(crate) fn binary(signature: &[u8]) -> Result<Vec<u8>> {
    issuer(signature)?;
    if signature.first().is_some_and(|first| first & 0x80 != 0) {
        return Ok(signature.to_vec());
    }
    let mut bytes = Vec::new();
    let mut reader = armor::Reader::from_bytes(signature, armor::ReaderMode::Tolerant(Some(armor::Kind::Signature)));
    reader.read_to_end(&mut bytes).context("is not a signature")?;
    Ok(bytes)
}

/// Returns a binary signature, armored.
pub(crate) fn armored(signature: &[u8]) -> Result<String> {
    let mut writer = armor::Writer::new(Vec::new(), armor::Kind::Signature)?;
    writer.write_all(signature)?;
    Ok(String::from_utf8(writer.finalize()?)?)
}

/// Returns the key that a signature says made it, in hexadecimal digits, if it says so.
pub(crate) fn issuer(signature: &[u8]) -> Result<Option<String>> {
    let mut issuer = None;
    let mut found = false;
    let mut next = PacketParser::from_bytes(signature).context("is not a signature")?;
    while let PacketParserResult::Some(parser) = next {
        let (packet, rest) = parser.next().context("is not a signature")?;
        let Packet::Signature(packet) = packet else { bail!("is not a detached signature") };
        found = true;
        issuer = issuer.or_else(|| packet.get_issuers().first().map(|key| key.to_hex()));
        next = rest;
    }
    ensure!(found, "is not a signature");
    Ok(issuer)
}
