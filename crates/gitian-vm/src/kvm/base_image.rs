//! Base images: a disk with the base tree and what a guest boots with, made without root and without loop devices.
//!
//! A disk is made once and kept in the cache, at `kvm/<base tree>-<MB>-<digest of gitian-init>/`. A working directory has links to it:
//! `base-<suite>-<arch>.qcow2`, the kernel beside it (`.vmlinuz`, where needed `.initrd`), and `.kvm`, which says what they
//! are. A disk without that was made by somebody else, and boots by its own loader.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gitian_descriptor::{Architecture, Distro, Suite};
use gitian_manifest::Digest;
use gitian_process::{Command, Streams};
use serde::{Deserialize, Serialize};

use crate::base_tree::{BaseTree, Maker, command_for};
use crate::boot;
use crate::cache::{CachePlace, staging};
use crate::debian::Distribution;
use crate::document::{read_document, remove_file, write_document};
use crate::lock::lock;
use crate::sandbox::place::make_private;
use crate::{BaseRequest, Event, Problem, TargetId, base_name};

/// Changes when guests are made to boot in another way: older images are then refused.
const FORMAT: u32 = 1;
/// The option of make-base-vm that makes these.
pub(super) const OPTION: &str = "--backend kvm ";

/// What `base-<suite>-<arch>.kvm` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    distro: String,
    suite: String,
    architecture: String,
    /// SHA-256 of the base tree's tar.
    base: String,
    disk_mb: u32,
    /// The folder of the cache that the disk was linked from.
    cached: String,
    /// Whether the kernel needs the file beside it to find its disk.
    initrd: bool,
}

/// Reads no more of a record than its format: one of another version may have other fields.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// A base image in a working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseImage {
    /// The disk.
    pub(super) disk: PathBuf,
    /// What boots it, unless its own loader does.
    pub(super) kernel: Option<Kernel>,
    /// Identifies its content.
    pub(super) id: String,
    /// Whether the disk lies in the cache.
    pub(super) cached: bool,
}

/// A kernel beside a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    pub(super) file: PathBuf,
    pub(super) initrd: Option<PathBuf>,
}

/// Returns the package of the kernel that guests boot: the one for clouds finds its disk without an initrd, which saves
/// half the time of a boot.
fn kernel_package(distribution: Distribution, architecture: Architecture) -> &'static str {
    match (distribution, architecture) {
        (Distribution::Debian, Architecture::I386) => "linux-image-686-pae",
        (Distribution::Debian, _) => "linux-image-cloud-amd64",
        (Distribution::Ubuntu, _) => "linux-image-virtual",
    }
}

/// The base images of a working directory.
pub(super) struct BaseImages<'a> {
    pub(super) workdir: &'a Path,
    pub(super) cache: &'a CachePlace,
}

impl BaseImages<'_> {
    fn path(&self, suite: &Suite, architecture: Architecture, ending: &str) -> PathBuf {
        let mut name = base_name(suite, architecture).into_os_string();
        name.push(ending);
        self.workdir.join(name)
    }

    fn of(&self, target: &TargetId, ending: &str) -> PathBuf {
        self.path(&target.suite, target.architecture, ending)
    }

    /// Finds the base image of a target.
    ///
    /// # Errors
    /// A [`Problem`] when there is none, or one of another distro, suite or version.
    pub(super) fn find(&self, target: &TargetId) -> Result<BaseImage> {
        let disk = self.of(target, ".qcow2");
        let shown = disk.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = shown.trim_end_matches(".qcow2");
        let again = format!("rm {stem}.* && {}", command_for(OPTION, target));
        let problem = |what: String, mend: &str| Err(Problem { what, mend: mend.to_owned() }.into());
        let Ok(found) = fs::metadata(&disk) else {
            return problem(format!("base image {shown} does not exist"), &command_for(OPTION, target));
        };
        let path = self.of(target, ".kvm");
        let Some(Format { format }) = read_document(&path)? else {
            let id = format!("{} {} {}.{}", disk.display(), found.len(), found.mtime(), found.mtime_nsec());
            return Ok(BaseImage {
                disk,
                kernel: None,
                id: Digest::of_bytes(id.as_bytes()).to_string(),
                cached: false,
            });
        };
        if format != FORMAT {
            let what = format!("base image {shown} is of format {format}, made by another version of this program");
            return problem(what, &again);
        }
        let Some(record) = read_document::<Record>(&path)? else {
            return problem(format!("{} has gone", path.display()), &again);
        };
        if record.suite != target.suite.as_str() || record.architecture != target.architecture.debian() {
            let what = format!("base image {shown} is one of {}-{}", record.suite, record.architecture);
            return problem(what, &again);
        }
        if record.distro != target.distro.as_str() {
            let what = format!("base image {shown} is one of distro {}, not {}", record.distro, target.distro);
            return problem(what, &format!("write `distro: {}` in the descriptor, or: {again}", record.distro));
        }
        let kernel =
            Kernel { file: self.of(target, ".vmlinuz"), initrd: record.initrd.then(|| self.of(target, ".initrd")) };
        for file in [Some(&kernel.file), kernel.initrd.as_ref()].into_iter().flatten() {
            if !file.is_file() {
                return problem(format!("{} is missing beside {shown}", file.display()), &again);
            }
        }
        let id = Digest::of_bytes(format!("kvm {}", record.cached).as_bytes()).to_string();
        // The same file, at a place that does not go with the working directory.
        let kept = self.cache.root().join("kvm").join(&record.cached).join("disk.qcow2");
        let cached = !record.cached.contains('/') && is_same(&kept, &found);
        Ok(BaseImage { disk: if cached { kept } else { disk }, kernel: Some(kernel), id, cached })
    }

    /// Returns the distro of a base image, if there is one and it is one of ours.
    pub(super) fn distro(&self, suite: &Suite, architecture: Architecture) -> Result<Option<Distro>> {
        let path = self.path(suite, architecture, ".kvm");
        // One that cannot be read is told when it is used.
        let Some(record) = read_document::<Record>(&path).unwrap_or(None) else { return Ok(None) };
        record.distro.parse().map(Some).with_context(|| path.display().to_string())
    }

    /// Makes a base image.
    pub(super) fn make(
        &self,
        request: &BaseRequest,
        proxy_host: Option<&str>,
        report: &mut dyn FnMut(Event),
    ) -> Result<()> {
        let target = &request.target;
        let disk = self.of(target, ".qcow2");
        if disk.symlink_metadata().is_ok() {
            let shown = disk.file_name().unwrap_or_default().to_string_lossy();
            let what = format!("{shown} already exists, please remove it first");
            return Err(Problem { what, mend: format!("rm {shown}") }.into());
        }
        let distribution = Distribution::from_distro(&target.distro)?;
        let packages = boot::packages(kernel_package(distribution, target.architecture));
        let tree = Maker { cache: self.cache, proxy_host, option: OPTION, report }.make(request, &packages)?;
        let folder = self.cached(&tree, request.disk_mb, report)?;
        let initrd = folder.join("initrd").is_file();
        let record = Record {
            format: FORMAT,
            distro: target.distro.to_string(),
            suite: target.suite.to_string(),
            architecture: target.architecture.debian().to_owned(),
            base: tree.digest().to_owned(),
            disk_mb: request.disk_mb,
            cached: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            initrd,
        };
        // The disk comes last: without it there is no base image.
        for name in ["vmlinuz", "initrd"] {
            let to = self.of(target, &format!(".{name}"));
            remove_file(&to)?;
            if folder.join(name).is_file() {
                place(&folder.join(name), &to)?;
            }
        }
        write_document(&self.of(target, ".kvm"), &record)?;
        place(&folder.join("disk.qcow2"), &disk)
    }

    /// Returns the folder of the cache with the disk for a base tree, making it if there is none.
    fn cached(&self, tree: &BaseTree, disk_mb: u32, report: &mut dyn FnMut(Event)) -> Result<PathBuf> {
        let all = self.cache.root().join("kvm");
        make_private(&all)?;
        let recipe = Digest::of_bytes(boot::INIT.as_bytes()).to_string();
        let folder = all.join(format!("{}-{disk_mb}-{}", tree.digest(), &recipe[..16]));
        let _lock = lock(&all.join("lock"))?;
        if folder.is_dir() {
            return Ok(folder);
        }
        report(Event::Step("making the guest's disk".into()));
        let staging = staging(&all)?;
        make_disk(tree, disk_mb, staging.path()).context("make the guest's disk")?;
        fs::rename(staging.path(), &folder).with_context(|| format!("make {}", folder.display()))?;
        let _moved = staging.keep();
        Ok(folder)
    }
}

/// Whether a path leads to a file that was found elsewhere.
fn is_same(path: &Path, found: &fs::Metadata) -> bool {
    fs::metadata(path).is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
}

/// Gives a file of the cache a place in a working directory: by a link, or where there can be none by a copy.
fn place(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(drop))
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

/// Makes `disk.qcow2`, `vmlinuz` and, where the kernel needs one, `initrd` in a folder.
fn make_disk(tree: &BaseTree, disk_mb: u32, folder: &Path) -> Result<()> {
    boot::make_root(tree, disk_mb, folder, "disk.raw", 0)?;
    let convert = Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2", "disk.raw", "disk.qcow2"]);
    convert.folder(folder).run_ok(Streams::default())?;
    boot::take_kernel(tree, folder, finds_its_disk)?;
    fs::remove_file(folder.join("disk.raw")).context("disk.raw")?;
    // Working directories link to them: whoever writes there would change them for all.
    for entry in fs::read_dir(folder).context("read")?.flatten() {
        fs::set_permissions(entry.path(), Permissions::from_mode(0o444)).context("set the mode")?;
    }
    Ok(())
}

/// Whether a kernel has built in what it needs to find its disk.
fn finds_its_disk(config: &str) -> bool {
    ["CONFIG_EXT4_FS=y", "CONFIG_BLK_DEV_NVME=y"].iter().all(|wanted| config.lines().any(|line| line == *wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(suite: &str) -> TargetId {
        TargetId { distro: "debian".parse().unwrap(), suite: suite.parse().unwrap(), architecture: Architecture::Amd64 }
    }

    /// A working directory with a base image of bookworm, as far as names go.
    fn workdir(record: &Record) -> tempfile::TempDir {
        let work = tempfile::tempdir().unwrap();
        for ending in ["qcow2", "vmlinuz"] {
            fs::write(work.path().join(format!("base-bookworm-amd64.{ending}")), ending).unwrap();
        }
        write_document(&work.path().join("base-bookworm-amd64.kvm"), record).unwrap();
        work
    }

    fn record() -> Record {
        Record {
            format: FORMAT,
            distro: "debian".into(),
            suite: "bookworm".into(),
            architecture: "amd64".into(),
            base: "0".repeat(64),
            disk_mb: 1,
            cached: "x".into(),
            initrd: false,
        }
    }

    fn find(work: &Path, target: &TargetId) -> Result<BaseImage, Problem> {
        let cache = CachePlace::new(work);
        BaseImages { workdir: work, cache: &cache }.find(target).map_err(|error| error.downcast().unwrap())
    }

    #[test]
    fn each_thing_that_is_wrong_with_a_base_image_is_told_with_what_mends_it() {
        let good = workdir(&record());
        let found = find(good.path(), &target("bookworm")).unwrap();
        assert_eq!((found.kernel.unwrap().initrd, found.cached), (None, false));
        let again = "rm base-bookworm-amd64.* && \
                     bin/make-base-vm --backend kvm --distro debian --suite bookworm --arch amd64";
        let missing = find(good.path(), &target("bullseye")).unwrap_err();
        assert_eq!(missing.what, "base image base-bullseye-amd64.qcow2 does not exist");
        assert_eq!(missing.mend, "bin/make-base-vm --backend kvm --distro debian --suite bullseye --arch amd64");
        for (record, what) in [
            (
                Record { format: 0, ..record() },
                "base image base-bookworm-amd64.qcow2 is of format 0, made by another version of this program",
            ),
            (Record { suite: "sid".into(), ..record() }, "base image base-bookworm-amd64.qcow2 is one of sid-amd64"),
            (
                Record { distro: "ubuntu".into(), ..record() },
                "base image base-bookworm-amd64.qcow2 is one of distro ubuntu, not debian",
            ),
        ] {
            let problem = find(workdir(&record).path(), &target("bookworm")).unwrap_err();
            assert_eq!(problem.what, what);
            assert!(problem.mend.ends_with(again), "{}", problem.mend);
        }
        let no_initrd = find(workdir(&Record { initrd: true, ..record() }).path(), &target("bookworm")).unwrap_err();
        assert!(no_initrd.what.ends_with("base-bookworm-amd64.initrd is missing beside base-bookworm-amd64.qcow2"));
    }

    #[test]
    fn a_disk_that_somebody_else_made_boots_by_itself_and_is_known_by_its_time() {
        let work = workdir(&record());
        fs::remove_file(work.path().join("base-bookworm-amd64.kvm")).unwrap();
        let found = find(work.path(), &target("bookworm")).unwrap();
        assert_eq!(found.kernel, None);
        fs::write(work.path().join("base-bookworm-amd64.qcow2"), "another").unwrap();
        assert_ne!(find(work.path(), &target("bookworm")).unwrap().id, found.id);
    }

    #[test]
    fn a_kernel_without_its_drivers_needs_an_initrd() {
        assert!(finds_its_disk("CONFIG_EXT4_FS=y\n# x\nCONFIG_BLK_DEV_NVME=y\n"));
        assert!(!finds_its_disk("CONFIG_EXT4_FS=m\nCONFIG_BLK_DEV_NVME=y\n"));
        assert!(!finds_its_disk(""));
    }
}
