//! The bytes of canonical archives are a promise: whoever upgrades must not change what others have published.

use std::fs;

use gitian_canon::{Format, Limits, Order, Rules, canonicalise};
use gitian_manifest::Digest;

/// `printf hello > a; ln -s a b`, as an old tar.
fn tree() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, target, content) in [("b", b'2', "a", ""), ("a", b'0', "", "hello hello hello hello\n")] {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000640");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = kind;
        header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend(header);
        bytes.extend(content.bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

#[test]
fn the_bytes_of_each_compression_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    fs::write(&input, tree()).unwrap();
    let mut found = Vec::new();
    for format in ["tar", "tar.gz", "tar.xz", "tar.zst"] {
        let asked: Format = format.parse().unwrap();
        let (rules, limits) = (Rules::at(1_400_000_000), Limits::default());
        let order = Order { input: &input, output: &output, format: Some(asked), rules, limits };
        canonicalise(&order).unwrap();
        found.push((format, Digest::of_file(&output).unwrap().to_string()[..16].to_owned()));
    }
    let expected = [
        ("tar", "0fd46d4bd8ad6a39"),
        ("tar.gz", "1fa24ac96df1338d"),
        ("tar.xz", "f1935e96bbf642d1"),
        ("tar.zst", "da1c2d3228d0fa57"),
    ];
    assert_eq!(found, expected.map(|(format, digest)| (format, digest.to_owned())));
}
