//! The entries of one archive put in order: nothing twice, nothing below what is no folder, links to the first of their
//! file, and times, owners and modes as the rules want them.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use crate::entry::{Entry, Kind, shown};
use crate::{Rules, refused};

/// Returns the entries as they are to be written. Of equal `rank`, the bytes of the paths decide.
pub(crate) fn settle(mut entries: Vec<Entry>, rules: &Rules, rank: impl Fn(&[u8]) -> u8) -> Result<Vec<Entry>> {
    let files = owners(&entries)?;
    let mut order: Vec<usize> = (0..entries.len()).collect();
    if rules.sort {
        order.sort_unstable_by(|a, b| {
            let (a, b) = (&entries[*a].path, &entries[*b].path);
            rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
        });
    }
    relink(&mut entries, &order, &files);
    for entry in &mut entries {
        normalise(entry, rules);
    }
    let mut slots: Vec<Option<Entry>> = entries.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|index| slots[index].take()).collect())
}

/// Checks the tree, and returns for every hard link which entry has the file.
fn owners(entries: &[Entry]) -> Result<HashMap<usize, usize>> {
    let mut known: HashMap<&[u8], usize> = HashMap::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        if known.insert(&entry.path, index).is_some() {
            return Err(refused(format!("{}: is there twice", shown(&entry.path))));
        }
    }
    let mut files = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let mut end = entry.path.len();
        while let Some(slash) = entry.path[..end].iter().rposition(|byte| *byte == b'/') {
            end = slash;
            let above = known.get(&entry.path[..end]).map(|index| &entries[*index].kind);
            if above.is_some_and(|kind| !matches!(kind, Kind::Folder)) {
                let (path, above) = (shown(&entry.path), shown(&entry.path[..end]));
                return Err(refused(format!("{path}: {above} is no folder")));
            }
        }
        if matches!(entry.kind, Kind::HardLink(_)) {
            files.insert(index, file_of(entries, &known, index)?);
        }
    }
    Ok(files)
}

/// Follows a hard link to its file.
fn file_of(entries: &[Entry], known: &HashMap<&[u8], usize>, link: usize) -> Result<usize> {
    let refuse = |what: &str| Err(refused(format!("{}: is a hard link to {what}", shown(&entries[link].path))));
    let mut at = link;
    let mut seen = HashSet::new();
    loop {
        match &entries[at].kind {
            Kind::HardLink(_) if !seen.insert(at) => return refuse("itself"),
            Kind::HardLink(target) => match known.get(target.as_slice()) {
                Some(next) => at = *next,
                None => return refuse(&format!("{}, which is not in the archive", shown(target))),
            },
            Kind::Folder => return refuse("a folder"),
            _ => return Ok(at),
        }
    }
}

/// Makes the first name of a file in the given order the file itself, and the others links to it.
fn relink(entries: &mut [Entry], order: &[usize], files: &HashMap<usize, usize>) {
    if files.is_empty() {
        return;
    }
    let shared: HashSet<usize> = files.values().copied().collect();
    let mut originals: HashMap<usize, Entry> = shared.iter().map(|file| (*file, entries[*file].clone())).collect();
    let mut first: HashMap<usize, Vec<u8>> = HashMap::new();
    for index in order {
        let file = match files.get(index) {
            Some(file) => *file,
            None if shared.contains(index) => *index,
            None => continue,
        };
        let Some(original) = originals.get_mut(&file) else { continue };
        let path = std::mem::take(&mut entries[*index].path);
        let kind = match first.get(&file) {
            Some(target) => Kind::HardLink(target.clone()),
            None => {
                first.insert(file, path.clone());
                original.kind.clone()
            }
        };
        entries[*index] = Entry { path, kind, ..original.clone() };
    }
}

fn normalise(entry: &mut Entry, rules: &Rules) {
    entry.time = rules.time(entry.time);
    if !rules.keep_owners {
        (entry.uid, entry.gid) = (0, 0);
    }
    if !rules.keep_modes {
        entry.mode = mode(&entry.kind, entry.mode);
        entry.attributes = None;
    }
}

/// Returns the mode that an entry has whoever made it: the umask has no say. What runs as somebody else still does, and a
/// folder that everybody may write to, each his own files, stays one.
fn mode(kind: &Kind, mode: u32) -> u32 {
    const STICKY: u32 = 0o1000;
    const AS_OTHERS: u32 = 0o6000;
    match kind {
        Kind::Folder if mode & STICKY != 0 => 0o1777,
        Kind::Folder => 0o755,
        Kind::Symlink(_) => 0o777,
        // Who may use a device is no accident of who packed it.
        Kind::Device { .. } | Kind::Pipe => mode,
        _ if mode & 0o100 != 0 => mode & AS_OTHERS | 0o755,
        _ => 0o644,
    }
}
