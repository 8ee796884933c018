//! gverify: facts and verdicts about the signers of a release → lines and an exit code.
//!
//! On standard output a line for each signer as the original prints it, followed by an empty line; before it, where
//! the original showed what gpg had to say, lines that begin with `gverify: ` give the reason.

use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use gitian_verify::{
    Checker, Criteria, Decision, Document, Facts, Good, Keyring, Line, Mismatch, Outcome, Policy, Program, Question,
    Reference, Signature, Source, Standing, Unknown, Verdict, decide, gather,
};

use crate::args::gverify::Args;
use crate::args::sigs_tree;
use crate::failure::{is_interrupt, report, tell};
use crate::page::{Page, Row};
use crate::printable::printable;
use crate::surroundings::Surroundings;
use crate::{descriptor_file, downloads, pull_request, utc};

/// How many missing keys a hint names.
const KEYS_NAMED: usize = 20;

/// Runs gverify. Returns the exit code: 0 verified, 1 something is wrong, 2 no verdict.
pub fn run(args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    match verify(&args, around, out) {
        Err(error) if !is_interrupt(&error) => {
            report("gverify", &error, &around.calls, around.settings.debug, &mut io::stderr());
            Ok(2)
        }
        done => done,
    }
}

fn verify(args: &Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    if !args.files.is_empty() {
        return downloads::run(args, around, out);
    }
    if !args.lint.is_empty() {
        return pull_request::run(args, around, out);
    }
    // Without files there is a descriptor: the command line insists on it.
    let descriptor = args.descriptor.as_deref().unwrap_or(std::path::Path::new(""));
    let package = descriptor_file::load(descriptor, &around.workdir, around.live)?.descriptor.name;
    let tree = sigs_tree(args.destination.as_deref(), &around.settings.installation, package.as_str());
    let question = Question {
        tree,
        release: args.release.as_ref().map_or("current".into(), ToString::to_string),
        package: package.to_string(),
    };
    let mut source = None;
    let (at, policy) = (SystemTime::now(), Policy::default());
    let facts = match &args.verify_program {
        Some(command) => gather(&question, &Checker::Program(&Program(command.clone())))?,
        None => {
            question.check()?;
            let chosen = source.insert(Source::choose(&args.keys, &question.tree.root));
            let keys = chosen.load()?;
            tell_keys(chosen, &keys, args.verbose);
            gather(&question, &Checker::Keys { keys: &keys, now: at })?
        }
    };
    let decision =
        decide(&facts, &Criteria { compare_to: args.compare_to.as_deref(), ..question.criteria(&policy, at) });
    let print = Print { facts: &facts, decision: &decision, verbose: args.verbose, bold: bold(args) };
    for index in 0..facts.len() {
        print.signer(index, out)?;
    }
    out.flush()?;
    let print = Print { verbose: true, bold: false, ..print };
    let row = Row::of(&question, &facts, &decision, &|index| print.reasons(index));
    let title = format!("Who built {} {}", question.package, question.release);
    let page = Page { title, notes: vec![format!("Checked on {}.", utc::day(at))], rows: vec![row] };
    page.write(args.html.as_deref(), args.markdown.as_deref())?;
    if let Some(hint) = source.as_ref().and_then(|source| missing_keys(&facts, source)) {
        tell(&format!("hint: {hint}"));
    }
    if let Some(error) = no_reference(&facts, &decision, &question) {
        report("gverify", &error, &around.calls, around.settings.debug, &mut io::stderr());
    }
    Ok(match decision.outcome() {
        Outcome::Verified => 0,
        Outcome::Failed => 1,
        Outcome::Nothing => 2,
    })
}

fn bold(args: &Args) -> bool {
    args.markup || !args.no_markup && io::stdout().is_terminal()
}

/// Says which keys count, unless that goes without saying.
pub(crate) fn tell_keys(source: &Source, keys: &Keyring, verbose: bool) {
    let count = match keys.len() {
        1 => "1 key".to_owned(),
        count => format!("{count} keys"),
    };
    match source {
        Source::Folder(folder) => {
            tell(&format!("gverify: {count} of {}; --keys names others", printable(&folder.display().to_string())));
        }
        Source::Given(_) if verbose => tell(&format!("gverify: {count}")),
        Source::GnuPg if verbose => tell(&format!("gverify: {count} of the GnuPG keyring; --keys names others")),
        Source::Given(_) | Source::GnuPg => {}
    }
    match keys.problems() {
        [] => {}
        problems if verbose => {
            problems.iter().for_each(|problem| tell(&format!("gverify: warning: keys: {}", printable(problem))));
        }
        problems => {
            tell(&format!("gverify: warning: {} key files or keys cannot be used; -v names them", problems.len()))
        }
    }
}

/// Prints what is known and decided about each signer.
struct Print<'a> {
    facts: &'a [Facts],
    decision: &'a Decision,
    verbose: bool,
    bold: bool,
}

impl Print<'_> {
    fn signer(&self, index: usize, out: &mut dyn Write) -> io::Result<()> {
        let facts = &self.facts[index];
        let verdict = &self.decision.verdicts[index];
        let word = match verdict {
            Verdict::MissingResult => {
                return writeln!(out, "missing result at {}", printable(&facts.assert_path.display().to_string()));
            }
            Verdict::MissingSignature => {
                return writeln!(
                    out,
                    "missing signature at {}",
                    printable(&facts.signature_path.display().to_string())
                );
            }
            Verdict::Ok => "OK",
            Verdict::Mismatch(_) => "MISMATCH",
            Verdict::NotCompared => "NOT COMPARED",
            Verdict::WrongKey(_) => "WRONG KEY",
            Verdict::Refused(_) => "REFUSED",
            Verdict::BadSignature => "BAD SIGNATURE",
            Verdict::NoKey => "NO KEY",
            Verdict::Unreadable(_) => "UNREADABLE",
        };
        if let Signature::Program(answer) = &facts.signature {
            self.words_of_program(&answer.output, out)?;
        }
        for reason in self.reasons(index) {
            writeln!(out, "gverify: {}", printable(&reason))?;
        }
        let (on, off) = if self.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        writeln!(out, "{on}{}: {word}{off}\n", printable(&facts.signer))?;
        match verdict {
            Verdict::Mismatch(mismatch) if self.verbose => differences(mismatch, out),
            _ => Ok(()),
        }
    }

    /// Prints what a program had to say; what gpg says about every good signature only on `-v`.
    ///
    /// Source: recorded runs of gitian-builder 11f91fb, bin/gverify.
    fn words_of_program(&self, output: &[u8], out: &mut dyn Write) -> io::Result<()> {
        for line in output.split_inclusive(|byte| *byte == b'\n') {
            let usual =
                [&b"gpg: Signature made"[..], b"gpg: Good signature"].iter().any(|start| line.starts_with(start));
            if self.verbose || !usual {
                out.write_all(line)?;
            }
        }
        if output.last().is_some_and(|last| *last != b'\n') { writeln!(out) } else { Ok(()) }
    }

    fn reasons(&self, index: usize) -> Vec<String> {
        let facts = &self.facts[index];
        let mut reasons = about_signature(&facts.signature, self.verbose);
        match &self.decision.verdicts[index] {
            Verdict::Unreadable(reason) => reasons.push(reason.clone()),
            Verdict::Mismatch(mismatch) => reasons.extend(self.about_mismatch(mismatch)),
            _ => {}
        }
        // Not what decided, but worth knowing.
        if let (Document::Malformed(reason), Verdict::BadSignature | Verdict::NoKey) =
            (&facts.document, &self.decision.verdicts[index])
        {
            reasons.push(format!("the document is no assertion either: {reason}"));
        }
        if let Some(first) = self.decision.same_key_as[index] {
            reasons.push(format!("signed with the same key as {}; one key counts once", self.facts[first].signer));
        }
        reasons
    }

    fn about_mismatch(&self, mismatch: &Mismatch) -> Vec<String> {
        let mut reasons = Vec::new();
        for (what, stated) in [("release", &mismatch.release), ("name", &mismatch.name)] {
            if let Some(stated) = stated {
                let found = stated.found.as_deref().map_or("is not stated".to_owned(), |found| format!("is {found}"));
                reasons.push(format!("{what} {found}, not {}", stated.wanted));
            }
        }
        if mismatch.manifest {
            let other = match self.decision.reference {
                Reference::Signer(index) => &*self.facts[index].signer,
                _ => "the reference",
            };
            reasons.push(match mismatch.lines.len() {
                0 => format!("what was built is listed in another order than {other}'s"),
                _ if self.verbose => format!("what was built differs from {other}'s"),
                1 => format!("what was built differs from {other}'s in 1 line; -v shows it"),
                count => format!("what was built differs from {other}'s in {count} lines; -v shows them"),
            });
        }
        reasons
    }
}

fn about_signature(signature: &Signature, verbose: bool) -> Vec<String> {
    match signature {
        Signature::Good(good) => about_good(good, verbose),
        Signature::NoKey(Unknown { key, made }) => {
            let made = made.filter(|_| verbose).map(|made| format!(" at {}", utc::second(made))).unwrap_or_default();
            let key = key.as_deref().map_or("a key that it does not name".to_owned(), |key| format!("key {key}"));
            vec![format!("signed{made} by {key}, which is not among the known keys")]
        }
        Signature::Bad { key, reason } => {
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

/// Prints what differs: `- ` of the reference, `+ ` of the signer.
fn differences(mismatch: &Mismatch, out: &mut dyn Write) -> io::Result<()> {
    for line in &mismatch.lines {
        match line {
            Line::Reference(line) => writeln!(out, "- {}", printable(line))?,
            Line::Signer(line) => writeln!(out, "+ {}", printable(line))?,
        }
    }
    Ok(())
}

/// Returns how to get the keys that were missing.
pub(crate) fn missing_keys<'f>(facts: impl IntoIterator<Item = &'f Facts>, source: &Source) -> Option<String> {
    let mut missing: Vec<&str> = facts
        .into_iter()
        .filter_map(|facts| match &facts.signature {
            Signature::NoKey(Unknown { key, .. }) => key.as_deref(),
            _ => None,
        })
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return None;
    }
    let named = missing[..missing.len().min(KEYS_NAMED)].join(" ");
    let more = if missing.len() > KEYS_NAMED { " …" } else { "" };
    Some(match source {
        Source::GnuPg => format!("gpg --recv-keys {named}{more}"),
        Source::Given(_) | Source::Folder(_) => {
            format!("get the missing keys and give them with --keys as well: {named}{more}")
        }
    })
}

/// Returns why nothing could be compared, if that is so.
fn no_reference(facts: &[Facts], decision: &Decision, question: &Question) -> Option<anyhow::Error> {
    match &decision.reference {
        Reference::Signer(_) => None,
        Reference::Tied(count) => {
            let first: Vec<&str> =
                decision.camps[..*count].iter().map(|camp| &*facts[camp.signers[0]].signer).collect();
            Some(anyhow!(
                "{} signers built each of {count} different things ({}): nobody has the majority",
                decision.camps[0].signers.len(),
                first.join(", ")
            ))
        }
        Reference::Unknown(signer) => {
            let signers: Vec<&str> = facts.iter().map(|facts| &*facts.signer).collect();
            let folder = question.tree.release_folder(&question.release);
            Some(anyhow!(
                "{signer} has no folder in {}, so there is nothing to compare with; there are: {}",
                folder.display(),
                signers.join(", ")
            ))
        }
        Reference::Unusable(index) => Some(anyhow!(
            "{} has no assertion with a good signature, so there is nothing to compare with",
            facts[*index].signer
        )),
        Reference::Nobody if decision.outcome() == Outcome::Nothing => {
            let folder = question.tree.release_folder(&question.release);
            Some(anyhow!("{}: holds no signature for {}", folder.display(), question.package))
        }
        Reference::Nobody => None,
    }
}
