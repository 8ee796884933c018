//! What others signed about the same release and package, before we do: shown, and compared with what we built.

use std::time::SystemTime;

use anyhow::{Result, bail};
use gitian_descriptor::Loaded;
use gitian_manifest::{Assertion, SigsTree};
use gitian_sign::{Draft, Subject};
use gitian_verify::{
    Checker, Decision, Document, Facts, Folders, Keyring, Line, Mismatch, Policy, Question, Reference, Verdict, decide,
    differences, explain, gather,
};

use super::keys::Keys;
use crate::args::gsign::Args;
use crate::gverify::advice::{self, Inquiry};
use crate::gverify::words;
use crate::printable::printable;
use crate::printed::tell;

/// How many lines of a difference are shown.
const LINES: usize = 20;

/// Somebody built something else than most of the others.
#[derive(Debug, thiserror::Error)]
#[error("{package} {release}: what was built here is not what {most} built")]
pub struct Diverges {
    /// The package.
    pub package: String,
    /// The release.
    pub release: String,
    /// Who built what most built.
    pub most: String,
    /// The lines that differ, and the likeliest reason.
    pub lines: Vec<String>,
    /// What to do next about that reason.
    pub next: Option<String>,
}

/// Shows what others signed about each of the drafts, and compares. Of a package without a descriptor, advice does without.
///
/// # Errors
///
/// [`Diverges`], unless the command line says to sign anyway.
pub fn check_all(
    drafts: &[Draft],
    trees: &[SigsTree],
    loaded: &[Loaded],
    keys: &mut Keys<'_>,
    args: &Args,
    at: SystemTime,
) -> Result<()> {
    let mut diverging = None;
    for (draft, tree) in drafts.iter().zip(trees) {
        if !others_signed(&draft.subject, tree) {
            continue;
        }
        let others = Others::of(&draft.subject, tree, keys.of(tree)?, at)?;
        let descriptor = loaded.iter().find(|loaded| loaded.descriptor.name == draft.subject.package);
        let terms = args.keys.iter().flat_map(|keys| ["--keys".into(), keys.into()]).collect::<Vec<_>>();
        let inquiry = Inquiry { descriptor: descriptor.map(|loaded| &*loaded.path), terms: &terms };
        let difference = others.difference(draft, inquiry);
        if !args.quiet {
            others.show(difference.is_some());
        }
        match difference {
            Some(found) if args.anyway => {
                let found = printable(&found.to_string());
                tell(&format!("gsign: warning: {found}; it is signed anyway"));
            }
            found => diverging = diverging.or(found),
        }
    }
    match diverging {
        Some(diverging) => bail!(diverging),
        None => Ok(()),
    }
}

/// Whether anybody else left an assertion. What cannot be read is looked at closer.
fn others_signed(subject: &Subject, tree: &SigsTree) -> bool {
    let Ok(signers) = tree.signers(subject.release.as_str()) else { return false };
    let assert = |signer: &String| tree.assert_path(subject.release.as_str(), signer, subject.package.as_str());
    let others = signers.names.iter().filter(|name| *name != subject.signer.as_str());
    others.map(assert).any(|path| path.symlink_metadata().is_ok())
}

/// What others signed about one release and package.
struct Others {
    question: Question,
    facts: Vec<Facts>,
    decision: Decision,
}

impl Others {
    fn of(own: &Subject, tree: &SigsTree, keys: &Keyring, now: SystemTime) -> Result<Self> {
        let question =
            Question { tree: tree.clone(), release: own.release.to_string(), package: own.package.to_string() };
        let mut facts = gather(&question, &Checker::Keys { keys, now }, &Folders::default())?;
        facts.retain(|facts| facts.signer != own.signer.as_str() && !matches!(facts.document, Document::Absent));
        let policy = Policy::of_tree(&tree.root)?.unwrap_or_default();
        let decision = decide(&facts, &question.criteria(&policy, now));
        Ok(Self { question, facts, decision })
    }

    /// Tells each one's verdict, in gverify's words, and what that means for us.
    fn show(&self, differs: bool) {
        let Question { release, package, .. } = &self.question;
        let verdicts = self.facts.iter().zip(&self.decision.verdicts);
        let verdicts: Vec<String> =
            verdicts.map(|(facts, verdict)| format!("{}: {}", facts.signer, words::verdict(verdict))).collect();
        let conclusion = match self.decision.reference {
            Reference::Signer(_) if differs => "something else was built here",
            Reference::Signer(_) => "the same was built here",
            Reference::Tied(_) => "they built different things",
            _ => "no good signature to compare with",
        };
        tell(&printable(&format!("gsign: {package} {release} of others: {}; {conclusion}", verdicts.join(", "))));
    }

    /// Returns how a draft differs from what most built, if it does. Where nobody has a good signature, or as many built
    /// one thing as another, there is no most.
    fn difference(&self, draft: &Draft, inquiry: Inquiry<'_>) -> Option<Diverges> {
        let Reference::Signer(reference) = self.decision.reference else { return None };
        let Document::Read(golden) = &self.facts[reference].document else { return None };
        let own = draft.assertion();
        if golden.out_manifest() == own.out_manifest() {
            return None;
        }
        let agreeing: Vec<usize> =
            (0..self.facts.len()).filter(|&index| self.decision.verdicts[index] == Verdict::Ok).collect();
        let names: Vec<&str> = agreeing.iter().map(|&index| &*self.facts[index].signer).collect();
        let also: Vec<&Assertion> = agreeing
            .iter()
            .filter(|&&index| index != reference)
            .filter_map(|&index| match &self.facts[index].document {
                Document::Read(assertion) => Some(&**assertion),
                _ => None,
            })
            .collect();
        let found = differences(golden, own);
        let outputs = found.into_iter().find(|difference| difference.manifest == "out_manifest");
        let outputs = outputs.map(|difference| difference.lines).unwrap_or_default();
        let mut lines: Vec<String> = outputs.iter().take(LINES).map(line).collect();
        if outputs.len() > LINES {
            lines.push(format!("and {} more", outputs.len() - LINES));
        }
        let mismatch = Mismatch { manifest: true, lines: outputs, ..Mismatch::default() };
        let explanation = explain(golden, own, &also, &mismatch);
        let cause = words::causes(&explanation, false).next();
        let reference = words::reference(&self.facts, &self.decision);
        lines.extend(cause.map(|cause| format!("why: {}", cause.sentence(reference))));
        Some(Diverges {
            package: self.question.package.clone(),
            release: self.question.release.clone(),
            most: names.join(", "),
            lines,
            next: cause.and_then(|cause| advice::next(cause, &self.question, draft.subject.signer.as_str(), inquiry)),
        })
    }
}

fn line(line: &Line) -> String {
    match line {
        Line::Reference(line) => format!("- {line}"),
        Line::Signer(line) => format!("+ {line}"),
    }
}
