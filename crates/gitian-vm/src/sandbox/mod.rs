//! The embedded backend: Linux namespaces and overlayfs, no daemon, no root needed.
//!
//! A target is a folder, `var/target`, whose `fs` an overlay puts on top of a base image from the cache. A running
//! target is an [`Enclosure`], entered by every command. All of it dies with its owner unless it was detached, and
//! mounts exist in the enclosure only, so that nothing can be left on the host but files, which the next run takes over.

mod check;
pub(crate) mod enclosure;
mod enter;
pub(crate) mod guest;
pub(crate) mod id_map;
pub(crate) mod layer;
pub(crate) mod place;
pub(crate) mod rootfs;

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use gitian_descriptor::{Architecture, Distro, Suite};
use gitian_process::{Command, Streams, interrupt};
use serde::{Deserialize, Serialize};

use self::enclosure::{Enclosure, Init};
use self::guest::Guest;
use self::id_map::IdMap;
use self::layer::{Held, Layers};
use self::place::{TargetPlace, entries, make_fs, make_private, remove};
use self::rootfs::{Folders, Rooting, guest_steps, probe_steps};
use crate::base_tree::{BaseTree, Maker, Pointers};
use crate::cache::CachePlace;
use crate::document::{Which, read_state, remove_file, unusable, write_document};
use crate::{Backend, BaseRequest, Event, Layer, Problem, Resources, Settings, Target, TargetId};

/// The sandbox of one working directory.
#[derive(Clone)]
pub struct Sandbox {
    cache: PathBuf,
    workdir: PathBuf,
    proxy_host: Option<String>,
    sweeper: Arc<Sweeper>,
}

/// What a target was made from: `var/target/image.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    target: Which,
    base: String,
    layer: Option<LayerUsed>,
    whole: bool,
}

/// A layer below a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerUsed {
    key: String,
    made: String,
}

/// A guest that runs: `var/target/init.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Running {
    init: Init,
    processors: u32,
    memory_mib: u32,
}

impl Sandbox {
    /// Names the caches and the working directory that it works in.
    pub fn new(settings: &Settings, workdir: &Path) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            cache: absolute(&settings.cache),
            workdir: absolute(workdir),
            proxy_host: settings.mirror_host.clone(),
            sweeper: Arc::default(),
        }
    }

    /// Removes the working directory's target with all that its guests wrote; one that runs is stopped. Its files belong
    /// to other users of the host, so that an ordinary user cannot simply remove the folder.
    pub fn remove_target(&self) -> Result<()> {
        if let Some(stale) = self.attach()? {
            stale.stop()?;
        }
        let place = self.target_place();
        if !place.folder().exists() {
            return Ok(());
        }
        let map = caller_ids()?;
        remove_file(&place.image())?;
        self.sweeper.wait();
        let ids = Enclosure::of_ids(&map)?;
        for name in entries(place.folder())? {
            if name.to_string_lossy().starts_with("old-") {
                remove(&place.folder().join(name), &ids)?;
            }
        }
        remove(place.folder(), &ids)
    }

    /// Removes all kept layers of the caller's that no guest stands on.
    pub fn remove_layers(&self) -> Result<()> {
        let map = caller_ids()?;
        self.layers(&map).remove_all(&map)
    }

    fn target_place(&self) -> TargetPlace {
        TargetPlace::new(&self.workdir)
    }

    fn cache_place(&self) -> CachePlace {
        CachePlace::new(&self.cache)
    }

    fn layers(&self, map: &IdMap) -> Layers {
        Layers::new(self.cache_place().layers(map.first_uid))
    }

    /// Starts a guest from what an image says.
    fn start_image(&self, image: &Image, resources: Resources) -> Result<(Enclosure, Option<Held>)> {
        let map = caller_ids()?;
        let place = self.target_place();
        let cache = self.cache_place();
        let mut lower = Vec::new();
        let mut held = None;
        if let Some(layer) = &image.layer
            && !image.whole
        {
            let layers = self.layers(&map);
            held = layers.hold(&layer.key, &layer.made)?;
            if held.is_none() {
                let what = format!("the layer below the target {} is no longer kept", image.target);
                return Err(unusable(what, &image.target).into());
            }
            lower.push(layers.tree(&layer.key, &layer.made));
        }
        if !image.whole {
            let Some(tree) = BaseTree::find(&cache, &image.base) else {
                let what = format!("the base image below the target {} is no longer kept", image.target);
                return Err(unusable(what, &image.target).into());
            };
            lower.push(tree.unpacked(&map)?);
        }
        let own = place.fs();
        let rooting = if image.whole { Rooting::Copy } else { Rooting::Overlay };
        let resolv_conf = fs::read("/etc/resolv.conf").ok();
        let steps = guest_steps(&Folders { lower: &lower, own: &own, rooting }, resolv_conf.as_deref())?;
        let enclosure = Enclosure::start(&map, &steps, held.as_ref().map(|held| held.as_fd()))
            .with_context(|| format!("start the guest {}", image.target))?;
        let running = Running {
            init: enclosure.init().clone(),
            processors: resources.processors,
            memory_mib: resources.memory_mib,
        };
        write_document(&place.init(), &running)?;
        Ok((enclosure, held))
    }

    /// Moves what a stopped target has written into the cache as a layer, and returns the image of the target that is
    /// left: nothing on top of that layer.
    fn keep_layer(&self, image: &Image, layer: &Layer) -> Result<Image> {
        if image.layer.is_some() {
            bail!("the target {} was itself made from a layer: no other can be kept of it", image.target);
        }
        let map = caller_ids()?;
        let place = self.target_place();
        let made = layer::new_name();
        let record = layer::Record { made: made.clone(), base: image.base.clone(), whole: image.whole };
        let layers = self.layers(&map);
        remove_file(&place.image())?;
        layers.keep(&layer.key, (&place.fs(), "upper"), &record, &map)?;
        let image = Image { layer: Some(LayerUsed { key: layer.key.clone(), made: made.clone() }), ..image.clone() };
        if image.whole {
            copy_tree(&Enclosure::of_ids(&map)?, &layers.tree(&layer.key, &made), &place.fs())?;
        }
        write_document(&place.image(), &image)?;
        Ok(image)
    }

    /// Whether an overlay with the caller's ids works here, on this base tree: one is made and written to.
    fn overlay_works(map: &IdMap, tree: &Path, fs: &Path) -> Result<bool> {
        let steps = probe_steps(&Folders { lower: &[tree.to_owned()], own: fs, rooting: Rooting::Overlay })?;
        match Enclosure::start(map, &steps, None) {
            Ok(enclosure) => enclosure.end().map(|()| true),
            Err(enter::NotBorn::Step { index, .. }) if index >= rootfs::PROBE_FROM => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns what on this host would stop making a base tree for a working directory's guests.
pub(crate) fn base_tree_problems(cache: &CachePlace, workdir: &Path) -> Vec<Problem> {
    check::problems(&check::Facts::gather(cache, workdir, true))
}

/// Returns what on this host would stop guests that run with the caller's ids.
pub(crate) fn guest_problems(cache: &CachePlace, workdir: &Path) -> Vec<Problem> {
    check::problems(&check::Facts::gather(cache, workdir, false))
}

/// Returns the ids that stand behind the caller's guests; to have none is a [`Problem`].
pub(crate) fn caller_ids() -> Result<IdMap, Problem> {
    IdMap::of_caller().map_err(|none| none.problem())
}

/// The small files that name base images of the sandbox in a working directory.
fn pointers(workdir: &Path) -> Pointers<'_> {
    Pointers { workdir, ending: ".sandbox", option: "" }
}

/// Nanoseconds since 1970; only to make names that do not repeat.
fn now_nanos() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// Copies a tree as `upper` into a target's `fs`, sharing blocks where the file system can.
fn copy_tree(ids: &Enclosure, tree: &Path, fs: &Path) -> Result<()> {
    let object = || format!("copy {} to {}", tree.display(), fs.display());
    let folder = File::open(tree).with_context(object)?;
    nix::fcntl::fcntl(&folder, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).with_context(object)?;
    let source = format!("/proc/self/fd/{}/.", folder.as_raw_fd());
    ids.run_ok(&Command::new("mkdir").args(["-m", "755", "upper"]).folder(fs), Streams::default())
        .with_context(object)?;
    let copy = Command::new("cp").args(["-a", "--reflink=auto", "--", &source, "upper"]).folder(fs);
    ids.run_ok(&copy, Streams::default()).with_context(object)?;
    Ok(())
}

impl Backend for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn check(&self, targets: &[TargetId]) -> Vec<Problem> {
        let cache = self.cache_place();
        let facts = check::Facts::gather(&cache, &self.workdir, targets.is_empty());
        let bases = targets.iter().filter_map(|target| pointers(&self.workdir).trouble(&cache, target));
        check::problems(&facts).into_iter().chain(bases).collect()
    }

    fn make_base(&self, request: &BaseRequest, report: &mut dyn FnMut(Event)) -> Result<()> {
        let cache = self.cache_place();
        let proxy_host = self.proxy_host.as_deref();
        let pointers = pointers(&self.workdir);
        pointers.expect_none(&request.target)?;
        let tree = Maker { cache: &cache, proxy_host, option: "", report }.make(request, &[])?;
        report(Event::Step("unpacking the base image".into()));
        tree.unpacked(&caller_ids()?)?;
        pointers.write(&request.target, &tree)
    }

    fn base_distro(&self, suite: &Suite, architecture: Architecture) -> Result<Option<Distro>> {
        pointers(&self.workdir).distro(suite, architecture)
    }

    fn base_id(&self, target: &TargetId) -> Result<String> {
        pointers(&self.workdir).digest(target)
    }

    fn make_clean(&self, target: &TargetId, layer: Option<&Layer>) -> Result<bool> {
        let map = caller_ids()?;
        let base = pointers(&self.workdir).tree(&self.cache_place(), target)?;
        if let Some(stale) = self.attach()? {
            stale.stop()?;
        }
        let place = self.target_place();
        make_private(place.folder())?;
        let before = read_state::<Image>(&place.image());
        remove_file(&place.image())?;
        self.sweeper.put_aside(&place, &map)?;
        if check::is_nearly_full(place.folder()) {
            // The old target may be what fills it.
            self.sweeper.wait();
        }
        let tree = base.unpacked(&map)?;
        let base = base.digest().to_owned();
        let fs = make_fs(place.folder())?;
        let whole = match before {
            Some(before) => before.whole,
            None => {
                let works = Self::overlay_works(&map, &tree, &fs)?;
                self.sweeper.put_aside(&place, &map)?;
                make_fs(place.folder())?;
                !works
            }
        };
        let layers = self.layers(&map);
        let kept = match layer {
            Some(layer) => layers.find(&layer.key)?.filter(|record| record.base == base && record.whole == whole),
            None => None,
        };
        let layer_used = layer.zip(kept).map(|(layer, record)| LayerUsed { key: layer.key.clone(), made: record.made });
        if whole {
            let from = layer_used.as_ref().map_or(tree, |layer| layers.tree(&layer.key, &layer.made));
            copy_tree(&Enclosure::of_ids(&map)?, &from, &fs)?;
        }
        let from_layer = layer_used.is_some();
        write_document(&place.image(), &Image { target: Which::of(target), base, layer: layer_used, whole })?;
        Ok(from_layer)
    }

    fn start(&self, target: &TargetId, resources: Resources) -> Result<Box<dyn Target>> {
        if let Some(stale) = self.attach()? {
            stale.stop()?;
        }
        let Some(image) = read_state::<Image>(&self.target_place().image()) else {
            let what = format!("there is no target {target} in {}", self.workdir.display());
            return Err(unusable(what, &Which::of(target)).into());
        };
        if image.target != Which::of(target) {
            let what = format!("the target in {} is {}, not {target}", self.workdir.display(), image.target);
            return Err(unusable(what, &Which::of(target)).into());
        }
        let (enclosure, held) = self.start_image(&image, resources)?;
        Ok(Box::new(Guest::new(self.clone(), image, resources, enclosure, held)))
    }

    fn attach(&self) -> Result<Option<Box<dyn Target>>> {
        let place = self.target_place();
        let Some(running) = read_state::<Running>(&place.init()) else { return Ok(None) };
        let Some(enclosure) = Enclosure::find(&running.init)? else { return Ok(None) };
        let Some(image) = read_state::<Image>(&place.image()) else {
            // Nobody knows what it is.
            enclosure.end()?;
            return Ok(None);
        };
        let resources = Resources { processors: running.processors, memory_mib: running.memory_mib };
        Ok(Some(Box::new(Guest::new(self.clone(), image, resources, enclosure, None))))
    }
}

/// Removes old targets while the build goes on; what it does not finish, the next run's does.
#[derive(Default)]
struct Sweeper(Mutex<Vec<JoinHandle<()>>>);

impl Sweeper {
    /// Puts aside what a target's guest has written, and begins to remove it, with what earlier runs left.
    fn put_aside(&self, place: &TargetPlace, map: &IdMap) -> Result<()> {
        let fs = place.fs();
        if fs.exists() {
            let aside = place.folder().join(format!("old-{:x}", now_nanos()));
            make_private(&aside)?;
            fs::rename(&fs, aside.join("fs")).with_context(|| format!("put aside {}", fs.display()))?;
        }
        let old: Vec<PathBuf> = entries(place.folder())?
            .into_iter()
            .filter(|name| name.to_string_lossy().starts_with("old-"))
            .map(|name| place.folder().join(name))
            .collect();
        if old.is_empty() {
            return Ok(());
        }
        let map = map.clone();
        let sweep = move || {
            // Nobody waits for it, and what is left is found again by name: an error here is the next run's.
            if let Ok(ids) = Enclosure::of_ids(&map) {
                for folder in old {
                    if interrupt::check().is_err() {
                        return;
                    }
                    remove(&folder, &ids).ok();
                }
            }
        };
        let thread = std::thread::Builder::new().name("sweeper".into()).spawn(sweep).context("start a thread")?;
        if let Ok(mut threads) = self.0.lock() {
            threads.push(thread);
        }
        Ok(())
    }
}

impl Sweeper {
    fn wait(&self) {
        let threads = self.0.lock().map(|mut threads| std::mem::take(&mut *threads)).unwrap_or_default();
        for thread in threads {
            thread.join().ok();
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.wait();
    }
}
