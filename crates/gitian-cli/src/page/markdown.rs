//! A report as a comment on a pull request: a table of releases, and what is not OK behind a fold. Every text from outside is
//! escaped, and mentions nobody.

use std::fmt::Write;

use super::{Cell, Mark, Page, Row};
use crate::printable::printable;

/// The largest comment, in bytes; sites refuse longer ones.
const LIMIT: usize = 60_000;

/// Writes the comment.
pub fn render(page: &Page) -> String {
    let mut out = String::new();
    // Writing into a text cannot fail.
    let _ = write_head(page, &mut out);
    let mut left_out = 0;
    for row in &page.rows {
        let mut text = String::new();
        let _ = write_row(row, &mut text);
        if out.len() + text.len() > LIMIT { left_out += 1 } else { out.push_str(&text) }
    }
    for row in page.rows.iter().filter(|row| row.cells.iter().any(is_told)) {
        let mut text = String::new();
        let _ = write_reasons(row, &mut text);
        if out.len() + text.len() > LIMIT { left_out += 1 } else { out.push_str(&text) }
    }
    if left_out > 0 {
        let _ = writeln!(out, "\n{left_out} parts are left out, since they do not fit into a comment.");
    }
    out
}

fn write_head(page: &Page, out: &mut String) -> std::fmt::Result {
    writeln!(out, "### {}\n", escaped(&page.title))?;
    for note in &page.notes {
        writeln!(out, "{}  ", escaped(note))?;
    }
    let totals: Vec<String> = page.totals().iter().map(|(_, word, count)| format!("{word}: {count}")).collect();
    writeln!(
        out,
        "**{}**\n\n| release | package | outcome | OK | otherwise |\n| --- | --- | --- | --- | --- |",
        totals.join(", ")
    )
}

fn write_row(row: &Row, out: &mut String) -> std::fmt::Result {
    let good: Vec<String> =
        row.cells.iter().filter(|cell| cell.mark == Mark::Good).map(|cell| escaped(&cell.signer)).collect();
    let others = row.cells.iter().filter(|cell| cell.mark != Mark::Good);
    let others: Vec<String> = others.map(|cell| format!("{}: {}", escaped(&cell.signer), cell.word)).collect();
    writeln!(
        out,
        "| {} | {} | {} | {} | {} |",
        escaped(&row.release),
        escaped(&row.package),
        escaped(&row.outcome),
        good.join(", "),
        others.join(", ")
    )
}

/// Whether there is more to say about a signer than the table does.
fn is_told(cell: &Cell) -> bool {
    cell.mark != Mark::Good && cell.short.is_some()
}

fn write_reasons(row: &Row, out: &mut String) -> std::fmt::Result {
    let (release, package) = (escaped(&row.release), escaped(&row.package));
    writeln!(out, "\n<details><summary>{release} {package}: {}</summary>\n", escaped(&row.outcome))?;
    for Cell { signer, word, short, .. } in row.cells.iter().filter(|cell| is_told(cell)) {
        writeln!(out, "- {}: {word}: {}", escaped(signer), escaped(short.as_deref().unwrap_or_default()))?;
    }
    writeln!(out, "\n</details>")
}

/// Writes every sign as its number, so that none means anything to Markdown or HTML. Behind an `@` goes a joiner of no
/// width: the name after it is then nobody's.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '@' => safe.push_str("&#64;&#8288;"),
            _ if character.is_ascii_punctuation() => {
                let _ = write!(safe, "&#{};", u32::from(character));
            }
            '\t' => safe.push(' '),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::hostile;

    #[test]
    fn no_text_from_outside_means_anything() {
        let text = render(&hostile());
        assert!(!text.contains("<script") && !text.contains("<img") && !text.contains("alice@"), "{text}");
        // The table has as many columns as it should, whatever names hold.
        let table = text.lines().filter(|line| line.starts_with('|'));
        assert!(table.clone().count() == 4 && table.clone().all(|line| line.matches('|').count() == 6), "{text}");
    }

    #[test]
    fn a_comment_stays_within_what_sites_take_and_says_what_is_left_out() {
        let mut page = hostile();
        let row = page.rows[0].clone();
        page.rows = vec![row; 5_000];
        let text = render(&page);
        assert!(text.len() <= LIMIT + 200 && text.contains("parts are left out"), "{}", text.len());
    }
}
