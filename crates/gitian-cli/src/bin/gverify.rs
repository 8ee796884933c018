//! The program `gverify`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::surroundings::main("gverify", gitian_cli::gverify::run)
}
