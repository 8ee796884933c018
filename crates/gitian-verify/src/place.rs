//! Where in a sigs tree documents are, and what they and their signatures are called.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use gitian_manifest::SigsTree;

use crate::Question;

const ASSERT_END: &str = "-build.assert";
const SUMS_END: &str = ".SHA256SUMS";
/// How a detached signature's file is called, after the name of the list.
pub(crate) const SIGNATURE_ENDS: [&str; 3] = ["asc", "sig", "gpg"];

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
            Self::Sums => &SIGNATURE_ENDS,
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

    /// Returns what the document is about, in words of the tree.
    pub(crate) fn question(&self, tree: &SigsTree) -> Question {
        Question { tree: tree.clone(), release: self.release.clone(), package: self.package.clone() }
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
}
