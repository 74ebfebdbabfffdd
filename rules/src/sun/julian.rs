//! Instants as astronomers count them: in days, and with the lag of the Earth's turning.

use gable_devices::Timestamp;
use solar_positioning::delta_t;

/// The Julian date of 1970-01-01T00:00Z.
const EPOCH: f64 = 2_440_587.5;
const SECONDS_A_DAY: f64 = 86_400.0;

/// Returns an instant as a Julian date, in days.
pub fn of(at: Timestamp) -> f64 {
    EPOCH + at.0 as f64 / (SECONDS_A_DAY * 1000.0)
}

/// Returns a Julian date as an instant, to the second: more would only tell builds apart.
pub fn to_instant(julian: f64) -> Timestamp {
    Timestamp(((julian - EPOCH) * SECONDS_A_DAY).round() as i64 * 1000)
}

/// Returns by how much the Earth's turning lags behind even time at an instant, in seconds; none
/// beyond the years that calendars know.
pub fn lag(at: Timestamp) -> Option<f64> {
    let date = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_millisecond(at.0).ok()?);
    delta_t::estimate_from_date(date.year().into(), u32::from(date.month().unsigned_abs())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_counted_in_days_and_back() {
        let at = Timestamp("2000-01-01T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert_eq!(of(at), 2_451_545.0);
        assert_eq!(to_instant(2_451_545.0), at);
        // As it was measured.
        assert!(lag(at).is_some_and(|lag| (lag - 63.83).abs() < 0.2), "{:?}", lag(at));
        assert_eq!(lag(Timestamp(i64::MAX)), None);
    }
}
