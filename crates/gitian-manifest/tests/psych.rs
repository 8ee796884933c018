//! Every value whose YAML was recorded from Ruby's Psych is written in the same bytes, and read back.

mod shared;

use std::fs;

use gitian_manifest::{OMap, Value};
use serde_json::Value as Json;

/// Reads base64, as the recorded values and texts are.
fn bytes(base64: &str) -> Vec<u8> {
    let digit =
        |c: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".iter().position(|&d| d == c);
    let group = |chars: &[u8]| {
        let digits: Vec<usize> = chars.iter().map_while(|&c| digit(c)).collect();
        let number = digits.iter().fold(0, |number, digit| number << 6 | digit) << (6 * (4 - digits.len()));
        number.to_be_bytes()[5..][..digits.len() - 1].to_vec()
    };
    base64.as_bytes().chunks(4).flat_map(group).collect()
}

fn value(json: &Json) -> Value {
    if let Some(base64) = json["str_b64"].as_str() {
        // Psych takes bytes for binary that are marked as such and not plain ASCII.
        return match String::from_utf8(bytes(base64)) {
            Ok(text) if json["encoding"] == "UTF-8" || text.is_ascii() => Value::Text(text),
            _ => Value::Binary(base64.to_owned()),
        };
    }
    let pairs = |list: &Json| {
        let pair = |pair: &Json| (value(&pair[0]), value(&pair[1]));
        OMap { entries: list.as_array().unwrap().iter().map(pair).collect() }
    };
    match json.as_object().and_then(|object| object.iter().next()) {
        Some((kind, list)) if kind == "omap" => Value::OMap(pairs(list)),
        Some((kind, list)) if kind == "hash" => Value::Map(pairs(list)),
        Some((kind, list)) if kind == "seq" => Value::List(list.as_array().unwrap().iter().map(value).collect()),
        Some((kind, Json::Null)) if kind == "lit" => Value::Null,
        Some((kind, word)) if kind == "lit" => Value::Literal(word.to_string()),
        _ => panic!("a value of unknown kind: {json}"),
    }
}

fn oracle() -> Option<Vec<(String, OMap, Vec<u8>)>> {
    let recorded = fs::read_to_string(shared::data("psych/oracle.json")?).unwrap();
    let recorded: Json = serde_json::from_str(&recorded).unwrap();
    let case = |case: &Json| {
        let Value::OMap(map) = value(&case["value"]) else { panic!("no ordered map: {case}") };
        (case["label"].as_str().unwrap().to_owned(), map, bytes(case["yaml_b64"].as_str().unwrap()))
    };
    Some(recorded.as_array().unwrap().iter().map(case).collect())
}

#[test]
fn all_recorded_values_are_written_as_psych_wrote_them() {
    let Some(oracle) = oracle() else { return };
    assert_eq!(oracle.len(), 592);
    let wrong: Vec<String> = oracle
        .iter()
        .filter_map(|(label, map, yaml)| {
            let ours = map.render();
            let show = String::from_utf8_lossy;
            (&ours != yaml).then(|| format!("{label}:\n{:?} is ours\n{:?} is Psych's", show(&ours), show(yaml)))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), oracle.len(), wrong.join("\n"));
}

#[test]
fn all_recorded_documents_are_read_as_the_values_they_were_written_from() {
    let Some(oracle) = oracle() else { return };
    for (label, map, yaml) in oracle {
        assert_eq!(OMap::parse(&yaml).unwrap(), map, "{label}: {}", String::from_utf8_lossy(&yaml));
    }
}
