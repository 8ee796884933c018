//! Guests of an ordinary user: in which namespaces LXC starts them.
//!
//! Guest root is the user's first subordinate id, who may not enter the user's private folders. LXC's programs are
//! therefore started where the user is root, has his subordinate ids beside his own, and finds what a guest stands on at a
//! place that is open to everybody. LXC itself then makes a guest of the subordinate ids alone. These namespaces last as
//! long as the guest; nobody else sees what is mounted there.

use std::path::{Path, PathBuf};

use gitian_process::Command;
use nix::unistd::getuid;

use crate::sandbox::id_map::{COUNT, IdMap};

/// The open place: every system has it, and nobody works below it.
pub(super) const PLACE: &str = "/boot";

/// Shows the folders that are named before `--`, and becomes the program that is named behind it. LXC must not find
/// `newuidmap`, which knows only which ids the host has given out.
const OPEN: &str = r#"set -e
mount -t tmpfs -o mode=755 gitian /boot
n=0
while [ "$1" != -- ]; do
  mkdir "/boot/$n"
  mount --bind -- "$1" "/boot/$n"
  n=$((n + 1))
  shift
done
shift
program=$(command -v "$1")
shift
PATH=/ exec "$program" "$@""#;

/// What such a guest is told beside what every guest is: its ids, as those see them who start it; how an overlay without
/// the host's root notes what it hides; and the host's `/sys`, since a new one would show a network that is not its own.
pub(super) const MORE: &str = "lxc.idmap = u 0 1 65536\nlxc.idmap = g 0 0 65536\nlxc.rootfs.options = userxattr\n\
                               lxc.mount.auto =\nlxc.mount.auto = proc:mixed\n\
                               lxc.mount.entry = /sys sys none rbind,ro 0 0\n";

/// Returns where a guest finds the folder that is shown as number `index`.
pub(super) fn shown(index: usize) -> PathBuf {
    Path::new(PLACE).join(index.to_string())
}

/// Begins the command line of a program with its arguments that is started so; `programs` is where LXC's are.
pub(super) fn start(programs: &Path, map: &IdMap, folders: &[PathBuf]) -> Command {
    let maps = [
        format!("u:0:{}:1", getuid()),
        format!("u:1:{}:{COUNT}", map.first_uid),
        format!("g:0:{}:{COUNT}", map.first_gid),
    ];
    let mut command = Command::new(programs.join("lxc-usernsexec"));
    for map in maps {
        command = command.args(["-m", &map]);
    }
    command
        .args(["--", "unshare", "--mount", "--propagation", "private", "--", "sh", "-c", OPEN, "sh"])
        .args(folders)
        .arg("--")
}
