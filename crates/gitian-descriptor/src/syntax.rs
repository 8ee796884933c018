//! What is wrong with the YAML of a descriptor, in words of its author rather than of a parser.

use std::ops::Range;

use libyaml_safer::{Error, ErrorKind};

use crate::Finding;
use crate::finding::Lines;

/// Returns what keeps a text from being looked at by a YAML parser at all.
pub(crate) fn unreadable(source: &str, lines: &Lines<'_>) -> Option<Finding> {
    // As libyaml's reader, which also forbids the C1 controls except NEL.
    let printable = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
    let (at, c) = source.char_indices().find(|(_, c)| !printable(*c))?;
    let message = format!("character U+{:04X} is not allowed in YAML", u32::from(c));
    Some(lines.finding(at..at + c.len_utf8(), message, Some("remove it".to_owned())))
}

/// Returns the first directive (`%TAG`) of a text. Descriptors have no use for them, and reading very many of them takes
/// quadratic time.
pub(crate) fn directive(source: &str, lines: &Lines<'_>) -> Option<Finding> {
    let (at, _) = source.match_indices("%TAG").find(|(at, _)| {
        source[..*at].chars().next_back().is_none_or(|c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}'))
    })?;
    Some(lines.finding(at..at + 4, "a descriptor has no %TAG", Some("remove the line".to_owned())))
}

/// Explains why the parser stopped. `offset` is where its text begins in the source.
pub(crate) fn explained(error: &Error, source: &str, lines: &Lines<'_>, offset: usize) -> Finding {
    if let Some(finding) = merge_conflict(source, lines) {
        return finding;
    }
    let place = |mark: Option<libyaml_safer::Mark>| {
        mark.and_then(|mark| usize::try_from(mark.index).ok()).map_or(0, |at| (at + offset).min(source.len()))
    };
    let at = place(error.problem_mark());
    let opened = place(error.context_mark());
    let context = error.context().unwrap_or("");
    let rest = &source[at..];
    let opening = lines.line(opened);
    let (span, message, hint): (Range<usize>, String, &str) = match error.problem() {
        "found unexpected end of stream" | "found unexpected document indicator" if context.contains("quoted") => {
            (opened..opened + 1, "this quote is never closed".into(), "close it, or leave the quotes away")
        }
        "found character that cannot start any token" if rest.starts_with('\t') => {
            (at..at + 1, "a tab cannot indent in YAML".into(), "indent with blanks")
        }
        "found a tab character where an indentation space is expected"
        | "found a tab character that violates indentation" => {
            (at..at + 1, "a tab cannot indent in YAML".into(), "indent with blanks")
        }
        "found character that cannot start any token" => (
            word(source, at),
            format!("a value cannot begin with '{}'", rest.chars().next().unwrap_or(' ').escape_debug()),
            "put the value in quotes",
        ),
        "did not find expected alphabetic or numeric character" => (
            word(source, opened),
            "a value that begins with '*' or '&' is a reference in YAML".into(),
            "put the value in quotes",
        ),
        "mapping values are not allowed in this context" => (
            at..at + 1,
            "a ':' has no place here".into(),
            "a value that holds ': ' needs quotes; a key must be indented like the keys before it",
        ),
        "block sequence entries are not allowed in this context" => {
            (at..at + 1, "a list cannot begin behind a key".into(), "begin it on the next line, or write [a, b]")
        }
        "could not find expected ':'" => (
            rest_of_line(source, opened),
            "this line is neither a key nor part of what is above".into(),
            "a key ends in ':'; the lines of a script must be indented",
        ),
        "did not find expected node content" if rest.trim_start().is_empty() => unclosed_list(source, lines, at),
        "did not find expected ',' or ']'" | "did not find expected ',' or '}'" => (
            opened..opened + 1,
            format!(
                "this '{}' is not closed before line {}",
                source[opened..].chars().next().unwrap_or('['),
                lines.line(at)
            ),
            "close it; entries are parted by ','",
        ),
        "did not find expected key" | "did not find expected '-' indicator" => (
            rest_of_line(source, at),
            format!("this does not belong to what began in line {opening}"),
            "lines that belong together are indented alike; a value with quotes inside needs quotes around it",
        ),
        "did not find expected <document start>" => (
            rest_of_line(source, at),
            "this does not belong to what is above".into(),
            "keys of a descriptor begin at the start of the line",
        ),
        "found undefined tag handle" => {
            (word(source, at), "a value that begins with '!' is a tag in YAML".into(), "put the value in quotes")
        }
        "found unknown escape character" => (
            at..at + 2,
            "this escape is not known in double quotes".into(),
            "write '\\\\' for a backslash, or use single quotes",
        ),
        problem => {
            let context = if context.is_empty() { String::new() } else { format!(" {context}") };
            let message = match error.kind() {
                ErrorKind::Reader => format!("cannot be read: {problem}"),
                _ => format!("is not YAML: {problem}{context}"),
            };
            return lines.finding(word(source, at), message, None);
        }
    };
    lines.finding(span, message, Some(hint.to_owned()))
}

/// An unresolved merge explains every error behind it.
fn merge_conflict(source: &str, lines: &Lines<'_>) -> Option<Finding> {
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        if ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().any(|mark| line.starts_with(mark))
            || line.trim_end() == "======="
        {
            let hint = "decide the merge conflict in this file".to_owned();
            return Some(lines.finding(at..at + line.len(), "this is a mark of a merge conflict", Some(hint)));
        }
        at += line.len();
    }
    None
}

fn unclosed_list(source: &str, lines: &Lines<'_>, end: usize) -> (Range<usize>, String, &'static str) {
    // The parser forgets where it began: the last bracket that nothing behind it closes.
    let mut closed = 0_usize;
    let open = source[..end].char_indices().rev().find(|(_, c)| match c {
        ']' | '}' => {
            closed += 1;
            false
        }
        '[' | '{' if closed > 0 => {
            closed -= 1;
            false
        }
        '[' | '{' => true,
        _ => false,
    });
    let at = open.map_or(end, |(at, _)| at);
    let message = match open {
        Some((_, bracket)) => format!("this '{bracket}' is never closed"),
        None => format!("line {} ends too early", lines.line(end)),
    };
    (at..at + 1, message, "close it; entries are parted by ','")
}

/// The word at a place.
fn word(source: &str, at: usize) -> Range<usize> {
    let length = source[at..].find(|c: char| c.is_whitespace()).unwrap_or(source.len() - at);
    at..at + length
}

fn rest_of_line(source: &str, at: usize) -> Range<usize> {
    let length = source[at..].find(['\n', '\r']).unwrap_or(source.len() - at);
    at..at + length
}
