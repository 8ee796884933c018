//! What a change to a key file may not take away, with keys that are made here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gitian_verify::{Change, Fault, Former, Keyring, Policy, Source, lint};
use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::amalgamation::ValidateAmalgamation;
use sequoia_openpgp::cert::{CertBuilder, CertRevocationBuilder, SubkeyRevocationBuilder, UserIDRevocationBuilder};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::{Packet, Signature, UserID};
use sequoia_openpgp::serialize::MarshalInto;
use sequoia_openpgp::types::ReasonForRevocation::{KeyCompromised, KeyRetired, UIDRetired};
use sequoia_openpgp::types::SignatureType;

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

/// A copy in which the owner said later that the key ended.
fn ended(cert: &Cert) -> Cert {
    let policy = &sequoia_openpgp::policy::StandardPolicy::new();
    let key = cert.primary_key().with_policy(policy, year(2014)).unwrap();
    let said = key.set_expiration_time(&mut pair(cert), Some(year(2015))).unwrap();
    cert.clone().insert_packets(said).unwrap().0
}

#[test]
fn a_key_that_has_ended_is_not_replaced_by_an_older_copy() {
    let alice = make_key("alice");
    let fingerprint = alice.fingerprint().to_hex();
    let id = format!("user id alice <alice@example.org> of key {fingerprint}");
    let older = |part: &str| Fault::OlderCopy { part: part.into() };
    let ended = ended(&alice);
    let without_id = alice.clone().retain_userids(|_| false);
    for (story, before, after, expected) in [
        ("ended now", file(&[&alice]), file(&[&ended]), vec![]),
        ("as it was", file(&[&ended]), file(&[&ended]), vec![]),
        ("ended no longer", file(&[&ended]), file(&[&alice]), vec![older(&format!("key {fingerprint}")), older(&id)]),
        ("without the name", file(&[&alice]), file(&[&without_id]), vec![older(&id)]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("builder-keys");
        fs::create_dir_all(&keys).unwrap();
        fs::write(keys.join("alice.gpg"), &after).unwrap();
        let known = Source::Given(vec![keys]).load().unwrap();
        assert_eq!(faults(folder.path(), Former::Bytes(before), &known), expected, "{story}");
    }
}

#[test]
fn a_key_file_holds_only_what_its_owner_signed() {
    let (alice, mallory) = (make_key("alice"), make_key("mallory"));
    let bare = |cert: &Cert| {
        let id = Packet::from(UserID::from("bob <bob@example.org>"));
        cert.clone().insert_packets(vec![id]).unwrap().0
    };
    let subkey = mallory.keys().subkeys().next().unwrap().key().clone();
    let name = subkey.fingerprint().to_hex();
    let borrowed = alice.clone().insert_packets(vec![Packet::from(subkey)]).unwrap().0;
    let unbound = |part: String| vec![Fault::Unbound { part }];
    let id = format!("user id bob <bob@example.org> of key {}", alice.fingerprint().to_hex());
    for (story, before, after, expected) in [
        ("a new file", Former::Absent, bare(&alice), unbound(id.clone())),
        ("a changed one", Former::Bytes(file(&[&alice])), bare(&alice), unbound(id)),
        ("another's subkey", Former::Absent, borrowed, unbound(format!("subkey {name}"))),
        ("it was there before", Former::Bytes(file(&[&bare(&alice)])), bare(&subkey_revoked(&alice)), vec![]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("builder-keys");
        fs::create_dir_all(&keys).unwrap();
        fs::write(keys.join("alice.gpg"), file(&[&after])).unwrap();
        let known = Source::Given(vec![keys]).load().unwrap();
        assert_eq!(faults(folder.path(), before, &known), expected, "{story}");
    }
}

/// Whichever folder readers look into, it says all that is known of a key.
#[test]
fn a_key_is_not_known_better_in_another_folder() {
    let (alice, bob) = (make_key("alice"), make_key("bob"));
    let part = format!("key {}", alice.fingerprint().to_hex());
    for (beside, after, expected) in [
        (revoked(&alice), alice.clone(), vec![Fault::RevocationGone { part }]),
        (revoked(&alice), revoked(&alice), vec![]),
        (alice.clone(), revoked(&alice), vec![]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (path, cert) in
            [("gitian-keys/alice.gpg", &beside), ("builder-keys/bob.gpg", &bob), ("builder-keys/alice.gpg", &after)]
        {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file(&[cert])).unwrap();
        }
        let known = Source::Given(vec![folder.path().join("builder-keys")]).load().unwrap();
        assert_eq!(faults(folder.path(), Former::Absent, &known), expected);
    }
}

/// A policy says whose keys are whose, and of whom it speaks.
#[test]
fn a_key_file_and_the_policy_agree() {
    let (alice, mallory) = (make_key("alice"), make_key("mallory"));
    let [own, other] = [&alice, &mallory].map(|cert| cert.fingerprint().to_hex());
    let subkey = alice.keys().subkeys().next().unwrap().key().fingerprint().to_hex();
    let owner = || "alice".to_owned();
    for (policy, former, expected) in [
        (format!("[signers.alice]\nkeys = ['{own}']\n"), Former::Absent, vec![]),
        (format!("[signers.alice]\nkeys = ['{subkey}']\n"), Former::Absent, vec![]),
        (
            format!("[signers.alice]\nkeys = ['{other}']\n"),
            Former::Absent,
            vec![Fault::NotInPolicy { key: own.clone(), owner: owner() }],
        ),
        (
            format!("[signers.zed]\nkeys = ['{subkey}']\n"),
            Former::Absent,
            vec![Fault::HoldsKeyOf { key: own.clone(), owner: "zed".into() }],
        ),
        // A maintainer wrote there that she has another key now.
        (format!("[signers.alice]\nkeys = ['{own}', '{other}']\n"), Former::Bytes(file(&[&mallory])), vec![]),
        // Anybody could be the one who is required.
        ("require = ['alice']\n".into(), Former::Absent, vec![Fault::NamedInPolicy { owner: owner() }]),
        ("[groups.g]\nmembers = ['alice']\n".into(), Former::Absent, vec![Fault::NamedInPolicy { owner: owner() }]),
        ("require = ['bob']\n".into(), Former::Absent, vec![]),
        ("require = ['alice']\n".into(), Former::Bytes(file(&[&alice])), vec![]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("builder-keys");
        fs::create_dir_all(&keys).unwrap();
        let both = matches!(&former, Former::Bytes(bytes) if *bytes != file(&[&alice]));
        let now = if both { file(&[&alice, &mallory]) } else { file(&[&alice]) };
        fs::write(keys.join("alice.gpg"), now).unwrap();
        let change = Change { path: PathBuf::from("builder-keys/alice.gpg"), removed: false, former };
        let known = Source::Given(vec![keys]).load().unwrap();
        let read = Policy::parse(&policy).unwrap();
        let findings = lint(folder.path(), &[change], None, &known, &read, year(2020)).unwrap();
        let faults: Vec<Fault> = findings.into_iter().map(|finding| finding.fault).collect();
        assert_eq!(faults, expected, "{policy}");
    }
}

/// Writes as many documents of a signer in one release, all the same; returns what changed by that.
fn sign(tree: &Path, signer: &str, cert: &Cert, count: usize) -> Vec<Change> {
    let document =
        format!("--- !!omap\n- out_manifest: |\n    {}  a.zip\n- release: '1.0'\n- name: p\n", "0".repeat(64));
    let builder = SignatureBuilder::new(SignatureType::Binary).set_signature_creation_time(year(2015)).unwrap();
    let signature = Packet::from(builder.sign_message(&mut pair(cert), &document).unwrap()).to_vec().unwrap();
    let folder = Path::new("1.0").join(signer);
    fs::create_dir_all(tree.join(&folder)).unwrap();
    let write = |number: usize| {
        let path = folder.join(format!("p{number}-build.assert"));
        fs::write(tree.join(&path).with_extension("assert.sig"), &signature).unwrap();
        fs::write(tree.join(&path), &document).unwrap();
        Change { path, removed: false, former: Former::Absent }
    };
    (0..count).map(write).collect()
}

/// Nanoseconds of this thread on a processor: what others do at the same time is not in it.
fn processor_time() -> u64 {
    let said = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    said.split(' ').next().unwrap().parse().unwrap()
}

/// What is there is looked at once, not for each file that comes.
#[test]
fn a_change_costs_what_comes_and_what_is_there_not_their_product() {
    let (bob, mallory) = (make_key("bob"), make_key("mallory"));
    let costs = [10, 200].map(|there| {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        // One ring: whose key is whose is told by what they signed.
        let ring = folder.path().join("ring.gpg");
        fs::write(&ring, file(&[&bob, &mallory])).unwrap();
        let known = Source::Given(vec![ring]).load().unwrap();
        sign(&tree, "bob", &bob, there);
        let changes = sign(&tree, "mallory", &mallory, 100);
        let before = processor_time();
        let findings = lint(&tree, &changes, None, &known, &Policy::default(), year(2020)).unwrap();
        // All of them are called otherwise than they say, and nothing else is wrong.
        assert_eq!(findings.len(), 100, "{:?}", findings.first());
        processor_time() - before
    });
    assert!(costs[1] < costs[0] * 8, "{costs:?}");
}

fn faults(tree: &Path, former: Former, keys: &Keyring) -> Vec<Fault> {
    let change = Change { path: PathBuf::from("builder-keys/alice.gpg"), removed: false, former };
    let findings = lint(tree, &[change], None, keys, &Policy::default(), year(2020)).unwrap();
    findings.into_iter().map(|finding| finding.fault).collect()
}
