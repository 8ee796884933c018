//! Base images and targets: where a build script runs.
//!
//! [`Backend`] is the host's side, [`Target`] a running guest. `settings` reads the environment, `select` turns it into
//! one backend. Each backend is a folder of its own; nothing outside of it knows which one is at work.

mod answer;
mod apt_trouble;
mod archive;
mod backend;
mod base_tree;
mod boot;
mod cache;
mod debian;
mod debs;
mod docker;
mod document;
mod full;
pub mod host_programs;
mod kvm;
mod lock;
mod login;
mod lxc;
mod mark;
mod merge;
mod pack;
mod sandbox;
mod select;
mod settings;
#[cfg(test)]
#[path = "../../../tests/support/skip.rs"]
mod skip;
mod socket;
mod ssh;
mod tar_stream;
mod unpack;
mod virtualbox;

pub use answer::{AnswerTooLong, read};
pub use apt_trouble::{AptTrouble, AptTroubleKind};
pub use archive::{ArchiveRefused, UnpackError};
pub use backend::{
    Backend, BaseRequest, Event, GuestCommand, GuestGone, GuestNotUp, GuestUser, Layer, Network, Problem, Resources,
    Target, TargetId, base_name, suites_and_architectures,
};
pub use debian::distro_of;
pub use debs::Debs;
pub use full::{GuestFull, says_full};
pub use lxc::Lxc;
pub use merge::merge;
pub use sandbox::Sandbox;
pub use select::{UnknownBackend, names, running, select, stop};
pub use settings::Settings;
pub use tar_stream::{NotPacked, copy_in, copy_out, copy_out_into};
pub use unpack::{Limits, unpack};
