//! The system calls by which a process becomes pid 1 of an enclosure, or enters a running one, in order.
//!
//! The only file with `unsafe`. What runs between a fork and the next program may not allocate, lock or read the
//! environment: everything is prepared before, as [`Step`]s and as an [`Entry`]. What the steps are, and why, is
//! `rootfs`'s business; who starts and ends enclosures, `enclosure`'s.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, UnlinkatFlags, chdir, fchdir, getppid, mkdir, pivot_root, setsid, symlinkat, unlink, unlinkat};

/// What pid 1 does on its way to a guest, one system call or few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Keeps what is mounted from now on to ourselves.
    KeepMountsPrivate,
    /// Opens a folder, which later steps call [`slot`].
    Open {
        /// Which slot.
        slot: u8,
        /// The folder.
        path: CString,
    },
    /// Stops being the caller and becomes the enclosure's root.
    BecomeRoot,
    /// Sets the host name.
    HostName(CString),
    /// Mounts.
    Mount {
        /// What.
        source: CString,
        /// Where.
        target: CString,
        /// The kind of file system; `None` with `MS_BIND`.
        kind: Option<CString>,
        /// How.
        flags: MsFlags,
        /// Options of that kind.
        options: Option<CString>,
        /// Whether a missing target is no error.
        optional: bool,
    },
    /// Makes everything mounted at and below a folder read-only.
    ReadOnly(CString),
    /// Makes a folder unless it is there.
    Folder(CString, Mode),
    /// Removes an empty folder if it is there.
    RemoveFolder(CString),
    /// Removes a file if it is there.
    RemoveFile(CString),
    /// Makes an empty file.
    EmptyFile(CString),
    /// Makes a symbolic link (to, at) unless it is there.
    Link(CString, CString),
    /// Puts a file with this text in the place of what is there.
    Text(CString, Vec<u8>),
    /// Makes a mounted folder the root; the old root stays below it until [`Step::LeaveOldRoot`].
    Pivot(CString),
    /// Takes away the old root, which is open in this slot.
    LeaveOldRoot(u8),
}

/// The descriptor that slot 0 gets.
const FIRST_SLOT: RawFd = 16;

/// Returns the path by which later steps reach what [`Step::Open`] opened: short, and free of what a mount option
/// cannot hold, however long and odd the real path is.
pub(crate) fn slot(slot: u8) -> String {
    format!("/proc/self/fd/{}", FIRST_SLOT + RawFd::from(slot))
}

impl Step {
    /// Says what the step does, for an error.
    fn describe(&self) -> String {
        let text = |text: &CStr| text.to_string_lossy().into_owned();
        match self {
            Self::KeepMountsPrivate => "make mounts private".into(),
            Self::Open { path, .. } => format!("open {}", text(path)),
            Self::BecomeRoot => "become root of the enclosure".into(),
            Self::HostName(name) => format!("set host name {}", text(name)),
            Self::Mount { source, target, kind, .. } => {
                let kind = kind.as_ref().map_or_else(|| text(source), |kind| text(kind));
                format!("mount {kind} on {}", text(target))
            }
            Self::ReadOnly(path) => format!("make {} read-only", text(path)),
            Self::Folder(path, _) | Self::EmptyFile(path) | Self::Text(path, _) => format!("make {}", text(path)),
            Self::RemoveFolder(path) | Self::RemoveFile(path) => format!("remove {}", text(path)),
            Self::Link(_, path) => format!("make link {}", text(path)),
            Self::Pivot(path) => format!("make {} the root", text(path)),
            Self::LeaveOldRoot(_) => "leave the old root".into(),
        }
    }

    fn perform(&self) -> Result<(), Errno> {
        let existing_is_fine = |result| match result {
            Err(Errno::EEXIST) => Ok(()),
            other => other,
        };
        let missing_is_fine = |result| match result {
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(()),
            other => other,
        };
        match self {
            Self::KeepMountsPrivate => {
                mount(None::<&CStr>, c"/", None::<&CStr>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&CStr>)
            }
            Self::Open { slot, path } => {
                let folder =
                    open(path.as_c_str(), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
                move_to(folder.as_raw_fd(), FIRST_SLOT + RawFd::from(*slot))
            }
            Self::BecomeRoot => become_user(0, 0),
            Self::HostName(name) => {
                // SAFETY: the pointer is valid for the given length.
                Errno::result(unsafe { libc::sethostname(name.as_ptr(), name.as_bytes().len()) }).map(drop)
            }
            Self::Mount { source, target, kind, flags, options, optional } => {
                match mount(Some(source.as_c_str()), target.as_c_str(), kind.as_deref(), *flags, options.as_deref()) {
                    Err(Errno::ENOENT | Errno::ENOTDIR) if *optional => Ok(()),
                    other => other,
                }
            }
            Self::ReadOnly(path) => make_read_only(path),
            Self::Folder(path, mode) => existing_is_fine(mkdir(path.as_c_str(), *mode)),
            Self::RemoveFolder(path) => {
                missing_is_fine(unlinkat(nix::fcntl::AT_FDCWD, path.as_c_str(), UnlinkatFlags::RemoveDir))
            }
            Self::RemoveFile(path) => missing_is_fine(unlink(path.as_c_str())),
            Self::EmptyFile(path) => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                open(path.as_c_str(), flags, Mode::from_bits_truncate(0o666)).map(drop)
            }
            Self::Link(to, at) => existing_is_fine(symlinkat(to.as_c_str(), nix::fcntl::AT_FDCWD, at.as_c_str())),
            Self::Text(path, text) => {
                missing_is_fine(unlink(path.as_c_str()))?;
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                let file = open(path.as_c_str(), flags, Mode::from_bits_truncate(0o644))?;
                let mut rest = text.as_slice();
                while !rest.is_empty() {
                    let count = nix::unistd::write(&file, rest)?;
                    rest = &rest[count..];
                }
                Ok(())
            }
            Self::Pivot(path) => {
                chdir(path.as_c_str())?;
                pivot_root(c".", c".")
            }
            Self::LeaveOldRoot(slot) => {
                // SAFETY: an earlier step opened it; it stays open until pid 1 closes all slots at the end.
                fchdir(unsafe { BorrowedFd::borrow_raw(FIRST_SLOT + RawFd::from(*slot)) })?;
                umount2(c".", MntFlags::MNT_DETACH)?;
                chdir(c"/")
            }
        }
    }
}

/// An enclosure's pid 1, just started.
pub(crate) struct Born {
    /// It ends, and all with it, when this is closed; a byte written here tells it to live on by itself.
    pub(crate) lifeline: OwnedFd,
}

/// Why no pid 1 could be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotBorn {
    /// The system refuses new namespaces.
    #[error("new namespaces: {0}")]
    Clone(io::Error),
    /// A step failed.
    #[error("{step}: {cause}")]
    Step {
        /// Which.
        step: String,
        /// What the system said.
        cause: io::Error,
        /// Its place among the steps.
        index: usize,
    },
    /// It ended without a word.
    #[error("the enclosure's first process ended while starting")]
    Ended,
    /// Something on our side.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
    /// A pipe.
    #[error(transparent)]
    Pipe(#[from] io::Error),
}

/// The namespaces that an enclosure may have.
pub(crate) const USER: CloneFlags = CloneFlags::CLONE_NEWUSER;
/// All that separate a guest from the host, but for the network.
pub(crate) const ALL: CloneFlags = CloneFlags::CLONE_NEWUSER
    .union(CloneFlags::CLONE_NEWNS)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWCGROUP);

/// Descriptors of pid 1.
const GO: RawFd = 3;
const LIFELINE: RawFd = 4;
const REPORT: RawFd = 5;
const KEPT: RawFd = 6;
/// Above everything that pid 1 uses; descriptors are parked here while the others are put in their places.
const PARKED: RawFd = 64;

/// Starts pid 1 of new namespaces: `map` writes its user and group ids, then it performs the steps and waits until its
/// lifeline is closed. It holds `kept` open (a lock) as long as it lives.
pub(crate) fn start(
    namespaces: CloneFlags,
    steps: &[Step],
    kept: Option<BorrowedFd<'_>>,
    map: impl FnOnce(Pid) -> anyhow::Result<()>,
) -> Result<Born, NotBorn> {
    let (go_reader, mut go) = io::pipe()?;
    let (lifeline_reader, lifeline) = io::pipe()?;
    let (mut report_reader, report) = io::pipe()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let command_line = own_command_line();
    let fds = [
        go_reader.as_raw_fd(),
        lifeline_reader.as_raw_fd(),
        report.as_raw_fd(),
        kept.map_or(null.as_raw_fd(), |fd| fd.as_raw_fd()),
        null.as_raw_fd(),
    ];
    // No handler of ours may run in the child before it has put all signals back.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before)).map_err(io::Error::from)?;
    let flags = namespaces.bits() | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with no stack given this is a fork. The child calls nothing that allocates or locks:
    // `be_init` never returns.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) };
    if pid == 0 {
        be_init(namespaces, fds, command_line, steps);
    }
    let error = Errno::result(pid).err();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None).map_err(io::Error::from)?;
    if let Some(errno) = error {
        return Err(NotBorn::Clone(errno.into()));
    }
    drop((go_reader, lifeline_reader, report, null));
    let pid = Pid::from_raw(i32::try_from(pid).map_err(|_| NotBorn::Ended)?);
    let outcome = map(pid).map_err(NotBorn::from).and_then(|()| {
        // It may be gone; the report then says so.
        go.write_all(b"g").ok();
        drop(go);
        let mut answer = Vec::new();
        report_reader.read_to_end(&mut answer)?;
        match answer[..] {
            [b'+'] => Ok(()),
            [b'-', a, b, c, d, e, f, g, h] => {
                let index = u32::from_ne_bytes([a, b, c, d]) as usize;
                let cause = io::Error::from_raw_os_error(i32::from_ne_bytes([e, f, g, h]));
                let step = steps.get(index).map_or_else(|| "start".into(), Step::describe);
                Err(NotBorn::Step { step, cause, index })
            }
            _ => Err(NotBorn::Ended),
        }
    });
    match outcome {
        Ok(()) => Ok(Born { lifeline: lifeline.into() }),
        Err(error) => {
            nix::sys::signal::kill(pid, Signal::SIGKILL).ok();
            nix::sys::wait::waitpid(pid, None).ok();
            Err(error)
        }
    }
}

/// Where this program's command line lies in its memory: address and length.
fn own_command_line() -> (usize, usize) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields are counted behind the name, which may hold blanks: arg_start and arg_end are fields 48 and 49.
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = behind_name.split_ascii_whitespace().skip(45).map(|field| field.parse().unwrap_or(0));
    match (fields.next(), fields.next()) {
        (Some(start), Some(end)) if start != 0 && start < end => (start, end - start),
        _ => (0, 0),
    }
}

/// Pid 1: performs the steps, then lives as long as its lifeline.
fn be_init(namespaces: CloneFlags, fds: [RawFd; 5], command_line: (usize, usize), steps: &[Step]) -> ! {
    let report = |index: usize, errno: Errno| -> ! {
        let mut text = [b'-'; 9];
        text[1..5].copy_from_slice(&u32::try_from(index).unwrap_or(u32::MAX).to_ne_bytes());
        text[5..].copy_from_slice(&(errno as i32).to_ne_bytes());
        write_raw(REPORT, &text);
        exit_now(1)
    };
    reset_signals();
    if let Err(errno) = put_in_place(fds) {
        // The report is not in its place: ending is the report.
        let _: Errno = errno;
        exit_now(1);
    }
    if read_byte(GO).is_none() {
        exit_now(1);
    }
    close_raw(GO);
    umask(Mode::empty());
    for (index, step) in steps.iter().enumerate() {
        if let Err(errno) = step.perform() {
            report(index, errno);
        }
    }
    umask(Mode::from_bits_truncate(0o022));
    if let (start @ 1.., length) = command_line {
        // SAFETY: our own copy of the stack's argument area, as the kernel gave it; nothing in this process reads
        // arguments any more, and a guest has no business reading the host's.
        unsafe { std::ptr::write_bytes(start as *mut u8, 0, length) };
    }
    // Our memory is a copy of the caller's. The guest's root may not look into it because we have capabilities that it
    // lacks (CAP_SYS_PTRACE); our owner has to, to find the namespaces again.
    if let Err(errno) = prctl::set_dumpable(true).and_then(|()| prctl::set_name(c"init")) {
        report(usize::MAX, errno);
    }
    setsid().ok();
    own_keyring();
    if namespaces.contains(CloneFlags::CLONE_NEWNS) && chdir(c"/").is_err() {
        report(usize::MAX, Errno::last());
    }
    close_from(FIRST_SLOT, false);
    write_raw(REPORT, b"+");
    close_raw(REPORT);
    // SIGCHLD is ignored (see reset_signals): the kernel reaps every orphan for us.
    match read_byte(LIFELINE) {
        Some(_) => loop {
            nix::unistd::pause();
        },
        None => exit_now(0),
    }
}

/// Puts go, lifeline, report and kept at their numbers, `null` at 0, 1 and 2, and closes everything else.
fn put_in_place([go, lifeline, report, kept, null]: [RawFd; 5]) -> Result<(), Errno> {
    let park = |fd: RawFd| {
        // SAFETY: plain descriptor arithmetic on descriptors of this process, which owns all of them after the fork.
        Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD, PARKED) })
    };
    let parked = [park(go)?, park(lifeline)?, park(report)?, park(kept)?, park(null)?];
    for (fd, place) in parked.into_iter().zip([GO, LIFELINE, REPORT, KEPT, 0]) {
        move_to(fd, place)?;
    }
    move_to(0, 1)?;
    move_to(0, 2)?;
    close_from(KEPT + 1, false);
    Ok(())
}

/// How one program enters an enclosure; made before the fork.
pub(crate) struct Entry {
    /// The enclosure's namespaces.
    pub(crate) doors: Arc<Doors>,
    /// User and group id inside.
    pub(crate) id: u32,
    /// The folder that it starts in, seen from inside; `None`: the present one.
    pub(crate) folder: Option<CString>,
    /// What is started; `None`: what the command itself says, looked up inside, with its environment.
    pub(crate) program: Option<Program>,
    /// Whether it is a guest's: few capabilities, few processes.
    pub(crate) bounds: Option<Bounds>,
    /// Whether it has only a loopback of its own for a network.
    pub(crate) without_network: bool,
}

/// A program with everything that `execve` takes.
pub(crate) struct Program {
    /// Where it may lie, in the order of looking.
    pub(crate) candidates: Vec<CString>,
    /// Arguments, the name first.
    pub(crate) argv: Vec<CString>,
    /// `NAME=value`.
    pub(crate) env: Vec<CString>,
}

/// What a guest's program may not go beyond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Processes and threads of one user.
    pub(crate) tasks: u64,
}

/// The capabilities that dpkg, apt, su and sudo need, and no more.
/// Numbers as in capabilities(7): CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE,
/// SYS_CHROOT, AUDIT_WRITE, SETFCAP.
const CAPABILITIES: [libc::c_ulong; 12] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 29, 31];
/// Above every capability that a kernel knows.
const CAPABILITY_LIMIT: libc::c_ulong = 64;

/// Where entering stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Joining the namespaces.
    Join = 1,
    /// Its own network.
    Network,
    /// The fork.
    Fork,
    /// Limits and capabilities.
    Bound,
    /// The user.
    User,
    /// The folder.
    Folder,
}

impl Stage {
    /// Says what was tried, for an error.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Join => "join its namespaces",
            Self::Network => "set up a loopback of its own",
            Self::Fork => "start a process in it",
            Self::Bound => "set limits",
            Self::User => "become the user",
            Self::Folder => "enter the home folder",
        }
    }

    /// Returns the stage that [`Entry`] wrote.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Join, Self::Network, Self::Fork, Self::Bound, Self::User, Self::Folder]
            .into_iter()
            .find(|stage| *stage as u8 == byte)
    }
}

/// Open namespaces of a running enclosure.
#[derive(Debug)]
pub(crate) struct Doors {
    open: Vec<(CloneFlags, OwnedFd)>,
}

impl Doors {
    /// Opens the namespaces of a process.
    pub(crate) fn open(pid: Pid, namespaces: CloneFlags) -> io::Result<Self> {
        // The user namespace comes first: it gives the right to join the others.
        let known = [
            ("user", CloneFlags::CLONE_NEWUSER),
            ("pid", CloneFlags::CLONE_NEWPID),
            ("uts", CloneFlags::CLONE_NEWUTS),
            ("ipc", CloneFlags::CLONE_NEWIPC),
            ("cgroup", CloneFlags::CLONE_NEWCGROUP),
            ("mnt", CloneFlags::CLONE_NEWNS),
        ];
        let mut open = Vec::new();
        for (name, flag) in known {
            if namespaces.contains(flag) {
                open.push((flag, File::open(format!("/proc/{pid}/ns/{name}"))?.into()));
            }
        }
        Ok(Self { open })
    }

    fn has(&self, namespace: CloneFlags) -> bool {
        self.open.iter().any(|(flag, _)| *flag == namespace)
    }
}

/// Has a command start inside an enclosure. The [`Stage`] at which that failed is written to `report`.
///
/// Two processes: the first joins the namespaces, passes on signals and the exit status, and dies with us; the second
/// is inside, also by its process id, and dies with the first.
pub(crate) fn prepare(command: &mut std::process::Command, entry: Entry, report: OwnedFd) {
    let owner = nix::unistd::getpid();
    let argv = entry.program.as_ref().map(|program| Pointers::new(&program.argv));
    let env = entry.program.as_ref().map(|program| Pointers::new(&program.env));
    let enter = move || -> io::Result<()> {
        let result = enter(&entry, owner, argv.as_ref().zip(env.as_ref()));
        result.map_err(|(stage, errno)| {
            write_raw(report.as_raw_fd(), &[stage as u8]);
            errno.into()
        })
    };
    // SAFETY: `enter` makes system calls on prepared data only.
    unsafe { command.pre_exec(enter) };
}

/// Pointers to the strings of a vector that lives as long, with a null at the end.
struct Pointers(Vec<*const libc::c_char>);

impl Pointers {
    fn new(strings: &[CString]) -> Self {
        Self(strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect())
    }
}

// SAFETY: the pointers are only read, and the strings, owned by the same closure, neither move nor change.
unsafe impl Send for Pointers {}
// SAFETY: as above.
unsafe impl Sync for Pointers {}

fn enter(entry: &Entry, owner: Pid, program: Option<(&Pointers, &Pointers)>) -> Result<(), (Stage, Errno)> {
    let at = |stage: Stage| move |errno: Errno| (stage, errno);
    // The guest may not look into this copy of our memory, at no time.
    prctl::set_dumpable(false).map_err(at(Stage::Join))?;
    for (namespace, door) in &entry.doors.open {
        setns(door, *namespace).map_err(at(Stage::Join))?;
    }
    if entry.without_network {
        unshare(CloneFlags::CLONE_NEWNET).and_then(|()| loopback_up()).map_err(at(Stage::Network))?;
    }
    own_keyring();
    setsid().ok();
    reset_signals();
    default_signal(libc::SIGCHLD);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).map_err(at(Stage::Fork))?;
    let relay = nix::unistd::getpid();
    // SAFETY: this process is itself the child of a fork and has one thread.
    let inside = Errno::result(unsafe { libc::fork() }).map_err(at(Stage::Fork))?;
    if inside != 0 {
        be_relay(Pid::from_raw(inside), owner);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).map_err(at(Stage::Fork))?;
    setsid().ok();
    if let Some(bounds) = entry.bounds {
        bound(bounds).map_err(at(Stage::Bound))?;
        umask(Mode::from_bits_truncate(0o022));
    }
    // First root, so that the change to another user gives up all capabilities.
    become_user(0, 0).map_err(at(Stage::User))?;
    if entry.id != 0 {
        become_user(entry.id, entry.id).map_err(at(Stage::User))?;
    }
    if let Some(folder) = &entry.folder {
        chdir(folder.as_c_str()).map_err(at(Stage::Folder))?;
    }
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(at(Stage::Fork))?;
    // Seen from inside, a parent outside has no number; with any other parent the relay is gone already.
    let parent = if entry.doors.has(CloneFlags::CLONE_NEWPID) { Pid::from_raw(0) } else { relay };
    if getppid() != parent {
        exit_now(1);
    }
    // A guest gets nothing of what we, or those who started us, have open; a program of the host may be given more.
    if entry.bounds.is_some() {
        close_from(3, true);
    }
    match (&entry.program, program) {
        (Some(program), Some((argv, env))) => become_program(program, argv, env),
        _ => Ok(()),
    }
}

/// Starts the program; where that is not possible, says so on standard error and ends as a shell does.
fn become_program(program: &Program, argv: &Pointers, env: &Pointers) -> ! {
    let mut problem = Errno::ENOENT;
    for candidate in &program.candidates {
        // SAFETY: both vectors end with a null and point to strings that live as long as `program`.
        unsafe { libc::execve(candidate.as_ptr(), argv.0.as_ptr(), env.0.as_ptr()) };
        match Errno::last() {
            Errno::ENOENT | Errno::ENOTDIR => {}
            errno => {
                problem = errno;
                if errno != Errno::EACCES {
                    break;
                }
            }
        }
    }
    let name = program.argv.first().map_or(&b"program"[..], |name| name.as_bytes());
    let (reason, status) = match problem {
        Errno::ENOENT => (&b": command not found\n"[..], 127),
        Errno::EACCES => (&b": permission denied\n"[..], 126),
        Errno::E2BIG => (&b": argument list too long\n"[..], 126),
        Errno::ENOEXEC => (&b": not a program of this kind of machine\n"[..], 126),
        _ => (&b": cannot be started\n"[..], 126),
    };
    write_raw(2, name);
    write_raw(2, reason);
    exit_now(status)
}

/// Waits for the process inside, hands on requests to end, and ends as it does.
fn be_relay(inside: Pid, owner: Pid) -> ! {
    // After the last change of credentials, which would clear it.
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() || getppid() != owner {
        exit_now(1);
    }
    close_from(0, false);
    loop {
        let mut status = 0;
        // SAFETY: waits for our own child and writes to a local.
        let ended = unsafe { libc::waitpid(inside.as_raw(), &raw mut status, libc::WNOHANG) };
        if ended != 0 {
            if libc::WIFSIGNALED(status) {
                end_by(libc::WTERMSIG(status));
            }
            exit_now(if ended > 0 { libc::WEXITSTATUS(status) } else { 1 });
        }
        if let Ok(Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP) = SigSet::all().wait() {
            // It is a group leader, unless it has not come so far.
            if nix::sys::signal::killpg(inside, Signal::SIGTERM).is_err() {
                nix::sys::signal::kill(inside, Signal::SIGTERM).ok();
            }
        }
    }
}

/// Ends this process by a signal, as the one inside ended.
fn end_by(signal: libc::c_int) -> ! {
    default_signal(signal);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).ok();
    // SAFETY: the ordinary way for a process to send itself a signal.
    unsafe { libc::raise(signal) };
    exit_now(128 + signal)
}

/// Sets the limits of a guest's program and gives up, for it and all that it starts, capabilities that it does not need.
fn bound(bounds: Bounds) -> Result<(), Errno> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC)?;
    let tasks = bounds.tasks.min(hard);
    setrlimit(Resource::RLIMIT_NPROC, tasks, tasks)?;
    for capability in (0..CAPABILITY_LIMIT).filter(|capability| !CAPABILITIES.contains(capability)) {
        // SAFETY: takes numbers only.
        match Errno::result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }) {
            // No such capability in this kernel.
            Ok(_) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Becomes a user and group without other groups.
///
/// By plain system calls: the C library's functions of these names wait for threads that are not in this process.
fn become_user(uid: u32, gid: u32) -> Result<(), Errno> {
    let groups = [gid];
    // SAFETY: the pointer is valid for the one group that is announced.
    Errno::result(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Leaves the caller's session keyring, which may hold secrets, for an empty one.
fn own_keyring() {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring. A kernel without keyrings has nothing to hide.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
}

fn make_read_only(path: &CStr) -> Result<(), Errno> {
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const RDONLY_NOSUID_NODEV_NOEXEC: u64 = 1 | 2 | 4 | 8;
    let attributes = Attributes { set: RDONLY_NOSUID_NODEV_NOEXEC, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the pointers are valid, and the size is that of the structure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    match Errno::result(result) {
        // Before Linux 5.12 only the folder's own mount can be changed.
        Err(Errno::ENOSYS) => mount(
            None::<&CStr>,
            path,
            None::<&CStr>,
            MsFlags::MS_REMOUNT
                | MsFlags::MS_BIND
                | MsFlags::MS_RDONLY
                | MsFlags::MS_NOSUID
                | MsFlags::MS_NODEV
                | MsFlags::MS_NOEXEC,
            None::<&CStr>,
        ),
        other => other.map(drop),
    }
}

fn loopback_up() -> Result<(), Errno> {
    // SAFETY: makes a descriptor, which is owned right away.
    let socket = unsafe {
        let fd = Errno::result(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?;
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: all zeros is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request lives through the call.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }).map(drop)
}

/// Puts every signal back to its default; children are reaped by the kernel.
fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        default_signal(signal);
    }
    // SAFETY: no handler of ours is involved.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).ok();
}

fn default_signal(signal: libc::c_int) {
    // SAFETY: no handler of ours is involved; for SIGKILL and the like the call refuses and changes nothing.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Closes every descriptor from this one on, or has it closed when a program starts.
fn close_from(first: RawFd, on_exec: bool) {
    let flags = if on_exec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: this process is about to become something else and uses none of them.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    if done == 0 {
        return;
    }
    // Before Linux 5.11.
    // SAFETY: takes a number only.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    for fd in first..RawFd::try_from(limit).unwrap_or(1024).clamp(1024, 65_536) {
        // SAFETY: as above.
        unsafe {
            match on_exec {
                true => libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC),
                false => libc::close(fd),
            }
        };
    }
}

fn close_raw(fd: RawFd) {
    // SAFETY: called once for each descriptor of pid 1 that is done with.
    unsafe { libc::close(fd) };
}

fn move_to(fd: RawFd, place: RawFd) -> Result<(), Errno> {
    // SAFETY: both numbers belong to this process, which is alone after the fork.
    Errno::result(unsafe { libc::dup2(fd, place) }).map(drop)
}

fn write_raw(fd: RawFd, bytes: &[u8]) {
    // SAFETY: the pointer is valid for the given length. There is nobody else to tell if it fails.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

/// Reads one byte; `None` when the other end is closed.
fn read_byte(fd: RawFd) -> Option<u8> {
    let mut byte = 0_u8;
    loop {
        // SAFETY: one byte into a local.
        match unsafe { libc::read(fd, (&raw mut byte).cast(), 1) } {
            1 => return Some(byte),
            -1 if Errno::last() == Errno::EINTR => {}
            _ => return None,
        }
    }
}

fn exit_now(status: i32) -> ! {
    // SAFETY: ends a forked process without running what its parent has registered for the end.
    unsafe { libc::_exit(status) }
}

/// A process that stays the same one even when its number is used again.
#[derive(Debug)]
pub(crate) struct Handle(OwnedFd);

impl Handle {
    /// Opens a process.
    pub(crate) fn open(pid: Pid) -> io::Result<Self> {
        // SAFETY: takes numbers only; the answer is a new descriptor, owned right away.
        unsafe {
            let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0))?;
            Ok(Self(OwnedFd::from_raw_fd(RawFd::try_from(fd).map_err(io::Error::other)?)))
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) -> io::Result<()> {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open, and no further information is given.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), libc::SIGKILL, none, 0) };
        match Errno::result(result) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for its end, this many milliseconds at most; whether it has ended.
    pub(crate) fn has_ended_within(&self, milliseconds: u16) -> io::Result<bool> {
        let mut wanted = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut wanted, PollTimeout::from(milliseconds)) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
