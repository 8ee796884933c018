//! The same tree, packed by everybody's tools in every order, with other times, owners and modes: one archive.
//!
//! `GITIAN_TEST_TREES` says how many trees, if 200 are not to be enough.

mod made;

use std::fs;
use std::path::{Path, PathBuf};

use gitian_canon::{Format, Limits, Order, Rules, canonicalise};

use made::{Dice, Node, Tree, have, lay_out, python, read, run, set_modes, tree};

/// What a tar may begin with, which is the name of its first entry, and other archives and compressions do begin with.
const MARKS: [&str; 6] = ["0707-notes.txt", "070701", "PK\u{5}\u{6}", "PK\u{3}\u{4}x", "BZh-notes.txt", "]"];

const TIME: i64 = 1_400_000_000;

fn trees() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    let wanted = std::env::var("GITIAN_TEST_TREES");
    wanted.map_or(200, |count| count.parse().unwrap())
}

fn canon(input: &Path, output: &Path, format: Option<Format>) -> Vec<u8> {
    let order = Order { input, output, format, rules: Rules::at(TIME), limits: Limits::default() };
    canonicalise(&order).unwrap_or_else(|error| panic!("{}: {error:#}", input.display()));
    fs::read(output).unwrap()
}

/// One way to pack: a folder, a list of paths with zero bytes, where to.
type Packer = (&'static str, fn(&Path, &[u8], &str));

fn python(format: &str, folder: &Path, list: &[u8], out: &str) {
    let list = std::str::from_utf8(list).unwrap();
    python::pack(format, folder, &list.split_terminator('\0').collect::<Vec<_>>(), Path::new(out));
}

fn lines(list: &[u8]) -> Vec<u8> {
    list.iter().map(|byte| if *byte == 0 { b'\n' } else { *byte }).collect()
}

const TARS: [Packer; 6] = [
    ("GNU tar", |folder, list, out| {
        let args = ["--null", "--no-recursion", "-T", "-", "--owner=somebody:1001", "--group=others:2002", "-cf", out];
        run("tar", &args, folder, list);
    }),
    ("GNU tar, pax", |folder, list, out| {
        let args = ["--null", "--no-recursion", "--format=pax", "-T", "-", "--xattrs", "-cf", out];
        run("tar", &args, folder, list);
    }),
    ("bsdtar, pax", |folder, list, out| {
        let args = ["--null", "-n", "--format=pax", "--uid", "77", "--gname", "x", "-T", "-", "-cf", out];
        run("bsdtar", &args, folder, list);
    }),
    ("bsdtar, gnutar", |folder, list, out| {
        run("bsdtar", &["--null", "-n", "--format=gnutar", "-T", "-", "-cf", out], folder, list);
    }),
    ("Python", |folder, list, out| python("tar", folder, list, out)),
    ("7z", |folder, _, out| run("7z", &["a", "-bd", "-ttar", "-snl", out, "."], folder, b"")),
];

const ZIPS: [Packer; 4] = [
    ("zip", |folder, list, out| run("zip", &["-qy", out, "-@"], folder, &lines(list))),
    ("bsdtar", |folder, list, out| {
        run("bsdtar", &["--null", "-n", "--format=zip", "-T", "-", "-cf", out], folder, list);
    }),
    ("Python", |folder, list, out| python("zip", folder, list, out)),
    ("7z", |folder, _, out| run("7z", &["a", "-bd", "-tzip", "-snl", "-mx=1", "-mcu=on", out, "."], folder, b"")),
];

const CPIOS: [Packer; 3] = [
    ("GNU cpio", |folder, list, out| {
        run("cpio", &["-0", "--quiet", "-o", "-H", "newc", "-R", "12:34", "-F", out], folder, list);
    }),
    ("bsdcpio", |folder, list, out| {
        run("bsdcpio", &["-0", "--quiet", "-o", "-H", "newc", "-O", out], folder, list);
    }),
    ("Python", |folder, list, out| python("cpio", folder, list, out)),
];

/// Packs a tree in every way, and returns the canonical form, which is the same for all.
fn same(tree: &Tree, packers: &[Packer], format: &str, work: &Path, dice: &mut Dice) -> PathBuf {
    let mut first: Option<(Vec<u8>, &str)> = None;
    let kind = format.split('.').next().unwrap();
    for (index, (name, pack)) in packers.iter().enumerate() {
        let folder = work.join(format!("{kind}-{index}"));
        lay_out(tree, &folder, dice);
        let mut paths: Vec<&String> = tree.keys().collect();
        dice.shuffle(&mut paths);
        let list: Vec<u8> = paths.iter().flat_map(|path| path.bytes().chain([0])).collect();
        let mut packed = work.join(format!("{index}.{kind}"));
        pack(&folder, &list, packed.to_str().unwrap());
        if kind != "zip" {
            packed = compress(&packed, dice);
        }
        let canonical = canon(&packed, &work.join("canonical"), Some(format.parse().unwrap()));
        match &first {
            None => first = Some((canonical, name)),
            Some((expected, other)) => {
                if *expected != canonical {
                    let kept = work.join(format!("other.{format}"));
                    fs::write(&kept, expected).unwrap();
                    panic!("{name} and {other} differ: {tree:?}");
                }
            }
        }
    }
    let canonical = work.join(format!("canonical.{format}"));
    let (expected, _) = first.unwrap();
    fs::write(&canonical, &expected).unwrap();
    assert_eq!(canon(&canonical, &work.join("again"), None), expected, "it is its own canonical form");
    canonical
}

fn compress(path: &Path, dice: &mut Dice) -> PathBuf {
    let name = path.to_str().unwrap();
    let folder = path.parent().unwrap();
    // Starting programs is what takes the time here: as many archives are not compressed as are.
    let end = match dice.upto(6) {
        0 => {
            run("gzip", &[name], folder, b"");
            "gz"
        }
        1 => {
            run("xz", &[name], folder, b"");
            "xz"
        }
        2 => {
            run("zstd", &["-q", "--rm", name], folder, b"");
            "zst"
        }
        _ => return path.to_owned(),
    };
    PathBuf::from(format!("{name}.{end}"))
}

/// One way to unpack: an archive, into a folder.
type Unpacker = (&'static str, fn(&Path, &Path));

const UNTARS: [Unpacker; 3] = [
    ("GNU tar", |archive, folder| run("tar", &["-xpf", archive.to_str().unwrap()], folder, b"")),
    ("bsdtar", |archive, folder| run("bsdtar", &["-xpf", archive.to_str().unwrap()], folder, b"")),
    ("Python", python::unpack_tar),
];

const UNZIPS: [Unpacker; 2] = [
    ("unzip", |archive, folder| run("unzip", &["-q", archive.to_str().unwrap()], folder, b"")),
    ("bsdtar", |archive, folder| run("bsdtar", &["-xpf", archive.to_str().unwrap()], folder, b"")),
];

const UNCPIOS: [Unpacker; 2] = [
    ("bsdcpio", |archive, folder| {
        run("bsdcpio", &["-idm", "--quiet", "-F", archive.to_str().unwrap()], folder, b"");
    }),
    ("GNU cpio", |archive, folder| {
        run("cpio", &["-idm", "--quiet", "-F", archive.to_str().unwrap()], folder, b"");
    }),
];

/// Unpacks with others' tools, and compares.
fn unpacks_to(tree: &Tree, work: &Path, unpackers: &[Unpacker], canonical: &Path) {
    for (index, (name, unpack)) in unpackers.iter().enumerate() {
        let folder = work.join(format!("unpacked-{index}"));
        fs::create_dir(&folder).unwrap();
        unpack(canonical, &folder);
        assert_eq!(read(&folder), *tree, "unpacked by {name}");
    }
}

/// A folder for many small files that are soon gone: in memory where there is such a place, which halves the time.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn each_tree(test: impl Fn(Tree, &Path, &mut Dice)) {
    for seed in 0..trees() {
        let work = in_memory();
        let mut dice = Dice::new(seed + 1);
        let tree = tree(&mut dice);
        test(tree, work.path(), &mut dice);
    }
}

#[test]
fn tars_of_a_tree_are_the_same_whoever_made_them() {
    if !have(&["tar", "bsdtar", "python3", "7z", "gzip", "xz", "zstd"]) {
        return;
    }
    each_tree(|mut tree, work, dice| {
        let format = *dice.of(&["tar", "tar.gz", "tar.xz", "tar.zst"]);
        if dice.upto(10) == 0 {
            // Nothing sorts before it.
            let mark = *dice.of(&MARKS);
            tree = tree.split_off(mark);
            tree.insert(mark.into(), Node::File { bytes: mark.into(), runs: false });
        }
        let canonical = same(&tree, &TARS, format, work, dice);
        // Python knows no zstd.
        let unpackers = if format == "tar.zst" { &UNTARS[..2] } else { &UNTARS[..] };
        unpacks_to(&tree, work, unpackers, &canonical);
    });
}

#[test]
fn zips_of_a_tree_are_the_same_whoever_made_them() {
    if !have(&["zip", "unzip", "bsdtar", "python3", "7z"]) {
        return;
    }
    each_tree(|tree, work, dice| {
        let canonical = same(&tree, &ZIPS, "zip", work, dice);
        unpacks_to(&tree, work, &UNZIPS, &canonical);
        run("7z", &["t", canonical.to_str().unwrap()], work, b"");
    });
}

#[test]
fn cpios_of_a_tree_are_the_same_whoever_made_them() {
    if !have(&["cpio", "bsdcpio", "python3", "gzip", "xz", "zstd"]) {
        return;
    }
    each_tree(|tree, work, dice| {
        let format = *dice.of(&["cpio", "cpio.gz", "cpio.xz", "cpio.zst"]);
        let canonical = same(&tree, &CPIOS, format, work, dice);
        // GNU cpio unpacks nothing that is compressed.
        let unpackers = if format == "cpio" { &UNCPIOS[..] } else { &UNCPIOS[..1] };
        unpacks_to(&tree, work, unpackers, &canonical);
    });
}

#[test]
fn packages_of_a_tree_are_the_same_whoever_made_them() {
    if !have(&["dpkg-deb", "ar", "tar", "gzip", "xz", "zstd"]) {
        return;
    }
    const CONTROL: &str =
        "Package: trial\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: trial\n";
    each_tree(|tree, work, dice| {
        let (flag, end) = *dice.of(&[("-Zgzip", ".gz"), ("-Zxz", ".xz"), ("-Znone", ""), ("-Zzstd", ".zst")]);
        let root = work.join("root");
        lay_out(&tree, &root, dice);
        // Modes are what is installed, not who packed it: the same for both.
        set_modes(&tree, &root);
        let control = work.join("control");
        fs::create_dir(&control).unwrap();
        fs::write(control.join("control"), CONTROL).unwrap();
        // By hand: any order, other dialects, other owners.
        let mut paths: Vec<&String> = tree.keys().collect();
        dice.shuffle(&mut paths);
        let list: Vec<u8> = paths.iter().flat_map(|path| path.bytes().chain([0])).collect();
        let (inner, outer) = (work.join("data.tar"), work.join("control.tar"));
        (dice.of(&TARS[..5]).1)(&root, &list, inner.to_str().unwrap());
        run("tar", &["-cf", outer.to_str().unwrap(), "--format=pax", "control"], &control, b"");
        fs::write(work.join("debian-binary"), "2.0\n").unwrap();
        for file in [&inner, &outer] {
            let name = file.to_str().unwrap();
            match end {
                ".gz" => run("gzip", &[name], work, b""),
                ".xz" => run("xz", &[name], work, b""),
                ".zst" => run("zstd", &["-q", "--rm", name], work, b""),
                _ => {}
            }
        }
        let members = ["debian-binary".to_owned(), format!("control.tar{end}"), format!("data.tar{end}")];
        let args: Vec<&str> = ["rcU", "hand.deb"].into_iter().chain(members.iter().map(String::as_str)).collect();
        run("ar", &args, work, b"");
        // By dpkg-deb.
        let debian = root.join("DEBIAN");
        fs::create_dir(&debian).unwrap();
        fs::write(debian.join("control"), CONTROL).unwrap();
        fs::set_permissions(&debian, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        run("dpkg-deb", &[flag, "--build", root.to_str().unwrap(), "theirs.deb"], work, b"");
        let theirs = canon(&work.join("theirs.deb"), &work.join("one.deb"), None);
        assert!(
            theirs == canon(&work.join("hand.deb"), &work.join("other.deb"), None),
            "dpkg-deb and by hand differ: {tree:?}"
        );
        assert!(theirs == canon(&work.join("one.deb"), &work.join("again.deb"), None), "it is its own canonical form");
        let unpacked = work.join("unpacked");
        run("dpkg-deb", &["--raw-extract", "one.deb", unpacked.to_str().unwrap()], work, b"");
        let control = Node::File { bytes: CONTROL.into(), runs: false };
        let meta = [("DEBIAN".to_owned(), Node::Folder), ("DEBIAN/control".to_owned(), control)];
        assert_eq!(read(&unpacked), tree.into_iter().chain(meta).collect());
    });
}

#[test]
fn files_with_several_names_stay_one_file() {
    if !have(&["tar", "bsdtar", "python3", "cpio", "bsdcpio"]) {
        return;
    }
    use std::os::unix::fs::MetadataExt;
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    let folder = work.join("tree");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("m"), "shared").unwrap();
    fs::write(folder.join("other"), "alone").unwrap();
    fs::hard_link(folder.join("m"), folder.join("a")).unwrap();
    fs::hard_link(folder.join("m"), folder.join("z")).unwrap();
    let orders = [["m", "a", "z", "other"], ["z", "other", "m", "a"], ["a", "z", "other", "m"]];
    let packers =
        TARS[..5].iter().map(|packer| (packer, "tar")).chain(CPIOS[..2].iter().map(|packer| (packer, "cpio")));
    let mut seen: std::collections::HashMap<&str, Vec<u8>> = Default::default();
    for ((name, pack), format) in packers {
        for order in orders {
            let list: Vec<u8> = order.iter().flat_map(|path| path.bytes().chain([0])).collect();
            let packed = work.join("packed");
            fs::remove_file(&packed).ok();
            pack(&folder, &list, packed.to_str().unwrap());
            let canonical = canon(&packed, &work.join(format), None);
            let expected = seen.entry(format).or_insert_with(|| canonical.clone());
            assert!(*expected == canonical, "{name} {order:?}");
        }
    }
    for (format, program, args) in
        [("tar", "tar", &["-xf", "../tar"][..]), ("cpio", "cpio", &["-id", "--quiet", "-F", "../cpio"])]
    {
        let unpacked = work.join(format!("{format}-unpacked"));
        fs::create_dir(&unpacked).unwrap();
        run(program, args, &unpacked, b"");
        let inode = |name: &str| unpacked.join(name).metadata().unwrap().ino();
        assert!(inode("a") == inode("m") && inode("m") == inode("z") && inode("a") != inode("other"), "{format}");
        assert_eq!(fs::read_to_string(unpacked.join("m")).unwrap(), "shared");
    }
}

#[test]
fn an_initial_ram_disk_keeps_its_archives_apart_and_in_order() {
    if !have(&["cpio", "bsdcpio", "gzip", "xz"]) {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    for (folder, files) in
        [("early", &["kernel/x86/microcode.bin"][..]), ("main", &["init", "etc/fstab", "kernel/x86/microcode.bin"])]
    {
        for file in files {
            fs::create_dir_all(at(folder).join(file).parent().unwrap()).unwrap();
            fs::write(at(folder).join(file), format!("{folder} {file}")).unwrap();
        }
    }
    let made = |name: &str, main: &[u8], packer: usize| {
        let (early, late) = (at(&format!("{name}-early")), at(&format!("{name}-main")));
        let list = b"kernel\0kernel/x86\0kernel/x86/microcode.bin\0";
        CPIOS[packer].1(&at("early"), list, early.to_str().unwrap());
        CPIOS[packer].1(&at("main"), main, late.to_str().unwrap());
        run("gzip", &[late.to_str().unwrap()], work.path(), b"");
        let disk = [fs::read(early).unwrap(), fs::read(format!("{}.gz", late.display())).unwrap()].concat();
        fs::write(at(name), disk).unwrap();
        canon(&at(name), &at(&format!("{name}-out")), None)
    };
    let one = made("one", b"init\0etc\0etc/fstab\0kernel\0kernel/x86\0kernel/x86/microcode.bin\0", 0);
    let other = made("other", b"kernel\0kernel/x86\0kernel/x86/microcode.bin\0etc\0etc/fstab\0init\0", 1);
    assert!(one == other);
    assert!(one == canon(&at("one-out"), &at("again"), None), "it is its own canonical form");
    let gzip = one.windows(3).position(|some| some == [0x1f, 0x8b, 8]).unwrap();
    assert!(gzip % 512 == 0 && one.starts_with(b"070701"));
    fs::write(at("late.gz"), &one[gzip..]).unwrap();
    run("gzip", &["-d", "late.gz"], work.path(), b"");
    fs::create_dir(at("unpacked")).unwrap();
    run("cpio", &["-id", "--quiet", "-F", "../late"], &at("unpacked"), b"");
    assert_eq!(fs::read_to_string(at("unpacked/kernel/x86/microcode.bin")).unwrap(), "main kernel/x86/microcode.bin");
}

#[test]
fn a_zip_of_more_entries_than_its_first_form_can_count_is_read_and_written() {
    if !have(&["python3"]) {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    const MAKE: &str = "import zipfile\nwith zipfile.ZipFile('in.zip', 'w') as zip:\n    for n in range(70000): zip.writestr(str(69999 - n), 'x')";
    const CHECK: &str = "import zipfile\nzip = zipfile.ZipFile('out.zip')\nassert zip.testzip() is None and zip.namelist() == sorted(map(str, range(70000)))";
    run("python3", &["-c", MAKE], work.path(), b"");
    let once = canon(&work.path().join("in.zip"), &work.path().join("out.zip"), None);
    run("python3", &["-c", CHECK], work.path(), b"");
    assert!(once == canon(&work.path().join("out.zip"), &work.path().join("again.zip"), None));
}

#[test]
fn a_tree_has_all_kinds_of_nodes() {
    let mut dice = Dice::new(1);
    let nodes: Vec<Node> = (0..20).flat_map(|_| tree(&mut dice).into_values()).collect();
    let kinds: [fn(&Node) -> bool; 3] =
        [|node| *node == Node::Folder, |node| matches!(node, Node::Link(_)), |node| matches!(node, Node::File { .. })];
    for kind in kinds {
        assert!(nodes.iter().any(kind));
    }
}

#[test]
fn what_is_installed_keeps_its_modes_and_so_do_devices() {
    if !have(&["python3", "ar"]) {
        return;
    }
    const MAKE: &str = r#"
import io, tarfile
def make(name, members):
    with tarfile.open(name, "w") as tar:
        for path, kind, mode in members:
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.devmajor, info.devminor = kind, mode, 1, 3
            tar.addfile(info, io.BytesIO(b""))
some = [("etc/sudoers", tarfile.REGTYPE, 0o440), ("bin/su", tarfile.REGTYPE, 0o4750), ("srv", tarfile.DIRTYPE, 0o2770)]
make("data.tar", some)
make("control.tar", [("control", tarfile.REGTYPE, 0o600), ("postinst", tarfile.REGTYPE, 0o700)])
make("plain.tar", some + [("null", tarfile.CHRTYPE, 0o666), ("disk", tarfile.BLKTYPE, 0o660), ("pipe", tarfile.FIFOTYPE, 0o600)])
open("debian-binary", "w").write("2.0\n")
"#;
    const LIST: &str = r#"
import sys, tarfile
print(*("%s %o" % (info.name, info.mode) for info in tarfile.open(sys.argv[1])), sep=", ", file=open("listed", "w"))
"#;
    let work = tempfile::tempdir().unwrap();
    let (here, at) = (work.path(), |name: &str| work.path().join(name));
    run("python3", &["-c", MAKE], here, b"");
    run("ar", &["rcU", "in.deb", "debian-binary", "control.tar", "data.tar"], here, b"");
    let listed = |tar: &str| {
        run("python3", &["-c", LIST, tar], here, b"");
        fs::read_to_string(at("listed")).unwrap()
    };
    canon(&at("in.deb"), &at("out.deb"), None);
    run("ar", &["x", "out.deb"], here, b"");
    assert_eq!(listed("data.tar"), ". 755, ./bin/su 4750, ./etc/sudoers 440, ./srv 2770\n");
    assert_eq!(listed("control.tar"), ". 755, ./control 644, ./postinst 755\n");
    canon(&at("plain.tar"), &at("out.tar"), None);
    assert_eq!(
        listed("out.tar"),
        "bin/su 4755, disk 660, etc/sudoers 644, null 666, pipe 600, srv 755\n",
        "in a release the modes of files are those of who packed it"
    );
}

#[test]
fn an_archive_in_its_own_place_keeps_its_permissions() {
    use std::os::unix::fs::PermissionsExt;
    if !have(&["tar"]) {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let archive = work.path().join("a.tar");
    run("tar", &["-cf", "a.tar", "--files-from=/dev/null"], work.path(), b"");
    for mode in [0o600, 0o755, 0o444] {
        fs::set_permissions(&archive, fs::Permissions::from_mode(mode)).unwrap();
        canon(&archive, &archive, None);
        assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o7777, mode);
    }
    canon(&archive, &work.path().join("b.tar"), None);
    let other = work.path().join("b.tar").metadata().unwrap().permissions().mode() & 0o7777;
    assert_ne!(other, 0o444, "another file is like any other");
}
