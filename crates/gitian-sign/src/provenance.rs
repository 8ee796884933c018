//! An assertion in the words of others: an in-toto Statement v1 with SLSA Provenance v1.
//!
//! Says what the report records, and what the descriptor says whose digest the report records; nothing else. When and with
//! which kind of guest was built, by which version, and where a remote was fetched from is not recorded.
//! Source: in-toto attestation spec v1, spec/v1/statement.md and resource_descriptor.md; SLSA v1.0, provenance.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use gitian_descriptor::{Descriptor, Loaded};
use gitian_manifest::{Digest, Entry, InManifest, Manifest};
use serde_json::{Value, json};

use crate::draft::Draft;
use crate::sums::outputs;

/// What kind of build it was: one of gbuild. Not registered anywhere.
const BUILD_TYPE: &str = "urn:x-gitian:gbuild:1";
/// Who built: the signer of this name. Not registered anywhere.
const BUILDER: &str = "urn:x-gitian:signer:";

/// The descriptor is not the one that was built.
#[derive(Debug, thiserror::Error)]
#[error("descriptor {path} is not the one that was built: its sha256 is {found}, recorded is {recorded}")]
pub struct DescriptorChanged {
    /// The descriptor, as the user named it.
    pub path: String,
    /// Its digest.
    pub found: Digest,
    /// The digest that the report records.
    pub recorded: Digest,
}

/// Writes the statement about a draft, which was built of this descriptor.
///
/// # Errors
///
/// [`DescriptorChanged`]; a manifest with a line that is not understood, since it could not be passed on.
pub fn statement(draft: &Draft, loaded: &Loaded) -> Result<Vec<u8>> {
    let package = &draft.subject.package;
    let inputs = InManifest::parse(draft.assertion().in_manifest().unwrap_or_default());
    ensure!(inputs.unreadable.is_empty(), "{package}: in_manifest has a line that is not understood");
    let recorded = inputs.descriptor.as_ref().with_context(|| format!("{package}: in_manifest has no descriptor"))?;
    let found = Digest::of_bytes(loaded.source.as_bytes());
    if found != recorded.digest {
        let path = loaded.path.display().to_string();
        return Err(DescriptorChanged { path, found, recorded: recorded.digest }.into());
    }
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": outputs(draft)?.entries.iter().map(file).collect::<Vec<Value>>(),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters(draft, &loaded.descriptor, recorded),
                "resolvedDependencies": dependencies(draft, &loaded.descriptor, &inputs)?,
            },
            "runDetails": run_details(draft)?,
        },
    });
    Ok(serde_json::to_vec(&statement)?)
}

/// A file in the words of in-toto.
fn file(entry: &Entry) -> Value {
    json!({ "name": entry.path, "digest": { "sha256": entry.digest.to_string() } })
}

fn parameters(draft: &Draft, descriptor: &Descriptor, recorded: &Entry) -> Value {
    let texts = |list: Vec<String>| Value::from(list);
    // Where from and which commit was asked for may have been said to gbuild instead, and no report records that.
    let remotes = descriptor.remotes.iter().map(|remote| remote.dir.to_string()).collect();
    json!({
        "release": draft.subject.release.as_str(),
        "package": draft.subject.package.as_str(),
        "descriptor": file(recorded),
        "distro": descriptor.distro.as_str(),
        "suites": texts(descriptor.suites.iter().map(ToString::to_string).collect()),
        "architectures": texts(descriptor.architectures.iter().map(|known| known.name().to_owned()).collect()),
        "packages": texts(descriptor.packages.iter().map(ToString::to_string).collect()),
        "remotes": texts(remotes),
        "files": texts(descriptor.files.iter().map(ToString::to_string).collect()),
        "enableCache": descriptor.enable_cache,
    })
}

/// Returns the input files, the commits, and the packages of all guests, each once.
fn dependencies(draft: &Draft, descriptor: &Descriptor, inputs: &InManifest) -> Result<Vec<Value>> {
    let mut found: Vec<Value> = inputs.files.iter().map(file).collect();
    for commit in &inputs.commits {
        found.push(json!({ "name": commit.dir, "digest": { "gitCommit": commit.id } }));
    }
    let mut known = BTreeSet::new();
    for (guest, text) in draft.assertion().base_manifests().unwrap_or_default() {
        let parsed = Manifest::parse(text);
        ensure!(parsed.unreadable.is_empty(), "base manifest {guest} has a line that is not digest and path");
        for entry in &parsed.manifest.entries {
            let uri = package_url(&entry.path, guest, descriptor);
            if known.insert((entry.digest, entry.path.clone(), uri.clone())) {
                let mut package = file(entry);
                if let Some(uri) = uri {
                    package["uri"] = uri.into();
                }
                found.push(package);
            }
        }
    }
    Ok(found)
}

/// Returns the package URL of a `.deb` as its file is called. Nothing where the descriptor adds repositories: then it is not
/// recorded which packages are the distribution's own. Source: package-url, types-doc/deb-definition.md.
fn package_url(file: &str, guest: &str, descriptor: &Descriptor) -> Option<String> {
    if !descriptor.repositories.is_empty() {
        return None;
    }
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version, architecture) = (parts.next()?, parts.next()?, parts.next()?);
    let version = version.replace("%3a", ":");
    if parts.next().is_some() || version.contains('%') {
        return None;
    }
    let distro = descriptor.distro.as_str();
    let mut url = format!("pkg:deb/{distro}/{}@{}?arch={}", encoded(name), encoded(&version), encoded(architecture));
    let suite = guest.rsplit_once('-').map_or(guest, |(suite, _)| suite);
    if descriptor.suites.iter().any(|known| known.as_str() == suite) {
        url += &format!("&distro={}", encoded(suite));
    }
    Some(url)
}

/// Writes a text as part of a URI; a colon stays, as package URLs want it.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    let written = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(written).collect()
}

/// Who built: whoever signs says so himself. The caches after the build are what it left besides.
fn run_details(draft: &Draft) -> Result<Value> {
    let mut left = Vec::new();
    let assertion = draft.assertion();
    let package = &draft.subject.package;
    for (folder, text) in [
        ("cache/common".to_owned(), assertion.cache_common_manifest()),
        (format!("cache/{package}"), assertion.cache_package_manifest()),
    ] {
        let parsed = Manifest::parse(text.unwrap_or_default());
        ensure!(parsed.unreadable.is_empty(), "the manifest of {folder} has a line that is not digest and path");
        left.extend(parsed.manifest.entries.iter().map(|entry| {
            let path = format!("{folder}/{}", entry.path);
            file(&Entry { digest: entry.digest, path })
        }));
    }
    let mut details = json!({ "builder": { "id": format!("{BUILDER}{}", encoded(draft.subject.signer.as_str())) } });
    if !left.is_empty() {
        details["byproducts"] = left.into();
    }
    Ok(details)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_package_is_called_as_its_file_says_and_nothing_more_is_claimed() {
        let text = "name: x\ndistro: debian\nsuites: [bookworm]\narchitectures: [amd64]\n\
                    reference_datetime: \"2020-01-01 00:00:00\"\nscript: |\n  true\n";
        let plain = Descriptor::parse(Path::new("x.yml"), text.to_owned()).unwrap().descriptor;
        let mut mixed = plain.clone();
        mixed.repositories.push(gitian_descriptor::Repository {
            distribution: "bookworm".into(),
            source: "deb http://example.org/debian bookworm main".into(),
            packages: Vec::new(),
        });
        for (file, guest, expected) in [
            ("apt_2.6.2_amd64.deb", "bookworm-amd64", Some("apt@2.6.2?arch=amd64&distro=bookworm")),
            ("a++_1%3a2+b1~rc-1_all.deb", "bookworm-i386", Some("a%2B%2B@1:2%2Bb1~rc-1?arch=all&distro=bookworm")),
            ("apt_2.6.2_amd64.deb", "other-amd64", Some("apt@2.6.2?arch=amd64")),
            ("apt.deb", "bookworm-amd64", None),
            ("a_b_c_d.deb", "bookworm-amd64", None),
            ("apt_%41_all.deb", "bookworm-amd64", None),
            ("apt_2.6.2_amd64.udeb", "bookworm-amd64", None),
        ] {
            let expected = expected.map(|rest| format!("pkg:deb/debian/{rest}"));
            assert_eq!(package_url(file, guest, &plain), expected, "{file}");
            assert_eq!(package_url(file, guest, &mixed), None, "{file}");
        }
    }
}
