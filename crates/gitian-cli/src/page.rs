//! What a report about releases shows, however it is written down: a matrix of releases and signers, each cell with its
//! reasons. `html` and `markdown` write it. What the words say is known to `gverify`.

pub mod html;
pub mod markdown;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use gitian_verify::{Cause, Decision, Facts, Line, Outcome, Question, Reference, Verdict, explain_verdict};

use crate::args::WrongUsage;
use crate::gverify::range::Report;
use crate::gverify::release::Release;
use crate::gverify::words;
use crate::place::is_same_file;

/// A report about some releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What it is about, such as the tree.
    pub title: String,
    /// Sentences that hold for all of it: when it was made, by which keys.
    pub notes: Vec<String>,
    /// One for each release and package, in their order.
    pub rows: Vec<Row>,
}

/// One release of one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The release.
    pub release: String,
    /// The package.
    pub package: String,
    /// What all verdicts together amount to.
    pub mark: Mark,
    /// The same in words.
    pub outcome: String,
    /// One for each signer, in the order of their names.
    pub cells: Vec<Cell>,
}

/// What is said about one signer of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Who.
    pub signer: String,
    /// How good it is.
    pub mark: Mark,
    /// The verdict in words, as in the text: `BAD SIGNATURE`.
    pub word: &'static str,
    /// Why, in one sentence, if there is anything to say.
    pub short: Option<String>,
    /// All that is worth knowing, one sentence each.
    pub reasons: Vec<String>,
    /// Lines that differ, each with `- ` or `+ ` before it.
    pub lines: Vec<String>,
    /// How many more there are.
    pub more_lines: usize,
}

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Verified.
    Good,
    /// Verified, and shown to be something else or wrong.
    Bad,
    /// Nothing can be said, for a lack of keys or of something to compare with; or the word does not count.
    Open,
    /// There is nothing to check.
    Missing,
}

/// The most lines that differ that a report shows of one signer: the text shows all.
const LINES: usize = 200;

impl Page {
    /// Checks the names of files that a report goes to, before anything is looked at.
    pub fn check_names(html: Option<&Path>, markdown: Option<&Path>) -> Result<()> {
        // Elsewhere that is standard output, where the verdicts go here.
        if [html, markdown].into_iter().flatten().any(|path| path == Path::new("-")) {
            bail!(WrongUsage("-: a report goes to a file".into()));
        }
        if let Some(folder) = [html, markdown].into_iter().flatten().find(|path| path.is_dir()) {
            bail!(WrongUsage(format!("{} is a folder; a report goes to a file", folder.display())));
        }
        for path in [html, markdown].into_iter().flatten() {
            let folder = folder_of(path);
            if !folder.is_dir() && path.symlink_metadata().is_err() {
                bail!(WrongUsage(format!("{}: there is no folder {}", path.display(), folder.display())));
            }
        }
        match (html, markdown) {
            (Some(html), Some(markdown)) if is_same_file(html, markdown) => {
                bail!(WrongUsage(format!("--html and --markdown are both {}", html.display())))
            }
            _ => Ok(()),
        }
    }

    /// Writes the report to the files that are named.
    pub fn write(&self, html: Option<&Path>, markdown: Option<&Path>) -> Result<()> {
        type Render = fn(&Page) -> String;
        for (path, render) in [(html, html::render as Render), (markdown, markdown::render as Render)] {
            if let Some(path) = path {
                gitian_manifest::write_out(path, render(self).as_bytes())
                    .with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }

    /// Returns all signers, those of most releases first.
    fn signers(&self) -> Vec<&str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for cell in self.rows.iter().flat_map(|row| &row.cells) {
            *counts.entry(&cell.signer).or_default() += 1;
        }
        let mut signers: Vec<(&str, usize)> = counts.into_iter().collect();
        signers.sort_by(|(_, a), (_, b)| b.cmp(a));
        signers.into_iter().map(|(signer, _)| signer).collect()
    }

    /// Returns how often each verdict occurs, the best first.
    fn totals(&self) -> Vec<(Mark, &'static str, usize)> {
        let mut counts: BTreeMap<(Mark, &'static str), usize> = BTreeMap::new();
        for cell in self.rows.iter().flat_map(|row| &row.cells) {
            *counts.entry((cell.mark, cell.word)).or_default() += 1;
        }
        counts.into_iter().map(|((mark, word), count)| (mark, word, count)).collect()
    }
}

impl Row {
    /// Makes a row of what is known and decided about a release.
    pub fn of(release: &Release<'_>) -> Self {
        let Release { question, facts, decision, .. } = release;
        let cell = |(index, signer): (usize, &Facts)| {
            let verdict = &decision.verdicts[index];
            let (lines, more_lines) = match verdict {
                Verdict::Mismatch(mismatch) => {
                    let shown: Vec<String> = mismatch.lines.iter().take(LINES).map(line).collect();
                    let more = mismatch.lines.len() - shown.len() + mismatch.more_lines;
                    (shown, more)
                }
                _ => (Vec::new(), 0),
            };
            let (short, reasons) = reasons(release, index);
            let (mark, word) = match verdict {
                Verdict::Ok if decision.superseded[index] => (Mark::Open, "OK (superseded)"),
                verdict => (mark(verdict), words::verdict(verdict)),
            };
            Cell { signer: signer.signer.clone(), mark, word, short, reasons, lines, more_lines }
        };
        let cells: Vec<Cell> = facts.iter().enumerate().map(cell).collect();
        let mark = match decision.outcome() {
            Outcome::Verified => Mark::Good,
            // For a lack of keys alone nothing is wrong yet, though nothing is verified either.
            Outcome::Failed if decision.unmet.is_empty() && cells.iter().all(|cell| cell.mark != Mark::Bad) => {
                Mark::Open
            }
            Outcome::Failed => Mark::Bad,
            Outcome::Nothing => Mark::Open,
        };
        let outcome = outcome(facts, decision, &cells);
        Self { release: question.release.clone(), package: question.package.clone(), mark, outcome, cells }
    }
}

/// Returns why a signer has his verdict: in one sentence, and everything with what to do next.
fn reasons(release: &Release<'_>, index: usize) -> (Option<String>, Vec<String>) {
    let Release { facts, decision, .. } = release;
    let mut all = words::reasons(facts, decision, index, true);
    let explanation = explain_verdict(facts, decision, index).unwrap_or_default();
    let reference = words::reference(facts, decision);
    let causes: Vec<&Cause> = words::causes(&explanation, true).collect();
    all.extend(causes.iter().map(|cause| cause.sentence(reference)));
    let next = causes.first().and_then(|cause| release.next(cause, index));
    all.extend(next.map(|next| format!("next: {next}")));
    let terse = || words::reasons(facts, decision, index, false).into_iter().find(|why| !why.starts_with("note: "));
    let short = causes.first().map(|cause| cause.sentence(reference)).or_else(terse);
    (short, all)
}

/// Reports releases, and collects them for a page as well.
pub struct Collected<'r> {
    /// Where they are reported.
    pub report: &'r mut dyn Report,
    /// Where they are collected.
    pub page: &'r mut Page,
}

impl Report for Collected<'_> {
    fn release(&mut self, release: &Release<'_>) -> Result<()> {
        self.page.rows.push(Row::of(release));
        self.report.release(release)
    }

    fn unreadable(&mut self, question: &Question, cause: &anyhow::Error) -> Result<()> {
        self.page.notes.push(format!("{} {} could not be read: {cause:#}", question.release, question.package));
        self.report.unreadable(question, cause)
    }
}

/// Returns the folder that a file is or will be in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns in a few words what all verdicts amount to.
fn outcome(facts: &[Facts], decision: &Decision, cells: &[Cell]) -> String {
    let mut counts: BTreeMap<(Mark, &str), usize> = BTreeMap::new();
    for cell in cells {
        *counts.entry((cell.mark, cell.word)).or_default() += 1;
    }
    let mut parts: Vec<String> = counts.into_iter().map(|((_, word), count)| format!("{count} {word}")).collect();
    let same = decision.same_key_as.iter().flatten().count();
    if same > 0 {
        parts.push(format!("{same} of them with the key of another"));
    }
    match &decision.reference {
        Reference::Signer(_) | Reference::Nobody => {}
        Reference::Tied(count) => {
            let camps = decision.camps.iter().take(*count).filter_map(|camp| camp.signers.first());
            let names: Vec<&str> = camps.map(|&index| facts[index].signer.as_str()).collect();
            parts.push(format!("a tie between {}", names.join(", ")));
        }
        Reference::Unknown(signer) => parts.push(format!("{signer} has no folder")),
        Reference::Unusable(index) => parts.push(format!("nothing of {} to compare with", facts[*index].signer)),
    }
    parts.extend(decision.unmet.iter().map(ToString::to_string));
    if parts.is_empty() { "nobody".to_owned() } else { parts.join(", ") }
}

/// Returns how good a verdict is.
fn mark(verdict: &Verdict) -> Mark {
    match verdict {
        Verdict::Ok => Mark::Good,
        Verdict::Mismatch(_) | Verdict::BadSignature | Verdict::WrongKey(_) => Mark::Bad,
        Verdict::Refused(_) | Verdict::Unreadable(_) => Mark::Bad,
        Verdict::NotCompared | Verdict::NoKey => Mark::Open,
        Verdict::MissingResult | Verdict::MissingSignature => Mark::Missing,
    }
}

fn line(line: &Line) -> String {
    match line {
        Line::Reference(line) => format!("- {line}"),
        Line::Signer(line) => format!("+ {line}"),
    }
}

/// A page of which every text wants to be something else.
#[cfg(test)]
fn hostile() -> Page {
    let text = "<script>alert(1)</script>\" onmouseover=\"x' | `a` [x](y) \u{1b}[2J\u{202e} @alice@example.org\n<img>";
    let cell = |signer: &str, mark, word, reasons: &[&str]| Cell {
        signer: signer.to_owned(),
        mark,
        word,
        short: reasons.first().map(|reason| (*reason).to_owned()),
        reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        lines: vec![format!("- {text}")],
        more_lines: 0,
    };
    let bob = cell("bob", Mark::Bad, "MISMATCH", &["what was built differs & more", text]);
    let other = Row {
        release: "2.0".into(),
        package: text.into(),
        mark: Mark::Good,
        outcome: "1 agrees".into(),
        cells: vec![bob.clone(), cell(text, Mark::Good, "OK", &[])],
    };
    let row =
        Row { release: text.into(), package: "app".into(), mark: Mark::Bad, outcome: text.into(), cells: vec![bob] };
    Page { title: text.into(), notes: vec![text.into()], rows: vec![row, other] }
}
