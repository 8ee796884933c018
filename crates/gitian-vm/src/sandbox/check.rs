//! What on this host would stop a build, and the command that mends it.
//!
//! [`Facts::gather`] looks around and touches nothing; [`problems`] judges, purely.

use std::path::{Path, PathBuf};

use gitian_process::{Command, Failure, Streams};
use nix::sys::statfs::{NFS_SUPER_MAGIC, statfs};
use nix::unistd::{AccessFlags, access, getuid};

use super::enclosure::Enclosure;
use super::id_map::{IdMap, NoRange};
use super::rootfs::trial_steps;
use crate::Problem;
use crate::cache::CachePlace;

/// The least free space that is not a problem, in bytes.
const ENOUGH: u64 = 1 << 30;

/// What was found out about this host.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    root: bool,
    no_range: Option<NoRange>,
    missing_programs: Vec<&'static str>,
    namespaces: Namespaces,
    folders: Vec<Folder>,
}

/// Whether namespaces work for us.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Namespaces {
    /// They do.
    Work,
    /// Not tried, since something else is missing.
    Untried,
    /// They do not.
    Refused {
        /// Which step, and what the system said.
        cause: String,
        /// `kernel.unprivileged_userns_clone`.
        userns_clone: Option<u64>,
        /// `user.max_user_namespaces`.
        max_namespaces: Option<u64>,
        /// `kernel.apparmor_restrict_unprivileged_userns`.
        apparmor: Option<u64>,
    },
}

/// A folder that the sandbox writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    role: Role,
    path: PathBuf,
    writable: bool,
    nfs: bool,
    /// Bytes; `None` when the system does not say.
    free: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Cache,
    Workdir,
}

impl Facts {
    /// Looks around, touching nothing; `for_base`: also for what making a base image needs.
    pub(super) fn gather(cache: &CachePlace, workdir: &Path, for_base: bool) -> Self {
        let map = IdMap::of_caller();
        let mut programs = Vec::new();
        if map.as_ref().is_ok_and(IdMap::needs_helpers) {
            programs.extend(["newuidmap", "newgidmap"]);
        }
        if for_base {
            programs.push("mmdebstrap");
        }
        let missing_programs: Vec<&str> = programs.into_iter().filter(|program| !is_installed(program)).collect();
        let namespaces = match &map {
            Ok(map) if !missing_programs.iter().any(|program| program.starts_with("new")) => try_namespaces(map),
            _ => Namespaces::Untried,
        };
        Self {
            root: getuid().is_root(),
            no_range: map.err(),
            missing_programs,
            namespaces,
            folders: vec![look_at(Role::Cache, cache.root()), look_at(Role::Workdir, workdir)],
        }
    }
}

fn is_installed(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").run(Streams::default());
    !matches!(asked, Err(Failure::ProgramNotFound { .. }))
}

fn try_namespaces(map: &IdMap) -> Namespaces {
    let tried = trial_steps().and_then(|steps| Ok(Enclosure::start(map, &steps, None)?)).and_then(Enclosure::end);
    let Err(error) = tried else { return Namespaces::Work };
    let sysctl = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    Namespaces::Refused {
        cause: format!("{error:#}"),
        userns_clone: sysctl("/proc/sys/kernel/unprivileged_userns_clone"),
        max_namespaces: sysctl("/proc/sys/user/max_user_namespaces"),
        apparmor: sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    }
}

fn look_at(role: Role, path: &Path) -> Folder {
    // What does not exist yet will be made in the nearest folder that does.
    let there = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(path);
    let found = statfs(there).ok();
    Folder {
        role,
        path: path.to_owned(),
        writable: access(there, AccessFlags::W_OK | AccessFlags::X_OK).is_ok(),
        nfs: found.as_ref().is_some_and(|found| found.filesystem_type() == NFS_SUPER_MAGIC),
        free: found.and_then(|found| found.blocks_available().checked_mul(u64::try_from(found.block_size()).ok()?)),
    }
}

/// Whether little room is left where a folder lies, for bytes or for files.
pub(super) fn is_nearly_full(folder: &Path) -> bool {
    const ENOUGH_FILES: u64 = 20_000;
    let few_files = statfs(folder).is_ok_and(|found| found.files() > 0 && found.files_free() < ENOUGH_FILES);
    few_files || look_at(Role::Workdir, folder).free.is_some_and(|free| free < ENOUGH)
}

/// Returns what would stop a build.
pub(super) fn problems(facts: &Facts) -> Vec<Problem> {
    let sudo = if facts.root { "" } else { "sudo " };
    let mut problems = Vec::new();
    for program in &facts.missing_programs {
        // Debian's name of the package, where it is not that of the program.
        let package = if program.starts_with("new") { "uidmap" } else { program };
        problems.push(Problem {
            what: format!("program {program} is not installed"),
            mend: format!("{sudo}apt-get install {package}"),
        });
    }
    problems.extend(facts.no_range.as_ref().map(NoRange::problem));
    if let Namespaces::Refused { cause, userns_clone, max_namespaces, apparmor } = &facts.namespaces {
        let setting = match (userns_clone, max_namespaces, apparmor) {
            (Some(0), _, _) if !facts.root => Some("kernel.unprivileged_userns_clone=1"),
            (_, Some(0), _) => Some("user.max_user_namespaces=15000"),
            (_, _, Some(1..)) if !facts.root => Some("kernel.apparmor_restrict_unprivileged_userns=0"),
            _ => None,
        };
        problems.push(match setting {
            Some(setting) => Problem {
                what: format!("this host forbids user namespaces ({cause})"),
                mend: format!("{sudo}sysctl -w {setting}"),
            },
            None => Problem {
                what: format!("namespaces do not work here ({cause})"),
                mend: "inside a container, start that with fewer restrictions (docker run --privileged); \
                       or use another backend"
                    .into(),
            },
        });
    }
    problems.extend(facts.folders.iter().filter_map(folder_problem));
    problems
}

fn folder_problem(folder: &Folder) -> Option<Problem> {
    let (name, elsewhere) = match folder.role {
        Role::Cache => ("the cache", "export XDG_CACHE_HOME=<another folder>"),
        Role::Workdir => ("the working directory", "work in another folder"),
    };
    let shown = folder.path.display();
    if !folder.writable {
        return Some(Problem { what: format!("{name} {shown} cannot be written to"), mend: elsewhere.into() });
    }
    if folder.nfs {
        return Some(Problem {
            what: format!("{name} {shown} is on NFS, which cannot hold a guest's files"),
            mend: format!("{elsewhere}, on a disk of this machine"),
        });
    }
    let free = folder.free.filter(|free| *free < ENOUGH)?;
    Some(Problem {
        what: format!("{name} {shown} has only {} MiB free", free >> 20),
        mend: format!("free at least 1 GiB, or {elsewhere}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        let folder = |role| Folder { role, path: "/x".into(), writable: true, nfs: false, free: Some(10 << 30) };
        Facts {
            root: false,
            no_range: None,
            missing_programs: vec![],
            namespaces: Namespaces::Work,
            folders: vec![folder(Role::Cache), folder(Role::Workdir)],
        }
    }

    fn refused(userns_clone: Option<u64>, max_namespaces: Option<u64>, apparmor: Option<u64>) -> Facts {
        let cause = "new namespaces: Operation not permitted".into();
        Facts { namespaces: Namespaces::Refused { cause, userns_clone, max_namespaces, apparmor }, ..good() }
    }

    #[test]
    fn a_good_host_has_no_problems() {
        assert_eq!(problems(&good()), []);
    }

    #[test]
    fn each_problem_names_what_mends_it() {
        let mut read_only = good();
        read_only.folders[0].writable = false;
        let mut nfs = good();
        nfs.folders[0].nfs = true;
        let mut full = good();
        full.folders[1].free = Some(300 << 20);
        let root = Facts { root: true, missing_programs: vec!["mmdebstrap"], ..good() };
        let cases = [
            (Facts { missing_programs: vec!["newuidmap"], ..good() }, "newuidmap", "sudo apt-get install uidmap"),
            (root, "mmdebstrap is not installed", "apt-get install mmdebstrap"),
            (refused(Some(0), None, None), "forbids", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
            (refused(Some(1), Some(0), None), "forbids", "sudo sysctl -w user.max_user_namespaces=15000"),
            (
                refused(None, Some(9), Some(1)),
                "forbids",
                "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            ),
            (refused(None, Some(9), Some(0)), "do not work here (new namespaces", "inside a container"),
            (read_only, "the cache /x cannot be written to", "XDG_CACHE_HOME"),
            (nfs, "on NFS", "on a disk of this machine"),
            (full, "the working directory /x has only 300 MiB free", "free at least 1 GiB"),
        ];
        for (facts, what, mend) in cases {
            let found = problems(&facts);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].what.contains(what), "{}", found[0].what);
            assert!(found[0].mend.starts_with(mend) || found[0].mend.contains(mend), "{}", found[0].mend);
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut facts = refused(None, None, None);
        facts.missing_programs = vec!["newuidmap", "mmdebstrap"];
        facts.folders[0].nfs = true;
        assert_eq!(problems(&facts).len(), 4);
    }

    #[test]
    fn a_folder_that_does_not_exist_yet_is_judged_by_where_it_will_be() {
        let found = look_at(Role::Cache, Path::new("/no/such/folder"));
        assert!(found.free.is_some());
        let folder = tempfile::tempdir().unwrap();
        assert!(look_at(Role::Workdir, &folder.path().join("a/b")).writable);
    }
}
