//! A Python that packs and unpacks as long as a test runs: starting one for each archive is what would take longest.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

thread_local! {
    /// That of this test.
    static PYTHON: RefCell<Python> = RefCell::new(Python::start());
}

struct Python {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/made/pack.py");
        #[expect(clippy::disallowed_methods, reason = "a test runs the tools that others use")]
        let mut command = Command::new("python3");
        command.arg(script).env("LC_ALL", "C.UTF-8").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn asked(&mut self, order: &serde_json::Value) -> String {
        writeln!(self.child.stdin.as_ref().unwrap(), "{order}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer
    }
}

impl Drop for Python {
    /// It ends with its standard input, which waiting closes.
    fn drop(&mut self) {
        self.child.wait().ok();
    }
}

/// Has paths of a folder packed: `tar`, `zip` or `cpio`.
pub fn pack(format: &str, folder: &Path, paths: &[&str], archive: &Path) {
    ask(format, folder, paths, archive);
}

/// Has a tar unpacked into a folder.
pub fn unpack_tar(archive: &Path, folder: &Path) {
    ask("untar", folder, &[], archive);
}

fn ask(what: &str, folder: &Path, paths: &[&str], archive: &Path) {
    let order = serde_json::json!({ "do": what, "folder": folder, "paths": paths, "archive": archive });
    let answer = PYTHON.with_borrow_mut(|python| python.asked(&order));
    assert_eq!(answer, "done\n", "{order}");
}
