//! What hostile, broken and merely strange archives come to: a reason, in no time, and nothing written.

use std::fs;
use std::path::Path;

use flate2::Crc;
use gitian_canon::{Limits, Order, Rules, TooLarge, canonicalise};

fn canon(bytes: &[u8], limits: Limits) -> Result<Vec<u8>, anyhow::Error> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    fs::write(&input, bytes).unwrap();
    let order = Order { input: &input, output: &output, format: None, rules: Rules::at(1_400_000_000), limits };
    let done = canonicalise(&order);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    match done {
        Ok(_) => Ok(fs::read(output).unwrap()),
        Err(error) => {
            assert_eq!(left, ["in"], "nothing is left behind");
            Err(error)
        }
    }
}

/// Returns why an archive is refused.
#[track_caller]
fn reason(bytes: &[u8]) -> String {
    match canon(bytes, Limits::default()) {
        Ok(_) => panic!("is not refused"),
        Err(error) => {
            let text = format!("{error:#}");
            text.split_once(": ").map_or(text.clone(), |(_, reason)| reason.to_owned())
        }
    }
}

#[track_caller]
fn refuses(cases: &[(Vec<u8>, &str)]) {
    for (bytes, expected) in cases {
        let found = reason(bytes);
        assert!(found.contains(expected), "{found:?} instead of {expected:?}");
        let mut names = found.split(": ");
        assert!(names.next() != names.next(), "the path is there twice: {found:?}");
    }
}

/// Name, type, target, content of an entry of a tar.
type Entry<'a> = (&'a [u8], u8, &'a [u8], &'a [u8]);

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(|entry| tar_entry(entry, entry.3.len() as u64)).collect();
    bytes.extend([0; 1024]);
    bytes
}

fn tar_entry((name, kind, target, content): &Entry<'_>, size: u64) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"12345670123");
    header[156] = *kind;
    header[157..157 + target.len()].copy_from_slice(target);
    header[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut header);
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn file(name: &str) -> Entry<'_> {
    (name.as_bytes(), b'0', b"", b"x")
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let text = format!(" {key}={value}\n");
    let len = (1..6).map(|digits| text.len() + digits).find(|len| len.to_string().len() + text.len() == *len).unwrap();
    format!("{len}{text}").into_bytes()
}

#[test]
fn hostile_tars_are_refused() {
    let good = tar(&[file("a"), file("b")]);
    assert!(canon(&good, Limits::default()).is_ok());
    let broken_sum = {
        let mut bytes = good.clone();
        bytes[1024] = b'!';
        bytes
    };
    let negative = {
        let mut bytes = good.clone();
        bytes[124..136].fill(0xff);
        seal(&mut bytes[..512]);
        bytes
    };
    let endless = {
        let mut bytes = tar_entry(&file("a"), 0);
        bytes[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
        seal(&mut bytes[..512]);
        bytes
    };
    let long = "long/".repeat(1000);
    let with = |records: &[u8]| tar(&[(b"pax", b'x', b"", records), file("a")]);
    refuses(&[
        (tar(&[file("/etc/passwd")]), "/etc/passwd: the path is absolute"),
        (tar(&[file("../x")]), "../x: the path leaves the tree"),
        (tar(&[file("a/../../x")]), "the path leaves the tree"),
        (tar(&[file("a"), file("./a")]), "a: is there twice"),
        (tar(&[file("a"), (b"a", b'2', b"b", b"")]), "a: is there twice"),
        (tar(&[(b"a", b'2', b"/etc", b""), file("a/passwd")]), "a/passwd: a is no folder"),
        (tar(&[file("a/b/c"), file("a/b")]), "a/b/c: a/b is no folder"),
        (tar(&[(b"a", b'1', b"b", b"")]), "a: is a hard link to b, which is not in the archive"),
        (tar(&[(b"a", b'1', b"b", b""), (b"b", b'1', b"a", b"")]), "is a hard link to itself"),
        (tar(&[(b"a", b'1', b"../../etc/shadow", b"")]), "the path leaves the tree"),
        (tar(&[(b"a", b'2', b"", b"")]), "a: is a symbolic link to nothing"),
        (tar(&[(b"d", b'5', b"", b""), (b"a", b'1', b"d", b"")]), "a: is a hard link to a folder"),
        (tar(&[(b"a", b'S', b"", b"")]), "a: is a sparse file"),
        (tar(&[(b"a", b'M', b"", b"")]), "several volumes"),
        (tar(&[(b"a", b'Z', b"", b"")]), "a: is of a type that is not known"),
        (with(&pax("GNU.sparse.major", "1")), "has a sparse file"),
        (with(&pax("path", "../x")), "the path leaves the tree"),
        (with(&pax("path", "a\0b")), "the path has a zero byte"),
        (with(&pax("size", "99999999999999")), "is cut off"),
        (with(&pax("size", "-1")), "bad number"),
        (with(&pax("mtime", "soon")), "bad time"),
        (with(b"99 path=x\n"), "extended header that cannot be read"),
        (with(&[pax("path", "x"), pax("path", "y")].concat()), "two names"),
        (with(&pax("path", &long)), "the path is too long"),
        (tar(&[(b"g", b'g', b"", &pax("path", "x")), file("a")]), "the same name or size"),
        (tar(&[(b"pax", b'x', b"", &pax("path", "x"))]), "is cut off"),
        (tar(&[(b"././@LongLink", b'L', b"", b"a\0"), (b"././@LongLink", b'L', b"", b"b\0"), file("x")]), "two names"),
        (tar(&[(b"././@LongLink", b'L', b"", long.as_bytes()), file("x")]), "at most 4097 are read"),
        (good[..good.len() - 1024].to_vec(), "is cut off"),
        (good[..600].to_vec(), "is cut off"),
        ([&good[..], &good].concat(), "has something behind its end"),
        (broken_sum, "has no header of a tar at byte 1024"),
        (negative, "no number"),
        (endless, "is cut off"),
    ]);
}

/// An entry of a zip, with what its headers say.
#[derive(Clone)]
struct Zipped<'a> {
    name: &'a str,
    local_name: &'a str,
    method: u16,
    flags: u16,
    packed: Vec<u8>,
    size: u32,
    crc: u32,
    attributes: u32,
    offset: Option<u32>,
}

fn stored<'a>(name: &'a str, bytes: &[u8]) -> Zipped<'a> {
    let mut crc = Crc::new();
    crc.update(bytes);
    Zipped {
        name,
        local_name: name,
        method: 0,
        flags: 0,
        packed: bytes.to_vec(),
        size: bytes.len() as u32,
        crc: crc.sum(),
        attributes: 0,
        offset: None,
    }
}

fn deflated<'a>(name: &'a str, bytes: &[u8]) -> Zipped<'a> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    Zipped { method: 8, packed: encoder.finish().unwrap(), ..stored(name, bytes) }
}

fn zip(entries: &[Zipped<'_>]) -> Vec<u8> {
    zip_with(entries, entries.len() as u16, b"")
}

fn zip_with(entries: &[Zipped<'_>], count: u16, before: &[u8]) -> Vec<u8> {
    let mut bytes = before.to_vec();
    let mut directory = Vec::new();
    for entry in entries {
        let offset = entry.offset.unwrap_or(bytes.len() as u32);
        let mut common = Vec::new();
        for number in [20, entry.flags, entry.method, 0, 0x4000] {
            common.extend(number.to_le_bytes());
        }
        for number in [entry.crc, entry.packed.len() as u32, entry.size] {
            common.extend(number.to_le_bytes());
        }
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend((entry.local_name.len() as u16).to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(entry.local_name.as_bytes());
        bytes.extend(&entry.packed);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend((entry.name.len() as u16).to_le_bytes());
        directory.extend([0; 8]);
        directory.extend(entry.attributes.to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let at = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

#[test]
fn hostile_zips_are_refused() {
    let text = b"hello hello hello hello hello";
    let good = zip(&[stored("a", text), deflated("b", text)]);
    assert!(canon(&good, Limits::default()).is_ok());
    let link = |target: &[u8]| Zipped { attributes: 0o120_777 << 16, ..stored("a", target) };
    assert!(canon(&zip(&[link(b"b")]), Limits::default()).is_ok());
    let with = |change: fn(&mut Zipped<'_>)| {
        let mut entry = deflated("a", b"hello hello hello hello hello");
        change(&mut entry);
        zip(&[entry])
    };
    refuses(&[
        (zip(&[stored("../x", text)]), "../x: the path leaves the tree"),
        (zip(&[stored("/x", text)]), "/x: the path is absolute"),
        (zip(&[link(b"")]), "a: is a symbolic link to nothing"),
        (zip(&[link(b"b\0c")]), "a: is a symbolic link with a zero byte in its target"),
        (zip(&[link(b"b\0")]), "a: is a symbolic link with a zero byte in its target"),
        (zip(&[stored("./", b""), stored(".", text)]), ".: has no name"),
        (zip(&[stored("a\\..\\b", text)]), "the path is one of Windows"),
        (zip(&[stored("C:x", text)]), "the path is one of Windows"),
        (zip(&[stored("a", text), stored("a", text)]), "a: is there twice"),
        (zip(&[stored("a/", text)]), "is a folder with a content"),
        (with(|entry| entry.local_name = "b"), "is something else in its own header"),
        (with(|entry| entry.method = 12), "is packed by method 12"),
        (with(|entry| entry.flags = 1), "is encrypted"),
        (with(|entry| entry.size = 3), "does not have the 3 bytes"),
        (with(|entry| entry.size = 300), "does not have the 300 bytes"),
        (with(|entry| entry.crc ^= 1), "check sum"),
        (with(|entry| entry.packed.push(0)), "has something behind its end"),
        (with(|entry| entry.packed = vec![0xff; 20]), "is not deflated well"),
        (with(|entry| entry.offset = Some(1 << 30)), "is cut off"),
        (with(|entry| entry.offset = Some(1)), "is not where the directory says"),
        (with(|entry| entry.attributes = 0o020_000 << 16), "is of a type that is not known"),
        (zip(&[Zipped { size: 3, ..stored("a", text) }]), "is stored, and has two sizes"),
        (zip(&[stored("a", text), Zipped { offset: Some(0), local_name: "a", ..stored("a", text) }]), "overlap"),
        (zip_with(&[stored("a", text)], 2, b""), "too small for its entries"),
        (zip_with(&[stored("a", text), stored("b", text)], 1, b""), "more than its entries"),
        (zip_with(&[stored("a", text)], 1, b"PK\x03\x04 or so"), "10 bytes before its first entry"),
        (zip_with(&[stored("a", text)], u16::MAX, b""), "too small for its entries"),
        ([&good[..], b"x"].concat(), "no end of a zip"),
        (good[..good.len() - 3].to_vec(), "no end of a zip"),
        ([&good[..good.len() - 2], &[22, 0], &good[good.len() - 22..]].concat(), "no end of a zip, or several"),
    ]);
    // Entries that share their bytes, as in a bomb that is small and unpacks to a lot.
    let inner = stored("a", &zip(&[stored("b", text)])[..30 + 1 + text.len()]);
    let bomb = zip(&[inner, Zipped { offset: Some(31), ..stored("b", text) }]);
    assert!(reason(&bomb).contains("overlap"), "{}", reason(&bomb));
    let mut signed = zip(&[stored("a", text)]);
    let at = signed.len() - 22 - 47;
    signed.splice(at..at, *b"APK Sig Block 42");
    let end = signed.len() - 6;
    signed[end..end + 4].copy_from_slice(&(at as u32 + 16).to_le_bytes());
    assert!(reason(&signed).contains("is signed as a whole"), "{}", reason(&signed));
}

fn cpio(entries: &[(&str, u32, u32, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut one = |name: &str, mode: u32, inode: u32, links: u32, content: &[u8]| {
        let numbers = [inode, mode, 0, 0, links, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        bytes.extend(b"070701");
        numbers.iter().for_each(|number| bytes.extend(format!("{number:08x}").bytes()));
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    };
    entries.iter().for_each(|(name, mode, inode, links, content)| one(name, *mode, *inode, *links, content));
    one("TRAILER!!!", 0, 0, 1, b"");
    bytes
}

#[test]
fn hostile_cpios_are_refused() {
    let good = cpio(&[("a", 0o100_644, 1, 1, b"x"), ("b", 0o100_644, 2, 1, b"y")]);
    assert!(canon(&good, Limits::default()).is_ok());
    let with = |at: usize, text: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + text.len()].copy_from_slice(text);
        bytes
    };
    refuses(&[
        (cpio(&[("/bin/sh", 0o100_644, 1, 1, b"x")]), "the path is absolute"),
        (cpio(&[("../x", 0o100_644, 1, 1, b"x")]), "the path leaves the tree"),
        (cpio(&[("a", 0o100_644, 1, 1, b"x"), ("a", 0o100_644, 2, 1, b"x")]), "a: is there twice"),
        (cpio(&[("a", 0o120_777, 1, 1, b"/etc"), ("a/b", 0o100_644, 2, 1, b"x")]), "a/b: a is no folder"),
        (cpio(&[("a", 0o120_777, 1, 1, b"")]), "a: is a symbolic link to nothing"),
        (cpio(&[("a", 0o120_777, 1, 1, b"b\0c")]), "a: is a symbolic link with a zero byte in its target"),
        (cpio(&[("a", 0o120_777, 1, 1, b"b\0\0")]), "a: is a symbolic link with a zero byte in its target"),
        (cpio(&[("a", 0o040_755, 1, 1, b"x")]), "has a content and is no file"),
        (cpio(&[("a", 0o150_755, 1, 1, b"")]), "is of a type that is not known"),
        (cpio(&[("a", 0o100_644, 1, 2, b"x"), ("b", 0o100_644, 1, 2, b"y")]), "has a content twice"),
        (with(0, b"070707"), "cpio of the old form"),
        (with(14, b"0000008g"), "no number"),
        (with(54, b"ffffffff"), "is cut off"),
        (with(94, b"ffffffff"), "has a name of 4294967295 bytes"),
        (with(94, b"00000000"), "has a name of 0 bytes"),
        (good[..good.len() - 20].to_vec(), "is cut off"),
        ([&good[..], b"garbage and more of it"].concat(), "is cut off"),
        ([&good[..], &[b'g'; 200]].concat(), "has no header of a cpio"),
    ]);
}

#[test]
fn a_zero_byte_behind_the_target_of_a_link_in_a_cpio_does_not_count() {
    let [with, without] =
        [&b"b\0"[..], b"b"].map(|target| canon(&cpio(&[("a", 0o120_777, 1, 1, target)]), Limits::default()).unwrap());
    assert_eq!(with, without);
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 1, 2, 3, 100_600, content.len()).bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

#[test]
fn hostile_ars_and_packages_are_refused() {
    let tree = tar(&[file("./control")]);
    let good = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tree), ("data.tar", &tree)]);
    assert!(canon(&good, Limits::default()).is_ok());
    let odd = tar(&[file("../x")]);
    refuses(&[
        (ar(&[("a/", b"x"), ("a/", b"y")]), "a: is there twice"),
        (ar(&[("../x", b"x")]), "the name of a member is no file's"),
        (ar(&[("/77", b"x")]), "the name cannot be read"),
        (ar(&[("#1/99", b"x")]), "is cut off"),
        (ar(&[("//", b"a/\n"), ("//", b"b/\n")]), "two tables of names"),
        (good[..good.len() - 5].to_vec(), "is cut off"),
        ([&good[..], b"x"].concat(), "is cut off"),
        (ar(&[("debian-binary2", b"2.0\n")]), "is not what a package has here"),
        (ar(&[("debian-binary", b"2.0\n")]), "lacks its control.tar or data.tar"),
        (
            ar(&[("debian-binary", b"3.0\n"), ("control.tar", &tree), ("data.tar", &tree)]),
            "of a version that is not known",
        ),
        (
            ar(&[("debian-binary", b"2.0\n"), ("data.tar", &tree), ("control.tar", &tree)]),
            "is not what a package has here",
        ),
        (
            ar(&[("debian-binary", b"2.0\n"), ("control.tar.gz", &tree), ("data.tar", &tree)]),
            "not compressed as its name says",
        ),
        (
            ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tree), ("data.tar", &odd)]),
            "data.tar: ../x: the path leaves the tree",
        ),
        (
            ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tree), ("data.tar", &tree), ("more", b"x")]),
            "more: is not what a package has here",
        ),
    ]);
    // What signs the bytes as they were is left out.
    let signed = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tree), ("data.tar", &tree), ("_gpgorigin", b"x")]);
    assert_eq!(canon(&signed, Limits::default()).unwrap(), canon(&good, Limits::default()).unwrap());
}

#[test]
fn the_members_of_a_library_stay_where_its_index_says() {
    let library = ar(&[("/", b"\0\0\0\x01\0\0\0\x50main\0"), ("b.o/", b"code"), ("a.o/", b"more"), ("a.o/", b"twice")]);
    let canonical = canon(&library, Limits::default()).unwrap();
    assert_eq!(canonical.len(), library.len());
    let names =
        |bytes: &[u8]| bytes.windows(4).filter(|some| some.ends_with(b".o/")).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(names(&canonical), names(&library));
    let sorted = canon(&ar(&[("b.o/", b"code"), ("a.o/", b"more")]), Limits::default()).unwrap();
    assert_eq!(names(&sorted), [b"\na.o/"[1..5].to_vec(), b"b.o/".to_vec()]);
}

#[test]
fn what_unpacks_to_too_much_or_holds_too_many_is_stopped() {
    let zeros = vec![0; 8 << 20];
    let large = tar(&[(b"a", b'0', b"", &zeros)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, &large).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&large[..], 19).unwrap();
    let limits = Limits { bytes: 4 << 20, entries: 100 };
    let many: Vec<String> = (0..101).map(|number| format!("f{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| file(name)).collect();
    for (bytes, is_bytes) in [
        (gzip, true),
        (zstd, true),
        (zip(&[deflated("a", &zeros)]), true),
        (tar(&many), false),
        (zip(&(0..101).map(|_| stored("a", b"")).collect::<Vec<_>>()), false),
    ] {
        let error = canon(&bytes, limits).unwrap_err();
        let found = error.chain().find_map(|cause| cause.downcast_ref::<TooLarge>());
        assert!(
            matches!((found, is_bytes), (Some(TooLarge::Bytes(_)), true) | (Some(TooLarge::Entries(_)), false)),
            "{error:#}"
        );
    }
    // What lies there uncompressed is no bomb.
    assert!(canon(&large, limits).is_ok());
}

#[test]
fn every_archive_that_is_cut_off_is_refused_and_no_damage_is_more_than_an_error() {
    let tree = tar(&[(b"d/", b'5', b"", b""), file("d/a"), (b"d/b", b'1', b"d/a", b""), (b"l", b'2', b"d", b"")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &tree).unwrap();
    let text = b"hello hello hello hello hello";
    let samples = [
        tree.clone(),
        gzip.finish().unwrap(),
        zstd::encode_all(&tree[..], 1).unwrap(),
        zip(&[stored("a", text), deflated("b/c", text), stored("d/", b"")]),
        cpio(&[("d", 0o040_755, 1, 2, b""), ("d/a", 0o100_644, 2, 2, b"x"), ("d/b", 0o100_644, 2, 2, b"")]),
        ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tree), ("data.tar", &tree)]),
    ];
    for (index, sample) in samples.iter().enumerate() {
        assert!(canon(sample, Limits::default()).is_ok(), "sample {index}");
        let step = (sample.len() / 400).max(1);
        // The last block of zeros of a tar, the last zeros of a cpio, may be missing.
        let needed = sample.len() - if matches!(index, 0 | 5) { 512 } else { 4 };
        for len in (0..needed).step_by(step) {
            assert!(canon(&sample[..len], Limits::default()).is_err(), "sample {index} cut off after {len}");
        }
        let mut state = 12345_u32;
        for _ in 0..400 {
            let mut damaged = sample.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % damaged.len();
                damaged[at] = (state >> 3) as u8;
            }
            // It may still be an archive. It may not be a panic, or take long.
            canon(&damaged, Limits { bytes: 1 << 20, entries: 1000 }).ok();
        }
    }
}

#[test]
fn other_compressions_are_named() {
    for (magic, name) in [
        (&b"BZh91AY"[..], "bzip2"),
        (b"LZIP\x01\0", "lzip"),
        (b"\x04\x22\x4d\x18\0\0", "lz4"),
        (b"\x5d\0\0\x80\0\0", "lzma"),
    ] {
        assert_eq!(reason(magic), format!("is compressed with {name}; gzip, xz and zstd are known"));
    }
    assert!(reason(b"").contains("is no archive that is known"));
    assert!(reason(&[0xfd, b'7', b'z', b'X', b'Z', 0, 1, 2]).contains("cannot be unpacked as xz"));
    assert!(canon_path(Path::new("/dev/null")).contains("is not a regular file"));
}

fn canon_path(input: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let order = Order { input, output: &output, format: None, rules: Rules::at(0), limits: Limits::default() };
    format!("{:#}", canonicalise(&order).unwrap_err())
}
