//! The program `gverify`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("gverify", gitian_cli::gverify::run)
}
