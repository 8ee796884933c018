//! Keys of every kind and age, made here, give the state that their story asks for.

use std::time::{Duration, SystemTime};

use gitian_verify::{Good, Keyring, Signature, Standing, Weakness, check, check_each};
use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::{CertBuilder, CertRevocationBuilder, CipherSuite, SubkeyRevocationBuilder};
use sequoia_openpgp::crypto::{KeyPair, Signer};
use sequoia_openpgp::packet::signature::{Signature3, SignatureBuilder};
use sequoia_openpgp::packet::{Packet, UserID};
use sequoia_openpgp::serialize::MarshalInto;
use sequoia_openpgp::types::{HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType};

const DOCUMENT: &[u8] = b"--- !!omap\n- out_manifest: ''\n";

/// The start of a year.
fn year(year: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_556_952)
}

fn years(count: u64) -> Duration {
    Duration::from_secs(count * 31_556_952)
}

/// When everything is checked.
fn now() -> SystemTime {
    year(2020)
}

/// A key that signs, made in 2010.
fn make_key(suite: CipherSuite, lives: Option<Duration>) -> (Cert, KeyPair) {
    let (cert, _) = CertBuilder::new()
        .set_creation_time(year(2010))
        .add_userid("Alice <alice@example.org>")
        .set_cipher_suite(suite)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .set_validity_period(lives)
        .generate()
        .unwrap();
    let pair = pair_of_primary(&cert);
    (cert, pair)
}

fn pair_of_primary(cert: &Cert) -> KeyPair {
    cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap()
}

fn builder(made: SystemTime) -> SignatureBuilder {
    SignatureBuilder::new(SignatureType::Binary)
        .set_hash_algo(HashAlgorithm::SHA512)
        .set_signature_creation_time(made)
        .unwrap()
}

fn bytes(signature: sequoia_openpgp::packet::Signature) -> Vec<u8> {
    Packet::from(signature).to_vec().unwrap()
}

fn sign(pair: &mut KeyPair, made: SystemTime) -> Vec<u8> {
    bytes(builder(made).sign_message(pair, DOCUMENT).unwrap())
}

fn keyring(certs: &[&Cert]) -> Keyring {
    let mut keyring = Keyring::default();
    for cert in certs {
        assert_eq!(keyring.add(&cert.to_vec().unwrap(), "made here"), 1);
    }
    assert_eq!(keyring.problems(), <[String; 0]>::default());
    keyring
}

fn good(signature: &[u8], keys: &Keyring) -> Good {
    match check(signature, DOCUMENT, keys, now()) {
        Signature::Good(good) => *good,
        other => panic!("{other:?}"),
    }
}

fn revoke(cert: Cert, pair: &mut KeyPair, at: SystemTime, reason: ReasonForRevocation) -> Cert {
    let revocation = CertRevocationBuilder::new()
        .set_signature_creation_time(at)
        .unwrap()
        .set_reason_for_revocation(reason, b"moved on")
        .unwrap()
        .build(pair, &cert, None)
        .unwrap();
    cert.insert_packets(vec![Packet::from(revocation)]).unwrap().0
}

/// ```text
///   2010      2012      2014      2016      2018      2020
///   made      |         |         |         |         checked
///   ●─────────┼─────────┼─────────┼─────────┼─────────┤   never expires
///   ●─────────┼─────────╳ expires |         |         |
///   ●─────────┼─────────┼─────────╳ revoked |         |
///             ▲         |         ▲         ▲         |
///             signed    |         signed    signed    |
/// ```
#[test]
fn a_signature_is_judged_by_where_it_lies_in_the_life_of_its_key() {
    use ReasonForRevocation::{KeyCompromised, KeyRetired, KeySuperseded, Unspecified};
    let cases = [
        // signed, expires, revoked, standing, counts
        (2012, None, None, Standing::Sound, true),
        (2018, None, None, Standing::Sound, true),
        (2012, Some(2014), None, Standing::KeyExpiredSince, true),
        (2016, Some(2014), None, Standing::MadeAfterExpiry, true),
        (2012, Some(2022), None, Standing::Sound, true),
        (2012, None, Some((2016, KeyRetired)), Standing::KeyRevokedLater, true),
        (2012, None, Some((2016, KeySuperseded)), Standing::KeyRevokedLater, true),
        (2012, None, Some((2016, Unspecified)), Standing::KeyRevokedLater, true),
        (2018, None, Some((2016, KeyRetired)), Standing::MadeAfterRevocation, false),
        (2016, None, Some((2016, KeyRetired)), Standing::MadeAfterRevocation, false),
        (2012, None, Some((2016, KeyCompromised)), Standing::KeyCompromised, false),
        (2012, Some(2014), Some((2016, KeyRetired)), Standing::KeyRevokedLater, true),
        (2018, Some(2014), Some((2016, KeyRetired)), Standing::MadeAfterRevocation, false),
    ];
    for (signed, expires, revoked, standing, counts) in cases {
        let lives = expires.map(|expires: u64| years(expires - 2010));
        let (cert, mut pair) = make_key(CipherSuite::Cv25519, lives);
        let signature = sign(&mut pair, year(signed));
        let cert = match revoked {
            Some((at, reason)) => revoke(cert, &mut pair, year(at), reason),
            None => cert,
        };
        let good = good(&signature, &keyring(&[&cert]));
        let story = format!("signed {signed}, expires {expires:?}, revoked {revoked:?}");
        assert_eq!((good.standing, good.standing.counts()), (standing, counts), "{story}");
        assert_eq!(good.made, year(signed), "{story}");
        assert_eq!(good.key_expires.is_some(), expires.is_some(), "{story}");
        assert_eq!(good.key_revoked.is_some_and(|revocation| revocation.comment == "moved on"), revoked.is_some());
    }
}

#[test]
fn a_signature_that_was_limited_in_time_no_longer_counts_after_it() {
    let (cert, mut pair) = make_key(CipherSuite::Cv25519, None);
    for (lives, standing) in [(5, Standing::SignatureExpired), (10, Standing::Sound)] {
        let limited = builder(year(2012)).set_signature_validity_period(years(lives)).unwrap();
        let signature = bytes(limited.sign_message(&mut pair, DOCUMENT).unwrap());
        assert_eq!(good(&signature, &keyring(&[&cert])).standing, standing);
    }
}

#[test]
fn a_key_that_is_younger_than_its_signature_did_not_make_it() {
    let (cert, mut pair) = make_key(CipherSuite::Cv25519, None);
    let signature = sign(&mut pair, year(2009));
    let state = check(&signature, DOCUMENT, &keyring(&[&cert]), now());
    assert!(matches!(state, Signature::Bad { .. }), "{state:?}");
}

#[test]
fn every_kind_of_key_and_digest_is_understood() {
    use HashAlgorithm::{MD5, RipeMD, SHA1, SHA224, SHA256, SHA384, SHA512};
    let suites = [
        (CipherSuite::Cv25519, "EdDSA 256"),
        (CipherSuite::P256, "ECDSA 256"),
        (CipherSuite::P521, "ECDSA 521"),
        (CipherSuite::RSA2k, "RSA 2048"),
    ];
    for (suite, name) in suites {
        let (cert, mut pair) = make_key(suite, None);
        let keys = keyring(&[&cert]);
        for hash in [SHA1, RipeMD, SHA224, SHA256, SHA384, SHA512] {
            let builder = builder(year(2012)).set_hash_algo(hash);
            let signature = bytes(builder.sign_message(&mut pair, DOCUMENT).unwrap());
            let good = good(&signature, &keys);
            let weak = if matches!(hash, SHA1 | RipeMD) { vec![Weakness::Hash(hash.to_string())] } else { vec![] };
            assert_eq!((good.algorithm.as_str(), good.hash, good.weak), (name, hash.to_string(), weak));
        }
        // A correct one, and yet it says nothing.
        let signature = bytes(builder(year(2012)).set_hash_algo(MD5).sign_message(&mut pair, DOCUMENT).unwrap());
        let state = check(&signature, DOCUMENT, &keys, now());
        assert_eq!(state, Signature::BrokenHash { hash: "MD5".into() }, "{name}");
    }
}

#[test]
fn a_signature_over_text_does_not_see_how_lines_end() {
    let (cert, mut pair) = make_key(CipherSuite::Cv25519, None);
    let keys = keyring(&[&cert]);
    let text = SignatureBuilder::new(SignatureType::Text).set_signature_creation_time(year(2012)).unwrap();
    let signature = bytes(text.sign_message(&mut pair, "one\r\n\r\ntwo \r\nlast").unwrap());
    for (document, fits) in [
        (&b"one\n\ntwo \nlast"[..], true),
        (b"one\r\n\r\ntwo \r\nlast", true),
        (b"one\n\ntwo\nlast", false),
        (b"one\n\ntwo \nlast\n", false),
    ] {
        let state = check(&signature, document, &keys, now());
        assert_eq!(matches!(state, Signature::Good(_)), fits, "{state:?}");
    }
}

#[test]
fn signatures_of_version_3_count() {
    for suite in [CipherSuite::Cv25519, CipherSuite::RSA2k] {
        let (cert, mut pair) = make_key(suite, None);
        let made = u32::try_from(year(2012).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap();
        // What version 3 hashes: the document, the type, the time. RFC 4880, section 5.2.4.
        let mut digest = HashAlgorithm::SHA256.context().unwrap().for_digest();
        digest.update(DOCUMENT);
        digest.update(&[0]);
        digest.update(&made.to_be_bytes());
        let digest = digest.into_digest().unwrap();
        let mpis = pair.sign(HashAlgorithm::SHA256, &digest).unwrap();
        let key = pair.public().clone();
        let prefix = [digest[0], digest[1]];
        let (kind, hash) = (SignatureType::Binary, HashAlgorithm::SHA256);
        let signature = Signature3::new(kind, made.into(), key.keyid(), key.pk_algo(), hash, prefix, mpis);
        let signature = bytes(signature.into());
        assert_eq!(signature[2..].iter().position(|&byte| byte == 3).map(|at| at < 2), Some(true), "version 3");
        assert_eq!(good(&signature, &keyring(&[&cert])).standing, Standing::Sound);
        let state = check(&signature, b"another", &keyring(&[&cert]), now());
        assert!(matches!(state, Signature::Bad { .. }), "{state:?}");
    }
}

#[test]
fn the_best_of_several_signatures_counts() {
    let (alice, mut alice_pair) = make_key(CipherSuite::Cv25519, None);
    let (_, mut stranger) = make_key(CipherSuite::Cv25519, None);
    let keys = keyring(&[&alice]);
    let right = sign(&mut alice_pair, year(2012));
    let wrong = bytes(builder(year(2012)).sign_message(&mut alice_pair, "another").unwrap());
    let unknown = sign(&mut stranger, year(2012));
    for file in [vec![&right], vec![&wrong, &right], vec![&right, &wrong], vec![&unknown, &wrong, &right, &unknown]] {
        good(&file.into_iter().flatten().copied().collect::<Vec<_>>(), &keys);
    }
    let bad = check(&[unknown.clone(), wrong].concat(), DOCUMENT, &keys, now());
    assert!(matches!(bad, Signature::Bad { .. }), "{bad:?}");
    let nobodys = check(&unknown, DOCUMENT, &keys, now());
    let Signature::NoKey(wanted) = nobodys else { panic!("{nobodys:?}") };
    assert_eq!(wanted.key, Some(stranger.public().fingerprint().to_hex()));
    assert_eq!(wanted.made, Some(year(2012)));
    // Of good ones the newest that is not from the future, wherever it is.
    let weak = |made| {
        let weak = builder(year(made)).set_hash_algo(HashAlgorithm::SHA1);
        bytes(weak.sign_message(&mut pair_of_primary(&alice), DOCUMENT).unwrap())
    };
    let signatures = [weak(2013), right, weak(2012), sign(&mut alice_pair, year(2022))];
    for turn in 0..signatures.len() {
        let mut file = signatures.clone();
        file.rotate_left(turn);
        for file in [file.concat(), file.into_iter().rev().flatten().collect()] {
            assert_eq!((good(&file, &keys).made, good(&file, &keys).hash), (year(2013), "SHA1".into()), "{turn}");
        }
    }
}

#[test]
fn what_cannot_be_read_hides_no_signature_beside_it() {
    let [(alice, mut alice_pair), (bob, mut bob_pair)] = [(); 2].map(|()| make_key(CipherSuite::Cv25519, None));
    let keys = keyring(&[&alice, &bob]);
    let (one, other) = (sign(&mut alice_pair, year(2012)), sign(&mut bob_pair, year(2013)));
    let cut = &one[..one.len() - 9];
    let mut unknown = one.clone();
    let version = unknown.iter().position(|&byte| byte == 4).unwrap();
    unknown[version] = 99;
    let nothing: &[u8] = &[];
    for (story, first, between, last) in [
        ("a signature that is cut off", nothing, nothing, cut),
        ("no packet at all", nothing, nothing, &b"\0\0"[..]),
        ("a version that is not known", nothing, nothing, &unknown),
        ("the same between them", nothing, &unknown, nothing),
        ("the same before them", &unknown, nothing, nothing),
    ] {
        let file = [first, &one, between, &other, last].concat();
        let states = check_each(&file, DOCUMENT, &keys, now());
        let made = states.iter().filter_map(|state| match state {
            Signature::Good(good) => Some(good.made),
            _ => None,
        });
        assert_eq!(made.collect::<Vec<_>>(), [year(2012), year(2013)], "{story}: {states:?}");
    }
    for alone in [cut, &unknown] {
        let state = check(alone, DOCUMENT, &keys, now());
        assert!(matches!(state, Signature::NotDetached(_)), "{state:?}");
    }
}

#[test]
fn what_a_signature_calls_critical_and_nobody_here_knows_makes_it_bad() {
    let (alice, mut pair) = make_key(CipherSuite::Cv25519, None);
    let keys = keyring(&[&alice]);
    for (notation, is_critical, is_bad) in [
        ("unheard-of@example.org", false, false),
        ("unheard-of@example.org", true, true),
        ("preferred-email-encoding@pgp.com", true, false),
    ] {
        let builder = builder(year(2012)).set_notation(notation, b"1", None, is_critical).unwrap();
        let signature = bytes(builder.sign_message(&mut pair, DOCUMENT).unwrap());
        let state = check(&signature, DOCUMENT, &keys, now());
        let is_told = matches!(&state, Signature::Bad { reason, .. } if reason.contains(notation));
        assert_eq!((is_told, matches!(state, Signature::Good(_))), (is_bad, !is_bad), "{state:?}");
    }
}

#[test]
fn a_user_id_that_the_owner_did_not_sign_is_not_told() {
    let (alice, mut pair) = make_key(CipherSuite::Cv25519, None);
    let signature = sign(&mut pair, year(2012));
    let added = Packet::from(UserID::from("Satoshi Nakamoto <satoshi@example.org>"));
    let (alice, is_changed) = alice.insert_packets(vec![added]).unwrap();
    assert!(is_changed);
    let mut keys = Keyring::default();
    // As it comes in a file: writing a certificate drops such parts.
    let bytes: Vec<u8> = alice.into_packets().flat_map(|packet| packet.to_vec().unwrap()).collect();
    assert_eq!(keys.add(&bytes, "made here"), 1);
    assert_eq!(good(&signature, &keys).user_ids, ["Alice <alice@example.org>"]);
}

#[test]
fn of_any_number_of_signatures_those_are_told_that_differ_in_worth() {
    let (alice, mut pair) = make_key(CipherSuite::Cv25519, None);
    let keys = keyring(&[&alice]);
    let strangers = |count: usize| {
        (0..count).flat_map(|_| sign(&mut make_key(CipherSuite::Cv25519, None).1, year(2012))).collect::<Vec<_>>()
    };
    let wrong = bytes(builder(year(2012)).sign_message(&mut pair, "another").unwrap());
    let years = [2012, 2014, 2013];
    let right = years.map(|made| sign(&mut pair, year(made))).concat();
    // However many there are before it, a good one is found.
    let file = [right.repeat(10), wrong.repeat(10), strangers(120), right].concat();
    let states = check_each(&file, DOCUMENT, &keys, now());
    let Signature::Good(newest) = &states[0] else { panic!("{:?}", states[0]) };
    assert_eq!(newest.made, year(2014));
    assert!(matches!(states[1], Signature::Bad { .. }), "{:?}", states[1]);
    assert!(states[2..101].iter().all(|state| matches!(state, Signature::NoKey(_))));
    assert_eq!(states[101..], [Signature::NotDetached("holds 21 more signatures, none of them good".into())]);
}

/// A file may be stuffed with as many bad ones as its size allows, by a key that we know: the document is hashed once
/// for all of them.
#[test]
fn thousands_of_bad_signatures_hide_no_good_one() {
    let (alice, mut pair) = make_key(CipherSuite::Cv25519, None);
    let keys = keyring(&[&alice]);
    let document = vec![b'x'; 16 << 20];
    let wrong = bytes(builder(year(2012)).sign_message(&mut pair, "another").unwrap());
    let right = bytes(builder(year(2012)).sign_message(&mut pair, &document).unwrap());
    let mut file = wrong.repeat((1 << 20) / wrong.len());
    file.extend(right);
    let began = std::time::Instant::now();
    let state = check(&file, &document, &keys, now());
    assert!(matches!(state, Signature::Good(_)), "{state:?}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn armored_signatures_and_keyrings_of_several_blocks_are_read() {
    use sequoia_openpgp::armor::{Kind, Writer};
    let armor = |kind: Kind, bytes: &[u8]| {
        let mut writer = Writer::new(Vec::new(), kind).unwrap();
        std::io::Write::write_all(&mut writer, bytes).unwrap();
        writer.finalize().unwrap()
    };
    let (alice, mut alice_pair) = make_key(CipherSuite::Cv25519, None);
    let (bob, mut bob_pair) = make_key(CipherSuite::P256, None);
    let mut file = b"Keys of alice and bob\n\n".to_vec();
    for cert in [&alice, &bob] {
        file.extend(armor(Kind::PublicKey, &cert.to_vec().unwrap()));
    }
    let mut keys = Keyring::default();
    assert_eq!(keys.add(&file, "keys.asc"), 2);
    // The same keys once more change nothing.
    assert_eq!((keys.add(&file, "again"), keys.len()), (2, 2));
    for pair in [&mut alice_pair, &mut bob_pair] {
        good(&armor(Kind::Signature, &sign(pair, year(2012))), &keys);
    }
}

/// A certificate of mallory that lists alice's signing subkey as its own.
#[test]
fn a_subkey_belongs_to_who_it_agreed_to_belong_to() {
    let (alice, _) = CertBuilder::new()
        .set_creation_time(year(2010))
        .add_userid("Alice <alice@example.org>")
        .add_signing_subkey()
        .generate()
        .unwrap();
    let subkey = alice.keys().subkeys().next().unwrap().key().clone();
    let mut subkey_pair = subkey.clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let signature = sign(&mut subkey_pair, year(2012));
    let (mallory, mut mallory_pair) = make_key(CipherSuite::Cv25519, None);
    let claim = SignatureBuilder::new(SignatureType::SubkeyBinding)
        .set_signature_creation_time(year(2011))
        .unwrap()
        .set_key_flags(KeyFlags::empty().set_signing())
        .unwrap()
        .sign_subkey_binding(&mut mallory_pair, None, subkey.parts_as_public())
        .unwrap();
    let claimed = vec![Packet::PublicSubkey(subkey.clone().take_secret().0), Packet::from(claim)];
    let mallory = mallory.insert_packets(claimed).unwrap().0;

    let state = check(&signature, DOCUMENT, &keyring(&[&mallory]), now());
    assert!(matches!(state, Signature::NoKey(_)), "{state:?}");
    for certs in [[&mallory, &alice], [&alice, &mallory]] {
        let good = good(&signature, &keyring(&certs));
        assert_eq!(good.primary_key, alice.fingerprint().to_hex());
        assert_eq!(good.key, subkey.fingerprint().to_hex());
        assert_eq!(good.user_ids, ["Alice <alice@example.org>"]);
    }
}

#[test]
fn a_revoked_subkey_is_revoked_although_its_certificate_is_not() {
    let (cert, _) = CertBuilder::new()
        .set_creation_time(year(2010))
        .add_userid("Alice <alice@example.org>")
        .add_signing_subkey()
        .generate()
        .unwrap();
    let subkey = cert.keys().subkeys().next().unwrap().key().clone();
    let mut pair = subkey.clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let revocation = SubkeyRevocationBuilder::new()
        .set_signature_creation_time(year(2016))
        .unwrap()
        .set_reason_for_revocation(ReasonForRevocation::KeySuperseded, b"moved on")
        .unwrap()
        .build(&mut pair_of_primary(&cert), &cert, subkey.parts_as_public(), None)
        .unwrap();
    let cert = cert.insert_packets(vec![Packet::from(revocation)]).unwrap().0;
    let keys = keyring(&[&cert]);
    assert_eq!(good(&sign(&mut pair, year(2012)), &keys).standing, Standing::KeyRevokedLater);
    assert_eq!(good(&sign(&mut pair, year(2018)), &keys).standing, Standing::MadeAfterRevocation);
    assert_eq!(good(&sign(&mut pair_of_primary(&cert), year(2018)), &keys).standing, Standing::Sound);
}

#[test]
fn whom_the_owner_lets_may_revoke_a_key_and_nobody_else() {
    let (bob, mut bob_pair) = make_key(CipherSuite::Cv25519, None);
    let (mallory, mut mallory_pair) = make_key(CipherSuite::Cv25519, None);
    let made = CertBuilder::new().set_creation_time(year(2010)).add_userid("Alice <alice@example.org>");
    let (alice, _) = made
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .set_revocation_keys(vec![(&bob).into()])
        .generate()
        .unwrap();
    let signature = sign(&mut pair_of_primary(&alice), year(2018));
    let revoked_by = |pair: &mut KeyPair| revoke(alice.clone(), pair, year(2016), ReasonForRevocation::KeyRetired);
    let (by_bob, by_mallory) = (revoked_by(&mut bob_pair), revoked_by(&mut mallory_pair));
    for (story, certs, expected) in [
        ("bob", vec![&by_bob, &bob], Standing::MadeAfterRevocation),
        ("bob, whose key we do not have", vec![&by_bob], Standing::Sound),
        ("mallory", vec![&by_mallory, &bob, &mallory], Standing::Sound),
    ] {
        assert_eq!(good(&signature, &keyring(&certs)).standing, expected, "{story}");
    }
}

#[test]
fn damaged_files_never_pass_and_never_panic() {
    let (cert, mut pair) = make_key(CipherSuite::Cv25519, None);
    let keys = keyring(&[&cert]);
    let signature = sign(&mut pair, year(2012));
    for at in 0..signature.len() {
        let cut = check(&signature[..at], DOCUMENT, &keys, now());
        assert!(!matches!(cut, Signature::Good(_)), "cut at {at}: {cut:?}");
        for bit in 0..8 {
            let mut flipped = signature.clone();
            flipped[at] ^= 1 << bit;
            // Only a bit that is not signed may be harmless: which key the signature names besides the signed name.
            if let Signature::Good(good) = check(&flipped, DOCUMENT, &keys, now()) {
                assert_eq!((good.made, good.primary_key), (year(2012), cert.fingerprint().to_hex()));
            }
        }
    }
    let key = cert.to_vec().unwrap();
    for at in 0..key.len() {
        let mut damaged = key.clone();
        damaged[at] ^= 0xff;
        Keyring::default().add(&damaged, "damaged");
        Keyring::default().add(&key[..at], "cut");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_neither_a_signature_nor_a_key(bytes in proptest::collection::vec(0_u8.., 0..400)) {
        let mut keys = Keyring::default();
        keys.add(&bytes, "arbitrary");
        let state = check(&bytes, DOCUMENT, &keys, now());
        proptest::prop_assert!(!matches!(state, Signature::Good(_)));
    }
}
