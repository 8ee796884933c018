//! Docker's guests: what may be wrong with the engine and its images, and what is left when builds end early. Each on an
//! engine of the tests' own.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use gitian_manifest::Digest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support;
use crate::support::backends::{SmallEngine, row};
use crate::support::mirror::{MANIFEST, Mirror};
use crate::support::programs::{Answer, Workdir};
use crate::support::running::{Running, within};

const BASE: &str = "base-bookworm-amd64";

/// A working directory with a base image on the tests' engine, and how to ask that engine.
fn ready() -> Option<(Workdir, impl Fn(&[&str]) -> String)> {
    let work = row("docker").workdir()?;
    let host = work.env("DOCKER_HOST");
    Some((work, move |args: &[&str]| docker(&host, args).succeeds().stdout.trim().to_owned()))
}

fn docker(host: &str, args: &[&str]) -> Answer {
    support::programs::answer(Command::new("docker").env("DOCKER_HOST", host).args(args))
}

/// A build of a script.
fn gbuild(work: &Workdir, options: &[&str], script: &str) -> Answer {
    let descriptor = work.descriptor("", script);
    work.run("gbuild", &[options, &[descriptor]].concat())
}

/// Starts a build and waits until its script runs.
fn start_endless(work: &Workdir) -> Running {
    let log = work.path().join("var/build.log");
    fs::remove_file(&log).ok();
    let descriptor = work.descriptor("", "trap '' INT TERM HUP\necho it runs\nsleep 600");
    let mut running = work.start("gbuild", &[descriptor]);
    let runs = || fs::read_to_string(&log).is_ok_and(|log| log.contains("\nit runs\n"));
    assert!(within(Duration::from_secs(180), || runs() || running.has_ended()));
    if running.has_ended() {
        let answer = running.answer();
        panic!("{}{}", answer.stdout, answer.stderr);
    }
    running
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

/// The containers of a working directory.
fn containers(docker: &impl Fn(&[&str]) -> String, work: &Workdir) -> Vec<String> {
    let listed = docker(&["ps", "--all", "--format", "{{.Names}} {{.Label \"gitian.owner\"}}"]);
    let own = format!(":{}", work.path().display());
    listed.lines().filter(|line| line.ends_with(&own)).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn an_engine_that_does_not_answer_is_told_with_what_to_do() {
    for program in ["docker", "no-such-docker"] {
        let mut work = Workdir::new();
        work.set_env("GITIAN_DOCKER", program);
        work.set_env("DOCKER_HOST", &format!("unix://{}/none", work.path().display()));
        work.set_env("USE_DOCKER", "1");
        let descriptor = work.descriptor("", "true");
        let (what, mend) = match program {
            "docker" if row("docker").bare_workdir().is_none() => continue,
            "docker" => ("docker: Cannot connect to the Docker daemon at unix://", "systemctl start docker"),
            _ => ("program no-such-docker is not installed", "set GITIAN_DOCKER to docker or podman"),
        };
        for told in [work.run("gbuild", &[descriptor]), work.run("make-base-vm", &["--docker"])] {
            assert_eq!(told.code, 1, "{}", told.stderr);
            assert!(told.stderr.contains(what) && told.stderr.contains(mend), "{}", told.stderr);
        }
    }
}

#[test]
fn an_engine_that_is_not_for_this_user_is_told_with_what_to_do() {
    let Some(engine) = row("docker").bare_workdir() else { return };
    let Some(mut work) = Workdir::of_ordinary_user() else { return };
    work.set_env("DOCKER_HOST", &engine.env("DOCKER_HOST"));
    // The folder of the socket is open to all: it is the socket that is not.
    let folder = engine.env("DOCKER_HOST").replace("unix://", "").replace("/socket", "");
    Command::new("chmod").args(["755", &folder]).assert().success();
    let told = work.run("make-base-vm", &["--docker"]);
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert!(told.stderr.to_lowercase().contains("permission denied while trying to connect"), "{}", told.stderr);
    assert!(told.stderr.contains("sudo usermod -aG docker $USER"), "{}", told.stderr);
}

#[test]
fn base_images_that_do_not_fit_are_told_with_what_makes_them() {
    let Some((work, docker)) = ready() else { return };
    let told = work.run("make-base-vm", &["--distro", "debian", "--suite", "bookworm"]);
    assert_eq!(
        (told.code, told.stderr.as_str()),
        (
            1,
            "make-base-vm: error: docker image base-bookworm-amd64 already exists, please remove it first\nhint: docker rmi base-bookworm-amd64\n"
        )
    );
    let check = |suite: &str, more: &str| {
        let descriptor = work.descriptor(more, "true");
        let text = fs::read_to_string(work.path().join(descriptor)).unwrap().replace("bookworm", suite);
        fs::write(work.path().join(descriptor), text).unwrap();
        work.run("gbuild", &["--check", descriptor]).stdout
    };
    let told = check("bookworm", "");
    assert!(told.contains("nothing would stop a build of trial (docker)"), "{told}");
    let told = check("bullseye", "");
    assert!(told.contains("docker image base-bullseye-amd64 does not exist"), "{told}");
    assert!(told.contains("bin/make-base-vm --docker --distro debian --suite bullseye --arch amd64"), "{told}");

    docker(&["tag", BASE, "base-trixie-amd64"]);
    let told = check("trixie", "");
    assert!(told.contains("docker image base-trixie-amd64 is one of bookworm-amd64, not trixie-amd64"), "{told}");
    assert!(told.contains("hint: docker rmi base-trixie-amd64 && bin/make-base-vm --docker"), "{told}");

    let empty = work.path().join("empty.tar");
    tar_of_nothing(&empty);
    let empty = empty.to_str().unwrap();
    docker(&["import", "--change", "LABEL gitian.format=0", empty, "base-jammy-amd64"]);
    let told = check("jammy", "");
    assert!(told.contains("docker image base-jammy-amd64 was made by another version of make-base-vm"), "{told}");
    docker(&["import", "--change", "LABEL gitian.distro=ubuntu", empty, "base-sid-amd64"]);
    let told = check("sid", "");
    assert!(told.contains("is one of distro ubuntu, not debian"), "{told}");
    assert!(told.contains("write `distro: ubuntu` in the descriptor"), "{told}");

    // Digests stand in for suites.
    let digest = "0123456789abcdef".repeat(4);
    let told = check("bookworm", &format!("docker_image_digests: [\"{digest}\"]\n"));
    assert!(told.contains(&format!("docker image base-{digest}-amd64 does not exist")), "{told}");
    let command = format!("bin/make-base-vm --docker --distro debian --docker-image-digest {digest} --arch amd64");
    assert!(told.contains(&command), "{told}");
    for image in ["base-trixie-amd64", "base-jammy-amd64", "base-sid-amd64"] {
        docker(&["rmi", image]);
    }
}

fn tar_of_nothing(path: &Path) {
    Command::new("tar").args(["-cf", path.to_str().unwrap(), "-T", "/dev/null"]).assert().success();
}

#[test]
fn an_image_that_somebody_made_is_taken_and_given_the_user() {
    let Some((work, docker)) = ready() else { return };
    docker(&["run", "--name=maker", "--network=none", BASE, "userdel", "--remove", "debian"]);
    let export = "docker export maker | docker import - base-own-amd64 && docker rm maker";
    let mut shell = Command::new("bash");
    shell.args(["-c", export]).env("DOCKER_HOST", work.env("DOCKER_HOST")).assert().success();
    let descriptor = work.descriptor("", "id -un > $OUTDIR/id\necho ~ > $OUTDIR/home\nstat -c %U ~ >> $OUTDIR/home");
    let text = fs::read_to_string(work.path().join(descriptor)).unwrap().replace("bookworm", "own");
    fs::write(work.path().join(descriptor), text).unwrap();
    work.run("gbuild", &[descriptor]).succeeds();
    let out = |name: &str| fs::read_to_string(work.path().join("build/out").join(name)).unwrap();
    assert_eq!((out("id").as_str(), out("home").as_str()), ("debian\n", "/home/debian\ndebian\n"));
}

/// Has the tests' engine ask a registry before those of the world.
fn ask_first(work: &Workdir, registry: &str) {
    let host = work.env("DOCKER_HOST");
    let engine = Path::new(host.trim_start_matches("unix://")).parent().unwrap();
    fs::write(engine.join("daemon.json"), json!({ "registry-mirrors": [registry] }).to_string()).unwrap();
    let pid: i32 = fs::read_to_string(engine.join("pid")).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
    let asks = || docker(&host, &["info", "--format", "{{.RegistryConfig.Mirrors}}"]).stdout.contains(registry);
    assert!(within(Duration::from_secs(30), asks), "dockerd does not read its configuration again");
}

/// Writes an image of one layer as a registry has it. Returns its digest, in hex.
fn image_for_registry(root: &Path, layer: &[u8]) -> String {
    let repository = root.join("v2/library/debian");
    let write = |folder: &str, bytes: &[u8]| {
        let digest = Digest::of_bytes(bytes).to_string();
        fs::create_dir_all(repository.join(folder)).unwrap();
        fs::write(repository.join(folder).join(format!("sha256:{digest}")), bytes).unwrap();
        digest
    };
    let described = |bytes: &[u8], kind: &str| {
        let digest = format!("sha256:{}", write("blobs", bytes));
        json!({ "mediaType": kind, "size": bytes.len(), "digest": digest })
    };
    let layer = described(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip");
    let rootfs = json!({ "type": "layers", "diff_ids": [layer["digest"]] });
    let config = json!({ "architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs }).to_string();
    let config = described(config.as_bytes(), "application/vnd.docker.container.image.v1+json");
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    fs::write(root.join("v2/index"), "{}").unwrap();
    write("manifests", manifest.to_string().as_bytes())
}

#[test]
fn an_image_of_a_registry_is_taken_by_its_digest() {
    let Some((work, docker)) = ready() else { return };
    // What registries have for debian lacks the user.
    docker(&["run", "--name=bare", "--network=none", BASE, "userdel", "--remove", "debian"]);
    let layer = work.path().join("layer.tar");
    docker(&["export", "--output", layer.to_str().unwrap(), "bare"]);
    docker(&["rm", "bare"]);
    let digest = &image_for_registry(work.path(), &fs::read(layer).unwrap());
    let mirror = Mirror::start(&work.path().join("port"));
    mirror.serve(work.path().to_owned());
    ask_first(&work, &mirror.registry());
    work.run("make-base-vm", &["--distro", "debian", "--docker-image-digest", digest]).succeeds();
    let descriptor = work.descriptor(&format!("docker_image_digests: [{digest}]\n"), "id -un > $OUTDIR/id");
    work.run("gbuild", &[descriptor]).succeeds();
    assert_eq!(fs::read_to_string(work.path().join("build/out/id")).unwrap(), "debian\n");
    // Another digest is another image: nothing takes its place.
    let other = "0".repeat(64);
    let told = work.run("make-base-vm", &["--distro", "debian", "--docker-image-digest", &other]);
    assert!(told.code == 1 && told.stderr.contains(&other), "{}", told.stderr);
    let descriptor = work.descriptor(&format!("docker_image_digests: [{other}]\n"), "true");
    let told = work.run("gbuild", &[descriptor]);
    let hint = format!("make-base-vm --docker --distro debian --docker-image-digest {other} --arch amd64");
    assert!(told.code == 1 && told.stderr.contains(&hint), "{}", told.stderr);
    assert!(mirror.asked(digest) > 0 && mirror.asked(&other) > 0);
}

#[test]
fn an_image_whose_user_cannot_be_made_is_told_without_what_was_tried() {
    let Some((work, docker)) = ready() else { return };
    let rename = "usermod --login other debian && groupmod --new-name other debian";
    docker(&["run", "--name=renamer", "--network=none", BASE, "bash", "-c", rename]);
    docker(&["commit", "--change", "LABEL gitian.target=other-amd64", "renamer", "base-other-amd64"]);
    docker(&["rm", "renamer"]);
    let descriptor = work.descriptor("", "true");
    let text = fs::read_to_string(work.path().join(descriptor)).unwrap().replace("bookworm", "other");
    fs::write(work.path().join(descriptor), text).unwrap();
    let told = work.run("gbuild", &["-q", descriptor]);
    docker(&["rmi", "base-other-amd64"]);
    let expected = "docker image base-other-amd64 does not make a guest: useradd: UID 1000 is not unique\n\
                    hint: docker rmi base-other-amd64 && bin/make-base-vm --docker";
    assert!(told.code == 1 && told.stderr.contains(expected), "{}", told.stderr);
    assert!(!told.stderr.contains("getent"), "{}", told.stderr);
}

/// Writes until nothing more can be written.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("fill");
    let mut file = fs::File::create(&path).unwrap();
    while file.write_all(&[1; 1 << 20]).is_ok() {}
    // What is left is less than a page.
    while file.write_all(&[1]).is_ok() {}
    path
}

#[test]
fn a_full_disk_of_the_engine_is_told_by_whatever_meets_with_it_and_nothing_half_made_is_left() {
    let Some(engine) = SmallEngine::start("100m") else { return };
    let mut work = Workdir::new();
    for (name, value) in &engine.environment {
        work.set_env(name, value);
    }
    work.set_env("GITIAN_BACKEND", "docker");
    let host = work.env("DOCKER_HOST");
    let mend = "\nhint: the disk of the engine is full: `docker system df` shows what takes the room, ";
    let assert_full = |told: &Answer, what: &str| {
        assert_eq!(told.code, 1, "{}{}", told.stdout, told.stderr);
        assert!(told.stderr.contains(what) && told.stderr.contains(mend), "{}", told.stderr);
        assert!(told.stderr.to_lowercase().contains("no space left on device"), "{}", told.stderr);
    };
    let make = ["--distro", "debian", "--suite", "bookworm"];
    let told = work.run("make-base-vm", &make);
    assert_full(&told, "make-base-vm: error: make docker image base-bookworm-amd64: ");
    assert_eq!(docker(&host, &["images", "--all", "--quiet"]).succeeds().stdout, "");

    engine.resize("1500m");
    work.run("make-base-vm", &make).succeeds();
    let told = gbuild(&work, &["--skip-cleanup"], "dd if=/dev/zero of=$OUTDIR/big bs=1M count=1500");
    assert_full(
        &told,
        "gbuild: error: no space is left in the guest: build script of bookworm-amd64 ended with exit status 1\n",
    );
    assert!(!work.path().join("result/trial-res.yml").exists());
    fs::write(work.path().join("input"), vec![1; 1 << 20]).unwrap();
    assert_full(&work.run("copy-to-target", &["input", "."]), ": no space is left in the guest: ");

    // Where nothing of a last guest can go to make room, none can be started.
    work.run("stop-target", &[]).succeeds();
    work.run("make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]).succeeds();
    let filled = fill(&engine.disk);
    assert_full(&gbuild(&work, &[], "true"), "gbuild: error: start the guest bookworm-amd64: docker: ");
    fs::remove_file(filled).unwrap();
    gbuild(&work, &[], "touch $OUTDIR/file").succeeds();
}

#[test]
fn what_a_removed_folder_has_left_on_the_engine_is_removed_by_the_next_build() {
    let Some((work, docker)) = ready() else { return };
    let gone = work.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let descriptor = work.descriptor("", "touch $OUTDIR/file");
    let mut built = work.program("gbuild");
    let built = built.current_dir(&gone).args(["-q", "--network", "off"]).arg(format!("../{descriptor}"));
    support::programs::answer(built).succeeds();
    let left = || {
        let owner = format!("--filter=label=gitian.owner={}:0:{}", host_name(), gone.display());
        docker(&["ps", "--all", "--quiet", &owner])
    };
    let image = docker(&["inspect", "--format", "{{.Image}}", &left()]);
    gbuild(&work, &[], "true").succeeds();
    assert!(!left().is_empty(), "its folder is there");
    fs::remove_dir_all(&gone).unwrap();
    gbuild(&work, &[], "true").succeeds();
    assert_eq!(left(), "");
    let told = self::docker(&work.env("DOCKER_HOST"), &["image", "inspect", &image]);
    assert!(told.stderr.to_lowercase().contains("no such image"), "{}", told.stdout);
}

#[test]
fn a_name_that_is_taken_is_left_to_whoever_has_it() {
    let Some((work, docker)) = ready() else { return };
    // Our guests are found by their ids: another test's is not harmed by another name.
    let aside = format!("aside-{}", std::process::id());
    self::docker(&work.env("DOCKER_HOST"), &["rename", "gitian-target", &aside]);
    let theirs = "create --name=gitian-target --entrypoint=/bin/true base-bookworm-amd64";
    let host = work.env("DOCKER_HOST");
    self::docker(&host, &theirs.split(' ').collect::<Vec<_>>()).succeeds();
    let id = || docker(&["inspect", "--format", "{{.Id}}", "gitian-target"]);
    let before = id();
    gbuild(&work, &["--skip-cleanup"], "echo built > $OUTDIR/file").succeeds();
    let own = containers(&docker, &work);
    assert!(own.len() == 1 && own[0].starts_with("gitian-target-"), "{own:?}");
    assert_eq!(id(), before);
    let told = work.run("on-target", &["cat", "out/file"]).succeeds();
    assert_eq!(told.stdout, "built\n");
    work.run("stop-target", &[]).succeeds();
    assert_eq!(work.run("on-target", &["true"]).code, 1);
    // What stopped keeps its files, for `gbuild -i`.
    let again = gbuild(&work, &["--skip-image"], "echo again > $OUTDIR/file");
    again.succeeds();
    assert_eq!(fs::read_to_string(work.path().join("build/out/file")).unwrap(), "again\n");
}

#[test]
fn whatever_ends_a_build_the_next_one_takes_over_and_an_interrupt_leaves_nothing() {
    let Some((work, docker)) = ready() else { return };
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGKILL, 137)] {
        let running = start_endless(&work);
        running.signal(signal);
        let told = running.answer();
        assert_eq!(told.code, code, "{}", told.stderr);
        let left = containers(&docker, &work);
        assert_eq!(left.len(), usize::from(signal == Signal::SIGKILL), "after {signal}: {left:?}");
    }
    gbuild(&work, &[], "echo built > $OUTDIR/file").succeeds();
    assert_eq!(containers(&docker, &work).len(), 1, "the stopped target, for `gbuild -i`");

    // A guest that somebody ends.
    let running = start_endless(&work);
    docker(&["kill", &containers(&docker, &work)[0]]);
    let told = running.answer();
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert!(told.stderr.contains("the guest bookworm-amd64 is gone"), "{}", told.stderr);
    gbuild(&work, &[], "echo built > $OUTDIR/file").succeeds();
}

#[test]
fn a_command_that_is_interrupted_ends_in_the_guest_too() {
    let Some((work, _)) = ready() else { return };
    gbuild(&work, &["--skip-cleanup"], "true").succeeds();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let running = work.start("on-target", &["sh", "-c", "sleep 333 & echo $$ > begun; wait"]);
        let begun = || work.run("on-target", &["rm", "begun"]).code == 0;
        assert!(within(Duration::from_secs(30), begun));
        running.signal(signal);
        assert_eq!(running.answer().code, code);
        let told = work.run("on-target", &["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).succeeds();
        assert!(!told.stdout.contains("sleep 333 "), "{}", told.stdout);
    }
}

/// What a folder is called may mean something in a Dockerfile.
#[test]
fn folders_of_any_name_have_images_of_their_own() {
    let Some((work, docker)) = ready() else { return };
    let descriptor = work.descriptor("", "touch $OUTDIR/file");
    let run_in = |folder: &Path, name: &str, args: &[&str]| {
        support::programs::answer(work.program(name).current_dir(folder).args(args)).succeeds();
    };
    let mut images = Vec::new();
    let names = ["a$HOME b", "a b", "a\"b\\", "a\nb"];
    for name in names {
        let folder = work.path().join(name);
        fs::create_dir(&folder).unwrap();
        run_in(&folder, "gbuild", &["--skip-cleanup", "--network", "off", &format!("../{descriptor}")]);
        let owner = format!("--filter=label=gitian.owner={}:0:{}", host_name(), folder.display());
        let container = docker(&["ps", "--quiet", &owner]);
        images.push(docker(&["inspect", "--format", "{{.Image}}", &container]));
    }
    for (name, image) in names.iter().zip(&images) {
        docker(&["image", "inspect", image]);
        run_in(&work.path().join(name), "make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]);
        let told = self::docker(&work.env("DOCKER_HOST"), &["image", "inspect", image]);
        assert!(told.stderr.to_lowercase().contains("no such image"), "{name:?}: {}", told.stdout);
    }
}

#[test]
fn a_record_that_cannot_be_read_is_no_target_and_stands_in_nobodys_way() {
    let Some((mut work, docker)) = ready() else { return };
    gbuild(&work, &["--skip-cleanup"], "true").succeeds();
    fs::write(work.path().join("var/docker.yml"), "{").unwrap();
    let told = work.run("on-target", &["true"]);
    assert!(told.code == 1 && told.stderr.contains("no target runs in"), "{}", told.stderr);
    assert_eq!(containers(&docker, &work), [""; 0], "nobody else would have stopped it");
    let told = work.run("start-target", &["64", "bookworm-amd64"]);
    assert!(told.stderr.contains("hint: libexec/make-clean-vm --suite bookworm"), "{}", told.stderr);
    work.run("stop-target", &[]).succeeds();
    gbuild(&work, &["--skip-cleanup"], "true").succeeds();

    // An engine that does not answer says nothing of other kinds' targets.
    let host = work.env("DOCKER_HOST");
    work.set_env("DOCKER_HOST", "unix:///no/such/socket");
    work.set_env("GITIAN_BACKEND", "");
    let told = work.run("stop-target", &[]);
    assert!(told.code == 1 && told.stderr.contains("Cannot connect to the Docker daemon"), "{}", told.stderr);
    work.run("make-base-vm", &["--backend", "sandbox", "--distro", "debian", "--suite", "bookworm"]).succeeds();
    gbuild(&work, &["--skip-cleanup"], "true").succeeds();
    work.run("on-target", &["true"]).succeeds();
    work.run("stop-target", &[]).succeeds();
    work.set_env("DOCKER_HOST", &host);
    work.run("stop-target", &[]).succeeds();
}

#[test]
fn libexec_works_as_with_other_guests() {
    let Some((work, _)) = ready() else { return };
    let ok = |name: &str, args: &[&str]| work.run(name, args).succeeds().stdout;
    ok("make-clean-vm", &["--suite", "bookworm", "--arch", "amd64"]);
    assert_eq!(work.run("on-target", &["true"]).code, 1, "it does not run yet");
    ok("start-target", &["64", "bookworm-amd64"]);
    assert_eq!(ok("on-target", &["-u", "root", "id", "-u"]), "0\n");
    assert_eq!(
        ok("on-target", &["-e", "A=b  c", "sh", "-c", "echo \"$A\"; id -un; hostname; pwd"]),
        "b  c\ndebian\ngitian\n/home/debian\n"
    );
    let odd = ["a  b", "it's", "new\nline", "", "*", "$(id)", "-u", "--"];
    let mut words = vec!["printf", "<%s>"];
    words.extend(odd);
    assert_eq!(ok("on-target", &words), odd.map(|word| format!("<{word}>")).concat());
    for file in ["/etc/mtab", "/dev/core"] {
        assert_eq!(work.run("on-target", &["test", "-L", file]).code, 1, "{file} is the engine's");
    }
    for (script, code) in [("exit 3", 3), ("kill -TERM $$", 143), ("exit 0", 0)] {
        assert_eq!(work.run("on-target", &["sh", "-c", script]).code, code, "{script}");
    }
    assert_eq!(work.run("on-target", &["no-such-program"]).code, 127);

    let odd = [OsStr::new("echo"), OsStr::from_bytes(b"a\xff")];
    let told = support::programs::answer(work.program("on-target").args(odd));
    assert!(told.code == 1 && told.stderr.contains("is not UTF-8, as arguments and variables"), "{}", told.stderr);

    let bytes: Vec<u8> = (0..5_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut cat = work.program("on-target");
    let output = cat.args(["sh", "-c", "cat; echo told >&2"]).write_stdin(bytes.clone()).output().unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    assert_eq!(output.stderr, b"told\n");

    fs::create_dir_all(work.path().join("tree/sub")).unwrap();
    fs::write(work.path().join("tree/sub/a b"), "one").unwrap();
    ok("copy-to-target", &["-q", "-u", "root", "tree", "/srv"]);
    ok("copy-to-target", &["tree", "."]);
    let listed = ok("on-target", &["find", "tree", "/srv/tree", "-printf", "%p %U %m\\n"]);
    assert!(listed.contains("tree/sub/a b 1000 644\n") && listed.contains("/srv/tree/sub/a b 0 644\n"), "{listed}");
    ok("copy-from-target", &["tree/sub", "."]);
    assert_eq!(fs::read_to_string(work.path().join("sub/a b")).unwrap(), "one");
    ok("stop-target", &[]);
    ok("stop-target", &[]);
    assert_eq!(work.run("on-target", &["true"]).code, 1);
}
