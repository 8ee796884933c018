//! gbuild: descriptor and options → a build, told line by line.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use gitian_build::{BuildOptions, FetchOptions, Workdir};
use gitian_descriptor::{Descriptor, Loaded};
use gitian_process::interrupt;
use gitian_vm::{Backend, Debs, Resources};

use crate::args::gbuild::Args;
use crate::calls::Calls;
use crate::cross_check::{CrossCheck, stop_left};
use crate::failure::one_line;
use crate::printable::printable;
use crate::printed::tell;
use crate::progress::Progress;
use crate::surroundings::Surroundings;
use crate::{descriptor_error, descriptor_file};

/// Runs gbuild with the backend that options and environment choose. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    let loaded = descriptor_file::load(&args.descriptor, &around.workdir, around.live)?;
    if !args.cross_check.is_empty() {
        return cross_check(args, &loaded, around, out);
    }
    let Descriptor { suites, architectures, .. } = &loaded.descriptor;
    let wanted: Vec<_> =
        suites.iter().flat_map(|suite| architectures.iter().map(move |architecture| (suite, *architecture))).collect();
    let backend = gitian_vm::select(args.backend.as_deref(), &around.settings, &around.workdir, &wanted)?;
    build(args, &loaded, around, &*backend, out)
}

/// Runs gbuild with this backend. Returns the exit code.
pub fn run_with(args: Args, around: &Surroundings, backend: &dyn Backend, out: &mut dyn Write) -> Result<u8> {
    let loaded = descriptor_file::load(&args.descriptor, &around.workdir, around.live)?;
    build(args, &loaded, around, backend, out)
}

fn build(args: Args, loaded: &Loaded, around: &Surroundings, backend: &dyn Backend, out: &mut dyn Write) -> Result<u8> {
    let workdir = Workdir::new(&around.workdir);
    let quiet = args.quiet;
    warn(&args, loaded, around.live);
    let check = args.check;
    let options = options(args, around)?;
    if check {
        return tell_problems(loaded, &options, &workdir, backend, &around.calls, out);
    }
    stop_left(around);
    let debs = Debs::new(&around.settings.cache);
    let mut progress = Progress::new(out, quiet, around.live);
    gitian_build::build(loaded, &options, &workdir, backend, &debs, &mut |event| progress.show(&event))?;
    Ok(0)
}

/// `--cross-check`: the build in several kinds of guest.
fn cross_check(mut args: Args, loaded: &Loaded, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    warn(&args, loaded, around.live);
    let (backends, quiet) = (std::mem::take(&mut args.cross_check), args.quiet);
    // The scripts' logs would run together.
    let options = BuildOptions { log_copy: None, ..options(args, around)? };
    CrossCheck { backends: &backends, loaded, options: &options, quiet }.run(around, out)
}

/// `--check`: everything that would stop the build, with what mends it.
fn tell_problems(
    loaded: &Loaded,
    options: &BuildOptions,
    workdir: &Workdir,
    backend: &dyn Backend,
    calls: &Calls,
    out: &mut dyn Write,
) -> Result<u8> {
    let mut problems = gitian_build::check(loaded, options, workdir, backend);
    interrupt::check()?;
    problems.extend(workdir.taken()?);
    for problem in &problems {
        writeln!(out, "problem: {}\nhint: {}", one_line(&problem.to_string()), calls.in_hint(&problem.mend))?;
    }
    match problems.len() {
        0 => writeln!(out, "nothing would stop a build of {} ({})", loaded.descriptor.name, backend.name())?,
        1 => writeln!(out, "1 problem would stop a build of {}", loaded.descriptor.name)?,
        count => writeln!(out, "{count} problems would stop a build of {}", loaded.descriptor.name)?,
    }
    Ok(u8::from(!problems.is_empty()))
}

fn warn(args: &Args, loaded: &Loaded, colour: bool) {
    let drawn = descriptor_error::render_warnings(&args.descriptor, loaded, colour);
    if !drawn.is_empty() {
        tell(drawn.strip_suffix('\n').unwrap_or(&drawn));
    }
    let dirs =
        args.commit.iter().map(|(dir, _)| ("--commit", dir)).chain(args.url.iter().map(|(dir, _)| ("--url", dir)));
    for (option, dir) in dirs {
        if !loaded.descriptor.remotes.iter().any(|remote| remote.dir.as_str() == dir) {
            tell(&format!("gbuild: warning: {option} {}: the descriptor has no remote of that name", printable(dir)));
        }
    }
}

fn options(args: Args, around: &Surroundings) -> Result<BuildOptions> {
    // With CI set, the log of the script is on standard output as well. Source: gitian-builder 11f91fb, bin/gbuild.
    let log_copy = match around.settings.ci {
        true => Some(File::from(io::stdout().as_fd().try_clone_to_owned().context("standard output")?)),
        false => None,
    };
    Ok(BuildOptions {
        allow_sudo: args.allow_sudo,
        skip_image: args.skip_image,
        upgrade: args.upgrade,
        resources: Resources { processors: args.num_make, memory_mib: args.memory },
        commits: args.commit,
        urls: args.url,
        cache_read_only: args.cache_read_only,
        fetch: FetchOptions {
            skip: args.skip_fetch,
            branches: args.fetch_branches,
            tags: args.fetch_tags,
            quiet: args.quiet,
        },
        skip_cleanup: args.skip_cleanup,
        network: args.network,
        layer_cache: !args.no_layer_cache,
        out_per_suite: args.out_per_suite,
        log_copy,
    })
}
