//! Base images: the base tree as an image of the engine, or a registry's image with what every guest has.
//!
//! Ours carry labels that say what they are; an image of the right name without labels is one that somebody made himself,
//! and is taken as it is.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use gitian_descriptor::{Architecture, Suite};
use gitian_process::{Input, Streams};
use serde::Deserialize;

use super::args::{self, DISTRO, FORMAT, TARGET};
use super::engine::Engine;
use crate::backend::base_name;
use crate::base_tree::{BaseTree, command_for};
use crate::debian::Distribution;
use crate::document::Which;
use crate::{BaseRequest, Problem, TargetId};

/// The option of make-base-vm that makes these.
pub(super) const OPTION: &str = "--docker ";

/// An image, as the engine has it.
pub(super) struct Image {
    /// Its digest in hex, which is also its id.
    pub(super) id: String,
    /// What it says about itself.
    pub(super) labels: BTreeMap<String, String>,
}

/// What of an image's configuration we look at.
#[derive(Deserialize)]
struct Configuration {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Image {
    /// Returns the image of a name, or an id, if there is one.
    pub(super) fn find(engine: &Engine, name: &str) -> Result<Option<Self>> {
        let inspect = engine.command("image").args(["inspect", "--format", "{{.Id}} {{json .Config}}", name]);
        let Some(text) = engine.find(&inspect)? else { return Ok(None) };
        let (id, configuration) = text.split_once(' ').with_context(|| format!("image {name}: {text}"))?;
        let labels = serde_yaml::from_str::<Option<Configuration>>(configuration)
            .with_context(|| format!("image {name}: {configuration}"))?
            .and_then(|configuration| configuration.labels);
        Ok(Some(Self { id: id.strip_prefix("sha256:").unwrap_or(id).to_owned(), labels: labels.unwrap_or_default() }))
    }
}

/// Returns the name of a base image.
pub(super) fn name(suite: &Suite, architecture: Architecture) -> String {
    // Engines know small letters only.
    base_name(suite, architecture).display().to_string().to_lowercase()
}

/// Returns the image that a target's guests begin with; a missing one, or another than its name says, is a [`Problem`].
pub(super) fn of_target(engine: &Engine, target: &TargetId) -> Result<Image> {
    let name = name(&target.suite, target.architecture);
    let make = command(target);
    let Some(image) = Image::find(engine, &name)? else {
        return Err(Problem { what: format!("docker image {name} does not exist"), mend: make }.into());
    };
    let label = |name: &str| image.labels.get(name).map(String::as_str);
    let wrong = |what: String| Problem { what, mend: format!("{} rmi {name} && {make}", engine.program()) };
    if label(FORMAT.0).is_some_and(|format| format != FORMAT.1) {
        return Err(wrong(format!("docker image {name} was made by another version of make-base-vm")).into());
    }
    let said = Which::of(target);
    if let Some(other) = label(TARGET).filter(|found| *found != said.to_string()) {
        return Err(wrong(format!("docker image {name} is one of {other}, not {said}")).into());
    }
    if let Some(other) = label(DISTRO).filter(|found| *found != said.distro) {
        let Problem { what, mend } =
            wrong(format!("docker image {name} is one of distro {other}, not {}", said.distro));
        return Err(Problem { what, mend: format!("write `distro: {other}` in the descriptor, or: {mend}") }.into());
    }
    Ok(image)
}

/// Returns the command that makes a target's base image.
pub(super) fn command(target: &TargetId) -> String {
    // A digest stands in for a suite; no suite is as long.
    let suite = target.suite.as_str();
    if suite.len() == 64 && suite.chars().all(|c| c.is_ascii_hexdigit()) {
        let TargetId { distro, architecture, .. } = target;
        return format!(
            "bin/make-base-vm {OPTION}--distro {distro} --docker-image-digest {suite} --arch {}",
            architecture.debian()
        );
    }
    command_for(OPTION, target)
}

/// Makes an image of a base tree.
pub(super) fn import(engine: &Engine, target: &TargetId, tree: &BaseTree) -> Result<()> {
    let name = name(&target.suite, target.architecture);
    let mut import = engine.command("import");
    for label in args::labels(&Which::of(target)) {
        import = import.args(["--change", &format!("LABEL {label}")]);
    }
    let mut tar = tree.tar_without_devices()?;
    let feed = move |pipe: &mut dyn Write| std::io::copy(&mut tar, pipe).map(drop);
    let outcome = engine
        .run(&import.arg("-"), Streams::default().with_input(Input::Produce(Box::new(feed))))
        .with_context(|| format!("make docker image {name}"))?;
    // The name comes last: an engine takes a stream that ends early for a whole one.
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let id = said.split_ascii_whitespace().last().context("docker import did not say what it made")?;
    engine.run(&engine.command("tag").args([id, &name]), Streams::default())?;
    Ok(())
}

/// Makes an image on a registry's.
pub(super) fn build(
    engine: &Engine,
    request: &BaseRequest,
    digest: &str,
    network: Option<&str>,
    proxy_host: Option<&str>,
) -> Result<()> {
    let target = &request.target;
    let name = name(&target.suite, target.architecture);
    let distribution = Distribution::from_distro(&target.distro)?;
    let text = args::dockerfile(distribution, &Which::of(target), digest, proxy_host);
    let mut build = engine.command("build").args(["--force-rm", &format!("--tag={name}")]);
    if let Some(network) = network {
        build = build.arg(format!("--network={network}"));
    }
    engine
        .run(&build.arg("-"), Streams::default().with_input(Input::Bytes(text.as_bytes())))
        .with_context(|| format!("make docker image {name}"))?;
    Ok(())
}
