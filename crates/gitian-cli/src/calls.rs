//! How whoever reads a hint can call our programs: hints name them as they lie in a checkout, `bin/NAME` and `libexec/NAME`.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The programs that hints name, with their folder in a checkout.
const PROGRAMS: [(&str, &str); 15] = [
    ("bin", "canon-zip"),
    ("bin", "gbuild"),
    ("bin", "gitian-updater"),
    ("bin", "gsign"),
    ("bin", "gverify"),
    ("bin", "gitian"),
    ("bin", "make-base-vm"),
    ("libexec", "config-bootstrap-fixup"),
    ("libexec", "config-lxc"),
    ("libexec", "copy-from-target"),
    ("libexec", "copy-to-target"),
    ("libexec", "make-clean-vm"),
    ("libexec", "on-target"),
    ("libexec", "start-target"),
    ("libexec", "stop-target"),
];

/// Others' programs that hints begin with, and that look into the working directory.
const OTHERS: [&str; 9] = ["chmod", "diff", "diffoscope", "git", "grep", "mkdir", "mv", "rm", "sha256sum"];

/// Where our programs may be found; empty, hints stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// The folders of PATH.
    path: Vec<PathBuf>,
    /// A checkout may be what the user works in.
    workdir: PathBuf,
    /// Below these they lie, in a checkout and under a prefix.
    folders: Vec<PathBuf>,
    /// Where programs of the same build as the running one may be, the nearest first.
    own: Vec<PathBuf>,
    /// The working directory, as seen from where the user is, if that is elsewhere.
    folder: Option<PathBuf>,
}

/// Returns the prefix that a program is installed below, in `lib/gitian`, if it is.
pub(crate) fn prefix(program: &Path) -> Option<&Path> {
    let folder = program.parent()?;
    if folder.ends_with("lib/gitian") { folder.ancestors().nth(2) } else { None }
}

impl Calls {
    /// Looks in PATH, in the working directory, in the installation, and around the running program if that lies in the
    /// `lib/gitian` of a prefix.
    pub fn new(path: &str, workdir: &Path, installation: &Path, running: Option<&Path>) -> Self {
        let prefix = running.and_then(prefix);
        let mut folders = vec![installation.to_owned()];
        folders.extend(prefix.map(Path::to_owned));
        // Beside it, where they were built; an installation has one file, which is called by links.
        let beside = running.and_then(Path::parent).map(Path::to_owned);
        let links = prefix.map(|prefix| [prefix.join("bin"), prefix.join("libexec/gitian")]);
        Self {
            path: path.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from).collect(),
            workdir: workdir.to_owned(),
            folders,
            own: beside.into_iter().chain(links.into_iter().flatten()).collect(),
            folder: None,
        }
    }

    /// The same for hints to a user who sees the working directory from elsewhere, as this folder.
    pub fn seen_as(self, folder: Option<PathBuf>) -> Self {
        Self { folder, ..self }
    }

    /// Returns a hint with every program called in a way that works here: by its name if PATH has it, as in a checkout if
    /// that is the working directory, else by its whole path. A command that a hint begins with runs where we do.
    pub fn in_hint(&self, hint: &str) -> String {
        let hint = respell(hint, |folder, name| self.call(folder, name));
        let program = hint.split(' ').next().and_then(|word| word.trim_matches('\'').rsplit('/').next());
        let is_command = program
            .is_some_and(|program| PROGRAMS.iter().any(|(_, name)| *name == program) || OTHERS.contains(&program));
        let Some(folder) = self.folder.as_ref().filter(|_| is_command) else { return hint };
        // Behind the command may be what it does, or what else would help.
        let end = ["    ", "   # ", "; or, "].iter().filter_map(|behind| hint.find(behind)).min().unwrap_or(hint.len());
        let folder = shell_words::quote(&folder.display().to_string()).into_owned();
        format!("(cd {folder} && {}){}", &hint[..end], &hint[end..])
    }

    /// Returns how we call a program of ours: the one of the running program's build, else by its name.
    pub fn own(&self, name: &str) -> OsString {
        let found = self.own.iter().map(|folder| folder.join(name)).find(|path| is_program(path));
        found.map_or_else(|| name.into(), PathBuf::into_os_string)
    }

    /// Returns the folders with programs of the running program's build, the nearest first.
    pub fn folders_of_own(&self) -> &[PathBuf] {
        &self.own
    }

    /// Returns how that is written in a line to paste, in whatever folder: by its name if PATH leads to the very same.
    pub fn own_in_line(&self, name: &str) -> String {
        let own = PathBuf::from(self.own(name));
        let of_path = self.path.iter().map(|folder| folder.join(name)).find(|path| is_program(path));
        let real = |path: &Path| path.canonicalize().ok();
        match of_path {
            Some(of_path) if real(&of_path) == real(&own) => name.to_owned(),
            _ => shell_words::quote(&own.display().to_string()).into_owned(),
        }
    }

    fn call(&self, folder: &str, name: &str) -> Option<String> {
        if self.path.iter().any(|of_path| is_program(&of_path.join(name))) {
            return Some(name.to_owned());
        }
        if is_program(&self.workdir.join(folder).join(name)) {
            return None;
        }
        let mut places = self
            .folders
            .iter()
            .flat_map(|base| [base.join(folder).join(name), base.join(folder).join("gitian").join(name)]);
        let found = places.find(|place| is_program(place))?;
        Some(shell_words::quote(&found.display().to_string()).into_owned())
    }
}

/// Returns where the programs are in a checkout: `bin/gbuild`.
pub fn in_checkout() -> impl Iterator<Item = String> {
    PROGRAMS.iter().map(|(folder, name)| format!("{folder}/{name}"))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|there| there.is_file() && there.permissions().mode() & 0o111 != 0)
}

/// Returns a text with every `FOLDER/NAME` of a program of ours replaced, where it is a word of its own.
fn respell(text: &str, call: impl Fn(&str, &str) -> Option<String>) -> String {
    let of_a_path = |c: char| c.is_alphanumeric() || "/._-~".contains(c);
    let mut text = text.to_owned();
    for (folder, name) in PROGRAMS {
        let written = format!("{folder}/{name}");
        let mut done = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(&written) {
            let (before, after) = (&rest[..at], &rest[at + written.len()..]);
            let alone = !before.ends_with(of_a_path) && !after.starts_with(|c| of_a_path(c) && c != '.');
            done += before;
            match call(folder, name) {
                Some(other) if alone => done += &other,
                _ => done += &written,
            }
            rest = after;
        }
        text = done + rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn place(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn only_a_word_of_its_own_is_a_program() {
        let call = |_: &str, name: &str| Some(name.to_uppercase());
        for (text, expected) in [
            ("bin/make-base-vm --suite x", "MAKE-BASE-VM --suite x"),
            ("`libexec/start-target 64 x` starts", "`START-TARGET 64 x` starts"),
            ("rm x && bin/gbuild x.yml; bin/gbuild.", "rm x && GBUILD x.yml; GBUILD."),
            ("libexec/on-target", "ON-TARGET"),
            (
                "/usr/bin/gbuild ./bin/gbuild x-bin/gbuild bin/gbuilder bin/gbuild/x",
                "/usr/bin/gbuild ./bin/gbuild x-bin/gbuild bin/gbuilder bin/gbuild/x",
            ),
            ("gbuild --skip-cleanup", "gbuild --skip-cleanup"),
        ] {
            assert_eq!(respell(text, call), expected);
        }
    }

    #[test]
    fn the_programs_that_we_call_are_those_beside_us() {
        let here = tempfile::tempdir().unwrap();
        let (path, lib) = (here.path().join("path"), here.path().join("lib dir"));
        let calls = Calls::new(&path.display().to_string(), here.path(), here.path(), Some(&lib.join("gitian")));
        assert_eq!((calls.own("gbuild"), calls.own_in_line("gbuild")), ("gbuild".into(), "gbuild".to_owned()));
        place(&lib.join("gbuild"));
        assert_eq!(calls.own("gbuild"), lib.join("gbuild"));
        place(&path.join("gbuild"));
        assert_eq!(calls.own_in_line("gbuild"), format!("'{}'", lib.join("gbuild").display()), "another one");
        fs::remove_file(path.join("gbuild")).unwrap();
        std::os::unix::fs::symlink(lib.join("gbuild"), path.join("gbuild")).unwrap();
        assert_eq!(calls.own_in_line("gbuild"), "gbuild");
    }

    #[test]
    fn a_command_of_a_hint_is_for_where_the_user_is() {
        let calls = Calls::default().seen_as(Some(".gitian/win".into()));
        for (hint, expected) in [
            ("gsign --import a", "(cd .gitian/win && gsign --import a)"),
            (
                "bin/gverify -v; or, if you are sure: gsign",
                "(cd .gitian/win && bin/gverify -v); or, if you are sure: gsign",
            ),
            ("rm -r build; gbuild x.yml    anew", "(cd .gitian/win && rm -r build; gbuild x.yml)    anew"),
            ("sha256sum x.yml   # theirs is 1", "(cd .gitian/win && sha256sum x.yml)   # theirs is 1"),
            ("gpg --list-secret-keys shows your keys", "gpg --list-secret-keys shows your keys"),
            ("build again", "build again"),
        ] {
            assert_eq!(calls.in_hint(hint), expected);
            assert_eq!(Calls::default().in_hint(hint), hint);
        }
    }

    #[test]
    fn a_program_is_called_as_the_reader_can_call_it() {
        let here = tempfile::tempdir().unwrap();
        let (work, path) = (here.path().join("work"), here.path().join("path"));
        let (base, prefix) = (here.path().join("the base"), here.path().join("prefix"));
        let running = prefix.join("lib/gitian/gbuild");
        let search = format!("/nonexistent::{}", path.display());
        let hint = |program: &str| Calls::new(&search, &work, &base, Some(&running)).in_hint(&format!("{program} -x"));
        // Found nowhere: as in a checkout.
        assert_eq!(hint("libexec/on-target"), "libexec/on-target -x");
        place(&prefix.join("libexec/gitian/on-target"));
        assert_eq!(hint("libexec/on-target"), format!("{}/libexec/gitian/on-target -x", prefix.display()));
        place(&base.join("libexec/on-target"));
        assert_eq!(hint("libexec/on-target"), format!("'{}/libexec/on-target' -x", base.display()));
        place(&work.join("libexec/on-target"));
        assert_eq!(hint("libexec/on-target"), "libexec/on-target -x");
        place(&path.join("on-target"));
        assert_eq!(hint("libexec/on-target"), "on-target -x");
        // A file that is no program does not count.
        fs::write(path.join("gbuild"), "").unwrap();
        assert_eq!(hint("bin/gbuild"), "bin/gbuild -x");
        assert_eq!(Calls::default().in_hint("bin/gbuild"), "bin/gbuild");
    }
}
