//! An assertion that is still to be signed, and its place in a tree of signatures. How it is signed is left to `signing`.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use gitian_descriptor::{PackageName, ReleaseName, SignerName};
use gitian_manifest::{Assertion, Digest, Report, SigsTree, read_file};

/// The largest report that is read, in bytes.
pub(crate) const REPORT_LIMIT: u64 = 64 << 20;

/// What an assertion is about and who vouches for it: its place in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The release.
    pub release: ReleaseName,
    /// The folder in the tree.
    pub signer: SignerName,
    /// The package.
    pub package: PackageName,
}

impl Subject {
    /// Returns where the assertion is in a tree.
    pub fn assert_path(&self, tree: &SigsTree) -> PathBuf {
        tree.assert_path(self.release.as_str(), self.signer.as_str(), self.package.as_str())
    }

    /// Returns where the signature is in a tree.
    pub fn signature_path(&self, tree: &SigsTree) -> PathBuf {
        tree.signature_path(self.release.as_str(), self.signer.as_str(), self.package.as_str())
    }
}

/// An assertion that is to be signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What it is about.
    pub subject: Subject,
    assertion: Assertion,
    bytes: Vec<u8>,
}

/// There is no report to sign.
#[derive(Debug, thiserror::Error)]
#[error("{} does not exist", path.display())]
pub struct ReportMissing {
    /// Where it should be.
    pub path: PathBuf,
}

impl Draft {
    /// Makes the assertion of a report, `result/<package>-res.yml`. `optionals` is the descriptor's list, if it has one.
    ///
    /// # Errors
    ///
    /// [`ReportMissing`].
    pub fn of_report(report: &Path, subject: Subject, optionals: Option<Vec<String>>) -> Result<Self> {
        let bytes = read_file(report, REPORT_LIMIT).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => anyhow::Error::new(ReportMissing { path: report.to_owned() }),
            _ => anyhow::Error::new(cause).context(report.display().to_string()),
        })?;
        let report = Report::read(&bytes).with_context(|| report.display().to_string())?;
        let assertion = Assertion::new(report, subject.release.as_str(), subject.package.as_str(), optionals);
        let bytes = assertion.render();
        Ok(Self { subject, assertion, bytes })
    }

    /// Takes the bytes of an assertion that somebody else made, if it is about this subject and says nothing in another
    /// way than we do.
    pub fn of_bytes(bytes: Vec<u8>, subject: Subject) -> Result<Self> {
        let assertion = Assertion::read(&bytes)?;
        for (what, found, wanted) in [
            ("release", assertion.release(), subject.release.as_str()),
            ("name", assertion.name(), subject.package.as_str()),
        ] {
            ensure!(found == Some(wanted), "its {what} is {}, not {wanted}", found.unwrap_or("not stated"));
        }
        ensure!(assertion.out_manifest().is_some(), "it has no out_manifest");
        ensure!(assertion.render() == bytes, "it is not written as gsign writes assertions");
        Ok(Self { subject, assertion, bytes })
    }

    /// Returns what it says.
    pub fn assertion(&self) -> &Assertion {
        &self.assertion
    }

    /// Returns the bytes that are signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the SHA-256 of the bytes that are signed.
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(&self.bytes)
    }
}
