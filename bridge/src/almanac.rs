//! Computes the home's calendar: what its clocks show and what the sun does, for some time ahead.
//!
//! The core knows no time-zone tables, which may differ by build, and does not search for the sun's
//! events: of the sun it only reckons where it stands, in software and so alike on every node. A
//! leader computes the tables here and they enter the log. Time zones come from jiff's bundled IANA
//! database, so that no node needs one of its system. The sun's position is that of NREL's SPA.
//! As in Home Assistant it rises when its upper edge touches the horizon, 0.833 degrees below,
//! lowered a little by the home's elevation, and dawn and dusk are at 6 degrees.

mod keeper;

use gable_broker_config::Home;
use gable_devices::Timestamp;
use gable_devices::yaml::did_you_mean;
use gable_rules::{
    Calendar, DeclaredPlace, OffsetChange, Place, Position, SunEvent, SunMoment, SunTable, julian,
};
use jiff::tz::TimeZone;
use solar_positioning::time::JulianDate;
use solar_positioning::{Horizon, Location, SolarEvents, SolarPositions};

pub(crate) use keeper::run;

const DAY_MS: i64 = 86_400_000;
/// How far back and ahead clocks are told.
const ZONE_DAYS: (i64, i64) = (1, 400);
/// How far back and ahead the sun is told.
const SUN_DAYS: (i64, i64) = (2, 60);
/// The most changes of the clock that are told; Morocco has four a year.
const CHANGES_MAX: usize = 100;
/// The most events of one kind; there is one a day, or two.
const EVENTS_MAX: usize = 200;
/// How far the sun's middle is below the horizon when its edge touches it, in degrees.
const EDGE: f64 = 0.833;
const CIVIL_TWILIGHT: f64 = 6.0;

/// Where the home is: what its files say goes before the settings of this node.
pub(crate) fn place(declared: &DeclaredPlace, settings: &Home) -> Place {
    let latitude = declared.latitude.or(settings.latitude);
    let longitude = declared.longitude.or(settings.longitude);
    let elevation = declared.elevation.unwrap_or(settings.elevation);
    Place {
        time_zone: declared.time_zone.clone().unwrap_or_else(|| settings.time_zone.clone()),
        position: latitude.zip(longitude).map(|(latitude, longitude)| Position {
            latitude,
            longitude,
            elevation,
        }),
    }
}

/// Whether a calendar has to be computed: there is none, it is another place's, or it has come
/// nearer to its end than half of what it told.
pub(crate) fn is_needed(current: Option<&Calendar>, place: &Place, now: Timestamp) -> bool {
    let Some(current) = current else { return true };
    let is_near = |until: Timestamp, days: i64| until.0.saturating_sub(now.0) < days * DAY_MS / 2;
    current.place != *place
        || is_near(current.until, ZONE_DAYS.1)
        || current.sun.as_ref().is_some_and(|sun| is_near(sun.until, SUN_DAYS.1))
}

/// Computes the calendar of a place. One without a known time zone stays at UTC; `Err` names why.
pub(crate) fn compute(place: Place, now: Timestamp) -> (Calendar, Option<String>) {
    let (zone, fault) = match TimeZone::get(&place.time_zone) {
        Ok(zone) => (zone, None),
        Err(error) => (TimeZone::UTC, Some(error.to_string())),
    };
    let from = jiff_time(now.0.saturating_sub(ZONE_DAYS.0 * DAY_MS));
    let until = Timestamp(now.0.saturating_add(ZONE_DAYS.1 * DAY_MS));
    let following = zone.following(from).take(CHANGES_MAX);
    let changes = following.map(|change| OffsetChange {
        at: Timestamp(change.timestamp().as_millisecond()),
        offset: change.offset().seconds(),
    });
    let mut changes: Vec<OffsetChange> = changes.take_while(|change| change.at <= until).collect();
    let offset = zone.to_offset(from).seconds();
    // Some entries only rename the zone.
    let mut last = offset;
    changes.retain(|change| std::mem::replace(&mut last, change.offset) != change.offset);
    let sun = place.position.and_then(|position| sun(position, now));
    (Calendar { place, until, offset, changes, sun }, fault)
}

/// Whether a time zone is known, and if not the one that was probably meant.
pub(crate) fn check_zone(name: &str) -> Result<(), Option<String>> {
    if TimeZone::get(name).is_ok() {
        return Ok(());
    }
    let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
    let near = did_you_mean(name, known.iter().map(String::as_str)).map(str::to_owned);
    // `Berlin`, or the right city on the wrong continent.
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().to_lowercase().replace(' ', "_");
    let same_city = || known.iter().find(|zone| zone.contains('/') && city(zone) == city(name)).cloned();
    Err(near.or_else(same_city))
}

fn jiff_time(millis: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// What the sun does, seen from a position; none if that is no place on Earth.
fn sun(position: Position, now: Timestamp) -> Option<SunTable> {
    let from = Timestamp(now.0.saturating_sub(SUN_DAYS.0 * DAY_MS));
    let until = Timestamp(now.0.saturating_add(SUN_DAYS.1 * DAY_MS));
    let (start, end) = (julian::of(from), julian::of(until));
    let location = Location { latitude: position.latitude, longitude: position.longitude };
    let opposite =
        if position.longitude > 0.0 { position.longitude - 180.0 } else { position.longitude + 180.0 };
    let delta = julian::lag(now)?;
    let below = lowered(position.elevation);
    let (edge, twilight) = (Horizon::Custom(-EDGE - below), Horizon::Custom(-CIVIL_TWILIGHT - below));
    let solar = SolarEvents::new();
    let mut events = Vec::new();
    let mut add = |event, next: &dyn Fn(f64) -> solar_positioning::Result<Option<f64>>| {
        let mut cursor = start;
        for _ in 0..EVENTS_MAX {
            let Some(found) = next(cursor).ok()? else { break };
            events.push(SunMoment { at: julian::to_instant(found), event });
            cursor = found;
        }
        Some(())
    };
    add(SunEvent::Dawn, &|from| solar.next_rise_from_julian(from, end, location, delta, twilight))?;
    add(SunEvent::Rising, &|from| solar.next_rise_from_julian(from, end, location, delta, edge))?;
    add(SunEvent::Noon, &|from| solar.next_transit_from_julian(from, end, location.longitude, delta))?;
    add(SunEvent::Setting, &|from| solar.next_set_from_julian(from, end, location, delta, edge))?;
    add(SunEvent::Dusk, &|from| solar.next_set_from_julian(from, end, location, delta, twilight))?;
    add(SunEvent::Midnight, &|from| solar.next_transit_from_julian(from, end, opposite, delta))?;
    events.sort();
    let at_start = JulianDate::new(start, delta).ok()?;
    let seen = SolarPositions::new().at_from_julian(at_start, location, 0.0, None).ok()?;
    Some(SunTable { until, begins_up: seen.elevation_angle() > -EDGE - below, events })
}

/// By how much the horizon lies lower from so many metres above it, in degrees: half of the dip, as
/// the library computes it that Home Assistant uses.
fn lowered(elevation: f64) -> f64 {
    const EARTH_RADIUS: f64 = 6_356_900.0;
    if elevation > 0.0 { (EARTH_RADIUS / (EARTH_RADIUS + elevation)).acos().to_degrees() / 2.0 } else { 0.0 }
}

#[cfg(test)]
mod tests;
