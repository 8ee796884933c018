//! Who runs a guest command, where, and with which environment: the same in every kind of guest.

use std::ffi::OsString;

use crate::{GuestCommand, GuestUser};

/// The uid and gid of the guest's ordinary user.
pub(crate) const BUILDER: u32 = 1000;

/// What a guest's program finds.
pub(crate) struct Login {
    /// User and group id.
    pub(crate) id: u32,
    /// The user's name.
    pub(crate) name: String,
    /// The folder that the program starts in.
    pub(crate) home: String,
    /// The whole environment.
    pub(crate) env: Vec<(OsString, OsString)>,
}

impl Login {
    /// Returns what a command is started with, in a guest whose ordinary user is called `builder`: an environment of
    /// exactly what the command says. Source: the original's LXC guest, as observed (login defaults of Debian).
    pub(crate) fn of(command: &GuestCommand, builder: &str) -> Self {
        let (id, name, home, path) = match command.user {
            GuestUser::Root => {
                (0, "root", "/root".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            }
            GuestUser::Builder => (
                BUILDER,
                builder,
                format!("/home/{builder}"),
                "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
            ),
        };
        let always =
            [("HOME", home.as_str()), ("LOGNAME", name), ("PATH", path), ("SHELL", "/bin/bash"), ("USER", name)];
        let mut env: Vec<(OsString, OsString)> =
            always.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        for (name, value) in &command.env {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        Self { id, name: name.to_owned(), home, env }
    }

    /// Returns the words that run a command in a guest that is entered with an environment of its own: `env` empties that
    /// and sets this one.
    pub(crate) fn argv(&self, command: &GuestCommand) -> Vec<OsString> {
        let mut argv: Vec<OsString> = vec!["/usr/bin/env".into(), "-i".into()];
        for (name, value) in &self.env {
            let mut word = name.clone();
            word.push("=");
            word.push(value);
            argv.push(word);
        }
        argv.extend(command.argv.iter().cloned());
        argv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_is_given_everything_and_nothing_else() {
        let command =
            GuestCommand::new(GuestUser::Builder, ["setarch", "x86_64", "a  b"]).env("PATH", "/x").env("A", "");
        let words = [
            "/usr/bin/env",
            "-i",
            "HOME=/home/debian",
            "LOGNAME=debian",
            "SHELL=/bin/bash",
            "USER=debian",
            "PATH=/x",
            "A=",
            "setarch",
            "x86_64",
            "a  b",
        ];
        assert_eq!(Login::of(&command, "debian").argv(&command), words.map(OsString::from));
    }
}
