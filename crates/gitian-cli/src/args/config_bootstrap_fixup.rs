//! `config-bootstrap-fixup`. Source: gitian-builder 11f91fb, libexec/config-bootstrap-fixup.

use clap::Parser;

/// Write var/bootstrap-fixup: a script that makes a system which something else installed one that builds can start from.
///
/// Run it as root in that system. make-base-vm does not need it. DISTRO (default ubuntu) is the user's name; MIRROR_HOST
/// names an apt proxy, seen from a guest as GITIAN_HOST_IP (default 10.0.2.2) where it is 127.0.0.1.
#[derive(Debug, Parser)]
#[command(name = "config-bootstrap-fixup", version, max_term_width = 100)]
pub struct Args {}
