//! `gverify --files`: are the files that I downloaded those that independent people built? One line a file.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use gitian_manifest::{Digest, SigsTree};
use gitian_process::interrupt;
use gitian_verify::{
    Agreement, Asked, Builder, Checker, Document, Facts, Folders, Opinion, Program, Signature, Source, Statement, Sums,
    Uncounted, Unproven, Verdict, agreements, base_name, fits, release_name, releases, statements,
};

use serde_json::{Value, json};

use crate::args::WrongUsage;
use crate::args::gverify::Args;
use crate::args::sigs_tree;
use crate::failure::is_interrupt;
use crate::gverify::{keys, terms, words};
use crate::printable::printable;
use crate::printed::tell;
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
            // What comes along with a download says nothing about whom to believe.
            let chosen = source.insert(match &root {
                Some(root) => Source::choose(&args.keys, root),
                None if args.keys.is_empty() => Source::GnuPg,
                None => Source::Given(args.keys.clone()),
            });
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
    let mut policy = terms::policy(args, root.as_deref())?;
    let wanted = *policy.min_good.get_or_insert(WANTED);
    let folders = Folders::default();
    let sigs = root.as_ref().map(SigsTree::new);
    let is_signer = |name: &str| sigs.as_ref().is_some_and(|tree| folders.has_signer(tree, name));
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
            heard.extend(list.facts(&checker, &is_signer)?.into_iter().map(says));
        }
    }
    if let Some(root) = &root {
        let releases_wanted = match &args.release {
            Some(release) => releases(root)?.into_iter().filter(|folder| is_meant(release, folder)).collect(),
            None => releases(root)?,
        };
        if let (Some(release), []) = (&args.release, &releases_wanted[..]) {
            bail!("{}: has no release {release}", root.display());
        }
        let needles: Vec<[Vec<u8>; 2]> = downloads
            .asked
            .iter()
            .map(|file| [base_name(&file.name).as_bytes().to_vec(), file.digest.to_string().into_bytes()])
            .collect();
        // To look for many costs more than to read everything; other names may be escaped or broken into lines.
        let is_as_it_is =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-~".contains(&byte));
        let reads_all =
            needles.len() > LOOKED_FOR || !downloads.asked.iter().all(|file| is_as_it_is(base_name(&file.name)));
        let relevant = |bytes: &[u8]| reads_all || needles.iter().flatten().any(|needle| holds(bytes, needle));
        heard.extend(statements(root, &releases_wanted, &checker, &folders, &relevant)?);
    }
    let meant = args.release.as_deref().filter(|release| !release.contains(['*', '?']));
    let opinions = agreements(&downloads.asked, &heard, &policy, at, meant);
    let code = exit_code(&opinions, wanted, downloads.is_refuted());
    if args.json {
        json(&downloads, &opinions, &heard, wanted, code, out)?;
    } else {
        for ((shown, agreement), here) in downloads.shown.iter().zip(&opinions).zip(&downloads.here) {
            let line = line(here, agreement, wanted, &heard);
            writeln!(out, "{}", printable(&format!("{}: {line}", shown.join(", "))))?;
            if args.verbose {
                people(agreement, &heard, out)?;
            }
        }
    }
    out.flush()?;
    downloads.tell(&heard);
    let uncounted = uncounted(&opinions);
    tell_signatures(&uncounted, &heard, args.verbose, code);
    let missing = keys::missing(heard.iter().map(|statement| &statement.facts));
    if let Some(hint) = source.as_ref().and_then(|source| keys::hint(&missing, source, root.as_deref())) {
        tell(&printable(&format!("hint: {hint}")));
    }
    hints(&opinions, wanted, args);
    if root.is_none() && matches!(source, Some(Source::GnuPg)) {
        key_folder_hint(&downloads, around);
    }
    if code != 0 {
        signature_hints(&uncounted, &heard, &downloads.lists, args);
    }
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

/// Says how keys that lie beside a list are used. Whoever made the download may have put them there.
fn key_folder_hint(downloads: &Downloads, around: &Surroundings) {
    let folder = downloads.lists.first().and_then(|list| list.path.parent()).unwrap_or(&around.workdir);
    if let Source::Folders(folders) = Source::choose(&[], folder) {
        let keys = folders.iter().map(|folder| format!("--keys {}", shell_words::quote(&folder.display().to_string())));
        let keys = keys.collect::<Vec<_>>().join(" ");
        tell(&printable(&format!("hint: keys lie beside the list; if you believe whoever put them there: {keys}")));
    }
}

/// Returns the words that do not count, by their index into all, with the reason.
fn uncounted(opinions: &[Agreement]) -> BTreeMap<usize, &Uncounted> {
    opinions
        .iter()
        .flat_map(|agreement| &agreement.unproven)
        .map(|Unproven { statement, why }| (*statement, why))
        .collect()
}

/// Whether a statement is a list that the user named, not one of a tree.
fn is_own(statement: &Statement) -> bool {
    statement.release.is_empty()
}

/// Says which signatures of the lists do not count: all if that may matter, the bad ones always.
fn tell_signatures(uncounted: &BTreeMap<usize, &Uncounted>, heard: &[Statement], verbose: bool, code: u8) {
    let own = uncounted.iter().filter(|(statement, _)| is_own(&heard[**statement]));
    let lines = own.filter_map(|(statement, why)| {
        let facts = &heard[*statement].facts;
        let (word, reasons) = words::uncounted(facts, why, verbose);
        let is_bad = **why == Uncounted::Signature(Verdict::BadSignature);
        (is_bad || verbose || code != 0)
            .then(|| format!("gverify: {}: {}", facts.signature_path.display(), with_reasons(word, &reasons)))
    });
    let lines: Vec<String> = lines.collect();
    for line in lines.iter().take(NAMED) {
        tell(&printable(line));
    }
    if lines.len() > NAMED {
        tell(&format!("gverify: {} more signatures of lists do not count; --json has all", lines.len() - NAMED));
    }
}

fn with_reasons(word: &str, reasons: &[String]) -> String {
    if reasons.is_empty() { word.to_owned() } else { format!("{word}: {}", reasons.join("; ")) }
}

/// Says what to do about signatures that do not count.
fn signature_hints(uncounted: &BTreeMap<usize, &Uncounted>, heard: &[Statement], lists: &[Sums], args: &Args) {
    let quoted = |path: &Path| printable(&shell_words::quote(&path.display().to_string()));
    let clear_signed: Vec<&Path> = lists.iter().filter_map(Sums::clear_signed).collect();
    for path in &clear_signed {
        tell(&format!("hint: {0} is no signature of the list but a list with its own: --files {0}", quoted(path)));
    }
    let mut told = BTreeSet::new();
    for facts in
        uncounted.keys().map(|&statement| &heard[statement]).filter(|word| is_own(word)).map(|word| &word.facts)
    {
        let (list, signature) = (&facts.assert_path, &facts.signature_path);
        if matches!(facts.signature, Signature::Bad { .. }) && told.insert(list) {
            let with = if list == signature { String::new() } else { format!(" and {}", quoted(signature)) };
            tell(&format!("hint: download {}{with} again: the list is not what was signed", quoted(list)));
        }
    }
    let is_within = |facts: &Facts| args.verify_program.is_some() && facts.signature_path == facts.assert_path;
    if heard.iter().any(|statement| is_own(statement) && is_within(&statement.facts)) {
        tell("hint: leave out -p: a list that is signed in the same file is checked without another program");
    }
    if !args.verbose && uncounted.keys().any(|&statement| !is_own(&heard[statement])) {
        tell("hint: -v says why a signature does not count");
    }
}

/// Returns the tree to look into; none is needed if the lists are signed themselves.
fn tree(args: &Args, around: &Surroundings, downloads: &Downloads) -> Result<Option<PathBuf>> {
    match &args.destination {
        Some(path) => {
            let tree = sigs_tree(Some(path), &around.settings.installation, "");
            terms::check_tree(&tree)?;
            Ok(Some(tree.root))
        }
        None if downloads.lists.iter().any(Sums::is_signed) => Ok(None),
        None => bail!(WrongUsage(
            "--files needs to know who built them: --destination TREE, or a SHA256SUMS with its signatures beside it"
                .into()
        )),
    }
}

/// Whether bytes hold others, in capital or small letters.
fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return false };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| byte.eq_ignore_ascii_case(first)).map(|(at, _)| at + 1);
    starts.into_iter().any(|at| bytes[at..].get(..rest.len()).is_some_and(|found| found.eq_ignore_ascii_case(rest)))
}

/// What the command line names, sorted out.
#[derive(Default)]
struct Downloads {
    asked: Vec<Asked>,
    /// Where each of them is in `asked`.
    places: HashMap<Asked, usize>,
    /// What each is called in what is said: several files of one name by their paths.
    shown: Vec<Vec<String>>,
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
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut lists = paths.iter().map(|path| list(path, &name(path))).collect::<Result<Vec<_>>>()?;
        // A signature is looked at together with what it signs.
        let is_file = |(path, list): (&PathBuf, &Option<Sums>)| list.is_none() && !is_signature(path);
        let are_files: Vec<bool> = paths.iter().zip(&lists).map(is_file).collect();
        let mut named: HashMap<String, usize> = HashMap::new();
        for (path, _) in paths.iter().zip(&are_files).filter(|(_, is_file)| **is_file) {
            *named.entry(name(path)).or_default() += 1;
        }
        let mut downloads = Self::default();
        for ((path, list), is_file) in paths.iter().zip(&mut lists).zip(are_files) {
            if let Some(sums) = list.take() {
                downloads.add_list(sums)?;
            } else if is_file {
                let name = name(path);
                let is_alone = named.get(&name) == Some(&1);
                let shown = if is_alone { name.clone() } else { path.display().to_string() };
                downloads.add(Asked { name, digest: digest(path)? }, shown, Here::Hashed);
            }
        }
        if downloads.asked.is_empty() {
            bail!(WrongUsage("--files names signatures only; name the files that they belong to".into()));
        }
        Ok(downloads)
    }

    fn add(&mut self, asked: Asked, shown: String, here: Here) {
        match self.places.entry(asked) {
            Entry::Occupied(known) => {
                let at = *known.get();
                self.here[at] = here.max(self.here[at].clone());
                if !self.shown[at].contains(&shown) {
                    self.shown[at].push(shown);
                }
            }
            Entry::Vacant(place) => {
                self.shown.push(vec![shown]);
                self.asked.push(place.key().clone());
                place.insert(self.here.len());
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
            self.add(Asked { name: entry.path.clone(), digest: entry.digest }, entry.path.clone(), here);
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
    // The user named it: it may be a link to wherever he keeps it.
    match Sums::read(Path::new("/"), path) {
        Ok(sums) => Ok(Some(sums)),
        Err(_) if is_signature(path) => Ok(None),
        Err(Document::Absent) => bail!("{}: does not exist", path.display()),
        Err(Document::OutOfReach(reason) | Document::Malformed(reason)) => bail!("{}: {reason}", path.display()),
        Err(Document::Read(_)) => Ok(None),
    }
}

/// Whether a file is the signature of one beside it: keyrings and other things end so too.
fn is_signature(path: &Path) -> bool {
    let is_one = path.extension().is_some_and(|end| ["asc", "gpg", "sig"].map(OsStr::new).contains(&end));
    is_one && path.is_file() && path.with_extension("").is_file()
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

/// Returns what is said about a file.
fn line(here: &Here, agreement: &Agreement, wanted: u64, heard: &[Statement]) -> String {
    let line = listed_line(agreement, wanted, heard);
    match here {
        Here::Hashed => line,
        Here::Absent => format!("{line}; not here, so not hashed"),
        Here::Unreadable(reason) => format!("UNREADABLE: what lies here {reason}; nothing was compared"),
        Here::Damaged => {
            let next = match agreement.opinion(wanted) {
                Opinion::Agreed => "download it again".to_owned(),
                _ => format!("the listed one: {line}"),
            };
            format!("MISMATCH: the file here is not the one that the list means; {next}")
        }
    }
}

/// Returns what is said about the bytes that are asked about.
fn listed_line(agreement: &Agreement, wanted: u64, heard: &[Statement]) -> String {
    let word = |Unproven { statement, why }: &Unproven| {
        let statement = &heard[*statement];
        format!("{} ({})", called(statement), words::uncounted(&statement.facts, why, false).0)
    };
    let uncounted: Vec<String> = agreement.unproven.iter().map(word).collect();
    let uncounted = enumerated(&uncounted.iter().map(String::as_str).collect::<Vec<_>>());
    let line = counted_line(agreement, wanted);
    match agreement.opinion(wanted) {
        Opinion::Unproven => format!("UNPROVEN: listed without a signature that counts by {uncounted}"),
        Opinion::Agreed => line,
        _ if uncounted.is_empty() => line,
        _ => format!("{line}; without a signature that counts by {uncounted}"),
    }
}

/// Returns whose word something is, and about which release.
fn called(Statement { release, facts, .. }: &Statement) -> String {
    if release.is_empty() { facts.signer.clone() } else { format!("{} of {release}", facts.signer) }
}

/// Returns what those say whose word counts.
fn counted_line(agreement: &Agreement, wanted: u64) -> String {
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
        Opinion::Unproven | Opinion::NotListed => "NOT LISTED: nobody says that he built it".to_owned(),
    }
}

/// Returns how many people, who, and for which releases; and what they weigh, if that is another number.
fn named(builders: &[Builder]) -> String {
    let signers: Vec<&str> = builders.iter().map(|builder| &*builder.signer).collect();
    let mut releases: Vec<&str> = builders.iter().map(|builder| &*builder.release).collect();
    releases.retain(|release| !release.is_empty());
    releases.sort_unstable();
    releases.dedup();
    let of = if releases.is_empty() { String::new() } else { format!(" for {}", enumerated(&releases)) };
    let weight: u64 = builders.iter().map(|builder| builder.weight).sum();
    let weighing = if weight == builders.len() as u64 { String::new() } else { format!(" of weight {weight}") };
    format!("{}{weighing}{of} ({})", builders.len(), enumerated(&signers))
}

fn enumerated(names: &[&str]) -> String {
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    names[..names.len().min(NAMED)].join(", ") + &more
}

/// Prints everyone by name.
fn people(agreement: &Agreement, heard: &[Statement], out: &mut dyn Write) -> io::Result<()> {
    for (sign, builders) in [("=", &agreement.built_by), ("~", &agreement.renamed), ("!", &agreement.otherwise)] {
        for Builder { signer, release, path, .. } in builders {
            let of = if release.is_empty() { String::new() } else { format!(" of {release}") };
            writeln!(out, "  {sign} {}", printable(&format!("{signer}{of}: {path}")))?;
        }
    }
    for Unproven { statement, why } in &agreement.unproven {
        let (word, reasons) = words::uncounted(&heard[*statement].facts, why, true);
        let line = format!("{}: {}", called(&heard[*statement]), with_reasons(word, &reasons));
        writeln!(out, "  ? {}", printable(&line))?;
    }
    Ok(())
}

/// Prints what is said about each file as JSON; share/doc/gverify.md describes it.
fn json(
    downloads: &Downloads,
    opinions: &[Agreement],
    heard: &[Statement],
    wanted: u64,
    code: u8,
    out: &mut dyn Write,
) -> Result<()> {
    let unproven = |Unproven { statement, why }: &Unproven| {
        let Statement { release, facts, .. } = &heard[*statement];
        let (word, reasons) = words::uncounted(facts, why, true);
        let (verdict, path) = (word.to_ascii_lowercase().replace(' ', "-"), facts.assert_path.display().to_string());
        json!({ "signer": facts.signer, "release": release, "path": path, "verdict": verdict, "reasons": reasons })
    };
    let people = |builders: &[Builder]| -> Vec<Value> {
        let one = |Builder { signer, release, path, weight }: &Builder| json!({ "signer": signer, "release": release, "path": path, "weight": weight });
        builders.iter().map(one).collect()
    };
    let asked = downloads.asked.iter().zip(&downloads.shown);
    let files = asked.zip(opinions).zip(&downloads.here).map(|(((file, shown), agreement), here)| {
        json!({
            "name": shown.join(", "),
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
            "unproven": agreement.unproven.iter().map(unproven).collect::<Vec<_>>(),
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
