//! The one door to other programs.
//!
//! A [`Command`] is plain data: program, arguments, environment, folder. It can be displayed as a line to paste,
//! compared in tests, and run. Where its input comes from and its output goes is said at the run ([`Streams`]).
//! Nothing here goes through a shell.
//!
//! ```
//! use gitian_process::Command;
//! let text = Command::new("printf").args(["%s", "two words"]).text()?;
//! assert_eq!(text, "two words");
//! # Ok::<(), gitian_process::Failure>(())
//! ```

mod command;
mod failure;
pub mod interrupt;
mod streams;
pub mod trace;

pub use command::{Command, Outcome, Status};
pub use failure::{Failure, last_lines};
pub use streams::{Input, Output, Streams};
