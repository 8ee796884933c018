//! Lifts the lines of long manifests out of a document before the YAML library reads it, and puts them back: they are
//! nearly all of a document, and nothing in them is YAML. What the rest means is left to `read`.
//!
//! Only runs of lines `<blanks><digest>  <path>` right behind `- key: |` or `- key: |-` are lifted, each replaced by one
//! mark. If that was a block of text, the mark comes back as a whole text. If it comes back in any other way, it was
//! something else, and the document has to be read as it is.

use super::{OMap, Value};

/// Fewer lines are not worth it.
const WORTH: usize = 4;
/// What stands for lifted lines, followed by their number.
const MARK: &str = "lifted-manifest-";

/// A document without its long manifests.
pub struct Lifted {
    /// The document, with a mark in place of each.
    pub text: String,
    /// What was lifted: the lines without their indentation, the last one without its newline.
    bodies: Vec<String>,
}

impl Lifted {
    /// Lifts what can be lifted; nothing if there is nothing, or if the document holds a mark already.
    pub fn of(text: &str) -> Option<Self> {
        let mut lifted = Self { text: String::new(), bodies: Vec::new() };
        let mut rest = text;
        let mut kept_from = text;
        while let Some((line, after)) = rest.split_once('\n') {
            rest = after;
            if !opens_block(line) {
                continue;
            }
            let indent = after.len() - after.trim_start_matches(' ').len();
            let (lines, length) = manifest_lines(after, indent);
            if lines < WORTH {
                continue;
            }
            lifted.text += &kept_from[..kept_from.len() - after.len()];
            lifted.text += &after[..indent];
            lifted.text += &format!("{MARK}{}\n", lifted.bodies.len());
            lifted.bodies.push(body(&after[..length], indent));
            rest = &after[length..];
            kept_from = rest;
        }
        if lifted.bodies.is_empty() || text.contains(MARK) {
            return None;
        }
        lifted.text += kept_from;
        Some(lifted)
    }

    /// Puts the lines back where their marks came out as whole texts; nothing if any did not.
    pub fn put_back(mut self, mut map: OMap) -> Option<OMap> {
        let mut back = 0;
        map.entries.iter_mut().for_each(|(_, value)| back += self.put_back_in(value));
        (back == self.bodies.len()).then_some(map)
    }

    fn put_back_in(&mut self, value: &mut Value) -> usize {
        match value {
            Value::Text(text) => {
                let Some(number) = text.strip_prefix(MARK) else { return 0 };
                let newline = number.ends_with('\n');
                let place = number.trim_end_matches('\n').parse::<usize>().ok();
                let Some(body) = place.and_then(|place| self.bodies.get_mut(place)) else { return 0 };
                *text = std::mem::take(body);
                if newline {
                    text.push('\n');
                }
                1
            }
            Value::List(list) => list.iter_mut().map(|value| self.put_back_in(value)).sum(),
            Value::Map(map) | Value::OMap(map) => {
                map.entries.iter_mut().map(|(_, value)| self.put_back_in(value)).sum()
            }
            Value::Null | Value::Literal(_) | Value::Binary(_) => 0,
        }
    }
}

/// Whether a line is `- key: |` or `- key: |-`, at any depth.
fn opens_block(line: &str) -> bool {
    let Some(key) = line.strip_suffix(": |").or_else(|| line.strip_suffix(": |-")) else { return false };
    let Some(key) = key.trim_start_matches(' ').strip_prefix("- ") else { return false };
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// Returns how many lines of a manifest a text begins with, all indented alike, and how many bytes they have together.
fn manifest_lines(text: &str, indent: usize) -> (usize, usize) {
    let (mut count, mut length) = (0, 0);
    while indent > 0
        && let Some((line, _)) = text[length..].split_once('\n')
        && is_manifest_line(line.as_bytes(), indent)
    {
        count += 1;
        length += line.len() + 1;
    }
    (count, length)
}

fn is_manifest_line(line: &[u8], indent: usize) -> bool {
    let Some((blanks, line)) = line.split_at_checked(indent) else { return false };
    let Some((digest, path)) = line.split_at_checked(64) else { return false };
    blanks.iter().all(|byte| *byte == b' ')
        && digest.iter().all(u8::is_ascii_hexdigit)
        && path.starts_with(b"  ")
        && path.iter().all(|byte| (b' '..=b'~').contains(byte))
}

fn body(lines: &str, indent: usize) -> String {
    let mut body = String::with_capacity(lines.len());
    for line in lines.lines() {
        if !body.is_empty() {
            body.push('\n');
        }
        body.push_str(&line[indent..]);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::super::read::{document, unlifted};
    use super::*;
    use proptest::prelude::*;

    fn line(at: usize) -> String {
        format!("{at:064x}  package{at}_1.0-1_amd64.deb")
    }

    fn block(indent: usize, lines: usize) -> String {
        (0..lines).map(|at| format!("{:indent$}{}\n", "", line(at))).collect()
    }

    fn sample(lines: usize) -> String {
        let (outer, inner) = (block(4, lines), block(6, lines));
        format!(
            "--- !!omap\n- out_manifest: |\n{outer}- in_manifest: |-\n{outer}- base_manifests: !!omap\n  - bionic-amd64: |\n\
             {inner}  - bionic-i386: |\n{inner}- cache_common_manifest: ''\n- release: '1.0'\n- name: hello\n"
        )
    }

    #[test]
    fn long_manifests_are_lifted_and_come_back() {
        let text = sample(500);
        let lifted = Lifted::of(&text).unwrap();
        assert!(lifted.text.len() < 500, "{}", lifted.text);
        assert_eq!(lifted.bodies.len(), 4);
        let read = document(text.as_bytes()).unwrap();
        assert_eq!(read, unlifted(&text).unwrap());
        assert_eq!(read.get("out_manifest").unwrap().as_written().unwrap().lines().count(), 500);
    }

    #[test]
    fn what_looks_like_a_manifest_and_is_none_is_read_as_it_is() {
        let block = block(6, 9);
        let mark = format!("--- !!omap\n- out_manifest: |\n{block}- name: {MARK}0\n");
        assert!(Lifted::of(&mark).is_none());
        for text in [
            mark,
            // In quotes, in a block that began before, in a folded one, in a plain text.
            format!("--- !!omap\n- name: '\n  - out_manifest: |\n{block}'\n"),
            format!("--- !!omap\n- name: |\n    text\n    - out_manifest: |\n{block}"),
            format!("--- !!omap\n- name: >\n    - out_manifest: |\n{block}"),
            format!("--- !!omap\n- name: text\n    - out_manifest: |\n{block}"),
            // Further lines belong to the block, or are too far left for it.
            format!("--- !!omap\n- out_manifest: |\n{block}      git:0123 dir\n- name: x\n"),
            format!("--- !!omap\n- out_manifest: |\n{block}        deeper\n- name: x\n"),
            format!("--- !!omap\n- out_manifest: |\n{block}\n\n{block}- name: x\n"),
            format!("--- !!omap\n- out_manifest: |\n{block}   x\n- name: x\n"),
            format!("--- !!omap\n- out_manifest: |\n{block}# comment\n- name: x\n"),
            format!("--- !!omap\n- out_manifest: |\n{}", block.trim_end()),
            format!("--- !!omap\n- out_manifest: |-\n{}", block.trim_end()),
            format!("--- !!omap\n- out_manifest: |\n{block}- out_manifest: |\n{block}"),
        ] {
            let (read, expected) = (document(text.as_bytes()), unlifted(&text));
            assert_eq!(read.map_err(|cause| cause.to_string()), expected.map_err(|cause| cause.to_string()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_lifted_document_means_what_it_meant(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), 0..9_u8), 0..6),
        ) {
            let mut lines: Vec<String> = sample(5).lines().map(str::to_owned).collect();
            for (place, change) in changes {
                let place = place.index(lines.len());
                match change {
                    0 => drop(lines.remove(place)),
                    1 => lines.insert(place, String::new()),
                    2 => lines[place].insert(0, ' '),
                    3 => drop(lines[place].pop()),
                    4 => lines[place].push('\''),
                    5 => lines.insert(place, "    - out_manifest: |".into()),
                    6 => lines[place].push_str(" |"),
                    7 => lines[place] = lines[place].trim_start().to_owned(),
                    _ => lines.swap(0, place),
                }
                if lines.is_empty() {
                    lines.push("--- !!omap".into());
                }
            }
            let text = lines.join("\n") + "\n";
            let (read, expected) = (document(text.as_bytes()), unlifted(&text));
            prop_assert_eq!(read.map_err(|cause| cause.to_string()), expected.map_err(|cause| cause.to_string()), "{}", text);
        }
    }
}
