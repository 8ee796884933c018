//! Times as zip has them: a local time of nowhere, even seconds, from 1980 to 2107. Ours are UTC.

use gitian_descriptor::calendar;

const DAY: i64 = 86_400;

/// Says of a point in time what a zip cannot tell of it.
pub(super) fn not_told(seconds: i64) -> Option<&'static str> {
    match calendar::date(seconds.div_euclid(DAY)).0 {
        ..1980 => Some("times before 1980"),
        1980..=2107 => None,
        _ => Some("times after 2107"),
    }
}

/// Returns date and time of a point in time, the nearest there is if it cannot be told.
pub(super) fn from_epoch(seconds: i64) -> (u16, u16) {
    let (year, month, day) = calendar::date(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let small = |value: i64| u16::try_from(value).unwrap_or(0);
    match year {
        ..1980 => (1 << 5 | 1, 0),
        1980..=2107 => (
            small(year - 1980) << 9 | small(month) << 5 | small(day),
            small(second / 3600) << 11 | small(second / 60 % 60) << 5 | small(second % 60 / 2),
        ),
        _ => (127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29),
    }
}

/// Returns the point in time that date and time mean; 1980 for a day that does not exist.
pub(super) fn to_epoch(date: u16, time: u16) -> i64 {
    let (date, time) = (i64::from(date), i64::from(time));
    let day = calendar::day((date >> 9) + 1980, date >> 5 & 15, date & 31);
    day.or_else(|| calendar::day(1980, 1, 1)).unwrap_or(0) * DAY
        + (time >> 11) * 3600
        + (time >> 5 & 63) * 60
        + (time & 31) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_to_the_even_second() {
        for (seconds, expected) in [
            (315_532_800, 315_532_800),
            (1_400_000_001, 1_400_000_000),
            (951_825_598, 951_825_598),
            (0, 315_532_800),
            (-5, 315_532_800),
            (4_354_819_198, 4_354_819_198),
            (9_999_999_999, 4_354_819_198),
        ] {
            let (date, time) = from_epoch(seconds);
            assert_eq!(to_epoch(date, time), expected, "{seconds}");
        }
        assert_eq!(to_epoch(0, 0), 315_532_800);
    }
}
