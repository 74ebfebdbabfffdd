//! Where the sun stands, by the same arithmetic on every node: both libraries reckon in software.
//!
//! I. Reda, A. Andreas: Solar position algorithm for solar radiation applications (2004). How far the
//! air lifts it is approximated as NOAA's Global Monitoring Laboratory publishes it, because Home
//! Assistant does so too: thresholds below the horizon are passed at the same time.

use super::julian;
use crate::calendar::Position;
use gable_devices::{Millis, Timestamp};
use solar_positioning::time::JulianDate;
use solar_positioning::{Location, SolarPositions};

/// Where the sun stands, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SunPosition {
    /// Above the horizon, as the air bends its light.
    pub(super) elevation: f64,
    /// From north over east.
    pub(super) azimuth: f64,
}

impl SunPosition {
    /// To hundredths of a degree; none if the position is no place on Earth.
    pub(super) fn at(at: Timestamp, seen_from: Position) -> Option<SunPosition> {
        let location = Location { latitude: seen_from.latitude, longitude: seen_from.longitude };
        let instant = JulianDate::new(julian::of(at), julian::lag(at)?).ok()?;
        let seen = SolarPositions::new().at_from_julian(instant, location, 0.0, None).ok()?;
        let elevation = seen.elevation_angle();
        let hundredths = |degrees: f64| (degrees * 100.0).round_ties_even() / 100.0;
        Some(SunPosition {
            elevation: hundredths(elevation + lifted(elevation)),
            azimuth: hundredths(seen.azimuth()),
        })
    }

    /// How long this may be shown: as long as in Home Assistant, which looks most often when lights
    /// and blinds depend on it.
    pub(super) fn lasts(self) -> Millis {
        let minutes = match self.elevation {
            high if high >= 10.0 => 4,
            low if low >= 0.0 => 2,
            twilight if twilight >= -6.0 => 4,
            dark if dark >= -18.0 => 8,
            _ => 20,
        };
        Millis::from_secs(minutes * 60)
    }
}

/// By how much the air lifts what stands at this elevation, in degrees.
fn lifted(elevation: f64) -> f64 {
    let tan = libm::tan(elevation.to_radians());
    let seconds = match elevation {
        zenith if zenith > 85.0 => 0.0,
        high if high > 5.0 => {
            58.1 / tan - 0.07 / (tan * tan * tan) + 0.000_086 / (tan * tan * tan * tan * tan)
        }
        low if low > -0.575 => 1735.0 + low * (-518.2 + low * (103.4 + low * (-12.79 + low * 0.711))),
        _ => -20.772 / tan,
    };
    seconds / 3600.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with NOAA's public calculator, to a twentieth of a degree.
    #[track_caller]
    fn check(at: &str, (latitude, longitude): (f64, f64), elevation: f64, azimuth: f64) {
        let at = Timestamp(at.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let seen = SunPosition::at(at, Position { latitude, longitude, elevation: 0.0 }).unwrap();
        let is_near = |a: f64, b: f64| (a - b).abs() < 0.05;
        assert!(is_near(seen.elevation, elevation) && is_near(seen.azimuth, azimuth), "{seen:?}");
    }

    #[test]
    fn the_sun_stands_where_the_almanac_says() {
        const BERLIN: (f64, f64) = (52.52, 13.405);
        check("2024-06-20T12:00:00Z", BERLIN, 59.29, 203.79);
        check("2024-12-21T07:30:00Z", BERLIN, 1.25, 132.35);
        check("2026-03-01T20:00:00Z", (-33.87, 151.21), 2.81, 97.13);
        check("2024-09-22T23:00:00Z", (40.71, -74.01), -2.16, 271.76);
    }

    #[test]
    fn no_place_on_earth_has_no_sun() {
        let nowhere = Position { latitude: 1000.0, longitude: f64::NAN, elevation: 0.0 };
        assert_eq!(SunPosition::at(Timestamp(0), nowhere), None);
        let home = Position { latitude: 52.5, longitude: 13.4, elevation: 0.0 };
        assert_eq!(SunPosition::at(Timestamp(i64::MAX), home), None);
    }

    #[test]
    fn the_air_lifts_evenly() {
        // No threshold is jumped over where one approximation follows another.
        for border in [85.0, 5.0, -0.575] {
            let step = lifted(border + 1e-9) - lifted(border - 1e-9);
            assert!(step.abs() < 0.006, "{step} at {border}");
        }
        assert!(lifted(-90.0).abs() < 1e-9);
    }
}
