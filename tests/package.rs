//! What is handed out: `make install`, the Debian package on a fresh Debian 12, the gverify without libraries.

#![expect(clippy::disallowed_methods, reason = "a test runs what a user would")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use gitian_cli::programs::PROGRAMS;
use gitian_manifest::Digest;

use crate::support;
use crate::support::gnupg::Home;
use crate::support::programs::{Answer, Workdir};

/// Manual pages and completions of today's programs, for all tests once; false where what writes them is not built.
static PAGES: LazyLock<bool> = LazyLock::new(|| {
    let built = support::checkout().join("target/release/gitian-pages").exists();
    if built {
        let output = make(&["pages"]);
        assert!(output.status.success(), "{}", told(&output));
    }
    built
});

fn built() -> bool {
    if !*PAGES {
        support::skip("pages", "gitian-pages is not built (make build)");
    }
    *PAGES
}

fn make(args: &[&str]) -> Output {
    Command::new("make").arg("--silent").args(args).current_dir(support::checkout()).output().unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Everything below a folder that is not a folder itself.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| entry.unwrap());
    all.filter(|entry| !entry.file_type().is_dir()).map(|entry| entry.into_path()).collect()
}

#[test]
fn an_installation_has_every_program_with_its_page_and_completions_and_can_be_removed() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let destdir = format!("DESTDIR={}", folder.path().display());
    let installed = make(&["install", &destdir, "PREFIX=/opt/gitian"]);
    assert!(installed.status.success() && installed.stderr.is_empty(), "{}", told(&installed));
    let prefix = folder.path().join("opt/gitian");
    for program in PROGRAMS {
        let name = program.name;
        let place = ["bin", "libexec/gitian"].map(|folder| prefix.join(folder).join(name));
        let [Some(file), None] = ({
            let mut found = place.into_iter().filter(|place| place.exists());
            [found.next(), found.next()]
        }) else {
            panic!("{name} is not installed once");
        };
        let said = Command::new(file).arg("--version").output().unwrap();
        assert_eq!(told(&said), format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
        for file in [
            format!("man/man1/{name}.1"),
            format!("bash-completion/completions/{name}"),
            format!("zsh/site-functions/_{name}"),
            format!("fish/vendor_completions.d/{name}.fish"),
        ] {
            assert!(prefix.join("share").join(&file).is_file(), "{file} is not installed");
        }
    }
    let removed = make(&["uninstall", &destdir, "PREFIX=/opt/gitian"]);
    assert!(removed.status.success(), "{}", told(&removed));
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new(), "left");
    for folder in ["lib/gitian", "libexec/gitian", "etc/gitian", "share/doc/gitian"] {
        assert!(!prefix.join(folder).exists(), "{folder} is left");
    }
}

#[test]
fn what_somebody_changed_or_added_stays_when_programs_are_installed_again_or_removed() {
    if !built() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let destdir = format!("DESTDIR={}", folder.path().display());
    let prefix = folder.path().join("usr/local");
    let (settings, mine) = (prefix.join("etc/gitian/lxc.config.in"), prefix.join("share/doc/gitian/examples/mine"));
    let new = settings.with_extension("in.new");
    let make = |what: &str| {
        let output = make(&[what, &destdir, "PREFIX=/usr/local"]);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", told(&output));
        told(&output)
    };
    assert_eq!(make("install"), "");
    let own = fs::read(&settings).unwrap();
    for text in ["changed\n", "changed again\n"] {
        fs::write(&settings, text).unwrap();
        let said = make("install");
        assert!(said.contains("lxc.config.in is not this version's, and stays; this version's is "), "{said}");
        assert_eq!(fs::read_to_string(&settings).unwrap(), text);
        assert_eq!(fs::read(&new).unwrap(), own);
    }
    fs::write(&settings, &own).unwrap();
    assert_eq!((make("install"), new.exists()), (String::new(), false));
    fs::write(&settings, "changed\n").unwrap();
    fs::write(&mine, "").unwrap();
    let said = make("uninstall");
    assert!(said.contains("lxc.config.in is not this version's, and stays"), "{said}");
    assert_eq!(files(folder.path()), [settings, mine]);
}

#[test]
fn everybody_may_read_what_is_installed_whatever_the_umask() {
    if !built() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let script = "umask 077; exec make --silent install DESTDIR=\"$0\" PREFIX=/usr";
    let output = Command::new("sh").args(["-c", script]).arg(&root).current_dir(support::checkout()).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    for entry in walkdir::WalkDir::new(&root).min_depth(1).into_iter().map(Result::unwrap) {
        let mode = entry.path().symlink_metadata().unwrap().permissions().mode() & 0o7777;
        let runs = mode & 0o100 != 0;
        let expected = if entry.file_type().is_symlink() {
            0o777
        } else if runs {
            0o755
        } else {
            0o644
        };
        assert_eq!(mode, expected, "{}", entry.path().display());
    }
    assert!(root.join("usr/share/doc/gitian/examples/demo").metadata().unwrap().permissions().mode() & 0o111 != 0);
}

/// Packs the programs that are built.
fn pack(folder: &Path) -> PathBuf {
    let script = support::checkout().join("share/debian/pack");
    let output = Command::new(script).arg(folder).env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

/// A tree in which two people vouch for a file, with their keys.
fn tree(sigs: &Path) -> Option<Home> {
    let home = Home::new()?;
    fs::create_dir_all(sigs.join("builder-keys")).unwrap();
    for name in ["alice", "bob"] {
        home.make_key(name, "ed25519");
        home.export(name, &sigs.join("builder-keys"));
        let place = sigs.join("1.0").join(name);
        fs::create_dir_all(&place).unwrap();
        let assertion = place.join("app-build.assert");
        let digest = Digest::of_bytes(b"the right bytes\n");
        let text = format!("--- !!omap\n- out_manifest: |\n    {digest}  app.zip\n- release: '1.0'\n- name: app\n");
        fs::write(&assertion, text).unwrap();
        home.gpg(&["-u", name, "--detach-sign", assertion.to_str().unwrap()]);
    }
    Some(home)
}

/// What gverify says about that tree.
const OK: [&str; 2] = ["alice: OK", "bob: OK"];

fn verdicts(stdout: &str) -> Vec<&str> {
    stdout.lines().filter(|line| !line.is_empty()).collect()
}

/// A guest that is stopped at the end, whatever a test finds.
struct Guest(Workdir);

impl Guest {
    fn run(&self, args: &[&str]) -> Answer {
        self.0.run("on-target", args)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.run("stop-target", &[]);
    }
}

#[test]
fn a_fresh_debian_installs_the_package_and_verifies_reads_and_completes_with_it() {
    if !built() {
        return;
    }
    let Some(work) = Workdir::with_bookworm() else { return };
    let Some(_home) = tree(&work.path().join("sigs")) else { return };
    let package = pack(work.path());
    let descriptor = work.descriptor("packages: [bash-completion, man-db]\n", "true");
    work.run("gbuild", &["--skip-cleanup", descriptor]).succeeds();
    let guest = Guest(work);

    let name = package.file_name().unwrap().to_str().unwrap();
    guest.0.run("copy-to-target", &["-u", "root", name, "/root/"]).succeeds();
    let place = format!("/root/{name}");
    guest.run(&["-u", "root", "apt-get", "install", "-y", "--no-install-recommends", &place]).succeeds();
    let state = guest.run(&["dpkg-query", "-W", "-f", "${db:Status-Status} ${Maintainer}", "gitian"]).succeeds();
    assert!(state.stdout.starts_with("installed "), "{}", state.stdout);
    assert_eq!(guest.run(&["dpkg", "--verify", "gitian"]).succeeds().stdout, "");

    guest.0.run("copy-to-target", &["sigs", "."]).succeeds();
    let verified = guest.run(&["gverify", "--destination", "sigs", "--release", "1.0", "--name", "app"]).succeeds();
    assert_eq!(verdicts(&verified.stdout), OK, "{}", verified.stderr);
    assert_eq!(guest.run(&["/usr/libexec/gitian/on-target", "true"]).code, 1, "no target runs in a guest");

    let settings = guest.run(&["dpkg-query", "-W", "-f", "${Conffiles}", "gitian"]).succeeds();
    assert!(settings.stdout.contains(" /etc/gitian/lxc.config.in "), "{}", settings.stdout);

    for page in ["gbuild", "gitian-verify", "on-target"] {
        let read = guest.run(&["-e", "MANPAGER=cat", "man", page]).succeeds();
        assert!(read.stdout.contains("SYNOPSIS") && read.stderr.is_empty(), "{page}: {}{}", read.stdout, read.stderr);
    }
    // As the shell does it when someone presses Tab after `gbuild --skip-`.
    let pressed = ". /usr/share/bash-completion/bash_completion; _completion_loader gbuild
        COMP_WORDS=(gbuild --skip-); COMP_CWORD=1; _gbuild gbuild --skip- gbuild; echo ${COMPREPLY[*]}";
    let completed = guest.run(&["bash", "-c", pressed]).stdout;
    assert_eq!(completed, "--skip-image --skip-fetch --skip-cleanup\n");

    guest.run(&["-u", "root", "apt-get", "purge", "-y", "gitian"]).succeeds();
    assert_eq!(guest.run(&["sh", "-c", "ls -d /etc/gitian /usr/*/gitian* /usr/bin/gbuild 2>/dev/null"]).stdout, "");
}

#[test]
fn a_package_is_packed_in_the_same_bytes_and_lintian_finds_nothing() {
    if !built() {
        return;
    }
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let [first, second] = [0, 1].map(|n: usize| pack(folders[n].path()));
    assert_eq!(Digest::of_file(&first).unwrap(), Digest::of_file(&second).unwrap());
    let Ok(found) =
        Command::new("lintian").args(["--allow-root", "--info", "--fail-on", "error,warning"]).arg(first).output()
    else {
        return support::skip("pages", "lintian is not installed");
    };
    assert!(found.status.success() && found.stdout.is_empty(), "{}", told(&found));
}

#[test]
fn the_gverify_without_libraries_verifies_where_there_is_nothing_else() {
    let file = support::checkout().join("dist/gverify");
    if !file.exists() {
        return support::skip("static", "dist/gverify is not built (make static)");
    }
    let root = tempfile::tempdir().unwrap();
    let Some(_home) = tree(&root.path().join("sigs")) else { return };
    fs::copy(file, root.path().join("gverify")).unwrap();
    let mut alone = Command::new("unshare");
    alone.args(["--map-root-user", "chroot"]).arg(root.path()).arg("/gverify");
    alone.args(["--destination", "/sigs", "--release", "1.0", "--name", "app"]).env_clear();
    alone.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let verified = alone.output().unwrap();
    assert_eq!(verdicts(&String::from_utf8_lossy(&verified.stdout)), OK, "{}", told(&verified));
}
