//! Assertions without a signature and signatures without an assertion: where one of the two is absent, the other may lie in
//! the signer's folder under a wrong name.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gitian_manifest::SigsTree;

use crate::history::History;

/// How many names are told.
const NAMED: usize = 10;
/// How many folders are remembered: those of a few releases.
const FOLDERS: usize = 256;

/// Files of a signer's folder that have no counterpart, but for the signer's own about the package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpaired {
    /// The names of the first ten, sorted.
    pub names: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

/// The folders of a tree: whose they are, and what they hold. Each is read once for all packages: somebody may put thousands
/// of files into one, and thereby name thousands of packages.
#[derive(Debug, Default)]
pub struct Folders {
    signers: OnceLock<BTreeSet<String>>,
    listings: Mutex<HashMap<PathBuf, Arc<Listing>>>,
}

/// The names without a counterpart in one folder, sorted.
#[derive(Debug)]
pub(crate) struct Listing(Vec<String>);

impl Folders {
    /// Returns whether somebody of this name signed anything in a tree; one that cannot be read is told by who reads it.
    pub fn has_signer(&self, tree: &SigsTree, name: &str) -> bool {
        self.signers.get_or_init(|| History::of(tree).unwrap_or_default().signers).contains(name)
    }

    pub(crate) fn listing(&self, folder: &Path) -> Arc<Listing> {
        let known = || self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = known().get(folder) {
            return Arc::clone(listing);
        }
        let listing = Arc::new(Listing::of(folder));
        let mut known = known();
        if known.len() >= FOLDERS {
            known.clear();
        }
        known.insert(folder.to_owned(), Arc::clone(&listing));
        listing
    }
}

impl Listing {
    /// Reads a folder; one that cannot be read holds nothing. A signature of an assertion ends in `.sig`; an `.asc` is out
    /// of place.
    fn of(folder: &Path) -> Self {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        let names: BTreeSet<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let alone = |name: &&String| match name.strip_suffix(".sig") {
            Some(assert) => !names.contains(assert),
            None => {
                name.ends_with(".assert.asc") || name.ends_with(".assert") && !names.contains(&format!("{name}.sig"))
            }
        };
        Self(names.iter().filter(alone).cloned().collect())
    }

    /// Returns the signatures.
    pub(crate) fn signatures(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter(|name| [".sig", ".asc"].iter().any(|end| name.ends_with(end)))
    }

    /// Returns all but these.
    pub(crate) fn without(&self, own: [&Path; 2]) -> Unpaired {
        let own = own.map(|path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default());
        let of_own = own.iter().filter(|own| self.0.binary_search_by(|name| name.as_str().cmp(own)).is_ok()).count();
        let others = self.0.iter().filter(|name| !own.contains(&name.as_str()));
        let names: Vec<String> = others.take(NAMED).cloned().collect();
        Unpaired { more: self.0.len() - of_own - names.len(), names }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_counterpart_is_named_up_to_ten_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
        for name in ["a-build.assert", "b-build.assert", "b-build.assert.sig", "c-build.assert.sig", "notes.txt"] {
            put(name);
        }
        let own = |name: &str| folder.path().join(name);
        let of = |name: &str| {
            let listing = Folders::default().listing(folder.path());
            listing.without([&own(name), &own(&format!("{name}.sig"))])
        };
        let unpaired = |names: &[&str], more| Unpaired { names: names.iter().map(ToString::to_string).collect(), more };
        assert_eq!(of("a-build.assert"), unpaired(&["c-build.assert.sig"], 0));
        assert_eq!(of("d-build.assert"), unpaired(&["a-build.assert", "c-build.assert.sig"], 0));
        (0..1000).for_each(|number| put(&format!("p{number}-build.assert")));
        let many = of("p7-build.assert");
        assert_eq!((many.names.len(), many.more), (10, 991));
    }
}
