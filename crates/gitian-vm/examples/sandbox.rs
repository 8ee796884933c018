//! Drives the sandbox by hand and measures it: `sandbox CACHE WORKDIR VERB [ARGUMENTS…]`.
//!
//! Verbs: `base [SUITE [ARCHITECTURE [MIRROR]]]`, `clean`, `times`, `run [-u] PROGRAM [ARGUMENTS…]` (`-u`: as the ordinary user).

//!
//! For people who work on the sandbox; users have `make-base-vm`, `gbuild` and `libexec/`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gitian_descriptor::Architecture;
use gitian_process::{Failure, Output, Streams};
use gitian_vm::{Backend, BaseRequest, GuestCommand, GuestUser, Resources, Sandbox, Settings, TargetId};

fn main() -> Result<()> {
    work().inspect_err(|error| {
        if let Some(Failure::ProgramFailed { last_lines, .. }) = error.downcast_ref() {
            last_lines.iter().for_each(|line| eprintln!("  | {line}"));
        }
    })
}

fn work() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [cache, workdir, verb, rest @ ..] = args.as_slice() else { bail!("sandbox CACHE WORKDIR VERB [ARGUMENTS…]") };
    gitian_process::interrupt::listen()?;
    let settings = Settings { cache: PathBuf::from(cache), ..Settings::default() };
    let sandbox = Sandbox::new(&settings, Path::new(workdir));
    let target = TargetId { distro: "debian".parse()?, suite: "bookworm".parse()?, architecture: Architecture::Amd64 };
    let resources = Resources { processors: 2, memory_mib: 2000 };
    for problem in sandbox.check(std::slice::from_ref(&target)) {
        println!("problem: {problem}\n   mend: {}", problem.mend);
    }
    match verb.as_str() {
        "base" => {
            let suite = rest.first().map_or(Ok(target.suite), |suite| suite.parse())?;
            let named = rest.get(1).map_or(Some(target.architecture), |name| Architecture::from_name(name));
            let architecture = named.context("no such architecture")?;
            let target = TargetId { suite, architecture, distro: target.distro };
            let request =
                BaseRequest { target, mirror: rest.get(2).cloned(), keyring: None, disk_mb: 0, image_digest: None };
            sandbox.make_base(&request, &mut |event| println!("{event:?}"))
        }
        "clean" => sandbox.make_clean(&target, None).map(drop),
        "run" => {
            let guest = sandbox.start(&target, resources)?;
            let user =
                if rest.first().is_some_and(|first| first == "-u") { GuestUser::Builder } else { GuestUser::Root };
            let argv = if user == GuestUser::Builder { &rest[1..] } else { rest };
            let status = guest.run(&GuestCommand::new(user, argv), Streams::inherit());
            guest.stop()?;
            println!("{}", status?);
            Ok(())
        }
        "times" => times(&sandbox, &target, resources),
        other => bail!("no such verb: {other}"),
    }
}

/// Prints medians of the steps that happen once or more in every build.
fn times(sandbox: &Sandbox, target: &TargetId, resources: Resources) -> Result<()> {
    let (mut clean, mut start, mut enter, mut offline, mut stop) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..9 {
        clean.push(timed(|| sandbox.make_clean(target, None).map(drop))?.0);
        let (time, guest) = timed(|| sandbox.start(target, resources))?;
        start.push(time);
        for _ in 0..9 {
            let command = GuestCommand::new(GuestUser::Builder, ["true"]);
            enter.push(timed(|| guest.run(&command, quiet()))?.0);
            let command = command.network(gitian_vm::Network::Off);
            offline.push(timed(|| guest.run(&command, quiet()))?.0);
        }
        stop.push(timed(|| guest.stop())?.0);
    }
    for (name, times) in
        [("clean", clean), ("start", start), ("enter", enter), ("enter, no network", offline), ("stop", stop)]
    {
        println!("{name}: median {:.1} ms", median(times).context("no times")?.as_secs_f64() * 1000.0);
    }
    Ok(())
}

fn quiet() -> Streams<'static> {
    Streams { stdout: Output::Discard, stderr: Output::Discard, ..Streams::default() }
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let began = Instant::now();
    let value = work()?;
    Ok((began.elapsed(), value))
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}
