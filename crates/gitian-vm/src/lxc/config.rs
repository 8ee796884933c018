//! What is handed to LXC: a guest's configuration, from a template that users may change. Pure.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The template for installations that lack one of their own.
pub(super) const TEMPLATE: &str = include_str!("../../../../etc/lxc.config.in");

/// What a guest's address is called in a configuration.
pub(super) const ADDRESS: &str = "lxc.net.0.ipv4.address";

/// How a guest reaches the network.
pub(super) enum Net<'a> {
    /// As the host does.
    Host,
    /// By this bridge, with this address where one is given.
    Bridge(&'a str, Option<&'a str>),
    /// Not at all.
    Off,
}

impl Net<'_> {
    fn lines(&self) -> String {
        match self {
            Self::Host => "lxc.net.0.type = none".to_owned(),
            Self::Off => "lxc.net.0.type = empty".to_owned(),
            Self::Bridge(bridge, address) => {
                let mut lines = format!("lxc.net.0.type = veth\nlxc.net.0.link = {bridge}\nlxc.net.0.flags = up");
                if let Some(address) = address {
                    lines += &format!("\n{ADDRESS} = {address}/24\nlxc.net.0.ipv4.gateway = auto");
                }
                lines
            }
        }
    }
}

/// What is wrong with a path that is not [`plain`].
pub(super) const UNFIT: &str = "LXC cannot have `:`, `,` or `\\` in a path";

/// Returns a path that LXC takes for what it is, as text.
pub(super) fn plain(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| !text.contains(|c: char| ":,\\".contains(c) || c.is_control()))
}

/// Fills in a template. The folders are the trees below a guest, the topmost first, which stay as they are; in the last one
/// it writes to `upper`, beside which LXC makes a folder of its own.
///
/// # Errors
/// A path that LXC would take for several.
pub(super) fn render(template: &str, folders: &[PathBuf], net: &Net<'_>) -> Result<String> {
    let mut rootfs = String::from("overlay");
    for path in folders {
        match plain(path) {
            Some(text) => rootfs += &format!(":{text}"),
            None => bail!("{}: {UNFIT}", path.display()),
        }
    }
    rootfs += "/upper";
    Ok(template
        .lines()
        .map(|line| match line.trim_start().starts_with('#') {
            true => line.to_owned(),
            false => line.replace("ROOTFS", &rootfs).replace("NETWORK", &net.lines()),
        } + "\n")
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(net: &Net<'_>) -> String {
        render(TEMPLATE, &["/l".into(), "/b".into(), "/w".into()], net).unwrap()
    }

    #[test]
    fn the_template_is_filled_in() {
        let text = rendered(&Net::Host);
        assert!(text.contains("\nlxc.rootfs.path = overlay:/l:/b:/w/upper\nlxc.net.0.type = none\n"), "{text}");
        assert!(rendered(&Net::Off).contains("\nlxc.net.0.type = empty\n"));
        let text = rendered(&Net::Bridge("lxcbr0", Some("10.0.3.5")));
        let expected = "\nlxc.net.0.type = veth\nlxc.net.0.link = lxcbr0\nlxc.net.0.flags = up\n\
                        lxc.net.0.ipv4.address = 10.0.3.5/24\nlxc.net.0.ipv4.gateway = auto\n";
        assert!(text.contains(expected), "{text}");
        assert!(!rendered(&Net::Bridge("br0", None)).contains("ipv4"));
    }

    #[test]
    fn a_path_that_would_be_taken_for_several_is_refused() {
        for path in ["/a:b", "/a,b", "/a\\b", "/a\nb"] {
            assert!(render(TEMPLATE, &[path.into(), "/w".into()], &Net::Host).is_err(), "{path:?}");
        }
    }
}
