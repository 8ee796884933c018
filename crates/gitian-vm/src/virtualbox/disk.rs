//! The disk of a machine: what its firmware loads, and the guest's root file system. Made without root and without loop
//! devices.
//!
//! A partition table (GPT), an EFI system partition with systemd-boot, kernel and initrd, and the base tree as ext4. The
//! public key that may log in stands in the loader's entry: a machine of VirtualBox cannot be told anything when it is
//! started.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use gitian_process::{Command, Input, Streams};

use crate::base_tree::BaseTree;
use crate::boot;

/// The file that is made.
pub(super) const RAW: &str = "disk.raw";
/// The loader, from this host. Source: Debian's package systemd-boot-efi.
pub(super) const LOADER: &str = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
/// What writes the partition table; not always in an ordinary user's PATH.
pub(super) const SFDISK: &str = "/sbin/sfdisk";

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Where the first partition begins, and what is free behind the last one, for the table's copy.
const MARGIN: u64 = MIB;
/// The first partition: a kernel with its initrd has some 50 MiB.
const BOOT: u64 = 256 * MIB;
/// Identifies the root file system's partition to the kernel. It need not be another one in another machine.
const ROOT_ID: &str = "6769746e-2d72-4f6f-8000-000000000001";
/// What a kernel does that gives up: it stays, so that its words stay the last.
const PANIC: &str = "0";

/// Makes [`RAW`] in a folder, with a root file system of `disk_mb` MB that lets this public key in.
pub(super) fn make(tree: &BaseTree, disk_mb: u32, key: &str, folder: &Path) -> Result<()> {
    let root = u64::from(disk_mb) * MIB;
    let file = File::create_new(folder.join(RAW)).context(RAW)?;
    file.set_len(MARGIN + BOOT + root + MARGIN).context(RAW)?;
    drop(file);
    let table = partition_table(root);
    let sfdisk = Command::new(SFDISK).args(["--quiet", RAW]).folder(folder);
    sfdisk.run_ok(Streams::default().with_input(Input::Bytes(table.as_bytes())))?;
    boot::make_root(tree, disk_mb, folder, RAW, MARGIN + BOOT)?;
    boot::take_kernel(tree, folder, |_| false)?;

    let write = |name: &str, text: &str| fs::write(folder.join(name), text).with_context(|| name.to_owned());
    write("loader.conf", "timeout 0\neditor no\n")?;
    write("gitian.conf", &entry(key))?;
    let image = format!("{RAW}@@{MARGIN}");
    let mtools = |program: &str, args: &[&str]| {
        Command::new(program).args(["-i", &image]).args(args).folder(folder).run_ok(Streams::default())
    };
    mtools("mformat", &["-F", "-v", "GITIAN", "-T", &(BOOT / SECTOR).to_string(), "::"])?;
    mtools("mmd", &["::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries"])?;
    for (from, to) in [
        (LOADER, "::/EFI/BOOT/BOOTX64.EFI"),
        ("vmlinuz", "::/vmlinuz"),
        ("initrd", "::/initrd"),
        ("loader.conf", "::/loader/loader.conf"),
        ("gitian.conf", "::/loader/entries/gitian.conf"),
    ] {
        mtools("mcopy", &[from, to])?;
    }
    for name in ["vmlinuz", "initrd", "loader.conf", "gitian.conf"] {
        fs::remove_file(folder.join(name)).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// Writes the disk in VirtualBox's own format; each has an identity of its own.
pub(super) fn convert(folder: &Path, to: &Path) -> Result<()> {
    let convert = Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "vdi", RAW]).arg(to).folder(folder);
    convert.run_ok(Streams::default())?;
    Ok(())
}

/// Returns what sfdisk is told; the root file system's partition has so many bytes.
fn partition_table(root: u64) -> String {
    let (boot_start, boot, root_start) = (MARGIN / SECTOR, BOOT / SECTOR, (MARGIN + BOOT) / SECTOR);
    format!(
        "label: gpt\nstart={boot_start}, size={boot}, type=uefi\n\
         start={root_start}, size={}, type=linux, uuid={ROOT_ID}\n",
        root / SECTOR
    )
}

/// Returns the loader's entry. Source: the Boot Loader Specification.
fn entry(key: &str) -> String {
    let line = boot::kernel_line(&format!("PARTUUID={ROOT_ID}"), PANIC, key, None);
    format!("title gitian\nlinux /vmlinuz\ninitrd /initrd\noptions {line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_entry_name_the_same_root() {
        assert_eq!(
            partition_table(12287 * MIB),
            "label: gpt\nstart=2048, size=524288, type=uefi\n\
             start=526336, size=25163776, type=linux, uuid=6769746e-2d72-4f6f-8000-000000000001\n"
        );
        assert_eq!(
            entry("ssh-rsa AAAA"),
            "title gitian\nlinux /vmlinuz\ninitrd /initrd\n\
             options root=PARTUUID=6769746e-2d72-4f6f-8000-000000000001 rw rootwait console=ttyS0 panic=0 \
             net.ifnames=0 mitigations=off init=/usr/sbin/gitian-init gitian.key=ssh-rsa:AAAA\n"
        );
    }
}
