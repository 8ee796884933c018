//! The program `gsign`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::surroundings::main("gsign", gitian_cli::gsign::run)
}
