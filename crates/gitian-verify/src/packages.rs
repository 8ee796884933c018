//! The packages of a guest, read from the lines of a base manifest: which differ, and which of them make code. Why that
//! matters is known to `explain`.

use std::collections::{BTreeMap, BTreeSet};

use gitian_manifest::{Entry, Manifest};

use crate::deb_version;

/// A package that two guests have in different versions, or that only one has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageChange {
    /// The guest: suite and architecture, such as `bionic-amd64`.
    pub guest: String,
    /// The package.
    pub name: String,
    /// The version in the reference's guest.
    pub reference: Option<String>,
    /// The version in the signer's guest; may be the same, of a package that was built twice.
    pub signer: Option<String>,
    /// Whether the guest has a newer version than this one, so that this one is a file which was left there and is not used.
    pub superseded: bool,
}

impl PackageChange {
    /// Returns whether the package is used, and makes or links code: a compiler, assembler, linker or C library.
    pub fn is_toolchain(&self) -> bool {
        !self.superseded && is_toolchain(&self.name)
    }
}

/// Returns the packages that differ between two base manifests of the same guest: first those that are used, then those that
/// newer versions superseded. A line of the signer's that `harmless` knows is passed over.
pub(crate) fn changes(
    guest: &str,
    reference: &Manifest,
    signer: &Manifest,
    harmless: impl Fn(&PackageChange, Option<&Entry>) -> bool,
) -> (Vec<PackageChange>, usize) {
    let (used_here, used_there) = (used(reference), used(signer));
    let names: BTreeSet<&Package<'_>> = used_here.keys().chain(used_there.keys()).collect();
    let pairs = names.into_iter().map(|package| (used_here.get(package), used_there.get(package)));
    let used = pairs.filter(|(here, there)| here != there).map(|(here, there)| (here.copied(), there.copied(), false));
    let difference = reference.difference(signer);
    let (mut only_here, mut only_there) = (difference.only_here, difference.only_there);
    for changed in difference.changed {
        only_here.push(Entry { digest: changed.here, path: changed.path.clone() });
        only_there.push(Entry { digest: changed.there, path: changed.path });
    }
    let is_left = |entry: &&Entry, used: &BTreeMap<_, &Entry>| used.get(&package(entry)) != Some(entry);
    let left_here = only_here.iter().filter(|entry| is_left(entry, &used_here)).map(|entry| (Some(entry), None, true));
    let left_there =
        only_there.iter().filter(|entry| is_left(entry, &used_there)).map(|entry| (None, Some(entry), true));
    let (mut changes, mut passed_over) = (Vec::new(), 0);
    for (here, there, superseded) in used.chain(left_here).chain(left_there) {
        let name = here.or(there).map(|entry| package(entry).0).unwrap_or_default();
        let version = |entry: Option<&Entry>| entry.map(version);
        let (reference, signer) = (version(here), version(there));
        let change = PackageChange { guest: guest.to_owned(), name: name.to_owned(), reference, signer, superseded };
        if harmless(&change, there) {
            passed_over += 1;
        } else {
            changes.push(change);
        }
    }
    (changes, passed_over)
}

/// Name and architecture.
type Package<'a> = (&'a str, &'a str);

fn package(entry: &Entry) -> Package<'_> {
    let (name, _, architecture) = parts(&entry.path);
    (name, architecture)
}

fn version(entry: &Entry) -> String {
    parts(&entry.path).1.replace("%3a", ":")
}

/// Returns of each package the newest version: a guest that is upgraded keeps the files of those before.
fn used(manifest: &Manifest) -> BTreeMap<Package<'_>, &Entry> {
    let mut newest: BTreeMap<Package<'_>, &Entry> = BTreeMap::new();
    for entry in &manifest.entries {
        let known = newest.entry(package(entry)).or_insert(entry);
        if deb_version::compare(&version(entry), &version(known)).is_gt() {
            *known = entry;
        }
    }
    newest
}

/// Returns name, version and architecture of `gcc-8_8.4.0-1ubuntu1_amd64.deb`.
pub(crate) fn parts(path: &str) -> (&str, &str, &str) {
    let stem = path.strip_suffix(".deb").unwrap_or(path);
    let (name, rest) = stem.split_once('_').unwrap_or((stem, ""));
    let (version, architecture) = rest.rsplit_once('_').unwrap_or((rest, ""));
    (name, version, architecture)
}

/// Returns the distribution of a guest, by the keyring that apt trusts there.
pub(crate) fn distro(manifest: &Manifest) -> Option<&'static str> {
    manifest.entries.iter().find_map(|entry| match parts(&entry.path).0 {
        "debian-archive-keyring" => Some("debian"),
        "ubuntu-keyring" => Some("ubuntu"),
        _ => None,
    })
}

fn is_toolchain(name: &str) -> bool {
    const STEMS: [&str; 24] = [
        "binutils",
        "cctools",
        "clang",
        "cpp",
        "g++",
        "gcc",
        "gfortran",
        "golang",
        "ld64",
        "libbinutils",
        "libc++",
        "libc6",
        "libcc1",
        "libclang",
        "libgcc",
        "libgfortran",
        "libllvm",
        "libstdc++",
        "libstd-rust",
        "lld",
        "llvm",
        "mingw",
        "musl",
        "rustc",
    ];
    const NAMES: [&str; 3] = ["libc-bin", "libc-dev-bin", "linux-libc-dev"];
    let rest = |stem: &&str| name.strip_prefix(*stem);
    // `cpp-8` and `libgcc1`, but not `cpputest`.
    let ends = |rest: &str| rest.bytes().next().is_none_or(|next| next == b'-' || next.is_ascii_digit());
    NAMES.contains(&name) || STEMS.iter().filter_map(rest).any(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_code_is_told_from_the_rest() {
        let toolchain = [
            "gcc",
            "gcc-8",
            "gcc-8-arm-linux-gnueabihf",
            "g++-mingw-w64-x86-64",
            "cpp-8",
            "binutils",
            "binutils-common",
            "libc6",
            "libc6-dev",
            "libc6-dev-i386",
            "libc-bin",
            "libc++-dev",
            "libstdc++6",
            "libgcc1",
            "libgcc-s1",
            "clang-8",
            "libllvm8",
            "llvm-8-dev",
            "mingw-w64-common",
            "linux-libc-dev",
            "rustc",
            "lld-14",
        ];
        let others =
            ["bash", "cpputest", "libc-ares2", "gccgo", "make", "linux-image-amd64", "libcairo2", "python3", ""];
        assert_eq!(toolchain.iter().filter(|name| !is_toolchain(name)).count(), 0);
        assert_eq!(others.iter().filter(|name| is_toolchain(name)).count(), 0);
    }

    #[test]
    fn the_name_of_a_package_file_has_three_parts() {
        for (path, expected) in [
            ("gcc-8_8.4.0-1ubuntu1~18.04_amd64.deb", ("gcc-8", "8.4.0-1ubuntu1~18.04", "amd64")),
            ("automake_1%3a1.15.1-3_all.deb", ("automake", "1%3a1.15.1-3", "all")),
            ("odd", ("odd", "", "")),
            ("odd_1", ("odd", "1", "")),
        ] {
            assert_eq!(parts(path), expected);
        }
    }
}
