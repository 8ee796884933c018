//! The program `make-clean-vm`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("make-clean-vm", gitian_cli::make_clean_vm::run)
}
