//! Many releases: a line each, and one for every signer who is not OK. Results come in the order of the releases as soon
//! as they are there; a bar on standard error shows how far it got.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use gitian_process::Failure;
use gitian_verify::{
    Facts, History, Judged, Outcome, Question, Reference, Signature, Stray, Unknown, Verdict, explain_verdict, fits,
    in_order, judge_all,
};
use indicatif::{ProgressBar, ProgressStyle};

use super::advice::Inquiry;
use super::release::Release;
use super::{keys, words};
use crate::args::WrongUsage;
use crate::printable::printable;
use crate::printed::tell;
use crate::utc;

/// Which releases and packages of a tree.
#[derive(Debug)]
pub struct Range {
    /// The pattern of releases.
    pub release: String,
    /// The pattern of packages.
    pub name: String,
    /// From when on.
    pub since: Option<Since>,
    /// The descriptor, if the user named one.
    pub descriptor: Option<PathBuf>,
    /// The options that say which signatures count.
    pub terms: Vec<OsString>,
}

/// From when on releases count.
#[derive(Debug)]
pub enum Since {
    /// With a signature made then or later, by its own word.
    Day(SystemTime),
    /// From this one on, in the order of their numbers.
    Release(String),
}

impl Since {
    /// Reads a date or the name of a release, which has a number.
    ///
    /// # Errors
    ///
    /// [`WrongUsage`].
    pub fn parse(text: &str) -> Result<Self, WrongUsage> {
        match utc::parse(text) {
            // The whole of that day.
            Some(end) if !text.contains('T') && !text.starts_with('@') => {
                Ok(Self::Day(end - Duration::from_secs(86_399)))
            }
            Some(time) => Ok(Self::Day(time)),
            None if utc::is_meant_for_day(text) => Err(WrongUsage(format!("--since {text}: there is no such day"))),
            None if text.contains(|c: char| c.is_ascii_digit()) => Ok(Self::Release(text.to_owned())),
            None => Err(WrongUsage(format!("--since {text}: is neither a date such as 2024-01-31 nor a release"))),
        }
    }
}

impl Range {
    /// Returns the releases and packages of a tree that are in the range.
    pub fn questions(&self, history: History) -> Vec<Question> {
        let within = |question: &Question| {
            // A pattern without folders is one of the release's own name, wherever it lies.
            let release = if self.release.contains('/') { &question.release } else { question.release_name() };
            let late_enough = match &self.since {
                Some(Since::Release(first)) => in_order(question.release_name(), first).is_ge(),
                Some(Since::Day(_)) | None => true,
            };
            fits(&self.release, release) && fits(&self.name, &question.package) && late_enough
        };
        history.questions.into_iter().filter(within).collect()
    }

    /// Returns whether somebody signed late enough, by the signature's own word. Where there are signatures and none tells,
    /// better too much than too little.
    fn is_late_enough(&self, facts: &[Facts]) -> bool {
        let Some(Since::Day(day)) = self.since else { return true };
        let made = facts.iter().filter_map(|facts| match &facts.signature {
            Signature::Good(good) => Some(good.made),
            Signature::NoKey(Unknown { made, .. }) | Signature::Bad { made, .. } => *made,
            _ => None,
        });
        match made.max() {
            Some(last) => last >= day,
            None => facts.iter().any(|facts| !matches!(facts.signature, Signature::Absent | Signature::NotChecked)),
        }
    }
}

/// Where the results of many releases go.
pub trait Report {
    /// Takes one release.
    fn release(&mut self, release: &Release<'_>) -> Result<()>;
    /// Takes one that could not be read.
    fn unreadable(&mut self, question: &Question, cause: &anyhow::Error) -> Result<()>;
}

/// What all releases together amount to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Releases that are verified.
    pub verified: usize,
    /// Releases with something wrong.
    pub failed: usize,
    /// Releases about which there is nothing to decide.
    pub nothing: usize,
    /// Keys that were missing.
    pub missing_keys: BTreeSet<String>,
}

impl Tally {
    /// Returns the exit code: 0 every release is verified, 2 none is and nothing is wrong, else 1.
    pub fn exit_code(&self) -> u8 {
        match (self.failed, self.nothing, self.verified) {
            (0, 0, 1..) => 0,
            (0, _, 0) => 2,
            _ => 1,
        }
    }
}

/// Judges releases one after the other and reports them. `live` allows a bar on standard error.
pub fn run(
    range: &Range,
    questions: &[Question],
    judge: &(dyn Fn(&Question) -> Result<Judged> + Sync),
    report: &mut dyn Report,
    live: bool,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let bar = if live { bar(questions.len()) } else { ProgressBar::hidden() };
    let done = judge_all(questions, judge, &mut |question, judged| {
        bar.inc(1);
        match judged {
            Ok(Judged { facts, .. }) if !range.is_late_enough(&facts) => Ok(()),
            Ok(Judged { facts, decision }) => {
                match decision.outcome() {
                    Outcome::Verified => tally.verified += 1,
                    Outcome::Failed => tally.failed += 1,
                    Outcome::Nothing => tally.nothing += 1,
                }
                tally.missing_keys.extend(keys::missing(&facts));
                let inquiry = Inquiry { descriptor: range.descriptor.as_deref(), terms: &range.terms };
                let release = Release { question, facts: &facts, decision: &decision, inquiry };
                bar.suspend(|| report.release(&release))
            }
            // A program that cannot be run, or ctrl-c: the other releases would fare no better.
            Err(cause) if cause.chain().any(|cause| cause.is::<Failure>()) => Err(cause),
            Err(cause) => {
                tally.failed += 1;
                bar.suspend(|| report.unreadable(question, &cause))
            }
        }
    });
    bar.finish_and_clear();
    done.map(|()| tally)
}

fn bar(releases: usize) -> ProgressBar {
    let bar = ProgressBar::new(releases as u64);
    if let Ok(style) = ProgressStyle::with_template("gverify: {pos} of {len} releases {wide_bar} {eta}") {
        bar.set_style(style);
    }
    bar
}

/// Says what lies in the tree and belongs to nobody.
pub fn tell_strays(strays: &[Stray]) {
    for stray in strays {
        tell(&format!("gverify: warning: {} {}", printable(&stray.path.display().to_string()), stray.reason));
    }
}

/// Prints a line for each release, and one for each signer who is not OK.
pub struct Lines<'o> {
    /// Where to.
    pub out: &'o mut dyn Write,
}

impl Report for Lines<'_> {
    fn release(&mut self, release: &Release<'_>) -> Result<()> {
        let Release { question, decision, .. } = release;
        let title = format!("{} {}", question.release, question.package);
        let mut line = format!("{}: {}", title, counted(&decision.verdicts));
        line += &conclusion(release);
        writeln!(self.out, "{}", printable(&line))?;
        for (index, verdict) in decision.verdicts.iter().enumerate() {
            if !matches!(verdict, Verdict::Ok | Verdict::MissingResult) {
                self.signer(release, index)?;
            }
        }
        Ok(self.out.flush()?)
    }

    fn unreadable(&mut self, question: &Question, cause: &anyhow::Error) -> Result<()> {
        let line = format!("{} {}: UNREADABLE: {cause:#}", question.release, question.package);
        Ok(writeln!(self.out, "{}", printable(&line))?)
    }
}

impl Lines<'_> {
    fn signer(&mut self, release: &Release<'_>, index: usize) -> io::Result<()> {
        let Release { facts, decision, .. } = release;
        let word = words::verdict(&decision.verdicts[index]);
        let explanation = explain_verdict(facts, decision, index).unwrap_or_default();
        let cause = words::causes(&explanation, false).next();
        let reason = match cause {
            Some(cause) => cause.sentence(words::reference(facts, decision)),
            None => words::reasons(facts, decision, index, false)
                .into_iter()
                .find(|reason| !is_note(reason))
                .unwrap_or_default(),
        };
        let colon = if reason.is_empty() { "" } else { ": " };
        writeln!(self.out, "{}", printable(&format!("  {}: {word}{colon}{reason}", facts[index].signer)))?;
        if let Some(next) = cause.and_then(|cause| release.next(cause, index)) {
            writeln!(self.out, "{}", printable(&format!("    next: {next}")))?;
        }
        Ok(())
    }
}

fn is_note(reason: &str) -> bool {
    reason.starts_with("note: ")
}

/// Returns `7 OK, 1 MISMATCH`, in the order of gravity.
fn counted(verdicts: &[Verdict]) -> String {
    const ORDER: [&str; 10] = [
        "OK",
        "MISMATCH",
        "BAD SIGNATURE",
        "WRONG KEY",
        "REFUSED",
        "UNREADABLE",
        "NO KEY",
        "NOT COMPARED",
        "MISSING SIGNATURE",
        "MISSING RESULT",
    ];
    let count = |word: &&str| verdicts.iter().filter(|verdict| words::verdict(verdict) == *word).count();
    let counted = ORDER.iter().map(|word| (word, count(word))).filter(|(_, count)| *count > 0);
    let counted: Vec<String> = counted.map(|(word, count)| format!("{count} {word}")).collect();
    if counted.is_empty() { "nobody".to_owned() } else { counted.join(", ") }
}

/// Returns what is not seen in the verdicts themselves.
fn conclusion(release: &Release<'_>) -> String {
    let Release { facts, decision, .. } = release;
    let mut said = String::new();
    let signer = |index: usize| &*facts[index].signer;
    match decision.reference {
        Reference::Tied(count) => {
            let names: Vec<&str> = (0..count).map(|at| signer(decision.camps[at].signers[0])).collect();
            said += &format!("; a tie between {}", names.join(", "));
        }
        Reference::Unknown(_) | Reference::Unusable(_) => {
            let why = release.no_reference().map(|error| format!("; {error}"));
            said += &why.unwrap_or_default();
        }
        Reference::Signer(_) | Reference::Nobody => {}
    }
    for (index, first) in decision.same_key_as.iter().enumerate().filter_map(|(index, first)| Some((index, (*first)?)))
    {
        let counts = match (decision.superseded[index], decision.superseded[first]) {
            (true, true) => "which vouches for two things at once and does not count",
            (true, false) => "which vouches for something else there since; only that counts",
            (false, _) => "which counts once",
        };
        said += &format!("; {} has the key of {}, {counts}", signer(index), signer(first));
    }
    for unmet in &decision.unmet {
        said += &format!("; {unmet}");
    }
    said
}
