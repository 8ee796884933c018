//! A manual page for each program, and for each program of `gitian`.
//!
//! Names, synopsis, description and options are the command line's; examples, files and the like are sections by hand.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;
use gitian_cli::programs::PROGRAMS;

/// Writes `NAME.1`, and one page more for each subcommand that is no program by itself and so has its page.
pub fn write(mut program: Command, sections: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    program.build();
    if program.has_subcommands() {
        program = program.mut_subcommand("help", |help| help.hide(true));
    }
    write_page(&program, sections, folder)?;
    let is_program = |part: &Command| PROGRAMS.iter().any(|program| program.name == page_name(part));
    for part in program.get_subcommands().filter(|part| !part.is_hide_set() && !is_program(part)) {
        write_page(part, sections, folder)?;
    }
    Ok(())
}

fn page_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn write_page(command: &Command, sections: &Path, folder: &Path) -> Result<()> {
    let name = page_name(command);
    let man = Man::new(command.clone()).manual("Gitian").source(format!("gitian {}", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend(by_hand(&sections.join(format!("{name}.roff")))?);
    fs::write(folder.join(format!("{name}.1")), plain(&String::from_utf8(page)?))?;
    Ok(())
}

/// Spells characters that a terminal without Unicode cannot show, where man would warn of each.
fn plain(page: &str) -> String {
    const SPELLINGS: [(char, &str); 8] =
        [('…', "..."), ('–', "\\-"), ('—', "\\-"), ('’', "\\(cq"), ('“', "\""), ('”', "\""), ('→', "\\->"), ('×', "x")];
    SPELLINGS.iter().fold(page.to_owned(), |page, (c, spelling)| page.replace(*c, spelling))
}

/// Returns the sections that somebody wrote; a page may do without.
fn by_hand(file: &Path) -> Result<Vec<u8>> {
    match fs::read(file) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read.with_context(|| file.display().to_string()),
    }
}
