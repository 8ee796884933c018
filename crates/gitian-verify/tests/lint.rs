//! What a change to a key file may not take away, with keys that are made here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gitian_verify::{Change, Fault, Former, Keyring, Policy, Source, lint};
use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::{CertBuilder, CertRevocationBuilder, SubkeyRevocationBuilder, UserIDRevocationBuilder};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::{Packet, Signature};
use sequoia_openpgp::serialize::MarshalInto;
use sequoia_openpgp::types::ReasonForRevocation::{KeyCompromised, KeyRetired, UIDRetired};

fn year(year: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_556_952)
}

fn make_key(name: &str) -> Cert {
    let builder = CertBuilder::new().set_creation_time(year(2010)).add_signing_subkey();
    builder.add_userid(format!("{name} <{name}@example.org>")).generate().unwrap().0
}

fn pair(cert: &Cert) -> KeyPair {
    cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
}

fn with(cert: &Cert, revocation: Signature) -> Cert {
    cert.clone().insert_packets(vec![Packet::from(revocation)]).unwrap().0
}

/// Revokes a certificate.
fn revoked(cert: &Cert) -> Cert {
    let builder = CertRevocationBuilder::new().set_signature_creation_time(year(2016)).unwrap();
    let builder = builder.set_reason_for_revocation(KeyCompromised, b"stolen").unwrap();
    with(cert, builder.build(&mut pair(cert), cert, None).unwrap())
}

fn subkey_revoked(cert: &Cert) -> Cert {
    let subkey = cert.keys().subkeys().next().unwrap().key().clone();
    let builder = SubkeyRevocationBuilder::new().set_signature_creation_time(year(2016)).unwrap();
    let builder = builder.set_reason_for_revocation(KeyRetired, b"").unwrap();
    with(cert, builder.build(&mut pair(cert), cert, subkey.parts_as_public(), None).unwrap())
}

fn user_id_revoked(cert: &Cert) -> Cert {
    let id = cert.userids().next().unwrap().userid().clone();
    let builder = UserIDRevocationBuilder::new().set_signature_creation_time(year(2016)).unwrap();
    let builder = builder.set_reason_for_revocation(UIDRetired, b"").unwrap();
    with(cert, builder.build(&mut pair(cert), cert, &id, None).unwrap())
}

/// A copy with the primary key only.
fn without_subkey(cert: &Cert) -> Cert {
    cert.clone().retain_subkeys(|_| false)
}

fn file(certs: &[&Cert]) -> Vec<u8> {
    certs.iter().flat_map(|cert| cert.to_vec().unwrap()).collect()
}

#[test]
fn what_a_key_file_says_stays_in_it() {
    /// Story, before, after, what is wrong.
    type Case<'a> = (&'a str, Vec<u8>, Vec<u8>, Vec<Fault>);
    let (alice, older) = (make_key("alice"), make_key("older"));
    let gone = |key: String| Fault::KeyGone { key, owner: "alice".into() };
    let fingerprint = alice.fingerprint().to_hex();
    let subkey = alice.keys().subkeys().next().unwrap().key().fingerprint().to_hex();
    let older_subkey = older.keys().subkeys().next().unwrap().key().fingerprint().to_hex();
    let unrevoked = |part: String| Fault::RevocationGone { part };
    let mut both_gone = vec![gone(older.fingerprint().to_hex()), gone(older_subkey)];
    both_gone.sort();
    let cases: [Case<'_>; 10] = [
        ("as it was", file(&[&alice]), file(&[&alice]), vec![]),
        ("revoked", file(&[&alice]), file(&[&revoked(&alice)]), vec![]),
        ("still revoked", file(&[&revoked(&alice)]), file(&[&subkey_revoked(&revoked(&alice))]), vec![]),
        (
            "revoked no longer",
            file(&[&revoked(&alice)]),
            file(&[&alice]),
            vec![unrevoked(format!("key {fingerprint}"))],
        ),
        (
            "the subkey revoked no longer",
            file(&[&subkey_revoked(&alice)]),
            file(&[&alice]),
            vec![unrevoked(format!("subkey {subkey}"))],
        ),
        (
            "the user id revoked no longer",
            file(&[&user_id_revoked(&alice)]),
            file(&[&alice]),
            vec![unrevoked(format!("user id alice <alice@example.org> of key {fingerprint}"))],
        ),
        ("without the key before it", file(&[&older, &alice]), file(&[&alice]), both_gone.clone()),
        // One line for each key: that it was revoked as well says nothing more.
        ("without the revoked key before it", file(&[&revoked(&older), &alice]), file(&[&alice]), both_gone),
        ("without its subkey", file(&[&alice]), file(&[&without_subkey(&alice)]), vec![gone(subkey)]),
        ("in another order", file(&[&older, &alice]), file(&[&alice, &older]), vec![]),
    ];
    for (story, before, after, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let [base, keys] = ["base", "tree/builder-keys"].map(|name| folder.path().join(name));
        fs::create_dir_all(&base).unwrap();
        fs::create_dir_all(&keys).unwrap();
        fs::write(base.join("alice.gpg"), &before).unwrap();
        fs::write(keys.join("alice.gpg"), &after).unwrap();
        let tree = folder.path().join("tree");
        // By the word of a range with the keys of the tree or of its base, and by the keys of the base alone.
        for (former, source) in
            [(Former::Bytes(before.clone()), &keys), (Former::Bytes(before.clone()), &base), (Former::Unknown, &base)]
        {
            let known = Source::Given(vec![source.clone()]).load().unwrap();
            assert_eq!(faults(&tree, former, &known), expected, "{story}");
        }
        // A second file of the same name will do, in the same folder.
        for (place, expected) in [("builder-keys", &[][..]), ("gitian-keys", &expected[..])] {
            let second = tree.join(place).join("alice.asc");
            fs::create_dir_all(tree.join(place)).unwrap();
            fs::write(&second, &before).unwrap();
            let known = Source::Given(vec![base.clone()]).load().unwrap();
            assert_eq!(faults(&tree, Former::Bytes(before.clone()), &known), expected, "{story}, {place}");
            fs::remove_file(second).unwrap();
        }
    }
}

fn faults(tree: &Path, former: Former, keys: &Keyring) -> Vec<Fault> {
    let change = Change { path: PathBuf::from("builder-keys/alice.gpg"), removed: false, former };
    let findings = lint(tree, &[change], None, keys, &Policy::default(), year(2020)).unwrap();
    findings.into_iter().map(|finding| finding.fault).collect()
}
