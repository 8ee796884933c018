//! The program `copy-from-target`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("copy-from-target", gitian_cli::copy_from_target::run)
}
