//! The steps of a release, from what a project says and what is known about its descriptors. Nothing is done here, and
//! nothing looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use gitian_build::Workdir;
use gitian_descriptor::{Loaded, SignerName};
use gitian_manifest::{Digest, SigsTree};
use gitian_vm::{Problem, TargetId, base_name};

use crate::Version;
use crate::address::absolute;
use crate::init::key;
use crate::pattern::Pattern;
use crate::place::{self, WORK, from_workdir};
use crate::project::{DescriptorRule, Project};
use crate::remotes::{Source, State};
use crate::step::{Action, Dependency, Done, Kind, Program, Step, Value};

/// What shall be released, and what is known about it.
pub struct Order<'a> {
    /// What `gitian.toml` says.
    pub project: &'a Project,
    /// The folder of that file, as a whole path.
    pub here: &'a Path,
    /// Which version.
    pub version: &'a Version,
    /// The descriptors that are built, and those that they continue, in the order of the file.
    pub chosen: &'a [Chosen],
    /// The kind of guest, if somebody says which.
    pub backend: Option<&'a str>,
    /// Who signs; needed for the steps from `sign` on.
    pub signer: Option<&'a SignerName>,
    /// The sigs tree.
    pub sigs: &'a Path,
    /// The sigs tree is, or will be, a clone.
    pub sigs_is_clone: bool,
    /// The repository that it has to be a clone of; nothing if it is taken as it is.
    pub sigs_url: Option<&'a str>,
    /// Where the outputs are collected.
    pub binaries: &'a Path,
    /// How what is built is signed.
    pub signing: Signing<'a>,
    /// Commits are pushed.
    pub push: bool,
    /// What most of the others did not build is signed and pushed too.
    pub anyway: bool,
    /// The program's own version: another may build otherwise.
    pub program: &'a str,
}

/// How what is built is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing<'a> {
    /// Here.
    Here,
    /// On another host: what is to be signed is written to a file of each descriptor in this folder.
    Request(&'a Path),
    /// It was: the answers are in this folder, under the names of the requests and `.signed`.
    Import(&'a Path),
}

/// A descriptor that is built.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Its number in the project.
    pub number: usize,
    /// What it says.
    pub loaded: Loaded,
    /// Where it comes from.
    pub origin: Origin,
    /// What it is built for.
    pub targets: Vec<TargetId>,
    /// Its remotes.
    pub sources: Vec<Source>,
    /// It is here for another that continues its build; nobody asked for it.
    pub left_out: bool,
}

/// Where a descriptor comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is this file, from the folder of the release.
    File(PathBuf),
    /// It is in the project's repository, as `COMMIT:PATH`.
    Commit {
        /// The repository.
        repository: PathBuf,
        /// The commit and the path.
        name: String,
    },
}

impl Chosen {
    /// Whether this descriptor continues another's build, and a remote has no such commit yet: the detached signatures
    /// are made of what the other left. Returns the remote.
    pub fn waits_for<'c>(&'c self, project: &Project) -> Option<&'c Source> {
        let continues = !project.descriptors[self.number].stages.is_empty();
        self.sources.iter().find(|source| continues && source.state == State::HasNot)
    }
}

/// Returns the steps, in the order in which they are done.
///
/// # Errors
/// Everything that keeps a descriptor from being built whatever is done.
pub fn plan(order: &Order<'_>) -> Result<Vec<Step>, Vec<Problem>> {
    let mut problems: Vec<Problem> = order.chosen.iter().flat_map(|chosen| order.problems(chosen)).collect();
    problems.extend(order.same_assertion());
    if order.push && !order.sigs_is_clone {
        problems.push(Problem {
            what: "gitian.toml has no [sigs] url: there is nowhere to push to".into(),
            mend: "write into gitian.toml: [sigs], url = \"https://…\"; or name a clone: --sigs DIR".into(),
        });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let each = |step: &dyn Fn(&Chosen) -> Step| order.wanted().map(step).collect::<Vec<_>>();
    let mut steps = order.bases();
    steps.extend(order.inputs());
    steps.extend(order.chosen.iter().map(|chosen| order.build(chosen)));
    steps.extend(each(&|chosen| order.collect(chosen)));
    steps.push(order.tree());
    if let Some(signer) = order.signer {
        steps.extend(each(&|chosen| order.sign(chosen, signer)));
        if let Signing::Request(_) = order.signing {
            // The rest is done when the answers are there.
            return Ok(steps);
        }
        if order.sigs_is_clone {
            steps.push(order.commit(signer));
        }
    }
    steps.extend(each(&|chosen| order.verify(chosen)));
    if order.push {
        steps.extend(order.signer.map(|signer| order.push(signer)));
    }
    Ok(steps)
}

impl Order<'_> {
    fn rule(&self, chosen: &Chosen) -> &DescriptorRule {
        &self.project.descriptors[chosen.number]
    }

    /// The descriptors that somebody asked for.
    fn wanted(&self) -> impl Iterator<Item = &Chosen> {
        self.chosen.iter().filter(|chosen| !chosen.left_out)
    }

    /// Every descriptor's step of a kind.
    fn all(&self, kind: Kind) -> impl Iterator<Item = (Kind, String)> {
        self.wanted().map(move |chosen| (kind, self.rule(chosen).name.clone()))
    }

    fn problems(&self, chosen: &Chosen) -> Vec<Problem> {
        let rule = self.rule(chosen);
        let mut problems: Vec<Problem> = chosen
            .sources
            .iter()
            .filter(|source| source.commit.is_none())
            .map(|source| Problem {
                what: format!("{}: nothing says which commit of the remote {} is built", rule.name, source.dir),
                mend: format!("write into gitian.toml: [remotes.{}], commit = \"v{{version}}\"", key(&source.dir)),
            })
            .collect();
        for stage in &rule.stages {
            if !chosen.loaded.descriptor.files.iter().any(|file| file.as_str() == stage.input) {
                problems.push(Problem {
                    what: format!("{}: the descriptor has no input {} in its files", rule.name, stage.input),
                    mend: format!("mend [descriptors.{}] inputs in gitian.toml", key(&rule.name)),
                });
            }
        }
        problems
    }

    /// Of two descriptors with the same place in the sigs tree, one's assertion would replace the other's.
    fn same_assertion(&self) -> Option<Problem> {
        let place = |chosen: &&Chosen| {
            (self.rule(chosen).release.of(self.version), chosen.loaded.descriptor.name.as_str().to_owned())
        };
        let mut seen = BTreeMap::new();
        self.wanted().find_map(|chosen| {
            let (release, package) = place(&chosen);
            let other = seen.insert((release.clone(), package.clone()), &self.rule(chosen).name)?;
            let name = &self.rule(chosen).name;
            Some(Problem {
                what: format!("{other} and {name} both sign {package} as {release}: one would replace the other"),
                mend: format!("give [descriptors.{}] a release of its own in gitian.toml", key(name)),
            })
        })
    }

    fn stamped(&self, kind: Kind, of: &str, leaves: Vec<PathBuf>) -> Done {
        Done::Stamped { stamp: place::stamp(kind, of, self.version), leaves, leaves_content: Vec::new() }
    }

    fn backend_option(&self) -> Vec<OsString> {
        self.backend.map_or_else(Vec::new, |name| vec!["--backend".into(), name.into()])
    }

    fn bases(&self) -> Vec<Step> {
        let mut seen = BTreeSet::new();
        let mut steps = Vec::new();
        for chosen in self.wanted() {
            for target in &chosen.targets {
                let of = of_base(target);
                if !seen.insert((of.clone(), target.distro.clone())) {
                    continue;
                }
                let architecture = target.architecture.debian();
                let suite = target.suite.as_str();
                let by_digest = chosen.loaded.descriptor.suites.iter().all(|known| known != &target.suite);
                let mut args: Vec<OsString> = vec!["--distro".into(), target.distro.as_str().into()];
                match by_digest {
                    true => args.extend(["--docker".into(), "--docker-image-digest".into(), suite.into()]),
                    false => args.extend(["--suite".into(), suite.into()]),
                }
                args.extend(["--arch".into(), architecture.into()]);
                args.extend(self.backend_option());
                let program = Program { name: "make-base-vm", args, folder: WORK.into(), asks: false };
                let actions = vec![Action::MakeFolder(WORK.into()), Action::Run(program)];
                steps.push(Step::new(Kind::Base, of, actions, Done::Base(target.clone())));
            }
        }
        steps
    }

    /// The inputs that no other descriptor's build leaves, each once.
    fn inputs(&self) -> Vec<Step> {
        let mut seen = BTreeSet::new();
        let mut steps = Vec::new();
        for chosen in self.wanted() {
            let rule = self.rule(chosen);
            for file in &chosen.loaded.descriptor.files {
                let name = file.as_str();
                if rule.stages.iter().any(|stage| stage.input == name) || !seen.insert(name.to_owned()) {
                    continue;
                }
                steps.push(self.input(name));
            }
        }
        steps
    }

    fn input(&self, name: &str) -> Step {
        let to = place::inputs().join(name);
        let step = |depends, actions, done| Step { depends, ..Step::new(Kind::Input, name, actions, done) };
        let Some(rule) = self.project.inputs.get(name) else {
            return step(Vec::new(), vec![Action::Expect(to)], Done::Never);
        };
        let text = |name: &str, text: String| Dependency { name: name.to_owned(), value: Value::Text(text) };
        let mut depends = vec![text("its digest", rule.sha256.to_string())];
        let action = match &rule.url {
            Some(url) => {
                let url = self.address(&url.of(self.version));
                depends.push(text("its address", url.clone()));
                Action::Fetch { url, sha256: rule.sha256, to: to.clone() }
            }
            None => Action::Check { file: to.clone(), sha256: rule.sha256 },
        };
        let done = self.stamped(Kind::Input, name, vec![to]);
        step(depends, vec![Action::MakeFolder(place::inputs()), action], done)
    }

    /// Returns an address with a path of the project made whole.
    fn address(&self, url: &str) -> String {
        match url.contains(':') || url.starts_with('/') {
            true => url.to_owned(),
            false => absolute(&format!("./{url}"), self.here),
        }
    }

    /// How the programs that run in a descriptor's working directory find it.
    fn descriptor(&self, chosen: &Chosen) -> PathBuf {
        match &chosen.origin {
            Origin::File(path) => from_workdir(path),
            Origin::Commit { name, .. } => file_name(name).into(),
        }
    }

    /// What brings a descriptor that does not lie there as a file.
    fn write_descriptor(&self, chosen: &Chosen) -> Option<Action> {
        let Origin::Commit { repository, name } = &chosen.origin else { return None };
        Some(Action::Write {
            bytes: chosen.loaded.source.clone().into_bytes(),
            to: place::workdir(&self.rule(chosen).name).join(file_name(name)),
            source: (repository.clone(), name.clone()),
        })
    }

    fn build(&self, chosen: &Chosen) -> Step {
        let rule = self.rule(chosen);
        let workdir = Workdir::new(place::workdir(&rule.name));
        let program = Program {
            name: "gbuild",
            args: self.build_arguments(chosen),
            folder: workdir.root().to_owned(),
            asks: false,
        };
        let text = |name: &str, text: String| Dependency { name: name.to_owned(), value: Value::Text(text) };
        let mut actions = vec![Action::MakeFolder(workdir.inputs())];
        actions.extend(self.write_descriptor(chosen));
        let mut depends = vec![
            text("gbuild's version", self.program.to_owned()),
            text("gbuild's command line", format!("{:?}", program.args)),
            text("the descriptor", Digest::of_bytes(chosen.loaded.source.as_bytes()).to_string()),
        ];
        for file in &chosen.loaded.descriptor.files {
            let name = file.as_str();
            let to = workdir.input(file);
            let value = match rule.stages.iter().find(|stage| stage.input == name) {
                Some(stage) => {
                    let folder = Workdir::new(place::workdir(&self.project.descriptors[stage.from].name)).out();
                    let pattern = Pattern::new(stage.output.of(self.version));
                    actions.push(Action::LinkOutput { folder: folder.clone(), pattern: pattern.clone(), to });
                    Value::File(folder, Some(pattern))
                }
                None => {
                    let from = place::inputs().join(name);
                    actions.push(Action::Link { from: from.clone(), to });
                    match self.project.inputs.get(name) {
                        Some(rule) => Value::Text(rule.sha256.to_string()),
                        None => Value::Stat(from),
                    }
                }
            };
            depends.push(Dependency { name: format!("the input {name}"), value });
        }
        for target in &chosen.targets {
            let name = Path::new(WORK).join(base_name(&target.suite, target.architecture));
            actions.push(Action::LinkBase { name, to: workdir.root().to_owned() });
            depends.push(Dependency { name: format!("the base image {target}"), value: Value::Base(target.clone()) });
        }
        for source in &chosen.sources {
            let value = match &source.state {
                State::Has(lines) => Value::Text(lines.clone()),
                State::HasNot => Value::Text(String::new()),
                State::Unknown(_) => Value::Unknown,
            };
            depends.push(Dependency { name: format!("the remote {}", source.dir), value });
        }
        actions.push(Action::Run(program));
        let done = self.stamped(Kind::Build, &rule.name, vec![self.report(chosen), workdir.out()]);
        let base = |target: &TargetId| (Kind::Base, of_base(target));
        // What somebody has to put there by hand, no step brings.
        let is_brought = |name: &&str| {
            !rule.stages.iter().any(|stage| stage.input == **name)
                && self.project.inputs.get(*name).is_some_and(|rule| rule.url.is_some())
        };
        let names = chosen.loaded.descriptor.files.iter().map(|file| file.as_str());
        let brought = names.filter(is_brought).map(|name| (Kind::Input, name.to_owned()));
        let of = |stage: &crate::project::Stage| (Kind::Build, self.project.descriptors[stage.from].name.clone());
        Step {
            depends,
            needs: rule.stages.iter().map(of).chain(chosen.targets.iter().map(base)).chain(brought).collect(),
            left_out: chosen.left_out,
            ..Step::new(Kind::Build, &rule.name, actions, done)
        }
    }

    fn build_arguments(&self, chosen: &Chosen) -> Vec<OsString> {
        let rule = self.rule(chosen);
        let mut args: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            args.extend(value.map(|value| [OsString::from(name), value.into()]).into_iter().flatten());
        };
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        option("-j", number(rule.processors.or(self.project.processors)));
        option("-m", number(rule.memory_mib.or(self.project.memory_mib)));
        let pairs = |value: fn(&Source) -> Option<&String>| {
            let pair = |source: &Source| Some(format!("{}={}", source.dir, value(source)?));
            let pairs: Vec<String> = chosen.sources.iter().filter_map(pair).collect();
            (!pairs.is_empty()).then(|| pairs.join(","))
        };
        option("--commit", pairs(|source| source.commit_option.as_ref()));
        option("--url", pairs(|source| source.url_option.as_ref()));
        args.extend(self.project.fetch_tags.then(|| "--fetch-tags".into()));
        args.extend(self.project.allow_sudo.then(|| "--allow-sudo".into()));
        args.extend(self.backend_option());
        args.push(self.descriptor(chosen).into());
        args
    }

    fn report(&self, chosen: &Chosen) -> PathBuf {
        Workdir::new(place::workdir(&self.rule(chosen).name)).report(&chosen.loaded.descriptor.name)
    }

    fn of_report(&self, chosen: &Chosen) -> Dependency {
        Dependency { name: "the build".into(), value: Value::File(self.report(chosen), None) }
    }

    fn collect(&self, chosen: &Chosen) -> Step {
        let rule = self.rule(chosen);
        let collect = Action::Collect {
            workdir: place::workdir(&rule.name),
            report: self.report(chosen),
            patterns: rule.collect.clone(),
            flat: self.project.flat,
            to: self.binaries.to_owned(),
        };
        let choice = Value::Text(format!("{} {:?} {:?}", self.project.flat, rule.collect, self.binaries));
        let done = self.stamped(Kind::Collect, &rule.name, Vec::new());
        Step {
            depends: vec![self.of_report(chosen), Dependency { name: "the choice of outputs".into(), value: choice }],
            needs: vec![(Kind::Build, rule.name.clone())],
            ..Step::new(Kind::Collect, &rule.name, vec![collect], done)
        }
    }

    fn tree(&self) -> Step {
        let to = self.sigs.to_owned();
        let (action, done) = match self.sigs_is_clone {
            true => {
                let url = self.sigs_url.map(|url| absolute(url, self.here));
                (Action::Clone { url: url.clone(), to: to.clone() }, Done::Clone { tree: to, url })
            }
            false => (Action::MakeFolder(to.clone()), Done::Folder(to)),
        };
        Step::new(Kind::Sigs, "", vec![action], done)
    }

    /// The files that a signer leaves in the sigs tree, from there.
    fn signed(&self, chosen: &Chosen, signer: &SignerName) -> [PathBuf; 2] {
        let (tree, release) = (SigsTree::new(""), self.rule(chosen).release.of(self.version));
        let package = chosen.loaded.descriptor.name.as_str();
        [tree.assert_path(&release, signer.as_str(), package), tree.signature_path(&release, signer.as_str(), package)]
    }

    fn of_tree(&self, chosen: &Chosen, name: &'static str, more: Vec<OsString>, asks: bool) -> Program {
        let rule = self.rule(chosen);
        let mut args = more;
        args.extend(self.anyway.then(|| "--anyway".into()).filter(|_| name == "gsign"));
        args.extend(["--release".into(), rule.release.of(self.version).into()]);
        args.extend(["--destination".into(), from_workdir(self.sigs).into()]);
        args.push(self.descriptor(chosen).into());
        Program { name, args, folder: place::workdir(&rule.name), asks }
    }

    fn sign(&self, chosen: &Chosen, signer: &SignerName) -> Step {
        let name = &self.rule(chosen).name;
        let signed_by = ["--signer".into(), signer.as_str().into()];
        let tree: Vec<PathBuf> = self.signed(chosen, signer).map(|file| self.sigs.join(file)).into();
        let mut actions = Vec::new();
        let (program, stamp, (leaves, leaves_content)) = match self.signing {
            Signing::Here => (self.of_tree(chosen, "gsign", signed_by.into(), true), name.clone(), (Vec::new(), tree)),
            Signing::Request(folder) => {
                let file = request(folder, name);
                actions.push(Action::MakeFolder(folder.to_owned()));
                let mut args = Vec::from(signed_by);
                args.extend(["--request".into(), from_workdir(&file).into()]);
                (self.of_tree(chosen, "gsign", args, true), format!("{name}-request"), (vec![file], Vec::new()))
            }
            Signing::Import(folder) => {
                let mut answer = request(folder, name).into_os_string();
                answer.push(".signed");
                // What it has to be an answer for is said, too.
                let mut args = vec!["--import".into(), from_workdir(Path::new(&answer)).into()];
                args.extend(signed_by);
                let program = self.of_tree(chosen, "gsign", args, true);
                (program, name.clone(), (Vec::new(), tree))
            }
        };
        actions.push(Action::Run(program));
        let stamp = place::stamp(Kind::Sign, &stamp, self.version);
        // Not how: what was signed elsewhere is signed.
        let mut who = format!("{signer} {} {:?}", self.rule(chosen).release.of(self.version), self.sigs);
        // A request is made for whoever wants it in another folder, too.
        if let Signing::Request(folder) = self.signing {
            who += &format!(" {folder:?}");
        }
        Step {
            depends: vec![self.of_report(chosen), Dependency { name: "who signs".into(), value: Value::Text(who) }],
            needs: vec![(Kind::Build, name.clone()), (Kind::Sigs, String::new())],
            ..Step::new(Kind::Sign, name, actions, Done::Stamped { stamp, leaves, leaves_content })
        }
    }

    fn signed_files(&self, signer: &SignerName) -> Vec<PathBuf> {
        self.wanted().flat_map(|chosen| self.signed(chosen, signer)).collect()
    }

    fn commit(&self, signer: &SignerName) -> Step {
        let names: Vec<&str> = self.wanted().map(|chosen| &*self.rule(chosen).name).collect();
        let (tree, files) = (self.sigs.to_owned(), self.signed_files(signer));
        let done = Done::Committed { tree: tree.clone(), files: files.clone() };
        let message = format!("{}: {} by {signer}", self.version, names.join(", "));
        Step {
            needs: self.all(Kind::Sign).chain([(Kind::Sigs, String::new())]).collect(),
            ..Step::new(Kind::Commit, "", vec![Action::Commit { tree, files, message }], done)
        }
    }

    fn verify(&self, chosen: &Chosen) -> Step {
        let name = &self.rule(chosen).name;
        let mut actions = vec![Action::MakeFolder(place::workdir(name))];
        actions.extend(self.write_descriptor(chosen));
        actions.push(Action::Run(self.of_tree(chosen, "gverify", Vec::new(), false)));
        let needs = vec![(Kind::Sigs, String::new())];
        Step { needs, ..Step::new(Kind::Verify, name, actions, Done::Never) }
    }

    fn push(&self, signer: &SignerName) -> Step {
        let tree = self.sigs.to_owned();
        let vouch = |chosen| {
            let program = self.of_tree(chosen, "gverify", vec!["--json".into()], false);
            Action::Vouch { program, signer: signer.to_string() }
        };
        // Others may have built something else since it was signed.
        let mut actions: Vec<Action> = self.wanted().filter(|_| !self.anyway).map(vouch).collect();
        actions.push(Action::Push { tree: tree.clone() });
        Step {
            needs: vec![(Kind::Sigs, String::new()), (Kind::Commit, String::new())],
            ..Step::new(Kind::Push, "", actions, Done::Pushed(tree))
        }
    }
}

/// What a base image is of.
fn of_base(target: &TargetId) -> String {
    format!("{}-{}", target.suite, target.architecture.debian())
}

/// The file that asks for a descriptor's signature.
pub fn request(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.request"))
}

/// The last part of `COMMIT:PATH`.
fn file_name(name: &str) -> &str {
    name.rsplit(['/', ':']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use gitian_descriptor::{Architecture, Descriptor};

    use super::*;

    const PROJECT: &str = "memory = 3000\nbackend = 'kvm'\nflat = true\n[sigs]\nurl = 'https://example.org/sigs'\n\
        [remotes.coin]\ncommit = 'v{version}'\nurl = '.'\n\
        [inputs.sdk]\nsha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'\nurl = 'https://example.org/{version}/sdk'\n\
        [descriptors.win]\nfile = 'c/win.yml'\ncollect = ['*.zip']\n\
        [descriptors.win-signed]\nfile = 'c/sign.yml'\nprocessors = 4\ninputs.unsigned = { from = 'win', output = 'u-{version}-*' }\n";

    fn chosen(project: &Project, number: usize, files: &str, origin: Origin) -> Chosen {
        let version: Version = "1.0".parse().unwrap();
        let text = format!(
            "name: coin-{number}\nsuites: [bookworm]\narchitectures: [amd64]\ndistro: debian\nfiles: [{files}]\n\
             remotes:\n- url: https://example.org/coin\n  dir: coin\nscript: 'true'\n"
        );
        let loaded = Descriptor::parse(Path::new("x.yml"), text).unwrap();
        let source = |remote| Source::new(remote, project, &version, Path::new("/here"));
        let sources = loaded.descriptor.remotes.iter().map(source).collect();
        let target = TargetId {
            distro: "debian".parse().unwrap(),
            suite: "bookworm".parse().unwrap(),
            architecture: Architecture::Amd64,
        };
        Chosen { number, loaded, origin, targets: vec![target], sources, left_out: false }
    }

    /// A release whose sigs tree is a folder, by nobody.
    fn to_a_folder<'a>(project: &'a Project, version: &'a Version, chosen: &'a [Chosen]) -> Order<'a> {
        Order {
            project,
            here: Path::new("/here"),
            version,
            chosen,
            backend: None,
            signer: None,
            sigs: Path::new(".gitian/sigs"),
            sigs_is_clone: false,
            sigs_url: None,
            anyway: false,
            binaries: Path::new("binaries/1.0"),
            signing: Signing::Here,
            push: false,
            program: "1",
        }
    }

    fn with_plan(check: impl FnOnce(&[Chosen], &dyn Fn(&[Chosen], bool) -> Vec<Step>)) {
        let project = Project::parse(Path::new("gitian.toml"), PROJECT).unwrap();
        let at_commit = Origin::Commit { repository: ".".into(), name: "v1.0:./c/sign.yml".into() };
        let all = [
            chosen(&project, 0, "sdk, by-hand", Origin::File("c/win.yml".into())),
            chosen(&project, 1, "unsigned", at_commit),
        ];
        let steps = |chosen: &[Chosen], push: bool| {
            plan(&Order {
                project: &project,
                here: Path::new("/here"),
                version: &"1.0".parse().unwrap(),
                chosen,
                backend: project.backend.as_deref(),
                signer: Some(&"alice".parse().unwrap()),
                sigs: &place::sigs(),
                sigs_is_clone: true,
                sigs_url: project.sigs.url.as_deref(),
                anyway: false,
                binaries: Path::new("binaries/1.0"),
                signing: Signing::Here,
                push,
                program: "1",
            })
            .unwrap()
        };
        check(&all, &steps);
    }

    #[test]
    fn the_steps_of_a_release_as_lines_of_a_shell() {
        with_plan(|all, plan| {
            let call = |name: &str| name.to_owned();
            let lines: Vec<String> = plan(all, true)
                .iter()
                .flat_map(|step| {
                    let title = format!("# {step}");
                    let actions = step.actions.iter().flat_map(|action| action.lines(&call));
                    std::iter::once(title).chain(actions).collect::<Vec<_>>()
                })
                .collect();
            let expected = "\
# base bookworm-amd64
mkdir -p .gitian
(cd .gitian && make-base-vm --distro debian --suite bookworm --arch amd64 --backend kvm)
# input sdk
mkdir -p .gitian/inputs
curl --fail --location --silent --show-error --proto =http,https --speed-limit 1 --speed-time 60 --retry 3 --continue-at - --output .gitian/inputs/.sdk.part -- https://example.org/1.0/sdk
echo 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  .gitian/inputs/.sdk.part' | sha256sum -c
mv .gitian/inputs/.sdk.part .gitian/inputs/sdk
# input by-hand
test -f .gitian/inputs/by-hand
# build win
mkdir -p .gitian/win/inputs
ln -f .gitian/inputs/sdk .gitian/win/inputs/sdk
ln -f .gitian/inputs/by-hand .gitian/win/inputs/by-hand
ln -sf \"$PWD\"/.gitian/base-bookworm-amd64* .gitian/win/
(cd .gitian/win && gbuild -m 3000 --commit coin=v1.0 --url coin=/here --backend kvm ../../c/win.yml)
# build win-signed
mkdir -p .gitian/win-signed/inputs
git -C . show v1.0:./c/sign.yml > .gitian/win-signed/sign.yml
ln -f .gitian/win/build/out/u-1.0-* .gitian/win-signed/inputs/unsigned
ln -sf \"$PWD\"/.gitian/base-bookworm-amd64* .gitian/win-signed/
(cd .gitian/win-signed && gbuild -j 4 -m 3000 --commit coin=v1.0 --url coin=/here --backend kvm sign.yml)
# collect win
mkdir -p binaries/1.0
(cd .gitian/win/build/out && ln -f -t \"$OLDPWD\"/binaries/1.0 *.zip)
# collect win-signed
mkdir -p binaries/1.0
(cd .gitian/win-signed/build/out && find . -type f -exec ln -f -t \"$OLDPWD\"/binaries/1.0 {} +)
# sigs
if [ -e .gitian/sigs/.git ]; then git -C .gitian/sigs pull --quiet --rebase --autostash; else git clone --quiet -- https://example.org/sigs .gitian/sigs; fi
# sign win
(cd .gitian/win && gsign --signer alice --release 1.0-win --destination ../sigs ../../c/win.yml)
# sign win-signed
(cd .gitian/win-signed && gsign --signer alice --release 1.0-win-signed --destination ../sigs sign.yml)
# commit
git -C .gitian/sigs add -- 1.0-win/alice/coin-0-build.assert 1.0-win/alice/coin-0-build.assert.sig 1.0-win-signed/alice/coin-1-build.assert 1.0-win-signed/alice/coin-1-build.assert.sig
git -C .gitian/sigs commit --quiet -m '1.0: win, win-signed by alice' -- 1.0-win/alice/coin-0-build.assert 1.0-win/alice/coin-0-build.assert.sig 1.0-win-signed/alice/coin-1-build.assert 1.0-win-signed/alice/coin-1-build.assert.sig
# verify win
mkdir -p .gitian/win
(cd .gitian/win && gverify --release 1.0-win --destination ../sigs ../../c/win.yml)
# verify win-signed
mkdir -p .gitian/win-signed
git -C . show v1.0:./c/sign.yml > .gitian/win-signed/sign.yml
(cd .gitian/win-signed && gverify --release 1.0-win-signed --destination ../sigs sign.yml)
# push
git -C .gitian/sigs push --quiet origin HEAD";
            assert_eq!(lines.join("\n"), expected);
        });
    }

    #[test]
    fn a_build_depends_on_all_that_its_outcome_depends_on() {
        with_plan(|all, plan| {
            let steps = plan(all, false);
            let of = |name: &str| steps.iter().find(|step| step.kind == Kind::Build && step.of == name).unwrap();
            let names = |name: &str| of(name).depends.iter().map(|of| of.name.clone()).collect::<Vec<_>>().join(", ");
            let common = "gbuild's version, gbuild's command line, the descriptor";
            let rest = "the base image bookworm-amd64, the remote coin";
            assert_eq!(names("win"), format!("{common}, the input sdk, the input by-hand, {rest}"));
            assert_eq!(names("win-signed"), format!("{common}, the input unsigned, {rest}"));
            let base = (Kind::Base, "bookworm-amd64".to_owned());
            assert_eq!(of("win").needs, [base.clone(), (Kind::Input, "sdk".to_owned())]);
            assert_eq!(of("win-signed").needs, [(Kind::Build, "win".to_owned()), base]);
            assert!(!steps.iter().any(|step| step.kind == Kind::Push));
        });
    }

    #[test]
    fn what_another_continues_is_known_for_its_build_only() {
        with_plan(|all, plan| {
            let mut all = all.to_vec();
            all[0].left_out = true;
            let steps = plan(&all, true);
            let of_win: Vec<_> =
                steps.iter().filter(|step| step.of == "win").map(|step| (step.kind, step.left_out)).collect();
            assert_eq!(of_win, [(Kind::Build, true)]);
            assert_eq!(steps.iter().filter(|step| step.kind == Kind::Input).count(), 0);
            let commit = steps.iter().find(|step| step.kind == Kind::Commit).unwrap();
            assert!(
                matches!(&commit.actions[..], [Action::Commit { files, message, .. }]
                if files.len() == 2 && message == "1.0: win-signed by alice"),
                "{commit:?}"
            );
        });
    }

    #[test]
    fn only_what_continues_another_waits_for_its_remote() {
        with_plan(|all, _| {
            let project = Project::parse(Path::new("gitian.toml"), PROJECT).unwrap();
            let mut all = all.to_vec();
            for chosen in &mut all {
                chosen.sources[0].state = State::HasNot;
            }
            assert_eq!(all[0].waits_for(&project), None);
            assert_eq!(all[1].waits_for(&project).map(|source| &*source.dir), Some("coin"));
        });
    }

    #[test]
    fn an_input_depends_on_its_digest_and_its_address() {
        with_plan(|all, plan| {
            let steps = plan(all, false);
            let input = steps.iter().find(|step| step.kind == Kind::Input && step.of == "sdk").unwrap();
            let names: Vec<&str> = input.depends.iter().map(|of| &*of.name).collect();
            assert_eq!(names, ["its digest", "its address"]);
        });
    }

    #[test]
    fn what_is_to_be_written_into_the_file_can_be_read_from_it() {
        let project = Project::parse(Path::new("gitian.toml"), "[descriptors.a]\nfile = 'a.yml'\n").unwrap();
        let mut chosen = chosen(&project, 0, "", Origin::File("a.yml".into()));
        chosen.sources[0].dir = "coin-1.0".into();
        let version = "1.0".parse().unwrap();
        let alone = [chosen];
        let order = Order { push: true, ..to_a_folder(&project, &version, &alone) };
        let problems = plan(&order).unwrap_err();
        let mends: Vec<&str> = problems.iter().map(|problem| &*problem.mend).collect();
        assert_eq!(
            mends,
            [
                "write into gitian.toml: [remotes.\"coin-1.0\"], commit = \"v{version}\"",
                "write into gitian.toml: [sigs], url = \"https://…\"; or name a clone: --sigs DIR",
            ]
        );
    }

    #[test]
    fn two_descriptors_do_not_sign_the_same_package_of_one_release() {
        let text = "[descriptors.a]\nfile = 'a.yml'\nrelease = '{version}'\n[descriptors.b]\nfile = 'b.yml'\nrelease = '{version}'\n[remotes.coin]\ncommit = 'x'\n";
        let project = Project::parse(Path::new("gitian.toml"), text).unwrap();
        let mut both = [0, 1].map(|number| chosen(&project, number, "", Origin::File("a.yml".into())));
        let version = "1.0".parse().unwrap();
        let refused = |chosen: &[Chosen]| {
            plan(&to_a_folder(&project, &version, chosen)).err().map(|problems| problems[0].what.clone())
        };
        assert_eq!(refused(&both), None, "they have names of their own");
        both[1].loaded = both[0].loaded.clone();
        let told = "a and b both sign coin-0 as 1.0: one would replace the other";
        assert_eq!(refused(&both).as_deref(), Some(told));
        both[0].left_out = true;
        assert_eq!(refused(&both), None, "only one is asked for");
    }
}
