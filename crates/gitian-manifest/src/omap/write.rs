//! Writes the dialect: which style each value gets. How a style looks (indentation, folding, escapes) is left to
//! libyaml, as in Psych.
//!
//! Source: Psych 4.0.3 on libyaml 0.2.5, observed: ../shared/spec/formats.md, ../shared/data/psych/oracle.json.

use libyaml_safer::{Emitter, Encoding, Event, MappingStyle, STR_TAG, ScalarStyle, SequenceStyle};

use super::plain::{is_null, is_text};
use super::{OMap, Value};

pub(super) const OMAP_TAG: &str = "tag:yaml.org,2002:omap";

/// Writes a document that holds a map.
pub fn document(map: &OMap) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut emitter = Emitter::new();
    emitter.set_output_string(&mut bytes);
    emitter.set_unicode(true);
    let mut writer = Writer { emitter };
    let written = writer.document(map);
    drop(writer);
    // libyaml refuses events in a wrong order, empty tags and a failing output: none of them can happen here.
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

struct Writer<'w> {
    emitter: Emitter<'w>,
}

impl Writer<'_> {
    fn document(&mut self, map: &OMap) -> libyaml_safer::Result<()> {
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
        match text {
            // Plain, this would merge one mapping into another.
            "<<" => self.scalar(Some(STR_TAG), text, false, ScalarStyle::SingleQuoted),
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
    } else if is_null(text) || !text.contains('\n') && !is_text(text) || looks_like_a_broken_octal(text) {
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

/// Letters, marks, decimal digits and connectors such as `_`.
fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// `089`: octal digits, then one that is none.
fn looks_like_a_broken_octal(text: &str) -> bool {
    text.starts_with('0') && text.trim_start_matches(|c| matches!(c, '0'..='7')).starts_with(['8', '9'])
}
