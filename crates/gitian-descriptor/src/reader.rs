//! Reads single values of a descriptor's tree and notes what is wrong with them; which keys there are and what they ask
//! of each other is `parse`'s business.

use std::ops::Range;
use std::str::FromStr;

use crate::finding::Lines;
use crate::names::Shown;
use crate::node::{Content, Entry, Node};
use crate::written::{boolean, read_differently};
use crate::{Finding, NameRefused};

/// What was found so far.
pub(crate) struct Reader<'s> {
    pub(crate) lines: &'s Lines<'s>,
    pub(crate) refusals: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

/// The keys of one map.
pub(crate) struct Keys<'n> {
    entries: &'n [Entry],
    /// Where the map begins: the place of what is missing in it.
    span: Range<usize>,
    /// The key it belongs to; empty for the descriptor itself.
    place: &'static str,
}

impl<'n> Keys<'n> {
    /// Returns a key's value; one that says nothing (`files:`) counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|entry| &*entry.key == key)?;
        Some(&*entry.value).filter(|node| !node.is_null())
    }

    /// Returns how many entries a key's list has.
    pub(crate) fn count(&self, key: &str) -> usize {
        match self.get(key).map(|node| &node.content) {
            Some(Content::List(items)) => items.len(),
            Some(_) => 1,
            None => 0,
        }
    }

    /// Returns what messages call a key: `suites`, `remotes: url`.
    fn label(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}: {key}", self.place) }
    }
}

impl Reader<'_> {
    pub(crate) fn refuse(&mut self, node: &Node, message: String, hint: Option<String>) {
        self.refusals.push(self.lines.finding(node.span.clone(), message, hint));
    }

    /// Refuses that a key is absent or without value. A misspelt key that is there explains it, else an example does.
    pub(crate) fn missing(&mut self, keys: &Keys<'_>, key: &str, message: String, example: &str) {
        if let Some(entry) = keys.entries.iter().find(|entry| &*entry.key == key) {
            let message = format!("{} has no value", keys.label(key));
            let hint = Some(format!("for example {example}"));
            self.refusals.push(self.lines.finding(entry.key_span.clone(), message, hint));
            return;
        }
        let misspelt = keys.entries.iter().find(|entry| nearest(&entry.key, &[key]).is_some());
        let hint = match misspelt {
            Some(entry) => format!("is {} in line {} meant?", Shown(&entry.key), self.lines.line(entry.key_span.start)),
            None => format!("for example {example}"),
        };
        self.refusals.push(self.lines.finding(keys.span.clone(), message, Some(hint)));
    }

    /// Returns the keys of a map, and warns of those that nothing reads.
    pub(crate) fn keys<'n>(&mut self, place: &'static str, node: &'n Node, known: &[&str]) -> Option<Keys<'n>> {
        let Content::Map(entries) = &node.content else {
            let (what, hint) = match place {
                "" => ("a descriptor is a map of keys".to_owned(), "begin with a line such as name: hello".to_owned()),
                _ => (format!("{place}: an entry is a map of keys"), format!("its keys are {}", known.join(", "))),
            };
            self.refuse(node, format!("{what}, not {}", node.kind()), Some(hint));
            return None;
        };
        let of = if place.is_empty() { String::new() } else { format!("{place}: ") };
        for entry in entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            let hint = nearest(&entry.key, known).map(|near| format!("is '{near}' meant?"));
            let message = format!("{of}unknown key {} is ignored", Shown(&entry.key));
            self.warnings.push(self.lines.finding(entry.key_span.clone(), message, hint));
        }
        Some(Keys { entries, span: node.span.clone(), place })
    }

    /// Reads a list; an absent one is empty.
    pub(crate) fn list<T>(
        &mut self,
        keys: &Keys<'_>,
        key: &str,
        read: impl Fn(&mut Self, &str, &Node) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = keys.get(key) else { return Vec::new() };
        let label = keys.label(key);
        let Content::List(items) = &node.content else {
            let hint = match &node.content {
                Content::Text { text, .. } if text.len() < 80 && !text.contains(|c: char| c.is_control()) => {
                    Some(format!("write {key}: [{text}]"))
                }
                Content::Map(_) => Some("each line of a list begins with '- '".to_owned()),
                _ => None,
            };
            self.refuse(node, format!("{label}: a list is wanted, not {}", node.kind()), hint);
            return Vec::new();
        };
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            if !item.is_null() {
                values.extend(read(self, &label, item));
            } else if key == "packages" {
                // Kept: the original joins the packages with blanks, and takes no notice.
                let message = format!("{label}: an entry without a name is ignored");
                self.warnings.push(self.lines.finding(item.span.clone(), message, None));
            } else {
                self.refuse(item, format!("{label}: an entry is empty"), Some("fill or remove it".to_owned()));
            }
        }
        values
    }

    /// Reads a key that must be there.
    pub(crate) fn required<T>(
        &mut self,
        keys: &Keys<'_>,
        key: &str,
        example: &str,
        read: impl Fn(&mut Self, &str, &Node) -> Option<T>,
    ) -> Option<T> {
        let label = keys.label(key);
        match keys.get(key) {
            Some(node) => read(self, &label, node),
            None => {
                let of = if keys.place.is_empty() { String::new() } else { format!("{}: ", keys.place) };
                self.missing(keys, key, format!("{of}key '{key}' is missing"), example);
                None
            }
        }
    }

    /// Reads a text as it was written, whatever YAML would make of it.
    pub(crate) fn text<'n>(&mut self, label: &str, node: &'n Node) -> Option<&'n str> {
        if let Some(text) = node.text() {
            return Some(text);
        }
        let hint = matches!(node.content, Content::Map(_)).then(|| "put it in quotes if ': ' belongs to it".to_owned());
        self.refuse(node, format!("{label}: a text is wanted, not {}", node.kind()), hint);
        None
    }

    /// Reads a text that must pass a check.
    pub(crate) fn checked(
        &mut self,
        label: &str,
        node: &Node,
        check: impl Fn(&str) -> Result<(), &'static str>,
        hint: &str,
    ) -> Option<String> {
        let text = self.text(label, node)?;
        match check(text) {
            Ok(()) => Some(text.to_owned()),
            Err(reason) => {
                self.refuse(node, format!("{label} {} {reason}", Shown(text)), Some(hint.to_owned()));
                None
            }
        }
    }

    /// Reads a checked name.
    pub(crate) fn name<T: FromStr<Err = NameRefused>>(&mut self, label: &str, node: &Node) -> Option<T> {
        let text = self.text(label, node)?;
        let refused = match text.parse() {
            Ok(name) => {
                self.warn_if_read_differently(label, node);
                return Some(name);
            }
            Err(refused) => refused,
        };
        // `remotes: url 'x'` rather than `remotes: url: url 'x'`.
        let message = match label.strip_suffix(refused.kind) {
            Some(rest) => format!("{rest}{refused}"),
            None => format!("{label}: {refused}"),
        };
        self.refuse(node, message, hint(label, text).map(str::to_owned));
        None
    }

    pub(crate) fn warn_if_read_differently(&mut self, label: &str, node: &Node) {
        let Content::Text { text, plain: true } = &node.content else { return };
        // A date and time in quotes and one without are meant alike.
        if read_differently(text) && label != "reference_datetime" {
            let message = format!("{label}: {text} is taken as written; gitian-builder reads another value there");
            let hint = Some(format!("put it in quotes: '{text}'"));
            self.warnings.push(self.lines.finding(node.span.clone(), message, hint));
        }
    }

    /// Reads a boolean; an absent one is `default`.
    pub(crate) fn boolean(&mut self, keys: &Keys<'_>, key: &str, words: &str, default: bool) -> bool {
        let Some(node) = keys.get(key) else { return default };
        let Content::Text { text, plain } = &node.content else {
            self.refuse(node, format!("{key}: {words} is wanted, not {}", node.kind()), None);
            return default;
        };
        match boolean(text) {
            // The original takes any text for true, one in quotes as well.
            Some(false) if !plain && key != "network" => {
                let message = format!("{key} {} is in quotes, which gitian-builder takes for true", Shown(text));
                self.refuse(node, message, Some("remove the quotes".to_owned()));
                default
            }
            Some(value) => value,
            None => {
                self.refuse(node, format!("{key}: {words} is wanted, not {}", Shown(text)), None);
                default
            }
        }
    }
}

/// Returns the known key that was probably meant.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let lower = key.to_lowercase();
    let distance = |known: &str| match known.strip_prefix(lower.as_str()) {
        Some(_) if lower.len() >= 4 => 1,
        _ => strsim::osa_distance(&lower, known),
    };
    let near = known.iter().map(|known| (distance(known), *known)).min()?;
    (near.0 <= near.1.len() / 3).then_some(near.1)
}

/// What would be right instead of a refused name.
fn hint(label: &str, text: &str) -> Option<&'static str> {
    let key = label.rsplit(": ").next().unwrap_or(label);
    Some(match key {
        "files" if text.contains('/') => "put the file directly into inputs/ and name it without the folder",
        "files" => "rename the file, here and in inputs/",
        "url" if text.contains('$') => "variables are not known here: write the whole URL",
        "dir" => "name one folder, such as hello",
        "commit" if text.contains('/') => "name a tag, or the commit itself",
        "packages" if text.contains([' ', ',']) => "one package per entry: [gcc, make]",
        "suites" if text.contains([' ', ',']) => "one suite per entry: [bullseye, bookworm]",
        "reference_datetime" => "write \"YYYY-MM-DD HH:MM:SS\", in UTC",
        _ => return None,
    })
}
