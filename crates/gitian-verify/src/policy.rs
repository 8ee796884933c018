//! What a project demands before it calls a release verified, as the file `gverify.toml` says it. How it is applied is
//! known to `decide`; the format is described in share/doc/gverify.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::facts::{Facts, Good, Naming};
use crate::tree_file::{self, Content};

const DAY: u64 = 24 * 3600;
/// The largest policy that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// What is demanded of a release. The default demands nothing: whoever has a good signature is heard and counts 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How much weight must agree.
    pub min_good: Option<u64>,
    /// Signers who must agree.
    pub require: BTreeSet<String>,
    /// The largest age of a signature.
    pub max_age: Option<Duration>,
    /// Whether weak digests, short keys and expired keys are refused.
    pub strict: bool,
    /// The weight of signers without an entry in `signers`.
    pub unlisted_weight: u32,
    /// What is known about signers, by the name of their folder.
    pub signers: BTreeMap<String, Signer>,
    /// Groups of signers, by name.
    pub groups: BTreeMap<String, Group>,
}

/// What a policy knows about a signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The fingerprints of the signer's keys, as 40 hexadecimal digits; empty if any key will do.
    pub keys: BTreeSet<String>,
    /// How much the signer's word counts.
    pub weight: u32,
}

/// Signers of whom some must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The names of their folders.
    pub members: BTreeSet<String>,
    /// How much weight of them must agree.
    pub min_good: u64,
}

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct PolicyRefused {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_good: None,
            require: BTreeSet::new(),
            max_age: None,
            strict: false,
            unlisted_weight: 1,
            signers: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }
}

impl Policy {
    /// The name of the file in a sigs tree.
    pub const FILE: &str = "gverify.toml";

    /// Reads the policy that a tree holds, if it holds one.
    ///
    /// # Errors
    ///
    /// [`PolicyRefused`]; a file that cannot be read.
    pub fn of_tree(root: &Path) -> anyhow::Result<Option<Self>> {
        let path = root.join(Self::FILE);
        let read = root.canonicalize().map(|real| tree_file::read(&real, &path, LIMIT));
        match read {
            Err(_) | Ok(Content::Absent) => Ok(None),
            Ok(content) => Self::of_content(content, &path).map(Some),
        }
    }

    /// Reads a policy from a file that the user named.
    ///
    /// # Errors
    ///
    /// [`PolicyRefused`]; a file that cannot be read.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        let content = match gitian_manifest::read_file(path, LIMIT) {
            Ok(bytes) => Content::Bytes(bytes),
            Err(cause) => Content::Refused(cause.to_string()),
        };
        Self::of_content(content, path)
    }

    fn of_content(content: Content, path: &Path) -> anyhow::Result<Self> {
        let refused = |reason: String| anyhow::anyhow!("policy {}: {reason}", path.display());
        match content {
            Content::Absent => Err(refused("does not exist".into())),
            Content::Refused(reason) => Err(refused(reason)),
            Content::Bytes(bytes) => {
                let text = String::from_utf8(bytes).map_err(|_| refused("is not UTF-8".into()))?;
                let parsed = Self::parse(&text);
                parsed.map_err(|cause| anyhow::Error::new(cause).context(format!("policy {}", path.display())))
            }
        }
    }

    /// Reads the text of a policy.
    ///
    /// # Errors
    ///
    /// What is not TOML, a key that is not known, a value that cannot be meant.
    pub fn parse(text: &str) -> Result<Self, PolicyRefused> {
        let line_at = |at: usize| text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1;
        let written: Written = toml::from_str(text).map_err(|error| PolicyRefused {
            line: line_at(error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', ", "),
        })?;
        let mut policy = Self {
            min_good: written.min_good,
            require: written.require,
            max_age: written.max_age_days.map(|days| Duration::from_secs(u64::from(days) * DAY)),
            strict: written.strict,
            unlisted_weight: written.unlisted_weight.unwrap_or(1),
            groups: BTreeMap::new(),
            signers: BTreeMap::new(),
        };
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for (name, signer) in written.signers {
            let mut keys = BTreeSet::new();
            for key in signer.keys {
                let refused = |message: String| PolicyRefused { line: line_at(key.span().start), message };
                let fingerprint = fingerprint(key.get_ref()).ok_or_else(|| {
                    refused(format!("{:?} is not the fingerprint of a key, 40 hexadecimal digits", key.get_ref()))
                })?;
                if let Some(other) = owners.insert(fingerprint.clone(), name.clone()).filter(|other| *other != name) {
                    return Err(refused(format!("key {fingerprint} is {other}'s already")));
                }
                keys.insert(fingerprint);
            }
            policy.signers.insert(name, Signer { keys, weight: signer.weight.unwrap_or(1) });
        }
        for (name, group) in written.groups {
            let (min_good, line) = match group.min_good {
                Some(written) => (*written.get_ref(), line_at(written.span().start)),
                None => (1, line_at(group.members.span().start)),
            };
            let members = group.members.into_inner();
            let together: u64 = members.iter().map(|member| u64::from(policy.weight_of_name(member))).sum();
            if together < min_good {
                let message = format!("group {name} can never be {min_good}: its members together are {together}");
                return Err(PolicyRefused { line, message });
            }
            policy.groups.insert(name, Group { members, min_good });
        }
        Ok(policy)
    }

    /// Returns how much the word of a signer counts.
    pub fn weight_of(&self, facts: &Facts) -> u32 {
        self.name_of(facts).map_or(self.unlisted_weight, |name| self.weight_of_name(name))
    }

    fn weight_of_name(&self, name: &str) -> u32 {
        self.signers.get(name).map_or(self.unlisted_weight, |known| known.weight)
    }

    /// Returns the name under which a signer may meet a demand: whose key it is by the policy, else the folder's name. A
    /// user id is nobody's name.
    pub fn name_of<'a>(&'a self, facts: &'a Facts) -> Option<&'a str> {
        let owner = facts.chosen(self).and_then(|(good, _)| self.owner_of(good));
        owner.or_else(|| (facts.naming != Naming::UserId).then_some(&*facts.signer))
    }

    /// Returns the signer whose key made a signature, if the policy knows: a signer whose key is one of a certificate's has
    /// all of it, since a certificate is one person. Of several the first.
    pub fn owner_of(&self, good: &Good) -> Option<&str> {
        let has = |known: &Signer| good.certificate.iter().any(|key| known.keys.contains(key));
        self.signers.iter().find(|(_, known)| has(known)).map(|(name, _)| &**name)
    }
}

/// Returns the fingerprint in capital letters and without the blanks that gpg prints.
fn fingerprint(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != ' ').collect::<String>().to_ascii_uppercase();
    let digits = digits.strip_prefix("0X").unwrap_or(&digits);
    (digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| digits.to_owned())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    min_good: Option<u64>,
    #[serde(default)]
    require: BTreeSet<String>,
    max_age_days: Option<u32>,
    #[serde(default)]
    strict: bool,
    unlisted_weight: Option<u32>,
    #[serde(default)]
    signers: BTreeMap<String, WrittenSigner>,
    #[serde(default)]
    groups: BTreeMap<String, WrittenGroup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenSigner {
    #[serde(default)]
    keys: Vec<toml::Spanned<String>>,
    weight: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenGroup {
    members: toml::Spanned<BTreeSet<String>>,
    min_good: Option<toml::Spanned<u64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_says_what_is_written() {
        let text = "min-good = 3\nrequire = ['alice']\nmax-age-days = 400\nstrict = true\nunlisted-weight = 0\n\
                    [signers.alice]\nkeys = ['71a3 b167 3540 5025 d447 e8f2 7481 0b01 2346 c9a6']\nweight = 2\n\
                    [signers.'Oliver Gugger']\n[groups.maintainers]\nmembers = ['alice', 'bob']\n";
        let policy = Policy::parse(text).unwrap();
        assert_eq!((policy.min_good, policy.strict), (Some(3), true));
        assert_eq!(policy.max_age, Some(Duration::from_secs(400 * 24 * 3600)));
        assert_eq!(policy.require, BTreeSet::from(["alice".to_owned()]));
        let weights = ["alice", "Oliver Gugger", "bob"].map(|name| policy.weight_of_name(name));
        assert_eq!(weights, [2, 1, 0]);
        let keys: Vec<&String> = policy.signers["alice"].keys.iter().collect();
        assert_eq!(keys, ["71A3B16735405025D447E8F274810B012346C9A6"]);
        assert_eq!((policy.groups["maintainers"].min_good, policy.groups["maintainers"].members.len()), (1, 2));
        assert_eq!(Policy::parse("").unwrap(), Policy::default());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        let key = "71A3B16735405025D447E8F274810B012346C9A6";
        let twice = format!("[signers]\na.keys = ['{key}']\nb.keys = [\n'{key}']\n");
        for (text, line, message) in [
            ("strict = true\nmin_good = 3\n", 2, "unknown field `min_good`"),
            ("min-good = 'three'\n", 1, "invalid type"),
            ("min-good = -1\n", 1, "-1"),
            ("[signers.a]\nkeys = []\ncolour = 'red'\n", 3, "unknown field `colour`"),
            ("[groups.g]\nmin-good = 1\n", 1, "missing field `members`"),
            ("[groups.g]\nmembers = ['a', 'b']\nmin-good = 3\n", 3, "g can never be 3: its members together are 2"),
            ("unlisted-weight = 0\n[groups.g]\nmembers = ['a']\n", 3, "its members together are 0"),
            ("[signers.a]\nkeys = [\n '74810B012346C9A6']\n", 3, "is not the fingerprint"),
            (&*twice, 4, "is a's already"),
            ("strict = true\nstrict = false\n", 2, "duplicate key"),
            ("a = [[[[\n", 1, ""),
        ] {
            let refused = Policy::parse(text).unwrap_err();
            assert_eq!(refused.line, line, "{text}: {refused}");
            assert!(refused.message.contains(message), "{text}: {refused}");
        }
    }
}
