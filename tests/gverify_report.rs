//! The reports of gverify, for a browser and for a pull request, about fifteen years of real releases.

use std::fs;

use crate::support::programs::Workdir;
use crate::support::shared;

/// Returns how often each verdict has a cell, by its word.
fn cells(html: &str, word: &str) -> usize {
    html.matches(&format!(": {word}\">")).count()
}

#[test]
fn a_page_shows_every_release_and_every_signer_with_a_verdict_in_words() {
    let Some(data) = shared("sigs") else { return };
    let work = Workdir::new();
    let (tree, keys) = (data.join("sigs"), data.join("keys"));
    let args = ["--all", "-d", tree.to_str().unwrap(), "--keys", keys.to_str().unwrap(), "--at", "2026-11-21"];
    let plain = work.run("gverify", &args);
    let answer = work.run("gverify", &[&args[..], &["--html", "page.html", "--markdown", "page.md"]].concat());
    assert_eq!((answer.stdout, answer.code), (plain.stdout, plain.code), "{}", answer.stderr);
    let html = fs::read_to_string(work.path().join("page.html")).unwrap();
    let text = fs::read_to_string(work.path().join("page.md")).unwrap();
    let mut releases = 0;
    for entry in fs::read_dir(&tree).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        releases += 1;
        if name == "0.6.0.7rc1-win32" {
            // Its files lie outside of a signer's folder: told above the matrix.
            assert!(html.contains("0.6.0.7rc1-win32/bitcoin-build.assert lies outside of a signer&#39;s folder.</p>"));
            continue;
        }
        assert!(html.contains(&format!("<th scope=\"row\">{name} <span>")), "{name}");
        assert!(text.contains(&format!("| {} |", name.replace('.', "&#46;").replace('-', "&#45;"))), "{name}");
    }
    assert_eq!(releases, 29);
    // What is counted above the matrix is what is in it.
    for word in ["OK", "MISMATCH", "BAD SIGNATURE", "NO KEY", "MISSING SIGNATURE"] {
        let count = cells(&html, word);
        assert!(count > 0 && html.contains(&format!("{word}: {count}</li>")), "{word}: {count}");
    }
    // As many opening as closing tags of each kind.
    for tag in ["details", "summary", "td", "th", "tr", "table", "div", "ul", "li", "span", "pre", "main", "html"] {
        let open = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(open, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    // Every line that differs is there, in both directions.
    let mismatch = html.split("<pre>").nth(1).and_then(|rest| rest.split("</pre>").next()).unwrap();
    assert!(mismatch.contains("\n+ ") && mismatch.starts_with("- "), "{mismatch}");
    assert!(text.len() <= 65_536, "{}", text.len());
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let Some(data) = shared("sigs") else { return };
    let work = Workdir::new();
    let (tree, keys) = (data.join("sigs"), data.join("keys"));
    let args = ["--name", "bitcoin", "-r", "0.9.5-osx", "-d", tree.to_str().unwrap(), "--keys", keys.to_str().unwrap()];
    let answer = work.run("gverify", &[&args[..], &["--html", "no/such/folder/page.html"]].concat());
    let expected = "gverify: error: no/such/folder/page.html: there is no folder no/such/folder\n";
    assert!(answer.stderr.contains(expected) && answer.code == 2 && answer.stdout.is_empty(), "{}", answer.stderr);
    for option in ["--html", "--markdown"] {
        let answer = work.run("gverify", &[&args[..], &[option, "-"]].concat());
        assert!(answer.stderr.starts_with("gverify: error: -: a report goes to a file\n"), "{}", answer.stderr);
        assert!(answer.code == 2 && answer.stdout.is_empty() && !work.path().join("-").exists());
    }
    // Not a guest's disk.
    let answer = work.run("gverify", &[&args[..], &["--html", "/dev/full"]].concat());
    let expected =
        "No space left on device\nhint: make room on the disk (`df -h` shows which is full), then try again\n";
    assert!(answer.stderr.ends_with(expected) && answer.code == 2, "{}", answer.stderr);
    let answer = work.run("gverify", &[&args[..], &["--html", "page.html"]].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(fs::read_to_string(work.path().join("page.html")).unwrap().contains("<td><details"));
}
