//! `gitian doctor`.

use clap::Parser;

/// Look at this host: which kinds of guests can build here, keys, disk, clock, git; each problem with what mends it.
///
/// Exit status: 0 if the kind of guest that gbuild would use here can build, else 1.
#[derive(Debug, Parser)]
#[command(name = "gitian doctor", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {}
