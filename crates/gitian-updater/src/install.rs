//! Installing is renaming: what is there goes into `old/`, what is new comes out of `stage/`, and every step can be taken again.
//!
//! The journal is written when everything new lies ready, and renamed when it is all in its place. A run that finds one goes on
//! with it; if a step cannot be taken, all are taken back. Whatever lies there in between may be somebody else's: only what has
//! the digest that was signed is put in its place or taken back, nothing is moved through a link, and nothing is moved over
//! anything.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gitian_manifest::{Digest, OMap, Value};
use serde::Serialize;

use crate::installed::{Installed, is_plain};

/// What an installation consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Journal {
    /// What comes.
    files: Vec<String>,
    /// What goes, of what was installed before and was there when the installation began.
    removed: Vec<String>,
    /// The same, where something comes in its place.
    replaced: Vec<String>,
    /// What is written in the end.
    pub manifest: String,
}

/// What taking back came to.
#[derive(Debug, Default)]
pub(crate) struct Undone {
    /// What could not be put back, and is still in `old/`.
    pub kept: Vec<String>,
    /// What was there, and is nowhere any more.
    pub gone: Vec<String>,
    /// What lies where something new was to come, and is not that.
    pub foreign: Vec<String>,
}

/// One renaming.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    /// From the destination to `old/`; whether something comes in its place.
    Keep(&'a str, bool),
    /// From `stage/` to the destination.
    Place(&'a str),
}

impl Undone {
    /// Whether everything is as it was.
    pub fn is_whole(&self) -> bool {
        self.kept.is_empty() && self.gone.is_empty() && self.foreign.is_empty()
    }
}

impl Journal {
    /// Only what the old release has is moved away: a file of the user's own at a new path is in the way.
    pub fn new(root: &Path, old: Option<&Installed>, new: &Installed) -> Result<Self> {
        let there = old.into_iter().flat_map(|old| old.sums.keys()).filter(|path| is_file(&root.join(path)));
        let (replaced, removed) = there.cloned().partition(|path| new.sums.contains_key(path));
        Ok(Self { files: new.sums.keys().cloned().collect(), removed, replaced, manifest: new.render()? })
    }

    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let map = OMap::parse(bytes)?;
        let list = |key: &str| {
            let Some(Value::List(items)) = map.get(key) else { bail!("has no {key}") };
            let path = |item: &Value| {
                let path = item.as_written().filter(|path| is_plain(path));
                path.map(str::to_owned).with_context(|| format!("{key}: has what is no path"))
            };
            items.iter().map(path).collect::<Result<Vec<_>>>()
        };
        let manifest = map.get("manifest").and_then(Value::as_written).context("has no manifest")?.to_owned();
        let (files, new) = (list("files")?, Installed::parse(manifest.as_bytes())?);
        if !files.iter().eq(new.sums.keys()) {
            bail!("has other files than its manifest");
        }
        Ok(Self { files, removed: list("removed")?, replaced: list("replaced")?, manifest })
    }

    pub fn render(&self) -> Result<Vec<u8>> {
        Ok(serde_yaml::to_string(self)?.into_bytes())
    }

    /// Puts everything in its place, however much of it is there already, and checks that it is what was signed.
    pub fn carry_out(&self, root: &Path, work: &Path) -> Result<()> {
        let places = Places { root, work };
        self.steps().try_for_each(|step| places.take(step))?;
        self.check(&places)
    }

    /// Checks that every file is what was signed, wherever it is at the moment: before going on with what another run began.
    pub fn check_begun(&self, root: &Path, work: &Path) -> Result<()> {
        self.check(&Places { root, work })
    }

    fn check(&self, places: &Places<'_>) -> Result<()> {
        for (path, digest) in &self.sums()? {
            let base = if is_file(&places.stage(path)) { places.work.join("stage") } else { places.root.to_owned() };
            if !is_file(&base.join(path)) {
                bail!("{path}: is not there, though it was laid out");
            }
            if !is_what_was_signed(&base, path, digest)? {
                bail!("{path}: is not the file that was signed");
            }
        }
        Ok(())
    }

    fn sums(&self) -> Result<BTreeMap<String, String>> {
        Ok(Installed::parse(self.manifest.as_bytes())?.sums)
    }

    /// Takes back what can be, and tells of the rest.
    pub fn undo(&self, root: &Path, work: &Path) -> Result<Undone> {
        let places = Places { root, work };
        let mut undone = Undone::default();
        for (path, digest) in &self.sums()? {
            let (stage, at) = (places.stage(path), root.join(path));
            let replaced = self.replaced.contains(path);
            // Of what was replaced, the old file is there until it is in `old/`.
            if is_file(&stage) || !is_file(&at) || replaced && !is_file(&places.old(path)) {
                continue;
            }
            if is_what_was_signed(root, path, digest).unwrap_or(false) && rename(work, "stage", &at, path).is_ok() {
                places.remove_empty(path);
            } else if !replaced {
                undone.foreign.push(path.clone());
            }
        }
        for path in self.removed.iter().chain(&self.replaced) {
            let (old, at) = (places.old(path), root.join(path));
            if is_file(&old) {
                let free = check_above(root, path).is_ok() && at.symlink_metadata().is_err();
                if !free || check_above(&work.join("old"), path).is_err() || move_to(&old, &at).is_err() {
                    undone.kept.push(path.clone());
                }
            } else if !is_file(&at) {
                undone.gone.push(path.clone());
            }
        }
        Ok(undone)
    }

    /// What goes makes room for what comes: a file may become a folder.
    fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let removed = self.removed.iter().map(|path| Step::Keep(path, false));
        let replaced = self.replaced.iter().map(|path| Step::Keep(path, true));
        removed.chain(replaced).chain(self.files.iter().map(|path| Step::Place(path)))
    }
}

struct Places<'a> {
    root: &'a Path,
    work: &'a Path,
}

impl Places<'_> {
    fn stage(&self, path: &str) -> PathBuf {
        self.work.join("stage").join(path)
    }

    fn old(&self, path: &str) -> PathBuf {
        self.work.join("old").join(path)
    }

    fn take(&self, step: Step<'_>) -> Result<()> {
        match step {
            Step::Keep(path, replaced) => self.keep(path, replaced),
            Step::Place(path) => self.place(path),
        }
    }

    fn keep(&self, path: &str, replaced: bool) -> Result<()> {
        let (from, to) = (self.root.join(path), self.old(path));
        check_above(self.root, path)?;
        // What is to replace it may be there already.
        let placed = replaced && !is_file(&self.stage(path));
        if !is_file(&from) || is_file(&to) || placed {
            return Ok(());
        }
        rename(self.work, "old", &from, path)?;
        self.remove_empty(path);
        Ok(())
    }

    fn place(&self, path: &str) -> Result<()> {
        let (from, to) = (self.stage(path), self.root.join(path));
        if !is_file(&from) {
            return Ok(());
        }
        check_above(self.root, path)?;
        check_above(&self.work.join("stage"), path)?;
        if to.symlink_metadata().is_ok() {
            bail!("{path}: is in the way");
        }
        move_to(&from, &to)
    }

    /// Removes the folders above a path that have become empty.
    fn remove_empty(&self, path: &str) {
        for (slash, _) in path.rmatch_indices('/') {
            if fs::remove_dir(self.root.join(&path[..slash])).is_err() {
                return;
            }
        }
    }
}

/// Checks that nothing above a path is a link: nothing may be moved through one.
fn check_above(base: &Path, path: &str) -> Result<()> {
    for (slash, _) in path.match_indices('/') {
        match base.join(&path[..slash]).symlink_metadata() {
            Ok(there) if there.is_dir() => {}
            // An old file, that goes.
            Ok(there) if there.is_file() => {}
            Ok(_) => bail!("{}: is no folder", &path[..slash]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path[..slash].to_owned()),
        }
    }
    Ok(())
}

/// Whether a path is a regular file with a digest, and not through a link.
fn is_what_was_signed(base: &Path, path: &str, digest: &str) -> Result<bool> {
    check_above(base, path)?;
    let place = base.join(path);
    if !place.symlink_metadata().is_ok_and(|there| there.is_file()) {
        return Ok(false);
    }
    Ok(Digest::of_file(&place).with_context(|| path.to_owned())?.to_string() == digest)
}

/// Whether there is anything but a folder.
fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|there| !there.is_dir())
}

/// Moves something into a folder of ours.
fn rename(work: &Path, folder: &str, from: &Path, path: &str) -> Result<()> {
    let folder = work.join(folder);
    check_above(&folder, path)?;
    move_to(from, &folder.join(path))
}

fn move_to(from: &Path, to: &Path) -> Result<()> {
    let name = || to.display().to_string();
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(name)?;
    }
    fs::rename(from, to).with_context(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Tree = BTreeMap<String, String>;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect()
    }

    fn lay_out(root: &Path, tree: &Tree) {
        for (path, text) in tree {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
    }

    fn read(root: &Path) -> Tree {
        let mut tree = Tree::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.path() {
                    path if path == root.join("work") => {}
                    path if path.is_dir() => folders.push(path),
                    path => {
                        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                        tree.insert(name, fs::read_to_string(&path).unwrap());
                    }
                }
            }
        }
        tree
    }

    fn installed(tree: &Tree) -> Installed {
        let sums = tree.iter().map(|(path, text)| (path.clone(), Digest::of_bytes(text.as_bytes()).to_string()));
        Installed { sums: sums.collect(), release: "1".into(), name: "x".into(), ..Installed::default() }
    }

    /// An old release with a user's file beside it, and a new one in which a file becomes a folder and a folder a file.
    fn releases() -> (Tree, Tree, Tree) {
        let old = tree(&[("a", "1"), ("b/c", "1"), ("d/e/f", "1"), ("g", "1"), ("same", "0")]);
        let new = tree(&[("a", "2"), ("b", "2"), ("g/h", "2"), ("i/j/k", "2"), ("same", "0")]);
        (old, new, tree(&[("d/mine", "user's")]))
    }

    fn prepare() -> (tempfile::TempDir, Journal, Tree, Tree) {
        let folder = tempfile::tempdir().unwrap();
        let (old, new, mine) = releases();
        lay_out(folder.path(), &old);
        lay_out(folder.path(), &mine);
        lay_out(&folder.path().join("work/stage"), &new);
        let journal = Journal::new(folder.path(), Some(&installed(&old)), &installed(&new)).unwrap();
        let with = |tree: &Tree| tree.clone().into_iter().chain(mine.clone()).collect();
        (folder, journal, with(&old), with(&new))
    }

    #[test]
    fn an_installation_interrupted_at_any_step_is_finished_or_taken_back() {
        let steps = prepare().1.steps().count();
        assert!(steps >= 10);
        for taken in 0..=steps {
            for undo in [false, true] {
                let (folder, journal, old, new) = prepare();
                let work = folder.path().join("work");
                let places = Places { root: folder.path(), work: &work };
                journal.steps().take(taken).for_each(|step| places.take(step).unwrap());
                let journal = Journal::parse(&journal.render().unwrap()).unwrap();
                if undo {
                    let undone = journal.undo(folder.path(), &work).unwrap();
                    assert!(undone.is_whole(), "{undone:?}");
                    assert_eq!(read(folder.path()), old, "taken back after {taken}");
                }
                // What was taken back can be taken again.
                journal.carry_out(folder.path(), &work).unwrap();
                assert_eq!(read(folder.path()), new, "finished after {taken}");
            }
        }
    }

    #[test]
    fn what_is_in_the_way_or_a_link_stops_an_installation_and_everything_stays() {
        for obstacle in ["i", "b/users", "i/j/k"] {
            let (folder, journal, mut old, _) = prepare();
            let work = folder.path().join("work");
            if obstacle == "i" {
                std::os::unix::fs::symlink("/tmp", folder.path().join("i")).unwrap();
            } else {
                lay_out(folder.path(), &tree(&[(obstacle, "user's")]));
                old.insert(obstacle.into(), "user's".into());
            }
            assert!(journal.carry_out(folder.path(), &work).is_err(), "{obstacle}");
            assert!(journal.undo(folder.path(), &work).unwrap().is_whole());
            fs::remove_file(folder.path().join("i")).ok();
            assert_eq!(read(folder.path()), old, "{obstacle}");
        }
    }

    #[test]
    fn nothing_that_is_not_ours_is_taken_back_or_overwritten() {
        // Half of it is in its place when somebody comes: with a file of his own, a link to one, or an edit.
        for meddling in ["foreign", "link above", "edited", "in the place of the old"] {
            let (folder, journal, old, _) = prepare();
            let (root, work) = (folder.path(), folder.path().join("work"));
            let elsewhere = tempfile::tempdir().unwrap();
            journal.carry_out(root, &work).unwrap();
            let mut expected = old.clone();
            match meddling {
                "foreign" | "edited" => {
                    fs::write(root.join("i/j/k"), "user's").unwrap();
                    expected.insert("i/j/k".into(), "user's".into());
                }
                "link above" => {
                    lay_out(elsewhere.path(), &tree(&[("j/k", "2")]));
                    fs::remove_dir_all(root.join("i")).unwrap();
                    std::os::unix::fs::symlink(elsewhere.path(), root.join("i")).unwrap();
                }
                _ => {
                    fs::write(root.join("a"), "user's").unwrap();
                    expected.insert("a".into(), "user's".into());
                }
            }
            let undone = journal.undo(root, &work).unwrap();
            assert!(!undone.is_whole(), "{meddling}");
            if meddling == "link above" {
                assert_eq!(fs::read_to_string(elsewhere.path().join("j/k")).unwrap(), "2");
                fs::remove_file(root.join("i")).unwrap();
            }
            if meddling.starts_with("in the place") {
                assert_eq!(undone.kept, ["a"]);
                assert_eq!(fs::read_to_string(work.join("old/a")).unwrap(), "1", "what cannot be put back is kept");
            }
            assert_eq!(read(root), expected, "{meddling}");
        }
    }

    #[test]
    fn what_was_laid_out_is_checked_before_it_is_gone_on_with() {
        let (folder, journal, old, _) = prepare();
        let (root, work) = (folder.path(), folder.path().join("work"));
        fs::write(work.join("stage/g/h"), "evil").unwrap();
        let error = journal.check_begun(root, &work).unwrap_err().to_string();
        assert_eq!(error, "g/h: is not the file that was signed");
        assert!(journal.carry_out(root, &work).is_err(), "and once more in the end");
        journal.undo(root, &work).unwrap();
        fs::remove_dir_all(work.join("stage")).unwrap();
        assert!(
            journal.check_begun(root, &work).unwrap_err().to_string().starts_with("a: "),
            "the old a is not the new one"
        );
        fs::remove_dir_all(root.join("g")).ok();
        assert_eq!(read(root).get("a"), old.get("a"));
    }

    #[test]
    fn a_journal_with_paths_of_elsewhere_is_refused() {
        let journal = prepare().1;
        let text = String::from_utf8(journal.render().unwrap()).unwrap();
        for (from, to) in
            [("- a\n", "- ../a\n"), ("- b/c\n", "- /etc/passwd\n"), ("- b\n", "- bb\n"), ("manifest:", "other:")]
        {
            assert!(text.contains(from), "{text}");
            assert!(Journal::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
    }
}
