//! What to do next about a cause of a mismatch: a command to paste, for the signer who differs or for whoever looks into
//! it. Names are as hostile as the assertion: quoted for a shell here, made printable where they are printed.

use gitian_verify::{Cache, Cause, InputChange, InputKind, Question};
use shell_words::quote;

/// Returns the command to run next.
pub fn next(cause: &Cause, question: &Question, signer: &str) -> String {
    let tree = question.tree.root.display().to_string();
    match cause {
        Cause::OtherSubject { .. } | Cause::Order => {
            let (signer, release) = (quote(signer), quote(question.release_name()));
            format!("gsign --signer {signer} --release {release} --destination {} DESCRIPTOR.yml", quote(&tree))
        }
        Cause::Inputs(changes) => changes.first().map(|change| input(change, question, &tree)).unwrap_or_default(),
        Cause::Commits(changes) => {
            let Some(change) = changes.first() else { return String::new() };
            let folder = format!("inputs/{}", change.dir);
            match (&change.reference, &change.signer) {
                (Some(here), Some(there)) => {
                    format!("git -C {} diff {} {}", quote(&folder), quote(here), quote(there))
                }
                (only, other) => {
                    let commit = only.as_deref().or(other.as_deref()).unwrap_or_default();
                    format!("git -C {} show {}", quote(&folder), quote(commit))
                }
            }
        }
        Cause::Descriptor(change) => match &change.reference {
            Some(digest) => format!("sha256sum DESCRIPTOR.yml   # the reference's is {}", quote(digest)),
            None => "git log -p DESCRIPTOR.yml".to_owned(),
        },
        Cause::Guests { .. } => {
            "grep -A4 -e '^suites' -e '^architectures' DESCRIPTOR.yml   # gbuild builds for all of them".to_owned()
        }
        Cause::Packages { toolchain, others } => {
            let guest = toolchain.iter().chain(others).map(|change| &*change.guest).next().unwrap_or_default();
            let (suite, architecture) = guest.rsplit_once('-').unwrap_or((guest, ""));
            let image = quote(guest);
            let (suite, architecture) = (quote(suite), quote(architecture));
            format!(
                "rm base-{image}*; make-base-vm --suite {suite} --arch {architecture}; gbuild --upgrade DESCRIPTOR.yml"
            )
        }
        Cause::Cache { which, .. } => {
            let folder = match which {
                Cache::Common => "cache/common".to_owned(),
                Cache::Package => format!("cache/{}", question.package),
            };
            format!("rm -r {}; gbuild DESCRIPTOR.yml", quote(&folder))
        }
        Cause::SomeOutputs { differing, .. } => {
            let file = differing.first().map(String::as_str).unwrap_or_default();
            let theirs = format!("THEIRS/{file}");
            format!("diffoscope {} {}", quote(&theirs), quote(&format!("build/out/{file}")))
        }
        Cause::OtherOutputs { .. } => "diff -rq THEIRS build/out".to_owned(),
        Cause::Unexplained => {
            "gbuild DESCRIPTOR.yml; cp -r build/out first; gbuild DESCRIPTOR.yml; diffoscope first build/out".to_owned()
        }
    }
}

fn input(change: &InputChange, question: &Question, tree: &str) -> String {
    let file = format!("inputs/{}", change.name);
    match (change.kind(), &change.reference) {
        (InputKind::Unsigned, _) => {
            let release = &question.release;
            let unsigned = match release.strip_suffix("-signed") {
                Some(stem) => format!("{stem}-unsigned"),
                None => format!("{release}*unsigned*"),
            };
            format!("gverify --all --destination {} --release {}", quote(tree), quote(&unsigned))
        }
        (_, Some(digest)) => format!("sha256sum {}   # the reference's is {}", quote(&file), quote(digest)),
        (_, None) => format!("grep -n -e {} DESCRIPTOR.yml", quote(&change.name)),
    }
}
