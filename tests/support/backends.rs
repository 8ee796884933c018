//! The kinds of guests that tests compare: one row each, which sets up what the kind needs or says why it cannot run here.
//!
//! A row's name is what `GITIAN_TEST_REQUIRE` takes. Engines are started for the tests alone, with folders and sockets of
//! their own, end with the test program, and leave nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use assert_cmd::Command;

use super::programs::{Workdir, cache};
use super::running::within;

/// Variables for the programs under test.
pub type Environment = Vec<(&'static str, String)>;

/// One kind of guest.
pub struct Row {
    /// What it is called in messages and in `GITIAN_TEST_REQUIRE`.
    pub name: &'static str,
    /// What `--backend` takes.
    pub backend: &'static str,
    /// Sets up what it needs, once; or says why it cannot run here.
    pub set_up: fn() -> Result<Environment, String>,
    /// Prefixes of the packages (`linux-image-`, `openssh-`) that its base image has beside those of every kind.
    pub more_packages: &'static [&'static str],
    /// Whether a test of its own compares it, because its guests cost minutes.
    pub elsewhere: bool,
}

/// Every kind of guest, the one first that the others are compared with.
pub const ROWS: &[Row] = &[
    Row { name: "sandbox", backend: "sandbox", set_up: sandbox, more_packages: &[], elsewhere: false },
    Row { name: "docker", backend: "docker", set_up: docker, more_packages: &[], elsewhere: false },
    Row { name: "lxc", backend: "lxc", set_up: lxc, more_packages: &[], elsewhere: false },
    Row { name: "podman", backend: "docker", set_up: podman, more_packages: &[], elsewhere: false },
    Row { name: "kvm", backend: "kvm", set_up: kvm, more_packages: BOOT, elsewhere: false },
    Row { name: "vbox", backend: "vbox", set_up: vbox, more_packages: BOOT, elsewhere: true },
];

/// What a guest that boots has more: a kernel, sshd, and what these need.
const BOOT: &[&str] = &[
    "cpio_",
    "initramfs-tools",
    "iproute2_",
    "klibc-utils_",
    "kmod_",
    "libbpf1_",
    "libbsd0_",
    "libcap2-bin_",
    "libcbor0.8_",
    "libedit2_",
    "libelf1_",
    "libfido2-1_",
    "libklibc_",
    "libmnl0_",
    "libncursesw6_",
    "libproc2-0_",
    "libwrap0_",
    "libxtables12_",
    "linux-base_",
    "linux-image-",
    "openssh-",
    "procps_",
    "runit-helper_",
    "sensible-utils_",
    "ucf_",
    "udev_",
];

/// The row of this name.
pub fn row(name: &str) -> &'static Row {
    ROWS.iter().find(|row| row.name == name).unwrap()
}

impl Row {
    /// Whether its guests are machines with a kernel of their own.
    pub fn boots(&self) -> bool {
        !self.more_packages.is_empty()
    }

    /// A working directory with the bookworm base image of this kind; `None`, said with the reason, where it cannot run.
    pub fn workdir(&self) -> Option<Workdir> {
        let mut work = self.bare_workdir()?;
        work.set_env("GITIAN_BACKEND", self.backend);
        let made = work.run("make-base-vm", &["--distro", "debian", "--suite", "bookworm"]);
        // Engines keep their images elsewhere: an earlier test may have made it.
        let there = made.stderr.contains("already exists, please remove it first");
        assert!(made.code == 0 || there, "{}: {}{}", self.name, made.stdout, made.stderr);
        Some(work)
    }

    /// A working directory without a base image.
    pub fn bare_workdir(&self) -> Option<Workdir> {
        let environment = match (self.set_up)() {
            Ok(environment) => environment,
            Err(why) => {
                super::skip(self.name, &format!("{}: {why}", self.name));
                return None;
            }
        };
        let mut work = Workdir::new();
        for (name, value) in environment {
            work.set_env(name, &value);
        }
        Some(work)
    }
}

fn need(program: &str) -> Result<(), String> {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    match folders.iter().any(|folder| Path::new(folder).join(program).exists()) {
        true => Ok(()),
        false => Err(format!("{program} is not installed")),
    }
}

fn sandbox() -> Result<Environment, String> {
    need("mmdebstrap")?;
    Ok(Vec::new())
}

fn kvm() -> Result<Environment, String> {
    ["mmdebstrap", "qemu-system-x86_64", "qemu-img", "ssh", "mke2fs", "debugfs"].into_iter().try_for_each(need)?;
    Ok(Vec::new())
}

/// The folder of programs that stand for others, from the top of the checkout.
pub const FAKE_TOOLS: &str = "tests/fake-tools";

/// A PATH in which the programs that stand for others are found first.
pub fn path_with_fakes() -> String {
    let fakes = super::checkout().join(FAKE_TOOLS);
    format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", fakes.display())
}

/// No machine of VirtualBox can run in another machine: QEMU boots its disk instead, told by a VBoxManage of the tests.
fn vbox() -> Result<Environment, String> {
    static ONCE: OnceLock<Result<Environment, String>> = OnceLock::new();
    ONCE.get_or_init(|| {
        let programs =
            ["mmdebstrap", "qemu-system-x86_64", "qemu-img", "ssh", "mke2fs", "debugfs", "sfdisk", "mformat"];
        programs.into_iter().try_for_each(need)?;
        for file in ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"] {
            if !Path::new(file).exists() {
                return Err(format!("{file} is not there"));
            }
        }
        let (folder, data) = folders("vbox");
        keep(&folder, &["sleep", "infinity"]);
        Ok(vec![("PATH", path_with_fakes()), ("FAKE_VBOX", data.display().to_string())])
    })
    .clone()
}

/// Runs a program beside the tests, until they end; then the folder is removed, and what its `data` leads to.
fn keep(folder: &Path, command: &[&str]) {
    #[expect(clippy::disallowed_methods, reason = "the test framework's command cannot run in the background")]
    let mut keeper = std::process::Command::new("setpriv");
    keeper.args(["--pdeathsig", "TERM", "bash", "-c", KEEPER, "keeper"]).arg(folder).args(command);
    keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It ends with the thread that starts it: one that lives as long as the test program.
    std::thread::spawn(move || keeper.spawn().unwrap().wait().unwrap());
}

fn need_root() -> Result<(), String> {
    match nix::unistd::Uid::effective().is_root() {
        true => Ok(()),
        false => Err("only root can start an engine for the tests alone".to_owned()),
    }
}

fn lxc() -> Result<Environment, String> {
    need_root()?;
    need("mmdebstrap")?;
    need("lxc-start")?;
    Ok(Vec::new())
}

/// Runs until this test program ends, is told of that by SIGTERM, and then has the folders removed.
const KEEPER: &str = r#"
folders=$1
shift
"$@" >"$folders/log" 2>&1 &
trap 'kill $!' TERM
while kill -0 $! 2>/dev/null; do wait $!; done
umount "$folders"/exec/netns/* 2>/dev/null
! mountpoint -q "$folders/data" || umount -l "$(readlink -f "$folders/data")"
rm -rf "$folders" "$(readlink -f "$folders/data")"
"#;

/// Mounts a file system of a size at a folder, then becomes the program that is named behind.
const ON_SMALL: &str = r#"mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@""#;

fn docker() -> Result<Environment, String> {
    static ONCE: OnceLock<Result<Environment, String>> = OnceLock::new();
    ONCE.get_or_init(|| dockerd(None)).clone()
}

/// An engine that keeps everything on a small file system of its own.
pub struct SmallEngine {
    /// Variables for the programs under test.
    pub environment: Environment,
    /// Where that file system is mounted.
    pub disk: PathBuf,
}

impl SmallEngine {
    /// Starts one; `size` is what `mount` takes. `None`, said with the reason, where it cannot run.
    pub fn start(size: &str) -> Option<Self> {
        let environment = match dockerd(Some(size)) {
            Ok(environment) => environment,
            Err(why) => {
                super::skip("docker", &format!("docker: {why}"));
                return None;
            }
        };
        let socket = environment.iter().find(|(name, _)| *name == "DOCKER_HOST").map(|(_, host)| host);
        let folder = Path::new(socket.unwrap().trim_start_matches("unix://")).parent().unwrap();
        Some(Self { disk: folder.join("data").canonicalize().unwrap(), environment })
    }

    /// Gives it another size.
    pub fn resize(&self, size: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={size}")]).arg(&self.disk).assert().success();
    }
}

/// Starts an engine for the tests alone, on a file system of its own where a size is given.
fn dockerd(size: Option<&str>) -> Result<Environment, String> {
    need_root()?;
    need("mmdebstrap")?;
    need("dockerd")?;
    need("docker")?;
    let (folder, data) = folders("docker");
    let socket = format!("unix://{}/socket", folder.display());
    let path = |name: &str| folder.join(name).display().to_string();
    let data = data.display().to_string();
    let (host, root) = (format!("--host={socket}"), format!("--data-root={data}"));
    let (exec, pid) = (format!("--exec-root={}", path("exec")), format!("--pidfile={}", path("pid")));
    // A test may add to it while the engine runs.
    fs::write(folder.join("daemon.json"), "{}").unwrap();
    let config = format!("--config-file={}", path("daemon.json"));
    // It touches nothing of the host's network; guests are in that.
    let alone = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"];
    let small = size.map(|size| ["bash", "-c", ON_SMALL, "small", size, &data]);
    let engine = ["dockerd", &config, &host, &root, &exec, &pid];
    keep(&folder, &[small.as_ref().map_or(&[][..], |words| words), &engine, &alone].concat());
    let answers = || Command::new("docker").env("DOCKER_HOST", &socket).arg("ps").output().unwrap().status.success();
    if !within(Duration::from_secs(60), answers) {
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        return Err(format!("dockerd does not come up: {}", log.lines().last().unwrap_or_default()));
    }
    Ok(vec![("DOCKER_HOST", socket), ("GITIAN_DOCKER_NETWORK", "host".to_owned())])
}

fn podman() -> Result<Environment, String> {
    static ONCE: OnceLock<Result<Environment, String>> = OnceLock::new();
    ONCE.get_or_init(|| {
        need_root()?;
        need("mmdebstrap")?;
        need("podman")?;
        need("runc")?;
        let (folder, data) = folders("podman");
        let storage = folder.join("storage.conf");
        let containers = folder.join("containers.conf");
        let text = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            data.display(),
            folder.join("run").display()
        );
        fs::write(&storage, text).unwrap();
        let text = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]\n[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
             tmp_dir = \"{}\"\n",
            folder.join("tmp").display()
        );
        // Not everybody's root may raise its limits to what podman wants.
        fs::write(&containers, text).unwrap();
        let environment = vec![
            ("GITIAN_DOCKER", "podman".to_owned()),
            ("GITIAN_DOCKER_NETWORK", "host".to_owned()),
            ("CONTAINERS_STORAGE_CONF", storage.display().to_string()),
            ("CONTAINERS_CONF", containers.display().to_string()),
        ];
        let mut info = Command::new("podman");
        let output = info.envs(environment.clone()).arg("info").output().unwrap();
        keep(&folder, &["sleep", "infinity"]);
        match output.status.success() {
            true => Ok(environment),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")),
        }
    })
    .clone()
}

/// A folder with a short path, for sockets, and one with room, for images; its `data` points to the latter.
fn folders(name: &str) -> (PathBuf, PathBuf) {
    let folder = tempfile::Builder::new().prefix(&format!("gitian-{name}-")).tempdir().unwrap().keep();
    let parent = cache().join("gitian/tests");
    fs::create_dir_all(&parent).unwrap();
    let data = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(parent).unwrap().keep();
    std::os::unix::fs::symlink(&data, folder.join("data")).unwrap();
    (folder, data)
}
