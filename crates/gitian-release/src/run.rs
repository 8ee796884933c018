//! The steps are done: in order, builds side by side, and not again what is done already.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gitian_build::Workdir;
use gitian_manifest::Digest;
use gitian_process::{Command, Failure, Output, Status, Streams, interrupt};
use gitian_vm::{Problem, TargetId};

use crate::fetch;
use crate::outputs::{self, Collection};
use crate::stamp::{Seen, Stamp};
use crate::step::{Action, Dependency, Done, Kind, Program, Step, Value};
use crate::tree::{Late, Stands, Tree};
use crate::vouch;

/// How long the build of a run that was killed may take to come to its end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often that is looked at.
const MOMENT: Duration = Duration::from_millis(200);

/// How often others may be quicker with their commits.
const TRIES: usize = 5;

/// Answers what identifies the content of a base image; nothing if there is none.
pub type BaseId<'a> = dyn Fn(&TargetId) -> Option<String> + 'a;

/// What does the steps.
pub struct Runner<'a> {
    /// The folder of the release.
    pub root: &'a Path,
    /// How a program of ours is called.
    pub call: &'a (dyn Fn(&str) -> OsString + Sync),
    /// What base images there are.
    pub base: &'a BaseId<'a>,
    /// How many builds side by side.
    pub jobs: usize,
    /// Steps are done again although they are done.
    pub again: bool,
    /// The user's command line, with such steps added to what it asks for.
    pub command: &'a (dyn Fn(&[&Step]) -> String + Sync),
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step is done already.
    Skipped(String),
    /// A step begins, for this reason if it was done before.
    Began(String, Option<String>),
    /// A step's program says something.
    Said(String, String),
    /// It says something on standard error, or we have a doubt about the step.
    Warned(String, String),
    /// A step is done, after this time.
    Ended(String, Duration),
}

/// A program of a step that ended badly; what it said about that was told already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{program} {status}")]
pub struct StepFailed {
    /// The kind of the step.
    pub kind: Kind,
    /// Of what.
    pub of: String,
    /// Its program.
    pub program: &'static str,
    /// How that ended.
    pub status: Status,
    /// The command line that goes on from there.
    pub again: String,
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is done.
    Done,
    /// It was done; whether there is more to do nobody could tell, for this reason.
    Doubted(String),
    /// It has to be done; for this reason, if it was done before.
    Due(Option<String>),
}

/// What a step that runs has to say, by its number.
enum News {
    Said(usize, Said),
    Ended(usize, Result<Vec<PathBuf>>),
}

/// A line of a program.
enum Said {
    Out(String),
    Err(String),
}

/// What is told while a step is done.
type Say<'a> = dyn Fn(Said) + Sync + 'a;

/// What is known about a step before it is done.
struct Before {
    depends: Vec<(String, Option<Digest>)>,
    stamp: Option<Stamp>,
    standing: Standing,
}

impl Runner<'_> {
    /// Does those of a plan's steps that are chosen, as far as they are not done. The error is the first one; builds and
    /// verdicts beside it go on to their end, and what others signed keeps ours from nothing.
    pub fn run(&self, plan: &[Step], chosen: &dyn Fn(Kind) -> bool, tell: &mut dyn FnMut(Event)) -> Result<()> {
        self.check(plan, chosen, tell)?;
        let mut verdict = Ok(());
        let steps: Vec<&Step> = plan.iter().filter(|step| !step.left_out && chosen(step.kind)).collect();
        for same in steps.chunk_by(|one, other| one.kind == other.kind) {
            match same.first().map(|step| step.kind) {
                Some(Kind::Build) => self.side_by_side(same, self.jobs.max(1), false, tell)?,
                Some(Kind::Verify) => {
                    verdict = self.side_by_side(same, 1, true, tell);
                    interrupt::check()?;
                }
                Some(Kind::Push) => self.push(plan, same, tell)?,
                _ => self.side_by_side(same, 1, false, tell)?,
            }
        }
        verdict
    }

    /// Pushes; while others are quicker, with what they sent, and after another look at what it means for ours.
    fn push(&self, plan: &[Step], push: &[&Step], tell: &mut dyn FnMut(Event)) -> Result<()> {
        let sigs: Vec<&Step> = plan.iter().filter(|step| step.kind == Kind::Sigs).collect();
        for _ in 1..TRIES {
            match self.side_by_side(push, 1, false, tell) {
                Err(late) if late.is::<Late>() => self.side_by_side(&sigs, 1, false, tell)?,
                other => return other,
            }
        }
        self.side_by_side(push, 1, false, tell)
    }

    /// Insists on what chosen steps need of those that are not chosen: what lies there may be another version's.
    pub fn check(&self, plan: &[Step], chosen: &dyn Fn(Kind) -> bool, tell: &mut dyn FnMut(Event)) -> Result<()> {
        let without_force = Runner { again: false, ..*self };
        let (mut asked, left_out): (Vec<&Step>, Vec<&Step>) =
            plan.iter().partition(|step| !step.left_out && chosen(step.kind));
        let (mut missing, mut first, mut warnings) = (Vec::new(), None, Vec::new());
        // What is missing takes something itself, which comes before it.
        for needed in left_out.into_iter().rev() {
            let takes = |step: &&Step| step.needs(needed) && matches!(self.standing(step), Standing::Due(_));
            let Some(step) = asked.iter().copied().find(takes) else {
                // What is done takes nothing, but it may not be what is asked for now.
                if asked.iter().any(|step| step.needs(needed))
                    && let Standing::Due(Some(why)) = without_force.standing(needed)
                {
                    warnings.push((needed, format!("{why}; what follows is of the one before")));
                }
                continue;
            };
            match without_force.standing(needed) {
                Standing::Done => {}
                Standing::Doubted(why) => warnings.push((needed, why)),
                Standing::Due(why) => {
                    let why = why.map_or_else(String::new, |why| format!(": {why}"));
                    first.get_or_insert_with(|| format!("{step} needs {needed}, which is not done{why}"));
                    missing.push(needed);
                    asked.push(needed);
                }
            }
        }
        for (step, why) in warnings.into_iter().rev() {
            tell(Event::Warned(step.to_string(), why));
        }
        let Some(mut what) = first else { return Ok(()) };
        let nearest = missing[0].kind;
        let others: BTreeSet<Kind> = missing.iter().map(|step| step.kind).filter(|kind| *kind != nearest).collect();
        if !others.is_empty() {
            let names: Vec<&str> = others.into_iter().map(Kind::name).collect();
            what += &format!("; nor is what is before: {}", names.join(", "));
        }
        Err(Problem { what, mend: (self.command)(&missing) }.into())
    }

    /// Returns what would keep git from a step's commit.
    ///
    /// # Errors
    ///
    /// git cannot be run.
    pub fn without_committer(&self, step: &Step) -> Result<Option<Problem>> {
        match &step.done {
            Done::Committed { tree, .. } => self.tree(tree).without_committer(),
            _ => Ok(None),
        }
    }

    /// Returns what lies where a step's clone is to be made.
    pub fn without_place(&self, step: &Step) -> Option<Problem> {
        match &step.done {
            Done::Clone { tree, .. } => self.tree(tree).in_the_way(),
            _ => None,
        }
    }

    /// Tells how a step stands. Nothing is changed.
    pub fn standing(&self, step: &Step) -> Standing {
        self.before(step).standing
    }

    fn before(&self, step: &Step) -> Before {
        let depends: Result<Vec<_>> =
            step.depends.iter().map(|dependency| Ok((dependency.name.clone(), self.digest(dependency)?))).collect();
        let stamp = match &step.done {
            Done::Stamped { stamp, .. } => Stamp::read(&self.root.join(stamp)),
            _ => None,
        };
        let standing = match (&step.done, &stamp, &depends) {
            (Done::Base(target), ..) if (self.base)(target).is_some() => Standing::Done,
            (Done::Folder(folder), ..) if self.root.join(folder).is_dir() => Standing::Done,
            (Done::Clone { tree, url }, ..) if self.root.join(tree).join(".git").exists() => {
                match self.tree(tree).stands(url.as_deref()) {
                    Stands::UpToDate { .. } => Standing::Done,
                    Stands::Behind => Standing::Due(Some("others have signed".into())),
                    Stands::Elsewhere(origin) => Standing::Due(Some(format!("it is a clone of {origin}"))),
                    Stands::Silent(why) => {
                        Standing::Doubted(format!("where it came from gives no answer ({why}); taken as it is"))
                    }
                }
            }
            (Done::Committed { tree, files }, ..) if self.tree(tree).has_committed(files) => Standing::Done,
            (Done::Pushed(tree), ..) if self.tree(tree).stands(None) == (Stands::UpToDate { sent: true }) => {
                Standing::Done
            }
            (Done::Stamped { .. }, Some(_), _) if self.again => Standing::Due(Some("asked for".into())),
            (Done::Stamped { .. }, Some(stamp), Ok(depends)) => match stamp.outdated(depends, self.root) {
                None => Standing::Done,
                why => Standing::Due(why),
            },
            (Done::Stamped { .. }, Some(_), Err(cause)) => Standing::Due(Some(format!("{cause:#}"))),
            _ => Standing::Due(None),
        };
        // What a step depends on and is not there is missed when it is done.
        Before { depends: depends.unwrap_or_default(), stamp, standing }
    }

    fn tree<'t>(&self, shown: &'t Path) -> Tree<'t> {
        Tree { path: self.root.join(shown), shown }
    }

    fn digest(&self, dependency: &Dependency) -> Result<Option<Digest>> {
        let of_file = |path: &Path, shown: &Path| {
            Digest::of_file(path).map(Some).with_context(|| format!("{} cannot be read", shown.display()))
        };
        match &dependency.value {
            Value::Text(text) => Ok(Some(Digest::of_bytes(text.as_bytes()))),
            Value::File(path, None) => of_file(&self.root.join(path), path),
            Value::File(folder, Some(pattern)) => {
                let one = outputs::the_one(&self.root.join(folder), pattern, folder)?;
                of_file(&self.root.join(folder).join(&one), &folder.join(one))
            }
            Value::Stat(path) => {
                let seen = Seen::at(&self.root.join(path)).with_context(|| path.display().to_string())?;
                Ok(Some(Digest::of_bytes(seen.text().as_bytes())))
            }
            Value::Base(target) => {
                let id = (self.base)(target).with_context(|| format!("there is no base image {target}"))?;
                Ok(Some(Digest::of_bytes(id.as_bytes())))
            }
            Value::Unknown => Ok(None),
        }
    }

    fn begin(&self, step: &Step, tell: &mut dyn FnMut(Event)) -> Option<Before> {
        let before = self.before(step);
        match &before.standing {
            Standing::Done => {
                tell(Event::Skipped(step.to_string()));
                None
            }
            Standing::Doubted(why) => {
                tell(Event::Warned(step.to_string(), why.clone()));
                None
            }
            Standing::Due(why) => {
                tell(Event::Began(step.to_string(), why.clone()));
                Some(before)
            }
        }
    }

    /// Writes down that a step is done.
    fn end(&self, step: &Step, before: Before, mut left: Vec<PathBuf>) -> Result<()> {
        let Done::Stamped { stamp, leaves, leaves_content } = &step.done else { return Ok(()) };
        // Some of it could not be told before other steps were done, or was missed.
        let depends = match before.depends.len() == step.depends.len() {
            true => before.depends,
            false => step.depends.iter().map(|of| Ok((of.name.clone(), self.digest(of)?))).collect::<Result<_>>()?,
        };
        for leaf in leaves {
            match self.root.join(leaf).is_dir() {
                true => left.extend(outputs::all(self.root, leaf)?),
                false => left.push(leaf.clone()),
            }
        }
        let seen = |path: PathBuf| {
            let seen = Seen::at(&self.root.join(&path)).with_context(|| path.display().to_string())?;
            Ok((path, seen))
        };
        let left = left.into_iter().map(seen).collect::<Result<_>>()?;
        let digest = |path: &PathBuf| {
            let digest = Digest::of_file(&self.root.join(path)).with_context(|| path.display().to_string())?;
            Ok((path.clone(), digest))
        };
        let content = leaves_content.iter().map(digest).collect::<Result<_>>()?;
        Stamp { depends, left, content }.write(&self.root.join(stamp))
    }

    /// Does steps, some at once, each when those are done that it continues. After a failure no other begins, unless they
    /// shall go on.
    fn side_by_side(&self, steps: &[&Step], at_once: usize, go_on: bool, tell: &mut dyn FnMut(Event)) -> Result<()> {
        let (news, told) = channel();
        std::thread::scope(|scope| {
            let mut waiting: BTreeSet<usize> = (0..steps.len()).collect();
            let mut running: BTreeMap<usize, (Before, Instant)> = BTreeMap::new();
            let mut failed: Option<anyhow::Error> = None;
            loop {
                let free = |of: &usize, running: &BTreeMap<usize, _>, waiting: &BTreeSet<usize>| {
                    let mut unfinished = running.keys().chain(waiting);
                    !unfinished.any(|at| steps[*of].needs(steps[*at]))
                };
                let next = waiting.iter().copied().find(|at| free(at, &running, &waiting));
                let may_begin = running.len() < at_once && (failed.is_none() || go_on && interrupt::check().is_ok());
                if let (Some(at), true) = (next, may_begin) {
                    waiting.remove(&at);
                    let step = steps[at];
                    if let Some(mut before) = self.begin(step, tell) {
                        let (news, call, root, command) = (news.clone(), self.call, self.root, self.command);
                        let stamp = before.stamp.take();
                        running.insert(at, (before, Instant::now()));
                        scope.spawn(move || {
                            let doer = Doer { root, call, again: command };
                            let done = doer.act(step, stamp.as_ref(), &|line| {
                                news.send(News::Said(at, line)).ok();
                            });
                            news.send(News::Ended(at, done)).ok();
                        });
                    }
                    continue;
                }
                if running.is_empty() {
                    break;
                }
                match told.recv()? {
                    News::Said(at, Said::Out(line)) => tell(Event::Said(steps[at].to_string(), line)),
                    News::Said(at, Said::Err(line)) => tell(Event::Warned(steps[at].to_string(), line)),
                    News::Ended(at, ended) => {
                        let Some((before, began)) = running.remove(&at) else { continue };
                        let step = steps[at];
                        // The program of an earlier run that was killed may have been quicker.
                        let ended = match &step.done {
                            Done::Base(target) if ended.is_err() && (self.base)(target).is_some() => Ok(Vec::new()),
                            _ => ended,
                        };
                        let ended = ended.and_then(|left| self.end(step, before, left));
                        match ended.with_context(|| step.to_string()) {
                            Ok(()) => tell(Event::Ended(step.to_string(), began.elapsed())),
                            Err(error) => failed = failed.take().or(Some(error)),
                        }
                    }
                }
            }
            failed.map_or(Ok(()), Err)
        })
    }
}

/// Does the actions of one step, perhaps beside others.
struct Doer<'a> {
    root: &'a Path,
    call: &'a (dyn Fn(&str) -> OsString + Sync),
    again: &'a (dyn Fn(&[&Step]) -> String + Sync),
}

impl Doer<'_> {
    /// Returns what was left, as far as only the actions know it.
    fn act(&self, step: &Step, before: Option<&Stamp>, say: &Say<'_>) -> Result<Vec<PathBuf>> {
        let at = |path: &Path| self.root.join(path);
        let mut left = Vec::new();
        for action in &step.actions {
            interrupt::check()?;
            match action {
                Action::MakeFolder(path) => fs::create_dir_all(at(path)).with_context(|| path.display().to_string())?,
                // One that lies there already keeps its time: a run with nothing to do leaves everything as it is.
                Action::Write { bytes, to, .. } if fs::read(at(to)).is_ok_and(|there| there == *bytes) => {}
                Action::Write { bytes, to, .. } => {
                    gitian_manifest::write_atomically(&at(to), bytes).with_context(|| to.display().to_string())?;
                }
                Action::Link { from, to } => {
                    fetch::expect(&at(from), from)?;
                    outputs::link(&at(from), &at(to)).with_context(|| to.display().to_string())?;
                }
                Action::LinkOutput { folder, pattern, to } => {
                    let one = outputs::the_one(&at(folder), pattern, folder)?;
                    outputs::link(&at(folder).join(one), &at(to)).with_context(|| to.display().to_string())?;
                }
                Action::LinkBase { name, to } => self.link_base(name, to)?,
                Action::Expect(file) => fetch::expect(&at(file), file)?,
                Action::Check { file, sha256 } => fetch::check(&at(file), sha256, file)?,
                Action::Fetch { url, sha256, to } => {
                    let ours = before.is_some_and(|stamp| stamp.left_as_it_is(to, self.root));
                    fetch::fetch(url, sha256, &at(to), to, ours)?;
                }
                Action::Run(program) => self.run(step, program, say)?,
                Action::Collect { workdir, report, patterns, flat, to } => {
                    let out = Workdir::new(workdir).out();
                    let patterns = patterns.as_deref();
                    let of = Collection { root: self.root, out: &out, report, patterns, flat: *flat, to, before };
                    left.extend(of.collect()?);
                }
                Action::Clone { url, to } => match (Tree { path: at(to), shown: to }, url) {
                    (tree, Some(url)) if !tree.path.join(".git").exists() => tree.clone_from(url)?,
                    (tree, url) => tree.refresh(url.as_deref())?,
                },
                Action::Commit { tree, files, message } => {
                    if !(Tree { path: at(tree), shown: tree }.commit(files, message)?) {
                        say(Said::Out("nothing new to commit".to_owned()));
                    }
                }
                Action::Vouch { program, signer } => self.vouch(program, signer, say)?,
                Action::Push { tree } => Tree { path: at(tree), shown: tree }.push()?,
            }
        }
        Ok(left)
    }

    /// Makes links in one folder to base images that lie in another, under the same names.
    fn link_base(&self, name: &Path, to: &Path) -> Result<()> {
        let (folder, prefix) = (name.parent().unwrap_or(Path::new(".")), name.file_name().unwrap_or_default());
        let shown = || folder.display().to_string();
        for entry in fs::read_dir(self.root.join(folder)).with_context(shown)? {
            let entry = entry.with_context(shown)?;
            if !entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
                continue;
            }
            let link = self.root.join(to).join(entry.file_name());
            let target = std::path::absolute(entry.path()).with_context(shown)?;
            if fs::read_link(&link).is_ok_and(|now| now == target) {
                continue;
            }
            if link.is_symlink() {
                fs::remove_file(&link).with_context(|| link.display().to_string())?;
            }
            std::os::unix::fs::symlink(target, &link).with_context(|| link.display().to_string())?;
        }
        Ok(())
    }

    fn run(&self, step: &Step, program: &Program, say: &Say<'_>) -> Result<()> {
        if step.kind == Kind::Build {
            self.wait_for_earlier(program, say)?;
        }
        let outcome = match program.asks {
            true => self.command(program).may_ask().run(Streams::inherit()),
            false => {
                let stdout = |pipe: &mut dyn Read| forward(pipe, &|line| say(Said::Out(line)));
                let stderr = |pipe: &mut dyn Read| forward(pipe, &|line| say(Said::Err(line)));
                let (stdout, stderr) = (Output::Consume(Box::new(stdout)), Output::Consume(Box::new(stderr)));
                self.command(program).run(Streams { stdout, stderr, ..Streams::default() })
            }
        };
        match outcome?.status {
            status if status.success() => Ok(()),
            // It was asked to stop together with us.
            Status::Exited(130 | 143) if interrupt::check().is_err() => Err(Failure::Interrupted.into()),
            status => {
                let again = (self.again)(&[]);
                Err(StepFailed { kind: step.kind, of: step.of.clone(), program: program.name, status, again }.into())
            }
        }
    }

    /// Insists on a good verdict of one's own assertion.
    fn vouch(&self, program: &Program, signer: &str, say: &Say<'_>) -> Result<()> {
        let stderr = |pipe: &mut dyn Read| forward(pipe, &|line| say(Said::Err(line)));
        let streams =
            Streams { stdout: Output::Capture, stderr: Output::Consume(Box::new(stderr)), ..Streams::default() };
        let told = self.command(program).run(streams)?;
        match vouch::verdict(&told.stdout, signer) {
            Ok(()) => Ok(()),
            Err(what) => Err(Problem {
                what: format!("{}: {what}", program.folder.display()),
                mend: format!("if you are sure: {} --anyway", (self.again)(&[])),
            }
            .into()),
        }
    }

    fn command(&self, program: &Program) -> Command {
        let command = program.command((self.call)(program.name), self.root);
        // What we started ends with us, however that happens: the next run finds nobody at work.
        let command = command.env("GITIAN_PARENT", std::process::id().to_string());
        // What it advises is for a user who is not there.
        command.env("GITIAN_FOLDER", &program.folder)
    }

    /// Waits for the build of a run that was killed: it is told, and takes a moment to clean up.
    fn wait_for_earlier(&self, program: &Program, say: &Say<'_>) -> Result<()> {
        let workdir = Workdir::new(self.root.join(&program.folder));
        let began = Instant::now();
        while let Some(problem) = workdir.taken()? {
            if began.elapsed() < MOMENT {
                say(Said::Out("waiting for an earlier build to end".to_owned()));
            }
            if began.elapsed() > PATIENCE {
                return Err(problem.into());
            }
            interrupt::sleep(MOMENT)?;
        }
        Ok(())
    }
}

/// Tells what a program says, line by line.
fn forward(pipe: &mut dyn Read, say: &dyn Fn(String)) -> io::Result<()> {
    let mut lines = BufReader::new(pipe);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        // What is drawn over and over again ends with a carriage return.
        let last = text.trim_end_matches(['\n', '\r']).rsplit('\r').next().unwrap_or_default().to_owned();
        say(last);
        line.clear();
    }
    Ok(())
}

/// Returns how many builds of so much memory and so many processors each this host has room for.
pub fn room_for(
    builds: usize,
    memory_mib: u64,
    processors: u64,
    available_mib: Option<u64>,
    host_processors: u64,
) -> usize {
    let by_memory = available_mib.map_or(1, |available| available / memory_mib.max(1));
    let by_processors = host_processors / processors.max(1);
    usize::try_from(by_memory.min(by_processors)).unwrap_or(usize::MAX).clamp(1, builds.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_builds_run_as_there_is_memory_and_there_are_processors_for() {
        for (builds, available, host, expected) in [
            (3, Some(16_000), 8, 3),
            (3, Some(16_000), 4, 2),
            (3, Some(5_000), 8, 2),
            (3, Some(100), 8, 1),
            (3, None, 8, 1),
            (0, Some(16_000), 8, 1),
        ] {
            assert_eq!(room_for(builds, 2000, 2, available, host), expected, "{builds} {available:?} {host}");
        }
    }

    #[test]
    fn a_chosen_step_does_not_take_what_a_step_that_is_not_chosen_would_do_anew() {
        let folder = tempfile::tempdir().unwrap();
        let step = |kind: Kind, of: &str, needs: &[(Kind, &str)], options: &str| {
            let done = Done::Stamped {
                stamp: format!("stamp-{}-{of}", kind.name()).into(),
                leaves: Vec::new(),
                leaves_content: Vec::new(),
            };
            Step {
                depends: vec![Dependency { name: "the command line".into(), value: Value::Text(options.into()) }],
                needs: needs.iter().map(|(kind, of)| (*kind, (*of).to_owned())).collect(),
                ..Step::new(kind, of, Vec::new(), done)
            }
        };
        let plan = |options: &str, left_out: bool| {
            let first = Step { left_out, ..step(Kind::Build, "linux", &[], options) };
            let second = step(Kind::Build, "signed", &[(Kind::Build, "linux")], options);
            let collect = step(Kind::Collect, "linux", &[(Kind::Build, "linux")], options);
            let sigs = Step::new(Kind::Sigs, "", Vec::new(), Done::Clone { tree: "sigs".into(), url: None });
            let sign = step(Kind::Sign, "linux", &[(Kind::Build, "linux"), (Kind::Sigs, "")], options);
            let verify =
                Step { needs: sign.needs[1..].to_vec(), ..Step::new(Kind::Verify, "linux", Vec::new(), Done::Never) };
            [first, second, collect, sigs, sign, verify]
        };
        let call = |name: &str| OsString::from(name);
        let command = |steps: &[&Step]| steps.iter().map(|step| step.to_string()).collect::<Vec<_>>().join(", ");
        let runner =
            Runner { root: folder.path(), call: &call, base: &|_| None, jobs: 1, again: false, command: &command };
        let run_of = |runner: &Runner<'_>, plan: &[Step], kinds: &[Kind]| {
            let done = runner.run(plan, &|kind| kinds.contains(&kind), &mut |_| {});
            done.map_err(|refused: anyhow::Error| match refused.downcast_ref::<Problem>() {
                Some(problem) if problem.what.contains("; nor") => format!("{} | {}", problem.what, problem.mend),
                _ => refused.to_string(),
            })
        };
        let run = |options: &str, kinds: &[Kind]| run_of(&runner, &plan(options, false), kinds);
        let refused = |told: &str| Err(told.to_owned());
        let (build, collect, sign) = (&[Kind::Build][..], &[Kind::Collect][..], &[Kind::Sign][..]);
        assert_eq!(run("1.0", collect), refused("collect linux needs build linux, which is not done"));
        // All that is missing is told at once: what it takes, too.
        let told = "sign linux needs sigs, which is not done; nor is what is before: build | sigs, build linux";
        assert_eq!(run("1.0", sign), refused(told));
        let told = "verify linux needs sigs, which is not done";
        assert_eq!(run("1.0", &[Kind::Verify]), refused(told));
        assert_eq!(
            run_of(&runner, &plan("1.0", true), build),
            refused("build signed needs build linux, which is not done")
        );
        assert_eq!(run("1.0", &[Kind::Build, Kind::Collect]), Ok(()));
        for step in [Kind::Sign, Kind::Verify] {
            let told = format!("{} linux needs sigs, which is not done", step.name());
            assert_eq!(run("1.0", &[step]), Err(told));
        }
        fs::create_dir_all(folder.path().join("sigs/.git")).unwrap();
        for kinds in [collect, sign] {
            let told = run("2.0", kinds).unwrap_err();
            assert!(
                told.ends_with(" linux needs build linux, which is not done: the command line has changed"),
                "{told}"
            );
            assert_eq!(run("1.0", kinds), Ok(()));
        }
        // The one that is continued was built for another version.
        assert_eq!(run_of(&runner, &plan("1.0", true), build), Ok(()));
        let told = run_of(&runner, &plan("2.0", true), build).unwrap_err();
        assert_eq!(told, "build signed needs build linux, which is not done: the command line has changed");
        assert_eq!(run("2.0", build), Ok(()));
        assert_eq!(run("1.0", collect), Ok(()), "what is done takes nothing");
        let again = Runner { again: true, ..runner };
        assert!(run_of(&again, &plan("1.0", false), collect).is_err());
        assert!(run_of(&again, &plan("2.0", false), collect).is_ok());
    }
}
