//! Commands in a guest that boots, over one kept ssh connection.
//!
//! Everything is relative to one folder, in which the connection's socket lies: paths of sockets have to be short, and
//! nothing of ssh's own syntax can be in a name. The user's configuration, agent and known hosts are not looked at: a
//! guest is reached on the loopback, and has another key each time.
//!
//! The guest's end is a line for the user's shell, which starts the command with exactly its arguments and environment.
//! Each of the two users has a connection of his own: under emulation, becoming another user costs more than all the rest.
//! A command goes by the kept connection or not at all: on another one it might be run a second time, and a guest that
//! stands still would be waited for without end.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, IsTerminal, Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gitian_descriptor::Distro;
use gitian_process::{Command, Failure, Input, Output, Status, Streams, interrupt};

use crate::host_programs::quoted_path;
use crate::login::Login;
use crate::{GuestCommand, GuestUser, Network, Problem, mark, socket};

/// What ssh itself complains about goes here, so that a guest command's standard error is its own.
const LOG: &str = "ssh.log";
/// The kept connections' sockets, root's and the builder's.
const SOCKETS: [&str; 2] = ["ssh-root", "ssh-user"];
/// Where both users may leave a file in a guest.
const SHELF: &str = "/dev/shm";
/// The exit status with which ssh says that it failed. A guest command may end so as well. Source: ssh(1).
const LOST: i32 = 255;
/// How long a line for the guest's shell may be, in bytes: Linux takes 128 KiB as one argument.
const LINE: usize = 100 * 1024;
/// How long the guest may take to write what it has in memory: an emulated one writes some MB a second.
pub(crate) const SYNC: Duration = Duration::from_secs(120);
/// The port of the host that leads to the guest, where it is free. Source: gitian-builder 11f91fb, libexec/gconfig.
pub(crate) const USUAL_PORT: u16 = 2223;
/// How long a guest that has just booted may refuse the key: something in it may still have to place that.
const DENIED: Duration = Duration::from_secs(45);
/// How long a small question to a guest that answers may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a guest that may not be up yet has to say that it is sshd.
const BANNER: Duration = Duration::from_secs(4);
/// How often the machine is asked, while a command runs, whether it stands still; it does when it said so twice.
const WATCH: Duration = Duration::from_secs(4);

/// A guest's users, reached on a port of the loopback.
#[derive(Clone, Debug)]
pub(crate) struct Ssh {
    /// Where the sockets lie; the key is `../id_rsa`.
    pub(crate) folder: PathBuf,
    /// The port of 127.0.0.1 that leads to the guest's sshd.
    pub(crate) port: u16,
    /// The guest's ordinary user is called after it.
    pub(crate) distro: Distro,
}

/// ssh could not bring a command to the guest, or lost it there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ssh to port {port}: {}", .last_lines.last().map_or("the connection was lost", String::as_str))]
pub(crate) struct Unreached {
    port: u16,
    /// What ssh said last.
    pub(crate) last_lines: Vec<String>,
}

impl Unreached {
    /// Whether the guest's sshd answered, and did not let us in.
    fn is_denied(&self) -> bool {
        self.last_lines.last().is_some_and(|line| line.contains("Permission denied"))
    }
}

impl Ssh {
    /// Runs a command of the guest to its end, or until its machine says that it stands still.
    ///
    /// # Errors
    /// [`Unreached`] when there is no way to the guest, or none any more.
    pub(crate) fn run(
        &self,
        command: &GuestCommand,
        streams: Streams<'_>,
        stands_still: &(dyn Fn() -> bool + Sync),
    ) -> Result<Status> {
        let mark = mark::new();
        let who = entering(command);
        let mut line = line(command, &self.distro, streams.merged, &mark)?;
        if !self.is_connected(who) {
            // Nobody would say so while it is waited for.
            if stands_still() {
                return Err(self.unreached(self.log_length()).into());
            }
            self.connect_as(who, PATIENCE)?;
        }
        if line.len() > LINE {
            line = self.leave(who, line, &mark)?;
        }
        let terminal = matches!((&streams.stdin, &streams.stdout), (Input::Inherit, Output::Inherit))
            && std::io::stdin().is_terminal();
        // The way of one who has no connection: none.
        let kept = ["-o", "ControlMaster=no", "-o", "ProxyCommand=false", if terminal { "-tt" } else { "-T" }];
        let ssh = self.command(who).args(kept).arg(self.address(who)).arg(&line);
        let before = self.log_length();
        let (ran, gave_up) = self.watched(stands_still, || ssh.run(streams));
        match ran {
            Ok(outcome) if outcome.status == Status::Exited(LOST) && (gave_up || !self.is_marked(who, &mark)) => {
                Err(self.unreached(before).into())
            }
            Ok(outcome) => Ok(of_shell(outcome.status)),
            Err(failure) => {
                // Its end here is not yet its end there.
                if !matches!(failure, Failure::ProgramNotFound { .. } | Failure::NotStarted { .. }) {
                    self.end(&mark);
                }
                Err(failure.into())
            }
        }
    }

    /// Does some work, and gives the connections up when the machine stands still meanwhile, which ends what waits for
    /// them; returns whether it did.
    fn watched<T>(&self, stands_still: &(dyn Fn() -> bool + Sync), work: impl FnOnce() -> T) -> (T, bool) {
        let (working, ended) = channel::<()>();
        std::thread::scope(|scope| {
            let watch = scope.spawn(move || {
                let mut times = 0;
                while times < 2 {
                    let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(WATCH) else { return false };
                    times = if stands_still() { times + 1 } else { 0 };
                }
                self.hang_up();
                true
            });
            let done = work();
            drop(working);
            (done, watch.join().unwrap_or(false))
        })
    }

    /// Whether a connection is kept.
    fn is_connected(&self, who: GuestUser) -> bool {
        socket::connect(&self.folder, socket_of(who)).is_ok()
    }

    /// Asks whether the guest answers; from then on the connection is kept.
    fn connect(&self) -> Result<()> {
        self.connect_as(GuestUser::Builder, BANNER)
    }

    /// # Errors
    /// [`Unreached`]; or, where the guest is not to blame, [`Failure::Interrupted`].
    fn connect_as(&self, who: GuestUser, banner: Duration) -> Result<()> {
        let before = self.log_length();
        let ask = self.question_within(banner, who, "true").timeout(PATIENCE);
        match ask.run(Streams::default()) {
            Ok(outcome) if outcome.status.success() => Ok(()),
            Ok(_) => Err(self.unreached(before).into()),
            Err(Failure::Interrupted) => Err(Failure::Interrupted.into()),
            Err(failure) => Err(Unreached { port: self.port, last_lines: vec![failure.to_string()] }.into()),
        }
    }

    /// Waits until the guest answers; returns why it does not if its machine has ended, it lets nobody in, or the time is
    /// over.
    pub(crate) fn await_answer(&self, patience: Duration, lives: impl Fn() -> Result<bool>) -> Result<Option<String>> {
        const PAUSE: Duration = Duration::from_millis(200);
        let began = Instant::now();
        let mut denied = None;
        while lives()? {
            let Err(error) = self.connect() else { return Ok(None) };
            let unreached: Unreached = error.downcast()?;
            denied = if unreached.is_denied() { denied.or_else(|| Some(Instant::now())) } else { None };
            if denied.is_some_and(|since| since.elapsed() > DENIED) {
                return Ok(Some(format!("it does not let var/id_rsa in ({unreached})")));
            }
            if began.elapsed() > patience {
                return Ok(Some(format!("no answer within {} s ({unreached})", patience.as_secs())));
            }
            interrupt::sleep(PAUSE)?;
        }
        Ok(Some("its machine ended".to_owned()))
    }

    /// Runs a line of shell for ourselves, also when we were asked to stop; `None` if it did not succeed in time.
    pub(crate) fn ask(&self, who: GuestUser, line: &str, input: Input<'_>, patience: Duration) -> Option<()> {
        let asked =
            self.question(who, line).timeout(patience).uninterruptible().run_ok(Streams::default().with_input(input));
        asked.ok().map(drop)
    }

    /// Gives the kept connections up, for good.
    pub(crate) fn disconnect(&self) {
        self.hang_up();
        fs::remove_file(self.folder.join(LOG)).ok();
    }

    /// Gives the kept connections up.
    fn hang_up(&self) {
        for who in [GuestUser::Root, GuestUser::Builder] {
            let socket = self.folder.join(socket_of(who));
            if socket.exists() {
                let exit = self.command(who).args(["-O", "exit"]).arg(self.address(who));
                // It may have ended with the guest.
                exit.timeout(Duration::from_secs(5)).uninterruptible().run(Streams::default()).ok();
                fs::remove_file(socket).ok();
            }
        }
    }

    fn address(&self, who: GuestUser) -> String {
        let user = if who == GuestUser::Root { "root" } else { self.distro.as_str() };
        format!("{user}@127.0.0.1")
    }

    fn question(&self, who: GuestUser, line: &str) -> Command {
        self.question_within(BANNER, who, line)
    }

    /// A banner may never come through a port that QEMU has open.
    fn question_within(&self, banner: Duration, who: GuestUser, line: &str) -> Command {
        let patience = format!("ConnectTimeout={}", banner.as_secs());
        self.command(who).args(["-T", "-o", "ControlMaster=auto", "-o", &patience, &self.address(who), line])
    }

    fn command(&self, who: GuestUser) -> Command {
        let mut command = Command::new("ssh").args(["-F", "/dev/null", "-E", LOG, "-i", "../id_rsa"]);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "PreferredAuthentications=publickey",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "EscapeChar=none",
            // Guests of old suites know RSA with SHA-1 only.
            "HostKeyAlgorithms=+ssh-rsa",
            "PubkeyAcceptedAlgorithms=+ssh-rsa",
            // An emulated guest on a busy host may be silent for long.
            "ServerAliveInterval=15",
            "ServerAliveCountMax=8",
            "ControlPersist=yes",
        ] {
            command = command.args(["-o", option]);
        }
        command
            .args(["-o", &format!("ControlPath={}", socket_of(who)), "-p", &self.port.to_string()])
            .folder(&self.folder)
    }

    fn log_length(&self) -> u64 {
        fs::metadata(self.folder.join(LOG)).map_or(0, |found| found.len())
    }

    /// Returns what ssh said since its log was so long.
    fn unreached(&self, before: u64) -> Unreached {
        let mut text = Vec::new();
        let read = File::open(self.folder.join(LOG)).and_then(|mut file| {
            file.seek(SeekFrom::Start(before))?;
            file.take(64 * 1024).read_to_end(&mut text)
        });
        // Without its log we know less, not something else.
        read.ok();
        let text = String::from_utf8_lossy(&text);
        // What it says about the way that we did not let it go tells nothing.
        let tells = |line: &&str| !line.is_empty() && !line.contains("UNKNOWN port");
        let lines: Vec<&str> = text.lines().map(str::trim).filter(tells).collect();
        let last_lines = lines[lines.len().saturating_sub(10)..].iter().map(|line| (*line).to_owned()).collect();
        Unreached { port: self.port, last_lines }
    }

    /// Puts a line that is too long for an argument into a file of the guest, and returns one that runs it.
    fn leave(&self, who: GuestUser, line: OsString, mark: &str) -> Result<OsString> {
        let path = format!("{SHELF}/{mark}.line");
        self.ask(who, &format!("umask 077; cat > {path}"), Input::Bytes(line.as_bytes()), PATIENCE)
            .with_context(|| format!("a command of {} bytes could not be brought to the guest", line.len()))?;
        Ok(format!(": {mark}; bash {path}; s=$?; rm -f {path}; exit $s").into())
    }

    /// Whether the guest itself says that a command ended with ssh's own exit status.
    fn is_marked(&self, who: GuestUser, mark: &str) -> bool {
        self.ask(who, &format!("rm {SHELF}/{mark}"), Input::Empty, PATIENCE).is_some()
    }

    /// Ends what a command has left running in the guest: all of its session.
    fn end(&self, mark: &str) {
        // The guest may be what was lost.
        self.ask(GuestUser::Root, &mark::end(mark), Input::Empty, mark::PATIENCE);
    }
}

/// The guest's shell reports a signal as 128 + n: what ended a command by a signal is told as such.
fn of_shell(status: Status) -> Status {
    match status {
        Status::Exited(code) if (129..=128 + 64).contains(&code) => Status::Killed(code - 128),
        status => status,
    }
}

fn socket_of(who: GuestUser) -> &'static str {
    SOCKETS[usize::from(who == GuestUser::Builder)]
}

/// Returns as whom a command enters the guest: only root can take the network away.
fn entering(command: &GuestCommand) -> GuestUser {
    if command.network == Network::Off { GuestUser::Root } else { command.user }
}

/// Returns the line for the shell of the one who enters that runs a command.
///
/// The shell stays, so that its exit status is never a signal, which ssh would tell as 255; a command's own 255 leaves
/// the mark as a file. What the shell itself has to say about a signal is not the command's. Where the pipes are root's
/// but the command is not, they are opened to everybody: a script may say `/dev/stderr`.
fn line(command: &GuestCommand, distro: &Distro, merged: bool, mark: &str) -> Result<OsString> {
    let login = Login::of(command, distro.as_str());
    let mut line = format!(": {mark}; cd {} && ", quoted_text(&login.home)).into_bytes();
    line.extend(b"{ ");
    let becomes_another = command.user != entering(command);
    if becomes_another {
        line.extend(b"chmod -f 666 /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; ");
    }
    line.extend(b"exec 3>&2 2>/dev/null; ");
    if command.network == Network::Off {
        line.extend(b"unshare -n sh -c 'ip link set lo up; exec \"$@\"' sh ");
    }
    if becomes_another {
        let user = quoted_text(&login.name);
        line.extend(format!("chroot --skip-chdir --userspec={user}:{user} --groups={user} / ").into_bytes());
    }
    anyhow::ensure!(!command.argv.is_empty(), "a guest command without a program");
    for word in login.argv(command) {
        let bytes = word.as_bytes();
        anyhow::ensure!(!bytes.contains(&0), "'{}' holds a zero byte", word.to_string_lossy());
        line.extend(quoted(bytes));
        line.push(b' ');
    }
    line.extend(if merged { b"2>&1 3>&-" } else { b"2>&3 3>&-" });
    line.extend(format!("; s=$?; [ $s != {LOST} ] || : > {SHELF}/{mark}; exit $s; }}").into_bytes());
    Ok(OsString::from_vec(line))
}

/// Quotes a word for the shell so that nothing in it means anything.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'\'');
    quoted
}

fn quoted_text(word: &str) -> String {
    String::from_utf8_lossy(&quoted(word.as_bytes())).into_owned()
}

/// Returns the port that `VM_SSH_PORT` asks for.
pub(crate) fn asked_port(text: Option<&str>) -> Result<Option<u16>, Problem> {
    match text.map(str::parse) {
        None => Ok(None),
        Some(Ok(port @ 1..)) => Ok(Some(port)),
        Some(_) => Err(Problem {
            what: format!("VM_SSH_PORT={} is not a port", text.unwrap_or_default()),
            mend: "unset VM_SSH_PORT".into(),
        }),
    }
}

/// The problem of a port that is asked for and not free.
pub(crate) fn port_taken(port: u16) -> Problem {
    Problem {
        what: format!("port {port} of this host, which VM_SSH_PORT asks for, is taken"),
        mend: format!("unset VM_SSH_PORT    (then any free port is used; `ss -tlnp sport = :{port}` shows who has it)"),
    }
}

/// Returns the public half of the key for guests, `var/id_rsa`, which is made when it is absent. A key that others could
/// read is closed to them: ssh silently passes over it, and the guest would look as if it never came up.
///
/// Source: gitian-builder 11f91fb, bin/make-base-vm (the place of the key).
pub(crate) fn public_key(var: &Path) -> Result<String> {
    let path = var.join("id_rsa");
    let object = || format!("{}", path.display());
    match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(var).with_context(object)?;
            let half = tempfile::Builder::new().prefix(".key-").tempdir_in(var).with_context(object)?;
            let make = Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-b", "3072", "-N", "", "-C", "gitian"]);
            make.args(["-f", "id_rsa"]).folder(half.path()).run_ok(Streams::default())?;
            for name in ["id_rsa.pub", "id_rsa"] {
                fs::rename(half.path().join(name), var.join(name)).with_context(object)?;
            }
        }
        Err(error) => return Err(error).with_context(object),
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(|_| Problem {
                what: format!("key {}: others may read it, so that ssh does not use it", path.display()),
                mend: format!("chmod 600 {0}, as its owner; or, to have a new one: rm {0}", quoted_path(&path)),
            })?;
        }
        Ok(_) => {}
    }
    let show = Command::new("ssh-keygen").args(["-y", "-P", "", "-f", "id_rsa"]).folder(var);
    let public = show.text().map_err(|failure| match failure {
        Failure::ProgramFailed { last_lines, .. } => anyhow::Error::from(Problem {
            what: format!("key {} cannot be used: {}", path.display(), last_lines.join(": ")),
            mend: format!(
                "rm {}    (a new one is made; guests that run cannot be reached any more)",
                quoted_path(&path)
            ),
        }),
        other => other.into(),
    })?;
    let mut words = public.split_ascii_whitespace();
    let (kind, key) = words.next().zip(words.next()).with_context(object)?;
    Ok(format!("{kind} {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    fn debian() -> Distro {
        "debian".parse().unwrap()
    }

    #[test]
    fn a_line_names_user_environment_and_arguments_and_nothing_in_them_means_anything() {
        let command = GuestCommand::new(GuestUser::Builder, ["printf", "a  b", "it's", "$(id)\n*"]).env("A", "b c");
        let start = "'/usr/bin/env' '-i' 'HOME=/home/debian' 'LOGNAME=debian' \
             'PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games' 'SHELL=/bin/bash' 'USER=debian' 'A=b c' \
             'printf' 'a  b' 'it'\\''s' '$(id)\n*'";
        let end = "3>&-; s=$?; [ $s != 255 ] || : > /dev/shm/mark; exit $s; }";
        assert_eq!(
            line(&command, &debian(), false, "mark").unwrap().to_str().unwrap(),
            format!(": mark; cd '/home/debian' && {{ exec 3>&2 2>/dev/null; {start} 2>&3 {end}")
        );
        let command = command.network(Network::Off);
        assert_eq!(
            line(&command, &debian(), true, "mark").unwrap().to_str().unwrap(),
            format!(
                ": mark; cd '/home/debian' && {{ chmod -f 666 /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; \
                 exec 3>&2 2>/dev/null; unshare -n sh -c 'ip link set lo up; exec \"$@\"' sh chroot --skip-chdir \
                 --userspec='debian':'debian' --groups='debian' / {start} 2>&1 {end}"
            )
        );
    }

    /// Runs a line in the host's own shell, in a place where it may.
    fn run_here(line: &OsStr) -> std::process::Output {
        // Root's home may be closed to the one who tests.
        let text = line.to_str().unwrap().replace("/root", "/tmp");
        let mut bash = assert_command("bash");
        bash.arg("-c").arg(text).output().unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own program")]
    fn assert_command(program: &str) -> std::process::Command {
        std::process::Command::new(program)
    }

    #[test]
    fn arguments_and_variables_arrive_unchanged_through_a_shell() {
        let arguments = ["", "a  b", "it's", "\"q\"", "$HOME", "`id`", "*", "new\nline", "\\", "-u", "--", "a=b", "ä"];
        let command = GuestCommand::new(GuestUser::Root, ["printf", "%s\\0"]).env("A", "x' y\n");
        let command =
            GuestCommand { argv: command.argv.into_iter().chain(arguments.map(Into::into)).collect(), ..command };
        let output = run_here(&line(&command, &debian(), false, &mark::new()).unwrap());
        let found: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
        assert_eq!(found[..arguments.len()], arguments.map(str::as_bytes));

        let command =
            GuestCommand::new(GuestUser::Root, ["sh", "-c", "printf %s \"$A\"; env | wc -l"]).env("A", "x' y\n");
        let output = run_here(&line(&command, &debian(), false, &mark::new()).unwrap());
        // HOME, LOGNAME, PATH, SHELL, USER, A in two lines, and the shell's PWD.
        assert_eq!(String::from_utf8_lossy(&output.stdout), "x' y\n8\n");
    }

    #[test]
    fn every_exit_status_is_told_apart_from_a_signal_and_from_a_lost_connection() {
        for (script, code, told, marked) in [
            ("exit 0", 0, Status::Exited(0), false),
            ("exit 3", 3, Status::Exited(3), false),
            ("exit 255", 255, Status::Exited(255), true),
            ("kill -TERM $$", 143, Status::Killed(15), false),
            ("kill -KILL $$", 137, Status::Killed(9), false),
        ] {
            let mark = mark::new();
            let command = GuestCommand::new(GuestUser::Root, ["sh", "-c", script]);
            let output = run_here(&line(&command, &debian(), false, &mark).unwrap());
            assert_eq!(output.status.code(), Some(code), "{script}");
            assert_eq!(of_shell(Status::Exited(code)), told, "{script}");
            assert_eq!(fs::remove_file(format!("{SHELF}/{mark}")).is_ok(), marked, "{script}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script}");
        }
    }

    #[test]
    fn merged_output_keeps_its_order() {
        let script = "for i in 1 2 3; do echo $i; echo e$i >&2; done";
        let command = GuestCommand::new(GuestUser::Root, ["sh", "-c", script]);
        let output = run_here(&line(&command, &debian(), true, &mark::new()).unwrap());
        assert_eq!(output.stdout, b"1\ne1\n2\ne2\n3\ne3\n");
    }

    #[test]
    fn a_zero_byte_or_no_program_is_refused() {
        let none: [&str; 0] = [];
        for command in [GuestCommand::new(GuestUser::Root, none), GuestCommand::new(GuestUser::Root, ["a\0b"])] {
            assert!(line(&command, &debian(), false, "mark").is_err());
        }
    }

    #[test]
    fn a_key_is_made_when_there_is_none_and_closed_when_others_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let var = folder.path().join("a b/var");
        let public = public_key(&var).unwrap();
        assert!(public.starts_with("ssh-rsa AAAA"), "{public}");
        let path = var.join("id_rsa");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(public_key(&var).unwrap(), public);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        fs::write(&path, "not a key").unwrap();
        let error = public_key(&var).unwrap_err();
        let problem = error.downcast_ref::<Problem>().unwrap();
        assert!(problem.what.contains("cannot be used"), "{problem:?}");
        assert!(problem.mend.starts_with(&format!("rm '{}'  ", path.display())), "to be pasted: {problem:?}");
    }

    #[test]
    fn a_port_where_nobody_answers_is_told_with_what_ssh_said() {
        let folder = tempfile::tempdir().unwrap();
        public_key(folder.path()).unwrap();
        let own = folder.path().join("kvm");
        fs::create_dir(&own).unwrap();
        // Taken and closed again: nobody listens there for a while.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ssh = Ssh { folder: own, port, distro: debian() };
        let error = ssh.connect().unwrap_err();
        assert!(error.to_string().contains("Connection refused"), "{error}");
        let command = GuestCommand::new(GuestUser::Root, ["true"]);
        let error = ssh.run(&command, Streams::default(), &|| false).unwrap_err();
        assert!(error.is::<Unreached>() && error.to_string().contains("Connection refused"), "{error:#}");
    }
}
