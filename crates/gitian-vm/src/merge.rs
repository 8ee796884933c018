//! One folder moved over another, on the same file system.

use std::fs;
use std::io;
use std::path::Path;

/// Moves everything in one folder to its place in another, over what is there: folders are merged, anything else is
/// replaced. What is in the way counts as itself: a link is removed, not followed.
pub fn merge(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        let is_folder = entry.file_type()?.is_dir();
        match fs::symlink_metadata(&place) {
            Ok(there) if there.is_dir() && is_folder => {
                merge(&entry.path(), &place)?;
                continue;
            }
            Ok(there) if there.is_dir() => fs::remove_dir_all(&place)?,
            Ok(_) if is_folder => fs::remove_file(&place)?,
            // A rename replaces a file.
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
        fs::rename(entry.path(), &place)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_are_merged_and_everything_else_is_replaced() {
        let all = tempfile::tempdir().unwrap();
        let (from, to, apart) = (all.path().join("from"), all.path().join("to"), all.path().join("apart"));
        for folder in ["from/both", "from/over-link", "from/over-file", "to/both", "to/under-file", "apart"] {
            fs::create_dir_all(all.path().join(folder)).unwrap();
        }
        for (path, text) in [
            ("from/both/new", "new"),
            ("from/both/same", "new"),
            ("from/over-link/x", "new"),
            ("from/over-file/x", "new"),
            ("from/under-file", "new"),
            ("to/both/same", "old"),
            ("to/both/old", "old"),
            ("to/over-file", "old"),
            ("to/under-file/x", "old"),
            ("apart/x", "old"),
        ] {
            fs::write(all.path().join(path), text).unwrap();
        }
        symlink(&apart, to.join("over-link")).unwrap();
        merge(&from, &to).unwrap();
        for (path, text) in [
            ("to/both/new", "new"),
            ("to/both/same", "new"),
            ("to/both/old", "old"),
            ("to/over-link/x", "new"),
            ("to/over-file/x", "new"),
            ("to/under-file", "new"),
            ("apart/x", "old"),
        ] {
            assert_eq!(fs::read_to_string(all.path().join(path)).unwrap(), text, "{path}");
        }
    }
}
