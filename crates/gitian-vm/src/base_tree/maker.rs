//! The one who makes base trees, or finds those that are still current.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use gitian_process::{Command, Streams, interrupt};

use super::keyring::{keyring_name, read_keys};
use super::mirror::{download, says_missing};
use super::record::{Record, Wanted, used_releases};
use super::trouble::{no_such_suite, problem_of, trouble_in};
use super::{BaseTree, command_for, mmdebstrap};
use crate::cache::CachePlace;
use crate::debian::{Distribution, HOSTS};
use crate::debs::Debs;
use crate::document::{read_document, write_document};
use crate::sandbox::enclosure::Enclosure;
use crate::sandbox::id_map::IdMap;
use crate::sandbox::place::{entries, make_fs, make_private, new_folder, remove};
use crate::sandbox::rootfs::{HOST_NAME, WORKSHOP, workshop_steps};
use crate::{AptTroubleKind, BaseRequest, Event, Problem};

/// The one who makes base trees.
pub(crate) struct Maker<'a> {
    /// Where they are kept.
    pub(crate) cache: &'a CachePlace,
    /// A host with an apt proxy on port 3142.
    pub(crate) proxy_host: Option<&'a str>,
    /// The option of make-base-vm that asks for this, followed by a blank, or nothing: for advice.
    pub(crate) option: &'static str,
    /// Hears of the steps.
    pub(crate) report: &'a mut dyn FnMut(Event),
}

impl Maker<'_> {
    /// Makes the tree of a request, with more packages than every guest has, or finds one in the cache that the archives
    /// still agree with.
    pub(crate) fn make(&mut self, request: &BaseRequest, more_packages: &[&str]) -> Result<BaseTree> {
        if request.image_digest.is_some() {
            let what = "only docker's guests can begin with an image by its digest".to_owned();
            return Err(Problem { what, mend: "add --docker, or leave the digest away".into() }.into());
        }
        let distribution = Distribution::from_distro(&request.target.distro)?;
        let map = IdMap::of_caller().map_err(|none| none.problem())?;
        let keys = request.keyring.as_deref().map(read_keys).transpose()?;
        let wanted = Wanted::of(request, distribution, more_packages, keys.as_deref(), self.proxy_host);
        make_private(self.cache.root())?;
        make_private(&self.cache.bases())?;
        self.patiently(request, |maker| match maker.current(&wanted)? {
            Some(tree) => Ok(tree),
            None => maker.make_new(&wanted, request, distribution, keys.as_deref(), &map),
        })
    }

    /// Returns the command that repeats a request.
    fn again(&self, request: &BaseRequest) -> String {
        command_for(self.option, &request.target)
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
                None => return Err(problem_of(&trouble, request, &self.again(request)).into()),
            }
        }
    }

    /// Returns a cached base tree that was made from the Release files that the archives have now.
    fn current(&mut self, wanted: &Wanted) -> Result<Option<BaseTree>> {
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
                Ok(found) if found == record.releases => return Ok(BaseTree::find(self.cache, base)),
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
    ) -> Result<BaseTree> {
        let bases = self.cache.bases();
        let lines = match &request.mirror {
            Some(mirror) => self.source_lines(wanted, request, distribution, mirror)?,
            None => Vec::new(),
        };
        let (staging, lock) = new_folder(&bases, map)?;
        let result = self.fill(&staging, wanted, distribution, &lines, keys, map).and_then(|(base, record)| {
            sweep(&staging, map)?;
            write_document(&staging.join("record.yml"), &record)?;
            let place = self.cache.base(&base);
            if BaseTree::find(self.cache, &base).is_some() {
                // The archives moved on, the packages of the base tree did not.
                write_document(&place.join("record.yml"), &record)?;
            } else {
                fs::rename(&staging, &place).with_context(|| format!("make {}", place.display()))?;
            }
            BaseTree::find(self.cache, &base).context("the base tree that was just made is gone")
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
                None if number == 0 => return Err(no_such_suite(request, &self.again(request)).into()),
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
        let command = mmdebstrap::command(wanted, distribution, keyring, lines);
        let base = mmdebstrap::run(&command, &enclosure, &staging.join("rootfs.tar.zst"), self.report)?;
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
}

/// Removes what was only needed while a tree was made.
fn sweep(staging: &Path, map: &IdMap) -> Result<()> {
    let fs = staging.join("fs");
    let remove = Command::new("rm").args(["-rf", "--"]).args(entries(&fs)?).folder(&fs);
    // Three small files belong to the caller, who made them; the folder is open to both.
    Enclosure::of_ids(map)?.run_ok(&remove, Streams::default())?;
    Ok(())
}
