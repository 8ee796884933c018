//! `on-target [-u USER] [-e NAME=VALUE] CMD…`. Source: gitian-builder 11f91fb, libexec/on-target.

use std::ffi::OsString;

use clap::Parser;

/// Run a command in the target that runs in the working directory.
///
/// Standard input, output and error are the command's, arguments reach it unchanged, and its exit status is passed on.
#[derive(Debug, Parser)]
#[command(name = "on-target", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {
    /// Who runs it: root, or the ordinary user, who is called after the distro (default)
    #[arg(short, long, value_name = "USER", overrides_with = "user")]
    pub user: Option<String>,

    /// Add a variable to its environment; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<OsString>,

    /// The program and its arguments (default: a login shell)
    #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}
