//! `copy-to-target [-q] [-u USER] FILE DIR/`. Source: gitian-builder 11f91fb, libexec/copy-to-target.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

/// Copy a file or folder into a folder of the target that runs in the working directory.
#[derive(Debug, Parser)]
#[command(name = "copy-to-target", version, max_term_width = 100, args_override_self = true, infer_long_args = true)]
pub struct Args {
    /// Accepted for compatibility: nothing is printed but errors
    #[arg(short, long)]
    pub quiet: bool,

    /// Who it belongs to: root, or the ordinary user, who is called after the distro (default)
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,

    /// A file or folder of the host
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// A folder of the target, relative to the user's home
    #[arg(value_name = "DIR", value_parser = NonEmptyStringValueParser::new())]
    pub folder: String,
}
