//! gverify: facts and verdicts about the signers of one release or of many → lines and an exit code.
//!
//! Which tree, keys and releases is settled here; `text` prints one release as the original does, `range` many,
//! `json` either. `words` has the verdicts and reasons in words, `advice` what to do next.

pub mod advice;
mod json;
pub mod keys;
pub mod range;
pub mod release;
pub mod terms;
mod text;
pub mod words;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use gitian_descriptor::PackageName;
use gitian_manifest::{OMap, SigsTree, Value};
use gitian_process::{Command, interrupt};
use gitian_verify::{
    Camp, Checker, Criteria, Folders, History, Judged, Keyring, Outcome, Policy, Program, Question, Reference, Source,
    decide, fits, gather,
};

use crate::args::WrongUsage;
use crate::args::gverify::Args;
use crate::args::sigs_tree;
use crate::descriptor_file::{self, DescriptorRefused};
use crate::failure::{is_interrupt, report};
use crate::page::{Collected, Page, Row};
use crate::printable::printable;
use crate::printed::is_reader_gone;
use crate::printed::tell;
use crate::surroundings::Surroundings;
use crate::{downloads, pull_request};
use advice::Inquiry;
use json::Json;
use range::{Lines, Range, Report, Since};
use release::Release;
use terms::{check_tree, policy};
use text::Print;

/// The largest descriptor whose name is looked for, in bytes.
const DESCRIPTOR_LIMIT: u64 = 1 << 20;
/// How long after it is asked to stop it may be held where it does not hear.
const GRACE: Duration = Duration::from_secs(1);

/// Runs gverify. Returns the exit code: 0 verified, 1 something is wrong, 2 no verdict.
pub fn run(args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    match verify(&args, around, out) {
        Err(error) if !is_interrupt(&error) && !is_reader_gone(&error) => {
            report("gverify", &error, &around.calls, around.settings.debug, &mut io::stderr());
            Ok(2)
        }
        done => done,
    }
}

fn verify(args: &Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    interrupt::end_anyway(GRACE).context("signals")?;
    let mut nowhere = io::sink();
    let out = if args.quiet { &mut nowhere } else { out };
    Page::check_names(args.html.as_deref(), args.markdown.as_deref())?;
    if !args.files.is_empty() {
        return downloads::run(args, around, out);
    }
    if !args.lint.is_empty() {
        return pull_request::run(args, around, out);
    }
    let package = match (&args.descriptor, &args.name) {
        (Some(descriptor), _) => Some(package_of(descriptor, around)?),
        (None, name) => name.clone(),
    };
    let range = range(args, package.as_deref())?;
    if range.is_none() && package.is_none() {
        bail!(WrongUsage("which package? Name a descriptor, or --name NAME, or --all for what there is".into()));
    }
    let tree = tree(args, around, package.as_deref())?;
    check_tree(&tree)?;
    let policy = policy(args, Some(&tree.root))?;
    let at = args.at.unwrap_or_else(SystemTime::now);
    let run = Run { args, around, policy, at, folders: Folders::default() };
    match range {
        Some(range) => run.many(&range, &tree, out),
        None => {
            let release = args.release.clone().unwrap_or_else(|| "current".to_owned());
            run.one(Question { tree, release, package: package.unwrap_or_default() }, out)
        }
    }
}

/// Returns the package that a descriptor names. It need not be one that could be built.
fn package_of(descriptor: &Path, around: &Surroundings) -> Result<String> {
    let refused = match descriptor_file::load(descriptor, &around.workdir, around.live) {
        Ok(loaded) => return Ok(loaded.descriptor.name.to_string()),
        Err(refused) if refused.is::<DescriptorRefused>() => refused,
        Err(unreadable) => return Err(unreadable),
    };
    let bytes = gitian_manifest::read_file(&around.workdir.join(descriptor), DESCRIPTOR_LIMIT).unwrap_or_default();
    let keys = OMap::parse(&bytes).unwrap_or_default();
    let name = keys.get("name").and_then(Value::as_written).and_then(|name| name.parse::<PackageName>().ok());
    match name {
        Some(name) => {
            tell(&format!("gverify: note: {}; only its name is needed here", printable(&refused.to_string())));
            Ok(name.to_string())
        }
        None => Err(refused),
    }
}

fn tree(args: &Args, around: &Surroundings, package: Option<&str>) -> Result<SigsTree> {
    match (&args.destination, package) {
        (None, None) => bail!(WrongUsage("which tree? --destination takes the folder that holds the releases".into())),
        (None, Some(package)) if is_pattern(package) => {
            bail!(WrongUsage("which tree? --destination takes the folder that holds the releases".into()))
        }
        (destination, package) => {
            Ok(sigs_tree(destination.as_deref(), &around.settings.installation, package.unwrap_or_default()))
        }
    }
}

/// Returns an error that says what there is instead of a range in which there is nothing.
fn nothing_fits(tree: &SigsTree, range: &Range, known: usize) -> anyhow::Error {
    // Read again: seldom asked for, and a tree may hold a hundred thousand.
    let there = History::of(tree).unwrap_or_default().questions;
    let packages: BTreeSet<&str> = there.iter().map(|question| &*question.package).collect();
    let there = if packages.iter().any(|package| fits(&range.name, package)) {
        let mut releases: Vec<&str> = there.iter().rev().map(|question| &*question.release).collect();
        releases.dedup();
        format!("the newest releases are {}", named(releases.into_iter()))
    } else {
        format!("the packages are {}", named(packages.into_iter()))
    };
    anyhow!("{}: none of {} fits; {there}; --all alone shows all", tree.root.display(), counted(known))
}

fn counted(count: usize) -> String {
    if count == 1 { "1 release and package".to_owned() } else { format!("{count} releases and packages") }
}

/// Returns the range of releases and packages, if it is not about a single one.
fn range(args: &Args, package: Option<&str>) -> Result<Option<Range>> {
    let several = args.all
        || args.since.is_some()
        || args.release.as_deref().is_some_and(is_pattern)
        || package.is_some_and(is_pattern);
    if !several {
        return Ok(None);
    }
    Ok(Some(Range {
        release: args.release.clone().unwrap_or_else(|| "*".to_owned()),
        name: package.unwrap_or("*").to_owned(),
        since: args.since.as_deref().map(Since::parse).transpose()?,
        descriptor: args.descriptor.clone(),
        terms: args.terms(),
    }))
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// One run: what all releases are decided by.
struct Run<'a> {
    args: &'a Args,
    around: &'a Surroundings,
    policy: Policy,
    at: SystemTime,
    folders: Folders,
}

/// Who checks signatures, and what that needs.
enum Check {
    Program(Program),
    Keys(Keyring, Source),
}

impl Check {
    fn source(&self) -> Option<&Source> {
        match self {
            Self::Program(_) => None,
            Self::Keys(_, source) => Some(source),
        }
    }
}

impl Run<'_> {
    fn one(&self, question: Question, out: &mut dyn Write) -> Result<u8> {
        question.check()?;
        let check = self.check(&question.tree)?;
        let Judged { facts, decision } = self.judge(&question, &check)?;
        let inquiry = Inquiry { descriptor: self.args.descriptor.as_deref(), terms: &self.args.terms() };
        let release = Release { question: &question, facts: &facts, decision: &decision, inquiry };
        let title = format!("Who built {} {}", question.package, question.release);
        self.write_page(&Page { title, notes: self.notes(&check), rows: vec![Row::of(&release)] })?;
        let code = match decision.outcome() {
            Outcome::Verified => 0,
            Outcome::Failed => 1,
            Outcome::Nothing => 2,
        };
        if self.args.json {
            let mut json = Json::begin(out, self.at, &[])?;
            json.release(&release)?;
            json.end(code)?;
        } else {
            let bold = self.args.markup || !self.args.no_markup && io::stdout().is_terminal();
            Print { release: &release, verbose: self.args.verbose, bold }.signers(out)?;
            out.flush()?;
        }
        if let Some(hint) =
            check.source().and_then(|source| keys::hint(&keys::missing(&facts), source, Some(&question.tree.root)))
        {
            tell(&printable(&format!("hint: {hint}")));
        }
        for unmet in &decision.unmet {
            tell(&format!("gverify: the policy is not met: {}", printable(&unmet.to_string())));
        }
        if let Some(error) = release.no_reference() {
            report("gverify", &error, &self.around.calls, self.around.settings.debug, &mut io::stderr());
            let hint = match decision.outcome() {
                Outcome::Nothing if decision.camps.is_empty() => packages_hint(&question),
                _ => self.tie_hint(&release),
            };
            if let Some(hint) = hint {
                tell(&format!("hint: {}", printable(&hint)));
            }
        }
        Ok(code)
    }

    fn many(&self, range: &Range, tree: &SigsTree, out: &mut dyn Write) -> Result<u8> {
        let mut history = History::of(tree)?;
        let strays = std::mem::take(&mut history.strays);
        let known = history.questions.len();
        let none_fits = || nothing_fits(tree, range, known);
        let questions = range.questions(history);
        if known == 0 {
            bail!("{}: holds no assertions; a tree has folders <release>/<signer>", tree.root.display());
        }
        if questions.is_empty() {
            return Err(none_fits());
        }
        range::tell_strays(&strays);
        let check = self.check(tree)?;
        let judge = |question: &Question| self.judge(question, &check);
        // On a terminal the bar and the results would disturb each other when both are drawn there line by line.
        let live = self.around.live && !self.args.verbose;
        let mut page = Page { title: format!("Who built {}", tree.root.display()), ..Page::default() };
        let tally = if self.args.json {
            let mut json = Json::begin(out, self.at, &strays)?;
            let tally =
                range::run(range, &questions, &judge, &mut Collected { report: &mut json, page: &mut page }, live)?;
            json.end(tally.exit_code())?;
            tally
        } else if self.args.verbose {
            range::run(
                range,
                &questions,
                &judge,
                &mut Collected { report: &mut Verbose { args: self.args, out }, page: &mut page },
                live,
            )?
        } else {
            range::run(range, &questions, &judge, &mut Collected { report: &mut Lines { out }, page: &mut page }, live)?
        };
        page.notes.splice(0..0, self.notes(&check));
        page.notes.extend(strays.iter().map(|stray| format!("{} {}.", stray.path.display(), stray.reason)));
        self.write_page(&page)?;
        let range::Tally { verified, failed, nothing, .. } = &tally;
        if verified + failed + nothing == 0 {
            return Err(none_fits());
        }
        tell(&format!(
            "gverify: {}: {verified} verified, {failed} with something wrong, {nothing} without a verdict",
            counted(verified + failed + nothing)
        ));
        if let Some(hint) = check.source().and_then(|source| keys::hint(&tally.missing_keys, source, Some(&tree.root)))
        {
            tell(&printable(&format!("hint: {hint}")));
        }
        Ok(tally.exit_code())
    }

    /// Returns what a page says about all that it shows.
    fn notes(&self, check: &Check) -> Vec<String> {
        let by = match check {
            Check::Program(program) => format!("with {program}"),
            Check::Keys(keys, _) => format!("with {} keys", keys.len()),
        };
        vec![format!("Checked {by}, as of {}.", crate::utc::second(self.at))]
    }

    fn write_page(&self, page: &Page) -> Result<()> {
        page.write(self.args.html.as_deref(), self.args.markdown.as_deref())
    }

    fn check(&self, tree: &SigsTree) -> Result<Check> {
        if let Some(command) = &self.args.verify_program {
            return Ok(Check::Program(Program::new(command.clone())));
        }
        let source = Source::choose(&self.args.keys, &tree.root);
        let keys = source.load()?;
        keys::tell_keys(&source, &keys, self.args.verbose);
        Ok(Check::Keys(keys, source))
    }

    fn judge(&self, question: &Question, check: &Check) -> Result<Judged> {
        let checker = match check {
            Check::Program(program) => Checker::Program(program),
            Check::Keys(keys, _) => Checker::Keys { keys, now: self.at },
        };
        let mut facts = gather(question, &checker, &self.folders)?;
        facts.iter_mut().for_each(|facts| facts.settle(&self.policy));
        let compare_to = self.args.compare_to.as_deref();
        let decision = decide(&facts, &Criteria { compare_to, ..question.criteria(&self.policy, self.at) });
        Ok(Judged { facts, decision })
    }

    /// Returns how to see in what the camps of a tie differ.
    fn tie_hint(&self, release: &Release<'_>) -> Option<String> {
        let Release { question, facts, decision, .. } = release;
        let Reference::Tied(count) = decision.reference else { return None };
        let name = |index: &usize| shell_words::quote(&facts[*index].signer).into_owned();
        let camp = |camp: &Camp| camp.signers.iter().map(name).collect::<Vec<_>>().join(", ");
        let camps: Vec<String> = decision.camps[..count].iter().map(camp).collect();
        let first = decision.camps.first()?.signers.first()?;
        let command = Command::new("gverify").args(["-v", "--compare-to", &facts[*first].signer]);
        let command = command.args(["--release", &question.release, "--name", &question.package, "--destination"]);
        let command = command.arg(&question.tree.root).args(self.args.terms());
        Some(format!("{} differ; to see how: {command}", camps.join(" and ")))
    }
}

/// Prints many releases, each as if it were the only one.
struct Verbose<'a> {
    args: &'a Args,
    out: &'a mut dyn Write,
}

impl Report for Verbose<'_> {
    fn release(&mut self, release: &Release<'_>) -> Result<()> {
        let Question { release: name, package, .. } = release.question;
        writeln!(self.out, "gverify: {}\n", printable(&format!("{name} {package}")))?;
        let bold = self.args.markup || !self.args.no_markup && io::stdout().is_terminal();
        Print { release, verbose: true, bold }.signers(self.out)?;
        for unmet in &release.decision.unmet {
            writeln!(self.out, "gverify: the policy is not met: {}", printable(&unmet.to_string()))?;
        }
        if let Some(error) = release.no_reference() {
            writeln!(self.out, "gverify: {}", printable(&error.to_string()))?;
        }
        Ok(self.out.flush()?)
    }

    fn unreadable(&mut self, question: &Question, cause: &anyhow::Error) -> Result<()> {
        Lines { out: self.out }.unreadable(question, cause)
    }
}

/// How many names a message has room for.
const NAMED: usize = 10;

fn named<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let shown = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Returns for which packages there are signatures in a release instead.
fn packages_hint(question: &Question) -> Option<String> {
    let history = History::of(&question.tree).ok()?;
    let here = history.questions.iter().filter(|other| other.release == question.release);
    let others: BTreeSet<&str> = here.map(|other| &*other.package).filter(|name| *name != question.package).collect();
    let first = shell_words::quote(others.first()?);
    Some(format!("--name {first}; there are: {}", named(others.iter().copied())))
}
