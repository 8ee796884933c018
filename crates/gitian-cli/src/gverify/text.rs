//! The facts and verdicts about one release as the original prints them: for each signer the verdict and an empty line,
//! before it the reasons, which begin with `gverify: `.

use std::io::{self, Write};

use gitian_verify::{Document, Line, Reference, Signature, Verdict, differences, explain_verdict};

use super::release::Release;
use super::words;
use crate::printable::printable;

/// Prints what is known and decided about each signer.
pub struct Print<'a> {
    /// The release.
    pub release: &'a Release<'a>,
    /// Tell everything.
    pub verbose: bool,
    /// Print the verdicts in bold.
    pub bold: bool,
}

impl Print<'_> {
    /// Prints all signers.
    pub fn signers(&self, out: &mut dyn Write) -> io::Result<()> {
        (0..self.release.facts.len()).try_for_each(|index| self.signer(index, out))
    }

    fn signer(&self, index: usize, out: &mut dyn Write) -> io::Result<()> {
        let Release { facts, decision, .. } = self.release;
        let (signer, verdict) = (&facts[index], &decision.verdicts[index]);
        if let Signature::Program(answer) = &signer.signature {
            self.words_of_program(&answer.output, out)?;
        }
        for reason in words::reasons(facts, decision, index, self.verbose) {
            writeln!(out, "gverify: {}", printable(&reason))?;
        }
        self.explanation(index, out)?;
        let missing = match verdict {
            Verdict::MissingResult => Some(("result", &signer.assert_path)),
            Verdict::MissingSignature => Some(("signature", &signer.signature_path)),
            _ => None,
        };
        if let Some((what, path)) = missing {
            return writeln!(out, "missing {what} at {}", printable(&path.display().to_string()));
        }
        let (on, off) = if self.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        writeln!(out, "{on}{}: {}{off}\n", printable(&signer.signer), words::verdict(verdict))?;
        if self.verbose { self.differences(index, out) } else { Ok(()) }
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

    /// Prints why a signer built something else, and what to do next.
    fn explanation(&self, index: usize, out: &mut dyn Write) -> io::Result<()> {
        let Release { facts, decision, .. } = self.release;
        let Some(explanation) = explain_verdict(facts, decision, index) else { return Ok(()) };
        let reference = words::reference(facts, decision);
        for cause in words::causes(&explanation, self.verbose) {
            if !words::is_said(cause) {
                writeln!(out, "gverify: why: {}", printable(&cause.sentence(reference)))?;
            }
            if let Some(next) = self.release.next(cause, index) {
                writeln!(out, "gverify: next: {}", printable(&next))?;
            }
        }
        if self.verbose && explanation.harmless > 0 {
            let count = explanation.harmless;
            writeln!(out, "gverify: {count} more differences do not matter: somebody who agrees has them too")?;
        }
        Ok(())
    }

    /// Prints what differs, manifest by manifest: `- ` of the reference, `+ ` of the signer. As in the original, what was
    /// built needs no heading.
    fn differences(&self, index: usize, out: &mut dyn Write) -> io::Result<()> {
        let Release { facts, decision, .. } = self.release;
        let (Verdict::Mismatch(_), Reference::Signer(reference)) = (&decision.verdicts[index], &decision.reference)
        else {
            return Ok(());
        };
        let (Document::Read(here), Document::Read(there)) = (&facts[*reference].document, &facts[index].document)
        else {
            return Ok(());
        };
        for difference in differences(here, there) {
            if difference.manifest != "out_manifest" {
                writeln!(out, "gverify: {}:", printable(&difference.manifest))?;
            }
            for line in difference.lines {
                match line {
                    Line::Reference(line) => writeln!(out, "- {}", printable(&line))?,
                    Line::Signer(line) => writeln!(out, "+ {}", printable(&line))?,
                }
            }
        }
        Ok(())
    }
}
