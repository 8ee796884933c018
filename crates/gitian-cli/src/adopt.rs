//! `gitian adopt`: a checkout of gitian-builder runs our programs, and its own again.
//!
//! git itself does the work. A filter of that checkout (`.git/info/attributes`) has every program that git writes replaced
//! by a stub of ours, and every look at a stub answered with the content that git has for it. So nothing looks changed to
//! git, and what a pull brings for a program takes its place as a stub, until the filter is removed.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_process::{Command, Failure, Streams};
use gitian_vm::Problem;

use crate::args::adopt::Args;
use crate::calls;
use crate::printable::printable;
use crate::printed::tell;
use crate::surroundings::Surroundings;

/// Before and behind what we add to a file of git's.
const BEGIN: &str = "# begin of gitian adopt";
const END: &str = "# end of gitian adopt";
/// Behind [`BEGIN`], if what stands before had no end of line.
const UNENDED: &str = ", behind a line without end";
/// The program that every checkout of gitian-builder has.
const WITNESS: &str = "bin/gbuild";
/// The program that every checkout of ours has besides.
const OURS: &str = "libexec/launch";

/// Runs `gitian adopt`. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    let shown = printable(&args.checkout.display().to_string());
    let checkout = Checkout::open(&around.workdir.join(&args.checkout), &shown)?;
    if args.undo {
        let (count, of_user) = checkout.undo()?;
        writeln!(out, "{shown}: {count} programs are its own again")?;
        for path in of_user {
            tell(&format!("gitian: warning: {shown}/{path} stays as it is: somebody changed it"));
        }
        return Ok(0);
    }
    let count = checkout.adopt(around)?;
    writeln!(out, "{shown}: {count} programs are gitian's now; gitian adopt --undo {shown} brings its own back")?;
    tell("hint: base images of gitian-builder are not used: make new ones with its bin/make-base-vm");
    Ok(0)
}

/// A checkout of gitian-builder.
struct Checkout<'a> {
    root: PathBuf,
    /// Where git keeps what is of this checkout only.
    git_dir: PathBuf,
    /// Where git keeps what it shares with other checkouts of the same repository; for most the same place.
    common: PathBuf,
    shown: &'a str,
}

/// A program of ours that has, or gets, a place in the checkout.
struct Place {
    /// From the checkout's top: `bin/gbuild`.
    path: String,
    /// Its mode in git; none if git does not know it.
    mode: Option<u32>,
    /// The name of its content in git; empty if git does not know it.
    blob: String,
}

impl<'a> Checkout<'a> {
    fn open(root: &Path, shown: &'a str) -> Result<Self> {
        let none = || Problem {
            what: format!("{shown} is not a git checkout of gitian-builder"),
            mend: "name the folder that holds its bin/gbuild and its .git".into(),
        };
        let asked = ["--path-format=absolute", "--show-toplevel", "--git-dir", "--git-common-dir"];
        let top = git(root).arg("rev-parse").args(asked).text();
        let top = match top {
            Ok(top) => top,
            Err(Failure::ProgramNotFound { program }) => return Err(Failure::ProgramNotFound { program }.into()),
            Err(Failure::Interrupted) => return Err(Failure::Interrupted.into()),
            Err(_) => return Err(none().into()),
        };
        let &[top, git_dir, common] = top.lines().collect::<Vec<_>>().as_slice() else { return Err(none().into()) };
        let root = root.canonicalize().with_context(|| shown.to_owned())?;
        if Path::new(top) != root || !root.join(WITNESS).exists() {
            return Err(none().into());
        }
        if root.join(OURS).exists() {
            let what = format!("{shown} is a checkout of these programs, not of gitian-builder");
            return Err(Problem { what, mend: "use it as it is: bin/gbuild and the others are there".into() }.into());
        }
        Ok(Self { root, git_dir: git_dir.into(), common: common.into(), shown })
    }

    fn git(&self) -> Command {
        git(&self.root)
    }

    /// Where our stub is kept; it is there while the checkout is adopted.
    fn stub(&self) -> PathBuf {
        self.git_dir.join("gitian/stub")
    }

    /// Where the stub of an earlier adopt is kept until all of its places have the new one.
    fn stub_before(&self) -> PathBuf {
        self.git_dir.join("gitian/stub-before")
    }

    fn attributes(&self) -> PathBuf {
        self.common.join("info/attributes")
    }

    fn exclude(&self) -> PathBuf {
        self.common.join("info/exclude")
    }

    /// Whether another checkout of the same repository needs what git shares between them.
    fn another_is_adopted(&self) -> Result<bool> {
        let linked = match fs::read_dir(self.common.join("worktrees")) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            entries => entries?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?,
        };
        let mut all = linked.into_iter().chain([self.common.clone()]);
        Ok(all.any(|git_dir| git_dir != self.git_dir && git_dir.join("gitian/stub").exists()))
    }

    /// The places of our programs.
    fn places(&self) -> Result<Vec<Place>> {
        let listed = self.git().args(["ls-files", "--stage", "--", "bin", "libexec"]).text()?;
        let known = |path: &str| {
            let line = listed.lines().find(|line| line.split('\t').nth(1) == Some(path))?;
            let mut words = line.split(' ');
            Some((u32::from_str_radix(words.next()?, 8).ok()?, words.next()?.to_owned()))
        };
        let place = |path: String| {
            let (mode, blob) = known(&path).unzip();
            Place { path, mode, blob: blob.unwrap_or_default() }
        };
        Ok(calls::in_checkout().map(place).collect())
    }

    /// The places with a file that is neither a stub of ours nor what git has for it: somebody's own.
    fn own_of_user<'p>(&self, places: &'p [Place]) -> Result<Vec<&'p Place>> {
        let stubs: Vec<_> =
            [self.stub(), self.stub_before()].into_iter().filter_map(|stub| fs::read(stub).ok()).collect();
        let mut own = Vec::new();
        for place in places {
            let path = self.root.join(&place.path);
            let Ok(meta) = path.symlink_metadata() else { continue };
            let is_stub = || gitian_manifest::read_file(&path, 1 << 20).is_ok_and(|bytes| stubs.contains(&bytes));
            if meta.is_file() && is_stub() {
                continue;
            }
            if meta.is_file() && place.mode.is_some() {
                let blob = self.git().args(["hash-object", "--no-filters", "--", &place.path]).text();
                if blob.with_context(|| self.shown.to_owned())? == place.blob {
                    continue;
                }
            }
            own.push(place);
        }
        Ok(own)
    }

    /// Puts our programs into their places. Returns how many.
    fn adopt(&self, around: &Surroundings) -> Result<usize> {
        let places = self.places()?;
        let tracked: Vec<&str> = places.iter().filter(|place| place.mode.is_some()).map(|place| &*place.path).collect();
        match self.stub().exists() {
            false => self.refuse_changes(&tracked, &places)?,
            // git itself takes whatever lies there for unchanged now.
            true => {
                if let Some(place) = self.own_of_user(&places)?.first() {
                    let (shown, path) = (Command::new(self.shown), &place.path);
                    return Err(Problem {
                        what: format!("{}/{path} is not as gitian-builder has it", self.shown),
                        mend: format!("mv {shown}/{path} {shown}/{path}.mine    puts it aside"),
                    }
                    .into());
                }
            }
        }
        let stub = stub(around)?;
        let context = || self.shown.to_owned();
        fs::create_dir_all(self.git_dir.join("gitian")).with_context(context)?;
        if fs::read(self.stub()).is_ok_and(|before| before != stub.as_bytes()) && !self.stub_before().exists() {
            fs::rename(self.stub(), self.stub_before()).with_context(context)?;
        }
        // The stub first: it says that there is something to undo.
        gitian_manifest::write_atomically(&self.stub(), stub.as_bytes()).with_context(context)?;
        for (key, value) in [
            // What git has for the path, whatever lies there. Other checkouts of the repository have the filter too.
            (
                "filter.gitian.clean",
                "if [ -e \"$(git rev-parse --git-path gitian/stub)\" ]; then cat >/dev/null; git cat-file blob :%f; else cat; fi",
            ),
            (
                "filter.gitian.smudge",
                "stub=$(git rev-parse --git-path gitian/stub); if [ -e \"$stub\" ]; then cat >/dev/null; cat \"$stub\"; else cat; fi",
            ),
        ] {
            self.git().args(["config", "--local", key, value]).run_ok(Streams::default()).with_context(context)?;
        }
        let lines = |places: &mut dyn Iterator<Item = &Place>, behind: &str| -> Vec<String> {
            places.map(|place| format!("/{}{behind}", place.path)).collect()
        };
        let filtered = lines(&mut places.iter().filter(|place| place.mode.is_some()), " filter=gitian");
        set_block(&self.attributes(), &filtered).with_context(context)?;
        let new = lines(&mut places.iter().filter(|place| place.mode.is_none()), "");
        set_block(&self.exclude(), &new).with_context(context)?;
        for place in &places {
            let path = self.root.join(&place.path);
            let written = || -> std::io::Result<()> {
                fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
                gitian_manifest::write_atomically(&path, stub.as_bytes())?;
                let executable = place.mode.is_none_or(|mode| mode & 0o100 != 0);
                let mode = fs::metadata(&path)?.permissions().mode();
                // As git does it: whoever may read may run.
                let mode = if executable { mode | (mode & 0o444) >> 2 } else { mode };
                fs::set_permissions(&path, Permissions::from_mode(mode))
            };
            written().with_context(|| format!("{}/{}", self.shown, place.path))?;
        }
        self.refresh(&tracked)?;
        match fs::remove_file(self.stub_before()) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(cause).with_context(context),
            _ => Ok(places.len()),
        }
    }

    /// A program with changes of the user's own is not touched.
    fn refuse_changes(&self, tracked: &[&str], places: &[Place]) -> Result<()> {
        let status = ["status", "--porcelain", "-z", "--no-renames", "--"];
        let changed = self.git().args(status).args(tracked).text()?;
        let other = places.iter().find(|place| match place.mode {
            // A link, or a file that git does not know.
            Some(mode) => mode & 0o170000 != 0o100000,
            None => self.root.join(&place.path).symlink_metadata().is_ok(),
        });
        let first = changed.split('\0').find_map(|entry| entry.get(3..)).map(str::to_owned);
        match first.or_else(|| other.map(|place| place.path.clone())) {
            None => Ok(()),
            Some(path) => {
                let git = Command::new("git").arg("-C").arg(self.shown);
                // As a path: by its name a program is meant in a hint.
                let own = format!("./{path}");
                let put_aside = match self.root.join(&path).is_symlink() {
                    // What git puts aside of a link leaves a file that is not to be run.
                    true => {
                        Command::new("rm").arg(format!("{}/{path}", self.shown)).to_string()
                            + &format!("; {}    removes the link", git.clone().args(["checkout", "--", &own]))
                    }
                    false => format!("{}    puts it aside", git.clone().args(["stash", "-u", "--", &own])),
                };
                Err(Problem {
                    what: format!("{}/{path} is not as gitian-builder has it", self.shown),
                    mend: format!("{}; {put_aside}", git.arg("status")),
                }
                .into())
            }
        }
    }

    /// Has git look at files again that lie there with another size and time.
    fn refresh(&self, paths: &[&str]) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let add = self.git().args(["update-index", "--"]).args(paths);
        add.run_ok(Streams::default()).map(drop).with_context(|| self.shown.to_owned())
    }

    /// Brings the checkout's own programs back. Returns how many there are, and those files that stay as the user made them.
    fn undo(&self) -> Result<(usize, Vec<String>)> {
        if !self.stub().exists() {
            return Err(Problem {
                what: format!("{} is not adopted", self.shown),
                mend: format!("gitian adopt {}", Command::new(self.shown)),
            }
            .into());
        }
        let context = || self.shown.to_owned();
        let places = self.places()?;
        let of_user = self.own_of_user(&places)?;
        let is_shared = self.another_is_adopted()?;
        if !is_shared {
            set_block(&self.attributes(), &[]).with_context(context)?;
            let removed =
                self.git().args(["config", "--local", "--remove-section", "filter.gitian"]).run(Streams::default());
            // Exit status 128: an undo that was broken off had come so far.
            removed.with_context(context)?;
        }
        let mut own = Vec::new();
        for place in places.iter().filter(|place| !of_user.iter().any(|own| own.path == place.path)) {
            match (place.mode, fs::remove_file(self.root.join(&place.path))) {
                (_, Err(cause)) if cause.kind() != std::io::ErrorKind::NotFound => {
                    return Err(cause).with_context(|| format!("{}/{}", self.shown, place.path));
                }
                (mode, _) => own.extend(mode.map(|_| &*place.path)),
            }
        }
        if !own.is_empty() {
            // Without the filter, where it has to stay for others.
            let write = self.git().args(["-c", "filter.gitian.clean=", "-c", "filter.gitian.smudge="]);
            let write = write.args(["checkout-index", "--force", "--index", "--"]).args(&own);
            write.run_ok(Streams::default()).with_context(context)?;
        }
        for place in &of_user {
            // git took the file for unchanged, and would go on doing so by its size and time.
            if let Some(mode) = place.mode {
                let entry = format!("{mode:o},{},{}", place.blob, place.path);
                let forget = self.git().args(["update-index", "--cacheinfo", &entry]);
                forget.run_ok(Streams::default()).with_context(context)?;
            }
        }
        if !is_shared {
            set_block(&self.exclude(), &[]).with_context(context)?;
        }
        fs::remove_dir_all(self.git_dir.join("gitian")).with_context(context)?;
        Ok((own.len(), of_user.into_iter().map(|place| place.path.clone()).collect()))
    }
}

fn git(folder: &Path) -> Command {
    let of_another = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"];
    let git = Command::new("git").args(["-c", "core.hooksPath=/dev/null"]).folder(folder).env("LC_ALL", "C.UTF-8");
    of_another.into_iter().fold(git, Command::without_env)
}

/// Returns the program that stands in the places of all: it calls ours of its own name, for the checkout that it lies in.
fn stub(around: &Surroundings) -> Result<String> {
    let folders = around.calls.folders_of_own();
    anyhow::ensure!(!folders.is_empty(), "the folder of the running program cannot be told");
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let folders = shell_words::join(&folders);
    Ok(format!(
        "#!/bin/sh\n\
         # Put here by `gitian adopt`; `gitian adopt --undo` brings back what was here.\n\
         here=$(dirname \"$(readlink -f \"$0\")\")\n\
         export GITIAN_BASE=\"${{GITIAN_BASE:-$(dirname \"$here\")}}\"\n\
         name=$(basename \"$0\")\n\
         for folder in {folders}; do\n\
         \x20 [ ! -x \"$folder/$name\" ] || exec \"$folder/$name\" \"$@\"\n\
         done\n\
         echo \"$name: error: it was in one of {folders}, and is gone\" >&2\n\
         echo \"hint: run gitian adopt again, or gitian adopt --undo, for $GITIAN_BASE\" >&2\n\
         exit 1\n"
    ))
}

/// Writes our lines at the end of a file of git's, in place of those that were there; without any the file is as it was.
fn set_block(path: &Path, lines: &[String]) -> std::io::Result<()> {
    let text = match fs::read_to_string(path) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
        read => Some(read?),
    };
    let (before, behind) = match text.as_deref().and_then(|text| text.split_once(BEGIN)) {
        Some((before, rest)) => {
            let before = if rest.starts_with(UNENDED) { before.strip_suffix('\n').unwrap_or(before) } else { before };
            let behind = rest.split_once(END).map_or("", |(_, behind)| behind.strip_prefix('\n').unwrap_or(behind));
            (before.to_owned(), behind.to_owned())
        }
        None => (text.clone().unwrap_or_default(), String::new()),
    };
    if lines.is_empty() && before.is_empty() && behind.is_empty() {
        // It was made for these lines.
        return match text.filter(|text| !text.is_empty()) {
            Some(_) => fs::remove_file(path),
            None => Ok(()),
        };
    }
    let block = match lines {
        [] => String::new(),
        lines => {
            let begin = if before.is_empty() || before.ends_with('\n') {
                BEGIN.to_owned()
            } else {
                format!("\n{BEGIN}{UNENDED}")
            };
            format!("{begin}\n{}\n{END}\n", lines.join("\n"))
        }
    };
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    gitian_manifest::write_atomically(path, (before + &block + &behind).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_lines_come_and_go_and_others_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("info/attributes");
        let ours = |name: &str| [format!("/bin/{name} filter=gitian")];
        set_block(&path, &[]).unwrap();
        assert!(!path.exists());
        set_block(&path, &ours("a")).unwrap();
        set_block(&path, &ours("b")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{BEGIN}\n/bin/b filter=gitian\n{END}\n"));
        set_block(&path, &[]).unwrap();
        assert!(!path.exists());
        for text in ["*.png binary\n", "# a\n\n*.x y\n", "no end"] {
            fs::write(&path, text).unwrap();
            set_block(&path, &ours("a")).unwrap();
            assert!(fs::read_to_string(&path).unwrap().starts_with(text));
            set_block(&path, &[]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
