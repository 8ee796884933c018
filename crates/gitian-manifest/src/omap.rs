//! The ordered-map dialect of YAML: values and maps in it. `read` knows every spelling found in real sigs trees,
//! `lift` how long manifests are read fast, `write` the spelling that Ruby's Psych writes today, `plain` which plain words are not
//! text. What the entries mean is left
//! to `report` and `assertion`.

mod lift;
mod plain;
mod read;
mod write;

use anyhow::Result;

pub use read::LIMIT;

/// A value in a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing: `optionals:`.
    #[default]
    Null,
    /// A plain word that YAML does not take for text (a number, a boolean, a date), as it is written.
    Literal(String),
    /// Text.
    Text(String),
    /// Bytes that are no text, in the base64 that the document has.
    Binary(String),
    /// A list.
    List(Vec<Value>),
    /// A plain mapping.
    Map(OMap),
    /// An ordered map.
    OMap(OMap),
}

impl Value {
    /// Returns a text, or a plain word as it is written.
    pub fn as_written(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Literal(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Entries in their order; a key occurs once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OMap {
    /// Key and value.
    pub entries: Vec<(Value, Value)>,
}

impl OMap {
    /// Reads a document that holds one ordered map or one plain mapping, of at most [`LIMIT`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        read::document(bytes)
    }

    /// Writes the document that holds this map.
    pub fn render(&self) -> Vec<u8> {
        write::document(self)
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(at, _)| is(at, key)).map(|(_, value)| value)
    }

    /// Returns the value of a key.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.entries.iter_mut().find(|(at, _)| is(at, key)).map(|(_, value)| value)
    }

    /// Replaces the value of a key where it is, or appends the entry.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.get_mut(key) {
            Some(place) => *place = value,
            None => self.entries.push((key.into(), value)),
        }
    }
}

fn is(value: &Value, key: &str) -> bool {
    matches!(value, Value::Text(text) if text == key)
}
