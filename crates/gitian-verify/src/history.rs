//! Everything that a sigs tree holds: releases and packages, however deep, and what lies where it should not. Only names
//! are read here; what the files say is known to [`gather`](crate::gather).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_manifest::SigsTree;

use crate::Question;
use crate::place::{Kind, kind_of};

/// How deep below the tree a signer's folder may be; `archive/<year>/<release>/<signer>` has four.
pub(crate) const DEPTH: usize = 6;

/// What a tree holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Every release and package that somebody has an assertion or signature for: by release, numbers in it compared as
    /// numbers, then by package.
    pub questions: Vec<Question>,
    /// Whose folders these are.
    pub signers: BTreeSet<String>,
    /// What lies where nobody vouches for it, by path, and why it is passed over.
    pub strays: Vec<Stray>,
}

/// A file or folder that is passed over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub reason: &'static str,
}

impl History {
    /// Reads the names in a tree. Links are not followed, hidden folders not entered.
    ///
    /// # Errors
    ///
    /// A tree that is not there or cannot be read; folders in it that cannot be read are strays.
    pub fn of(tree: &SigsTree) -> Result<Self> {
        let mut walk =
            Walk { root: &tree.root, packages: BTreeMap::new(), signers: BTreeSet::new(), strays: Vec::new() };
        let entries = tree.root.read_dir().with_context(|| tree.root.display().to_string())?;
        drop(entries);
        walk.folder(&tree.root, 0);
        let Walk { packages, signers, mut strays, .. } = walk;
        strays.sort();
        let mut releases: Vec<(String, BTreeSet<String>)> = packages.into_iter().collect();
        releases.sort_by(|(a, _), (b, _)| in_order(a, b));
        let question = |release: &String, package| Question { tree: tree.clone(), release: release.clone(), package };
        let questions = releases.into_iter().flat_map(|(release, packages)| {
            packages.into_iter().map(move |package| question(&release, package)).collect::<Vec<_>>()
        });
        Ok(Self { questions: questions.collect(), signers, strays })
    }
}

struct Walk<'a> {
    root: &'a Path,
    /// The packages of each release, a path below the root.
    packages: BTreeMap<String, BTreeSet<String>>,
    signers: BTreeSet<String>,
    strays: Vec<Stray>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        let Ok(entries) = folder.read_dir() else {
            self.stray(folder, "may not be read");
            return;
        };
        let (mut files, mut empty) = (Vec::new(), true);
        for entry in entries.flatten() {
            empty = false;
            let path = entry.path();
            let kind = entry.file_type();
            let is_folder = kind.as_ref().is_ok_and(std::fs::FileType::is_dir);
            match path.file_name().and_then(|name| name.to_str()) {
                None => self.stray(&path, "has a name that is not UTF-8"),
                Some(name) if name.starts_with('.') => {}
                // What one says of a signer's assertion is said by `gather`.
                Some(name) if kind.is_ok_and(|kind| kind.is_symlink()) && package(name).is_none() => {
                    self.stray(&path, "is a link, which is not followed");
                }
                Some(_) if is_folder && depth == DEPTH => self.stray(&path, "is too deep in the tree"),
                Some(_) if is_folder => self.folder(&path, depth + 1),
                Some(name) => {
                    if let Some((kind, package)) = package(name) {
                        files.push((path.clone(), kind, package.to_owned()));
                    }
                }
            }
        }
        if empty {
            self.stray(folder, "is empty");
        }
        if files.is_empty() {
            return;
        }
        // A signer's folder lies in a release's. What else lies in it is no reason to pass its signer over: somebody else may
        // have put it there.
        let release = folder.parent().and_then(|parent| parent.strip_prefix(self.root).ok()).and_then(Path::to_str);
        let Some(release) = release.filter(|_| depth >= 2) else {
            files.iter().for_each(|(path, ..)| self.stray(path, "lies outside of a signer's folder"));
            return;
        };
        // The assertion counts, also if it is only its signature that is there.
        let asserted: BTreeSet<&String> =
            files.iter().filter(|(_, kind, _)| *kind == Kind::Assert).map(|(.., package)| package).collect();
        for (path, kind, package) in &files {
            if *kind == Kind::Sums && asserted.contains(package) {
                self.stray(path, "is passed over, since there is an assertion of the same package beside it");
            }
        }
        self.signers.extend(folder.file_name().and_then(|name| Some(name.to_str()?.to_owned())));
        let packages = self.packages.entry(release.to_owned()).or_default();
        packages.extend(files.into_iter().map(|(.., package)| package));
    }

    fn stray(&mut self, path: &Path, reason: &'static str) {
        self.strays.push(Stray { path: path.to_owned(), reason });
    }
}

/// Returns the package that an assertion, a list or a signature of either is about, by its file name.
fn package(file: &str) -> Option<(Kind, &str)> {
    let of_signature = || {
        let (document, end) = file.rsplit_once('.')?;
        kind_of(document).filter(|(kind, _)| kind.signature_ends().contains(&end))
    };
    let (kind, package) = kind_of(file).or_else(of_signature)?;
    (!package.is_empty()).then_some((kind, package))
}

/// Compares names of releases: digits as numbers, everything else by its bytes.
pub fn in_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (number_a, number_b) = (digits(a), digits(b));
        let ordering = match (number_a, number_b) {
            (&[], _) | (_, &[]) => a.first().cmp(&b.first()),
            // Without leading zeros the longer number is the larger.
            (x, y) => (significant(x).len(), significant(x)).cmp(&(significant(y).len(), significant(y))),
        };
        if ordering != Ordering::Equal || a.is_empty() || b.is_empty() {
            return ordering;
        }
        (a, b) = (&a[number_a.len().max(1)..], &b[number_b.len().max(1)..]);
    }
}

fn digits(text: &[u8]) -> &[u8] {
    &text[..text.iter().take_while(|byte| byte.is_ascii_digit()).count()]
}

fn significant(digits: &[u8]) -> &[u8] {
    &digits[digits.iter().take_while(|digit| **digit == b'0').count()..]
}

/// Returns whether a name fits a pattern, in which `*` stands for any text and `?` for any character.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    // Where the last `*` is, and how far into the name it reaches.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match (pattern.get(at), star) {
            (Some('*'), _) => {
                star = Some((at, in_name));
                at += 1;
            }
            (Some(&wanted), _) if wanted == '?' || wanted == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            (_, Some((star_at, reach))) => {
                star = Some((star_at, reach + 1));
                (at, in_name) = (star_at + 1, reach + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn releases_are_in_the_order_of_their_numbers() {
        let sorted =
            ["0.4.0", "0.9.0", "0.10.0", "0.10.0-win", "0.10.0rc1", "0.10.3", "0.21.1", "22.0", "archive/0.3", "v1"];
        for (at, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                assert_eq!(in_order(a, b), at.cmp(&other), "{a} {b}");
            }
        }
        assert_eq!(in_order("1.08", "1.8"), Ordering::Equal);
    }

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("0.21.*", "0.21.1-linux", true),
            ("0.21.*", "0.2.1-linux", false),
            ("*-linux", "0.21.1-linux", true),
            ("*-l*x", "0.21.1-linux", true),
            ("0.?.0", "0.9.0", true),
            ("0.?.0", "0.10.0", false),
            ("a", "a", true),
            ("a", "aa", false),
            ("**a**", "bab", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        let started = std::time::Instant::now();
        assert!(!fits(&"*a".repeat(2000), &"a".repeat(1999)));
        assert!(started.elapsed().as_secs() < 5);
    }

    #[test]
    fn releases_are_found_at_any_depth_and_the_rest_is_a_stray() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            "1.0/alice/hello-build.assert",
            "1.0/bob smith/hello-build.assert",
            "1.0/bob smith/hello-build.assert.sig",
            "1.0/bob smith/hello-win-build.assert.sig",
            "1.0/hello-build.assert",
            "archive/0.9/carol/hello-build.assert",
            "README.md",
            ".git/1/2/x-build.assert",
            "hello-build.assert",
            "keys/alice.asc",
            "2.0/hello-build.assert",
            "3.0/alice/notes.txt",
            "4.0/alice/all.SHA256SUMS.sig",
            "4.0/alice/none.SHA256SUMS.txt",
            "4.0/bob/both-build.assert.sig",
            "4.0/bob/both.SHA256SUMS",
            "5.0/alice/hello-build.assert",
            "5.0/alice/6.0/mallory/hello-build.assert",
            "a/b/c/d/e/f/g/h-build.assert",
        ];
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("1.0", folder.path().join("latest")).unwrap();
        let history = History::of(&SigsTree::new(folder.path())).unwrap();
        let found: Vec<(&str, &str)> =
            history.questions.iter().map(|question| (&*question.release, &*question.package)).collect();
        let expected = [
            ("1.0", "hello"),
            ("1.0", "hello-win"),
            ("4.0", "all"),
            ("4.0", "both"),
            // Alice is a signer of 5.0, whatever somebody puts into her folder.
            ("5.0", "hello"),
            ("5.0/alice/6.0", "hello"),
            ("archive/0.9", "hello"),
        ];
        assert_eq!(found, expected);
        let strays: Vec<&str> = history
            .strays
            .iter()
            .map(|stray| stray.path.strip_prefix(folder.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            strays,
            [
                "1.0/hello-build.assert",
                "2.0/hello-build.assert",
                "4.0/bob/both.SHA256SUMS",
                "a/b/c/d/e/f/g",
                "hello-build.assert",
                "latest"
            ]
        );
        assert!(History::of(&SigsTree::new(folder.path().join("no"))).is_err());
    }
}
