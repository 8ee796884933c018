//! The YAML of a descriptor as a tree in which every value knows its place and is kept as it was written.
//!
//! Read from parser events, because a value type of a YAML library forgets places, the spelling of numbers and repeated
//! keys. Aliases and merge keys are resolved here, within limits; what a key may hold is `parse`'s business.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use libyaml_safer::{Event, EventData, Parser, ScalarStyle};

use crate::Finding;
use crate::finding::Lines;
use crate::names::Shown;
use crate::syntax;

/// How many values a descriptor may hold. One that is used again through an alias counts again, and a long text counts as
/// several, so that a small file cannot stand for gigabytes.
const VALUES: usize = 100_000;
/// How much of a text counts as one more value, in bytes.
const LONG_TEXT: usize = 1024;
/// How long a key may be, in bytes.
const KEY_LENGTH: usize = 200;
/// How deep values may lie in one another.
const DEPTH: u32 = 32;

/// A value.
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) content: Content,
    /// Values in here, itself among them.
    values: usize,
    /// Levels in here, its own among them.
    levels: u32,
}

pub(crate) enum Content {
    /// Text as written; `plain` without quotes, not as a block and without a tag, so that it may mean a boolean or nothing.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: Rc<str>,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Rc<Node>,
}

impl Node {
    /// Whether this is YAML's way to say nothing: `key:`, `~`, `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Text { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Returns the entries of a list.
    pub(crate) fn items(&self) -> &[Rc<Node>] {
        if let Content::List(items) = &self.content { items } else { &[] }
    }

    /// Returns the value of a map's key.
    pub(crate) fn value(&self, key: &str) -> Option<&Node> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().find(|entry| &*entry.key == key).map(|entry| &*entry.value)
    }

    /// Returns a text as it was written.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Content::Text { text, .. } = &self.content { Some(text) } else { None }
    }

    /// Returns what kind of value this is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Text { .. } if self.is_null() => "nothing",
            Content::Text { .. } => "a text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}

/// Reads the one document of a descriptor; `None` when there is none, or when nothing of use was found in it.
pub(crate) fn compose(source: &str, lines: &Lines<'_>, findings: &mut Vec<Finding>) -> Option<Rc<Node>> {
    if let Some(finding) = syntax::unreadable(source, lines).or_else(|| syntax::directive(source, lines)) {
        findings.push(finding);
        return None;
    }
    let text = Terminated::new(source);
    let commas = tags_before_commas(&text.text);
    if !commas.is_empty() {
        // The parser panics at a tag with a comma behind it. With another letter for the '!', the places of all values
        // are the same, and it can be seen whether this is a tag or part of a script.
        let mut masked = text.text.clone().into_bytes();
        commas.iter().for_each(|at| masked[*at] = b'x');
        let mut trial = Composer::new(source, lines, &text, &masked);
        trial.tags = commas;
        let end = trial.document();
        if end.is_err() || trial.found_tag {
            findings.append(&mut trial.findings);
            findings.extend(end.err());
            return None;
        }
    }
    let mut composer = Composer::new(source, lines, &text, text.text.as_bytes());
    let root = composer.document();
    findings.append(&mut composer.findings);
    root.unwrap_or_else(|fatal| {
        findings.push(fatal);
        None
    })
}

/// A source as the parser is given it: it panics where a block ends without a line break.
struct Terminated {
    text: String,
    /// Where it begins in the source: behind a byte order mark.
    offset: usize,
    /// Whether the last line break is ours, and not part of a script.
    added: bool,
}

impl Terminated {
    fn new(source: &str) -> Self {
        let text = source.trim_start_matches('\u{feff}');
        let offset = source.len() - text.len();
        let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
        // Blanks behind the last line break mean nothing.
        let text = match text.trim_end_matches([' ', '\t']) {
            trimmed if trimmed.is_empty() || trimmed.ends_with(breaks) => trimmed,
            _ => text,
        };
        let added = !text.is_empty() && !text.ends_with(breaks);
        Self { text: if added { format!("{text}\n") } else { text.to_owned() }, offset, added }
    }
}

/// Returns every '!' that has a comma behind it in the same word.
fn tags_before_commas(text: &str) -> Vec<usize> {
    let mut comma = false;
    let mut found = Vec::new();
    for (at, c) in text.char_indices().rev() {
        match c {
            ',' => comma = true,
            '!' if comma => found.push(at),
            _ if c.is_whitespace() => comma = false,
            _ => {}
        }
    }
    found.reverse();
    found
}

struct Composer<'s, 'p> {
    source: &'s str,
    lines: &'s Lines<'s>,
    text: &'s Terminated,
    findings: Vec<Finding>,
    /// Where a '!' was masked.
    tags: Vec<usize>,
    /// Whether one of them begins a value.
    found_tag: bool,
    /// Values by anchor; `None` while a value is still being read.
    anchors: HashMap<String, Option<Rc<Node>>>,
    /// Values so far.
    values: usize,
    parser: Parser<&'p [u8]>,
}

/// A finding behind which nothing can be read.
type Fatal = Finding;

impl<'s, 'p> Composer<'s, 'p> {
    fn new(source: &'s str, lines: &'s Lines<'s>, text: &'s Terminated, input: &'p [u8]) -> Self {
        let mut parser = Parser::new();
        parser.set_input(input);
        Self {
            source,
            lines,
            text,
            findings: Vec::new(),
            tags: Vec::new(),
            found_tag: false,
            anchors: HashMap::new(),
            values: 0,
            parser,
        }
    }

    fn document(&mut self) -> Result<Option<Rc<Node>>, Fatal> {
        let mut root = None;
        let mut documents = 0;
        loop {
            let event = self.next()?;
            let span = self.span(&event);
            match event.data {
                EventData::StreamEnd => return Ok(root),
                EventData::StreamStart { .. } | EventData::DocumentEnd { .. } => {}
                EventData::DocumentStart { .. } if documents > 0 => {
                    let hint = "a descriptor is one YAML document; remove the line, or make two files".to_owned();
                    return Err(self.lines.finding(span, "a second document begins here", Some(hint)));
                }
                EventData::DocumentStart { .. } => documents += 1,
                _ => root = Some(self.node(event, 1)?),
            }
        }
    }

    fn next(&mut self) -> Result<Event, Fatal> {
        self.parser.parse().map_err(|error| syntax::explained(&error, self.source, self.lines, self.text.offset))
    }

    fn span(&self, event: &Event) -> Range<usize> {
        let place = |index: u64| usize::try_from(index).unwrap_or(usize::MAX).saturating_add(self.text.offset);
        place(event.start_mark.index)..place(event.end_mark.index)
    }

    fn node(&mut self, event: Event, depth: u32) -> Result<Rc<Node>, Fatal> {
        let mut span = self.span(&event);
        if depth > DEPTH {
            return Err(self.lines.finding(span, format!("values lie in one another more than {DEPTH} deep"), None));
        }
        let own_values = match &event.data {
            EventData::Scalar { value, .. } => 1 + value.len() / LONG_TEXT,
            _ => 1,
        };
        self.count(own_values, &span)?;
        let (anchor, content) = match event.data {
            EventData::Alias { anchor } => return self.alias(&anchor, span, depth),
            EventData::Scalar { anchor, tag, mut value, style, .. } => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if block && self.text.added && span.end == self.text.offset + self.text.text.len() {
                    value = value.strip_suffix('\n').map(str::to_owned).unwrap_or(value);
                }
                if style == ScalarStyle::Plain && self.begins_with_tag(&span) {
                    self.found_tag = true;
                    let tag = self.source.get(span.clone()).unwrap_or("!");
                    self.refuse_tag(tag, &span);
                }
                self.check_tag(tag.as_deref(), &["!", libyaml_safer::STR_TAG], &span);
                (anchor, Content::Text { text: value, plain })
            }
            EventData::SequenceStart { anchor, tag, .. } => {
                self.check_tag(tag.as_deref(), &["!", libyaml_safer::SEQ_TAG], &span);
                self.begin(anchor.as_deref());
                let mut items = Vec::new();
                loop {
                    let event = self.next()?;
                    if event.data == EventData::SequenceEnd {
                        span.end = self.span(&event).end;
                        break;
                    }
                    items.push(self.node(event, depth + 1)?);
                }
                (anchor, Content::List(items))
            }
            EventData::MappingStart { anchor, tag, .. } => {
                self.check_tag(tag.as_deref(), &["!", libyaml_safer::MAP_TAG], &span);
                self.begin(anchor.as_deref());
                let mut pairs = Vec::new();
                loop {
                    let event = self.next()?;
                    if event.data == EventData::MappingEnd {
                        span.end = self.span(&event).end;
                        break;
                    }
                    let key = self.node(event, depth + 1)?;
                    let event = self.next()?;
                    pairs.push((key, self.node(event, depth + 1)?));
                }
                (anchor, Content::Map(self.entries(pairs)))
            }
            _ => return Err(self.lines.finding(span, "is not YAML", None)),
        };
        let (values, levels) = match &content {
            Content::Text { .. } => (0, 0),
            Content::List(items) => measure(items.iter()),
            Content::Map(entries) => measure(entries.iter().map(|entry| &entry.value)),
        };
        let node = Rc::new(Node { span, content, values: values.saturating_add(own_values), levels: levels + 1 });
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, Some(Rc::clone(&node)));
        }
        Ok(node)
    }

    /// Whether a masked '!' begins this plain text, or follows its anchor or tag.
    fn begins_with_tag(&self, span: &Range<usize>) -> bool {
        let behind_blank = |at: &usize| self.text.text[..*at].ends_with(|c: char| c.is_whitespace());
        let begin = span.start - self.text.offset;
        let from = self.tags.partition_point(|at| *at < begin);
        let mut inside = self.tags[from..].iter().take_while(|at| **at + self.text.offset < span.end);
        inside.any(|at| *at == begin || self.text.text[begin..].starts_with(['&', '!']) && behind_blank(at))
    }

    fn begin(&mut self, anchor: Option<&str>) {
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor.to_owned(), None);
        }
    }

    fn count(&mut self, values: usize, span: &Range<usize>) -> Result<(), Fatal> {
        self.values = self.values.saturating_add(values);
        if self.values <= VALUES {
            return Ok(());
        }
        let message = format!("more than {VALUES} values, aliases counted as often as they are used, are too many");
        Err(self.lines.finding(span.clone(), message, None))
    }

    fn alias(&mut self, anchor: &str, span: Range<usize>, depth: u32) -> Result<Rc<Node>, Fatal> {
        let message = match self.anchors.get(anchor) {
            Some(Some(node)) => {
                let node = Rc::clone(node);
                self.count(node.values, &span)?;
                if depth + node.levels > DEPTH {
                    let message = format!("values lie in one another more than {DEPTH} deep");
                    return Err(self.lines.finding(span, message, None));
                }
                return Ok(node);
            }
            Some(None) => format!("'*{anchor}' lies in the value that it stands for"),
            None => format!("'*{anchor}' stands for nothing: there is no '&{anchor}' above"),
        };
        self.findings.push(self.lines.finding(span.clone(), message, None));
        let content = Content::Text { text: String::new(), plain: true };
        Ok(Rc::new(Node { span, content, values: 1, levels: 1 }))
    }

    fn check_tag(&mut self, tag: Option<&str>, known: &[&str], span: &Range<usize>) {
        if let Some(tag) = tag.filter(|tag| !known.contains(tag)) {
            let tag = tag.strip_prefix("tag:yaml.org,2002:").map_or(tag.to_owned(), |core| format!("!!{core}"));
            self.refuse_tag(&tag, span);
        }
    }

    fn refuse_tag(&mut self, tag: &str, span: &Range<usize>) {
        let message = format!("the tag {} has no meaning in a descriptor", Shown(tag));
        let hint = "remove it; a text that begins with '!' needs quotes".to_owned();
        self.findings.push(self.lines.finding(span.clone(), message, Some(hint)));
    }

    /// Names the keys, refuses repeated ones, and puts merged maps (`<<: *base`) behind: a map's own keys come first.
    fn entries(&mut self, pairs: Vec<(Rc<Node>, Rc<Node>)>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: HashMap<Rc<str>, Range<usize>> = HashMap::new();
        let mut merged = Vec::new();
        for (key, value) in pairs {
            let key_span = key.span.clone();
            let Content::Text { text, plain } = &key.content else {
                let message = format!("a key must be a word, not {}", key.kind());
                self.findings.push(self.lines.finding(key_span, message, None));
                continue;
            };
            if text.len() > KEY_LENGTH {
                let message = format!("key {} is longer than {KEY_LENGTH} bytes", Shown(text));
                self.findings.push(self.lines.finding(key_span, message, None));
                continue;
            }
            if let Some(first) = places.get(text.as_str()) {
                let (first, second) = (self.lines.line(first.start), self.lines.line(key_span.start));
                let message = match first == second {
                    true => format!("key {} is twice in line {first}", Shown(text)),
                    false => format!("key {} is in line {first} and again in line {second}", Shown(text)),
                };
                let hint = "keep one of them; gitian-builder silently takes the last".to_owned();
                self.findings.push(self.lines.finding(key_span, message, Some(hint)));
                continue;
            }
            let name: Rc<str> = text.as_str().into();
            places.insert(Rc::clone(&name), key_span.clone());
            if *plain && text == "<<" {
                merged.push(value);
            } else {
                entries.push(Entry { key: name, key_span, value });
            }
        }
        for value in merged {
            let maps = match &value.content {
                Content::List(items) => items.clone(),
                _ => vec![value],
            };
            for map in maps {
                let Content::Map(more) = &map.content else {
                    let message = format!("'<<' takes in a map, not {}", map.kind());
                    self.findings.push(self.lines.finding(map.span.clone(), message, None));
                    continue;
                };
                for entry in more {
                    if !places.contains_key(&entry.key) {
                        places.insert(Rc::clone(&entry.key), entry.key_span.clone());
                        entries.push(entry.clone());
                    }
                }
            }
        }
        entries
    }
}

/// Sums the values and finds the depth of what lies in a list or map.
fn measure<'n>(nodes: impl Iterator<Item = &'n Rc<Node>>) -> (usize, u32) {
    nodes.fold((0, 0), |(values, levels), node| (node.values.saturating_add(values), node.levels.max(levels)))
}
