//! `gverify --lint`: the check that a sigs repository runs on a pull request. One line a fault.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use gitian_process::{Command, Output, Streams};
use gitian_verify::{Change, Fault, Finding, Former, KEY_FOLDERS, Policy, Source, lint};
use gitian_vm::Problem;
use serde_json::{Value, json};

use crate::args::WrongUsage;
use crate::args::gverify::Args;
use crate::args::sigs_tree;
use crate::gverify::keys::tell_keys;
use crate::printable::printable;
use crate::printed::tell;
use crate::surroundings::Surroundings;

/// Runs `gverify --lint`. Returns the exit code: 0 nothing speaks against the change, 1 something does, 2 nothing
/// changed.
pub fn run(args: &Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    let destination = args.destination.as_deref().unwrap_or(Path::new("."));
    let root = sigs_tree(Some(destination), &around.settings.installation, "").root;
    let range = range(&args.lint, &root);
    let (changes, policy) = match range {
        Some((base, head)) => of_range(&root, base, head, args.keys.is_empty())?,
        None => {
            if let [one] = &args.lint[..]
                && is_meant_for_range(one, &root)
            {
                let one = one.to_string_lossy();
                bail!(WrongUsage(format!(
                    "{one} is no file of the tree; what changed since a commit is --lint {one}..HEAD"
                )));
            }
            (of_paths(&root, &args.lint), Policy::of_tree(&root)?)
        }
    };
    if changes.is_empty() {
        tell("gverify: nothing changed, so there is nothing to check");
        return Ok(2);
    }
    if args.verify_program.is_some() {
        bail!(WrongUsage("--lint has to know which key made a signature, which --verify-program does not tell".into()));
    }
    let source = Source::choose(&args.keys, &root);
    let mut keys = source.load()?;
    // By the keys as they were it is known who signed before.
    for change in changes.iter().filter(|change| is_key(&change.path)) {
        if let Former::Bytes(former) = &change.former {
            keys.add(former, "");
        }
    }
    tell_keys(&source, &keys, args.verbose);
    let (policy, at) = (policy.unwrap_or_default(), args.at.unwrap_or_else(SystemTime::now));
    let findings = lint(&root, &changes, args.signer.as_deref(), &keys, &policy, at)?;
    if args.json {
        let fault = |Finding { path, fault }: &Finding| json!({ "path": path.display().to_string(), "fault": fault.to_string() });
        let faults: Vec<Value> = findings.iter().map(fault).collect();
        let code = u8::from(!faults.is_empty());
        writeln!(out, "{}", json!({ "schema": 1, "changed": changes.len(), "faults": faults, "exit_status": code }))?;
        return Ok(code);
    }
    for Finding { path, fault } in &findings {
        writeln!(out, "{}", printable(&format!("{}: {fault}", path.display())))?;
    }
    if findings.is_empty() {
        let files =
            if changes.len() == 1 { "1 changed file".into() } else { format!("{} changed files", changes.len()) };
        writeln!(out, "{files}: OK")?;
    }
    out.flush()?;
    hints(&findings, &root).iter().for_each(|hint| tell(&printable(&format!("hint: {hint}"))));
    Ok(u8::from(!findings.is_empty()))
}

/// Returns what mends the faults, each kind once.
fn hints(findings: &[Finding], root: &Path) -> Vec<String> {
    let mut hints = Vec::new();
    let mut add = |hint: String| {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    };
    for Finding { path, fault } in findings {
        let shown = path.display();
        match fault {
            Fault::NoSignature | Fault::BadSignature(_) | Fault::Weak(_) if is_list(path) => {
                add("sign the list again, without a signature in it: gpg --digest-algo SHA512 --armor --detach-sign LIST writes LIST.asc".into());
            }
            Fault::NoSignature | Fault::BadSignature(_) | Fault::Weak(_) => {
                add("sign it again: gpg --digest-algo SHA512 --detach-sign FILE, or gsign".into());
            }
            Fault::KeyNotInUse(_) => {
                add("sign with a key that is in use; one that has expired its owner extends, and adds the new copy to the key folder by itself first".into());
            }
            Fault::KeyComesAlong { file, .. } => {
                add(format!("propose {} by itself first; when it is merged, what is signed with it", file.display()));
            }
            Fault::NoKey(_) => add("add the public key to the key folder: gpg --armor --export KEY".into()),
            Fault::OtherKey { .. } | Fault::KeyOf { .. } | Fault::KeyExchanged { .. } => {
                add("sign with the usual key, or have the new one added to the key folder by itself first".into());
            }
            Fault::NewKey { .. } | Fault::HoldsKeyOf { .. } => {
                add("whose key is it? Ask its owner by another way before it is added, and add it by itself".into());
            }
            Fault::KeyGone { .. } | Fault::RevocationGone { .. } | Fault::OlderCopy { .. } => {
                add("what a key file says stays in it: gpg --import it as it was and as it is, then gpg --armor --export".into());
            }
            Fault::Foreign { .. } => add("one change, one signer: propose each signer's files by themselves".into()),
            Fault::OtherKeyFolder { used } => {
                let to = used.join(path.file_name().unwrap_or_default());
                let [from, to] = [path, &to].map(|path| shell_words::quote(&path.display().to_string()).into_owned());
                add(format!("{} mv {from} {to}", git_call(root)));
            }
            Fault::Unbound { .. } => {
                add("a copy without it: gpg --import the file, then gpg --armor --export KEY (it drops what is not signed)".into());
            }
            Fault::NotInPolicy { .. } | Fault::NamedInPolicy { .. } => {
                add("a maintainer names the key in gverify.toml first".into());
            }
            Fault::NameLike { .. } => add("choose another name".into()),
            Fault::FromTheFuture => add("set the clock right, then sign it again".into()),
            Fault::NotAFile(_) => add("propose a copy of what it should be".into()),
            Fault::CopyOf(_) => add("propose the list of this release".into()),
            Fault::OutOfPlace if is_list(&path.with_extension("")) => {
                add("a list's signature is armored, in LIST.asc: gpg --digest-algo SHA512 --armor --detach-sign LIST"
                    .into());
            }
            Fault::OutOfPlace => add("a signer's files are RELEASE/SIGNER/NAME-build.assert and .sig beside it".into()),
            Fault::Says { what: "release", .. } => {
                add("gsign --release REL writes both the folder and what the document says".into());
            }
            Fault::SecretKey => {
                add("the key is lost: revoke it, make another; what belongs here is of gpg --armor --export KEY".into());
            }
            Fault::Beside(merged) => add(format!("{} says it already: leave {shown} out", merged.display())),
            Fault::Replaced => add("what was merged stays; if it was wrong, a maintainer replaces it".into()),
            Fault::NoDocument => add(format!("add {shown} as well")),
            Fault::RevokesNothing { .. } => {
                add("a revocation lies beside the key file and is called like it: alice.rev beside alice.gpg; or gpg --import it, then gpg --armor --export KEY".into());
            }
            Fault::NotOnlyKeys | Fault::NotAKey => add("gpg --armor --export KEY writes a key and nothing else".into()),
            Fault::Removed | Fault::Refused(_) | Fault::Unreadable(_) | Fault::Says { .. } | Fault::Manifest(_) => {}
        }
    }
    hints
}

/// Returns the two ends of a range of git, if that is what the arguments are: one, with dots, and no file of the tree.
fn range<'a>(args: &'a [OsString], root: &Path) -> Option<(&'a OsStr, &'a OsStr)> {
    let [one] = args else { return None };
    let bytes = one.as_bytes();
    let at = bytes.windows(2).position(|pair| pair == b"..")?;
    if root.join(one).symlink_metadata().is_ok() || bytes.contains(&b'/') && bytes.windows(3).any(|part| part == b"../")
    {
        return None;
    }
    let (base, head) = (&bytes[..at], &bytes[at..]);
    let head = head.strip_prefix(b"...").or_else(|| head.strip_prefix(b"..")).unwrap_or(head);
    let or_head = |end: &'a [u8]| if end.is_empty() { OsStr::new("HEAD") } else { OsStr::from_bytes(end) };
    Some((or_head(base), or_head(head)))
}

/// Whether an argument is rather the one end of a range than a file that was removed: those lie in folders.
fn is_meant_for_range(arg: &OsStr, root: &Path) -> bool {
    !arg.as_bytes().contains(&b'/') && root.join(arg).symlink_metadata().is_err()
}

/// Takes paths as they are typed: of the tree, or leading into it.
fn of_paths(root: &Path, args: &[OsString]) -> Vec<Change> {
    let top = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let below = |path: &Path| {
        [root, &top].iter().find_map(|root| path.strip_prefix(root).ok()).map_or_else(|| path.to_owned(), PathBuf::from)
    };
    let change = |arg: &OsString| {
        let path = below(Path::new(arg));
        Change { removed: root.join(&path).symlink_metadata().is_err(), path, former: Former::Unknown }
    };
    args.iter().map(change).collect()
}

/// Asks git what changed since `head` left `base`, and for the policy of `base`. Insists on the change being what lies in
/// the tree, and the keys there being those of `base` if they are to count.
fn of_range(root: &Path, base: &OsStr, head: &OsStr, keys_here: bool) -> Result<(Vec<Change>, Option<Policy>)> {
    git(root, &["rev-parse", "--git-dir"])?;
    let (base_name, base) = (base.to_string_lossy(), commit(root, base)?);
    let (head_name, head) = (head.to_string_lossy(), commit(root, head)?);
    let left = git(root, &["merge-base", &base, &head]).map_err(|_| Problem {
        what: format!("git repository {}: does not hold where {head_name} left {base_name}", root.display()),
        mend: format!("{} fetch --unshallow   # if it is a part of the history only", git_call(root)),
    })?;
    let left = String::from_utf8_lossy(&left).trim().to_owned();
    let since = if keys_here { Difference::between(root, &[&left, &base])? } else { Vec::new() };
    if let Some(Difference { path, .. }) = since.iter().find(|since| is_key(&since.path)) {
        // Else a branch from before somebody had a key, or revoked it, would be judged as if it were still so.
        bail!(Problem {
            what: format!("{}: is another in {base_name} since {head_name} left it", path.display()),
            mend: format!("{} merge {}", git_call(root), shell_words::quote(&base_name)),
        });
    }
    let differences = Difference::between(root, &[&left, &head])?;
    // What is read is the tree as it lies there: it has to be the one that is meant.
    let ours: BTreeSet<&Path> = differences.iter().map(|difference| &*difference.path).collect();
    let unlike = Difference::between(root, &["--ignore-submodules=all", &head])?;
    if let Some(Difference { path, .. }) = unlike.iter().find(|unlike| ours.contains(&*unlike.path)) {
        let call = git_call(root);
        let mend = match commit(root, OsStr::new("HEAD"))? == head {
            true => format!("{call} stash   # keeps what is changed here; later: {call} stash pop"),
            false => format!("{call} checkout {}", shell_words::quote(&head_name)),
        };
        bail!(Problem { what: format!("{}: is not here as it is in {head_name}", path.display()), mend });
    }
    let changes = differences.into_iter().map(|difference| difference.change(root)).collect::<Result<Vec<Change>>>()?;
    Ok((changes, policy_of(root, &base)?))
}

/// Returns the policy that a commit holds: not what the change may have made of it.
fn policy_of(root: &Path, commit: &str) -> Result<Option<Policy>> {
    let listed = git(root, &["ls-tree", "-z", commit, "--", Policy::FILE])?;
    let entry = String::from_utf8_lossy(&listed).into_owned();
    let fields: Vec<&str> = entry.split(['\0', '\t', ' ']).collect();
    let [mode, _, object, ..] = fields[..] else { return Ok(None) };
    // Behind a link there may be what the change made of it.
    if !mode.starts_with("100") {
        bail!(Problem {
            what: format!("policy {} of {commit}: is no plain file", Policy::FILE),
            mend: "a maintainer replaces it by a plain file, in a change of its own".into(),
        });
    }
    let text = git(root, &["cat-file", "blob", object])?;
    let text = String::from_utf8(text).with_context(|| format!("policy {}", Policy::FILE))?;
    Policy::parse(&text).map(Some).with_context(|| format!("policy {} of {commit}", Policy::FILE))
}

/// A file that git finds different.
struct Difference {
    /// Where, from the tree.
    path: PathBuf,
    /// What it was: the file's mode, all zeros if there was none, and the id of the object.
    before: (Vec<u8>, String),
    /// `A`, `D`, `M`, `T`.
    status: u8,
}

impl Difference {
    /// Returns what git finds different below the tree, and in key folders beside it.
    fn between(root: &Path, commits: &[&str]) -> Result<Vec<Self>> {
        // Said here, since the change may bring settings that say otherwise.
        const FIXED: [&str; 6] = ["diff", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none", "-z"];
        let mut found = Self::parse(&git(root, &[&FIXED[..], &["--relative"], commits].concat())?, None);
        let prefix = git(root, &["rev-parse", "--show-prefix"])?;
        let prefix = prefix.trim_ascii_end();
        if let Some(inner) = prefix.strip_suffix(b"/") {
            let parent = &inner[..inner.iter().rposition(|byte| *byte == b'/').unwrap_or(0)];
            let folders = KEY_FOLDERS.map(|folder| format!("../{folder}"));
            let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
            let listed = git(root, &[&FIXED[..], &["--no-relative"], commits, &["--"], &folders].concat())?;
            found.extend(Self::parse(&listed, Some(parent)));
        }
        Ok(found)
    }

    /// Reads `:<mode> <mode> <object> <object> <status>`, NUL, path, NUL. `beside` is what paths begin with instead of `..`.
    fn parse(listed: &[u8], beside: Option<&[u8]>) -> Vec<Self> {
        let mut fields = listed.split(|byte| *byte == 0).filter(|field| !field.is_empty());
        let mut found = Vec::new();
        while let (Some(about), Some(path)) = (fields.next(), fields.next()) {
            let path = PathBuf::from(OsString::from_vec(path.to_vec()));
            let path = match beside {
                None => path,
                Some(parent) => Path::new("..").join(path.strip_prefix(OsStr::from_bytes(parent)).unwrap_or(&path)),
            };
            let words: Vec<&[u8]> = about.split(|byte| *byte == b' ').collect();
            if let [mode, _, object, _, status] = words[..] {
                let object = String::from_utf8_lossy(object).into_owned();
                let mode = mode.strip_prefix(b":").unwrap_or(mode).to_owned();
                found.push(Self { path, before: (mode, object), status: status.first().copied().unwrap_or_default() });
            }
        }
        found
    }

    fn change(self, root: &Path) -> Result<Change> {
        let (mode, object) = &self.before;
        let former = match self.status {
            b'A' => Former::Absent,
            // What was a link or a repository of its own was no key file.
            _ if is_key(&self.path) && mode.starts_with(b"100") => {
                Former::Bytes(git(root, &["cat-file", "blob", object])?)
            }
            _ => Former::Something,
        };
        Ok(Change { former, path: self.path, removed: self.status == b'D' })
    }
}

fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "SHA256SUMS")
}

fn is_key(path: &Path) -> bool {
    let folder = path.strip_prefix("..").unwrap_or(path).parent().and_then(Path::to_str);
    folder.is_some_and(|folder| KEY_FOLDERS.contains(&folder))
}

/// Returns the id of a commit; a name that git could take for an option never reaches it as one.
fn commit(root: &Path, name: &OsStr) -> Result<String> {
    let mut wanted = name.to_owned();
    wanted.push("^{commit}");
    let id = git(
        root,
        &[OsStr::new("rev-parse"), "--verify".as_ref(), "--quiet".as_ref(), "--end-of-options".as_ref(), &wanted],
    );
    let shown = name.to_string_lossy();
    // What is fetched is called as it is there: a commit, or a branch without the name of the remote.
    let there = shown.split_once('/').map_or(&*shown, |(_, branch)| branch);
    let id = id.map_err(|_| Problem {
        what: format!("git repository {}: has no commit {shown}", root.display()),
        mend: format!("{} fetch origin {}", git_call(root), shell_words::quote(there)),
    })?;
    Ok(String::from_utf8_lossy(&id).trim().to_owned())
}

/// Returns how git is called for a tree.
fn git_call(root: &Path) -> String {
    match root == Path::new(".") {
        true => "git".into(),
        false => format!("git -C {}", shell_words::quote(&root.display().to_string())),
    }
}

fn git<A: AsRef<OsStr>>(root: &Path, args: &[A]) -> Result<Vec<u8>> {
    let command = Command::new("git").args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]);
    let command = command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C.UTF-8").folder(root).args(args);
    // A hook that calls us has these set; they would turn the call to another repository.
    let of_another = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"];
    let command = of_another.into_iter().fold(command, Command::without_env);
    let done = command.run_ok(Streams { stdout: Output::Capture, ..Streams::default() });
    Ok(done.with_context(|| format!("git repository {}", root.display()))?.stdout)
}
