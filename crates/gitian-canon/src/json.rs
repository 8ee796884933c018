//! JSON with its keys sorted and nothing between them. A key that occurs twice is refused: readers differ in which counts.

use std::fmt;

use anyhow::{Context, Result};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads a document.
pub(crate) fn read(bytes: &[u8]) -> Result<Value> {
    let Strict(value) = serde_json::from_slice(bytes).context("is no JSON that is taken")?;
    Ok(value)
}

/// Writes a document: its maps are sorted as they are.
pub(crate) fn write(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A value in which no key occurs twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Strict, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = from.next_element()? {
            values.push(value);
        }
        Ok(Strict(Value::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Strict, A::Error> {
        let mut map = Map::new();
        while let Some((key, Strict(value))) = from.next_entry::<String, Strict>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("key {key} occurs twice")));
            }
            map.insert(key, value);
        }
        // Sorted also where somebody else in the program has serde_json keep the order.
        map.sort_keys();
        Ok(Strict(Value::Object(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_not_doubled() {
        for (text, expected) in [
            (
                r#" {"b": [1, -2, 0.5], "a": {"d": null, "c": true}} "#,
                Some(r#"{"a":{"c":true,"d":null},"b":[1,-2,0.5]}"#),
            ),
            (r#"{"size": 18446744073709551615}"#, Some(r#"{"size":18446744073709551615}"#)),
            (r#"{"a": 1, "a": 2}"#, None),
            (r#"[{"a": {"b": 1, "b": 1}}]"#, None),
            ("{", None),
            ("{} {}", None),
        ] {
            let found = read(text.as_bytes()).ok().map(|value| String::from_utf8(write(&value)).unwrap());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
