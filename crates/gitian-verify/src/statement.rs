//! What anyone in a tree vouches for, whatever the tree's layout: gitian's assertions and guix' lists side by side.
//!
//! ```text
//! <release>/<signer>/<package>-build.assert        and .sig
//! <release>/<signer>/<package>.SHA256SUMS          and .asc
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_manifest::SigsTree;
use rayon::prelude::*;

use crate::facts::{Document, Facts, Signature};
use crate::sums::Sums;
use crate::tree_file::{self, Content};
use crate::{ASSERT_LIMIT, Checker, Question, signer_facts};

const ASSERT_END: &str = "-build.assert";
const SUMS_END: &str = ".SHA256SUMS";

/// Something that a signer vouches for.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The release, as its folder says.
    pub release: String,
    /// The package, as the file's name says: `hello`, or `noncodesigned` in a tree of guix.
    pub package: String,
    /// What is known about it.
    pub facts: Facts,
}

/// Returns the releases of a tree: its folders, in the order of their names, without hidden ones.
pub fn releases(root: &Path) -> Result<Vec<String>> {
    let entries = root.read_dir().with_context(|| root.display().to_string())?;
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    Ok(names)
}

/// Finds out about everything that the signers of some releases left and that is `relevant`, which is asked for a
/// document's bytes before anything is checked.
pub fn statements(
    root: &Path,
    releases: &[String],
    checker: &Checker<'_>,
    relevant: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Vec<Statement>> {
    let tree = SigsTree::new(root);
    let top = root.canonicalize().with_context(|| root.display().to_string())?;
    let mut places = Vec::new();
    for release in releases {
        let signers = tree.signers(release).with_context(|| tree.release_folder(release).display().to_string())?;
        for signer in signers.names {
            places.extend(documents(&tree.signer_folder(release, &signer)).into_iter().map(|(kind, package)| Place {
                release: release.clone(),
                signer: signer.clone(),
                package,
                kind,
            }));
        }
    }
    let found = places.into_par_iter().map(|place| place.statement(&tree, &top, checker, relevant));
    found.filter_map(Result::transpose).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Assert,
    Sums,
}

/// Returns the documents in a signer's folder, sorted; a folder that cannot be read holds none.
fn documents(folder: &Path) -> Vec<(Kind, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(Kind, String)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let kinds = [(Kind::Assert, ASSERT_END), (Kind::Sums, SUMS_END)];
            kinds.into_iter().find_map(|(kind, end)| Some((kind, name.strip_suffix(end)?.to_owned())))
        })
        .collect();
    found.sort_unstable();
    found
}

struct Place {
    release: String,
    signer: String,
    package: String,
    kind: Kind,
}

impl Place {
    fn statement(
        self,
        tree: &SigsTree,
        top: &Path,
        checker: &Checker<'_>,
        relevant: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<Option<Statement>> {
        let path = match self.kind {
            Kind::Assert => tree.assert_path(&self.release, &self.signer, &self.package),
            Kind::Sums => tree.signer_folder(&self.release, &self.signer).join(format!("{}{SUMS_END}", self.package)),
        };
        // What cannot be read is reported, whatever it may say.
        if let Content::Bytes(bytes) = tree_file::read(top, &path, ASSERT_LIMIT)
            && !relevant(&bytes)
        {
            return Ok(None);
        }
        let facts = match self.kind {
            Kind::Assert => {
                let question = Question {
                    tree: tree.clone(),
                    release: self.release.clone(),
                    package: self.package.clone(),
                };
                signer_facts(&question, checker, top, &self.signer)?
            }
            Kind::Sums => self.sums(top, path, checker)?,
        };
        Ok(Some(Statement { release: self.release, package: self.package, facts }))
    }

    fn sums(&self, top: &Path, assert_path: PathBuf, checker: &Checker<'_>) -> Result<Facts> {
        let (document, signature) = match Sums::read(top, &assert_path) {
            Ok(sums) => (sums.document(&self.release, &self.package), sums.signature(checker)?),
            Err(document @ Document::Absent) => (document, Signature::Absent),
            Err(document) => (document, Signature::NotChecked),
        };
        let mut name = assert_path.clone().into_os_string();
        name.push(".asc");
        Ok(Facts { signer: self.signer.clone(), assert_path, signature_path: name.into(), document, signature })
    }
}
