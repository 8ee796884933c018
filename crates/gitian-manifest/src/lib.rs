//! Hashes, and the documents that carry them.
//!
//! A [`Manifest`] is a list of digests and paths. A [`Report`] holds the manifests of one build, an [`Assertion`] is a
//! report that somebody vouches for, and a [`SigsTree`] is where assertions and their signatures are kept. Reports and
//! assertions are ordered maps in YAML ([`OMap`]), byte for byte as Ruby's Psych writes them: signatures cover them.
//!
//! ```
//! use gitian_manifest::{Assertion, Digest, Report};
//!
//! let out = format!("{}  hello.tar.gz\n", Digest::of_bytes(b"hello"));
//! let report = Report::new(out, "git:0123 hello".into(), vec![("bookworm-amd64".into(), String::new())], None, None);
//! let assertion = Assertion::new(report, "1.0", "hello", None);
//! let read = Assertion::read(&assertion.render())?;
//! assert_eq!(read.release(), Some("1.0"));
//! # Ok::<(), anyhow::Error>(())
//! ```

mod assertion;
mod digest;
mod in_manifest;
mod manifest;
pub mod omap;
mod report;
mod scan;
mod sigs_tree;
mod whole_file;

pub use assertion::{Assertion, Dialect};
pub use digest::{Digest, NotADigest};
pub use in_manifest::{BuiltCommit, InManifest};
pub use manifest::{Changed, Difference, Entry, Manifest, Parsed};
pub use omap::{OMap, Value};
pub use report::Report;
pub use scan::{OnBytes, Refused, Scan};
pub use sigs_tree::{Signers, SigsTree};
pub use whole_file::{beside, put_in_place, read_file, write_atomically, write_out};
