//! What VBoxManage tells about one machine (`showvminfo --machinereadable`). Pure.

use std::path::PathBuf;

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Info {
    /// Identifies it as long as it is there.
    pub(super) uuid: String,
    /// The file with its settings.
    pub(super) settings: PathBuf,
    /// `poweroff`, `running`, …
    pub(super) state: String,
    /// The ports of the host that lead to it.
    pub(super) forwards: Vec<Forward>,
    /// Its snapshots: name and UUID.
    pub(super) snapshots: Vec<(String, String)>,
}

/// A port of the host that leads to one of a machine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forward {
    /// The rule's name.
    pub(super) name: String,
    /// The host's port.
    pub(super) host_port: u16,
    /// The machine's port.
    pub(super) guest_port: u16,
}

impl Info {
    /// Reads what VBoxManage wrote; lines that mean nothing here are passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut info = Self::default();
        let pairs: Vec<(&str, &str)> = text.lines().filter_map(pair).collect();
        for &(key, value) in &pairs {
            match key {
                "UUID" => info.uuid = value.to_owned(),
                "CfgFile" => info.settings = value.into(),
                "VMState" => info.state = value.to_owned(),
                _ if key.starts_with("Forwarding(") => info.forwards.extend(forward(value)),
                // A snapshot below another has the numbers of its place behind: SnapshotName-1-2.
                _ => info.snapshots.extend(key.strip_prefix("SnapshotName").map(|place| {
                    let wanted = format!("SnapshotUUID{place}");
                    let uuid = pairs.iter().find(|(other, _)| *other == wanted).map_or("", |(_, uuid)| uuid);
                    (value.to_owned(), uuid.to_owned())
                })),
            }
        }
        info
    }

    /// The UUID of a snapshot.
    pub(super) fn snapshot(&self, name: &str) -> Option<&str> {
        self.snapshots.iter().find(|(known, _)| known == name).map(|(_, uuid)| uuid.as_str())
    }

    /// Whether there is anything to be ended: it runs, stands still, or is on its way from or to that.
    pub(super) fn is_on(&self) -> bool {
        !["poweroff", "aborted", "saved", "aborted-saved"].contains(&self.state.as_str())
    }

    /// Whether its processors do not run, and will not unless somebody does something.
    pub(super) fn stands_still(&self) -> bool {
        ["paused", "gurumeditation"].contains(&self.state.as_str())
    }

    /// Whether it goes on where it was left: its settings cannot be changed then.
    pub(super) fn is_saved(&self) -> bool {
        ["saved", "aborted-saved"].contains(&self.state.as_str())
    }

    /// The rules that lead to the machine's sshd.
    pub(super) fn to_ssh(&self) -> impl Iterator<Item = &Forward> {
        self.forwards.iter().filter(|forward| forward.guest_port == 22)
    }
}

/// Splits a line `key="value"`; quotes may be missing around a number, and around a key.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_end().split_once('=')?;
    Some((unquoted(key), unquoted(value)))
}

fn unquoted(word: &str) -> &str {
    word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or(word)
}

/// Reads a rule: name, protocol, address and port of the host, address and port of the guest.
fn forward(text: &str) -> Option<Forward> {
    let fields: Vec<&str> = text.split(',').collect();
    let [name, "tcp", _, host_port, _, guest_port] = fields[..] else { return None };
    Some(Forward { name: name.to_owned(), host_port: host_port.parse().ok()?, guest_port: guest_port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_of_a_machine_is_read() {
        let info = Info::parse(
            "name=\"x\"\nUUID=\"u\"\nCfgFile=\"/a b/x.vbox\"\nmemory=4096\nVMState=\"saved\"\n\
             Forwarding(0)=\"web,tcp,,8080,,80\"\nForwarding(1)=\"ssh,tcp,127.0.0.1,2222,,22\"\n\
             Forwarding(2)=\"odd,udp,,1,,22\"\n rec_screen0\nSnapshotName=\"a\"\nSnapshotUUID=\"1\"\n\
             SnapshotName-1=\"Gitian-Clean\"\nSnapshotUUID-1=\"2\"\nCurrentSnapshotName=\"Gitian-Clean\"\n",
        );
        assert_eq!((info.uuid.as_str(), info.settings.to_str()), ("u", Some("/a b/x.vbox")));
        let ssh = Forward { name: "ssh".into(), host_port: 2222, guest_port: 22 };
        assert_eq!(info.to_ssh().collect::<Vec<_>>(), [&ssh]);
        assert_eq!((info.snapshot("Gitian-Clean"), info.snapshot("b")), (Some("2"), None));
        assert!(info.is_saved() && !info.is_on());
        for (state, on) in [("poweroff", false), ("aborted", false), ("running", true), ("paused", true)] {
            assert_eq!(Info { state: state.into(), ..Info::default() }.is_on(), on, "{state}");
        }
    }
}
