//! The program `start-target`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::surroundings::main("start-target", gitian_cli::start_target::run)
}
