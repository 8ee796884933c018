//! The packages of a guest, read from the lines of a base manifest: which differ, and which of them make code. Why that
//! matters is known to `explain`.

use std::collections::BTreeMap;

use gitian_manifest::{Entry, Manifest};

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
}

impl PackageChange {
    /// Returns whether the package makes or links code: a compiler, assembler, linker or C library.
    pub fn is_toolchain(&self) -> bool {
        is_toolchain(&self.name)
    }
}

/// Returns the packages that differ between two base manifests of the same guest. A line of the signer's that `harmless`
/// knows is passed over.
pub(crate) fn changes(
    guest: &str,
    reference: &Manifest,
    signer: &Manifest,
    harmless: impl Fn(&PackageChange, Option<&Entry>) -> bool,
) -> (Vec<PackageChange>, usize) {
    let difference = reference.difference(signer);
    let mut by_name: BTreeMap<(String, String), [Vec<Entry>; 2]> = BTreeMap::new();
    let mut add = |side: usize, entry: Entry| {
        let (name, _, architecture) = parts(&entry.path);
        by_name.entry((name.to_owned(), architecture.to_owned())).or_default()[side].push(entry);
    };
    difference.only_here.into_iter().for_each(|entry| add(0, entry));
    difference.only_there.into_iter().for_each(|entry| add(1, entry));
    for changed in difference.changed {
        add(0, Entry { digest: changed.here, path: changed.path.clone() });
        add(1, Entry { digest: changed.there, path: changed.path });
    }
    let (mut changes, mut passed_over) = (Vec::new(), 0);
    for ((name, _), [here, there]) in by_name {
        for at in 0..here.len().max(there.len()) {
            let version = |entry: Option<&Entry>| entry.map(|entry| parts(&entry.path).1.replace("%3a", ":"));
            let change = PackageChange {
                guest: guest.to_owned(),
                name: name.clone(),
                reference: version(here.get(at)),
                signer: version(there.get(at)),
            };
            if harmless(&change, there.get(at)) {
                passed_over += 1;
            } else {
                changes.push(change);
            }
        }
    }
    (changes, passed_over)
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
