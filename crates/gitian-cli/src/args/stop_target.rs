//! `stop-target`. Source: gitian-builder 11f91fb, libexec/stop-target.

use clap::Parser;

/// Stop the target that runs in the working directory, if one does; its files stay for start-target.
#[derive(Debug, Parser)]
#[command(name = "stop-target", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {}
