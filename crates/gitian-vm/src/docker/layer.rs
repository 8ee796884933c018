//! Kept layers: images `gitian-layer:<key>`, what was installed on top of a base image.

use anyhow::{Context, Result};
use gitian_process::Streams;

use super::args::{BASE, LAYERS};
use super::base_image::Image;
use super::engine::Engine;
use crate::Layer;

/// How many layers are kept, the latest made.
const KEPT: usize = 8;

/// Returns the image of a layer that stands on this base image, if one is kept.
pub(super) fn find(engine: &Engine, layer: &Layer, base: &str) -> Result<Option<Image>> {
    let image = Image::find(engine, &format!("{LAYERS}:{}", layer.key))?;
    Ok(image.filter(|image| image.labels.get(BASE).is_some_and(|found| found == base)))
}

/// Keeps a container's present file system as a layer on this base image.
pub(super) fn keep(engine: &Engine, container: &str, layer: &Layer, base: &str) -> Result<()> {
    let name = format!("{LAYERS}:{}", layer.key);
    let label = format!("LABEL {BASE}={base}");
    let commit = engine.command("commit").args(["--change", &label, container, &name]);
    engine.run(&commit, Streams::default()).with_context(|| format!("keep {name}"))?;
    let list = engine.command("images").args(["--format", "{{.Tag}}", LAYERS]);
    // The newest are listed first.
    for tag in engine.ask(&list)?.lines().skip(KEPT) {
        let old = format!("{LAYERS}:{tag}");
        // One that a container stands on stays; it is the next run's.
        engine.command("rmi").arg(&old).run(Streams::default())?;
    }
    Ok(())
}
