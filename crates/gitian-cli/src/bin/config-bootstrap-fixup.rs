//! The program `config-bootstrap-fixup`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("config-bootstrap-fixup", gitian_cli::config_bootstrap_fixup::run)
}
