//! All that makes guests: what they give, what can go wrong, what they leave.
//!
//! One program, so that a host of two processors emulates a machine while other tests go on, and engines are started once.

mod backends;
mod bad_input;
mod cleanup;
mod cross_check;
mod docker;
mod drivers;
mod gbuild;
mod i386;
mod kvm;
mod libexec;
mod lxc;
mod stops;
mod support;
mod surroundings;
