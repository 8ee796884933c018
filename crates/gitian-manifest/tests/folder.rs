//! Folders become manifests as in the original's recorded runs; what leaves the folder or has a strange name is refused.

mod shared;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use gitian_manifest::{Digest, Manifest, Report, Scan};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

fn scan(root: &Path) -> Scan {
    Manifest::of_folder(root, &|_| Ok(())).unwrap()
}

fn write(root: &Path, path: impl AsRef<Path>, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn refused(scan: &Scan) -> Vec<(String, &str)> {
    let of = |refused: &gitian_manifest::Refused| refused.path.to_string_lossy().into_owned();
    scan.refused.iter().map(|refused| (of(refused), &*refused.reason)).collect()
}

/// Returns the recorded out manifest of a run of the original.
fn recorded(run: &str) -> Option<String> {
    let path = shared::data("original/gbuild-stub")?.join(run).join("t1-res.yml");
    Some(Report::read(&fs::read(path).unwrap()).unwrap().out_manifest)
}

#[test]
fn the_recorded_folders_of_the_original_give_its_manifests() {
    for run in ["out-order", "out-single", "out-dirlink", "out-empty", "cache"] {
        let Some(manifest) = recorded(run) else { return };
        let folder = tempfile::tempdir().unwrap();
        // The contents are not recorded: files with the same paths must come out in the same order.
        let parsed = Manifest::parse(&manifest).manifest;
        for entry in &parsed.entries {
            write(folder.path(), &entry.path, "");
        }
        match run {
            "out-dirlink" => symlink("a", folder.path().join("link")).unwrap(),
            "cache" => {
                fs::remove_file(folder.path().join("sub/link")).unwrap();
                symlink("../a-file", folder.path().join("sub/link")).unwrap();
            }
            _ => fs::create_dir(folder.path().join("an-empty-folder")).unwrap(),
        }
        let scan = scan(folder.path());
        let paths = |manifest: &Manifest| manifest.entries.iter().map(|entry| entry.path.clone()).collect::<Vec<_>>();
        assert_eq!((paths(&scan.manifest), scan.refused), (paths(&parsed), vec![]), "{run}");
    }
}

#[test]
fn files_are_listed_with_their_digests_in_the_order_of_path_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [".hidden/.x", "@x+y:z", "B", "a-b", "a.b", "a/b", "a0", "b/-c"];
    for path in paths.iter().rev() {
        write(folder.path(), path, path);
    }
    let read = AtomicU64::new(0);
    let scan = Manifest::of_folder(folder.path(), &|bytes| {
        read.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    })
    .unwrap();
    let lines = paths.map(|path| format!("{}  {path}\n", Digest::of_bytes(path.as_bytes())));
    assert_eq!((scan.manifest.render(), scan.refused), (lines.concat(), vec![]));
    assert_eq!(read.into_inner(), paths.concat().len() as u64);
}

#[test]
fn a_link_counts_while_it_stays_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "sub/file", "content");
    symlink("sub/file", root.join("link")).unwrap();
    symlink("../link", root.join("sub/link-to-link")).unwrap();
    symlink("sub", root.join("folder-link")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    let scan = scan(root);
    let paths: Vec<_> = scan.manifest.entries.iter().map(|entry| &*entry.path).collect();
    assert_eq!((paths, refused(&scan)), (vec!["link", "sub/file", "sub/link-to-link"], vec![]));
    assert!(scan.manifest.entries.iter().all(|entry| entry.digest == Digest::of_bytes(b"content")));
}

#[test]
fn what_leaves_the_folder_or_is_no_file_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("out");
    write(folder.path(), "secret", "secret");
    write(&root, "file", "content");
    for (link, to) in [
        ("absolute", "/etc/passwd"),
        ("absolute-inside", root.join("file").to_str().unwrap()),
        ("above", "../secret"),
        ("above-and-back", "../out/file"),
        ("above-folder", ".."),
        ("through-device", "/dev/zero"),
        ("process", "/proc/self/exe"),
        ("dangling", "nothing"),
        ("below-a-file", "file/x"),
        ("itself", "itself"),
    ] {
        symlink(to, root.join(link)).unwrap();
    }
    mkfifo(&root.join("pipe"), Mode::S_IRUSR).unwrap();
    symlink("pipe", root.join("pipe-link")).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let scan = scan(&root);
    let leaves = "is a link that leaves the folder";
    let no_file = "is neither a file nor a folder";
    let expected = [
        ("above", leaves),
        ("above-and-back", leaves),
        ("above-folder", leaves),
        ("absolute", leaves),
        ("absolute-inside", leaves),
        ("below-a-file", "is a link to nothing"),
        ("dangling", "is a link to nothing"),
        ("itself", "is a link to itself"),
        ("pipe", no_file),
        ("pipe-link", no_file),
        ("process", leaves),
        ("socket", no_file),
        ("through-device", leaves),
    ];
    assert_eq!(refused(&scan), expected.map(|(path, reason)| (path.to_owned(), reason)));
    assert_eq!(scan.manifest.render(), format!("{}  file\n", Digest::of_bytes(b"content")));
}

#[test]
fn a_strange_name_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    for name in [&b"foo bar"[..], b"foo~1.deb", b"new\nline", b"-n", "\u{e4}".as_bytes(), b"\xff", b"fo(o", b"fine"] {
        fs::write(folder.path().join(OsStr::from_bytes(name)), "").unwrap();
    }
    let scan = scan(folder.path());
    let has = |c: &str| format!("has '{c}' in its name; letters, digits and '_@/.:+-' are allowed");
    let expected = [
        ("-n", "has a name that starts with '-'".to_owned()),
        ("fo(o", has("(")),
        ("foo bar", has(" ")),
        ("foo~1.deb", has("~")),
        ("new\nline", has("\\n")),
        ("\u{e4}", has("\u{e4}")),
        ("\u{fffd}", "has a name that is not UTF-8".to_owned()),
    ];
    assert_eq!(refused(&scan), expected.each_ref().map(|(path, reason)| ((*path).to_owned(), &**reason)));
    assert_eq!(scan.manifest.entries.len(), 1);
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    if nix::unistd::geteuid().is_root() {
        return println!("skipped: root may read every file");
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "file", "");
    write(folder.path(), "folder/file", "");
    for name in ["file", "folder"] {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let scan = scan(folder.path());
    let paths: Vec<_> = refused(&scan).into_iter().map(|(path, _)| path).collect();
    assert_eq!((paths, scan.manifest.entries.len()), (vec!["file".to_owned(), "folder".to_owned()], 0));
    fs::set_permissions(folder.path().join("folder"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_it() {
    let error = Manifest::of_folder(Path::new("no/such/folder"), &|_| Ok(())).unwrap_err();
    assert!(format!("{error:#}").starts_with("no/such/folder: "), "{error:#}");
}

/// One file of 512 MiB and 5,000 small ones: the memory of this process stays below 100 MiB.
#[test]
fn many_and_large_files_are_hashed_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let large = fs::File::create(folder.path().join("large")).unwrap();
    large.set_len(512 * 1024 * 1024).unwrap(); // sparse: takes no space
    for number in 0..5_000 {
        write(folder.path(), format!("{:02}/{number}", number % 50), "x");
    }
    let scan = scan(folder.path());
    assert_eq!((scan.manifest.entries.len(), scan.refused.len()), (5_001, 0));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 100 * 1024, "{peak_kib} KiB at most in use");
}
