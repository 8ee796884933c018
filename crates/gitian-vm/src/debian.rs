//! What a base image of Debian or Ubuntu holds, and where its packages come from.
//!
//! Pure: lists and texts, from which a backend makes the command line of mmdebstrap. No mirror's address is in here;
//! without `--mirror`, mmdebstrap knows its own.

use gitian_descriptor::{Distro, Suite};

use crate::Problem;

/// A distribution that base images can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

/// Debian's suites that guests are made of, and their other names.
const DEBIANS: [&str; 11] =
    ["jessie", "stretch", "buster", "bullseye", "bookworm", "trixie", "forky", "stable", "testing", "unstable", "sid"];

/// Returns the distro that a suite is one of, as far as we know: Ubuntu's are many.
pub fn distro_of(suite: &Suite) -> &'static str {
    if DEBIANS.contains(&suite.as_str()) { "debian" } else { "ubuntu" }
}

impl Distribution {
    /// Returns the distribution of this name.
    pub fn from_distro(distro: &Distro) -> Result<Self, Problem> {
        match distro.as_str() {
            "debian" => Ok(Self::Debian),
            "ubuntu" => Ok(Self::Ubuntu),
            other => Err(Problem {
                what: format!("there are no base images of distro {other}"),
                mend: "use distro debian or ubuntu".into(),
            }),
        }
    }

    /// Returns the name, also that of the guest's ordinary user.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
        }
    }

    /// Returns the packages that every guest has beside the essential ones.
    ///
    /// Debian's `locales` generates none: part of what makes hashes agree. cron is left out.
    /// Source: gitian-builder 11f91fb, bin/make-base-vm.
    pub fn packages(self) -> Vec<&'static str> {
        let locale = match self {
            Self::Debian => "locales",
            Self::Ubuntu => "language-pack-en",
        };
        vec!["build-essential", "git", locale, "lsb-release", "pciutils", "subversion", "sudo", "wget"]
    }

    /// Returns the archive components that are used.
    pub fn components(self) -> &'static str {
        match self {
            Self::Debian => "main",
            Self::Ubuntu => "main universe",
        }
    }

    /// Returns the archives of a suite on one mirror: the release itself first, then those that not every suite has.
    pub fn archives(self, suite: &Suite, mirror: &str) -> Vec<Archive> {
        let (mirror, suite) = (mirror.trim_end_matches('/'), suite.as_str());
        let archive = |uri: &str, suite: String| Archive { uri: uri.to_owned(), suite };
        let mut all = vec![archive(mirror, suite.to_owned())];
        match self {
            Self::Ubuntu => {
                all.push(archive(mirror, format!("{suite}-updates")));
                all.push(archive(mirror, format!("{suite}-security")));
            }
            // Rolling suites are their own updates.
            Self::Debian if ["sid", "unstable", "experimental"].contains(&suite) => {}
            Self::Debian => {
                all.push(archive(mirror, format!("{suite}-updates")));
                // Debian keeps security updates beside the archive, until buster under another name.
                let old = ["jessie", "stretch", "buster"].contains(&suite);
                let security = if old { format!("{suite}/updates") } else { format!("{suite}-security") };
                all.push(archive(&format!("{mirror}-security"), security));
            }
        }
        all
    }
}

/// One line of a sources list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Where the archive begins.
    pub uri: String,
    /// The folder below `dists/`.
    pub suite: String,
}

impl Archive {
    /// Returns the address of a file that describes the archive: `InRelease` or `Release`.
    pub fn release_url(&self, name: &str) -> String {
        format!("{}/dists/{}/{name}", self.uri.trim_end_matches('/'), self.suite)
    }

    /// Returns the line for the sources list.
    pub fn line(&self, components: &str) -> String {
        format!("deb {} {} {components}", self.uri, self.suite)
    }

    /// Returns the archives of a sources list in one-line form. Source: sources.list(5).
    pub fn parse_all(text: &str) -> Vec<Self> {
        text.lines()
            .filter_map(|line| {
                let mut rest = line.trim().strip_prefix("deb")?.trim_start();
                if let Some(behind) = rest.strip_prefix('[') {
                    rest = behind.split_once(']')?.1.trim_start();
                }
                let mut words = rest.split_ascii_whitespace();
                Some(Self { uri: words.next()?.to_owned(), suite: words.next()?.to_owned() })
            })
            .filter(|archive| archive.uri.contains(":/"))
            .collect()
    }
}

/// Returns the name under which apt keeps a file of an archive below `/var/lib/apt/lists`.
/// Source: apt 2.6, `URItoFileName`.
pub fn list_name(url: &str) -> String {
    let bare =
        url.split_once("://").map_or_else(|| url.split_once(':').map_or(url, |(_, rest)| rest), |(_, rest)| rest);
    // A user's name and password are not part of the name.
    let bare = match (bare.find('@'), bare.find('/')) {
        (Some(at), Some(slash)) if at < slash => &bare[at + 1..],
        _ => bare,
    };
    let mut name = String::new();
    for c in bare.chars() {
        match c {
            '/' => name.push('_'),
            '\\' | '|' | '{' | '}' | '[' | ']' | '<' | '>' | '"' | '^' | '~' | '_' | '=' | '!' | '@' | '#' | '$'
            | '%' | '&' | '*' => name.push_str(&format!("%{:02x}", c as u32)),
            _ => name.push(c),
        }
    }
    name
}

/// The time that every file of a base image has at most, in seconds since 1970: 2024-01-01 00:00:00 UTC.
///
/// A constant, so that the same packages give the same bytes on every day and every machine.
pub const SOURCE_DATE_EPOCH: u64 = 1_704_067_200;

/// What a guest has in `/etc/hosts`.
pub const HOSTS: &str = "127.0.0.1 localhost\n127.0.1.1 gitian\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(distribution: Distribution, suite: &str, mirror: &str) -> Vec<String> {
        let suite = suite.parse().unwrap();
        distribution.archives(&suite, mirror).iter().map(|archive| archive.line("main")).collect()
    }

    #[test]
    fn one_mirror_gives_release_updates_and_security() {
        let debian = "http://mirror.example/debian/";
        assert_eq!(
            lines(Distribution::Debian, "bookworm", debian),
            [
                "deb http://mirror.example/debian bookworm main",
                "deb http://mirror.example/debian bookworm-updates main",
                "deb http://mirror.example/debian-security bookworm-security main",
            ]
        );
        assert_eq!(
            lines(Distribution::Debian, "buster", debian)[2],
            "deb http://mirror.example/debian-security buster/updates main"
        );
        assert_eq!(lines(Distribution::Debian, "sid", debian).len(), 1);
        assert_eq!(
            lines(Distribution::Ubuntu, "jammy", "http://mirror.example/ubuntu"),
            [
                "deb http://mirror.example/ubuntu jammy main",
                "deb http://mirror.example/ubuntu jammy-updates main",
                "deb http://mirror.example/ubuntu jammy-security main",
            ]
        );
    }

    #[test]
    fn a_sources_list_is_read_back() {
        let text = "# deb http://a b c\ndeb [signed-by=\"/k y\" arch=amd64] http://a.example/debian bookworm main\n\
                    deb http://b.example bookworm-updates main contrib\ndeb-src http://c d e\n\nnonsense\n";
        let found = Archive::parse_all(text);
        let urls: Vec<String> = found.iter().map(|archive| archive.release_url("InRelease")).collect();
        assert_eq!(
            urls,
            ["http://a.example/debian/dists/bookworm/InRelease", "http://b.example/dists/bookworm-updates/InRelease"]
        );
    }

    #[test]
    fn list_names_are_those_of_apt() {
        for (url, name) in [
            ("http://a.example/debian/dists/bookworm/InRelease", "a.example_debian_dists_bookworm_InRelease"),
            ("http://127.0.0.1:8000/x_y/dists/s/InRelease", "127.0.0.1:8000_x%5fy_dists_s_InRelease"),
            ("file:/srv/m/dists/s/Release", "_srv_m_dists_s_Release"),
            ("http://user:pass@a.example/d/dists/s/InRelease", "a.example_d_dists_s_InRelease"),
        ] {
            assert_eq!(list_name(url), name);
        }
    }

    #[test]
    fn cron_is_in_no_base_image() {
        for distribution in [Distribution::Debian, Distribution::Ubuntu] {
            assert!(!distribution.packages().contains(&"cron"));
        }
    }

    #[test]
    fn other_distributions_are_refused() {
        assert!(Distribution::from_distro(&"fedora".parse().unwrap()).is_err());
    }
}
