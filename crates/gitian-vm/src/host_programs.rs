//! Programs of this host, and the packages that bring them.

use std::path::Path;

use gitian_process::{Command, Failure, Streams};

use crate::Problem;

/// Returns a problem for each program that is not installed; given with Debian's packages of them.
pub(crate) fn missing(programs: &[(&str, &str)]) -> Vec<Problem> {
    let is_missing = |program: &str| {
        let asked = Command::new(program).arg("--version").run(Streams::default());
        matches!(asked, Err(Failure::ProgramNotFound { .. }))
    };
    let absent = programs.iter().filter(|(program, _)| is_missing(program));
    absent
        .map(|(program, package)| Problem {
            what: format!("program {program} is not installed"),
            mend: install(package),
        })
        .collect()
}

/// Returns the command that installs Debian packages.
pub fn install(packages: &str) -> String {
    format!("{}apt-get install {packages}", sudo())
}

/// Returns what an ordinary user puts before a command that only root may give.
pub fn sudo() -> &'static str {
    if nix::unistd::Uid::effective().is_root() { "" } else { "sudo " }
}

/// Returns a path as one word of a command to be pasted.
pub(crate) fn quoted_path(path: &Path) -> String {
    shell_words::quote(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_told() {
        let found = missing(&[("sh", "dash"), ("no-such-program", "nothing")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].what, "program no-such-program is not installed");
        assert!(found[0].mend.ends_with("apt-get install nothing"), "{}", found[0].mend);
    }
}
