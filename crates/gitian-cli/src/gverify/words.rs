//! What is known and decided about a signer, in words: the verdict, and the reasons for it, a line each. Where they are
//! printed is left to `text`, `range` and `json`.

use gitian_verify::{
    Cause, Decision, Document, Explanation, Facts, Good, Mismatch, Naming, Reference, Refusal, Signature, Standing,
    Uncounted, Unknown, Unpaired, Verdict, WrongKey, explain_verdict,
};

use crate::utc;

/// How many keys are named that signed the same.
const OTHERS: usize = 3;

/// Returns the verdict as the original prints it, and the new ones alike.
pub fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "OK",
        Verdict::Mismatch(_) => "MISMATCH",
        Verdict::NotCompared => "NOT COMPARED",
        Verdict::WrongKey(_) => "WRONG KEY",
        Verdict::Refused(_) => "REFUSED",
        Verdict::BadSignature => "BAD SIGNATURE",
        Verdict::NoKey => "NO KEY",
        Verdict::Unreadable(_) => "UNREADABLE",
        Verdict::MissingResult => "MISSING RESULT",
        Verdict::MissingSignature => "MISSING SIGNATURE",
    }
}

/// Returns the reasons for a verdict and what else is worth knowing; all of it if `verbose`.
pub fn reasons(facts: &[Facts], decision: &Decision, index: usize, verbose: bool) -> Vec<String> {
    let signer = &facts[index];
    let mut reasons = about_word(signer, &decision.verdicts[index], verbose);
    match &decision.verdicts[index] {
        Verdict::Mismatch(mismatch) => reasons.extend(about_mismatch(facts, decision, index, mismatch, verbose)),
        Verdict::Ok if built_nothing(&signer.document) => reasons.push("what was built is nothing at all".into()),
        _ => {}
    }
    // Not what decided, but worth knowing.
    if let (Document::Malformed(reason), Verdict::BadSignature | Verdict::NoKey) =
        (&signer.document, &decision.verdicts[index])
    {
        reasons.push(format!("the document is no assertion either: {reason}"));
    }
    reasons.extend(about_same_key(facts, decision, index));
    reasons.extend(about_others(signer, verbose));
    reasons
}

/// Returns who else signed the same document in the same file; if not `verbose`, who might be meant by the signer's name.
fn about_others(signer: &Facts, verbose: bool) -> Option<String> {
    let Signature::Good(chosen) = &signer.signature else { return None };
    let others: Vec<String> = signer
        .others
        .iter()
        .filter(|(good, _)| good.primary_key != chosen.primary_key)
        .filter(|(_, naming)| verbose || !matches!(naming, Naming::FolderOfOtherKeys(_)))
        .map(|(good, _)| match good.user_ids.first() {
            Some(id) => format!("{} ({id})", good.primary_key),
            None => good.primary_key.clone(),
        })
        .collect();
    let more = if others.len() > OTHERS { format!(" and {} more", others.len() - OTHERS) } else { String::new() };
    let named = others[..others.len().min(OTHERS)].join(", ");
    (!others.is_empty()).then(|| format!("note: {named}{more} signed it too, in the same file; one of them counts"))
}

/// Returns what is known of a signature and of why it does not count, without regard to others.
pub fn about_word(signer: &Facts, verdict: &Verdict, verbose: bool) -> Vec<String> {
    let mut reasons = about_signature(&signer.signature, verbose);
    match verdict {
        Verdict::Unreadable(reason) => reasons.push(reason.clone()),
        Verdict::WrongKey(wrong) => reasons.push(about_wrong_key(wrong, &signer.signer)),
        Verdict::Refused(refusals) => reasons.extend(refusals.iter().map(about_refusal)),
        Verdict::MissingResult | Verdict::MissingSignature => reasons.extend(about_missing(signer)),
        Verdict::Mismatch(_) | Verdict::Ok | Verdict::NotCompared | Verdict::BadSignature | Verdict::NoKey => {}
    }
    reasons
}

/// Returns why a word about a file does not count, as a verdict and as reasons.
pub fn uncounted(signer: &Facts, why: &Uncounted, verbose: bool) -> (&'static str, Vec<String>) {
    match why {
        Uncounted::Signature(signature) => (verdict(signature), about_word(signer, signature, verbose)),
        Uncounted::NoWeight => ("NO WEIGHT", vec!["the policy gives it no weight".into()]),
        Uncounted::Replaced => (
            "REPLACED",
            vec!["the same person vouches for something else there with a newer signature; only that counts".into()],
        ),
        Uncounted::PassedOver => (
            "PASSED OVER",
            vec!["an assertion of the same package by the same person lies beside this list; that counts".into()],
        ),
        Uncounted::Contradicted => (
            "CONTRADICTED",
            vec!["the same person vouches for something else there at the same time; neither counts".into()],
        ),
    }
}

/// Returns what becomes of a word that is also another's.
fn about_same_key(facts: &[Facts], decision: &Decision, index: usize) -> Option<String> {
    let other = decision.same_key_as[index];
    let name = |other: usize| &facts[other].signer;
    match (decision.superseded[index], other) {
        (false, other) => {
            other.map(|other| format!("signed with the same key as {}; one key counts once", name(other)))
        }
        (true, Some(other)) if !decision.superseded[other] => Some(format!(
            "signed with the same key as {0}, which vouches for something else there with a newer signature; only that counts",
            name(other)
        )),
        (true, _) => Some("the same key vouches for something else at the same time; neither counts".into()),
    }
}

fn built_nothing(document: &Document) -> bool {
    matches!(document, Document::Read(assertion) if assertion.out_manifest().is_some_and(str::is_empty))
}

/// Returns whose manifest the others were compared with, for use in a sentence.
pub fn reference<'a>(facts: &'a [Facts], decision: &Decision) -> &'a str {
    match decision.reference {
        Reference::Signer(index) => &facts[index].signer,
        _ => "the reference",
    }
}

fn about_mismatch(
    facts: &[Facts],
    decision: &Decision,
    index: usize,
    mismatch: &Mismatch,
    verbose: bool,
) -> Vec<String> {
    let mut reasons = Vec::new();
    for (what, stated) in [("release", &mismatch.release), ("name", &mismatch.name)] {
        if let Some(stated) = stated {
            let found = stated.found.as_deref().map_or("is not stated".to_owned(), |found| format!("is {found}"));
            reasons.push(format!("{what} {found}, not {}", stated.wanted));
        }
    }
    if mismatch.manifest {
        let other = reference(facts, decision);
        let is_of_spelling = || {
            let causes = explain_verdict(facts, decision, index).unwrap_or_default().causes;
            causes.contains(&Cause::Spelling)
        };
        reasons.push(match mismatch.lines.len() + mismatch.more_lines {
            0 if is_of_spelling() => format!("what was built is the same, but written otherwise than {other}'s"),
            0 => format!("what was built is listed in another order than {other}'s"),
            _ if verbose => format!("what was built differs from {other}'s"),
            1 => format!("what was built differs from {other}'s in 1 line; -v shows it"),
            count => format!("what was built differs from {other}'s in {count} lines; -v shows them"),
        });
    }
    reasons
}

/// Returns why something else was built: the likeliest cause, or all that are recorded if `verbose`.
pub fn causes(explanation: &Explanation, verbose: bool) -> impl Iterator<Item = &Cause> {
    explanation.causes.iter().take(if verbose { usize::MAX } else { 1 })
}

/// Whether the reasons of a mismatch say a cause already.
pub fn is_said(cause: &Cause) -> bool {
    matches!(cause, Cause::OtherSubject { .. } | Cause::Order)
}

fn about_wrong_key(wrong: &WrongKey, signer: &str) -> String {
    match wrong {
        WrongKey { key: Some(key), owner: Some(owner), .. } => format!("signed with key {key}, which is {owner}'s"),
        WrongKey { key: Some(key), file: Some(file), .. } => {
            format!("signed with key {key}, which is not in {}", file.display())
        }
        WrongKey { key: Some(key), .. } => {
            format!("signed with key {key}, which is none of {signer}'s by the policy")
        }
        WrongKey { key: None, .. } => "the program does not tell which key signed, and the policy asks".to_owned(),
    }
}

fn about_refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Weak(weakness) => format!("{weakness}, and the policy is strict"),
        Refusal::KeyExpired { at } => {
            let at = at.map(|at| format!(" on {}", utc::day(at))).unwrap_or_default();
            format!("the key expired{at}, and the policy is strict")
        }
        Refusal::TooOld { made, limit } => {
            format!("signed on {}, more than {} days before", utc::day(*made), limit.as_secs() / 86_400)
        }
        Refusal::FromTheFuture { made } => format!("signed on {}, after the time that is asked about", utc::day(*made)),
        Refusal::NotTold => {
            "the program does not tell whose, how old or how strong the signature is, and the policy asks".into()
        }
    }
}

fn about_missing(facts: &Facts) -> Option<String> {
    if let Some(name) = &facts.misnamed_signature {
        return Some(format!("{name} beside it is a good signature of it, under another name"));
    }
    let Unpaired { names, more } = &facts.unpaired;
    let what = if names.len() == 1 { "has no counterpart either" } else { "have no counterpart either" };
    let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("in the same folder, {}{more} {what}", names.join(", ")))
}

fn about_signature(signature: &Signature, verbose: bool) -> Vec<String> {
    match signature {
        Signature::Good(good) => about_good(good, verbose),
        Signature::NoKey(Unknown { key, made }) => {
            let made = made.filter(|_| verbose).map(|made| format!(" at {}", utc::second(made))).unwrap_or_default();
            let key = key.as_deref().map_or("a key that it does not name".to_owned(), |key| format!("key {key}"));
            vec![format!("signed{made} by {key}, which is not among the known keys")]
        }
        Signature::Bad { key, reason, .. } => {
            vec![format!("the signature names key {key}, but {reason}")]
        }
        Signature::BrokenHash { hash } => vec![format!("the signature is made with {hash}, which anyone can forge")],
        Signature::NotDetached(found) => vec![format!("the signature file {found}")],
        Signature::Program(answer) if !answer.status.success() => vec![format!("the program {}", answer.status)],
        Signature::Absent | Signature::OutOfReach(_) | Signature::NotChecked | Signature::Program(_) => Vec::new(),
    }
}

fn about_good(good: &Good, verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if verbose {
        lines.push(format!("signed at {} by {} key {}", utc::second(good.made), good.algorithm, good.key));
        if good.primary_key != good.key {
            lines.push(format!("a subkey of {}", good.primary_key));
        }
        lines.extend(good.user_ids.first().map(|id| format!("the key of {id}")));
    }
    let expired = || good.key_expires.map(utc::day).unwrap_or_default();
    let revoked = || match &good.key_revoked {
        Some(revocation) if revocation.comment.is_empty() => utc::day(revocation.at),
        Some(revocation) => format!("{} ({})", utc::day(revocation.at), revocation.comment),
        None => String::new(),
    };
    lines.extend(match good.standing {
        Standing::Sound => None,
        Standing::KeyExpiredSince => Some(format!("note: the key expired on {}, after it had signed", expired())),
        Standing::KeyRevokedLater => Some(format!("note: the key was revoked on {}, after it had signed", revoked())),
        Standing::MadeAfterExpiry => Some(format!(
            "note: signed on {}, after the key had expired on {}; a newer copy of the key may say otherwise",
            utc::day(good.made),
            expired()
        )),
        Standing::MadeAfterRevocation => {
            Some(format!("signed on {}, after the key had been revoked on {}", utc::day(good.made), revoked()))
        }
        Standing::KeyCompromised => Some(format!("somebody else has the key: it was revoked on {}", revoked())),
        Standing::SignatureExpired => {
            Some(format!("the signature counted until {}", good.expires.map(utc::day).unwrap_or_default()))
        }
    });
    lines.extend(good.weak.iter().map(|weakness| format!("note: {weakness}")));
    lines
}
