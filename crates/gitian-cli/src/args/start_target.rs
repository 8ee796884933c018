//! `start-target BITS SUITE-ARCH`. Source: gitian-builder 11f91fb, libexec/start-target.

use clap::Parser;
use gitian_descriptor::{Architecture, Suite};

/// Start the target that make-clean-vm or an earlier build left in var/.
///
/// Returns as soon as it runs; stop-target ends it. NPROCS (default 2) and VMEM (MiB, default 2000) say what it may use.
#[derive(Debug, Parser)]
#[command(name = "start-target", version, max_term_width = 100, infer_long_args = true)]
pub struct Args {
    /// 32 or 64
    #[arg(value_name = "BITS")]
    pub bits: u32,

    /// Suite and architecture, such as bookworm-amd64
    #[arg(value_name = "SUITE-ARCH", value_parser = suite_and_architecture)]
    pub target: (Suite, Architecture),
}

fn suite_and_architecture(text: &str) -> Result<(Suite, Architecture), String> {
    let (suite, architecture) = text.rsplit_once('-').ok_or("is not of the form SUITE-ARCH")?;
    Ok((suite.parse().map_err(|refused| format!("{refused}"))?, super::architecture(architecture)?))
}
