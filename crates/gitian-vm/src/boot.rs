//! What guests that boot have in common: the packages that a boot needs, a root file system with a first process of
//! ours, what that is told on the kernel's command line, and what the kernel says.
//!
//! Where the file system lies on a disk, and what loads the kernel, is each backend's own.

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use gitian_process::{Command, Output, Streams};

use crate::TargetId;
use crate::base_tree::{BaseTree, command_for};
use crate::sandbox::enclosure::Enclosure;
use crate::sandbox::id_map::IdMap;

/// The guest's first process.
pub(crate) const INIT: &str = include_str!("gitian-init");
/// Where it lies in the guest, below the root.
const INIT_PLACE: &str = "usr/sbin/gitian-init";
/// Programs that are not always in an ordinary user's PATH.
const MKE2FS: &str = "/sbin/mke2fs";
const DEBUGFS: &str = "/sbin/debugfs";
/// What makes root file systems, with Debian's packages of it.
pub(crate) const FOR_ROOTS: [(&str, &str); 2] = [(MKE2FS, "e2fsprogs"), (DEBUGFS, "e2fsprogs")];
/// How many lines of a console are shown.
const LINES: usize = 10;

/// Returns the packages that a guest needs to boot and be reached, beside those of every guest.
pub(crate) fn packages(kernel: &'static str) -> [&'static str; 3] {
    ["iproute2", kernel, "openssh-server"]
}

/// Returns how a target gets a larger disk; `option` has make-base-vm make base images of the kind.
pub(crate) fn larger_disk(option: &str, target: &TargetId) -> String {
    format!(
        "the guest's disk is as large as make-base-vm's --disksize said; for a larger one remove the base image, then: \
         {} --disksize MB",
        command_for(option, target)
    )
}

/// Returns what every guest's kernel is told: `root` is its disk, `panic` what it does when it gives up, and `key` the
/// public key that may log in. `host` is how the guest reaches the host, if not by the first address of QEMU's network.
pub(crate) fn kernel_line(root: &str, panic: &str, key: &str, host: Option<&str>) -> String {
    let host = host.map(|host| format!(" gitian.host={host}")).unwrap_or_default();
    format!(
        "root={root} rw rootwait console=ttyS0 panic={panic} net.ifnames=0 mitigations=off \
         init=/{INIT_PLACE} gitian.key={}{host}",
        key.replace(' ', ":")
    )
}

/// Makes a root file system of a base tree in the file `raw` of a folder, `disk_mb` MB long, behind `offset` bytes that
/// stay as they are. Needs neither root nor loop devices.
pub(crate) fn make_root(tree: &BaseTree, disk_mb: u32, folder: &Path, raw: &str, offset: u64) -> Result<()> {
    let map = IdMap::of_caller().map_err(|none| none.problem())?;
    let ids = Enclosure::of_ids(&map)?;
    let root = tree.unpacked(&map)?;
    let path = folder.join(raw);
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.context(raw.to_owned())?;
    // Filled by guest root, who sees the owners of the tree's files as a guest does; only through this open file.
    file.set_permissions(Permissions::from_mode(0o666)).context(raw.to_owned())?;
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).context(raw.to_owned())?;
    let make = Command::new(MKE2FS)
        .args(["-q", "-F", "-t", "ext4", "-m", "0", "-L", "gitian", "-O", "^metadata_csum_seed,^orphan_file"])
        .args(["-E", &format!("root_owner=0:0,nodiscard,offset={offset}"), "-d", "."])
        .args([format!("/proc/self/fd/{}", file.as_raw_fd()), format!("{disk_mb}M")])
        .folder(&root);
    ids.run_ok(&make, Streams::default())?;
    file.set_permissions(Permissions::from_mode(0o600)).context(raw.to_owned())?;
    drop(file);

    fs::write(folder.join("init"), INIT).context("init")?;
    // What no other kind of guest has at its top.
    let gone = ["initrd.img", "initrd.img.old", "vmlinuz", "vmlinuz.old"].map(|name| format!("rm {name}\n")).concat();
    let words = format!("write init {INIT_PLACE}\nset_inode_field {INIT_PLACE} mode 0100755\nrmdir lost+found\n{gone}");
    fs::write(folder.join("words"), words).context("words")?;
    let place = format!("{raw}?offset={offset}");
    Command::new(DEBUGFS).args(["-w", "-f", "words", &place]).folder(folder).run_ok(Streams::default())?;
    // debugfs tells of what it could not do, but not by its exit status.
    let see = Command::new(DEBUGFS).args(["-R", &format!("cat {INIT_PLACE}"), &place]).folder(folder);
    anyhow::ensure!(
        see.run_ok(Streams::default())?.stdout == INIT.as_bytes(),
        "{INIT_PLACE} could not be written: is the disk too small?"
    );
    for name in ["init", "words"] {
        fs::remove_file(folder.join(name)).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// Copies the newest kernel of a base tree, as `vmlinuz`, and its initrd into a folder. An initrd is left away where
/// `goes_without` says so of the kernel's configuration.
pub(crate) fn take_kernel(tree: &BaseTree, folder: &Path, goes_without: impl Fn(&str) -> bool) -> Result<()> {
    let map = IdMap::of_caller().map_err(|none| none.problem())?;
    let ids = Enclosure::of_ids(&map)?;
    let root = tree.unpacked(&map)?;
    let take = |from: &str, to: &str| -> Result<()> {
        let file = File::create(folder.join(to)).with_context(|| to.to_owned())?;
        let streams = Streams { stdout: Output::File(file), ..Streams::default() };
        ids.run_ok(&Command::new("cat").args(["--", from]).folder(&root), streams).with_context(|| from.to_owned())?;
        Ok(())
    };
    let version = kernel_version(&root)?;
    take(&format!("boot/vmlinuz-{version}"), "vmlinuz")?;
    let config = fs::read_to_string(root.join(format!("boot/config-{version}"))).unwrap_or_default();
    if !goes_without(&config) {
        take(&format!("boot/initrd.img-{version}"), "initrd")?;
    }
    Ok(())
}

/// Returns the version of the kernel in a tree.
fn kernel_version(root: &Path) -> Result<String> {
    let names = fs::read_dir(root.join("boot")).context("read boot")?.flatten().map(|entry| entry.file_name());
    let mut versions: Vec<String> =
        names.filter_map(|name| Some(name.to_str()?.strip_prefix("vmlinuz-")?.to_owned())).collect();
    versions.sort();
    versions.pop().context("the base tree has no kernel")
}

/// Returns the last lines that a guest's kernel wrote; when it gave up, those up to why, not the trace behind.
pub(crate) fn last_lines(console: &Path) -> Vec<String> {
    let bytes = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let given_up = lines.iter().position(|line| line.contains(PANIC)).map(|last| last + 1);
    let end = given_up.unwrap_or(lines.len());
    lines[end.saturating_sub(LINES)..end].iter().map(|line| (*line).to_owned()).collect()
}

/// What a kernel says that gives up.
pub(crate) const PANIC: &str = "Kernel panic";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_taken() {
        let root = tempfile::tempdir().unwrap();
        assert!(kernel_version(root.path()).is_err());
        fs::create_dir(root.path().join("boot")).unwrap();
        assert!(kernel_version(root.path()).unwrap_err().to_string().contains("no kernel"));
        for name in ["vmlinuz-6.1.0-10-cloud-amd64", "vmlinuz-6.1.0-56-cloud-amd64", "config-9"] {
            fs::write(root.path().join("boot").join(name), "").unwrap();
        }
        assert_eq!(kernel_version(root.path()).unwrap(), "6.1.0-56-cloud-amd64");
    }

    #[test]
    fn the_end_of_the_console_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let console = folder.path().join("target.log");
        assert_eq!(last_lines(&console), [""; 0]);
        let text: String = (0..20).map(|number| format!("line {number}\r\n\r\n")).collect();
        fs::write(&console, text).unwrap();
        assert_eq!(last_lines(&console).len(), 10);
        assert_eq!(last_lines(&console).last().unwrap(), "line 19");
        fs::write(&console, "a\nKernel panic - not syncing: VFS\nCall Trace:\nx\n").unwrap();
        assert_eq!(last_lines(&console), ["a", "Kernel panic - not syncing: VFS"]);
    }
}
