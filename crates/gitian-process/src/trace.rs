//! Telling every program that is started, for somebody who wants to know (`GITIAN_DEBUG=1`).

use std::sync::OnceLock;

use crate::Command;

static LISTENER: OnceLock<fn(&Command)> = OnceLock::new();

/// Has every program told from now on, just before it is started. Called once, by a program's `main`.
pub fn listen(listener: fn(&Command)) {
    // A second listener would be a mistake in a program, and harmless.
    LISTENER.set(listener).ok();
}

/// Tells a program to whoever listens.
pub(crate) fn tell(command: &Command) {
    if let Some(listener) = LISTENER.get() {
        listener(command);
    }
}
