//! YAML text → [`Descriptor`]: which keys there are and what they ask of each other. A refusal does not end the reading,
//! so that all of a file are told at once.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use crate::finding::Lines;
use crate::names::{Shown, link_group, path_like};
use crate::node::{Node, compose};
use crate::reader::{Keys, Reader};
use crate::{
    Alternative, Architecture, DebianPackage, Descriptor, Distro, InputName, Loaded, Network, Refusals, Remote,
    Repository,
};

/// The keys of a descriptor.
const KEYS: [&str; 18] = [
    "name",
    "distro",
    "suites",
    "architectures",
    "packages",
    "multiarch",
    "repositories",
    "alternatives",
    "sudo",
    "enable_cache",
    "reference_datetime",
    "remotes",
    "files",
    "script",
    "optionals",
    "docker_image_digests",
    "source_date_epoch",
    "network",
];

impl Descriptor {
    /// Checks the text of a descriptor. The path is only named in messages; nothing is read.
    pub fn parse(path: &Path, source: String) -> Result<Loaded, Refusals> {
        let lines = Lines::new(&source);
        let mut reader = Reader { lines: &lines, refusals: Vec::new(), warnings: Vec::new() };
        let root = compose(&source, &lines, &mut reader.refusals);
        let descriptor = reader.document(root.as_deref());
        let Reader { mut refusals, mut warnings, .. } = reader;
        for findings in [&mut refusals, &mut warnings] {
            findings.sort_by_key(|finding| finding.span.start);
            // A value that is used twice through an alias is told once.
            findings.dedup();
        }
        match descriptor.filter(|_| refusals.is_empty()) {
            Some(descriptor) => Ok(Loaded { path: path.to_owned(), source, descriptor, warnings }),
            None => Err(Refusals { path: path.to_owned(), source, findings: refusals, warnings }),
        }
    }
}

impl Reader<'_> {
    /// Reads everything, also what is behind a refusal; `None` always comes with one.
    fn document(&mut self, root: Option<&Node>) -> Option<Descriptor> {
        let Some(root) = root.filter(|root| !root.is_null()) else {
            // Else the parser has said why there is nothing.
            if self.refusals.is_empty() {
                let hint = "begin with a line such as name: hello".to_owned();
                self.refusals.push(self.lines.finding(0..0, "the descriptor is empty", Some(hint)));
            }
            return None;
        };
        let keys = self.keys("", root, &KEYS)?;
        let name = self.required(&keys, "name", "name: hello", Self::name);
        let distro = match keys.get("distro") {
            Some(node) => self.distro(node),
            None => "ubuntu".parse::<Distro>().ok(),
        };
        let suites = self.once_each(&keys, "suites", Self::name);
        let docker_image_digests = self.list(&keys, "docker_image_digests", Self::name);
        self.suites_or_digests(&keys);
        let architectures = self.once_each(&keys, "architectures", Self::architecture);
        self.at_least_one(&keys, "architectures", "architectures: [amd64]");
        let packages = self.list(&keys, "packages", Self::name);
        let multiarch = self.list(&keys, "multiarch", Self::debian_architecture);
        let repositories = self.list(&keys, "repositories", Self::repository);
        let alternatives = self.list(&keys, "alternatives", Self::alternative);
        let files =
            self.list(&keys, "files", |reader, label, node| Some((reader.name(label, node)?, node.span.clone())));
        let remotes = self.list(&keys, "remotes", Self::remote);
        self.one_place_each(&keys, &files);
        let reference_datetime = keys.get("reference_datetime").map(|node| self.name("reference_datetime", node));
        if reference_datetime.is_none() && keys.count("remotes") == 0 {
            let message = "key 'reference_datetime' is missing, and there are no remotes to take it from".to_owned();
            let example = "reference_datetime: \"2020-01-31 00:00:00\"";
            self.missing(&keys, "reference_datetime", message, example);
        }
        let script = keys.get("script").map(|node| {
            self.warn_if_read_differently("script", node);
            self.text("script", node).unwrap_or_default().to_owned()
        });
        if script.is_none() {
            // Kept: the original builds nothing then, and succeeds.
            self.warnings.push(self.lines.finding(
                root.span.clone(),
                "key 'script' is missing: nothing will be built",
                None,
            ));
        }
        let optionals = keys
            .get("optionals")
            .map(|_| self.list(&keys, "optionals", |reader, label, node| reader.text(label, node).map(str::to_owned)));
        let [sudo, enable_cache, source_date_epoch] =
            ["sudo", "enable_cache", "source_date_epoch"].map(|key| self.boolean(&keys, key, "true or false", false));
        let network = if self.boolean(&keys, "network", "on or off", true) { Network::On } else { Network::Off };
        Some(Descriptor {
            name: name?,
            distro: distro?,
            suites,
            architectures,
            packages,
            multiarch,
            repositories,
            alternatives,
            sudo,
            enable_cache,
            reference_datetime: reference_datetime.flatten(),
            remotes,
            files: files.into_iter().map(|(file, _)| file).collect(),
            script: script.unwrap_or_default(),
            optionals,
            docker_image_digests,
            source_date_epoch,
            network,
        })
    }

    fn at_least_one(&mut self, keys: &Keys<'_>, key: &str, example: &str) {
        if keys.count(key) > 0 {
            return;
        }
        match keys.get(key) {
            Some(node) => self.refuse(node, format!("{key} has no entry"), Some(format!("for example {example}"))),
            None => self.missing(keys, key, format!("key '{key}' is missing"), example),
        }
    }

    /// Source: gitian-builder 11f91fb, bin/gbuild: digests may stand in for the suites, and else must be as many.
    fn suites_or_digests(&mut self, keys: &Keys<'_>) {
        let (suites, digests) = (keys.count("suites"), keys.count("docker_image_digests"));
        match keys.get("docker_image_digests") {
            Some(node) if digests > 0 && suites > 0 && digests != suites => {
                let message =
                    format!("docker_image_digests and suites must be equally many, not {digests} and {suites}");
                self.refuse(node, message, Some("give one digest for each suite, in the same order".to_owned()));
            }
            _ if digests > 0 => {}
            _ => self.at_least_one(keys, "suites", "suites: [bookworm]"),
        }
    }

    /// Files and remotes share `inputs/`, and `build/` in the guest. A remote that is refused takes its place all the same.
    fn one_place_each(&mut self, keys: &Keys<'_>, files: &[(InputName, Range<usize>)]) {
        let mut taken: HashMap<&str, &Range<usize>> = files.iter().map(|(name, span)| (name.as_str(), span)).collect();
        let remotes = keys.get("remotes").into_iter().flat_map(Node::items);
        for (dir, node) in
            remotes.filter_map(|remote| remote.value("dir")).filter_map(|node| Some((node.text()?, node)))
        {
            if let Some(first) = taken.insert(dir, &node.span) {
                let line = self.lines.line(first.start);
                let message = format!("remotes: dir {} is taken already, in line {line}", Shown(dir));
                let hint = "files and remotes share inputs/: give each a name of its own".to_owned();
                self.refuse(node, message, Some(hint));
            }
        }
    }

    /// Reads a list in which an entry that comes again is passed over, with a warning. The original builds it again, over
    /// the outputs of the first time, and records it once.
    fn once_each<T: PartialEq + Display>(
        &mut self,
        keys: &Keys<'_>,
        key: &str,
        read: impl Fn(&mut Self, &str, &Node) -> Option<T>,
    ) -> Vec<T> {
        // Digests stand beside the suites one by one, and may differ where suites are alike.
        let kept = keys.count("docker_image_digests") > 0;
        let with_span =
            |reader: &mut Self, label: &str, node: &Node| Some((read(reader, label, node)?, node.span.clone()));
        let mut values: Vec<T> = Vec::new();
        for (value, span) in self.list(keys, key, with_span) {
            if !kept && values.contains(&value) {
                let message = format!("{key}: {value} is there already; it is built once");
                self.warnings.push(self.lines.finding(span, message, Some("remove it".to_owned())));
            } else {
                values.push(value);
            }
        }
        values
    }

    /// Reads a distribution that a base image can be made of.
    fn distro(&mut self, node: &Node) -> Option<Distro> {
        let distro: Distro = self.name("distro", node)?;
        if Distro::KNOWN.contains(&distro.as_str()) {
            return Some(distro);
        }
        let hint = format!("known are {}", Distro::KNOWN.join(", "));
        self.refuse(node, format!("distro {} is not known", Shown(distro.as_str())), Some(hint));
        None
    }

    fn architecture(&mut self, label: &str, node: &Node) -> Option<Architecture> {
        let text = self.text(label, node)?;
        let architecture = Architecture::from_name(text);
        if architecture.is_none() {
            let hint = match text.to_ascii_lowercase().as_str() {
                "x86_64" | "x86-64" | "x64" | "64" => "is amd64 meant?".to_owned(),
                "x86" | "386" | "i486" | "i586" | "i686" | "32" => "is i386 meant?".to_owned(),
                _ => format!("known are {}", Architecture::ALL.map(Architecture::name).join(", ")),
            };
            self.refuse(node, format!("{label}: architecture {} is not known", Shown(text)), Some(hint));
        }
        architecture
    }

    fn debian_architecture(&mut self, label: &str, node: &Node) -> Option<DebianPackage> {
        let check = |text: &str| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let good = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain);
            good.then_some(()).ok_or("is not the name of a Debian architecture")
        };
        self.checked(label, node, check, "for example i386 or arm64")?;
        self.name(label, node)
    }

    fn remote(&mut self, label: &str, node: &Node) -> Option<Remote> {
        let keys = self.keys("remotes", node, &["url", "dir", "commit"])?;
        let url = self.required(&keys, "url", "url: https://example.org/hello.git", Self::name);
        let dir = self.required(&keys, "dir", "dir: hello", Self::name);
        let commit = keys.get("commit").map(|node| self.name(&format!("{label}: commit"), node));
        Some(Remote { url: url?, dir: dir?, commit: commit.flatten() })
    }

    fn repository(&mut self, _label: &str, node: &Node) -> Option<Repository> {
        let keys = self.keys("repositories", node, &["source", "distribution", "packages"])?;
        let source = self.required(
            &keys,
            "source",
            "source: deb http://example.org/debian bookworm main",
            |reader, label, node| {
                let check = |text: &str| match text.split_once(' ') {
                    _ if text.contains(char::is_control) => Err("is not one line"),
                    Some(("deb" | "deb-src", rest)) if !rest.trim().is_empty() => Ok(()),
                    _ => Err("is not a line of a sources list"),
                };
                reader.checked(label, node, check, "write deb URL SUITE COMPONENT")
            },
        );
        let distribution = self.required(&keys, "distribution", "distribution: bookworm", |reader, label, node| {
            reader.checked(label, node, path_like, "name the suite that packages come from")
        });
        let packages = self.list(&keys, "packages", Self::name);
        Some(Repository { source: source?, distribution: distribution?, packages })
    }

    fn alternative(&mut self, _label: &str, node: &Node) -> Option<Alternative> {
        let keys = self.keys("alternatives", node, &["package", "path"])?;
        let package = self.required(&keys, "package", "package: cc", |reader, label, node| {
            reader.checked(
                label,
                node,
                link_group,
                "name a link group as update-alternatives --get-selections lists them",
            )
        });
        let path = self.required(&keys, "path", "path: /usr/bin/gcc-12", |reader, label, node| {
            let check = |text: &str| {
                path_like(text)?;
                text.starts_with('/').then_some(()).ok_or("is not an absolute path")
            };
            reader.checked(label, node, check, "name a program such as /usr/bin/gcc-12")
        });
        Some(Alternative { package: package?, path: path? })
    }
}
