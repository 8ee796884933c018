//! The program `on-target`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("on-target", gitian_cli::on_target::run)
}
