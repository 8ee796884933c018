//! What gverify says about one signer, out of all that it tells as JSON.

use serde::Deserialize;

#[derive(Deserialize)]
struct Told {
    releases: Vec<Release>,
}

#[derive(Deserialize)]
struct Release {
    #[serde(default)]
    signers: Vec<Signer>,
}

#[derive(Deserialize)]
struct Signer {
    signer: String,
    verdict: String,
}

/// Returns what keeps a signer's assertion from being good, in words that follow on what it is about.
pub(crate) fn verdict(json: &[u8], signer: &str) -> Result<(), String> {
    let told: Told = serde_json::from_slice(json).map_err(|_| "gverify tells no verdict".to_owned())?;
    let mut signers = told.releases.iter().flat_map(|release| &release.signers);
    match signers.find(|found| found.signer == signer).map(|found| found.verdict.as_str()) {
        Some("ok") => Ok(()),
        Some("mismatch" | "not-compared") => {
            Err(format!("what others signed is not what {signer} built, so that it is not pushed"))
        }
        Some(verdict) => Err(format!("gverify says {verdict} of {signer}, so that it is not pushed")),
        None => Err(format!("{signer} has signed nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verdict_of_ones_own_assertion_counts() {
        let json = |alice: &str| {
            format!(
                "{{\"schema\":1,\"releases\":[{{\"outcome\":\"failed\",\"signers\":[\
                 {{\"signer\":\"bob\",\"verdict\":\"no-key\"}},{{\"signer\":\"alice\",\"verdict\":\"{alice}\"}}]}}]}}"
            )
        };
        for (alice, expected) in [
            ("ok", None),
            ("mismatch", Some("what others signed is not what alice built, so that it is not pushed")),
            ("not-compared", Some("what others signed is not what alice built, so that it is not pushed")),
            ("bad-signature", Some("gverify says bad-signature of alice, so that it is not pushed")),
        ] {
            assert_eq!(verdict(json(alice).as_bytes(), "alice").err().as_deref(), expected, "{alice}");
        }
        assert!(verdict(json("ok").as_bytes(), "carol").is_err());
        assert!(verdict(b"{\"releases\":[{\"problem\":\"x\"}]}", "alice").is_err());
        assert!(verdict(b"", "alice").is_err());
    }
}
