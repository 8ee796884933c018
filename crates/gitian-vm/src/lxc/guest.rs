//! A running guest: LXC's [`Target`].

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;

use anyhow::Result;
use gitian_process::{Input, Status, Streams, interrupt};

use super::tools::Tools;
use super::{Image, Lxc};
use crate::login::Login;
use crate::sandbox::guest::through_pipes;
use crate::sandbox::layer::Held;
use crate::{GuestCommand, GuestGone, Layer, Network, Target};

/// A running guest.
pub(super) struct Guest {
    lxc: Lxc,
    image: Image,
    /// Keeps the layer below.
    held: RefCell<Option<Held>>,
    /// Whether it was started again without the network.
    offline: RefCell<bool>,
}

/// Runs the words behind a folder's name as every guest's commands are run. Not by `exec`: LXC would not tell by which
/// signal a program was ended. LXC hands on every file that our caller left open.
const RUN: &str = r#"for fd in /proc/self/fd/*; do
  fd=${fd##*/}
  [ "$fd" -le 2 ] || eval "exec $fd>&-"
done
cd "$1" || exit
shift
umask 022
ulimit -c 0
"$@"
exit $?"#;

/// Has names resolved as on the host, and a proxy on the host's loopback, which the base image was made through, found at
/// the host's address. For a guest on a bridge that is its gateway, unless it is given; the kernel has it in hex, the last
/// byte first.
const RESOLVE: &str = r#"rm -f /etc/resolv.conf; cat > /etc/resolv.conf
proxy=/etc/apt/apt.conf.d/80proxy
host=$1
[ "$host" != gateway ] || host=$(while read -r _ to via _; do
  [ "$to" = 00000000 ] || continue
  echo $((0x${via:6:2})).$((0x${via:4:2})).$((0x${via:2:2})).$((0x${via:0:2}))
  break
done < /proc/net/route)
[ -z "$host" ] || [ ! -e $proxy ] || sed -i "s#//\(127\.0\.0\.1\|localhost\):#//$host:#" $proxy"#;
/// Stands for the address of a guest's gateway.
pub(super) const GATEWAY: &str = "gateway";

/// Sets the flag IFF_UP of the loopback; LXC leaves it down. Source: netdevice(7).
const LOOPBACK_UP: &str = r#"my $request = pack('a16 s x22', 'lo', 0x49);
my $socket;
socket($socket, 2, 2, 0) && ioctl($socket, 0x8914, $request) or die "loopback: $!\n";"#;

/// Makes a guest that was just started one like others; `host` is how it reaches the host, if not by its loopback.
pub(super) fn settle(tools: &Tools, online: bool, host: Option<&str>) -> Result<()> {
    let attach = || tools.command("lxc-attach").arg("--clear-env");
    if online {
        let resolv_conf = fs::read("/etc/resolv.conf").unwrap_or_default();
        let command = attach().args(["--", "/bin/bash", "-c", RESOLVE, "bash", host.unwrap_or_default()]);
        command.run_ok(Streams::default().with_input(Input::Bytes(&resolv_conf)))?;
    } else {
        // With all of root's capabilities, for this one command.
        attach().args(["--elevated-privileges", "--", "/usr/bin/perl", "-e", LOOPBACK_UP]).run_ok(Streams::default())?;
    }
    Ok(())
}

impl Guest {
    pub(super) fn new(lxc: Lxc, image: Image, held: Option<Held>) -> Self {
        Self { lxc, image, held: RefCell::new(held), offline: RefCell::new(false) }
    }

    /// Starts the guest again on the same files.
    fn restart(&self, online: bool) -> Result<()> {
        self.lxc.tools.kill()?;
        let held = self.lxc.start_image(&self.image, online)?;
        self.held.replace(held);
        self.offline.replace(!online);
        Ok(())
    }
}

impl Target for Guest {
    /// For the first command that must not have the network the guest is started again without, and stays so until it is
    /// started anew.
    fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
        if command.network == Network::Off && !*self.offline.borrow() {
            self.restart(false)?;
        }
        let login = Login::of(command, &self.image.target.distro);
        let mut words: Vec<OsString> =
            ["/bin/bash", "-c", RUN, "bash", login.home.as_str()].map(OsString::from).to_vec();
        words.extend(login.argv(command));
        let id = login.id.to_string();
        let attach = self.lxc.tools.command("lxc-attach").args(["--clear-env", "-u", &id, "-g", &id, "--"]);
        let status = attach.args(words).run(through_pipes(streams))?.status;
        if !status.success() && !self.lxc.tools.is_running()? {
            interrupt::check()?;
            return Err(GuestGone { target: self.image.target.to_string() }.into());
        }
        Ok(status)
    }

    fn keep_layer(&mut self, layer: &Layer) -> Result<()> {
        if !self.lxc.can_keep() {
            return Ok(());
        }
        self.lxc.tools.kill()?;
        self.image = self.lxc.keep_layer(&self.image, layer)?;
        self.restart(true)
    }

    fn stop(self: Box<Self>) -> Result<()> {
        self.lxc.tools.kill()
    }

    fn detach(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
