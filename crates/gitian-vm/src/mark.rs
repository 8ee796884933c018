//! Words by which a command is found again in a guest, so that its end here can be made its end there.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a guest may take to end a command.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Returns a word that no other command of any run has.
pub(crate) fn new() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("gitian-{:x}-{:x}-{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), now)
}

/// Returns a line for the guest's bash that ends whatever runs in the sessions of commands with this mark.
pub(crate) fn end(mark: &str) -> String {
    // The pattern does not match the line that it stands in.
    let pattern = format!("[{}]{}", &mark[..1], &mark[1..]);
    format!(
        "for f in $(grep -la '{pattern}' /proc/[0-9]*/cmdline 2>/dev/null); do p=${{f#/proc/}}; \
         kill -TERM -- -${{p%/cmdline}}; done"
    )
}
