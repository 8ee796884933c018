//! A running guest: the sandbox's [`Target`].

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use anyhow::{Context, Result, bail};
use gitian_process::{Command, Failure, Output, Status, Streams};

use super::enclosure::{Enclosure, Insider, NotEntered};
use super::enter::{Bounds, Program};
use super::layer::Held;
use super::place::TargetPlace;
use super::{Image, Sandbox};
use crate::document::remove_file;
use crate::login::Login;
use crate::{GuestCommand, GuestGone, Layer, Network, Resources, Target};

/// A running guest.
pub(super) struct Guest {
    sandbox: Sandbox,
    image: Image,
    resources: Resources,
    /// `None` only while the guest is being restarted.
    enclosure: Option<Enclosure>,
    /// Keeps the layer below; the guest's first process holds the same lock.
    held: Option<Held>,
}

impl Guest {
    pub(super) fn new(
        sandbox: Sandbox,
        image: Image,
        resources: Resources,
        enclosure: Enclosure,
        held: Option<Held>,
    ) -> Self {
        Self { sandbox, image, resources, enclosure: Some(enclosure), held }
    }

    fn enclosure(&self) -> Result<&Enclosure> {
        self.enclosure.as_ref().filter(|enclosure| !enclosure.has_ended()).ok_or_else(|| self.gone().into())
    }

    fn gone(&self) -> GuestGone {
        GuestGone { target: self.image.target.to_string() }
    }

    fn place(&self) -> TargetPlace {
        self.sandbox.target_place()
    }
}

/// Returns what a guest's program is started with.
fn insider(command: &GuestCommand, builder: &str, resources: Resources) -> Result<Insider> {
    let Login { id, home, env, .. } = Login::of(command, builder);
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let Some(program) = command.argv.first() else { bail!("a guest command without a program") };
    let program = Program {
        candidates: candidates(program, path.unwrap_or_default())?,
        argv: command.argv.iter().map(|arg| c_string(arg)).collect::<Result<_>>()?,
        env: env
            .into_iter()
            .map(|(mut name, value)| {
                name.push("=");
                name.push(value);
                c_string(&name)
            })
            .collect::<Result<_>>()?,
    };
    Ok(Insider {
        id,
        folder: Some(c_string(OsStr::new(&home))?),
        program: Some(program),
        bounds: Some(Bounds { tasks: resources.tasks() }),
        without_network: command.network == Network::Off,
    })
}

/// Puts a pipe between a guest's program and a file of the host: a file with an owner that the guest does not know cannot
/// be opened as `/dev/stderr`, and if it could, would be emptied.
pub(crate) fn through_pipes(streams: Streams<'_>) -> Streams<'_> {
    Streams { stdout: through_pipe(streams.stdout), stderr: through_pipe(streams.stderr), ..streams }
}

fn through_pipe(output: Output<'_>) -> Output<'_> {
    match output {
        Output::File(mut file) => {
            Output::Consume(Box::new(move |pipe: &mut dyn Read| io::copy(pipe, &mut file).map(drop)))
        }
        other => other,
    }
}

fn candidates(program: &OsStr, path: &OsStr) -> Result<Vec<CString>> {
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(program)?]);
    }
    path.as_bytes()
        .split(|byte| *byte == b':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| c_string(&OsString::from_vec([folder, b"/", program.as_bytes()].concat())))
        .collect()
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes()).with_context(|| format!("'{}' holds a zero byte", text.to_string_lossy()))
}

impl Target for Guest {
    fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
        let enclosure = self.enclosure()?;
        let insider = insider(command, self.image.target.distro.as_str(), self.resources)?;
        // What is displayed; what is started, and with which environment, is in `insider`.
        let shown = Command::new(command.argv.first().cloned().unwrap_or_default()).args(&command.argv[1..]);
        match enclosure.run(&shown, insider, through_pipes(streams)) {
            Ok(outcome) if outcome.status == Status::Killed(9) && enclosure.is_ending() => Err(self.gone().into()),
            Ok(outcome) => Ok(outcome.status),
            Err(NotEntered::Failure(failure)) => Err(failure.into()),
            Err(NotEntered::Stage { .. }) if enclosure.is_ending() => Err(self.gone().into()),
            Err(NotEntered::Stage { stage, cause: Failure::NotStarted { cause, .. } }) => {
                Err(cause).with_context(|| format!("guest {}: {}", self.image.target, stage.describe()))
            }
            Err(error) => Err(error).with_context(|| format!("guest {}", self.image.target)),
        }
    }

    fn keep_layer(&mut self, layer: &Layer) -> Result<()> {
        let Some(enclosure) = self.enclosure.take() else { return Err(self.gone().into()) };
        enclosure.end()?;
        remove_file(&self.place().init())?;
        self.image = self.sandbox.keep_layer(&self.image, layer)?;
        let (enclosure, held) = self.sandbox.start_image(&self.image, self.resources)?;
        self.enclosure = Some(enclosure);
        self.held = held;
        Ok(())
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        if let Some(enclosure) = self.enclosure.take() {
            enclosure.end()?;
        }
        remove_file(&self.place().init())
    }

    fn detach(mut self: Box<Self>) -> Result<()> {
        // Dropping the lock would take it from the guest's first process too, which shares it.
        std::mem::forget(self.held.take());
        self.enclosure.take().map_or(Ok(()), Enclosure::release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GuestUser;

    fn texts(strings: &[CString]) -> Vec<&str> {
        strings.iter().map(|string| string.to_str().unwrap()).collect()
    }

    const RESOURCES: Resources = Resources { processors: 2, memory_mib: 2000 };

    #[test]
    fn the_builder_has_the_environment_of_the_original_guest() {
        let command = GuestCommand::new(GuestUser::Builder, ["setarch", "x86_64", "bash"]).env("LANG", "C");
        let insider = insider(&command, "debian", RESOURCES).unwrap();
        let program = insider.program.unwrap();
        assert_eq!(insider.id, 1000);
        assert_eq!(insider.folder.unwrap().to_str().unwrap(), "/home/debian");
        assert_eq!(
            texts(&program.env),
            [
                "HOME=/home/debian",
                "LOGNAME=debian",
                "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
                "SHELL=/bin/bash",
                "USER=debian",
                "LANG=C",
            ]
        );
        assert_eq!(texts(&program.candidates)[..2], ["/usr/local/bin/setarch", "/usr/bin/setarch"]);
        assert_eq!(texts(&program.argv), ["setarch", "x86_64", "bash"]);
    }

    #[test]
    fn a_variable_that_is_given_replaces_the_one_that_is_always_there() {
        let command = GuestCommand::new(GuestUser::Root, ["./a"]).env("PATH", "/opt").env("HOME", "/");
        let program = insider(&command, "debian", RESOURCES).unwrap().program.unwrap();
        assert_eq!(texts(&program.env), ["LOGNAME=root", "SHELL=/bin/bash", "USER=root", "PATH=/opt", "HOME=/"]);
        assert_eq!(texts(&program.candidates), ["./a"]);
    }

    #[test]
    fn a_zero_byte_or_no_program_is_refused() {
        let none: [&str; 0] = [];
        assert!(insider(&GuestCommand::new(GuestUser::Root, none), "debian", RESOURCES).is_err());
        assert!(insider(&GuestCommand::new(GuestUser::Root, ["a\0b"]), "debian", RESOURCES).is_err());
    }
}
