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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    /// The options of the original, by their long names. Source: gitian-builder 11f91fb, bin/*.
    const GBUILD: &str = "allow-sudo skip-image upgrade quiet num-make memory commit url cache-read-only skip-fetch \
                          fetch-branches fetch-tags skip-cleanup";
    const MAKE_BASE_VM: &str = "suite arch distro disksize lxc vbox docker docker-image-digest";
    const GSIGN: &str = "signer release destination signing_program quiet";
    const GVERIFY: &str = "verbose markup no-markup release destination compare-to verify-program";

    #[test]
    fn what_the_original_has_not_is_named_in_compatibility() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../share/doc/compatibility.md");
        let text = std::fs::read_to_string(path).unwrap();
        for (section, command, original) in [
            ("gbuild", super::gbuild::Args::command(), GBUILD),
            ("make-base-vm", super::make_base_vm::Args::command(), MAKE_BASE_VM),
            ("gsign", super::gsign::Args::command(), GSIGN),
            ("gverify", super::gverify::Args::command(), GVERIFY),
        ] {
            let section = text.split("\n## ").find(|part| part.starts_with(&format!("{section}\n"))).unwrap();
            let named = section.split("\nOptions that the original has not: ").nth(1).unwrap();
            let named = named.split("\n\n").next().unwrap();
            let known: Vec<&str> = original.split(' ').collect();
            let ours = command.get_arguments().filter_map(clap::Arg::get_long).filter(|name| !known.contains(name));
            let unnamed: Vec<&str> = ours.filter(|name| !named.contains(&format!("`--{name}`"))).collect();
            assert!(unnamed.is_empty(), "{}: {unnamed:?}", command.get_name());
        }
    }
}
