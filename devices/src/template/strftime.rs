//! Python's `strftime` and `strptime`, in the C locale that Home Assistant runs in.

use super::moment::{Moment, Shape, Zone};
use super::span::fraction_micros;
use jiff::civil::{Date, Time};
use minijinja::{Error, ErrorKind};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// `+02:00`, or another separator.
pub(super) fn offset_text(offset: i32, separator: &str) -> String {
    let (sign, offset) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    let mut text = format!("{sign}{:02}{separator}{:02}", offset / 3600, offset / 60 % 60);
    if offset % 60 != 0 {
        text += &format!("{separator}{:02}", offset % 60);
    }
    text
}

/// Writes a moment by a format.
pub(super) fn write(moment: &Moment, format: &str) -> Result<String, Error> {
    if format.len() > 4096 {
        return Err(Error::new(ErrorKind::InvalidOperation, "the format of a time is too long"));
    }
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut letter = rest.next();
        // glibc: `-` leaves padding out.
        let is_bare = letter == Some('-');
        if is_bare {
            letter = rest.next();
        }
        let Some(letter) = letter else {
            text.push('%');
            break;
        };
        let field = field(moment, letter).unwrap_or_else(|| format!("%{letter}"));
        match is_bare {
            true => {
                let bare = field.trim_start_matches(['0', ' ']);
                let is_zero = bare.is_empty() || !bare.starts_with(|c: char| c.is_ascii_digit());
                text += if is_zero && field.ends_with('0') { "0" } else { bare };
            }
            false => text += &field,
        }
    }
    Ok(text)
}

fn field(moment: &Moment, letter: char) -> Option<String> {
    let wall = moment.wall;
    let (date, time) = (wall.date(), wall.time());
    let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default();
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let parts =
        |letters: &str| letters.chars().filter_map(|letter| field(moment, letter)).collect::<Vec<_>>();
    Some(match letter {
        'a' => DAYS[weekday][..3].to_owned(),
        'A' => DAYS[weekday].to_owned(),
        'b' | 'h' => MONTHS[month_place(date)][..3].to_owned(),
        'B' => MONTHS[month_place(date)].to_owned(),
        'c' => {
            let day = format!("{:>2}", date.day());
            format!("{} {day} {} {}", parts("ab").join(" "), parts("T").concat(), date.year())
        }
        'C' => format!("{:02}", date.year() / 100),
        'd' => format!("{:02}", date.day()),
        'D' | 'x' => parts("mdy").join("/"),
        'e' => format!("{:>2}", date.day()),
        'f' => format!("{:06}", time.subsec_nanosecond() / 1000),
        'F' => parts("Ymd").join("-"),
        'g' => format!("{:02}", date.iso_week_date().year() % 100),
        'G' => date.iso_week_date().year().to_string(),
        'H' => format!("{:02}", time.hour()),
        'I' => format!("{hour12:02}"),
        'j' => format!("{:03}", date.day_of_year()),
        'k' => format!("{:>2}", time.hour()),
        'l' => format!("{hour12:>2}"),
        'm' => format!("{:02}", date.month()),
        'M' => format!("{:02}", time.minute()),
        'n' => "\n".to_owned(),
        'p' => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
        'r' => format!("{} {}", parts("IMS").join(":"), parts("p").concat()),
        'R' => parts("HM").join(":"),
        's' => {
            let seconds = super::moment::micros_of(wall).div_euclid(1_000_000);
            (seconds - i64::from(moment.offset().unwrap_or(0))).to_string()
        }
        'S' => format!("{:02}", time.second()),
        't' => "\t".to_owned(),
        'T' | 'X' => parts("HMS").join(":"),
        'u' => date.weekday().to_monday_one_offset().to_string(),
        'U' => {
            format!("{:02}", (date.day_of_year() + 6 - i16::from(date.weekday().to_sunday_zero_offset())) / 7)
        }
        'V' => format!("{:02}", date.iso_week_date().week()),
        'w' => date.weekday().to_sunday_zero_offset().to_string(),
        'W' => {
            format!("{:02}", (date.day_of_year() + 6 - i16::from(date.weekday().to_monday_zero_offset())) / 7)
        }
        'y' => format!("{:02}", date.year().rem_euclid(100)),
        'Y' => date.year().to_string(),
        'z' => moment.offset().map(|offset| offset_text(offset, "")).unwrap_or_default(),
        'Z' => match moment.zone {
            Zone::None => String::new(),
            Zone::Fixed(0) => "UTC".to_owned(),
            Zone::Fixed(offset) => format!("UTC{}", offset_text(offset, ":")),
            // The names of time zones stay at the edge.
            Zone::Home(offset) => offset_text(offset, ""),
        },
        '%' => "%".to_owned(),
        _ => return None,
    })
}

fn month_place(date: Date) -> usize {
    usize::try_from(date.month() - 1).unwrap_or_default()
}

/// What `strptime` has found so far.
#[derive(Default)]
struct Found {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    is_afternoon: Option<bool>,
    minute: i8,
    second: i8,
    micros: i32,
    offset: Option<i32>,
}

/// Reads a text by a format; none if it does not fit.
pub(super) fn parse(text: &str, format: &str) -> Option<Moment> {
    let mut found = Found::default();
    let rest = read(text, format, &mut found)?;
    if !rest.is_empty() {
        return None;
    }
    let hour = match found.is_afternoon {
        None => found.hour,
        Some(_) if !(1..=12).contains(&found.hour) => return None,
        Some(is_afternoon) => found.hour % 12 + if is_afternoon { 12 } else { 0 },
    };
    let year = found.year.unwrap_or(1900);
    let mut date = Date::new(year, found.month.unwrap_or(1), found.day.unwrap_or(1)).ok()?;
    if let (Some(day), None) = (found.day_of_year, found.month) {
        date = Date::new(year, 1, 1).ok()?.with().day_of_year(day).build().ok()?;
    }
    let time = Time::new(hour, found.minute, found.second.min(59), found.micros * 1000).ok()?;
    let zone = found.offset.map_or(Zone::None, Zone::Fixed);
    Some(Moment { wall: date.to_datetime(time), zone, shape: Shape::DateTime })
}

fn read<'t>(mut text: &'t str, format: &str, found: &mut Found) -> Option<&'t str> {
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c.is_whitespace() {
            text = text.trim_start();
            continue;
        }
        if c != '%' {
            text = text.strip_prefix(c)?;
            continue;
        }
        text = read_field(text, rest.next()?, found)?;
    }
    Some(text)
}

fn read_field<'t>(text: &'t str, letter: char, found: &mut Found) -> Option<&'t str> {
    let mut rest = text;
    match letter {
        'Y' => found.year = Some(number(&mut rest, 4, 4)?),
        'y' => {
            let year: i16 = number(&mut rest, 2, 2)?;
            found.year = Some(if year < 69 { year + 2000 } else { year + 1900 });
        }
        'm' => found.month = Some(number(&mut rest, 1, 2)?),
        'd' | 'e' => found.day = Some(number(&mut rest, 1, 2)?),
        'j' => found.day_of_year = Some(number(&mut rest, 1, 3)?),
        'H' | 'I' | 'k' | 'l' => found.hour = number(&mut rest, 1, 2)?,
        'M' => found.minute = number(&mut rest, 1, 2)?,
        'S' => found.second = number(&mut rest, 1, 2)?,
        'f' => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()).min(6);
            found.micros = (end > 0).then(|| fraction_micros(&rest[..end])).flatten()?;
            rest = &rest[end..];
        }
        'p' => found.is_afternoon = Some(word(&mut rest, &["AM", "PM"], 2)? == 1),
        'b' | 'h' => found.month = i8::try_from(word(&mut rest, &MONTHS, 3)? + 1).ok(),
        'B' => found.month = i8::try_from(word(&mut rest, &MONTHS, usize::MAX)? + 1).ok(),
        'a' => drop(word(&mut rest, &DAYS, 3)?),
        'A' => drop(word(&mut rest, &DAYS, usize::MAX)?),
        'w' | 'u' => drop(number::<i8>(&mut rest, 1, 1)?),
        'z' => {
            let (offset, after) = offset(rest)?;
            found.offset = Some(offset);
            rest = after;
        }
        'Z' => rest = rest.strip_prefix("UTC").or_else(|| rest.strip_prefix("GMT"))?,
        'T' | 'X' => rest = read(rest, "%H:%M:%S", found)?,
        'R' => rest = read(rest, "%H:%M", found)?,
        'D' | 'x' => rest = read(rest, "%m/%d/%y", found)?,
        'F' => rest = read(rest, "%Y-%m-%d", found)?,
        'c' => rest = read(rest, "%a %b %d %H:%M:%S %Y", found)?,
        '%' => rest = rest.strip_prefix('%')?,
        _ => return None,
    }
    Some(rest)
}

/// Reads between `least` and `most` digits.
fn number<N: std::str::FromStr>(text: &mut &str, least: usize, most: usize) -> Option<N> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()).min(most);
    let digits = (end >= least).then(|| &text[..end])?;
    *text = &text[end..];
    digits.parse().ok()
}

/// Reads one of several words, or its first letters, in any case.
fn word(text: &mut &str, words: &[&str], length: usize) -> Option<usize> {
    let starts = |word: &&str| {
        let word = &word[..word.len().min(length)];
        text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    let place = words.iter().position(starts)?;
    *text = &text[words[place].len().min(length)..];
    Some(place)
}

/// `Z`, `+02`, `+0200` or `+02:00`.
fn offset(text: &str) -> Option<(i32, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((0, rest));
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let mut rest = text.strip_prefix(['+', '-'])?;
    let hours: i32 = number(&mut rest, 2, 2)?;
    let mut after = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = match number::<i32>(&mut after, 2, 2) {
        Some(minutes) => {
            rest = after;
            minutes
        }
        None => 0,
    };
    (hours < 24 && minutes < 60).then_some((sign * (hours * 3600 + minutes * 60), rest))
}

/// Reads what Home Assistant takes for a date and time: ISO 8601 with a blank or a `T`, with or
/// without seconds, zone and time.
pub(super) fn parse_datetime(text: &str) -> Option<Moment> {
    let text = text.trim();
    let mut found = Found::default();
    let dashed = read(text, "%Y-%m-%d", &mut found);
    let mut rest = match dashed {
        Some(rest) => rest,
        None => {
            let mut rest = text;
            found.year = Some(number(&mut rest, 4, 4)?);
            found.month = Some(number(&mut rest, 2, 2)?);
            found.day = Some(number(&mut rest, 2, 2)?);
            rest
        }
    };
    if !rest.is_empty() {
        rest = read_clock(rest.strip_prefix(['T', 't', ' '])?, &mut found)?;
        rest = rest.trim_start();
        if !rest.is_empty() {
            let (offset, after) = offset(rest)?;
            found.offset = Some(offset);
            rest = after;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let date = Date::new(found.year?, found.month?, found.day?).ok()?;
    let time = Time::new(found.hour, found.minute, found.second, found.micros * 1000).ok()?;
    let zone = found.offset.map_or(Zone::None, Zone::Fixed);
    Some(Moment { wall: date.to_datetime(time), zone, shape: Shape::DateTime })
}

fn read_clock<'t>(text: &'t str, found: &mut Found) -> Option<&'t str> {
    let mut rest = read(text, "%H:%M", found)?;
    if let Some(after) = rest.strip_prefix(':') {
        rest = read(after, "%S", found)?;
        if let Some(after) = rest.strip_prefix(['.', ',']) {
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            found.micros = fraction_micros(&after[..end])?;
            rest = &after[end..];
        }
    }
    Some(rest)
}

/// Reads a time of day: `7:30`, `07:30:15`.
pub(super) fn parse_time(text: &str) -> Option<Time> {
    let mut found = Found::default();
    let rest = read_clock(text.trim(), &mut found)?;
    let time = Time::new(found.hour, found.minute, found.second, found.micros * 1000).ok()?;
    rest.is_empty().then_some(time)
}
