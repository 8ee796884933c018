//! The lines in which two assertions differ, manifest by manifest. What they mean is known to `explain`.

use std::collections::HashSet;

use gitian_manifest::{Assertion, Manifest};

use crate::verdict::Line;

/// The lines in which one manifest of two assertions differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The manifest: `out_manifest`, `base_manifests bionic-amd64`.
    pub manifest: String,
    /// The lines, by path; the reference's before the signer's. Empty if only the order of lines differs.
    pub lines: Vec<Line>,
}

/// Returns in what two assertions differ, for every manifest, in the order: out, in, base, caches.
pub fn differences<'a>(reference: &'a Assertion, signer: &'a Assertion) -> Vec<Difference> {
    let mut pairs = vec![
        ("out_manifest".to_owned(), reference.out_manifest(), signer.out_manifest()),
        ("in_manifest".to_owned(), reference.in_manifest(), signer.in_manifest()),
    ];
    let base = reference.base_manifests().unwrap_or_default();
    let other_base = signer.base_manifests().unwrap_or_default();
    let of =
        |guests: &[(&str, &'a str)], guest: &str| guests.iter().find(|(name, _)| *name == guest).map(|(_, text)| *text);
    for (guest, text) in &base {
        pairs.push((format!("base_manifests {guest}"), Some(*text), of(&other_base, guest)));
    }
    for (guest, text) in other_base.iter().filter(|(guest, _)| of(&base, guest).is_none()) {
        pairs.push((format!("base_manifests {guest}"), None, Some(*text)));
    }
    pairs.push(("cache_common_manifest".into(), reference.cache_common_manifest(), signer.cache_common_manifest()));
    pairs.push(("cache_package_manifest".into(), reference.cache_package_manifest(), signer.cache_package_manifest()));
    let different = pairs.into_iter().filter(|(_, here, there)| here.unwrap_or_default() != there.unwrap_or_default());
    let lines = |(manifest, here, there): (String, Option<&str>, Option<&str>)| Difference {
        manifest,
        lines: differing_lines(here.unwrap_or_default(), there.unwrap_or_default()),
    };
    different.map(lines).collect()
}

/// Returns the lines that one manifest holds and the other does not, sorted by path, the reference's first.
///
/// The original pairs lines by their number, and ends with an error when the other manifest is shorter.
pub(crate) fn differing_lines(reference: &str, signer: &str) -> Vec<Line> {
    let (reference, signer) = (Manifest::parse(reference), Manifest::parse(signer));
    let difference = reference.manifest.difference(&signer.manifest);
    let mut lines = Vec::new();
    for entry in difference.only_here {
        lines.push((entry.path.clone(), 0, format!("{}  {}", entry.digest, entry.path)));
    }
    for entry in difference.only_there {
        lines.push((entry.path.clone(), 1, format!("{}  {}", entry.digest, entry.path)));
    }
    for changed in difference.changed {
        lines.push((changed.path.clone(), 0, format!("{}  {}", changed.here, changed.path)));
        lines.push((changed.path.clone(), 1, format!("{}  {}", changed.there, changed.path)));
    }
    lines.sort();
    let mut lines: Vec<Line> =
        lines.into_iter().map(|(_, side, line)| [Line::Reference, Line::Signer][side](line)).collect();
    lines.extend(only_in(&reference.unreadable, &signer.unreadable).map(|line| Line::Reference(line.clone())));
    lines.extend(only_in(&signer.unreadable, &reference.unreadable).map(|line| Line::Signer(line.clone())));
    lines
}

/// Returns the lines of one list that the other does not hold. A hostile manifest may have a million of them.
fn only_in<'l>(own: &'l [String], other: &'l [String]) -> impl Iterator<Item = &'l String> {
    let other: HashSet<&String> = other.iter().collect();
    own.iter().filter(move |line| !other.contains(line))
}
