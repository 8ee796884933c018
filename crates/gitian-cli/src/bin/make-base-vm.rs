//! The program `make-base-vm`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("make-base-vm", gitian_cli::make_base_vm::run)
}
