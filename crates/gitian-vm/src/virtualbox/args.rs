//! What is to be done → the arguments of VBoxManage. Pure.

use std::ffi::OsString;
use std::path::Path;

use super::info::Forward;
use crate::Resources;

/// The snapshot that builds start from. Source: gitian-builder 11f91fb, libexec/make-clean-vm.
pub(super) const SNAPSHOT: &str = "Gitian-Clean";
/// The rule that leads a port of the host to the guest's sshd.
const RULE: &str = "guestssh";
/// The controller that the disk is attached to.
const CONTROLLER: &str = "SATA";

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

fn rule(port: u16) -> String {
    format!("{RULE},tcp,127.0.0.1,{port},,22")
}

/// Makes a machine without anything.
pub(super) fn create(name: &str, kind: &str) -> Vec<OsString> {
    words(&["createvm", "--name", name, "--ostype", kind, "--register"])
}

/// Gives a new machine what it needs beside a disk. A guest reaches the host's loopback as one of QEMU does, for a proxy.
pub(super) fn furnish(name: &str, port: u16) -> Vec<OsString> {
    let mut args = words(&["modifyvm", name, "--memory", "2000", "--cpus", "2", "--firmware", "efi64"]);
    args.extend(words(&["--nic1", "nat", "--nictype1", "virtio", "--natpf1", &rule(port)]));
    args.extend(words(&["--nat-localhostreachable1", "on", "--rtc-use-utc", "on"]));
    args.extend(words(&["--graphicscontroller", "none", "--audio-enabled", "off"]));
    args
}

/// Adds a controller for the disk.
pub(super) fn add_controller(name: &str) -> Vec<OsString> {
    let mut args = words(&["storagectl", name, "--name", CONTROLLER, "--add", "sata", "--controller", "IntelAhci"]);
    args.extend(words(&["--portcount", "1", "--bootable", "on"]));
    args
}

/// Attaches the disk, which is the machine's own from then on: it goes with the machine.
pub(super) fn attach(name: &str, disk: &Path) -> Vec<OsString> {
    let mut args = words(&["storageattach", name, "--storagectl", CONTROLLER, "--port", "0", "--device", "0"]);
    args.extend(words(&["--type", "hdd", "--medium"]));
    args.push(disk.into());
    args
}

/// Gives a machine that is off what a run needs; a restored snapshot brings its own settings back each time. A rule that
/// is there must be removed first; all that lead to sshd are.
pub(super) fn prepare(name: &str, resources: Resources, rules: &[&Forward], port: u16) -> Vec<OsString> {
    let (memory, processors) = (resources.memory_mib.to_string(), resources.processors.to_string());
    let mut args = words(&["modifyvm", name, "--memory", &memory, "--cpus", &processors]);
    for rule in rules {
        args.extend(words(&["--natpf1", "delete", &rule.name]));
    }
    args.extend(words(&["--natpf1", &rule(port)]));
    args
}

/// Has what a machine's kernel says written to a file.
pub(super) fn log_console(name: &str, console: &Path) -> Vec<OsString> {
    let mut args = words(&["modifyvm", name, "--uart1", "0x3F8", "4", "--uartmode1", "file"]);
    args.push(console.into());
    args
}

/// Leads a port of the host to a machine that runs: one call after the other. A rule that is there must be removed first.
pub(super) fn forward_running(name: &str, rules: &[&Forward], port: u16) -> Vec<Vec<OsString>> {
    let delete = |old: &&Forward| words(&["controlvm", name, "natpf1", "delete", &old.name]);
    let add = words(&["controlvm", name, "natpf1", &rule(port)]);
    rules.iter().map(delete).chain([add]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[OsString]) -> String {
        args.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_machine_is_made_and_prepared_with_these_words() {
        assert_eq!(line(&create("M", "Debian_64")), "createvm --name M --ostype Debian_64 --register");
        assert_eq!(
            line(&furnish("M", 2223)),
            "modifyvm M --memory 2000 --cpus 2 --firmware efi64 --nic1 nat --nictype1 virtio \
             --natpf1 guestssh,tcp,127.0.0.1,2223,,22 --nat-localhostreachable1 on --rtc-use-utc on \
             --graphicscontroller none --audio-enabled off"
        );
        assert_eq!(
            line(&add_controller("M")),
            "storagectl M --name SATA --add sata --controller IntelAhci --portcount 1 --bootable on"
        );
        assert_eq!(
            line(&attach("M", Path::new("/a b"))),
            "storageattach M --storagectl SATA --port 0 --device 0 --type hdd --medium /a b"
        );
        let resources = Resources { processors: 3, memory_mib: 1234 };
        let old = Forward { name: "ssh".into(), host_port: 2222, guest_port: 22 };
        assert_eq!(
            line(&prepare("M", resources, &[&old], 4000)),
            "modifyvm M --memory 1234 --cpus 3 --natpf1 delete ssh --natpf1 guestssh,tcp,127.0.0.1,4000,,22"
        );
        assert_eq!(
            line(&log_console("M", Path::new("/w/var/target.log"))),
            "modifyvm M --uart1 0x3F8 4 --uartmode1 file /w/var/target.log"
        );
        assert_eq!(
            forward_running("M", &[&old], 5).iter().map(|args| line(args)).collect::<Vec<_>>(),
            ["controlvm M natpf1 delete ssh", "controlvm M natpf1 guestssh,tcp,127.0.0.1,5,,22"]
        );
    }
}
