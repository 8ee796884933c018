//! `gitian release`: what `gitian.toml` says → the steps of a release, told line by line.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_build::{BuildStopped, Workdir};
use gitian_descriptor::{Descriptor, Loaded, SignerName};
use gitian_process::{Command, Failure, Streams};
use gitian_release::{
    Chosen, DescriptorRule, Event, Kind, Order, Origin, Project, ProjectRefused, Runner, Signing, Source, Standing,
    State, Step, StepFailed, WORK,
};
use gitian_vm::{Backend, Problem, TargetId, host_programs};

use crate::args::WrongUsage;
use crate::args::release::Args;
use crate::descriptor_error;
use crate::descriptor_file::{self, DescriptorRefused};
use crate::failure::one_line;
use crate::printable::printable;
use crate::printed::tell;
use crate::surroundings::Surroundings;

/// The exit code for a release that is done but for what waits for somebody else.
const WAITS: u8 = 3;

/// Runs `gitian release`. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    let file = args.file.clone().unwrap_or_else(|| PathBuf::from(Project::FILE));
    let project = load(&file, around)?;
    let release = Release { args: &args, around, project: &project, file: &file };
    let (mut chosen, backend) = release.choose()?;
    // Whatever takes a build has to know whether it is this version's.
    if [Kind::Build, Kind::Collect, Kind::Sign].into_iter().any(|kind| release.does(kind)) {
        gitian_release::ask(chosen.iter_mut().flat_map(|chosen| &mut chosen.sources));
        release.warn_of_silence(&chosen);
    }
    let waits = release.take_waiting(&mut chosen);
    let steps = release.plan(&chosen)?;
    let base = |target: &TargetId| backend.base_id(target).ok();
    let call = |name: &str| around.calls.own(name);
    let jobs = release.jobs(&chosen);
    let command = |more: &[&Step]| args.command(more);
    let runner = Runner { root: &around.workdir, call: &call, base: &base, jobs, again: args.again, command: &command };
    if args.dry_run {
        release.tell_plan(&steps, &runner, out)?;
    } else {
        let lock = Workdir::new(around.workdir.join(WORK)).lock()?;
        release.check_hands(&steps, &runner)?;
        let mut teller = Teller { quiet: args.quiet, out, held: BTreeMap::new() };
        let done = runner.run(&steps, &|kind| release.does(kind), &mut |event| teller.tell(&event));
        if let Err(error) = &done {
            teller.tell_held(error);
        }
        done?;
        drop(lock);
        let asks = steps.iter().any(|step| step.kind == Kind::Sign);
        if let Some(folder) = args.request.as_deref().filter(|_| asks && !args.quiet && release.does(Kind::Sign)) {
            for line in requested(&args, folder, &steps) {
                tell(&printable(&line));
            }
        }
    }
    for (name, source) in &waits {
        let commit = source.commit.as_deref().unwrap_or_default();
        let line = format!("gitian: {name} waits: {} has no {commit} yet (remote {})", source.url, source.dir);
        tell(&format!("{}\nhint: run the same command again when it has", printable(&line)));
    }
    Ok(if waits.is_empty() { 0 } else { WAITS })
}

/// Reads `gitian.toml`; what is wrong with it is drawn.
pub fn load(file: &Path, around: &Surroundings) -> Result<Project> {
    let loaded = Project::load(&around.workdir.join(file), file);
    if let Err(error) = &loaded
        && let Some(refused) = error.downcast_ref::<ProjectRefused>()
    {
        let drawn = descriptor_error::render_findings(&refused.path, &refused.text, &refused.findings, around.live);
        tell(drawn.trim_end());
    }
    let is_missing = |error: &anyhow::Error| {
        let cause = error.root_cause().downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
    };
    loaded.map_err(|error| match is_missing(&error) {
        true => {
            let what = format!("project {} does not exist", file.display());
            Problem { what, mend: "gitian init    in the project's repository writes it".into() }.into()
        }
        false => error,
    })
}

/// Tells what happens; if it is to be quiet, only warnings, and what a program that failed said last.
struct Teller<'a> {
    quiet: bool,
    out: &'a mut dyn Write,
    /// What steps said, by their names.
    held: BTreeMap<String, VecDeque<String>>,
}

impl Teller<'_> {
    /// How many lines of a step are held.
    const LINES: usize = 20;

    fn tell(&mut self, event: &Event) {
        let line = match event {
            Event::Warned(step, line) => return tell(&printable(&format!("{step}: {line}"))),
            Event::Skipped(step) => format!("{step}: done already"),
            Event::Began(step, None) => format!("{step}: begins"),
            Event::Began(step, Some(why)) => format!("{step}: begins again: {why}"),
            Event::Said(step, line) if self.quiet => {
                let lines = self.held.entry(step.clone()).or_default();
                lines.push_back(line.clone());
                if lines.len() > Self::LINES {
                    lines.pop_front();
                }
                return;
            }
            Event::Said(step, line) => format!("{step}: {line}"),
            Event::Ended(step, time) => format!("{step}: done in {:.1} s", time.as_secs_f64()),
        };
        if !self.quiet {
            // A reader that has gone away must not end the release.
            writeln!(self.out, "{}", printable(&line)).and_then(|()| self.out.flush()).ok();
        }
    }

    /// Tells what the program of a step that failed said.
    fn tell_held(&self, error: &anyhow::Error) {
        let Some(failed) = error.downcast_ref::<StepFailed>() else { return };
        let step = format!("{} {}", failed.kind.name(), failed.of);
        for line in self.held.get(&step).into_iter().flatten() {
            tell(&printable(&format!("{step}: {line}")));
        }
    }
}

/// One release, with what decides about it.
struct Release<'a> {
    args: &'a Args,
    around: &'a Surroundings,
    project: &'a Project,
    /// `gitian.toml`, as the user named it.
    file: &'a Path,
}

impl Release<'_> {
    /// The folder of `gitian.toml`, from the working directory.
    fn here(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    fn does(&self, kind: Kind) -> bool {
        self.args.step.is_empty() || self.args.step.contains(&kind) || kind == Kind::Push && self.args.push
    }

    fn backend(&self) -> Option<&str> {
        self.args.backend.as_deref().or(self.project.backend.as_deref())
    }

    /// Which descriptors of the project are asked for, and which are those that they continue, by number; each with
    /// whether it is asked for.
    fn numbers(&self) -> BTreeMap<usize, bool> {
        let rules = &self.project.descriptors;
        let wanted = |rule: &DescriptorRule| self.args.os.is_empty() || self.args.os.contains(&rule.name);
        let mut numbers: BTreeMap<usize, bool> =
            rules.iter().enumerate().filter(|(_, rule)| wanted(rule)).map(|(number, _)| (number, true)).collect();
        // What is continued comes first in the file.
        for number in (0..rules.len()).rev() {
            if numbers.contains_key(&number) {
                for stage in &rules[number].stages {
                    numbers.entry(stage.from).or_insert(false);
                }
            }
        }
        numbers
    }

    /// Reads the descriptors that `--os` chooses, and those that they continue.
    fn choose(&self) -> Result<(Vec<Chosen>, Box<dyn Backend>)> {
        for name in &self.args.os {
            if self.project.descriptor(name).is_none() {
                let known: Vec<&str> = self.project.descriptors.iter().map(|rule| &*rule.name).collect();
                let refused = format!(
                    "--os {}: gitian.toml has no such descriptor (it has {})",
                    printable(name),
                    known.join(", ")
                );
                return Err(WrongUsage(refused).into());
            }
        }
        let here = std::path::absolute(self.around.workdir.join(self.here()))?;
        let mut chosen = Vec::new();
        for (number, wanted) in self.numbers() {
            let rule = &self.project.descriptors[number];
            let (loaded, origin) = self.descriptor(&rule.file)?;
            let source = |remote| Source::new(remote, self.project, &self.args.version, &here);
            let sources = loaded.descriptor.remotes.iter().map(source).collect();
            chosen.push(Chosen { number, loaded, origin, targets: Vec::new(), sources, left_out: !wanted });
        }
        let wanted: Vec<_> = chosen
            .iter()
            .flat_map(|chosen| {
                let Descriptor { suites, architectures, .. } = &chosen.loaded.descriptor;
                suites
                    .iter()
                    .flat_map(move |suite| architectures.iter().map(move |architecture| (suite, *architecture)))
            })
            .collect();
        let work = self.around.workdir.join(WORK);
        let backend = gitian_vm::select(self.backend(), &self.around.settings, &work, &wanted)?;
        for chosen in &mut chosen {
            chosen.targets = backend.configurations(&chosen.loaded.descriptor);
        }
        Ok((chosen, backend))
    }

    /// Reads a descriptor: at the version's commit, if gitian.toml says so, else as it lies there.
    fn descriptor(&self, file: &Path) -> Result<(Loaded, Origin)> {
        let path = self.here().join(file);
        let Some(commit) = &self.project.descriptors_at else {
            let loaded = descriptor_file::load(&path, &self.around.workdir, self.around.live)?;
            return Ok((loaded, Origin::File(path)));
        };
        let repository = if self.here().as_os_str().is_empty() { Path::new(".") } else { self.here() };
        let name = format!("{}:./{}", commit.of(&self.args.version), file.display());
        let git = Command::new("git").arg("-C").arg(repository).args(["show", &name]).folder(&self.around.workdir);
        let shown = git.run_ok(Streams::default()).map_err(|cause| match cause {
            Failure::ProgramFailed { last_lines, .. } => anyhow::Error::new(Problem {
                what: format!("descriptor {name} is not to be had: {}", last_lines.join(": ")),
                mend: format!("git -C {} fetch --tags", Command::new(repository)),
            }),
            other => other.into(),
        })?;
        let source = String::from_utf8(shown.stdout).with_context(|| format!("descriptor {name}"))?;
        let colour = self.around.live;
        let loaded = Descriptor::parse(&path, source).map_err(|refusals| DescriptorRefused {
            path: name.clone().into(),
            refusals: Box::new(refusals),
            colour,
        })?;
        Ok((loaded, Origin::Commit { repository: repository.to_owned(), name }))
    }

    fn warn_of_silence(&self, chosen: &[Chosen]) {
        let mut told = BTreeSet::new();
        for source in chosen.iter().flat_map(|chosen| &chosen.sources) {
            if let State::Unknown(Some(why)) = &source.state
                && told.insert((&source.dir, &source.url))
            {
                let line = format!("remote {}: {} gives no answer ({why})", source.dir, source.url);
                tell(&format!("gitian: warning: {}; taken to be what it was", one_line(&line)));
            }
        }
    }

    /// Takes out what waits for a commit of somebody else, and what continues that.
    fn take_waiting(&self, chosen: &mut Vec<Chosen>) -> Vec<(String, Source)> {
        let mut waiting: BTreeMap<usize, Source> = BTreeMap::new();
        chosen.retain(|chosen| {
            let mut stages = self.project.descriptors[chosen.number].stages.iter();
            let source = chosen.waits_for(self.project).or_else(|| stages.find_map(|stage| waiting.get(&stage.from)));
            let source = source.filter(|_| !chosen.left_out).cloned();
            let stays = source.is_none();
            waiting.extend(source.map(|source| (chosen.number, source)));
            stays
        });
        waiting.into_iter().map(|(number, source)| (self.project.descriptors[number].name.clone(), source)).collect()
    }

    fn plan(&self, chosen: &[Chosen]) -> Result<Vec<Step>> {
        let signs = [Kind::Sign, Kind::Commit, Kind::Push].into_iter().any(|kind| self.does(kind));
        let signer = if signs { Some(self.signer()?) } else { None };
        let here = std::path::absolute(self.around.workdir.join(self.here()))?;
        let sigs =
            self.args.sigs.clone().or_else(|| self.project.sigs.folder.clone()).unwrap_or_else(gitian_release::sigs);
        let sigs_folder = self.around.workdir.join(&sigs);
        if self.args.sigs.is_some() && !sigs_folder.is_dir() {
            let url = self.project.sigs.url.as_deref().map(|url| gitian_release::absolute(url, &here));
            let url = url.as_deref().unwrap_or("URL");
            return Err(Problem {
                what: format!("sigs tree {} does not exist", sigs.display()),
                mend: Command::new("git").args(["clone", "--", url]).arg(&sigs).to_string(),
            }
            .into());
        }
        let binaries = self.args.binaries.clone();
        let binaries = binaries.unwrap_or_else(|| self.project.binaries.of(&self.args.version).into());
        self.check_folders(&sigs, &binaries, chosen)?;
        let is_there = sigs_folder.join(".git").exists();
        // A clone that the user names may be of a repository of his own.
        let own = self.args.sigs.is_some() && is_there;
        let sigs_url = self.project.sigs.url.as_deref().filter(|_| !own);
        let order = Order {
            project: self.project,
            here: &here,
            version: &self.args.version,
            chosen,
            backend: self.backend(),
            signer: signer.as_ref(),
            sigs: &sigs,
            sigs_is_clone: sigs_url.is_some() || is_there,
            sigs_url,
            binaries: &binaries,
            signing: match (&self.args.request, &self.args.import) {
                (Some(folder), _) => Signing::Request(folder),
                (None, Some(folder)) => Signing::Import(folder),
                (None, None) => Signing::Here,
            },
            push: self.args.push || self.args.step.contains(&Kind::Push),
            anyway: self.args.anyway,
            program: env!("CARGO_PKG_VERSION"),
        };
        Ok(gitian_release::plan(&order).map_err(|problems| BuildStopped { problems })?)
    }

    fn signer(&self) -> Result<SignerName> {
        if let Some(signer) = self.args.signer.as_ref().or(self.project.signer.as_ref()) {
            return Ok(signer.clone());
        }
        let config = Command::new("git").args(["config", "--get", "gitian.signer"]).folder(&self.around.workdir);
        match config.text() {
            Ok(name) => name.parse().context("git config gitian.signer"),
            Err(Failure::Interrupted) => Err(Failure::Interrupted.into()),
            Err(_) => Err(Problem {
                what: "nobody says who signs".into(),
                mend: "add --signer NAME, or once: git config --global gitian.signer NAME; without signatures: \
                       --step base,input,build,collect"
                    .into(),
            }
            .into()),
        }
    }

    /// Finds what would stop the signing and committing that is due, before hours are spent on builds.
    fn check_hands(&self, steps: &[Step], runner: &Runner<'_>) -> Result<()> {
        let is_due =
            |step: &&Step| !step.left_out && self.does(step.kind) && matches!(runner.standing(step), Standing::Due(_));
        let mut problems = Vec::new();
        let mut signs = false;
        for step in steps.iter().filter(|step| matches!(step.kind, Kind::Sign | Kind::Commit)).filter(is_due) {
            match (step.kind, &self.args.import) {
                (Kind::Sign, Some(folder)) => problems.extend(self.without_answer(folder, &step.of)),
                (Kind::Sign, None) => signs = self.args.request.is_none(),
                _ => problems.extend(runner.without_committer(step)?),
            }
        }
        let sigs = steps.iter().filter(|step| step.kind == Kind::Sigs && self.does(step.kind));
        problems.extend(sigs.filter_map(|step| runner.without_place(step)));
        if signs {
            problems.extend(without_key(self.signer()?.as_str())?);
        }
        if problems.is_empty() { Ok(()) } else { Err(BuildStopped { problems }.into()) }
    }

    /// Whether the answer to a request is not there.
    fn without_answer(&self, folder: &Path, name: &str) -> Option<Problem> {
        let request = gitian_release::request(folder, name);
        let mut answer = request.clone().into_os_string();
        answer.push(".signed");
        let is_there = self.around.workdir.join(&answer).exists();
        (!is_there).then(|| Problem {
            what: format!("answer {} does not exist", Path::new(&answer).display()),
            mend: format!(
                "where the key is: {}    and bring what it writes here",
                Command::new("gsign").args(["--sign-request"]).arg(&request)
            ),
        })
    }

    /// Insists on folders of our own where nobody named others: a repository may hold links that lead anywhere, and records
    /// of builds that nobody made here.
    fn check_folders(&self, sigs: &Path, binaries: &Path, chosen: &[Chosen]) -> Result<()> {
        let workdir = &self.around.workdir;
        let mut problems = Vec::new();
        let mut refused = BTreeSet::new();
        let mut refuse = |path: &Path, mend: Option<String>| {
            let link = gitian_release::link_on_the_way(workdir, path).filter(|(link, _)| refused.insert(link.clone()));
            problems.extend(link.map(|(link, leads)| Problem {
                what: format!("{} is a link, and leads to {}", link.display(), leads.display()),
                mend: mend.unwrap_or_else(|| {
                    format!("{}    removes the link and nothing behind it", Command::new("rm").arg(&link))
                }),
            }));
        };
        let names = chosen.iter().map(|chosen| &*self.project.descriptors[chosen.number].name);
        for folder in gitian_release::own_folders(&self.args.version, names) {
            refuse(&folder, None);
        }
        let named = |option: &str, path: &Path| format!("if that link is yours: add --{option} {}", path.display());
        if self.args.sigs.is_none() {
            refuse(sigs, Some(named("sigs", sigs)));
        }
        if self.args.binaries.is_none() {
            refuse(binaries, Some(named("binaries", binaries)));
        }
        let tracked = Command::new("git").args(["ls-files", "--", WORK]).folder(workdir).text();
        if tracked.is_ok_and(|files| !files.is_empty()) {
            problems.push(Problem {
                what: format!(
                    "git has files of {WORK}: what is built and signed here is not to come from a repository"
                ),
                mend: format!("git rm -r --quiet {WORK}    or release in an empty folder, with --file"),
            });
        }
        if problems.is_empty() { Ok(()) } else { Err(BuildStopped { problems }.into()) }
    }

    /// How many builds side by side.
    fn jobs(&self, chosen: &[Chosen]) -> usize {
        if let Some(jobs) = self.args.jobs {
            return jobs as usize;
        }
        let chosen: Vec<&Chosen> = chosen.iter().filter(|chosen| !chosen.left_out).collect();
        let most = |of: fn(&DescriptorRule) -> Option<u32>, all: Option<u32>, default: u32| {
            let each =
                chosen.iter().map(|chosen| of(&self.project.descriptors[chosen.number]).or(all).unwrap_or(default));
            u64::from(each.max().unwrap_or(default))
        };
        let memory = most(|rule| rule.memory_mib, self.project.memory_mib, 2000);
        let processors = most(|rule| rule.processors, self.project.processors, 2);
        let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
        });
        let host = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        let room = gitian_release::room_for(chosen.len(), memory, processors, available, host);
        self.project.jobs.map_or(room, |jobs| room.min(jobs as usize))
    }

    /// `--dry-run`: the command lines, as a script for a shell.
    fn tell_plan(&self, steps: &[Step], runner: &Runner<'_>, out: &mut dyn Write) -> Result<()> {
        let call = |name: &str| self.around.calls.own_in_line(name);
        let does = |kind| self.does(kind);
        let warn = |event: Event| {
            if let Event::Warned(step, line) = event {
                tell(&printable(&format!("{step}: {line}")));
            }
        };
        runner.check(steps, &does, &mut { warn })?;
        let mut commits = false;
        let mut due: Vec<&Step> = Vec::new();
        for step in steps.iter().filter(|step| !step.left_out && does(step.kind)) {
            let standing = match runner.standing(step) {
                // It is asked before what is committed then.
                Standing::Done if step.kind == Kind::Push && commits => Standing::Due(None),
                // What it takes may come out otherwise then.
                Standing::Done => match due.iter().find(|before| step.needs(before)) {
                    Some(before) => Standing::Due(Some(format!("{before} is done again"))),
                    None => Standing::Done,
                },
                standing => standing,
            };
            // Not what was never done, such as a base image that others' builds had here.
            if let Standing::Due(Some(_)) = standing {
                due.push(step);
            }
            commits |= step.kind == Kind::Commit && matches!(standing, Standing::Due(_));
            match standing {
                Standing::Done => writeln!(out, "# {}: done already", printable(&step.to_string()))?,
                Standing::Doubted(why) => writeln!(out, "# {}", printable(&format!("{step}: {why}")))?,
                Standing::Due(why) => {
                    let why = why.map_or_else(String::new, |why| format!(": {why}"));
                    writeln!(out, "# {}", printable(&format!("{step}{why}")))?;
                    for line in step.actions.iter().flat_map(|action| action.lines(&call)) {
                        writeln!(out, "{}", printable(&line))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns what comes next where signatures were asked for, from the folder of the release.
fn requested(args: &Args, folder: &Path, steps: &[Step]) -> [String; 2] {
    let asked = steps.iter().filter(|step| step.kind == Kind::Sign);
    let files: Vec<String> =
        asked.map(|step| gitian_release::request(folder, &step.of).display().to_string()).collect();
    let import = Args { request: None, import: Some(folder.to_owned()), ..args.clone() }.command(&[]);
    let go = match files.as_slice() {
        [only] => format!("{only} goes"),
        files => format!("{} go", files.join(", ")),
    };
    let back = folder.display();
    [
        format!("gitian: nothing is signed yet: {go} to where the key is"),
        format!(
            "hint: there, for each: gsign --sign-request FILE    and with each FILE.signed back in {back}: {import}"
        ),
    ]
}

/// Whether gpg has nothing to sign with under a name.
fn without_key(signer: &str) -> Result<Option<Problem>> {
    let listed = Command::new("gpg").args(["--batch", "--with-colons", "--list-secret-keys", "--", signer]);
    let what = match listed.run_ok(Streams::default()) {
        // An S among the capabilities is of the whole key, and of one that is still valid.
        Ok(told)
            if String::from_utf8_lossy(&told.stdout).lines().any(|line| {
                line.starts_with("sec:")
                    && line.split(':').nth(11).is_some_and(|can| can.contains('S') && !can.contains('D'))
            }) =>
        {
            return Ok(None);
        }
        Ok(_) => format!(
            "gpg cannot sign with the key of signer {signer}: it is expired, revoked, disabled or for other things"
        ),
        Err(Failure::ProgramFailed { last_lines, .. }) => {
            let cause = last_lines.last().map_or("", |line| line.trim_start_matches("gpg: "));
            format!("gpg finds no secret key of signer {signer}: {cause}")
        }
        Err(Failure::ProgramNotFound { .. }) => {
            let what = "program gpg, which signs, is not installed".into();
            return Ok(Some(Problem { what, mend: host_programs::install("gnupg") }));
        }
        Err(other) => return Err(other.into()),
    };
    let mend =
        "gpg --list-secret-keys    shows yours, for --signer; without signatures: --step base,input,build,collect";
    Ok(Some(Problem { what, mend: mend.into() }))
}
