//! Text from outside (names, logs, user ids) that cannot move the cursor, hide, or turn the line around.

/// Returns a text with its control and direction characters written out.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_dangerous(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn is_dangerous(c: char) -> bool {
    // Marks, embeddings, overrides and isolates of the bidirectional algorithm, and characters of no width.
    let turns = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    turns || (c.is_control() && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mislead_a_reader_is_written_out() {
        for (text, shown) in [
            ("plain: \u{e4}\u{4e2d}\t", "plain: \u{e4}\u{4e2d}\t"),
            ("\u{1b}[2Kgone", r"\u{1b}[2Kgone"),
            ("a\nb\r", r"a\nb\r"),
            ("eve\u{202e}ecila", r"eve\u{202e}ecila"),
            ("al\u{200b}ice", r"al\u{200b}ice"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
