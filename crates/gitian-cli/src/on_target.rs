//! on-target: a command → the same command in the running target.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use anyhow::Result;
use gitian_process::Streams;
use gitian_vm::GuestCommand;

use crate::args::WrongUsage;
use crate::args::on_target::Args;
use crate::printable::printable;
use crate::surroundings::Surroundings;
use crate::target;

/// Runs on-target with our own standard input, output and error. Returns the command's exit status.
pub fn run(args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    let variables = args.env.iter().map(|text| variable(text)).collect::<Result<Vec<_>, _>>()?;
    let target = target::running(around)?;
    let user = target::user(&*target, args.user.as_deref())?;
    let argv = if args.command.is_empty() { vec!["bash".into(), "-l".into()] } else { args.command };
    let command =
        variables.into_iter().fold(GuestCommand::new(user, argv), |command, (name, value)| command.env(name, value));
    let status = target.run(&command, Streams::inherit())?;
    Ok(u8::try_from(status.code()).unwrap_or(1))
}

fn variable(text: &OsString) -> Result<(&OsStr, &OsStr), WrongUsage> {
    let bytes = text.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(at @ 1..) => Ok((OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..]))),
        _ => Err(WrongUsage(format!("-e {}: is not of the form NAME=VALUE", printable(&text.to_string_lossy())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_what_stands_before_the_first_equals_sign() {
        for (text, expected) in [
            ("A=b", Some(("A", "b"))),
            ("A=", Some(("A", ""))),
            ("A=b=c d\n", Some(("A", "b=c d\n"))),
            ("A", None),
            ("=b", None),
            ("", None),
        ] {
            let text = OsString::from(text);
            let found = variable(&text).ok();
            assert_eq!(found, expected.map(|(name, value)| (OsStr::new(name), OsStr::new(value))), "{text:?}");
        }
    }
}
