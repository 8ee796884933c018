//! Runs that end well, and every exit code.

mod made;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use made::{Asked, Made, NOW, Place, Reply, SIGNED, Server, answer, at, config, keys, ranged, tree};

#[test]
fn a_release_is_installed_updated_and_not_taken_back() {
    let Some(keys) = keys() else { return };
    let place = Place::new();
    let one = Made {
        optionals: vec!["docs/b".into()],
        ..Made::new("1.9", &[("bin/coin", "one"), ("lib/old/x", "x"), ("docs/b", "b")])
    };
    let one = Made { left_out: vec!["docs/b".into()], ..one }.zip(keys);
    let two = Made::new("1.10", &[("bin/coin", "two"), ("lib/new", "y")]).zip(keys);
    let (code, said) = place.take(keys, &one);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(r#"release: "1.9", signers: ["alice", "bob"], weight: 70, installed: true"#), "{said}");
    assert_eq!(place.tree(), tree(&[("bin/coin", "one"), ("lib/old/x", "x")]));
    let mode = |path: &str| place.dest().join(path).metadata().unwrap().permissions().mode() & 0o111;
    assert!(mode("bin/coin") != 0 && mode("lib/old/x") == 0);
    let manifest = fs::read_to_string(place.dest().join(".gitian-manifest")).unwrap();
    for line in ["sums:\n", "  bin/coin: ", "release: '1.9'\n", "name: coin\n", "optionals:\n- docs/b\n"] {
        assert!(manifest.contains(line), "{line} in {manifest}");
    }
    assert_eq!(place.work(), ["lock"]);

    fs::write(place.dest().join("lib/mine"), "a user's").unwrap();
    assert_eq!(place.take(keys, &one).0, 2, "the same release");
    let dry = place.take_with(keys, &two, "", |order| order.dry_run = true);
    assert_eq!((dry.0, dry.1.contains("installed: false")), (0, true), "{}", dry.1);
    assert_eq!(place.tree()["bin/coin"], "one", "a dry run changes nothing");
    assert_eq!(place.take(keys, &two).0, 0);
    assert_eq!(place.tree(), tree(&[("bin/coin", "two"), ("lib/mine", "a user's"), ("lib/new", "y")]));
    assert!(!place.dest().join("lib/old").exists(), "an empty folder goes with its last file");

    let (code, said) = place.take(keys, &one);
    assert_eq!((code, said.contains("release 1.9 is older than 1.10")), (4, true), "{said}");
    assert_eq!(place.take_with(keys, &one, "", |order| order.force = true).0, 0);
    assert_eq!(place.tree()["bin/coin"], "one");
}

#[test]
fn a_destination_or_config_that_is_wrong_is_1() {
    let Some(keys) = keys() else { return };
    let package = Made::new("1", &[("a", "1")]).zip(keys);
    let place = Place::new();
    fs::create_dir(place.dest()).unwrap();
    fs::write(place.dest().join("mine"), "a user's").unwrap();
    let (code, said) = place.take(keys, &package);
    assert_eq!((code, said.contains("is not empty, and nothing was installed there")), (1, true), "{said}");
    assert_eq!(place.tree(), tree(&[("mine", "a user's")]));
    assert!(place.work().is_empty(), "nothing was made there");

    let place = Place::new();
    fs::write(place.dest(), "a file").unwrap();
    assert_eq!(place.take(keys, &package).0, 1);

    let place = Place::new();
    assert_eq!(place.take(keys, &package).0, 0);
    fs::write(place.dest().join(".gitian-manifest"), "sums:\n  ../x: y\nrelease: 1\nname: coin\n").unwrap();
    let (code, said) = place.take(keys, &package);
    assert_eq!((code, said.contains("no name for a file of a package")), (1, true), "{said}");
}

#[test]
fn nothing_to_download_is_2_and_leaves_nothing() {
    let Some(keys) = keys() else { return };
    let place = Place::new();
    let server = Server::new(|_| Reply::status(404));
    let none = format!(
        "urls:\n- url: {0}/p.zip\n- url: file:///none\n- url: ftp://x/y\n- url: {0}/p\n  version_url: {0}/v\n",
        server.url
    );
    let (code, said) = answer(place.update(&config(keys, &none), |_| {}));
    assert_eq!(code, 2, "{said}");
    for reason in [
        "p.zip: the server answers 404",
        "file:///none: No such file",
        "ftp://x/y: is no address",
        "/v: the server answers 404",
    ] {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    assert!(!place.dest().exists());
    // One place that has it is enough.
    let url = place.file("p.zip", &Made::new("1", &[("a", "1")]).zip(keys));
    let (code, said) = answer(place.update(&config(keys, &format!("{none}- url: {url}\n")), |_| {}));
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_version_page_saves_the_download_and_may_not_go_back() {
    let Some(keys) = keys() else { return };
    let place = Place::new();
    let package = Made::new("1.5", &[("a", "1")]).zip(keys);
    let page = std::sync::Arc::new(std::sync::Mutex::new(b"1.5\n".to_vec()));
    let shown = page.clone();
    let server = Server::new(move |asked| match asked.path.as_str() {
        "/v" => Reply::ok(&shown.lock().unwrap()),
        _ => Reply::ok(&package),
    });
    let config = config(keys, &format!("urls:\n- url: {0}/p.zip\n  version_url: {0}/v\n", server.url));
    let run = || answer(place.update(&config, |_| {}));
    assert_eq!(run().0, 0);
    assert_eq!(run().0, 2);
    let asked: Vec<String> = server.asked.lock().unwrap().iter().map(|asked| asked.path.clone()).collect();
    assert_eq!(asked, ["/v", "/p.zip", "/v"], "the same release is not downloaded");
    for (text, code, reason) in [
        ("1.4", 4, "/v 1.4 is older than 1.5"),
        ("1.6", 6, "release 1.6 is promised, and 1.5 is what comes"),
        ("", 2, "does not begin with a release"),
        ("<html> no", 2, "does not begin with a release"),
    ] {
        *page.lock().unwrap() = text.as_bytes().to_vec();
        let (found, said) = run();
        assert_eq!(found, code, "{text}: {said}");
        assert!(said.contains(reason), "{text}: {said}");
    }
    // Only its first 100 bytes count.
    *page.lock().unwrap() = [b"1.5", &[b' '; 97][..], b"rubbish"].concat();
    assert_eq!(run().0, 2);
}

#[test]
fn a_place_that_is_stale_or_lies_does_not_decide_for_the_others() {
    let Some(keys) = keys() else { return };
    let package = |release: &str| Made::new(release, &[("a", release)]).zip(keys);
    let mut damaged = package("1.2");
    damaged[31] ^= 1;
    let unsigned = Made { signers: vec![("mallory", SIGNED)], ..Made::new("1.3", &[("a", "evil")]) }.zip(keys);
    let other = Made { name: "other".into(), ..Made::new("2", &[("a", "2")]) }.zip(keys);
    // What the page of a place says, and its package; what comes of two such places, and what is said of one passed over.
    type Offered<'a> = (&'a str, &'a [u8]);
    let (one, two) = (package("1.1"), package("1.2"));
    let good: Offered<'_> = ("", &two);
    let cases: [([Offered<'_>; 2], u8, &str, &str); 14] = [
        ([("1.1", &one), good], 0, r#"release: "1.2""#, ""),
        ([("", &one), good], 0, r#"release: "1.2""#, ""),
        ([("1.0", &one), good], 0, r#"release: "1.2""#, "warning: {0} is passed over: {0} 1.0 is older than 1.1"),
        ([("1.2", &damaged), good], 0, r#"release: "1.2""#, "warning: {0} is passed over: the package is not trusted"),
        ([("", &unsigned), good], 0, r#"release: "1.2""#, "is passed over: the package is not trusted: "),
        ([("", &other), good], 0, r#"release: "1.2""#, "is passed over: the package is other, and not coin"),
        ([("1.2", b""), good], 0, r#"release: "1.2""#, "passed over: "),
        // What a page promises, somewhere has to come.
        (
            [("1.3", &unsigned), good],
            5,
            "{0}: the package is not trusted",
            "warning: {1} is passed over: release 1.3 is",
        ),
        (
            [("1.3", &two), good],
            6,
            "{0}: release 1.3 is promised, and 1.2 is what comes",
            "{1} is passed over: release 1.3",
        ),
        // Nothing anywhere: the gravest reason, in whatever order.
        ([("1.1", &one), ("", &unsigned)], 5, "{1}: the package is not trusted", ""),
        ([("", &unsigned), ("1.1", &one)], 5, "{0}: the package is not trusted", ""),
        (
            [("1.0", &one), ("", &other)],
            3,
            "{1}: the package is other",
            "warning: {0} is passed over: {0} 1.0 is older",
        ),
        ([("1.1", &one), ("1.1", &one)], 2, "release 1.1 is installed, and nothing newer is offered", ""),
        ([("", b""), ("1.1", &one)], 2, "release 1.1 is installed, and nothing newer is offered", "passed over: "),
    ];
    for (index, (places, code, says, warns)) in cases.into_iter().enumerate() {
        let place = Place::new();
        assert_eq!(place.take(keys, &one).0, 0);
        let (mut urls, mut told) = (String::from("urls:\n"), Vec::new());
        for (number, (page, package)) in places.into_iter().enumerate() {
            let mut url = match package {
                b"" => format!("file://{}/none-{number}", place.folder.path().display()),
                package => place.file(&format!("p-{number}"), package),
            };
            urls += &format!("- url: {url}\n");
            if !page.is_empty() {
                url = place.file(&format!("v-{number}"), page.as_bytes());
                urls += &format!("  version_url: {url}\n");
            }
            told.push(url);
        }
        let filled = |text: &str| text.replace("{0}", &told[0]).replace("{1}", &told[1]);
        let (found, said) = answer(place.update(&config(keys, &urls), |_| {}));
        assert_eq!(found, code, "{index}: {said}");
        assert!(said.contains(&filled(says)), "{index}: {said}");
        let notes = place.notes.lock().unwrap().join("\n");
        assert!(notes.contains(&filled(warns)), "{index}: {notes}");
        assert_eq!(warns.is_empty(), notes.is_empty(), "{index}: {notes}");
        assert_eq!(place.tree()["a"], if code == 0 { "1.2" } else { "1.1" }, "{index}");
    }
}

#[test]
fn a_feed_leads_to_a_package() {
    let Some(keys) = keys() else { return };
    let place = Place::new();
    let package = Made::new("2.0", &[("a", "1")]).zip(keys);
    let server = Server::new(move |asked| match asked.path.as_str() {
        "/rss" => {
            let host = &asked.headers["host"];
            Reply::ok(format!("<rss><item><link>http://{host}/coin-2.0.zip</link></item></rss>").as_bytes())
        }
        _ => Reply::ok(&package),
    });
    let feed = format!("rss:\n- url: {}/rss\n  xpath: //item/link/text()\n  pattern: http.*-(.*).zip\n", server.url);
    assert_eq!(answer(place.update(&config(keys, &feed), |_| {})).0, 0);
    let (code, said) = answer(place.update(&config(keys, &feed), |_| {}));
    assert_eq!(code, 2, "{said}");
    assert_eq!(server.asked.lock().unwrap().len(), 3, "the feed says that it is the same release");
}

#[test]
fn another_package_is_3() {
    let Some(keys) = keys() else { return };
    let place = Place::new();
    let other = Made { name: "other".into(), ..Made::new("1", &[("a", "1")]) }.zip(keys);
    let (code, said) = place.take(keys, &other);
    assert_eq!((code, said.contains("the package is other, and not coin")), (3, true), "{said}");
    assert!(!place.dest().exists());
    // The config may say nothing: then what is installed does.
    let url = place.file("p.zip", &other);
    let without = config(keys, &format!("urls:\n- url: {url}\n")).replace("name: coin\nmin", "min");
    assert_eq!(answer(place.update(&without, |_| {})).0, 0);
    place.file("p.zip", &Made::new("2", &[("a", "2")]).zip(keys));
    assert_eq!(answer(place.update(&without, |order| order.force = true)).0, 3);
    assert_eq!(place.tree(), tree(&[("a", "1")]));
}

#[test]
fn a_release_waits_and_is_checked_again_before_it_is_installed() {
    let Some(keys) = keys() else { return };
    let place = Place::new();
    let one = Made::new("1", &[("a", "1")]).zip(keys);
    let two = Made::new("2", &[("a", "2")]).zip(keys);
    let hours =
        |hours: u64| move |order: &mut gitian_updater::Order<'_>| order.waiting = Duration::from_secs(hours * 3600);
    assert_eq!(place.take_with(keys, &one, "", hours(24)).0, 0, "into an empty destination nothing waits");
    let (code, said) = place.take_with(keys, &two, "", hours(24));
    assert_eq!((code, said.contains("release 2 waits")), (100, true), "{said}");
    assert_eq!(place.take_with(keys, &two, "", hours(24)).0, 100);
    assert_eq!(place.tree(), tree(&[("a", "1")]));
    let later = |order: &mut gitian_updater::Order<'_>| {
        order.waiting = Duration::from_secs(24 * 3600);
        order.now = at(NOW + 24 * 3600);
    };
    // The address is not looked at any more.
    assert_eq!(place.take_with(keys, b"nothing", "", later).0, 0);
    assert_eq!(place.tree(), tree(&[("a", "2")]));
    assert_eq!(place.work(), ["lock"]);
    assert!(!place.dest().join(".gitian-waiting").exists());

    // What was edited meanwhile is not installed: the waiting begins anew.
    let three = Made::new("3", &[("a", "3")]).zip(keys);
    let evil = Made { signers: vec![("mallory", SIGNED)], ..Made::new("3", &[("a", "evil")]) }.zip(keys);
    let note = place.dest().join(".gitian-waiting");
    let package = place.dest().join(".gitian-update/waiting.zip");
    let digest = |bytes: &[u8]| gitian_manifest::Digest::of_bytes(bytes).to_string();
    type Edit<'a> = &'a dyn Fn();
    let edit = |from: &str, to: &str| {
        let text = fs::read_to_string(&note).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&note, text.replace(from, to)).unwrap();
    };
    let edits: [(Edit<'_>, &str); 7] = [
        (&|| fs::write(&package, &evil).unwrap(), "is not the one that was put there"),
        (
            &|| {
                fs::write(&package, &evil).unwrap();
                edit(&digest(&three), &digest(&evil));
            },
            "is no longer taken: the package is not trusted",
        ),
        (&|| edit(&NOW.to_string(), &(NOW * 2).to_string()), "is from the future"),
        (&|| edit(&NOW.to_string(), "9223372036854775807"), "is from the future"),
        (&|| fs::write(&note, "--- !ruby/object:Object {}\n").unwrap(), "is not the one that was put there"),
        (&|| fs::remove_file(&package).unwrap(), "is not the one that was put there"),
        (
            &|| {
                fs::remove_file(&package).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", &package).unwrap();
            },
            "is not the one that was put there",
        ),
    ];
    for (edit, reason) in edits {
        assert_eq!(place.take_with(keys, &three, "", hours(24)).0, 100);
        edit();
        let (code, said) = place.take_with(keys, &three, "", later);
        assert_eq!(code, 100, "{reason}: {said}");
        let notes = place.notes.lock().unwrap().pop().unwrap();
        assert!(notes.contains(reason), "{notes}");
        assert_eq!(place.tree(), tree(&[("a", "2")]));
        fs::remove_file(&note).unwrap();
    }
}

#[test]
fn a_download_that_breaks_off_is_gone_on_with() {
    let Some(keys) = keys() else { return };
    let body: String = (0..3000).map(|number| format!("{number}\n")).collect();
    let package = Made::new("1", &[("a", &body)]).zip(keys);
    let len = package.len();

    // In one run.
    let server = Server::with_ranges(package.clone(), "\"mark\"", Some(len / 3 + 1));
    let place = Place::new();
    let url = |server: &Server| config(keys, &format!("urls:\n- url: {}/p.zip\n", server.url));
    let (code, said) = answer(place.update(&url(&server), |_| {}));
    assert_eq!(code, 0, "{said}");
    let ranges = |server: &Server| -> Vec<Option<String>> {
        server.asked.lock().unwrap().iter().map(|asked: &Asked| asked.headers.get("range").cloned()).collect()
    };
    assert_eq!(
        ranges(&server),
        [None, Some(format!("bytes={}-", len / 3 + 1)), Some(format!("bytes={}-", 2 * (len / 3 + 1)))]
    );

    // In the next run; and a file that has changed meanwhile from its beginning.
    for mark in ["\"mark\"", "\"other\""] {
        let broken = std::sync::Arc::new(std::sync::Mutex::new(true));
        let (is_broken, package) = (broken.clone(), package.clone());
        let server = Server::new(move |asked| match *is_broken.lock().unwrap() {
            true => ranged(asked, &package, "\"mark\"", Some(100)),
            false => ranged(asked, &package, mark, None),
        });
        let place = Place::new();
        let (code, said) = answer(place.update(&url(&server), |_| {}));
        assert_eq!(code, 2, "{said}");
        *broken.lock().unwrap() = false;
        let (code, said) = answer(place.update(&url(&server), |_| {}));
        assert_eq!(code, 0, "{said}");
        assert_eq!(ranges(&server).pop().unwrap().unwrap(), "bytes=500-");
        assert_eq!(place.tree()["a"], body);
    }
}

#[test]
fn a_server_that_says_nothing_more_is_given_up_for_the_next() {
    let Some(keys) = keys() else { return };
    let package = Made::new("1", &[("a", "1")]).zip(keys);
    let len = package.len();
    let stalling = package.clone();
    let server = Server::new(move |asked| {
        let stalls = asked.path.contains("stall");
        // In the middle of the package, and after the head of the page.
        let cut = if asked.path.contains("page") { 0 } else { len / 2 };
        Reply { stalls, cut: stalls.then_some(cut), ..Reply::ok(&stalling) }
    });
    let place = Place::new();
    let urls = format!(
        "urls:\n- url: {0}/p.zip\n  version_url: {0}/stalling-page\n- url: {0}/stall.zip\n- url: {0}/p.zip\n",
        server.url
    );
    let began = std::time::Instant::now();
    let (code, said) = answer(place.update(&config(keys, &urls), |order| order.patience = Duration::from_millis(300)));
    assert_eq!(code, 0, "{said}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let stalls = server.asked.lock().unwrap().iter().filter(|asked| asked.path == "/stall.zip").count();
    assert_eq!(stalls, 5, "it is tried again before it is given up");
    // Alone, it is the reason why there is nothing to download.
    let alone = format!("urls:\n- url: {}/stall.zip\n", server.url);
    let place = Place::new();
    let (code, said) = answer(place.update(&config(keys, &alone), |order| order.patience = Duration::from_millis(300)));
    assert_eq!((code, said.contains("nothing came for 0.3 seconds")), (2, true), "{said}");
}

#[test]
fn a_proxy_is_used_if_one_is_given_but_not_for_all_hosts() {
    let Some(keys) = keys() else { return };
    let proxy = Server::new(|_| Reply::status(503));
    let none = "urls:\n- url: http://packages.invalid/p.zip\n";
    let through = |except: &[&str]| {
        let given = gitian_updater::Proxy {
            url: proxy.url.clone(),
            except: except.iter().map(|host| host.to_string()).collect(),
        };
        let place = Place::new();
        let config = gitian_updater::Config::parse(config(keys, none).as_bytes()).unwrap();
        answer(gitian_updater::update(&gitian_updater::Order {
            config: &config,
            destination: &place.dest(),
            force: false,
            dry_run: false,
            waiting: Duration::ZERO,
            now: at(NOW),
            patience: Duration::from_secs(60),
            proxy: Some(&given),
            on_bytes: &|_, _| {},
            tell: &|_| {},
            warn: &|_| {},
            then: &|_| Ok(()),
        }))
    };
    let asked = || proxy.asked.lock().unwrap().iter().map(|asked| asked.path.clone()).collect::<Vec<_>>();
    assert_eq!(through(&["packages.invalid"]).0, 2);
    assert!(asked().is_empty(), "that host is spoken to directly");
    assert_eq!(through(&["other.invalid"]).0, 2);
    assert!(asked().iter().any(|path| path.contains("packages.invalid")), "{:?}", asked());
    let socks = gitian_updater::Proxy { url: "socks5://localhost:1".into(), except: Vec::new() };
    let place = Place::new();
    let (code, said) =
        answer(place.update(&config(keys, none), |order| order.proxy = Some(Box::leak(Box::new(socks)))));
    assert_eq!((code, said.contains("proxy localhost: is not spoken to by http")), (1, true), "{said}");
}

#[test]
fn a_candidate_is_older_than_its_release() {
    let Some(keys) = keys() else { return };
    let place = Place::new();
    let of = |release: &str| Made::new(release, &[("a", release)]).zip(keys);
    assert_eq!(place.take(keys, &of("1.0rc2")).0, 0);
    assert_eq!(place.take(keys, &of("1.0")).0, 0);
    let (code, said) = place.take(keys, &of("1.0rc3"));
    assert_eq!((code, said.contains("release 1.0rc3 is older than 1.0")), (4, true), "{said}");
    assert_eq!(place.tree(), tree(&[("a", "1.0")]));
}
