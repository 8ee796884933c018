//! An error becomes lines on standard error and an exit code.
//!
//! `program: error: object: cause`, the last lines of a failed program behind `  | `, then `hint: …`.

use std::io::Write;

use anyhow::Error;
use gitian_build::{BuildStopped, OutputsRefused};
use gitian_process::{Failure, interrupt};

use crate::args::WrongUsage;
use crate::calls::Calls;
use crate::descriptor_error;
use crate::descriptor_file::DescriptorRefused;
use crate::gsign::agreement::Diverges;
use crate::hints::{self, last_lines};
use crate::printable::printable;
use crate::printed::{READER_GONE, is_reader_gone};

/// Writes what went wrong and returns the exit code: 130 or 143 when we were asked to stop, 141 without a word when nobody
/// reads what we print, 2 for wrong usage, else 1.
///
/// Hints name our programs as the reader can call them; `debug` adds the chain of causes, one a line.
pub fn report(program: &str, error: &Error, calls: &Calls, debug: bool, out: &mut dyn Write) -> u8 {
    if is_reader_gone(error) {
        return READER_GONE;
    }
    // Standard error may be closed or broken: there is nobody left to tell.
    write_lines(program, error, calls, debug, out).ok();
    if is_interrupt(error) {
        return 128_u8.saturating_add(interrupt::received().and_then(|signal| u8::try_from(signal).ok()).unwrap_or(2));
    }
    if error.is::<WrongUsage>() { 2 } else { 1 }
}

/// Whether an error means that we were asked to stop.
pub fn is_interrupt(error: &Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref::<Failure>(), Some(Failure::Interrupted)))
}

fn write_lines(program: &str, error: &Error, calls: &Calls, debug: bool, out: &mut dyn Write) -> std::io::Result<()> {
    if is_interrupt(error) {
        return writeln!(out, "{program}: interrupted");
    }
    if let Some(stopped) = error.downcast_ref::<BuildStopped>() {
        for problem in &stopped.problems {
            writeln!(out, "{program}: error: {}", one_line(&problem.to_string()))?;
            writeln!(out, "hint: {}", calls.in_hint(&problem.mend))?;
        }
        return Ok(());
    }
    if let Some(refused) = error.downcast_ref::<DescriptorRefused>() {
        write!(out, "{}", descriptor_error::render(&refused.path, &refused.refusals, refused.colour))?;
    }
    writeln!(out, "{program}: error: {}", one_line(&format!("{error:#}")))?;
    let diverging = error.downcast_ref::<Diverges>().map(|diverges| &*diverges.lines).unwrap_or_default();
    for line in last_lines(error).iter().chain(&refused_outputs(error)).chain(diverging) {
        writeln!(out, "  | {}", printable(line))?;
    }
    if let Some(hint) = hints::hint(error) {
        writeln!(out, "hint: {}", calls.in_hint(&hint))?;
    }
    if debug {
        for cause in error.chain() {
            writeln!(out, "cause: {cause}")?;
        }
    }
    Ok(())
}

/// How many refused outputs are told one by one.
const REFUSED_TOLD: usize = 20;

/// Returns what cannot be recorded, one a line.
fn refused_outputs(error: &Error) -> Vec<String> {
    let refused = error.downcast_ref::<OutputsRefused>().map(|outputs| &*outputs.refused).unwrap_or_default();
    let told = refused.iter().take(REFUSED_TOLD).map(|(path, why)| format!("{path}: {why}"));
    let more = refused.len().saturating_sub(REFUSED_TOLD);
    told.chain((more > 0).then(|| format!("and {more} more"))).collect()
}

/// Returns a message on one line, without the numbers that Rust adds to what the system says.
pub fn one_line(text: &str) -> String {
    let text = text.trim_end().replace('\n', ": ");
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => plain += rest,
            _ => plain = plain + " (os error " + part,
        }
    }
    printable(&plain)
}
