//! Which keys count, and how to get those that are missing.

use std::collections::BTreeSet;

use gitian_verify::{Facts, Keyring, Signature, Source, Unknown};

use crate::failure::tell;
use crate::printable::printable;

/// How many missing keys a hint names.
const KEYS_NAMED: usize = 20;

/// Says which keys count, unless that goes without saying.
pub fn tell_keys(source: &Source, keys: &Keyring, verbose: bool) {
    let count = match keys.len() {
        1 => "1 key".to_owned(),
        count => format!("{count} keys"),
    };
    match source {
        Source::Folder(folder) => {
            tell(&format!("gverify: {count} of {}; --keys names others", printable(&folder.display().to_string())));
        }
        Source::Given(_) if verbose => tell(&format!("gverify: {count}")),
        Source::GnuPg if verbose => tell(&format!("gverify: {count} of the GnuPG keyring; --keys names others")),
        Source::Given(_) | Source::GnuPg => {}
    }
    match keys.problems() {
        [] => {}
        problems if verbose => {
            problems.iter().for_each(|problem| tell(&format!("gverify: warning: keys: {}", printable(problem))));
        }
        problems => {
            tell(&format!("gverify: warning: {} key files or keys cannot be used; -v names them", problems.len()))
        }
    }
}

/// Returns the keys that were missing, as far as signatures name them.
pub fn missing<'f>(facts: impl IntoIterator<Item = &'f Facts>) -> BTreeSet<String> {
    let key = |facts: &Facts| match &facts.signature {
        Signature::NoKey(Unknown { key, .. }) => key.clone(),
        _ => None,
    };
    facts.into_iter().filter_map(key).collect()
}

/// Returns how to get the keys that were missing.
pub fn hint(missing: &BTreeSet<String>, source: &Source) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let named: Vec<&str> = missing.iter().take(KEYS_NAMED).map(String::as_str).collect();
    let (named, more) = (named.join(" "), if missing.len() > KEYS_NAMED { " …" } else { "" });
    Some(match source {
        Source::GnuPg => format!("gpg --recv-keys {named}{more}"),
        Source::Given(_) | Source::Folder(_) => {
            format!("get the missing keys and give them with --keys as well: {named}{more}")
        }
    })
}
