//! One step of a release: what it depends on, what is done, what it leaves.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use gitian_manifest::Digest;
use gitian_process::Command;
use gitian_vm::TargetId;

use crate::pattern::Pattern;

/// The kinds of steps, in the order in which they are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A base image is made.
    Base,
    /// An input file is there, with the right content.
    Input,
    /// A descriptor is built.
    Build,
    /// Its outputs are put where binaries go.
    Collect,
    /// The sigs tree is there.
    Sigs,
    /// The record of a build is signed.
    Sign,
    /// What was signed is committed.
    Commit,
    /// It is told who vouches for the release.
    Verify,
    /// The commit is sent where the sigs tree came from.
    Push,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Base,
        Self::Input,
        Self::Build,
        Self::Collect,
        Self::Sigs,
        Self::Sign,
        Self::Commit,
        Self::Verify,
        Self::Push,
    ];

    /// Returns what `--step` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Input => "input",
            Self::Build => "build",
            Self::Collect => "collect",
            Self::Sigs => "sigs",
            Self::Sign => "sign",
            Self::Commit => "commit",
            Self::Verify => "verify",
            Self::Push => "push",
        }
    }

    /// Returns the kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What kind.
    pub kind: Kind,
    /// Of what: a descriptor, an input, a base; empty where there is one only.
    pub of: String,
    /// What its outcome depends on.
    pub depends: Vec<Dependency>,
    /// What is done, in order.
    pub actions: Vec<Action>,
    /// How it can be told that it is done.
    pub done: Done,
    /// The steps whose outcome this one takes, by kind and what they are of. They are done before, and where nobody asked
    /// for them, they have to be done already: another version's may lie in its place, or nothing.
    pub needs: Vec<(Kind, String)>,
    /// It is here for those that need it; nobody asked for it.
    pub left_out: bool,
}

impl Step {
    /// A step that depends on nothing and needs nothing.
    pub(crate) fn new(kind: Kind, of: impl Into<String>, actions: Vec<Action>, done: Done) -> Self {
        Self { kind, of: of.into(), depends: Vec::new(), actions, done, needs: Vec::new(), left_out: false }
    }

    /// Whether this step takes the outcome of another.
    pub fn needs(&self, other: &Self) -> bool {
        self.needs.iter().any(|(kind, of)| *kind == other.kind && *of == other.of)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.of.is_empty() { Ok(()) } else { write!(f, " {}", self.of) }
    }
}

/// How it can be told that a step is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was done before, with the same of everything that it depends on, and what it left is there.
    Stamped {
        /// The file in which that is written down.
        stamp: PathBuf,
        /// What it leaves, apart from what its actions say themselves: files, and folders with all that is in them.
        leaves: Vec<PathBuf>,
        /// Small files that it leaves, which others may write anew as they are: git does.
        leaves_content: Vec<PathBuf>,
    },
    /// There is such a base image.
    Base(TargetId),
    /// There is such a folder.
    Folder(PathBuf),
    /// There is a clone in such a folder, and it has what the repository has that it came from.
    Clone {
        /// The folder.
        tree: PathBuf,
        /// The repository, if it has to be that one.
        url: Option<String>,
    },
    /// Files of a clone are committed as they are.
    Committed {
        /// The clone.
        tree: PathBuf,
        /// The files, from there.
        files: Vec<PathBuf>,
    },
    /// The repository that a clone came from has its commits.
    Pushed(PathBuf),
    /// It is a question, and asked every time.
    Never,
}

/// Something that the outcome of a step depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// What it is, for people: `the descriptor`.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// The value of a dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// This text.
    Text(String),
    /// The content of a file, or of the one output that a pattern fits.
    File(PathBuf, Option<Pattern>),
    /// Size and time of a file that nothing is known about.
    Stat(PathBuf),
    /// The content of a base image.
    Base(TargetId),
    /// Nobody could tell; taken to be what it was.
    Unknown,
}

/// One thing that is done. Paths are relative to the folder of the release, or absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A folder is made.
    MakeFolder(PathBuf),
    /// A file is written: one that git has at a commit.
    Write {
        /// Its content.
        bytes: Vec<u8>,
        /// Where.
        to: PathBuf,
        /// How git names it, and from where.
        source: (PathBuf, String),
    },
    /// A file gets a second name, or is copied where that cannot be.
    Link {
        /// The file.
        from: PathBuf,
        /// Its new name.
        to: PathBuf,
    },
    /// The same with the one output that a pattern fits.
    LinkOutput {
        /// The folder of outputs.
        folder: PathBuf,
        /// Which.
        pattern: Pattern,
        /// Its new name.
        to: PathBuf,
    },
    /// The base images of a target in one folder are linked into another, below the work folder.
    LinkBase {
        /// How their names begin.
        name: PathBuf,
        /// The other folder.
        to: PathBuf,
    },
    /// A file has to be there.
    Expect(PathBuf),
    /// A file has to be there, with this content.
    Check {
        /// The file.
        file: PathBuf,
        /// The digest of its content.
        sha256: Digest,
    },
    /// A file is brought, unless it is there.
    Fetch {
        /// From where: http, https, or a path.
        url: String,
        /// The digest of its content.
        sha256: Digest,
        /// Where to.
        to: PathBuf,
    },
    /// A program is run.
    Run(Program),
    /// Outputs of a build get a second name where binaries go.
    Collect {
        /// The working directory of the build.
        workdir: PathBuf,
        /// Its report.
        report: PathBuf,
        /// Which outputs; all if nothing is said.
        patterns: Option<Vec<Pattern>>,
        /// By their file names, without their folders.
        flat: bool,
        /// Where to.
        to: PathBuf,
    },
    /// A repository is cloned; into a clone comes what the repository has got since, and ours is put behind that.
    Clone {
        /// From where; a clone that is there already says it.
        url: Option<String>,
        /// Where to.
        to: PathBuf,
    },
    /// Files of a clone are committed, if they are not.
    Commit {
        /// The clone.
        tree: PathBuf,
        /// The files, from there.
        files: Vec<PathBuf>,
        /// The message.
        message: String,
    },
    /// A program that tells verdicts as JSON has to say that this signer's is good, whatever it says of others.
    Vouch {
        /// The program.
        program: Program,
        /// Who.
        signer: String,
    },
    /// The commits of a clone are sent to where it came from.
    Push {
        /// The clone.
        tree: PathBuf,
    },
}

/// A program of ours, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where it runs.
    pub folder: PathBuf,
    /// Whether it may talk to the user.
    pub asks: bool,
}

impl Program {
    /// Returns the command that runs it, called by this name, in a folder below `root`.
    pub fn command(&self, call: OsString, root: &Path) -> Command {
        Command::new(call).args(&self.args).folder(root.join(&self.folder))
    }
}

impl Action {
    /// Returns lines that do the same in a shell. `call` tells how a program of ours is called there.
    pub fn lines(&self, call: &dyn Fn(&str) -> String) -> Vec<String> {
        let word = |text: &dyn AsRef<std::ffi::OsStr>| Command::new(text.as_ref()).to_string();
        let program = |name: &str, args: &[&dyn AsRef<std::ffi::OsStr>]| {
            args.iter().fold(Command::new(name), |command, arg| command.arg(arg.as_ref())).to_string()
        };
        // What a shell shall expand is not quoted: a pattern.
        let unquoted = |pattern: &Pattern| {
            let text = pattern.to_string();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+*?".contains(c);
            if text.chars().all(plain) { text } else { word(&text) }
        };
        match self {
            Self::MakeFolder(path) => vec![program("mkdir", &[&"-p", path])],
            Self::Write { to, source: (repository, name), .. } => {
                vec![format!("{} > {}", program("git", &[&"-C", repository, &"show", name]), word(to))]
            }
            Self::Link { from, to } => vec![program("ln", &[&"-f", from, to])],
            Self::LinkOutput { folder, pattern, to } => {
                vec![format!("ln -f {}/{} {}", word(folder), unquoted(pattern), word(to))]
            }
            Self::LinkBase { name, to } => {
                vec![format!("ln -sf \"$PWD\"/{}* {}/", word(name), word(to))]
            }
            Self::Expect(path) => vec![program("test", &[&"-f", path])],
            Self::Check { file, sha256 } => vec![check_line(sha256, file)],
            Self::Fetch { url, sha256, to } => {
                let part = crate::fetch::part(to);
                let bring = crate::fetch::command(url, &part).map_or_else(
                    || program("cp", &[&crate::fetch::path_of(url), &part]),
                    |command| command.to_string(),
                );
                vec![bring, check_line(sha256, &part), program("mv", &[&part, to])]
            }
            Self::Run(Program { name, args, folder, .. }) => {
                let command = Command::new(*name).args(args).to_string();
                let arguments = command.strip_prefix(name).unwrap_or_default();
                vec![format!("(cd {} && {}{arguments})", word(folder), call(name))]
            }
            Self::Collect { workdir, patterns, flat, to, .. } => {
                let out = gitian_build::Workdir::new(workdir).out();
                let place = if to.is_absolute() { word(to) } else { format!("\"$OLDPWD\"/{}", word(to)) };
                let link = |pattern: String| match flat {
                    true => format!("ln -f -t {place} {pattern}"),
                    false => format!("cp -lf --parents -t {place} {pattern}"),
                };
                let links = match patterns {
                    Some(patterns) => patterns.iter().map(|pattern| link(unquoted(pattern))).collect(),
                    None => vec![format!("find . -type f -exec {} +", link("{}".to_owned()))],
                };
                let there = |link: String| format!("(cd {} && {link})", word(&out));
                let folder = program("mkdir", &[&"-p", to]);
                std::iter::once(folder).chain(links.into_iter().map(there)).collect()
            }
            Self::Clone { url, to } => {
                let pull = program("git", &[&"-C", to, &"pull", &"--quiet", &"--rebase", &"--autostash"]);
                match url {
                    Some(url) => {
                        let clone = program("git", &[&"clone", &"--quiet", &"--", url, to]);
                        vec![format!("if [ -e {}/.git ]; then {pull}; else {clone}; fi", word(to))]
                    }
                    None => vec![pull],
                }
            }
            // The verdict that the script printed before says it.
            Self::Vouch { .. } => Vec::new(),
            Self::Commit { tree, files, message } => {
                let tree = || Command::new("git").arg("-C").arg(tree);
                vec![
                    tree().args(["add", "--"]).args(files).to_string(),
                    tree().args(["commit", "--quiet", "-m", message, "--"]).args(files).to_string(),
                ]
            }
            Self::Push { tree } => vec![program("git", &[&"-C", tree, &"push", &"--quiet", &"origin", &"HEAD"])],
        }
    }
}

fn check_line(sha256: &Digest, file: &Path) -> String {
    format!("echo {} | sha256sum -c", Command::new(format!("{sha256}  {}", file.display())))
}
