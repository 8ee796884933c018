//! Drafts as one text file, for a host that holds the key and has neither tree nor descriptors; and the same file with
//! signatures, for the way back.
//!
//! ```text
//! Gitian signing request 1
//! (what is to be signed, for people)
//! == 1.0/alice/hello-build.assert
//! | --- !!omap
//! | …
//! == sha256 4355a46b…
//! (in an answer: the armored signature)
//! ```
//!
//! The whole text follows from the drafts and signatures: what is read must come out the same when it is written again, so
//! that what people read there cannot be anything else than what is signed.

use std::fmt::Write;

use anyhow::{Context, Result, bail, ensure};
use gitian_descriptor::{PackageName, ReleaseName, SignerName};

use crate::draft::{Draft, Subject};
use crate::openpgp;
use crate::sums::outputs;

const REQUEST: &str = "Gitian signing request 1";
const ANSWER: &str = "Gitian signatures 1";
const ASSERT_END: &str = "-build.assert";
const ARMOR_END: &str = "-----END PGP SIGNATURE-----";
/// The most assertions in one file.
const ITEMS: usize = 1000;

/// A file of drafts: a request while none has a signature, an answer when all have one.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The drafts, in their order.
    pub items: Vec<Item>,
}

/// A draft, and its signature if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What is signed.
    pub draft: Draft,
    /// A detached signature of exactly its bytes, binary.
    pub signature: Option<Vec<u8>>,
}

impl Request {
    /// Asks for signatures of drafts.
    pub fn new(drafts: Vec<Draft>) -> Self {
        Self { items: drafts.into_iter().map(|draft| Item { draft, signature: None }).collect() }
    }

    /// Returns whether every draft has a signature.
    pub fn is_answer(&self) -> bool {
        !self.items.is_empty() && self.items.iter().all(|item| item.signature.is_some())
    }

    /// Has every draft signed by a function of it that returns a signature.
    pub fn answered(mut self, mut sign: impl FnMut(&Draft) -> Result<Vec<u8>>) -> Result<Self> {
        for item in &mut self.items {
            item.signature = Some(sign(&item.draft)?);
        }
        Ok(self)
    }

    /// Writes the text.
    ///
    /// # Errors
    ///
    /// An assertion that holds what a text file cannot carry.
    pub fn render(&self) -> Result<String> {
        let answer = self.is_answer();
        let mut text = format!("{}\n\n", if answer { ANSWER } else { REQUEST });
        text += &self.summary()?;
        text += match answer {
            true => "Signed. To publish it, where it was asked for: gsign --import FILE\n",
            false => "Not signed yet. Where the key is: gsign --sign-request FILE\n",
        };
        for item in &self.items {
            let assertion = std::str::from_utf8(item.draft.bytes()).context("an assertion is not text")?;
            let path = path(&item.draft.subject);
            let lines = assertion.strip_suffix('\n').with_context(|| format!("{path} does not end in a newline"))?;
            let carried = |c: char| !c.is_control() || c == '\n' || c == '\t';
            ensure!(lines.chars().all(carried), "{path} holds a control character");
            // Writing into a text cannot fail.
            let _ = writeln!(text, "\n== {path}");
            for line in lines.split('\n') {
                text += if line.is_empty() { "|" } else { "| " };
                text += line;
                text.push('\n');
            }
            let _ = writeln!(text, "== sha256 {}", item.draft.digest());
            if let Some(signature) = &item.signature {
                text += &openpgp::armored(signature)?;
                if !text.ends_with('\n') {
                    text.push('\n');
                }
            }
        }
        Ok(text)
    }

    /// Says for people what is signed: every draft with its digest and what was built.
    pub fn summary(&self) -> Result<String> {
        let mut text = String::new();
        for Item { draft, .. } in &self.items {
            let Subject { release, signer, package } = &draft.subject;
            let _ = writeln!(text, "{package}, release {release}, as {signer}");
            let _ = writeln!(text, "  sha256 of the assertion: {}", draft.digest());
            for line in outputs(draft)?.render().lines() {
                let _ = writeln!(text, "  built: {line}");
            }
            text.push('\n');
        }
        Ok(text)
    }

    /// Reads a request or an answer. Lines may have come to end in CR LF on the way.
    ///
    /// # Errors
    ///
    /// Anything else than what [`render`](Self::render) writes, and what differs.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.replace("\r\n", "\n");
        let answer = match text.lines().next() {
            Some(REQUEST) => false,
            Some(ANSWER) => true,
            _ => bail!("is neither a signing request nor an answer to one"),
        };
        let mut request = Self { items: Vec::new() };
        let mut lines = text.lines().skip_while(|line| !line.starts_with("== ")).peekable();
        while let Some(head) = lines.next() {
            ensure!(request.items.len() < ITEMS, "holds more than {ITEMS} assertions");
            let path = head.strip_prefix("== ").with_context(|| format!("'{}' is not expected", shown(head)))?;
            let subject = subject(path)?;
            let mut bytes = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('|')) {
                bytes += line.strip_prefix("| ").unwrap_or(&line[1..]);
                bytes.push('\n');
            }
            let draft = Draft::of_bytes(bytes.into_bytes(), subject).with_context(|| path.to_owned())?;
            let digest = lines.next().and_then(|line| line.strip_prefix("== sha256 "));
            let digest = digest.with_context(|| format!("{path}: is cut off"))?;
            ensure!(
                digest == draft.digest().to_string(),
                "{path}: was changed on the way: its sha256 is {}, not {}",
                draft.digest(),
                shown(digest)
            );
            let mut signature = None;
            if answer {
                let mut armored = String::new();
                while let Some(line) = lines.next_if(|line| !line.is_empty()) {
                    armored += line;
                    armored.push('\n');
                    if line == ARMOR_END {
                        break;
                    }
                    // The head of the armor may end in an empty line.
                    if lines.next_if(|line| line.is_empty()).is_some() {
                        armored.push('\n');
                    }
                }
                signature =
                    Some(openpgp::binary(armored.as_bytes()).with_context(|| format!("{path}: the signature"))?);
            }
            // The empty line before the next one; were there more, the comparison below says so.
            while lines.next_if(|line| line.is_empty()).is_some() {}
            request.items.push(Item { draft, signature });
        }
        ensure!(!request.items.is_empty(), "holds nothing to sign");
        let written = request.render()?;
        if let Some(difference) = difference(&text, &written) {
            bail!("was changed on the way: {difference}");
        }
        Ok(request)
    }
}

/// Says where two texts differ first; lines are counted from 1.
fn difference(found: &str, wanted: &str) -> Option<String> {
    // A last newline more or less is nobody's attack, but the text is to be what was written.
    let (mut found, mut wanted) = (found.split_inclusive('\n'), wanted.split_inclusive('\n'));
    for line in 1.. {
        return Some(match (found.next(), wanted.next()) {
            (None, None) => return None,
            (Some(found), Some(wanted)) if found == wanted => continue,
            (Some(_), None) => format!("it ends with line {}, and goes on after that", line - 1),
            (None, Some(wanted)) => format!("it ends before line {line}, '{}'", shown(wanted.trim_end_matches('\n'))),
            (Some(found), Some(wanted)) if wanted.strip_suffix('\n') == Some(found) => {
                format!("it ends within line {line}, which lacks its newline")
            }
            (Some(found), Some(wanted)) => {
                format!(
                    "line {line} is '{}', not '{}'",
                    shown(found.trim_end_matches('\n')),
                    shown(wanted.trim_end_matches('\n'))
                )
            }
        });
    }
    None
}

/// Returns where an assertion is in a tree.
fn path(subject: &Subject) -> String {
    format!("{}/{}/{}{ASSERT_END}", subject.release, subject.signer, subject.package)
}

fn subject(path: &str) -> Result<Subject> {
    let mut parts = path.split('/');
    let mut part = || parts.next().with_context(|| format!("'{}' is no place in a tree of signatures", shown(path)));
    let (release, signer, name) = (part()?, part()?, part()?);
    let package = name.strip_suffix(ASSERT_END).filter(|_| parts.next().is_none());
    let package = package.with_context(|| format!("'{}' is no place of an assertion", shown(path)))?;
    Ok(Subject {
        release: release.parse::<ReleaseName>()?,
        signer: signer.parse::<SignerName>()?,
        package: package.parse::<PackageName>()?,
    })
}

/// How much of a line a message repeats, in characters.
const SHOWN: usize = 100;

fn shown(line: &str) -> String {
    line.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use gitian_manifest::{Assertion, Digest, Report};

    use super::*;

    fn draft(package: &str) -> Draft {
        let out = format!("{}  {package}.tar.gz\n", Digest::of_bytes(package.as_bytes()));
        let report =
            Report::new(out, "git:0123 hello".into(), vec![("bookworm-amd64".into(), String::new())], None, None);
        let subject = Subject {
            release: "1.0".parse().unwrap(),
            signer: "Jane Doe".parse().unwrap(),
            package: package.parse().unwrap(),
        };
        let optionals = Some(vec!["docs".to_owned()]);
        Draft::of_bytes(Assertion::new(report, "1.0", package, optionals).render(), subject).unwrap()
    }

    #[test]
    fn a_request_is_read_as_it_was_written_and_says_what_is_in_it() {
        let request = Request::new(vec![draft("hello"), draft("other")]);
        let text = request.render().unwrap();
        assert!(!request.is_answer());
        assert_eq!(Request::parse(&text).unwrap(), request);
        assert_eq!(Request::parse(&text.replace('\n', "\r\n")).unwrap(), request);
        let digest = Digest::of_bytes(b"hello");
        assert!(
            text.contains(&format!(
                "hello, release 1.0, as Jane Doe\n  sha256 of the assertion: {}\n  built: {digest}  hello.tar.gz\n",
                request.items[0].draft.digest()
            )),
            "{text}"
        );
        assert!(text.contains("\n== 1.0/Jane Doe/other-build.assert\n| --- !!omap\n"), "{text}");
    }

    #[test]
    fn whatever_was_changed_on_the_way_is_refused() {
        let request = Request::new(vec![draft("hello"), draft("other")]);
        let text = request.render().unwrap();
        let built = Digest::of_bytes(b"hello").to_string();
        let zero = "0".repeat(64);
        let sum = request.items[0].draft.digest().to_string();
        let cut = &text[..text.rfind("== sha256").unwrap()];
        let lines = text.lines().count();
        let after_end = format!("it ends with line {lines}, and goes on after that");
        for (changed, message) in [
            (text.replacen(&built, &zero, 1), "line 5 is"),
            (
                text.replacen(&format!("| - out_manifest: '{built}"), &format!("| - out_manifest: '{zero}"), 1),
                "its sha256 is",
            ),
            (text.replace(&built, &zero), "its sha256 is"),
            (text.replacen(&format!("== sha256 {sum}"), &format!("== sha256 {zero}"), 1), "its sha256 is"),
            (text.replacen(&format!("assertion: {sum}"), &format!("assertion: {zero}"), 1), "line 4 is"),
            (text.replace("== 1.0/", "== 2.0/"), "its release is 1.0, not 2.0"),
            (text.replace("== 1.0/Jane Doe/", "== 1.0/Mallory/"), "line 3 is"),
            (text.replace("/hello-build", "/help-build"), "its name is hello, not help"),
            (text.replace("/Jane Doe/", "/../"), "names a folder"),
            (text.replace("/Jane Doe/", "/Jane Doe/x/"), "is no place of an assertion"),
            (text.replace("Not signed yet", "Harmless"), "line "),
            (text.replacen("\n\n", "\n\nPlease hurry\n", 1), "line 3 is"),
            (text.clone() + "and more\n", "'and more' is not expected"),
            (text.clone() + "\n", &after_end),
            (text.clone() + "\n\n\n", &after_end),
            (text[..text.len() - 1].to_owned(), &format!("it ends within line {lines}, which lacks its newline")),
            (text.replacen("\n\n==", "\n\n\n==", 1), "is '', not '== 1.0/Jane Doe/hello-build.assert'"),
            (text.replacen("\n\n== 1.0/Jane Doe/other", "\n== 1.0/Jane Doe/other", 1), "/other-build.assert', not ''"),
            (text.replace("| - type: build\n", ""), "its sha256 is"),
            (text.replace("| - type: build\n", "| - type: build # really\n"), "is not written as gsign"),
            (
                text.replace("| - name: hello\n", "| - name: hello\n| - name: hello\n"),
                "1.0/Jane Doe/hello-build.assert",
            ),
            (cut.to_owned(), "is cut off"),
            (text.replace(REQUEST, ANSWER), "the signature"),
            (text.replace(REQUEST, "Dear Sir"), "is neither"),
            (format!("{REQUEST}\n"), "holds nothing to sign"),
            (String::new(), "is neither"),
        ] {
            let refused = Request::parse(&changed).expect_err(message);
            let refused = format!("{refused:#}");
            assert!(refused.contains(message), "{message} is not in: {refused}");
        }
    }
}
