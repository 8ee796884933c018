//! The program `gitian`; under the name of another program, that one.

use std::process::ExitCode;

use gitian_cli::programs::called;

fn main() -> ExitCode {
    (called(std::env::args_os().next().as_deref()).main)()
}
