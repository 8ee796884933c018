//! `gitian adopt`: a checkout of gitian-builder whose upstream moves on.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

use crate::support::programs::{self, Answer};
use crate::support::tree;

/// An upstream with programs that say that they are the original's, and a clone of it.
struct Checkout {
    folder: tempfile::TempDir,
}

impl Checkout {
    fn new() -> Self {
        let made = Self { folder: tempfile::Builder::new().prefix("gitian-").tempdir().unwrap() };
        made.sh("set -e
            git init -q origin; cd origin
            mkdir -p bin libexec target-bin
            for program in bin/gbuild bin/gsign bin/gverify bin/make-base-vm libexec/on-target libexec/start-target libexec/make-it; do
              printf '#!/bin/sh\\necho original %s\\n' $program > $program; chmod +x $program
            done
            echo x > README; git add -A; git commit -q -m First; cd ..
            git clone -q origin builder
            mkdir -p builder/inputs builder/sigs; echo mine > builder/inputs/sdk; echo mine > builder/base-bionic-amd64
            printf 'inputs/\\nsigs/\\nbase-*' > builder/.git/info/exclude")
            .succeeds();
        made
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn sh(&self, script: &str) -> Answer {
        let mut command = programs::surrounded(Command::new("bash"), self.path());
        command.env("GIT_CONFIG_SYSTEM", "/dev/null").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_COUNT", "1");
        command.env("GIT_CONFIG_KEY_0", "init.defaultBranch").env("GIT_CONFIG_VALUE_0", "master");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Up").env(format!("GIT_{who}_EMAIL"), "up@example.org");
        }
        programs::answer(command.args(["-c", script]))
    }

    fn adopt(&self, args: &[&str]) -> Answer {
        programs::run("gitian", &[&["adopt"], args].concat(), self.path())
    }

    /// Every file of a checkout and of what git keeps about it, with content and permissions; not what git notes of times.
    fn content(&self, name: &str) -> String {
        let script = format!(
            "cd {name} && find . -type f -not -path './.git/index' -not -path './.git/objects/*' -not -path './.git/logs/*' \
             -not -path './.git/FETCH_HEAD' -not -path './.git/refs/remotes/*' -not -path './.git/ORIG_HEAD' -not -path './.git/worktrees/*/index' | sort | while read -r f; do stat -c '%a %n' $f; sha256sum < $f; done"
        );
        self.sh(&script).succeeds().stdout
    }
}

#[test]
fn a_checkout_runs_ours_pulls_as_before_and_goes_back_byte_for_byte() {
    let checkout = Checkout::new();
    let before = checkout.content("builder");
    let told = checkout.adopt(&["builder"]).succeeds();
    let count = gitian_cli::calls::in_checkout().count();
    assert!(told.stdout.starts_with(&format!("builder: {count} programs are gitian's now")), "{}", told.stdout);
    let runs = |program: &str| checkout.sh(&format!("cd builder && {program} --version")).stdout;
    assert!(runs("bin/gbuild").starts_with("gbuild "), "{}", runs("bin/gbuild"));
    assert!(runs("./libexec/on-target").starts_with("on-target "), "{}", runs("./libexec/on-target"));
    assert!(runs("libexec/make-it").starts_with("original"), "a program that is not ours stays");
    let status = || checkout.sh("cd builder && touch bin/* && git status --porcelain && git diff").succeeds().stdout;
    assert_eq!(status(), "", "nothing looks changed");
    // What the checkout is to its programs stays what it is: its own sigs/ is the default tree.
    let told = checkout.sh("cd builder && printf 'name: t\\nsuites: [bookworm]\\narchitectures: [amd64]\\nreference_datetime: \"2020-01-01 00:00:00\"\\n' > ../t.yml; bin/gverify ../t.yml");
    assert!(told.stderr.contains("builder/sigs/t"), "{}", told.stderr);

    // Upstream moves: a program of the same name, one that is new to it, one that goes, another file.
    checkout
        .sh("set -e; cd origin; echo '# newer' >> bin/gbuild; git rm -q bin/gverify; printf '#!/bin/sh\\necho original\\n' > libexec/stop-target
            chmod +x libexec/stop-target; echo y > README; git add -A; git commit -q -m Second")
        .succeeds();
    checkout.sh("cd builder && git pull -q").succeeds();
    assert!(runs("bin/gbuild").starts_with("gbuild "), "{}", runs("bin/gbuild"));
    assert_eq!(status(), "");
    assert_eq!(fs::read_to_string(checkout.path().join("builder/README")).unwrap(), "y\n");
    // Once more, after the news.
    checkout.adopt(&["builder"]).succeeds();
    assert!(runs("libexec/stop-target").starts_with("stop-target "), "{}", runs("libexec/stop-target"));
    assert_eq!(status(), "");

    checkout.adopt(&["--undo", "builder"]).succeeds();
    assert!(runs("bin/gbuild").starts_with("original bin/gbuild"));
    assert_eq!(status(), "");
    checkout.sh("cd builder && git reset -q --hard HEAD~1").succeeds();
    assert_eq!(checkout.content("builder"), before);
    let again = checkout.adopt(&["--undo", "builder"]);
    assert!(again.code == 1 && again.stderr.contains("builder is not adopted"), "{}", again.stderr);
}

#[test]
fn what_was_broken_off_is_finished_by_the_next_run() {
    let checkout = Checkout::new();
    let before = checkout.content("builder");
    for (left, args) in [
        // Adopting, with the stub written and nothing else, and with half of the programs.
        ("mkdir .git/gitian; echo stub > .git/gitian/stub", &["builder"][..]),
        ("rm bin/gsign libexec/on-target", &["builder"]),
        // Undoing, with the filter gone and half of the programs.
        ("git config --remove-section filter.gitian; rm .git/info/attributes bin/gsign", &["--undo", "builder"]),
    ] {
        checkout.sh(&format!("cd builder && {left}")).succeeds();
        checkout.adopt(args).succeeds();
    }
    assert_eq!(checkout.content("builder"), before);
}

#[test]
fn what_is_the_users_own_is_not_touched() {
    let checkout = Checkout::new();
    for (change, path) in [
        ("echo '# mine' >> bin/gbuild", "bin/gbuild"),
        ("echo mine > bin/gitian", "bin/gitian"),
        ("ln -sf gbuild bin/gsign", "bin/gsign"),
        ("echo '#m' >> bin/gsign", "bin/gsign"),
        ("echo '#m' >> libexec/on-target", "libexec/on-target"),
        ("git mv -f libexec/make-it libexec/on-target", "libexec/on-target"),
    ] {
        checkout.sh(&format!("cd builder && {change}")).succeeds();
        let before = tree::listing(&checkout.path().join("builder/bin"));
        let told = checkout.adopt(&["builder"]);
        assert_eq!(told.code, 1, "{change}: {}", told.stdout);
        assert!(told.stderr.contains(&format!("builder/{path} is not as gitian-builder has it")), "{}", told.stderr);
        assert_eq!(tree::listing(&checkout.path().join("builder/bin")), before);
        // What the hint says is what is to be done.
        let hint = told.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap();
        let (command, _) = hint.split_once("    ").unwrap();
        checkout.sh(command).succeeds();
        checkout.adopt(&["builder"]).succeeds();
        checkout.adopt(&["--undo", "builder"]).succeeds();
        checkout.sh("cd builder && git reset -q --hard && rm -f bin/gitian").succeeds();
    }
    // One of these programs' own, which lies in the same way.
    checkout.sh("git clone -q builder ours && touch ours/libexec/launch").succeeds();
    let told = checkout.adopt(&["ours"]);
    let refused = "ours is a checkout of these programs, not of gitian-builder\nhint: ";
    assert!(told.code == 1 && told.stderr.contains(refused), "{}", told.stderr);
    for other in ["origin/bin", "nowhere", "."] {
        let told = checkout.adopt(&[other]);
        assert!(
            told.code == 1 && told.stderr.contains("is not a git checkout of gitian-builder"),
            "{other}: {}",
            told.stderr
        );
    }
}

#[test]
fn what_the_user_changed_in_an_adopted_checkout_is_neither_replaced_nor_lost() {
    let checkout = Checkout::new();
    checkout.adopt(&["builder"]).succeeds();
    checkout.sh("cd builder && echo '# mine' > bin/gbuild && echo mine > bin/gitian && git status").succeeds();
    let read = |name: &str| fs::read_to_string(checkout.path().join("builder/bin").join(name)).unwrap();
    let told = checkout.adopt(&["builder"]);
    assert_eq!(told.code, 1, "{}", told.stdout);
    assert!(told.stderr.contains("builder/bin/gbuild is not as gitian-builder has it"), "{}", told.stderr);
    assert!(told.stderr.contains("hint: mv builder/bin/gbuild builder/bin/gbuild.mine"), "{}", told.stderr);
    let told = checkout.adopt(&["--undo", "builder"]).succeeds();
    for name in ["gbuild", "gitian"] {
        assert!(told.stderr.contains(&format!("warning: builder/bin/{name} stays as it is")), "{}", told.stderr);
    }
    assert_eq!((read("gbuild"), read("gitian")), ("# mine\n".into(), "mine\n".into()));
    assert!(read("gsign").contains("original bin/gsign"));
    let status = checkout.sh("cd builder && git status --porcelain").succeeds().stdout;
    assert_eq!(status, " M bin/gbuild\n?? bin/gitian\n", "git sees it again");
}

#[test]
fn each_checkout_of_one_repository_is_adopted_for_itself() {
    let checkout = Checkout::new();
    checkout.sh("cd builder && git worktree add -q ../other -b other").succeeds();
    let runs = |folder: &str| checkout.sh(&format!("cd {folder} && bin/gbuild --version")).stdout;
    let status = |folder: &str| {
        checkout.sh(&format!("cd {folder} && touch bin/* && git status --porcelain && git diff")).succeeds().stdout
    };
    let before = checkout.content("builder");
    checkout.adopt(&["other"]).succeeds();
    assert!(runs("other").starts_with("gbuild ") && runs("builder").starts_with("original"));
    assert_eq!((status("other"), status("builder")), (String::new(), String::new()));
    // What is changed in the one that is not adopted is seen, and what git writes there is upstream's.
    checkout.sh("cd builder && echo '# mine' >> bin/gbuild").succeeds();
    assert!(status("builder").contains("+# mine"), "{}", status("builder"));
    checkout.sh("cd builder && git checkout -q -f .").succeeds();
    assert!(runs("builder").starts_with("original"));
    // The last one takes away what they share.
    checkout.adopt(&["builder"]).succeeds();
    checkout.adopt(&["--undo", "other"]).succeeds();
    assert!(runs("builder").starts_with("gbuild ") && runs("other").starts_with("original"));
    assert_eq!((status("other"), status("builder")), (String::new(), String::new()));
    checkout.adopt(&["--undo", "builder"]).succeeds();
    assert!(runs("builder").starts_with("original"));
    assert_eq!(checkout.content("builder"), before);
}
