//! The programs of `libexec/`: by path and through PATH, on a real guest of the sandbox; those that write configuration.

use std::fs;
use std::os::unix::fs::MetadataExt;

use assert_cmd::Command;

use crate::support;
use crate::support::backends::row;
use crate::support::checkout::Checkout;
use crate::support::programs::{self, Workdir};

/// A checkout whose guest runs, started by the programs of `libexec/`.
fn running() -> Option<Checkout> {
    let checkout = Checkout::ready()?;
    checkout
        .sh("libexec/make-clean-vm --suite bookworm --arch amd64 && libexec/start-target 64 bookworm-amd64")
        .succeeds();
    Some(checkout)
}

#[test]
fn a_target_is_made_started_asked_and_stopped_by_path_and_through_path() {
    let Some(checkout) = Checkout::ready() else { return };
    for libexec in ["libexec/", ""] {
        let script = format!(
            "export PATH=$PWD/libexec:$PATH
            set -e
            {libexec}make-clean-vm --suite bookworm --arch amd64
            {libexec}start-target 64 bookworm-amd64 &
            until {libexec}on-target true 2>/dev/null; do sleep 0.1; done
            {libexec}on-target -u root touch /etc/was-here
            {libexec}on-target sh -c 'id -un; hostname; pwd'
            {libexec}stop-target
            {libexec}stop-target
            {libexec}on-target true"
        );
        let told = checkout.sh(&script);
        assert_eq!((told.code, told.stdout.as_str()), (1, "debian\ngitian\n/home/debian\n"), "{}", told.stderr);
        assert!(told.stderr.contains("on-target: error: no target runs in"), "{}", told.stderr);
        assert!(told.stderr.contains("hint: `gbuild --skip-cleanup` leaves one running"), "{}", told.stderr);

        let told =
            checkout.sh("libexec/start-target 64 bookworm-amd64 && libexec/on-target ls /etc/was-here").succeeds();
        assert_eq!(told.stdout, "/etc/was-here\n", "a stopped target keeps its files");
        let told = checkout.sh("libexec/start-target 64 bookworm-amd64");
        assert!(told.code == 1 && told.stderr.contains("a target runs already in"), "{}", told.stderr);
        let told = checkout
            .sh("libexec/make-clean-vm --suite bookworm --arch amd64 && libexec/start-target 64 bookworm-amd64 &&
            libexec/on-target ls /etc/was-here; libexec/stop-target");
        assert!(told.stderr.contains("cannot access '/etc/was-here'"), "a clean one has none: {}", told.stderr);
    }
}

#[test]
fn a_build_leaves_its_target_to_look_around_in() {
    let Some(checkout) = Checkout::ready() else { return };
    let told = checkout.sh(
        "set -e
        bin/gbuild --skip-cleanup --commit coin=v1.0 --url coin=$COIN ../coin/contrib/gitian-descriptors/gitian-linux.yml
        libexec/on-target cat out/coin-1.0.txt
        libexec/copy-from-target -q out/src ../
        cat ../src/coin-1.0.tar.gz; echo
        bin/gbuild -i --skip-cleanup --commit coin=v1.1 --url coin=$COIN ../coin/contrib/gitian-descriptors/gitian-linux.yml
        libexec/on-target ls out",
    );
    let told = told.succeeds();
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert!(lines.contains(&"coin 1.0 -j2 2 2000"), "{lines:?}");
    assert!(lines.contains(&"source"), "{lines:?}");
    assert!(lines.ends_with(&["coin-1.1.txt", "date", "src", "tags"]), "{lines:?}");
}

#[test]
fn a_command_gets_its_arguments_variables_and_input_unchanged_and_hands_its_status_back() {
    let Some(checkout) = running() else { return };
    let told = checkout
        .sh(r#"libexec/on-target -e "A=b  c" -e 'B="$HOME"' -e C= bash -c 'printf "<%s>" "$A" "$B" "$C" "$@"' \
            name 'a  b' "it's" $'new\nline' '' '*' '$(id)' -u root -- --help"#);
    let expected = "<b  c><\"$HOME\"><><a  b><it's><new\nline><><*><$(id)><-u><root><--><--help>";
    assert_eq!(told.succeeds().stdout, expected);

    let told = checkout.sh(r"libexec/on-target printf '\xff\x00\x01' | od -An -tx1").succeeds();
    assert_eq!(told.stdout.trim(), "ff 00 01");

    // Large and binary, both ways; the error stream is one of its own.
    let bytes: Vec<u8> = (0..10_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut command = checkout.prepared(&checkout.builder(), "libexec/on-target sh -c 'cat; echo told >&2'");
    let output = command.write_stdin(bytes.clone()).output().unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    assert_eq!(output.stderr, b"told\n");

    for (command, code) in [
        ("true", 0),
        ("sh -c 'exit 3'", 3),
        ("sh -c 'exit 255'", 255),
        ("sh -c 'kill -TERM $$'", 143),
        ("no-such-program", 127),
        ("/etc/hostname", 126),
        ("-u root test -w /etc/shadow", 0),
        ("-u debian test -w /etc/shadow", 1),
        ("-u ubuntu true", 1),
        ("-e NOTHING true", 2),
    ] {
        assert_eq!(checkout.sh(&format!("libexec/on-target {command}")).code, code, "{command}");
    }
    let told = checkout.sh("libexec/on-target -u ubuntu true");
    assert_eq!(told.stderr, "on-target: error: user ubuntu: commands in this guest are run by root or debian\n");
    let told = checkout.sh("echo 'echo $-; whoami' | libexec/on-target").succeeds();
    assert!(told.stdout.ends_with("debian\n"), "without a command, a shell: {}", told.stdout);
}

#[test]
fn files_are_copied_both_ways() {
    let Some(checkout) = running() else { return };
    let builder = checkout.builder();
    fs::create_dir_all(builder.join("tree/sub")).unwrap();
    fs::write(builder.join("tree/sub/a b"), "one").unwrap();
    fs::write(builder.join("-dash"), "two").unwrap();
    checkout
        .sh("set -e
            chmod 755 'tree/sub/a b'; ln -s 'sub/a b' tree/link
            libexec/on-target mkdir build
            libexec/copy-to-target -q tree build/
            libexec/copy-to-target -- -dash build/
            libexec/copy-to-target -u root tree /srv")
        .succeeds();
    let told = checkout.sh("libexec/on-target find build /srv/tree -printf '%p %U %m %l\\n' | sort").succeeds();
    assert_eq!(
        told.stdout,
        "/srv/tree 0 755 \n/srv/tree/link 0 777 sub/a b\n/srv/tree/sub 0 755 \n/srv/tree/sub/a b 0 755 \n\
         build 1000 755 \nbuild/-dash 1000 644 \nbuild/tree 1000 755 \nbuild/tree/link 1000 777 sub/a b\n\
         build/tree/sub 1000 755 \nbuild/tree/sub/a b 1000 755 \n"
    );

    checkout
        .sh("set -e
            mkdir -p back/tree/sub; echo old > 'back/tree/sub/a b'; echo kept > back/tree/kept
            libexec/on-target sh -c 'echo new > \"build/tree/sub/a b\"'
            libexec/copy-from-target -q build/tree back
            libexec/copy-from-target build/-dash back/
            libexec/copy-from-target -u root /etc/shadow back/")
        .succeeds();
    for (path, content) in [("tree/sub/a b", "new\n"), ("tree/kept", "kept\n"), ("-dash", "two")] {
        assert_eq!(checkout.read(&format!("back/{path}")), content);
    }
    assert!(checkout.read("back/shadow").contains("root:"));
    assert_eq!(fs::read_link(builder.join("back/tree/link")).unwrap().to_str(), Some("sub/a b"));

    for (command, code, text) in [
        ("copy-to-target missing build/", 1, "copy missing to build/ of the target: No such file or directory"),
        ("copy-to-target tree nowhere/", 1, "tar: nowhere"),
        ("copy-from-target nothing back", 1, "copy nothing of the target to back"),
        ("copy-from-target /etc/shadow back", 1, "tar: shadow: Cannot open: Permission denied"),
        ("copy-from-target build nowhere", 1, "nowhere does not exist\nhint: mkdir -p nowhere"),
        ("copy-from-target build .gitignore", 1, ".gitignore is a file, not a folder\nhint: name a folder"),
        ("copy-from-target '' back", 2, "a value is required for '<PATH>'"),
    ] {
        let told = checkout.sh(&format!("libexec/{command}"));
        assert_eq!(told.code, code, "{command}: {}", told.stderr);
        assert!(told.stderr.contains(text), "{command}: {}", told.stderr);
    }
    let left: Vec<_> = fs::read_dir(builder.join("back")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn an_ordinary_user_does_the_same() {
    let Some(work) = Workdir::of_ordinary_user() else { return };
    let ok = |name: &str, args: &[&str]| work.run(name, args).succeeds().stdout;
    ok("make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]);
    ok("start-target", &["64", "bookworm-amd64"]);
    assert_eq!(ok("on-target", &["-u", "root", "id", "-u"]), "0\n");
    assert_eq!(ok("on-target", &["sh", "-c", "mkdir out; echo made > out/file; id -un"]), "debian\n");
    ok("copy-from-target", &["out", "."]);
    let (made, folder) = (work.path().join("out/file"), work.path());
    assert_eq!(fs::read_to_string(&made).unwrap(), "made\n");
    assert_eq!(fs::metadata(&made).unwrap().uid(), fs::metadata(folder).unwrap().uid(), "owned by the caller");
    ok("copy-to-target", &["out", "/tmp"]);
    assert_eq!(ok("on-target", &["cat", "/tmp/out/file"]), "made\n");
    ok("stop-target", &[]);
    assert_eq!(work.run("on-target", &["true"]).code, 1);
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_do() {
    let Some(checkout) = Checkout::ready() else { return };
    for (command, code, text) in [
        ("make-clean-vm --suite jammy --arch amd64", 1, "base image base-jammy-amd64.sandbox does not exist\nhint: "),
        ("make-clean-vm --suite bookworm --arch sparc", 2, "is none of amd64, i386, linux64"),
        ("start-target 64 bookworm-amd64", 1, "hint: libexec/make-clean-vm --suite bookworm --arch amd64"),
        ("start-target 32 bookworm-amd64", 2, "amd64 is 64-bit, not 32-bit"),
        ("start-target 64 bookworm", 2, "is not of the form SUITE-ARCH"),
        ("on-target -u root id", 1, "no target runs in"),
        ("copy-to-target inputs /tmp", 1, "no target runs in"),
        ("copy-from-target out inputs", 1, "no target runs in"),
    ] {
        let told = checkout.sh(&format!("libexec/{command}"));
        assert_eq!(told.code, code, "{command}: {}", told.stderr);
        assert!(told.stderr.contains(text), "{command}: {}", told.stderr);
    }
    let told = checkout.sh("NPROCS=many libexec/start-target 64 bookworm-amd64");
    assert!(told.code == 2 && told.stderr.contains("NPROCS is not a number above 0"), "{}", told.stderr);
    // Whoever holds the lock builds here.
    for command in ["make-clean-vm --suite bookworm --arch amd64", "start-target 64 bookworm-amd64"] {
        let told = checkout.sh(&format!("mkdir -p var; flock var/lock libexec/{command}"));
        assert!(told.code == 1 && told.stderr.contains("another build runs here"), "{}", told.stderr);
    }
    let told = checkout.sh("DISTRO=ubuntu libexec/make-clean-vm --suite bookworm");
    assert!(told.code == 1 && told.stderr.contains("is one of distro debian, not ubuntu"), "{}", told.stderr);
}

#[test]
fn scripts_get_the_settings_by_sourcing_them() {
    let libexec = support::checkout().join("libexec");
    let show =
        "set -eu; . gconfig; echo $DISTRO $NPROCS $VMEM $VM_SSH_PORT $LXC_EXECUTE $GITIAN_HOST_IP \"<$USE_LXC>\"";
    for (shell, variables, expected) in [
        ("bash", &[][..], "ubuntu 2 2000 2223 lxc-execute 10.0.2.2 <>\n"),
        ("dash", &[], "ubuntu 2 2000 2223 lxc-execute 10.0.2.2 <>\n"),
        (
            "bash",
            &[("DISTRO", "debian"), ("VMEM", "3000"), ("USE_LXC", "1")],
            "debian 2 3000 2223 lxc-execute 10.0.2.2 <1>\n",
        ),
    ] {
        let mut command = Command::new(shell);
        command.args(["-c", show]).env_clear().envs(variables.iter().copied());
        command.env("PATH", format!("{}:/usr/bin:/bin", libexec.display()));
        assert_eq!(programs::answer(&mut command).succeeds().stdout, expected, "{shell}");
    }
    let mut command = Command::new("bash");
    command
        .args(["-c", ". libexec/gconfig; echo $GITIAN_BASE"])
        .current_dir(support::checkout())
        .env_remove("GITIAN_BASE");
    let told = programs::answer(&mut command).succeeds();
    assert_eq!(told.stdout.trim_end(), support::checkout().display().to_string());
}

#[test]
fn a_system_that_something_else_installed_is_given_what_builds_expect() {
    let Some(checkout) = running() else { return };
    let told = checkout.sh(
        "set -e
        DISTRO=builder MIRROR_HOST=127.0.0.1 GITIAN_HOST_IP=10.0.3.2 libexec/config-bootstrap-fixup
        test -x var/bootstrap-fixup
        libexec/on-target -u root sh -c 'userdel -r debian; echo x > /etc/hosts; echo x > /etc/hostname' 2>/dev/null
        libexec/on-target -u root sh -s < var/bootstrap-fixup
        libexec/on-target -u root sh -s < var/bootstrap-fixup
        libexec/on-target -u root sh -c 'id builder; stat -c %a /home/builder; cat /etc/hosts /etc/hostname /etc/apt/apt.conf.d/80proxy'",
    );
    assert_eq!(
        told.succeeds().stdout,
        "uid=1000(builder) gid=1000(builder) groups=1000(builder)\n755\n127.0.0.1 localhost\n127.0.1.1 gitian\ngitian\n\
         Acquire::http::Proxy \"http://10.0.3.2:3142\";\n"
    );
}

#[test]
fn what_lxc_is_told_is_written_from_the_template_that_is_installed() {
    let Some(work) = row("lxc").workdir() else { return };
    let told = work.run("config-lxc", &[]);
    assert_eq!(told.code, 1);
    assert!(told.stderr.contains("there is no target of LXC in "), "{}", told.stderr);
    assert!(told.stderr.contains("hint: USE_LXC=1 "), "{}", told.stderr);
    work.run("make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]).succeeds();
    let path = work.path().join("var/lxc.config");
    assert!(!path.exists());
    let config = || fs::read_to_string(&path).unwrap();
    work.run("config-lxc", &[]).succeeds();
    let upper = work.path().join("var/lxc/fs/upper");
    assert!(config().contains("\nlxc.rootfs.path = overlay:/") && config().contains(upper.to_str().unwrap()));
    assert!(config().contains("\nlxc.net.0.type = none\n"), "{}", config());
    let answer = |name: &str, variables: &[(&str, &str)], args: &[&str]| {
        let mut command = work.program(name);
        command.envs(variables.iter().copied()).args(args);
        programs::answer(&mut command)
    };
    answer("config-lxc", &[("LXC_BRIDGE", "lxcbr0"), ("LXC_GUEST_IP", "10.0.3.5")], &[]).succeeds();
    assert!(config().contains("lxc.net.0.link = lxcbr0\n") && config().contains("10.0.3.5/24\n"), "{}", config());

    // A prefix has one, which may be changed; a checkout as well.
    let prefix = work.path().join("prefix");
    let mut install = Command::new("make");
    install.arg("-s").arg("install").arg(format!("PREFIX={}", prefix.display())).current_dir(support::checkout());
    install.assert().success();
    let template = prefix.join("etc/gitian/lxc.config.in");
    fs::write(&template, "# mine\nNETWORK\n").unwrap();
    let mut command = programs::surrounded(Command::new(prefix.join("libexec/gitian/config-lxc")), work.path());
    programs::answer(&mut command).succeeds();
    assert_eq!(config(), "# mine\nlxc.net.0.type = none\n");
    let gconfig = format!(". {}/libexec/gitian/gconfig; echo $GITIAN_BASE", prefix.display());
    let told = programs::answer(Command::new("bash").args(["-c", &gconfig]).env_remove("GITIAN_BASE")).succeeds();
    assert_eq!(told.stdout.trim_end(), prefix.display().to_string());
    fs::create_dir(work.path().join("etc")).unwrap();
    fs::write(work.path().join("etc/lxc.config.in"), "# ours\n").unwrap();
    answer("config-lxc", &[("GITIAN_BASE", work.path().to_str().unwrap())], &[]).succeeds();
    assert_eq!(config(), "# ours\n");

    let told = answer("gbuild", &[("LXC_EXECUTE", "/opt/run")], &["--check", work.descriptor("", "true")]);
    let problem = "LXC_EXECUTE=/opt/run is neither lxc-execute nor lxc-start";
    assert!(told.code == 1 && (told.stdout + &told.stderr).contains(problem));
    let told = answer("start-target", &[("LXC_EXECUTE", "/opt/lxc/bin/lxc-execute")], &["64", "bookworm-amd64"]);
    assert!(told.code == 1 && told.stderr.contains("program /opt/lxc/bin/lxc-"), "{}", told.stderr);
}
