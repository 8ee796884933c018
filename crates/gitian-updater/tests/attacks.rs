//! Every attack that we know of: refused or recovered from, and the destination stays whole.

mod made;

use std::fs;

use made::{Keys, Made, NOW, Place, Reply, SIGNED, Server, answer, at, config, exists, keys, tree, zip};

/// The release that everybody signed: what attacks are made from.
fn good() -> Made {
    Made::new("2", &[("bin/coin", "two"), ("docs/readme", "read"), ("extra", "more")])
}

fn with(change: impl FnOnce(&mut Made)) -> Made {
    let mut made = good();
    change(&mut made);
    made
}

/// Tries a package on a place with release 1, and on an empty one: nothing may change.
#[track_caller]
fn refused(keys: &Keys, package: &[u8], code: u8, reason: &str) {
    for with_one in [true, false] {
        let place = Place::new();
        if with_one {
            assert_eq!(place.take(keys, &Made::new("1", &[("bin/coin", "one")]).zip(keys)).0, 0);
        }
        let before = place.tree();
        let (found, said) = place.take(keys, package);
        assert!(found == code && said.contains(reason), "{found} instead of {code}, {reason}: {said}");
        assert_eq!(place.tree(), before, "{reason}");
        match with_one {
            true => assert_eq!(place.work(), ["lock"], "{reason}"),
            false => assert!(!exists(&place.dest()), "{reason}"),
        }
    }
}

#[test]
fn a_package_that_is_not_what_the_signers_built_is_refused() {
    let Some(keys) = keys() else { return };
    assert_eq!(Place::new().take(keys, &good().zip(keys)).0, 0);
    let member = |path: &str, text: &str, mode| {
        with(|made| made.members.push((path.to_owned(), text.as_bytes().to_vec(), mode))).zip(keys)
    };
    const FILE: u32 = 0o100_644;
    // The same entry twice, as a zip that was put together by hand can have it.
    let mut twice = good().all(keys);
    twice.push(("extra".into(), b"evil".to_vec(), FILE));
    for (package, reason) in [
        (member("bin/coin", "evil", FILE), "bin/coin: is not the file that was signed"),
        (member("evil", "x", FILE), "evil: is in the package, and was not signed"),
        (with(|made| made.left_out.push("extra".into())).zip(keys), "extra: was signed, and is missing"),
        (member("../evil", "x", FILE), "../evil: the path leaves the tree"),
        (member("/etc/evil", "x", FILE), "the path is absolute"),
        (member("docs/../../evil", "x", FILE), "the path leaves the tree"),
        (member("ev il", "x", FILE), "is no name for a file of a package"),
        (member(".gitian-manifest", "x", FILE), "is no name for a file of a package"),
        (member(".gitian-update/journal.yml", "x", FILE), "is no name for a file of a package"),
        (member("bin/coin", "/bin/sh", 0o120_777), "bin/coin: is neither a file nor a folder"),
        (member("evil", "/", 0o120_777), "evil: is neither a file nor a folder"),
        (member("bin", "/etc", 0o120_777), "bin is no folder"),
        (member("evil", "x", 0o020_666), "is of a type that is not known"),
        (zip(&twice), "extra: is there twice"),
        (b"<html>404</html>".to_vec(), "is no zip"),
        (b"".to_vec(), "is no zip"),
        (good().zip(keys)[..500].to_vec(), "has no end of a zip"),
    ] {
        refused(keys, &package, 5, reason);
    }
}

#[test]
fn a_package_that_too_few_signed_or_that_they_disagree_on_is_refused() {
    let Some(keys) = keys() else { return };
    let signed = |signers: &[(&'static str, u64)]| with(|made| made.signers = signers.to_vec());
    // alice's key under bob's name, and her assertion twice.
    let once = signed(&[("alice", SIGNED)]);
    let all = once.all(keys);
    let content = |path: &str| all.iter().find(|(name, ..)| name == path).unwrap().1.clone();
    let mut one_key_twice = all.clone();
    for (from, to) in [
        ("gitian/alice-build.assert", "gitian/bob-build.assert"),
        ("gitian/alice-build.assert.sig", "gitian/bob-build.assert.sig"),
        ("gitian/alice-key.pgp", "gitian/bob-key.pgp"),
    ] {
        one_key_twice.push((to.into(), content(from), 0o100_644));
    }
    // carol built something else, and nobody asks her; bob's signature is of another assertion; mallory calls himself bob.
    let other = Made { signers: vec![("carol", SIGNED)], ..Made::new("2", &[("bin/coin", "evil")]) };
    let differing: Vec<_> = good()
        .all(keys)
        .into_iter()
        .chain(other.all(keys).into_iter().filter(|(path, ..)| path.starts_with("gitian/")))
        .collect();
    let unsigned: Vec<_> =
        differing.iter().filter(|(path, ..)| path != "gitian/carol-build.assert.sig").cloned().collect();
    let with_signature = |name: &'static str, signature: Vec<u8>| {
        with(|made| made.members.push((format!("gitian/{name}-build.assert.sig"), signature, 0o100_644))).zip(keys)
    };
    let forged = with_signature("bob", keys.sign("bob", b"something else", SIGNED));
    let by_mallory = with_signature("bob", keys.sign("mallory", &good().assertion(), SIGNED));
    let mallory_as_bob = with(|made| {
        made.members.push((
            "gitian/bob-build.assert.sig".into(),
            keys.sign("mallory", &good().assertion(), SIGNED),
            0o100_644,
        ));
        made.members.push(("gitian/bob-key.pgp".into(), keys.public("mallory"), 0o100_644));
    })
    .zip(keys);
    // Whoever signed in one file counts, each key once.
    let in_one_file = |names: [&'static str; 2]| {
        let both = names.map(|name| keys.sign(name, &once.assertion(), SIGNED)).concat();
        let mut all = all.clone();
        all.retain(|(path, ..)| path != "gitian/alice-build.assert.sig");
        all.push(("gitian/alice-build.assert.sig".into(), both, 0o100_644));
        all.push(("gitian/bob-key.pgp".into(), keys.public("bob"), 0o100_644));
        zip(&all)
    };
    assert_eq!(Place::new().take(keys, &in_one_file(["alice", "bob"])).0, 0);
    for (package, reason) in [
        (in_one_file(["alice", "alice"]), "alice signed it, which weighs 40, and 60 is demanded"),
        (once.zip(keys), "alice signed it, which weighs 40, and 60 is demanded"),
        (zip(&one_key_twice), "alice signed it, which weighs 40"),
        (signed(&[("mallory", SIGNED)]).zip(keys), "nobody signed it, which weighs 0"),
        (signed(&[]).zip(keys), "it has no assertion"),
        (signed(&[("alice", SIGNED), ("bob", NOW + 30 * 86_400)]).zip(keys), "which weighs 40"),
        (zip(&differing), "do not agree"),
        (zip(&unsigned), "do not agree"),
        (forged, "which weighs 40"),
        (by_mallory, "which weighs 40"),
        (mallory_as_bob, "which weighs 40"),
        (with(|made| made.left_out.push("gitian/bob-key.pgp".into())).zip(keys), "which weighs 40"),
        (
            with(|made| {
                made.members.push(("gitian/bob-build.assert".into(), b"--- !ruby/object:X {}\n".to_vec(), 0o100_644))
            })
            .zip(keys),
            "bob-build.assert",
        ),
        (Made::new("2", &[("../x", "1")]).zip(keys), "the path leaves the tree"),
        (
            with(|made| made.left_out = vec!["bin/coin".into(), "extra".into(), "docs/readme".into()]).zip(keys),
            "was signed, and is missing",
        ),
    ] {
        refused(keys, &package, 5, reason);
    }
}

#[test]
fn what_the_signers_list_may_not_lead_out_of_the_destination_either() {
    let Some(keys) = keys() else { return };
    for path in ["../x", "/etc/x", ".gitian-manifest", "gitian/alice-key.pgp"] {
        let made = Made {
            left_out: vec![path.into()],
            optionals: vec![path.into()],
            ..Made::new("2", &[("a", "1"), (path, "x")])
        };
        let (code, said) = Place::new().take(keys, &made.zip(keys));
        assert_eq!(code, 5, "{path}: {said}");
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_fills_the_disk() {
    let Some(keys) = keys() else { return };
    let more = "maximum_size: 1\n";
    let large = "0".repeat(2 << 20);
    let package = Made::new("2", &[("a", &large)]).zip(keys);
    let place = Place::new();
    let (code, said) = place.take_with(keys, &package, more, |_| {});
    assert_eq!((code, said.contains("more than 1048576 bytes")), (5, true), "{said}");
    // A small package that says that it unpacks to much.
    let mut bomb = zip(&[("a".into(), vec![0; 100], 0o100_644)]);
    let directory = bomb.windows(4).position(|some| some == b"PK\x01\x02").unwrap();
    for at in [22, directory + 24] {
        bomb[at..at + 4].copy_from_slice(&(1_u32 << 30).to_le_bytes());
    }
    for at in [8, directory + 10] {
        bomb[at] = 8;
    }
    let (code, said) = place.take_with(keys, &bomb, more, |_| {});
    assert_eq!((code, said.contains("unpacks to more than 1048576 bytes")), (5, true), "{said}");
    // A server that says nothing of a length, and one that promises less than it sends.
    for lies in [None, Some("10")] {
        let body = vec![b'x'; 2 << 20];
        let server = Server::new(move |_| {
            let headers = lies.map(|length: &str| ("Content-Length".to_owned(), length.to_owned()));
            Reply { headers: headers.into_iter().collect(), ..Reply::ok(&body) }
        });
        let urls = format!("urls:\n- url: {}/p.zip\n{more}", server.url);
        let (code, said) = answer(place.update(&config(keys, &urls), |_| {}));
        assert_eq!(code, 5, "{said}");
    }
    assert!(!exists(&place.dest()));
}

#[test]
fn a_download_that_is_cut_off_again_and_again_is_not_installed() {
    let Some(keys) = keys() else { return };
    let package = good().zip(keys);
    let cut = package.len() / 2;
    // Neither ranges nor a mark: every answer begins anew.
    let server = Server::new(move |_| Reply { cut: Some(cut), ..Reply::ok(&package) });
    let place = Place::new();
    let urls = format!("urls:\n- url: {}/p.zip\n", server.url);
    let (code, said) = answer(place.update(&config(keys, &urls), |_| {}));
    assert_eq!(code, 2, "{said}");
    assert!(place.tree().is_empty());
    assert_eq!(server.asked.lock().unwrap().len(), 5);
    // Nor does the next run go on with bytes that have no mark.
    assert_eq!(answer(place.update(&config(keys, &urls), |_| {})).0, 2);
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.len(), 10);
    for asked in &*asked {
        assert!(!asked.headers.contains_key("range") && !asked.headers.contains_key("if-range"), "{asked:?}");
    }
}

#[test]
fn an_old_release_that_is_shown_as_the_newest_is_noticed() {
    let Some(keys) = keys() else { return };
    let page = |release: &'static str, package: Vec<u8>| {
        Server::new(move |asked| match asked.path.as_str() {
            "/v" => Reply::ok(release.as_bytes()),
            _ => Reply::ok(&package),
        })
    };
    let place = Place::new();
    assert_eq!(place.take(keys, &Made::new("2", &[("a", "2")]).zip(keys)).0, 0);
    let urls = |server: &Server, more: &str| {
        config(keys, &format!("urls:\n- url: {0}/p\n  version_url: {0}/v\n{more}", server.url))
    };
    let old = |release| Made {
        signers: vec![("alice", NOW - 100 * 86_400), ("bob", NOW - 90 * 86_400)],
        ..Made::new(release, &[("a", release)])
    };
    for (server, more, code, reason) in [
        // A page of yesterday, an old package behind a new page, the same package behind a new page.
        (page("1", Vec::new()), "", 4, "/v 1 is older than 2, which is installed"),
        (page("4", Made::new("1", &[("a", "1")]).zip(keys)), "", 4, "release 1 is older than 2"),
        (page("4", Made::new("3", &[("a", "3")]).zip(keys)), "", 6, "release 4 is promised, and 3 is what comes"),
        // What is installed, behind a new page and behind its own.
        (page("4", Made::new("2", &[("a", "2")]).zip(keys)), "", 6, "release 4 is promised, and 2 is what comes"),
        (
            page("2", Made::new("2", &[("a", "2")]).zip(keys)),
            "",
            2,
            "release 2 is installed, and nothing newer is offered",
        ),
        // Signatures that are older than there have ever been.
        (
            page("3", old("3").zip(keys)),
            "maximum_age: 60\n",
            6,
            "the newest signature is 90 days old, and 60 are allowed",
        ),
    ] {
        let (found, said) = answer(place.update(&urls(&server, more), |_| {}));
        assert!(found == code && said.contains(reason), "{found} instead of {code}, {reason}: {said}");
        assert_eq!(place.tree(), tree(&[("a", "2")]));
    }
    // A page that never changes any more.
    let server = page("2", Vec::new());
    let later = |days: u64| move |order: &mut gitian_updater::Order<'_>| order.now = at(NOW + days * 86_400);
    assert_eq!(answer(place.update(&urls(&server, "maximum_age: 60\n"), later(50))).0, 2);
    let (code, said) = answer(place.update(&urls(&server, "maximum_age: 60\n"), later(70)));
    assert_eq!((code, said.contains("newer releases may be held back")), (6, true), "{said}");
    // Somebody who knows takes it all the same.
    let server = page("3", old("3").zip(keys));
    assert_eq!(answer(place.update(&urls(&server, "maximum_age: 60\n"), |order| order.force = true)).0, 0);
}

#[test]
fn what_is_in_the_way_stops_an_installation_and_everything_stays() {
    let Some(keys) = keys() else { return };
    let place = Place::new();
    assert_eq!(place.take(keys, &Made::new("1", &[("a", "1"), ("bin/coin", "1")]).zip(keys)).0, 0);
    let elsewhere = place.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, place.dest().join("lib")).unwrap();
    let two = Made::new("2", &[("a", "2"), ("bin/coin", "2"), ("lib/x", "2")]).zip(keys);
    let (code, said) = place.take(keys, &two);
    assert_eq!((code, said.contains("lib: is no folder; everything is as it was")), (1, true), "{said}");
    assert_eq!(fs::read_to_string(place.dest().join("bin/coin")).unwrap(), "1");
    assert!(fs::read_dir(&elsewhere).unwrap().next().is_none(), "nothing was written through the link");
    fs::remove_file(place.dest().join("lib")).unwrap();
    assert_eq!(place.take(keys, &two).0, 0);
    assert_eq!(place.tree(), tree(&[("a", "2"), ("bin/coin", "2"), ("lib/x", "2")]));
    assert_eq!(place.work(), ["lock"]);
}

#[test]
fn a_file_of_the_users_own_is_never_overwritten() {
    let Some(keys) = keys() else { return };
    let place = Place::new();
    assert_eq!(place.take(keys, &Made::new("1", &[("a", "1"), ("b", "1")]).zip(keys)).0, 0);
    let mine = place.dest().join("docs/c");
    fs::create_dir(place.dest().join("docs")).unwrap();
    fs::write(&mine, "a user's").unwrap();
    let two = Made::new("2", &[("a", "2"), ("docs/c", "2")]).zip(keys);
    let (code, said) = place.take(keys, &two);
    assert_eq!((code, said.contains("docs/c: is in the way; everything is as it was")), (1, true), "{said}");
    assert_eq!(place.tree(), tree(&[("a", "1"), ("b", "1"), ("docs/c", "a user's")]));
    fs::remove_file(&mine).unwrap();
    assert_eq!(place.take(keys, &two).0, 0);
    assert_eq!(place.tree(), tree(&[("a", "2"), ("docs/c", "2")]));
}

/// Release 1 installed, and the installation of release 2 broken off with everything laid out and `a` in its place.
fn broken_off(keys: &Keys) -> (Place, Vec<u8>) {
    let (place, other) = (Place::new(), Place::new());
    assert_eq!(place.take(keys, &Made::new("1", &[("a", "1"), ("b", "1"), ("c", "1")]).zip(keys)).0, 0);
    let two = Made::new("2", &[("a", "2"), ("b", "2"), ("lib/x", "2")]).zip(keys);
    assert_eq!(other.take(keys, &two).0, 0);
    let manifest = fs::read_to_string(other.dest().join(".gitian-manifest")).unwrap();
    let quoted = manifest.replace('\n', "\n  ");
    let journal = format!(
        "files:\n- a\n- b\n- lib/x\nremoved:\n- c\nreplaced:\n- a\n- b\nmanifest: |\n  {}\n",
        quoted.trim_end()
    );
    let work = place.dest().join(".gitian-update");
    fs::create_dir_all(work.join("stage/lib")).unwrap();
    fs::create_dir(work.join("old")).unwrap();
    fs::rename(place.dest().join("a"), work.join("old/a")).unwrap();
    for (path, text) in [("../a", "2"), ("stage/b", "2"), ("stage/lib/x", "2"), ("journal.yml", &*journal)] {
        fs::write(work.join(path), text).unwrap();
    }
    (place, two)
}

#[test]
fn an_installation_that_was_broken_off_is_finished_with_what_was_signed_or_taken_back() {
    let Some(keys) = keys() else { return };
    let (place, two) = broken_off(keys);
    let (code, said) = place.take(keys, &two);
    assert_eq!((code, said.contains(r#"release: "2""#), said.contains("installed: true")), (0, true, true), "{said}");
    assert_eq!(place.tree(), tree(&[("a", "2"), ("b", "2"), ("lib/x", "2")]));
    assert_eq!(place.take(keys, &two).0, 2, "the same release");
    let (place, _) = broken_off(keys);
    let (code, said) = answer(place.update(&config(keys, "urls:\n- url: file:///none\n"), |_| {}));
    assert_eq!((code, said.contains("installed: true")), (0, true), "{said}");

    type Meddling<'a> = &'a dyn Fn(&Place);
    let work = |place: &Place| place.dest().join(".gitian-update");
    // Broken off behind the last file: while it cleaned up, or while something followed.
    let journal = fs::read(work(&broken_off(keys).0).join("journal.yml")).unwrap();
    for left in [&["stage/lib", "old/a"][..], &["old"], &[]] {
        let (place, two) = (Place::new(), Made::new("2", &[("a", "2")]).zip(keys));
        assert_eq!(place.take(keys, &two).0, 0);
        fs::write(work(&place).join("finished.yml"), &journal).unwrap();
        left.iter().for_each(|left| fs::create_dir_all(work(&place).join(left)).unwrap());
        // A user's own, where the old release had a file: it stays.
        fs::write(place.dest().join("c"), "a user's").unwrap();
        let (code, said) = place.take(keys, &two);
        assert_eq!((code, said.contains(r#"release: "2""#)), (0, true), "{said}");
        assert_eq!(*place.followed.lock().unwrap(), ["2", "2"], "once by the first run, and once more");
        assert_eq!(place.work(), ["lock"]);
        assert_eq!(place.tree(), tree(&[("a", "2"), ("c", "a user's")]));
        assert_eq!(place.take(keys, &two).0, 2, "and that is all");
        assert_eq!(place.followed.lock().unwrap().len(), 2);
    }
    // What follows comes before anything newer is looked for, and after that too.
    let (place, _) = broken_off(keys);
    assert_eq!(place.take(keys, &Made::new("3", &[("a", "3")]).zip(keys)).0, 0);
    assert_eq!(*place.followed.lock().unwrap(), ["1", "2", "3"]);
    let (place, _) = broken_off(keys);
    assert_eq!(place.take(keys, b"no package").0, 5);
    assert_eq!(*place.followed.lock().unwrap(), ["1", "2"]);

    let meddlings: [(Meddling<'_>, &str); 4] = [
        (&|place| fs::write(work(place).join("stage/b"), "evil").unwrap(), "b: is not the file that was signed"),
        (&|place| fs::remove_dir_all(work(place).join("stage")).unwrap(), "b: is not the file that was signed"),
        (&|place| fs::remove_file(work(place).join("stage/lib/x")).unwrap(), "lib/x: is not there"),
        (
            &|place| {
                fs::remove_file(work(place).join("stage/b")).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", work(place).join("stage/b")).unwrap();
            },
            "b: is not the file that was signed",
        ),
    ];
    for (meddle, reason) in meddlings {
        let (place, two) = broken_off(keys);
        meddle(&place);
        let (code, said) = place.take(keys, &two);
        let says = said.contains(reason) && said.contains("everything is as it was");
        assert_eq!((code, says), (1, true), "{reason}: {said}");
        assert_eq!(place.tree(), tree(&[("a", "1"), ("b", "1"), ("c", "1")]), "{reason}");
        assert_eq!(place.work(), ["lock"]);
        assert_eq!(place.take(keys, &two).0, 0, "and the next run installs it");
    }
}

#[test]
fn what_a_broken_installation_did_not_place_is_left_alone() {
    let Some(keys) = keys() else { return };
    // A link to a folder of somebody's, with a file that is not ours although it has our digest.
    let (place, two) = broken_off(keys);
    let elsewhere = place.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("x"), "2").unwrap();
    fs::remove_dir_all(place.dest().join(".gitian-update/stage/lib")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, place.dest().join("lib")).unwrap();
    let (code, said) = place.take(keys, &two);
    assert_eq!((code, said.contains("lib: is no folder")), (1, true), "{said}");
    assert!(elsewhere.join("x").exists() && exists(&place.dest().join("lib")));
    assert_eq!(fs::read_to_string(place.dest().join("a")).unwrap(), "1");

    // A file of the user's where an old one was: it stays, and so does the old one, until there is room for it.
    let (place, two) = broken_off(keys);
    fs::write(place.dest().join("a"), "a user's").unwrap();
    for _ in 0..2 {
        let (code, said) = place.take(keys, &two);
        assert_eq!((code, said.contains("a: something else is in its place")), (1, true), "{said}");
        assert_eq!(place.tree(), tree(&[("a", "a user's"), ("b", "1"), ("c", "1")]));
        assert_eq!(fs::read_to_string(place.dest().join(".gitian-update/old/a")).unwrap(), "1");
    }
    fs::remove_file(place.dest().join("a")).unwrap();
    let (code, said) = place.take(keys, &two);
    assert_eq!((code, said.contains("everything is as it was")), (1, true), "{said}");
    assert_eq!(place.tree(), tree(&[("a", "1"), ("b", "1"), ("c", "1")]));
    assert_eq!(place.take(keys, &two).0, 0);
}
