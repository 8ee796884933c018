//! gitian: the programs under one name. Each is the same function as that of its own program.

use std::io::Write;

use anyhow::Result;

use crate::args::gitian::{Args, Program};
use crate::surroundings::Surroundings;
use crate::{adopt, canon, doctor, gbuild, gsign, gverify, init, make_base_vm, release, updater};

/// Runs the program that was named. Returns its exit code.
pub fn run(args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    match args.program {
        Program::Base(args) => make_base_vm::run(args, around, out),
        Program::Build(args) => gbuild::run(args, around, out),
        Program::Sign(args) => gsign::run(args, around, out),
        Program::Verify(args) => gverify::run(args, around, out),
        Program::Release(args) => release::run(args, around, out),
        Program::Init(args) => init::run(args, around, out),
        Program::Doctor(args) => doctor::run(args, around, out),
        Program::Adopt(args) => adopt::run(args, around, out),
        Program::Canon(args) => canon::run(args, around, out),
        Program::Updater(args) => updater::run(args, around, out),
    }
}
