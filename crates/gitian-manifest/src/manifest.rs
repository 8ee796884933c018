//! Manifests: lines of digest and path, as `sha256sum` writes and checks them; read from text, written, compared.
//! How a folder becomes a manifest is known to `scan`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use crate::{Digest, OnBytes, Scan};

/// One line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The SHA-256 of the file.
    pub digest: Digest,
    /// The path below the folder that was scanned, or a bare file name.
    pub path: String,
}

/// A list of files with their digests, in the order of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The lines.
    pub entries: Vec<Entry>,
}

/// What became of a manifest's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The lines that could be read.
    pub manifest: Manifest,
    /// The lines that could not, as they are.
    pub unreadable: Vec<String>,
}

/// How two manifests differ; each list is sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Files of the first manifest only.
    pub only_here: Vec<Entry>,
    /// Files of the second manifest only.
    pub only_there: Vec<Entry>,
    /// Files of both, with different content.
    pub changed: Vec<Changed>,
}

/// A file that two manifests give different digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The path in both.
    pub path: String,
    /// Its digest in the first manifest.
    pub here: Digest,
    /// Its digest in the second manifest.
    pub there: Digest,
}

impl Difference {
    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.only_here.is_empty() && self.only_there.is_empty() && self.changed.is_empty()
    }
}

impl Manifest {
    /// Hashes every file below a folder; see [`Scan::of_folder`].
    pub fn of_folder(root: &Path, on_bytes: &OnBytes<'_>) -> Result<Scan> {
        Scan::of_folder(root, on_bytes)
    }

    /// Reads the lines of a manifest: digest, a blank, a blank or `*`, path. Lines of blanks are skipped. A line that begins with
    /// a backslash has an escaped path. Source: coreutils 9.1, sha256sum.
    pub fn parse(text: &str) -> Parsed {
        let mut parsed = Parsed::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match entry(line) {
                Some(entry) => parsed.manifest.entries.push(entry),
                None => parsed.unreadable.push(line.to_owned()),
            }
        }
        parsed
    }

    /// Writes the lines, each with its newline; empty text for an empty manifest.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(self.entries.len() * 100);
        for Entry { digest, path } in &self.entries {
            let (mark, path) = written(path);
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{mark}{digest}  {path}");
        }
        text
    }

    /// Compares with another manifest; the order of lines does not matter.
    ///
    /// A path may occur several times (the original lists a package of two suites twice): equal lines cancel out in
    /// pairs, what remains of a path in both is a change, in the order of its digests.
    pub fn difference(&self, other: &Self) -> Difference {
        let mut by_path: BTreeMap<&str, [Vec<Digest>; 2]> = BTreeMap::new();
        for (side, manifest) in [self, other].into_iter().enumerate() {
            for entry in &manifest.entries {
                by_path.entry(&entry.path).or_default()[side].push(entry.digest);
            }
        }
        let mut difference = Difference::default();
        for (path, [here, there]) in by_path {
            let (here, there) = without_common(here, there);
            let both = here.len().min(there.len());
            let changes = here.iter().zip(&there);
            difference.changed.extend(changes.map(|(&here, &there)| Changed { path: path.to_owned(), here, there }));
            let entry = |&digest: &Digest| Entry { digest, path: path.to_owned() };
            difference.only_here.extend(here[both..].iter().map(entry));
            difference.only_there.extend(there[both..].iter().map(entry));
        }
        difference
    }
}

/// Returns what each list has and the other has not, sorted.
fn without_common(mut here: Vec<Digest>, mut there: Vec<Digest>) -> (Vec<Digest>, Vec<Digest>) {
    here.sort_unstable();
    there.sort_unstable();
    let mut rest = there.into_iter().peekable();
    let mut only_there = Vec::new();
    here.retain(|digest| {
        only_there.extend(std::iter::from_fn(|| rest.next_if(|other| other < digest)));
        rest.next_if_eq(digest).is_none()
    });
    only_there.extend(rest);
    (here, only_there)
}

fn entry(line: &str) -> Option<Entry> {
    let escaped = line.strip_prefix('\\');
    let (digest, rest) = escaped.unwrap_or(line).split_at_checked(64)?;
    let path = rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *"))?;
    // One carriage return belongs to the line's end, which is gone; with another the path would not read the same again.
    let is_path = !path.is_empty() && !path.ends_with('\r') && !path.contains('\0');
    let path = if escaped.is_some() { unescaped(path)? } else { path.to_owned() };
    Some(Entry { digest: digest.parse().ok()?, path }).filter(|_| is_path)
}

/// Returns how a line with a path begins, and the path in it: as it is, if that reads the same again.
fn written(path: &str) -> (&'static str, Cow<'_, str>) {
    if path.contains('\n') || path.ends_with('\r') {
        ("\\", path.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").into())
    } else {
        ("", path.into())
    }
}

fn unescaped(path: &str) -> Option<String> {
    let mut characters = path.chars();
    let mut plain = String::with_capacity(path.len());
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            character => character,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(content: &str, path: &str) -> String {
        format!("{}  {path}\n", Digest::of_bytes(content.as_bytes()))
    }

    fn manifest(lines: &[(&str, &str)]) -> Manifest {
        let parsed = Manifest::parse(&lines.iter().map(|(content, path)| line(content, path)).collect::<String>());
        assert_eq!(parsed.unreadable, Vec::<String>::new());
        parsed.manifest
    }

    #[test]
    fn a_manifest_is_written_as_it_was_read() {
        let text = line("1", "a") + &line("2", "b/c d") + &line("1", "ä");
        let parsed = Manifest::parse(&text);
        assert_eq!((parsed.manifest.render(), parsed.unreadable), (text, vec![]));
        assert_eq!(Manifest::default().render(), "");
    }

    #[test]
    fn other_spellings_are_read_and_other_lines_are_given_back() {
        let digest = Digest::of_bytes(b"1");
        let text = format!(
            "{digest} *binary\r\n\n{digest}  last\ngit:0123 dir\n{digest} one-blank\n{digest}  \n{digest}  returns\r\r\n{digest}"
        );
        let parsed = Manifest::parse(&text);
        let paths: Vec<_> = parsed.manifest.entries.iter().map(|entry| &*entry.path).collect();
        assert_eq!(paths, ["binary", "last"]);
        assert_eq!(parsed.unreadable.len(), 5);
    }

    #[test]
    fn a_path_that_breaks_its_line_is_escaped_as_by_sha256sum() {
        for (path, escaped) in [("a\nb", "a\\nb"), ("a\r", "a\\r"), ("\\\n", "\\\\\\n")] {
            let text = format!("\\{}", line("1", escaped));
            let parsed = Manifest::parse(&text);
            assert_eq!(parsed.manifest.entries[0].path, path);
            assert_eq!(parsed.manifest.render(), text);
        }
        // As it is, where that reads the same.
        assert_eq!(Manifest::parse(&line("1", "a\\nb")).manifest.entries[0].path, "a\\nb");
        assert_eq!(Manifest::parse(&format!("\\{}", line("1", "a\\\\nb"))).manifest.render(), line("1", "a\\nb"));
        for broken in ["a\\", "a\\x", ""] {
            assert_eq!(Manifest::parse(&format!("\\{}", line("1", broken))).unreadable.len(), 1, "{broken}");
        }
    }

    #[test]
    fn a_difference_names_each_path_once_whatever_the_order_of_lines() {
        let here = manifest(&[("1", "same"), ("1", "gone"), ("1", "edited")]);
        let there = manifest(&[("2", "edited"), ("3", "new"), ("1", "same")]);
        let difference = here.difference(&there);
        assert_eq!(difference.only_here, manifest(&[("1", "gone")]).entries);
        assert_eq!(difference.only_there, manifest(&[("3", "new")]).entries);
        let [changed] = &difference.changed[..] else { panic!("{difference:?}") };
        assert_eq!((&*changed.path, changed.here), ("edited", Digest::of_bytes(b"1")));
        assert!(!difference.is_empty() && here.difference(&here).is_empty());
    }

    #[test]
    fn a_path_that_occurs_more_often_on_one_side_is_a_difference() {
        let once = manifest(&[("1", "a")]);
        let twice = manifest(&[("1", "a"), ("1", "a")]);
        assert!(twice.difference(&twice).is_empty());
        assert_eq!(twice.difference(&once).only_here, once.entries);
        assert_eq!(once.difference(&twice).only_there, once.entries);
    }
}
