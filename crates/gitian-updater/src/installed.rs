//! What is installed, as the file beside it says, and which names files may have.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use gitian_manifest::{OMap, Value};
use serde::Serialize;

use crate::order::in_order;
use crate::{Order, Stopped};

/// What is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Installed {
    /// Path to digest.
    pub sums: BTreeMap<String, String>,
    pub release: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optionals: Option<Vec<String>>,
    /// When the newest signature was made, in seconds since 1970; 0 if it is not known.
    pub signed: u64,
}

/// Whether a path may be in a package. Source: gitian-builder 11f91fb; what we keep in a destination is ours.
pub(crate) fn is_plain(path: &str) -> bool {
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_/.-".contains(&byte));
    let parts = || path.split('/');
    let ours = parts().next().is_some_and(|first| first.to_ascii_lowercase().starts_with(".gitian"));
    plain && !ours && parts().all(|part| !matches!(part, "" | "." | ".."))
}

impl Installed {
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let map = OMap::parse(bytes)?;
        let text = |key: &str| {
            let value = map.get(key).and_then(Value::as_written).map(str::to_owned);
            value.with_context(|| format!("has no {key}"))
        };
        let Some(Value::Map(entries) | Value::OMap(entries)) = map.get("sums") else { bail!("has no sums") };
        let mut sums = BTreeMap::new();
        for (path, digest) in &entries.entries {
            let (Some(path), Some(digest)) = (path.as_written(), digest.as_written()) else {
                bail!("has sums that are none")
            };
            if !is_plain(path) {
                bail!("lists {path}, which is no name for a file of a package");
            }
            sums.insert(path.to_owned(), digest.to_owned());
        }
        let optionals = match map.get("optionals") {
            Some(Value::List(items)) => {
                Some(items.iter().filter_map(|item| Some(item.as_written()?.to_owned())).collect())
            }
            _ => None,
        };
        // The original does not write it.
        let signed = text("signed").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        Ok(Self { sums, release: text("release")?, name: text("name")?, optionals, signed })
    }

    pub fn render(&self) -> Result<String> {
        Ok(format!("---\n{}", serde_yaml::to_string(self)?))
    }

    /// Compares with what a page promises, which nobody signed.
    pub fn against_page(&self, release: &str, page: &str, order: &Order<'_>) -> Result<()> {
        self.compare(release, page, order, None)
    }

    /// Compares with a release that signers vouch for.
    pub fn against(&self, release: &str, order: &Order<'_>, signed: SystemTime) -> Result<()> {
        self.compare(release, "release", order, Some(signed))
    }

    fn compare(&self, release: &str, what: &str, order: &Order<'_>, signed: Option<SystemTime>) -> Result<()> {
        match in_order(release, &self.release) {
            std::cmp::Ordering::Greater => Ok(()),
            std::cmp::Ordering::Less => {
                let (installed, found) = (self.release.clone(), release.to_owned());
                Err(Stopped::Downgrade { what: what.to_owned(), installed, found }.into())
            }
            std::cmp::Ordering::Equal => {
                let known = (self.signed > 0).then(|| UNIX_EPOCH + Duration::from_secs(self.signed));
                if let Some(signed) = signed.max(known) {
                    order.config.fresh(signed, order.now)?;
                }
                Err(Stopped::SameRelease(self.release.clone()).into())
            }
        }
    }
}
