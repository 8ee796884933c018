//! The outputs of one or several builds as a list that `sha256sum --check` understands, `SHA256SUMS`.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use gitian_manifest::{Digest, Entry, Manifest};

use crate::draft::Draft;

/// Lists the outputs of all drafts by path, each once.
///
/// # Errors
///
/// Two of them have an output of one name and different content; a line that is not read as digest and path.
pub fn sums(drafts: &[Draft]) -> Result<String> {
    let mut by_path: BTreeMap<String, (Digest, &Draft)> = BTreeMap::new();
    for draft in drafts {
        for Entry { digest, path } in outputs(draft)?.entries {
            let (known, first) = *by_path.entry(path.clone()).or_insert((digest, draft));
            let (package, other) = (&draft.subject.package, &first.subject.package);
            ensure!(known == digest, "{path}: {other} and {package} have outputs of this name that differ");
        }
    }
    let entries = by_path.into_iter().map(|(path, (digest, _))| Entry { digest, path }).collect();
    Ok(Manifest { entries }.render())
}

/// Returns what was built.
pub(crate) fn outputs(draft: &Draft) -> Result<Manifest> {
    let parsed = Manifest::parse(draft.assertion().out_manifest().unwrap_or_default());
    let package = &draft.subject.package;
    ensure!(parsed.unreadable.is_empty(), "{package}: out_manifest has a line that is not digest and path");
    Ok(parsed.manifest)
}
