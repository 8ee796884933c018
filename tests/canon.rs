//! gitian canon and canon-zip as their users call them: options, messages, exit codes, what lies there afterwards.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use gitian_manifest::Digest;

use crate::support::programs::{Answer, run};

fn here() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn python(script: &str, folder: &Path) {
    Command::new("python3").args(["-c", script]).current_dir(folder).assert().success();
}

/// A zip as Python makes it: two entries with times of their own, one stored, one that may be run.
const MAKE_ZIP: &str = r#"
import zipfile
with zipfile.ZipFile("in.zip", "w") as zip:
    for name, mode, how in [("z/run", 0o100750, zipfile.ZIP_DEFLATED), ("a", 0o100600, zipfile.ZIP_STORED)]:
        info = zipfile.ZipInfo(name, (2013, 7, 6, 5, 4, 2))
        info.external_attr, info.create_system, info.compress_type = mode << 16, 3, how
        info.comment = b"made by hand"
        zip.writestr(info, "hello " * 40)
"#;

/// What a zip has, as Python tells it.
fn listed(zip: &Path) -> String {
    const LIST: &str = r#"
import sys, zipfile
for info in zipfile.ZipFile(sys.argv[1]).infolist():
    print(info.filename, "%d-%d-%d %d:%d:%d" % info.date_time, "%o" % (info.external_attr >> 16), len(info.extra), info.comment.decode())
"#;
    let output = Command::new("python3").args(["-c", LIST]).arg(zip).assert().success();
    String::from_utf8(output.get_output().stdout.clone()).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn canon_zip_sets_every_time_and_keeps_the_rest() {
    let here = here();
    python(MAKE_ZIP, here.path());
    run("canon-zip", &["2014-05-13", "in.zip", "out.zip"], here.path()).succeeds();
    assert_eq!(
        listed(&here.path().join("out.zip")),
        "z/run 2014-5-13 0:0:0 100750 0 \na 2014-5-13 0:0:0 100600 0 \n",
        "order and attributes are kept"
    );
    for (args, code, says) in [
        (&["2014-5-13", "in.zip", "x.zip"][..], 2, "is no day from"),
        (&["2014-05-13", "in.zip", "in.zip"], 2, "OUTPUT is INPUT"),
        (&["2014-05-13", "in.zip"], 2, "<OUTPUT>"),
        (&["2014-05-13", "none.zip", "x.zip"], 1, "none.zip: No such file or directory"),
        (&["2014-05-13", "in.zip", "none/x.zip"], 1, "output none/x.zip: there is no folder none\n"),
        (&["2014-05-13", "in.zip", "/dev/stdout"], 1, "output /dev/stdout is there and is not a file"),
    ] {
        let Answer { stderr, code: found, .. } = run("canon-zip", args, here.path());
        assert_eq!(found, code, "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    assert_eq!(names(here.path()), ["in.zip", "out.zip"]);
}

#[test]
fn every_option_of_canon_does_what_it_says() {
    let here = here();
    python(MAKE_ZIP, here.path());
    for (options, expected) in [
        (&[][..], "a 1980-1-1 0:0:0 100644 0 \nz/run 1980-1-1 0:0:0 100755 0 \n"),
        (&["--keep-order", "--date", "2014-05-13"], "z/run 2014-5-13 0:0:0 100755 0 \na 2014-5-13 0:0:0 100644 0 \n"),
        (
            &["--keep-modes", "--epoch", "1400000000"],
            "a 2014-5-13 16:53:20 100600 0 \nz/run 2014-5-13 16:53:20 100750 0 \n",
        ),
        (
            &["--clamp", "--date", "2014-05-13T01:02:04Z"],
            "a 2013-7-6 5:4:2 100644 0 \nz/run 2013-7-6 5:4:2 100755 0 \n",
        ),
        (&["--clamp", "--date", "2012-01-01"], "a 2012-1-1 0:0:0 100644 0 \nz/run 2012-1-1 0:0:0 100755 0 \n"),
        (
            &["--keep-order", "--sort", "--format", "jar"],
            "a 1980-1-1 0:0:0 100644 0 \nz/run 1980-1-1 0:0:0 100755 0 \n",
        ),
    ] {
        let args: Vec<&str> = ["canon"].iter().chain(options).chain(&["in.zip", "out.zip"]).copied().collect();
        let told = run("gitian", &args, here.path()).succeeds();
        assert_eq!(listed(&here.path().join("out.zip")), expected, "{options:?}");
        assert_eq!(told.stderr, "canon: note: in.zip: not kept: comments (2)\n", "{options:?}");
        assert_eq!(told.stdout, "");
    }
    // What a zip cannot tell is not changed silently.
    for (option, expected) in [
        ("--date=1970-01-01", &["comments (2)", "times before 1980 (2)"][..]),
        ("--date=1979-12-31", &["comments (2)", "times before 1980 (2)"]),
        ("--date=1980-01-01", &["comments (2)"]),
        ("--epoch=4294967295", &["comments (2)"]),
    ] {
        let told = run("gitian", &["canon", option, "in.zip", "out.zip"], here.path()).succeeds();
        let lines: String = expected.iter().map(|what| format!("canon: note: in.zip: not kept: {what}\n")).collect();
        assert_eq!(told.stderr, lines, "{option}");
    }
    let quiet = run("gitian", &["canon", "-q", "in.zip", "out.zip"], here.path()).succeeds();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn wrong_usage_and_what_cannot_be_read_end_with_a_message_and_nothing_written() {
    let here = here();
    python(MAKE_ZIP, here.path());
    fs::write(here.path().join("text"), "no archive\n").unwrap();
    fs::create_dir(here.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("in.zip", here.path().join("link.zip")).unwrap();
    for (args, code, says) in [
        (&["in.zip"][..], 2, "<OUT>"),
        (&["in.zip", "in.zip"], 2, "--in-place"),
        (&["in.zip", "link.zip"], 2, "--in-place"),
        (&["--date", "2014-05-13", "--epoch", "1", "in.zip", "x"], 2, "cannot be used with"),
        (&["--epoch=-1", "in.zip", "x"], 2, "invalid value '-1'"),
        (&["--format", "rar", "in.zip", "x"], 2, "rar is none of zip"),
        (&["--format", "tar", "in.zip", "x"], 1, "in.zip: is zip, which cannot become tar"),
        (&["text", "x"], 1, "text: is no archive that is known"),
        (&["folder", "x"], 1, "folder: is not a regular file"),
        (&["/dev/zero", "x"], 1, "/dev/zero: is not a regular file"),
        (&["in.zip", "folder"], 1, "output folder is there and is not a file"),
        (&["in.zip", "-"], 2, "a file of that name is ./-"),
        (&["none", "x"], 1, "none: No such file or directory"),
        (&["--max-entries", "1", "in.zip", "x"], 1, "hint: if it may be that large: --max-size GIB, --max-entries N"),
    ] {
        let args: Vec<&str> = ["canon"].iter().chain(args).copied().collect();
        let Answer { stderr, code: found, .. } = run("gitian", &args, here.path());
        assert_eq!(found, code, "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    assert_eq!(names(here.path()), ["folder", "in.zip", "link.zip", "text"]);
}

#[test]
fn an_archive_becomes_canonical_in_its_own_place_only_when_asked() {
    let here = here();
    python(MAKE_ZIP, here.path());
    let zip = here.path().join("in.zip");
    run("gitian", &["canon", "in.zip", "out.zip"], here.path()).succeeds();
    // Behind a link, too, and the link stays one.
    std::os::unix::fs::symlink("in.zip", here.path().join("link.zip")).unwrap();
    run("gitian", &["canon", "-q", "--in-place", "link.zip"], here.path()).succeeds();
    assert!(here.path().join("link.zip").is_symlink());
    fs::remove_file(here.path().join("link.zip")).unwrap();
    run("gitian", &["canon", "-q", "--in-place", "in.zip"], here.path()).succeeds();
    assert_eq!(fs::read(&zip).unwrap(), fs::read(here.path().join("out.zip")).unwrap());
    // Those bytes are a promise: if they change, so does what others have published.
    assert_eq!(
        Digest::of_file(&zip).unwrap().to_string(),
        "5b72b1421c69e4038e7722d0f600aca75c8521d939c1eef53fc7395f503e5f09"
    );
}
