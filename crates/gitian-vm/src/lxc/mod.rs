//! Guests that are containers of LXC.
//!
//! A base image is a plain file `base-<suite>-<arch>`, as drivers test for it, that names a base tree of the cache. A
//! target is a folder, `var/lxc`, with what the guest wrote on top of that: LXC itself puts an overlay together, in the
//! guest's own namespace, so that no mount is left on the host. Root's guests have the host's ids and few capabilities; an
//! ordinary user's have his subordinate ids.

mod config;
mod guest;
mod tools;
mod user;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gitian_descriptor::{Architecture, Distro, Suite};
use gitian_process::{Command, Streams};
use nix::unistd::getuid;
use serde::{Deserialize, Serialize};

use self::config::Net;
use self::guest::Guest;
use self::tools::Tools;
use crate::base_tree::{BaseTree, Maker, Pointers, command_for};
use crate::cache::CachePlace;
use crate::document::{Which, read_state, remove_file, unusable, write_document};
use crate::sandbox::enclosure::Enclosure;
use crate::sandbox::id_map::IdMap;
use crate::sandbox::layer::{self, Held, Layers};
use crate::sandbox::place::{make_fs, make_private, remove};
use crate::sandbox::{base_tree_problems, caller_ids, guest_problems};
use crate::settings::no_host_ip;
use crate::{Backend, BaseRequest, Event, Layer, Problem, Resources, Settings, Target, TargetId, base_name};

/// The option of make-base-vm that makes these base images.
const OPTION: &str = "--lxc ";
/// The name of a guest in its folder.
const NAME: &str = "gitian-target";
/// A base image that is a pointer is never as large, in bytes; one of the original's always is larger.
const POINTER_AT_MOST: u64 = 64 * 1024;

/// LXC's guests of one working directory.
#[derive(Clone, Debug)]
pub struct Lxc {
    cache: PathBuf,
    workdir: PathBuf,
    etc: PathBuf,
    proxy_host: Option<String>,
    bridge: Option<String>,
    guest_ip: Option<String>,
    host_ip: Option<String>,
    /// What `LXC_EXECUTE` says.
    execute: Option<String>,
    tools: Tools,
}

/// What a target is: `var/lxc/image.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    target: Which,
    base: String,
    layer: Option<LayerUsed>,
}

/// A layer below a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerUsed {
    key: String,
    made: String,
}

/// What a guest is started from.
struct Configured {
    /// What LXC is told.
    path: PathBuf,
    /// The folders that the guest stands on; what it writes goes to the last one.
    folders: Vec<PathBuf>,
    /// The host's ids behind the guest's.
    map: IdMap,
    held: Option<Held>,
}

/// Returns the host's ids behind those of guests: root's guests have the host's own.
fn ids() -> Result<IdMap, Problem> {
    if getuid().is_root() { Ok(IdMap::HOST) } else { caller_ids() }
}

impl Lxc {
    /// Names the caches and the working directory that it works in.
    pub fn new(settings: &Settings, workdir: &Path) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let workdir = absolute(workdir);
        Self {
            cache: absolute(&settings.cache),
            etc: absolute(&settings.etc),
            proxy_host: settings.mirror_host.clone(),
            bridge: settings.lxc_bridge.clone(),
            guest_ip: settings.lxc_guest_ip.clone(),
            host_ip: settings.host_ip.clone(),
            execute: settings.lxc_execute.clone(),
            tools: Tools::new(workdir.join("var/lxc"), settings.lxc_execute.as_deref()),
            workdir,
        }
    }

    fn cache_place(&self) -> CachePlace {
        CachePlace::new(&self.cache)
    }

    fn pointers(&self) -> Pointers<'_> {
        Pointers { workdir: &self.workdir, ending: "", option: OPTION }
    }

    fn layers(&self, map: &IdMap) -> Layers {
        Layers::new(self.cache_place().layers(map.first_uid))
    }

    fn image(&self) -> PathBuf {
        self.tools.path().join("image.yml")
    }

    /// What the guest writes is in `upper`; LXC makes a folder `work` beside it.
    fn fs(&self) -> PathBuf {
        self.tools.path().join("fs")
    }

    /// An image that the original made cannot be a guest's overlay.
    fn foreign(&self, target: &TargetId) -> Option<Problem> {
        let name = base_name(&target.suite, target.architecture);
        let large = fs::metadata(self.workdir.join(&name)).is_ok_and(|found| found.len() > POINTER_AT_MOST);
        large.then(|| Problem {
            what: format!("base image {} is a disk image of the original gitian-builder", name.display()),
            mend: format!("mv {0} {0}.old && {1}", name.display(), command_for(OPTION, target)),
        })
    }

    fn template(&self) -> String {
        fs::read_to_string(self.etc.join("lxc.config.in")).unwrap_or_else(|_| config::TEMPLATE.to_owned())
    }

    /// Nothing in a guest asks for an address: it has the one that it is given, here or in a template of the user's.
    fn without_address(&self) -> Option<Problem> {
        let bridge = self.bridge.as_ref().filter(|_| self.guest_ip.is_none())?;
        (!self.template().contains(config::ADDRESS)).then(|| Problem {
            what: format!("LXC_BRIDGE={bridge} without LXC_GUEST_IP: a guest on it would have no address"),
            mend: "export LXC_GUEST_IP=<an address of the bridge's network, such as 10.0.3.5>".into(),
        })
    }

    fn tree(&self, target: &TargetId) -> Result<BaseTree> {
        match self.foreign(target) {
            Some(problem) => Err(problem.into()),
            None => self.pointers().tree(&self.cache_place(), target),
        }
    }

    /// Writes what LXC is told about the guest of an image, with or without the network; what that stands on is held.
    fn configure(&self, image: &Image, online: bool) -> Result<Configured> {
        let map = ids()?;
        let layers = self.layers(&map);
        let mut folders = Vec::new();
        let mut held = None;
        if let Some(used) = &image.layer {
            held = layers.hold(&used.key, &used.made)?;
            if held.is_none() {
                let what = format!("the layer below the target {} is no longer kept", image.target);
                return Err(unusable(what, &image.target).into());
            }
            folders.push(layers.tree(&used.key, &used.made));
        }
        let Some(tree) = BaseTree::find(&self.cache_place(), &image.base) else {
            let what = format!("the base image below the target {} is no longer kept", image.target);
            return Err(unusable(what, &image.target).into());
        };
        folders.push(tree.unpacked(&map)?);
        folders.push(self.fs());
        let template = self.template();
        let net = match (&self.bridge, online) {
            (_, false) => Net::Off,
            (Some(bridge), true) => Net::Bridge(bridge, self.guest_ip.as_deref()),
            (None, true) => Net::Host,
        };
        let is_user = map != IdMap::HOST;
        let seen: Vec<PathBuf> = if is_user { (0..folders.len()).map(user::shown).collect() } else { folders.clone() };
        let mut text = config::render(&template, &seen, &net)?;
        if is_user {
            text += user::MORE;
        }
        let path = self.workdir.join("var/lxc.config");
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(Configured { path, folders, map, held })
    }

    /// Writes what LXC is told about the target that is there, and returns where.
    pub fn write_config(&self) -> Result<PathBuf> {
        let image = read_state::<Image>(&self.image()).ok_or_else(|| Problem {
            what: format!("there is no target of LXC in {}", self.workdir.display()),
            mend: "USE_LXC=1 libexec/make-clean-vm --suite SUITE --arch ARCH".into(),
        })?;
        Ok(self.configure(&image, true)?.path)
    }

    /// Starts the guest of an image, with or without the network; what it stands on is held meanwhile.
    fn start_image(&self, image: &Image, online: bool) -> Result<Option<Held>> {
        let configured = self.configure(image, online)?;
        let started = || {
            self.tools.start(&configured)?;
            let host = self.bridge.as_ref().map(|_| self.host_ip.as_deref().unwrap_or(guest::GATEWAY));
            guest::settle(&self.tools, online, host)
        };
        started().with_context(|| format!("start the guest {}", image.target)).inspect_err(|_| {
            // The first error says more than one that follows from it.
            self.tools.kill().ok();
        })?;
        Ok(configured.held)
    }

    /// Removes what the last target wrote, and all that was noted about it.
    fn empty_upper(&self, map: &IdMap) -> Result<()> {
        let ids = Enclosure::of_ids(map)?;
        remove(self.tools.path(), &ids)?;
        make_private(self.tools.path())?;
        let fs = make_fs(self.tools.path())?;
        // It is the guest's root folder.
        ids.run_ok(&Command::new("mkdir").args(["-m", "755", "upper"]).folder(fs), Streams::default())?;
        Ok(())
    }

    /// Whether a target's files can be moved into the cache as they are: from another file system the marks of what an
    /// overlay hides would get lost.
    fn can_keep(&self) -> bool {
        let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
        device(self.tools.path()).is_some_and(|own| device(&self.cache) == Some(own))
    }

    /// Moves what a stopped target has written into the cache as a layer; returns the image of the target that is left.
    fn keep_layer(&self, image: &Image, layer: &Layer) -> Result<Image> {
        if image.layer.is_some() {
            bail!("the target {} was itself made from a layer: no other can be kept of it", image.target);
        }
        let made = layer::new_name();
        let record = layer::Record { made: made.clone(), base: image.base.clone(), whole: false };
        remove_file(&self.image())?;
        let map = ids()?;
        self.layers(&map).keep(&layer.key, (&self.fs(), "upper"), &record, &map)?;
        self.empty_upper(&map)?;
        let image = Image { layer: Some(LayerUsed { key: layer.key.clone(), made }), ..image.clone() };
        write_document(&self.image(), &image)?;
        Ok(image)
    }
}

impl Backend for Lxc {
    fn name(&self) -> &'static str {
        "lxc"
    }

    fn check(&self, targets: &[TargetId]) -> Vec<Problem> {
        let mut problems = tools::problems(&self.tools, self.execute.as_deref(), self.bridge.as_deref());
        problems.extend(tools::no_address(self.guest_ip.as_deref()));
        problems.extend(self.bridge.as_ref().and_then(|_| no_host_ip(self.host_ip.as_deref())));
        problems.extend([&self.cache, &self.workdir].into_iter().filter(|path| config::plain(path).is_none()).map(
            |path| Problem {
                what: format!("{}: {}", path.display(), config::UNFIT),
                mend: "use --backend sandbox, or a folder of another name".into(),
            },
        ));
        let cache = self.cache_place();
        if targets.is_empty() {
            problems.extend(base_tree_problems(&cache, &self.workdir));
        } else {
            problems.extend(self.without_address());
            if !getuid().is_root() {
                problems.extend(guest_problems(&cache, &self.workdir));
            }
        }
        let trouble = |target| self.foreign(target).or_else(|| self.pointers().trouble(&cache, target));
        problems.extend(targets.iter().filter_map(trouble));
        problems
    }

    fn make_base(&self, request: &BaseRequest, report: &mut dyn FnMut(Event)) -> Result<()> {
        let cache = self.cache_place();
        self.pointers().expect_none(&request.target)?;
        let proxy_host = self.proxy_host.as_deref();
        let tree = Maker { cache: &cache, proxy_host, option: OPTION, report }.make(request, &[])?;
        report(Event::Step("unpacking the base image".into()));
        tree.unpacked(&ids()?)?;
        self.pointers().write(&request.target, &tree)
    }

    fn base_distro(&self, suite: &Suite, architecture: Architecture) -> Result<Option<Distro>> {
        let name = base_name(suite, architecture);
        if fs::metadata(self.workdir.join(name)).is_ok_and(|found| found.len() > POINTER_AT_MOST) {
            return Ok(None);
        }
        self.pointers().distro(suite, architecture)
    }

    fn base_id(&self, target: &TargetId) -> Result<String> {
        Ok(self.tree(target)?.digest().to_owned())
    }

    fn make_clean(&self, target: &TargetId, layer: Option<&Layer>) -> Result<bool> {
        let tree = self.tree(target)?;
        let map = ids()?;
        make_private(self.tools.path())?;
        self.tools.kill()?;
        remove_file(&self.image())?;
        self.empty_upper(&map)?;
        let base = tree.digest().to_owned();
        let kept = match layer {
            // One that is whole is not to be put on top of another tree.
            Some(layer) => self.layers(&map).find(&layer.key)?.filter(|record| record.base == base && !record.whole),
            None => None,
        };
        let layer = layer.zip(kept).map(|(layer, record)| LayerUsed { key: layer.key.clone(), made: record.made });
        let from_layer = layer.is_some();
        write_document(&self.image(), &Image { target: Which::of(target), base, layer })?;
        Ok(from_layer)
    }

    fn start(&self, target: &TargetId, _resources: Resources) -> Result<Box<dyn Target>> {
        let which = Which::of(target);
        let shown = self.workdir.display();
        let Some(image) = read_state::<Image>(&self.image()) else {
            return Err(unusable(format!("there is no target {target} in {shown}"), &which).into());
        };
        if image.target != which {
            return Err(unusable(format!("the target in {shown} is {}, not {target}", image.target), &which).into());
        }
        self.tools.kill()?;
        let held = self.start_image(&image, true)?;
        Ok(Box::new(Guest::new(self.clone(), image, held)))
    }

    fn attach(&self) -> Result<Option<Box<dyn Target>>> {
        let Some(image) = read_state::<Image>(&self.image()) else {
            if self.image().exists() {
                // Nobody knows what it is.
                self.tools.kill()?;
                remove_file(&self.image())?;
            }
            return Ok(None);
        };
        if !self.tools.is_running()? {
            return Ok(None);
        }
        let held = match &image.layer {
            Some(used) => self.layers(&ids()?).hold(&used.key, &used.made)?,
            None => None,
        };
        Ok(Some(Box::new(Guest::new(self.clone(), image, held))))
    }
}
