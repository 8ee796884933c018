//! Feeds: an XML document, a path to the texts that are looked at, a pattern for what is in them.
//!
//! The path is the part of XPath that feeds need: `/a/b`, `//a`, `*`, a predicate that is a number, and `text()` or `@name` at
//! its end. Entities of a document's own are not replaced, so that none can grow.

use anyhow::{Context, Result};
use regex::Regex;
use roxmltree::{Document, Node};

use crate::config::Feed;

/// How large a compiled pattern may be, in bytes.
const PATTERN_LIMIT: usize = 1 << 20;

/// Returns the first address that fits, and the release in it.
pub(crate) fn read(bytes: &[u8], feed: &Feed) -> Result<(String, Option<String>)> {
    let pattern = regex::RegexBuilder::new(&feed.pattern).size_limit(PATTERN_LIMIT).build();
    let pattern = pattern.with_context(|| format!("pattern {}", feed.pattern))?;
    let text = std::str::from_utf8(bytes).context("is not UTF-8")?;
    let document = Document::parse(text).context("is no XML")?;
    let texts = texts(&document, &feed.xpath)?;
    let found = texts.iter().find_map(|text| first(&pattern, text));
    found.with_context(|| format!("names nothing that fits {}", feed.pattern))
}

fn first(pattern: &Regex, text: &str) -> Option<(String, Option<String>)> {
    let found = pattern.captures(text)?;
    let group = |index| found.get(index).map(|group: regex::Match<'_>| group.as_str().to_owned());
    Some((group(0)?, group(1)))
}

/// Returns the texts that a path leads to, in the order of the document.
fn texts(document: &Document<'_>, path: &str) -> Result<Vec<String>> {
    let not_known = || format!("xpath {path} is more than /a, //a, *, [1], text() and @name");
    let mut nodes = vec![document.root()];
    let mut rest = path;
    loop {
        let deep = rest.starts_with("//");
        rest = rest.strip_prefix("//").or_else(|| rest.strip_prefix('/')).with_context(not_known)?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (step, after) = rest.split_at(end);
        rest = after;
        if step == "text()" && rest.is_empty() {
            let of = |node: &Node<'_, '_>| match deep {
                true => all_text(*node),
                false => node.children().filter(Node::is_text).filter_map(|text| text.text()).collect(),
            };
            return Ok(nodes.iter().map(of).collect());
        }
        if let (Some(name), true) = (step.strip_prefix('@'), rest.is_empty()) {
            let attribute = |node: &Node<'_, '_>| {
                node.attributes()
                    .find(|attribute| attribute.name() == name)
                    .map(|attribute| attribute.value().to_owned())
            };
            return Ok(nodes.iter().filter_map(attribute).collect());
        }
        nodes = walk(&nodes, step, deep).with_context(not_known)?;
        if rest.is_empty() {
            return Ok(nodes.iter().map(|node| all_text(*node)).collect());
        }
    }
}

fn all_text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect()
}

/// Takes one step from all nodes; nothing if the step is not understood.
fn walk<'a, 'i>(nodes: &[Node<'a, 'i>], step: &str, deep: bool) -> Option<Vec<Node<'a, 'i>>> {
    let (name, number) = match step.split_once('[') {
        Some((name, number)) => (name, Some(number.strip_suffix(']')?.parse::<usize>().ok()?)),
        None => (step, None),
    };
    let plain = name.chars().all(|c| c.is_alphanumeric() || "_-.:".contains(c)) && !name.is_empty();
    if name != "*" && !plain {
        return None;
    }
    // Feeds put everything into namespaces; `a:link` and `link` both mean the element link.
    let name = name.rsplit(':').next().unwrap_or(name);
    let fits = |node: &Node<'_, '_>| node.is_element() && (name == "*" || node.tag_name().name() == name);
    let mut found = Vec::new();
    for node in nodes {
        let parents: Vec<Node<'a, 'i>> = if deep { node.descendants().collect() } else { vec![*node] };
        for parent in parents {
            let children = parent.children().filter(fits);
            match number {
                Some(number) => found.extend(children.skip(number.checked_sub(1)?).take(1)),
                None => found.extend(children),
            }
        }
    }
    // In the order of the document, each once.
    found.sort();
    found.dedup();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSS: &str = r#"<rss><channel><title>T</title>
        <item><title>old</title><link>http://x/files/coin-0.9.zip/download</link></item>
        <item><link>http://x/files/coin-1.0.zip/download</link><media:content xmlns:media="m" url="http://x/coin-2.0.zip"/></item>
        </channel></rss>"#;

    #[test]
    fn a_feed_names_a_package_and_its_release() {
        for (xpath, pattern, expected) in [
            ("//item/link/text()", r"http://.*coin-([\d.]+)\.zip", Some(("http://x/files/coin-0.9.zip", Some("0.9")))),
            (
                "/rss/channel/item[2]/link",
                r"http://.*coin-([\d.]+)\.zip",
                Some(("http://x/files/coin-1.0.zip", Some("1.0"))),
            ),
            ("//media:content/@url", "http.*", Some(("http://x/coin-2.0.zip", None))),
            ("//*/text()", "T", Some(("T", None))),
            ("/rss//link", "coin-1.*zip", Some(("coin-1.0.zip", None))),
            ("//item/link/text()", "nothing", None),
            ("//item[@a='b']", ".*", None),
            ("item", ".*", None),
            ("//item/link/text()", "(", None),
        ] {
            let feed = Feed { url: String::new(), xpath: xpath.into(), pattern: pattern.into() };
            let expected = expected.map(|(url, release)| (url.to_owned(), release.map(str::to_owned)));
            assert_eq!(read(RSS.as_bytes(), &feed).ok(), expected, "{xpath} {pattern}");
        }
        let bomb = r#"<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]><a><b>&y;</b></a>"#;
        let feed = Feed { url: String::new(), xpath: "//b".into(), pattern: "x".into() };
        assert!(read(bomb.as_bytes(), &feed).is_err());
    }
}
