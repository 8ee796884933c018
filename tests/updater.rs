//! gitian-updater as its users call it: exit codes, messages, what a crash leaves, an updater that carries its config.
//! What is refused is tested beside its crate; servers that have to prove who they are, here, since authorities are a
//! program's surroundings.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use gitian_manifest::{Assertion, Digest, Report};
use nix::sys::signal::Signal;

use crate::support::gnupg::Home;
use crate::support::programs::{Answer, Workdir, run};
use crate::support::running::within;

/// A working directory with a key, a config that trusts it, and packages.
struct Fixture {
    work: Workdir,
    keys: Home,
}

impl Fixture {
    fn new() -> Option<Self> {
        let keys = Home::new()?;
        keys.make_key("alice", "ed25519");
        let work = Workdir::new();
        let listed = String::from_utf8(keys.gpg(&["--with-colons", "--list-keys"])).unwrap();
        let fingerprint =
            listed.lines().find(|line| line.starts_with("fpr:")).unwrap().split(':').nth(9).unwrap().to_owned();
        let config = format!(
            "name: coin\nminimum_weight: 1\nurls:\n- url: file://{}/coin.zip\nsigners:\n  {fingerprint}:\n    weight: 1\n    key: alice\n",
            work.path().display()
        );
        fs::write(work.path().join("config.yml"), config).unwrap();
        Some(Self { work, keys })
    }

    fn path(&self) -> &Path {
        self.work.path()
    }

    /// Makes `coin.zip` of as many files as wanted.
    fn package(&self, name: &str, release: &str, count: usize, signed: bool) {
        let tree = self.path().join("tree");
        fs::remove_dir_all(&tree).ok();
        fs::create_dir_all(tree.join("gitian")).unwrap();
        let mut lines = String::new();
        for number in 0..count {
            let (path, text) = (format!("d{}/f{number}", number % 10), format!("{release} {number}"));
            fs::create_dir_all(tree.join(&path).parent().unwrap()).unwrap();
            fs::write(tree.join(&path), &text).unwrap();
            lines += &format!("{}  {path}\n", Digest::of_bytes(text.as_bytes()));
        }
        let assertion = Assertion::new(Report::new(lines, String::new(), Vec::new(), None, None), release, name, None);
        let assert = tree.join("gitian/alice-build.assert");
        fs::write(&assert, assertion.render()).unwrap();
        fs::write(tree.join("gitian/alice-key.pgp"), self.keys.gpg(&["--export", "alice"])).unwrap();
        if signed {
            self.keys.gpg(&["--detach-sign", assert.to_str().unwrap()]);
        }
        let script = "import os, shutil; shutil.make_archive('coin', 'zip', 'tree')";
        assert_cmd::Command::new("python3").args(["-c", script]).current_dir(self.path()).assert().success();
    }

    fn update(&self, args: &[&str]) -> Answer {
        let args: Vec<&str> = ["-c", "config.yml", "-d", "dest"].iter().chain(args).copied().collect();
        run("gitian-updater", &args, self.path())
    }

    fn installed(&self) -> Vec<String> {
        let files = walkdir::WalkDir::new(self.path().join("dest")).sort_by_file_name().into_iter().map(Result::unwrap);
        let files =
            files.filter(|file| file.file_type().is_file() && !file.path().to_string_lossy().contains(".gitian"));
        files.map(|file| fs::read_to_string(file.path()).unwrap()).collect()
    }
}

#[test]
fn every_exit_code_is_the_one_that_drivers_know() {
    let Some(fixture) = Fixture::new() else { return };
    let case = |args: &[&str], code: i32, says: &str| {
        let Answer { stdout, stderr, code: found } = fixture.update(args);
        assert_eq!(found, code, "{args:?}: {stdout}{stderr}");
        assert!(format!("{stdout}{stderr}").contains(says), "{args:?}: {stdout}{stderr}");
    };
    case(&[], 2, "gitian-updater: error: nothing to download; file://");
    fixture.package("coin", "1.1", 3, false);
    case(&[], 5, "nobody signed it, which weighs 0, and 1 is demanded\nhint: do not use the download");
    fixture.package("coin", "1.1", 3, true);
    case(&["-n"], 0, "release 1.1 would be installed; signed by alice (weight 1)");
    assert!(!fixture.path().join("dest").exists());
    case(&["-p", "touch 'post file'"], 0, "release 1.1 is installed");
    assert!(fixture.path().join("post file").exists());
    case(&[], 2, "gitian-updater: release 1.1 is installed, and nothing newer is offered");
    fixture.package("other", "1.2", 3, true);
    case(&[], 3, "the package is other, and not coin");
    fixture.package("coin", "1.0", 3, true);
    case(&[], 4, "hint: if an older release is wanted: --force");
    fixture.package("coin", "1.2", 3, true);
    case(&["-w", "24"], 100, "release 1.2 waits to be installed until 20");
    case(&["-w", "24"], 100, "release 1.2 waits");
    let quiet = fixture.update(&["-q", "-q", "-w", "24"]);
    assert_eq!((quiet.code, quiet.stdout + &quiet.stderr), (100, String::new()));
    case(
        &["-w", "0", "-g", "gpg2", "-p", "false"],
        1,
        "release 1.2 is installed; after it: false: ended with exit status 1",
    );
    for (args, says) in [
        (&["-c", "config.yml"][..], "destination: none is given"),
        (&["-c", "config.yml", "-m", "./config.yml"], "config: ./config.yml would be replaced; -m takes another name"),
        (&["-d", "dest"], "config: none is given"),
        (&["-d", "dest", "-c", "none.yml"], "config none.yml: No such file"),
        (&["-d", "dest", "-c", "coin.zip"], "config: "),
        (&["-d", "config.yml", "-c", "config.yml"], "is not a folder"),
        (&["--nope"], "unexpected argument"),
    ] {
        let Answer { stderr, code, .. } = run("gitian-updater", args, fixture.path());
        assert_eq!(code, 1, "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    // Under the other name too.
    for (program, code) in [("updater", 1), ("build", 2), ("none", 2)] {
        assert_eq!(run("gitian", &[program, "--bogus"], fixture.path()).code, code, "{program}");
    }
    let misspelt = fs::read_to_string(fixture.path().join("config.yml")).unwrap() + "waiting_perod: 3\n";
    fs::write(fixture.path().join("misspelt.yml"), misspelt).unwrap();
    let Answer { stderr, .. } = run("gitian-updater", &["-c", "misspelt.yml", "-d", "dest"], fixture.path());
    assert!(stderr.contains("warning: config: waiting_perod is no key that is known"), "{stderr}");
    let old = fs::read_to_string(fixture.path().join("config.yml")).unwrap() + "maximum_age: 0\n";
    fs::write(fixture.path().join("config.yml"), old).unwrap();
    fixture.package("coin", "1.3", 3, true);
    std::thread::sleep(Duration::from_millis(1100));
    case(&[], 6, "newer releases may be held back");
    assert_eq!(fixture.installed(), ["1.2 0", "1.2 1", "1.2 2"]);
}

#[test]
fn an_updater_carries_its_config() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.package("coin", "1.0", 3, true);
    run("gitian-updater", &["-c", "config.yml", "-m", "coin-updater"], fixture.path()).succeeds();
    fs::create_dir(fixture.path().join("folder")).unwrap();
    for (output, says) in
        [("none/coin-updater", "none/coin-updater: there is no folder none\n"), ("folder", "folder: Is a directory\n")]
    {
        let Answer { stderr, code, .. } = run("gitian-updater", &["-c", "config.yml", "-m", output], fixture.path());
        assert!(code == 1 && stderr.contains(says), "{code}: {stderr}");
    }
    fs::remove_file(fixture.path().join("config.yml")).unwrap();
    let mut command = assert_cmd::Command::new(fixture.path().join("coin-updater"));
    let output = command.args(["-d", "dest"]).current_dir(fixture.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fixture.installed().len(), 3);
}

#[test]
fn an_updater_killed_at_any_moment_leaves_a_whole_release_after_the_next_run() {
    let Some(fixture) = Fixture::new() else { return };
    const COUNT: usize = 1000;
    fixture.package("coin", "1", COUNT, true);
    fixture.update(&[]).succeeds();
    let work = fixture.path().join("dest/.gitian-update");
    let whole = |release: &str| -> bool {
        let found = fixture.installed();
        found.len() == COUNT && found.iter().all(|text| text.starts_with(&format!("{release} ")))
    };
    assert!(whole("1"));
    let mut within_journal = 0;
    for kill in 0..10 {
        let release = format!("{}", kill + 2);
        fixture.package("coin", &release, COUNT, true);
        let mut running = fixture.work.start("gitian-updater", &["-c", "config.yml", "-d", "dest"]);
        // Five times while files are laid out, five times while they are put in their place.
        let moment = if kill % 2 == 0 { work.join("stage/d5") } else { work.join("journal.yml") };
        assert!(within(Duration::from_secs(60), || moment.exists() || running.has_ended()));
        std::thread::sleep(Duration::from_millis(kill));
        running.signal(Signal::SIGKILL);
        within(Duration::from_secs(60), || running.has_ended());
        let begun = ["journal.yml", "finished.yml"].iter().any(|name| work.join(name).exists());
        within_journal += usize::from(begun);
        // Before the journal everything is still to be done, behind it nothing.
        let manifest = fs::read_to_string(fixture.path().join("dest/.gitian-manifest")).unwrap();
        let done = !begun && manifest.contains(&format!("release: '{release}'\n"));
        let post = fixture.path().join(format!("post-{release}"));
        let Answer { code, stdout, stderr } = fixture.update(&["-p", &format!("touch post-{release}")]);
        assert_eq!(code, if done { 2 } else { 0 }, "killed at {kill}: {stdout}{stderr}");
        assert_eq!((stdout.contains("is installed"), post.exists()), (!done, !done), "{stdout}{stderr}");
        assert!(whole(&release), "killed at {kill}: {stderr}");
    }
    assert!(within_journal > 0, "no kill hit an installation");
}

#[test]
fn what_follows_an_installation_is_done_again_if_it_was_killed_or_stopped_and_not_if_it_failed() {
    let Some(fixture) = Fixture::new() else { return };
    let started = fixture.path().join("started");
    for (release, signal, code) in [("1", Signal::SIGKILL, None), ("2", Signal::SIGINT, Some(130))] {
        fixture.package("coin", release, 3, true);
        fs::remove_file(&started).ok();
        let post = "sh -c 'touch started; sleep 3'";
        let mut running = fixture.work.start("gitian-updater", &["-c", "config.yml", "-d", "dest", "-p", post]);
        assert!(within(Duration::from_secs(60), || started.exists() || running.has_ended()));
        running.signal(signal);
        assert!(within(Duration::from_secs(60), || running.has_ended()));
        assert!(code.is_none_or(|code| running.answer().code == code));
        let post = format!("touch post-{release}");
        let Answer { stdout, .. } = fixture.update(&["-p", &post]).succeeds();
        assert_eq!(stdout, format!("release {release} is installed\n"));
        assert!(fixture.path().join(&post[6..]).exists());
        assert_eq!(fixture.update(&["-p", "false"]).code, 2, "and that is all");
    }
    fixture.package("coin", "3", 3, true);
    for code in [1, 2] {
        let Answer { stderr, code: found, .. } = fixture.update(&["-p", "false"]);
        assert_eq!(found, code, "{stderr}");
    }
}

#[test]
fn an_updater_that_waits_for_a_server_stops_when_asked_to() {
    let Some(fixture) = Fixture::new() else { return };
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/coin.zip", server.local_addr().unwrap());
    for head in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"] {
        let mut running = fixture.work.start("gitian-updater", &["-c", "config.yml", "-d", "dest", "-u", &url]);
        let (mut connection, _) = server.accept().unwrap();
        connection.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(!running.has_ended());
        running.signal(Signal::SIGINT);
        assert!(within(Duration::from_secs(10), || running.has_ended()), "{head}");
        assert_eq!(running.answer().code, 130);
    }
}

/// An https server that answers with the files of a folder, headers and all.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    /// Starts one whose certificate is for this host, signed by itself.
    fn new(folder: &Path, host: &str) -> Self {
        let name = format!("subjectAltName=DNS:{host}");
        let subject = format!("/CN={host}");
        let mut request = assert_cmd::Command::new("openssl");
        request.args("req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.pem -days 2".split(' '));
        request.args(["-subj", &subject, "-addext", &name]).current_dir(folder).assert().success();
        #[expect(clippy::disallowed_methods, reason = "the test framework's command cannot run in the background")]
        let mut command = std::process::Command::new("openssl");
        command.args("s_server -accept 127.0.0.1:0 -HTTP -cert server.pem -key server.key".split(' '));
        let mut child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
        let accepts = lines.find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
        let port = accepts.rsplit(':').next().unwrap().to_owned();
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_server_of_https_has_to_prove_who_it_is_and_may_not_lead_to_http() {
    let Some(mut fixture) = Fixture::new() else { return };
    fixture.package("coin", "1.0", 3, true);
    let package = fs::read(fixture.path().join("coin.zip")).unwrap();
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", package.len());
    fs::write(fixture.path().join("coin.zip"), [head.as_bytes(), &package].concat()).unwrap();
    let elsewhere = "HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:9/coin.zip\r\nContent-Length: 0\r\n\r\n";
    fs::write(fixture.path().join("moved.zip"), elsewhere).unwrap();
    for (host, trusted, file, code, says) in [
        ("localhost", false, "coin.zip", 2, "certificate verify failed"),
        ("example.org", true, "coin.zip", 2, "certificate verify failed"),
        ("localhost", true, "moved.zip", 2, "http://127.0.0.1:9/coin.zip"),
        ("localhost", true, "coin.zip", 0, "release 1.0 is installed"),
    ] {
        let server = Server::new(fixture.path(), host);
        let authorities = if trusted { "server.pem" } else { "/dev/null" };
        fixture.work.set_env("SSL_CERT_FILE", &fixture.path().join(authorities).display().to_string());
        fixture.work.set_env("SSL_CERT_DIR", "/nonexistent");
        let url = format!("https://localhost:{}/{file}", server.port);
        let answer = fixture.work.run("gitian-updater", &["-c", "config.yml", "-d", "dest", "-u", &url]);
        let told = answer.stdout + &answer.stderr;
        assert_eq!(answer.code, code, "{host} {trusted} {file}: {told}");
        assert!(told.contains(says), "{host} {trusted} {file}: {told}");
        assert_eq!(fixture.path().join("dest/d0/f0").exists(), code == 0);
    }
}
