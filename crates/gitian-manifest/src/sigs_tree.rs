//! Where assertions and signatures are: `<destination>/<release>/<signer>/<package>-build.assert` and `.sig` beside it.
//! What they say is known to `assertion`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A tree of assertions and their signatures.
///
/// Releases, signers and packages are taken as they are: they are checked names, or come from [`SigsTree::signers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigsTree {
    /// The folder that holds one folder per release.
    pub root: PathBuf,
}

/// What is in the folder of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers {
    /// The folders, each called after its signer, sorted by the bytes of the name.
    pub names: Vec<String>,
    /// Everything else, sorted: files, links, hidden folders, folders with a name that is not UTF-8.
    pub strays: Vec<PathBuf>,
}

impl SigsTree {
    /// Names a tree; it need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the folder of a release.
    pub fn release_folder(&self, release: &str) -> PathBuf {
        self.root.join(release)
    }

    /// Returns the folder of a signer.
    pub fn signer_folder(&self, release: &str, signer: &str) -> PathBuf {
        self.release_folder(release).join(signer)
    }

    /// Returns where a signer's assertion about a package is, or would be.
    pub fn assert_path(&self, release: &str, signer: &str, package: &str) -> PathBuf {
        self.signer_folder(release, signer).join(format!("{package}-build.assert"))
    }

    /// Returns where the signature of a signer's assertion is, or would be.
    pub fn signature_path(&self, release: &str, signer: &str, package: &str) -> PathBuf {
        self.signer_folder(release, signer).join(format!("{package}-build.assert.sig"))
    }

    /// Returns who has a folder in a release.
    ///
    /// A link to a folder is a stray: it would let one signer appear under two names, or lead out of the tree.
    pub fn signers(&self, release: &str) -> io::Result<Signers> {
        let mut signers = Signers::default();
        for entry in fs::read_dir(self.release_folder(release))? {
            let entry = entry?;
            match entry.file_name().into_string() {
                Ok(name) if entry.file_type()?.is_dir() && !name.starts_with('.') => signers.names.push(name),
                _ => signers.strays.push(entry.path()),
            }
        }
        signers.names.sort_unstable();
        signers.strays.sort_unstable();
        Ok(signers)
    }

    /// Returns the destination for the tree of one package: `<installation>/sigs/<package>`.
    ///
    /// Source: gitian-builder 11f91fb, bin/gsign.
    pub fn default_root(installation: &Path, package: &str) -> PathBuf {
        installation.join("sigs").join(package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_original() {
        let tree = SigsTree::new(SigsTree::default_root(Path::new("base"), "hello"));
        assert_eq!(
            tree.assert_path("1.0", "alice", "hello"),
            Path::new("base/sigs/hello/1.0/alice/hello-build.assert")
        );
        assert_eq!(
            tree.signature_path("1.0", "alice", "hello"),
            Path::new("base/sigs/hello/1.0/alice/hello-build.assert.sig")
        );
    }

    #[test]
    fn signers_are_the_real_folders_of_a_release_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let tree = SigsTree::new(folder.path());
        let release = tree.release_folder("1.0");
        for name in ["bob", "alice", "Zoe", "a@example.org", ".git"] {
            fs::create_dir_all(release.join(name)).unwrap();
        }
        fs::write(release.join("README"), "").unwrap();
        std::os::unix::fs::symlink("alice", release.join("mallory")).unwrap();
        let signers = tree.signers("1.0").unwrap();
        assert_eq!(signers.names, ["Zoe", "a@example.org", "alice", "bob"]);
        assert_eq!(signers.strays, [".git", "README", "mallory"].map(|name| release.join(name)));
        assert_eq!(tree.signers("2.0").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
