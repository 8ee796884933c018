//! Every assertion of real sigs trees is read; those in today's form are written as they are.

mod shared;

use std::fs;

use gitian_manifest::{Assertion, Manifest, SigsTree};

#[test]
fn every_real_assertion_is_read_and_those_in_todays_form_are_written_in_the_same_bytes() {
    let Some(folder) = shared::data("sigs/sigs") else { return };
    let (mut read, mut same, mut same_but_blanks, mut web_pages) = (0, 0, 0, Vec::new());
    for path in shared::files(&folder, ".assert") {
        let bytes = fs::read(&path).unwrap();
        let assertion = match Assertion::read(&bytes) {
            Ok(assertion) => assertion,
            Err(error) => {
                web_pages.push(error.to_string());
                continue;
            }
        };
        read += 1;
        let out = Manifest::parse(assertion.out_manifest().unwrap());
        assert!(!out.manifest.entries.is_empty() && out.unreadable.is_empty(), "{}: {out:?}", path.display());
        assert!(assertion.in_manifest().is_some() && !assertion.base_manifests().unwrap().is_empty());
        let written = assertion.render();
        assert_eq!(Assertion::read(&written).unwrap(), assertion, "{}", path.display());
        // 15 are as Ruby writes today, 87 have blanks at the end of lines that it no longer writes; the others are in
        // older spellings (`!omap`, `! '…'`), and are written as Ruby itself writes them again.
        same += usize::from(written == bytes);
        let without_blanks = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(" \n", "\n");
        same_but_blanks += usize::from(without_blanks(&written) == without_blanks(&bytes));
    }
    assert_eq!((read, same, same_but_blanks), (226, 15, 15 + 87));
    assert_eq!(web_pages, ["a web page, not an ordered map"]);
}

#[test]
fn every_assertion_is_found_through_its_tree() {
    let Some(folder) = shared::data("sigs/sigs") else { return };
    let tree = SigsTree::new(&folder);
    let (mut found, mut elsewhere, mut strays) = (0, 0, 0);
    for release in fs::read_dir(&folder).unwrap() {
        let release = release.unwrap().file_name().into_string().unwrap();
        let signers = tree.signers(&release).unwrap();
        assert!(signers.names.is_sorted(), "{signers:?}");
        strays += signers.strays.len(); // an assertion beside the folders of the signers
        for signer in signers.names {
            for path in shared::files(&tree.signer_folder(&release, &signer), "-build.assert") {
                if path.parent() != Some(&tree.signer_folder(&release, &signer)) {
                    elsewhere += 1; // one release of the tree has a folder too many
                    continue;
                }
                let file = path.file_name().unwrap().to_str().unwrap();
                let package = file.strip_suffix("-build.assert").unwrap();
                assert_eq!(tree.assert_path(&release, &signer, package), path);
                assert_eq!(tree.signature_path(&release, &signer, package), path.with_extension("assert.sig"));
                found += 1;
            }
        }
    }
    assert_eq!((found, elsewhere, strays), (225, 1, 2));
}
