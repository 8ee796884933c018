//! The two traits that every kind of guest implements, and the values they exchange.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use gitian_descriptor::{Architecture, Descriptor, Distro, ImageDigest, Suite};
use gitian_process::{Status, Streams};

/// Which guest: one configuration of a build.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetId {
    /// The distribution, also the name of the guest user.
    pub distro: Distro,
    /// The suite, such as `bookworm`.
    pub suite: Suite,
    /// The architecture.
    pub architecture: Architecture,
}

impl fmt::Display for TargetId {
    /// Writes `bookworm-amd64`, the name that manifests and base images carry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.suite, self.architecture)
    }
}

/// What a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Processors.
    pub processors: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
}

impl Resources {
    /// Returns how many processes and threads one guest user may have: enough for any build on so many processors, too few
    /// for a fork bomb to take the host down.
    pub(crate) fn tasks(self) -> u64 {
        2048 + 256 * u64::from(self.processors)
    }
}

/// What `make-base-vm` was asked for.
#[derive(Clone, Debug)]
pub struct BaseRequest {
    /// For which targets.
    pub target: TargetId,
    /// Where packages come from, instead of the distribution's own mirrors.
    pub mirror: Option<String>,
    /// The keys that sign what the mirror has, instead of the distribution's own.
    pub keyring: Option<PathBuf>,
    /// Size of a disk image in MB, for backends that have one.
    pub disk_mb: u32,
    /// A registry's image to begin with instead of packages, for docker; the target's suite is then this digest.
    pub image_digest: Option<ImageDigest>,
}

/// A guest has ended although nobody told it to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest {target} is gone: something ended its first process")]
pub struct GuestGone {
    /// Which, as in `bookworm-amd64`.
    pub target: String,
}

/// A guest was started and never answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest {target} does not come up: {cause}")]
pub struct GuestNotUp {
    /// Which, as in `bookworm-amd64`.
    pub target: String,
    /// What is known about it: one clause.
    pub cause: String,
    /// The file with all that its kernel wrote, from the working directory.
    pub log: String,
    /// The last lines of that.
    pub last_lines: Vec<String>,
}

/// Something on this host that would stop a build, and the command that mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Problem {
    /// The object and what is wrong with it: one line, lower case, no full stop.
    pub what: String,
    /// What to do next: a command to paste where there is one.
    pub mend: String,
}

/// What long work reports while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new step began: `installing essential packages`.
    Step(String),
}

/// A set of installed packages, kept so that the next build of the same descriptor starts with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Hex digest over everything that decides what is installed (base image, packages, repositories, …); the state
    /// of the repositories is not part of it: whether a kept layer is still current is asked in the guest.
    pub key: String,
}

/// Returns every one of these suites with every architecture of a descriptor.
pub fn suites_and_architectures(descriptor: &Descriptor, suites: &[Suite]) -> Vec<TargetId> {
    let of = |suite: &Suite, architecture| TargetId {
        distro: descriptor.distro.clone(),
        suite: suite.clone(),
        architecture,
    };
    let architectures = &descriptor.architectures;
    suites.iter().flat_map(|suite| architectures.iter().map(move |architecture| of(suite, *architecture))).collect()
}

/// The host's side of a kind of guest.
pub trait Backend {
    /// Returns the name that `--backend` takes.
    fn name(&self) -> &'static str;

    /// Returns the configurations of a descriptor, in the order in which they are built: every suite with every
    /// architecture. A backend that starts from images by digest lets these stand in for suites.
    fn configurations(&self, descriptor: &Descriptor) -> Vec<TargetId> {
        suites_and_architectures(descriptor, &descriptor.suites)
    }

    /// Returns everything on this host that would stop a build for these targets: tools, permissions, base images,
    /// space. Touches nothing. With no targets: what would stop making a base image.
    fn check(&self, targets: &[TargetId]) -> Vec<Problem>;

    /// Returns what the user should know about guests of this kind here, if anything: why they are slow. Asked only when
    /// nothing would stop them.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Makes the base image of a target; an existing one is refused with a [`Problem`], never overwritten.
    fn make_base(&self, request: &BaseRequest, report: &mut dyn FnMut(Event)) -> Result<()>;

    /// Returns the distro of the base image for a suite and architecture, if there is one and it is known.
    fn base_distro(&self, suite: &Suite, architecture: Architecture) -> Result<Option<Distro>>;

    /// Identifies the content of a target's base image (a hex digest): part of a [`Layer`]'s key.
    fn base_id(&self, target: &TargetId) -> Result<String>;

    /// Makes a pristine, stopped target in place of what is there: from `layer` if that is given and kept, else from
    /// the base image. Returns whether it was from the layer.
    fn make_clean(&self, target: &TargetId, layer: Option<&Layer>) -> Result<bool>;

    /// Starts the target that [`make_clean`](Self::make_clean) made, or that an earlier run left.
    fn start(&self, target: &TargetId, resources: Resources) -> Result<Box<dyn Target>>;

    /// Returns the target that runs already in this working directory, if one does.
    fn attach(&self) -> Result<Option<Box<dyn Target>>>;
}

/// Who runs a guest command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestUser {
    /// Guest root.
    Root,
    /// The ordinary user, called after the distro, uid 1000.
    Builder,
}

/// Whether a guest command has the network.
pub use gitian_descriptor::Network;

/// A program to be run in a guest, in the user's home, with an environment of exactly HOME, LOGNAME, PATH, SHELL, USER and
/// what [`env`](Self::env) adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestCommand {
    /// Who runs it.
    pub user: GuestUser,
    /// Program and arguments; no shell looks at them.
    pub argv: Vec<OsString>,
    /// More variables.
    pub env: Vec<(OsString, OsString)>,
    /// Whether it has the network.
    pub network: Network,
}

impl GuestCommand {
    /// Names a program with its arguments, run by this user, with network.
    pub fn new<A: AsRef<OsStr>>(user: GuestUser, argv: impl IntoIterator<Item = A>) -> Self {
        Self {
            user,
            argv: argv.into_iter().map(|arg| arg.as_ref().into()).collect(),
            env: Vec::new(),
            network: Network::On,
        }
    }

    /// Adds a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Says whether it has the network.
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }
}

/// A running guest.
///
/// Files go in and out by [`copy_in`](crate::copy_in) and [`copy_out`](crate::copy_out), tar streams through `run`.
pub trait Target {
    /// Runs a command to its end. Any exit status is an answer; an error means that the question could not be put.
    fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status>;

    /// Keeps the present file system as this layer, for later [`Backend::make_clean`]s, where the backend can; the guest
    /// goes on as it was, but processes in it may be ended.
    fn keep_layer(&mut self, layer: &Layer) -> Result<()>;

    /// Ends the guest and all that runs in it; its file system stays for a later `start`. Works also when we were asked
    /// to stop.
    fn stop(self: Box<Self>) -> Result<()>;

    /// Leaves the guest running after this process has ended (`--skip-cleanup`, `start-target`).
    fn detach(self: Box<Self>) -> Result<()>;

    /// Returns what makes room on the disk that the guest writes to, where that is not the working directory's.
    fn room(&self) -> Option<String> {
        None
    }

    /// Returns what the user should know about a guest that was just started, if anything: why it is slow.
    fn notice(&self) -> Option<String> {
        None
    }
}

/// Returns where the base image for a suite and architecture lies in a working directory, without the backend's own
/// ending.
pub fn base_name(suite: &Suite, architecture: Architecture) -> PathBuf {
    Path::new(&format!("base-{suite}-{}", architecture.debian())).to_owned()
}
