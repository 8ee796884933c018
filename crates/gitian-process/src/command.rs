//! A program with its arguments: displayed, compared, run.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Pid, getpgid};

use crate::streams::{Input, Output, PipeReader, PipeWriter, Streams};
use crate::{Failure, interrupt, last_lines, trace};

/// A program to be run with exactly these arguments; no shell looks at them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    clean_env: bool,
    unset: Vec<OsString>,
    folder: Option<PathBuf>,
    timeout: Option<Duration>,
    uninterruptible: bool,
    may_ask: bool,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Status {
    /// Whether the program ended by itself with status 0.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }

    /// Returns the exit status as a shell would report it: 128 + n for signal n.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }
}

impl From<std::process::ExitStatus> for Status {
    fn from(status: std::process::ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Killed(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "ended with exit status {code}"),
            Self::Killed(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "was ended by {signal}"),
                Err(_) => write!(f, "was ended by signal {number}"),
            },
        }
    }
}

/// What a program that ran to its end left.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Standard output, where it was captured.
    pub stdout: Vec<u8>,
    /// The end of standard error (at most 64 KiB), where it was captured.
    pub stderr: Vec<u8>,
}

/// How much of standard error is kept, in bytes.
const STDERR_KEPT: usize = 64 * 1024;
/// How long a program that was told to end (SIGTERM) may take before SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(3);
/// How long a signal that ended a program of our process group may take to be noticed by ourselves.
const MOMENT: Duration = Duration::from_millis(50);

impl Command {
    /// Names the program, looked up in PATH if it holds no slash.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            clean_env: false,
            unset: Vec::new(),
            folder: None,
            timeout: None,
            uninterruptible: false,
            may_ask: false,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// Sets one variable of the program's environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Hands down nothing of our own environment, only what [`env`](Self::env) sets.
    pub fn clean_env(mut self) -> Self {
        self.clean_env = true;
        self
    }

    /// Hands down our environment without this variable.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.unset.push(name.as_ref().into());
        self
    }

    /// Runs the program in this folder.
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().into());
        self
    }

    /// Ends the program after this time.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Lets the program run although we were asked to stop: for cleaning up.
    pub fn uninterruptible(mut self) -> Self {
        self.uninterruptible = true;
        self
    }

    /// Says that the program may ask the user something on the terminal itself, as `ssh` does for a passphrase: only the
    /// process group in the foreground may, which is ours.
    pub fn may_ask(mut self) -> Self {
        self.may_ask = true;
        self
    }

    /// Runs the program and returns its trimmed standard output as text (bytes that are not UTF-8 are replaced).
    pub fn text(&self) -> Result<String, Failure> {
        let outcome = self.run_ok(Streams::default())?;
        Ok(String::from_utf8_lossy(&outcome.stdout).trim_end().to_owned())
    }

    /// Runs the program; an exit status other than 0 is an error.
    pub fn run_ok(&self, streams: Streams<'_>) -> Result<Outcome, Failure> {
        let outcome = self.run(streams)?;
        if outcome.status.success() {
            return Ok(outcome);
        }
        let last_lines = last_lines(&String::from_utf8_lossy(&outcome.stderr), 10);
        Err(Failure::ProgramFailed { command_line: self.to_string(), status: outcome.status, last_lines })
    }

    /// Runs the program to its end; any exit status is an answer, unless we were asked to stop: then it says nothing.
    ///
    /// The program has a process group of its own, so that ctrl-c is for us to deal with, and all that it started is ended
    /// with it; except when it shares one of our streams or [may ask](Self::may_ask), perhaps on our terminal.
    pub fn run(&self, streams: Streams<'_>) -> Result<Outcome, Failure> {
        let alone = !self.may_ask && !streams.share_ours();
        self.run_grouped(streams, alone, |command| {
            if alone {
                command.process_group(0);
            }
        })
    }

    /// Like [`run`](Self::run), with a process that `prepare` starts in its own way, out of our process group (the sandbox
    /// enters its namespaces there).
    pub fn run_prepared(
        &self,
        streams: Streams<'_>,
        prepare: impl FnOnce(&mut std::process::Command),
    ) -> Result<Outcome, Failure> {
        self.run_grouped(streams, true, prepare)
    }

    fn run_grouped(
        &self,
        streams: Streams<'_>,
        alone: bool,
        prepare: impl FnOnce(&mut std::process::Command),
    ) -> Result<Outcome, Failure> {
        if !self.uninterruptible {
            interrupt::check()?;
        }
        trace::tell(self);
        let not_started = |cause: io::Error| Failure::NotStarted { command_line: self.to_string(), cause };
        let mut command = self.to_std();
        let mut plan = Plan::new(streams, &mut command).map_err(not_started)?;
        prepare(&mut command);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(not_started)?;
        let mut child = {
            let _entered = runtime.enter();
            let mut command = tokio::process::Command::from(command);
            command.kill_on_drop(true);
            command.spawn().map_err(|cause| match cause.kind() {
                io::ErrorKind::NotFound if self.folder.as_ref().is_none_or(|folder| folder.is_dir()) => {
                    Failure::ProgramNotFound { program: self.program.to_string_lossy().into_owned() }
                }
                _ => not_started(cause),
            })?
        };
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let pumps = plan.start(scope, &ended);
            let end = runtime.block_on(self.wait(&mut child, alone));
            ended.store(true, Ordering::Release);
            let streams = pumps.and_then(Pumps::join);
            let status = end?;
            match streams {
                Ok((stdout, stderr)) => Ok(Outcome { status, stdout, stderr }),
                // A program that failed left its output unfinished: its status says more.
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof && !status.success() => {
                    Ok(Outcome { status, stdout: Vec::new(), stderr: Vec::new() })
                }
                Err(cause) => Err(Failure::Stream { command_line: self.to_string(), cause }),
            }
        })
    }

    async fn wait(&self, child: &mut tokio::process::Child, alone: bool) -> Result<Status, Failure> {
        let timed_out = async {
            match self.timeout {
                Some(limit) => {
                    tokio::time::sleep(limit).await;
                    limit
                }
                None => std::future::pending().await,
            }
        };
        let interrupted = async {
            match self.uninterruptible {
                true => std::future::pending().await,
                false => interrupt::wait().await,
            }
        };
        let failure = tokio::select! {
            biased;
            end = child.wait() => {
                let status = end.map_err(|cause| Failure::Stream { command_line: self.to_string(), cause })?.into();
                // Asked to stop together with us, it may have ended before we noticed.
                let moment = if alone { Duration::ZERO } else { MOMENT };
                return match self.uninterruptible || Status::success(status) {
                    false if interrupt::comes_within(moment).await => Err(Failure::Interrupted),
                    _ => Ok(status),
                };
            }
            limit = timed_out => Failure::TimedOut { command_line: self.to_string(), limit },
            () = interrupted => Failure::Interrupted,
        };
        end(child).await;
        Err(failure)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one door")]
    fn to_std(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args);
        if self.clean_env {
            command.env_clear();
        }
        for name in &self.unset {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }
}

/// Ends a program, with its process group if it has one of its own: SIGTERM, and after a while SIGKILL.
async fn end(child: &mut tokio::process::Child) {
    let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw) else { return };
    let signal = |signal| match getpgid(Some(id)) {
        Ok(group) if group == id => killpg(group, signal),
        _ => kill(id, signal),
    };
    // It may have ended by itself in this moment; all these calls then have nothing to do.
    signal(Signal::SIGTERM).ok();
    if tokio::time::timeout(TERM_GRACE, child.wait()).await.is_err() {
        signal(Signal::SIGKILL).ok();
        child.kill().await.ok();
    }
}

impl fmt::Display for Command {
    /// Writes a line that can be pasted into a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{}={} ", name.to_string_lossy(), quoted(value))?;
        }
        write!(f, "{}", quoted(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

fn quoted(word: &OsStr) -> String {
    let word: Cow<'_, str> = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Our ends of the pipes, and what is to be done with them.
struct Plan<'a> {
    stdin: Option<(OwnedFd, Input<'a>)>,
    stdout: Option<(OwnedFd, Output<'a>)>,
    stderr: Option<(OwnedFd, Output<'a>)>,
}

impl<'a> Plan<'a> {
    fn new(streams: Streams<'a>, command: &mut std::process::Command) -> io::Result<Self> {
        let mut plan = Self { stdin: None, stdout: None, stderr: None };
        match streams.stdin {
            Input::Empty => drop(command.stdin(Stdio::null())),
            Input::Inherit => drop(command.stdin(Stdio::inherit())),
            Input::File(file) => drop(command.stdin(file)),
            input @ (Input::Bytes(_) | Input::Produce(_)) => {
                let (reader, writer) = open_pipe()?;
                command.stdin(reader);
                plan.stdin = Some((writer.into(), input));
            }
        }
        if streams.merged {
            let both = match streams.stdout {
                Output::Discard => (Stdio::null(), Stdio::null()),
                Output::Inherit => (Stdio::inherit(), io::stdout().into()),
                Output::File(file) => (file.try_clone()?.into(), file.into()),
                output @ (Output::Capture | Output::Consume(_)) => {
                    let (reader, writer) = open_pipe()?;
                    plan.stdout = Some((reader.into(), output));
                    (writer.try_clone()?.into(), writer.into())
                }
            };
            command.stdout(both.0).stderr(both.1);
        } else {
            let (end, pipe) = one_way(streams.stdout)?;
            command.stdout(end);
            plan.stdout = pipe;
            let (end, pipe) = one_way(streams.stderr)?;
            command.stderr(end);
            plan.stderr = pipe;
        }
        Ok(plan)
    }

    fn start<'scope>(
        &mut self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        ended: &'scope AtomicBool,
    ) -> io::Result<Pumps<'scope>>
    where
        'a: 'scope,
    {
        let feed = match self.stdin.take() {
            None => None,
            Some((pipe, input)) => {
                let mut pipe = PipeWriter::new(pipe, ended)?;
                Some(scope.spawn(move || match input {
                    Input::Bytes(bytes) => pipe.write_all(bytes),
                    Input::Produce(produce) => produce(&mut pipe),
                    Input::Empty | Input::Inherit | Input::File(_) => Ok(()),
                }))
            }
        };
        let drain = |pipe: Option<(OwnedFd, Output<'a>)>, keep: usize| {
            pipe.map(|(pipe, output)| {
                let mut pipe = PipeReader::new(pipe, ended);
                scope.spawn(move || match output {
                    Output::Consume(consume) => {
                        let done = consume(&mut pipe);
                        // Whatever was not wanted is read all the same: the program must not die of a broken pipe.
                        if done.is_ok() {
                            io::copy(&mut pipe, &mut io::sink())?;
                        }
                        done.map(|()| Vec::new())
                    }
                    _ => tail(&mut pipe, keep),
                })
            })
        };
        let stdout = drain(self.stdout.take(), usize::MAX);
        let stderr = drain(self.stderr.take(), STDERR_KEPT);
        Ok(Pumps { feed, stdout, stderr })
    }
}

/// Makes a pipe that its other end may open once more by name (`/dev/stderr`) even as another user: a guest's.
fn open_pipe() -> io::Result<(io::PipeReader, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    fchmod(&writer, Mode::from_bits_truncate(0o666))?;
    Ok((reader, writer))
}

fn one_way(output: Output<'_>) -> io::Result<(Stdio, Option<(OwnedFd, Output<'_>)>)> {
    Ok(match output {
        Output::Discard => (Stdio::null(), None),
        Output::Inherit => (Stdio::inherit(), None),
        Output::File(file) => (file.into(), None),
        output @ (Output::Capture | Output::Consume(_)) => {
            let (reader, writer) = open_pipe()?;
            (writer.into(), Some((reader.into(), output)))
        }
    })
}

/// Reads to the end and returns the last bytes, at most about `keep` of them.
fn tail(pipe: &mut impl Read, keep: usize) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let count = pipe.read(&mut chunk)?;
        if count == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&chunk[..count]);
        if kept.len() > keep.saturating_mul(2) {
            kept.drain(..kept.len() - keep);
        }
    }
}

type Pump<'scope, T> = std::thread::ScopedJoinHandle<'scope, io::Result<T>>;

struct Pumps<'scope> {
    feed: Option<Pump<'scope, ()>>,
    stdout: Option<Pump<'scope, Vec<u8>>>,
    stderr: Option<Pump<'scope, Vec<u8>>>,
}

impl Pumps<'_> {
    fn join(self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        fn joined<T: Default>(pump: Option<Pump<'_, T>>) -> io::Result<T> {
            pump.map_or_else(
                || Ok(T::default()),
                |pump| pump.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            )
        }
        let stdout = joined(self.stdout);
        let stderr = joined(self.stderr);
        match joined(self.feed) {
            // A program need not read all its input.
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {}
            Err(cause) => return Err(cause),
            Ok(()) => {}
        }
        Ok((stdout?, stderr?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_command_displays_as_a_line_to_paste() {
        let command = Command::new("git").args(["commit", "-m", "it's done"]).env("A", "b c");
        assert_eq!(command.to_string(), r"A='b c' git commit -m 'it'\''s done'");
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = Command::new("no-such-program").text().unwrap_err();
        assert_eq!(failure.to_string(), "program no-such-program is not installed");
    }

    #[test]
    fn a_failing_program_is_reported_with_status_and_last_lines() {
        let failure = Command::new("sh").args(["-c", "for i in $(seq 20); do echo line $i >&2; done; exit 7"]).text();
        let Err(Failure::ProgramFailed { status, last_lines, .. }) = failure else { panic!("{failure:?}") };
        assert_eq!(status, Status::Exited(7));
        assert_eq!((last_lines.len(), last_lines[9].as_str()), (10, "line 20"));
    }

    #[test]
    fn a_signal_is_named() {
        let outcome = Command::new("sh").args(["-c", "kill -9 $$"]).run(Streams::default()).unwrap();
        assert_eq!(outcome.status.to_string(), "was ended by SIGKILL");
        assert_eq!(outcome.status.code(), 137);
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let began = Instant::now();
        let failure = Command::new("sleep").arg("60").timeout(Duration::from_millis(100)).text().unwrap_err();
        assert!(matches!(failure, Failure::TimedOut { .. }), "{failure}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_program_has_a_process_group_of_its_own_unless_it_may_need_the_terminal() {
        let ours = nix::unistd::getpgrp().to_string();
        let group = || Command::new("sh").args(["-c", "cut -d ' ' -f 5 /proc/self/stat"]);
        assert_ne!(group().text().unwrap(), ours);
        assert_eq!(group().may_ask().text().unwrap(), ours);
        let inherit = Streams { stderr: Output::Inherit, ..Streams::default() };
        let text = String::from_utf8(group().run_ok(inherit).unwrap().stdout).unwrap();
        assert_eq!(text.trim_end(), ours);
    }

    #[test]
    fn what_a_program_started_is_ended_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sleep 60 & echo $! > pid; wait";
        let command = Command::new("sh").args(["-c", script]).folder(folder.path());
        command.timeout(Duration::from_millis(500)).text().unwrap_err();
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim_end())).unwrap_or_default();
        let began = Instant::now();
        // One that nobody has taken notice of yet is a zombie.
        while !state().is_empty() && !state().contains(") Z ") {
            assert!(began.elapsed() < Duration::from_secs(5), "{}", state());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn large_streams_pass_both_ways_unchanged() {
        let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        let streams = Streams::default().with_input(Input::Bytes(&sent));
        assert!(Command::new("cat").run_ok(streams).unwrap().stdout == sent);
    }

    #[test]
    fn a_background_child_that_keeps_the_pipe_does_not_keep_us() {
        let began = Instant::now();
        let outcome = Command::new("sh").args(["-c", "sleep 30 & echo done"]).run_ok(Streams::default()).unwrap();
        assert_eq!(outcome.stdout, b"done\n");
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_background_child_that_writes_for_ever_does_not_keep_us() {
        for child in ["yes", "while sleep 0.05; do echo still here; done"] {
            let began = Instant::now();
            let read = |pipe: &mut dyn Read| io::copy(pipe, &mut io::sink()).map(drop);
            let streams = Streams { stdout: Output::Consume(Box::new(read)), ..Streams::default() };
            Command::new("sh").args(["-c", &format!("{child} & echo done")]).run_ok(streams).unwrap();
            assert!(began.elapsed() < Duration::from_secs(15), "{child}");
        }
    }

    #[test]
    fn a_pipe_can_be_opened_by_name_by_another_user() {
        let script = "stat -L -c %a /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2";
        let streams = Streams::default().with_input(Input::Bytes(b""));
        assert_eq!(Command::new("sh").args(["-c", script]).run_ok(streams).unwrap().stdout, b"666\n666\n666\n");
    }

    #[test]
    fn a_program_that_ignores_its_input_is_no_error() {
        let sent = vec![0; 1_000_000];
        Command::new("true").run_ok(Streams::default().with_input(Input::Bytes(&sent))).unwrap();
    }
}
