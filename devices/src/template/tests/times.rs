//! Dates and times: expectations were computed with Python 3.11's `datetime`, or follow Home
//! Assistant's documentation where the function is its own.

use super::home::Fake;
use super::*;

#[test]
fn datetimes_are_pythons() {
    check_all(&Fake::context("2024-01-01T14:05:09.123+01:00"), PYTHON);
}

#[test]
fn naive_and_aware_times_do_not_mix() {
    let context = Fake::context("2024-01-01T13:00:00Z");
    for text in ["{{ now() < strptime('2024', '%Y') }}", "{{ now() - strptime('2024', '%Y') }}"] {
        assert!(Template::parse(text).unwrap().render(&context).is_err(), "{text}");
    }
}

#[test]
fn home_assistants_functions_of_time() {
    check_all(&Fake::context("2024-01-01T14:05:09.123+01:00"), HOME_ASSISTANT);
}

#[test]
fn clocks_that_change() {
    check_all(
        &Fake::context("2024-03-30T23:30:00Z"),
        &[
            ("{{ now() }}", "2024-03-31 00:30:00+01:00"),
            // As in Python: on one clock, hands move; the hours that pass are counted at UTC.
            ("{{ now() + timedelta(hours=4) }}", "2024-03-31 04:30:00+02:00"),
            ("{{ (now() + timedelta(hours=4)).timestamp() - now().timestamp() }}", "10800.0"),
            ("{{ utcnow() + timedelta(hours=4) }}", "2024-03-31 03:30:00+00:00"),
            ("{{ today_at('12:00') - today_at('00:00') }}", "12:00:00"),
            ("{{ as_timestamp(today_at('12:00')) - as_timestamp(today_at('00:00')) }}", "39600.0"),
            (
                "{{ today_at('12:00') }} {{ today_at('00:00') }}",
                "2024-03-31 12:00:00+02:00 2024-03-31 00:00:00+01:00",
            ),
            ("{{ now().replace(hour=12) }}", "2024-03-31 12:30:00+02:00"),
        ],
    );
}

#[test]
fn dates_out_of_range_are_errors() {
    let context = Fake::context("2024-01-01T13:00:00Z");
    for text in [
        "{{ now() + timedelta(days=99999999) }}",
        "{{ now() - timedelta(days=999999) }}",
        "{{ timedelta(days=9999999999999) }}",
        "{{ timedelta(days=1) * 1e300 }}",
        "{{ now().replace(month=13) }}",
        "{{ now().replace(day=99999999999) }}",
        "{{ as_datetime(1e300) + timedelta(days=1) }}",
        "{{ timedelta(hours='x') }}",
        "{{ timedelta(hours=1) / 0 }}",
        "{{ now() * 2 }}",
        "{{ strptime('2024-02-30', '%Y-%m-%d') }}",
    ] {
        let output = Template::parse(text).unwrap().render(&context);
        assert!(output.is_err(), "{text} gives {output:?}");
    }
}

/// Templates at 2024-01-01 14:05:09.123, one hour east of UTC, and what Python makes of them.
const PYTHON: &[(&str, &str)] = &[
    (
        "{{ now() }} {{ utcnow() }} {{ now().isoformat() }} {{ now().year }}-{{ now().month }}-{{ now().day }} {{ now().hour }}:{{ now().minute }}:{{ now().second }}.{{ now().microsecond }}",
        "2024-01-01 14:05:09.123000+01:00 2024-01-01 13:05:09.123000+00:00 2024-01-01T14:05:09.123000+01:00 2024-1-1 14:5:9.123000",
    ),
    (
        "{{ now().weekday() }} {{ now().isoweekday() }} {{ now().isocalendar()[1] }} {{ now().date() }} {{ now().time() }} {{ now().timestamp() }} {{ now().toordinal() }} {{ now().timetuple().tm_yday }}",
        "0 1 1 2024-01-01 14:05:09.123000 1704114309.123 738886 1",
    ),
    (
        "{{ now() + timedelta(days=1) }} {{ now() - timedelta(hours=30, minutes=5) }} {{ now() - now() }} {{ (now() + timedelta(hours=1)) - now() }} {{ timedelta(days=1) + now() }}",
        "2024-01-02 14:05:09.123000+01:00 2023-12-31 08:00:09.123000+01:00 0:00:00 1:00:00 2024-01-02 14:05:09.123000+01:00",
    ),
    (
        "{{ timedelta(hours=1) }} {{ timedelta(days=2, seconds=3) }} {{ timedelta(seconds=-1) }} {{ timedelta(milliseconds=1500) }} {{ timedelta(weeks=1) }} {{ timedelta(1, 2, 3) }} {{ timedelta(minutes=1.5) }} {{ timedelta() }}",
        "1:00:00 2 days, 0:00:03 -1 day, 23:59:59 0:00:01.500000 7 days, 0:00:00 1 day, 0:00:02.000003 0:01:30 0:00:00",
    ),
    (
        "{{ timedelta(hours=30).total_seconds() }} {{ timedelta(hours=30).days }} {{ timedelta(hours=30).seconds }} {{ timedelta(seconds=-1).days }} {{ timedelta(seconds=-1).seconds }} {{ timedelta(microseconds=5).microseconds }}",
        "108000.0 1 21600 -1 86399 5",
    ),
    (
        "{{ timedelta(hours=1) * 2 }} {{ timedelta(hours=1) / 2 }} {{ timedelta(hours=1) / timedelta(minutes=1) }} {{ timedelta(hours=1) // timedelta(minutes=7) }} {{ timedelta(hours=1) % timedelta(minutes=7) }} {{ timedelta(hours=1) > timedelta(minutes=1) }} {{ -timedelta(hours=1) }} {{ timedelta(hours=1) // 7 }} {{ 1.5 * timedelta(hours=1) }}",
        "2:00:00 0:30:00 60.0 8 0:04:00 True -1 day, 23:00:00 0:08:34.285714 1:30:00",
    ),
    (
        "{% set naive = strptime('2024-02-29 07:30', '%Y-%m-%d %H:%M') %}{{ now() > naive if false else 'x' }} {{ now() == utcnow() }} {{ now() >= utcnow() }} {{ now().date() == utcnow().date() }} {{ now().date() - timedelta(days=1) }} {{ now().date().isoformat() }} {{ (now().date() - naive.date()).days }} {{ naive.date() > now().date() }}",
        "x True True True 2023-12-31 2024-01-01 -59 True",
    ),
    (
        "{{ now().strftime('%Y-%m-%d %H:%M:%S.%f %z %a %A %b %B %j %I %p %y %U %W %w %u %V %G %% %d') }}",
        "2024-01-01 14:05:09.123000 +0100 Mon Monday Jan January 001 02 PM 24 00 01 1 1 01 2024 % 01",
    ),
    (
        "{{ now().strftime('%-d.%-m. %-H:%-M %-I %c|%x|%X|%D|%F|%T|%R|%e|%C') }}",
        "1.1. 14:5 2 Mon Jan  1 14:05:09 2024|01/01/24|14:05:09|01/01/24|2024-01-01|14:05:09|14:05| 1|20",
    ),
    (
        "{% set naive = strptime('2024-02-29 07:30', '%Y-%m-%d %H:%M') %}{{ naive }} {{ naive.isoformat() }} {{ naive.replace(hour=0, minute=5) }} {{ naive.replace(year=2023, day=1) }} {{ naive.date().replace(day=1) }} {{ naive.strftime('%d %B, %Y|%z|%Z|') }}",
        "2024-02-29 07:30:00 2024-02-29T07:30:00 2024-02-29 00:05:00 2023-02-01 07:30:00 2024-02-01 29 February, 2024|||",
    ),
    (
        "{% set naive = strptime('2024-02-29 07:30', '%Y-%m-%d %H:%M') %}{{ now().replace(hour=0, minute=0, second=0, microsecond=0) }} {{ now().replace(tzinfo=none) }} {{ now().replace(microsecond=0).isoformat() }} {{ now().isoformat(' ') }} {{ now().time() > naive.time() }} {{ now().time().hour }} {{ now().utcoffset() }}",
        "2024-01-01 00:00:00+01:00 2024-01-01 14:05:09.123000 2024-01-01T14:05:09+01:00 2024-01-01 14:05:09.123000+01:00 True 14 1:00:00",
    ),
    (
        "{{ strptime('2024-02-29 07:30', '%Y-%m-%d %H:%M') }} {{ strptime('07:05 PM', '%I:%M %p') }} {{ strptime('1 Mar 24', '%d %b %y') }} {{ strptime('2024-01-01T10:00:00+0200', '%Y-%m-%dT%H:%M:%S%z') }} {{ strptime('12:00:00.5', '%H:%M:%S.%f') }} {{ strptime('Monday, January 01 2024', '%A, %B %d %Y') }} {{ strptime('060', '%j') }}",
        "2024-02-29 07:30:00 1900-01-01 19:05:00 2024-03-01 00:00:00 2024-01-01 10:00:00+02:00 1900-01-01 12:00:00.500000 2024-01-01 00:00:00 1900-03-01 00:00:00",
    ),
    (
        "{% set naive = strptime('2024-02-29 07:30', '%Y-%m-%d %H:%M') %}{{ [naive] }} {{ [timedelta(hours=1)] }} {{ [utcnow()] }} {{ {'d': naive.date(), 't': naive.time()} }} {{ [timedelta(days=-1, seconds=5)] }}",
        "[datetime.datetime(2024, 2, 29, 7, 30)] [datetime.timedelta(seconds=3600)] [datetime.datetime(2024, 1, 1, 13, 5, 9, 123000, tzinfo=datetime.timezone.utc)] {'d': datetime.date(2024, 2, 29), 't': datetime.time(7, 30)} [datetime.timedelta(days=-1, seconds=5)]",
    ),
    (
        "{% set naive = strptime('2024-02-29 07:30', '%Y-%m-%d %H:%M') %}{{ naive < naive + timedelta(seconds=1) }} {{ [naive + timedelta(days=1), naive] | min }} {{ [naive, naive.replace(year=2020)] | sort | first }} {{ 'late' if now().hour >= 14 else 'early' }} {{ now().strftime('%H:%M') > '14:00' }} {{ (now() - timedelta(days=400)).year }}",
        "True 2024-02-29 07:30:00 2020-02-29 07:30:00 late True 2022",
    ),
];

/// Functions that Home Assistant adds, at the same time.
const HOME_ASSISTANT: &[(&str, &str)] = &[
    (
        "{{ today_at('7:30') }} {{ today_at() }} {{ today_at('23:59:59') > now() }}",
        "2024-01-01 07:30:00+01:00 2024-01-01 00:00:00+01:00 True",
    ),
    ("{{ today_at('25:00') }}", "error: template: today_at got `25:00`, which is no time such as 07:30"),
    (
        "{{ as_timestamp(now()) }} {{ as_timestamp('2024-01-01T12:00:00+00:00') }}",
        "1704114309.123 1704110400.0",
    ),
    (
        "{{ as_timestamp('2024-01-01 13:00') }} {{ as_timestamp('x', 0) }} {{ 'x' | as_timestamp(default=-1) }}",
        "1704110400.0 0 -1",
    ),
    (
        "{{ as_timestamp('x') }}",
        "error: template: as_timestamp got `x`, which it can not read, and no default was given",
    ),
    (
        "{{ as_datetime(1704110400) }} {{ '1704110400.5' | as_datetime }} {{ as_datetime('2024-01-01') }}",
        "2024-01-01 12:00:00+00:00 2024-01-01 12:00:00.500000+00:00 2024-01-01 00:00:00",
    ),
    (
        "{{ as_datetime('2024-01-01T10:00:00.25Z') }} {{ as_datetime('x') }} {{ as_datetime('x', 'd') }}",
        "2024-01-01 10:00:00.250000+00:00 None d",
    ),
    (
        "{{ as_datetime('2024-01-01 10:00:00-0330') }} {{ as_datetime(now().date()) }}",
        "2024-01-01 10:00:00-03:30 2024-01-01 00:00:00",
    ),
    (
        "{{ as_local(as_datetime(1704110400)) }} {{ 1720000000 | as_datetime | as_local }}",
        "2024-01-01 13:00:00+01:00 2024-07-03 11:46:40+02:00",
    ),
    (
        "{{ 1704110400 | timestamp_local }} {{ 1704110400.5 | timestamp_utc }}",
        "2024-01-01T13:00:00+01:00 2024-01-01T12:00:00.500000+00:00",
    ),
    (
        "{{ 1704110400 | timestamp_custom }} {{ 1704110400 | timestamp_custom('%H:%M', false) }}",
        "2024-01-01 13:00:00 12:00",
    ),
    (
        "{{ 1704110400 | timestamp_custom('%d.%m.%Y') }} {{ 'x' | timestamp_custom('%H', true, 'd') }}",
        "01.01.2024 d",
    ),
    ("{{ now() | as_timestamp | timestamp_local | as_datetime }}", "2024-01-01 14:05:09.123000+01:00"),
    (
        "{{ as_timedelta('1 day, 2:03:04') }} {{ as_timedelta('00:10:00').total_seconds() }}",
        "1 day, 2:03:04 600.0",
    ),
    (
        "{{ '01:30' | as_timedelta }} {{ as_timedelta('P1DT2H30M') }} {{ as_timedelta('x') }} {{ as_timedelta('90') }}",
        "0:01:30 1 day, 2:30:00 None 0:01:30",
    ),
    (
        "{{ relative_time(now() - timedelta(minutes=5)) }} {{ relative_time(now() - timedelta(hours=1)) }}",
        "5 minutes 1 hour",
    ),
    ("{{ time_since(now() - timedelta(hours=1, minutes=2, seconds=3), precision=2) }}", "1 hour 2 minutes"),
    ("{{ time_until(now() + timedelta(days=3, hours=2), 2) }} {{ relative_time('x') }}", "3 days 2 hours x"),
    ("{{ relative_time(now() + timedelta(seconds=1)) == now() + timedelta(seconds=1) }}", "True"),
    ("{{ strptime('x', '%Y', 'd') }} {{ strptime('10:30', '%H:%M').hour }}", "d 10"),
    ("{{ now() is datetime }} {{ 'x' is datetime }} {{ now() | strftime('%H:%M') }}", "True False 14:05"),
    ("{{ as_timestamp(strptime('2024-01-01 13:00', '%Y-%m-%d %H:%M')) }}", "1704110400.0"),
];
