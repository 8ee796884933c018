//! Which keys count, and how to get those that are missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gitian_verify::{Facts, Keyring, Signature, Source, Unknown};

use crate::printable::printable;
use crate::printed::tell;

/// How many missing keys a hint names.
const KEYS_NAMED: usize = 20;
/// The largest file that is taken for keys in a hint, in bytes.
const KEYS_LIMIT: u64 = 64 << 20;

/// Says which keys count, unless that goes without saying.
pub fn tell_keys(source: &Source, keys: &Keyring, verbose: bool) {
    let count = match keys.len() {
        1 => "1 key".to_owned(),
        count => format!("{count} keys"),
    };
    match source {
        Source::Folders(folders) => {
            let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            tell(&format!("gverify: {count} of {}; --keys names others", printable(&folders.join(" and "))));
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

/// Returns how to get the keys that were missing to judge what lies in a tree, if there is one.
pub fn hint(missing: &BTreeSet<String>, source: &Source, tree: Option<&Path>) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let named: Vec<&str> = missing.iter().take(KEYS_NAMED).map(String::as_str).collect();
    let more = match missing.len().saturating_sub(KEYS_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more, which --json names"),
    };
    let named = named.join(" ");
    Some(match source {
        Source::GnuPg => match tree.and_then(beside) {
            Some(keys) => format!("gpg --import {}   # if you believe whoever put them there", quoted(&keys)),
            None if more.is_empty() => format!("gpg --recv-keys {named}"),
            None => format!("gpg --recv-keys {named}   #{more}"),
        },
        // Whatever is given counts alone.
        Source::Given(places) | Source::Folders(places) => {
            let used: String = places.iter().map(|place| format!("--keys {} ", quoted(place))).collect();
            format!("get the missing keys into a FILE, and give all: {used}--keys FILE   # missing: {named}{more}")
        }
    })
}

fn quoted(path: &Path) -> String {
    shell_words::quote(&path.display().to_string()).into_owned()
}

/// Returns a file in a tree or beside it that looks like keys. Which keys count is for the user to say: only a hint is
/// made of it.
fn beside(root: &Path) -> Option<PathBuf> {
    let above = match root.file_name().and_then(|_| root.parent()) {
        Some(above) if above.as_os_str().is_empty() => PathBuf::from("."),
        Some(above) => above.to_owned(),
        None if root == Path::new(".") => PathBuf::from(".."),
        None => root.join(".."),
    };
    let mut found: Vec<PathBuf> = [root, &above]
        .into_iter()
        .flat_map(|place| place.read_dir().into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && path.metadata().is_ok_and(|there| there.len() <= KEYS_LIMIT))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
            name.contains("key") && [".pgp", ".gpg", ".asc"].iter().any(|end| name.ends_with(end))
        })
        .collect();
    found.sort();
    found.into_iter().next()
}
