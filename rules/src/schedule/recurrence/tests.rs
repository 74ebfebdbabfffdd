//! The instants of each rule across the days on which clocks are changed.

use super::*;
use crate::calendar::tests::{BERLIN, KOLKATA, LORD_HOWE, NEW_YORK, calendar, instant, text};

fn daily(time: &str) -> Recurrence {
    Recurrence::Daily { time: time.parse().unwrap(), days: Weekdays::ALL }
}

/// A pattern of numbers, `*` for any: `2 30 0`.
fn pattern(words: &str) -> Recurrence {
    let bits = |word: &str, count| match word.strip_prefix('/') {
        _ if word == "*" => full(count),
        Some(step) => (0..count).step_by(step.parse().unwrap()).fold(0, |bits, n| bits | 1 << n),
        None => 1 << word.parse::<u32>().unwrap(),
    };
    let words: Vec<&str> = words.split(' ').collect();
    let pattern =
        Pattern { hours: bits(words[0], 24), minutes: bits(words[1], 60), seconds: bits(words[2], 60) };
    Recurrence::Pattern(pattern)
}

/// Compares the first instants after one, separated by blanks.
#[track_caller]
fn check(recurrence: Recurrence, zone: &str, after: &str, expected: &str) {
    let calendar = calendar(zone);
    let mut after = instant(after);
    for expected in expected.split(' ') {
        let next = recurrence.next_after(&calendar, after).unwrap();
        assert_eq!(text(next), expected, "{recurrence:?} after {}", text(after));
        after = next;
    }
}

#[test]
fn a_daily_time_comes_once_a_day() {
    check(daily("06:00:00"), KOLKATA, "2026-03-28T00:30:00Z", "2026-03-29T00:30:00Z 2026-03-30T00:30:00Z");
    // Put forward: as soon as the clocks have passed it, once.
    check(
        daily("02:30:00"),
        BERLIN,
        "2026-03-28T00:00:00Z",
        "2026-03-28T01:30:00Z 2026-03-29T01:00:00Z 2026-03-30T00:30:00Z",
    );
    check(daily("02:00:00"), NEW_YORK, "2026-03-08T00:00:00Z", "2026-03-08T07:00:00Z 2026-03-09T06:00:00Z");
    check(daily("02:15:00"), LORD_HOWE, "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z 2026-10-04T15:15:00Z");
    // Put back: the first time only.
    check(daily("02:30:00"), BERLIN, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z");
    check(daily("02:30:00"), BERLIN, "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z");
    check(daily("01:45:00"), LORD_HOWE, "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z 2026-04-05T15:15:00Z");
}

#[test]
fn a_weekday_is_the_local_one() {
    let sunday = Weekdays::new([Weekday::Sunday]);
    let recurrence = Recurrence::Daily { time: "00:30:00".parse().unwrap(), days: sunday };
    check(recurrence, BERLIN, "2026-03-25T00:00:00Z", "2026-03-28T23:30:00Z 2026-04-04T22:30:00Z");
    let none = Recurrence::Daily { time: "00:30:00".parse().unwrap(), days: Weekdays::new([]) };
    assert_eq!(none.next_after(&calendar(BERLIN), Timestamp(0)), None);
}

#[test]
fn a_pattern_comes_whenever_the_clock_shows_it() {
    check(pattern("* /15 0"), KOLKATA, "2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z 2026-01-01T00:30:00Z");
    check(pattern("* * /20"), BERLIN, "2026-01-01T00:00:59.5Z", "2026-01-01T00:01:00Z 2026-01-01T00:01:20Z");
    check(pattern("23 59 59"), BERLIN, "2026-01-01T22:59:59Z", "2026-01-02T22:59:59Z");
    // Put forward: the clock never shows it on that day.
    check(pattern("2 30 0"), BERLIN, "2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z");
    check(pattern("* 0 0"), BERLIN, "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z 2026-03-29T02:00:00Z");
    check(pattern("* 0 0"), LORD_HOWE, "2026-10-03T15:00:00Z", "2026-10-03T16:00:00Z");
    // Put back: it shows it twice.
    check(
        pattern("2 30 0"),
        BERLIN,
        "2026-10-24T12:00:00Z",
        "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z 2026-10-26T01:30:00Z",
    );
    check(
        pattern("1 45 0"),
        LORD_HOWE,
        "2026-04-04T12:00:00Z",
        "2026-04-04T14:45:00Z 2026-04-04T15:15:00Z 2026-04-05T15:15:00Z",
    );
    check(pattern("2 0 0"), BERLIN, "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z 2026-10-26T01:00:00Z");
}

#[test]
fn a_pattern_is_what_counting_seconds_finds() {
    let calendar = calendar(NEW_YORK);
    for words in ["1 /7 30", "/3 59 0", "* 30 /30", "2 * 0"] {
        let recurrence = pattern(words);
        for (from, hours) in [("2026-03-08T04:00:00Z", 6), ("2026-11-01T03:00:00Z", 6)] {
            let from = instant(from);
            let shows = |at: &Timestamp| {
                let Recurrence::Pattern(pattern) = recurrence else { unreachable!() };
                let local = calendar.local(*at);
                let has = |bits: u64, n: i8| bits >> n & 1 == 1;
                has(pattern.hours, local.hour())
                    && has(pattern.minutes, local.minute())
                    && has(pattern.seconds, local.second())
            };
            let until = Timestamp(from.0 + hours * 3_600_000);
            let counted: Vec<Timestamp> =
                (from.0..=until.0).step_by(1000).map(Timestamp).filter(shows).collect();
            let found: Vec<Timestamp> = recurrence.all(&calendar, from, until, 100_000).into();
            assert_eq!(found, counted, "{words}");
        }
    }
}

#[test]
fn the_latest_is_found_near_and_far() {
    let calendar = calendar(BERLIN);
    let latest = |recurrence: Recurrence, from: &str, until: &str| {
        recurrence.latest(&calendar, instant(from), instant(until)).map(text)
    };
    let (from, until) = ("2026-01-01T00:00:00Z", "2026-01-31T12:00:30Z");
    assert_eq!(latest(pattern("* * *"), from, until).as_deref(), Some(until));
    assert_eq!(latest(pattern("* /5 0"), from, until).as_deref(), Some("2026-01-31T12:00:00Z"));
    assert_eq!(latest(daily("06:00:00"), from, until).as_deref(), Some("2026-01-31T05:00:00Z"));
    assert_eq!(latest(daily("06:00:00"), until, until), None);
    let once = Recurrence::Once { at: instant("2026-01-02T00:00:00Z"), days: Weekdays::ALL };
    assert_eq!(latest(once, from, until).as_deref(), Some("2026-01-02T00:00:00Z"));
}

#[test]
fn the_end_of_time_is_no_trap() {
    for recurrence in [daily("06:00:00"), pattern("* * *"), pattern("23 59 59")] {
        for at in [i64::MIN, i64::MIN / 1000, i64::MAX / 1000, i64::MAX] {
            recurrence.next_after(&calendar(BERLIN), Timestamp(at));
        }
    }
}

#[test]
fn spans_are_told_in_words() {
    let check = |seconds, expected: &str| assert_eq!(span_text(Millis::from_secs(seconds)), expected);
    check(61, "1 min 1 s");
    check(59, "59 s");
    check(7_380, "2 h 3 min");
    check(180_000, "2 d 2 h");
}
