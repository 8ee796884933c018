//! A hidden folder beside the place where something will go, in which it is signed. What is published of it is known to
//! `publication`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::folders::NewFolders;

const PREFIX: &str = ".gsign-";

fn lock(folder: &Path) -> Result<Flock<File>> {
    Flock::lock(File::open(folder)?, FlockArg::LockExclusiveNonblock).map_err(|(_, cause)| cause.into())
}

/// Removes what runs that were killed left beside the place: it would be taken for somebody's work by who commits the tree.
fn clear_abandoned(beside: &Path) -> Result<()> {
    for entry in fs::read_dir(beside)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type()?.is_dir();
        if is_ours && lock(&entry.path()).is_ok() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// A folder with something that is to be signed; it goes, with the folders that were made for it, when dropped.
pub(crate) struct Workshop {
    /// What lies in it goes here.
    pub folder: PathBuf,
    /// What is to be signed.
    pub draft: PathBuf,
    /// Where programs leave the signature.
    pub signature: PathBuf,
    /// What the draft is, for messages: `assertion`.
    pub what: &'static str,
    /// What the draft holds.
    pub bytes: Vec<u8>,
    /// Says to others that it is not abandoned.
    _in_use: Flock<File>,
    // In this order: the folders that were made for it are empty once it is gone itself.
    temporary: TempDir,
    new_folders: NewFolders,
}

impl Workshop {
    /// Makes a hidden folder beside `folder/name` and writes the draft there, under the same name.
    pub(crate) fn open(folder: &Path, name: &str, what: &'static str, bytes: &[u8]) -> Result<Self> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let context = || folder.display().to_string();
        let new_folders = NewFolders::create(folder).with_context(context)?;
        clear_abandoned(folder).with_context(context)?;
        let temporary = tempfile::Builder::new().prefix(PREFIX).tempdir_in(folder).with_context(context)?;
        let in_use = lock(temporary.path()).with_context(context)?;
        // As the user typed it, while the temporary folder's own path is absolute: programs get to see it.
        let inside = folder.join(temporary.path().file_name().unwrap_or_default());
        let draft = inside.join(name);
        fs::write(&draft, bytes).with_context(|| draft.display().to_string())?;
        let signature = inside.join(format!("{name}.sig"));
        let (folder, bytes) = (folder.to_owned(), bytes.to_vec());
        Ok(Self { folder, draft, signature, what, bytes, _in_use: in_use, temporary, new_folders })
    }

    /// Returns everything that lies in it, in the order of the names.
    pub(crate) fn content(&self) -> Result<Vec<PathBuf>> {
        let inside = self.draft.parent().unwrap_or(&self.folder);
        let entries = inside.read_dir().and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        let mut content: Vec<PathBuf> = entries.with_context(|| inside.display().to_string())?;
        content.sort_unstable();
        Ok(content)
    }

    /// Makes a folder in it that nothing else uses.
    pub(crate) fn room(&self) -> Result<PathBuf> {
        let room = tempfile::tempdir_in(self.temporary.path());
        Ok(room.with_context(|| self.temporary.path().display().to_string())?.keep())
    }

    /// Leaves the folders that were made for it in place.
    pub(crate) fn keep_folders(self) {
        self.new_folders.keep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_and_what_another_works_in_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(".gsign-left/deeper")).unwrap();
        fs::write(folder.path().join(".gsign-file"), "a user's").unwrap();
        let open = || Workshop::open(folder.path(), "x.assert", "assertion", b"x").unwrap();
        let (first, second) = (open(), open());
        assert!(first.draft.exists() && second.draft.exists());
        assert!(!folder.path().join(".gsign-left").exists());
        drop((first, second));
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [".gsign-file"]);
    }
}
