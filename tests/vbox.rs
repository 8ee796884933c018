//! Machines of VirtualBox: what is particular about them, against a VBoxManage of our own that boots their very disk in
//! QEMU, or lets nobody answer. That they give the same bytes as other guests is in `backends.rs`.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::backends::{self, FAKE_TOOLS};
use support::dump::Dump;
use support::programs::{self, Answer, Workdir};
use support::proxy;
use support::running::within;

const MACHINE: &str = "Gitian-bookworm-amd64";
const CLEAN: &[&str] = &["--suite", "bookworm", "--arch", "amd64"];
const START: &[&str] = &["64", "bookworm-amd64"];
/// What a new machine of somebody else's has of its own.
const SETTINGS: &[&str] = &["--memory", "1024", "--cpus", "1", "--natpf1", "guestssh,tcp,127.0.0.1,2223,,22"];

/// A working directory of somebody who has machines.
struct Machines {
    work: Workdir,
    /// Where they are.
    folder: PathBuf,
}

impl Machines {
    /// Nobody answers in any machine; `None`, said with the reason, where the VBoxManage of the tests cannot run.
    fn new() -> Option<Self> {
        Self::beside(None)
    }

    /// One who has the same machines in another working directory.
    fn beside(other: Option<&Self>) -> Option<Self> {
        for program in ["/usr/bin/qemu-img", "/usr/bin/ssh-keygen"] {
            if !Path::new(program).exists() {
                support::skip("vbox", &format!("{program} is not there"));
                return None;
            }
        }
        let mut work = Workdir::new();
        let folder = other.map_or_else(|| work.path().join("machines of mine"), |other| other.folder.clone());
        fs::create_dir_all(&folder).unwrap();
        work.set_env("PATH", &backends::path_with_fakes());
        work.set_env("FAKE_VBOX", folder.to_str().unwrap());
        work.set_env("FAKE_VBOX_GUEST", "none");
        work.set_env("USE_VBOX", "1");
        Some(Self { work, folder })
    }

    fn run(&self, name: &str, args: &[&str]) -> Answer {
        self.work.run(name, args)
    }

    fn run_with(&self, variable: (&str, &str), name: &str, args: &[&str]) -> Answer {
        programs::answer(self.work.program(name).env(variable.0, variable.1).args(args))
    }

    /// Tells VBoxManage something itself.
    fn manage(&self, args: &[&str]) -> String {
        let mut command = Command::new(support::checkout().join(FAKE_TOOLS).join("VBoxManage"));
        command.env("FAKE_VBOX", &self.folder).env("FAKE_VBOX_GUEST", "none").args(args);
        String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
    }

    /// Makes a machine as somebody else would; its snapshot is of a machine that runs, or not.
    fn make_by_hand(&self, running: bool) {
        self.manage(&["createvm", "--name", MACHINE, "--ostype", "Ubuntu_64", "--register"]);
        self.manage(&[&["modifyvm", MACHINE], SETTINGS].concat());
        if running {
            self.manage(&["startvm", MACHINE, "--type", "headless"]);
        }
        self.manage(&["snapshot", MACHINE, "take", "Gitian-Clean"]);
    }

    /// Makes a machine that looks like one of ours.
    fn make_like_ours(&self, more: &str) {
        self.make_by_hand(false);
        let info = self.info();
        let uuid = info.lines().find_map(|line| line.strip_prefix("UUID=")).unwrap().trim_matches('"').to_owned();
        let record = format!(
            "format: 1\nmachine: {uuid}\ntarget:\n  distro: debian\n  suite: bookworm\n  architecture: amd64\n\
             base: {}\ndisk_mb: 1\n",
            "0".repeat(64)
        );
        let record = if more.is_empty() { record } else { record.replace("format: 1", more) };
        let place = self.folder.join("vms").join(MACHINE);
        fs::write(place.join("gitian.yml"), record).unwrap();
        let mut make = Command::new("ssh-keygen");
        make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(place.join("id_rsa")).assert().success();
    }

    fn info(&self) -> String {
        self.manage(&["showvminfo", MACHINE, "--machinereadable"])
    }

    fn state(&self) -> String {
        let info = self.info();
        info.lines().find_map(|line| line.strip_prefix("VMState=")).unwrap().trim_matches('"').to_owned()
    }

    /// What VBoxManage was told since this was asked last, without questions.
    fn told(&self) -> Vec<String> {
        let path = self.folder.join("calls");
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        let is_question = |line: &&str| line.starts_with("showvminfo") || line.starts_with("--version");
        text.lines().filter(|line| !is_question(line)).map(|line| line.trim_end().to_owned()).collect()
    }

    fn check(&self) -> String {
        let descriptor = self.work.descriptor("", "true");
        let told = self.run("gbuild", &["--check", descriptor]);
        assert_eq!(told.code, 1, "{}{}", told.stdout, told.stderr);
        told.stdout + &told.stderr
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.work.path().join(path)).ok()
    }
}

impl Drop for Machines {
    /// Ends what a test that failed left running.
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.folder.join("machines").join(MACHINE).join("pid")).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse() {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

#[track_caller]
fn assert_told(told: &Answer, parts: &[&str]) {
    assert_eq!(told.code, 1, "{}{}", told.stdout, told.stderr);
    for part in parts {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
}

#[test]
fn what_stands_in_the_way_of_a_machine_is_told_with_what_mends_it() {
    let Some(machines) = Machines::new() else { return };
    let make = "make-base-vm --vbox --distro debian --suite bookworm --arch amd64";
    assert_told(
        &machines.run("make-clean-vm", CLEAN),
        &["error: machine Gitian-bookworm-amd64 does not exist\n", "hint: ", make],
    );

    machines.manage(&["createvm", "--name", MACHINE, "--ostype", "Debian_64", "--register"]);
    let parts = ["machine Gitian-bookworm-amd64 has no snapshot Gitian-Clean", "unregistervm Gitian-bookworm-amd64"];
    assert_told(&machines.run("make-clean-vm", CLEAN), &parts);
    machines.manage(&["unregistervm", MACHINE, "--delete"]);

    machines.make_by_hand(false);
    let parts = ["there is no target bookworm-amd64 in", "hint: ", "make-clean-vm --suite bookworm --arch amd64"];
    assert_told(&machines.run("start-target", START), &parts);
    machines.run("make-clean-vm", CLEAN).succeeds();

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let told = machines.run_with(("VM_SSH_PORT", &port), "start-target", START);
    let expected = format!("port {port} of this host, which VM_SSH_PORT asks for, is taken\nhint: unset VM_SSH_PORT");
    assert_told(&told, &[&expected]);
    let told = machines.run_with(("VM_SSH_PORT", "many"), "start-target", START);
    assert_told(&told, &["VM_SSH_PORT=many is not a port"]);

    let driver = "VirtualBox cannot run machines: its kernel driver is not loaded, there is no /dev/vboxdrv\nhint: ";
    let told = machines.run_with(("FAKE_VBOX_GUEST", "driverless"), "start-target", START);
    assert_told(&told, &[driver, "modprobe vboxdrv    (if there is none: ", "apt-get install virtualbox-dkms"]);
    let told = machines.run_with(
        ("FAKE_VBOX_GUEST", "driverless"),
        "gbuild",
        &["--check", machines.work.descriptor("", "true")],
    );
    assert!(told.code == 1 && (told.stdout + &told.stderr).contains("kernel driver is not loaded"));

    let told = machines.run_with(("FAKE_VBOX_GUEST", "ends"), "start-target", START);
    assert_told(&told, &["the guest bookworm-amd64 does not come up: its machine ended\n"]);
    assert_eq!(machines.state(), "aborted");

    fs::write(machines.work.path().join("var/id_rsa"), "not a key").unwrap();
    assert_told(&machines.run("start-target", START), &["var/id_rsa cannot be used"]);

    // Nothing but what is needed to ask.
    let bare = machines.work.path().join("bin");
    fs::create_dir(&bare).unwrap();
    let descriptor = machines.work.descriptor("", "true");
    let told = machines.run_with(("PATH", bare.to_str().unwrap()), "gbuild", &["--check", descriptor]);
    let all = told.stdout + &told.stderr;
    for line in
        ["program VBoxManage is not installed", "apt-get install virtualbox\n", "apt-get install openssh-client"]
    {
        assert!(all.contains(line), "{line}: {all}");
    }
}

#[test]
fn what_stands_in_the_way_of_making_a_machine_is_told_with_what_mends_it() {
    let Some(machines) = Machines::new() else { return };
    if backends::row("vbox").bare_workdir().is_none() {
        return;
    }
    let args = ["--vbox", "--distro", "debian", "--suite", "bookworm"];
    machines.make_by_hand(false);
    let parts = [
        "error: machine Gitian-bookworm-amd64 already exists, please remove it first\n",
        "hint: VBoxManage unregistervm Gitian-bookworm-amd64 --delete\n",
    ];
    assert_told(&machines.run("make-base-vm", &args), &parts);
    let told = machines.run("make-base-vm", &[&args[..], &["--arch", "i386"]].concat());
    let parts =
        ["no machine of VirtualBox can be made for bookworm-i386", "make-base-vm --backend kvm --distro debian"];
    assert_told(&told, &parts);
    let told = machines.run_with(("FAKE_VBOX_GUEST", "old"), "make-base-vm", &args);
    assert_told(&told, &["VirtualBox 6.1.50r161033 is too old to make machines: 7.0 or later is needed"]);
    assert_eq!(machines.state(), "poweroff");
}

#[test]
fn a_machine_that_looks_like_ours_is_one_only_as_far_as_its_record_fits() {
    let Some(machines) = Machines::new() else { return };
    machines.make_like_ours("format: 0");
    let all = machines.check();
    assert!(all.contains("machine Gitian-bookworm-amd64 is of format 0, made by another version"), "{all}");
    machines.manage(&["unregistervm", MACHINE, "--delete"]);

    // The record that was left is not that of a new machine in the same folder.
    machines.make_by_hand(false);
    assert_eq!(machines.run("gbuild", &["--check", machines.work.descriptor("", "true")]).code, 0);
    machines.manage(&["unregistervm", MACHINE, "--delete"]);
    fs::remove_dir_all(machines.folder.join("vms")).unwrap();

    machines.make_like_ours("");
    let told = machines.run_with(("DISTRO", "ubuntu"), "make-clean-vm", CLEAN);
    assert_told(&told, &["machine Gitian-bookworm-amd64 is one of distro debian, not ubuntu"]);
    let var = machines.work.path().join("var");
    fs::create_dir_all(&var).unwrap();
    fs::write(var.join("id_rsa"), "another key").unwrap();
    let all = machines.check();
    assert!(all.contains("machine Gitian-bookworm-amd64 lets another key in than var/id_rsa"), "{all}");
    let mend = all.lines().find_map(|line| line.trim().strip_prefix("hint: ")).unwrap();
    Command::new("bash").args(["-c", mend]).assert().success();
    machines.run("make-clean-vm", CLEAN).succeeds();

    // Its kernel's last words are shown.
    let told = machines.run_with(("FAKE_VBOX_GUEST", "panic"), "start-target", START);
    assert_told(&told, &["the guest bookworm-amd64 does not come up: its machine ended\n", "  | one\n"]);
    assert!(told.stderr.contains("  | Kernel panic - not syncing: VFS\nhint: "), "{}", told.stderr);
    assert_eq!(machines.state(), "poweroff");

    // One who has no key gets the machine's.
    fs::remove_file(var.join("id_rsa")).unwrap();
    machines.run_with(("FAKE_VBOX_GUEST", "ends"), "start-target", START);
    assert_eq!(fs::metadata(var.join("id_rsa")).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = fs::read(machines.folder.join("vms").join(MACHINE).join("id_rsa")).unwrap();
    assert_eq!(fs::read(var.join("id_rsa")).unwrap(), kept);
}

#[test]
fn settings_are_set_again_before_every_start_and_a_usual_port_that_is_taken_is_stepped_aside_from() {
    let Some(machines) = Machines::new() else { return };
    machines.make_by_hand(false);
    machines.run("make-clean-vm", CLEAN).succeeds();
    machines.told();
    let taken = TcpListener::bind("127.0.0.1:2223");
    let mut command = machines.work.program("start-target");
    command.args(START).env("FAKE_VBOX_GUEST", "ends").env("VMEM", "1234").env("NPROCS", "3").output().unwrap();
    let told = machines.told();
    let start = format!(
        "modifyvm {MACHINE} --memory 1234 --cpus 3 --natpf1 delete guestssh --natpf1 guestssh\\,tcp\\,127.0.0.1\\,"
    );
    assert!(told[0].starts_with(&start) && !told[0].contains("2223"), "{told:?}");
    assert_eq!(told[1], format!("startvm {MACHINE} --type headless"));
    drop(taken);
    machines.run("make-clean-vm", CLEAN).succeeds();
    assert!(machines.info().contains("memory=1024\n"), "the snapshot brought its settings back");
    machines.run_with(("FAKE_VBOX_GUEST", "ends"), "start-target", START);
    assert!(machines.told().iter().any(|line| line.contains("--memory 2000 --cpus 2 --natpf1 delete guestssh")));
}

/// Starts a target whose guest does not answer, and waits until its machine runs.
fn start(machines: &Machines) -> support::running::Running {
    let running = machines.work.start("start-target", START);
    let path = machines.work.path().join("var/vbox/machine.yml");
    assert!(within(Duration::from_secs(30), || path.exists()), "{}", running.answer().stderr);
    running
}

#[test]
fn a_machine_whose_starter_was_killed_is_taken_over_and_one_that_is_interrupted_ends() {
    let Some(machines) = Machines::new() else { return };
    machines.make_by_hand(false);
    for (signal, left) in [(Signal::SIGKILL, "running"), (Signal::SIGINT, "poweroff")] {
        machines.run("make-clean-vm", CLEAN).succeeds();
        assert_eq!(machines.state(), "poweroff", "the one that was left is ended");
        let running = start(&machines);
        running.signal(signal);
        let told = running.answer();
        assert_eq!((told.code, machines.state().as_str()), (128 + signal as i32, left), "{}", told.stderr);
    }
    // What was left can be stopped too; its guest does not answer.
    let running = start(&machines);
    running.signal(Signal::SIGKILL);
    running.answer();
    machines.run("stop-target", &[]).succeeds();
    assert_eq!(machines.state(), "poweroff");
    assert!(!machines.work.path().join("var/vbox/machine.yml").exists());
    assert_told(&machines.run("on-target", &["true"]), &["no target runs in"]);
}

#[test]
fn a_machine_that_runs_for_another_working_directory_is_left_alone() {
    let Some(machines) = Machines::new() else { return };
    let Some(others) = Machines::beside(Some(&machines)) else { return };
    machines.make_by_hand(false);
    machines.run("make-clean-vm", CLEAN).succeeds();
    let running = start(&machines);
    let folder = machines.work.path().display().to_string();
    let used = format!("error: machine Gitian-bookworm-amd64 runs for {folder}\nhint: wait until the build there ends");
    assert_told(&others.run("make-clean-vm", CLEAN), &[&used, &format!("(cd {folder} && ")]);
    assert!(others.check().contains(&format!("machine Gitian-bookworm-amd64 runs for {folder}")));
    assert_told(&others.run("on-target", &["true"]), &["no target runs in"]);
    others.run("stop-target", &[]).succeeds();
    assert_eq!(others.state(), "running");
    running.signal(Signal::SIGINT);
    running.answer();

    others.run("make-clean-vm", CLEAN).succeeds();
    let used = format!("machine Gitian-bookworm-amd64 has meanwhile been used for {}", others.work.path().display());
    assert_told(&machines.run("start-target", START), &[&used, "make-clean-vm --suite bookworm"]);
}

/// Whether the machine is being started.
fn is_being_started(machines: &Machines) -> bool {
    fs::read_to_string(machines.folder.join("calls")).unwrap().contains("startvm")
}

#[test]
fn of_two_builds_at_once_one_has_the_machine_and_the_other_is_told() {
    let Some(machines) = Machines::new() else { return };
    let Some(mut others) = Machines::beside(Some(&machines)) else { return };
    machines.make_by_hand(false);
    machines.run("make-clean-vm", CLEAN).succeeds();
    machines.told();
    others.work.set_env("FAKE_VBOX_GUEST", "slow");
    // In the moment in which it is started for one, the machine is not yet seen to run.
    others.run("make-clean-vm", CLEAN).succeeds();
    let running = others.work.start("start-target", START);
    assert!(within(Duration::from_secs(30), || is_being_started(&machines)));
    let folder = others.work.path().display().to_string();
    assert_told(&machines.run("make-clean-vm", CLEAN), &[&format!("machine {MACHINE} runs for {folder}\nhint: wait")]);
    let descriptor = machines.work.descriptor("", "true");
    assert_told(&machines.run("gbuild", &[descriptor]), &[&format!("machine {MACHINE} runs for {folder}\nhint: wait")]);
    assert_eq!(machines.state(), "running");

    // It ends under the one, and the other has it before the one knows.
    running.signal(Signal::SIGSTOP);
    machines.manage(&["controlvm", MACHINE, "poweroff"]);
    machines.run("make-clean-vm", CLEAN).succeeds();
    let second = start(&machines);
    running.signal(Signal::SIGCONT);
    assert_told(&running.answer(), &["the guest bookworm-amd64 does not come up: its machine ended\n"]);
    others.run("stop-target", &[]).succeeds();
    assert_eq!(machines.state(), "running", "it is the other's");
    second.signal(Signal::SIGINT);
    second.answer();
    assert_eq!(machines.state(), "poweroff");
}

#[test]
fn a_machine_of_somebody_else_goes_on_where_its_snapshot_was_taken() {
    let Some(machines) = Machines::new() else { return };
    machines.make_by_hand(true);
    assert_eq!(machines.state(), "running");
    // One that somebody left running is ended: its state is not what builds start from.
    machines.run("make-clean-vm", CLEAN).succeeds();
    assert_eq!(machines.state(), "saved");
    machines.told();
    let running = start(&machines);
    assert_eq!(machines.told(), [format!("startvm {MACHINE} --type headless")], "its settings cannot be changed");
    assert!(machines.read("var/vbox/machine.yml").unwrap().contains("port: 2223\n"));
    running.signal(Signal::SIGINT);
    running.answer();

    // Its own port is taken.
    let _taken = TcpListener::bind("127.0.0.1:2223");
    machines.run("make-clean-vm", CLEAN).succeeds();
    machines.told();
    let running = start(&machines);
    let told = machines.told();
    assert_eq!(told[1], format!("controlvm {MACHINE} natpf1 delete guestssh"), "{told:?}");
    assert!(told[2].starts_with(&format!("controlvm {MACHINE} natpf1 guestssh")), "{told:?}");
    running.signal(Signal::SIGINT);
    running.answer();
}

#[test]
fn a_machine_is_made_built_in_asked_and_stopped() {
    let row = backends::row("vbox");
    let (Some(reference), Some(mut work)) = (Workdir::with_bookworm(), row.bare_workdir()) else { return };
    let expected = Dump::of(&reference, &[]);

    let folder = work.path().join("machines of mine");
    fs::create_dir(&folder).unwrap();
    work.set_env("FAKE_VBOX", folder.to_str().unwrap());
    work.set_env("USE_VBOX", "1");
    let machines = Machines { work, folder };
    let make = ["--vbox", "--distro", "debian", "--suite", "bookworm", "--disksize", "4000"];
    machines.run("make-base-vm", &make).succeeds();
    assert_eq!(machines.state(), "poweroff");
    assert!(machines.read("var/id_rsa").is_some());
    // It is a usual port for others too.
    let _taken = TcpListener::bind("127.0.0.1:2223");

    Dump::of(&machines.work, &["--backend", "vbox", "--skip-cleanup"]).assert_like(&expected, row);
    assert_eq!(machines.state(), "running");

    let told = machines.run("start-target", START);
    assert_told(&told, &["a target runs already in"]);
    let script = r#"printf '<%s>' "$A" "$@"; id -un; pwd"#;
    let words = ["-e", "A=b  c", "bash", "-c", script, "name", "a  b", "it's", "new\nline", "", "*", "$(id)"];
    let told = machines.run("on-target", &words).succeeds();
    assert_eq!(told.stdout, "<b  c><a  b><it's><new\nline><><*><$(id)>debian\n/home/debian\n");
    for (command, code) in [("exit 3", 3), ("exit 255", 255), ("kill -KILL $$", 137), ("no-such-program", 127)] {
        assert_eq!(machines.run("on-target", &["sh", "-c", command]).code, code, "{command}");
    }
    let bytes: Vec<u8> = (0..500_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut command = machines.work.program("on-target");
    let output = command.args(["sh", "-c", "cat; echo told >&2"]).write_stdin(bytes.clone()).output().unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    assert_eq!(output.stderr, b"told\n");

    let tree = machines.work.path().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/a b"), "one").unwrap();
    machines.run("copy-to-target", &["-q", "tree", "build/"]).succeeds();
    machines.run("on-target", &["-u", "root", "touch", "/etc/was-here"]).succeeds();
    fs::create_dir(machines.work.path().join("back")).unwrap();
    machines.run("copy-from-target", &["-q", "build/tree", "back"]).succeeds();
    assert_eq!(machines.read("back/tree/sub/a b").unwrap(), "one");

    // The machine may end under a command; the next target is a clean one again.
    let running = machines.work.start("on-target", &["sh", "-c", "echo begun; sleep 600"]);
    std::thread::sleep(Duration::from_secs(3));
    let pid = fs::read_to_string(machines.folder.join("machines").join(MACHINE).join("pid")).unwrap();
    kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    assert_told(&running.answer(), &["on-target: error: the guest bookworm-amd64 is gone"]);
    assert_eq!(machines.state(), "aborted");
    assert_told(&machines.run("on-target", &["true"]), &["no target runs in"]);
    machines.run("make-clean-vm", CLEAN).succeeds();
    assert_eq!(machines.state(), "poweroff");
    stop_and_start_again(&machines);

    // All of it goes with the machine.
    machines.manage(&["unregistervm", MACHINE, "--delete"]);
    let place = machines.folder.join("vms").join(MACHINE);
    assert!(!place.join("disk.vdi").exists());
}

/// A stopped target keeps its files.
fn stop_and_start_again(machines: &Machines) {
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    let slow = std::env::var_os("GITIAN_TEST_SLOW").is_some();
    if !slow {
        support::skip("slow", "each more boot with firmware takes a minute of a processor (GITIAN_TEST_SLOW=1)");
        return;
    }
    machines.run("start-target", START).succeeds();
    let told = machines.run("on-target", &["-u", "root", "ls", "/etc/was-here"]);
    assert_ne!(told.code, 0, "a clean one has none");
    machines.run("on-target", &["-u", "root", "touch", "/etc/was-here"]).succeeds();
    let port = proxy::answer_at(TcpListener::bind("127.0.0.1:0").unwrap());
    machines.run("on-target", &["-u", "root", "sh", "-c", &proxy::name_it(port)]).succeeds();
    machines.told();
    machines.run("stop-target", &[]).succeeds();
    assert_eq!(machines.state(), "poweroff");
    let told = machines.told();
    assert!(told.is_empty(), "the guest ended by itself: {told:?}");
    machines.run("start-target", START).succeeds();
    machines.run("on-target", &["cat", "/etc/was-here"]).succeeds();
    let told = machines.run("on-target", &["sh", "-c", &proxy::show_it()]).succeeds();
    assert_eq!(told.stdout, format!("http://10.0.2.2:{port}\n"), "the host, as the guest reaches it");
    let told = machines.run("on-target", &["-u", "root", "sh", "-c", proxy::FETCH]).succeeds();
    assert_eq!(told.stdout, proxy::ANSWER);
    machines.run("stop-target", &[]).succeeds();
}
