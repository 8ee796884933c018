//! An input file is brought from where it is to be had, and taken only with the content that is expected.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_manifest::Digest;
use gitian_process::{Command, Failure, Streams, interrupt};
use gitian_vm::Problem;

/// Returns where a file lies while it is on its way: beside its place, so that a later run goes on with it.
pub(crate) fn part(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    to.with_file_name(format!(".{name}.part"))
}

/// Returns the command that brings an address, going on behind what is there; none for what is on this host.
pub(crate) fn command(url: &str, part: &Path) -> Option<Command> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return None;
    }
    let curl = Command::new("curl")
        .args(["--fail", "--location", "--silent", "--show-error", "--proto", "=http,https"])
        // A server that sends nothing for a minute has gone.
        .args(["--speed-limit", "1", "--speed-time", "60", "--retry", "3", "--continue-at", "-", "--output"]);
    Some(curl.arg(part).args(["--", url]))
}

/// Returns the path of an address on this host.
pub(crate) fn path_of(url: &str) -> &Path {
    Path::new(url.strip_prefix("file://").unwrap_or(url))
}

/// Brings a file to its place, or finds it there; nothing else is ever in that place. One with another content stays,
/// unless it is `ours`: brought by us before, and unchanged since. That it is an input, and which, the caller says.
pub(crate) fn fetch(url: &str, sha256: &Digest, to: &Path, shown: &Path, ours: bool) -> Result<()> {
    if to.exists() {
        match check(to, sha256, shown) {
            Err(_) if ours => {}
            checked => return checked,
        }
    }
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let part = part(to);
    let goes_on = part.exists();
    let mut found = bring(url, &part, shown);
    if goes_on && !matches!(&found, Ok(found) if found == sha256) {
        // What an earlier run left may be of another file, or its writer may still have been at it.
        interrupt::check()?;
        fs::remove_file(&part).or_else(ignore_absent).with_context(|| part.display().to_string())?;
        found = bring(url, &part, shown);
    }
    let found = found?;
    if found != *sha256 {
        fs::remove_file(&part).with_context(|| part.display().to_string())?;
        return Err(Problem {
            what: format!("{url} has sha256 {found}, not {sha256}"),
            mend: format!("ask the project which is right; gitian.toml, [inputs.{:?}], has the digest", name(shown)),
        }
        .into());
    }
    fs::rename(&part, to).with_context(|| shown.display().to_string())
}

/// Insists on a file and its content.
pub(crate) fn check(file: &Path, sha256: &Digest, shown: &Path) -> Result<()> {
    expect(file, shown)?;
    let found = Digest::of_file(file).with_context(|| shown.display().to_string())?;
    if found == *sha256 {
        return Ok(());
    }
    Err(Problem {
        what: format!("{} has sha256 {found}, not {sha256}", shown.display()),
        mend: format!("rm {}    and put the right one there", Command::new(shown)),
    }
    .into())
}

/// Insists on a file.
pub(crate) fn expect(file: &Path, shown: &Path) -> Result<()> {
    if file.is_file() {
        return Ok(());
    }
    Err(Problem { what: format!("{} does not exist", shown.display()), mend: by_hand(shown) }.into())
}

/// How a file is put there by hand.
fn by_hand(shown: &Path) -> String {
    let folder = Command::new(shown.parent().unwrap_or(Path::new("."))).to_string();
    format!("mkdir -p {folder} && cp {} {folder}/", Command::new(Path::new("/path/to").join(&*name(shown))))
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn bring(url: &str, part: &Path, shown: &Path) -> Result<Digest> {
    match command(url, part) {
        Some(curl) => match curl.run_ok(Streams::default()) {
            // A file of no bytes is not written.
            Ok(_) if !part.exists() => drop(File::create(part)?),
            Ok(_) => {}
            Err(Failure::ProgramFailed { last_lines, .. }) => {
                return Err(Problem {
                    what: format!("{url}: {}", last_lines.join(": ")),
                    mend: format!("run it again; or, with the file from elsewhere: {}", by_hand(shown)),
                }
                .into());
            }
            Err(other) => return Err(other.into()),
        },
        None => {
            let copy = || -> io::Result<()> {
                let mut from = File::open(path_of(url))?;
                if !from.metadata()?.is_file() {
                    return Err(io::Error::other("is not a regular file"));
                }
                io::copy(&mut from, &mut File::create(part)?).map(drop)
            };
            copy().with_context(|| url.to_owned())?;
        }
    }
    Digest::of_file(part).with_context(|| part.display().to_string())
}

fn ignore_absent(cause: io::Error) -> io::Result<()> {
    if cause.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(cause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_brought_gives_way_to_what_is_expected_now_and_what_is_somebodys_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["old", "new"] {
            fs::write(at(name), name).unwrap();
        }
        let bring = |from: &str, content: &str, ours: bool| {
            let (url, sha256) = (at(from).display().to_string(), Digest::of_bytes(content.as_bytes()));
            let done = fetch(&url, &sha256, &at("sdk"), Path::new("sdk"), ours);
            (done.map_err(|refused| refused.to_string()), fs::read_to_string(at("sdk")).unwrap())
        };
        assert_eq!(bring("old", "old", false), (Ok(()), "old".to_owned()));
        let (refused, there) = bring("new", "new", false);
        assert!(refused.unwrap_err().starts_with("sdk has sha256 ") && there == "old");
        let (refused, there) = bring("old", "new", true);
        assert!(
            refused.unwrap_err().starts_with(&at("old").display().to_string()) && there == "old",
            "the address still has the old one"
        );
        assert_eq!(bring("new", "new", true), (Ok(()), "new".to_owned()));
        assert!(!part(&at("sdk")).exists());
    }
}
