//! A release from one file: `gitian.toml` says what a project's release is, and this says what is to be done for it, in
//! which order, and what is done already.
//!
//! [`Project`] is the file. [`plan`] makes steps of it, purely: each with what its outcome depends on, what is done, and
//! what it leaves. [`Runner`] does them through our own programs, `git` and `curl`, and writes down what is done, so that a
//! run that ended in any way is continued by the next. Nothing here prints.
//!
//! ```
//! use gitian_release::{Project, Version};
//! let text = "[descriptors.linux]\nfile = 'contrib/gitian-linux.yml'\n";
//! let project = Project::parse("gitian.toml".as_ref(), text)?;
//! let version: Version = "1.0".parse().map_err(anyhow::Error::msg)?;
//! assert_eq!(project.descriptors[0].release.of(&version), "1.0-linux");
//! # Ok::<(), anyhow::Error>(())
//! ```

mod address;
mod fetch;
pub mod init;
mod outputs;
mod pattern;
mod place;
mod plan;
mod project;
mod remotes;
mod run;
mod stamp;
mod step;
mod template;
mod tree;
mod vouch;

pub use address::absolute;
pub use pattern::Pattern;
pub use place::{WORK, inputs, link_on_the_way, own_folders, sigs, workdir};
pub use plan::{Chosen, Order, Origin, Signing, plan, request};
pub use project::{DescriptorRule, InputRule, Project, ProjectRefused, RemoteRule, Sigs, Stage, Version};
pub use remotes::{Source, State, ask};
pub use run::{BaseId, Event, Runner, Standing, StepFailed, room_for};
pub use step::{Action, Dependency, Done, Kind, Program, Step, Value};
pub use template::Template;
