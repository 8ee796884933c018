//! Every kind of guest gives the same bytes: the same outputs, packages and surroundings of a script.

use std::fs;

use gitian_manifest::Report;

use crate::support;
use crate::support::backends::{ROWS, Row};
use crate::support::dump::{Dump, assert_same_packages};
use crate::support::programs::Workdir;
use crate::support::{checkout, hello};

/// Whether tests that take many minutes are asked for.
fn slow() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test program's own surroundings")]
    std::env::var_os("GITIAN_TEST_SLOW").is_some()
}

/// Runs a comparison of every kind of guest that can run here with the first.
fn compare<T>(make: impl Fn(&Row, &Workdir) -> Option<T>, check: impl Fn(&Row, &T, &T)) {
    let mut first = None;
    for row in ROWS {
        if row.elsewhere && !slow() {
            support::skip("slow", &format!("{}: compared by a test of its own (GITIAN_TEST_SLOW=1)", row.name));
            continue;
        }
        let Some(work) = row.workdir() else { continue };
        let Some(made) = make(row, &work) else { continue };
        match &first {
            None => first = Some(made),
            Some(first) => check(row, first, &made),
        }
    }
}

#[test]
fn hello_and_its_packages_are_the_same_in_every_kind_of_guest() {
    let Some(tarball) = hello::tarball() else { return };
    let build = |row: &Row, work: &Workdir| {
        work.input("hello_2.10.orig.tar.gz", &tarball);
        let example = checkout().join("share/examples/hello/hello.yml");
        work.run("gbuild", &[example.to_str().unwrap()]).succeeds();
        let first = fs::read(work.path().join("result/hello-res.yml")).unwrap();
        // The second time from a layer; where a processor is emulated, `kvm.rs` does that with less.
        if !row.boots() {
            let again = work.run("gbuild", &[example.to_str().unwrap()]).succeeds();
            assert!(again.stdout.contains("Using the packages of an earlier build"), "{}", again.stdout);
            assert!(fs::read(work.path().join("result/hello-res.yml")).unwrap() == first, "the second build's record");
        }
        Some(Report::read(&first).unwrap())
    };
    compare(build, |row, expected, found| {
        assert_eq!(found.out_manifest, expected.out_manifest, "{}", row.name);
        assert_eq!(found.in_manifest, expected.in_manifest, "{}", row.name);
        assert_same_packages(row, expected, found);
    });
}

#[test]
fn a_script_sees_the_same_around_it_in_every_kind_of_guest() {
    compare(|_, work| Some(Dump::of(work, &[])), |row, expected, found| found.assert_like(expected, row));
}
