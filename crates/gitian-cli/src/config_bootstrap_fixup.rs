//! config-bootstrap-fixup: settings → `var/bootstrap-fixup`, for systems that something else installed.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use gitian_build::Workdir;
use gitian_descriptor::Distro;

use crate::args::config_bootstrap_fixup::Args;
use crate::surroundings::Surroundings;

/// The script, but for what is filled in.
const TEMPLATE: &str = include_str!("../../../target-bin/bootstrap-fixup.in");
/// How a guest reaches this host. Source: gitian-builder 11f91fb, libexec/gconfig.
const HOST_IP: &str = "10.0.2.2";

/// Runs config-bootstrap-fixup. Returns the exit code.
pub fn run(_args: Args, around: &Surroundings, _out: &mut dyn Write) -> Result<u8> {
    let settings = &around.settings;
    let distro: Distro = settings.distro.as_deref().unwrap_or("ubuntu").parse().context("DISTRO")?;
    let host_ip = settings.host_ip.as_deref().unwrap_or(HOST_IP);
    let text = fixup(distro.as_str(), settings.mirror_host.as_deref(), host_ip);
    let var = Workdir::new(&around.workdir).var();
    fs::create_dir_all(&var).context("var")?;
    let path = var.join("bootstrap-fixup");
    let written = fs::write(&path, text).and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)));
    written.context("var/bootstrap-fixup")?;
    Ok(0)
}

/// Fills in the template; this host's own loopback is seen from a guest as `host_ip`.
fn fixup(distro: &str, mirror_host: Option<&str>, host_ip: &str) -> String {
    let proxy = mirror_host.map(|host| {
        let host = if ["127.0.0.1", "localhost"].contains(&host) { host_ip } else { host };
        format!("http://{host}:3142")
    });
    let quoted = |word: &str| shell_words::quote(word).into_owned();
    TEMPLATE.replace("DISTRO", &quoted(distro)).replace("PROXY", &quoted(&proxy.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_proxy_are_filled_in_as_single_words() {
        let script = fixup("debian", Some("127.0.0.1"), "10.0.3.2");
        assert!(script.contains("\nuser=debian\nproxy=http://10.0.3.2:3142\n"), "{script}");
        assert!(fixup("ubuntu", None, HOST_IP).contains("\nuser=ubuntu\nproxy=''\n"));
        assert!(fixup("ubuntu", Some("a b;c"), HOST_IP).contains("\nproxy='http://a b;c:3142'\n"));
    }
}
