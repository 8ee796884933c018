//! The program `gsign`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("gsign", gitian_cli::gsign::run)
}
