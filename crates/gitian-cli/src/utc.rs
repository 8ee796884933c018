//! Points in time as a reader expects them: UTC, to the day or to the second.

use std::time::{SystemTime, UNIX_EPOCH};

use gitian_descriptor::calendar;

/// Returns `2026-11-21 08:26:01 UTC`.
pub fn second(time: SystemTime) -> String {
    format!("{} UTC", written(time))
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
    use std::time::Duration;

    #[test]
    fn a_time_is_told_to_the_day_or_to_the_second() {
        let time = UNIX_EPOCH + Duration::from_secs(1_795_249_561);
        assert_eq!((second(time).as_str(), day(time).as_str()), ("2026-11-21 08:26:01 UTC", "2026-11-21"));
    }
}
