//! Installing is renaming: what is there goes into `old/`, what is new comes out of `stage/`, and every step can be taken again.
//!
//! The journal is written when everything new lies ready, and removed when it is all in its place. A run that finds one goes on
//! with it; if a step cannot be taken, all are taken back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gitian_manifest::{OMap, Value};
use serde::Serialize;

use crate::destination::Installed;
use crate::package::is_plain;

/// What an installation consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Journal {
    /// What comes.
    files: Vec<String>,
    /// What goes.
    removed: Vec<String>,
    /// What is written in the end.
    pub manifest: String,
}

/// One renaming.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    /// From the destination to `old/`; whether something comes in its place.
    Keep(&'a str, bool),
    /// From `stage/` to the destination.
    Place(&'a str),
}

impl Journal {
    pub fn new(old: Option<&Installed>, new: &Installed) -> Result<Self> {
        let removed = old.into_iter().flat_map(|old| old.sums.keys()).filter(|path| !new.sums.contains_key(*path));
        Ok(Self {
            files: new.sums.keys().cloned().collect(),
            removed: removed.cloned().collect(),
            manifest: new.render()?,
        })
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
        Installed::parse(manifest.as_bytes())?;
        Ok(Self { files: list("files")?, removed: list("removed")?, manifest })
    }

    pub fn render(&self) -> Result<Vec<u8>> {
        Ok(serde_yaml::to_string(self)?.into_bytes())
    }

    /// Puts everything in its place, however much of it is there already.
    pub fn carry_out(&self, root: &Path, work: &Path) -> Result<()> {
        let places = Places { root, work };
        self.steps().try_for_each(|step| places.take(step))?;
        for path in &self.files {
            if !places.root.join(path).symlink_metadata().is_ok_and(|there| there.is_file()) {
                bail!("{path}: is not there, though it was laid out");
            }
        }
        Ok(())
    }

    /// Takes everything back.
    pub fn undo(&self, root: &Path, work: &Path) -> Result<()> {
        let places = Places { root, work };
        for path in &self.files {
            let stage = places.stage(path);
            if !is_file(&stage) && is_file(&root.join(path)) {
                rename(&root.join(path), &stage)?;
                places.remove_empty(path);
            }
        }
        for path in self.kept() {
            if is_file(&places.old(path)) {
                rename(&places.old(path), &root.join(path))?;
            }
        }
        Ok(())
    }

    /// What goes makes room for what comes: a file may become a folder.
    fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let removed = self.removed.iter().map(|path| Step::Keep(path, false));
        let replaced = self.files.iter().map(|path| Step::Keep(path, true));
        removed.chain(replaced).chain(self.files.iter().map(|path| Step::Place(path)))
    }

    fn kept(&self) -> impl Iterator<Item = &str> {
        self.removed.iter().chain(&self.files).map(String::as_str)
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
        self.check_above(path)?;
        // What is to replace it may be there already, or have never had anything to replace.
        let placed = replaced && !is_file(&self.stage(path));
        if !is_file(&from) || is_file(&to) || placed {
            return Ok(());
        }
        rename(&from, &to)?;
        self.remove_empty(path);
        Ok(())
    }

    fn place(&self, path: &str) -> Result<()> {
        let (from, to) = (self.stage(path), self.root.join(path));
        if !is_file(&from) {
            return Ok(());
        }
        self.check_above(path)?;
        if to.symlink_metadata().is_ok() {
            bail!("{path}: is in the way");
        }
        rename(&from, &to)
    }

    /// Nothing may be moved through a link.
    fn check_above(&self, path: &str) -> Result<()> {
        for (slash, _) in path.match_indices('/') {
            let above = self.root.join(&path[..slash]);
            match above.symlink_metadata() {
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

    /// Removes the folders above a path that have become empty.
    fn remove_empty(&self, path: &str) {
        for (slash, _) in path.rmatch_indices('/') {
            if fs::remove_dir(self.root.join(&path[..slash])).is_err() {
                return;
            }
        }
    }
}

/// Whether there is anything but a folder.
fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|there| !there.is_dir())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
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
        Installed { sums: tree.clone(), release: "1".into(), name: "x".into(), ..Installed::default() }
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
        let journal = Journal::new(Some(&installed(&old)), &installed(&new)).unwrap();
        let with = |tree: &Tree| tree.clone().into_iter().chain(mine.clone()).collect();
        (folder, journal, with(&old), with(&new))
    }

    #[test]
    fn an_installation_interrupted_at_any_step_is_finished_or_taken_back() {
        let steps = prepare().1.steps().count();
        assert!(steps > 10);
        for taken in 0..=steps {
            for undo in [false, true] {
                let (folder, journal, old, new) = prepare();
                let work = folder.path().join("work");
                let places = Places { root: folder.path(), work: &work };
                journal.steps().take(taken).for_each(|step| places.take(step).unwrap());
                let journal = Journal::parse(&journal.render().unwrap()).unwrap();
                if undo {
                    journal.undo(folder.path(), &work).unwrap();
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
        for obstacle in ["i", "b/users"] {
            let (folder, journal, mut old, _) = prepare();
            let work = folder.path().join("work");
            if obstacle == "i" {
                std::os::unix::fs::symlink("/tmp", folder.path().join("i")).unwrap();
            } else {
                fs::write(folder.path().join(obstacle), "user's").unwrap();
                old.insert(obstacle.into(), "user's".into());
            }
            assert!(journal.carry_out(folder.path(), &work).is_err(), "{obstacle}");
            journal.undo(folder.path(), &work).unwrap();
            fs::remove_file(folder.path().join("i")).ok();
            assert_eq!(read(folder.path()), old, "{obstacle}");
        }
    }

    #[test]
    fn a_journal_with_paths_of_elsewhere_is_refused() {
        let journal = prepare().1;
        let text = String::from_utf8(journal.render().unwrap()).unwrap();
        for (from, to) in [("- a\n", "- ../a\n"), ("- b/c\n", "- /etc/passwd\n"), ("manifest:", "other:")] {
            assert!(text.contains(from), "{text}");
            assert!(Journal::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
    }
}
