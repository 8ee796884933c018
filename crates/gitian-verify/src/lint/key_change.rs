//! What speaks against a new or changed key file. Whoever had keys or signed before has none but those: else anyone could
//! take over his name with a key of his own, in place of the old one or beside it. And he keeps those, with all that was
//! said of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::types::SignatureType;
use sequoia_openpgp::{Packet, PacketPile};

use super::past::{Held, Past, read_key};
use crate::ASSERT_LIMIT;
use crate::fault::{Change, Fault, Former};
use crate::key_files;
use crate::keyring::{Keyring, blocks, holds_secret};
use crate::merged::{Merged, Said};
use crate::policy::Policy;
use crate::tree_file::Content;

/// How a file of armored keys or revocations begins.
const ARMOR: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// The largest key file that is let through, in bytes; real ones with many signatures have up to 1 MB.
const KEY_LIMIT: u64 = 4 << 20;

/// What changed key files are judged by.
pub(super) struct KeyChanges<'a> {
    root: &'a Path,
    past: &'a Past<'a>,
    policy: &'a Policy,
    keys: &'a Keyring,
    held: &'a [Held],
    /// What the files of an owner in a folder say now.
    said: RefCell<HashMap<(PathBuf, String), BTreeSet<Merged>>>,
}

impl<'a> KeyChanges<'a> {
    pub fn new(root: &'a Path, past: &'a Past<'a>, policy: &'a Policy, keys: &'a Keyring, held: &'a [Held]) -> Self {
        Self { root, past, policy, keys, held, said: RefCell::default() }
    }

    /// Returns the faults of a key file.
    pub fn faults(&self, change: &Change, owner: &str) -> Vec<Fault> {
        let mut faults = self.about_place(change, owner);
        match read_key(self.root, &change.path, KEY_LIMIT) {
            Content::Bytes(bytes) if holds_secret(&bytes) => faults.push(Fault::SecretKey),
            Content::Bytes(bytes) => {
                let mut own = Keyring::default();
                if own.add(&bytes, "") == 0 {
                    faults.extend(self.about_revocations(change, owner, &bytes));
                } else if !own.problems().is_empty() {
                    faults.push(Fault::NotOnlyKeys);
                } else {
                    faults.extend(self.about_keys(change, owner, &own));
                }
            }
            Content::Absent => faults.push(Fault::Unreadable("is not there".into())),
            Content::Refused(reason) => faults.push(Fault::Unreadable(reason)),
        }
        faults
    }

    fn about_place(&self, change: &Change, owner: &str) -> Vec<Fault> {
        let folder = change.path.parent().unwrap_or(Path::new(""));
        let elsewhere = self.past.other_key_folder(folder).map(|used| Fault::OtherKeyFolder { used: used.to_owned() });
        let like = self.past.like(owner).map(|known| Fault::NameLike { owner: known.to_owned() });
        // Nobody who is called like a release could have a folder.
        let is_release = self.past.names_release(owner) && !self.past.knows(owner);
        elsewhere.into_iter().chain(like).chain(is_release.then_some(Fault::OutOfPlace)).collect()
    }

    fn about_keys(&self, change: &Change, owner: &str, own: &Keyring) -> Vec<Fault> {
        let mut by_cert: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for Merged { cert, said } in own.merged() {
            if let Said::Signs(key) = said {
                by_cert.entry(cert).or_default().insert(key);
            }
        }
        let of_policy = |cert: &String| by_cert.get(cert).into_iter().flatten().find_map(|key| self.policy_owner(key));
        let keys = own.fingerprints();
        let before: BTreeSet<&String> = self.past.keys_of(owner).collect();
        let older = self.past.older_with(owner, own);
        let is_known = |key: &String| before.contains(key) || older.keys.contains(key);
        let is_new_signer = before.is_empty() && older.is_empty();
        let is_his = |key: &String| is_known(key) || of_policy(key) == Some(owner);
        let names_keys = self.policy.signers.get(owner).is_some_and(|signer| !signer.keys.is_empty());
        let mut faults = Vec::new();
        for key in keys.iter().filter(|key| !is_known(key)) {
            let (key, by_policy) = (key.clone(), of_policy(key));
            match by_policy.or_else(|| self.past.owner_by_file(owner, &key).filter(|_| is_new_signer)) {
                Some(other) if other != owner => faults.push(Fault::HoldsKeyOf { key, owner: other.to_owned() }),
                Some(_) => {}
                None if names_keys => faults.push(Fault::NotInPolicy { key, owner: owner.to_owned() }),
                None if !is_new_signer && keys.iter().any(is_his) => {
                    faults.push(Fault::NewKey { key, owner: owner.to_owned() });
                }
                None => {}
            }
        }
        if !is_new_signer && !keys.iter().any(is_his) {
            faults.push(Fault::KeyExchanged { owner: owner.to_owned() });
            return faults;
        }
        if is_new_signer && !names_keys && is_spoken_of(self.policy, owner) {
            faults.push(Fault::NamedInPolicy { owner: owner.to_owned() });
        }
        let mut former = Keyring::default();
        if let Former::Bytes(bytes) = &change.former {
            former.add(bytes, "");
        }
        let unbound = own.unbound();
        faults.extend(unbound.difference(&former.unbound()).map(|part| Fault::Unbound { part: part.clone() }));
        faults.extend(self.lost(change, owner, &keys, &former));
        faults
    }

    /// Returns what speaks against a file without keys: it may revoke what the owner's files in the same folder hold.
    fn about_revocations(&self, change: &Change, owner: &str, bytes: &[u8]) -> Vec<Fault> {
        let Some(revocations) = revocations(bytes) else { return vec![Fault::NotAKey] };
        if !revocations.iter().all(|by| self.held_by(change, owner).any(|held| held.keys.are_revoked_by(by))) {
            return vec![Fault::RevokesNothing { owner: owner.to_owned() }];
        }
        let said = self.said_by(change, owner);
        let mut former = Keyring::default();
        if let Former::Bytes(bytes) = &change.former {
            former.add(bytes, "");
        }
        let keys = said.into_iter().map(|Merged { cert, .. }| cert).collect();
        self.lost(change, owner, &keys, &former)
    }

    /// Returns the files of an owner in the folder of one of them.
    fn held_by<'s>(&'s self, change: &'s Change, owner: &'s str) -> impl Iterator<Item = &'a Held> + use<'s, 'a> {
        let folder = change.path.parent().unwrap_or(Path::new(""));
        self.held.iter().filter(move |held| held.path.parent() == Some(folder) && held.owner() == Some(owner))
    }

    /// Returns what the files of an owner say now, in the folder of one of them.
    fn said_by(&self, change: &Change, owner: &str) -> BTreeSet<Merged> {
        let folder = change.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut said = self.said.borrow_mut();
        let now = said
            .entry((folder, owner.to_owned()))
            .or_insert_with(|| self.held_by(change, owner).flat_map(|held| held.keys.merged()).collect());
        now.clone()
    }

    /// Returns whose key this is by the policy.
    fn policy_owner(&self, key: &str) -> Option<&str> {
        self.policy.signers.iter().find(|(_, signer)| signer.keys.contains(key)).map(|(name, _)| &**name)
    }

    /// Returns what a key file held before the change, or any said of its keys, and neither it nor another file of its owner
    /// in the same folder says after it. Where nobody tells what was there, the owner's files in the folders that the user
    /// gave do.
    fn lost(&self, change: &Change, owner: &str, keys: &BTreeSet<String>, former: &Keyring) -> Vec<Fault> {
        let mut before = former.merged();
        if change.former == Former::Unknown {
            let mut given = Keyring::default();
            for file in self.keys.files().iter().filter(|file| key_files::owner(&file.path) == Some(owner)) {
                if let Ok(bytes) = gitian_manifest::read_file(&file.path, ASSERT_LIMIT) {
                    given.add(&bytes, "");
                }
            }
            before.extend(given.merged());
        }
        before.extend(keys.iter().flat_map(|cert| self.past.said_of(cert)).cloned());
        let after = self.said_by(change, owner);
        let certs: BTreeSet<&String> = after.iter().map(|merged| &merged.cert).collect();
        let lost = Merged::lost(before, &after);
        let gone: BTreeSet<String> = lost
            .iter()
            .filter_map(|merged| match &merged.said {
                Said::Signs(key) => Some(key.clone()),
                Said::Revoked { .. } | Said::Last { .. } => None,
            })
            .collect();
        let fault = |Merged { cert, said }| match said {
            Said::Signs(key) => Some(Fault::KeyGone { key, owner: owner.to_owned() }),
            // What is said of a certificate goes with it.
            Said::Revoked { part, .. } => certs.contains(&cert).then_some(Fault::RevocationGone { part }),
            Said::Last { key: Some(key), .. } if gone.contains(&key) => None,
            Said::Last { part, .. } => certs.contains(&cert).then_some(Fault::OlderCopy { part }),
        };
        lost.into_iter().filter_map(fault).collect()
    }
}

/// Returns the revocations of a file of armored ones of keys, if it holds nothing else: `gpg --gen-revoke` writes one.
fn revocations(bytes: &[u8]) -> Option<Vec<Signature>> {
    let mut found = Vec::new();
    for block in blocks(bytes, ARMOR) {
        if !block.starts_with(ARMOR) {
            return None;
        }
        for packet in PacketPile::from_bytes(block).ok()?.into_children() {
            match packet {
                Packet::Signature(by) if by.typ() == SignatureType::KeyRevocation => found.push(by),
                _ => return None,
            }
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Whether a policy demands or weighs the word of somebody of this name.
pub(super) fn is_spoken_of(policy: &Policy, name: &str) -> bool {
    policy.require.contains(name)
        || policy.signers.contains_key(name)
        || policy.groups.values().any(|group| group.members.contains(name))
}
