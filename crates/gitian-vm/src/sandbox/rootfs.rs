//! What a guest sees: its root, `/proc`, a minimal `/dev`, a read-only `/sys`; nothing else of the host.
//!
//! Pure: turns folders into the list of steps that `enter` performs.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::mount::MsFlags;
use nix::sys::stat::Mode;

use super::enter::{Step, slot};

/// The host name of every guest.
pub(crate) const HOST_NAME: &str = "gitian";

/// How a guest's root is put together from what lies on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rooting {
    /// An overlay: writes go to `upper` in the target's folder.
    Overlay,
    /// `upper` is a whole copy: for hosts where the file system allows no overlay.
    Copy,
}

/// The folders of a guest.
pub(crate) struct Folders<'a> {
    /// Read-only trees, the topmost first.
    pub(crate) lower: &'a [PathBuf],
    /// The target's own folder, which holds `upper`, `work` and `root`.
    pub(crate) own: &'a Path,
    /// How they make a root.
    pub(crate) rooting: Rooting,
}

/// Devices that a guest has, each the host's own node.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Folders below /sys that say more about the host than a build should know.
const HIDDEN: [&str; 2] = ["/sys/fs/cgroup", "/sys/firmware"];

/// Slots of folders that stay open while the guest is put together; lower trees come behind them.
const OWN: u8 = 0;
const OLD_ROOT: u8 = 1;
const HOST_DEV: u8 = 2;
const HOST_SYS: u8 = 3;
const LOWER: u8 = 4;

/// Returns the steps from a new set of namespaces to a guest, with this `/etc/resolv.conf`.
pub(crate) fn guest_steps(folders: &Folders<'_>, resolv_conf: Option<&[u8]>) -> Result<Vec<Step>> {
    let own = slot(OWN);
    let root = format!("{own}/root");
    let mut steps = vec![
        Step::KeepMountsPrivate,
        Step::Open { slot: OWN, path: c_path(folders.own)? },
        Step::Open { slot: OLD_ROOT, path: c"/".into() },
        Step::Open { slot: HOST_DEV, path: c"/dev".into() },
        Step::Open { slot: HOST_SYS, path: c"/sys".into() },
    ];
    for (number, tree) in (LOWER..).zip(folders.lower) {
        steps.push(Step::Open { slot: number, path: c_path(tree)? });
    }
    steps.push(Step::BecomeRoot);
    steps.push(Step::HostName(c_text(HOST_NAME)?));
    for folder in ["upper", "work", "root"] {
        steps.push(Step::Folder(c_text(format!("{own}/{folder}"))?, mode(0o755)));
    }
    steps.extend(root_steps(folders, &own, &root)?);
    steps.push(Step::Pivot(c_text(root)?));
    steps.extend(view_steps(resolv_conf)?);
    steps.push(Step::LeaveOldRoot(OLD_ROOT));
    Ok(steps)
}

fn root_steps(folders: &Folders<'_>, own: &str, root: &str) -> Result<Vec<Step>> {
    Ok(match folders.rooting {
        Rooting::Overlay => {
            let lower: Vec<String> = (LOWER..).zip(folders.lower).map(|(number, _)| slot(number)).collect();
            // A target is thrown away sooner or later, so nobody needs its files to be on the disk at any time: `volatile`
            // leaves out what dpkg does for that. The mark that it leaves has to go before the next mount.
            let options =
                format!("lowerdir={},upperdir={own}/upper,workdir={own}/work,userxattr,volatile", lower.join(":"));
            vec![
                Step::RemoveFile(c_text(format!("{own}/work/work/incompat/volatile/dirty"))?),
                Step::RemoveFolder(c_text(format!("{own}/work/work/incompat/volatile"))?),
                mounted("overlay", root, MsFlags::empty(), Some(&options))?,
            ]
        }
        Rooting::Copy => vec![bound(&format!("{own}/upper"), root)?],
    })
}

/// The first of [`probe_steps`] whose failure means that an overlay does not work here.
pub(crate) const PROBE_FROM: usize = 7;

/// Returns steps that make an overlay and do to it what a package manager does: hide a folder of the lower tree and make
/// another in its place.
pub(crate) fn probe_steps(folders: &Folders<'_>) -> Result<Vec<Step>> {
    let [tree] = folders.lower else { bail!("a probe takes one lower tree") };
    let own = slot(OWN);
    let root = format!("{own}/root");
    let mut steps = vec![
        Step::KeepMountsPrivate,
        Step::Open { slot: OWN, path: c_path(folders.own)? },
        Step::Open { slot: LOWER, path: c_path(tree)? },
        Step::BecomeRoot,
    ];
    for folder in ["upper", "work", "root"] {
        steps.push(Step::Folder(c_text(format!("{own}/{folder}"))?, mode(0o755)));
    }
    debug_assert_eq!(steps.len(), PROBE_FROM);
    steps.extend(root_steps(folders, &own, &root)?);
    steps.push(Step::RemoveFolder(c_text(format!("{root}/mnt"))?));
    steps.push(Step::Folder(c_text(format!("{root}/mnt"))?, mode(0o755)));
    Ok(steps)
}

/// The steps below the new root, while the old one is still there.
fn view_steps(resolv_conf: Option<&[u8]>) -> Result<Vec<Step>> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let mut steps = vec![
        mounted("proc", "/proc", quiet, None)?,
        Step::Mount {
            source: c_text(slot(HOST_SYS))?,
            target: c"/sys".into(),
            kind: None,
            flags: MsFlags::MS_BIND | MsFlags::MS_REC,
            options: None,
            optional: false,
        },
        Step::ReadOnly(c"/sys".into()),
    ];
    for path in HIDDEN {
        let Step::Mount { source, target, kind, flags, options, .. } =
            mounted("tmpfs", path, quiet | MsFlags::MS_RDONLY, Some("size=0,mode=555"))?
        else {
            continue;
        };
        steps.push(Step::Mount { source, target, kind, flags, options, optional: true });
    }
    steps.push(mounted("tmpfs", "/dev", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, Some("size=1m,mode=755"))?);
    for device in DEVICES {
        let path = format!("/dev/{device}");
        steps.push(Step::EmptyFile(c_text(path.as_str())?));
        steps.push(bound(&format!("{}/{device}", slot(HOST_DEV)), &path)?);
    }
    for folder in ["/dev/pts", "/dev/shm"] {
        steps.push(Step::Folder(c_text(folder)?, mode(0o755)));
    }
    // Group 5 is tty in Debian and its descendants.
    let terminals = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    steps.push(mounted("devpts", "/dev/pts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, Some(terminals))?);
    steps.push(mounted("tmpfs", "/dev/shm", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=1777"))?);
    for (to, at) in [
        ("pts/ptmx", "/dev/ptmx"),
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ] {
        steps.push(Step::Link(c_text(to)?, c_text(at)?));
    }
    if let Some(text) = resolv_conf {
        steps.push(Step::Text(c"/etc/resolv.conf".into(), text.to_owned()));
    }
    Ok(steps)
}

/// The folder at which [`workshop_steps`] shows its own folder.
pub(crate) const WORKSHOP: &str = "/mnt";

/// Returns the steps to a place where programs of the host (mmdebstrap) work as root of the enclosure: they see the
/// host's files as anybody does, and `own` at [`WORKSHOP`].
pub(crate) fn workshop_steps(own: &Path) -> Result<Vec<Step>> {
    Ok(vec![
        Step::KeepMountsPrivate,
        Step::Open { slot: OWN, path: c_path(own)? },
        Step::BecomeRoot,
        Step::HostName(c_text(HOST_NAME)?),
        bound(&slot(OWN), WORKSHOP)?,
        mounted("proc", "/proc", MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, None)?,
    ])
}

/// Returns the steps that show whether namespaces work at all: a mount of each kind that a guest needs.
pub(crate) fn trial_steps() -> Result<Vec<Step>> {
    Ok(vec![
        Step::KeepMountsPrivate,
        Step::BecomeRoot,
        mounted("tmpfs", WORKSHOP, MsFlags::empty(), None)?,
        mounted("proc", "/proc", MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, None)?,
    ])
}

fn mounted(kind: &str, target: &str, flags: MsFlags, options: Option<&str>) -> Result<Step> {
    Ok(Step::Mount {
        source: c_text(kind)?,
        target: c_text(target)?,
        kind: Some(c_text(kind)?),
        flags,
        options: options.map(c_text).transpose()?,
        optional: false,
    })
}

fn bound(source: &str, target: &str) -> Result<Step> {
    Ok(Step::Mount {
        source: c_text(source)?,
        target: c_text(target)?,
        kind: None,
        flags: MsFlags::MS_BIND,
        options: None,
        optional: false,
    })
}

fn mode(bits: u32) -> Mode {
    Mode::from_bits_truncate(bits)
}

fn c_text(text: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(text).context("a text for the system holds a zero byte")
}

fn c_path(path: &Path) -> Result<CString> {
    c_text(path.as_os_str().as_bytes())
}
