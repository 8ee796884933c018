//! Machines of QEMU: what is particular about them. That they give the same bytes as other guests is in `backends.rs`.
//!
//! One machine runs at a time: where there is no KVM, each boot costs fifteen seconds of a processor.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support;
use crate::support::programs::{self, Answer, Workdir};
use crate::support::proxy;
use crate::support::running::within;

/// A working directory with the bookworm base image of machines, and the turn to run one.
struct Machines {
    work: Workdir,
    _turn: MutexGuard<'static, ()>,
}

impl Machines {
    fn new() -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        for program in ["/usr/bin/qemu-system-x86_64", "/usr/bin/qemu-img", "/usr/bin/mmdebstrap", "/usr/bin/ssh"] {
            if !Path::new(program).exists() {
                support::skip("kvm", &format!("{program} is not there"));
                return None;
            }
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let work = Workdir::new();
        work.run("make-base-vm", &["--backend", "kvm", "--distro", "debian", "--suite", "bookworm"]).succeeds();
        Some(Self { work, _turn: turn })
    }

    fn run(&self, name: &str, args: &[&str]) -> Answer {
        self.work.run(name, args)
    }

    fn run_with(&self, (variable, value): (&str, &str), name: &str, args: &[&str]) -> Answer {
        programs::answer(self.work.program(name).env(variable, value).args(args))
    }

    fn make_clean(&self) {
        self.run("make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]).succeeds();
    }

    fn start(&self) -> Answer {
        self.run("start-target", START)
    }

    fn on_target(&self, command: &[&str]) -> Answer {
        self.run("on-target", command)
    }

    /// The process of the machine, if one was started and lives.
    fn process(&self) -> Option<Pid> {
        let pid: i32 = self.read("var/target.pid")?.trim().parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Somebody has to ask for a dead one's status before it goes.
        (!stat.rsplit_once(')')?.1.trim_start().starts_with('Z')).then(|| Pid::from_raw(pid))
    }

    /// Tells the machine something by QMP.
    fn ask(&self, command: &str) {
        let folder = fs::File::open(self.work.path().join("var/kvm")).unwrap();
        let mut stream = UnixStream::connect(format!("/proc/self/fd/{}/qmp", folder.as_raw_fd())).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
        for command in ["qmp_capabilities", command] {
            writeln!(stream, "{{\"execute\": \"{command}\"}}").unwrap();
            assert!(answers.any(|line| line.unwrap().contains("\"return\"")));
        }
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.work.path().join(path)).ok()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.work.path().join(path), text).unwrap();
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.run("stop-target", &[]);
        if let Some(pid) = self.process() {
            kill(pid, Signal::SIGKILL).ok();
        }
    }
}

const START: &[&str] = &["64", "bookworm-amd64"];

#[test]
fn a_machine_is_started_asked_and_stopped() {
    let Some(machines) = Machines::new() else { return };
    machines.make_clean();
    // A key that others may read is closed, and a usual port that is taken is stepped aside from.
    let _taken = TcpListener::bind("127.0.0.1:2223");
    let key = machines.work.path().join("var/id_rsa");
    Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).assert().success();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();

    let told = machines.start().succeeds();
    assert!(
        told.stderr.is_empty() || told.stderr.contains("warning: the guest's processor is emulated"),
        "{}",
        told.stderr
    );
    let port = machines.read("var/kvm/machine.yml").unwrap();
    assert!(!port.contains("port: 2223"), "{port}");
    let told = machines.start();
    assert!(told.code == 1 && told.stderr.contains("a target runs already in"), "{}", told.stderr);

    let script = r#"printf '<%s>' "$A" "$@"; id; pwd; hostname; echo told > /dev/stderr; ls /proc/self/fd | wc -w"#;
    let words = ["-e", "A=b  c", "bash", "-c", script, "name", "a  b", "it's", "new\nline", "", "*", "$(id)"];
    let told = machines.on_target(&words).succeeds();
    assert_eq!(
        told.stdout,
        "<b  c><a  b><it's><new\nline><><*><$(id)>uid=1000(debian) gid=1000(debian) groups=1000(debian)\n\
         /home/debian\ngitian\n4\n"
    );
    assert_eq!(told.stderr, "told\n");
    // Longer than one argument of a program may be.
    let long = vec!["x".repeat(90_000); 2];
    let told = machines.on_target(&["sh", "-c", "echo $#; printf %s \"$@\" | wc -c", "sh", &long[0], &long[1]]);
    assert_eq!(told.succeeds().stdout, "2\n180000\n");

    let bytes: Vec<u8> = (0..2_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut command = machines.work.program("on-target");
    let output = command.args(["sh", "-c", "cat; echo told >&2"]).write_stdin(bytes.clone()).output().unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    assert_eq!(output.stderr, b"told\n");

    for (command, code, stderr) in [
        ("exit 3", 3, ""),
        ("exit 255", 255, ""),
        ("kill -KILL $$", 137, ""),
        ("no-such-program", 127, "not found"),
        ("/etc/hostname", 126, "denied"),
        ("fallocate -l 100G big; s=$?; rm -f big; exit $s", 1, "No space left on device"),
        ("sudo -n true", 1, "a password is required"),
    ] {
        let told = machines.on_target(&["sh", "-c", command]);
        assert_eq!(told.code, code, "{command}: {}", told.stderr);
        assert!(told.stderr.contains(stderr) && (told.stderr.is_empty() || !stderr.is_empty()), "{}", told.stderr);
    }

    let tree = machines.work.path().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/a b"), "one").unwrap();
    // A full disk of the guest is told with how to get a larger one.
    let fill = "fallocate -l $(df --output=avail -B1 . | tail -n 1) big; head -c 64M /dev/zero > rest";
    assert!(machines.on_target(&["sh", "-c", fill]).stderr.contains("No space left on device"));
    let told = machines.run("copy-to-target", &["-q", "tree", "."]);
    let expected = "bin/make-base-vm --backend kvm --distro debian --suite bookworm --arch amd64 --disksize MB\n";
    assert!(told.stderr.contains(": no space is left in the guest: "), "{}", told.stderr);
    assert!(told.code == 1 && told.stderr.ends_with(expected), "{}", told.stderr);
    machines.on_target(&["rm", "-rf", "big", "rest", "tree"]).succeeds();
    machines.on_target(&["mkdir", "-p", "in"]).succeeds();
    machines.run("copy-to-target", &["-q", "tree", "in/"]).succeeds();
    machines.on_target(&["-u", "root", "touch", "/etc/was-here"]).succeeds();
    let port = proxy::answer_at(TcpListener::bind("127.0.0.1:0").unwrap());
    machines.on_target(&["-u", "root", "sh", "-c", &proxy::name_it(port)]).succeeds();
    fs::create_dir(machines.work.path().join("back")).unwrap();
    machines.run("copy-from-target", &["-q", "in/tree", "back"]).succeeds();
    assert_eq!(machines.read("back/tree/sub/a b").unwrap(), "one");

    machines.run("stop-target", &[]).succeeds();
    assert_eq!(machines.process(), None);
    for left in ["var/target.pid", "var/kvm/qmp", "var/kvm/ssh-user", "var/kvm/ssh-root", "var/kvm/machine.yml"] {
        assert!(!machines.work.path().join(left).exists(), "{left}");
    }

    // A stopped target keeps its files; its machine may be killed under a command.
    machines.start().succeeds();
    machines.on_target(&["cat", "/etc/was-here", "in/tree/sub/a b"]).succeeds();
    let told = machines.on_target(&["sh", "-c", &proxy::show_it()]).succeeds();
    assert_eq!(told.stdout, format!("http://10.0.2.2:{port}\n"), "the host, as the guest reaches it");
    let told = machines.on_target(&["-u", "root", "sh", "-c", proxy::FETCH]).succeeds();
    assert_eq!(told.stdout, proxy::ANSWER);
    let endless = || {
        let running = machines.work.start("on-target", &["sh", "-c", "echo begun >> begun; sleep 600"]);
        std::thread::sleep(Duration::from_secs(3));
        running
    };
    // One that stands still is told, whoever waits for it: a command that runs, the next, and one without a connection.
    let running = endless();
    machines.ask("stop");
    let began = Instant::now();
    let without_connection = || {
        for socket in ["ssh-user", "ssh-root"] {
            fs::remove_file(machines.work.path().join("var/kvm").join(socket)).ok();
        }
        machines.on_target(&["true"])
    };
    for told in [running.answer(), machines.on_target(&["true"]), without_connection()] {
        assert_eq!(told.code, 1, "{}", told.stderr);
        let expected =
            "the guest bookworm-amd64 stands still: its machine is in the state 'paused'\nhint: libexec/stop";
        assert!(told.stderr.contains(expected), "{}", told.stderr);
    }
    assert!(began.elapsed() < Duration::from_secs(90), "{:?}", began.elapsed());
    machines.ask("cont");
    assert_eq!(machines.on_target(&["cat", "begun"]).succeeds().stdout, "begun\n", "no command is run twice");

    let running = endless();
    kill(machines.process().unwrap(), Signal::SIGKILL).unwrap();
    let told = running.answer();
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert!(told.stderr.contains("on-target: error: the guest bookworm-amd64 is gone"), "{}", told.stderr);
    let told = machines.on_target(&["true"]);
    assert!(told.stderr.contains("no target runs in"), "{}", told.stderr);
}

#[test]
fn a_machine_that_does_not_come_up_is_told_with_what_its_kernel_said() {
    let Some(machines) = Machines::new() else { return };
    // A disk without anything on it.
    let disk = machines.work.path().join("base-bookworm-amd64.qcow2");
    fs::remove_file(&disk).unwrap();
    Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(&disk).arg("1G").assert().success();
    machines.make_clean();
    let told = machines.start();
    assert_eq!(told.code, 1);
    assert!(
        told.stderr.contains("start-target: error: the guest bookworm-amd64 does not come up: its machine ended\n"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains("  | ") && told.stderr.contains("Kernel panic"), "{}", told.stderr);
    assert!(told.stderr.contains("hint: all that the guest's kernel said is in var/target.log"), "{}", told.stderr);
    assert_eq!(machines.process(), None);
}

#[test]
fn a_machine_whose_starter_was_killed_is_taken_over_and_one_that_is_interrupted_ends() {
    let Some(machines) = Machines::new() else { return };
    for (signal, left) in [(Signal::SIGKILL, true), (Signal::SIGINT, false)] {
        machines.make_clean();
        assert_eq!(machines.process(), None, "the one that was left is ended");
        let running = machines.work.start("start-target", START);
        assert!(within(Duration::from_secs(30), || machines.work.path().join("var/kvm/machine.yml").exists()));
        running.signal(signal);
        let told = running.answer();
        assert_eq!(told.code, 128 + signal as i32, "{}", told.stderr);
        assert_eq!(machines.process().is_some(), left, "{signal}");
    }
}

#[test]
fn what_stands_in_the_way_of_a_machine_is_told_with_what_mends_it() {
    let Some(machines) = Machines::new() else { return };
    let make_clean = &["--suite", "bookworm", "--arch", "amd64"];
    let told = machines.start();
    assert!(told.stderr.contains("there is no target bookworm-amd64 in"), "{}", told.stderr);
    assert!(told.stderr.contains("hint: libexec/make-clean-vm --suite bookworm --arch amd64"), "{}", told.stderr);
    machines.make_clean();

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let told = machines.run_with(("VM_SSH_PORT", &port), "start-target", START);
    let expected = format!("port {port} of this host, which VM_SSH_PORT asks for, is taken\nhint: unset VM_SSH_PORT");
    assert!(told.code == 1 && told.stderr.contains(&expected), "{}", told.stderr);
    let told = machines.run_with(("VM_SSH_PORT", "many"), "start-target", START);
    assert!(told.stderr.contains("VM_SSH_PORT=many is not a port"), "{}", told.stderr);
    let told = machines.run_with(("VMEM", "99999999"), "start-target", START);
    assert!(told.code == 1 && told.stderr.contains("memory"), "{}", told.stderr);

    machines.write("var/id_rsa", "not a key");
    let told = machines.start();
    assert!(told.stderr.contains("var/id_rsa cannot be used"), "{}", told.stderr);
    fs::remove_file(machines.work.path().join("var/id_rsa")).unwrap();

    // Nothing but what is needed to ask.
    let bare = machines.work.path().join("bin");
    fs::create_dir(&bare).unwrap();
    machines.work.descriptor("", "true");
    let told = machines.run_with(("PATH", bare.to_str().unwrap()), "gbuild", &["--check", "trial.yml"]);
    for line in [
        "program qemu-system-x86_64 is not installed",
        "apt-get install qemu-system-x86",
        "program qemu-img is not installed",
        "apt-get install openssh-client",
    ] {
        assert!(told.stdout.contains(line) || told.stderr.contains(line), "{line}: {}{}", told.stdout, told.stderr);
    }

    let told = machines.run("make-base-vm", &["--backend", "kvm", "--distro", "debian", "--suite", "bookworm"]);
    assert!(
        told.stderr.contains("base-bookworm-amd64.qcow2 already exists, please remove it first"),
        "{}",
        told.stderr
    );
    let record = machines.read("base-bookworm-amd64.kvm").unwrap();
    machines.write("base-bookworm-amd64.kvm", &record.replace("format: 1", "format: 0"));
    let told = machines.run("make-clean-vm", make_clean);
    assert!(told.stderr.contains("base image base-bookworm-amd64.qcow2 is of format 0"), "{}", told.stderr);
    assert!(told.stderr.contains("hint: rm base-bookworm-amd64.* && bin/make-base-vm"), "{}", told.stderr);
    machines.write("base-bookworm-amd64.kvm", &record.replace("suite: bookworm", "suite: sid"));
    let told = machines.run("make-clean-vm", make_clean);
    assert!(told.stderr.contains("base-bookworm-amd64.qcow2 is one of sid-amd64"), "{}", told.stderr);
    let told = machines.run("make-clean-vm", &["--suite", "bullseye", "--arch", "amd64"]);
    assert!(told.code == 1 && told.stderr.contains("bullseye"), "{}", told.stderr);
}

#[test]
fn a_script_without_network_has_a_loopback_only() {
    let Some(machines) = Machines::new() else { return };
    let script = "tail -n +3 /proc/net/dev | cut -d: -f1 > $OUTDIR/links
perl -MIO::Socket -e 'IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\") or die' && echo up > $OUTDIR/loopback";
    let descriptor = machines.work.descriptor("network: off\n", script);
    machines.run_with(("GITIAN_BACKEND", "kvm"), "gbuild", &[descriptor]).succeeds();
    let out = |name: &str| machines.read(&format!("build/out/{name}")).unwrap();
    assert_eq!((out("links").trim(), out("loopback").as_str()), ("lo", "up\n"));
}

/// Boots the system on the first partition by its own kernel.
const LOADER: &str = "set root=(hd0,msdos1)
linux /boot/vmlinuz-VERSION root=/dev/vda1 rw console=ttyS0 panic=-1 net.ifnames=0 init=/usr/sbin/gitian-init gitian.key=KEY
initrd /boot/initrd.img-VERSION
boot
";

/// Turns the base image into one that somebody else made: a disk with a partition and a boot loader, and nothing beside it.
fn install_loader(machines: &Machines) {
    let sh = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-e", "-o", "pipefail", "-c", script]).current_dir(machines.work.path()).assert().success();
    };
    sh("mkdir var
        ssh-keygen -q -t rsa -b 3072 -N '' -f var/id_rsa
        size=$(qemu-img info --output=json base-bookworm-amd64.qcow2 | sed -n 's/.*\"virtual-size\": \\([0-9]*\\).*/\\1/p' | head -n 1)
        truncate -s $((size + 1048576)) disk
        qemu-img convert -n -f qcow2 base-bookworm-amd64.qcow2 --target-image-opts \
          driver=raw,offset=1048576,size=$size,file.driver=file,file.filename=disk");
    partition(&machines.work.path().join("disk"));
    sh("echo 'ls /boot' | /sbin/debugfs 'disk?offset=1048576' 2>/dev/null | tr ' ' '\\n' | sed -n 's/^vmlinuz-//p' > version
        test -s version");
    let key = machines.read("var/id_rsa.pub").unwrap();
    let key = key.split(' ').take(2).collect::<Vec<_>>().join(":");
    let version = machines.read("version").unwrap();
    machines.write("loader.cfg", &LOADER.replace("VERSION", version.trim()).replace("KEY", &key));
    sh("grub-mkimage -O i386-pc -o core -p /boot -c loader.cfg biosdisk part_msdos ext2 linux normal
        dd if=/usr/lib/grub/i386-pc/boot.img of=disk bs=440 count=1 conv=notrunc status=none
        dd if=core of=disk bs=512 seek=1 conv=notrunc status=none
        rm base-bookworm-amd64.*
        qemu-img convert -f raw -O qcow2 disk base-bookworm-amd64.qcow2
        rm disk core loader.cfg version");
}

/// Writes a table with one partition, which begins at 1 MiB and is Linux's.
fn partition(disk: &Path) {
    let file = fs::File::options().write(true).open(disk).unwrap();
    let sectors = u32::try_from(file.metadata().unwrap().len() / 512).unwrap();
    let mut entry = vec![0x80, 0, 0, 0, 0x83, 0, 0, 0];
    entry.extend(2048_u32.to_le_bytes());
    entry.extend((sectors - 2048).to_le_bytes());
    file.write_all_at(&entry, 446).unwrap();
    file.write_all_at(&[0x55, 0xaa], 510).unwrap();
}

#[test]
fn a_disk_that_somebody_else_made_boots_by_its_own_loader() {
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    let slow = std::env::var_os("GITIAN_TEST_SLOW").is_some();
    if !slow {
        support::skip("slow", "a boot with a loader and an initrd takes a minute of a processor (GITIAN_TEST_SLOW=1)");
        return;
    }
    for file in ["/usr/bin/grub-mkimage", "/usr/lib/grub/i386-pc/boot.img"] {
        if !Path::new(file).exists() {
            support::skip("slow", &format!("{file} is not there (packages grub-common and grub-pc-bin)"));
            return;
        }
    }
    let Some(machines) = Machines::new() else { return };
    install_loader(&machines);
    let start = |name, args: &[&str]| machines.run_with(("DISTRO", "debian"), name, args);
    start("make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]).succeeds();
    start("start-target", START).succeeds();
    let told = machines.on_target(&["sh", "-c", "id -un; cat /proc/cmdline; df /"]).succeeds();
    assert!(told.stdout.starts_with("debian\nBOOT_IMAGE=/boot/vmlinuz-"), "{}", told.stdout);
    assert!(told.stdout.contains("/dev/vda1"), "{}", told.stdout);
}
