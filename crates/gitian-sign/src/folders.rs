//! Folders that are made on the way and taken away again if nothing comes of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders that did not exist before; removed when dropped, as far as they are empty.
pub(crate) struct NewFolders {
    /// The innermost first.
    made: Vec<PathBuf>,
}

impl NewFolders {
    /// Makes a folder and those above it.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.is_dir();
        let made = Self { made: folder.ancestors().take_while(missing).map(Path::to_owned).collect() };
        fs::create_dir_all(folder)?;
        Ok(made)
    }

    /// Leaves the folders in place.
    pub(crate) fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in &self.made {
            // One that is no longer empty belongs to somebody else by now.
            fs::remove_dir(folder).ok();
        }
    }
}
