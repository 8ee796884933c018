//! What is wrong with a descriptor, and where in the file: facts only; drawing them is left to the programs.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Something in a descriptor that is refused or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The text it is about, as a byte range of the source that lies within one line; empty at the end of the file.
    pub span: Range<usize>,
    /// The line in which that begins, from 1.
    pub line: usize,
    /// The character of that line, from 1.
    pub column: usize,
    /// What is wrong: names the key and the value. Lower case, no full stop.
    pub message: String,
    /// What would be right, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// A descriptor that is refused, with all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// The file, as the caller named it.
    pub path: PathBuf,
    /// Its text; what was not UTF-8 is replaced.
    pub source: String,
    /// Why it is refused, in the order of the file; at least one.
    pub findings: Vec<Finding>,
    /// What else was noticed, such as a misspelt key that explains a missing one.
    pub warnings: Vec<Finding>,
}

impl fmt::Display for Refusals {
    /// Writes the first refusal and how many more there are; a program that can draw shows them all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descriptor {}: ", self.path.display())?;
        match self.findings.as_slice() {
            [] => f.write_str("is refused"),
            [only] => write!(f, "{only}"),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
        }
    }
}

impl std::error::Error for Refusals {}

/// Where the lines of a source begin.
pub(crate) struct Lines<'s> {
    source: &'s str,
    starts: Vec<usize>,
}

impl<'s> Lines<'s> {
    pub(crate) fn new(source: &'s str) -> Self {
        let starts = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source, starts }
    }

    /// Returns the line, from 1, that holds this byte.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// Places a finding; what it is about is cut to the line in which it begins.
    pub(crate) fn finding(&self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) -> Finding {
        let begin = self.char_boundary(span.start);
        let line = self.line(begin);
        let start_of_line = self.starts[line - 1];
        let end_of_line = self.starts.get(line).map_or(self.source.len(), |next| next - 1);
        let text = &self.source[begin..self.char_boundary(span.end).clamp(begin, end_of_line.max(begin))];
        let end = begin + text.trim_end().len();
        let before = self.source[start_of_line..begin].trim_start_matches('\u{feff}');
        Finding { span: begin..end, line, column: before.chars().count() + 1, message: message.into(), hint }
    }

    fn char_boundary(&self, at: usize) -> usize {
        let at = at.min(self.source.len());
        (0..=at).rev().find(|at| self.source.is_char_boundary(*at)).unwrap_or(0)
    }
}
