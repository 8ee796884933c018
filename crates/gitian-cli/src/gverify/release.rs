//! One release and package: what was asked, is known and decided.

use anyhow::anyhow;
use gitian_verify::{Cause, Decision, Facts, Outcome, Question, Reference, Verdict};

use super::advice::{self, Inquiry};

/// What is known and decided about one release and package.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// What was asked.
    pub question: &'a Question,
    /// What is known about each signer.
    pub facts: &'a [Facts],
    /// What is decided.
    pub decision: &'a Decision,
    /// How the user asked.
    pub inquiry: Inquiry<'a>,
}

impl Release<'_> {
    /// Returns the command to run next about a cause why a signer built something else.
    pub fn next(&self, cause: &Cause, index: usize) -> Option<String> {
        let facts = &self.facts[index];
        // Other programs make and sign lists.
        let is_list = facts.assert_path.extension().is_some_and(|end| end == "SHA256SUMS");
        let is_of_files =
            matches!(cause, Cause::SomeOutputs { .. } | Cause::OtherOutputs { .. } | Cause::NotRecorded { .. });
        let next = || advice::next(cause, self.question, &facts.signer, self.inquiry);
        (!is_list || is_of_files).then(next).flatten()
    }

    /// Returns why nothing could be compared, if that is so.
    pub fn no_reference(&self) -> Option<anyhow::Error> {
        let Self { question, facts, decision, .. } = self;
        let folder = question.tree.release_folder(&question.release);
        match &decision.reference {
            Reference::Signer(_) => None,
            Reference::Tied(count) => Some(anyhow!(
                "{} different things were built, with the same weight of {} behind each, so there is nothing to compare with",
                count,
                decision.camps[0].weight
            )),
            Reference::Unknown(signer) => {
                let signers: Vec<&str> = facts.iter().map(|facts| &*facts.signer).collect();
                Some(anyhow!(
                    "{signer} has no folder in {}, so there is nothing to compare with; there are: {}",
                    folder.display(),
                    signers.join(", ")
                ))
            }
            Reference::Unusable(index) if decision.verdicts[*index] == Verdict::NotCompared => Some(anyhow!(
                "the policy gives {} no weight, so there is nothing to compare with",
                facts[*index].signer
            )),
            Reference::Unusable(index) => Some(anyhow!(
                "{} has no assertion with a good signature, so there is nothing to compare with",
                facts[*index].signer
            )),
            Reference::Nobody if decision.camps.is_empty() && decision.superseded.contains(&true) => {
                Some(anyhow!("whoever vouches for {} vouches for two things at the same time", question.package))
            }
            Reference::Nobody if decision.camps.is_empty() && decision.outcome() == Outcome::Nothing => {
                Some(anyhow!("{}: holds no signature for {}", folder.display(), question.package))
            }
            Reference::Nobody if !decision.camps.is_empty() => {
                Some(anyhow!("nobody whose word has weight by the policy vouches for {}", question.package))
            }
            Reference::Nobody => None,
        }
    }
}
