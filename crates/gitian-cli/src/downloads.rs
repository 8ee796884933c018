//! `gverify --files`: are the files that I downloaded those that independent people built? One line a file.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use gitian_manifest::Digest;
use gitian_process::interrupt;
use gitian_verify::{
    Agreement, Asked, Builder, Checker, Document, Facts, Opinion, Program, Signature, Source, Statement, Sums,
    agreements, base_name, fits, release_name, releases, statements,
};

use serde_json::{Value, json};

use crate::args::gverify::Args;
use crate::args::sigs_tree;
use crate::failure::{WrongUsage, is_interrupt, tell};
use crate::gverify::{self, keys};
use crate::printable::printable;
use crate::surroundings::Surroundings;

/// How many people must have built a file: one is not independent of himself.
const WANTED: u64 = 2;
/// Up to how many files documents are searched for before they are read and their signatures checked.
const LOOKED_FOR: usize = 4;
/// How many people a line names.
const NAMED: usize = 8;

/// Runs `gverify --files`. Returns the exit code: 0 every file is agreed on, 1 not so, 2 nobody says anything about any.
pub fn run(args: &Args, around: &Surroundings, out: &mut dyn Write) -> Result<u8> {
    let at = args.at.unwrap_or_else(SystemTime::now);
    let downloads = Downloads::read(&args.files)?;
    let root = tree(args, around, &downloads)?;
    let mut source = None;
    let program = args.verify_program.clone().map(Program::new);
    let known = match &program {
        Some(_) => None,
        None => {
            let beside = downloads.lists.first().and_then(|list| list.path.parent());
            let place = root.as_deref().or(beside).unwrap_or(&around.workdir);
            let chosen = source.insert(Source::choose(&args.keys, place));
            let loaded = chosen.load()?;
            keys::tell_keys(chosen, &loaded, args.verbose);
            Some(loaded)
        }
    };
    let checker = match (&program, &known) {
        (Some(program), _) => Checker::Program(program),
        (None, Some(keys)) => Checker::Keys { keys, now: at },
        (None, None) => bail!("no keys"),
    };
    let policy = gverify::policy(args, root.as_deref())?;
    let mut heard = Vec::new();
    for list in &downloads.lists {
        let package = list.path.display().to_string();
        // Who signed it is known by the key alone: called as the policy calls him.
        let says = |mut facts: Facts| {
            if let Signature::Good(good) = &facts.signature
                && let Some(owner) = policy.owner_of(good)
            {
                facts.signer = owner.to_owned();
            }
            Statement { release: String::new(), package: package.clone(), facts }
        };
        // A list without any signature says nothing by itself.
        if list.is_signed() {
            heard.extend(list.facts(&checker)?.into_iter().map(says));
        }
    }
    if let Some(root) = &root {
        let wanted = match &args.release {
            Some(release) => releases(root)?.into_iter().filter(|folder| is_meant(release, folder)).collect(),
            None => releases(root)?,
        };
        if let (Some(release), []) = (&args.release, &wanted[..]) {
            bail!("{}: has no release {release}", root.display());
        }
        let needles: Vec<[Vec<u8>; 2]> = downloads
            .asked
            .iter()
            .map(|file| [base_name(&file.name).as_bytes().to_vec(), file.digest.to_string().into_bytes()])
            .collect();
        // To look for many costs more than to read everything.
        let relevant =
            |bytes: &[u8]| needles.len() > LOOKED_FOR || needles.iter().flatten().any(|needle| holds(bytes, needle));
        heard.extend(statements(root, &wanted, &checker, &relevant)?);
    }
    let opinions = agreements(&downloads.asked, &heard, &policy, at);
    let wanted = policy.min_good.unwrap_or(WANTED);
    let code = exit_code(&opinions, wanted, downloads.is_refuted());
    if args.json {
        json(&downloads, &opinions, wanted, code, out)?;
    } else {
        for ((file, agreement), here) in downloads.asked.iter().zip(&opinions).zip(&downloads.here) {
            let line = line_with(here, line(agreement, wanted));
            writeln!(out, "{}", printable(&format!("{}: {line}", file.name)))?;
            if args.verbose {
                people(agreement, out)?;
            }
        }
    }
    out.flush()?;
    downloads.tell(&heard);
    let missing = keys::missing(heard.iter().map(|statement| &statement.facts));
    let place = root.as_deref().unwrap_or(&around.workdir);
    if let Some(hint) = source.as_ref().and_then(|source| keys::hint(&missing, source, place)) {
        tell(&format!("hint: {hint}"));
    }
    hints(&opinions, wanted, args);
    Ok(code)
}

/// Whether a release of a tree fits a pattern: its path if that has a `/`, else its name.
fn is_meant(pattern: &str, folder: &str) -> bool {
    fits(pattern, if pattern.contains('/') { folder } else { release_name(folder) })
}

fn exit_code(opinions: &[Agreement], wanted: u64, refuted: bool) -> u8 {
    let mut opinions = opinions.iter().map(|agreement| agreement.opinion(wanted));
    if refuted {
        1
    } else if opinions.clone().all(|opinion| opinion == Opinion::Agreed) {
        0
    } else if opinions.all(|opinion| opinion == Opinion::NotListed) {
        2
    } else {
        1
    }
}

/// Says what to do next.
fn hints(opinions: &[Agreement], wanted: u64, args: &Args) {
    let opinions: Vec<Opinion> = opinions.iter().map(|agreement| agreement.opinion(wanted)).collect();
    if opinions.contains(&Opinion::TooFew) {
        tell("hint: --min-good 1 is content with a single person's word");
    }
    if opinions.contains(&Opinion::Unmet) && args.destination.is_none() {
        tell(
            "hint: who signed a list is known by keys alone: a policy says whose they are, [signers.NAME] with keys = […]",
        );
    }
    if opinions.contains(&Opinion::OtherName) {
        tell("hint: is it the release that you wanted? If so, give the file its own name");
    }
    if opinions.contains(&Opinion::Disputed) && args.release.is_none() {
        tell("hint: if another release has files of the same name, say which one is meant: --release REL");
    }
    if !opinions.is_empty() && opinions.iter().all(|opinion| *opinion == Opinion::NotListed) {
        tell(
            "hint: is the release in the tree? `git pull` there gets the newest; file names and bytes both are looked for",
        );
    }
}

/// Returns the tree to look into; none is needed if the lists are signed themselves.
fn tree(args: &Args, around: &Surroundings, downloads: &Downloads) -> Result<Option<PathBuf>> {
    match &args.destination {
        Some(path) => Ok(Some(sigs_tree(Some(path), &around.settings.installation, "").root)),
        None if downloads.lists.iter().any(Sums::is_signed) => Ok(None),
        None => bail!(WrongUsage(
            "--files needs to know who built them: --destination TREE, or a SHA256SUMS with its signatures beside it"
                .into()
        )),
    }
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((&first, rest)) = needle.split_first() else { return false };
    let starts = bytes.iter().enumerate().filter(|&(_, &byte)| byte == first).map(|(at, _)| at + 1);
    starts.into_iter().any(|at| bytes[at..].starts_with(rest))
}

/// What the command line names, sorted out.
#[derive(Default)]
struct Downloads {
    asked: Vec<Asked>,
    /// For each file asked about, what lies here.
    here: Vec<Here>,
    lists: Vec<Sums>,
}

/// What lies here of a file that is asked about. What outweighs the others comes last: a file may be named and listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Here {
    /// Nothing: a list names it.
    Absent,
    /// The file, by its digest.
    Hashed,
    /// Something that could not be hashed, for this reason.
    Unreadable(String),
    /// A file that is not what a list says.
    Damaged,
}

impl Downloads {
    fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut downloads = Self::default();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match list(path, &name)? {
                Some(sums) => downloads.add_list(sums)?,
                // It is looked at together with what it signs.
                None if is_signature(path) => {}
                None => downloads.add(Asked { name, digest: digest(path)? }, Here::Hashed),
            }
        }
        if downloads.asked.is_empty() {
            bail!(WrongUsage("--files names signatures only; name the files that they belong to".into()));
        }
        Ok(downloads)
    }

    fn add(&mut self, asked: Asked, here: Here) {
        match self.asked.iter().position(|known| *known == asked) {
            Some(known) if here > self.here[known] => self.here[known] = here,
            Some(_) => {}
            None => {
                self.asked.push(asked);
                self.here.push(here);
            }
        }
    }

    /// Adds the files of a list, and compares those that lie beside it.
    fn add_list(&mut self, sums: Sums) -> Result<()> {
        let folder = sums.path.parent().unwrap_or(Path::new("")).to_owned();
        for entry in &sums.manifest.entries {
            let here = match beside(&folder, &entry.path) {
                Beside::Absent => Here::Absent,
                Beside::Refused(reason) => Here::Unreadable(reason),
                Beside::File(path) => match digest(&path) {
                    Ok(found) if found == entry.digest => Here::Hashed,
                    Ok(_) => Here::Damaged,
                    Err(cause) if is_interrupt(&cause) => return Err(cause),
                    Err(cause) => Here::Unreadable(format!("cannot be read: {}", cause.root_cause())),
                },
            };
            self.add(Asked { name: entry.path.clone(), digest: entry.digest }, here);
        }
        self.lists.push(sums);
        Ok(())
    }

    /// Returns whether something lies here that is not what a list says, or that cannot be compared with it.
    fn is_refuted(&self) -> bool {
        self.here.iter().any(|here| matches!(here, Here::Damaged | Here::Unreadable(_)))
    }

    /// Says what the lines about files do not.
    fn tell(&self, heard: &[Statement]) {
        let absent = self.here.iter().filter(|here| **here == Here::Absent).count();
        let (names, are) = if absent == 1 { ("file", "is") } else { ("files", "are") };
        if absent > 0 {
            let nothing = if absent == self.here.len() { "; no file was hashed at all" } else { "" };
            tell(&format!(
                "gverify: {absent} listed {names} {are} not here; only the listed digest was looked up{nothing}"
            ));
        }
        let unreadable = |facts: &Facts| match &facts.document {
            Document::OutOfReach(reason) | Document::Malformed(reason) => {
                Some(format!("gverify: warning: {}: {reason}", facts.assert_path.display()))
            }
            Document::Absent | Document::Read(_) => None,
        };
        for line in heard.iter().filter_map(|statement| unreadable(&statement.facts)) {
            tell(&printable(&line));
        }
    }
}

/// Reads a list of files, if a file is one by its name.
fn list(path: &Path, name: &str) -> Result<Option<Sums>> {
    if !name.to_ascii_uppercase().contains("SHA256SUM") {
        return Ok(None);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let root = folder.canonicalize().with_context(|| folder.display().to_string())?;
    match Sums::read(&root, path) {
        Ok(sums) => Ok(Some(sums)),
        Err(_) if is_signature(path) => Ok(None),
        Err(Document::Absent) => bail!("{}: does not exist", path.display()),
        Err(Document::OutOfReach(reason) | Document::Malformed(reason)) => bail!("{}: {reason}", path.display()),
        Err(Document::Read(_)) => Ok(None),
    }
}

fn is_signature(path: &Path) -> bool {
    path.extension().is_some_and(|end| ["asc", "sig"].iter().any(|known| end == *known))
}

/// What lies beside a list under a listed name.
enum Beside {
    Absent,
    File(PathBuf),
    /// Something that is no file, and why.
    Refused(String),
}

/// Returns what lies below a list's folder under a listed name; one that leads elsewhere is not looked at. Links are
/// followed, as those that the user names.
fn beside(folder: &Path, listed: &str) -> Beside {
    let mut path = folder.to_owned();
    for part in Path::new(listed).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Beside::Absent,
        }
    }
    match path.metadata() {
        Ok(found) if found.is_file() => Beside::File(path),
        Ok(found) if found.is_dir() => Beside::Refused("is a folder".into()),
        Ok(_) => Beside::Refused("is not a regular file".into()),
        Err(_) if path.is_symlink() => Beside::Refused("is a link to nothing".into()),
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => Beside::Refused("may not be read".into()),
        Err(_) => Beside::Absent,
    }
}

fn digest(path: &Path) -> Result<Digest> {
    let shown = || path.display().to_string();
    let found = fs::metadata(path).with_context(shown)?;
    if !found.is_file() {
        bail!("{}: is not a regular file", path.display());
    }
    // A large file takes its time.
    let unless_stopped = |_| interrupt::check().map_err(io::Error::other);
    let digest = Digest::of_reader_watched(fs::File::open(path).with_context(shown)?, unless_stopped);
    interrupt::check()?;
    digest.with_context(shown)
}

/// Returns what is said about a file, knowing what lies here.
fn line_with(here: &Here, line: String) -> String {
    match here {
        Here::Hashed => line,
        Here::Absent => format!("{line}; not here, so not hashed"),
        Here::Unreadable(reason) => format!("UNREADABLE: what lies here {reason}; nothing was compared"),
        Here::Damaged => "MISMATCH: the file here is not the one that the list means; download it again".to_owned(),
    }
}

/// Returns what is said about the bytes of a file.
fn line(agreement: &Agreement, wanted: u64) -> String {
    let (these, others) = (&agreement.built_by, &agreement.otherwise);
    let bytes_of = || {
        let mut names: Vec<&str> = agreement.renamed.iter().map(|builder| base_name(&builder.path)).collect();
        names.sort_unstable();
        names.dedup();
        format!("these are the bytes of {}, built by {}", enumerated(&names), named(&agreement.renamed))
    };
    match agreement.opinion(wanted) {
        Opinion::Agreed if others.is_empty() => format!("OK, built by {}", named(these)),
        Opinion::Agreed => format!("OK, built by {}; something else by {}", named(these), named(others)),
        Opinion::TooFew => format!("TOO FEW: built by {}, wanted are {wanted}", named(these)),
        Opinion::Unmet => {
            let unmet: Vec<String> = agreement.unmet.iter().map(ToString::to_string).collect();
            format!("POLICY NOT MET: built by {}, but {}", named(these), unmet.join("; "))
        }
        Opinion::OtherName => format!("OTHER NAME: {}", bytes_of()),
        Opinion::Disputed if these.is_empty() => {
            format!("DISPUTED: {}; under this name something else by {}", bytes_of(), named(others))
        }
        Opinion::Disputed => format!("DISPUTED: built by {}, something else by {}", named(these), named(others)),
        Opinion::Different => format!("MISMATCH: something else was built by {}", named(others)),
        Opinion::Unproven => {
            let signers: Vec<&str> = agreement.unproven.iter().map(String::as_str).collect();
            format!("UNPROVEN: listed without a signature that counts by {}", enumerated(&signers))
        }
        Opinion::NotListed => "NOT LISTED: nobody says that he built it".to_owned(),
    }
}

/// Returns how many people, who, and for which releases.
fn named(builders: &[Builder]) -> String {
    let signers: Vec<&str> = builders.iter().map(|builder| &*builder.signer).collect();
    let mut releases: Vec<&str> = builders.iter().map(|builder| &*builder.release).collect();
    releases.retain(|release| !release.is_empty());
    releases.sort_unstable();
    releases.dedup();
    let of = if releases.is_empty() { String::new() } else { format!(" for {}", enumerated(&releases)) };
    format!("{}{of} ({})", builders.len(), enumerated(&signers))
}

fn enumerated(names: &[&str]) -> String {
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    names[..names.len().min(NAMED)].join(", ") + &more
}

/// Prints everyone by name.
fn people(agreement: &Agreement, out: &mut dyn Write) -> io::Result<()> {
    for (sign, builders) in [("=", &agreement.built_by), ("~", &agreement.renamed), ("!", &agreement.otherwise)] {
        for Builder { signer, release, path, .. } in builders {
            let of = if release.is_empty() { String::new() } else { format!(" of {release}") };
            writeln!(out, "  {sign} {}", printable(&format!("{signer}{of}: {path}")))?;
        }
    }
    for signer in &agreement.unproven {
        writeln!(out, "  ? {}", printable(&format!("{signer}: without a signature that counts")))?;
    }
    Ok(())
}

/// Prints what is said about each file as JSON; share/doc/gverify.md describes it.
fn json(downloads: &Downloads, opinions: &[Agreement], wanted: u64, code: u8, out: &mut dyn Write) -> Result<()> {
    let people = |builders: &[Builder]| -> Vec<Value> {
        let one = |Builder { signer, release, path, weight }: &Builder| json!({ "signer": signer, "release": release, "path": path, "weight": weight });
        builders.iter().map(one).collect()
    };
    let files = downloads.asked.iter().zip(opinions).zip(&downloads.here).map(|((file, agreement), here)| {
        json!({
            "name": file.name,
            "digest": file.digest.to_string(),
            "opinion": match here {
                Here::Damaged => "damaged",
                Here::Unreadable(_) => "unreadable",
                Here::Absent | Here::Hashed => word(agreement.opinion(wanted)),
            },
            "hashed": matches!(here, Here::Hashed | Here::Damaged),
            "built_by": people(&agreement.built_by),
            "renamed": people(&agreement.renamed),
            "otherwise": people(&agreement.otherwise),
            "unproven": agreement.unproven,
            "unmet": agreement.unmet.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    let document = json!({ "schema": 1, "wanted": wanted, "files": files.collect::<Vec<_>>(), "exit_status": code });
    Ok(writeln!(out, "{document}")?)
}

fn word(opinion: Opinion) -> &'static str {
    match opinion {
        Opinion::Agreed => "agreed",
        Opinion::TooFew => "too-few",
        Opinion::Disputed => "disputed",
        Opinion::OtherName => "other-name",
        Opinion::Different => "different",
        Opinion::Unmet => "policy-not-met",
        Opinion::Unproven => "unproven",
        Opinion::NotListed => "not-listed",
    }
}
