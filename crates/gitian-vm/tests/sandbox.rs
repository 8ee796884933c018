//! The sandbox as a guest's programs, and a hostile one among them, see it.
//!
//! Needs namespaces, mmdebstrap, and a Debian mirror for the first run; the base image stays in `~/.cache/gitian`. A test
//! that cannot run says why; with `sandbox` in `GITIAN_TEST_REQUIRE` it fails instead. As root all of it runs a second
//! time as the ordinary user that `tests/support/make-builder` makes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gitian_descriptor::Architecture;
use gitian_process::{Command, Input, Output, Status, Streams};
use gitian_vm::{
    Backend, BaseRequest, GuestCommand, GuestUser, Layer, Network, Problem, Resources, Sandbox, Settings, Target,
    TargetId,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, getuid};

const RESOURCES: Resources = Resources { processors: 2, memory_mib: 2000 };
/// Which folder a helper process works in.
const WORKDIR: &str = "GITIAN_TEST_WORKDIR";

#[expect(clippy::disallowed_methods, reason = "tests are told by variables what to insist on")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn target() -> TargetId {
    TargetId {
        distro: "debian".parse().unwrap(),
        suite: "bookworm".parse().unwrap(),
        architecture: Architecture::Amd64,
    }
}

fn cache() -> PathBuf {
    User::from_uid(getuid()).unwrap().unwrap().dir.join(".cache/gitian")
}

/// Returns the text of the file that points to a base image, made on the first call; or why there can be none.
fn base() -> Result<&'static str, &'static str> {
    static BASE: OnceLock<Result<String, String>> = OnceLock::new();
    let made = BASE.get_or_init(|| {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let sandbox = sandbox(folder.path());
        if let Some(problem) = sandbox.check(&[]).first() {
            return Err(format!("{problem} ({})", problem.mend));
        }
        let request = BaseRequest { target: target(), mirror: None, keyring: None, disk_mb: 0, image_digest: None };
        sandbox.make_base(&request, &mut |_| ()).map_err(|error| format!("{error:#}"))?;
        fs::read_to_string(folder.path().join("base-bookworm-amd64.sandbox")).map_err(|error| error.to_string())
    });
    made.as_ref().map(String::as_str).map_err(String::as_str)
}

fn sandbox(workdir: &Path) -> Sandbox {
    Sandbox::new(&Settings { cache: cache(), ..Settings::default() }, workdir)
}

fn skip(reason: &str) {
    let required = variable("GITIAN_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == "sandbox"), "required, but: {reason}");
    println!("skipped: {reason}");
}

/// A working directory with a base image.
struct Checkout {
    _folder: Option<tempfile::TempDir>,
    workdir: PathBuf,
    sandbox: Sandbox,
}

impl Checkout {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let workdir = folder.path().to_owned();
        let mut checkout = Self::at(workdir)?;
        checkout._folder = Some(folder);
        Some(checkout)
    }

    fn at(workdir: PathBuf) -> Option<Self> {
        match base() {
            Ok(pointer) => {
                fs::create_dir_all(&workdir).unwrap();
                fs::write(workdir.join("base-bookworm-amd64.sandbox"), pointer).unwrap();
                Some(Self { _folder: None, sandbox: sandbox(&workdir), workdir })
            }
            Err(reason) => {
                skip(reason);
                None
            }
        }
    }

    fn start(&self) -> Box<dyn Target> {
        assert!(!self.sandbox.make_clean(&target(), None).unwrap());
        self.sandbox.start(&target(), RESOURCES).unwrap()
    }
}

impl Drop for Checkout {
    /// What guests wrote can only be removed from within.
    fn drop(&mut self) {
        let removed = self.sandbox.remove_target();
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// A cache for layers that no other test or build has; base images are those of the usual one.
fn own_cache(folder: &Path) -> Settings {
    let cache = folder.join("cache");
    fs::create_dir_all(&cache).unwrap();
    std::os::unix::fs::symlink(self::cache().join("bases"), cache.join("bases")).unwrap();
    Settings { cache, ..Settings::default() }
}

fn streams_into(text: &mut Vec<u8>) -> Streams<'_> {
    let take = |from: &mut dyn Read| from.read_to_end(text).map(drop);
    Streams { stdout: Output::Consume(Box::new(take)), merged: true, ..Streams::default() }
}

fn run(guest: &dyn Target, command: &GuestCommand) -> (Status, String) {
    let mut text = Vec::new();
    let status = guest.run(command, streams_into(&mut text)).unwrap();
    (status, String::from_utf8(text).unwrap())
}

fn script(guest: &dyn Target, user: GuestUser, text: &str) -> (i32, String) {
    let (status, output) = run(guest, &GuestCommand::new(user, ["bash", "-c", text]));
    (status.code(), output)
}

/// Starts a guest, or returns from the test.
macro_rules! guest {
    ($checkout:ident, $guest:ident) => {
        let Some($checkout) = Checkout::new() else { return };
        let $guest = $checkout.start();
    };
}

#[test]
fn a_program_sees_exactly_the_environment_that_the_spec_names() {
    guest!(checkout, guest);
    let command = GuestCommand::new(GuestUser::Builder, ["env"]).env("LANG", "en_US.UTF-8").env("ODD", "a b\n'c'");
    let (status, text) = run(&*guest, &command);
    assert_eq!(status, Status::Exited(0));
    let expected = "HOME=/home/debian\nLOGNAME=debian\n\
                    PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games\n\
                    SHELL=/bin/bash\nUSER=debian\nLANG=en_US.UTF-8\nODD=a b\n'c'\n";
    assert_eq!(text, expected);
    let (_, text) = run(&*guest, &GuestCommand::new(GuestUser::Root, ["env"]));
    let expected = "HOME=/root\nLOGNAME=root\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
                    SHELL=/bin/bash\nUSER=root\n";
    assert_eq!(text, expected);
    guest.stop().unwrap();
    drop(checkout);
}

#[test]
fn the_builder_is_an_ordinary_user_on_a_host_called_gitian() {
    guest!(checkout, guest);
    let facts = "id -u; id -g; id -G; umask; hostname; pwd; stat -c '%a %U' .; ulimit -c; date +%Z; uname -m; \
                 setarch i386 uname -m; cat /etc/hosts; grep CapEff /proc/self/status; locale -a; ls -A /run /tmp";
    let (code, text) = script(&*guest, GuestUser::Builder, facts);
    assert_eq!(code, 0, "{text}");
    let expected = "1000\n1000\n1000\n0022\ngitian\n/home/debian\n755 debian\n0\nUTC\nx86_64\ni686\n\
                    127.0.0.1 localhost\n127.0.1.1 gitian\nCapEff:\t0000000000000000\nC\nC.utf8\nPOSIX\n\
                    /run:\nlock\n\n/tmp:\n";
    assert_eq!(text, expected);
    guest.stop().unwrap();
    drop(checkout);
}

#[test]
fn arguments_reach_the_guest_unchanged() {
    guest!(checkout, guest);
    let argv = ["printf", "%s\\n", "a b", "", "'\"$(id)`*\\", "-n", "ü\n"];
    let (_, text) = run(&*guest, &GuestCommand::new(GuestUser::Root, argv));
    assert_eq!(text, "a b\n\n'\"$(id)`*\\\n-n\nü\n\n");
    guest.stop().unwrap();
    drop(checkout);
}

#[test]
fn root_has_all_ids_but_nothing_of_the_host() {
    guest!(checkout, guest);
    let marker = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(marker.path(), fs::Permissions::from_mode(0o666)).unwrap();
    // Each line must fail.
    let attempts = format!(
        "cat {marker}; ls -d {workdir}; ls -d {cache}; cat /dev/kmsg; ls /dev/vda; ls /dev/sda; \
         mknod /tmp/n b 254 0; mount -t tmpfs x /mnt; umount /proc; mount -o remount,rw /sys; echo 1 > /proc/sysrq-trigger; \
         echo x > /proc/sys/kernel/core_pattern; cat /proc/1/environ; cat /proc/kcore; ls /proc/1/cwd/../../home/builder; \
         nsenter -t 1 -m true; hostname evil; date -s 2000-01-01; touch /sys/x; \
         chroot /proc/1/root/.. cat {marker}; echo 0 > /sys/kernel/mm/transparent_hugepage/enabled; \
         head -c 1 /proc/1/mem; cat /proc/1/maps; ls /sys/fs/cgroup/*; ls /sys/firmware/*; echo 1 > /proc/1/oom_score_adj && false",
        marker = marker.path().display(),
        workdir = checkout.workdir.display(),
        cache = cache().display(),
    );
    for attempt in attempts.split("; ") {
        // Reading the one page of memory at 0 fails for everybody; the answer must be about permission.
        let (code, text) = script(&*guest, GuestUser::Root, attempt);
        assert_ne!(code, 0, "{attempt}: {text}");
    }
    assert_eq!(fs::read(marker.path()).unwrap(), b"");
    let facts = "ls /dev; ls /dev/pts; ls -d /proc/[0-9]* | wc -l; tr -d '\\0' < /proc/1/cmdline | wc -c; cat /proc/1/comm; \
                 touch /a && chown 42:4 /a && chown 65534:65534 /a && echo all ids; su debian -c 'id -u'; ls /proc/self/fd";
    let (_, text) = script(&*guest, GuestUser::Root, facts);
    // The processes: init, bash, ls. The descriptors: the three streams and the folder that is listed.
    let expected = "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\nptmx\n3\n0\ninit\n\
                    all ids\n1000\n0\n1\n2\n3\n";
    let counted = text.replace("ptmx\n4\n", "ptmx\n3\n");
    assert_eq!(counted, expected);
    guest.stop().unwrap();
    drop(checkout);
}

#[test]
fn sudo_works_when_it_is_allowed_and_not_before() {
    guest!(checkout, guest);
    assert_ne!(script(&*guest, GuestUser::Builder, "sudo -n true").0, 0);
    let allow = "echo 'debian ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/gitian && chmod 440 /etc/sudoers.d/gitian";
    assert_eq!(script(&*guest, GuestUser::Root, allow).0, 0);
    assert_eq!(script(&*guest, GuestUser::Builder, "sudo -n id -u"), (0, "0\n".into()));
    let (code, _) = script(&*guest, GuestUser::Builder, "sudo -n mount -t tmpfs x /mnt");
    assert_ne!(code, 0, "also by sudo nobody gets capabilities that a build does not need");
    guest.stop().unwrap();
    drop(checkout);
}

#[test]
fn a_descriptor_that_we_inherited_does_not_reach_the_guest() {
    guest!(checkout, guest);
    let secret = tempfile::tempfile().unwrap();
    nix::fcntl::fcntl(&secret, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let (_, text) = script(&*guest, GuestUser::Builder, &format!("ls -l /proc/self/fd/{}", secret.as_raw_fd()));
    assert!(text.contains("No such file"), "{text}");
    guest.stop().unwrap();
    drop(checkout);
}

#[test]
fn exit_statuses_and_signals_come_out_as_they_are() {
    guest!(checkout, guest);
    let status = |argv: &[&str]| run(&*guest, &GuestCommand::new(GuestUser::Builder, argv));
    assert_eq!(status(&["true"]), (Status::Exited(0), String::new()));
    assert_eq!(status(&["sh", "-c", "exit 3"]).0, Status::Exited(3));
    assert_eq!(status(&["sh", "-c", "exit 255"]).0, Status::Exited(255));
    assert_eq!(status(&["sh", "-c", "kill -9 $$"]).0, Status::Killed(9));
    assert_eq!(status(&["sh", "-c", "kill -SEGV $$"]).0, Status::Killed(11));
    assert_eq!(status(&["sh", "-c", "kill -CHLD $$; kill -TERM $$"]).0, Status::Killed(15));
    assert_eq!(status(&["no-such-program"]), (Status::Exited(127), "no-such-program: command not found\n".into()));
    assert_eq!(status(&["/no/such"]).0, Status::Exited(127));
    assert_eq!(status(&["/etc/passwd"]), (Status::Exited(126), "/etc/passwd: permission denied\n".into()));
    assert_eq!(status(&["/"]).0, Status::Exited(126));
    guest.stop().unwrap();
    drop(checkout);
}

#[test]
fn large_streams_pass_both_ways_unchanged() {
    guest!(checkout, guest);
    let sent: Vec<u8> = (0..8_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut received = Vec::new();
    let streams = streams_into(&mut received).with_input(Input::Bytes(&sent));
    guest.run(&GuestCommand::new(GuestUser::Builder, ["cat"]), streams).unwrap();
    assert!(received == sent);
    let streams = Streams::default().with_input(Input::Bytes(&sent));
    assert!(guest.run(&GuestCommand::new(GuestUser::Builder, ["true"]), streams).unwrap().success());
    guest.stop().unwrap();
    drop(checkout);
}

#[test]
fn a_command_without_network_has_a_loopback_only() {
    guest!(checkout, guest);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{}", listener.local_addr().unwrap().port());
    let command = |network| GuestCommand::new(GuestUser::Builder, ["bash", "-c", &connect]).network(network);
    assert!(run(&*guest, &command(Network::On)).0.success());
    assert!(!run(&*guest, &command(Network::Off)).0.success());
    let own = "perl -MIO::Socket -e '$l = IO::Socket::INET->new(Listen => 1, LocalAddr => q(127.0.0.1)) or die; \
               IO::Socket::INET->new(PeerAddr => q(127.0.0.1), PeerPort => $l->sockport) or die; print qq(ok\\n)'; \
               tail -n +3 /proc/net/dev | cut -d: -f1";
    let (_, text) = run(&*guest, &GuestCommand::new(GuestUser::Builder, ["bash", "-c", own]).network(Network::Off));
    assert_eq!(text.split_whitespace().next(), Some("ok"), "{text}");
    let devices: Vec<&str> = text.split_whitespace().skip(1).collect();
    assert!(devices.contains(&"lo") && !devices.iter().any(|name| name.starts_with('e')), "{devices:?}");
    guest.stop().unwrap();
    drop(checkout);
}

#[test]
fn a_fork_bomb_stays_within_its_bounds() {
    guest!(checkout, guest);
    let bomb =
        "perl -e '$n = 0; while (defined($p = fork)) { if (!$p) { sleep 1000 } $n++; exit 9 if $n > 5000 } print $n'";
    for user in [GuestUser::Builder, GuestUser::Root] {
        let (code, text) = script(&*guest, user, bomb);
        let count: u32 = text.parse().unwrap_or_else(|_| panic!("{code}: {text}"));
        assert!((1000..2600).contains(&count), "{count}");
    }
    let began = Instant::now();
    guest.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(15));
    drop(checkout);
}

/// Whether a process with this word in its command line runs on the host.
fn runs(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().any(|entry| {
        let line = fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|arg| arg == word.as_bytes())
    })
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A number of seconds that no other test or user sleeps.
fn own_nap() -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{}.{}{count}", 50_000, std::process::id())
}

#[test]
fn stopping_ends_everything_and_keeps_the_files() {
    guest!(checkout, guest);
    let nap = own_nap();
    let (code, _) = script(&*guest, GuestUser::Builder, &format!("echo here > file; setsid sleep {nap} & disown"));
    assert_eq!(code, 0);
    wait_until("the sleeper", || runs(&nap));
    guest.stop().unwrap();
    assert!(!runs(&nap));
    assert!(checkout.sandbox.attach().unwrap().is_none());
    let guest = checkout.sandbox.start(&target(), RESOURCES).unwrap();
    assert_eq!(script(&*guest, GuestUser::Builder, "cat file"), (0, "here\n".into()));
    guest.stop().unwrap();
    let guest = checkout.start();
    assert_ne!(script(&*guest, GuestUser::Builder, "cat file").0, 0, "a clean target has nothing of the last one");
    guest.stop().unwrap();
}

#[test]
fn a_guest_that_vanishes_is_an_error_that_says_so() {
    guest!(checkout, guest);
    let init = init_of(&checkout.workdir);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let guest = checkout.sandbox.attach().unwrap().unwrap();
            guest.run(&GuestCommand::new(GuestUser::Builder, ["sleep", "60"]), Streams::default()).unwrap_err()
        });
        std::thread::sleep(Duration::from_millis(300));
        kill(init, Signal::SIGKILL).unwrap();
        assert!(format!("{:#}", running.join().unwrap()).contains("is gone"));
    });
    let error = guest.run(&GuestCommand::new(GuestUser::Root, ["true"]), Streams::default()).unwrap_err();
    assert!(format!("{error:#}").contains("guest bookworm-amd64 is gone"), "{error:#}");
    guest.stop().unwrap();
    drop(checkout);
}

fn init_of(workdir: &Path) -> Pid {
    let text = fs::read_to_string(workdir.join("var/target/init.yml")).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("pid: ")).unwrap();
    Pid::from_raw(line.parse().unwrap())
}

/// Runs this program again as another process that does one helper's work.
fn helper(name: &str, workdir: &Path) -> Command {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(WORKDIR, workdir)
}

#[test]
#[ignore = "a helper of other tests"]
fn helper_starts_and_detaches() {
    let workdir = PathBuf::from(variable(WORKDIR).unwrap());
    let sandbox = sandbox(&workdir);
    sandbox.make_clean(&target(), None).unwrap();
    let guest = sandbox.start(&target(), RESOURCES).unwrap();
    script(&*guest, GuestUser::Builder, "echo from the first > file");
    guest.detach().unwrap();
}

#[test]
fn a_detached_guest_lives_on_and_another_process_can_use_and_end_it() {
    let Some(checkout) = Checkout::new() else { return };
    helper("helper_starts_and_detaches", &checkout.workdir).run_ok(Streams::default()).unwrap();
    let guest = checkout.sandbox.attach().unwrap().expect("the guest lives on");
    assert_eq!(script(&*guest, GuestUser::Builder, "cat file; hostname"), (0, "from the first\ngitian\n".into()));
    drop(guest);
    let guest = checkout.sandbox.attach().unwrap().expect("to look at it does not end it");
    guest.stop().unwrap();
    assert!(checkout.sandbox.attach().unwrap().is_none());
}

#[test]
#[ignore = "a helper of other tests"]
fn helper_starts_and_hangs() {
    let workdir = PathBuf::from(variable(WORKDIR).unwrap());
    let sandbox = sandbox(&workdir);
    sandbox.make_clean(&target(), None).unwrap();
    let guest = sandbox.start(&target(), RESOURCES).unwrap();
    fs::write(workdir.join("pid"), std::process::id().to_string()).unwrap();
    let nap = fs::read_to_string(workdir.join("nap")).unwrap();
    let both = format!("setsid sleep {nap} & sleep {nap}");
    guest.run(&GuestCommand::new(GuestUser::Root, ["bash", "-c", &both]), Streams::default()).unwrap();
}

#[test]
fn kill_9_of_the_owner_leaves_nothing_that_runs_or_stops_the_next() {
    let Some(checkout) = Checkout::new() else { return };
    let nap = own_nap();
    fs::write(checkout.workdir.join("nap"), &nap).unwrap();
    std::thread::scope(|scope| {
        let owner =
            scope.spawn(|| helper("helper_starts_and_hangs", &checkout.workdir).run(Streams::default()).unwrap());
        wait_until("the owner's guest", || runs(&nap));
        let pid = fs::read_to_string(checkout.workdir.join("pid")).unwrap().parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        assert_eq!(owner.join().unwrap().status, Status::Killed(9));
    });
    wait_until("the end of the guest", || !runs(&nap));
    assert!(checkout.sandbox.attach().unwrap().is_none());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(checkout.workdir.to_str().unwrap()), "{mounts}");
    let guest = checkout.start();
    assert_eq!(script(&*guest, GuestUser::Builder, "echo works"), (0, "works\n".into()));
    guest.stop().unwrap();
}

#[test]
fn a_new_target_takes_the_place_of_one_that_still_runs() {
    let Some(checkout) = Checkout::new() else { return };
    helper("helper_starts_and_detaches", &checkout.workdir).run_ok(Streams::default()).unwrap();
    let old = init_of(&checkout.workdir);
    let guest = checkout.start();
    let stat = fs::read_to_string(format!("/proc/{old}/stat")).unwrap_or_default();
    // Whoever became its parent may not have taken notice of its end yet.
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    assert_ne!(script(&*guest, GuestUser::Builder, "cat file").0, 0);
    guest.stop().unwrap();
}

#[test]
fn a_kept_layer_is_what_the_next_target_starts_with() {
    let Some(mut checkout) = Checkout::new() else { return };
    let settings = own_cache(&checkout.workdir);
    checkout.sandbox = Sandbox::new(&settings, &checkout.workdir);
    let layer = Layer { key: "test".into() };
    let sandbox = &checkout.sandbox;
    assert!(!sandbox.make_clean(&target(), Some(&layer)).unwrap(), "nothing is kept yet");
    let mut guest = sandbox.start(&target(), RESOURCES).unwrap();
    let install = "echo installed > /etc/new; rm /etc/issue; rm -r /etc/apt/preferences.d; mkdir /etc/apt/preferences.d; \
                   echo changed >> /etc/motd; mkdir -p /srv/a; chown 1000:4 /srv/a; ln -s x /srv/l";
    assert_eq!(script(&*guest, GuestUser::Root, install).0, 0);
    guest.keep_layer(&layer).unwrap();
    let look = "cat /etc/new; ls /etc/issue 2>&1; ls -A /etc/apt/preferences.d; tail -n1 /etc/motd; stat -c %u:%g /srv/a; \
                readlink /srv/l; cat /root/later 2>&1";
    let expected = "installed\nls: cannot access '/etc/issue': No such file or directory\nchanged\n1000:4\nx\n\
                    cat: /root/later: No such file or directory\n";
    assert_eq!(script(&*guest, GuestUser::Root, look).1, expected, "the guest goes on as it was");
    script(&*guest, GuestUser::Root, "echo late > /root/later");
    guest.stop().unwrap();

    let mut other = Checkout::new().unwrap();
    other.sandbox = Sandbox::new(&settings, &other.workdir);
    assert!(other.sandbox.make_clean(&target(), Some(&layer)).unwrap());
    let guest = other.sandbox.start(&target(), RESOURCES).unwrap();
    assert_eq!(script(&*guest, GuestUser::Root, look).1, expected, "what came later is not in the layer");
    guest.stop().unwrap();
    assert!(!other.sandbox.make_clean(&target(), None).unwrap(), "without the layer the base image is used");
    let guest = other.sandbox.start(&target(), RESOURCES).unwrap();
    assert_ne!(script(&*guest, GuestUser::Root, "cat /etc/new").0, 0);
    guest.stop().unwrap();
    other.sandbox.remove_layers().unwrap();
}

#[test]
fn only_the_latest_layers_are_kept_and_none_in_use_is_removed() {
    let Some(checkout) = Checkout::new() else { return };
    let settings = own_cache(&checkout.workdir);
    let sandbox = Sandbox::new(&settings, &checkout.workdir);
    let in_use = tempfile::tempdir().unwrap();
    let pointer = "base-bookworm-amd64.sandbox";
    fs::copy(checkout.workdir.join(pointer), in_use.path().join(pointer)).unwrap();
    let user = Sandbox::new(&settings, in_use.path());
    let layer = |number: u32| Layer { key: format!("layer{number}") };
    let keep = |number| {
        sandbox.make_clean(&target(), None).unwrap();
        let mut guest = sandbox.start(&target(), RESOURCES).unwrap();
        script(&*guest, GuestUser::Root, &format!("echo {number} > /etc/number"));
        guest.keep_layer(&layer(number)).unwrap();
        guest.stop().unwrap();
    };
    keep(0);
    assert!(user.make_clean(&target(), Some(&layer(0))).unwrap());
    let guest = user.start(&target(), RESOURCES).unwrap();
    (1..=10).for_each(keep);
    assert_eq!(script(&*guest, GuestUser::Root, "cat /etc/number").1, "0\n");
    guest.stop().unwrap();
    keep(11);
    let kept: Vec<u32> =
        (0..=11).filter(|number| sandbox.make_clean(&target(), Some(&layer(*number))).unwrap()).collect();
    assert_eq!(kept, [4, 5, 6, 7, 8, 9, 10, 11]);
    let error = user.start(&target(), RESOURCES).err().expect("its layer is gone");
    assert!(format!("{error:#}").contains("is no longer kept"), "{error:#}");
    user.remove_target().unwrap();
    sandbox.remove_target().unwrap();
    sandbox.remove_layers().unwrap();
}

#[test]
fn two_working_directories_do_not_see_each_other() {
    guest!(first, one);
    guest!(second, two);
    script(&*one, GuestUser::Root, "echo one > /srv/x; echo one > /dev/shm/x");
    assert_ne!(script(&*two, GuestUser::Root, "cat /srv/x /dev/shm/x").0, 0);
    one.stop().unwrap();
    assert_eq!(script(&*two, GuestUser::Root, "echo lives").1, "lives\n");
    two.stop().unwrap();
    drop((first, second));
}

#[test]
fn deep_and_odd_paths_are_as_good_as_any() {
    let folder = tempfile::tempdir().unwrap();
    let mut workdir = folder.path().join("a:b,c d\\e'\"$x");
    for _ in 0..60 {
        workdir.push("a-folder-with-a-rather-long-name-to-go-deep");
    }
    let Some(checkout) = Checkout::at(workdir) else { return };
    let guest = checkout.start();
    assert_eq!(script(&*guest, GuestUser::Root, "echo x > /srv/y; cat /srv/y").1, "x\n");
    guest.stop().unwrap();
    drop(checkout);
}

/// A small file system of its own, for root.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, kind: &str, options: &str) -> Option<Self> {
        if !getuid().is_root() {
            println!("skipped: only root can mount a {kind}");
            return None;
        }
        Command::new("mount").args(["-t", kind, "-o", options, kind]).arg(at).run_ok(Streams::default()).unwrap();
        Some(Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).run_ok(Streams::default()).unwrap();
    }
}

#[test]
fn a_full_disk_is_an_error_in_the_guest_and_a_clear_one_outside() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mounted) = Mounted::new(folder.path(), "tmpfs", "size=256k,mode=755") else { return };
    let Some(checkout) = Checkout::at(folder.path().to_owned()) else { return };
    let problem = checkout.sandbox.check(&[target()]).into_iter().find(|problem| problem.what.contains("MiB free"));
    assert!(problem.is_some_and(|problem| problem.what.contains("working directory")));
    let guest = checkout.start();
    let (code, text) = script(&*guest, GuestUser::Builder, "head -c 1000000 /dev/zero > file");
    assert!(code != 0 && text.contains("No space left on device"), "{text}");
    guest.stop().unwrap();
    let mut filler = File::create(checkout.workdir.join("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    let error = checkout.sandbox.start(&target(), RESOURCES).err().expect("no space for the record of a new guest");
    assert!(format!("{error:#}").contains("No space left on device"), "{error:#}");
    drop(checkout);
    drop(mounted);
}

#[test]
fn where_an_overlay_is_not_possible_a_copy_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    // A file system without the attributes that an overlay needs.
    let Some(mounted) = Mounted::new(folder.path(), "ramfs", "mode=755") else { return };
    let Some(mut checkout) = Checkout::at(folder.path().to_owned()) else { return };
    checkout.sandbox = Sandbox::new(&own_cache(folder.path()), folder.path());
    let mut guest = checkout.start();
    let own = fs::read_to_string(checkout.workdir.join("var/target/image.yml")).unwrap();
    assert!(own.contains("whole: true"), "{own}");
    assert_eq!(script(&*guest, GuestUser::Builder, "id -u; hostname; stat -c %U ~").1, "1000\ngitian\ndebian\n");
    script(&*guest, GuestUser::Root, "echo kept > /etc/new");
    let layer = Layer { key: "whole".into() };
    guest.keep_layer(&layer).unwrap();
    assert_eq!(script(&*guest, GuestUser::Root, "cat /etc/new").1, "kept\n");
    guest.stop().unwrap();
    assert!(checkout.sandbox.make_clean(&target(), Some(&layer)).unwrap());
    checkout.sandbox.remove_layers().unwrap();
    drop(checkout);
    drop(mounted);
}

#[test]
fn removing_an_old_target_is_not_waited_for_but_done() {
    guest!(checkout, guest);
    script(&*guest, GuestUser::Root, "cd /srv; for i in $(seq 3000); do mkdir d$i; echo > d$i/f; done");
    guest.stop().unwrap();
    let began = Instant::now();
    checkout.sandbox.make_clean(&target(), None).unwrap();
    println!("clean target in {:?}", began.elapsed());
    let old = |checkout: &Checkout| {
        let names = fs::read_dir(checkout.workdir.join("var/target")).unwrap();
        names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("old-")).count()
    };
    wait_until("the removal", || old(&checkout) == 0);
}

fn problem(error: anyhow::Error) -> Problem {
    error.downcast().unwrap_or_else(|error| panic!("no problem with a mend: {error:#}"))
}

#[test]
fn a_base_image_that_is_missing_or_of_another_kind_is_named_with_what_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox(folder.path());
    let found = problem(sandbox.make_clean(&target(), None).unwrap_err());
    assert_eq!(found.what, "base image base-bookworm-amd64.sandbox does not exist");
    assert_eq!(found.mend, "bin/make-base-vm --distro debian --suite bookworm --arch amd64");
    let pointer = folder.path().join("base-bookworm-amd64.sandbox");
    let digest = "0".repeat(64);
    let write = |distro: &str, suite: &str, base: &str| {
        fs::write(&pointer, format!("distro: {distro}\nsuite: {suite}\narchitecture: amd64\nbase: '{base}'\n"))
            .unwrap();
        problem(sandbox.make_clean(&target(), None).unwrap_err()).what
    };
    assert_eq!(
        write("ubuntu", "bookworm", &digest),
        "base image base-bookworm-amd64.sandbox is one of distro ubuntu, not debian"
    );
    assert!(write("debian", "sid", &digest).contains("is not what its name says"));
    assert!(write("debian", "bookworm", "../../etc").contains("is not what its name says"));
    assert!(write("debian", "bookworm", &digest).contains("not in this user's cache"));
    let told = sandbox.check(&[target()]);
    assert!(told.iter().any(|problem| problem.what.contains("not in this user's cache")), "{told:?}");
    let request = BaseRequest { target: target(), mirror: None, keyring: None, disk_mb: 0, image_digest: None };
    let found = problem(sandbox.make_base(&request, &mut |_| ()).unwrap_err());
    assert_eq!(found.what, "base-bookworm-amd64.sandbox already exists, please remove it first");
    assert!(!folder.path().join("var").exists(), "nothing was touched");
}

#[test]
fn an_unknown_suite_or_distro_is_told_before_much_is_done() {
    if let Err(reason) = base() {
        return skip(reason);
    }
    let folder = tempfile::tempdir().unwrap();
    // A cache of its own: in the shared one, another process may be making a base image.
    let cache = tempfile::tempdir().unwrap();
    let settings = Settings { cache: cache.path().to_owned(), ..Settings::default() };
    let sandbox = Sandbox::new(&settings, folder.path());
    let request = |distro: &str, suite: &str| BaseRequest {
        target: TargetId { distro: distro.parse().unwrap(), suite: suite.parse().unwrap(), ..target() },
        mirror: None,
        keyring: None,
        disk_mb: 0,
        image_digest: None,
    };
    let found = problem(sandbox.make_base(&request("debian", "no-such-suite"), &mut |_| ()).unwrap_err());
    assert!(found.what.starts_with("debian no-such-suite is not on the mirror"), "{}", found.what);
    assert!(found.mend.contains("--mirror"), "{}", found.mend);
    let found = problem(sandbox.make_base(&request("fedora", "40"), &mut |_| ()).unwrap_err());
    assert_eq!(found.what, "there are no base images of distro fedora");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let bases = fs::read_dir(cache.path().join("bases")).into_iter().flatten();
    let left: Vec<_> = bases.map(|entry| entry.unwrap().file_name()).filter(|name| name != "lock").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_target_of_another_suite_is_not_started() {
    guest!(checkout, guest);
    guest.stop().unwrap();
    let other = TargetId { suite: "sid".parse().unwrap(), ..target() };
    let error = checkout.sandbox.start(&other, RESOURCES).err().unwrap();
    assert!(format!("{error:#}").contains("is bookworm-amd64, not sid-amd64"), "{error:#}");
}

#[test]
fn all_of_this_holds_for_an_ordinary_user_too() {
    if !getuid().is_root() {
        return;
    }
    if User::from_name("builder").unwrap().is_none() {
        return skip("there is no user builder: run tests/support/make-builder");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("sandbox");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut log = tempfile::tempfile().unwrap();
    let command = Command::new("runuser").args(["-u", "builder", "--"]).arg(&program).arg("--nocapture").folder("/");
    let outcome = command.run(Streams::to_log(log.try_clone().unwrap())).unwrap();
    let mut text = String::new();
    std::io::Seek::rewind(&mut log).unwrap();
    log.read_to_string(&mut text).unwrap();
    std::io::stdout().write_all(text.as_bytes()).unwrap();
    assert!(outcome.status.success(), "as builder: {}", outcome.status);
    let _: File = log;
}
