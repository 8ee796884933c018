//! What an in manifest records: the descriptor, the input files, and the commits of git remotes.

use crate::{Entry, Manifest};

/// The parts of an in manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InManifest {
    /// The descriptor, recorded as `<package>-desc.yml`.
    pub descriptor: Option<Entry>,
    /// The input files, in their order.
    pub files: Vec<Entry>,
    /// The commits, in their order.
    pub commits: Vec<BuiltCommit>,
    /// What is none of these.
    pub unreadable: Vec<String>,
}

/// The commit of a git remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltCommit {
    /// Its id, in hexadecimal.
    pub id: String,
    /// The remote's folder in `inputs/`.
    pub dir: String,
}

impl InManifest {
    /// Reads the text. Kept: a `git:` line has no newline of its own, the next one may follow at once.
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        let mut files = String::new();
        for line in text.lines() {
            let Some(commits) = line.strip_prefix("git:") else {
                files += line;
                files.push('\n');
                continue;
            };
            for commit in commits.split("git:") {
                match commit.split_once(' ') {
                    Some((id, dir)) => {
                        parsed.commits.push(BuiltCommit { id: id.to_owned(), dir: dir.trim().to_owned() });
                    }
                    None => parsed.unreadable.push(format!("git:{commit}")),
                }
            }
        }
        let lines = Manifest::parse(&files);
        parsed.files = lines.manifest.entries;
        parsed.unreadable.extend(lines.unreadable);
        let is_descriptor = |entry: &Entry| entry.path.ends_with("-desc.yml");
        let place = parsed.files.iter().position(is_descriptor);
        parsed.descriptor = place.map(|place| parsed.files.remove(place));
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_that_run_together_are_told_apart() {
        let digest = "0".repeat(64);
        let parsed = InManifest::parse(&format!(
            "{digest}  hello-desc.yml\n{digest}  a.tar.gz\ngit:{a} hellogit:{b} other\nwhat is this\ngit:nothing",
            a = "a".repeat(40),
            b = "b".repeat(40)
        ));
        assert_eq!(parsed.descriptor.unwrap().path, "hello-desc.yml");
        assert_eq!(parsed.files.iter().map(|file| &*file.path).collect::<Vec<_>>(), ["a.tar.gz"]);
        let commits: Vec<(&str, &str)> = parsed.commits.iter().map(|commit| (&commit.id[..1], &*commit.dir)).collect();
        assert_eq!(commits, [("a", "hello"), ("b", "other")]);
        assert_eq!(parsed.unreadable, ["git:nothing", "what is this"]);
    }
}
