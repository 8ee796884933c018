//! What is offered: the address of a package, and the release that it is said to be.

use anyhow::{Context, Result};

use crate::config::Offer;
use crate::feed;
use crate::fetch::Fetch;

/// How much of a version page counts, in bytes.
const RELEASE_LIMIT: usize = 100;
/// The largest feed that is read, in bytes.
const FEED_LIMIT: usize = 16 << 20;

/// A package that is offered.
pub(crate) struct Found {
    pub url: String,
    pub release: Option<String>,
}

/// Finds out what is offered at a place.
pub(crate) fn find(offer: &Offer, fetch: &Fetch) -> Result<Found> {
    match offer {
        Offer::Package { url, version_url: None } => Ok(Found { url: url.clone(), release: None }),
        Offer::Package { url, version_url: Some(page) } => {
            let bytes = fetch.page(page, RELEASE_LIMIT, false)?;
            let text = String::from_utf8_lossy(&bytes);
            let release = text.trim();
            let plain = !release.is_empty() && release.chars().all(|c| c.is_ascii_graphic());
            anyhow::ensure!(plain, "{page} does not begin with a release");
            Ok(Found { url: url.clone(), release: Some(release.to_owned()) })
        }
        Offer::Feed(feed) => {
            let bytes = fetch.page(&feed.url, FEED_LIMIT, true)?;
            let (url, release) = feed::read(&bytes, feed).with_context(|| feed.url.clone())?;
            Ok(Found { url, release })
        }
    }
}
