//! Clear-signed messages: readable text with its signature below, in one file. What a signature is worth is known to
//! `openpgp`.

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// A clear-signed message, cut into its two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearSigned {
    /// The text as it is signed: without dash escapes, without blanks at the ends of lines, without the last newline.
    pub text: String,
    /// The armored signatures.
    pub signatures: String,
}

impl ClearSigned {
    /// Whether bytes begin as a clear-signed message does.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.trim_ascii_start().starts_with(BEGIN.as_bytes())
    }

    /// Cuts a message. Returns nothing if the text is no clear-signed message, or says anything outside of the signed
    /// part: a reader would take it for signed.
    ///
    /// Source: RFC 9580, section 7.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.find(|line| !is_blank(line))?.trim_end() != BEGIN {
            return None;
        }
        // Only the digest may be named between the first line and the empty one.
        loop {
            match lines.next()? {
                line if is_blank(line) => break,
                line if line.starts_with("Hash: ") => {}
                _ => return None,
            }
        }
        let mut signed = Vec::new();
        loop {
            let line = lines.next()?.trim_end_matches([' ', '\t', '\r']);
            match line.strip_prefix("- ") {
                Some(escaped) => signed.push(escaped),
                None if line == SIGNATURE => break,
                // A line of dashes that is not escaped begins something else.
                None if line.starts_with('-') => return None,
                None => signed.push(line),
            }
        }
        let mut signatures = format!("{SIGNATURE}\n");
        for line in lines.by_ref() {
            signatures.push_str(line);
            signatures.push('\n');
            if line.trim_end() == END {
                break;
            }
        }
        if !lines.all(is_blank) {
            return None;
        }
        Some(Self { text: signed.join("\n"), signatures })
    }
}

fn is_blank(line: &str) -> bool {
    line.trim_end().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_and_its_text_is_as_it_was_signed() {
        let message =
            format!("{BEGIN}\r\nHash: SHA512\r\n\r\none \t\r\n- -two\n\nthree\n{SIGNATURE}\n\nabc\n{END}\n\n");
        let parsed = ClearSigned::parse(&message).unwrap();
        assert_eq!(parsed.text, "one\n-two\n\nthree");
        assert_eq!(parsed.signatures, format!("{SIGNATURE}\n\nabc\n{END}\n"));
    }

    #[test]
    fn what_could_pass_for_signed_text_without_being_it_is_refused() {
        for message in [
            String::new(),
            "plain text\n".into(),
            format!("read me first\n{BEGIN}\n\ntext\n{SIGNATURE}\n"),
            format!("{BEGIN}\nread me first\n\ntext\n{SIGNATURE}\n"),
            format!("{BEGIN}\n\ntext\n{BEGIN}\n\nmore\n{SIGNATURE}\n"),
            format!("{BEGIN}\n\ntext\n{SIGNATURE}\n\nabc\n{END}\nread me last\n"),
            format!("{BEGIN}\n\ntext without signature\n"),
            format!("{BEGIN}\nHash: SHA256\n"),
        ] {
            assert_eq!(ClearSigned::parse(&message), None, "{message}");
        }
    }
}
