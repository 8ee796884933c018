//! What to build: the YAML descriptor, `<package>.yml`.
//!
//! [`model`](Descriptor) holds what a descriptor says, `parse` makes it from YAML text and refuses what is wrong with
//! the place in the file, [`names`](PackageName) are the checked names that everything behind relies on.

mod arch;
mod finding;
mod load;
mod model;
mod names;
mod parse;

pub use arch::Architecture;
pub use finding::{Finding, Refusals};
pub use load::{LoadError, Loaded, SIZE_LIMIT};
pub use model::{Alternative, Descriptor, Network, Remote, Repository};
pub use names::{
    Commit, DebianPackage, Distro, ImageDigest, InputName, NameRefused, PackageName, ReferenceDatetime, ReleaseName,
    RemoteDir, SignerName, Suite, Url,
};
