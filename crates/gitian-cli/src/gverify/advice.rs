//! What to do next about a cause of a mismatch: a command to paste, for the signer who differs or for whoever looks into
//! it. Names are as hostile as the assertion: quoted for a shell here, made printable where they are printed.

use std::ffi::OsString;
use std::path::Path;

use gitian_descriptor::{Architecture, InputName, PackageName, RemoteDir, Suite};
use gitian_process::Command;
use gitian_verify::{Cache, Cause, InputChange, InputKind, Question};
use shell_words::quote;

/// How the user asked, for other commands about the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inquiry<'a> {
    /// The descriptor, if the user named one.
    pub descriptor: Option<&'a Path>,
    /// The options of gverify that say which signatures count.
    pub terms: &'a [OsString],
}

/// Returns the command to run next; none if what was recorded is nothing that a command should be made of.
pub fn next(cause: &Cause, question: &Question, signer: &str, inquiry: Inquiry<'_>) -> Option<String> {
    Some(command(cause, question, signer, inquiry)).filter(|command| !command.is_empty())
}

fn command(cause: &Cause, question: &Question, signer: &str, inquiry: Inquiry<'_>) -> String {
    let descriptor = inquiry.descriptor.map_or("DESCRIPTOR.yml".to_owned(), |path| Command::new(path).to_string());
    let tree = question.tree.root.display().to_string();
    match cause {
        Cause::OtherSubject { .. } | Cause::Order | Cause::Spelling => {
            let (signer, release) = (quote(signer), quote(question.release_name()));
            // A release may lie deeper, and gsign writes right below the destination.
            let above = Path::new(&question.release).parent().filter(|above| !above.as_os_str().is_empty());
            let above = above.map_or(tree.clone(), |above| question.tree.root.join(above).display().to_string());
            format!("gsign --signer {signer} --release {release} --destination {} {descriptor}", quote(&above))
        }
        Cause::Inputs(changes) => {
            changes.first().map(|change| input(change, question, &descriptor, inquiry.terms)).unwrap_or_default()
        }
        Cause::Commits(changes) => {
            let Some(change) = changes.first() else { return String::new() };
            let ids: Vec<&str> =
                [&change.reference, &change.signer].into_iter().flatten().map(String::as_str).collect();
            // git would take something else for an option, or go elsewhere.
            if change.dir.parse::<RemoteDir>().is_err() || !ids.iter().all(|id| is_commit(id)) {
                return String::new();
            }
            let what = if ids.len() == 2 { "diff" } else { "show" };
            format!("git -C inputs/{} {what} {}", change.dir, ids.join(" "))
        }
        Cause::Descriptor(change) => match &change.reference {
            Some(digest) => format!("sha256sum {descriptor}   # the reference's is {}", quote(digest)),
            None => format!("git log -p {descriptor}"),
        },
        Cause::Guests { .. } => {
            format!("grep -A4 -e '^suites' -e '^architectures' {descriptor}   # gbuild builds for all of them")
        }
        Cause::Packages { toolchain, others, distro } => {
            let guest = toolchain.iter().chain(others).map(|change| &*change.guest).next().unwrap_or_default();
            let (suite, architecture) = guest.rsplit_once('-').unwrap_or((guest, ""));
            // A shell would go elsewhere with a name of folders.
            if suite.parse::<Suite>().is_err() || Architecture::from_name(architecture).is_none() {
                return String::new();
            }
            // Without --distro it is ubuntu.
            let distro = distro.iter().filter(|distro| *distro != "ubuntu").map(|distro| format!("--distro {distro} "));
            let distro: String = distro.collect();
            format!(
                "rm base-{guest}*; make-base-vm {distro}--suite {suite} --arch {architecture}; gbuild --upgrade {descriptor}"
            )
        }
        Cause::Cache { which, .. } => {
            let folder = match which {
                Cache::Common => "common",
                Cache::Package => &question.package,
            };
            if folder.parse::<PackageName>().is_err() {
                return String::new();
            }
            format!("rm -r cache/{folder}; gbuild {descriptor}")
        }
        Cause::SomeOutputs { differing, .. } => {
            let file = differing.first().map(String::as_str).unwrap_or_default();
            let theirs = format!("THEIRS/{file}");
            format!("diffoscope {} {}", quote(&theirs), quote(&format!("build/out/{file}")))
        }
        Cause::OtherOutputs { .. } => "diff -rq THEIRS build/out".to_owned(),
        Cause::NotRecorded { .. } => "diffoscope THEIRS build/out".to_owned(),
        // It is not used, so there is nothing to do about it.
        Cause::Superseded(_) => String::new(),
        Cause::Unexplained => {
            format!("gbuild {descriptor}; cp -r build/out first; gbuild {descriptor}; diffoscope first build/out")
        }
    }
}

/// Whether this is the whole id of a commit.
fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn input(change: &InputChange, question: &Question, descriptor: &str, terms: &[OsString]) -> String {
    if change.name.parse::<InputName>().is_err() {
        return String::new();
    }
    let file = format!("inputs/{}", change.name);
    match (change.kind(), &change.reference) {
        (InputKind::Unsigned, _) => {
            let release = &question.release;
            let unsigned = match release.strip_suffix("-signed") {
                Some(stem) => format!("{stem}-unsigned"),
                None => format!("{release}*unsigned*"),
            };
            let command = Command::new("gverify").args(["--all", "--release", &unsigned, "--destination"]);
            command.arg(&question.tree.root).args(terms).to_string()
        }
        (_, Some(digest)) => format!("sha256sum {}   # the reference's is {}", quote(&file), quote(digest)),
        (_, None) => format!("grep -n -e {} {descriptor}", quote(&change.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gitian_manifest::SigsTree;
    use gitian_verify::PackageChange;

    fn question(package: &str) -> Question {
        Question { tree: SigsTree::new("sigs"), release: "1.0".into(), package: package.into() }
    }

    #[test]
    fn a_release_is_signed_again_where_it_lies() {
        let cause = Cause::OtherSubject { release: None, name: None, same_outputs: true };
        for (release, expected) in [
            ("1.0", "gsign --signer bob --release 1.0 --destination sigs DESCRIPTOR.yml"),
            ("archive/1.0", "gsign --signer bob --release 1.0 --destination sigs/archive DESCRIPTOR.yml"),
            ("a b/2/1.0", "gsign --signer bob --release 1.0 --destination 'sigs/a b/2' DESCRIPTOR.yml"),
        ] {
            let question = Question { release: release.into(), ..question("app") };
            assert_eq!(next(&cause, &question, "bob", Inquiry::default()).as_deref(), Some(expected));
        }
    }

    #[test]
    fn another_unsigned_build_is_looked_at_on_the_same_terms() {
        let (name, reference, signer) = ("app-unsigned.tar.gz".into(), Some("1".into()), Some("2".into()));
        let cause = Cause::Inputs(vec![InputChange { name, reference, signer }]);
        let terms = ["--keys", "a b"].map(OsString::from);
        for (terms, expected) in [
            (&[][..], "gverify --all --release 1.0-unsigned --destination sigs"),
            (&terms, "gverify --all --release 1.0-unsigned --destination sigs --keys 'a b'"),
        ] {
            let question = Question { release: "1.0-signed".into(), ..question("app") };
            let inquiry = Inquiry { terms, ..Inquiry::default() };
            assert_eq!(next(&cause, &question, "bob", inquiry).as_deref(), Some(expected));
        }
    }

    #[test]
    fn nothing_is_removed_by_a_name_that_leads_elsewhere() {
        let packages = |guest: &str| {
            let (guest, name) = (guest.to_owned(), "gcc".to_owned());
            let change = PackageChange { guest, name, reference: None, signer: Some("1".into()), superseded: false };
            Cause::Packages { toolchain: vec![change], others: Vec::new(), distro: None }
        };
        let upgraded =
            "rm base-bionic-amd64*; make-base-vm --suite bionic --arch amd64; gbuild --upgrade DESCRIPTOR.yml";
        for (guest, expected) in [
            ("bionic-amd64", Some(upgraded)),
            ("x/../../../tmp/$(id)-amd64", None),
            ("bionic-$(id)", None),
            ("bionic", None),
            ("-amd64", None),
        ] {
            assert_eq!(
                next(&packages(guest), &question("app"), "bob", Inquiry::default()).as_deref(),
                expected,
                "{guest}"
            );
        }
        let inquiry = Inquiry { descriptor: Some(Path::new("a b.yml")), terms: &[] };
        let found = next(&packages("bionic-amd64"), &question("app"), "bob", inquiry);
        assert_eq!(found, Some(upgraded.replace("DESCRIPTOR.yml", "'a b.yml'")));
        let cache = Cause::Cache { which: Cache::Package, files: Vec::new() };
        for (package, expected) in
            [("app", Some("rm -r cache/app; gbuild DESCRIPTOR.yml")), ("..", None), ("-rf", None), ("a b", None)]
        {
            assert_eq!(next(&cache, &question(package), "bob", Inquiry::default()).as_deref(), expected, "{package}");
        }
    }
}
