//! Hostile archives: refused with the entry's name, and nothing outside of the folder is touched.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gitian_vm::{Limits, UnpackError, unpack};
use proptest::prelude::*;
use tar::{EntryType, Header};

const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 1000 };
const MTIME: u64 = 1_000_000_000;

/// An archive that is put together by hand.
#[derive(Clone, Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn entry(mut self, kind: EntryType, name: impl AsRef<[u8]>, link: &str, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(MTIME);
        self.add(header, name.as_ref(), link.as_bytes(), data);
        self
    }

    fn add(&mut self, mut header: Header, name: &[u8], link: &[u8], data: &[u8]) {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..name.len()].copy_from_slice(name);
        gnu.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    fn file(self, name: &str, data: &str) -> Self {
        self.entry(EntryType::Regular, name, "", data.as_bytes())
    }

    fn folder(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, b"")
    }

    fn mode(mut self, kind: EntryType, name: &str, mode: u32) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mtime(MTIME);
        header.set_mode(mode);
        self.add(header, name.as_bytes(), b"", b"");
        self
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..6).map(|digits| rest + digits).find(|length| rest + length.to_string().len() == *length);
            data.extend_from_slice(format!("{} {key}=", length.unwrap()).as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry(EntryType::XHeader, "pax", "", &data)
    }

    fn long_name(self, name: &[u8]) -> Self {
        self.entry(EntryType::GNULongName, "././@LongLink", "", &[name, b"\0"].concat())
    }

    fn done(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn archive() -> Archive {
    Archive::default()
}

/// A folder to unpack into, with a folder beside it that must stay as it is.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("into")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/canary"), "sings").unwrap();
        Self { folder }
    }

    fn inside(&self) -> PathBuf {
        self.folder.path().join("into")
    }

    fn unpack(&self, bytes: &[u8]) -> Result<(), UnpackError> {
        let result = unpack(bytes, &self.inside(), LIMITS);
        let names = |path: PathBuf| -> Vec<_> {
            let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(self.folder.path().to_owned()), ["into", "outside"]);
        assert_eq!(names(self.folder.path().join("outside")), ["canary"]);
        assert_eq!(fs::read(self.folder.path().join("outside/canary")).unwrap(), b"sings");
        result
    }
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn what_must_not_come_in_is_refused_by_name() {
    let outside = "../outside/canary";
    let cases: Vec<(&str, Archive)> = vec![
        ("archive entry '/etc/evil' has an absolute path", archive().file("/etc/evil", "x")),
        ("archive entry '../outside/evil' has '..' in its path", archive().file("../outside/evil", "x")),
        (
            "archive entry 'a/../../outside/x' has '..' in its path",
            archive().folder("a").file("a/../../outside/x", "x"),
        ),
        ("archive entry '..' has '..' in its path", archive().symlink("..", "x")),
        ("archive entry '.' has no name", archive().file(".", "x")),
        ("archive entry '' has an empty path", archive().file("", "x")),
        (
            "archive entry 'link/evil' leads through something that is not a folder",
            archive().symlink("link", "../outside").file("link/evil", "x"),
        ),
        (
            "archive entry 'a/link/b/evil' leads through something that is not a folder",
            archive().folder("a").symlink("a/link", "/").file("a/link/b/evil", "x"),
        ),
        (
            "archive entry 'link/evil' leads through something that is not a folder",
            archive().symlink("link", "../outside").folder("link/evil"),
        ),
        (
            "archive entry 'file/evil' leads through something that is not a folder",
            archive().file("file", "x").file("file/evil", "x"),
        ),
        (
            "archive entry 'link/' is a folder, but was a file or link before",
            archive().symlink("link", "../outside").folder("link/"),
        ),
        (
            "archive entry 'folder' is no folder, but was one before",
            archive().folder("folder").symlink("folder", "../outside"),
        ),
        ("archive entry 'folder' is no folder, but was one before", archive().folder("folder").file("folder", "x")),
        ("archive entry 'hard' has an absolute path", archive().hard_link("hard", "/etc/passwd")),
        ("archive entry 'hard' has '..' in its path", archive().hard_link("hard", outside)),
        ("archive entry 'hard' has an empty path", archive().hard_link("hard", "")),
        (
            "archive entry 'hard' is linked to nothing that came before",
            archive().hard_link("hard", "later").file("later", "x"),
        ),
        ("archive entry 'hard' is linked to nothing that came before", archive().hard_link("hard", "no/where")),
        (
            "archive entry 'hard' is linked to a symbolic link",
            archive().symlink("soft", outside).hard_link("hard", "soft"),
        ),
        ("archive entry 'hard' is linked to a folder", archive().folder("folder").hard_link("hard", "folder")),
        ("archive entry 'hard' is linked to a folder", archive().hard_link("hard", ".")),
        (
            "archive entry 'hard' leads through something that is not a folder",
            archive().symlink("soft", "../outside").hard_link("hard", "soft/canary"),
        ),
        ("archive entry 'null' is a device", archive().entry(EntryType::Char, "null", "", b"")),
        ("archive entry 'disk' is a device", archive().entry(EntryType::Block, "disk", "", b"")),
        ("archive entry 'pipe' is a named pipe", archive().entry(EntryType::Fifo, "pipe", "", b"")),
        ("archive entry 'hole' is a sparse file", archive().entry(EntryType::GNUSparse, "hole", "", b"")),
        ("archive entry 'odd' is of an unknown type", archive().entry(EntryType::new(b'V'), "odd", "", b"")),
        ("archive entry 'link' is a link to nowhere", archive().symlink("link", "")),
        ("archive entry 'folder' is no file but holds data", archive().entry(EntryType::Directory, "folder", "", b"x")),
        ("archive entry '/etc/evil' has an absolute path", archive().pax(&[("path", b"/etc/evil")]).file("good", "x")),
        ("archive entry '../evil' has '..' in its path", archive().pax(&[("path", b"../evil")]).file("good", "x")),
        (
            "archive entry 'hard' has '..' in its path",
            archive().pax(&[("linkpath", b"../outside/canary")]).hard_link("hard", "good"),
        ),
        ("archive entry '' has its size in a pax record", archive().pax(&[("size", b"0")]).file("good", "x")),
        ("archive entry '' is a sparse file", archive().pax(&[("GNU.sparse.realsize", b"9")]).file("good", "x")),
        (
            "archive entry '' has malformed pax records",
            archive().entry(EntryType::XHeader, "pax", "", b"99 path=x\n").file("a", ""),
        ),
        ("archive entry 'a\\0b' has a NUL in its path", archive().long_name(b"a\0b").file("good", "x")),
        ("archive entry 'one' has two names", archive().long_name(b"one").long_name(b"two").file("good", "x")),
        ("archive entry 'one' has two names", archive().long_name(b"one").pax(&[("path", b"two")]).file("good", "x")),
        ("archive entry '../up' has '..' in its path", archive().long_name(b"../up").file("good", "x")),
        ("archive entry '' is announced but does not come", archive().long_name(b"one")),
        (
            "archive entry 'pax' has more than 4 extended headers",
            (0..9).fold(archive(), |archive, _| archive.pax(&[("comment", b"x")])).file("good", "x"),
        ),
        (
            "archive entry '././@LongLink' is an extended header of more than 65536 bytes",
            archive().long_name(&[b'x'; 1 << 17]).file("good", "x"),
        ),
        (
            "archive entry 'big' makes it more than the 1048576 bytes allowed",
            archive().file("small", "x").entry(EntryType::Regular, "big", "", &vec![0; 1 << 20]),
        ),
        (
            "archive entry 'again' makes it more than the 1048576 bytes allowed",
            archive().entry(EntryType::Regular, "big", "", &vec![0; 600_000]).hard_link("again", "big"),
        ),
        (
            "archive entry 'file' is one more than the 1000 allowed",
            (0..=1000).fold(archive(), |archive, _| archive.file("file", "")),
        ),
    ];
    for (expected, archive) in cases {
        let error = Place::new().unpack(&archive.done()).unwrap_err();
        assert!(matches!(error, UnpackError::Refused(_)), "{error:?}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn names_that_no_file_system_takes_are_refused() {
    let cases: [(&str, Vec<u8>); 3] = [
        ("has a path of more than 4095 bytes", b"abc/".repeat(1100)),
        ("has a name of more than 255 bytes", vec![b'x'; 256]),
        ("lies more than 200 folders deep", b"a/".repeat(201)),
    ];
    for (expected, name) in cases {
        let error = Place::new().unpack(&archive().long_name(&name).file("x", "").done()).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    let deep = b"a/".repeat(200);
    Place::new().unpack(&archive().long_name(&deep).folder("x").done()).unwrap();
}

#[test]
fn a_claimed_size_is_refused_before_it_is_read() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(1 << 50);
    header.set_mode(0o644);
    header.set_mtime(MTIME);
    let mut archive = archive();
    archive.add(header, b"huge", b"", b"");
    let error = Place::new().unpack(&archive.done()).unwrap_err();
    assert_eq!(error.to_string(), "archive entry 'huge' makes it more than the 1048576 bytes allowed");
}

#[test]
fn a_stream_that_is_cut_off_anywhere_is_noticed() {
    let whole = archive().folder("a").file("a/b", &"x".repeat(600)).symlink("c", "a").done();
    // Without the second block of zeros it is whole still.
    for length in 0..whole.len() - 1023 {
        if length % 64 == 0 || length % 512 < 2 {
            let error = Place::new().unpack(&whole[..length]).unwrap_err();
            let UnpackError::Stream(cause) = &error else { panic!("{length}: {error}") };
            assert_eq!(cause.kind(), io::ErrorKind::UnexpectedEof, "{length}");
        }
    }
    Place::new().unpack(&whole).unwrap();
}

#[test]
fn damage_is_noticed_and_a_failing_stream_is_told_as_it_is() {
    let mut bytes = archive().file("a", "x").done();
    bytes[100] ^= 1;
    assert_eq!(Place::new().unpack(&bytes).unwrap_err().to_string(), "archive entry '' has a damaged header");
    assert_eq!(Place::new().unpack(&[b'<'; 2048]).unwrap_err().to_string(), "archive entry '' has a damaged header");

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable is cut"))
        }
    }
    let place = Place::new();
    let error = unpack(Broken, &place.inside(), LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "archive: the cable is cut");
}

#[test]
fn contents_times_links_and_x_bits_are_kept_and_special_bits_dropped() {
    let place = Place::new();
    let bytes = archive()
        .folder("./")
        .mode(EntryType::Directory, "./shut/", 0o000)
        .file("./shut/file", "text")
        .mode(EntryType::Regular, "./program", 0o6755)
        .mode(EntryType::Regular, "./unreadable", 0o000)
        .mode(EntryType::Directory, "./sticky/", 0o1777)
        .symlink("./dangling", "no/where")
        .symlink("./absolute", "/etc/passwd")
        .file("./left/out/parents", "x")
        .hard_link("./again", "./shut/file")
        .file("./line\nbreak", "x")
        .file("./twice", "first and longer")
        .file("./twice", "second")
        .file("./link", "x")
        .symlink("./link", "twice")
        .hard_link("./shut/file", "./shut/file")
        .entry(EntryType::Regular, [b"./latin\xe9".as_slice()].concat(), "", b"x")
        .done();
    place.unpack(&bytes).unwrap();
    let at = |name: &str| place.inside().join(name);
    let mode = |name: &str| fs::symlink_metadata(at(name)).unwrap().mode() & 0o7777;
    assert_eq!(read(at("shut/file")), "text");
    assert_eq!(read(at("again")), "text");
    assert_eq!(fs::metadata(at("again")).unwrap().nlink(), 1);
    assert_eq!(read(at("twice")), "second");
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("twice"));
    assert_eq!(fs::read_link(at("dangling")).unwrap(), Path::new("no/where"));
    assert_eq!(fs::read_link(at("absolute")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!((mode("shut"), mode("program") & 0o7700, mode("unreadable")), (0o700, 0o700, 0o600));
    assert_eq!(mode("sticky") & 0o7700, 0o700);
    assert!(at("line\nbreak").exists() && at("left/out/parents").exists());
    assert!(place.inside().join(std::ffi::OsStr::from_bytes(b"latin\xe9")).exists());
    for name in [".", "shut", "shut/file", "program", "dangling", "again", "sticky"] {
        assert_eq!(fs::symlink_metadata(at(name)).unwrap().mtime(), MTIME as i64, "{name}");
    }
}

#[test]
fn long_names_of_both_dialects_are_read() {
    let place = Place::new();
    let long = format!("{}/{}", "f".repeat(120), "é".repeat(100));
    let bytes = archive()
        .long_name(long.as_bytes())
        .file("cut", "gnu")
        .pax(&[("path", format!("{long}.pax").as_bytes()), ("mtime", b"1234567890.5"), ("comment", b"none")])
        .file("cut", "pax")
        .entry(EntryType::XGlobalHeader, "pax_global_header", "", b"19 comment=0123456\n")
        .file("after", "x")
        .done();
    place.unpack(&bytes).unwrap();
    assert_eq!(read(place.inside().join(&long)), "gnu");
    assert_eq!(read(place.inside().join(format!("{long}.pax"))), "pax");
    assert_eq!(fs::metadata(place.inside().join(format!("{long}.pax"))).unwrap().mtime(), 1_234_567_890);
    assert!(place.inside().join("after").exists());
}

#[test]
fn a_link_that_is_the_folder_itself_is_not_followed() {
    let place = Place::new();
    let link = place.folder.path().join("outside-link");
    symlink("outside", &link).unwrap();
    let error = unpack(archive().file("evil", "x").done().as_slice(), &link, LIMITS).unwrap_err();
    assert!(matches!(error, UnpackError::Write { .. }), "{error:?}");
    assert!(!place.folder.path().join("outside/evil").exists());
}

#[test]
fn times_beyond_all_calendars_do_no_harm() {
    let place = Place::new();
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(0);
    header.set_mode(0o644);
    header.set_mtime(1 << 50);
    let mut archive = archive();
    archive.add(header, b"late", b"", b"");
    place.unpack(&archive.done()).unwrap();
    fs::set_permissions(place.inside().join("late"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// One entry of an archive that tries its luck.
fn any_entry() -> impl Strategy<Value = (u8, Vec<u8>, Vec<u8>)> {
    let part = prop::sample::select(vec!["a", "b", "l", "..", ".", "", "outside", "canary", "into"]);
    let path = prop::collection::vec(part, 0..4).prop_map(|parts| parts.join("/").into_bytes());
    let kind = prop::sample::select(b"0125LKx".to_vec());
    (kind, path.clone(), path)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_entries_reaches_outside(entries in prop::collection::vec(any_entry(), 0..12)) {
        let mut hostile = archive();
        for (kind, path, link) in entries {
            let kind = EntryType::new(kind);
            let link = String::from_utf8(link).unwrap();
            hostile = match kind {
                EntryType::GNULongName | EntryType::GNULongLink => hostile.entry(kind, "x", "", &path),
                EntryType::XHeader => hostile.pax(&[("path", &path), ("linkpath", link.as_bytes())]),
                EntryType::Regular => hostile.entry(kind, path, "", b"overwritten"),
                _ => hostile.entry(kind, path, &link, b""),
            };
        }
        // `unpack` of the place looks at what is outside.
        Place::new().unpack(&hostile.done()).ok();
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), at in 0_usize..1500, good in any::<bool>()) {
        let mut stream = if good { archive().folder("a").file("a/b", "x").symlink("c", "a").done() } else { vec![] };
        let at = at.min(stream.len());
        stream.splice(at..(at + bytes.len() / 100).min(stream.len()), bytes);
        Place::new().unpack(&stream).ok();
    }

    #[test]
    fn names_of_any_bytes_arrive_or_are_refused(name in prop::collection::vec(any::<u8>(), 1..90)) {
        let place = Place::new();
        if place.unpack(&archive().long_name(&name).file("x", "text").done()).is_ok() {
            let path = place.inside().join(std::ffi::OsString::from_vec(name));
            prop_assert_eq!(fs::read(path).unwrap(), b"text");
        }
    }
}
