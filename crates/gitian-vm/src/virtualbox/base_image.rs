//! Base images: a machine with a disk of its own and the snapshot that builds start from.
//!
//! The disk lies beside the machine's settings and goes with the machine: `unregistervm --delete` removes every disk that
//! is attached, wherever it lies. What it was made from, the base tree, stays in the cache.

use std::path::Path;

use anyhow::{Context, Result};
use gitian_descriptor::Architecture;
use gitian_process::interrupt;

use super::answer::{Refused, Why};
use super::machine::{FORMAT, Machine, OPTION, Record, name, removal};
use super::manage::Manage;
use super::{args, disk};
use crate::base_tree::{Maker, command_for};
use crate::boot;
use crate::cache::{CachePlace, staging};
use crate::debian::Distribution;
use crate::document::Which;
use crate::lock::lock;
use crate::sandbox::place::make_private;
use crate::ssh::{USUAL_PORT, public_key};
use crate::{BaseRequest, Event, Problem, TargetId};

/// Makes the machine of a request; nothing of it is left when that fails.
pub(super) fn make(
    manage: &Manage,
    cache: &CachePlace,
    var: &Path,
    request: &BaseRequest,
    proxy_host: Option<&str>,
    report: &mut dyn FnMut(Event),
) -> Result<()> {
    let target = &request.target;
    let name = name(&target.suite, target.architecture);
    if target.architecture == Architecture::I386 {
        let what = format!("no machine of VirtualBox can be made for {target}: its firmware is of 64 bits");
        return Err(Problem { what, mend: command_for("--backend kvm ", target) }.into());
    }
    if manage.info(&name)?.is_some() {
        let what = format!("machine {name} already exists, please remove it first");
        return Err(Problem { what, mend: removal(&name) }.into());
    }
    let distribution = Distribution::from_distro(&target.distro)?;
    let (kind, kernel) = match distribution {
        Distribution::Debian => ("Debian_64", "linux-image-amd64"),
        Distribution::Ubuntu => ("Ubuntu_64", "linux-image-virtual"),
    };
    let tree =
        Maker { cache, proxy_host, option: OPTION, report: &mut *report }.make(request, &boot::packages(kernel))?;

    report(Event::Step("making the guest's disk".into()));
    let all = cache.root().join("vbox");
    make_private(&all)?;
    let _lock = lock(&all.join("lock"))?;
    let staging = staging(&all)?;
    let key = public_key(var)?;
    disk::make(&tree, request.disk_mb, &key, staging.path()).context("make the guest's disk")?;

    report(Event::Step(format!("making the machine {name}")));
    interrupt::check()?;
    let (base, disk_mb) = (tree.digest(), request.disk_mb);
    let new = New { name: &name, kind, target, base, disk_mb, staging: staging.path(), key: &var.join("id_rsa") };
    new.make(manage).with_context(|| format!("make the machine {name}"))
}

/// A machine that is to be made.
struct New<'a> {
    name: &'a str,
    /// What VirtualBox calls a system of this kind.
    kind: &'a str,
    target: &'a TargetId,
    /// SHA-256 of the base tree's tar.
    base: &'a str,
    disk_mb: u32,
    /// The folder with the disk.
    staging: &'a Path,
    /// The private key for the guest.
    key: &'a Path,
}

impl New<'_> {
    fn make(&self, manage: &Manage) -> Result<()> {
        manage.run(args::create(self.name, self.kind)).map_err(|error| left_over(error, self.target))?;
        let info = manage.info(self.name)?.context("it is gone")?;
        let machine = Machine::new(self.name, info)?;
        let filled = self.fill(manage, &machine);
        if filled.is_err() {
            // The first error says more than one that follows from it.
            manage.run(["unregistervm", self.name, "--delete"]).and_then(|_| machine.sweep()).ok();
        }
        filled
    }

    /// Gives a new machine its disk and all else; the snapshot comes last: without it nobody takes the machine for whole.
    fn fill(&self, manage: &Manage, machine: &Machine) -> Result<()> {
        let name = self.name;
        disk::convert(self.staging, &machine.disk())?;
        manage.run(args::furnish(name, USUAL_PORT))?;
        manage.run(args::add_controller(name))?;
        manage.run(args::attach(name, &machine.disk()))?;
        let record = Record {
            format: FORMAT,
            machine: machine.info.uuid.clone(),
            target: Which::of(self.target),
            base: self.base.to_owned(),
            disk_mb: self.disk_mb,
        };
        machine.note(&record, self.key)?;
        manage.run(["snapshot", name, "take", args::SNAPSHOT])?;
        Ok(())
    }
}

/// Settings without a machine are told with what removes them.
pub(super) fn left_over(error: anyhow::Error, target: &TargetId) -> anyhow::Error {
    let Some(Refused { why: Why::LeftOver, words, .. }) = error.downcast_ref() else { return error };
    let settings = words.iter().find_map(|line| line.split('\'').nth(1)).map(Path::new);
    let Some(folder) = settings.and_then(Path::parent) else { return error };
    let quoted = shell_words::quote(&folder.display().to_string()).into_owned();
    Problem {
        what: format!("the folder of an earlier machine for {target} is left: {}", folder.display()),
        mend: format!("rm -r {quoted} && {}", command_for(OPTION, target)),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtualbox::recorded::fake;
    use gitian_process::{Command, Streams};
    use std::fs;

    fn made(folder: &Path, manage: &Manage) -> Result<()> {
        let target = TargetId {
            distro: "debian".parse().unwrap(),
            suite: "bookworm".parse().unwrap(),
            architecture: Architecture::Amd64,
        };
        fs::write(folder.join(disk::RAW), vec![0; 1 << 20]).unwrap();
        let key = folder.join("id_rsa");
        fs::write(&key, "a key").unwrap();
        let new = New {
            name: "Gitian-bookworm-amd64",
            kind: "Debian_64",
            target: &target,
            base: "0",
            disk_mb: 1,
            staging: folder,
            key: &key,
        };
        new.make(manage)?;
        let machine = Machine::find(manage, &target)?;
        assert_eq!(machine.record()?.unwrap().target, Which::of(&target));
        assert!(machine.disk().is_file() && machine.info.forwards.len() == 1);
        Ok(())
    }

    #[test]
    fn a_machine_is_there_as_a_whole_or_not_at_all() {
        if Command::new("qemu-img").arg("--version").run(Streams::default()).is_err() {
            crate::skip::skip("vbox", "qemu-img is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("vms/Gitian-bookworm-amd64");
        let refused = made(folder.path(), &fake(folder.path(), "full")).unwrap_err();
        assert!(refused.to_string().contains("Could not find file for the medium"), "{refused:#}");
        assert!(!place.exists());
        let manage = fake(folder.path(), "none");
        assert_eq!(manage.run(["list", "vms"]).unwrap().text, "");

        made(folder.path(), &manage).unwrap();
        manage.run(["unregistervm", "Gitian-bookworm-amd64", "--delete"]).unwrap();
        assert!(!place.join("disk.vdi").exists(), "the disk goes with the machine");
        // What VirtualBox knows nothing of is in nobody's way, settings without a machine are.
        made(folder.path(), &manage).unwrap();
        manage.run(["unregistervm", "Gitian-bookworm-amd64", "--delete"]).unwrap();
        fs::write(place.join("Gitian-bookworm-amd64.vbox"), "").unwrap();
        let problem = made(folder.path(), &manage).unwrap_err().downcast::<Problem>().unwrap();
        assert!(problem.what.starts_with("the folder of an earlier machine for bookworm-amd64 is left: "));
    }
}
