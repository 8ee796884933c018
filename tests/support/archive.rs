//! A small signed archive under an Ubuntu suite's name: the packages of a bookworm guest, and a few of our own. Made once
//! and kept in the cache, under the digest of this file; the keys that sign it are thrown away then.
//!
//! [`State`]s are whole archives that a mirror can serve one after the other. They share their files by hard links.
//! Packages lie below `pool/<suite>/<component>`, so that one call of apt-ftparchive lists what a suite has.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use gitian_manifest::Digest;

use super::gnupg::Home;
use super::programs::{self, Workdir};

/// The suite; `-updates` and `-security` belong to it.
pub const SUITE: &str = "jammy";

/// What an archive may be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be. `greeting` is 1.0 in the suite and 1.1 in its security archive; `almanac` is 1.0, in the updates'
    /// universe.
    Now,
    /// `almanac` is 1.1, and the file of 1.0 has gone.
    Later,
    /// The suite's Release files were valid until a day in 2022.
    Expired,
    /// The suite's Release files were changed after they had been signed.
    Tampered,
    /// The suite's Release files are signed with a key that nobody has.
    Foreign,
}

/// The archive in all its states.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Finds the archive in the cache, or makes it; `None` where no bookworm guest can be made.
    pub fn open() -> Option<Self> {
        let recipe = Digest::of_bytes(include_bytes!("archive.rs")).to_string();
        let tests = programs::cache().join("gitian/tests");
        let folder = tests.join(format!("ubuntu-{}", &recipe[..16]));
        if !folder.is_dir() {
            for tool in ["apt-ftparchive", "dpkg-deb"] {
                if !Path::new("/usr/bin").join(tool).exists() {
                    super::skip("sandbox", &format!("{tool} is not installed"));
                    return None;
                }
            }
            fs::create_dir_all(&tests).unwrap();
            let half = tempfile::Builder::new().prefix(".ubuntu-").tempdir_in(&tests).unwrap();
            if !make(half.path()) {
                return None;
            }
            // Somebody else may have been faster: then theirs is as good.
            if fs::rename(half.path(), &folder).is_ok() {
                let _moved = half.keep();
            }
        }
        Some(Self { folder })
    }

    /// The folder of the archive in a state: what a mirror's address stands for.
    pub fn root(&self, state: State) -> PathBuf {
        self.folder.join(name(state))
    }

    /// The public key that signs the archive.
    pub fn keyring(&self) -> PathBuf {
        self.folder.join("archive.gpg")
    }

    /// Where a mirror notes its port. The address is part of every base image made from it, so a mirror that comes back
    /// on the same port finds those in the cache.
    pub fn port_note(&self) -> PathBuf {
        self.folder.join("port")
    }

    /// Takes the packages of our own out of the cache of packages, so that they have to be downloaded.
    pub fn forget_own_packages(&self) {
        for file in walkdir::WalkDir::new(self.folder.join("own")).into_iter().map(Result::unwrap) {
            if file.file_type().is_file() {
                let digest = Digest::of_file(file.path()).unwrap();
                // It may not be there.
                fs::remove_file(programs::cache().join("gitian/debs").join(digest.to_string())).ok();
            }
        }
    }
}

fn name(state: State) -> &'static str {
    match state {
        State::Now => "now",
        State::Later => "later",
        State::Expired => "expired",
        State::Tampered => "tampered",
        State::Foreign => "foreign",
    }
}

/// A package of our own: name, version, what it depends on, what it does when it is configured.
struct Own(&'static str, &'static str, &'static str, &'static str);

/// Makes the locale that every guest of Ubuntu has. Source: Ubuntu's language-pack-en-base, which calls locale-gen.
const LOCALE: &str = "localedef --no-archive -i en_US -f UTF-8 en_US.UTF-8";

fn make(folder: &Path) -> bool {
    let now = folder.join("now");
    fs::create_dir_all(now.join("pool").join(SUITE).join("main")).unwrap();
    let Some(keys) = Home::new() else { return false };
    if !download_bookworm(&now.join("pool").join(SUITE).join("main")) {
        return false;
    }
    let own = |place: &str, package: Own| build(&folder.join("own").join(place), &package);
    own("now/pool/jammy/main", Own("language-pack-en", "1:22.04+20240212", "locales", LOCALE));
    own("now/pool/jammy/main", Own("greeting", "1.0", "", "true"));
    own("now/pool/jammy-security/main", Own("greeting", "1.1", "", "true"));
    own("now/pool/jammy-updates/universe", Own("almanac", "1.0", "", "true"));
    own("later/pool/jammy-updates/universe", Own("almanac", "1.1", "", "true"));

    link_tree(&folder.join("own/now"), &now);
    for key in [KEY, STRANGERS_KEY] {
        keys.make_key(key, "ed25519");
    }
    fs::write(folder.join("archive.gpg"), keys.gpg(&["--export", KEY])).unwrap();
    for suite in suites() {
        list_packages(&now, &suite);
        write_release(&now, &suite, None);
        sign(&keys, &now, &suite, KEY);
    }

    let later = folder.join("later");
    link_tree(&now, &later);
    let updates = format!("{SUITE}-updates");
    fs::remove_dir_all(later.join("pool").join(&updates)).unwrap();
    link_tree(&folder.join("own/later"), &later);
    list_packages(&later, &updates);
    write_release(&later, &updates, None);
    sign(&keys, &later, &updates, KEY);

    let release = |root: &Path, file: &str| root.join("dists").join(SUITE).join(file);
    for state in [State::Expired, State::Tampered, State::Foreign] {
        let root = folder.join(name(state));
        link_tree(&now, &root);
        match state {
            State::Expired => {
                write_release(&root, SUITE, Some("Fri, 22 Apr 2022 00:00:00 UTC"));
                sign(&keys, &root, SUITE, KEY);
            }
            State::Foreign => sign(&keys, &root, SUITE, STRANGERS_KEY),
            _ => {
                for file in ["InRelease", "Release"] {
                    let text = fs::read_to_string(release(&root, file)).unwrap();
                    replace(&release(&root, file), text.replace("Codename: jammy", "Codename: jummy").as_bytes());
                }
            }
        }
    }
    true
}

fn suites() -> [String; 3] {
    ["", "-updates", "-security"].map(|ending| format!("{SUITE}{ending}"))
}

/// Downloads every package that a bookworm guest has into a folder. A build does it, since its guest knows them; the cache
/// of packages need not hold all of them. Files are called after their packages: not every name can be an output.
fn download_bookworm(place: &Path) -> bool {
    const DESCRIPTOR: &str = r#"
name: bookworm
distro: debian
suites: [bookworm]
architectures: [amd64]
packages: []
remotes: []
files: []
reference_datetime: "2022-04-21 00:00:00"
script: |
  cd $OUTDIR
  dpkg-query -W -f '${Package}:${Architecture}=${Version}\n' | sed 's/:all=/=/' |
    xargs apt-get -o Acquire::Retries=3 download
  for file in *.deb; do mv $file ${file%%_*}.deb; done
"#;
    let Some(work) = Workdir::with_bookworm() else { return false };
    fs::write(work.path().join("bookworm.yml"), DESCRIPTOR).unwrap();
    let built = work.run("gbuild", &["bookworm.yml"]);
    assert_eq!(built.code, 0, "{}{}", built.stdout, built.stderr);
    let debs: Vec<_> = fs::read_dir(work.path().join("build/out")).unwrap().map(Result::unwrap).collect();
    assert!(debs.len() > 90, "{} packages are not a whole guest", debs.len());
    for deb in debs {
        fs::copy(deb.path(), place.join(deb.file_name())).unwrap();
    }
    true
}

/// Builds a package into a folder.
fn build(place: &Path, Own(package, version, depends, configure): &Own) {
    use std::os::unix::fs::PermissionsExt;
    let tree = tempfile::tempdir().unwrap();
    fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let write = |path: &str, text: &str, mode| {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let depends = if depends.is_empty() { String::new() } else { format!("Depends: {depends}\n") };
    let control = format!(
        "Package: {package}\nVersion: {version}\nArchitecture: all\n{depends}\
         Maintainer: Gitian tests <gitian@example.org>\nDescription: made by Gitian's tests\n"
    );
    write("DEBIAN/control", &control, 0o644);
    write("DEBIAN/postinst", &format!("#!/bin/sh\nset -e\n{configure}\n"), 0o755);
    write(&format!("usr/share/{package}/version"), &format!("{version}\n"), 0o644);
    fs::create_dir_all(place).unwrap();
    let version = version.split_once(':').map_or(*version, |(_, rest)| rest);
    Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([tree.path(), &place.join(format!("{package}_{version}_all.deb"))])
        .env("SOURCE_DATE_EPOCH", "1650499200")
        .assert()
        .success();
}

/// What the archive says otherwise than the package itself: guests get apt because of it.
const OVERRIDES: &str = "apt required admin\n";

/// Writes what packages a suite has.
fn list_packages(root: &Path, suite: &str) {
    let overrides = tempfile::NamedTempFile::new().unwrap();
    fs::write(overrides.path(), OVERRIDES).unwrap();
    for component in ["main", "universe"] {
        let pool = Path::new("pool").join(suite).join(component);
        fs::create_dir_all(root.join(&pool)).unwrap();
        let list = root.join("dists").join(suite).join(component).join("binary-amd64/Packages");
        fs::create_dir_all(list.parent().unwrap()).unwrap();
        let text =
            output(Command::new("apt-ftparchive").arg("packages").arg(pool).arg(overrides.path()).current_dir(root));
        let packed = output(Command::new("gzip").arg("-9n").write_stdin(text.clone()));
        replace(&list, &text);
        replace(&list.with_extension("gz"), &packed);
    }
}

fn write_release(root: &Path, suite: &str, valid_until: Option<&str>) {
    let dists = root.join("dists").join(suite);
    for file in ["Release", "InRelease", "Release.gpg"] {
        // What describes the folder is not part of it.
        fs::remove_file(dists.join(file)).ok();
    }
    let mut command = Command::new("apt-ftparchive");
    let mut field = |name: &str, value: &str| {
        command.arg("-o").arg(format!("APT::FTPArchive::Release::{name}={value}"));
    };
    field("Origin", "Ubuntu");
    field("Label", "Ubuntu");
    field("Suite", suite);
    field("Codename", SUITE);
    field("Version", "22.04");
    field("Architectures", "amd64");
    field("Components", "main universe");
    field("Description", "Ubuntu Jammy 22.04");
    field("Date", "Thu, 21 Apr 2022 17:16:08 UTC");
    let mut text = output(command.arg("release").arg(&dists));
    if let Some(day) = valid_until {
        text.splice(..0, format!("Valid-Until: {day}\n").into_bytes());
    }
    replace(&dists.join("Release"), &text);
}

/// The key of the archive, and one that is in nobody's keyring.
const KEY: &str = "archive";
const STRANGERS_KEY: &str = "stranger";

/// Signs a suite's Release in both forms.
fn sign(keys: &Home, root: &Path, suite: &str, key: &str) {
    let dists = root.join("dists").join(suite);
    let release = dists.join("Release");
    for (signed, how) in [("InRelease", "--clearsign"), ("Release.gpg", "--detach-sign")] {
        let args = ["--local-user", key, "--armor", "--output", "-", how, release.to_str().unwrap()];
        replace(&dists.join(signed), &keys.gpg(&args));
    }
}

fn output(command: &mut Command) -> Vec<u8> {
    command.assert().success().get_output().stdout.clone()
}

/// Writes a file anew, so that others which are linked to it stay as they are.
fn replace(path: &Path, content: &[u8]) {
    fs::remove_file(path).ok();
    fs::write(path, content).unwrap();
}

/// Makes hard links of a whole tree.
fn link_tree(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap) {
        let place = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(place).unwrap();
        } else {
            fs::hard_link(entry.path(), place).unwrap();
        }
    }
}
