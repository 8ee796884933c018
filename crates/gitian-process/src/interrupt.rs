//! Being asked to stop: ctrl-c, SIGTERM, SIGHUP.
//!
//! The first signal ends the program that runs at that moment with [`Failure::Interrupted`](crate::Failure), so that
//! the ordinary error path cleans up; commands marked [`uninterruptible`](crate::Command::uninterruptible) still work.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::{Pid, getppid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

static ASKED: OnceLock<watch::Sender<Option<i32>>> = OnceLock::new();

fn asked() -> &'static watch::Sender<Option<i32>> {
    ASKED.get_or_init(|| watch::Sender::new(None))
}

/// Starts listening for SIGINT, SIGTERM and SIGHUP. Called once, by a program's `main`.
pub fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut hup = signal(SignalKind::hangup())?;
    drop(_guard);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async move {
            loop {
                let number = tokio::select! {
                    _ = int.recv() => SignalKind::interrupt().as_raw_value(),
                    _ = term.recv() => SignalKind::terminate().as_raw_value(),
                    _ = hup.recv() => SignalKind::hangup().as_raw_value(),
                };
                asked().send_if_modified(|first| first.is_none() && first.replace(number).is_none());
            }
        });
    })?;
    Ok(())
}

/// Ends the process, with a shell's code for the signal, if it is still there so long after it was asked to stop. For
/// programs that have nothing to clean up: the system may hold them where no signal is heard, at a pipe that nobody reads.
pub fn end_anyway(grace: Duration) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    std::thread::Builder::new().name("end".into()).spawn(move || {
        runtime.block_on(wait());
        std::thread::sleep(grace);
        #[expect(clippy::exit, reason = "whoever could return is held")]
        std::process::exit(128 + received().unwrap_or_default());
    })?;
    Ok(())
}

/// Asks us to stop when the process that started us ends, however that happens. Somebody else's child is left alone while
/// that process lives.
pub fn end_with(parent: i32) -> io::Result<()> {
    let parent = Pid::from_raw(parent);
    if getppid() == parent {
        set_pdeathsig(Signal::SIGTERM)?;
    }
    // It may have ended before.
    if getppid() != parent && kill(parent, None) == Err(Errno::ESRCH) {
        raise(Signal::SIGTERM)?;
    }
    Ok(())
}

/// Returns the number of the first signal that asked us to stop, if one did.
pub fn received() -> Option<i32> {
    *asked().borrow()
}

/// Returns an error if we were asked to stop: for long work of our own, between two steps.
pub fn check() -> Result<(), crate::Failure> {
    received().map_or(Ok(()), |_| Err(crate::Failure::Interrupted))
}

/// Waits, unless we are asked to stop meanwhile.
pub fn sleep(time: Duration) -> Result<(), crate::Failure> {
    const STEP: Duration = Duration::from_millis(100);
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(STEP));
    }
}

/// Whether we were asked to stop, or are so within this time.
pub(crate) async fn comes_within(time: Duration) -> bool {
    received().is_some() || !time.is_zero() && tokio::time::timeout(time, wait()).await.is_ok()
}

/// Waits until we are asked to stop.
pub(crate) async fn wait() {
    let mut watching = asked().subscribe();
    // The sender is a static: the channel is never closed.
    if watching.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}
