//! The unsigned outcome of a build, `result/<package>-res.yml`: its manifests as texts, and entries that are not ours.
//! How it is spelled is known to `omap`.

use anyhow::{Context, Result, bail};

use crate::{OMap, Value};

pub(crate) const OUT: &str = "out_manifest";
pub(crate) const IN: &str = "in_manifest";
pub(crate) const BASE: &str = "base_manifests";
pub(crate) const CACHE_COMMON: &str = "cache_common_manifest";
pub(crate) const CACHE_PACKAGE: &str = "cache_package_manifest";

/// The manifests of one build.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was built: digest and path below `out`.
    pub out_manifest: String,
    /// What went in: the descriptor, its files, its remotes' commits.
    pub in_manifest: String,
    /// The packages of each guest, by suite and architecture.
    pub base_manifests: Vec<(String, String)>,
    /// The common cache after the build; reports of old programs have none.
    pub cache_common_manifest: Option<String>,
    /// The package's own cache after the build; reports of old programs have none.
    pub cache_package_manifest: Option<String>,
    /// All entries in their order; where a field above has the value, a place for it.
    places: OMap,
}

impl Report {
    /// Puts the manifests of a build together. Without caches the two cache manifests are empty texts, which is
    /// what `Some(String::new())` says; `None` leaves the entry out.
    pub fn new(
        out_manifest: String,
        in_manifest: String,
        base_manifests: Vec<(String, String)>,
        cache_common_manifest: Option<String>,
        cache_package_manifest: Option<String>,
    ) -> Self {
        let places = OMap::default();
        Self { out_manifest, in_manifest, base_manifests, cache_common_manifest, cache_package_manifest, places }
    }

    /// Reads a report. Entries that are not known are kept as they are.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut places = OMap::parse(bytes)?;
        let base_manifests = match places.get_mut(BASE).map(std::mem::take) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::OMap(map) | Value::Map(map)) => map
                .entries
                .into_iter()
                .map(|entry| match entry {
                    (Value::Text(guest), Value::Text(text)) => Ok((guest, text)),
                    (guest, _) => bail!("{BASE}: {} is not text", guest.as_written().unwrap_or("a key")),
                })
                .collect::<Result<_>>()?,
            Some(_) => bail!("{BASE} is not a map"),
        };
        Ok(Self {
            out_manifest: take_text(&mut places, OUT)?.with_context(|| format!("no {OUT}"))?,
            in_manifest: take_text(&mut places, IN)?.with_context(|| format!("no {IN}"))?,
            base_manifests,
            cache_common_manifest: take_text(&mut places, CACHE_COMMON)?,
            cache_package_manifest: take_text(&mut places, CACHE_PACKAGE)?,
            places,
        })
    }

    /// Writes the report.
    pub fn render(&self) -> Vec<u8> {
        self.clone().into_omap().render()
    }

    /// Returns the entries, in their order.
    pub(crate) fn into_omap(self) -> OMap {
        let base = self.base_manifests.into_iter().map(|(guest, text)| (guest.into(), text.into())).collect();
        let mut omap = self.places;
        omap.set(OUT, self.out_manifest);
        omap.set(IN, self.in_manifest);
        omap.set(BASE, Value::OMap(OMap { entries: base }));
        for (key, text) in [(CACHE_COMMON, self.cache_common_manifest), (CACHE_PACKAGE, self.cache_package_manifest)] {
            if let Some(text) = text {
                omap.set(key, text);
            }
        }
        omap
    }
}

/// Takes a text out of its place.
fn take_text(places: &mut OMap, key: &str) -> Result<Option<String>> {
    match places.get_mut(key).map(std::mem::take) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => bail!("{key} is not text"),
    }
}
