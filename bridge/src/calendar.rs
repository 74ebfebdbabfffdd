//! Instants as people and Home Assistant write them, in UTC. No time zones: those are the reader's.

use gable_devices::Timestamp;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// Writes an instant in ISO 8601 as Home Assistant's API does: `2026-11-20T23:19:01.203+00:00`.
pub fn iso8601(at: Timestamp) -> String {
    let (year, month, day) = civil_date(at.0.div_euclid(MILLIS_PER_DAY));
    format!("{year:04}-{month:02}-{day:02}T{}+00:00", time_of_day(at))
}

/// Writes the time of day of an instant: `23:19:01.203`.
pub fn time_of_day(at: Timestamp) -> String {
    let millis = at.0.rem_euclid(MILLIS_PER_DAY);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are taken to begin in March, so that the leap day is the last of its year and the length
/// of the months before it is a linear function of the month.
fn civil_date(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097; // 400 years, after which the calendar repeats.
    let days = days.saturating_add(719_468); // Counted from 0000-03-01.
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(millis: i64, expected: &str) {
        assert_eq!(iso8601(Timestamp(millis)), expected);
    }

    #[test]
    fn instants_are_written_in_utc() {
        check(0, "1970-01-01T00:00:00.000+00:00");
        check(-1, "1969-12-31T23:59:59.999+00:00");
        check(951_782_399_999, "2000-02-28T23:59:59.999+00:00");
        check(951_782_400_000, "2000-02-29T00:00:00.000+00:00");
        check(1_078_099_200_000, "2004-03-01T00:00:00.000+00:00");
        check(1_795_216_741_203, "2026-11-20T23:19:01.203+00:00");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000+00:00");
    }
}
