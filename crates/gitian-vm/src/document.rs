//! Small YAML documents of our own: written as a whole or not at all.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use gitian_descriptor::Architecture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Problem, TargetId};

/// Writes a document so that it is there as a whole or not at all.
pub(crate) fn write_document(path: &Path, document: &impl Serialize) -> Result<()> {
    let object = || format!("write {}", path.display());
    let text = serde_yaml::to_string(document).with_context(object)?;
    let folder = path.parent().with_context(object)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(object)?;
    file.write_all(text.as_bytes()).with_context(object)?;
    file.as_file().set_permissions(Permissions::from_mode(0o644)).with_context(object)?;
    file.as_file().sync_data().with_context(object)?;
    file.persist(path).with_context(object)?;
    Ok(())
}

/// Reads a document; `None` if there is none.
pub(crate) fn read_document<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read_to_string(path) {
        Ok(text) => serde_yaml::from_str(&text).map(Some).with_context(|| format!("read {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Reads what an earlier run wrote down about a target. What cannot be read, such as another version's, is as if it were
/// not there: the target is made anew.
pub(crate) fn read_state<T: DeserializeOwned>(path: &Path) -> Option<T> {
    read_document(path).unwrap_or(None)
}

/// Removes a file if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A [`TargetId`] as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// The distro.
    pub(crate) distro: String,
    /// The suite.
    pub(crate) suite: String,
    /// The architecture, in Debian's spelling.
    pub(crate) architecture: String,
}

impl Which {
    /// Writes a target down.
    pub(crate) fn of(target: &TargetId) -> Self {
        Self {
            distro: target.distro.to_string(),
            suite: target.suite.to_string(),
            architecture: target.architecture.debian().to_owned(),
        }
    }

    /// Reads a target back.
    pub(crate) fn target(&self) -> Result<TargetId> {
        let Self { distro, suite, architecture } = self;
        let known = Architecture::from_name(architecture).with_context(|| format!("architecture '{architecture}'"))?;
        Ok(TargetId { distro: distro.parse()?, suite: suite.parse()?, architecture: known })
    }
}

impl fmt::Display for Which {
    /// Writes `bookworm-amd64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.suite, self.architecture)
    }
}

/// The problem of a target that cannot be started, whatever is tried.
pub(crate) fn unusable(what: String, target: &Which) -> Problem {
    let Which { suite, architecture, .. } = target;
    let mend =
        format!("libexec/make-clean-vm --suite {suite} --arch {architecture}    (or gbuild without --skip-image)");
    Problem { what, mend }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_cannot_be_read_is_none_and_a_document_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.yml");
        for (text, expected) in [("a: 1\n", Some(())), ("{", None), ("- no map\n", None), ("\0", None)] {
            fs::write(&path, text).unwrap();
            type Map = std::collections::BTreeMap<String, u32>;
            assert_eq!(read_state::<Map>(&path).map(drop), expected, "{text:?}");
            assert_eq!(read_document::<Map>(&path).is_ok(), expected.is_some(), "{text:?}");
        }
    }

    #[test]
    fn a_target_is_read_back_as_it_was_written_down() {
        let which = |architecture: &str| Which {
            distro: "debian".into(),
            suite: "sid".into(),
            architecture: architecture.into(),
        };
        assert_eq!(Which::of(&which("i386").target().unwrap()), which("i386"));
        assert!(which("vax").target().is_err());
    }
}
