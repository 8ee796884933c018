//! Moves what was signed to its places, all of it or nothing. Every move is known, and seen to fit, before the first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::workshop::Workshop;

/// Everything that one run will change, in order; dropped, it changes nothing and takes its workshops away.
#[derive(Default)]
pub(crate) struct Publication {
    workshops: Vec<Workshop>,
    moves: Vec<Move>,
}

/// One change.
struct Move {
    /// What comes to the place; nothing if what is there only has to go.
    from: Option<PathBuf>,
    place: PathBuf,
    /// Where what was there is kept until all is done.
    kept: PathBuf,
}

impl Publication {
    /// Takes a workshop, and what of it goes where: each a path in the workshop, or nothing, and its place.
    ///
    /// # Errors
    ///
    /// Something that cannot take its place; `by` is who left it.
    pub(crate) fn add(&mut self, workshop: Workshop, moves: Vec<(Option<PathBuf>, PathBuf)>, by: &str) -> Result<()> {
        let room = workshop.room()?;
        // From here on it is dropped in its turn.
        self.workshops.push(workshop);
        for (number, (from, place)) in moves.into_iter().enumerate() {
            if let Some(from) = &from {
                ensure!(fits(from, &place), "{}: {by} left what cannot take this place", place.display());
            }
            self.moves.push(Move { from, place, kept: room.join(number.to_string()) });
        }
        Ok(())
    }

    /// Makes all changes, or takes back those that were made.
    pub(crate) fn publish(mut self) -> Result<()> {
        for number in 0..self.moves.len() {
            if let Err(cause) = self.moves[number].make() {
                self.moves[..number].iter().rev().for_each(Move::undo);
                return Err(anyhow::Error::new(cause).context(self.moves[number].place.display().to_string()));
            }
        }
        while let Some(workshop) = self.workshops.pop() {
            workshop.keep_folders();
        }
        Ok(())
    }
}

impl Drop for Publication {
    /// The last workshop first: the folders that an earlier one made are empty only then.
    fn drop(&mut self) {
        while self.workshops.pop().is_some() {}
    }
}

impl Move {
    fn make(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.place) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
            Ok(_) => {
                // A second name, so that the place is never empty meanwhile; not every file system has them.
                let linked = fs::hard_link(&self.place, &self.kept);
                linked.or_else(|_| fs::copy(&self.place, &self.kept).map(|_| ()))?;
            }
        }
        match &self.from {
            Some(from) => fs::rename(from, &self.place),
            None if self.is_kept() => fs::remove_file(&self.place),
            None => Ok(()),
        }
    }

    fn is_kept(&self) -> bool {
        self.kept.symlink_metadata().is_ok()
    }

    fn undo(&self) {
        // Nothing more can be done if this fails too; the error that led here is the one to tell.
        match &self.from {
            _ if self.is_kept() => fs::rename(&self.kept, &self.place).ok(),
            Some(from) => fs::rename(&self.place, from).ok(),
            None => None,
        };
    }
}

/// Whether what was left can take its place: a file that of nothing or of a file, a folder that of nothing.
fn fits(made: &Path, place: &Path) -> bool {
    let is_folder = |path: &Path| fs::symlink_metadata(path).map(|there| there.is_dir());
    !matches!((is_folder(made), is_folder(place)), (Ok(true), Ok(_)) | (_, Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_that_fails_takes_back_those_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old"), "old").unwrap();
        fs::write(at("stale"), "stale").unwrap();
        let workshop = Workshop::open(&at("new/deep"), "draft", "draft", b"new").unwrap();
        let draft = workshop.draft.clone();
        let second = draft.with_file_name("second");
        fs::write(&second, "second").unwrap();
        let mut publication = Publication::default();
        let gone = draft.with_file_name("gone");
        let moves = vec![
            (None, at("stale")),
            (Some(second), at("old")),
            (Some(draft), at("fresh")),
            (Some(gone), at("nowhere")),
        ];
        publication.add(workshop, moves, "nobody").unwrap();
        assert!(publication.publish().unwrap_err().to_string().ends_with("/nowhere"));
        assert_eq!(fs::read_to_string(at("old")).unwrap(), "old");
        assert_eq!(fs::read_to_string(at("stale")).unwrap(), "stale");
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["old", "stale"]);
    }
}
