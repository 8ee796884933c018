//! Signed packages, a server that behaves in many ways, and a destination to install into.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gitian_manifest::{Assertion, Digest, Report};
use gitian_updater::{Config, Done, Order, Stopped, update};

/// When tests are: after all signatures, which are made before.
pub const NOW: u64 = 1_750_000_000;
/// When signatures are made, unless a test wants another time: some days before.
pub const SIGNED: u64 = NOW - 3 * 86_400;

/// The keys of alice (weight 40), bob (30), carol (30) and mallory, whom nobody knows.
pub struct Keys {
    home: tempfile::TempDir,
    pub fingerprints: BTreeMap<&'static str, String>,
}

fn command(program: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "a test runs the tools that others use")]
    Command::new(program)
}

impl Keys {
    fn gpg(&self, args: &[&str]) -> Vec<u8> {
        let mut gpg = command("gpg");
        gpg.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""]).args(args);
        let output = gpg.env("GNUPGHOME", self.home.path()).output().unwrap();
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn public(&self, name: &str) -> Vec<u8> {
        self.gpg(&["--export", &self.fingerprints[name]])
    }

    pub fn sign(&self, name: &str, document: &[u8], time: u64) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), document).unwrap();
        let (time, key) = (format!("{time}!"), &self.fingerprints[name]);
        let args =
            ["--faked-system-time", &time, "-u", key, "--output", "-", "--detach-sign", file.path().to_str().unwrap()];
        self.gpg(&args)
    }
}

/// Returns the keys, made once; nothing, with the reason told, where gpg is missing.
pub fn keys() -> Option<&'static Keys> {
    static KEYS: OnceLock<Option<Keys>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        if command("gpg").arg("--version").output().is_err() {
            return None;
        }
        let home = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").unwrap();
        let mut keys = Keys { home, fingerprints: BTreeMap::new() };
        for name in ["alice", "bob", "carol", "mallory"] {
            let user = format!("{name} <{name}@example.org>");
            keys.gpg(&["--faked-system-time", "1500000000!", "--quick-gen-key", &user, "ed25519", "sign", "never"]);
            let listed = String::from_utf8(keys.gpg(&["--with-colons", "--list-keys", name])).unwrap();
            let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
            keys.fingerprints.insert(name, line.split(':').nth(9).unwrap().to_owned());
        }
        command("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", keys.home.path()).output().ok();
        Some(keys)
    });
    if keys.is_none() {
        #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
        let required = std::env::var("GITIAN_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "gpg"), "gpg is required here, and is not installed");
        eprintln!("skipped: gpg is not installed");
    }
    keys.as_ref()
}

/// A package in the making.
#[derive(Clone)]
pub struct Made {
    pub name: String,
    pub release: String,
    /// What the signers list.
    pub listed: BTreeMap<String, Vec<u8>>,
    pub optionals: Vec<String>,
    /// Who signs, and when.
    pub signers: Vec<(&'static str, u64)>,
    /// Changes the members of the zip in the end: name, content, mode.
    pub members: Vec<(String, Vec<u8>, u32)>,
    pub left_out: Vec<String>,
}

impl Made {
    pub fn new(release: &str, files: &[(&str, &str)]) -> Self {
        Self {
            name: "coin".into(),
            release: release.into(),
            listed: files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect(),
            optionals: Vec::new(),
            signers: vec![("alice", SIGNED), ("bob", SIGNED)],
            members: Vec::new(),
            left_out: Vec::new(),
        }
    }

    pub fn assertion(&self) -> Vec<u8> {
        let lines: String =
            self.listed.iter().map(|(path, bytes)| format!("{}  {path}\n", Digest::of_bytes(bytes))).collect();
        let report = Report::new(lines, String::new(), Vec::new(), None, None);
        let optionals = (!self.optionals.is_empty()).then(|| self.optionals.clone());
        Assertion::new(report, &self.release, &self.name, optionals).render()
    }

    /// Returns everything that is in the zip: name, content, mode.
    pub fn all(&self, keys: &Keys) -> Vec<(String, Vec<u8>, u32)> {
        let mut all: Vec<(String, Vec<u8>, u32)> = Vec::new();
        for (path, bytes) in &self.listed {
            all.push((path.clone(), bytes.clone(), if path.starts_with("bin/") { 0o100_755 } else { 0o100_644 }));
        }
        for (name, time) in &self.signers {
            let assertion = self.assertion();
            let signature = keys.sign(name, &assertion, *time);
            all.push((format!("gitian/{name}-build.assert"), assertion, 0o100_644));
            all.push((format!("gitian/{name}-build.assert.sig"), signature, 0o100_644));
            all.push((format!("gitian/{name}-key.pgp"), keys.public(name), 0o100_644));
        }
        all.retain(|(path, ..)| !self.left_out.contains(path) && !self.members.iter().any(|(other, ..)| other == path));
        all.extend(self.members.iter().cloned());
        all
    }

    pub fn zip(&self, keys: &Keys) -> Vec<u8> {
        zip(&self.all(keys))
    }
}

/// Writes a zip, stored, with two equal names if it has to be.
pub fn zip(members: &[(String, Vec<u8>, u32)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content, mode) in members {
        let offset = bytes.len() as u32;
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 33, 0];
        for number in [crc(content), content.len() as u32, content.len() as u32] {
            common.extend(number.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(name.as_bytes());
        bytes.extend(content);
        directory.extend(b"PK\x01\x02\x1e\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, count) = (bytes.len() as u32, members.len() as u16);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
        crc
    })
}

/// Returns a config that demands a weight of 60.
pub fn config(keys: &Keys, more: &str) -> String {
    let mut text = String::from("---\nname: coin\nminimum_weight: 60\nsigners:\n");
    for (name, weight) in [("alice", 40), ("bob", 30), ("carol", 30)] {
        text += &format!("  {}:\n    weight: {weight}\n    name: {name}\n    key: {name}\n", keys.fingerprints[name]);
    }
    text + more
}

/// A folder with a destination `dest` in it, and what was installed.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub notes: Mutex<Vec<String>>,
    /// The releases whose installation something followed.
    pub followed: Mutex<Vec<String>>,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), notes: Mutex::default(), followed: Mutex::default() }
    }

    pub fn dest(&self) -> PathBuf {
        self.folder.path().join("dest")
    }

    /// Puts a file beside the destination, and returns its address.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        format!("file://{}", path.display())
    }

    /// Runs an update.
    pub fn update(&self, config: &str, change: impl FnOnce(&mut Order<'_>)) -> Result<Done, anyhow::Error> {
        let config = Config::parse(config.as_bytes()).unwrap();
        let tell = |text: &str| self.notes.lock().unwrap().push(text.to_owned());
        let warn = |text: &str| self.notes.lock().unwrap().push(format!("warning: {text}"));
        let mut order = Order {
            config: &config,
            destination: &self.dest(),
            force: false,
            dry_run: false,
            waiting: config.waiting,
            now: UNIX_EPOCH + Duration::from_secs(NOW),
            patience: Duration::from_secs(60),
            proxy: None,
            on_bytes: &|_, _| {},
            tell: &tell,
            warn: &warn,
            then: &|done| {
                self.followed.lock().unwrap().push(done.release.clone());
                Ok(())
            },
        };
        change(&mut order);
        update(&order)
    }

    /// Runs an update with a package at a `file:` address; returns the exit code and what was said.
    pub fn take(&self, keys: &Keys, package: &[u8]) -> (u8, String) {
        self.take_with(keys, package, "", |_| {})
    }

    pub fn take_with(
        &self,
        keys: &Keys,
        package: &[u8],
        more: &str,
        change: impl FnOnce(&mut Order<'_>),
    ) -> (u8, String) {
        let url = self.file("package.zip", package);
        answer(self.update(&config(keys, &format!("urls:\n- url: {url}\n{more}")), change))
    }

    /// Returns what is in the destination, with what is ours left out.
    pub fn tree(&self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        let mut folders = vec![self.dest()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
                let path = entry.path();
                let name = path.strip_prefix(self.dest()).unwrap().to_str().unwrap().to_owned();
                if name.starts_with(".gitian") {
                    continue;
                }
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else {
                    tree.insert(name, fs::read_to_string(&path).unwrap());
                }
            }
        }
        tree
    }

    /// Returns what of ours is left below `.gitian-update`.
    pub fn work(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dest().join(".gitian-update")).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The exit code, and why.
pub fn answer(done: Result<Done, anyhow::Error>) -> (u8, String) {
    match done {
        Ok(done) => (0, format!("{done:?}")),
        Err(error) => {
            let code = error.chain().find_map(|cause| cause.downcast_ref::<Stopped>()).map_or(1, Stopped::exit_code);
            (code, format!("{error:#}"))
        }
    }
}

pub fn tree(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect()
}

/// What a server was asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

/// What it answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// After so many bytes of the body the connection ends.
    pub cut: Option<usize>,
    /// Instead of ending, the connection stays open, and nothing more comes.
    pub stalls: bool,
}

impl Reply {
    pub fn ok(body: &[u8]) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Length".into(), body.len().to_string())],
            body: body.to_vec(),
            cut: None,
            stalls: false,
        }
    }

    pub fn status(status: u16) -> Self {
        Self { status, ..Self::ok(b"") }
    }
}

/// A server on this host that answers as a test wants.
pub struct Server {
    pub url: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn new(answer: impl Fn(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let seen = asked.clone();
        // Lives as long as the test program.
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if let Some(request) = read(&connection) {
                    seen.lock().unwrap().push(request.clone());
                    reply(connection, &answer(&request));
                }
            }
        });
        Self { url, asked }
    }

    /// Serves a file with ranges and a mark; `cut` ends every answer after so many bytes.
    pub fn with_ranges(body: Vec<u8>, mark: &'static str, cut: Option<usize>) -> Self {
        Self::new(move |asked| ranged(asked, &body, mark, cut))
    }
}

pub fn ranged(asked: &Asked, body: &[u8], mark: &str, cut: Option<usize>) -> Reply {
    let mut reply = Reply { cut, ..Reply::ok(body) };
    let from =
        asked.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    if let (Some(from), true) = (from, asked.headers.get("if-range").is_some_and(|known| known == mark)) {
        let from: usize = from;
        if from >= body.len() {
            return Reply::status(416);
        }
        let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
        reply = Reply { status: 206, cut, ..Reply::ok(&body[from..]) };
        reply.headers.push(("Content-Range".into(), range));
    }
    reply.headers.push(("ETag".into(), mark.to_owned()));
    reply
}

fn read(connection: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let header = |line: String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers = lines.take_while(|line| !line.is_empty()).filter_map(header).collect();
    Some(Asked { path, headers })
}

fn reply(mut connection: TcpStream, reply: &Reply) {
    let mut head = format!("HTTP/1.1 {} Whatever\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let body = &reply.body[..reply.cut.unwrap_or(usize::MAX).min(reply.body.len())];
    // The other side may have gone: a test may want that.
    connection.write_all((head + "\r\n").as_bytes()).and_then(|()| connection.write_all(body)).ok();
    if reply.stalls {
        std::mem::forget(connection);
    }
}

pub fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
