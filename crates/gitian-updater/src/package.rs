//! A package: a zip of what is to be installed, and below `gitian/` who vouches for it.
//!
//! Names are plain, nothing but files and folders is taken, every file is one that the signers listed, with its hash, and none
//! that they listed is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use gitian_canon::{Limits, Member, open_zip};
use gitian_manifest::{Assertion, Digest, Manifest};
use gitian_verify::{Good, Keyring, Signature, check_each};
use sha2::{Digest as _, Sha256};

use crate::config::{Config, Signer};
use crate::installed::{Installed, is_plain};
use crate::{Done, Stopped};

/// Where signatures are.
const SIGNATURES: &str = "gitian/";
const ASSERT: &str = "-build.assert";
const ASSERT_LIMIT: u64 = 16 << 20;
const KEY_LIMIT: u64 = 1 << 20;
const ENTRY_LIMIT: u64 = 100_000;
/// How far clocks may differ before a signature is from the future.
const CLOCKS: Duration = Duration::from_secs(24 * 3600);

/// A package that enough signers vouch for.
pub(crate) struct Package {
    pub name: String,
    pub release: String,
    pub optionals: Option<Vec<String>>,
    /// When the newest signature that counts was made.
    pub signed: SystemTime,
    signers: Vec<String>,
    weight: u64,
    /// What is installed: path, digest, file in the package.
    files: BTreeMap<String, (Digest, Member)>,
}

fn untrusted(why: impl Into<String>) -> Stopped {
    Stopped::NotTrusted(why.into())
}

impl Package {
    /// Opens a package, and decides whether enough signers vouch for it; contents are hashed later.
    pub fn open(place: &Path, config: &Config, now: SystemTime) -> Result<Self> {
        let limits = Limits { bytes: config.maximum_size, entries: ENTRY_LIMIT };
        let members = open_zip(place, limits).map_err(|error| untrusted(format!("{error:#}")))?;
        if let Some(odd) = members.iter().find(|member| !is_plain(&member.path)) {
            return Err(untrusted(format!("{}: is no name for a file of a package", odd.path)).into());
        }
        if let Some(odd) = members.iter().find(|member| !member.is_folder() && member.size().is_none()) {
            return Err(untrusted(format!("{}: is neither a file nor a folder", odd.path)).into());
        }
        let members: BTreeMap<String, Member> = members
            .into_iter()
            .filter(|member| !member.is_folder())
            .map(|member| (member.path.clone(), member))
            .collect();
        let said = Said::read(&members)?;
        let vouching = vouching(&members, config, now)?;
        let weight = vouching.iter().fold(0_u64, |sum, (signer, _)| sum.saturating_add(signer.weight));
        let signers: Vec<String> = vouching.iter().map(|(signer, _)| signer.name.clone()).collect();
        if weight < config.minimum_weight {
            let who = if signers.is_empty() { "nobody".to_owned() } else { signers.join(", ") };
            let wanted = config.minimum_weight;
            return Err(untrusted(format!("{who} signed it, which weighs {weight}, and {wanted} is demanded")).into());
        }
        let signed = vouching.iter().map(|(_, made)| *made).max().unwrap_or(SystemTime::UNIX_EPOCH);
        let Said { name, release, optionals, manifest } = said;
        let files = files(&manifest, members, optionals.as_deref().unwrap_or_default())?;
        Ok(Self { name, release, optionals, signed, signers, weight, files })
    }

    /// Returns what is written into the destination once the package is installed.
    pub fn manifest(&self) -> Installed {
        let sums = self.files.iter().map(|(path, (digest, _))| (path.clone(), digest.to_string())).collect();
        Installed {
            sums,
            release: self.release.clone(),
            name: self.name.clone(),
            optionals: self.optionals.clone(),
            signed: self.signed.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
    }

    /// Hashes every file.
    pub fn check_contents(&self) -> Result<()> {
        self.files().try_for_each(|file| file.write(&mut io::sink()))
    }

    /// Returns the files that are to be installed.
    pub fn files(&self) -> impl Iterator<Item = PackageFile<'_>> {
        self.files.iter().map(|(path, (digest, member))| PackageFile { path, digest: *digest, member })
    }

    /// Returns what is told about it in the end.
    pub fn done(&self, installed: bool) -> Done {
        Done { release: self.release.clone(), signers: self.signers.clone(), weight: self.weight, installed }
    }
}

/// A file of a package.
pub(crate) struct PackageFile<'a> {
    pub path: &'a str,
    digest: Digest,
    member: &'a Member,
}

impl PackageFile<'_> {
    /// Whether it may be run.
    pub fn runs(&self) -> bool {
        self.member.runs
    }

    /// Writes the content, and then says whether it is the one that was signed.
    pub fn write(&self, to: &mut dyn Write) -> Result<()> {
        let mut to = Hashed { to, hash: Sha256::new() };
        self.member.write(&mut to).map_err(|error| match error.downcast_ref::<gitian_canon::Refused>() {
            Some(_) => untrusted(format!("{error:#}")).into(),
            None => error,
        })?;
        let digest: String = to.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        match digest == self.digest.to_string() {
            true => Ok(()),
            false => Err(untrusted(format!("{}: is not the file that was signed", self.path)).into()),
        }
    }
}

struct Hashed<'a> {
    to: &'a mut dyn Write,
    hash: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What all assertions of a package say.
#[derive(PartialEq, Eq)]
struct Said {
    name: String,
    release: String,
    optionals: Option<Vec<String>>,
    manifest: BTreeMap<String, Digest>,
}

impl Said {
    /// Reads all assertions; they must say the same, whoever signed them.
    fn read(members: &BTreeMap<String, Member>) -> Result<Self> {
        let mut first: Option<(&str, Self)> = None;
        for (path, member) in assertions(members) {
            let said = Self::of(member).map_err(|error| untrusted(format!("{path}: {error:#}")))?;
            match &first {
                None => first = Some((path, said)),
                Some((_, other)) if *other == said => {}
                Some((other, _)) => return Err(untrusted(format!("{path} and {other} do not agree")).into()),
            }
        }
        Ok(first.ok_or_else(|| untrusted("it has no assertion"))?.1)
    }

    fn of(member: &Member) -> Result<Self> {
        let assertion = Assertion::read(&member.bytes(ASSERT_LIMIT)?)?;
        let parsed = Manifest::parse(assertion.out_manifest().context("has no out_manifest")?);
        anyhow::ensure!(parsed.unreadable.is_empty(), "has an out_manifest that cannot be read");
        let mut manifest = BTreeMap::new();
        for entry in parsed.manifest.entries {
            anyhow::ensure!(is_plain(&entry.path), "{}: is no name for a file of a package", entry.path);
            anyhow::ensure!(!entry.path.starts_with(SIGNATURES), "{}: is among the signatures", entry.path);
            let path = entry.path.clone();
            let twice = manifest.insert(entry.path, entry.digest).is_some_and(|other| other != entry.digest);
            anyhow::ensure!(!twice, "{path}: has two digests");
        }
        anyhow::ensure!(!manifest.is_empty(), "lists no file");
        let name = assertion.name().filter(|name| !name.is_empty()).context("has no name")?.to_owned();
        let release = assertion.release().filter(|release| !release.is_empty()).context("has no release")?.to_owned();
        let optionals = assertion.optionals().map(|paths| paths.into_iter().map(str::to_owned).collect());
        Ok(Self { name, release, optionals, manifest })
    }
}

fn assertions(members: &BTreeMap<String, Member>) -> impl Iterator<Item = (&str, &Member)> {
    let own = |(path, _): &(&String, &Member)| path.starts_with(SIGNATURES) && path.ends_with(ASSERT);
    members.iter().filter(own).map(|(path, member)| (path.as_str(), member))
}

/// Returns who vouches for the package, and when they did; each signer and each key once.
fn vouching<'c>(
    members: &BTreeMap<String, Member>,
    config: &'c Config,
    now: SystemTime,
) -> Result<Vec<(&'c Signer, SystemTime)>> {
    let mut keys = Keyring::default();
    for signer in &config.signers {
        let path = format!("{SIGNATURES}{}-key.pgp", signer.key);
        if let Some(member) = members.get(&path) {
            keys.add(&member.bytes(KEY_LIMIT).map_err(|error| untrusted(format!("{error:#}")))?, &path);
        }
    }
    let mut found: Vec<(&Signer, SystemTime)> = Vec::new();
    let mut used = BTreeSet::new();
    for (path, member) in assertions(members) {
        let Some(signature) = members.get(&format!("{path}.sig")) else { continue };
        let unread = |error| untrusted(format!("{error:#}"));
        let (document, signature) =
            (member.bytes(ASSERT_LIMIT).map_err(unread)?, signature.bytes(KEY_LIMIT).map_err(unread)?);
        for state in check_each(&signature, &document, &keys, now) {
            let Signature::Good(good) = state else { continue };
            if !good.standing.counts() || good.made > now + CLOCKS {
                continue;
            }
            let Some(signer) = config.signers.iter().find(|signer| is_of(&good, signer)) else { continue };
            let new =
                used.insert(good.primary_key.clone()) && !found.iter().any(|(known, _)| known.name == signer.name);
            match found.iter_mut().find(|(known, _)| *known == signer) {
                Some((_, made)) => *made = (*made).max(good.made),
                None if new => found.push((signer, good.made)),
                None => {}
            }
        }
    }
    Ok(found)
}

fn is_of(good: &Good, signer: &Signer) -> bool {
    [&good.primary_key, &good.key].iter().any(|key| key.to_ascii_uppercase().ends_with(&signer.id))
}

/// Returns what is to be installed: what the manifest lists, and the package has.
fn files(
    manifest: &BTreeMap<String, Digest>,
    mut members: BTreeMap<String, Member>,
    optionals: &[String],
) -> Result<BTreeMap<String, (Digest, Member)>> {
    members.retain(|path, _| !path.starts_with(SIGNATURES));
    let mut files = BTreeMap::new();
    for (path, digest) in manifest {
        match members.remove(path) {
            Some(member) => {
                files.insert(path.clone(), (*digest, member));
            }
            None if optionals.contains(path) => {}
            None => return Err(untrusted(format!("{path}: was signed, and is missing")).into()),
        }
    }
    match members.keys().next() {
        Some(extra) => Err(untrusted(format!("{extra}: is in the package, and was not signed")).into()),
        None => Ok(files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_package_are_plain() {
        for (path, plain) in [
            ("bin/coin-1.0_x.so", true),
            ("gitian/a-build.assert", true),
            ("a/../b", false),
            ("../b", false),
            ("/b", false),
            ("a b", false),
            ("\u{e4}", false),
            (".gitian-manifest", false),
            (".GITIAN-update/x", false),
            ("a/.gitian-manifest", true),
            ("a//b", false),
            ("./a", false),
            ("", false),
        ] {
            assert_eq!(is_plain(path), plain, "{path}");
        }
    }
}
