//! The output: there whole or not at all.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gitian_manifest::{beside, put_in_place};
use tempfile::NamedTempFile;

use crate::Refused;

/// Returns the folder in which a file lies.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file under a temporary name until it is whole.
pub(crate) struct Output {
    file: NamedTempFile,
    path: PathBuf,
}

impl Output {
    /// In the place of the input, it gets that one's permissions.
    pub fn create(path: &Path, input: &Path) -> Result<Self> {
        let name = path.display().to_string();
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            bail!(Refused(format!("output {name} is there and is not a file")));
        }
        // A link stays one: what it leads to is replaced.
        let behind = if path.is_symlink() {
            path.canonicalize().with_context(|| format!("output {name}"))?
        } else {
            path.into()
        };
        let path = &*behind;
        path.file_name().with_context(|| format!("output {name} names no file"))?;
        let file = beside(path, 0o666).with_context(|| format!("output {name}"))?;
        if let (Ok(there), Ok(input)) = (path.metadata(), input.metadata())
            && (there.dev(), there.ino()) == (input.dev(), input.ino())
        {
            let own = Permissions::from_mode(input.mode() & 0o777);
            file.as_file().set_permissions(own).with_context(|| format!("output {name}"))?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    pub fn keep(self) -> Result<()> {
        let name = self.path.display().to_string();
        put_in_place(self.file, &self.path).with_context(|| format!("output {name}"))
    }
}
