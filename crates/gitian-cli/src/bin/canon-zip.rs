//! The program `canon-zip`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gitian_cli::programs::main("canon-zip", gitian_cli::canon_zip::run)
}
