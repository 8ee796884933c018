//! A report as one HTML page: no script, nothing from the network, every text from outside escaped.

use std::fmt::Write;

use super::{Cell, Mark, Page, Row};
use crate::printable::printable;

const STYLE: &str = include_str!("page.css");

/// Writes the page.
pub fn render(page: &Page) -> String {
    let mut out = String::with_capacity(64 * 1024);
    // Writing into a text cannot fail.
    let _ = write(page, &mut out);
    out
}

fn write(page: &Page, out: &mut String) -> std::fmt::Result {
    let title = escaped(&page.title);
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    )?;
    for note in &page.notes {
        writeln!(out, "<p>{}</p>", escaped(note))?;
    }
    writeln!(out, "<ul class=\"totals\" aria-label=\"How often each verdict occurs\">")?;
    for (mark, word, count) in page.totals() {
        let letters = Some(short(word)).filter(|short| *short != word);
        let letters = letters.map(|short| format!("<b>{short}</b> ")).unwrap_or_default();
        writeln!(out, "<li class=\"{}\">{letters}{word}: {count}</li>", class(mark))?;
    }
    writeln!(out, "</ul>")?;
    let signers = page.signers();
    writeln!(
        out,
        "<div class=\"matrix\" tabindex=\"0\" role=\"region\" aria-label=\"Releases and signers\">\n<table>\n\
         <caption>Who built each release, the newest first. Open a cell for the reasons, open it again to close \
         them.</caption>\n\
         <thead><tr><th scope=\"col\">Release</th>"
    )?;
    for signer in &signers {
        let signer = escaped(signer);
        writeln!(out, "<th scope=\"col\" class=\"signer\" title=\"{signer}\"><span>{signer}</span></th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for row in page.rows.iter().rev() {
        write_row(row, &signers, out)?;
    }
    writeln!(out, "</tbody>\n</table>\n</div>\n</main>\n</body>\n</html>")
}

fn write_row(row: &Row, signers: &[&str], out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "<tr><th scope=\"row\">{} <span>{}</span><br><span class=\"outcome {}\">{}</span></th>",
        escaped(&row.release),
        escaped(&row.package),
        class(row.mark),
        escaped(&row.outcome)
    )?;
    for signer in signers {
        match row.cells.iter().find(|cell| cell.signer == *signer) {
            Some(cell) => write_cell(row, cell, out)?,
            None => writeln!(out, "<td class=\"none\"><span class=\"heard\">did not sign</span></td>")?,
        }
    }
    writeln!(out, "</tr>")
}

fn write_cell(row: &Row, cell: &Cell, out: &mut String) -> std::fmt::Result {
    let (word, short, signer) = (cell.word, short(cell.word), escaped(&cell.signer));
    // Of details with one name only one is open at a time.
    write!(out, "<td><details name=\"cell\"><summary class=\"{}\" title=\"{signer}: {word}\">", class(cell.mark))?;
    if short == word {
        write!(out, "{word}")?;
    } else {
        write!(out, "<span aria-hidden=\"true\">{short}</span><span class=\"heard\">{word}</span>")?;
    }
    write!(
        out,
        "</summary><div class=\"reasons\"><h2>{signer}: {word} <small>{} {}</small></h2>",
        escaped(&row.release),
        escaped(&row.package)
    )?;
    if cell.reasons.is_empty() {
        write!(out, "<p>There is nothing more to say.</p>")?;
    } else {
        write!(out, "<ul>")?;
        for reason in &cell.reasons {
            write!(out, "<li>{}</li>", escaped(reason))?;
        }
        write!(out, "</ul>")?;
    }
    let (lines, more) = (&cell.lines, cell.more_lines);
    if !lines.is_empty() {
        write!(out, "<pre>")?;
        for line in lines {
            writeln!(out, "{}", escaped(line))?;
        }
        if more > 0 {
            writeln!(out, "… and {more} more lines")?;
        }
        write!(out, "</pre>")?;
    }
    writeln!(out, "</div></details></td>")
}

/// Returns a verdict in so few letters that many fit side by side.
fn short(word: &'static str) -> &'static str {
    match word {
        "MISMATCH" => "DIFF",
        "BAD SIGNATURE" => "BAD",
        "NO KEY" => "KEY?",
        "WRONG KEY" => "KEY!",
        "NOT COMPARED" => "?",
        "UNREADABLE" => "ERR",
        "REFUSED" => "NO",
        "MISSING RESULT" => "–",
        "MISSING SIGNATURE" => "SIG?",
        word => word,
    }
}

fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "good",
        Mark::Bad => "bad",
        Mark::Open => "open",
        Mark::Missing => "missing",
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            character => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::hostile;

    #[test]
    fn no_text_from_outside_becomes_markup() {
        let html = render(&hostile());
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\u{1b}'), "{html}");
        assert!(!html.contains('\u{202e}') && !html.contains("\" onmouseover"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
        // Nothing is fetched, and no link leads anywhere.
        for word in ["src=", "href=", "url(", "@import", "http:"] {
            assert!(!html.contains(word), "{word}");
        }
    }

    #[test]
    fn every_cell_says_its_verdict_in_words_and_its_reasons() {
        let html = render(&hostile());
        assert!(html.contains("<span class=\"heard\">MISMATCH</span>") && html.contains(">OK</summary>"), "{html}");
        assert!(html.contains("<li>what was built differs &amp; more</li>"), "{html}");
        assert_eq!(html.matches("did not sign").count(), 1);
        assert_eq!(html.matches("<th scope=\"col\" class=\"signer\"").count(), 2);
    }
}
