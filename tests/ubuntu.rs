//! Guests of Ubuntu, made from a small archive of our own that is served on this host, and what becomes of a build when
//! that archive misbehaves.

mod support;
