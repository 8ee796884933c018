//! Small files of a mirror, fetched by apt's own helper, and which archives of a suite it has.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use gitian_manifest::Digest;
use gitian_process::{Command, Failure, Streams};

/// Downloads files and returns their digests, by address.
pub(super) fn download(urls: &[&String], proxy: Option<&str>) -> Result<BTreeMap<String, String>> {
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
pub(super) fn says_missing(error: &anyhow::Error) -> bool {
    let Some(Failure::ProgramFailed { last_lines, .. }) = error.downcast_ref() else { return false };
    last_lines.iter().any(|line| line.contains("404") || line.contains("File not found"))
}
