//! What each policy makes of instants that lie back.

use super::*;
use crate::calendar::tests::{BERLIN, calendar, instant, text};
use crate::schedule::recurrence::{Pattern, Weekdays, full};

/// Judges a daily 06:00 and compares what fires and what is said.
#[track_caller]
fn check(on_missed: OnMissed, recurrence: &Recurrence, (deadline, now): (&str, &str), expected: &str) {
    let verdict = on_missed.judge(recurrence, &calendar(BERLIN), instant(deadline), instant(now));
    let fires: Vec<String> = verdict.fires.into_iter().map(text).collect();
    let found = format!("{} | {}", fires.join(" "), verdict.notice.unwrap_or_default());
    assert_eq!(found, expected);
}

fn on(policy: Policy, minutes: u64) -> OnMissed {
    OnMissed { policy, within: Millis::from_secs(minutes * 60) }
}

#[test]
fn a_daily_time_is_made_up_for_inside_the_window() {
    let daily = Recurrence::Daily { time: "06:00:00".parse().unwrap(), days: Weekdays::ALL };
    let six = "2026-02-01T05:00:00Z";
    let run_once = OnMissed::default();
    check(run_once, &daily, (six, "2026-02-01T05:01:00Z"), "2026-02-01T05:00:00Z | ");
    check(
        run_once,
        &daily,
        (six, "2026-02-01T05:12:00Z"),
        "2026-02-01T05:00:00Z | missed 2026-02-01 06:00:00 (12 min 0 s ago): runs once now",
    );
    check(
        run_once,
        &daily,
        (six, "2026-02-01T05:15:01Z"),
        " | missed 2026-02-01 06:00:00 (15 min 1 s ago): skipped, as on_missed_within is 15 min 0 s",
    );
    check(
        on(Policy::Skip, 15),
        &daily,
        (six, "2026-02-01T05:12:00Z"),
        " | missed 2026-02-01 06:00:00 (12 min 0 s ago): skipped, as on_missed says",
    );
    // Three days later, just after six: what is due now runs, the days before do not.
    check(
        on(Policy::Skip, 15),
        &daily,
        (six, "2026-02-04T05:00:30Z"),
        "2026-02-04T05:00:00Z | missed 2026-02-01 06:00:00 (3 d 0 h ago): skipped up to now, as on_missed says",
    );
}

#[test]
fn a_pattern_runs_once_or_as_often_as_it_was_missed() {
    let five = (0..60).step_by(5).fold(0, |bits, n| bits | 1 << n);
    let pattern = Recurrence::Pattern(Pattern { hours: full(24), minutes: five, seconds: 1 });
    let span = ("2026-02-01T05:00:00Z", "2026-02-01T05:12:00Z");
    let missed = "missed 2026-02-01 06:00:00 (12 min 0 s ago)";
    check(OnMissed::default(), &pattern, span, &format!("2026-02-01T05:10:00Z | {missed}: runs once now"));
    check(
        on(Policy::RunAll, 60),
        &pattern,
        span,
        &format!(
            "2026-02-01T05:00:00Z 2026-02-01T05:05:00Z 2026-02-01T05:10:00Z | {missed}: runs 3 times now"
        ),
    );
    check(
        on(Policy::RunAll, 8),
        &pattern,
        span,
        &format!("2026-02-01T05:05:00Z 2026-02-01T05:10:00Z | {missed}: runs 2 times now"),
    );
    let every = Recurrence::Pattern(Pattern { hours: full(24), minutes: full(60), seconds: full(60) });
    let day = (instant("2026-02-01T05:00:00Z"), instant("2026-02-02T05:00:00Z"));
    let verdict = on(Policy::RunAll, 24 * 60).judge(&every, &calendar(BERLIN), day.0, day.1);
    assert_eq!((verdict.fires.len(), verdict.fires.last()), (RUN_ALL_MAX, Some(&day.1)));
}
