//! Outputs of builds under second names: where binaries go, and as inputs of a second stage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_manifest::{Digest, Manifest, Report};
use gitian_vm::Problem;

use crate::pattern::Pattern;
use crate::stamp::Stamp;

/// The largest report that is read, in bytes.
const REPORT_LIMIT: u64 = 64 << 20;

/// Gives a file another name, in place of what may have that name; a copy where one disk's file cannot have it. Whoever
/// looks sees the old file or the new; what a killed run leaves beside it is replaced by the next.
pub(crate) fn link(from: &Path, to: &Path) -> io::Result<()> {
    let part = crate::fetch::part(to);
    let clear = || match fs::remove_file(&part) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    };
    fs::create_dir_all(to.parent().unwrap_or(Path::new(".")))?;
    clear()?;
    if fs::hard_link(from, &part).is_err() {
        fs::copy(from, &part)?;
    }
    fs::rename(&part, to)?;
    // Of two names of one file, renaming leaves both.
    clear()
}

/// Returns the one output that a pattern fits, from the folder of outputs.
pub(crate) fn the_one(folder: &Path, pattern: &Pattern, shown: &Path) -> Result<PathBuf> {
    let mut found: Vec<String> = paths(folder)
        .with_context(|| shown.display().to_string())?
        .into_iter()
        .filter(|path| pattern.fits(path))
        .collect();
    match (found.pop(), found.pop()) {
        (Some(one), None) => Ok(one.into()),
        (None, _) => Err(Problem {
            what: format!("no output in {} is called {pattern}", shown.display()),
            mend: format!("ls -R {}    shows what there is; gitian.toml names what is wanted", shown.display()),
        }
        .into()),
        (Some(one), Some(other)) => Err(Problem {
            what: format!("two outputs in {} are called {pattern}: {other} and {one}", shown.display()),
            mend: "name one of them in gitian.toml".into(),
        }
        .into()),
    }
}

/// Returns the paths of all regular files below a folder, sorted.
fn paths(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if let (true, Some(text)) = (kind.is_file(), path.to_str()) {
                found.push(text.to_owned());
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Returns the regular files below a folder, with its own name in front.
pub(crate) fn all(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let found = paths(&root.join(folder)).with_context(|| folder.display().to_string())?;
    Ok(found.into_iter().map(|path| folder.join(path)).collect())
}

/// Which outputs of a build are collected, and how.
pub(crate) struct Collection<'a> {
    /// The folder of the release.
    pub root: &'a Path,
    /// The folder of outputs, from there.
    pub out: &'a Path,
    /// The report of the build, from there.
    pub report: &'a Path,
    /// Which; all if nothing is said.
    pub patterns: Option<&'a [Pattern]>,
    /// By their file names.
    pub flat: bool,
    /// Where to, from there.
    pub to: &'a Path,
    /// What an earlier run of the same step left.
    pub before: Option<&'a Stamp>,
}

impl Collection<'_> {
    /// Gives the outputs their second names and returns these. Only what the report records is collected, and nothing is
    /// replaced but what an earlier build of the same descriptor left: two that leave different files of one name do not
    /// agree.
    pub fn collect(&self) -> Result<Vec<PathBuf>> {
        let shown = || self.report.display().to_string();
        let bytes = gitian_manifest::read_file(&self.root.join(self.report), REPORT_LIMIT).with_context(shown)?;
        let report = Report::read(&bytes).with_context(shown)?;
        let outputs = Manifest::parse(&report.out_manifest).manifest.entries;
        let mut collected = Vec::new();
        let mut unused: Vec<&Pattern> = self.patterns.unwrap_or_default().iter().collect();
        for entry in outputs {
            let path = &entry.path;
            unused.retain(|pattern| !pattern.fits(path));
            if !self.patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.fits(path))) {
                continue;
            }
            let from = self.out.join(path);
            let name = if self.flat { path.rsplit('/').next().unwrap_or(path) } else { path };
            let to = self.to.join(name);
            self.one(&from, &to, &entry.digest)?;
            collected.push(to);
        }
        if let Some(pattern) = unused.first() {
            return Err(Problem {
                what: format!("no output in {} is called {pattern}", self.out.display()),
                mend: format!("ls -R {}    shows what there is; gitian.toml names what is wanted", self.out.display()),
            }
            .into());
        }
        for (path, _) in self.before.map(|stamp| &*stamp.left).unwrap_or_default() {
            // Elsewhere it was collected for somebody who wanted it there.
            if path.starts_with(self.to) && !collected.contains(path) && self.is_ours(path) {
                fs::remove_file(self.root.join(path)).with_context(|| path.display().to_string())?;
            }
        }
        Ok(collected)
    }

    fn is_ours(&self, path: &Path) -> bool {
        self.before.is_some_and(|stamp| stamp.left_as_it_is(path, self.root))
    }

    fn one(&self, from: &Path, to: &Path, recorded: &Digest) -> Result<()> {
        let digest = |path: &Path| Digest::of_file(&self.root.join(path)).with_context(|| path.display().to_string());
        let found = digest(from)?;
        if found != *recorded {
            return Err(Problem {
                what: format!("{} has changed since it was built", from.display()),
                mend: "gitian release --step build,collect --again …".into(),
            }
            .into());
        }
        if self.root.join(to).exists() {
            if digest(to)? == found {
                return Ok(());
            }
            if self.is_ours(to) {
                return link(&self.root.join(from), &self.root.join(to)).with_context(|| to.display().to_string());
            }
            return Err(Problem {
                what: format!("{} is there already and differs from {}", to.display(), from.display()),
                mend: format!(
                    "diffoscope {0} {1}    tells how; rm {0}    if it is of an earlier build",
                    to.display(),
                    from.display()
                ),
            }
            .into());
        }
        link(&self.root.join(from), &self.root.join(to)).with_context(|| to.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_name_takes_the_place_of_what_was_there_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("new"), "new").unwrap();
        for before in ["nothing", "another file", "the same file", "what a killed run left"] {
            match before {
                "another file" => fs::write(at("to"), "old").unwrap(),
                "what a killed run left" => fs::write(at(".to.part"), "half").unwrap(),
                _ => {}
            }
            link(&at("new"), &at("to")).unwrap();
            assert_eq!(fs::read_to_string(at("to")).unwrap(), "new", "{before}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "{before}");
            if before == "nothing" {
                fs::remove_file(at("to")).unwrap();
            }
        }
    }

    #[test]
    fn one_output_and_no_other_may_fit() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        for name in ["a-1.txt", "a-2.txt", "b.txt", "src/a-3.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let one = |pattern: &str| the_one(folder.path(), &Pattern::new(pattern), Path::new("out"));
        assert_eq!(one("b.*").unwrap(), Path::new("b.txt"));
        assert_eq!(one("src/*").unwrap(), Path::new("src/a-3.txt"));
        let two = one("a-*.txt").unwrap_err().to_string();
        assert_eq!(two, "two outputs in out are called a-*.txt: a-1.txt and a-2.txt");
        assert_eq!(one("c").unwrap_err().to_string(), "no output in out is called c");
    }

    #[test]
    fn what_was_collected_elsewhere_stays_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("out")).unwrap();
        let collect = |output: &str, to: &str, before: Option<&Stamp>| {
            fs::write(root.join("out").join(output), output).unwrap();
            let digest = Digest::of_bytes(output.as_bytes());
            let report = Report::new(format!("{digest}  {output}\n"), String::new(), Vec::new(), None, None);
            fs::write(root.join("report"), report.render()).unwrap();
            let (out, report, to) = (Path::new("out"), Path::new("report"), Path::new(to));
            let left = Collection { root, out, report, patterns: None, flat: false, to, before }.collect().unwrap();
            let seen = |path: PathBuf| (path.clone(), crate::stamp::Seen::at(&root.join(&path)).unwrap());
            Stamp { depends: Vec::new(), left: left.into_iter().map(seen).collect(), ..Stamp::default() }
        };
        let first = collect("a", "binaries", None);
        let other = collect("a", "other", Some(&first));
        assert!(root.join("binaries/a").exists() && root.join("other/a").exists());
        collect("b", "other", Some(&other));
        assert!(root.join("other/b").exists() && !root.join("other/a").exists(), "what the build no longer leaves");
    }
}
