//! The reference date and time of a build, as written and as a point in time.

use std::fmt;
use std::str::FromStr;

use crate::{NameRefused, calendar};

/// `reference_datetime:`, `YYYY-MM-DD HH:MM:SS` in UTC.
///
/// Kept: a date alone, a time without seconds and a time zone behind are accepted as in the original, which hands the
/// first and the second word to the script as they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferenceDatetime {
    text: String,
    epoch_seconds: i64,
}

impl ReferenceDatetime {
    /// Returns the text as written: `REFERENCE_DATETIME`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the date as written: `REFERENCE_DATE`.
    pub fn date(&self) -> &str {
        self.text.split_ascii_whitespace().next().unwrap_or("")
    }

    /// Returns the time as written, empty when there is only a date: `REFERENCE_TIME`.
    pub fn time(&self) -> &str {
        self.text.split_ascii_whitespace().nth(1).unwrap_or("")
    }

    /// Returns the seconds since 1970-01-01 00:00:00 UTC, negative before that.
    pub fn epoch_seconds(&self) -> i64 {
        self.epoch_seconds
    }
}

impl FromStr for ReferenceDatetime {
    type Err = NameRefused;

    fn from_str(text: &str) -> Result<Self, NameRefused> {
        let refused = |reason| NameRefused { kind: "reference_datetime", text: text.to_owned(), reason };
        // The original puts the text between single quotes in the build script.
        if !text.chars().all(|c| matches!(c, ' '..='~') && c != '\'') {
            return Err(refused("may hold letters, digits, blanks, '-', ':' and '+' only"));
        }
        match epoch_seconds(text) {
            Some(epoch_seconds) => Ok(Self { text: text.to_owned(), epoch_seconds }),
            None => Err(refused("is not a date and time such as 2020-01-31 00:00:00")),
        }
    }
}

impl fmt::Display for ReferenceDatetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn epoch_seconds(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    let (date, time) = match first.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (first, words.next()),
    };
    let midnight = day(date)? * 86_400;
    let Some(time) = time else { return Some(midnight) };
    let (time, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, words.next().unwrap_or("")),
    };
    let seconds = midnight + seconds_of_day(time)? - offset_seconds(zone)?;
    words.next().is_none().then_some(seconds)
}

/// Returns the day of `YYYY-MM-DD`, counted from 1970-01-01.
fn day(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if parts.next().is_some() { None } else { calendar::day(year, month, day) }
}

fn seconds_of_day(time: &str) -> Option<i64> {
    let mut parts = time.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| number(second, 2))?;
    // 60: a leap second.
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    valid.then_some(hour * 3600 + minute * 60 + second)
}

fn offset_seconds(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone {
        "" | "Z" | "UTC" | "GMT" => return Some(0),
        _ if zone.starts_with('+') => (1, &zone[1..]),
        _ if zone.starts_with('-') => (-1, &zone[1..]),
        _ => return None,
    };
    let digits = rest.replacen(':', "", 1);
    let number = number(&digits, 4)?;
    (number / 100 < 24 && number % 100 < 60).then_some(sign * (number / 100 * 3600 + number % 100 * 60))
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_give_the_seconds_that_date_gives() {
        // Expected: date -u -d TEXT +%s
        let cases = [
            ("1970-01-01 00:00:00", 0),
            ("2014-11-16 12:00:00", 1_416_139_200),
            ("2020-01-01", 1_577_836_800),
            ("2020-02-29 23:59:59", 1_583_020_799),
            ("2000-02-29 00:00", 951_782_400),
            ("1969-12-31 23:59:59", -1),
            ("2020-01-01 00:00:00 UTC", 1_577_836_800),
            ("2020-01-01 00:00:00 GMT", 1_577_836_800),
            ("2020-01-01 00:00:00 Z", 1_577_836_800),
            ("2020-01-01 02:00:00 +0200", 1_577_836_800),
            ("2019-12-31 19:00:00 -05:00", 1_577_836_800),
            ("2020-01-01T00:00:00Z", 1_577_836_800),
            ("2020-01-01T02:00:00+02:00", 1_577_836_800),
        ];
        for (text, expected) in cases {
            let datetime: ReferenceDatetime = text.parse().unwrap();
            assert_eq!((datetime.epoch_seconds(), datetime.as_str()), (expected, text), "{text}");
        }
    }

    #[test]
    fn the_script_sees_the_first_and_the_second_word() {
        let words = |text: &str| {
            let datetime: ReferenceDatetime = text.parse().unwrap();
            (datetime.date().to_owned(), datetime.time().to_owned())
        };
        assert_eq!(words("2020-01-01  10:20:30"), ("2020-01-01".into(), "10:20:30".into()));
        assert_eq!(words("2020-01-01 10:20 UTC"), ("2020-01-01".into(), "10:20".into()));
        assert_eq!(words("2020-01-01"), ("2020-01-01".into(), String::new()));
    }

    #[test]
    fn what_is_no_date_and_time_is_refused() {
        let cases = [
            "",
            " ",
            "now",
            "2020",
            "2020-1-1",
            "2020-13-01",
            "2019-02-29",
            "1900-02-29",
            "01-02-2020 00:00:00",
            "2020-01-01 24:00:00",
            "2020-01-01 00:60:00",
            "2020-01-01 1:2:3",
            "2020-01-01 00:00:00 CEST",
            "2020-01-01 00:00:00 UTC x",
            "2020-01-01 00:00:00 +9999",
            "2020-01-01 00:00:00'; rm -rf /'",
            "2020-01-01\n00:00:00",
            "2020-01-01 00:00:0\u{661}",
            "2020-01-01TTTT",
        ];
        for text in cases {
            assert!(text.parse::<ReferenceDatetime>().is_err(), "{text}");
        }
    }
}
