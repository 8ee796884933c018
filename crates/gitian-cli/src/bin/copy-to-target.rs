//! The program `copy-to-target`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("copy-to-target", gitian_cli::copy_to_target::run)
}
