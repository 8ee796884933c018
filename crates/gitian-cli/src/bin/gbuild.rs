//! The program `gbuild`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("gbuild", gitian_cli::gbuild::run)
}
