//! What apt's complaints mean, for those that somebody can act on. What to do about them depends on who asked, and is said
//! elsewhere.

/// A complaint of apt that we understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptTrouble {
    /// What it means.
    pub kind: AptTroubleKind,
    /// The line that says so, without apt's `E: ` or `W: `.
    pub line: String,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AptTroubleKind {
    /// The server asks to be left alone for a while, or has trouble of its own: status 429 or 5xx.
    Busy,
    /// The server, or the network, is not there.
    Unreachable,
    /// There is no such suite on the mirror.
    NoRelease,
    /// A Release file is older than its signers allow, seen from this host's clock.
    Expired,
    /// A Release file comes from the future, seen from this host's clock.
    NotYetValid,
    /// A Release file is not what was signed.
    BadSignature,
    /// A Release file is signed with a key that is not trusted.
    UnknownKey,
    /// Files of the mirror do not fit together.
    Syncing,
    /// No repository has a package that was asked for.
    NoPackage,
    /// Packages that were asked for cannot be installed together.
    Conflict,
    /// The disk is full.
    NoSpace,
}

impl AptTroubleKind {
    /// Whether the same request may be met in a while, without anybody doing anything.
    pub fn may_pass(self) -> bool {
        matches!(self, Busy | Unreachable | Syncing)
    }
}

use AptTroubleKind::{
    BadSignature, Busy, Conflict, Expired, NoPackage, NoRelease, NoSpace, NotYetValid, Syncing, UnknownKey, Unreachable,
};

/// What complaints contain, the cause of others before what follows from it: a repository whose signature is bad is said
/// to be "not signed" as well.
const SIGNS: [(AptTroubleKind, &str); 27] = [
    (NoSpace, "No space left on device"),
    (NoSpace, "You don't have enough free space"),
    (Expired, "is expired"),
    (NotYetValid, "is not valid yet"),
    (UnknownKey, "NO_PUBKEY"),
    (BadSignature, "BADSIG"),
    (BadSignature, "signatures were invalid"),
    (BadSignature, "Clearsigned file isn't valid"),
    (Busy, " 429 "),
    (Busy, " 500 "),
    (Busy, " 502 "),
    (Busy, " 503 "),
    (Busy, " 504 "),
    (Unreachable, "Could not connect to"),
    (Unreachable, "Connection failed"),
    (Unreachable, "Connection timed out"),
    (Unreachable, "Connection reset by peer"),
    (Unreachable, "Temporary failure resolving"),
    (Unreachable, "Could not resolve"),
    (Syncing, "Mirror sync in progress"),
    (Syncing, "Hash Sum mismatch"),
    (NoRelease, "does not have a Release file"),
    (NoPackage, "Unable to locate package"),
    (NoPackage, "has no installation candidate"),
    (NoPackage, "was not found"),
    (Conflict, "Unmet dependencies"),
    (Conflict, "held broken packages"),
];

impl AptTrouble {
    /// Returns the first known cause in what apt said, with the last line that tells of it: that one names the most.
    pub fn find<'l>(said: impl IntoIterator<Item = &'l str>) -> Option<Self> {
        let lines: Vec<&str> = said.into_iter().filter(|line| complains(line)).collect();
        SIGNS.iter().find_map(|(kind, sign)| {
            let line = lines.iter().rev().find(|line| line.contains(sign))?.trim();
            let line = ["E: ", "W: "].iter().find_map(|prefix| line.strip_prefix(prefix)).unwrap_or(line);
            Some(Self { kind: *kind, line: line.to_owned() })
        })
    }
}

/// Whether a line of apt or dpkg is a complaint, or goes on from one, and not one of what it does.
fn complains(line: &str) -> bool {
    ["E:", "W:", "Err:", "dpkg: error", " "].iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_found_among_what_follows_from_it() {
        let mirror = "http://127.0.0.1:1/ubuntu";
        for (said, kind, line) in [
            (
                format!(
                    "Get:1 {mirror} jammy InRelease [2371 B]\nErr:1 {mirror} jammy InRelease\n  The following \
                     signatures were invalid: BADSIG AE archive\nReading package lists...\nW: GPG error: {mirror} jammy \
                     InRelease: The following signatures were invalid: BADSIG AE archive\nE: The repository '{mirror} \
                     jammy InRelease' is not signed.\n"
                ),
                BadSignature,
                format!(
                    "GPG error: {mirror} jammy InRelease: The following signatures were invalid: BADSIG AE archive"
                ),
            ),
            (
                format!(
                    "Err:1 {mirror} jammy InRelease\n  503  Service Unavailable [IP: 127.0.0.1 1]\nE: Failed to fetch \
                     {mirror}/dists/jammy/InRelease  503  Service Unavailable [IP: 127.0.0.1 1]\nE: The repository \
                     '{mirror} jammy InRelease' is not signed.\n"
                ),
                Busy,
                format!("Failed to fetch {mirror}/dists/jammy/InRelease  503  Service Unavailable [IP: 127.0.0.1 1]"),
            ),
            (
                format!(
                    "Err:4 {mirror} jammy Release\n  404  Not Found [IP: 127.0.0.1 1]\nE: The repository '{mirror} \
                     jammy Release' does not have a Release file.\n"
                ),
                NoRelease,
                format!("The repository '{mirror} jammy Release' does not have a Release file."),
            ),
            (
                format!("E: Release file for {mirror}/dists/jammy/InRelease is expired (invalid since 3d).\n"),
                Expired,
                format!("Release file for {mirror}/dists/jammy/InRelease is expired (invalid since 3d)."),
            ),
            (
                "E: Version '3' for 'almanac' was not found\n".to_owned(),
                NoPackage,
                "Version '3' for 'almanac' was not found".to_owned(),
            ),
        ] {
            assert_eq!(AptTrouble::find(said.lines()), Some(AptTrouble { kind, line }), "{said}");
        }
    }

    #[test]
    fn what_apt_does_is_no_complaint() {
        for said in ["Get:5 http://h/is expired 503 x", "I: 429 packages", "Reading package lists...", ""] {
            assert_eq!(AptTrouble::find(said.lines()), None, "{said}");
        }
    }
}
