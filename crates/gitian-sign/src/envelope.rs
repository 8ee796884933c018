//! A signed statement as an envelope of DSSE, one JSON object on a line.
//!
//! DSSE leaves open how a signature is made. Here it is a detached OpenPGP signature, binary, of the pre-authentication
//! encoding, and `keyid` is the fingerprint of the key that made it. Programs that know other kinds of keys only cannot
//! check it; `gpg --verify` can. Source: DSSE 1.0, protocol.md and envelope.md.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::openpgp;

/// What is in an envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Returns what is signed of a payload, `PAE(type, payload)`.
pub fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

/// Writes an envelope, without a newline.
pub(crate) fn render(payload: &[u8], signature: &[u8]) -> Result<String> {
    let mut signed = json!({ "sig": STANDARD.encode(signature) });
    if let Some(key) = openpgp::issuer(signature)? {
        signed["keyid"] = key.into();
    }
    let envelope = json!({
        "payloadType": PAYLOAD_TYPE,
        "payload": STANDARD.encode(payload),
        "signatures": [signed],
    });
    Ok(envelope.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_has_the_lengths_in_bytes() {
        let encoded = pre_authentication_encoding("{\"ä\":1}".as_bytes());
        assert_eq!(encoded, "DSSEv1 28 application/vnd.in-toto+json 8 {\"ä\":1}".as_bytes());
    }
}
