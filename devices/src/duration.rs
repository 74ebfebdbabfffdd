//! Spans of time in Home Assistant's notations: `"00:05:00"`, `"00:05"`, seconds as a number, and
//! `{hours:, minutes:, seconds:, milliseconds:}`.

use crate::yaml::{Node, Problem};
use crate::{Data, Millis};

/// The longest span taken: a thousand years. It keeps deadlines far from the end of time.
const MILLIS_MAX: f64 = 1000.0 * 366.0 * 86_400_000.0;

/// Why something is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("`{0}` is not a duration: expected `HH:MM`, `HH:MM:SS`, or seconds")]
    Text(String),
    #[error("a duration takes days, hours, minutes, seconds and milliseconds, not `{0}`")]
    Unit(String),
    #[error("`{0}` of a duration is not a number")]
    Part(String),
    #[error("a duration is a number of seconds, a text, or a mapping of units")]
    Shape,
    #[error("a duration can not be negative")]
    Negative,
    #[error("a duration of more than a thousand years")]
    TooLong,
}

/// Reads a duration out of data, for example a rendered template.
pub fn from_data(data: &Data) -> Result<Millis, DurationError> {
    let millis = signed_from_data(data)?;
    u64::try_from(millis).map(Millis).map_err(|_| DurationError::Negative)
}

/// Reads a duration that may go back, in milliseconds.
pub fn signed_from_data(data: &Data) -> Result<i64, DurationError> {
    match data.meaning() {
        Data::Int(seconds) => from_millis(*seconds as f64 * 1000.0),
        Data::Float(seconds) => from_millis(seconds * 1000.0),
        Data::Text(text) => signed_from_text(text),
        Data::Map(parts) => {
            let mut total = 0.0;
            for (unit, part) in parts {
                let number = part.to_number().ok_or_else(|| DurationError::Part(unit.clone()))?;
                total += number * unit_millis(unit).ok_or_else(|| DurationError::Unit(unit.clone()))?;
            }
            if parts.is_empty() { Err(DurationError::Shape) } else { from_millis(total) }
        }
        Data::Null
        | Data::Bool(_)
        | Data::List(_)
        | Data::Tuple(_)
        | Data::Time(_)
        | Data::LocalTime(..)
        | Data::Spelled(..) => Err(DurationError::Shape),
    }
}

/// Reads a duration out of a file.
pub fn from_node(node: &Node, path: &str) -> Result<Millis, Problem> {
    read_node(node, path, from_data)
}

/// Reads a duration that may go back out of a file, in milliseconds.
pub fn signed_from_node(node: &Node, path: &str) -> Result<i64, Problem> {
    read_node(node, path, signed_from_data)
}

fn read_node<T>(
    node: &Node,
    path: &str,
    read: impl FnOnce(&Data) -> Result<T, DurationError>,
) -> Result<T, Problem> {
    if let Some(problem) = node.unresolved_tags(path).pop() {
        return Err(problem);
    }
    read(&node.to_data()).map_err(|error| {
        let problem = node.problem(path, error.to_string());
        match error {
            DurationError::Unit(unit) => {
                problem.meant(&unit, ["days", "hours", "minutes", "seconds", "milliseconds"])
            }
            _ => problem,
        }
    })
}

/// Reads `HH:MM`, `HH:MM:SS`, `HH:MM:SS.fff` or seconds.
pub fn from_text(text: &str) -> Result<Millis, DurationError> {
    u64::try_from(signed_from_text(text)?).map(Millis).map_err(|_| DurationError::Negative)
}

fn signed_from_text(text: &str) -> Result<i64, DurationError> {
    let wrong = || DurationError::Text(text.to_owned());
    let (sign, rest) = match text.trim().strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.trim().trim_start_matches('+')),
    };
    let whole = |part: &str| {
        let digits = !part.is_empty() && part.len() <= 12 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<f64>().ok()).flatten().ok_or_else(wrong)
    };
    let fraction = |part: &str| {
        let digits = part.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let number = part.parse::<f64>().ok().filter(|number| digits && number.is_finite());
        number.ok_or_else(wrong)
    };
    let parts: Vec<&str> = rest.split(':').collect();
    let seconds = match parts.as_slice() {
        [seconds] => fraction(seconds)?,
        [hours, minutes] => whole(hours)? * 3600.0 + whole(minutes)? * 60.0,
        [hours, minutes, seconds] => whole(hours)? * 3600.0 + whole(minutes)? * 60.0 + fraction(seconds)?,
        _ => return Err(wrong()),
    };
    from_millis(sign * seconds * 1000.0)
}

fn unit_millis(unit: &str) -> Option<f64> {
    match unit {
        "days" => Some(86_400_000.0),
        "hours" => Some(3_600_000.0),
        "minutes" => Some(60_000.0),
        "seconds" => Some(1000.0),
        "milliseconds" => Some(1.0),
        _ => None,
    }
}

fn from_millis(millis: f64) -> Result<i64, DurationError> {
    if millis.is_nan() || millis.abs() > MILLIS_MAX {
        Err(DurationError::TooLong)
    } else {
        Ok(millis.round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, &str>) {
        let node = yaml::parse("t.yaml", text).unwrap();
        let read = from_node(&node, "delay").map(|millis| millis.0).map_err(|problem| problem.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn durations_read_as_in_home_assistant() {
        check("\"00:05:00\"", Ok(300_000));
        check("00:05:00", Ok(300_000));
        check("00:05", Ok(300_000));
        check("\"1:30\"", Ok(5_400_000));
        check("1:30", Ok(90_000)); // Base sixty in YAML 1.1: an integer of seconds.
        check("00:00:01.5", Ok(1500));
        check("5", Ok(5000));
        check("0.25", Ok(250));
        check("\"7\"", Ok(7000));
        check("{minutes: 5}", Ok(300_000));
        check("{hours: 1, minutes: 1, seconds: 1.5, milliseconds: 1}", Ok(3_661_501));
        check("{days: 1, hours: -1}", Ok(82_800_000));
        check("0", Ok(0));
    }

    #[test]
    fn what_is_no_duration_is_refused_by_value() {
        check("-5", Err("t.yaml:1:1: delay: a duration can not be negative"));
        check(
            "{}",
            Err("t.yaml:1:1: delay: a duration is a number of seconds, a text, or a mapping of units"),
        );
        check(
            "true",
            Err("t.yaml:1:1: delay: a duration is a number of seconds, a text, or a mapping of units"),
        );
        check(
            "{minute: 5}",
            Err("t.yaml:1:1: delay: a duration takes days, hours, minutes, seconds and milliseconds, \
                 not `minute` (did you mean `minutes`?)"),
        );
        check("{minutes: soon}", Err("t.yaml:1:1: delay: `minutes` of a duration is not a number"));
        check(
            "soon",
            Err("t.yaml:1:1: delay: `soon` is not a duration: expected `HH:MM`, `HH:MM:SS`, or seconds"),
        );
        check(
            "1:2:3:4:x",
            Err("t.yaml:1:1: delay: `1:2:3:4:x` is not a duration: expected `HH:MM`, `HH:MM:SS`, or seconds"),
        );
        check("99999999999999999", Err("t.yaml:1:1: delay: a duration of more than a thousand years"));
        check("!secret x", Err("t.yaml:1:1: delay: the tag `!secret` is not supported here"));
    }
}
