//! A first `gitian.toml`, from what a repository holds: its descriptors and the script that drives gitian-builder.
//!
//! Nothing is run and nothing is fetched. What could not be told stands in the file as a comment that says what to fill in.

mod follow;
mod options;
mod python;
mod script;
mod shell;
mod steps;
mod tokens;
mod values;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_descriptor::{Descriptor, Loaded};
use gitian_process::Command;

use crate::{Project, project};
use script::{Build, Script};
use values::is_known;
use words::Language;

/// The largest script that is read, in bytes.
const LIMIT: u64 = 1 << 20;
/// How deep below the repository's top files are looked for.
const DEPTH: usize = 4;

/// What was written, and from what.
#[derive(Debug)]
pub struct Draft {
    /// The text of `gitian.toml`.
    pub text: String,
    /// The driver script that was read, from the repository's top.
    pub script: Option<PathBuf>,
    /// How many descriptors the text builds.
    pub descriptors: usize,
    /// How many things are left to be filled in.
    pub open: usize,
    /// Calls of gbuild and gsign in the script that fit no descriptor.
    pub lost: Vec<String>,
}

/// A descriptor of a repository.
struct Found {
    path: PathBuf,
    loaded: Loaded,
}

/// Reads a repository and returns a first `gitian.toml` for it. `script` names the driver script if it is not to be looked
/// for.
///
/// # Errors
/// No descriptor is found; a folder cannot be read.
pub fn draft(repository: &Path, script: Option<&Path>) -> Result<Draft> {
    let mut files = Vec::new();
    find(repository, Path::new(""), DEPTH, &mut files).with_context(|| repository.display().to_string())?;
    files.sort();
    let descriptors: Vec<Found> = files.iter().filter_map(|path| descriptor(repository, path)).collect();
    if descriptors.is_empty() {
        anyhow::bail!(
            "{}: there is no descriptor (a .yml file with name, suites, architectures and script)",
            repository.display()
        );
    }
    let driver = match script {
        Some(path) => {
            let bytes = gitian_manifest::read_file(&repository.join(path), LIMIT);
            let bytes = bytes.with_context(|| format!("script {}", path.display()))?;
            Some((path.to_owned(), Script::read(&String::from_utf8_lossy(&bytes), language(path))?))
        }
        None => {
            let scripts = files.iter().filter_map(|path| driver(repository, path).transpose());
            scripts
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .max_by_key(|(_, script)| (script.builds.len(), script.lost.len()))
        }
    };
    let (script_path, script) = driver.map_or_else(Default::default, |(path, script)| (Some(path), script));
    let tags = tags(repository);
    let mut writer = Writer { text: String::new(), open: 0, script: &script, descriptors: &descriptors, tags };
    let count = writer.write(script_path.as_deref());
    writer.comment_out_refused();
    let lost = writer.lost();
    Ok(Draft { text: writer.text, script: script_path, descriptors: count, open: writer.open, lost })
}

/// Finds the files of a repository that may be of interest; links are not followed.
fn find(top: &Path, below: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(top.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() && depth > 0 {
            find(top, &path, depth - 1, files)?;
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn descriptor(repository: &Path, path: &Path) -> Option<Found> {
    if !["yml", "yaml"].contains(&extension(path)) {
        return None;
    }
    let loaded = Descriptor::load(&repository.join(path)).ok()?;
    (!loaded.descriptor.script.is_empty()).then(|| Found { path: path.to_owned(), loaded })
}

fn language(path: &Path) -> Language {
    if extension(path) == "py" { Language::Python } else { Language::Shell }
}

fn driver(repository: &Path, path: &Path) -> Result<Option<(PathBuf, Script)>> {
    if !["py", "sh"].contains(&extension(path)) {
        return Ok(None);
    }
    let Ok(bytes) = gitian_manifest::read_file(&repository.join(path), LIMIT) else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    if !text.contains("gbuild") {
        return Ok(None);
    }
    let script = Script::read(&text, language(path))?;
    Ok((!script.builds.is_empty() || !script.lost.is_empty()).then(|| (path.to_owned(), script)))
}

/// The tags of a repository; none where there are none, or no repository.
fn tags(repository: &Path) -> Vec<String> {
    let listed = Command::new("git").args(["tag", "--list"]).folder(repository).text().unwrap_or_default();
    listed.lines().map(str::to_owned).collect()
}

/// Writes the file.
struct Writer<'a> {
    text: String,
    open: usize,
    script: &'a Script,
    descriptors: &'a [Found],
    tags: Vec<String>,
}

/// A descriptor with what the script does with it.
struct Entry<'a> {
    name: String,
    found: &'a Found,
    build: Option<&'a Build>,
}

impl<'a> Writer<'a> {
    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    /// A comment that asks for something.
    fn ask(&mut self, line: &str) {
        self.open += 1;
        self.line(&format!("# {line}"));
    }

    /// Returns how many descriptors are built.
    fn write(&mut self, script: Option<&Path>) -> usize {
        self.line("# How `gitian release VERSION` releases this project; share/doc/release.md explains every key.");
        match script {
            Some(path) => {
                self.line(&format!("# Read from {} and the descriptors. {{version}} is the VERSION.", shown(path)))
            }
            None => self.line("# Read from the descriptors. {version} is the VERSION."),
        }
        let entries = self.entries();
        for call in self.lost() {
            self.ask(&format!("Nothing of this call is here, since it fits no descriptor: {}", printable(&call)));
        }
        for command in &self.script.not_taken {
            self.ask(&format!(
                "The script also does this, and a release by this file does not: {}",
                printable(command)
            ));
        }
        if self.script.is_cut {
            self.ask("The script's loops go on for longer than they are read: see whether all of its calls are here.");
        }
        self.line("");
        self.top(&entries);
        self.sigs();
        self.remotes(&entries);
        self.inputs(&entries);
        for entry in &entries {
            self.descriptor(entry, &entries);
        }
        self.left_out(&entries);
        entries.len()
    }

    /// Values of the script that `gitian release` would refuse become comments that say why.
    fn comment_out_refused(&mut self) {
        let Err(refused) = Project::parse(Path::new(Project::FILE), &self.text) else { return };
        let text = std::mem::take(&mut self.text);
        for (number, line) in (1..).zip(text.lines()) {
            let finding = refused.findings.iter().find(|finding| finding.line == number);
            // Without its file there is no descriptor, and without its head no table.
            let is_optional = !line.starts_with(['[', '#']) && !line.starts_with("file = ");
            match finding.filter(|_| is_optional) {
                Some(finding) => {
                    self.ask(&format!("Left out, since it cannot be used. {}", printable(&finding.message)));
                    self.line(&format!("#{line}"));
                }
                None => self.line(line),
            }
        }
    }

    /// The descriptors that are built, second stages last: those of the script, or all.
    fn entries(&self) -> Vec<Entry<'a>> {
        let mut entries: Vec<Entry<'a>> = Vec::new();
        for build in &self.script.builds {
            let found = self.descriptors.iter().find(|found| is_path_of(&build.descriptor, &found.path));
            if let Some(found) = found.filter(|found| !entries.iter().any(|entry| entry.found.path == found.path)) {
                entries.push(Entry { name: String::new(), found, build: Some(build) });
            }
        }
        if entries.is_empty() {
            entries.extend(self.descriptors.iter().map(|found| Entry { name: String::new(), found, build: None }));
        }
        let continues = |entry: &Entry<'_>| self.stage_inputs(entry).next().is_some();
        entries.sort_by_key(continues);
        let mut names = BTreeSet::new();
        for entry in &mut entries {
            entry.name = short_name(&entry.found.path);
            if !names.insert(entry.name.clone()) {
                entry.name = entry.found.loaded.descriptor.name.to_string();
            }
        }
        entries
    }

    /// The calls that fit no descriptor.
    fn lost(&self) -> Vec<String> {
        let fits = |build: &&Build| self.descriptors.iter().any(|found| is_path_of(&build.descriptor, &found.path));
        let builds = self.script.builds.iter().filter(|build| !fits(build));
        let calls = builds.flat_map(|build| std::iter::once(&build.call).chain(&build.signed));
        calls.chain(&self.script.lost).cloned().collect()
    }

    /// The inputs of a descriptor that other builds leave.
    fn stage_inputs<'e>(&'e self, entry: &'e Entry<'_>) -> impl Iterator<Item = (&'e str, &'e Build, &'e str)> {
        entry.found.loaded.descriptor.files.iter().filter_map(|file| {
            let of = |build: &'e Build| {
                let stage = build.stages.iter().find(|(_, name)| name == file.as_str());
                stage.map(|(output, _)| (file.as_str(), build, output.as_str()))
            };
            self.script.builds.iter().find_map(of)
        })
    }

    fn top(&mut self, entries: &[Entry<'_>]) {
        if let Some(commit) = &self.script.checks_out {
            self.line("# The descriptors are those of the version's commit, whatever is checked out.");
            self.line(&format!("descriptors-at = {}", quoted(commit)));
        }
        let builds: Vec<&Build> = entries.iter().filter_map(|entry| entry.build).collect();
        let [processors, memory] = self.shared(entries);
        let lines = [
            processors.map(|number| format!("processors = {number}")),
            memory.map(|number| format!("memory = {number}")),
            builds.iter().any(|build| build.fetch_tags).then(|| "fetch-tags = true".to_owned()),
            builds.iter().any(|build| build.allow_sudo).then(|| "allow-sudo = true".to_owned()),
            builds.iter().any(|build| !build.collect.is_empty()).then(|| "flat = true".to_owned()),
        ];
        if processors.or(memory).is_some() {
            self.line("# Processors and memory (MiB) of a guest.");
        }
        for line in lines.into_iter().flatten() {
            self.line(&line);
        }
        for (key, said) in unclear(entries) {
            self.ask_for_number(key, said);
        }
        self.line("# Who signs is each builder's own: git config --global gitian.signer NAME");
    }

    /// Processors and memory that all builds are given alike.
    fn shared(&self, entries: &[Entry<'_>]) -> [Option<u32>; 2] {
        let all = |of: fn(&Build) -> Option<u32>| {
            let mut numbers = entries.iter().map(|entry| entry.build.and_then(of));
            let first = numbers.next()??;
            numbers.all(|number| number == Some(first)).then_some(first)
        };
        [all(Build::processors), all(Build::memory_mib)]
    }

    fn ask_for_number(&mut self, key: &str, said: &str) {
        self.ask(&format!(
            "The script says {} for `{key}`, whatever that is then; without it, it is gbuild's own.",
            printable(said)
        ));
    }

    fn sigs(&mut self) {
        self.line("\n# The repository of assertions.");
        match &self.script.sigs {
            Some(url) if is_known(url) => self.line(&format!("[sigs]\nurl = {}", quoted(url))),
            _ => {
                self.ask(
                    "Fill in where it is, and take away the `#`; without it the tree is a plain folder, .gitian/sigs.",
                );
                self.line("#[sigs]\n#url = \"https://\"");
            }
        }
    }

    /// What the version is of each remote: as the script says, as the descriptor says, or as tags look.
    fn remotes(&mut self, entries: &[Entry<'_>]) {
        let mut commits: BTreeMap<&str, (Option<&str>, Option<&str>, bool)> = BTreeMap::new();
        for entry in entries {
            for remote in &entry.found.loaded.descriptor.remotes {
                let dir = remote.dir.as_str();
                let known = commits.entry(dir).or_insert((None, None, remote.commit.is_some()));
                let of = |pairs: &'a BTreeMap<String, String>| pairs.get(dir).map(String::as_str);
                let build = self
                    .script
                    .builds
                    .iter()
                    .find(|build| Some(&build.descriptor) == entry.build.map(|b| &b.descriptor));
                // What can be told counts more than what cannot.
                let better = |known: Option<&'a str>, said: Option<&'a str>| {
                    known.filter(|known| is_known(known)).or(said.filter(|said| is_known(said))).or(known).or(said)
                };
                known.0 = better(known.0, build.and_then(|build| of(&build.commits)));
                known.1 = better(known.1, build.and_then(|build| of(&build.urls)));
            }
        }
        for (dir, (commit, url, in_descriptor)) in commits {
            let plain = |value: &str| is_known(value) && !value.is_empty();
            let [said, said_url] = [commit, url].map(|said| said.filter(|said| !said.is_empty()).map(printable));
            let commit = commit.filter(|value| plain(value) && project::commit(value).is_ok());
            let url = url.filter(|value| plain(value));
            if said.is_none() && said_url.is_none() && in_descriptor {
                continue;
            }
            self.line(&format!("\n[remotes.{}]", key(dir)));
            match commit {
                Some(commit) => self.line(&format!("commit = {}", quoted(commit))),
                None if in_descriptor => {
                    if let Some(said) = said {
                        self.ask(&format!(
                            "The script says {said}, whatever that is then; without `commit` it is the descriptor's."
                        ));
                    }
                }
                None => {
                    let guess = self.guess();
                    match said {
                        Some(said) => self.ask(&format!(
                            "The script says {said}, whatever that is then; this is what tags usually look like."
                        )),
                        None => self
                            .ask("Which commit of it a version is was not found; this is what tags usually look like."),
                    }
                    self.line(&format!("commit = {}", quoted(guess)));
                }
            }
            match (url, said_url) {
                (Some(url), _) => self.line(&format!("url = {}", quoted(url))),
                (None, Some(said)) => self.ask(&format!(
                    "The script says it comes from {said}, whatever that is then; without `url` it is the descriptor's."
                )),
                (None, None) => {}
            }
        }
    }

    /// How a version becomes a tag, from the tags that there are.
    fn guess(&self) -> &'static str {
        let begins = |tag: &String, with: fn(char) -> bool| tag.starts_with(with);
        let plain = self.tags.iter().filter(|tag| begins(tag, |c| c.is_ascii_digit())).count();
        let with_v = self.tags.iter().filter(|tag| begins(tag, |c| c == 'v')).count();
        if plain > with_v { "{version}" } else { "v{version}" }
    }

    fn inputs(&mut self, entries: &[Entry<'_>]) {
        let mut names = BTreeSet::new();
        for entry in entries {
            let staged: Vec<&str> = self.stage_inputs(entry).map(|(name, ..)| name).collect();
            let files = entry.found.loaded.descriptor.files.iter().map(|file| file.as_str());
            names.extend(files.filter(|name| !staged.contains(name)).map(str::to_owned));
        }
        for name in names {
            let known = self.script.inputs.get(&name).cloned().unwrap_or_default();
            let url = known.url.filter(|url| is_known(url));
            self.line("");
            match known.sha256 {
                Some(sha256) => {
                    if url.is_none() {
                        self.ask(&format!(
                            "Nothing said where {name} is to be had: add its url, or put it into .gitian/inputs."
                        ));
                    }
                    self.line(&format!("[inputs.{}]\nsha256 = \"{sha256}\"", quoted(&name)));
                    if let Some(url) = url {
                        self.line(&format!("url = {}", quoted(&url)));
                    }
                }
                None => {
                    self.ask(&format!(
                        "Nothing said what is in {name}: fill in what is missing and take away the `#`. Until"
                    ));
                    self.line("# then it is taken from .gitian/inputs, whatever it is.");
                    self.line(&format!("#[inputs.{}]\n#sha256 = \"\"", quoted(&name)));
                    self.line(&format!("#url = {}", quoted(&url.unwrap_or_default())));
                }
            }
        }
    }

    fn descriptor(&mut self, entry: &Entry<'_>, entries: &[Entry<'_>]) {
        self.line(&format!("\n[descriptors.{}]\nfile = {}", key(&entry.name), quoted(&shown(&entry.found.path))));
        let said = entry.build.and_then(|build| build.release.as_ref());
        let folder = format!("{{version}}-{}, unless you add `release`.", entry.name);
        match (entry.build.and_then(Build::release), said) {
            (Some(release), _) => self.line(&format!("release = {}", quoted(release))),
            (None, Some(said)) => self.ask(&format!(
                "The script says {} for its folder in the tree of assertions, whatever that is then; here it is {folder}",
                printable(said)
            )),
            (None, None) => self.ask(&format!("Its folder in the tree of assertions is {folder}")),
        }
        for unread in entry.build.iter().flat_map(|build| &build.unread) {
            self.ask(&format!("The script says {} here too, which could not be read.", printable(unread)));
        }
        let collect = entry.build.map(|build| build.collect.clone()).unwrap_or_default();
        if !collect.is_empty() {
            let patterns: Vec<String> =
                collect.iter().map(|pattern| quoted(&starred(&pattern.replace("{version}", "*")))).collect();
            self.line(&format!("collect = [{}]", patterns.join(", ")));
        }
        for (kept, pattern) in entry.build.iter().flat_map(|build| &build.kept_out) {
            self.ask(&format!(
                "The script moves {} away before it takes {}: here that takes both along.",
                printable(kept),
                printable(pattern)
            ));
        }
        let of_all = unclear(entries);
        for (key, said) in unclear(std::slice::from_ref(entry)) {
            if !of_all.contains(&(key, said)) {
                self.ask_for_number(key, said);
            }
        }
        let of_build = [entry.build.and_then(Build::processors), entry.build.and_then(Build::memory_mib)];
        for ((key, shared), own) in ["processors", "memory"].iter().zip(self.shared(entries)).zip(of_build) {
            if let (None, Some(number)) = (shared, own) {
                self.line(&format!("{key} = {number}"));
            }
        }
        let stages: Vec<(String, String, String)> = self
            .stage_inputs(entry)
            .filter_map(|(name, of, output)| {
                let from =
                    entries.iter().find(|from| from.build.is_some_and(|build| build.descriptor == of.descriptor))?;
                Some((name.to_owned(), from.name.clone(), output.to_owned()))
            })
            .collect();
        for (name, from, output) in stages {
            let from = quoted(&from);
            self.line(&format!(
                "inputs.{} = {{ from = {from}, output = {} }}",
                quoted(&name),
                quoted(&starred(&output))
            ));
        }
    }

    fn left_out(&mut self, entries: &[Entry<'_>]) {
        for found in self.descriptors.iter().filter(|found| !entries.iter().any(|entry| entry.found.path == found.path))
        {
            self.line("\n# Not built by the script:");
            self.line(&format!(
                "#[descriptors.{}]\n#file = {}",
                key(&short_name(&found.path)),
                quoted(&shown(&found.path))
            ));
        }
    }
}

/// Processors and memory that the script says for all of some builds alike, by something else than a number.
fn unclear<'a>(entries: &[Entry<'a>]) -> Vec<(&'static str, &'a str)> {
    let said = |of: fn(&Build) -> Option<&String>| {
        let mut all = entries.iter().map(|entry| entry.build.and_then(of));
        let first = all.next()??;
        all.all(|said| said == Some(first)).then_some(first.as_str())
    };
    let both =
        [("processors", said(|build| build.processors.as_ref())), ("memory", said(|build| build.memory.as_ref()))];
    let unclear = both.into_iter().filter_map(|(key, said)| Some((key, said?)));
    unclear.filter(|(_, said)| said.parse::<u32>().is_err()).collect()
}

/// Text of a script for a comment: on one line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A pattern with a star for each variable that is not known.
fn starred(pattern: &str) -> String {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some((before, (_, after))) =
        rest.split_once("${").and_then(|(before, of)| Some((before, of.split_once('}')?)))
    {
        text = text + before + "*";
        rest = after;
    }
    text + rest
}

/// Whether a script's path, seen from somewhere else, ends with the path of a file.
fn is_path_of(written: &str, path: &Path) -> bool {
    let written = Path::new(written.trim_start_matches("./"));
    // A script may name a descriptor by a variable and its file name.
    written.ends_with(path) || path.ends_with(written) || {
        let file = |path: &Path| path.file_name().map(ToOwned::to_owned);
        file(written).is_some() && file(written) == file(path) && written.to_string_lossy().contains("${")
    }
}

/// What a descriptor is called for short: `gitian-linux.yml` is `linux`.
fn short_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.strip_prefix("gitian-").or_else(|| stem.strip_prefix("gitian_")).unwrap_or(&stem);
    name.to_owned()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A key of TOML, in quotes where it has to be.
pub(crate) fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if bare { name.to_owned() } else { quoted(name) }
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

impl Draft {
    /// Returns what `gitian release` says about the text.
    ///
    /// # Errors
    /// It cannot be used; then the text has to be mended by hand.
    pub fn check(&self) -> Result<Project> {
        Ok(Project::parse(Path::new(Project::FILE), &self.text)?)
    }
}
