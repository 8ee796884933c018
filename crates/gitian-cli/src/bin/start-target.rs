//! The program `start-target`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("start-target", gitian_cli::start_target::run)
}
