//! Public keys: read from files, folders or GnuPG, and found by the name that a signature gives.
//!
//! A key file is as hostile as a signature: what is not a certificate is skipped and reported, and whether a subkey
//! really belongs to its certificate is checked before its signatures count.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gitian_process::{Command, Streams};
use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::cert::amalgamation::key::ErasedKeyAmalgamation;
use sequoia_openpgp::packet::key::PublicParts;
use sequoia_openpgp::packet::{Packet, Signature};
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse};
use sequoia_openpgp::types::SignatureType;
use sequoia_openpgp::{Fingerprint, KeyHandle, KeyID};

use crate::certificate::{may_sign, names};
use crate::facts::{Facts, Good, Naming};
use crate::key_files::KeyFile;
use crate::merged::{Merged, unbound};
use crate::tree_file::{self, Content};

/// Folders of keys that projects keep in or beside their tree.
pub const KEY_FOLDERS: [&str; 3] = ["builder-keys", "gitian-keys", "gitian-pubkeys"];
/// The largest key file that is read, in bytes.
const KEY_FILE_LIMIT: u64 = 64 << 20;
/// How many keys of no common name a person may have in a file that is called after one of them.
const KEYS_OF_ONE: usize = 3;
/// How files with keys are called.
const KEY_ENDS: [&str; 5] = ["asc", "gpg", "key", "pgp", "pub"];
const SECRET_ARMOR: &[u8] = b"-----BEGIN PGP PRIVATE KEY BLOCK-----";
const ARMOR: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Public keys, each certificate once.
#[derive(Debug, Default)]
pub struct Keyring {
    certs: BTreeMap<Fingerprint, Cert>,
    /// Primary keys and subkeys; several certificates may claim one key id.
    by_id: HashMap<KeyID, BTreeSet<Fingerprint>>,
    /// The files of folders: whose keys they are.
    files: Vec<KeyFile>,
    /// Revocations that came without their certificate.
    revocations: Vec<Signature>,
    problems: Vec<String>,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files and folders that the user named.
    Given(Vec<PathBuf>),
    /// The folders of keys in and beside the tree: what any of them says of a key counts, such as that it is revoked.
    Folders(Vec<PathBuf>),
    /// The user's GnuPG keyring.
    GnuPg,
}

impl Source {
    /// Chooses where keys come from: what the user named, else the folders in and beside the tree, else GnuPG.
    pub fn choose(given: &[PathBuf], tree: &Path) -> Self {
        if !given.is_empty() {
            return Self::Given(given.to_vec());
        }
        let places = [tree.to_owned(), tree.join("..")];
        let folders = places.iter().flat_map(|place| KEY_FOLDERS.map(|name| place.join(name)));
        let folders: Vec<PathBuf> = folders.filter(|folder| folder.is_dir()).collect();
        if folders.is_empty() { Self::GnuPg } else { Self::Folders(folders) }
    }

    /// Reads the keys.
    pub fn load(&self) -> Result<Keyring> {
        let mut keyring = Keyring::default();
        match self {
            Self::Given(paths) => {
                for path in paths {
                    keyring.add_path(path)?;
                }
            }
            Self::Folders(folders) => {
                for folder in folders {
                    keyring.add_folder(folder)?;
                }
                if let (true, Some(folder)) = (keyring.is_empty(), folders.first()) {
                    bail!("keys {}: holds no OpenPGP certificate", folder.display());
                }
            }
            Self::GnuPg => keyring.add_gnupg()?,
        }
        Ok(keyring)
    }
}

impl Keyring {
    /// Returns how many certificates there are.
    pub fn len(&self) -> usize {
        self.certs.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.certs.is_empty()
    }

    /// Returns whether there is a certificate with this fingerprint, given as hexadecimal digits.
    pub fn holds(&self, fingerprint: &str) -> bool {
        self.certs.keys().any(|known| known.to_hex().eq_ignore_ascii_case(fingerprint))
    }

    /// Returns whether a signature may be by one of the keys, by the fingerprint or id of the key that it names.
    pub(crate) fn may_have_signed(&self, key: &str) -> bool {
        key.parse::<KeyHandle>().is_ok_and(|issuer| !self.find(&issuer).is_empty())
    }

    /// Returns the fingerprints of the certificates, as 40 hexadecimal digits.
    pub(crate) fn fingerprints(&self) -> BTreeSet<String> {
        self.certs.keys().map(Fingerprint::to_hex).collect()
    }

    /// Returns what the name of a signer's folder rests on, with this signature in it.
    pub fn naming(&self, signer: &str, good: &Good) -> Naming {
        let file = self.file_of_other_keys(signer, &good.primary_key);
        file.map_or(Naming::Folder, |file| Naming::FolderOfOtherKeys(file.to_owned()))
    }

    /// Tells good signatures whose they are by the files of key folders. `is_signer` knows the signers of the whole tree.
    pub(crate) fn tell_owners<'f>(
        &self,
        facts: impl IntoIterator<Item = &'f mut Facts>,
        is_signer: &dyn Fn(&str) -> bool,
    ) {
        for facts in facts {
            for good in facts.goods_mut() {
                good.owner = self.owner(&good.primary_key, is_signer).map(str::to_owned);
            }
        }
    }

    fn owner(&self, primary_key: &str, is_signer: &dyn Fn(&str) -> bool) -> Option<&str> {
        let files: Vec<&KeyFile> = self.files.iter().filter(|file| file.keys.contains(primary_key)).collect();
        // A tree is read for its signers only where that matters.
        if let [only] = files[..]
            && self.is_one_persons(only)
        {
            return only.owner();
        }
        let after_signer = files.iter().filter_map(|file| file.owner()).find(|owner| is_signer(owner));
        after_signer.or_else(|| files.iter().find(|file| self.is_one_persons(file)).and_then(|file| file.owner()))
    }

    /// Whether a file is called after somebody whose certificate it holds, or its certificates have names or addresses in
    /// common, one with the other.
    fn is_one_persons(&self, file: &KeyFile) -> bool {
        if file.keys.len() == 1 {
            return true;
        }
        let certs = file.keys.iter().filter_map(|key| self.certs.get(&key.parse::<Fingerprint>().ok()?));
        let mut others: Vec<BTreeSet<String>> = certs.map(names).collect();
        let owner = file.owner().unwrap_or_default().to_lowercase();
        let is_owners = |name: &String| {
            // Of an address what is before its domain.
            let own = name.split('@').next().unwrap_or_default();
            own.split(|c: char| !c.is_alphanumeric()).any(|word| word == owner)
        };
        // In a ring of many anybody could call himself like the file.
        if others.len() <= KEYS_OF_ONE && others.iter().flatten().any(is_owners) {
            return true;
        }
        let Some(mut known) = others.pop() else { return false };
        while let Some(at) = others.iter().position(|names| !names.is_disjoint(&known)) {
            known.append(&mut others.swap_remove(at));
        }
        others.is_empty()
    }

    /// Returns whether this is a revocation of one of the keys, by itself.
    pub(crate) fn are_revoked_by(&self, by: &Signature) -> bool {
        let revocations = self.certs.values().flat_map(|cert| cert.primary_key().bundle().self_revocations());
        revocations.into_iter().any(|known| known.normalized_eq(by))
    }

    /// Returns all that the certificates say and that no change to them may take away.
    pub(crate) fn merged(&self) -> BTreeSet<Merged> {
        self.certs.values().flat_map(Merged::of).collect()
    }

    /// Returns the parts of the certificates that their owners have not said to be of them, in words.
    pub(crate) fn unbound(&self) -> BTreeSet<String> {
        self.certs.values().flat_map(unbound).collect()
    }

    /// Returns the file that is called after a signer in the folders that keys were read from, if there is one and no such
    /// file holds this primary key. Where files have other names than signers, nothing is known.
    fn file_of_other_keys(&self, signer: &str, primary_key: &str) -> Option<&Path> {
        let mut own = self.files.iter().filter(|file| file.owner() == Some(signer));
        let first = own.clone().next()?;
        let holds = own.any(|file| file.keys.contains(primary_key));
        (!holds).then_some(&*first.path)
    }

    /// Returns the files of the folders that keys were read from.
    pub(crate) fn files(&self) -> &[KeyFile] {
        &self.files
    }

    /// Returns what could not be used of the files that were read.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Adds the certificates of a binary or armored keyring and returns how many different ones it holds. `origin` names it in
    /// [`problems`](Self::problems).
    pub fn add(&mut self, bytes: &[u8], origin: &str) -> usize {
        self.take(bytes, origin).len()
    }

    /// Adds certificates and returns their fingerprints, as 40 hexadecimal digits.
    fn take(&mut self, bytes: &[u8], origin: &str) -> BTreeSet<String> {
        let (mut added, mut revoked) = (BTreeSet::new(), Vec::new());
        for block in blocks(bytes, ARMOR) {
            let revocations = revocations(block);
            // What is no certificate to the parser.
            let mut taken = revocations.len();
            revoked.extend(revocations);
            let parser = match CertParser::from_bytes(block) {
                Ok(parser) => parser,
                Err(_) if taken > 0 => continue,
                Err(cause) => {
                    self.problems.push(format!("{origin}: {cause}"));
                    continue;
                }
            };
            for cert in parser {
                match cert {
                    Ok(cert) => {
                        added.insert(cert.fingerprint().to_hex());
                        self.insert(cert);
                    }
                    Err(_) if taken > 0 => taken = 0,
                    Err(cause) => self.problems.push(format!("{origin}: {cause}")),
                }
            }
        }
        self.revoke(revoked);
        added
    }

    /// Takes revocations for the certificates that are there and for those that are still to come.
    fn revoke(&mut self, by: Vec<Signature>) {
        if by.is_empty() {
            return;
        }
        for cert in self.certs.values_mut() {
            *cert = with_revocations(cert.clone(), &by);
        }
        self.revocations.extend(by);
    }

    fn insert(&mut self, cert: Cert) {
        let fingerprint = cert.fingerprint();
        let cert = with_revocations(cert, &self.revocations);
        let cert = match self.certs.remove(&fingerprint) {
            // Two files with the same key: what either knows about it counts.
            Some(known) => known.clone().merge_public(cert).unwrap_or(known),
            None => cert,
        };
        for key in cert.keys() {
            self.by_id.entry(key.key().keyid()).or_default().insert(fingerprint.clone());
        }
        self.certs.insert(fingerprint, cert);
    }

    /// Adds the keys of a file or folder.
    fn add_path(&mut self, path: &Path) -> Result<()> {
        let root = path.canonicalize().with_context(|| format!("keys {}", path.display()))?;
        if root.is_dir() {
            self.add_folder(path)?;
            anyhow::ensure!(!self.is_empty(), "keys {}: holds no OpenPGP certificate", path.display());
            return Ok(());
        }
        let parent = root.parent().unwrap_or(&root).to_owned();
        match tree_file::read(&parent, &root, KEY_FILE_LIMIT) {
            Content::Bytes(bytes) if self.add(&bytes, &path.display().to_string()) > 0 => Ok(()),
            Content::Bytes(_) => bail!("keys {}: holds no OpenPGP certificate", path.display()),
            Content::Absent => bail!("keys {}: does not exist", path.display()),
            Content::Refused(reason) => bail!("keys {}: {reason}", path.display()),
        }
    }

    /// Adds the keys of the files in a folder, not below it.
    fn add_folder(&mut self, path: &Path) -> Result<()> {
        let root = path.canonicalize().with_context(|| format!("keys {}", path.display()))?;
        let entries = root.read_dir().with_context(|| format!("keys {}", path.display()))?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        files.sort_unstable();
        for file in files.into_iter().filter(|file| !file.is_dir()) {
            let shown = path.join(file.file_name().unwrap_or_default()).display().to_string();
            let key_like = file.extension().is_some_and(|end| KEY_ENDS.iter().any(|key| end.eq_ignore_ascii_case(key)));
            let keys = match tree_file::read(&root, &file, KEY_FILE_LIMIT) {
                // A README or a list of names lies in most such folders: not worth a word.
                Content::Bytes(bytes) if key_like || bytes.is_empty() || starts_like_keys(&bytes) => {
                    self.take(&bytes, &shown)
                }
                Content::Refused(reason) => {
                    self.problems.push(format!("{shown}: {reason}"));
                    BTreeSet::new()
                }
                Content::Bytes(_) | Content::Absent => continue,
            };
            // Without a key that can be used, none is his whom it is called after.
            self.files.push(KeyFile { path: path.join(file.file_name().unwrap_or_default()), keys });
        }
        Ok(())
    }

    /// Adds the user's GnuPG keyring (of `GNUPGHOME`, if that is set).
    fn add_gnupg(&mut self) -> Result<()> {
        let export = Command::new("gpg").args(["--batch", "--quiet", "--no-tty", "--export"]);
        let exported = export.run_ok(Streams::default()).context("keys of the GnuPG keyring")?;
        self.add(&exported.stdout, "GnuPG keyring");
        Ok(())
    }

    /// Returns the keys that a signature's issuer may mean, each with the certificate that it really belongs to.
    pub(crate) fn find(&self, issuer: &KeyHandle) -> Vec<(&Cert, ErasedKeyAmalgamation<'_, PublicParts>)> {
        let claimed = self.by_id.get(&KeyID::from(issuer)).into_iter().flatten();
        claimed
            .filter_map(|fingerprint| self.certs.get(fingerprint))
            .flat_map(|cert| cert.keys().map(move |key| (cert, key)))
            .filter(|(_, key)| key.key().key_handle().aliases(issuer) && may_sign(key))
            .collect()
    }
}

/// Whether a file holds a secret key, binary or armored.
pub(crate) fn holds_secret(bytes: &[u8]) -> bool {
    let blocks = [ARMOR, SECRET_ARMOR].into_iter().flat_map(|first_line| blocks(bytes, first_line));
    let parsers = blocks.filter_map(|block| CertParser::from_bytes(block).ok());
    parsers.flatten().flatten().any(|cert| cert.is_tsk())
}

/// Returns the revocations of keys with which a block begins: `gpg --gen-revoke` writes one without its certificate.
fn revocations(block: &[u8]) -> Vec<Signature> {
    let Ok(mut next) = PacketParser::from_bytes(block) else { return Vec::new() };
    let mut found = Vec::new();
    while let PacketParserResult::Some(parser) = next {
        match parser.next() {
            Ok((Packet::Signature(by), rest)) if by.typ() == SignatureType::KeyRevocation => {
                found.push(by);
                next = rest;
            }
            _ => break,
        }
    }
    found
}

/// Adds the revocations that may be a certificate's: whether its owner made them is asked where they are used.
fn with_revocations(cert: Cert, revocations: &[Signature]) -> Cert {
    let own = revocations.iter().filter(|by| by.get_issuers().iter().any(|issuer| issuer.aliases(cert.key_handle())));
    let own: Vec<Packet> = own.cloned().map(Packet::from).collect();
    if own.is_empty() {
        return cert;
    }
    cert.clone().insert_packets(own).map_or(cert, |(cert, _)| cert)
}

/// Cuts a file of several armored blocks with this first line apart; what is binary before or behind one is a block too.
pub(crate) fn blocks<'a>(bytes: &'a [u8], first_line: &'a [u8]) -> Vec<&'a [u8]> {
    let is_binary = |bytes: &[u8]| bytes.first().is_some_and(|first| first & 0x80 != 0);
    let starts: Vec<usize> = memmem(bytes, first_line).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let mut found = Vec::new();
    let before = &bytes[..starts.first().copied().unwrap_or(bytes.len())];
    if is_binary(before) || bytes.is_empty() {
        found.push(before);
    }
    for (&start, end) in starts.iter().zip(ends) {
        let (armored, behind) = split_armored(&bytes[start..end]);
        found.push(armored);
        if is_binary(behind) {
            found.push(behind);
        }
    }
    found
}

/// Splits an armored block from what stands behind its last line.
fn split_armored(block: &[u8]) -> (&[u8], &[u8]) {
    let last_line = memmem(block, b"-----END ").next().unwrap_or(block.len());
    let end =
        block[last_line..].iter().position(|&byte| byte == b'\n').map_or(block.len(), |length| last_line + length + 1);
    (&block[..end], block[end..].trim_ascii_start())
}

fn memmem<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    (0..bytes.len()).filter(|&at| bytes[at] == b'-' && bytes[at..].starts_with(wanted))
}

fn starts_like_keys(bytes: &[u8]) -> bool {
    // Public key packets: old format 0x98/0x99, new format 0xc6.
    matches!(bytes.first(), Some(0x98 | 0x99 | 0xc6)) || memmem(bytes, ARMOR).next().is_some()
}
