//! Every environment variable that a run looks at, read once and handed down.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::Problem;

/// The environment of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `GITIAN_BACKEND`.
    pub backend: Option<String>,
    /// `USE_LXC=1`; only exactly `1` counts, since drivers set `''` and `0`.
    pub use_lxc: bool,
    /// `USE_DOCKER=1`.
    pub use_docker: bool,
    /// `USE_VBOX=1`.
    pub use_vbox: bool,
    /// `GITIAN_DOCKER`: the program that stands for docker, such as `podman`.
    pub docker: Option<String>,
    /// `GITIAN_DOCKER_NETWORK`: the network that docker's guests are in, instead of the engine's default.
    pub docker_network: Option<String>,
    /// `GITIAN_ALLOW_PRIVILEGED=1`: docker's guests may do what the host's root may.
    pub allow_privileged: bool,
    /// `GITIAN_HOST_IP`: how guests with a network of their own reach this host.
    pub host_ip: Option<String>,
    /// `LXC_BRIDGE`: the bridge that LXC's guests are on, instead of sharing the host's network.
    pub lxc_bridge: Option<String>,
    /// `LXC_GUEST_IP`: their address there.
    pub lxc_guest_ip: Option<String>,
    /// `LXC_EXECUTE`: the path of `lxc-execute` or `lxc-start`; LXC's programs are those beside it.
    pub lxc_execute: Option<String>,
    /// `MIRROR_HOST`: an apt-cacher-ng on port 3142.
    pub mirror_host: Option<String>,
    /// `DISTRO`, for programs that have no option for it.
    pub distro: Option<String>,
    /// `NPROCS`: processors, for programs that have no option for it.
    pub processors: Option<String>,
    /// `VMEM`: memory in MiB, for programs that have no option for it.
    pub memory_mib: Option<String>,
    /// `VM_SSH_PORT`: the port of this host that leads to a guest that boots.
    pub vm_ssh_port: Option<String>,
    /// `ALL_PROXY`, `HTTPS_PROXY` or `HTTP_PROXY`, in capitals or not: through what the updater downloads. One of http is
    /// preferred to others.
    pub proxy: Option<String>,
    /// `NO_PROXY`: hosts that are spoken to directly.
    pub no_proxy: Vec<String>,
    /// `CI` is set: the build log goes to standard output as well.
    pub ci: bool,
    /// `GITIAN_DEBUG=1`: errors with their chain of causes, every command line.
    pub debug: bool,
    /// `GITIAN_PARENT`: the process of ours that started this one, which ends with it.
    pub parent: Option<i32>,
    /// `GITIAN_FOLDER`: the folder that it started this one in, as seen from where the user is.
    pub folder: Option<PathBuf>,
    /// The folder of caches that outlive a working directory: `$XDG_CACHE_HOME/gitian`, else `~/.cache/gitian`.
    pub cache: PathBuf,
    /// `GITIAN_BASE`: the installation, a checkout or a prefix.
    pub installation: PathBuf,
    /// The installation's folder of files that users may change for their host.
    pub etc: PathBuf,
}

impl Settings {
    /// Reads the settings from an environment.
    pub fn from_env(env: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        let one = |name: &str| env.get(name).is_some_and(|value| value == "1");
        let either = |name: &str| get(name).or_else(|| get(&name.to_lowercase()));
        let proxies: Vec<String> = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"].into_iter().filter_map(either).collect();
        let base = get("GITIAN_BASE").map(PathBuf::from);
        let home = || PathBuf::from(get("HOME").unwrap_or_else(|| "/root".into()));
        Self {
            backend: get("GITIAN_BACKEND"),
            use_lxc: one("USE_LXC"),
            use_docker: one("USE_DOCKER"),
            use_vbox: one("USE_VBOX"),
            docker: get("GITIAN_DOCKER"),
            docker_network: get("GITIAN_DOCKER_NETWORK"),
            allow_privileged: one("GITIAN_ALLOW_PRIVILEGED"),
            host_ip: get("GITIAN_HOST_IP"),
            lxc_bridge: get("LXC_BRIDGE"),
            lxc_guest_ip: get("LXC_GUEST_IP"),
            lxc_execute: get("LXC_EXECUTE"),
            mirror_host: get("MIRROR_HOST"),
            distro: get("DISTRO"),
            processors: get("NPROCS"),
            memory_mib: get("VMEM"),
            vm_ssh_port: get("VM_SSH_PORT"),
            proxy: proxies.iter().find(|proxy| !proxy.starts_with("socks")).or(proxies.first()).cloned(),
            no_proxy: either("NO_PROXY")
                .map(|hosts| {
                    hosts.split(',').map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()).collect()
                })
                .unwrap_or_default(),
            ci: env.contains_key("CI"),
            debug: one("GITIAN_DEBUG"),
            parent: get("GITIAN_PARENT").and_then(|pid| pid.parse().ok()),
            folder: get("GITIAN_FOLDER").map(PathBuf::from),
            cache: get("XDG_CACHE_HOME").map_or_else(|| home().join(".cache"), PathBuf::from).join("gitian"),
            etc: base.clone().unwrap_or_default().join("etc"),
            installation: base.unwrap_or_else(|| PathBuf::from(".")),
        }
    }
}

/// Returns the problem of a `GITIAN_HOST_IP` that is no address.
pub(crate) fn no_host_ip(text: Option<&str>) -> Option<Problem> {
    let text = text.filter(|text| text.parse::<IpAddr>().is_err())?;
    Some(Problem {
        what: format!("GITIAN_HOST_IP={text} is not an address such as 10.0.2.2"),
        mend: "unset GITIAN_HOST_IP".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_of_http_is_preferred() {
        for (env, proxy) in [
            (&[("ALL_PROXY", "socks5://a:1"), ("http_proxy", "http://b:2")][..], Some("http://b:2")),
            (&[("HTTPS_PROXY", "c:3"), ("http_proxy", "http://b:2")], Some("c:3")),
            (&[("all_proxy", "socks5://a:1")], Some("socks5://a:1")),
            (&[("HTTP_PROXY", "")], None),
        ] {
            let env: BTreeMap<String, String> =
                env.iter().chain(&[("no_proxy", "a, .b,,c")]).map(|(k, v)| (k.to_string(), v.to_string())).collect();
            let settings = Settings::from_env(&env);
            assert_eq!(settings.proxy.as_deref(), proxy, "{env:?}");
            assert_eq!(settings.no_proxy, ["a", ".b", "c"]);
        }
    }
}
