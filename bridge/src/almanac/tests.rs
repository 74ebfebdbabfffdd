//! The tables against what almanacs print and what the IANA database says.

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn calendar(zone: &str, position: Option<(f64, f64, f64)>, now: &str) -> Calendar {
    let position =
        position.map(|(latitude, longitude, elevation)| Position { latitude, longitude, elevation });
    let (calendar, fault) = compute(Place { time_zone: zone.to_owned(), position }, at(now));
    assert_eq!(fault, None, "{zone}");
    calendar
}

/// Compares the next event of a kind with a time that an almanac prints, to the minute.
#[track_caller]
fn check(position: (f64, f64), now: &str, event: SunEvent, expected: &str) {
    let calendar = calendar("UTC", Some((position.0, position.1, 0.0)), now);
    let events = calendar.sun.unwrap().events;
    let next = events.iter().find(|moment| moment.event == event && moment.at >= at(now)).unwrap();
    let off = (next.at.0 - at(expected).0) / 1000;
    assert!(off.abs() <= 60, "{event:?} is {off} s away from {expected}");
}

#[test]
fn the_sun_is_where_almanacs_have_it() {
    const BERLIN: (f64, f64) = (52.52, 13.405);
    check(BERLIN, "2024-06-21T00:00:00Z", SunEvent::Rising, "2024-06-21T02:43:00Z");
    check(BERLIN, "2024-06-21T00:00:00Z", SunEvent::Setting, "2024-06-21T19:33:00Z");
    check(BERLIN, "2024-12-21T00:00:00Z", SunEvent::Rising, "2024-12-21T07:15:00Z");
    check(BERLIN, "2024-12-21T00:00:00Z", SunEvent::Setting, "2024-12-21T14:54:00Z");
    // Over the poles' sides of the date line and south of the equator.
    check((-33.8688, 151.2093), "2024-06-21T12:00:00Z", SunEvent::Rising, "2024-06-21T21:00:00Z");
    check((40.7128, -74.006), "2024-03-20T12:00:00Z", SunEvent::Setting, "2024-03-20T23:09:00Z");
}

#[test]
fn where_the_sun_does_not_set_nothing_is_told_of_it() {
    let midsummer = calendar("Europe/Oslo", Some((69.65, 18.96, 0.0)), "2024-06-10T00:00:00Z").sun.unwrap();
    let has = |table: &SunTable, event, until: &str| {
        table.events.iter().any(|moment| moment.event == event && moment.at < at(until))
    };
    assert!(midsummer.begins_up);
    assert!(!has(&midsummer, SunEvent::Setting, "2024-07-20T00:00:00Z"));
    assert!(!has(&midsummer, SunEvent::Dusk, "2024-07-20T00:00:00Z"));
    assert!(has(&midsummer, SunEvent::Noon, "2024-06-11T00:00:00Z"));
    let midwinter = calendar("Europe/Oslo", Some((69.65, 18.96, 0.0)), "2024-12-10T00:00:00Z").sun.unwrap();
    assert!(!midwinter.begins_up);
    assert!(!has(&midwinter, SunEvent::Rising, "2025-01-10T00:00:00Z"));
    // In Reykjavik it sets after midnight, and twilight lasts until it rises again.
    let reykjavik = calendar("Atlantic/Reykjavik", Some((64.147, -21.94, 0.0)), "2024-06-21T12:00:00Z");
    let reykjavik = reykjavik.sun.unwrap();
    assert!(has(&reykjavik, SunEvent::Setting, "2024-06-22T00:10:00Z"));
    assert!(!has(&reykjavik, SunEvent::Dusk, "2024-06-25T00:00:00Z"));
    for pole in [(90.0, 0.0, 0.0), (-90.0, 180.0, 3000.0)] {
        assert!(calendar("UTC", Some(pole), "2024-06-21T12:00:00Z").sun.is_some());
    }
    assert_eq!(
        sun(Position { latitude: 91.0, longitude: 0.0, elevation: 0.0 }, at("2024-01-01T00:00:00Z")),
        None
    );
}

#[test]
fn from_above_the_sun_is_seen_longer() {
    let setting = |elevation| {
        let sun = calendar("UTC", Some((52.52, 13.405, elevation)), "2024-06-21T00:00:00Z").sun.unwrap();
        sun.events.iter().find(|moment| moment.event == SunEvent::Setting).unwrap().at.0
    };
    let later = (setting(1000.0) - setting(0.0)) / 1000;
    assert!((200..400).contains(&later), "{later} s");
}

#[test]
fn clocks_change_as_the_database_says() {
    let changes = |zone, now| {
        let calendar = calendar(zone, None, now);
        let text = |change: &OffsetChange| format!("{}{:+}", jiff_time(change.at.0), change.offset);
        (calendar.offset, calendar.changes.iter().map(text).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(
        changes("Europe/Berlin", "2024-01-01T00:00:00Z"),
        (3600, "2024-03-31T01:00:00Z+7200 2024-10-27T01:00:00Z+3600".to_owned())
    );
    assert_eq!(
        changes("Australia/Lord_Howe", "2024-01-01T00:00:00Z"),
        (39_600, "2024-04-06T15:00:00Z+37800 2024-10-05T15:30:00Z+39600".to_owned())
    );
    assert_eq!(changes("Asia/Kolkata", "2024-01-01T00:00:00Z"), (19_800, String::new()));
    let (calendar, fault) =
        compute(Place { time_zone: "Europe/Berln".to_owned(), position: None }, at("2024-01-01T00:00:00Z"));
    assert!(fault.is_some());
    assert_eq!((calendar.offset, calendar.changes.len()), (0, 0));
}

#[test]
fn a_calendar_is_made_anew_in_time() {
    let calendar = calendar("Europe/Berlin", Some((52.5, 13.4, 0.0)), "2024-01-01T00:00:00Z");
    let place = calendar.place.clone();
    let needed = |place: &Place, now| is_needed(Some(&calendar), place, at(now));
    assert!(is_needed(None, &place, at("2024-01-01T00:00:00Z")));
    assert!(!needed(&place, "2024-01-01T00:00:00Z"));
    assert!(!needed(&place, "2024-01-30T00:00:00Z"));
    assert!(needed(&place, "2024-02-01T00:00:00Z"));
    assert!(needed(&Place { time_zone: "UTC".to_owned(), ..place.clone() }, "2024-01-01T00:00:00Z"));
}

#[test]
fn the_files_go_before_the_settings() {
    let settings = Home { time_zone: "Europe/Berlin".into(), latitude: Some(1.0), ..Home::default() };
    assert_eq!(place(&DeclaredPlace::default(), &settings).position, None);
    let declared = DeclaredPlace {
        time_zone: Some("Asia/Tokyo".to_owned()),
        longitude: Some(2.0),
        ..DeclaredPlace::default()
    };
    let found = place(&declared, &settings);
    assert_eq!(found.time_zone, "Asia/Tokyo");
    assert_eq!(found.position, Some(Position { latitude: 1.0, longitude: 2.0, elevation: 0.0 }));
}

#[test]
fn unknown_time_zones_get_a_hint() {
    let check = |name, expected: Result<(), Option<&str>>| {
        assert_eq!(check_zone(name), expected.map_err(|hint| hint.map(str::to_owned)), "{name}");
    };
    check("Europe/Berlin", Ok(()));
    check("UTC", Ok(()));
    check("Europe/Berln", Err(Some("Europe/Berlin")));
    check("Berlin", Err(Some("Europe/Berlin")));
    check("America/New York", Err(Some("America/New_York")));
    check("Middle-earth/Shire", Err(None));
}
