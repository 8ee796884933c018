//! What VBoxManage says → what it means. Pure.
//!
//! Source: VirtualBox 7.2.22, whose recorded answers the tests replay. Text on standard error is no failure (progress is
//! told there); lines of the starting script on standard output are no answer.

use gitian_process::{Status, last_lines};

/// What VBoxManage answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Standard output, without what the starting script had to say.
    pub(super) text: String,
    /// Whether that says that the kernel's driver is missing.
    pub(super) without_driver: bool,
}

/// Why VBoxManage refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is no machine of this name.
    NoMachine,
    /// The machine has no such snapshot, or none at all.
    NoSnapshot,
    /// The machine does not run.
    NotRunning,
    /// The machine ended in the moment in which it was started.
    EndedAtOnce,
    /// The settings of an earlier machine are in the way.
    LeftOver,
    /// Another program has the machine at this moment.
    Busy,
    /// Anything else: its own words say what.
    Other,
}

/// VBoxManage refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{command_line}: {}", .words.first().map_or("no reason was given", String::as_str))]
pub(super) struct Refused {
    /// The line that could be pasted into a shell.
    pub(super) command_line: String,
    /// What it means.
    pub(super) why: Why,
    /// Its last words, without what names the program.
    pub(super) words: Vec<String>,
    /// Whether the starting script says that the kernel's driver is missing.
    pub(super) without_driver: bool,
}

/// How VBoxManage begins what it has to say about a failure.
const ERROR: &str = "VBoxManage: error: ";
/// How the starting script begins.
const WARNING: &str = "WARNING: ";
/// What it says about the kernel's driver. Source: VBox.sh of Debian and of upstream.
const DRIVER: [&str; 2] =
    ["WARNING: The character device /dev/vboxdrv does not exist", "WARNING: The vboxdrv kernel module is not loaded"];

/// Words of a refusal, and what they mean.
const MEANINGS: [(&str, Why); 8] = [
    ("Could not find a registered machine named", Why::NoMachine),
    ("does not have any snapshots", Why::NoSnapshot),
    ("Could not find a snapshot named", Why::NoSnapshot),
    ("is not currently running", Why::NotRunning),
    ("has terminated unexpectedly during startup", Why::EndedAtOnce),
    ("Machine settings file", Why::LeftOver),
    ("is already locked for a session", Why::Busy),
    ("is already locked by a session", Why::Busy),
];

/// Returns what an ended VBoxManage means.
pub(super) fn judge(command_line: &str, status: Status, stdout: &str, stderr: &str) -> Result<Answer, Refused> {
    let (text, without_driver) = without_warning(stdout);
    if status.success() {
        return Ok(Answer { text: text.to_owned(), without_driver });
    }
    let said = |line: &&String| !line.starts_with("Details: ") && !line.starts_with("Context: ");
    let errors = last_lines(stderr, 10).into_iter().map(|line| line.trim_start_matches(ERROR).to_owned());
    let mut words: Vec<String> = errors.filter(|line| said(&line)).collect();
    // Sometimes the reason is the answer.
    words.extend(last_lines(text, 1));
    let all = words.join("\n");
    let why = MEANINGS.iter().find(|(part, _)| all.contains(part)).map_or(Why::Other, |(_, why)| *why);
    Err(Refused { command_line: command_line.to_owned(), why, words, without_driver })
}

/// Returns an output without the warning that the starting script puts before it, and whether that is about the driver.
fn without_warning(stdout: &str) -> (&str, bool) {
    let mut rest = stdout;
    let mut without_driver = false;
    if rest.starts_with(WARNING) {
        while let Some((line, behind)) = rest.split_once('\n') {
            if !(line.starts_with(WARNING) || line.starts_with('\t') || line.trim().is_empty()) {
                break;
            }
            without_driver |= DRIVER.iter().any(|start| line.starts_with(start));
            rest = behind;
        }
    }
    (rest, without_driver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_of_the_starting_script_is_no_answer() {
        let script = "WARNING: The character device /dev/vboxdrv does not exist.\n\t Please install it\n\n\t No.\n";
        for (warning, without_driver) in [("", false), (script, true), ("WARNING: something else\n", false)] {
            let stdout = format!("{warning}\"a\" {{1}}\n\tnot a warning\n");
            let answer = judge("list", Status::Exited(0), &stdout, "0%...100%\n").unwrap();
            assert_eq!((answer.text.as_str(), answer.without_driver), ("\"a\" {1}\n\tnot a warning\n", without_driver));
        }
        assert_eq!(judge("list", Status::Exited(0), script, "").unwrap().text, "");
    }

    #[test]
    fn a_refusal_is_told_by_its_first_words() {
        let stderr = "0%...\nVBoxManage: error: Something\nVBoxManage: error: Details: code X\n";
        let refused = judge("VBoxManage x", Status::Exited(1), "", stderr).unwrap_err();
        assert_eq!((refused.why, refused.words.len()), (Why::Other, 2));
        let refused = judge("VBoxManage x", Status::Exited(1), "", "").unwrap_err();
        assert_eq!(refused.to_string(), "VBoxManage x: no reason was given");
        let locked = "VBoxManage: error: The machine 'x' is already locked for a session (or being unlocked)\n";
        assert_eq!(judge("x", Status::Exited(1), "", locked).unwrap_err().why, Why::Busy);
    }
}
