//! All talking to the user: arguments, progress, messages, exit codes.
//!
//! Each program of `bin/` and `libexec/` is a file of its name here: a function from arguments and surroundings to an exit code, which
//! the few lines in `bin/<name>.rs` call. Libraries below state facts; `failure` and `hints` turn them into advice.

pub mod adopt;
mod apt_hints;
pub mod args;
pub mod calls;
pub mod canon;
pub mod canon_zip;
mod carried;
pub mod config_bootstrap_fixup;
pub mod config_lxc;
pub mod copy_from_target;
pub mod copy_to_target;
pub mod cross_check;
pub mod descriptor_error;
pub mod descriptor_file;
pub mod doctor;
mod downloads;
pub mod failure;
pub mod gbuild;
pub mod gitian;
pub mod gsign;
pub mod gverify;
pub mod hints;
pub mod init;
pub mod make_base_vm;
pub mod make_clean_vm;
pub mod on_target;
mod page;
mod place;
mod printable;
mod printed;
pub mod programs;
mod progress;
mod pull_request;
pub mod release;
pub mod start_target;
pub mod stop_target;
pub mod surroundings;
pub mod target;
pub mod updater;
mod utc;
