//! `gitian adopt [options] DIR`.

use std::path::PathBuf;

use clap::Parser;

/// Have a checkout of gitian-builder run these programs: its own are replaced, everything else is kept.
///
/// git there goes on as before: nothing looks changed, `git pull` brings the checkout's news and leaves these programs in
/// their places.
#[derive(Debug, Parser)]
#[command(name = "gitian adopt", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {
    /// The checkout
    #[arg(value_name = "DIR")]
    pub checkout: PathBuf,

    /// Bring back the checkout's own programs
    #[arg(long)]
    pub undo: bool,
}
