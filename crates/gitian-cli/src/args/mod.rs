//! The command line of each program; help texts live here.

pub mod gbuild;
pub mod make_base_vm;
