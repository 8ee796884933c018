//! `config-lxc`. Source: gitian-builder 11f91fb, libexec/config-lxc.

use clap::Parser;

/// Write what LXC is told about the target that is in var/: etc/lxc.config.in, filled in, becomes var/lxc.config.
///
/// start-target does so by itself. LXC_BRIDGE and LXC_GUEST_IP say how the guest reaches the network.
#[derive(Debug, Parser)]
#[command(name = "config-lxc", version, max_term_width = 100)]
pub struct Args {}
