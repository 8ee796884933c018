//! Draws what is wrong with a descriptor: the message, the line with the text underlined, and what would be right.

use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use gitian_descriptor::{Finding, Loaded, Refusals};

use crate::printable::printable;

/// How many findings are drawn; of a file that is no descriptor at all the first ones say enough.
const DRAWN: usize = 20;

/// Returns all refusals of a descriptor, then its warnings, as lines for a terminal; `path` as the user typed it.
pub fn render(path: &Path, refusals: &Refusals, colour: bool) -> String {
    let mut text = draw(path, &refusals.source, &refusals.findings, &Level::ERROR, colour);
    text += &draw(path, &refusals.source, &refusals.warnings, &Level::WARNING, colour);
    text
}

/// Returns the warnings of a descriptor that was accepted, as lines for a terminal; empty when there are none.
pub fn render_warnings(path: &Path, loaded: &Loaded, colour: bool) -> String {
    draw(path, &loaded.source, &loaded.warnings, &Level::WARNING, colour)
}

/// Returns what is wrong with another file than a descriptor, as lines for a terminal.
pub fn render_findings(path: &Path, source: &str, findings: &[Finding], colour: bool) -> String {
    draw(path, source, findings, &Level::ERROR, colour)
}

fn draw(path: &Path, source: &str, findings: &[Finding], level: &Level<'static>, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let path = printable(&path.display().to_string());
    let mut text = String::new();
    for finding in findings.iter().take(DRAWN) {
        let (line, begin) = line_of(source, finding);
        let span = finding.span.start.saturating_sub(begin)..finding.span.end.saturating_sub(begin);
        let snippet = Snippet::source(line)
            .path(path.as_str())
            .line_start(finding.line)
            .annotation(AnnotationKind::Primary.span(span));
        let mut group = level.clone().primary_title(finding.message.as_str()).element(snippet);
        if let Some(hint) = &finding.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        text += &renderer.render(&[group]);
        text += "\n\n";
    }
    if findings.len() > DRAWN {
        text += &format!("… and {} more\n\n", findings.len() - DRAWN);
    }
    text
}

/// Returns the line of a finding, without its end and without a byte order mark, and where it begins in the source.
fn line_of<'s>(source: &'s str, finding: &Finding) -> (&'s str, usize) {
    let at = finding.span.start.min(source.len());
    let begin = source[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = source[at..].find('\n').map_or(source.len(), |length| at + length);
    let line = &source[begin..end];
    let trimmed = line.trim_start_matches('\u{feff}');
    (trimmed.trim_end_matches('\r'), begin + line.len() - trimmed.len())
}
