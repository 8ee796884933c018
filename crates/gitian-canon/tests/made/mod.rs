//! Random trees, and the archives that others make of them.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod python;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// Numbers that are the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn upto(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    pub fn of<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.upto(some.len() as u64) as usize]
    }

    pub fn shuffle<T>(&mut self, some: &mut [T]) {
        for index in (1..some.len()).rev() {
            some.swap(index, self.upto(index as u64 + 1) as usize);
        }
    }
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Folder,
    File { bytes: Vec<u8>, runs: bool },
    Link(String),
}

/// A tree: what is at each path.
pub type Tree = BTreeMap<String, Node>;

/// Makes up a tree.
pub fn tree(dice: &mut Dice) -> Tree {
    const NAMES: [&str; 12] =
        ["a", "b", "A", "a-b", "ab", "a b", "lib", "Makefile", "x.tar.gz", ".hidden", "META-INF", "\u{e4}\u{4e2d}"];
    let mut tree = Tree::new();
    let mut folders = vec![String::new()];
    for number in 0..3 + dice.upto(14) {
        let above = dice.of(&folders).clone();
        let mut name = dice.of(&NAMES).to_string();
        if dice.upto(3) == 0 {
            name += &number.to_string();
        }
        if dice.upto(12) == 0 {
            name = name.replace('\u{4e2d}', "") + &"long".repeat(dice.upto(30) as usize + 5);
        }
        let path = format!("{above}{name}");
        if tree.contains_key(&path) {
            continue;
        }
        let node = match dice.upto(10) {
            0..=2 => {
                folders.push(format!("{path}/"));
                Node::Folder
            }
            3 => Node::Link(dice.of(&["a", "../b", "/etc/passwd", "none/of/these"]).to_string()),
            _ => Node::File { bytes: bytes(dice), runs: dice.upto(3) == 0 },
        };
        tree.insert(path, node);
    }
    tree
}

fn bytes(dice: &mut Dice) -> Vec<u8> {
    let len = *dice.of(&[0, 1, 5, 511, 512, 513, 4096, 70_000]);
    match dice.upto(3) {
        0 => (0..len).map(|_| dice.upto(256) as u8).collect(),
        1 => vec![dice.upto(256) as u8; len as usize],
        _ => (0..len).map(|at| b"int main(void) { return 0; }\n"[at as usize % 29]).collect(),
    }
}

/// Lays out a tree with times, modes and an order of its own.
pub fn lay_out(tree: &Tree, folder: &Path, dice: &mut Dice) {
    fs::create_dir_all(folder).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (path, node) in tree {
        let place = folder.join(path);
        match node {
            Node::Folder => {
                fs::create_dir(&place).unwrap();
                mode(&place, *dice.of(&[0o755, 0o700, 0o775, 0o777]));
            }
            Node::File { bytes, runs } => {
                fs::write(&place, bytes).unwrap();
                let wanted = if *runs { [0o755, 0o700, 0o777] } else { [0o644, 0o600, 0o664] };
                mode(&place, *dice.of(&wanted));
            }
            Node::Link(target) => symlink(target, &place).unwrap(),
        }
        if !matches!(node, Node::Link(_)) {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(400_000_000_000 + dice.upto(1 << 40));
            fs::File::open(&place).unwrap().set_modified(time).unwrap();
        }
    }
}

/// Gives everything in a folder the modes that it is to be installed with.
pub fn set_modes(tree: &Tree, folder: &Path) {
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(folder, 0o755);
    for (path, node) in tree {
        match node {
            Node::File { runs: false, .. } => mode(&folder.join(path), 0o644),
            Node::Folder | Node::File { .. } => mode(&folder.join(path), 0o755),
            Node::Link(_) => {}
        }
    }
}

/// Reads a tree that somebody unpacked.
pub fn read(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let place = entry.unwrap().path();
            let about = place.symlink_metadata().unwrap();
            let node = if about.is_symlink() {
                Node::Link(fs::read_link(&place).unwrap().to_str().unwrap().to_owned())
            } else if about.is_dir() {
                folders.push(place.clone());
                assert_eq!(about.permissions().mode() & 0o777, 0o755, "{}", place.display());
                Node::Folder
            } else {
                let mode = about.permissions().mode() & 0o777;
                assert!(matches!(mode, 0o644 | 0o755), "{mode:o} {}", place.display());
                Node::File { bytes: fs::read(&place).unwrap(), runs: mode == 0o755 }
            };
            tree.insert(place.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), node);
        }
    }
    tree
}

/// Runs a program in a folder, with something on its standard input.
pub fn run(program: &str, args: &[&str], folder: &Path, input: &[u8]) {
    #[expect(clippy::disallowed_methods, reason = "a test runs the tools that others use")]
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("LC_ALL", "C.UTF-8").env("XZ_OPT", "-1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect(program);
    let mut stdin = child.stdin.take().unwrap();
    // What does not read its input does not need it.
    stdin.write_all(input).ok();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

/// Whether the tools of others are here; says which are not.
pub fn have(tools: &[&str]) -> bool {
    let there =
        |tool: &&&str| ["/usr/bin", "/bin", "/usr/local/bin"].iter().any(|bin| Path::new(bin).join(tool).exists());
    let missing: Vec<_> = tools.iter().filter(|tool| !there(tool)).collect();
    if missing.is_empty() {
        return true;
    }
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    let required = std::env::var("GITIAN_TEST_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name == "archivers"),
        "archivers are required, and {missing:?} are missing"
    );
    eprintln!("skipped: {missing:?} are not installed");
    false
}
