//! What is written down about a step that was done: what it depended on, and what it left.
//!
//! A stamp is written when a step has ended, whole or not at all. It holds while everything is as it says: a run that is
//! killed leaves a step either done or to be done again.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_manifest::Digest;

/// The largest stamp that is read, in bytes.
const LIMIT: u64 = 64 << 20;
/// What stands for a value that nobody could tell.
const UNKNOWN: &str = "?";

/// What is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// What the step depended on: names, and digests of values; none for what nobody could tell.
    pub depends: Vec<(String, Option<Digest>)>,
    /// What it left: paths from the folder of the release, and what identifies their content.
    pub left: Vec<(PathBuf, Seen)>,
    /// What it left that others may write anew as it is.
    pub content: Vec<(PathBuf, Digest)>,
}

/// What tells, without reading it, that a file is still the one that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Bytes.
    size: u64,
    /// When it was written, in nanoseconds since 1970.
    written: i128,
}

impl Seen {
    /// Looks at a file.
    pub fn at(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        let written = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        Ok(Self { size: meta.size(), written })
    }

    /// Returns it as text.
    pub fn text(self) -> String {
        format!("{} {}", self.size, self.written)
    }
}

impl Stamp {
    /// Reads a stamp; what cannot be read was not written by us, so that there is none.
    pub fn read(path: &Path) -> Option<Self> {
        let text = String::from_utf8(gitian_manifest::read_file(path, LIMIT).ok()?).ok()?;
        let mut stamp = Self::default();
        for line in text.lines() {
            let mut words = line.splitn(4, ' ');
            match words.next()? {
                "depends" => {
                    let digest = words.next()?;
                    let digest = if digest == UNKNOWN { None } else { Some(digest.parse().ok()?) };
                    let name: Vec<&str> = words.collect();
                    stamp.depends.push((name.join(" "), digest));
                }
                "left" => {
                    let seen = Seen { size: words.next()?.parse().ok()?, written: words.next()?.parse().ok()? };
                    stamp.left.push((words.next()?.into(), seen));
                }
                "content" => {
                    let digest = words.next()?.parse().ok()?;
                    let path: Vec<&str> = words.collect();
                    stamp.content.push((path.join(" ").into(), digest));
                }
                _ => return None,
            }
        }
        Some(stamp)
    }

    /// Writes it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let shown = || path.display().to_string();
        let mut text = String::new();
        for (name, digest) in &self.depends {
            let digest = digest.map_or_else(|| UNKNOWN.to_owned(), |digest| digest.to_string());
            text += &format!("depends {digest} {name}\n");
        }
        for (path, seen) in &self.left {
            text += &format!("left {} {}\n", seen.text(), path.display());
        }
        for (path, digest) in &self.content {
            text += &format!("content {digest} {}\n", path.display());
        }
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).with_context(shown)?;
        gitian_manifest::write_atomically(path, text.as_bytes()).with_context(shown)
    }

    /// Whether the step left this file, and nobody changed it since.
    pub fn left_as_it_is(&self, path: &Path, root: &Path) -> bool {
        let seen = Seen::at(&root.join(path));
        self.left.iter().any(|(left, then)| left == path && seen.as_ref().is_ok_and(|now| now == then))
    }

    /// Returns what is no longer as it was written down, in words that follow on "since"; nothing if all of it is.
    pub fn outdated(&self, now: &[(String, Option<Digest>)], root: &Path) -> Option<String> {
        for (name, digest) in now {
            let then = self.depends.iter().find(|(known, _)| known == name);
            match (then, digest) {
                (None, _) => return Some(format!("{name} is new")),
                (Some((_, then)), Some(digest)) if then.as_ref() != Some(digest) => {
                    return Some(format!("{name} has changed"));
                }
                // What nobody can tell now is taken to be what it was.
                _ => {}
            }
        }
        if let Some((name, _)) = self.depends.iter().find(|(name, _)| !now.iter().any(|(known, _)| known == name)) {
            return Some(format!("{name} is gone"));
        }
        let differs = |(path, then): &&(PathBuf, Digest)| {
            let path = root.join(path);
            // git makes no links of what were files; a device would have no end.
            !path.is_file() || Digest::of_file(&path).ok().as_ref() != Some(then)
        };
        let left = self.left.iter().map(|(path, _)| path).find(|path| !self.left_as_it_is(path, root));
        left.or_else(|| self.content.iter().find(differs).map(|(path, _)| path))
            .map(|path| format!("{} is not as it was left", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_holds_until_something_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (root, path) = (folder.path(), folder.path().join("stamps/1.0/build"));
        fs::write(root.join("an output"), "x").unwrap();
        let digest = |text: &str| Some(Digest::of_bytes(text.as_bytes()));
        let depends = |one, two| vec![("the descriptor".to_owned(), digest(one)), ("the remote coin".to_owned(), two)];
        let stamp = Stamp {
            depends: depends("a", digest("b")),
            left: vec![("an output".into(), Seen::at(&root.join("an output")).unwrap())],
            content: vec![("an assertion".into(), Digest::of_bytes(b"y"))],
        };
        fs::write(root.join("an assertion"), "y").unwrap();
        stamp.write(&path).unwrap();
        assert_eq!(Stamp::read(&path).unwrap(), stamp);
        assert_eq!(stamp.outdated(&depends("a", digest("b")), root), None);
        assert_eq!(stamp.outdated(&depends("a", None), root), None, "nobody could tell");
        assert_eq!(stamp.outdated(&depends("x", None), root).unwrap(), "the descriptor has changed");
        assert_eq!(stamp.outdated(&depends("a", digest("x")), root).unwrap(), "the remote coin has changed");
        assert_eq!(stamp.outdated(&depends("a", None)[..1], root).unwrap(), "the remote coin is gone");
        // Written anew, in another place and at another time, it is the same.
        fs::write(root.join("new"), "y").unwrap();
        fs::rename(root.join("new"), root.join("an assertion")).unwrap();
        assert_eq!(stamp.outdated(&depends("a", None), root), None);
        fs::write(root.join("an assertion"), "z").unwrap();
        assert_eq!(stamp.outdated(&depends("a", None), root).unwrap(), "an assertion is not as it was left");
        fs::write(root.join("an output"), "other").unwrap();
        assert_eq!(stamp.outdated(&depends("a", None), root).unwrap(), "an output is not as it was left");
        for text in ["nonsense\n", "depends x y\n", "left 1\n", "left 1 2\n", "content x y\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(Stamp::read(&path), None, "{text}");
        }
    }

    #[test]
    fn what_could_not_be_told_when_it_was_done_is_a_change_once_it_can() {
        let stamp = Stamp { depends: vec![("r".into(), None)], ..Stamp::default() };
        let now = [("r".to_owned(), Some(Digest::of_bytes(b"x")))];
        assert_eq!(stamp.outdated(&now, Path::new(".")).unwrap(), "r has changed");
    }
}
