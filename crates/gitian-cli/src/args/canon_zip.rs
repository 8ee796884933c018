//! `canon-zip YYYY-MM-DD INPUT OUTPUT`. Source: gitian-builder 11f91fb, share/.

use std::path::PathBuf;

use clap::Parser;

use super::canon::date;

/// Set every time stamp of a zip or jar to midnight of a day; entries stay in their order, with their contents and
/// attributes. `gitian canon` does more.
#[derive(Debug, Parser)]
#[command(name = "canon-zip", version, max_term_width = 100)]
pub struct Args {
    /// The day, UTC
    #[arg(value_name = "YYYY-MM-DD", value_parser = date)]
    pub date: i64,

    /// The zip or jar
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,

    /// Where the other one is put, whole or not at all
    #[arg(value_name = "OUTPUT")]
    pub output: PathBuf,
}
