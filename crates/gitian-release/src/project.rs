//! `gitian.toml`: how a project is released. Its format is described in share/doc/release.md.
//!
//! The file comes with a repository, so nothing in it can name a place outside of the project's folder and of the folder
//! that a release is made in; the command line can.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use gitian_descriptor::{Commit, Finding, InputName, PackageName, RemoteDir, SignerName, Url};
use gitian_manifest::Digest;
use serde::Deserialize;
use toml::Spanned;

use crate::address::absolute;
use crate::pattern::Pattern;
use crate::place::WORK;
use crate::template::Template;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// Which version of the project: part of names of commits, folders and files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Commit>() {
            Ok(word) => Ok(Self(word.as_str().to_owned())),
            Err(refused) => Err(format!("version '{}' {}", text.escape_debug(), refused.reason)),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What `gitian.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// `descriptors-at`: the commit of the project's repository whose descriptors are built; else those that lie there.
    pub descriptors_at: Option<Template>,
    /// `binaries`: where the outputs are collected.
    pub binaries: Template,
    /// `flat`: outputs are collected by their file names, without the folders below `build/out`.
    pub flat: bool,
    /// `signer`.
    pub signer: Option<SignerName>,
    /// `backend`.
    pub backend: Option<String>,
    /// `memory`: of a guest, in MiB.
    pub memory_mib: Option<u32>,
    /// `processors`: of a guest.
    pub processors: Option<u32>,
    /// `jobs`: how many builds side by side, at most.
    pub jobs: Option<u32>,
    /// `fetch-tags`: gbuild fetches all tags of the remotes.
    pub fetch_tags: bool,
    /// `allow-sudo`.
    pub allow_sudo: bool,
    /// `[sigs]`.
    pub sigs: Sigs,
    /// `[remotes.DIR]`: how the version maps to commits.
    pub remotes: BTreeMap<String, RemoteRule>,
    /// `[inputs."NAME"]`.
    pub inputs: BTreeMap<String, InputRule>,
    /// `[descriptors.NAME]`, in the order of the file.
    pub descriptors: Vec<DescriptorRule>,
}

/// `[sigs]`: the tree of assertions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sigs {
    /// The repository that holds it.
    pub url: Option<String>,
    /// Where it lies, or is cloned to; below the folder of the release.
    pub folder: Option<PathBuf>,
}

/// `[remotes.DIR]`: what the command line of gbuild says about a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRule {
    /// What is built.
    pub commit: Option<Template>,
    /// Where it is fetched from; a path that begins with `.` is one from the folder of gitian.toml.
    pub url: Option<Url>,
}

/// `[inputs."NAME"]`: an input file that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRule {
    /// The digest of its content.
    pub sha256: Digest,
    /// Where it is to be had: http, https, file, or a path from the folder of gitian.toml; else it is put there by hand.
    pub url: Option<Template>,
}

/// `[descriptors.NAME]`: one descriptor, and what becomes of its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescriptorRule {
    /// What `--os` calls it; its working directory too.
    pub name: String,
    /// The descriptor, below the folder of gitian.toml.
    pub file: PathBuf,
    /// The release's folder in the sigs tree.
    pub release: Template,
    /// Which outputs are collected; all if nothing is said.
    pub collect: Option<Vec<Pattern>>,
    /// Inputs that another descriptor's build leaves.
    pub stages: Vec<Stage>,
    /// Memory of the guest in MiB, if not the project's.
    pub memory_mib: Option<u32>,
    /// Processors of the guest, if not the project's.
    pub processors: Option<u32>,
}

/// An input that another descriptor's build leaves: the unsigned binaries that a second stage signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name of the input.
    pub input: String,
    /// The number of the other descriptor.
    pub from: usize,
    /// Which of its outputs.
    pub output: Template,
}

/// A `gitian.toml` that cannot be used, with all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ProjectRefused {
    /// The file, as the caller named it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What is wrong, in the order of the file; at least one.
    pub findings: Vec<Finding>,
}

impl fmt::Display for ProjectRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "project {}: ", self.path.display())?;
        match self.findings.as_slice() {
            [] => f.write_str("is refused"),
            [only] => write!(f, "{only}"),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
        }
    }
}

impl Project {
    /// The name of the file.
    pub const FILE: &str = "gitian.toml";

    /// Reads the file. `shown` is how the caller names it.
    ///
    /// # Errors
    /// [`ProjectRefused`]; a file that cannot be read.
    pub fn load(path: &Path, shown: &Path) -> anyhow::Result<Self> {
        let context = || format!("project {}", shown.display());
        let bytes = gitian_manifest::read_file(path, LIMIT).with_context(context)?;
        let text = String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("is not UTF-8")).with_context(context)?;
        let whole = std::path::absolute(path).with_context(context)?;
        Ok(Self::parse_in(whole.parent(), shown, &text)?)
    }

    /// Reads the text of a file. All that is wrong is told at once, except what keeps it from being TOML.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ProjectRefused> {
        Self::parse_in(None, path, text)
    }

    /// The same for a file that lies in this folder, a whole path.
    fn parse_in(here: Option<&Path>, path: &Path, text: &str) -> Result<Self, ProjectRefused> {
        let refused = |findings| ProjectRefused { path: path.to_owned(), text: text.to_owned(), findings };
        let written: Written = toml::from_str(text).map_err(|error| {
            let message = error.message().trim_end().replace('\n', ", ");
            refused(vec![finding(text, error.span().unwrap_or(0..0), message)])
        })?;
        let mut reader = Reader { text, here, findings: Vec::new() };
        let project = reader.project(written);
        match reader.findings.is_empty() {
            true => Ok(project),
            false => {
                reader.findings.sort_by_key(|finding| finding.span.start);
                Err(refused(reader.findings))
            }
        }
    }

    /// Returns a descriptor's rule by its name.
    pub fn descriptor(&self, name: &str) -> Option<usize> {
        self.descriptors.iter().position(|rule| rule.name == name)
    }
}

/// Places a message; what it is about is cut to its first line.
fn finding(text: &str, span: Range<usize>, message: String) -> Finding {
    let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let begin = boundary(span.start);
    let start_of_line = text[..begin].rfind('\n').map_or(0, |end| end + 1);
    let line = text[..begin].matches('\n').count() + 1;
    let end_of_line = text[begin..].find('\n').map_or(text.len(), |length| begin + length);
    let end = boundary(span.end).clamp(begin, end_of_line);
    let column = text[start_of_line..begin].chars().count() + 1;
    Finding { span: begin..end, line, column, message, hint: None }
}

/// Checks what was written, and gathers what is wrong.
struct Reader<'t> {
    text: &'t str,
    /// The folder of the file, where it is known.
    here: Option<&'t Path>,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn refuse(&mut self, span: Range<usize>, message: String) {
        self.findings.push(finding(self.text, span, message));
    }

    /// Checks a text; what is wrong with it is told behind its key.
    fn checked<T>(
        &mut self,
        key: &str,
        text: &Spanned<String>,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match check(text.get_ref()) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.refuse(text.span(), format!("{key}: {reason}"));
                None
            }
        }
    }

    fn optional<T>(
        &mut self,
        key: &str,
        text: Option<Spanned<String>>,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        text.and_then(|text| self.checked(key, &text, check))
    }

    fn number(&mut self, key: &str, number: Option<Spanned<u32>>, least: u32, most: u32) -> Option<u32> {
        let number = number?;
        if (least..=most).contains(number.get_ref()) {
            return Some(*number.get_ref());
        }
        self.refuse(number.span(), format!("{key}: {} is not between {least} and {most}", number.get_ref()));
        None
    }

    fn memory(&mut self, number: Option<Spanned<u32>>) -> Option<u32> {
        self.number("memory", number, 64, 1 << 24)
    }

    fn processors(&mut self, number: Option<Spanned<u32>>) -> Option<u32> {
        self.number("processors", number, 1, 1024)
    }

    /// An address that gbuild takes; a path of the project has to be one where the project lies now.
    fn remote_url(&mut self, url: &Spanned<String>) -> Option<Url> {
        let checked = self.checked("url", url, name::<Url>)?;
        let Some(here) = self.here else { return Some(checked) };
        let whole = absolute(checked.as_str(), here);
        if let Err(refused) = name::<Url>(&whole) {
            let mut finding = finding(self.text, url.span(), format!("url: {refused}"));
            finding.hint = Some("move the project to a folder whose whole path holds nothing else".to_owned());
            self.findings.push(finding);
        }
        Some(checked)
    }

    fn project(&mut self, written: Written) -> Project {
        let binaries =
            self.optional("binaries", written.binaries, |text| beside(text).and_then(|()| Template::parse(text)));
        let sigs = written.sigs.unwrap_or_default();
        let sigs_folder = sigs.folder.clone();
        let mut project = Project {
            descriptors_at: self.optional("descriptors-at", written.descriptors_at, commit),
            binaries: binaries.unwrap_or_else(|| Template::known("binaries/{version}")),
            flat: written.flat,
            signer: self.optional("signer", written.signer, name::<SignerName>),
            backend: self.optional("backend", written.backend, |text| {
                let known = || gitian_vm::names().collect::<Vec<_>>().join(", ");
                match gitian_vm::names().any(|name| name == text) {
                    true => Ok(text.to_owned()),
                    false => Err(format!("there is no backend '{}' (there is: {})", text.escape_debug(), known())),
                }
            }),
            memory_mib: self.memory(written.memory),
            processors: self.processors(written.processors),
            jobs: self.number("jobs", written.jobs, 1, 1024),
            fetch_tags: written.fetch_tags,
            allow_sudo: written.allow_sudo,
            sigs: Sigs {
                url: self.optional("url", sigs.url, |text| plain(text).map(|()| text.to_owned())),
                folder: self.optional("folder", sigs.folder, |text| inside(text).map(|()| PathBuf::from(text))),
            },
            remotes: BTreeMap::new(),
            inputs: BTreeMap::new(),
            descriptors: Vec::new(),
        };
        for (dir, rule) in written.remotes {
            self.checked("remote", &dir, name::<RemoteDir>);
            let rule = RemoteRule {
                commit: self.optional("commit", rule.commit, commit),
                url: rule.url.and_then(|url| self.remote_url(&url)),
            };
            project.remotes.insert(dir.into_inner(), rule);
        }
        for (input, rule) in written.inputs {
            self.checked("input", &input, name::<InputName>);
            let sha256 = self
                .checked("sha256", &rule.sha256, |text| text.parse::<Digest>().map_err(|refused| refused.to_string()));
            let url = self.optional("url", rule.url, |text| plain(text).and_then(|()| Template::parse(text)));
            if let Some(sha256) = sha256 {
                project.inputs.insert(input.into_inner(), InputRule { sha256, url });
            }
        }
        let mut descriptors: Vec<_> = written.descriptors.into_iter().collect();
        descriptors.sort_by_key(|(name, _)| name.span().start);
        if descriptors.is_empty() {
            self.refuse(0..0, "there is no [descriptors.NAME], so there is nothing to build".to_owned());
        }
        let names: Vec<Spanned<String>> = descriptors.iter().map(|(name, _)| name.clone()).collect();
        if let Some((folder, path)) = sigs_folder.as_ref().zip(project.sigs.folder.as_deref()) {
            let names: Vec<&str> = names.iter().map(|name| name.get_ref().as_str()).collect();
            self.checked("folder", folder, |_| apart(path, &project.binaries, &names));
        }
        for (number, (_, rule)) in descriptors.into_iter().enumerate() {
            let rule = self.descriptor(number, &names, rule);
            project.descriptors.extend(rule);
        }
        project
    }

    fn descriptor(
        &mut self,
        number: usize,
        names: &[Spanned<String>],
        written: WrittenDescriptor,
    ) -> Option<DescriptorRule> {
        let own = &names[number];
        self.checked("descriptor", own, name::<PackageName>);
        if RESERVED.contains(&own.get_ref().as_str()) {
            self.refuse(own.span(), format!("descriptor: '{}' is a folder of a release's own", own.get_ref()));
        }
        let file = self.checked("file", &written.file, |text| beside(text).map(|()| PathBuf::from(text)));
        let release = match written.release {
            Some(text) => self.checked("release", &text, |text| one_folder(text).and_then(|()| Template::parse(text))),
            None => Some(Template::known(format!("{{version}}-{}", own.get_ref()))),
        };
        let collect = written.collect.map(|patterns| patterns.into_iter().map(Pattern::new).collect());
        let mut stages = Vec::new();
        for (input, stage) in written.inputs {
            self.checked("input", &input, name::<InputName>);
            let from = names.iter().position(|name| name.get_ref() == stage.from.get_ref());
            let output = self.checked("output", &stage.output, Template::parse);
            match from {
                None => {
                    let unknown = format!("from: there is no [descriptors.{}]", stage.from.get_ref().escape_debug());
                    self.refuse(stage.from.span(), unknown);
                }
                // What comes first in the file is built first: so there are no circles.
                Some(from) if from >= number => self.refuse(
                    stage.from.span(),
                    format!(
                        "from: [descriptors.{}] has to come before [descriptors.{}]",
                        names[from].get_ref(),
                        own.get_ref()
                    ),
                ),
                Some(from) => {
                    stages.extend(output.map(|output| Stage { input: input.into_inner(), from, output }));
                }
            }
        }
        Some(DescriptorRule {
            name: own.get_ref().clone(),
            file: file?,
            release: release?,
            collect,
            stages,
            memory_mib: self.memory(written.memory),
            processors: self.processors(written.processors),
        })
    }
}

/// Names below the work folder that are no descriptor's.
const RESERVED: [&str; 4] = ["inputs", "sigs", "stamps", "var"];

fn name<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|refused: T::Err| refused.to_string())
}

/// A commit with the version in it; what it becomes is a checked name, since a version is one.
pub(crate) fn commit(text: &str) -> Result<Template, String> {
    let template = Template::parse(text)?;
    name::<Commit>(&text.replace("{version}", "1"))?;
    Ok(template)
}

/// What a program is given as an address.
fn plain(text: &str) -> Result<(), String> {
    match text {
        "" => Err("is empty".to_owned()),
        _ if text.starts_with('-') => Err("starts with '-', which programs take for an option".to_owned()),
        _ if text.starts_with("ext::") => Err("names a program to be run".to_owned()),
        _ if text.chars().any(|c| c.is_control() || c.is_whitespace()) => Err("holds a blank".to_owned()),
        _ => Ok(()),
    }
}

/// A path that stays where it begins, apart from what is made for a release.
fn beside(text: &str) -> Result<(), String> {
    inside(text)?;
    let first = Path::new(text).components().find(|part| *part != Component::CurDir);
    match first.is_some_and(|part| part.as_os_str().eq_ignore_ascii_case(WORK)) {
        true => Err(format!("'{}' is a place of a release's own", text.escape_debug())),
        false => Ok(()),
    }
}

/// A path that stays where it begins, and out of what git keeps there: it has hooks and a configuration, which name programs.
fn inside(text: &str) -> Result<(), String> {
    let path = Path::new(text);
    if path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git")) {
        return Err(format!("'{}' is git's", text.escape_debug()));
    }
    match path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        _ if text.is_empty() => Err("is empty".to_owned()),
        true if text.chars().any(char::is_control) => Err("holds a control character".to_owned()),
        true if text.starts_with('-') => Err("starts with '-', which programs take for an option".to_owned()),
        true => Ok(()),
        false => Err(format!("'{}' leads out of the folder", text.escape_debug())),
    }
}

/// A sigs tree lies where nothing is built, kept or collected: neither in the other's folder.
fn apart(sigs: &Path, binaries: &Template, descriptors: &[&str]) -> Result<(), String> {
    let parts = |path: &Path| -> Vec<String> {
        let named = path.components().filter(|part| *part != Component::CurDir);
        named.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let (own, binaries) = (parts(sigs), parts(Path::new(&binaries.to_string())));
    let shown = sigs.display().to_string();
    let shown = shown.escape_debug();
    match own.as_slice() {
        [] => return Err(format!("'{shown}' is the folder that everything is made in")),
        [work, rest @ ..] if work.eq_ignore_ascii_case(WORK) => {
            let is_free = |name: &String| name.starts_with("sigs") && !descriptors.contains(&name.as_str());
            if !rest.first().is_some_and(is_free) {
                return Err(format!("'{shown}' is a place of a release's own (free is {WORK}/sigs)"));
            }
        }
        _ => {}
    }
    match own.iter().zip(&binaries).all(|(one, other)| one == other) {
        true => Err(format!("'{shown}' is where binaries go, or around them")),
        false => Ok(()),
    }
}

/// A folder of the sigs tree.
fn one_folder(text: &str) -> Result<(), String> {
    name::<gitian_descriptor::ReleaseName>(&text.replace("{version}", "1")).map(drop)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    descriptors_at: Option<Spanned<String>>,
    binaries: Option<Spanned<String>>,
    #[serde(default)]
    flat: bool,
    signer: Option<Spanned<String>>,
    backend: Option<Spanned<String>>,
    memory: Option<Spanned<u32>>,
    processors: Option<Spanned<u32>>,
    jobs: Option<Spanned<u32>>,
    #[serde(default)]
    fetch_tags: bool,
    #[serde(default)]
    allow_sudo: bool,
    sigs: Option<WrittenSigs>,
    #[serde(default)]
    remotes: BTreeMap<Spanned<String>, WrittenRemote>,
    #[serde(default)]
    inputs: BTreeMap<Spanned<String>, WrittenInput>,
    #[serde(default)]
    descriptors: BTreeMap<Spanned<String>, WrittenDescriptor>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenSigs {
    url: Option<Spanned<String>>,
    folder: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenRemote {
    commit: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenInput {
    sha256: Spanned<String>,
    url: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenDescriptor {
    file: Spanned<String>,
    release: Option<Spanned<String>>,
    collect: Option<Vec<String>>,
    #[serde(default)]
    inputs: BTreeMap<Spanned<String>, WrittenStage>,
    memory: Option<Spanned<u32>>,
    processors: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenStage {
    from: Spanned<String>,
    output: Spanned<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_project_says_what_is_written_in_the_order_of_the_file() {
        let text = format!(
            "descriptors-at = 'v{{version}}'\nmemory = 3000\nsigs.url = 'git@host:coin/sigs.git'\n\
             [remotes.coin]\ncommit = 'v{{version}}'\n[inputs.'sdk.tar']\nsha256 = '{DIGEST}'\n\
             [descriptors.win]\nfile = 'c/gitian-win.yml'\n\
             [descriptors.linux]\nfile = 'c/gitian-linux.yml'\ncollect = ['coin-*']\nmemory = 4000\n\
             [descriptors.win-signed]\nfile = 'c/s.yml'\nrelease = '{{version}}-w'\n\
             inputs.'unsigned.tar' = {{ from = 'win', output = 'coin-*-unsigned.tar' }}\n"
        );
        let project = Project::parse(Path::new("gitian.toml"), &text).unwrap();
        let version: Version = "1.0".parse().unwrap();
        let names: Vec<&str> = project.descriptors.iter().map(|rule| &*rule.name).collect();
        assert_eq!(names, ["win", "linux", "win-signed"]);
        let releases: Vec<String> = project.descriptors.iter().map(|rule| rule.release.of(&version)).collect();
        assert_eq!(releases, ["1.0-win", "1.0-linux", "1.0-w"]);
        assert_eq!((project.memory_mib, project.descriptors[1].memory_mib), (Some(3000), Some(4000)));
        assert_eq!((project.descriptors[2].stages[0].from, project.binaries.of(&version)), (0, "binaries/1.0".into()));
        assert_eq!(project.inputs["sdk.tar"].url, None);
        assert_eq!(project.remotes["coin"].commit.as_ref().unwrap().of(&version), "v1.0");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line_and_column() {
        let one = "[descriptors.a]\nfile = 'a.yml'\n";
        for (text, expected) in [
            ("", "line 1, column 1: there is no [descriptors.NAME]"),
            ("memory = 1\n", "line 1, column 10: memory: 1 is not between 64"),
            ("jobs = 'two'\n", "line 1, column 8: invalid type"),
            ("\ncolour = 1\n", "line 2, column 1: unknown field `colour`"),
            ("flat = true\nflat = false\n", "line 2, column 1: duplicate key"),
            ("backend = 'xen'\n", "line 1, column 11: backend: there is no backend 'xen' (there is: sandbox"),
            ("binaries = '../x'\n", "line 1, column 12: binaries: '../x' leads out of the folder"),
            ("binaries = '.git/hooks'\n", "line 1, column 12: binaries: '.git/hooks' is git's"),
            ("binaries = './x/.GIT'\n", "binaries: './x/.GIT' is git's"),
            ("binaries = './.gitian/sigs'\n", "binaries: './.gitian/sigs' is a place of a release's own"),
            ("sigs.folder = 'x/.git'\n", "folder: 'x/.git' is git's"),
            ("sigs.folder = '.gitian/a/build/sigs'\n", "folder: '.gitian/a/build/sigs' is a place of a release's own"),
            ("sigs.folder = './.Gitian/stamps'\n", "line 1, column 15: folder: './.Gitian/stamps' is a place of a"),
            ("sigs.folder = '.gitian'\n", "folder: '.gitian' is a place of a release's own (free is .gitian/sigs)"),
            ("[descriptors.sigs-b]\nfile = 'x'\n[sigs]\nfolder = '.gitian/sigs-b'\n", "'.gitian/sigs-b' is a place"),
            ("sigs.folder = '.'\n", "folder: '.' is the folder that everything is made in"),
            ("sigs.folder = 'binaries'\n", "folder: 'binaries' is where binaries go"),
            (
                "binaries = 'out'\nsigs.folder = './out/sigs'\n",
                "line 2, column 15: folder: './out/sigs' is where binaries go",
            ),
            ("[descriptors.b]\nfile = '.git/x.yml'\n", "file: '.git/x.yml' is git's"),
            ("sigs.folder = '/srv'\n", "line 1, column 15: folder: '/srv' leads out of the folder"),
            ("sigs.url = 'ext::sh'\n", "line 1, column 12: url: names a program to be run"),
            ("signer = 'a/b'\n", "line 1, column 10: signer: "),
            ("[remotes.coin]\ncommit = 'v{ver}'\n", "line 2, column 10: commit: \"v{ver}\" has braces"),
            ("[remotes.coin]\ncommit = '-v'\n", "line 2, column 10: commit: commit '-v' starts with"),
            ("[remotes.'a b']\n", "line 1, column 10: remote: dir 'a b' may hold"),
            ("[inputs.x]\nsha256 = 'abc'\n", "line 2, column 10: sha256: 'abc' is not a sha256"),
            ("[inputs.x]\n", "missing field `sha256`"),
            ("[descriptors.b]\nfile = '/x.yml'\n", "line 2, column 8: file: '/x.yml' leads out"),
            ("[descriptors.sigs]\nfile = 'x.yml'\n", "line 1, column 14: descriptor: 'sigs' is a folder"),
            (
                "[descriptors.b]\nfile = 'x'\ninputs.u = { from = 'c', output = 'u' }\n",
                "line 3, column 21: from: there is no [descriptors.c]",
            ),
            (
                "[descriptors.b]\nfile = 'x'\ninputs.u = { from = 'b', output = 'u' }\n",
                "line 3, column 21: from: [descriptors.b] has to come before [descriptors.b]",
            ),
        ] {
            let text = if text.is_empty() { text.to_owned() } else { format!("{text}{one}") };
            let refused = Project::parse(Path::new("gitian.toml"), &text).unwrap_err();
            assert!(refused.findings[0].to_string().contains(expected), "{text}: {refused}");
        }
        for good in [".gitian/sigs", ".gitian/sigs-of-coin/tree", "sigs", "binaries-sigs"] {
            let text = format!("sigs.folder = '{good}'\n{one}");
            assert!(Project::parse(Path::new("gitian.toml"), &text).is_ok(), "{good}");
        }
        let two = format!("memory = 1\njobs = 0\n{one}");
        assert_eq!(Project::parse(Path::new("gitian.toml"), &two).unwrap_err().findings.len(), 2);
    }

    #[test]
    fn an_address_of_the_project_has_to_be_one_where_the_project_lies() {
        let text = "[remotes.coin]\nurl = '../coin'\n[remotes.a]\nurl = 'https://example.org/a'\n[descriptors.a]\nfile = 'a.yml'\n";
        let parse = |here: &str| Project::parse_in(Some(Path::new(here)), Path::new("gitian.toml"), text);
        assert!(parse("/srv/space/coin").is_ok());
        let refused = parse("/srv/sp ace/coin").unwrap_err().findings;
        assert_eq!(refused.len(), 1, "{refused:?}");
        let told = refused[0].to_string();
        assert!(told.starts_with("line 2, column 7: url: url '/srv/sp ace/coin' may hold letters, digits"), "{told}");
        assert!(refused[0].hint.is_some());
    }
}
