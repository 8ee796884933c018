//! `gitian init [options] [DIR]`.

use std::path::PathBuf;

use clap::Parser;

/// Write a first gitian.toml for a project, by reading its descriptors and the script that drives gitian-builder.
///
/// Nothing of the repository is run. What cannot be told from it stands in the file as a comment that says what to fill in.
#[derive(Debug, Parser)]
#[command(name = "gitian init", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {
    /// The project's repository (default: the working directory)
    #[arg(value_name = "DIR")]
    pub repository: Option<PathBuf>,

    /// The driver script, from the repository's top (default: the one with the most calls of gbuild)
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,

    /// Print the file instead of writing it
    #[arg(long)]
    pub print: bool,
}
