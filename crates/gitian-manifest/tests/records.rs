//! The reports and assertions that the original wrote are taken apart and put together again in the same bytes.

mod shared;

use std::fs;

use gitian_manifest::{Assertion, Manifest, Report};

#[test]
fn every_recorded_report_is_written_as_it_is_and_as_put_together_from_its_parts() {
    let Some(folder) = shared::data("original") else { return };
    let reports = shared::files(&folder, "-res.yml");
    for path in &reports {
        let bytes = fs::read(path).unwrap();
        let report = Report::read(&bytes).unwrap();
        assert!(report.render() == bytes, "{} is written differently", path.display());
        let again = Report::new(
            Manifest::parse(&report.out_manifest).manifest.render(),
            report.in_manifest.clone(),
            report.base_manifests.clone(),
            report.cache_common_manifest.clone(),
            report.cache_package_manifest.clone(),
        );
        assert!(again.render() == bytes, "{} is put together differently", path.display());
    }
    assert_eq!(reports.len(), 45);
}

#[test]
fn every_recorded_assertion_is_written_as_it_is_and_as_made_from_its_report() {
    let Some(folder) = shared::data("original/sign/trees") else { return };
    let (mut written, mut made, mut unreadable) = (0, 0, 0);
    for path in shared::files(&folder, ".assert") {
        let bytes = fs::read(&path).unwrap();
        let Ok(assertion) = Assertion::read(&bytes) else {
            unreadable += 1;
            continue;
        };
        written += usize::from(assertion.render() == bytes);
        let Ok(report) = Report::read(&bytes) else { continue };
        let report = Report::new(
            report.out_manifest,
            report.in_manifest,
            report.base_manifests,
            report.cache_common_manifest,
            report.cache_package_manifest,
        );
        let (Some(release), Some(name)) = (assertion.release(), assertion.name()) else { continue };
        let optionals = assertion.optionals().map(|list| list.into_iter().map(str::to_owned).collect());
        made += usize::from(Assertion::new(report, release, name, optionals).render() == bytes);
    }
    assert_eq!((written, made, unreadable), (42, 42, 1));
}
