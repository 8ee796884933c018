//! What a report about releases shows, however it is written down: a matrix of releases and signers, each cell with its
//! reasons. `html` and `markdown` write it. What the words say is known to `gverify`.

pub mod html;
pub mod markdown;

use std::collections::BTreeMap;

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
    /// Why, one sentence each.
    pub reasons: Vec<String>,
    /// Lines that differ, each with `- ` or `+ ` before it.
    pub lines: Vec<String>,
}

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Verified.
    Good,
    /// Verified, and shown to be something else or wrong.
    Bad,
    /// Nothing can be said, for a lack of keys or of something to compare with.
    Open,
    /// There is nothing to check.
    Missing,
}

/// The most lines that differ that a report shows of one signer: the text shows all.
const LINES: usize = 200;

impl Page {
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

impl Cell {
    /// Returns the lines that are shown, and how many are not.
    fn shown_lines(&self) -> (&[String], usize) {
        let shown = self.lines.len().min(LINES);
        (&self.lines[..shown], self.lines.len() - shown)
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
        reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        lines: vec![format!("- {text}")],
    };
    let bob = cell("bob", Mark::Bad, "MISMATCH", &["what was built differs & more", text]);
    let other = Row {
        release: "2.0".into(),
        package: text.into(),
        mark: Mark::Good,
        outcome: "1 agrees".into(),
        cells: vec![bob.clone(), cell(text, Mark::Good, "OK", &[])],
    };
    let row = Row { release: text.into(), package: "app".into(), mark: Mark::Bad, outcome: text.into(), cells: vec![bob] };
    Page { title: text.into(), notes: vec![text.into()], rows: vec![row, other] }
}
