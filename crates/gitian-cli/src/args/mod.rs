//! The command line of each program; help texts live here.

pub mod adopt;
pub mod canon;
pub mod canon_zip;
pub mod config_bootstrap_fixup;
pub mod config_lxc;
pub mod copy_from_target;
pub mod copy_to_target;
pub mod doctor;
pub mod gbuild;
pub mod gitian;
pub mod gsign;
pub mod gverify;
pub mod init;
pub mod make_base_vm;
pub mod make_clean_vm;
pub mod on_target;
pub mod release;
pub mod start_target;
pub mod stop_target;
pub mod updater;

use std::path::{Path, PathBuf};

use gitian_descriptor::Architecture;
use gitian_manifest::SigsTree;
use gitian_process::Command;

/// A command line that cannot be meant; ends with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

/// Splits the text of a `-p` option into words as a shell would, with its quotes and nothing else of a shell.
fn program(text: &str) -> Result<Command, String> {
    let words = shell_words::split(text).map_err(|_| "a quote is not closed".to_owned())?;
    let (program, args) = words.split_first().ok_or("names no program")?;
    Ok(Command::new(program).args(args))
}

/// Reads the architecture of a target.
fn architecture(text: &str) -> Result<Architecture, String> {
    Architecture::from_name(text).ok_or_else(|| "is none of amd64, i386, linux64".to_owned())
}

/// Returns the sigs tree that `--destination` names, or the installation's own.
pub(crate) fn sigs_tree(destination: Option<&Path>, installation: &Path, package: &str) -> SigsTree {
    SigsTree::new(match destination {
        // Programs would take its files for options.
        Some(path) if path.as_os_str().as_encoded_bytes().starts_with(b"-") => Path::new(".").join(path),
        Some(path) => PathBuf::from(path),
        None => SigsTree::default_root(installation, package),
    })
}
