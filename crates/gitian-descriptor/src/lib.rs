//! What to build: the YAML descriptor, `<package>.yml`.
//!
//! [`Descriptor`] holds what a descriptor says, with [checked names](PackageName) that everything behind relies on.
//! [`Descriptor::load`] makes it from a file: `node` reads the YAML into a tree with places, `parse` goes through the keys,
//! `reader` through their values, and all that is wrong comes back at once, as [`Finding`]s.
//!
//! ```
//! use std::path::Path;
//! use gitian_descriptor::Descriptor;
//!
//! let text = "name: hello\nsuites: [bookworm]\narchitectures: [amd64, arm]\nremotes: []\n";
//! let refused = Descriptor::parse(Path::new("hello.yml"), text.to_owned()).unwrap_err();
//! let found: Vec<String> = refused.findings.iter().map(ToString::to_string).collect();
//! assert_eq!(found, [
//!     "line 1, column 1: key 'reference_datetime' is missing, and there are no remotes to take it from",
//!     "line 3, column 24: architectures: architecture 'arm' is not known",
//! ]);
//! ```

mod arch;
pub mod calendar;
mod datetime;
mod finding;
mod load;
mod model;
mod names;
mod node;
mod parse;
mod reader;
mod syntax;
mod written;

pub use arch::Architecture;
pub use datetime::ReferenceDatetime;
pub use finding::{Finding, Refusals};
pub use load::{LoadError, Loaded, SIZE_LIMIT};
pub use model::{Alternative, Descriptor, Network, Remote, Repository};
pub use names::{
    Commit, DebianPackage, Distro, ImageDigest, InputName, NameRefused, PackageName, ReleaseName, RemoteDir,
    SignerName, Suite, Url,
};
