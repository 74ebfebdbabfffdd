//! Times on the wall against instants, in zones that change their clocks and one that does not.

use super::*;

/// A calendar out of words: `+3600` before the first change, `2026-03-29T01:00:00Z+7200` for one.
pub(crate) fn calendar(words: &str) -> Calendar {
    let mut words = words.split(' ');
    let offset = words.next().unwrap().parse().unwrap();
    let changes = words.map(|word| {
        let (at, offset) = word.split_once('Z').unwrap();
        OffsetChange { at: instant(&format!("{at}Z")), offset: offset.parse().unwrap() }
    });
    Calendar { offset, changes: changes.collect(), ..Calendar::default() }
}

pub(crate) fn instant(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

pub(crate) fn text(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).unwrap().to_string()
}

pub(crate) const BERLIN: &str = "+3600 2026-03-29T01:00:00Z+7200 2026-10-25T01:00:00Z+3600";
pub(crate) const NEW_YORK: &str = "-18000 2026-03-08T07:00:00Z-14400 2026-11-01T06:00:00Z-18000";
pub(crate) const LORD_HOWE: &str = "+39600 2026-04-04T15:00:00Z+37800 2026-10-03T15:30:00Z+39600";
pub(crate) const KOLKATA: &str = "+19800";

/// Compares the instant of a local time, and that the clocks show it again then, unless it is skipped.
#[track_caller]
fn check(zone: &str, local: &str, expected: &str) {
    let calendar = calendar(zone);
    let local: DateTime = local.parse().unwrap();
    let at = calendar.to_instant(local);
    assert_eq!(text(at), expected, "{local} in {zone}");
    match calendar.resolve(local) {
        Resolved::At(at) => assert_eq!(calendar.local(at), local),
        Resolved::Skipped { gap_end, shifted } => {
            assert!(gap_end <= shifted && calendar.local(shifted) > local);
        }
    }
}

#[test]
fn times_on_the_wall_are_instants() {
    check(BERLIN, "2026-01-15T12:00", "2026-01-15T11:00:00Z");
    check(BERLIN, "2026-03-29T01:59:59", "2026-03-29T00:59:59Z");
    check(BERLIN, "2026-03-29T02:30", "2026-03-29T01:30:00Z");
    check(BERLIN, "2026-03-29T03:00", "2026-03-29T01:00:00Z");
    check(BERLIN, "2026-07-15T12:00", "2026-07-15T10:00:00Z");
    check(BERLIN, "2026-10-25T02:30", "2026-10-25T00:30:00Z");
    check(BERLIN, "2026-10-25T03:00", "2026-10-25T02:00:00Z");
    check(NEW_YORK, "2026-03-08T02:30", "2026-03-08T07:30:00Z");
    check(NEW_YORK, "2026-11-01T01:30", "2026-11-01T05:30:00Z");
    check(LORD_HOWE, "2026-04-05T01:45", "2026-04-04T14:45:00Z");
    check(LORD_HOWE, "2026-10-04T02:15", "2026-10-03T15:45:00Z");
    check(KOLKATA, "2026-03-29T02:30", "2026-03-28T21:00:00Z");
}

#[test]
fn instants_at_the_end_of_time_do_no_harm() {
    let calendar = calendar(BERLIN);
    for at in [i64::MIN, i64::MAX, 0] {
        let local = calendar.local(Timestamp(at));
        calendar.to_instant(local);
    }
    calendar.to_instant(DateTime::MAX);
    calendar.to_instant(DateTime::MIN);
}

#[test]
fn tables_that_can_not_be_right_are_refused() {
    assert_eq!(calendar(BERLIN).fault(), None);
    assert!(calendar("+3600 2026-03-29T01:00:00Z+7200 2026-03-29T01:00:00Z+3600").fault().is_some());
    assert!(calendar("+99999").fault().is_some());
    let events = |times: &[i64]| {
        let moment = |at: &i64| SunMoment { at: Timestamp(*at), event: SunEvent::Noon };
        let sun = SunTable { events: times.iter().map(moment).collect(), ..SunTable::default() };
        Calendar { sun: Some(sun), ..Calendar::default() }.fault()
    };
    assert_eq!(events(&[1, 2]), None);
    assert!(events(&[2, 1]).is_some());
    assert!(events(&vec![1; SUN_EVENTS_MAX + 1]).is_some());
}

#[test]
fn the_sun_is_asked_by_date_and_by_instant() {
    let moment = |at, event| SunMoment { at: instant(at), event };
    let sun = SunTable {
        until: instant("2026-03-31T00:00:00Z"),
        begins_up: false,
        events: vec![
            moment("2026-03-28T04:50:00Z", SunEvent::Rising),
            moment("2026-03-28T17:30:00Z", SunEvent::Setting),
            moment("2026-03-29T04:48:00Z", SunEvent::Rising),
        ],
    };
    assert!(!sun.is_up(instant("2026-03-28T04:49:59Z")));
    assert!(sun.is_up(instant("2026-03-28T04:50:00Z")));
    assert!(!sun.is_up(instant("2026-03-28T17:30:00Z")));
    let calendar = Calendar { sun: Some(sun), ..calendar(BERLIN) };
    let on = |date: &str| calendar.sun_on(SunEvent::Rising, date.parse().unwrap()).map(text);
    assert_eq!(on("2026-03-27"), None);
    assert_eq!(on("2026-03-28").as_deref(), Some("2026-03-28T04:50:00Z"));
    assert_eq!(on("2026-03-29").as_deref(), Some("2026-03-29T04:48:00Z"));
    let after = |offset, at| calendar.sun_after(SunEvent::Rising, offset, instant(at)).map(text);
    assert_eq!(after(0, "2026-03-28T04:50:00Z").as_deref(), Some("2026-03-29T04:48:00Z"));
    assert_eq!(after(60_000, "2026-03-28T04:50:00Z").as_deref(), Some("2026-03-28T04:51:00Z"));
    assert_eq!(after(-60_000, "2026-03-28T04:50:00Z").as_deref(), Some("2026-03-29T04:47:00Z"));
    assert_eq!(after(0, "2026-03-29T04:48:00Z"), None);
}
