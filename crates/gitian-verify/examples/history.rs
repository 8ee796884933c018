//! Makes a sigs tree for measurements: `history FOLDER ASSERTS BYTES [eddsa]`. Twelve signers (half of them with RSA 4096
//! keys unless told otherwise, the others with EdDSA) vouch for each release with an assertion of about that many bytes; one in fifty builds something else. The keys
//! are in `FOLDER/builder-keys`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use gitian_manifest::{Assertion, Digest, Report, SigsTree};
use rayon::prelude::*;
use sequoia_openpgp::cert::{CertBuilder, CipherSuite};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::Packet;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::serialize::MarshalInto;
use sequoia_openpgp::types::{HashAlgorithm, KeyFlags, SignatureType};

const SIGNERS: usize = 12;
/// The length of a line of a base manifest here, in bytes.
const LINE: usize = 100;

fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1);
    let folder = PathBuf::from(args.next().context("FOLDER")?);
    let mut number =
        |name: &'static str| -> Result<usize> { Ok(args.next().context(name)?.to_string_lossy().parse::<usize>()?) };
    let (asserts, bytes) = (number("ASSERTS")?, number("BYTES")?);
    let rsa = args.next().is_none_or(|word| word != "eddsa");
    let keys = folder.join("builder-keys");
    fs::create_dir_all(&keys)?;
    let pairs = (0..SIGNERS).into_par_iter().map(|signer| make_key(signer, rsa, &keys)).collect::<Result<Vec<_>>>()?;
    let tree = SigsTree::new(&folder);
    (0..asserts).into_par_iter().try_for_each(|at| sign(&tree, at / SIGNERS, at % SIGNERS, bytes, &pairs[at % SIGNERS]))
}

fn born() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_000_000)
}

fn make_key(signer: usize, rsa: bool, folder: &Path) -> Result<KeyPair> {
    let suite = if rsa && signer.is_multiple_of(2) { CipherSuite::RSA4k } else { CipherSuite::Cv25519 };
    let (cert, _) = CertBuilder::new()
        .set_creation_time(born())
        .add_userid(format!("signer{signer} <signer{signer}@example.org>"))
        .set_cipher_suite(suite)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .generate()?;
    fs::write(folder.join(format!("signer{signer}.pgp")), cert.to_vec()?)?;
    cert.primary_key().key().clone().parts_into_secret()?.into_keypair()
}

fn sign(tree: &SigsTree, release: usize, signer: usize, bytes: usize, pair: &KeyPair) -> Result<()> {
    let line = |content: String, path: String| format!("{}  {path}\n", Digest::of_bytes(content.as_bytes()));
    let odd = (release * SIGNERS + signer).is_multiple_of(50);
    let outputs = (0..8).map(|at| line(format!("{release} {at} {odd}"), format!("package-{release}-{at}.tar.gz")));
    let packages = bytes.saturating_sub(1500) / LINE;
    let base = (0..packages).map(|at| {
        let day = usize::from(at % 10 == signer);
        line(format!("{at} {day}"), format!("package{at:05}_1.{day}-1ubuntu1_amd64.deb"))
    });
    let inputs = line(release.to_string(), "package-desc.yml".into()) + &format!("git:{release:040x} package");
    let guests = vec![("bionic-amd64".to_owned(), base.collect())];
    let report = Report::new(outputs.collect(), inputs, guests, Some(String::new()), Some(String::new()));
    let name = format!("{}.{}.{}-linux", release / 100, release / 10 % 10, release % 10);
    let document = Assertion::new(report, &name, "package", None).render();
    let path = tree.assert_path(&name, &format!("signer{signer}"), "package");
    fs::create_dir_all(path.parent().context("folder")?)?;
    let builder = SignatureBuilder::new(SignatureType::Binary)
        .set_hash_algo(HashAlgorithm::SHA512)
        .set_signature_creation_time(born() + Duration::from_secs(3600 * (release as u64 % 50_000)))?;
    let signature = builder.sign_message(&mut pair.clone(), &document)?;
    fs::write(&path, document)?;
    fs::write(path.with_extension("assert.sig"), Packet::from(signature).to_vec()?)?;
    Ok(())
}
