//! One run of signing: everything is signed first, each thing in a workshop beside its place, and then published together.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use gitian_manifest::{SigsTree, read_file};

use crate::by::By;
use crate::draft::{Draft, REPORT_LIMIT};
use crate::publication::Publication;
use crate::workshop::Workshop;
use crate::{envelope, openpgp};

/// What is signed so far, and what was left of it. Dropped without [`publish`](Self::publish), it leaves nothing.
#[derive(Default)]
pub struct Signing {
    publication: Publication,
    signed: Vec<Signed>,
}

/// What [`Signing`] leaves of one draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The assertion.
    pub assert_path: PathBuf,
    /// Where its signature belongs.
    pub signature_path: PathBuf,
    /// Whether there is a signature of exactly this assertion: a program that signs nothing (`true`) leaves a tree that
    /// is to be signed elsewhere.
    pub signed: bool,
}

impl Signing {
    /// Has a draft signed for its place in a tree. It will replace what an earlier run left there.
    ///
    /// # Errors
    ///
    /// [`NotSigned`](crate::NotSigned).
    pub fn assertion(&mut self, draft: &Draft, tree: &SigsTree, by: &By<'_>) -> Result<()> {
        let workshop = workshop(draft, tree)?;
        by.sign(&workshop)?;
        self.take(workshop, draft, tree, &by.to_string())
    }

    /// Takes a draft with a signature, binary, that was made elsewhere.
    pub fn attestation(&mut self, draft: &Draft, tree: &SigsTree, signature: &[u8]) -> Result<()> {
        let workshop = workshop(draft, tree)?;
        fs::write(&workshop.signature, signature).with_context(|| workshop.signature.display().to_string())?;
        self.take(workshop, draft, tree, "the signer")
    }

    /// Plans the moves of a draft and all that lies beside it.
    ///
    /// A signature of another document goes first, then the assertion takes its place in one step, then come its
    /// signature and the rest: at no moment is there no assertion, or a signature beside a document that it does not
    /// belong to.
    fn take(&mut self, workshop: Workshop, draft: &Draft, tree: &SigsTree, by: &str) -> Result<()> {
        let (assert_path, signature_path) = (draft.subject.assert_path(tree), draft.subject.signature_path(tree));
        let unchanged = read_file(&assert_path, REPORT_LIMIT).is_ok_and(|old| old == draft.bytes());
        let new_signature = workshop.signature.is_file();
        let mut moves: Vec<(Option<PathBuf>, PathBuf)> = Vec::new();
        if !unchanged {
            moves.push((None, signature_path.clone()));
        }
        moves.push((Some(workshop.draft.clone()), assert_path.clone()));
        let is_signature = |path: &PathBuf| *path == workshop.signature;
        let content = workshop.content()?;
        let place = |path: &PathBuf| workshop.folder.join(path.file_name().unwrap_or_default());
        for path in content.iter().filter(|path| is_signature(path)) {
            ensure!(!path.is_dir(), "{}: {by} left what cannot take this place", place(path).display());
            moves.push((Some(path.clone()), place(path)));
        }
        let rest = content.iter().filter(|path| !is_signature(path) && **path != workshop.draft);
        moves.extend(rest.map(|path| (Some(path.clone()), place(path))));
        self.publication.add(workshop, moves, by)?;
        let signed = new_signature || (unchanged && signature_path.is_file());
        self.signed.push(Signed { assert_path, signature_path, signed });
        Ok(())
    }

    /// Has a list of digests signed, for this file and an armored signature `<file>.asc` beside it.
    pub fn sums(&mut self, file: &Path, sums: &str, by: &By<'_>) -> Result<()> {
        let (folder, name) = place(file)?;
        let signature = by.sign_bytes(folder, name, "list of digests", sums.as_bytes())?;
        let workshop = Workshop::open(folder, name, "list of digests", sums.as_bytes())?;
        let armored = workshop.draft.with_file_name(format!("{name}.asc"));
        fs::write(&armored, openpgp::armored(&signature)?).with_context(|| armored.display().to_string())?;
        let asc = workshop.folder.join(format!("{name}.asc"));
        let moves =
            vec![(None, asc.clone()), (Some(workshop.draft.clone()), workshop.folder.join(name)), (Some(armored), asc)];
        self.publication.add(workshop, moves, &by.to_string())
    }

    /// Has statements signed, for this file: one envelope a line.
    pub fn statements(&mut self, file: &Path, statements: &[Vec<u8>], by: &By<'_>) -> Result<()> {
        let (folder, name) = place(file)?;
        let mut lines = String::new();
        for statement in statements {
            let encoded = envelope::pre_authentication_encoding(statement);
            let signature = by.sign_bytes(folder, &format!("{name}.pae"), "statement", &encoded)?;
            lines += &envelope::render(statement, &signature)?;
            lines.push('\n');
        }
        let workshop = Workshop::open(folder, name, "statement", lines.as_bytes())?;
        let moves = vec![(Some(workshop.draft.clone()), workshop.folder.join(name))];
        self.publication.add(workshop, moves, &by.to_string())
    }

    /// Moves everything to its place, or nothing.
    pub fn publish(self) -> Result<Vec<Signed>> {
        self.publication.publish()?;
        Ok(self.signed)
    }
}

fn workshop(draft: &Draft, tree: &SigsTree) -> Result<Workshop> {
    let path = draft.subject.assert_path(tree);
    let (folder, name) = place(&path)?;
    Workshop::open(folder, name, "assertion", draft.bytes())
}

fn place(file: &Path) -> Result<(&Path, &str)> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{}: is no name of a file", file.display()))?;
    Ok((file.parent().unwrap_or(Path::new("")), name))
}
