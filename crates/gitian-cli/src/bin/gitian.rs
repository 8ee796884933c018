//! The program `gitian`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::surroundings::main("gitian", gitian_cli::gitian::run)
}
