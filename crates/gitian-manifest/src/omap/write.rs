//! Writes the dialect: which style each value gets. How a style looks (indentation, folding, escapes) is left to
//! libyaml, as in Psych.
//!
//! Source: Psych 4.0.3 on libyaml 0.2.5, observed: ../shared/spec/formats.md, ../shared/data/psych/oracle.json.

use libyaml_safer::{Emitter, Encoding, Event, MappingStyle, STR_TAG, ScalarStyle, SequenceStyle};

use super::plain::is_text;
use super::{OMap, Value};

pub(super) const OMAP_TAG: &str = "tag:yaml.org,2002:omap";

/// Writes a document that holds a map.
pub fn document(map: &OMap) -> Vec<u8> {
    let bytes = written(map, None);
    // Psych escapes characters beyond the basic plane, our libyaml does not know that: they are handed to it as escapes
    // whose backslash is a character that the document does not have.
    let beyond_basic_plane = |&byte: &u8| byte >= 0xf0;
    if !bytes.iter().any(beyond_basic_plane) {
        return bytes;
    }
    let text = String::from_utf8_lossy(&bytes);
    let Some(backslash) = ('\u{e000}'..='\u{f8ff}').find(|&c| !text.contains(c)) else { return bytes };
    String::from_utf8_lossy(&written(map, Some(backslash))).replace(backslash, "\\").into_bytes()
}

fn written(map: &OMap, backslash: Option<char>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut emitter = Emitter::new();
    emitter.set_output_string(&mut bytes);
    emitter.set_unicode(true);
    // Only events in a wrong order, an empty tag or a failing output are refused.
    if let Err(error) = (Writer { emitter, backslash }).document(map) {
        unreachable!("a whole document cannot be refused: {error}");
    }
    bytes
}

struct Writer<'w> {
    emitter: Emitter<'w>,
    /// What stands for the backslash of an escape that we write ourselves.
    backslash: Option<char>,
}

impl Writer<'_> {
    fn document(mut self, map: &OMap) -> libyaml_safer::Result<()> {
        self.emitter.emit(Event::stream_start(Encoding::Utf8))?;
        self.emitter.emit(Event::document_start(None, &[], false))?;
        self.omap(map)?;
        self.emitter.emit(Event::document_end(true))?;
        self.emitter.emit(Event::stream_end())
    }

    fn value(&mut self, value: &Value) -> libyaml_safer::Result<()> {
        match value {
            Value::Null => self.plain(""),
            Value::Literal(word) => self.plain(word),
            Value::Text(text) => self.text(text),
            Value::Binary(base64) => self.scalar(Some("!binary"), base64, false, ScalarStyle::Literal),
            Value::List(list) => {
                self.emitter.emit(Event::sequence_start(None, None, true, SequenceStyle::Block))?;
                list.iter().try_for_each(|value| self.value(value))?;
                self.emitter.emit(Event::sequence_end())
            }
            Value::Map(map) => {
                self.emitter.emit(Event::mapping_start(None, None, true, MappingStyle::Block))?;
                map.entries.iter().try_for_each(|(key, value)| self.value(key).and_then(|()| self.value(value)))?;
                self.emitter.emit(Event::mapping_end())
            }
            Value::OMap(map) => self.omap(map),
        }
    }

    /// A list of mappings of one entry each.
    fn omap(&mut self, map: &OMap) -> libyaml_safer::Result<()> {
        self.emitter.emit(Event::sequence_start(None, Some(OMAP_TAG), false, SequenceStyle::Block))?;
        for (key, value) in &map.entries {
            self.emitter.emit(Event::mapping_start(None, None, true, MappingStyle::Block))?;
            self.value(key)?;
            self.value(value)?;
            self.emitter.emit(Event::mapping_end())?;
        }
        self.emitter.emit(Event::sequence_end())
    }

    fn text(&mut self, text: &str) -> libyaml_safer::Result<()> {
        let escaped = |backslash| {
            let escape = |c: char| if c > '\u{ffff}' { format!("{backslash}U{:08X}", c as u32) } else { c.to_string() };
            text.chars().map(escape).collect::<String>()
        };
        match (text, self.backslash) {
            // Plain, this would merge one mapping into another.
            ("<<", _) => self.scalar(Some(STR_TAG), text, false, ScalarStyle::SingleQuoted),
            (_, Some(backslash)) if text.contains(|c| c > '\u{ffff}') => {
                self.scalar(None, &escaped(backslash), true, ScalarStyle::DoubleQuoted)
            }
            _ => self.scalar(None, text, true, style_of(text)),
        }
    }

    fn plain(&mut self, word: &str) -> libyaml_safer::Result<()> {
        self.scalar(None, word, true, ScalarStyle::Plain)
    }

    fn scalar(
        &mut self,
        tag: Option<&str>,
        text: &str,
        implicit: bool,
        style: ScalarStyle,
    ) -> libyaml_safer::Result<()> {
        self.emitter.emit(Event::scalar(None, tag, text, implicit, implicit, style))
    }
}

/// Returns the style that Psych asks for; libyaml takes another where that one cannot hold the text.
fn style_of(text: &str) -> ScalarStyle {
    if has_inner_newline(text) {
        ScalarStyle::Literal
    } else if matches!(text, "y" | "n") || looks_like_an_indicator(text) {
        ScalarStyle::DoubleQuoted
    } else if !text.contains('\n') && !is_text(text) || looks_like_a_broken_octal(text) {
        ScalarStyle::SingleQuoted
    } else {
        ScalarStyle::Plain
    }
}

/// A newline that is neither the last character nor followed by the last newline only.
fn has_inner_newline(text: &str) -> bool {
    text.match_indices('\n').any(|(at, _)| !matches!(&text[at + 1..], "" | "\n"))
}

/// A line whose first character is no part of a word, and no double quote between it and the end of some line.
fn looks_like_an_indicator(text: &str) -> bool {
    let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    line_starts.map(|start| &text[start..]).any(|line| {
        let mut rest = line.chars();
        match rest.next() {
            None => false,
            Some(first) if is_word(first) => false,
            Some(_) => match rest.as_str().split_once('"') {
                None => true,
                Some((before, _)) => before.contains('\n'),
            },
        }
    })
}

/// Letters, marks, decimal digits and connectors such as `_`; not joiners, other than in regular expressions of Rust.
fn is_word(c: char) -> bool {
    let joiner = matches!(c, '\u{200c}' | '\u{200d}');
    !joiner && regex_syntax::try_is_word_character(c).unwrap_or_else(|_| c.is_alphanumeric())
}

/// `089`: octal digits, then one that is none.
fn looks_like_a_broken_octal(text: &str) -> bool {
    text.starts_with('0') && text.trim_start_matches(|c| matches!(c, '0'..='7')).starts_with(['8', '9'])
}
