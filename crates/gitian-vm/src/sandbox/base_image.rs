//! Base images: made by mmdebstrap, kept in the cache by content, named by a small file in the working directory.
//!
//! `bases/<digest of the tar>/` holds `rootfs.tar.zst`, `record.yml` and, below `fs`, the tree that the sandbox's
//! overlays stand on, unpacked for the caller's ids.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gitian_descriptor::Architecture;
use gitian_manifest::Digest;
use gitian_process::{Command, Failure, Input, Output, Streams, interrupt};
use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use super::enclosure::{Enclosure, Insider, NotEntered, failed};
use super::id_map::IdMap;
use super::place::{
    CachePlace, LockKind, entries, lock, make_fs, make_private, pointer, read_document, remove, try_lock,
    write_document,
};
use super::rootfs::{HOST_NAME, WORKSHOP, workshop_steps};
use crate::debian::{Archive, Distribution, HOSTS, SOURCE_DATE_EPOCH, list_name};
use crate::debs::Debs;
use crate::{AptTrouble, AptTroubleKind, BaseRequest, Event, Problem, TargetId};

/// Changes when the same request shall give another base image.
const FORMAT: u32 = 1;

/// What decides a base image, beside the state of the archives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    format: u32,
    distro: String,
    suite: String,
    architecture: String,
    packages: Vec<String>,
    components: String,
    mirror: Option<String>,
    /// SHA-256 of the keys that are trusted for the mirror.
    keyring: Option<String>,
    proxy: Option<String>,
}

/// How a cached base image came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    wanted: Wanted,
    /// SHA-256 of the archives' Release files, by address.
    releases: BTreeMap<String, String>,
    tool: String,
}

/// The file in a working directory that says which cached base image a target has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pointer {
    pub(super) distro: String,
    pub(super) suite: String,
    pub(super) architecture: String,
    /// SHA-256 of the tar that holds it.
    pub(super) base: String,
}

/// Returns the command that makes a target's base image.
pub(super) fn command_for(target: &TargetId) -> String {
    format!(
        "bin/make-base-vm --distro {} --suite {} --arch {}",
        target.distro,
        target.suite,
        target.architecture.debian()
    )
}

/// Returns the pointer of a target's base image; a missing one, or one of another distro, is a [`Problem`].
pub(super) fn find_pointer(workdir: &Path, target: &TargetId) -> Result<Pointer> {
    let path = pointer(workdir, &target.suite, target.architecture);
    let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(found) = read_document::<Pointer>(&path)? else {
        let what = format!("base image {shown} does not exist");
        return Err(Problem { what, mend: command_for(target) }.into());
    };
    let whole = found.base.len() == 64 && found.base.chars().all(|c| c.is_ascii_hexdigit());
    if !whole || found.suite != target.suite.as_str() || found.architecture != target.architecture.debian() {
        let what = format!("base image {shown} is not what its name says");
        return Err(Problem { what, mend: format!("rm {shown} && {}", command_for(target)) }.into());
    }
    if found.distro != target.distro.as_str() {
        let what = format!("base image {shown} is one of distro {}, not {}", found.distro, target.distro);
        let mend =
            format!("write `distro: {}` in the descriptor, or: rm {shown} && {}", found.distro, command_for(target));
        return Err(Problem { what, mend }.into());
    }
    Ok(found)
}

/// Returns the problem of a base image that is named in the working directory but no longer in the cache.
pub(super) fn lost(target: &TargetId, base: &str) -> Problem {
    let shown = format!("base-{}-{}.sandbox", target.suite, target.architecture.debian());
    Problem {
        what: format!("base image {shown} names {}…, which is not in this user's cache", &base[..12.min(base.len())]),
        mend: format!("rm {shown} && {}", command_for(target)),
    }
}

/// Whether the cache has this base image.
pub(super) fn is_cached(cache: &CachePlace, base: &str) -> bool {
    cache.base(base).join("record.yml").is_file()
}

/// Returns the unpacked tree of a cached base image, unpacking it if these ids have none yet.
pub(super) fn tree(cache: &CachePlace, base: &str, map: &IdMap) -> Result<PathBuf> {
    let folder = cache.base(base);
    let name = tree_name(map);
    let tree = folder.join("fs").join(&name);
    if !tree.is_dir() {
        let lock = lock(&folder.join("lock"))?;
        if !tree.is_dir() {
            unpack(&folder, &name, map)?;
        }
        drop(lock);
    }
    Ok(tree)
}

/// A tree's files belong to certain ids, so each range has its own.
fn tree_name(map: &IdMap) -> String {
    format!("tree-{}-{}", map.first_uid, map.first_gid)
}

/// Unpacks a base image's tar into `fs/<name>`.
fn unpack(folder: &Path, name: &str, map: &IdMap) -> Result<()> {
    let archive = folder.join("rootfs.tar.zst");
    let object = || format!("unpack {}", archive.display());
    let fs = make_fs(folder)?;
    let enclosure = Enclosure::of_ids(map)?;
    // Unpacked under another name: a tree is there as a whole or not at all.
    let half = format!("half-{name}");
    let run = |command: Command, streams| enclosure.run_ok(&command.folder(&fs), streams).with_context(object);
    run(Command::new("rm").args(["-rf", "--", &half]), Streams::default())?;
    run(Command::new("mkdir").args(["-m", "755", "--", &half]), Streams::default())?;
    let file = File::open(&archive).with_context(object)?;
    let feed = move |pipe: &mut dyn Write| zstd::stream::copy_decode(file, pipe);
    let tar = Command::new("tar")
        .args(["-x", "-p", "--numeric-owner", "--same-owner", "--xattrs", "--xattrs-include=*"])
        // Not everybody may make device nodes; a guest gets the host's.
        .args(["--anchored", "--exclude=./dev/*", "-C", &half]);
    run(tar, Streams::default().with_input(Input::Produce(Box::new(feed))))?;
    run(Command::new("mv").args(["-T", "--", &half, name]), Streams::default())?;
    Ok(())
}

/// The one who makes base images.
pub(super) struct Maker<'a> {
    pub(super) cache: &'a CachePlace,
    pub(super) workdir: &'a Path,
    pub(super) proxy_host: Option<&'a str>,
    pub(super) report: &'a mut dyn FnMut(Event),
}

impl Maker<'_> {
    /// Makes a base image, or finds one in the cache that the archives still agree with, and points to it.
    pub(super) fn make(&mut self, request: &BaseRequest) -> Result<()> {
        let target = &request.target;
        let path = pointer(self.workdir, &target.suite, target.architecture);
        if path.symlink_metadata().is_ok() {
            let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let what = format!("{shown} already exists, please remove it first");
            return Err(Problem { what, mend: format!("rm {shown}") }.into());
        }
        let distribution = Distribution::from_distro(&target.distro)?;
        let map = IdMap::of_caller().map_err(|none| none.problem())?;
        let keys = request.keyring.as_deref().map(read_keys).transpose()?;
        let wanted = self.wanted(request, distribution, keys.as_deref());
        make_private(self.cache.root())?;
        make_private(&self.cache.bases())?;
        let base = self.patiently(request, |maker| match maker.current(&wanted)? {
            Some(base) => Ok(base),
            None => maker.make_new(&wanted, request, distribution, keys.as_deref(), &map),
        })?;
        tree(self.cache, &base, &map)?;
        let pointer = Pointer {
            distro: target.distro.to_string(),
            suite: target.suite.to_string(),
            architecture: target.architecture.debian().to_owned(),
            base,
        };
        write_document(&path, &pointer)
    }

    /// Does something with a mirror; when that is busy, again after a while. What is wrong with a mirror becomes a
    /// [`Problem`].
    fn patiently<T>(&mut self, request: &BaseRequest, mut work: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        const WAITS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
        let mut waits = WAITS.into_iter();
        loop {
            let error = match work(self) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(trouble) = trouble_in(&error) else { return Err(error) };
            match waits.next().filter(|_| trouble.kind == AptTroubleKind::Busy) {
                Some(wait) => {
                    let text = format!("the mirror is busy ({}); trying again in {} s", trouble.line, wait.as_secs());
                    (self.report)(Event::Step(text));
                    interrupt::sleep(wait)?;
                }
                None => return Err(problem_of(&trouble, request).into()),
            }
        }
    }

    fn wanted(&self, request: &BaseRequest, distribution: Distribution, keys: Option<&[u8]>) -> Wanted {
        let mut packages: Vec<String> = distribution.packages().into_iter().map(str::to_owned).collect();
        if request.mirror.as_ref().is_some_and(|mirror| mirror.starts_with("https:")) {
            // Without it the guest could not read the mirror that it was made from.
            packages.push("ca-certificates".into());
        }
        Wanted {
            format: FORMAT,
            distro: distribution.name().to_owned(),
            suite: request.target.suite.to_string(),
            architecture: match request.target.architecture {
                Architecture::Linux64 => Architecture::Amd64.debian(),
                other => other.debian(),
            }
            .to_owned(),
            packages,
            components: distribution.components().to_owned(),
            mirror: request.mirror.clone(),
            keyring: keys.map(|keys| Digest::of_bytes(keys).to_string()),
            proxy: self.proxy_host.map(|host| format!("http://{host}:3142")),
        }
    }

    /// Returns a cached base image that was made from the Release files that the archives have now.
    fn current(&mut self, wanted: &Wanted) -> Result<Option<String>> {
        for name in entries(&self.cache.bases())? {
            let Some(base) = name.to_str().filter(|name| name.len() == 64) else { continue };
            let Some(record) = read_document::<Record>(&self.cache.base(base).join("record.yml")).unwrap_or(None)
            else {
                continue;
            };
            if record.wanted != *wanted {
                continue;
            }
            (self.report)(Event::Step("asking whether the cached base image is current".into()));
            let urls: Vec<&String> = record.releases.keys().collect();
            match download(&urls, wanted.proxy.as_deref()) {
                Ok(found) if found == record.releases => return Ok(Some(base.to_owned())),
                Ok(_) => {}
                Err(error) => match trouble_in(&error) {
                    // Made anew, it would meet with the same.
                    Some(trouble) if trouble.kind.may_pass() => return Err(error),
                    // No longer there, perhaps: making the image anew will say what is wrong.
                    _ => interrupt::check()?,
                },
            }
        }
        Ok(None)
    }

    fn make_new(
        &mut self,
        wanted: &Wanted,
        request: &BaseRequest,
        distribution: Distribution,
        keys: Option<&[u8]>,
        map: &IdMap,
    ) -> Result<String> {
        let bases = self.cache.bases();
        let lines = match &request.mirror {
            Some(mirror) => self.source_lines(wanted, request, distribution, mirror)?,
            None => Vec::new(),
        };
        let (staging, lock) = new_folder(&bases, map)?;
        let result = self.fill(&staging, wanted, distribution, &lines, keys, map).and_then(|(base, record)| {
            tree_of_staging(&staging, map, self.report)?;
            write_document(&staging.join("record.yml"), &record)?;
            let place = self.cache.base(&base);
            if is_cached(self.cache, &base) {
                // The archives moved on, the packages of the base image did not.
                write_document(&place.join("record.yml"), &record)?;
            } else {
                fs::rename(&staging, &place).with_context(|| format!("make {}", place.display()))?;
            }
            Ok(base)
        });
        if staging.exists() {
            let removed = Enclosure::of_ids(map).map_err(anyhow::Error::from).and_then(|ids| remove(&staging, &ids));
            // The first error says more than one that follows from it.
            return result.and_then(|base| removed.map(|()| base));
        }
        drop(lock);
        result
    }

    /// Returns the sources list for one mirror: every archive of the suite that the mirror has.
    fn source_lines(
        &mut self,
        wanted: &Wanted,
        request: &BaseRequest,
        distribution: Distribution,
        mirror: &str,
    ) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (number, archive) in distribution.archives(&request.target.suite, mirror).iter().enumerate() {
            let found = ["InRelease", "Release"].into_iter().find_map(|name| {
                match download(&[&archive.release_url(name)], wanted.proxy.as_deref()) {
                    Err(error) if says_missing(&error) => None,
                    other => Some(other),
                }
            });
            match found {
                Some(Ok(_)) => lines.push(archive.line(&wanted.components)),
                Some(Err(error)) => {
                    interrupt::check()?;
                    return Err(error);
                }
                None if number == 0 => return Err(no_such_suite(request).into()),
                None => (self.report)(Event::Step(format!("{} has no {}", archive.uri, archive.suite))),
            }
        }
        Ok(lines)
    }

    /// Fills a new folder of the cache; returns the digest of the tar and the record.
    fn fill(
        &mut self,
        staging: &Path,
        wanted: &Wanted,
        distribution: Distribution,
        lines: &[String],
        keys: Option<&[u8]>,
        map: &IdMap,
    ) -> Result<(String, Record)> {
        let fs = make_fs(staging)?;
        let write = |name: &str, bytes: &[u8]| fs::write(fs.join(name), bytes).with_context(|| format!("write {name}"));
        write("hosts", HOSTS.as_bytes())?;
        write("hostname", format!("{HOST_NAME}\n").as_bytes())?;
        let keyring = keys.map(keyring_name);
        if let (Some(name), Some(keys)) = (keyring, keys) {
            write(name, keys)?;
        }
        let enclosure = Enclosure::start(map, &workshop_steps(&fs)?, None)?;
        enclosure.run_ok(
            &Command::new("mkdir").args(["found", "debs"].map(|name| format!("{WORKSHOP}/{name}"))),
            Streams::default(),
        )?;
        let command = mmdebstrap(wanted, distribution, keyring, lines);
        let base = self.run(&command, &enclosure, &staging.join("rootfs.tar.zst"))?;
        let sources =
            fs::read_to_string(fs.join("found/sources.list")).context("read the base image's sources list")?;
        let releases = used_releases(&sources, &fs.join("found"))?;
        let debs = Debs::new(self.cache.root());
        for name in entries(&fs.join("debs"))? {
            debs.add(&fs.join("debs").join(name))?;
        }
        enclosure.end()?;
        let tool = Command::new("mmdebstrap").arg("--version").text()?;
        Ok((base, Record { wanted: wanted.clone(), releases, tool }))
    }

    /// Runs mmdebstrap; its tar goes into `archive`. Returns the tar's digest.
    fn run(&mut self, command: &Command, enclosure: &Enclosure, archive: &Path) -> Result<String> {
        let mut said = String::new();
        let mut digest = String::new();
        let (send, receive) = mpsc::channel::<String>();
        let streams = Streams {
            stdout: Output::Consume(Box::new(|tar| {
                digest = keep_tar(tar, archive)?;
                Ok(())
            })),
            stderr: Output::Consume(Box::new(|lines| {
                for line in BufReader::new(lines).split(b'\n') {
                    // Whoever listens may have gone; the text is still needed.
                    send.send(String::from_utf8_lossy(&line?).into_owned()).ok();
                }
                drop(send);
                Ok(())
            })),
            ..Streams::default()
        };
        let report = &mut *self.report;
        let outcome = std::thread::scope(|scope| {
            let worker = scope.spawn(|| enclosure.run(command, Insider::root(), streams));
            for line in receive {
                if let Some(step) = step_of(&line) {
                    report(Event::Step(step.to_owned()));
                }
                said.push_str(&line);
                said.push('\n');
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map_err(NotEntered::opened)?;
        if !outcome.status.success() {
            // What it says while it takes everything down again is longer than the lines that a failure keeps.
            return Err(match AptTrouble::find(said.lines()) {
                Some(trouble) => MirrorFailed(trouble).into(),
                None => failed(command, &outcome, &said).into(),
            });
        }
        Ok(digest)
    }
}

/// Returns the step that mmdebstrap announces in a line, if it is one that tells the user something.
fn step_of(line: &str) -> Option<&str> {
    let step = line.strip_prefix("I: ")?.trim_end_matches("...");
    let known =
        ["running apt-get update", "downloading ", "extracting ", "installing ", "cleaning ", "creating tarball"];
    known.iter().any(|known| step.starts_with(known)).then_some(step)
}

fn tree_of_staging(staging: &Path, map: &IdMap, report: &mut dyn FnMut(Event)) -> Result<()> {
    report(Event::Step("unpacking the base image".into()));
    // What was only needed while it was made.
    let enclosure = Enclosure::of_ids(map)?;
    let names = entries(&staging.join("fs"))?;
    let remove = Command::new("rm").args(["-rf", "--"]).args(names).folder(staging.join("fs"));
    // Three small files belong to the caller, who made them; the folder is open to both.
    enclosure.run_ok(&remove, Streams::default())?;
    unpack(staging, &tree_name(map), map)
}

/// Writes a tar to a file as it comes, compressed, and returns the digest of the tar itself.
fn keep_tar(tar: &mut dyn Read, archive: &Path) -> io::Result<String> {
    let mut kept = Kept { tar, packed: zstd::Encoder::new(File::create(archive)?, 3)? };
    let digest = Digest::of_reader(&mut kept)?;
    kept.packed.finish()?.sync_data()?;
    Ok(digest.to_string())
}

/// A tar that is kept, compressed, while it is read.
struct Kept<'t> {
    tar: &'t mut dyn Read,
    packed: zstd::Encoder<'static, File>,
}

impl Read for Kept<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.packed.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// Reads a file of OpenPGP keys, armoured or not.
fn read_keys(path: &Path) -> Result<Vec<u8>> {
    let problem = |what: String| Problem {
        what: format!("keyring {}: {what}", path.display()),
        mend: "give --keyring the file of the mirror's keys: gpg --export KEY > keys.gpg".into(),
    };
    let keys = fs::read(path).map_err(|error| problem(error.to_string()))?;
    // Every packet of binary OpenPGP data begins with a byte whose first bit is set. Source: RFC 9580, section 4.2.
    if !is_armoured(&keys) && keys.first().is_none_or(|first| first & 0x80 == 0) {
        return Err(problem("holds no OpenPGP keys".into()).into());
    }
    Ok(keys)
}

fn is_armoured(keys: &[u8]) -> bool {
    keys.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")
}

/// Returns the name of a keyring: apt sees by the ending what is in it. Source: apt-key(8).
fn keyring_name(keys: &[u8]) -> &'static str {
    if is_armoured(keys) { "mirror.asc" } else { "mirror.gpg" }
}

/// Returns the command that writes the base image's tar to standard output; it works in [`WORKSHOP`]. The keyring is a
/// file there; without source lines mmdebstrap makes its own.
fn mmdebstrap(wanted: &Wanted, distribution: Distribution, keyring: Option<&str>, lines: &[String]) -> Command {
    let user = distribution.name();
    let mut command = Command::new("mmdebstrap")
        .args(["--mode=root", "--variant=minbase", "--format=tar"])
        .arg(format!("--architectures={}", wanted.architecture))
        .arg(format!("--components={}", wanted.components))
        .arg(format!("--include={}", wanted.packages.join(",")))
        .arg("--aptopt=Acquire::Retries \"5\"")
        .arg("--aptopt=APT::Update::Error-Mode \"any\"")
        // Descriptions in other languages decide nothing.
        .arg("--aptopt=Acquire::Languages \"none\"")
        // Nobody needs half a base image after a power cut; what is written last is synchronised.
        .arg("--dpkgopt=force-unsafe-io")
        .arg("--skip=essential/unlink")
        .arg(format!(
            "--customize-hook=chroot \"$1\" useradd --uid 1000 --user-group --create-home --shell /bin/bash {user} \
             && chroot \"$1\" chmod 755 /home/{user}"
        ))
        // Some of it was taken from this host, and would not be the same everywhere.
        .arg(
            "--customize-hook=rm -f \"$1/etc/hosts\" \"$1/etc/hostname\" \"$1/etc/resolv.conf\" \
             \"$1/etc/apt/apt.conf.d/99mmdebstrap\" \"$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap\"",
        )
        .arg(format!("--customize-hook=install -m 644 {WORKSHOP}/hosts {WORKSHOP}/hostname \"$1/etc/\""))
        .arg(format!(
            "--customize-hook=cp \"$1\"/etc/apt/sources.list \"$1\"/var/lib/apt/lists/*Release {WORKSHOP}/found/ \
             && mv \"$1\"/var/cache/apt/archives/*.deb {WORKSHOP}/debs/"
        ));
    if let Some(proxy) = &wanted.proxy {
        // Kept in the image: what was made through a proxy also installs through it, as with the original.
        command = command.arg(format!("--aptopt=Acquire::http::Proxy \"{proxy}\"")).arg(format!(
            "--customize-hook=echo 'Acquire::http::Proxy \"{proxy}\";' > \"$1/etc/apt/apt.conf.d/80proxy\""
        ));
    }
    if let Some(name) = keyring {
        // For mmdebstrap's apt, and for the guest's.
        command = command
            .arg(format!("--keyring={WORKSHOP}/{name}"))
            .arg(format!("--customize-hook=install -D -m 644 {WORKSHOP}/{name} \"$1/etc/apt/trusted.gpg.d/{name}\""));
    }
    command
        .args([wanted.suite.as_str(), "-"])
        .args(lines)
        .folder("/")
        .env("LC_ALL", "C.UTF-8")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH.to_string())
        .env("TMPDIR", WORKSHOP)
}

/// Returns the digests of the Release files that a base image was made from, by address.
fn used_releases(sources: &str, folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut releases = BTreeMap::new();
    for archive in Archive::parse_all(sources) {
        let found = ["InRelease", "Release"].into_iter().find_map(|name| {
            let url = archive.release_url(name);
            let path = folder.join(list_name(&url));
            path.is_file().then_some((url, path))
        });
        let Some((url, path)) = found else { bail!("no Release file was kept of {} {}", archive.uri, archive.suite) };
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        releases.insert(url, Digest::of_bytes(&bytes).to_string());
    }
    Ok(releases)
}

/// Downloads files and returns their digests, by address.
fn download(urls: &[&String], proxy: Option<&str>) -> Result<BTreeMap<String, String>> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let mut command = Command::new("/usr/lib/apt/apt-helper")
        .args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"])
        .env("LC_ALL", "C.UTF-8");
    if let Some(proxy) = proxy {
        command = command.args(["-o", &format!("Acquire::http::Proxy={proxy}")]);
    }
    command = command.arg("download-file");
    for (number, url) in urls.iter().enumerate() {
        command = command.arg(url).arg(folder.path().join(number.to_string()));
    }
    command.run_ok(Streams::default())?;
    let mut found = BTreeMap::new();
    for (number, url) in urls.iter().enumerate() {
        let bytes = fs::read(folder.path().join(number.to_string())).with_context(|| format!("download {url}"))?;
        found.insert((*url).clone(), Digest::of_bytes(&bytes).to_string());
    }
    Ok(found)
}

/// Whether a download failed because the server has no such file.
fn says_missing(error: &anyhow::Error) -> bool {
    let Some(Failure::ProgramFailed { last_lines, .. }) = error.downcast_ref() else { return false };
    last_lines.iter().any(|line| line.contains("404") || line.contains("File not found"))
}

/// A program failed because of a mirror.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.line)]
struct MirrorFailed(AptTrouble);

/// Returns what is wrong with a mirror, when that is why a program failed.
fn trouble_in(error: &anyhow::Error) -> Option<AptTrouble> {
    if let Some(MirrorFailed(trouble)) = error.downcast_ref() {
        return Some(trouble.clone());
    }
    let Failure::ProgramFailed { last_lines, .. } = error.downcast_ref()? else { return None };
    AptTrouble::find(last_lines.iter().map(String::as_str))
}

/// Returns a trouble with a mirror in words, and what to do about it.
fn problem_of(trouble: &AptTrouble, request: &BaseRequest) -> Problem {
    let target = &request.target;
    let again = command_for(target);
    let (what, mend) = match trouble.kind {
        AptTroubleKind::Busy => ("the mirror is busy", format!("repeat later, or use another: {again} --mirror URL")),
        AptTroubleKind::Syncing => (
            "the mirror is being updated, its files do not fit together",
            format!("repeat in some minutes, or use another: {again} --mirror URL"),
        ),
        AptTroubleKind::Unreachable => {
            ("the mirror is not reached", format!("check the network and the address: {again} --mirror URL"))
        }
        AptTroubleKind::NoRelease => return no_such_suite(request),
        AptTroubleKind::Expired => (
            "the mirror is out of date, or this machine's clock is ahead",
            format!("check `date`, or use a current mirror: {again} --mirror URL"),
        ),
        AptTroubleKind::NotYetValid => ("this machine's clock is behind", "set it: `date` shows it".to_owned()),
        AptTroubleKind::BadSignature => (
            "what the mirror sent is not what was signed, and is not used",
            format!("repeat later, or use another mirror: {again} --mirror URL"),
        ),
        AptTroubleKind::UnknownKey => (
            "the mirror is signed with a key that is not trusted",
            match &request.mirror {
                Some(mirror) => format!("name the mirror's keys: {again} --mirror {mirror} --keyring FILE"),
                None => format!(
                    "install the keys of {} ({}), or name them: {again} --keyring FILE",
                    target.distro,
                    match target.distro.as_str() {
                        "ubuntu" => "package ubuntu-keyring or ubuntu-archive-keyring",
                        _ => "package debian-archive-keyring",
                    }
                ),
            },
        ),
        AptTroubleKind::NoPackage | AptTroubleKind::Conflict => (
            "the mirror lacks packages of a base image",
            format!("use a mirror that has the whole suite: {again} --mirror URL"),
        ),
        AptTroubleKind::NoSpace => ("no space is left", "free some space and repeat".to_owned()),
    };
    Problem { what: format!("{what}: {}", trouble.line), mend }
}

fn no_such_suite(request: &BaseRequest) -> Problem {
    let target = &request.target;
    Problem {
        what: format!(
            "{} {} is not on the mirror: misspelt, not for {}, or past its end of life",
            target.distro,
            target.suite,
            target.architecture.debian()
        ),
        mend: format!(
            "check --distro and --suite; what is past its end of life moves to another mirror ({}): {} --mirror URL",
            match target.distro.as_str() {
                "ubuntu" => "Ubuntu's old-releases",
                _ => "Debian's archive",
            },
            command_for(target)
        ),
    }
}

/// Makes a folder in a part of the cache for something new, with the lock that says that it is being worked on. What
/// runs that were killed left there is removed.
pub(super) fn new_folder(part: &Path, map: &IdMap) -> Result<(PathBuf, Flock<File>)> {
    let _guard = lock(&part.join("lock"))?;
    remove_leftovers(part, map)?;
    let folder = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(part)
        .context("make a folder in the cache")?;
    // It will hold files of other ids, which only `remove` can remove.
    let folder = folder.keep();
    let lock =
        try_lock(&folder.join("lock"), LockKind::Exclusive)?.context("a new folder is locked by somebody else")?;
    Ok((folder, lock))
}

fn remove_leftovers(folder: &Path, map: &IdMap) -> Result<()> {
    let mut ids = None;
    for name in entries(folder)? {
        if !name.to_string_lossy().starts_with('.') {
            continue;
        }
        let leftover = folder.join(&name);
        // Whoever works there holds the lock.
        let Some(lock) = try_lock(&leftover.join("lock"), LockKind::Exclusive).unwrap_or(None) else { continue };
        let ids = match &ids {
            Some(ids) => ids,
            None => ids.insert(Enclosure::of_ids(map)?),
        };
        remove(&leftover, ids)?;
        drop(lock);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_is_named_after_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        for (content, name) in [
            (&b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"[..], Some("mirror.asc")),
            (b"\x98\x33\x04", Some("mirror.gpg")),
            (b"root:x:0:0\n", None),
            (b"", None),
        ] {
            let path = folder.path().join("keys");
            fs::write(&path, content).unwrap();
            assert_eq!(read_keys(&path).ok().as_deref().map(keyring_name), name, "{content:?}");
        }
    }
}
