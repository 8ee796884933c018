//! What a descriptor says, with every name checked.

use crate::{
    Architecture, Commit, DebianPackage, Distro, ImageDigest, InputName, PackageName, ReferenceDatetime, RemoteDir,
    Suite, Url,
};

/// A descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// `name`.
    pub name: PackageName,
    /// `distro`, default `ubuntu`.
    pub distro: Distro,
    /// `suites`, at least one (or `docker_image_digests`).
    pub suites: Vec<Suite>,
    /// `architectures`, at least one.
    pub architectures: Vec<Architecture>,
    /// `packages`, as written, duplicates kept.
    pub packages: Vec<DebianPackage>,
    /// `multiarch`: Debian architectures to add to the guest.
    pub multiarch: Vec<DebianPackage>,
    /// `repositories`.
    pub repositories: Vec<Repository>,
    /// `alternatives`.
    pub alternatives: Vec<Alternative>,
    /// `sudo`: the script wants password-less sudo (given only with `--allow-sudo`).
    pub sudo: bool,
    /// `enable_cache`.
    pub enable_cache: bool,
    /// `reference_datetime`; always there when there are no remotes.
    pub reference_datetime: Option<ReferenceDatetime>,
    /// `remotes`.
    pub remotes: Vec<Remote>,
    /// `files`, below `inputs/`.
    pub files: Vec<InputName>,
    /// `script`, byte for byte.
    pub script: String,
    /// `optionals`: outputs that may be missing in a download; `None` when the key is absent.
    pub optionals: Option<Vec<String>>,
    /// `docker_image_digests`, empty or as many as `suites`.
    pub docker_image_digests: Vec<ImageDigest>,
    /// `source_date_epoch`: export `SOURCE_DATE_EPOCH` to the script. Ours; the original ignores it.
    pub source_date_epoch: bool,
    /// `network`: whether the script has it. Ours; the original ignores it.
    pub network: Network,
}

/// Whether a script can reach the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// As the host can.
    On,
    /// Not at all; only its own loopback.
    Off,
}

/// A git repository that a descriptor builds from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is fetched from.
    pub url: Url,
    /// Where it lies below `inputs/` and in the guest's `build/`.
    pub dir: RemoteDir,
    /// What is built, unless `--commit` says otherwise.
    pub commit: Option<Commit>,
}

/// A package repository that a descriptor adds to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The line for the sources list: `deb http://… suite component`.
    pub source: String,
    /// What `apt-get install -t` is given.
    pub distribution: String,
    /// What is installed from it.
    pub packages: Vec<DebianPackage>,
}

/// An alternative (`update-alternatives --set package path`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The name of the link group.
    pub package: String,
    /// What it shall point to.
    pub path: String,
}
