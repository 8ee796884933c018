//! Days and dates of the Gregorian calendar, in UTC. Years are counted from March to February, so that a leap day is the
//! last of its year.

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;
const DAY_SECONDS: i64 = 86_400;

/// Writes a point in time, in seconds since 1970, as `YYYY-MM-DD HH:MM:SS`.
pub fn utc(epoch_seconds: i64) -> String {
    let (year, month, day) = date(epoch_seconds.div_euclid(DAY_SECONDS));
    let second = epoch_seconds.rem_euclid(DAY_SECONDS);
    let (hours, minutes, seconds) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}")
}

/// Returns the number of a date's day, counted from 1970-01-01; `None` for a date that does not exist.
pub fn day(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - EPOCH)
}

/// Returns year, month and day of a day counted from 1970-01-01.
pub fn date(day: i64) -> (i64, i64, i64) {
    // In eras of 400 years, which are all alike.
    let since_march_0000 = day + EPOCH;
    let (era, day) = (since_march_0000.div_euclid(146_097), since_march_0000.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day_of_month)
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_is_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (1_416_139_200, "2014-11-16 12:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_795_249_561, "2026-11-21 08:26:01"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn every_day_of_eight_centuries_has_one_date_and_back() {
        let mut dates = Vec::new();
        for number in -146_097..146_097 {
            let (year, month, of_month) = date(number);
            assert_eq!(day(year, month, of_month), Some(number));
            dates.push((year, month, of_month));
        }
        assert!(dates.is_sorted());
    }
}
