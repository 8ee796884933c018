//! Which user and group ids of the host stand behind those of a guest, and who may write that down.
//!
//! A guest has 65536 ids from 0 on. As an ordinary user they are the first range of that size in `/etc/subuid` and
//! `/etc/subgid`, written by `newuidmap` and `newgidmap`; always the first, so that what one run has unpacked belongs to
//! the right ids in the next. As root they are a range that nobody else uses, written by ourselves.

use std::fs;

use anyhow::{Context, Result};
use gitian_process::{Command, Streams};
use nix::unistd::{Pid, Uid, User, getuid};

use crate::Problem;

/// How many ids a guest has.
pub(crate) const COUNT: u32 = 65_536;
/// Where root's guests have their ids: in a part of the number space that neither distributions nor container tools give
/// out (systemd's list of uses leaves 1879048192 to 2147352575 free).
const ROOTS_FIRST: u32 = 2_000_000_000;

/// The ids of the host behind a guest's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdMap {
    /// The user id behind guest root's.
    pub(crate) first_uid: u32,
    /// The group id behind guest root's.
    pub(crate) first_gid: u32,
    by_helpers: bool,
}

/// Why the caller has no ids for guests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user {user} has no range of {COUNT} {what} in {file}")]
pub(crate) struct NoRange {
    /// The user's name, or number.
    pub(crate) user: String,
    /// `user ids` or `group ids`.
    pub(crate) what: &'static str,
    /// Where it was looked for.
    pub(crate) file: &'static str,
}

impl NoRange {
    /// Says what gives the user a range: one that nobody has yet.
    pub(crate) fn problem(&self) -> Problem {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let first = free_from(&(read("/etc/subuid") + "\n" + &read("/etc/subgid")));
        let range = format!("{first}-{}", first + u64::from(COUNT) - 1);
        Problem {
            what: self.to_string(),
            mend: format!("sudo usermod --add-subuids {range} --add-subgids {range} {}", self.user),
        }
    }
}

/// Returns the first id behind all ranges that are given out.
fn free_from(text: &str) -> u64 {
    const USUAL: u64 = 100_000;
    let ends = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':').skip(1).map(|field| field.parse::<u64>().ok());
        Some(fields.next()?? + fields.next()??)
    });
    ends.fold(USUAL, u64::max)
}

impl IdMap {
    /// The host's own ids, for guests whose root is the host's; only root can use them.
    pub(crate) const HOST: Self = Self { first_uid: 0, first_gid: 0, by_helpers: false };

    /// Returns the ids of whoever runs this program.
    pub(crate) fn of_caller() -> Result<Self, NoRange> {
        let uid = getuid();
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        if uid.is_root()
            && holds(&read("/proc/self/uid_map"), ROOTS_FIRST)
            && holds(&read("/proc/self/gid_map"), ROOTS_FIRST)
        {
            return Ok(Self { first_uid: ROOTS_FIRST, first_gid: ROOTS_FIRST, by_helpers: false });
        }
        let name = user_name(uid);
        Ok(Self {
            first_uid: first_range(&read("/etc/subuid"), &name, uid).ok_or_else(|| NoRange {
                user: name.clone(),
                what: "user ids",
                file: "/etc/subuid",
            })?,
            first_gid: first_range(&read("/etc/subgid"), &name, uid).ok_or_else(|| NoRange {
                user: name.clone(),
                what: "group ids",
                file: "/etc/subgid",
            })?,
            by_helpers: true,
        })
    }

    /// Whether `newuidmap` and `newgidmap` are needed.
    pub(crate) fn needs_helpers(&self) -> bool {
        self.by_helpers
    }

    /// Gives a process in a new user namespace its ids.
    pub(crate) fn write(&self, pid: Pid) -> Result<()> {
        for (helper, file, first) in
            [("newuidmap", "uid_map", self.first_uid), ("newgidmap", "gid_map", self.first_gid)]
        {
            if self.by_helpers {
                let words = [pid.to_string(), "0".into(), first.to_string(), COUNT.to_string()];
                Command::new(helper).args(words).uninterruptible().run_ok(Streams::default())?;
            } else {
                let path = format!("/proc/{pid}/{file}");
                fs::write(&path, format!("0 {first} {COUNT}\n")).with_context(|| format!("write {path}"))?;
            }
        }
        Ok(())
    }
}

/// Returns a user's name, or the number where there is none.
pub(crate) fn user_name(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Whether a map (`/proc/self/uid_map`) has all ids of a range.
fn holds(map: &str, first: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(inside), Some(_), Some(count)) => {
                inside <= u64::from(first) && u64::from(first) + u64::from(COUNT) <= inside + count
            }
            _ => false,
        }
    })
}

/// Returns the start of a user's first range that is large enough. Source: subuid(5).
fn first_range(text: &str, name: &str, uid: Uid) -> Option<u32> {
    let number = uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let (who, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        let first: u32 = first.parse().ok()?;
        let count: u32 = count.parse().ok()?;
        let is_theirs = who == name || who == number;
        (is_theirs && count >= COUNT && first > 0 && first.checked_add(COUNT).is_some()).then_some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_range_that_is_large_enough_is_taken() {
        let alice = Uid::from_raw(1001);
        let cases = [
            ("alice:100000:65536\n", Some(100_000)),
            ("bob:100000:65536\nalice:165536:65536\nalice:300000:65536\n", Some(165_536)),
            ("alice:100000:1000\nalice:200000:131072\n", Some(200_000)),
            ("1001:100000:65536", Some(100_000)),
            ("alice:0:65536\n", None),
            ("alice:4294967000:65536\n", None),
            ("alice:100000:x\nalice\n\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(first_range(text, "alice", alice), expected, "{text:?}");
        }
    }

    #[test]
    fn a_free_range_is_behind_all_others() {
        assert_eq!(free_from(""), 100_000);
        assert_eq!(free_from("a:100000:65536\nb:165536:65536\n\na:100000:65536\n"), 231_072);
        assert_eq!(free_from("a:1000:10\nnonsense\n"), 100_000);
    }

    #[test]
    fn a_map_holds_a_range_only_as_a_whole() {
        assert!(holds("         0          0 4294967295\n", ROOTS_FIRST));
        assert!(!holds("         0     100000      65536\n", ROOTS_FIRST));
        assert!(!holds("0 1000 1\n1 100000 65536\n", ROOTS_FIRST));
        assert!(!holds("", ROOTS_FIRST));
    }
}
