//! Which plain words are not text: numbers, booleans, nulls, dates and times of YAML 1.1, as Ruby 3.1 reads them
//! (Psych 4.0.3), which differs from YAML in many corners. Observed: ../shared/data/psych and the Ruby program itself.

/// Returns whether a plain scalar stands for a text, the very one that is written.
pub fn is_text(word: &str) -> bool {
    !(is_null(word) || is_symbol(word) || is_bool(word) || is_number(word) || is_time(word))
}

/// Returns whether a plain scalar stands for nothing.
pub fn is_null(word: &str) -> bool {
    word.is_empty() || word == "~" || word.eq_ignore_ascii_case("null")
}

/// Ruby's own kind of word, `:name`.
fn is_symbol(word: &str) -> bool {
    word.len() > 1 && word.starts_with(':')
}

fn is_bool(word: &str) -> bool {
    ["yes", "no", "true", "false", "on", "off"].iter().any(|name| word.eq_ignore_ascii_case(name))
}

fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    matches!(&*word.to_ascii_lowercase(), ".inf" | "+.inf" | "-.inf" | ".nan")
        || is_integer(unsigned)
        || is_float(unsigned)
        || is_sexagesimal(unsigned)
}

fn all(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    text.chars().all(allowed)
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// `1_000`, `0x1f`, `0b101`, `017`; a comma separates as `_` does.
fn is_integer(digits: &str) -> bool {
    let separated =
        |rest: &str, digit: fn(char) -> bool| !rest.is_empty() && all(rest, |c| digit(c) || c == '_' || c == ',');
    match digits.strip_prefix('0') {
        Some("") => true,
        Some(rest) => match rest.strip_prefix('x') {
            Some(hex) => separated(hex, |c| c.is_ascii_hexdigit()),
            None => match rest.strip_prefix('b') {
                Some(binary) => separated(binary, |c| matches!(c, '0' | '1')),
                None => separated(rest, |c| matches!(c, '0'..='7')),
            },
        },
        // Between the digits, separators stand alone.
        None => {
            digits.starts_with(is_digit)
                && digits.split(['_', ',']).all(|group| !group.is_empty() && all(group, is_digit))
        }
    }
}

/// `1.5`, `.5`, `1.`, `1_0.5`, `1.5e+3`: with a point, an exponent only with its sign, separators before the point only.
fn is_float(digits: &str) -> bool {
    let Some((whole, rest)) = digits.split_once('.') else { return false };
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent.strip_prefix(['+', '-']).is_some_and(|digits| !digits.is_empty() && all(digits, is_digit))
    });
    let whole_fits =
        whole.is_empty() || whole.starts_with(is_digit) && all(whole, |c| is_digit(c) || c == '_' || c == ',');
    whole_fits && exponent_fits && all(fraction, is_digit) && !(whole.is_empty() && fraction.is_empty())
}

/// `12:30`, `1:30:45`, `1:30.5`: hours, minutes, seconds.
fn is_sexagesimal(digits: &str) -> bool {
    let digits = match digits.split_once('.') {
        Some((digits, fraction)) if all(fraction, |c| is_digit(c) || c == '_') => digits,
        Some(_) => return false,
        None => digits,
    };
    let mut groups = digits.split(':');
    let first_fits =
        groups.next().is_some_and(|first| first.starts_with(is_digit) && all(first, |c| is_digit(c) || c == '_'));
    let rest: Vec<&str> = groups.collect();
    first_fits && matches!(rest.len(), 1 | 2) && rest.iter().all(|group| number_up_to(group, 59).is_some())
}

/// `2020-01-31`, or with a time and a zone behind it.
fn is_time(word: &str) -> bool {
    let date_end = word.find(|c: char| !is_digit(c) && c != '-').unwrap_or(word.len());
    let (date, rest) = word.split_at(date_end);
    let (before_epoch, date) = match date.strip_prefix('-') {
        Some(date) => (true, date),
        None => (false, date),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let (Some(month), Some(day)) = (number_up_to(month, 12), number_up_to(day, 31)) else { return false };
    let Ok(number) = year.parse::<u32>() else { return false };
    if year.len() != 4 || month == 0 || day == 0 {
        return false;
    }
    if rest.is_empty() {
        return !before_epoch && day <= days_of(number, month);
    }
    // A time is not held against the calendar: the 31st of February is an early day of March.
    let Some(time) = rest
        .strip_prefix(['t', 'T'])
        .or_else(|| rest.strip_prefix(is_blank).map(|rest| rest.trim_start_matches(is_blank)))
    else {
        return false;
    };
    is_time_of_day(time)
}

/// `1:02:03.5 +02:00`
fn is_time_of_day(time: &str) -> bool {
    let mut groups = time.splitn(3, ':');
    let (Some(hour), Some(minute), Some(rest)) = (groups.next(), groups.next(), groups.next()) else { return false };
    let Some((second, rest)) = rest.split_at_checked(2) else { return false };
    let rest = rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(is_digit));
    let fits = match (number_up_to(hour, 24), number_up_to(minute, 59), number_up_to(second, 60)) {
        (Some(24), Some(minute), Some(second)) => minute == 0 && second == 0,
        (Some(_), Some(_), Some(_)) => true,
        _ => false,
    };
    fits && minute.len() == 2 && is_zone(rest.trim_start_matches(is_blank))
}

/// Nothing, `Z`, `+2`, `+02:00`, `-0230`; less than a day.
fn is_zone(zone: &str) -> bool {
    let Some(offset) = zone.strip_prefix(['+', '-']) else { return matches!(zone, "" | "Z") };
    let (hours, minutes, minutes_fit) = match offset.split_once(':') {
        Some((hours, minutes)) => (hours, minutes, minutes.len() != 1),
        None => offset.split_at_checked(2).map_or((offset, "", true), |(hours, minutes)| (hours, minutes, true)),
    };
    let minutes = if minutes.is_empty() { Some(0) } else { number_up_to(minutes, 99) };
    let hours = number_up_to(hours, 23);
    minutes_fit && hours.zip(minutes).is_some_and(|(hours, minutes)| hours * 60 + minutes < 24 * 60)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Reads one or two digits.
fn number_up_to(text: &str, limit: u32) -> Option<u32> {
    let fits = matches!(text.len(), 1 | 2) && all(text, is_digit);
    text.parse().ok().filter(|&number| fits && number <= limit)
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observed with Ruby 3.1.2: `Psych.dump(word)` quotes the one and not the other.
    #[test]
    fn words_are_text_or_not_as_ruby_reads_them() {
        let not_text = "~ null NULL yes No TRUE off 0 7 -5 +1 1_000 12_34,5 017 0_7 0x1F 0x_1 0b101 1. .5 -.5 22.0 1_0.5 1,0.5 \
             1.5e+3 1.E-3 .inf -.INF +.Inf .NaN :a 1:30 12:34:56 190:20:30 1:30.5 2020-01-01 2020-1-1 2024-02-29";
        let text = "y n a null1 +- 1_ 1__2 0x 0X1 0b 0B1 0o17 1e3 1.5e3 1.2_3 1._ 1.2.3 - . -. : 1:60 1:2:3:4 0.21.1 \
             2020-13-01 2020-02-30 2023-02-29 2020-00-01 220-01-01 2020-001-1 -2020-01-01 10-amd64 Infinity";
        for word in not_text.split_whitespace() {
            assert!(!is_text(word), "{word}");
        }
        for word in text.split_whitespace() {
            assert!(is_text(word), "{word}");
        }
    }

    #[test]
    fn times_are_text_when_they_cannot_be() {
        let not_text = [
            "2020-01-01 00:00:00",
            "2020-1-1 1:02:03",
            "2020-01-01T00:00:00Z",
            "2020-01-01t00:00:00",
            "2020-02-31 00:00:00",
            "2020-01-01  00:00:00.5 +02:00",
            "2020-01-01 24:00:00",
            "2020-01-01 23:59:60",
            "-2020-01-01 00:00:00",
            "2020-01-01 00:00:00 +23:59",
            "2020-01-01 00:00:00 +233",
            "2020-01-01 00:00:00 +2:",
            "2020-01-01 00:00:00 -2330",
        ];
        let text = [
            "2020-01-01 ",
            "2020-01-01 00:00",
            "2020-01-01 00:0:00",
            "2020-01-01 24:00:01",
            "2020-01-01 00:60:00",
            "2020-01-01 00:00:61",
            "2020-01-32 00:00:00",
            "2020-01-01 00:00:00 +24",
            "2020-01-01 00:00:00 -430",
            "2020-01-01 00:00:00 +23:60",
            "2020-01-01 00:00:00 z",
            "2020-01-01 00:00:00 +",
            "2020-01-01 00:00:0\u{e9}",
        ];
        for word in not_text {
            assert!(!is_text(word), "{word}");
        }
        for word in text {
            assert!(is_text(word), "{word}");
        }
    }
}
