//! `gitian init`: a repository's descriptors and driver script → a first `gitian.toml`.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use gitian_process::Command;
use gitian_release::{Project, init};
use gitian_vm::Problem;

use crate::args::init::Args;
use crate::printable::printable;
use crate::printed::tell;
use crate::surroundings::Surroundings;

/// Runs `gitian init`. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    let named = args.repository.as_deref().unwrap_or(Path::new(""));
    let repository = around.workdir.join(named);
    let file = named.join(Project::FILE);
    let path = around.workdir.join(&file);
    if !args.print && path.symlink_metadata().is_ok() {
        return Err(Problem {
            what: format!("{} is there already", file.display()),
            mend: "gitian init --print shows what would be written".into(),
        }
        .into());
    }
    let draft = init::draft(&repository, args.script.as_deref())?;
    for call in &draft.lost {
        tell(&printable(&format!("gitian: warning: this call of the script fits no descriptor: {call}")));
    }
    let project = draft.check().context("what was read does not fit together; what was written")?;
    if args.print {
        out.write_all(draft.text.as_bytes())?;
        return Ok(0);
    }
    gitian_manifest::write_atomically(&path, draft.text.as_bytes()).with_context(|| file.display().to_string())?;
    let from = draft.script.map_or_else(String::new, |script| format!(" and {}", script.display()));
    let count = project.descriptors.len();
    let descriptors =
        if count == 1 { "1 descriptor, from it".into() } else { format!("{count} descriptors, from these") };
    let line = format!("{}: {descriptors}{from}", file.display());
    writeln!(out, "{}", printable(&line))?;
    match draft.open {
        0 => {}
        1 => writeln!(out, "1 thing is left to look at: a comment in the file says which")?,
        open => writeln!(out, "{open} things are left to look at: the comments in the file say which")?,
    }
    let named = if named.as_os_str().is_empty() { String::new() } else { format!(" --file {}", Command::new(&file)) };
    tell(&printable(&format!("hint: gitian release{named} --dry-run VERSION    shows what a release would do")));
    Ok(0)
}
