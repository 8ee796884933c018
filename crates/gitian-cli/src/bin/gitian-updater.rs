//! The program `gitian-updater`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // 2 means that there is nothing to download.
    gitian_cli::programs::main_with(1, "gitian-updater", gitian_cli::updater::run)
}
