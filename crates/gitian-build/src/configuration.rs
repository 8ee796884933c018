//! One suite and architecture of a run: a function from descriptor, inputs and base image to outputs and package manifest.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use gitian_descriptor::{Descriptor, ReferenceDatetime};
use gitian_process::{Input, Output, Streams};
use gitian_vm::{Backend, Debs, GuestCommand, GuestUser, Target, TargetId, copy_in};

use crate::event::{Event, Step};
use crate::guest::Guest;
use crate::log::Log;
use crate::workdir::Workdir;
use crate::{BuildOptions, collect, packages, script};

const INIT_BUILD: &str = include_str!("../../../target-bin/init-build.sh");

/// What all configurations of a run share.
pub struct Run<'r> {
    /// What is built.
    pub descriptor: &'r Descriptor,
    /// How.
    pub options: &'r BuildOptions,
    /// Where.
    pub workdir: &'r Workdir,
    /// In what kind of guest.
    pub backend: &'r dyn Backend,
    /// Packages that were downloaded before.
    pub debs: &'r Debs,
    /// What the script is told as reference date and time.
    pub reference: &'r ReferenceDatetime,
}

impl Run<'_> {
    /// Builds one configuration into `out` and returns its package manifest. Its guest goes into `running` as soon as it
    /// has been started and stays there, for the caller to stop, whatever happens.
    pub fn configuration(
        &self,
        id: &TargetId,
        out: &Path,
        running: &mut Option<Guest>,
        report: &mut dyn FnMut(Event),
    ) -> Result<String> {
        let Self { descriptor, options, workdir, .. } = self;
        report(Event::Building(id.clone()));
        let install_log = Log::empty(workdir.install_log(), workdir)?;
        let build_log = Log::empty(workdir.build_log(), workdir)?;

        let installed = self.start(id, running, &install_log, report)?;
        let guest = running.as_mut().context("the target was not started")?;
        report(Event::Step(Step::Prepare, None));
        let init =
            GuestCommand::new(GuestUser::Builder, ["setarch", id.architecture.setarch(), "bash", "-c", INIT_BUILD]);
        guest.run_ok(&init, Input::Empty, &install_log)?;
        if installed {
            report(Event::Step(Step::UseLayer, None));
        } else {
            packages::install(guest, descriptor, options.upgrade, self.debs, workdir, &install_log, report)?;
            if options.layer_cache && !options.skip_image {
                guest.target.keep_layer(&self.layer(id)?)?;
            }
        }
        let base_manifest = packages::manifest(guest, &install_log)?;
        let path = workdir.base_manifest(id);
        fs::write(&path, &base_manifest).with_context(|| workdir.shown(&path).display().to_string())?;

        self.copy_inputs(guest, &install_log)?;
        report(Event::Step(Step::WriteScript, None));
        self.write_script(guest, &install_log)?;
        report(Event::Step(Step::RunScript, Some(build_log.path().to_owned())));
        self.run_script(guest, &build_log)?;

        report(Event::Step(Step::CopyOut, None));
        collect::outputs(guest, out)?;
        if descriptor.enable_cache && !options.cache_read_only {
            report(Event::Step(Step::CopyCache, None));
            collect::caches(&*guest.target, &descriptor.name, workdir)?;
        }
        Ok(base_manifest)
    }

    /// Stops what runs, makes a clean target and starts it. Returns whether it has its packages already.
    fn start(
        &self,
        id: &TargetId,
        running: &mut Option<Guest>,
        log: &Log,
        report: &mut dyn FnMut(Event),
    ) -> Result<bool> {
        report(Event::Step(Step::StopTarget, None));
        stop_running(self.backend, running.take())?;
        let mut layered = false;
        if !self.options.skip_image {
            report(Event::Step(Step::MakeClean, None));
            let layer = if self.options.layer_cache { Some(self.layer(id)?) } else { None };
            layered = self.backend.make_clean(id, layer.as_ref())?;
        }
        report(Event::Step(Step::StartTarget, None));
        let start = || -> Result<Guest> {
            Ok(Guest { id: id.clone(), target: self.backend.start(id, self.options.resources)? })
        };
        let guest = running.insert(start()?);
        if let Some(notice) = guest.target.notice() {
            report(Event::Warning(notice));
        }
        report(Event::Step(Step::CheckTarget, None));
        guest.await_answer()?;
        if layered && !packages::are_current(guest, log)? {
            stop_running(self.backend, running.take())?;
            layered = self.backend.make_clean(id, None)?;
            running.insert(start()?).await_answer()?;
        }
        Ok(layered)
    }

    fn layer(&self, id: &TargetId) -> Result<gitian_vm::Layer> {
        Ok(packages::layer(self.descriptor, id, &self.backend.base_id(id)?))
    }

    /// Allows sudo if asked, and copies in files, caches and remotes.
    fn copy_inputs(&self, guest: &Guest, log: &Log) -> Result<()> {
        let Self { descriptor, options, workdir, .. } = self;
        if descriptor.sudo && options.allow_sudo {
            let user = &descriptor.distro;
            guest.write(&format!("/etc/sudoers.d/{user}"), &format!("{user} ALL=(ALL) NOPASSWD: ALL\n"), log)?;
        }
        let copy = |path: &Path, folder: &str| {
            copy_in(&*guest.target, GuestUser::Builder, path, folder)
                .with_context(|| format!("copy {} to the guest", workdir.shown(path).display()))
        };
        for name in &descriptor.files {
            copy(&workdir.input(name), "build")?;
        }
        if descriptor.enable_cache {
            copy(&workdir.package_cache(&descriptor.name), "cache")?;
            copy(&workdir.common_cache(), "cache")?;
        }
        for remote in &descriptor.remotes {
            copy(&workdir.remote(&remote.dir), "build")?;
        }
        Ok(())
    }

    fn write_script(&self, guest: &Guest, log: &Log) -> Result<()> {
        let Self { descriptor, options, workdir, reference, .. } = self;
        let text = script::render(descriptor, guest.id.architecture, options.resources, reference);
        let path = workdir.build_script();
        fs::write(&path, &text).with_context(|| workdir.shown(&path).display().to_string())?;
        guest.write(&script_in_guest(), &text, log)
    }

    /// Runs the script from a file, with empty standard input: a program in it that reads its input must not eat the rest.
    fn run_script(&self, guest: &Guest, log: &Log) -> Result<()> {
        let argv = ["setarch", guest.id.architecture.setarch(), "bash", "-x", &script_in_guest()];
        let network = self.options.network.unwrap_or(self.descriptor.network);
        let command = GuestCommand::new(GuestUser::Builder, argv).network(network);
        let streams = match &self.options.log_copy {
            Some(copy) => tee(log.file()?, copy.try_clone()?),
            None => Streams::to_log(log.file()?),
        };
        let status = guest.target.run(&command, streams)?;
        guest.must_succeed(status, "build script", log)
    }
}

fn script_in_guest() -> String {
    format!("{}/build-script", packages::FOLDER)
}

/// Into the log, and into a copy for as long as somebody reads that.
fn tee(mut log: File, copy: File) -> Streams<'static> {
    let both = move |pipe: &mut dyn Read| {
        let mut copy = Some(copy);
        let mut chunk = [0; 16 * 1024];
        loop {
            let count = pipe.read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            log.write_all(&chunk[..count])?;
            // A reader that has gone away must not end the build.
            copy = copy.filter(|mut copy| copy.write_all(&chunk[..count]).is_ok());
        }
    };
    Streams { stdout: Output::Consume(Box::new(both)), merged: true, ..Streams::default() }
}

/// Stops the guest that we started, or else one that an earlier run left.
pub fn stop_running(backend: &dyn Backend, ours: Option<Guest>) -> Result<()> {
    let target: Option<Box<dyn Target>> = match ours {
        Some(guest) => Some(guest.target),
        None => backend.attach()?,
    };
    target.map_or(Ok(()), Target::stop)
}
