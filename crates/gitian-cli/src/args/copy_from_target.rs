//! `copy-from-target [-q] [-u USER] PATH DIR`. Source: gitian-builder 11f91fb, libexec/copy-from-target.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

/// Copy a file or folder out of the target that runs in the working directory, into a folder.
///
/// What is there under the same name is replaced; folders are merged. Links stay links.
#[derive(Debug, Parser)]
#[command(name = "copy-from-target", version, max_term_width = 100, args_override_self = true, infer_long_args = true)]
pub struct Args {
    /// Accepted for compatibility: nothing is printed but errors
    #[arg(short, long)]
    pub quiet: bool,

    /// Who reads it: root, or the ordinary user, who is called after the distro (default)
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,

    /// A file or folder of the target, relative to the user's home
    #[arg(value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    pub path: String,

    /// A folder of the host
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
