//! Where a path leads, however it is spelled: what is read must not be written over, nor two outputs go to one file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// How many links of a path are followed: as many as Linux does.
const LINKS: usize = 40;

/// Where a path leads.
pub struct Place {
    /// Without links and `..`, as far as it is there.
    real: PathBuf,
    /// Device and number of the file that is there, which may have several names without any link.
    file: Option<(u64, u64)>,
}

impl Place {
    /// Looks where a path leads.
    pub fn of(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let file = path.metadata().ok().map(|there| (there.dev(), there.ino()));
        Self { real: real(&absolute, &mut { LINKS }), file }
    }

    /// Whether this is one file with another, whether that is there or not.
    pub fn is(&self, other: &Self) -> bool {
        self.real == other.real || self.file.is_some() && self.file == other.file
    }
}

/// Whether two paths lead to one file, whether that is there or not.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    Place::of(a).is(&Place::of(b))
}

/// Returns where an absolute path leads, without links and `..`. What is not there yet will be no link.
fn real(path: &Path, links: &mut usize) -> PathBuf {
    let mut place = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(place.pop()),
            component => place.push(component),
        }
        if *links > 0
            && let Ok(target) = fs::read_link(&place)
        {
            *links -= 1;
            place.pop();
            place = real(&place.join(target), links);
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_spelling_of_a_path_leads_to_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        fs::create_dir(top.join("there")).unwrap();
        symlink("there", top.join("link")).unwrap();
        symlink("link/file", top.join("dangling")).unwrap();
        symlink(top.join("dangling"), top.join("twice")).unwrap();
        symlink("round", top.join("round")).unwrap();
        for (path, expected) in [
            ("there/file", "there/file"),
            ("./there/./file", "there/file"),
            ("there/../there/file", "there/file"),
            ("new/../there/file", "there/file"),
            ("link/file", "there/file"),
            ("link/../file", "file"),
            ("dangling", "there/file"),
            ("twice", "there/file"),
            ("link/new/file", "there/new/file"),
        ] {
            assert_eq!(real(&top.join(path), &mut { LINKS }), top.join(expected), "{path}");
        }
        // It ends.
        assert_eq!(real(&top.join("round"), &mut { LINKS }), top.join("round"));
    }
}
