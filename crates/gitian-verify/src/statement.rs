//! What anyone in a tree vouches for, whatever the tree's layout: gitian's assertions and guix' lists side by side.
//!
//! ```text
//! <release>/<signer>/<package>-build.assert        and .sig
//! <release>/<signer>/<package>.SHA256SUMS          and .asc
//! ```

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_manifest::SigsTree;
use gitian_process::interrupt;
use rayon::prelude::*;

use crate::choice::own_first;
use crate::facts::{Document, Facts, Naming, Signature};
use crate::history::History;
use crate::sums::{self, Sums};
use crate::tree_file::{self, Content};
use crate::{ASSERT_LIMIT, Checker, Question, Unpaired, signer_facts};

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

/// Returns the releases of a tree that somebody left something for, however deep (`archive/0.9.0`), in their order.
pub fn releases(root: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> =
        History::of(&SigsTree::new(root))?.questions.into_iter().map(|question| question.release).collect();
    names.dedup();
    Ok(names)
}

/// Finds out about everything that the signers of some releases left, if anything about a release of that name is `relevant`,
/// which is asked for a document's bytes before anything is checked: what somebody has replaced is told by a newer document,
/// which may not hold what is looked for.
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
        places.extend(signers.names.iter().flat_map(|signer| signer_documents(&tree, release, signer)));
    }
    let is_relevant = |place: &Place| {
        interrupt::check()?;
        // What cannot be read is reported, whatever it may say.
        Ok(match tree_file::read(&top, &place.path(&tree), ASSERT_LIMIT) {
            Content::Bytes(bytes) => relevant(&bytes),
            Content::Absent | Content::Refused(_) => true,
        })
    };
    let is_relevant: Vec<bool> = places.par_iter().map(is_relevant).collect::<Result<_>>()?;
    let found = places.iter().zip(is_relevant).filter(|(_, is_relevant)| *is_relevant);
    let wanted: HashSet<String> = found.map(|(place, _)| place.release_name().to_owned()).collect();
    let wanted = places.into_par_iter().filter(|place| wanted.contains(place.release_name()));
    let mut found = wanted.map(|place| place.statement(&tree, &top, checker)).collect::<Result<Vec<_>>>()?;
    let mut about: HashMap<(String, String), Vec<&mut Facts>> = HashMap::new();
    for Statement { release, package, facts } in &mut found {
        about.entry((release.clone(), package.clone())).or_default().push(facts);
    }
    about.values_mut().for_each(|facts| own_first(facts));
    Ok(found)
}

/// Returns the name of a release by its folder below the tree: the last part.
pub fn release_name(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap_or(folder)
}

/// The two kinds of documents that people sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Assert,
    Sums,
}

impl Kind {
    /// Returns how signatures' files may be called, after the document's name and a dot.
    pub fn signature_ends(self) -> &'static [&'static str] {
        match self {
            Self::Assert => &["sig"],
            Self::Sums => &sums::SIGNATURE_ENDS,
        }
    }

    /// Returns how a signature's file is called in a tree, after the document's name.
    pub fn signature_end(self) -> &'static str {
        match self {
            Self::Assert => ".sig",
            Self::Sums => ".asc",
        }
    }
}

/// Returns what a file is by its name, and the package that it is about.
pub(crate) fn kind_of(name: &str) -> Option<(Kind, &str)> {
    let kinds = [(Kind::Assert, ASSERT_END), (Kind::Sums, SUMS_END)];
    kinds.into_iter().find_map(|(kind, end)| Some((kind, name.strip_suffix(end)?)))
}

/// Returns the documents in a signer's folder, sorted; a folder that cannot be read holds none.
pub(crate) fn signer_documents(tree: &SigsTree, release: &str, signer: &str) -> Vec<Place> {
    let entries = fs::read_dir(tree.signer_folder(release, signer)).into_iter().flatten().flatten();
    let mut found: Vec<Place> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (kind, package) = kind_of(&name)?;
            Some(Place { release: release.to_owned(), signer: signer.to_owned(), package: package.to_owned(), kind })
        })
        .collect();
    found.sort_unstable();
    found
}

/// Where a document is in a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub release: String,
    pub signer: String,
    pub package: String,
    pub kind: Kind,
}

impl Place {
    /// Returns where a signer's word on a package is: the assertion, or the list where there is only that.
    pub fn find(question: &Question, signer: &str) -> Self {
        let Question { tree, release, package } = question;
        let place = |kind| Self { release: release.clone(), signer: signer.to_owned(), package: package.clone(), kind };
        let signature = tree.signature_path(release, signer, package);
        let (assert, sums) = (place(Kind::Assert), place(Kind::Sums));
        let there = |path: &Path| path.symlink_metadata().is_ok();
        // A list's signature alone is the word on a list that is missing.
        let of_list = || {
            let list = sums.path(tree).into_os_string();
            let end = |end: &str| [list.as_os_str(), end.as_ref()].into_iter().collect::<OsString>();
            there(&sums.path(tree))
                || Kind::Sums.signature_ends().iter().any(|sig| there(end(&format!(".{sig}")).as_ref()))
        };
        let is_list = !there(&assert.path(tree)) && !there(&signature) && of_list();
        if is_list { sums } else { assert }
    }

    fn statement(self, tree: &SigsTree, top: &Path, checker: &Checker<'_>) -> Result<Statement> {
        interrupt::check()?;
        let mut facts = self.facts(tree, top, checker)?;
        // An old assertion that was copied into another release proves nothing about that.
        if let Document::Read(assertion) = &facts.document
            && let Some(found) = assertion.release().filter(|found| *found != self.release_name())
        {
            facts.document = Document::Malformed(format!("is about release {found}, not {}", self.release_name()));
        }
        Ok(Statement { release: self.release, package: self.package, facts })
    }

    /// Returns what the document has to say about its release: the last part of the folder.
    pub(crate) fn release_name(&self) -> &str {
        release_name(&self.release)
    }

    /// Returns where the document is.
    pub(crate) fn path(&self, tree: &SigsTree) -> PathBuf {
        match self.kind {
            Kind::Assert => tree.assert_path(&self.release, &self.signer, &self.package),
            Kind::Sums => tree.signer_folder(&self.release, &self.signer).join(format!("{}{SUMS_END}", self.package)),
        }
    }

    /// Finds out about the document and its signature. `top` is the tree's canonical path.
    pub(crate) fn facts(&self, tree: &SigsTree, top: &Path, checker: &Checker<'_>) -> Result<Facts> {
        let mut facts = match self.kind {
            Kind::Assert => {
                let (release, package) = (self.release.clone(), self.package.clone());
                signer_facts(&Question { tree: tree.clone(), release, package }, checker, top, &self.signer)?
            }
            Kind::Sums => self.sums(top, self.path(tree), checker)?,
        };
        let Checker::Keys { keys, .. } = checker else { return Ok(facts) };
        if let Signature::Good(good) = &facts.signature {
            facts.naming = keys.naming(&self.signer, good);
        }
        for (good, naming) in &mut facts.others {
            *naming = keys.naming(&self.signer, good);
        }
        Ok(facts)
    }

    fn sums(&self, top: &Path, assert_path: PathBuf, checker: &Checker<'_>) -> Result<Facts> {
        let (document, (signature_path, signature, others)) = match Sums::read(top, &assert_path) {
            Ok(sums) => (sums.document(self.release_name(), &self.package), sums.signature(checker)?),
            Err(document) => {
                let (path, signature) = sums::unchecked(top, &assert_path);
                (document, (path, signature, Vec::new()))
            }
        };
        Ok(Facts {
            signer: self.signer.clone(),
            assert_path,
            signature_path,
            document,
            signature,
            others: others.into_iter().map(|good| (good, Naming::default())).collect(),
            unpaired: Unpaired::default(),
            misnamed_signature: None,
            naming: Naming::default(),
        })
    }
}
