//! The program `copy-from-target`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::surroundings::main("copy-from-target", gitian_cli::copy_from_target::run)
}
