//! Recorded data beside the checkout, for the tests that need it.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns a folder of the recorded data, or nothing and says so.
pub fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !path.exists() {
        println!("skipped: no recorded data, ../shared/data/{name} does not exist");
        return None;
    }
    Some(path)
}

/// Returns the files below a folder whose name ends so, sorted.
#[allow(dead_code, reason = "not every test that shares this file looks for files")]
pub fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path, end)),
            false if path.to_str().is_some_and(|path| path.ends_with(end)) => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}
