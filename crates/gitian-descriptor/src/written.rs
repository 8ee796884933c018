//! What YAML 1.1 makes of a plain word that we keep as it was written.

/// Returns what a boolean key means by this word. Source: Psych's scalar scanner, which leaves out YAML's `y` and `n`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// Whether the original would read another text than the one that is written: `22.10` is the number 22.1 to it, `010` is
/// 8, `1:30` is 90, `yes` is true, and a date is refused.
pub(crate) fn read_differently(text: &str) -> bool {
    if let Some(value) = boolean(text) {
        return text != value.to_string();
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let only = |more: &str| digits.chars().all(|c| c.is_ascii_digit() || more.contains(c));
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.contains(|c: char| c.is_ascii_digit()) {
        return false;
    }
    if only("") {
        // Without 8 and 9, a leading zero makes it octal.
        return text.starts_with('+') || (digits.len() > 1 && digits.starts_with('0') && !digits.contains(['8', '9']));
    }
    if only(".") && digits.matches('.').count() == 1 {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let shortest = (whole == "0" || !whole.is_empty() && !whole.starts_with('0'))
            && (fraction == "0" || !fraction.is_empty() && !fraction.ends_with('0'));
        return text.starts_with('+') || !shortest;
    }
    let hexadecimal = digits.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let date = digits.len() == 10 && only("-") && digits.matches('-').count() == 2;
    hexadecimal || date || only("_,") || only(":") && !digits.ends_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_the_original_reads_as_another_text_are_known() {
        let differently =
            ["22.10", "010", "1_000", "1,000", "1:30", "0x1F", "yes", "Off", "True", "+1", ".5", "1.", "2020-01-01"];
        for text in differently {
            assert!(read_differently(text), "{text}");
        }
        let alike = [
            "22.04",
            "1.0",
            "0.5",
            "22",
            "0",
            "true",
            "false",
            "bookworm",
            "1234567",
            "12e4567",
            "1e10",
            "0o10",
            "089",
            "v1.0",
            "1.2.3",
            "y",
            "-",
            "",
            "2.10-1",
            "0123456789abcdef",
        ];
        for text in alike {
            assert!(!read_differently(text), "{text}");
        }
    }
}
