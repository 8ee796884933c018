//! Copies of recorded trees, which are read-only and hold no empty folders; what a tree holds, for comparison.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Copies a folder with everything below it; the copy can be changed.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::write(place, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// Everything below a folder, a line each: path, kind and permissions, size and time of files, what links point to.
pub fn listing(folder: &Path) -> String {
    let mut lines = Vec::new();
    list(folder, folder, &mut lines);
    lines.sort();
    lines.concat()
}

fn list(top: &Path, folder: &Path, lines: &mut Vec<String>) {
    let entries = match fs::read_dir(folder) {
        // What a guest wrote belongs to subordinate ids.
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            return lines.push(format!("{} may not be read\n", folder.strip_prefix(top).unwrap().display()));
        }
        entries => entries.unwrap(),
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let shown = path.strip_prefix(top).unwrap().display();
        let is = match (meta.is_dir(), meta.is_symlink()) {
            (true, _) => String::new(),
            (_, true) => fs::read_link(&path).unwrap().display().to_string(),
            _ => format!("{} bytes of {}.{:09}", meta.len(), meta.mtime(), meta.mtime_nsec()),
        };
        lines.push(format!("{shown} {:o} {is}\n", meta.mode()));
        if meta.is_dir() {
            list(top, &path, lines);
        }
    }
}
