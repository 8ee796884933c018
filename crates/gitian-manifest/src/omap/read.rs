//! Reads the dialect in every spelling found in real sigs trees, and refuses everything else: object tags, aliases, deep
//! nesting, huge documents, web pages. All input is hostile.

use std::collections::HashSet;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result, anyhow, bail, ensure};
use libyaml_safer::{Encoding, EventData, NULL_TAG, Parser, SEQ_TAG, STR_TAG, ScalarStyle};

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
    let text = std::str::from_utf8(bytes)
        .map_err(|error| anyhow!("line {}: not UTF-8", line_of(bytes, error.valid_up_to())))?;
    refuse_foreign(text)?;
    // A defect of the YAML library may cost this document its reading, but not the run that reads many.
    catch_unwind(AssertUnwindSafe(|| {
        let mut parser = Parser::new();
        parser.set_encoding(Encoding::Utf8);
        parser.set_input(BufReader::with_capacity(16 * 1024, bytes));
        Reader { parser, line: 1 }.document()
    }))
    .unwrap_or_else(|_| bail!("not readable as YAML"))
}

fn line_of(bytes: &[u8], offset: usize) -> usize {
    1 + bytes[..offset].iter().filter(|&&byte| byte == b'\n').count()
}

/// Refuses what can be told without reading YAML, and what the YAML library cannot take without a panic.
fn refuse_foreign(text: &str) -> Result<()> {
    let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    ensure!(!start.is_empty(), "empty");
    ensure!(!start.starts_with('<'), "a web page, not an ordered map");
    ensure!(!text.ends_with('\\'), "ends in the middle of an escape");
    for (at, _) in text.match_indices('!') {
        let starts_a_tag = text[..at].ends_with([' ', '\t', '\n', '\r', '[', '{', ',', ':', '?', '-']) || at == 0;
        let tag = text[at..].split(char::is_whitespace).next().unwrap_or_default();
        ensure!(!starts_a_tag || !tag.contains(','), "line {}: a tag with a comma", line_of(text.as_bytes(), at));
    }
    Ok(())
}

struct Reader<'b> {
    parser: Parser<BufReader<&'b [u8]>>,
    /// Where the last event began.
    line: u64,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<EventData> {
        let event = self.parser.parse().map_err(|error| match error.problem_mark() {
            Some(mark) => anyhow!("line {}: {}", mark.line + 1, error.problem()),
            None => anyhow!("line {}: {}", self.line, error.problem()),
        })?;
        self.line = event.start_mark.line + 1;
        Ok(event.data)
    }

    fn document(&mut self) -> Result<OMap> {
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
            EventData::Scalar { tag, value, style, .. } => {
                scalar(tag.as_deref(), value, style).with_context(|| format!("line {line}"))
            }
            EventData::SequenceStart { tag, .. } => match tag.as_deref() {
                Some(OMAP_TAG | "!omap") => Ok(Value::OMap(self.omap(depth)?)),
                None | Some("!" | SEQ_TAG) => Ok(Value::List(self.list(depth)?)),
                Some(tag) => bail!("line {line}: a list with the tag {tag}"),
            },
            EventData::MappingStart { tag, .. } => match tag.as_deref() {
                None | Some("!" | libyaml_safer::MAP_TAG) => Ok(Value::Map(self.map(depth)?)),
                Some(tag) => bail!("line {line}: a map with the tag {tag}"),
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
            Value::List(_) | Value::Map(_) | Value::OMap(_) => bail!("line {line}: a key that is not text"),
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

fn scalar(tag: Option<&str>, text: String, style: ScalarStyle) -> Result<Value> {
    match tag {
        None if style == ScalarStyle::Plain => Ok(match () {
            () if is_null(&text) => Value::Null,
            () if is_text(&text) => Value::Text(text),
            () => Value::Literal(text),
        }),
        None | Some("!" | STR_TAG) => Ok(Value::Text(text)),
        Some("!binary" | "tag:yaml.org,2002:binary") => Ok(Value::Binary(text)),
        Some(NULL_TAG) if is_null(&text) => Ok(Value::Null),
        Some(tag) => bail!("a value with the tag {}", tag.escape_default()),
    }
}
