//! A hidden folder beside the place where something will go, in which it is signed. What is published of it is known to
//! `publication`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::folders::NewFolders;

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
        let temporary = tempfile::Builder::new().prefix(".gsign-").tempdir_in(folder).with_context(context)?;
        // As the user typed it, while the temporary folder's own path is absolute: programs get to see it.
        let inside = folder.join(temporary.path().file_name().unwrap_or_default());
        let draft = inside.join(name);
        fs::write(&draft, bytes).with_context(|| draft.display().to_string())?;
        let signature = inside.join(format!("{name}.sig"));
        let (folder, bytes) = (folder.to_owned(), bytes.to_vec());
        Ok(Self { folder, draft, signature, what, bytes, temporary, new_folders })
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
