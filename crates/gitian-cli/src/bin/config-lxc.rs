//! The program `config-lxc`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::surroundings::main("config-lxc", gitian_cli::config_lxc::run)
}
