//! Images of containers: OCI image layouts and what `docker save` writes, as a tar.
//!
//! Every layer becomes canonical, except that owners and modes stay: the container runs with them. From the layers on
//! upwards every digest, size and name is made anew. Whatever names the old digests from outside, signatures first of all,
//! is worthless then, and left out where it is seen. Source: OCI image specification 1.1; Docker image specification 1.3.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result, bail};
use gitian_descriptor::calendar;
use gitian_manifest::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::codec::{self, Compression};
use crate::entry::{Content, Entry, Kind, path, shown};
use crate::listing::settle;
use crate::part::{Part, Spool};
use crate::{Refused, Rules, Run, json, refused, tar};

/// The largest document that is read, in bytes. Source: what registries take.
const JSON_LIMIT: u64 = 4 << 20;
/// How deep indices may lie in indices.
const DEPTH: u32 = 4;
const BLOBS: &str = "blobs/sha256/";
const UNUSED: &str = "files that the image does not need";
const OTHER_LAYERS: &str = "names other layers than the image has";
const SIGNATURES: &str = "signatures and attestations of the image as it was";

/// Whether a tar is an image.
pub(crate) fn is_image(entries: &[Entry]) -> bool {
    let file = |name: &[u8]| {
        entries.iter().find_map(|entry| match &entry.kind {
            Kind::File(content) if entry.path == name => Some(content),
            _ => None,
        })
    };
    if file(b"oci-layout").is_some() && file(b"index.json").is_some() {
        return true;
    }
    // Many things have a manifest of that name.
    let Some(bytes) = file(b"manifest.json").and_then(|content| content.whole(JSON_LIMIT).ok()) else { return false };
    let images = serde_json::from_slice::<Vec<Value>>(&bytes).unwrap_or_default();
    !images.is_empty() && images.iter().all(|image| image.get("Config").is_some() && image.get("Layers").is_some())
}

/// Writes the canonical form of an image.
pub(crate) fn rewrite(entries: Vec<Entry>, out: &mut dyn Write, run: &mut Run<'_>) -> Result<()> {
    let count = entries.len();
    let mut files = HashMap::with_capacity(count);
    for Entry { path, kind, .. } in entries {
        let name = shown(&path);
        if files.insert(path, kind).is_some() {
            bail!(Refused(format!("{name}: is there twice")));
        }
    }
    let spool = Spool::beside_output(run.folder)?;
    let mut image = Image {
        files,
        used: HashSet::new(),
        sums: HashMap::new(),
        documents: HashMap::new(),
        configs: HashMap::new(),
        layers: HashMap::new(),
        made: BTreeMap::new(),
        spool,
        run,
    };
    let mut layout = false;
    if image.files.contains_key(&b"oci-layout"[..]) && image.files.contains_key(&b"index.json"[..]) {
        layout = true;
        image.copy_json("oci-layout")?;
        let mut index = image.json("index.json")?;
        image.index(&mut index, DEPTH).context("index.json")?;
        image.put_json("index.json", &index)?;
    }
    if image.files.contains_key(&b"manifest.json"[..]) {
        image.docker_manifest(layout).context("manifest.json")?;
    }
    let unused = |(path, kind): &(&Vec<u8>, &Kind)| !matches!(kind, Kind::Folder) && !image.used.contains(*path);
    for _ in image.files.iter().filter(unused) {
        image.run.notes.left_out(UNUSED);
    }
    let time = image.run.rules.epoch;
    let entries = laid_out(image.made, time);
    let rules = Rules { sort: true, ..run.rules };
    tar::write(&settle(entries, &rules, |_| 0)?, tar::Style::Plain, out)
}

/// Returns entries for files, and for the folders that they are in.
fn laid_out(made: BTreeMap<String, Part>, time: i64) -> Vec<Entry> {
    let entry = |path: &str, kind, mode| Entry {
        path: path.as_bytes().to_vec(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        time,
        attributes: None,
    };
    let mut folders = BTreeMap::new();
    for path in made.keys() {
        for (at, _) in path.match_indices('/') {
            folders.entry(path[..at].to_owned()).or_insert_with(|| entry(&path[..at], Kind::Folder, 0o755));
        }
    }
    let files = made.into_iter().map(|(path, part)| entry(&path, Kind::File(Content::plain(part)), 0o644));
    folders.into_values().chain(files.collect::<Vec<_>>()).collect()
}

struct Image<'a, 'r> {
    files: HashMap<Vec<u8>, Kind>,
    used: HashSet<Vec<u8>>,
    // What is named again and again is looked at once; each by the path that it was at.
    /// Digests.
    sums: HashMap<Vec<u8>, String>,
    /// Indices (true) and manifests, made canonical; nothing for what is left out.
    documents: HashMap<(Vec<u8>, bool), Option<Blob>>,
    configs: HashMap<Vec<u8>, Config>,
    layers: HashMap<Vec<u8>, Layer>,
    /// What is written, by path.
    made: BTreeMap<String, Part>,
    spool: Spool,
    run: &'a mut Run<'r>,
}

/// A document among the blobs.
#[derive(Clone)]
struct Blob {
    part: Part,
    digest: String,
}

/// A config, made canonical.
#[derive(Clone)]
struct Config {
    blob: Blob,
    /// The layers that it was made from.
    old_diff_ids: Vec<String>,
}

/// A file, and where it was found.
struct Found {
    at: Vec<u8>,
    content: Content,
}

/// A layer, made canonical.
#[derive(Clone)]
struct Layer {
    part: Part,
    /// Of `part`.
    digest: String,
    /// Of what `part` unpacks to.
    diff_id: String,
    /// The same of what it was made from.
    old_diff_id: String,
}

impl Image<'_, '_> {
    /// Finds a file; older Docker writes links to layers that are there already.
    fn file(&mut self, name: &str) -> Result<Found> {
        let absent = || refused(format!("{name}: is not there"));
        let mut at = path(name.as_bytes())?.ok_or_else(absent)?;
        self.used.insert(at.clone());
        if let Some(Kind::Symlink(target)) = self.files.get(&at) {
            let folder = at.iter().rposition(|byte| *byte == b'/').map_or(&[][..], |slash| &at[..slash]);
            at = beside(folder, target).ok_or_else(absent)?;
            self.used.insert(at.clone());
        }
        match self.files.get(&at) {
            Some(Kind::File(content)) => Ok(Found { content: content.clone(), at }),
            _ => Err(absent()),
        }
    }

    fn json(&mut self, name: &str) -> Result<Value> {
        json::read(&self.file(name)?.content.whole(JSON_LIMIT)?).context(name.to_owned())
    }

    fn put_json(&mut self, name: &str, value: &Value) -> Result<()> {
        let blob = self.append(value)?;
        self.made.insert(name.to_owned(), blob.part);
        Ok(())
    }

    fn append(&self, value: &Value) -> Result<Blob> {
        let bytes = json::write(value);
        let part = self.spool.append(|mut file| Ok(file.write_all(&bytes)?))?;
        Ok(Blob { part, digest: Digest::of_bytes(&bytes).to_string() })
    }

    fn copy_json(&mut self, name: &str) -> Result<()> {
        let value = self.json(name)?;
        self.put_json(name, &value)
    }

    /// Puts a document among the blobs.
    fn put_blob(&mut self, blob: &Blob) {
        self.made.insert(format!("{BLOBS}{}", blob.digest), blob.part.clone());
    }

    fn index(&mut self, index: &mut Value, depth: u32) -> Result<()> {
        if depth == 0 {
            bail!(Refused("has indices in indices in indices".into()));
        }
        stamp_annotations(index, &self.run.rules);
        let manifests = index.get_mut("manifests").and_then(Value::as_array_mut);
        let manifests = manifests.ok_or_else(|| refused("has no list of manifests"))?;
        let mut kept = Vec::new();
        for mut descriptor in manifests.drain(..) {
            if self.descriptor(&mut descriptor, depth)? {
                kept.push(descriptor);
            }
        }
        *manifests = kept;
        Ok(())
    }

    /// Follows a descriptor of an index; returns whether it is kept.
    fn descriptor(&mut self, descriptor: &mut Value, depth: u32) -> Result<bool> {
        let (place, found) = self.blob(descriptor)?;
        let media_type = descriptor.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        let is_index = media_type.contains("image.index") || media_type.contains("manifest.list");
        let is_manifest = media_type.contains("image.manifest") || media_type.contains("distribution.manifest.v2");
        if !is_index && !is_manifest {
            bail!(Refused(format!("{place}: is of a type that is not known ({media_type})")));
        }
        if descriptor.pointer("/annotations/vnd.docker.reference.type").is_some() {
            self.run.notes.left_out(SIGNATURES);
            return Ok(false);
        }
        let as_what = (found.at, is_index);
        let made = match self.documents.get(&as_what) {
            Some(known) => known.clone(),
            None => {
                let made = self.document(&found.content, is_index, depth).with_context(|| place.clone())?;
                self.documents.insert(as_what, made.clone());
                made
            }
        };
        let Some(blob) = made else {
            self.run.notes.left_out(SIGNATURES);
            return Ok(false);
        };
        point(descriptor, &blob.digest, blob.part.len())?;
        stamp_annotations(descriptor, &self.run.rules);
        Ok(true)
    }

    /// Makes an index or a manifest canonical; nothing if it is about another image.
    fn document(&mut self, content: &Content, is_index: bool, depth: u32) -> Result<Option<Blob>> {
        let mut value = json::read(&content.whole(JSON_LIMIT)?)?;
        if value.get("subject").is_some() {
            return Ok(None);
        }
        if is_index {
            self.index(&mut value, depth - 1)?;
        } else {
            self.manifest(&mut value)?;
        }
        let blob = self.append(&value)?;
        self.put_blob(&blob);
        Ok(Some(blob))
    }

    /// Finds what a descriptor means, and checks that it is that.
    fn blob(&mut self, descriptor: &Value) -> Result<(String, Found)> {
        self.run.budget.spend_entry()?;
        let digest = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
        let hex = digest.strip_prefix("sha256:").filter(|hex| hex.parse::<Digest>().is_ok());
        let hex = hex.ok_or_else(|| refused(format!("has a digest that is not known: {digest}")))?;
        let place = format!("{BLOBS}{hex}");
        let found = self.file(&place)?;
        if !self.sums.contains_key(&found.at) {
            self.sums.insert(found.at.clone(), sum(&found.content.part)?);
        }
        let same = self.sums.get(&found.at).is_some_and(|sum| sum == hex);
        if descriptor.get("size").and_then(Value::as_u64) != Some(found.content.size()) || !same {
            bail!(Refused(format!("{place}: is not what its digest and size say")));
        }
        Ok((place, found))
    }

    fn manifest(&mut self, manifest: &mut Value) -> Result<()> {
        stamp_annotations(manifest, &self.run.rules);
        let layers = manifest.get_mut("layers").and_then(Value::as_array_mut);
        let mut done = Vec::new();
        for descriptor in layers.ok_or_else(|| refused("has no layers"))? {
            let media_type = descriptor.get("mediaType").and_then(Value::as_str).unwrap_or_default();
            if !media_type.contains("tar") {
                bail!(Refused(format!("has a layer of a type that is not known ({media_type})")));
            }
            let (place, found) = self.blob(descriptor)?;
            let layer = self.layer(&place, found)?;
            self.made.insert(format!("{BLOBS}{}", layer.digest), layer.part.clone());
            point(descriptor, &layer.digest, layer.part.len())?;
            stamp_annotations(descriptor, &self.run.rules);
            done.push(layer);
        }
        let config = manifest.get_mut("config").ok_or_else(|| refused("has no config"))?;
        let (place, found) = self.blob(config)?;
        let blob = self.config(&place, found, &done)?;
        self.put_blob(&blob);
        point(config, &blob.digest, blob.part.len())
    }

    /// Makes a config canonical: what it becomes depends on nothing but itself and the layers that it names.
    fn config(&mut self, place: &str, found: Found, layers: &[Layer]) -> Result<Blob> {
        let known = match self.configs.get(&found.at) {
            Some(known) => known.clone(),
            None => {
                let mut value = json::read(&found.content.whole(JSON_LIMIT)?).with_context(|| place.to_owned())?;
                configure(&mut value, layers, &self.run.rules).with_context(|| place.to_owned())?;
                let old_diff_ids = layers.iter().map(|layer| layer.old_diff_id.clone()).collect();
                let config = Config { blob: self.append(&value)?, old_diff_ids };
                self.configs.insert(found.at, config.clone());
                config
            }
        };
        if !known.old_diff_ids.iter().eq(layers.iter().map(|layer| &layer.old_diff_id)) {
            bail!(Refused(format!("{place}: {OTHER_LAYERS}")));
        }
        Ok(known.blob)
    }

    fn layer(&mut self, place: &str, found: Found) -> Result<Layer> {
        if let Some(known) = self.layers.get(&found.at) {
            return Ok(known.clone());
        }
        let layer = self.make_layer(&found.content).with_context(|| place.to_owned())?;
        self.layers.insert(found.at, layer.clone());
        Ok(layer)
    }

    fn make_layer(&mut self, content: &Content) -> Result<Layer> {
        let packed = Compression::detect(&content.part)?;
        let plain = codec::unpack(&content.part, packed, self.run)?;
        let old_diff_id = sum(&plain)?;
        let rules = Rules { keep_owners: true, keep_modes: true, ..self.run.rules };
        let entries = settle(tar::read(&plain, self.run)?, &rules, |_| 0)?;
        let mut hash = Sha256::new();
        let part = self.spool.append(|file| {
            codec::pack(file, packed, |out| {
                let mut out = BufWriter::new(Hashed { out, hash: &mut hash });
                tar::write(&entries, tar::Style::Plain, &mut out)?;
                Ok(out.flush()?)
            })
        })?;
        let diff_id = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Layer { digest: sum(&part)?, part, diff_id, old_diff_id })
    }

    /// What `docker load` reads.
    fn docker_manifest(&mut self, layout: bool) -> Result<()> {
        let mut manifest = self.json("manifest.json")?;
        let images = manifest.as_array_mut().ok_or_else(|| refused("is no list"))?;
        for image in images {
            let text =
                |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| refused("has a path that is none"));
            let layers = image.get("Layers").and_then(Value::as_array).ok_or_else(|| refused("has no layers"))?;
            let layers = layers.iter().map(text).collect::<Result<Vec<_>>>()?;
            let config = text(image.get("Config").unwrap_or(&Value::Null))?;
            let mut done = Vec::new();
            let mut places = Vec::new();
            for place in layers {
                self.run.budget.spend_entry()?;
                let found = self.file(&place)?;
                let layer = self.layer(&place, found)?;
                let place = match layout {
                    true => format!("{BLOBS}{}", layer.digest),
                    false => format!("{}/layer.tar", layer.diff_id),
                };
                self.made.insert(place.clone(), layer.part.clone());
                places.push(Value::String(place));
                done.push(layer);
            }
            self.run.budget.spend_entry()?;
            let found = self.file(&config)?;
            let blob = self.config(&config, found, &done)?;
            let place = if layout { format!("{BLOBS}{}", blob.digest) } else { format!("{}.json", blob.digest) };
            self.made.insert(place.clone(), blob.part);
            let tags = image.get("RepoTags").cloned().unwrap_or(Value::Null);
            *image = json!({ "Config": place, "Layers": places, "RepoTags": tags });
        }
        self.put_json("manifest.json", &manifest)
    }
}

/// Gives the config of an image its new layers and times.
fn configure(config: &mut Value, layers: &[Layer], rules: &Rules) -> Result<()> {
    let diff_ids = config.pointer_mut("/rootfs/diff_ids").and_then(Value::as_array_mut);
    let diff_ids = diff_ids.ok_or_else(|| refused("names no layers"))?;
    let stated: Vec<Option<&str>> = diff_ids.iter().map(|id| id.as_str()?.strip_prefix("sha256:")).collect();
    if stated != layers.iter().map(|layer| Some(&*layer.old_diff_id)).collect::<Vec<_>>() {
        bail!(Refused(OTHER_LAYERS.into()));
    }
    *diff_ids = layers.iter().map(|layer| Value::String(format!("sha256:{}", layer.diff_id))).collect();
    stamp(config.get_mut("created"), rules);
    if let Some(history) = config.get_mut("history").and_then(Value::as_array_mut) {
        history.iter_mut().for_each(|step| stamp(step.get_mut("created"), rules));
    }
    // What Docker's older builder notes of the machine it ran on.
    if let Some(config) = config.as_object_mut() {
        for key in ["container", "container_config", "docker_version"] {
            config.remove(key);
        }
    }
    if let Some(config) = config.get_mut("config").and_then(Value::as_object_mut) {
        config.remove("Hostname");
        config.remove("Image");
    }
    Ok(())
}

fn stamp_annotations(of: &mut Value, rules: &Rules) {
    stamp(of.pointer_mut("/annotations/org.opencontainers.image.created"), rules);
}

/// Gives a time that is there its canonical value.
fn stamp(time: Option<&mut Value>, rules: &Rules) {
    let Some(Value::String(time)) = time else { return };
    let wanted = calendar::utc(rules.epoch).replacen(' ', "T", 1) + "Z";
    let earlier = time.ends_with('Z') && time.get(..19).is_some_and(|own| own < &wanted[..19]);
    if !(rules.clamp && earlier) {
        *time = wanted;
    }
}

fn point(descriptor: &mut Value, digest: &str, size: u64) -> Result<()> {
    let descriptor = descriptor.as_object_mut().ok_or_else(|| refused("has a descriptor that is none"))?;
    descriptor.insert("digest".into(), format!("sha256:{digest}").into());
    descriptor.insert("size".into(), size.into());
    Ok(())
}

/// Returns the SHA-256 of a part.
fn sum(part: &Part) -> Result<String> {
    Ok(Digest::of_reader(part.reader())?.to_string())
}

struct Hashed<'a, 'b> {
    out: &'a mut (dyn Write + 'b),
    hash: &'a mut Sha256,
}

impl Write for Hashed<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Returns where a relative link leads from a folder.
fn beside(folder: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    let mut at: Vec<&[u8]> = folder.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                at.pop()?;
            }
            part => at.push(part),
        }
    }
    (!target.starts_with(b"/")).then(|| at.join(&b'/'))
}
