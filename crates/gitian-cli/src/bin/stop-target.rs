//! The program `stop-target`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("stop-target", gitian_cli::stop_target::run)
}
