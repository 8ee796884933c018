//! What the documents tell people to type is typed here: every block of commands in README, tutorial and migration is run, in
//! the order of the document and in one shell, or says why not.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

use crate::support;
use crate::support::gnupg::Home;
use crate::support::programs::{Workdir, answer, surrounded};

/// A block of commands.
struct Block {
    line: usize,
    commands: String,
    /// Why it is not run.
    not_run: Option<String>,
}

/// Reads the blocks of commands: fenced as `sh`, or as `sh not run: REASON`. Any other block must say what else it is.
fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let Some(info) = line[indent..].strip_prefix("```") else { continue };
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| line.trim() != "```")
            .map(|line| line.get(indent..).unwrap_or_default())
            .collect();
        let not_run = match info {
            "sh" => None,
            "yaml" | "toml" | "text" => continue,
            _ => Some(
                info.strip_prefix("sh not run: ")
                    .ok_or_else(|| format!("line {}: a block of what? ```{info}", at + 1))?
                    .to_owned(),
            ),
        };
        blocks.push(Block { line: at + 1, commands: body.join("\n") + "\n", not_run });
    }
    Ok(blocks)
}

#[test]
fn a_block_is_run_unless_it_gives_a_reason_and_nothing_goes_unmarked() {
    let text = "a\n```sh\none\ntwo\n```\n```yaml\nx: y\n```\n1. b\n   ```sh not run: no network\n   three\n     four\n   ```\n";
    let found = blocks(text).unwrap();
    let found: Vec<_> =
        found.iter().map(|block| (block.line, block.commands.as_str(), block.not_run.as_deref())).collect();
    assert_eq!(found, [(2, "one\ntwo\n", None), (10, "three\n  four\n", Some("no network"))]);
    for text in ["```\nmake\n```\n", "```sh not run\nmake\n```\n", "```shell\nmake\n```\n"] {
        assert!(blocks(text).is_err(), "{text}");
    }
}

/// A reader's home: this checkout, and what the document takes for granted.
struct Reader {
    work: Workdir,
    keys: Option<Home>,
}

impl Reader {
    fn new() -> Option<Self> {
        // Made beforehand, so that what a document shows takes no minute here.
        let work = Workdir::with_bookworm()?;
        fs::remove_file(work.path().join("base-bookworm-amd64.sandbox")).unwrap();
        std::os::unix::fs::symlink(support::checkout(), work.path().join("gitian")).unwrap();
        Some(Self { work, keys: None })
    }

    fn sh(&self, script: &str) -> support::programs::Answer {
        let mut shell = surrounded(Command::new("bash"), self.work.path());
        shell.args(["-e", "-u", "-o", "pipefail", "-c", script]).env("LC_ALL", "C.UTF-8");
        shell.env("GITIAN_BIN_DIR", support::checkout().join("target/release"));
        let gnupg = self.keys.as_ref().map_or_else(|| self.work.path().join(".gnupg"), |home| home.path().to_owned());
        shell.env("GNUPGHOME", gnupg);
        answer(&mut shell)
    }

    /// Gives him a key, and others' tree of signatures with a download.
    fn with_a_key_and_a_tree(mut self) -> Option<Self> {
        let home = Home::new()?;
        for name in ["you", "alice", "bob"] {
            home.make_key(name, "ed25519");
        }
        self.keys = Some(home);
        self.sh(TREE).succeeds();
        Some(self)
    }

    /// Runs the blocks of a document after some commands; as many as said may not be run.
    fn follows(&self, document: &str, first: &str, not_run: usize) {
        let blocks = blocks(&fs::read_to_string(support::checkout().join(document)).unwrap())
            .unwrap_or_else(|wrong| panic!("{document}, {wrong}"));
        let mut script = first.to_owned();
        let mut left_out = Vec::new();
        for Block { line, commands, not_run } in &blocks {
            match not_run {
                Some(why) => left_out.push(format!("{document}:{line}: not run: {why}")),
                None => script += &format!("echo '== {document}:{line}' >&2\n{commands}"),
            }
        }
        eprintln!("{}", left_out.join("\n"));
        assert_eq!(left_out.len(), not_run, "{document} leaves out others than it did: {left_out:?}");
        assert!(blocks.len() > not_run, "{document} shows nothing");
        self.sh(&script).succeeds();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.work.run("stop-target", &[]);
        self.sh("gpgconf --kill all || true");
    }
}

const TREE: &str = "
git config --global user.name Maintainer; git config --global user.email maintainer@example.org
echo the right bytes > app-1.0.tar.gz
mkdir -p gitian.sigs/builder-keys
cd gitian.sigs
git init -q
vouch() {
    mkdir -p 1.0/$1
    { echo '--- !!omap'; echo '- out_manifest: |'; echo \"    $(sha256sum ../app-1.0.tar.gz | sed 's,../,,')\"
      echo \"- release: '1.0'\"; echo '- name: app'; } > 1.0/$1/app-build.assert
    gpg --batch -u $1 --detach-sign 1.0/$1/app-build.assert
    gpg --export $1 > builder-keys/$1.pgp
}
vouch alice; gpg --export bob > builder-keys/bob.pgp
git add .; git commit -q -m alice; git update-ref refs/remotes/origin/main HEAD
vouch bob; git add .; git commit -q -m bob
";

/// A project with a descriptor as there are hundreds.
const COIN: &str = "
export PATH=~/gitian/bin:$PATH
gpg --export you > gitian.sigs/builder-keys/you.pgp
mkdir -p coin/contrib/gitian-descriptors
cat > coin/contrib/gitian-descriptors/gitian-linux.yml <<'YAML'
---
name: coin-linux
distro: debian
suites: [bookworm]
architectures: [amd64]
packages: []
remotes: [{url: 'HERE', dir: coin}]
files: []
script: |
  cp coin/VERSION $OUTDIR/coin.txt
YAML
cd coin; sed -i s,HERE,$PWD, contrib/gitian-descriptors/gitian-linux.yml; echo 1.0 > VERSION; git init -q; git add .; git commit -q -m 1.0; git tag v1.0; cd ..
";

#[test]
fn the_readme_does_what_it_says() {
    let Some(reader) = Reader::new().and_then(Reader::with_a_key_and_a_tree) else { return };
    reader.follows("README.md", COIN, 3);
}

#[test]
fn the_tutorial_leads_to_a_signed_release() {
    let Some(reader) = Reader::new() else { return };
    fs::create_dir(reader.work.path().join(".gnupg")).unwrap();
    restrict(&reader.work.path().join(".gnupg"));
    reader.follows("share/doc/tutorial.md", "", 1);
}

fn restrict(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_user_of_the_original_gets_through_migration() {
    let Some(reader) = Reader::new().and_then(Reader::with_a_key_and_a_tree) else { return };
    reader.follows("share/doc/migration.md", COIN, 0);
}
