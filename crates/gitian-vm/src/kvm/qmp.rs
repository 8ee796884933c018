//! QEMU's machine protocol: a question and an answer a line, in JSON, with events in between. Source: QEMU, docs/interop/qmp-spec.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::args::QMP;
use crate::socket;

/// How long an answer may take: a machine that stands still answers too.
const PATIENCE: Duration = Duration::from_secs(20);

/// A conversation with a machine.
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Begins a conversation with the machine whose socket lies in a folder.
    pub(super) fn connect(folder: &Path) -> Result<Self> {
        let object = || format!("ask the machine at {}", folder.join(QMP).display());
        let stream = socket::connect(folder, QMP).with_context(object)?;
        stream.set_read_timeout(Some(PATIENCE)).with_context(object)?;
        stream.set_write_timeout(Some(PATIENCE)).with_context(object)?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        qmp.read().with_context(object)?;
        qmp.ask("qmp_capabilities", json!({})).with_context(object)?;
        Ok(qmp)
    }

    /// Asks one thing and returns the answer.
    pub(super) fn ask(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut question = json!({ "execute": command, "arguments": arguments }).to_string();
        question.push('\n');
        self.stream.get_mut().write_all(question.as_bytes()).with_context(|| format!("QMP {command}"))?;
        loop {
            let mut answer = self.read().with_context(|| format!("QMP {command}"))?;
            if let Some(found) = answer.get_mut("return") {
                return Ok(found.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("QMP {command}: {}", error.get("desc").and_then(Value::as_str).unwrap_or("refused"));
            }
            // Anything else is an event.
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the machine hung up");
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Returns the machine's state, `running` or what keeps it from running: `paused`, `io-error`, ….
    pub(super) fn state(&mut self) -> Result<String> {
        let answer = self.ask("query-status", json!({}))?;
        answer.get("status").and_then(Value::as_str).map(str::to_owned).context("QMP query-status: no status")
    }

    /// Returns the port of the host that leads to the guest's sshd.
    pub(super) fn ssh_port(&mut self) -> Result<u16> {
        let answer = self.ask("human-monitor-command", json!({ "command-line": "info usernet" }))?;
        forwarded_port(answer.as_str().unwrap_or_default()).context("QMP info usernet: no forwarded port")
    }

    /// Has the machine write to another disk from now on, a file that is there and stands on the present one; returns once
    /// the present one does not change any more.
    pub(super) fn change_disk(&mut self, disk: &Path) -> Result<()> {
        let disk = disk.to_str().context("the working directory's name is not UTF-8")?;
        let arguments = json!({ "device": "disk", "snapshot-file": disk, "format": "qcow2", "mode": "existing" });
        self.ask("blockdev-snapshot-sync", arguments).map(drop)
    }

    /// Returns the size of the disk as the guest sees it, in bytes.
    pub(super) fn disk_size(&mut self) -> Result<u64> {
        let answer = self.ask("query-block", json!({}))?;
        let disk = answer.as_array().and_then(|all| all.iter().find(|one| one["device"] == "disk"));
        disk.and_then(|disk| disk["inserted"]["image"]["virtual-size"].as_u64()).context("QMP query-block: no disk")
    }

    /// Has the machine end at once.
    pub(super) fn quit(&mut self) -> Result<()> {
        self.ask("quit", json!({})).map(drop)
    }
}

/// Finds the forwarded port in a table with the columns protocol, descriptor, source address and port, destination address
/// and port.
fn forwarded_port(table: &str) -> Option<u16> {
    table.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "TCP[HOST_FORWARD]").then_some(())?;
        words.nth(2)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_forwarded_port_is_found_among_connections() {
        let table = "VLAN -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
                     TCP[ESTABLISHED]   19       127.0.0.1 40316       10.0.2.15    22     0     0\r\n  \
                     TCP[HOST_FORWARD]  12       127.0.0.1 38039       10.0.2.15    22     0     0\r\n";
        assert_eq!(forwarded_port(table), Some(38039));
        assert_eq!(forwarded_port("VLAN -1 (net):\r\n"), None);
    }

    /// Answers each question with the next of these lines; returns what was asked.
    fn machine(folder: &Path, lines: &'static [&'static str]) -> std::thread::JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(folder.join(QMP)).unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut stream = stream;
            stream.write_all(b"{\"QMP\": {}}\n").unwrap();
            let mut asked = Vec::new();
            for answer in std::iter::once(&"{\"return\": {}}").chain(lines) {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() == 0 {
                    break;
                }
                asked.push(line);
                stream.write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
            asked
        })
    }

    #[test]
    fn events_are_passed_over_and_refusals_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let answers = machine(
            folder.path(),
            &[
                "{\"event\": \"STOP\"}\n{\"event\": \"X\"}\n{\"return\": {\"status\": \"io-error\", \"running\": false}}",
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}}",
            ],
        );
        let mut qmp = Qmp::connect(folder.path()).unwrap();
        assert_eq!(qmp.state().unwrap(), "io-error");
        assert_eq!(qmp.quit().unwrap_err().to_string(), "QMP quit: no such thing");
        assert!(qmp.quit().unwrap_err().root_cause().to_string().contains("hung up") || qmp.quit().is_err());
        let asked = answers.join().unwrap();
        assert!(asked[1].contains("\"query-status\""), "{asked:?}");
    }

    #[test]
    fn a_socket_below_a_very_long_path_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let error = Qmp::connect(&deep).err().unwrap();
        assert!(format!("{error:#}").contains("No such file"), "{error:#}");
        // Bound by way of a short name for the same folder.
        let short = folder.path().join("s");
        std::os::unix::fs::symlink(&deep, &short).unwrap();
        let answers = machine(&short, &[]);
        Qmp::connect(&deep).unwrap();
        assert_eq!(answers.join().unwrap().len(), 1);
    }
}
