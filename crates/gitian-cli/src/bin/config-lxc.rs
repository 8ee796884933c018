//! The program `config-lxc`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("config-lxc", gitian_cli::config_lxc::run)
}
