//! What anyone in a tree vouches for, whatever the tree's layout: gitian's assertions and guix' lists side by side.
//!
//! ```text
//! <release>/<signer>/<package>-build.assert        and .sig
//! <release>/<signer>/<package>.SHA256SUMS          and .asc
//! ```

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_manifest::SigsTree;
use gitian_process::interrupt;
use rayon::prelude::*;

use crate::choice::own_first;
use crate::facts::{Document, Facts, Naming, Signature};
use crate::history::History;
use crate::place::{Kind, Place, signer_documents};
use crate::sums::{self, Sums};
use crate::tree_file::{self, Content};
use crate::{ASSERT_LIMIT, Checker, Folders, Unpaired, signer_facts};

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
    folders: &Folders,
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
    if let Checker::Keys { keys, .. } = checker {
        keys.tell_owners(found.iter_mut().map(|statement| &mut statement.facts), &|name| {
            folders.has_signer(&tree, name)
        });
    }
    let mut about: HashMap<(String, String), Vec<&mut Facts>> = HashMap::new();
    for Statement { release, package, facts } in &mut found {
        about.entry((release.clone(), package.clone())).or_default().push(facts);
    }
    about.values_mut().for_each(|facts| own_first(facts));
    Ok(found)
}

impl Place {
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

    /// Finds out about the document and its signature. `top` is the tree's canonical path.
    pub(crate) fn facts(&self, tree: &SigsTree, top: &Path, checker: &Checker<'_>) -> Result<Facts> {
        let mut facts = match self.kind {
            Kind::Assert => signer_facts(&self.question(tree), checker, top, &self.signer)?,
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
