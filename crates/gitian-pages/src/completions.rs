//! Completions for bash, zsh and fish, under the names by which those shells find them.

use std::fs;
use std::path::Path;

use anyhow::Result;
use clap::Command;
use clap_complete::{Shell, generate};

/// Writes `bash/NAME`, `zsh/_NAME` and `fish/NAME.fish`.
pub fn write(mut program: Command, folder: &Path) -> Result<()> {
    let name = program.get_name().to_owned();
    for (shell, file) in
        [(Shell::Bash, name.clone()), (Shell::Zsh, format!("_{name}")), (Shell::Fish, format!("{name}.fish"))]
    {
        let mut text = Vec::new();
        generate(shell, &mut program, &name, &mut text);
        let folder = folder.join(shell.to_string());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(file), text)?;
    }
    Ok(())
}
