//! Writes the manual pages and the shell completions of every program, from the definitions of their command lines.
//!
//! `gitian-pages SECTIONS FOLDER`: SECTIONS holds what no command line says, a file `<page>.roff` of finished sections for a
//! page. Run when the programs are built, and never installed.

mod completions;
mod manual;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use gitian_cli::programs::{PROGRAMS, Program};

fn main() -> Result<()> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [sections, folder] = &args[..] else { bail!("usage: gitian-pages SECTIONS FOLDER") };
    for Program { name, command, .. } in PROGRAMS {
        manual::write(command(), sections, &folder.join("man")).with_context(|| format!("manual of {name}"))?;
        completions::write(command(), folder).with_context(|| format!("completions of {name}"))?;
    }
    Ok(())
}
