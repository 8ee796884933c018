//! Where everything of a release lies, from the folder that it is made in.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Version;
use crate::step::Kind;

/// The folder of all that is made, apart from binaries and perhaps the sigs tree.
pub const WORK: &str = ".gitian";

/// Returns the working directory of a descriptor's build.
pub fn workdir(descriptor: &str) -> PathBuf {
    Path::new(WORK).join(descriptor)
}

/// Returns where the input files of all descriptors lie.
pub fn inputs() -> PathBuf {
    Path::new(WORK).join("inputs")
}

/// Returns where the sigs tree lies if nobody says otherwise.
pub fn sigs() -> PathBuf {
    Path::new(WORK).join("sigs")
}

/// Returns the folders that a release of these descriptors makes, fills and empties as its own, each after those above it;
/// without sigs tree and binaries, which may be somebody's.
pub fn own_folders<'n>(version: &Version, descriptors: impl IntoIterator<Item = &'n str>) -> Vec<PathBuf> {
    let work = Path::new(WORK);
    let mut folders = vec![work.to_owned(), inputs(), work.join("var"), work.join("stamps")];
    folders.push(work.join("stamps").join(version.as_str()));
    for name in descriptors {
        let workdir = workdir(name);
        folders.extend(["build", "result", "var", "cache", "inputs"].map(|folder| workdir.join(folder)));
    }
    folders
}

/// Returns the first link on the way from a folder to a path below it, and where it leads.
pub fn link_on_the_way(root: &Path, path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut way = PathBuf::new();
    path.components().find_map(|part| {
        way.push(part);
        let leads = fs::read_link(root.join(&way)).ok()?;
        Some((way.clone(), leads))
    })
}

/// Returns where it is written down that a step is done. A working directory holds one version's build at a time; what
/// is made of builds is kept by version.
pub(crate) fn stamp(kind: Kind, of: &str, version: &Version) -> PathBuf {
    let folder = Path::new(WORK).join("stamps");
    let name = if of.is_empty() { kind.name().to_owned() } else { format!("{}-{of}", kind.name()) };
    match kind {
        Kind::Base | Kind::Input | Kind::Build => folder.join(name),
        _ => folder.join(version.as_str()).join(name),
    }
}

/// Returns a path as a program finds it that runs in a descriptor's working directory.
pub(crate) fn from_workdir(path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    let path = path.strip_prefix(".").unwrap_or(path);
    match path.strip_prefix(WORK) {
        Ok(rest) => Path::new("..").join(rest),
        Err(_) => Path::new("../..").join(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_from_a_working_directory_to_where_it_led_from_the_top() {
        for (path, expected) in [
            ("contrib/x.yml", "../../contrib/x.yml"),
            ("./contrib/x.yml", "../../contrib/x.yml"),
            ("../coin/x.yml", "../../../coin/x.yml"),
            (".gitian/sigs", "../sigs"),
            ("/srv/sigs", "/srv/sigs"),
        ] {
            assert_eq!(from_workdir(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
