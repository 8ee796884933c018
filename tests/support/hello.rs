//! GNU hello: the tarball of Debian's source package, fetched by a build of ours, and the git repository that the
//! recorded runs were made with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use gitian_manifest::Digest;

use super::programs;

/// The recorded digest of the tarball.
const SHA256: &str = "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b";
/// The recorded commit that the tarball's content makes.
const COMMIT: &str = "d26cb142d0c81e67ea517e4d4996d5b108660118";

/// Why there may be no repository.
pub const WHY_NOT: &str = "GNU hello's source could not be had";

/// The tarball, fetched once and kept in the cache.
pub fn tarball() -> Option<PathBuf> {
    static ONCE: OnceLock<Option<PathBuf>> = OnceLock::new();
    ONCE.get_or_init(|| {
        let kept = programs::cache().join("gitian/tests/hello_2.10.orig.tar.gz");
        if !is_right(&kept) {
            let work = programs::Workdir::with_bookworm()?;
            let descriptor = super::checkout().join("share/examples/hello/source.yml");
            let built = work.run("gbuild", &[descriptor.to_str().unwrap()]);
            assert_eq!(built.code, 0, "{}{}", built.stdout, built.stderr);
            fs::create_dir_all(kept.parent().unwrap()).unwrap();
            let partial = kept.with_extension(format!("{}.partial", std::process::id()));
            fs::copy(work.path().join("build/out/hello_2.10.orig.tar.gz"), &partial).unwrap();
            fs::rename(&partial, &kept).unwrap();
        }
        assert!(is_right(&kept), "{} has another digest than the recorded one", kept.display());
        Some(kept)
    })
    .clone()
}

fn is_right(path: &Path) -> bool {
    Digest::of_file(path).is_ok_and(|digest| digest.to_string() == SHA256)
}

/// A bare repository with the recorded commit as `master` and `v2.10`, and the annotated tag `v2.10-annot`; made once and
/// kept in the cache.
pub fn repository() -> Option<PathBuf> {
    static ONCE: OnceLock<Option<PathBuf>> = OnceLock::new();
    ONCE.get_or_init(|| {
        let tarball = tarball()?;
        let kept = tarball.with_file_name("hello.git");
        if !kept.exists() {
            let folder = tempfile::tempdir_in(tarball.parent().unwrap()).unwrap();
            let bare = make_repository(&tarball, folder.path());
            // Another test program may have been quicker; both made the same.
            fs::rename(&bare, &kept).or_else(|error| if kept.exists() { Ok(()) } else { Err(error) }).unwrap();
        }
        let head = fs::read_to_string(kept.join("packed-refs")).unwrap();
        assert!(head.contains(&format!("{COMMIT} refs/heads/master")), "{head}");
        Some(kept)
    })
    .clone()
}

fn make_repository(tarball: &Path, folder: &Path) -> PathBuf {
    let tree = folder.join("tree");
    fs::create_dir(&tree).unwrap();
    Command::new("tar")
        .args(["xzf", tarball.to_str().unwrap(), "--strip-components=1"])
        .current_dir(&tree)
        .assert()
        .success();
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(args)
            .current_dir(&tree)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Gitian").env(format!("GIT_{who}_EMAIL"), "g@example.org");
            command.env(format!("GIT_{who}_DATE"), "1416139200 +0100");
        }
        command.assert().success();
    };
    git(&["-c", "init.defaultBranch=master", "init", "-q"]);
    git(&["add", "-A", "-f"]);
    git(&["commit", "-q", "-m", "Import hello 2.10"]);
    git(&["tag", "v2.10"]);
    git(&["tag", "-a", "v2.10-annot", "-m", "hello 2.10"]);
    let bare = folder.join("hello.git");
    git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    bare
}
