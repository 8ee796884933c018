//! `make-base-vm [options]`. Source: gitian-builder 11f91fb, bin/make-base-vm.

use std::path::PathBuf;

use clap::Parser;
use gitian_descriptor::{Architecture, Distro, ImageDigest, Suite};

/// Make the pristine system that builds for one suite and architecture start from.
#[derive(Debug, Parser)]
#[command(name = "make-base-vm", version, max_term_width = 100, args_override_self = true, infer_long_args = true)]
pub struct Args {
    /// The distribution: ubuntu or debian
    #[arg(short, long, default_value = "ubuntu")]
    pub distro: Distro,

    /// The suite, such as bookworm or jammy
    #[arg(short, long, default_value = "xenial")]
    pub suite: Suite,

    /// The architecture: amd64 or i386
    #[arg(short, long, default_value = "amd64", value_parser = architecture)]
    pub arch: Architecture,

    /// The size of the guest's disk in MB, for kinds of guests that have one
    #[arg(long, value_name = "MB", default_value_t = 12287, value_parser = clap::value_parser!(u32).range(1..))]
    pub disksize: u32,

    /// Fetch packages from here instead of the distribution's own mirrors
    #[arg(long, value_name = "URL", value_parser = mirror)]
    pub mirror: Option<String>,

    /// Trust these keys for the mirror's Release files instead of the distribution's own
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,

    /// Make an image for this kind of guest
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,

    /// Make an image for LXC
    #[arg(long)]
    pub lxc: bool,

    /// Make an image for VirtualBox
    #[arg(long)]
    pub vbox: bool,

    /// Make an image for Docker
    #[arg(long)]
    pub docker: bool,

    /// For Docker: begin with the registry's image DISTRO@sha256:DIGEST instead of packages; it stands in for the suite
    #[arg(long, value_name = "DIGEST", visible_alias = "docker-image-hash", value_parser = digest)]
    pub docker_image_digest: Option<ImageDigest>,
}

fn digest(text: &str) -> Result<ImageDigest, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    match digits.len() == 64 && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        true => digits.parse().map_err(|error: gitian_descriptor::NameRefused| error.to_string()),
        false => Err("is not 64 hexadecimal digits".to_owned()),
    }
}

fn architecture(text: &str) -> Result<Architecture, String> {
    match Architecture::from_name(text) {
        Some(found @ (Architecture::Amd64 | Architecture::I386)) => Ok(found),
        _ => Err("is neither amd64 nor i386".to_owned()),
    }
}

/// Checks what becomes part of a line of sources, for the guest as well: it does not see the files of its host.
fn mirror(text: &str) -> Result<String, String> {
    const SCHEMES: [&str; 2] = ["http://", "https://"];
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"[]'\"\\".contains(c));
    match plain && SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
        true => Ok(text.to_owned()),
        false => Err("write it like http://HOST/ubuntu".to_owned()),
    }
}
