//! Report to signed assertion, in its place in the sigs tree.
//!
//! A [`Draft`] is an assertion that is still to be signed. A [`Signing`] has drafts signed, each in a hidden folder beside
//! its place, by another program or with a secret key ([`By`]), and moves everything to its place together at the end:
//! whatever fails or is cancelled before leaves the tree as it was. A [`Request`] takes drafts to a host that holds the
//! key, and brings signatures back. [`sums()`] and [`statement()`] say the same in the words of other tools.

mod by;
mod draft;
mod envelope;
mod folders;
mod openpgp;
mod program;
mod provenance;
mod publication;
mod request;
mod signing;
mod sums;
mod workshop;

pub use by::By;
pub use draft::{Draft, ReportMissing, Subject};
pub use envelope::{PAYLOAD_TYPE, pre_authentication_encoding};
pub use openpgp::{Passphrase, SecretKey};
pub use program::{NotSigned, NothingSigned};
pub use provenance::{DescriptorChanged, statement};
pub use request::{Item, Request};
pub use signing::{Signed, Signing};
pub use sums::sums;
