//! Files into a guest and out again; the guest is a folder of the host here, with the real tar.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use gitian_process::{Command, Failure, Status, Streams};
use gitian_vm::{ArchiveRefused, GuestCommand, GuestUser, Layer, Limits, NotPacked, Target, copy_in, copy_out};

const LIMITS: Limits = Limits { bytes: 1 << 30, entries: 100_000 };

/// Runs guest commands in a folder.
struct Folder(PathBuf);

impl Target for Folder {
    fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
        let program = Command::new(&command.argv[0]).args(&command.argv[1..]).folder(&self.0);
        Ok(program.run(streams)?.status)
    }

    fn keep_layer(&mut self, _layer: &Layer) -> Result<()> {
        Ok(())
    }

    fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }

    fn detach(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct Machines {
    _all: tempfile::TempDir,
    host: PathBuf,
    guest: Folder,
}

fn machines() -> Machines {
    let all = tempfile::tempdir().unwrap();
    let (host, guest) = (all.path().join("host"), all.path().join("guest"));
    fs::create_dir(&host).unwrap();
    fs::create_dir_all(guest.join("build")).unwrap();
    fs::create_dir_all(guest.join("out")).unwrap();
    Machines { _all: all, host, guest: Folder(guest) }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn set_time(path: &Path) {
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// Every path below a folder with its kind, x bit, time, and content or target.
fn picture(folder: &Path) -> Vec<String> {
    let mut lines: Vec<String> = walkdir::WalkDir::new(folder)
        .min_depth(1)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let path = entry.path().strip_prefix(folder).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
            let content = match entry.file_type() {
                kind if kind.is_symlink() => format!("-> {}", fs::read_link(entry.path()).unwrap().display()),
                kind if kind.is_dir() => "folder".to_owned(),
                _ => fs::read(entry.path()).unwrap().escape_ascii().to_string(),
            };
            format!("{path} {:o} {} {content}", meta.mode() & 0o100, meta.mtime())
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_tree_that_goes_in_and_comes_out_is_the_same() {
    let Machines { host, guest, .. } = &machines();
    let tree = host.join("tree");
    let deep = tree.join("d".repeat(90)).join("e".repeat(90)).join("é".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(tree.join(".git/refs")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    fs::write(tree.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
    fs::write(tree.join(OsStr::from_bytes(b"latin\xe9\nline break")), "x").unwrap();
    fs::write(tree.join("-option"), "x").unwrap();
    fs::write(tree.join("program"), "#!/bin/sh\n").unwrap();
    fs::write(tree.join("block"), [7; 512]).unwrap();
    fs::write(tree.join("n".repeat(99)), "x").unwrap();
    fs::write(tree.join("m".repeat(100)), "x").unwrap();
    set_mode(&tree.join("program"), 0o700);
    symlink("program", tree.join("link")).unwrap();
    symlink("./a//b/../c", tree.join("odd link")).unwrap();
    symlink("/etc/passwd", tree.join("absolute link")).unwrap();
    symlink("t".repeat(300), tree.join("long link")).unwrap();
    fs::hard_link(tree.join("program"), tree.join("hard link")).unwrap();
    for path in [&tree.join("program"), &tree.join("empty"), &tree] {
        set_time(path);
    }

    copy_in(guest, GuestUser::Builder, &tree, "build").unwrap();
    let inside = guest.0.join("build/tree");
    assert_eq!(picture(&inside).len(), picture(&tree).len());
    // Symbolic links are as old as they are; GNU tar keeps that as well.
    assert_eq!(picture(&inside), picture(&tree));
    assert_eq!(fs::metadata(&inside).unwrap().mtime(), 1_234_567_890);

    let back = host.join("back");
    copy_out(guest, GuestUser::Builder, "build/tree", &back, LIMITS).unwrap();
    assert_eq!(picture(&back), picture(&tree));
    let left: Vec<_> = fs::read_dir(host).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn modes_in_the_guest_do_not_depend_on_those_of_the_host() {
    let Machines { host, guest, .. } = &machines();
    fs::create_dir(host.join("tree")).unwrap();
    for (name, mode) in [("secret", 0o600), ("open", 0o666), ("program", 0o710), ("special", 0o4755)] {
        fs::write(host.join("tree").join(name), "x").unwrap();
        set_mode(&host.join("tree").join(name), mode);
    }
    set_mode(&host.join("tree"), 0o700);
    copy_in(guest, GuestUser::Builder, &host.join("tree"), "build").unwrap();
    let mode = |name: &str| fs::metadata(guest.0.join("build/tree").join(name)).unwrap().mode() & 0o7777;
    assert_eq!(["", "secret", "open", "program", "special"].map(mode), [0o755, 0o644, 0o644, 0o755, 0o755]);
}

#[test]
fn a_file_is_copied_in_also_through_a_link_but_links_in_a_folder_stay_links() {
    let Machines { host, guest, .. } = &machines();
    fs::create_dir_all(host.join("elsewhere/tree")).unwrap();
    fs::write(host.join("elsewhere/big.tar.gz"), "sdk").unwrap();
    fs::write(host.join("elsewhere/tree/file"), "x").unwrap();
    symlink("../big.tar.gz", host.join("elsewhere/tree/link")).unwrap();
    symlink("elsewhere/big.tar.gz", host.join("sdk.tar.gz")).unwrap();
    symlink("elsewhere/tree", host.join("project")).unwrap();
    copy_in(guest, GuestUser::Builder, &host.join("sdk.tar.gz"), "build").unwrap();
    copy_in(guest, GuestUser::Builder, &host.join("project"), "build").unwrap();
    let build = guest.0.join("build");
    assert!(fs::symlink_metadata(build.join("sdk.tar.gz")).unwrap().is_file());
    assert_eq!(fs::read_to_string(build.join("sdk.tar.gz")).unwrap(), "sdk");
    assert!(fs::symlink_metadata(build.join("project")).unwrap().is_dir());
    assert_eq!(fs::read_link(build.join("project/link")).unwrap(), Path::new("../big.tar.gz"));
}

#[test]
fn sockets_are_left_out_and_what_cannot_be_copied_is_named() {
    let Machines { host, guest, .. } = &machines();
    fs::create_dir(host.join("tree")).unwrap();
    let _listener = UnixListener::bind(host.join("tree/socket")).unwrap();
    copy_in(guest, GuestUser::Builder, &host.join("tree"), "build").unwrap();
    assert!(picture(&guest.0.join("build/tree")).is_empty());

    Command::new("mkfifo").arg(host.join("tree/pipe")).text().unwrap();
    let error = format!("{:#}", copy_in(guest, GuestUser::Builder, &host.join("tree"), "build").unwrap_err());
    assert!(error.ends_with("tree/pipe: is neither a file nor a folder nor a link"), "{error}");
    let error = format!("{:#}", copy_in(guest, GuestUser::Builder, &host.join("missing"), "build").unwrap_err());
    assert!(error.contains("host/missing: No such file or directory"), "{error}");
    let error = format!("{:#}", copy_in(guest, GuestUser::Builder, Path::new("/"), "build").unwrap_err());
    assert!(error.contains("/ has no name of its own"), "{error}");
}

#[test]
fn a_folder_that_the_guest_does_not_have_is_told_with_the_words_of_its_tar() {
    let Machines { host, guest, .. } = &machines();
    fs::write(host.join("file"), "x").unwrap();
    fs::create_dir(host.join("out")).unwrap();
    fs::write(host.join("out/kept"), "x").unwrap();
    let into = copy_in(guest, GuestUser::Builder, &host.join("file"), "no/where").unwrap_err();
    let out_of = copy_out(guest, GuestUser::Builder, "no/where", &host.join("out"), LIMITS).unwrap_err();
    for (failure, error) in
        [(into.downcast_ref(), &into), (out_of.downcast_ref().map(|NotPacked(failure)| failure), &out_of)]
    {
        let Some(Failure::ProgramFailed { status, last_lines, .. }) = failure else { panic!("{error:#}") };
        assert_eq!(*status, Status::Exited(2));
        assert!(last_lines[0].contains("no/where: Cannot open: No such file or directory"), "{last_lines:?}");
    }
    assert_eq!(fs::read_to_string(host.join("out/kept")).unwrap(), "x");
}

#[test]
fn what_comes_out_replaces_what_was_there() {
    let Machines { host, guest, .. } = &machines();
    fs::create_dir_all(host.join("out/old")).unwrap();
    fs::write(guest.0.join("out/new"), "x").unwrap();
    copy_out(guest, GuestUser::Builder, "out", &host.join("out"), LIMITS).unwrap();
    assert_eq!(picture(&host.join("out")).len(), 1);
    assert!(host.join("out/new").exists());
    assert_eq!(fs::read_dir(host).unwrap().count(), 1);
}

#[test]
fn a_refused_entry_is_named_and_leaves_what_was_there() {
    let Machines { host, guest, .. } = &machines();
    fs::create_dir(host.join("out")).unwrap();
    fs::write(host.join("out/kept"), "x").unwrap();
    fs::write(guest.0.join("out/a"), "x").unwrap();
    Command::new("mkfifo").arg(guest.0.join("out/pipe")).text().unwrap();
    let error = copy_out(guest, GuestUser::Builder, "out", &host.join("out"), LIMITS).unwrap_err();
    let refused: &ArchiveRefused = error.downcast_ref().unwrap();
    assert_eq!(refused.to_string(), "archive entry './pipe' is a named pipe");
    assert_eq!(picture(&host.join("out")).len(), 1);
    assert_eq!(fs::read_dir(host).unwrap().count(), 1);
}

#[test]
fn an_endless_file_is_ended_at_the_limit() {
    let Machines { host, guest, .. } = &machines();
    fs::File::create(guest.0.join("out/endless")).unwrap().set_len(1 << 40).unwrap();
    let began = Instant::now();
    let error = copy_out(guest, GuestUser::Builder, "out", &host.join("out"), LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "archive entry './endless' makes it more than the 1073741824 bytes allowed");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(fs::read_dir(host).unwrap().count(), 0);
}

#[test]
fn a_tar_that_dies_is_told_as_such() {
    let Machines { host, guest, .. } = &machines();
    /// A guest whose tar writes half an archive.
    struct Dying<'a>(&'a Folder);
    impl Target for Dying<'_> {
        fn run(&self, command: &GuestCommand, streams: Streams<'_>) -> Result<Status> {
            let words: Vec<_> = command.argv.iter().map(|word| word.to_string_lossy()).collect();
            let line = format!("{} | head -c 700; echo 'guest is gone' >&2; exit 255", words.join(" "));
            self.0.run(&GuestCommand::new(command.user, ["sh", "-c", &line]), streams)
        }
        fn keep_layer(&mut self, _layer: &Layer) -> Result<()> {
            Ok(())
        }
        fn stop(self: Box<Self>) -> Result<()> {
            Ok(())
        }
        fn detach(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }
    fs::write(guest.0.join("out/file"), [1; 5000]).unwrap();
    let error = copy_out(&Dying(guest), GuestUser::Builder, "out", &host.join("out"), LIMITS).unwrap_err();
    let Some(Failure::ProgramFailed { status, last_lines, .. }) = error.downcast_ref() else { panic!("{error:#}") };
    assert_eq!((*status, last_lines.last().map(String::as_str)), (Status::Exited(255), Some("guest is gone")));
    assert!(!host.join("out").exists());
}
