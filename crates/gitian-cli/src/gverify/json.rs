//! Facts, verdicts and reasons as JSON. The schema is described in share/doc/gverify.md; its number grows when something
//! that is there changes its meaning, not when something is added.

use std::io::Write;
use std::time::SystemTime;

use anyhow::Result;
use gitian_manifest::{Assertion, Dialect, Digest};
use gitian_verify::{
    Cause, Decision, Document, Facts, Line, Mismatch, Outcome, Question, Reference, Signature, Standing, Stated,
    Verdict, explain_verdict,
};
use serde_json::{Value, json};

use super::range::Report;
use super::release::Release;
use super::words;
use crate::utc;

/// The number of the schema.
const SCHEMA: u32 = 1;

/// Writes one document with a release after the other.
pub struct Json<'o> {
    out: &'o mut dyn Write,
    first: bool,
}

impl<'o> Json<'o> {
    /// Writes the beginning.
    pub fn begin(out: &'o mut dyn Write, at: SystemTime, strays: &[gitian_verify::Stray]) -> Result<Self> {
        let strays: Vec<Value> = strays
            .iter()
            .map(|stray| json!({ "path": stray.path.display().to_string(), "reason": stray.reason }))
            .collect();
        write!(out, "{{\"schema\":{SCHEMA},\"at\":{},\"strays\":{},\"releases\":[", time(at), json!(strays))?;
        Ok(Self { out, first: true })
    }

    /// Writes the end.
    pub fn end(self, exit_status: u8) -> Result<()> {
        writeln!(self.out, "\n],\"exit_status\":{exit_status}}}")?;
        Ok(self.out.flush()?)
    }

    fn add(&mut self, value: &Value) -> Result<()> {
        write!(self.out, "{}\n{value}", if self.first { "" } else { "," })?;
        self.first = false;
        Ok(())
    }
}

impl Report for Json<'_> {
    fn release(&mut self, release: &Release<'_>) -> Result<()> {
        self.add(&of_release(release))
    }

    fn unreadable(&mut self, question: &Question, cause: &anyhow::Error) -> Result<()> {
        let Question { release, package, .. } = question;
        let problem = format!("{cause:#}");
        self.add(&json!({ "release": release, "package": package, "outcome": "failed", "problem": problem }))
    }
}

fn of_release(release: &Release<'_>) -> Value {
    let Release { question, facts, decision, .. } = release;
    let signers: Vec<Value> = (0..facts.len()).map(|index| signer(release, index)).collect();
    let camps: Vec<Value> = decision
        .camps
        .iter()
        .map(|camp| {
            let names: Vec<&str> = camp.signers.iter().map(|&index| &*facts[index].signer).collect();
            json!({ "weight": camp.weight, "signers": names })
        })
        .collect();
    json!({
        "release": question.release,
        "package": question.package,
        "outcome": match decision.outcome() {
            Outcome::Verified => "verified",
            Outcome::Failed => "failed",
            Outcome::Nothing => "nothing",
        },
        "reference": reference(facts, decision),
        "weight": decision.weight,
        "unmet": decision.unmet.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "camps": camps,
        "signers": signers,
    })
}

fn reference(facts: &[Facts], decision: &Decision) -> Value {
    match &decision.reference {
        Reference::Signer(index) => json!({ "state": "signer", "signer": facts[*index].signer }),
        Reference::Nobody => json!({ "state": "nobody" }),
        Reference::Tied(count) => json!({ "state": "tied", "camps": count }),
        Reference::Unknown(signer) => json!({ "state": "unknown", "signer": signer }),
        Reference::Unusable(index) => json!({ "state": "unusable", "signer": facts[*index].signer }),
    }
}

fn signer(release: &Release<'_>, index: usize) -> Value {
    let Release { facts, decision, .. } = release;
    let Facts { signer, assert_path, signature_path, document, signature, unpaired, misnamed_signature, .. } =
        &facts[index];
    let other = words::reference(facts, decision);
    let explanation = explain_verdict(facts, decision, index);
    let causes: Vec<Value> = explanation
        .iter()
        .flat_map(|explanation| &explanation.causes)
        .map(|cause| {
            let next = release.next(cause, index);
            json!({ "kind": kind(cause), "sentence": cause.sentence(other), "next": next })
        })
        .collect();
    let verdict = &decision.verdicts[index];
    json!({
        "signer": signer,
        "verdict": words::verdict(verdict).to_lowercase().replace(' ', "-"),
        "reasons": words::reasons(facts, decision, index, false),
        "same_key_as": decision.same_key_as[index].map(|first| &*facts[first].signer),
        "superseded": decision.superseded[index],
        "mismatch": match verdict {
            Verdict::Mismatch(mismatch) => of_mismatch(mismatch),
            _ => Value::Null,
        },
        "causes": causes,
        "harmless_differences": explanation.map_or(0, |explanation| explanation.harmless),
        "assert": { "path": assert_path.display().to_string(), "document": of_document(document) },
        "signature": { "path": signature_path.display().to_string(), "check": of_signature(signature) },
        "unpaired": unpaired.names,
        "unpaired_more": unpaired.more,
        "misnamed_signature": misnamed_signature,
    })
}

fn of_mismatch(mismatch: &Mismatch) -> Value {
    let stated = |stated: &Option<Stated>| match stated {
        Some(Stated { wanted, found }) => json!({ "wanted": wanted, "found": found }),
        None => Value::Null,
    };
    let lines: Vec<String> = mismatch
        .lines
        .iter()
        .map(|line| match line {
            Line::Reference(line) => format!("- {line}"),
            Line::Signer(line) => format!("+ {line}"),
        })
        .collect();
    json!({
        "release": stated(&mismatch.release),
        "name": stated(&mismatch.name),
        "out_manifest": mismatch.manifest,
        "lines": lines,
        "more_lines": mismatch.more_lines,
    })
}

fn of_document(document: &Document) -> Value {
    match document {
        Document::Absent => json!({ "state": "absent" }),
        Document::OutOfReach(reason) => json!({ "state": "out-of-reach", "reason": reason }),
        Document::Malformed(reason) => json!({ "state": "malformed", "reason": reason }),
        Document::Read(assertion) => of_assertion(assertion),
    }
}

/// Manifests are told by their digests: who wants the lines has the files.
fn of_assertion(assertion: &Assertion) -> Value {
    let digest = |text: Option<&str>| text.map(|text| Digest::of_bytes(text.as_bytes()).to_string());
    let guests = assertion.base_manifests().unwrap_or_default();
    let guests = guests.into_iter().map(|(guest, text)| (guest.to_owned(), json!(digest(Some(text)))));
    json!({
        "state": "read",
        "dialect": match assertion.dialect() {
            Dialect::OrderedMap => "!!omap",
            Dialect::OldOrderedMap => "!omap",
            Dialect::PlainMap => "map",
        },
        "release": assertion.release(),
        "name": assertion.name(),
        "optionals": assertion.optionals(),
        "manifest_digests": {
            "out_manifest": digest(assertion.out_manifest()),
            "in_manifest": digest(assertion.in_manifest()),
            "base_manifests": guests.collect::<serde_json::Map<_, _>>(),
            "cache_common_manifest": digest(assertion.cache_common_manifest()),
            "cache_package_manifest": digest(assertion.cache_package_manifest()),
        },
    })
}

fn of_signature(signature: &Signature) -> Value {
    match signature {
        Signature::Absent => json!({ "state": "absent" }),
        Signature::OutOfReach(reason) => json!({ "state": "out-of-reach", "reason": reason }),
        Signature::NotChecked => json!({ "state": "not-checked" }),
        Signature::NotDetached(found) => json!({ "state": "not-detached", "reason": found }),
        Signature::NoKey(unknown) => json!({ "state": "no-key", "key": unknown.key, "made": unknown.made.map(time) }),
        Signature::BrokenHash { hash } => json!({ "state": "broken-hash", "hash": hash }),
        Signature::Bad { key, reason, made } => {
            json!({ "state": "bad", "key": key, "reason": reason, "made": made.map(time) })
        }
        Signature::Program(answer) => {
            json!({ "state": "program", "success": answer.status.success(), "status": answer.status.to_string() })
        }
        Signature::Good(good) => json!({
            "state": "good",
            "key": good.key,
            "primary_key": good.primary_key,
            "user_ids": good.user_ids,
            "made": time(good.made),
            "expires": good.expires.map(time),
            "hash": good.hash,
            "algorithm": good.algorithm,
            "weak": good.weak.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "standing": standing(good.standing),
            "key_expires": good.key_expires.map(time),
            "key_revoked": good.key_revoked.as_ref().map(|revocation| json!({
                "at": time(revocation.at),
                "compromised": revocation.compromised,
                "comment": revocation.comment,
            })),
        }),
    }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Sound => "sound",
        Standing::KeyExpiredSince => "key-expired-since",
        Standing::KeyRevokedLater => "key-revoked-later",
        Standing::MadeAfterExpiry => "made-after-expiry",
        Standing::MadeAfterRevocation => "made-after-revocation",
        Standing::KeyCompromised => "key-compromised",
        Standing::SignatureExpired => "signature-expired",
    }
}

fn kind(cause: &Cause) -> &'static str {
    match cause {
        Cause::OtherSubject { .. } => "other-subject",
        Cause::Inputs(_) => "inputs",
        Cause::Commits(_) => "commits",
        Cause::Descriptor(_) => "descriptor",
        Cause::Guests { .. } => "guests",
        Cause::Packages { .. } if cause.is_toolchain() => "toolchain",
        Cause::Packages { .. } => "packages",
        Cause::Cache { .. } => "cache",
        Cause::SomeOutputs { .. } => "some-outputs",
        Cause::OtherOutputs { .. } => "other-outputs",
        Cause::Order => "order",
        Cause::Spelling => "spelling",
        Cause::Unexplained => "unexplained",
        Cause::NotRecorded { .. } => "not-recorded",
        Cause::Superseded(_) => "superseded",
    }
}

/// `"2021-05-01T12:00:00Z"`.
fn time(time: SystemTime) -> Value {
    json!(utc::second(time).replacen(' ', "T", 1).replace(" UTC", "Z"))
}
