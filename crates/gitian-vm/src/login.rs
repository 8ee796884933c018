//! Who a guest command runs as, and with which environment: the same in every kind of guest.

use std::ffi::OsString;

use crate::{GuestCommand, GuestUser};

/// The beginnings of a guest command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// The user's name.
    pub(crate) user: String,
    /// The folder in which the command starts.
    pub(crate) home: String,
    /// The whole environment, each name once.
    pub(crate) env: Vec<(OsString, OsString)>,
}

impl Login {
    /// Returns how a command begins in a guest whose ordinary user has this name.
    ///
    /// Source: the original's LXC guest, as observed (login defaults of Debian).
    pub(crate) fn of(command: &GuestCommand, builder: &str) -> Self {
        let (user, home, path) = match command.user {
            GuestUser::Root => {
                ("root", "/root".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            }
            GuestUser::Builder => {
                (builder, format!("/home/{builder}"), "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games")
            }
        };
        let mut env: Vec<(OsString, OsString)> =
            [("HOME", home.as_str()), ("LOGNAME", user), ("PATH", path), ("SHELL", "/bin/bash"), ("USER", user)]
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
        for (name, value) in &command.env {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        Self { user: user.to_owned(), home, env }
    }
}
