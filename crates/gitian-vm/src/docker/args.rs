//! What is handed to the engine: command lines and a Dockerfile. Pure.

use std::ffi::OsString;

use crate::Problem;
use crate::debian::Distribution;
use crate::document::Which;

/// The name of a target's container, as the original has it.
pub(super) const CONTAINER: &str = "gitian-target";
/// The label of our containers: whose they are.
pub(super) const OWNER: &str = "gitian.owner";
/// The label of an image that a target went on from: the digest of whose it is.
pub(super) const MOVED: &str = "gitian.moved";
/// The label of a kept layer: the base image that it stands on.
pub(super) const BASE: &str = "gitian.base";
/// The repository of kept layers; their tags are their keys.
pub(super) const LAYERS: &str = "gitian-layer";
/// The labels of base images.
pub(super) const FORMAT: (&str, &str) = ("gitian.format", "1");
pub(super) const TARGET: &str = "gitian.target";
pub(super) const DISTRO: &str = "gitian.distro";

/// The first process of a guest: it ends at once when it is told to, and buries processes that have lost their parents. As
/// first process, a `sleep` by itself would do neither.
const FIRST_PROCESS: &str = "trap 'exit 0' TERM INT; sleep infinity & wait";

/// A container to be started.
pub(super) struct Guest<'a> {
    pub(super) name: &'a str,
    pub(super) owner: &'a str,
    pub(super) image: &'a str,
    /// `None`: the engine's default.
    pub(super) network: Option<&'a str>,
    pub(super) privileged: bool,
    pub(super) tasks: u64,
}

/// Returns the arguments behind `run` that start a guest.
pub(super) fn run(guest: &Guest<'_>) -> Vec<String> {
    let mut args = vec![
        "--detach".into(),
        format!("--name={}", guest.name),
        "--hostname=gitian".into(),
        format!("--label={OWNER}={}", guest.owner),
        // An image is there, or it is an error.
        "--pull=never".into(),
        "--user=0:0".into(),
        "--workdir=/".into(),
        format!("--pids-limit={}", guest.tasks),
        "--entrypoint=/bin/bash".into(),
    ];
    if let Some(network) = guest.network {
        args.push(format!("--network={network}"));
    }
    if guest.privileged {
        args.push("--privileged".into());
    }
    args.extend([guest.image.to_owned(), "-c".into(), FIRST_PROCESS.into()]);
    args
}

/// A command to be run in a container.
pub(super) struct Exec<'a> {
    pub(super) container: &'a str,
    pub(super) user: &'a str,
    pub(super) folder: &'a str,
    /// Whether standard input is connected.
    pub(super) input: bool,
    /// Whether it has a terminal.
    pub(super) terminal: bool,
    /// Whether standard error goes where standard output goes.
    pub(super) merged: bool,
    /// What the command is found again by.
    pub(super) mark: &'a str,
}

/// Returns the arguments behind `exec` that run these words.
///
/// The shell stays, for the mark on its command line. What it has to say about a signal is not the command's.
///
/// # Errors
/// A word that is not UTF-8: engines are told in JSON, and would hand on another one.
pub(super) fn exec(exec: &Exec<'_>, argv: Vec<OsString>) -> Result<Vec<OsString>, Problem> {
    if let Some(word) = argv.iter().find(|word| word.to_str().is_none()) {
        return Err(Problem {
            what: format!("'{}' is not UTF-8, as arguments and variables have to be", word.to_string_lossy()),
            mend: "bring it in by standard input, or in a file with libexec/copy-to-target".into(),
        });
    }
    let mut args: Vec<OsString> = Vec::new();
    if exec.input {
        args.push("--interactive".into());
    }
    if exec.terminal {
        args.push("--tty".into());
    }
    args.extend([format!("--user={}", exec.user).into(), format!("--workdir={}", exec.folder).into()]);
    args.push(exec.container.into());
    // Said here rather than as a limit of the container: that would replace the limits that the engine is set up with.
    let first = match exec.merged {
        // Outside they are two streams, and which line came first is lost.
        true => "ulimit -c 0; exec 3>&2 2>/dev/null; \"$@\" 2>&1 3>&-; exit $?",
        false => "ulimit -c 0; exec 3>&2 2>/dev/null; \"$@\" 2>&3 3>&-; exit $?",
    };
    args.extend(["/bin/sh", "-c", first, exec.mark].map(OsString::from));
    args.extend(argv);
    Ok(args)
}

/// Makes a started container a guest like others: arguments are the ordinary user, and how the host is reached if that is
/// not by its loopback.
///
/// Engines add `/etc/mtab`. Docker names the host in `/etc/hosts` by the container's address; Podman ends `/etc/hostname` without a newline. An image that somebody made himself may lack the user.
pub(super) const SETTLE: &str = r#"set -e
printf '127.0.0.1 localhost\n127.0.1.1 gitian\n' > /etc/hosts
echo gitian > /etc/hostname
rm -f /dev/core
[ "$(readlink /etc/mtab)" != /proc/mounts ] || rm /etc/mtab
getent passwd "$1" > /dev/null || useradd --uid 1000 --user-group --create-home --shell /bin/bash "$1"
[ -d "/home/$1" ] || install -d -m 755 -o "$1" -g "$1" "/home/$1"
if [ -n "$2" ] && [ -e /etc/apt/apt.conf.d/80proxy ]; then
  sed -i "s#//\(127\.0\.0\.1\|localhost\):#//$2:#" /etc/apt/apt.conf.d/80proxy
fi
"#;

/// Returns the Dockerfile of a base image on a registry's image.
pub(super) fn dockerfile(distribution: Distribution, target: &Which, digest: &str, proxy_host: Option<&str>) -> String {
    let user = distribution.name();
    let mut lines = vec![format!("FROM {user}@sha256:{digest}")];
    if let Some(host) = proxy_host {
        lines.push(format!("RUN echo 'Acquire::http::Proxy \"http://{host}:3142\";' > /etc/apt/apt.conf.d/80proxy"));
    }
    lines.push(format!(
        "RUN apt-get -o APT::Update::Error-Mode=any update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
         --no-install-recommends {} && apt-get clean",
        distribution.packages().join(" ")
    ));
    lines.push(format!(
        "RUN getent passwd {user} > /dev/null || useradd --uid 1000 --user-group --create-home --shell /bin/bash {user}; \
         chmod 755 /home/{user}"
    ));
    lines.push(labels(target).iter().fold("LABEL".to_owned(), |line, label| line + " " + label));
    lines.join("\n") + "\n"
}

/// Returns the labels of a base image.
pub(super) fn labels(target: &Which) -> [String; 3] {
    [format!("{}={}", FORMAT.0, FORMAT.1), format!("{TARGET}={target}"), format!("{DISTRO}={}", target.distro)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_guest_is_started_with_these_arguments() {
        let guest = Guest {
            name: "gitian-target",
            owner: "host:0:/w",
            image: "1c2d",
            network: None,
            privileged: false,
            tasks: 2560,
        };
        let expected = [
            "--detach",
            "--name=gitian-target",
            "--hostname=gitian",
            "--label=gitian.owner=host:0:/w",
            "--pull=never",
            "--user=0:0",
            "--workdir=/",
            "--pids-limit=2560",
            "--entrypoint=/bin/bash",
            "1c2d",
            "-c",
            "trap 'exit 0' TERM INT; sleep infinity & wait",
        ];
        assert_eq!(run(&guest), expected);
        let more = run(&Guest { network: Some("none"), privileged: true, ..guest });
        assert_eq!(more[9..12], ["--network=none", "--privileged", "1c2d"]);
    }

    #[test]
    fn words_reach_the_container_as_they_are() {
        let plain = Exec {
            container: "c",
            user: "debian",
            folder: "/home/debian",
            input: false,
            terminal: false,
            merged: false,
            mark: "mark",
        };
        let words = || ["a  b", "", "*"].map(OsString::from).to_vec();
        let expected = [
            "--user=debian",
            "--workdir=/home/debian",
            "c",
            "/bin/sh",
            "-c",
            "ulimit -c 0; exec 3>&2 2>/dev/null; \"$@\" 2>&3 3>&-; exit $?",
            "mark",
            "a  b",
            "",
            "*",
        ];
        assert_eq!(exec(&plain, words()).unwrap(), expected);
        let all = Exec { input: true, terminal: true, merged: true, ..plain };
        let args = exec(&all, words()).unwrap();
        assert_eq!(args[..2], ["--interactive", "--tty"]);
        assert_eq!(args[7], "ulimit -c 0; exec 3>&2 2>/dev/null; \"$@\" 2>&1 3>&-; exit $?");
        assert_eq!(args[9..], words());
        let refused = exec(&all, vec!["A=".into(), OsString::from_vec(b"a\xff".to_vec())]).unwrap_err();
        assert!(refused.what.starts_with("'a\u{fffd}' is not UTF-8"), "{refused}");
    }

    #[test]
    fn an_image_by_digest_is_made_by_this_dockerfile() {
        let target = Which { distro: "debian".into(), suite: "00ff".into(), architecture: "amd64".into() };
        let expected = "FROM debian@sha256:00ff\n\
            RUN echo 'Acquire::http::Proxy \"http://10.0.0.1:3142\";' > /etc/apt/apt.conf.d/80proxy\n\
            RUN apt-get -o APT::Update::Error-Mode=any update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
            --no-install-recommends build-essential git locales lsb-release pciutils subversion sudo wget && apt-get \
            clean\n\
            RUN getent passwd debian > /dev/null || useradd --uid 1000 --user-group --create-home --shell /bin/bash \
            debian; chmod 755 /home/debian\n\
            LABEL gitian.format=1 gitian.target=00ff-amd64 gitian.distro=debian\n";
        assert_eq!(dockerfile(Distribution::Debian, &target, "00ff", Some("10.0.0.1")), expected);
    }
}
