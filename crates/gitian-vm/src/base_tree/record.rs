//! What decides a base tree, and how a cached one came about: `record.yml` beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use gitian_descriptor::Architecture;
use gitian_manifest::Digest;
use serde::{Deserialize, Serialize};

use crate::BaseRequest;
use crate::debian::{Archive, Distribution, list_name};

/// Changes when the same request shall give another base tree.
const FORMAT: u32 = 1;

/// What decides a base tree, beside the state of the archives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    format: u32,
    distro: String,
    pub(super) suite: String,
    pub(super) architecture: String,
    pub(super) packages: Vec<String>,
    pub(super) components: String,
    mirror: Option<String>,
    /// SHA-256 of the keys that are trusted for the mirror.
    keyring: Option<String>,
    pub(super) proxy: Option<String>,
}

/// How a cached base tree came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) wanted: Wanted,
    /// SHA-256 of the archives' Release files, by address.
    pub(super) releases: BTreeMap<String, String>,
    pub(super) tool: String,
}

impl Wanted {
    /// Returns what a request means: with these packages beside those that every guest has, and these trusted keys.
    pub(super) fn of(
        request: &BaseRequest,
        distribution: Distribution,
        more_packages: &[&str],
        keys: Option<&[u8]>,
        proxy_host: Option<&str>,
    ) -> Self {
        let own = distribution.packages();
        let mut packages: Vec<String> = own.iter().chain(more_packages).map(|name| (*name).to_owned()).collect();
        if request.mirror.as_ref().is_some_and(|mirror| mirror.starts_with("https:")) {
            // Without it the guest could not read the mirror that it was made from.
            packages.push("ca-certificates".into());
        }
        Self {
            format: FORMAT,
            distro: distribution.name().to_owned(),
            suite: request.target.suite.to_string(),
            architecture: match request.target.architecture {
                Architecture::Linux64 => Architecture::Amd64.debian(),
                other => other.debian(),
            }
            .to_owned(),
            packages,
            components: distribution.components().to_owned(),
            mirror: request.mirror.clone(),
            keyring: keys.map(|keys| Digest::of_bytes(keys).to_string()),
            proxy: proxy_host.map(|host| format!("http://{host}:3142")),
        }
    }
}

/// Returns the digests of the Release files that a base tree was made from, by address.
pub(super) fn used_releases(sources: &str, folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut releases = BTreeMap::new();
    for archive in Archive::parse_all(sources) {
        let found = ["InRelease", "Release"].into_iter().find_map(|name| {
            let url = archive.release_url(name);
            let path = folder.join(list_name(&url));
            path.is_file().then_some((url, path))
        });
        let Some((url, path)) = found else { bail!("no Release file was kept of {} {}", archive.uri, archive.suite) };
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        releases.insert(url, Digest::of_bytes(&bytes).to_string());
    }
    Ok(releases)
}
