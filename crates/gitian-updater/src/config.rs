//! The config: whose signatures count how much, and where packages are. YAML without tags, read at event level.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use gitian_manifest::{OMap, Value};

use crate::Stopped;

/// A config that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("config: {0}")]
pub struct ConfigRefused(pub String);

/// Whom to believe, where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The package, if it is said.
    pub name: Option<String>,
    /// Who may vouch for it.
    pub signers: Vec<Signer>,
    /// How much weight it takes.
    pub minimum_weight: u64,
    /// Where packages are, in the order in which they are tried.
    pub offers: Vec<Offer>,
    /// How long a release waits before it is installed.
    pub waiting: Duration,
    /// How old the newest signature may be.
    pub maximum_age: Option<Duration>,
    /// How large a package may be, and how much it may unpack to, in bytes.
    pub maximum_size: u64,
    /// Keys that mean nothing: perhaps one that protects is misspelt.
    pub unknown: Vec<String>,
}

/// Somebody who may vouch for a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The last digits, at least 16, of the fingerprint of the primary key or of the key that signs; upper case.
    pub id: String,
    /// How much the word counts.
    pub weight: u64,
    /// Who it is.
    pub name: String,
    /// The public key is `gitian/<key>-key.pgp`.
    pub key: String,
}

/// Where a package is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// At an address.
    Package {
        /// Of the package.
        url: String,
        /// Of a page whose first 100 bytes are the release.
        version_url: Option<String>,
    },
    /// Where a feed says.
    Feed(Feed),
}

/// A feed that names packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its address.
    pub url: String,
    /// Which texts of it are looked at.
    pub xpath: String,
    /// The first match is the address of the package, its first group the release.
    pub pattern: String,
}

impl Offer {
    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Package { url, version_url } => version_url.as_ref().unwrap_or(url).clone(),
            Self::Feed(feed) => feed.url.clone(),
        }
    }
}

/// The longest config, in bytes.
const LIMIT: usize = 1 << 20;
/// Every key.
const KEYS: [&str; 8] =
    ["maximum_age", "maximum_size", "minimum_weight", "name", "rss", "signers", "urls", "waiting_period"];
const MEBIBYTE: u64 = 1 << 20;
/// What a package may have if the config says nothing, in MiB.
const USUAL_SIZE: u64 = 4096;

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    ///
    /// [`ConfigRefused`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigRefused> {
        if bytes.len() > LIMIT {
            return Err(ConfigRefused("is too large".into()));
        }
        let map = OMap::parse(bytes).map_err(|error| ConfigRefused(format!("{error:#}")))?;
        let minimum_weight = number(&map, "minimum_weight")?.ok_or_else(|| missing("minimum_weight"))?;
        if minimum_weight == 0 {
            return Err(ConfigRefused("minimum_weight is 0: nobody would have to sign".into()));
        }
        let signers = match map.get("signers") {
            Some(Value::Map(map) | Value::OMap(map)) => {
                map.entries.iter().map(|(id, about)| signer(id, about)).collect::<Result<Vec<_>, _>>()?
            }
            _ => return Err(missing("signers")),
        };
        let total: u64 = signers.iter().fold(0, |sum, signer| sum.saturating_add(signer.weight));
        if total < minimum_weight {
            return Err(ConfigRefused(format!(
                "all signers together weigh {total}, and {minimum_weight} are demanded"
            )));
        }
        let mut offers = Vec::new();
        for item in list(&map, "urls")? {
            offers.push(match item {
                Value::Map(map) | Value::OMap(map) => Offer::Package {
                    url: text(map, "url")?.ok_or_else(|| missing("urls: url"))?,
                    version_url: text(map, "version_url")?,
                },
                other => Offer::Package { url: written(other, "urls")?, version_url: None },
            });
        }
        for item in list(&map, "rss")? {
            let (Value::Map(map) | Value::OMap(map)) = item else { return Err(missing("rss: url")) };
            let of = |key: &str| text(map, key)?.ok_or_else(|| missing(&format!("rss: {key}")));
            offers.push(Offer::Feed(Feed { url: of("url")?, xpath: of("xpath")?, pattern: of("pattern")? }));
        }
        let hours = number(&map, "waiting_period")?.unwrap_or(0);
        let days = number(&map, "maximum_age")?;
        let too_long = |_| ConfigRefused("has a time that is too long".into());
        let seconds =
            |count: u64, each: u64| u32::try_from(count).map(|count| Duration::from_secs(u64::from(count) * each));
        Ok(Self {
            name: text(&map, "name")?,
            signers,
            minimum_weight,
            offers,
            waiting: seconds(hours, 3600).map_err(too_long)?,
            maximum_age: days.map(|days| seconds(days, 86_400)).transpose().map_err(too_long)?,
            maximum_size: number(&map, "maximum_size")?.unwrap_or(USUAL_SIZE).saturating_mul(MEBIBYTE),
            unknown: unknown(&map),
        })
    }

    /// Checks that signatures are not older than they may be.
    pub(crate) fn fresh(&self, signed: SystemTime, now: SystemTime) -> Result<(), Stopped> {
        match (self.maximum_age, now.duration_since(signed)) {
            (Some(limit), Ok(age)) if age > limit => {
                let days = |time: Duration| time.as_secs() / 86_400;
                Err(Stopped::Frozen(format!(
                    "the newest signature is {} days old, and {} are allowed",
                    days(age),
                    days(limit)
                )))
            }
            _ => Ok(()),
        }
    }
}

fn signer(id: &Value, about: &Value) -> Result<Signer, ConfigRefused> {
    let id = written(id, "signers")?;
    let (Value::Map(about) | Value::OMap(about)) = about else {
        return Err(ConfigRefused(format!("signer {id}: has nothing but its id")));
    };
    let named = |what: &str| ConfigRefused(format!("signer {id}: {what}"));
    let key = text(about, "key")?.ok_or_else(|| named("has no key"))?;
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return Err(named("the name of the key has other characters than letters, digits, _, . and -"));
    }
    let digits = text(about, "keyid")?.unwrap_or_else(|| id.clone()).to_ascii_uppercase();
    let digits: String = digits.strip_prefix("0X").unwrap_or(&digits).chars().filter(|c| *c != ' ').collect();
    if digits.len() < 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(named("is no fingerprint: anybody can make a key whose id has the same few digits"));
    }
    let weight = number(about, "weight")?.ok_or_else(|| named("has no weight"))?;
    Ok(Signer { weight, name: text(about, "name")?.unwrap_or_else(|| key.clone()), key, id: digits })
}

fn unknown(map: &OMap) -> Vec<String> {
    let keys = map.entries.iter().map(|(key, _)| key.as_written().unwrap_or("what is no text"));
    keys.filter(|key| !KEYS.contains(key)).map(str::to_owned).collect()
}

fn missing(key: &str) -> ConfigRefused {
    ConfigRefused(format!("has no {key}"))
}

fn written(value: &Value, key: &str) -> Result<String, ConfigRefused> {
    value.as_written().map(str::to_owned).ok_or_else(|| ConfigRefused(format!("{key}: is no text")))
}

fn text(map: &OMap, key: &str) -> Result<Option<String>, ConfigRefused> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => written(value, key).map(Some),
    }
}

fn number(map: &OMap, key: &str) -> Result<Option<u64>, ConfigRefused> {
    let number = |text: String| text.parse().map_err(|_| ConfigRefused(format!("{key}: {text} is no number")));
    text(map, key)?.map(number).transpose()
}

fn list<'m>(map: &'m OMap, key: &str) -> Result<&'m [Value], ConfigRefused> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::List(items)) => Ok(items),
        Some(_) => Err(ConfigRefused(format!("{key}: is no list"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNERS: &str =
        "signers:\n  1234567890123456789012345678901234567890:\n    weight: 40\n    name: A\n    key: a\n";

    #[test]
    fn a_config_says_whom_to_believe() {
        let text = format!(
            "---\nname: coin\nurls:\n- url: http://x/p.zip\n  version_url: http://x/v\nrss:\n- url: http://x/r\n  xpath: //item/link/text()\n  \
             pattern: (.*)\nwaiting_period: 48\nmaximum_age: 30\nminimum_weight: 40\n{SIGNERS}"
        );
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(
            config.signers[0].id, "1234567890123456789012345678901234567890",
            "as it is written, not as a number"
        );
        assert_eq!((config.signers[0].weight, config.minimum_weight, config.offers.len()), (40, 40, 2));
        assert_eq!(config.waiting, Duration::from_secs(48 * 3600));
        assert_eq!(config.maximum_size, 4 << 30);
    }

    #[test]
    fn a_config_that_cannot_be_meant_is_refused() {
        let of = |more: &str| format!("minimum_weight: 1\n{SIGNERS}{more}");
        for (text, reason) in [
            ("minimum_weight: 1\n".to_owned(), "has no signers"),
            (SIGNERS.to_owned(), "has no minimum_weight"),
            (of("").replace(": 1\n", ": 0\n"), "nobody would have to sign"),
            (of("").replace(": 1\n", ": 41\n"), "all signers together weigh 40"),
            (of("").replace(": 1\n", ": -1\n"), "is no number"),
            (of("").replace("1234567890123456789012345678901234567890", "DEADBEEF"), "is no fingerprint"),
            (of("").replace("key: a", "key: ../a"), "the name of the key"),
            (of("urls: x\n"), "urls: is no list"),
            (of("urls:\n- version_url: x\n"), "has no urls: url"),
            (of("waiting_period: 99999999999\n"), "a time that is too long"),
            (of("name: !ruby/object:Gem::Installer {}\n"), ""),
            (of("name: a\nname: b\n"), ""),
            (of("a: &a [x]\nb: *a\n"), ""),
            ("- a\n".to_owned(), ""),
        ] {
            let error = Config::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
