//! What a driver script does, as far as `gitian.toml` can say it: its calls of gbuild and gsign, the files that it brings
//! and checks, where it puts outputs.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use gitian_manifest::Digest;
use gitian_process::{Failure, interrupt};

use super::options::{Argument, GBUILD, SIGNS, arguments};
use super::values::is_known;
use super::words::{Command, Language, Words};
use crate::pattern::Pattern;

/// How many of the commands that are not taken over are told.
const TOLD: usize = 100;

/// What was found in a script.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The calls of gbuild, one for each descriptor, in their order.
    pub builds: Vec<Build>,
    /// Files for `inputs/`, by name.
    pub inputs: BTreeMap<String, Input>,
    /// The repository of assertions.
    pub sigs: Option<String>,
    /// What is checked out of the project's repository before its descriptors are built.
    pub checks_out: Option<String>,
    /// Calls of gbuild and gsign that name no descriptor, or one that is not built before.
    pub lost: Vec<String>,
    /// Commands that a release may need and that cannot be said in `gitian.toml`.
    pub not_taken: Vec<String>,
    /// Whether loops or calls go on for longer than they were followed.
    pub is_cut: bool,
    /// Files that get another name in `inputs/`: from, to.
    renamed: Vec<(String, String)>,
}

/// A call of gbuild, and what follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Build {
    /// The descriptor's path, as the script has it.
    pub descriptor: String,
    /// The call's words.
    pub call: String,
    /// `--commit`: remotes and commits.
    pub commits: BTreeMap<String, String>,
    /// `--url`: remotes and addresses.
    pub urls: BTreeMap<String, String>,
    /// `-j`.
    pub processors: Option<String>,
    /// `-m`.
    pub memory: Option<String>,
    /// `--fetch-tags`.
    pub fetch_tags: bool,
    /// `--allow-sudo`.
    pub allow_sudo: bool,
    /// Values of `--commit` and `--url` that name no remote.
    pub unread: Vec<String>,
    /// `--release` of the gsign or gverify that names the same descriptor.
    pub release: Option<String>,
    /// The calls of gsign that name the same descriptor.
    pub signed: Vec<String>,
    /// Outputs that are moved to where binaries go, as patterns below `build/out`.
    pub collect: Vec<String>,
    /// Outputs that become inputs: pattern, name.
    pub stages: Vec<(String, String)>,
    /// Outputs that are moved away before a pattern takes what fits it: those, the pattern.
    pub kept_out: Vec<(String, String)>,
}

/// A file that a script brings or checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    /// From where.
    pub url: Option<String>,
    /// The digest that it is checked for.
    pub sha256: Option<Digest>,
}

impl Build {
    /// `-j`, where the script says a number.
    pub fn processors(&self) -> Option<u32> {
        self.processors.as_ref()?.parse().ok()
    }

    /// `-m`, where the script says a number.
    pub fn memory_mib(&self) -> Option<u32> {
        self.memory.as_ref()?.parse().ok()
    }

    /// `--release`, where it can be told for each version.
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref().filter(|release| is_release(release))
    }

    /// Takes over `--release`; what can be told counts more than what came before.
    fn add_release(&mut self, release: String) {
        if self.release.is_none() || self.release().is_none() && is_release(&release) {
            self.release = Some(release);
        }
    }
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// We were asked to stop.
    pub fn read(text: &str, language: Language) -> Result<Self, Failure> {
        let mut script = Self::default();
        let words = Words::read(text, language)?;
        script.is_cut = words.is_cut;
        for command in words.commands {
            interrupt::check()?;
            script.command(&command);
        }
        script.name_stages();
        Ok(script)
    }

    fn command(&mut self, words: &Command) {
        if let Some(at) = words.iter().take(2).position(|word| TAKES_OUTPUTS.contains(&word.as_str()))
            && words[at..].iter().any(|word| word.contains("build/out"))
        {
            // The last of `find … -exec … \;` ends the command for us.
            let args = words[at + 1..].strip_suffix(&["\\".to_owned()]).unwrap_or(&words[at + 1..]);
            return self.not_taken(&words[at], args);
        }
        let Some((at, program)) = words.iter().enumerate().find_map(|(at, word)| Some((at, program(word)?))) else {
            return self.digests(words);
        };
        let args = &words[at + 1..];
        match program {
            "gbuild" => self.gbuild(&words[..=at], args),
            "gsign" | "gverify" => self.signs(program, args),
            "wget" | "curl" => self.brings(args),
            "mv" | "cp" => self.moves(program, args),
            // What the sources of dependencies are fetched by, before a build without a network.
            "make" if args.iter().any(|arg| arg == "-C" || arg == "download") => self.not_taken(program, args),
            "git" => self.git(args),
            _ => self.digests(words),
        }
    }

    fn gbuild(&mut self, until: &[String], args: &[String]) {
        let mut build = Build { call: call("gbuild", args), ..Build::default() };
        // A word of a message has no folder and names no options, and what is asked of a file is asked before.
        let has_options = args.iter().any(|arg| arg.starts_with('-'));
        let is_path = until.last().is_some_and(|word| word.contains('/'));
        let goes_on_elsewhere = if args.is_empty() { until.len() == 1 } else { !args.iter().any(|arg| is_known(arg)) };
        let is_call = has_options || is_path && goes_on_elsewhere;
        for argument in arguments(args, GBUILD) {
            match argument {
                Argument::Valued("commit", value) => build.commits.extend(pairs("--commit", &value, &mut build.unread)),
                Argument::Valued("url", value) => build.urls.extend(pairs("--url", &value, &mut build.unread)),
                Argument::Valued("num-make", value) => build.processors = Some(value),
                Argument::Valued("memory", value) => build.memory = Some(value),
                Argument::Flag(flag) if flag == "--fetch-tags" => build.fetch_tags = true,
                Argument::Flag(flag) if flag == "--allow-sudo" => build.allow_sudo = true,
                Argument::Plain(path) if is_descriptor(&path) => build.descriptor = path,
                _ => {}
            }
        }
        let known = self.builds.iter().any(|known| known.descriptor == build.descriptor);
        match build.descriptor.is_empty() {
            true if is_call => self.lost.push(build.call),
            false if !known => self.builds.push(build),
            _ => {}
        }
    }

    /// The release of gsign or gverify.
    fn signs(&mut self, program: &str, args: &[String]) {
        let (mut release, mut descriptor) = (None, None);
        for argument in arguments(args, SIGNS) {
            match argument {
                Argument::Valued("release", value) => release = Some(value),
                Argument::Plain(path) if is_descriptor(&path) => descriptor = Some(path),
                _ => {}
            }
        }
        let build = descriptor.and_then(|descriptor| self.build_of(&descriptor));
        match (build, release) {
            (Some(build), release) => {
                let call = call(program, args);
                if program == "gsign" && !build.signed.contains(&call) && build.signed.len() < TOLD {
                    build.signed.push(call);
                }
                if let Some(release) = release {
                    build.add_release(release);
                }
            }
            (None, Some(_)) if program == "gsign" => self.lost.push(call(program, args)),
            _ => {}
        }
    }

    /// The build of a descriptor, which one call may name from the top of its repository and another from elsewhere.
    fn build_of(&mut self, descriptor: &str) -> Option<&mut Build> {
        let same = self.builds.iter().position(|build| build.descriptor == descriptor);
        let at = same.or_else(|| {
            let mut alike = (0..self.builds.len()).filter(|at| ends_alike(&self.builds[*at].descriptor, descriptor));
            alike.next().filter(|_| alike.next().is_none())
        })?;
        self.builds.get_mut(at)
    }

    /// `wget -O inputs/NAME URL`, `wget -P inputs URL`, `curl -o NAME URL`.
    fn brings(&mut self, args: &[String]) {
        let Some(url) = args.iter().find(|arg| arg.contains("://")) else { return };
        let named = args.iter().position(|arg| ["-O", "-o", "--output", "--output-document"].contains(&arg.as_str()));
        let file = named.and_then(|at| args.get(at + 1)).filter(|name| !name.contains("://")).unwrap_or(url);
        let Some(name) = file_name(file) else { return };
        self.inputs.entry(name.to_owned()).or_default().url.get_or_insert_with(|| url.clone());
    }

    /// `echo "DIGEST  inputs/NAME" | sha256sum -c`.
    fn digests(&mut self, words: &Command) {
        for pair in words.windows(2) {
            self.digest(&pair[0], &pair[1]);
        }
        for word in words {
            if let Some((digest, file)) = word.split_once(char::is_whitespace) {
                self.digest(digest, file.trim());
            }
        }
    }

    fn digest(&mut self, digest: &str, file: &str) {
        if let (Ok(digest), Some(name)) = (digest.parse::<Digest>(), file_name(file.trim_start_matches('*'))) {
            self.inputs.entry(name.to_owned()).or_default().sha256.get_or_insert(digest);
        }
    }

    /// Outputs that go somewhere, and inputs that get another name.
    fn moves(&mut self, program: &str, args: &[String]) {
        let paths: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
        let Some((to, from)) = paths.split_last() else { return };
        let into_inputs = to.trim_end_matches('/').ends_with("inputs") || to.contains("inputs/");
        let new_name = if to.ends_with('/') || to.ends_with("inputs") { None } else { file_name(to) };
        for from in from {
            if let Some(output) = from.split_once("build/out/").map(|(_, output)| output) {
                let Some(build) = self.builds.last_mut() else { continue };
                match into_inputs {
                    true => {
                        let name = new_name.or_else(|| file_name(output)).unwrap_or(output);
                        build.stages.push((output.to_owned(), name.to_owned()));
                    }
                    false if !build.collect.iter().any(|known| known == output) => {
                        if program == "mv" {
                            let pattern = Pattern::new(output.replace("{version}", "*"));
                            let before = build.stages.iter().map(|(before, _)| before);
                            let kept: Vec<&String> = before.filter(|before| pattern.fits(before)).collect();
                            build.kept_out.extend(kept.into_iter().map(|kept| (kept.clone(), output.to_owned())));
                        }
                        build.collect.push(output.to_owned())
                    }
                    false => {}
                }
                if !into_inputs && gets_another_name(output, to) {
                    self.not_taken(program, args);
                }
            } else if let (true, Some(name), Some(old)) = (into_inputs, new_name, file_name(from)) {
                self.renamed.push((old.to_owned(), name.to_owned()));
            }
        }
    }

    fn not_taken(&mut self, program: &str, args: &[String]) {
        let call = call(program, args);
        if !self.not_taken.contains(&call) && self.not_taken.len() < TOLD {
            self.not_taken.push(call);
        }
    }

    fn git(&mut self, args: &[String]) {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["clone", .., url] | ["clone", url, _] if is_sigs(url) => {
                self.sigs.get_or_insert_with(|| (*url).to_owned());
            }
            ["checkout", .., commit] if commit.contains("{version}") => {
                self.checks_out.get_or_insert_with(|| (*commit).to_owned());
            }
            _ => {}
        }
    }

    /// Outputs that went to `inputs/` under their own names may get others there, with the version in place of a star.
    fn name_stages(&mut self) {
        let starred = |name: &str| name.replace("{version}", "*");
        for build in &mut self.builds {
            for (_, name) in &mut build.stages {
                if let Some((_, new)) = self.renamed.iter().find(|(old, _)| starred(old) == starred(name)) {
                    *name = new.clone();
                }
            }
        }
    }
}

/// Whether a file is renamed where it goes: a folder's name has no such ending.
fn gets_another_name(from: &str, to: &str) -> bool {
    let (from, to) = (Path::new(from), Path::new(to));
    from.extension().is_some() && from.extension() == to.extension() && from.file_name() != to.file_name()
}

/// A call's words on one line.
fn call(program: &str, args: &[String]) -> String {
    std::iter::once(program).chain(args.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// The name of a program that something is known about.
fn program(word: &str) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["gbuild", "gsign", "gverify", "wget", "curl", "mv", "cp", "git", "make"];
    let name = word.rsplit('/').next().unwrap_or(word);
    KNOWN.into_iter().find(|known| *known == name)
}

/// Programs that may take outputs in ways that are not read, or go to where they are.
const TAKES_OUTPUTS: [&str; 9] = ["find", "rsync", "scp", "install", "ln", "tar", "zip", "cd", "pushd"];

/// Splits `DIR=VALUE,DIR=VALUE`; what is none goes to `unread`, behind its option.
fn pairs(option: &str, value: &str, unread: &mut Vec<String>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for pair in value.split(',').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((dir, of)) if is_known(dir) => pairs.push((dir.to_owned(), of.to_owned())),
            _ => unread.push(format!("{option} {pair}")),
        }
    }
    pairs
}

/// Whether `gitian.toml` can say a release: as a text with the version in it.
fn is_release(release: &str) -> bool {
    is_known(release) && release.contains("{version}")
}

fn is_descriptor(path: &str) -> bool {
    path.ends_with(".yml") || path.ends_with(".yaml")
}

/// Whether one of two paths ends with the other, wherever both are seen from.
fn ends_alike(one: &str, other: &str) -> bool {
    let below = |path: &str| -> PathBuf { Path::new(path).components().filter(|part| is_name(*part)).collect() };
    let (one, other) = (below(one), below(other));
    one.ends_with(&other) || other.ends_with(&one)
}

fn is_name(part: Component<'_>) -> bool {
    matches!(part, Component::Normal(_))
}

fn file_name(path: &str) -> Option<&str> {
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

/// Whether a repository is one of assertions, not of detached signatures.
fn is_sigs(url: &str) -> bool {
    let name = file_name(url.trim_end_matches('/')).unwrap_or_default();
    url.contains([':', '/']) && name.contains("sigs") && !name.contains("detached")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_files_and_moves_are_found() {
        let digest = "5a60e0a4b3e0b4d655317b2f12a810211c50242138322b16e7e01c6fbb89d92f";
        let text = format!(
            "git clone https://example.org/coin/gitian.sigs.git\ngit clone https://example.org/coin/detached-sigs.git\n\
             git checkout v${{VERSION}}\n\
             wget -O inputs/tool-2.0.tar.gz https://example.org/2.0.tar.gz\n\
             echo '{digest} inputs/tool-2.0.tar.gz' | sha256sum -c\n\
             ./bin/gbuild -j 3 -m 4000 --commit coin=v${{VERSION}} --fetch-tags ../coin/gitian-win.yml\n\
             ./bin/gsign --signer x --release ${{VERSION}}-win-unsigned --destination ../gitian.sigs/ ../coin/gitian-win.yml\n\
             mv build/out/coin-*-win-unsigned.tar.gz inputs/\n\
             mv build/out/coin-*.zip build/out/src/coin-*.tar.gz ../binaries/$VERSION\n\
             cp inputs/coin-${{VERSION}}-win-unsigned.tar.gz inputs/coin-win-unsigned.tar.gz\n\
             ./bin/gbuild -i --commit=signature=v$VERSION ../coin/gitian-win-signer.yml\n"
        );
        let script = Script::read(&text, Language::Shell).unwrap();
        assert_eq!(script.sigs.as_deref(), Some("https://example.org/coin/gitian.sigs.git"));
        assert_eq!(script.checks_out.as_deref(), Some("v{version}"));
        let tool = &script.inputs["tool-2.0.tar.gz"];
        assert_eq!(tool.url.as_deref(), Some("https://example.org/2.0.tar.gz"));
        assert_eq!(tool.sha256.unwrap().to_string(), digest);
        let [win, signer] = script.builds.as_slice() else { panic!("{:#?}", script.builds) };
        assert_eq!((win.processors.as_deref(), win.memory.as_deref(), win.fetch_tags), (Some("3"), Some("4000"), true));
        assert_eq!(win.commits["coin"], "v{version}");
        assert_eq!(win.release.as_deref(), Some("{version}-win-unsigned"));
        assert_eq!(win.collect, ["coin-*.zip", "src/coin-*.tar.gz"]);
        assert_eq!(win.stages, [("coin-*-win-unsigned.tar.gz".to_owned(), "coin-win-unsigned.tar.gz".to_owned())]);
        assert_eq!(signer.commits["signature"], "v{version}");
    }
}
