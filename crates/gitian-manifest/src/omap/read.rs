//! Reads the dialect in every spelling found in real sigs trees, and refuses everything else: object tags, aliases, deep
//! nesting, huge documents, web pages. All input is hostile.

use std::collections::HashSet;
use std::io::{BufReader, Chain, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, anyhow, bail, ensure};
use libyaml_safer::{
    Encoding, EventData, MAP_TAG, MappingStyle, NULL_TAG, Parser, SEQ_TAG, STR_TAG, ScalarStyle, SequenceStyle,
};

use super::lift::Lifted;
use super::plain::{is_null, is_text};
use super::write::OMAP_TAG;
use super::{OMap, Value};

/// The largest document that is read, in bytes. A real one has less than a hundredth.
pub const LIMIT: u64 = 64 * 1024 * 1024;

/// How many lists and maps may be inside each other; a report has four.
const DEPTH: usize = 32;

/// Reads a document that holds one map.
pub fn document(bytes: &[u8]) -> Result<OMap> {
    ensure!(bytes.len() as u64 <= LIMIT, "larger than {} MiB", LIMIT / (1024 * 1024));
    let newlines = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
    let text = std::str::from_utf8(bytes)
        .map_err(|error| anyhow!("line {}: not UTF-8", newlines(&bytes[..error.valid_up_to()]) + 1))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = text.trim_start();
    ensure!(!start.is_empty(), "empty");
    ensure!(!start.starts_with('<'), "a web page, not an ordered map");
    let lifted = Lifted::of(text).and_then(|lifted| {
        let map = unlifted(&lifted.text).ok()?;
        lifted.put_back(map)
    });
    // Whatever is wrong has its place in the document as it is.
    lifted.map_or_else(|| unlifted(text), Ok)
}

/// Reads all of a document by the YAML library.
pub(super) fn unlifted(text: &str) -> Result<OMap> {
    // A defect of the YAML library may cost this document its reading, but not the run that reads many.
    catch_unwind(AssertUnwindSafe(|| {
        ensure!(!has_tag_with_comma(text), "a tag with a comma");
        Reader::new(text).document()
    }))
    .unwrap_or_else(|_| bail!("not readable as YAML"))
}

/// Returns whether a tag is followed by a comma, in a list or map in brackets: the YAML library panics at it.
///
/// The same characters in a text are no tag, so what looks like one is replaced, and the library asked for brackets.
fn has_tag_with_comma(text: &str) -> bool {
    let is_suspect = |word: &str| word.split_once('!').is_some_and(|(_, tag)| tag.contains(','));
    if !text.contains(['[', '{']) || !text.split(char::is_whitespace).any(is_suspect) {
        return false;
    }
    let words = text.split_inclusive(char::is_whitespace);
    let harmless: String =
        words.map(|word| if is_suspect(word) { word.replace('!', "_") } else { word.into() }).collect();
    let mut parser = Reader::new(&harmless).parser;
    loop {
        match parser.parse().map(|event| event.data) {
            Ok(EventData::SequenceStart { style: SequenceStyle::Flow, .. }) => match parser.parse() {
                Ok(event) if event.data == EventData::SequenceEnd => {}
                _ => return true,
            },
            Ok(EventData::MappingStart { style: MappingStyle::Flow, .. }) | Err(_) => return true,
            Ok(EventData::StreamEnd) => return false,
            Ok(_) => {}
        }
    }
}

struct Reader<'t> {
    parser: Parser<BufReader<Chain<&'t [u8], &'static [u8]>>>,
    /// Where the last event began.
    line: u64,
    /// Where a newline was added to the text, in bytes.
    added_newline: Option<u64>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        // The YAML library panics at a block of text whose last line has no newline.
        let without_blanks = text.trim_end_matches([' ', '\t']);
        let (text, newline): (_, &[u8]) = match without_blanks.ends_with(['\n', '\r']) {
            true => (without_blanks, b""),
            false => (text, b"\n"),
        };
        let mut parser = Parser::new();
        parser.set_encoding(Encoding::Utf8);
        parser.set_input(BufReader::with_capacity(16 * 1024, text.as_bytes().chain(newline)));
        Self { parser, line: 1, added_newline: (!newline.is_empty()).then_some(text.len() as u64) }
    }

    fn next(&mut self) -> Result<EventData> {
        let mut event = self.parser.parse().map_err(|error| match error.problem_mark() {
            Some(mark) => anyhow!("line {}: {}", mark.line + 1, error.problem()),
            None => anyhow!("line {}: {}", self.line, error.problem()),
        })?;
        self.line = event.start_mark.line + 1;
        if let EventData::Scalar { value, style: ScalarStyle::Literal | ScalarStyle::Folded, .. } = &mut event.data
            && self.added_newline.is_some_and(|at| event.end_mark.index > at)
            && value.ends_with('\n')
        {
            value.pop();
        }
        Ok(event.data)
    }

    fn document(mut self) -> Result<OMap> {
        let mut event = self.next()?;
        while matches!(event, EventData::StreamStart { .. } | EventData::DocumentStart { .. }) {
            event = self.next()?;
        }
        ensure!(!matches!(event, EventData::StreamEnd), "empty");
        let map = match self.value(event, 0)? {
            Value::OMap(map) | Value::Map(map) => map,
            _ => bail!("not an ordered map"),
        };
        ensure!(matches!(self.next()?, EventData::DocumentEnd { .. }), "line {}: more than one map", self.line);
        ensure!(matches!(self.next()?, EventData::StreamEnd), "line {}: a second document", self.line);
        Ok(map)
    }

    /// Reads the value that begins with this event.
    fn value(&mut self, event: EventData, depth: usize) -> Result<Value> {
        let line = self.line;
        ensure!(depth <= DEPTH, "line {line}: nested too deeply");
        match event {
            EventData::Scalar { tag, value, style, .. } => match scalar(tag.as_deref(), value, style) {
                Some(value) => Ok(value),
                None => bail!("line {line}: a value with the tag {}", tag.unwrap_or_default().escape_default()),
            },
            EventData::SequenceStart { tag, .. } => match tag.as_deref() {
                Some(OMAP_TAG | "!omap") => Ok(Value::OMap(self.omap(depth)?)),
                None | Some("!" | SEQ_TAG) => Ok(Value::List(self.list(depth)?)),
                Some(tag) => bail!("line {line}: a list with the tag {}", tag.escape_default()),
            },
            EventData::MappingStart { tag, .. } => match tag.as_deref() {
                None | Some("!" | MAP_TAG) => Ok(Value::Map(self.map(depth)?)),
                Some(tag) => bail!("line {line}: a map with the tag {}", tag.escape_default()),
            },
            EventData::Alias { .. } => bail!("line {line}: an alias"),
            _ => bail!("line {line}: no value"),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                EventData::SequenceEnd => return Ok(list),
                event => list.push(self.value(event, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<OMap> {
        let mut entries = Entries::default();
        loop {
            match self.next()? {
                EventData::MappingEnd => return Ok(entries.map),
                key => self.entry(key, depth, &mut entries)?,
            }
        }
    }

    /// A list of mappings of one entry each.
    fn omap(&mut self, depth: usize) -> Result<OMap> {
        let mut entries = Entries::default();
        loop {
            match self.next()? {
                EventData::SequenceEnd => return Ok(entries.map),
                EventData::MappingStart { tag: None, .. } => {}
                _ => bail!("line {}: an ordered map holds something else than an entry", self.line),
            }
            let key = self.next()?;
            self.entry(key, depth, &mut entries)?;
            ensure!(matches!(self.next()?, EventData::MappingEnd), "line {}: two entries in one place", self.line);
        }
    }

    fn entry(&mut self, key: EventData, depth: usize, entries: &mut Entries) -> Result<()> {
        let line = self.line;
        let key = match self.value(key, depth + 1)? {
            Value::Null | Value::List(_) | Value::Map(_) | Value::OMap(_) => {
                bail!("line {line}: a key that is not text")
            }
            key => key,
        };
        // Two readers could take different ones of two equal keys, and both would be signed.
        ensure!(entries.add_key(&key), "line {line}: the key {} a second time", shown(&key));
        let value = self.next()?;
        let value = self.value(value, depth + 1)?;
        entries.map.entries.push((key, value));
        Ok(())
    }
}

/// A map while it is read, with what is needed to see a key again.
#[derive(Default)]
struct Entries {
    map: OMap,
    seen: HashSet<String>,
}

impl Entries {
    /// Returns whether the key is new.
    fn add_key(&mut self, key: &Value) -> bool {
        self.seen.insert(shown(key))
    }
}

fn shown(key: &Value) -> String {
    match key {
        Value::Binary(base64) => format!("!binary {base64}"),
        key => key.as_written().unwrap_or_default().escape_default().to_string(),
    }
}

/// Returns what a scalar stands for, or nothing if its tag is not one of ours.
fn scalar(tag: Option<&str>, text: String, style: ScalarStyle) -> Option<Value> {
    Some(match tag {
        None if style == ScalarStyle::Plain && is_null(&text) => Value::Null,
        None if style == ScalarStyle::Plain && !is_text(&text) => Value::Literal(text),
        None | Some("!" | STR_TAG) => Value::Text(text),
        Some("!binary" | "tag:yaml.org,2002:binary") => Value::Binary(text),
        Some(NULL_TAG) if is_null(&text) => Value::Null,
        Some(_) => return None,
    })
}
