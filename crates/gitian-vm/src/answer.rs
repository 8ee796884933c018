//! What a guest's program answers on its standard output, in bounds: a guest is hostile, and may answer for ever.

use std::io::{self, Read};

use anyhow::Result;
use gitian_process::{Output, Status, Streams};

use crate::{GuestCommand, Target};

/// A guest's program answered at greater length than anybody who means well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("in the guest: {program} answered with more than {limit} bytes")]
pub struct AnswerTooLong {
    /// The program, without its arguments.
    pub program: String,
    /// How much was read, in bytes.
    pub limit: u64,
}

/// Runs a command in a guest and returns how it ended, and what it wrote to standard output: at most `limit` bytes. Bytes
/// that are not UTF-8 are replaced.
///
/// # Errors
/// [`AnswerTooLong`].
pub fn read(target: &dyn Target, command: &GuestCommand, limit: u64) -> Result<(Status, String)> {
    let mut bytes = Vec::new();
    let mut too_long = false;
    let consume = |pipe: &mut dyn Read| {
        pipe.take(limit).read_to_end(&mut bytes)?;
        too_long = pipe.read(&mut [0])? > 0;
        // An error closes the pipe, which ends whoever writes on and on.
        if too_long { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
    };
    let streams = Streams { stdout: Output::Consume(Box::new(consume)), stderr: Output::Discard, ..Streams::default() };
    let ran = target.run(command, streams);
    if too_long {
        let program = command.argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        return Err(AnswerTooLong { program, limit }.into());
    }
    Ok((ran?, String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GuestUser, Layer};
    use gitian_process::Command;

    /// A guest whose programs are the host's.
    struct Host;

    impl Target for Host {
        fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
            Ok(Command::new(&command.argv[0]).args(&command.argv[1..]).run(streams)?.status)
        }

        fn keep_layer(&mut self, _layer: &Layer) -> Result<()> {
            Ok(())
        }

        fn stop(self: Box<Self>) -> Result<()> {
            Ok(())
        }

        fn detach(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_answer_is_read_up_to_a_limit() {
        let answer = |argv: &[&str], limit| read(&Host, &GuestCommand::new(GuestUser::Root, argv), limit);
        assert_eq!(answer(&["echo", "four"], 5).unwrap(), (Status::Exited(0), "four\n".to_owned()));
        assert_eq!(answer(&["false"], 5).unwrap(), (Status::Exited(1), String::new()));
        for (argv, limit) in [(["echo", "four"], 4), (["yes", "for ever"], 1 << 20)] {
            let refused = answer(&argv, limit).unwrap_err();
            let program = argv[0].to_owned();
            assert_eq!(refused.downcast_ref(), Some(&AnswerTooLong { program, limit }), "{refused:#}");
        }
    }
}
