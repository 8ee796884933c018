//! LXC's guests: their base images, and what is left when builds end early.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gitian_manifest::Digest;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support;
use crate::support::backends::row;
use crate::support::dump::Dump;
use crate::support::programs::{Answer, Workdir};
use crate::support::proxy;
use crate::support::running::{Running, processes_with, within};

fn ready() -> Option<Workdir> {
    row("lxc").workdir()
}

/// A build of a script.
fn gbuild(work: &Workdir, options: &[&str], script: &str) -> Answer {
    let descriptor = work.descriptor("", script);
    work.run("gbuild", &[options, &[descriptor]].concat())
}

/// Starts a build and waits until its script runs.
fn start_endless(work: &Workdir) -> Running {
    let log = work.path().join("var/build.log");
    fs::remove_file(&log).ok();
    let descriptor = work.descriptor("", "trap '' INT TERM HUP\necho it runs\nsleep 600");
    let mut running = work.start("gbuild", &[descriptor]);
    let runs = || fs::read_to_string(&log).is_ok_and(|log| log.contains("\nit runs\n"));
    assert!(within(Duration::from_secs(180), || runs() || running.has_ended()));
    if running.has_ended() {
        let answer = running.answer();
        panic!("{}{}", answer.stdout, answer.stderr);
    }
    running
}

/// Whether anything of a guest runs for a working directory: LXC's monitor has its path in its name.
fn runs(work: &Workdir) -> bool {
    !processes_with(&format!("{}/var/lxc", work.path().display())).is_empty()
}

#[test]
fn a_plain_file_is_the_base_image_and_chooses_lxc_and_an_original_one_is_told_apart() {
    let Some(prepared) = ready() else { return };
    // In a folder where nothing but the file says that it is LXC.
    let work = Workdir::new();
    let base = "base-bookworm-amd64";
    fs::copy(prepared.path().join(base), work.path().join(base)).unwrap();
    let descriptor = work.descriptor("", "true");
    let told = work.run("gbuild", &["--check", descriptor]).succeeds();
    assert_eq!(told.stdout, "nothing would stop a build of trial (lxc)\n");
    // What the original made is large, and holds no text.
    fs::write(work.path().join(base), vec![0xff; 100_000]).unwrap();
    let told = work.run("gbuild", &["--check", descriptor]);
    assert_eq!(told.code, 1);
    assert_eq!(
        told.stdout,
        "problem: base image base-bookworm-amd64 is a disk image of the original gitian-builder\n\
         hint: mv base-bookworm-amd64 base-bookworm-amd64.old && bin/make-base-vm --lxc --distro debian --suite \
         bookworm --arch amd64\n1 problem would stop a build of trial\n"
    );
    let told = prepared.run("make-base-vm", &["--lxc", "--distro", "debian", "--suite", "bookworm"]);
    assert!(told.stderr.contains("base-bookworm-amd64 already exists, please remove it first"), "{}", told.stderr);
    // What is in a base image's place and is none has to go first.
    let make = "bin/make-base-vm --lxc --distro debian --suite bookworm --arch amd64";
    let pointer = fs::read_to_string(prepared.path().join(base)).unwrap();
    let cases = [
        ("", base),
        ("garbage", base),
        ("a: 1", base),
        (&pointer.replace("bookworm", "bullseye"), "base image base-bookworm-amd64 is not what its name says"),
        (&pointer.replace("debian", "ubuntu"), "base image base-bookworm-amd64 is one of distro ubuntu, not debian"),
    ];
    for (content, what) in cases {
        fs::write(work.path().join(base), content).unwrap();
        let told = work.run("gbuild", &["--check", descriptor]);
        assert!(told.stdout.contains(what), "{content:?}: {}", told.stdout);
        assert!(told.stdout.contains(&format!("rm {base} && {make}")), "{content:?}: {}", told.stdout);
    }
    fs::remove_file(work.path().join(base)).unwrap();
    fs::create_dir(work.path().join(base)).unwrap();
    let told = work.run("gbuild", &["--check", "--backend", "lxc", descriptor]);
    assert!(told.stdout.contains(&format!("hint: rm -r {base} && {make}")), "{}", told.stdout);
    fs::remove_dir(work.path().join(base)).unwrap();
    let mut asked = work.program("gbuild");
    let told = support::programs::answer(asked.env("USE_LXC", "1").env("LXC_BRIDGE", "none-such").arg(descriptor));
    for text in [
        "there is no bridge none-such",
        "base image base-bookworm-amd64 does not exist",
        "bin/make-base-vm --lxc --distro debian --suite bookworm --arch amd64",
    ] {
        assert!(told.code == 1 && told.stderr.contains(text), "{}", told.stderr);
    }
}

#[test]
fn an_lxc_that_is_too_old_or_not_there_is_told() {
    let mut work = Workdir::new();
    work.set_env("GITIAN_BACKEND", "lxc");
    let descriptor = work.descriptor("", "true");
    let start = work.path().join("lxc-start");
    work.set_env("LXC_EXECUTE", start.to_str().unwrap());
    fs::write(&start, "#!/bin/sh\necho 2.0.11\n").unwrap();
    fs::set_permissions(&start, fs::Permissions::from_mode(0o755)).unwrap();
    let told = work.run("gbuild", &["--check", descriptor]).stdout;
    let expected = "LXC 2.0.11 is too old: 3 or later is needed\nhint: use --backend sandbox, or install a newer LXC\n";
    assert!(told.contains(expected), "{told}");
    fs::remove_file(&start).unwrap();
    let told = work.run("gbuild", &["--check", descriptor]).stdout;
    assert!(told.contains("/lxc-start is not installed\nhint: ") && told.contains("apt-get install lxc\n"), "{told}");
}

#[test]
fn what_keeps_a_guest_from_starting_is_told() {
    let Some(mut work) = ready() else { return };
    work.run("make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]).succeeds();
    // The loopback is no bridge.
    work.set_env("LXC_BRIDGE", "lo");
    let told = work.run("start-target", &["64", "bookworm-amd64"]);
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert!(!told.stderr.contains("Additional information can be obtained"), "{}", told.stderr);
    assert!(told.stderr.contains("network"), "{}", told.stderr);
    work.set_env("LXC_GUEST_IP", "here");
    let descriptor = work.descriptor("", "true");
    let told = work.run("gbuild", &["--check", descriptor]).stdout;
    assert!(told.contains("LXC_GUEST_IP=here is not an address"), "{told}");
    let odd = work.path().join("a\\b");
    fs::create_dir(&odd).unwrap();
    let told = support::programs::answer(work.program("gbuild").current_dir(&odd).args(["--check", "../trial.yml"]));
    assert!(told.stdout.contains("a\\b: LXC cannot have `:`, `,` or `\\` in a path"), "{}", told.stdout);
}

#[test]
fn an_ordinary_users_guests_show_a_script_what_all_others_do() {
    let Some(mut work) = ready().and_then(|_| Workdir::of_ordinary_user()) else { return };
    work.set_env("GITIAN_BACKEND", "sandbox");
    let expected = Dump::of(&work, &[]);
    work.set_env("GITIAN_BACKEND", "lxc");
    work.run("make-base-vm", &["--distro", "debian", "--suite", "bookworm"]).succeeds();
    Dump::of(&work, &[]).assert_like(&expected, row("lxc"));
    Dump::of(&work, &["--no-layer-cache"]).assert_like(&expected, row("lxc"));

    let script = "cut -d: -f1 /proc/net/dev | tail -n +3 > $OUTDIR/links; awk '{ print $1, $3 }' /proc/self/uid_map > $OUTDIR/ids";
    gbuild(&work, &["--network", "off"], script).succeeds();
    let out = |name: &str| fs::read_to_string(work.path().join("build/out").join(name)).unwrap();
    assert_eq!((out("links").trim(), out("ids").trim()), ("lo", "0 65536"));

    // One that was killed is taken over, and nothing of it stays.
    let running = start_endless(&work);
    // LXC's monitor has the guest's name in its own.
    let path = work.path().join("var/lxc").display().to_string();
    let name = format!("gitian-target-{}", &Digest::of_bytes(path.as_bytes()).to_string()[..12]);
    assert!(!processes_with(&name).is_empty());
    // The program itself, not runuser above it.
    let is_gbuild = |path: &&PathBuf| {
        let is_here = fs::read_link(path.join("cwd")).is_ok_and(|folder| folder == work.path());
        is_here && fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "gbuild\n")
    };
    let all = processes_with("trial.yml");
    let process = all.iter().find(is_gbuild).unwrap().file_name().unwrap();
    kill(Pid::from_raw(process.to_str().unwrap().parse().unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(running.answer().code, 137);
    gbuild(&work, &[], "true").succeeds();
    assert!(processes_with(&name).is_empty(), "after a build");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(work.path().to_str().unwrap()), "{mounts}");

    work.set_env("LXC_BRIDGE", "lo");
    let told = work.run("gbuild", &["--check", "trial.yml"]);
    assert!(
        told.code == 1 && told.stdout.contains("only root's can be on a bridge\nhint: unset LXC_BRIDGE"),
        "{}",
        told.stdout
    );
}

/// A network of the test's own, apart from the host's, with a bridge. It goes with what runs in it.
struct Network {
    _keeper: Running,
    pid: String,
}

/// The address of the host's end of the bridge.
const HOST_END: &str = "10.213.3.1";

/// Programs find bridges below `/sys`, where each network has its own; LXC looks for control groups there too.
const NETWORK: &str = r#"mkdir "$1"
mount --rbind /sys/fs/cgroup "$1"
mount -t sysfs sys /sys
mount --rbind "$1" /sys/fs/cgroup
ip link set lo up
ip link add name trial type bridge
ip address add 10.213.3.1/24 dev trial
ip link set trial up
echo $$ > "$1.pid"
exec sleep infinity"#;

impl Network {
    fn start(work: &Workdir) -> Option<Self> {
        if !Path::new("/usr/sbin/ip").exists() && !Path::new("/sbin/ip").exists() {
            support::skip("lxc", "program ip is not installed (package iproute2)");
            return None;
        }
        let folder = work.path().join("network");
        #[expect(clippy::disallowed_methods, reason = "the test framework's command cannot run in the background")]
        let mut keeper = std::process::Command::new("setpriv");
        keeper.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "bash", "-e", "-c", NETWORK, "network"]);
        let mut keeper = Running::start(keeper.arg(&folder));
        let note = folder.with_extension("pid");
        let pid = || fs::read_to_string(&note).unwrap_or_default().trim().to_owned();
        within(Duration::from_secs(30), || !pid().is_empty() || keeper.has_ended());
        if keeper.has_ended() {
            support::skip("lxc", &format!("this host lets no network be made: {}", keeper.answer().stderr));
            return None;
        }
        Some(Self { pid: pid(), _keeper: keeper })
    }

    /// Runs a program in it.
    fn run(&self, work: &Workdir, name: &str, args: &[&str]) -> Answer {
        let mut command = work.tool("nsenter");
        command.args([&format!("--target={}", self.pid), "--net", "--mount", "--", "env", "-C"]).arg(work.path());
        support::programs::answer(command.arg(work.program(name).get_program()).args(args))
    }

    /// Listens at the host's end of the bridge.
    fn listen(&self) -> TcpListener {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.pid)).unwrap();
        let listen = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            TcpListener::bind((HOST_END, 0)).unwrap()
        };
        std::thread::spawn(listen).join().unwrap()
    }
}

#[test]
fn a_guest_on_a_bridge_reaches_a_proxy_of_the_host() {
    let Some(mut work) = ready() else { return };
    let Some(network) = Network::start(&work) else { return };
    work.set_env("LXC_BRIDGE", "trial");
    let descriptor = work.descriptor("", "true");
    let told = network.run(&work, "gbuild", &["--check", descriptor]);
    let expected =
        "LXC_BRIDGE=trial without LXC_GUEST_IP: a guest on it would have no address\nhint: export LXC_GUEST_IP=";
    assert!(told.code == 1 && told.stdout.contains(expected), "{}{}", told.stdout, told.stderr);
    work.set_env("LXC_GUEST_IP", "10.213.3.5");
    network.run(&work, "gbuild", &["--check", descriptor]).succeeds();

    let port = proxy::answer_at(network.listen());
    let run = |name: &str, args: &[&str]| network.run(&work, name, args).succeeds().stdout;
    run("make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]);
    let name_and_start_again = |work: &Workdir| {
        network.run(work, "start-target", &["64", "bookworm-amd64"]).succeeds();
        network.run(work, "on-target", &["-u", "root", "sh", "-c", &proxy::name_it(port)]).succeeds();
        network.run(work, "stop-target", &[]).succeeds();
        network.run(work, "start-target", &["64", "bookworm-amd64"]).succeeds();
        network.run(work, "on-target", &["sh", "-c", &proxy::show_it()]).succeeds().stdout
    };
    assert_eq!(name_and_start_again(&work), format!("http://{HOST_END}:{port}\n"));
    assert_eq!(run("on-target", &["-u", "root", "sh", "-c", proxy::FETCH]), proxy::ANSWER);
    run("stop-target", &[]);
    work.set_env("GITIAN_HOST_IP", "10.213.3.77");
    assert_eq!(name_and_start_again(&work), format!("http://10.213.3.77:{port}\n"));
    network.run(&work, "stop-target", &[]).succeeds();
}

#[test]
fn an_ordinary_user_without_subordinate_ids_is_told_how_to_get_them() {
    let Some(work) = ready().and_then(|_| Workdir::of_user_without_ids()) else { return };
    let told = work.run("make-base-vm", &["--lxc"]);
    assert_eq!(told.code, 1);
    assert!(told.stderr.contains("user nobody has no range of 65536 user ids in /etc/subuid"), "{}", told.stderr);
    assert!(told.stderr.contains("hint: sudo usermod --add-subuids "), "{}", told.stderr);
}

#[test]
fn whatever_ends_a_build_nothing_stands_in_the_way_of_the_next() {
    let Some(work) = ready() else { return };
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGKILL, 137)] {
        let running = start_endless(&work);
        running.signal(signal);
        let told = running.answer();
        assert_eq!(told.code, code, "{}", told.stderr);
        assert_eq!(runs(&work), signal == Signal::SIGKILL, "after {signal}");
    }
    gbuild(&work, &[], "echo built > $OUTDIR/file").succeeds();
    assert!(!runs(&work), "after a build");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(work.path().to_str().unwrap()), "{mounts}");

    // A guest that somebody ends.
    let running = start_endless(&work);
    let path = work.path().join("var/lxc");
    assert_cmd::Command::new("lxc-stop")
        .args(["-k", "-n", "gitian-target", "-P", path.to_str().unwrap()])
        .assert()
        .success();
    let told = running.answer();
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert!(told.stderr.contains("the guest bookworm-amd64 is gone"), "{}", told.stderr);
}

#[test]
fn a_script_without_network_has_a_loopback_only() {
    let Some(work) = ready() else { return };
    let script = "cat /proc/net/dev | tail -n +3 | cut -d: -f1 > $OUTDIR/links
perl -MIO::Socket -e 'IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\") or die' && echo up > $OUTDIR/loopback";
    gbuild(&work, &["--network", "off"], script).succeeds();
    let out = |name: &str| fs::read_to_string(work.path().join("build/out").join(name)).unwrap();
    assert_eq!((out("links").trim(), out("loopback").as_str()), ("lo", "up\n"));
}

#[test]
fn libexec_works_as_with_other_guests() {
    let Some(work) = ready() else { return };
    let ok = |name: &str, args: &[&str]| work.run(name, args).succeeds().stdout;
    ok("make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]);
    ok("start-target", &["64", "bookworm-amd64"]);
    assert_eq!(ok("on-target", &["-u", "root", "id", "-u"]), "0\n");
    assert_eq!(ok("on-target", &["sh", "-c", "id -un; hostname; pwd"]), "debian\ngitian\n/home/debian\n");
    let odd = ["a  b", "it's", "new\nline", "", "*", "$(id)", "-u", "--"];
    let mut words = vec!["printf", "<%s>"];
    words.extend(odd);
    assert_eq!(ok("on-target", &words), odd.map(|word| format!("<{word}>")).concat());
    for (script, code) in [("exit 3", 3), ("kill -TERM $$", 143), ("exit 0", 0)] {
        assert_eq!(work.run("on-target", &["sh", "-c", script]).code, code, "{script}");
    }
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let output = work.program("on-target").args(["cat"]).write_stdin(bytes.clone()).output().unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    fs::create_dir_all(work.path().join("tree/sub")).unwrap();
    fs::write(work.path().join("tree/sub/a b"), "one").unwrap();
    ok("copy-to-target", &["tree", "."]);
    ok("copy-from-target", &["tree/sub", "."]);
    assert_eq!(fs::read_to_string(work.path().join("sub/a b")).unwrap(), "one");
    ok("stop-target", &[]);
    assert_eq!(work.run("on-target", &["true"]).code, 1);
}

#[test]
fn two_kinds_of_images_at_once_are_refused() {
    let work = Workdir::new();
    for args in [&["--lxc", "--docker"][..], &["--backend", "lxc", "--docker"], &["--vbox", "--lxc"]] {
        let told = work.run("make-base-vm", args);
        assert!(told.code != 0 && told.stderr.contains("one image at a time: "), "{args:?}: {}", told.stderr);
    }
    let told = work.run("make-base-vm", &["--backend", "lxc", "--lxc", "--distro", "beos"]);
    assert!(!told.stderr.contains("one image at a time"), "{}", told.stderr);
}
