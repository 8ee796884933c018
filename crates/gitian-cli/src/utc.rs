//! Points in time as a reader expects them: UTC, to the day or to the second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gitian_descriptor::calendar;

/// Returns `2026-11-21 08:26:01 UTC`.
pub fn second(time: SystemTime) -> String {
    format!("{} UTC", written(time))
}

/// Reads `2026-11-21`, which is the last second of that day, `2026-11-21T08:26:01Z`, or `@1795249561`, seconds since 1970.
pub fn parse(text: &str) -> Option<SystemTime> {
    if let Some(seconds) = text.strip_prefix('@') {
        return UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?));
    }
    let (date, of_day) = match text.split_once('T') {
        Some((date, time)) => (date, seconds_of_day(time.strip_suffix('Z')?)?),
        None => (text, 86_399),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    // The calendar is known to `day`: the day is right when it comes out as it was written.
    let estimate = year.checked_sub(1970)?.checked_mul(365)? + (month.max(1) - 1) * 28;
    let mut days = (estimate..estimate + 31 * 12 + year).map(|days| UNIX_EPOCH + Duration::from_secs(days * 86_400));
    let wanted = format!("{year}-{month:02}-{day:02}");
    Some(days.find(|time| self::day(*time) == wanted)? + Duration::from_secs(of_day))
}

/// Whether a text is written as a day, though there may be none of it: `2021-02-30`.
pub fn is_meant_for_day(text: &str) -> bool {
    numbers(text.split('T').next().unwrap_or_default(), '-', [4, 2, 2]).is_some()
}

fn seconds_of_day(text: &str) -> Option<u64> {
    let [hour, minute, second] = numbers(text, ':', [2, 2, 2])?;
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

fn numbers(text: &str, between: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let parts: Vec<&str> = text.split(between).collect();
    let fits = |(part, length): (&&str, usize)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    let [first, second, third] = *parts.as_slice() else { return None };
    let fit = parts.iter().zip(lengths).all(fits);
    fit.then_some([first.parse().ok()?, second.parse().ok()?, third.parse().ok()?])
}

/// Returns `2026-11-21`.
pub fn day(time: SystemTime) -> String {
    written(time).split(' ').next().unwrap_or_default().to_owned()
}

fn written(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    calendar::utc(i64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_to_the_day_or_to_the_second() {
        let time = UNIX_EPOCH + Duration::from_secs(1_795_249_561);
        assert_eq!((second(time).as_str(), day(time).as_str()), ("2026-11-21 08:26:01 UTC", "2026-11-21"));
    }

    #[test]
    fn a_day_that_does_not_exist_is_known_from_a_name() {
        for (text, expected) in [
            ("2021-02-30", true),
            ("2021-02-30T10:00:00Z", true),
            ("2021-02-28", true),
            ("2021-2-30", false),
            ("0.21.1", false),
            ("22", false),
            ("2021-02-30-rc1", false),
        ] {
            assert_eq!(is_meant_for_day(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_read_as_they_are_written() {
        for (text, expected) in [
            ("1970-01-01", Some("1970-01-01 23:59:59 UTC")),
            ("2000-02-29", Some("2000-02-29 23:59:59 UTC")),
            ("2026-11-21T08:26:01Z", Some("2026-11-21 08:26:01 UTC")),
            ("@1795249561", Some("2026-11-21 08:26:01 UTC")),
            ("2100-12-31", Some("2100-12-31 23:59:59 UTC")),
            ("9999-12-31", Some("9999-12-31 23:59:59 UTC")),
            ("2100-02-29", None),
            ("2021-13-01", None),
            ("2021-00-10", None),
            ("2021-1-1", None),
            ("2021-05", None),
            ("2021", None),
            ("22", None),
            ("2021-01-01T10:00Z", None),
            ("1969-12-31", None),
            ("2021-01-01T24:00:00Z", None),
            ("2021-01-01T10:00:00", None),
            ("yesterday", None),
            ("@99999999999999999999", None),
            ("@18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(second).as_deref(), expected, "{text}");
        }
    }
}
