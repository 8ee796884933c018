//! make-base-vm: options → a base image.

use std::io::Write;

use anyhow::{Context, Result};
use gitian_build::BuildStopped;
use gitian_vm::{BaseRequest, Event, TargetId};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::WrongUsage;
use crate::args::make_base_vm::Args;
use crate::printable::printable;
use crate::surroundings::Surroundings;

/// Runs make-base-vm. Returns the exit code.
pub fn run(args: Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    let flags = [("lxc", args.lxc), ("vbox", args.vbox), ("docker", args.docker)];
    let flags = flags.into_iter().filter_map(|(name, given)| given.then_some(name));
    let mut asked = args.backend.as_deref().into_iter().chain(flags);
    let first = asked.next();
    if let Some(other) = asked.find(|other| Some(*other) != first) {
        let first = first.unwrap_or_default();
        return Err(WrongUsage(format!("one image at a time: {} or {}", printable(first), printable(other))).into());
    }
    let backend = gitian_vm::select(first, &around.settings, &around.workdir, &[])?;
    let problems = backend.check(&[]);
    if !problems.is_empty() {
        return Err(BuildStopped { problems }.into());
    }
    let suite = match &args.docker_image_digest {
        Some(digest) => digest.as_str().parse().context("--docker-image-digest")?,
        None => args.suite,
    };
    let target = TargetId { distro: args.distro, suite, architecture: args.arch };
    let keyring = args.keyring.map(|path| around.workdir.join(path));
    let request = BaseRequest {
        target,
        mirror: args.mirror,
        keyring,
        disk_mb: args.disksize,
        image_digest: args.docker_image_digest,
    };
    let bar = around.live.then(|| {
        let style =
            ProgressStyle::with_template("  {elapsed} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(std::time::Duration::from_millis(250));
        bar
    });
    let made = backend.make_base(&request, &mut |Event::Step(step)| match &bar {
        Some(bar) => bar.set_message(printable(&step)),
        // A reader that has gone away must not end the work.
        None => drop(writeln!(out, "{}", printable(&step))),
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    made?;
    writeln!(out, "base image for {} is ready", request.target).ok();
    Ok(0)
}
