//! A machine → the arguments of QEMU. Pure.
//!
//! Paths of what lies in the target's own folder are relative to it, so that no name can be taken for QEMU's syntax.

use std::ffi::OsString;
use std::path::Path;

use crate::Resources;
use crate::boot::kernel_line;

/// The program; it runs 32-bit guests too.
pub(super) const PROGRAM: &str = "qemu-system-x86_64";
/// The target's disk.
pub(super) const DISK: &str = "disk.qcow2";
/// The socket through which the machine is asked and told.
pub(super) const QMP: &str = "qmp";
/// The file with the machine's process id, which it keeps locked as long as it lives.
pub(super) const PID_FILE: &str = "../target.pid";
/// What the guest's kernel says.
pub(super) const CONSOLE: &str = "../target.log";

/// How the guest calls its disk.
const DISK_DEVICE: &str = "/dev/nvme0n1";
/// A kernel that panics restarts at once, which ends QEMU (`-no-reboot`).
const PANIC: &str = "-1";

/// QEMU finds a translated instruction again by its address only: a program that lies elsewhere each time it is started is
/// translated each time, which takes half of an emulated processor's time.
const SAME_PLACES: &str = " norandmaps";

/// What carries a guest's processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// The host's own.
    Kvm,
    /// QEMU, which translates each instruction.
    Tcg {
        /// Why not KVM: one clause.
        why: String,
    },
}

/// How a guest boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Boot<'a> {
    /// One of our own: QEMU loads the kernel, `gitian-init` is the first process.
    Kernel {
        /// The kernel.
        kernel: &'a Path,
        /// What it needs to find its disk, where it needs something.
        initrd: Option<&'a Path>,
        /// The public key that may log in.
        key: &'a str,
        /// How the guest reaches this host, if not as usual.
        host: Option<&'a str>,
    },
    /// One that somebody else made: by the loader on its disk.
    Disk,
}

/// What is asked of QEMU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine<'a> {
    /// Shown by `ps`, such as `gitian-bookworm-amd64`.
    pub(super) name: &'a str,
    /// How it boots.
    pub(super) boot: Boot<'a>,
    /// On what it runs.
    pub(super) accelerator: &'a Accelerator,
    /// What it may use.
    pub(super) resources: Resources,
    /// The port of the host's loopback that leads to the guest's sshd; 0 for one that is free.
    pub(super) port: u16,
}

/// Returns the arguments. QEMU returns once the machine runs; its process goes on in the background.
pub(super) fn args(machine: &Machine<'_>) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(Into::into));
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-daemonize"]);
    add(&["-name", machine.name]);
    match machine.accelerator {
        Accelerator::Kvm => add(&["-accel", "kvm", "-cpu", "host"]),
        Accelerator::Tcg { .. } => add(&["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"]),
    }
    add(&["-smp", &machine.resources.processors.to_string(), "-m", &machine.resources.memory_mib.to_string()]);
    add(&["-pidfile", PID_FILE, "-serial", &format!("file:{CONSOLE}")]);
    add(&["-qmp", &format!("unix:{QMP},server=on,wait=off")]);
    add(&["-netdev", &format!("user,id=net,hostfwd=tcp:127.0.0.1:{}-:22", machine.port)]);
    add(&["-device", "virtio-net-pci,netdev=net,romfile="]);
    // Nobody needs a target's disk after the host has crashed.
    let drive = format!("id=disk,file={DISK},format=qcow2,cache=unsafe,discard=unmap");
    match machine.boot {
        Boot::Kernel { kernel, initrd, key, host } => {
            // Debian's kernel for clouds has NVMe and ext4 built in.
            add(&["-M", "q35", "-drive", &format!("if=none,{drive}"), "-device", "nvme,drive=disk,serial=gitian"]);
            args.extend(["-kernel".into(), kernel.into()]);
            if let Some(initrd) = initrd {
                args.extend(["-initrd".into(), initrd.into()]);
            }
            let mut line = kernel_line(DISK_DEVICE, PANIC, key, host);
            if let Accelerator::Tcg { .. } = machine.accelerator {
                line += SAME_PLACES;
            }
            args.extend(["-append".into(), line.into()]);
        }
        // What the original's machines had. Source: gitian-builder 11f91fb, libexec/start-target.
        Boot::Disk => add(&["-M", "pc", "-drive", &format!("if=virtio,{drive}")]),
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(boot: Boot<'_>, accelerator: &Accelerator, port: u16) -> String {
        let resources = Resources { processors: 3, memory_mib: 1234 };
        let machine = Machine { name: "gitian-bookworm-amd64", boot, accelerator, resources, port };
        args(&machine).iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_guest_of_our_own_boots_from_a_kernel() {
        let boot = Boot::Kernel { kernel: Path::new("/w/a, b.vmlinuz"), initrd: None, key: "ssh-rsa AAAA", host: None };
        assert_eq!(
            line(boot, &Accelerator::Tcg { why: "slow".into() }, 2223),
            "-nodefaults -no-user-config -display none -no-reboot -daemonize -name gitian-bookworm-amd64 \
             -accel tcg,thread=multi,tb-size=512 -cpu max -smp 3 -m 1234 -pidfile ../target.pid \
             -serial file:../target.log -qmp unix:qmp,server=on,wait=off \
             -netdev user,id=net,hostfwd=tcp:127.0.0.1:2223-:22 -device virtio-net-pci,netdev=net,romfile= -M q35 \
             -drive if=none,id=disk,file=disk.qcow2,format=qcow2,cache=unsafe,discard=unmap \
             -device nvme,drive=disk,serial=gitian -kernel /w/a, b.vmlinuz -append root=/dev/nvme0n1 rw rootwait \
             console=ttyS0 panic=-1 net.ifnames=0 mitigations=off init=/usr/sbin/gitian-init \
             gitian.key=ssh-rsa:AAAA norandmaps"
        );
        let host = Some("10.0.2.9");
        let boot = Boot::Kernel { kernel: Path::new("k"), initrd: Some(Path::new("i")), key: "ssh-rsa AAAA", host };
        let with_kvm = line(boot, &Accelerator::Kvm, 0);
        assert!(with_kvm.contains("-accel kvm -cpu host "), "{with_kvm}");
        assert!(with_kvm.contains(" -kernel k -initrd i -append "), "{with_kvm}");
        assert!(with_kvm.contains("127.0.0.1:0-:22"), "{with_kvm}");
        assert!(with_kvm.ends_with(" gitian.key=ssh-rsa:AAAA gitian.host=10.0.2.9"), "{with_kvm}");
    }

    #[test]
    fn a_guest_of_somebody_else_boots_from_its_disk() {
        let line = line(Boot::Disk, &Accelerator::Kvm, 2223);
        assert!(
            line.ends_with("-M pc -drive if=virtio,id=disk,file=disk.qcow2,format=qcow2,cache=unsafe,discard=unmap")
        );
        assert!(!line.contains("-kernel"), "{line}");
    }
}
