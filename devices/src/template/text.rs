//! Texts: Jinja's filters as Python does them, and what Home Assistant adds.

use super::args::Args;
use super::home::{Home, too_long};
use super::methods;
use super::{percent, python};
use crate::slugify as slug_of;
use minijinja::value::{Rest, Tuple, Value};
use minijinja::{Error, ErrorKind, State};

/// `lower`, of anything as Python prints it.
pub(super) fn lower(value: Value) -> Result<Value, Error> {
    python::to_text(&value).map(|text| text.to_lowercase().into())
}

/// `upper`.
pub(super) fn upper(value: Value) -> Result<Value, Error> {
    python::to_text(&value).map(|text| text.to_uppercase().into())
}

/// `title`: Jinja capitalises what follows white space, a hyphen or a bracket.
pub(super) fn title(value: Value) -> Result<Value, Error> {
    let text = python::to_text(&value)?;
    let mut is_first = true;
    let letters = text.chars().flat_map(|c| {
        let letter: String = if is_first { c.to_uppercase().collect() } else { c.to_lowercase().collect() };
        is_first = c.is_whitespace() || "-({[<".contains(c);
        letter.chars().collect::<Vec<_>>()
    });
    Ok(Value::from(letters.collect::<String>()))
}

/// `capitalize`.
pub(super) fn capitalize(value: Value) -> Result<Value, Error> {
    python::to_text(&value).map(|text| methods::capitalize(&text).into())
}

/// `string`.
pub(super) fn string(value: Value) -> Result<Value, Error> {
    python::to_text(&value).map(Value::from)
}

/// `trim(characters)`.
pub(super) fn trim(value: Value, characters: Option<&str>) -> Result<Value, Error> {
    let text = python::to_text(&value)?;
    let is_cut = |c: char| characters.map_or(c.is_whitespace(), |characters| characters.contains(c));
    Ok(Value::from(text.trim_matches(is_cut)))
}

/// `replace(old, new, count)`.
pub(super) fn replace(
    state: &State,
    value: Value,
    old: Value,
    new: Value,
    args: Args,
) -> Result<Value, Error> {
    let [count] = args.take(["count"])?;
    let count = count.filter(|count| !count.is_none()).map_or(Ok(-1), i64::try_from)?;
    let (text, old, new) = (python::to_text(&value)?, python::to_text(&old)?, python::to_text(&new)?);
    Home::of(state)?.keep(Value::from(replace_text(&text, &old, &new, count)?))
}

/// Replaces at most `count` times, without a limit if that is negative.
pub(super) fn replace_text(text: &str, old: &str, new: &str, count: i64) -> Result<String, Error> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let grown = text.matches(old).take(count).count().saturating_mul(new.len());
    if grown.saturating_add(text.len()) > super::OUTPUT_MAX {
        return Err(too_long());
    }
    Ok(text.replacen(old, new, count))
}

/// `'%s' | format(values)`.
pub(super) fn format(state: &State, pattern: &str, args: Args) -> Result<Value, Error> {
    let (places, []) = args.split([])?;
    Home::of(state)?.keep(Value::from(percent::format(pattern, &Value::from(Tuple::new(places)))?))
}

/// `slugify(text, separator)`.
pub(super) fn slugify(value: Value, args: Args) -> Result<Value, Error> {
    let [separator] = args.take(["separator"])?;
    let text = python::to_text(&value)?;
    // Home Assistant's word for a name without a letter is `unknown`, and nothing for no name.
    let slug = if text.is_empty() { String::new() } else { slug_of(&text) };
    Ok(match separator.as_ref().and_then(Value::as_str) {
        Some(separator) => Value::from(replace_text(&slug, "_", separator, -1)?),
        None => Value::from(slug),
    })
}

/// `urlencode`.
pub(super) fn urlencode(value: Value) -> Result<Value, Error> {
    if value.kind() == minijinja::value::ValueKind::Map {
        let mut parts = Vec::new();
        for key in value.try_iter()? {
            let item = value.get_item(&key)?;
            let quote =
                |value: &Value| python::to_text(value).map(|text| quoted(&text, "").replace("%20", "+"));
            parts.push(format!("{}={}", quote(&key)?, quote(&item)?));
        }
        return Ok(Value::from(parts.join("&")));
    }
    let encoded = quoted(&python::to_text(&value)?, "/");
    if encoded.len() > super::OUTPUT_MAX { Err(too_long()) } else { Ok(Value::from(encoded)) }
}

fn quoted(text: &str, safe: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                encoded.push(char::from(byte));
            }
            byte if safe.contains(char::from(byte)) => encoded.push(char::from(byte)),
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `base64_encode`.
pub(super) fn base64_encode(state: &State, value: Value) -> Result<Value, Error> {
    let text = python::to_text(&value)?;
    let mut encoded = String::with_capacity(text.len() / 3 * 4 + 4);
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            encoded.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    Home::of(state)?.keep(Value::from(encoded))
}

/// `base64_decode`, to a text.
pub(super) fn base64_decode(value: &str) -> Result<Value, Error> {
    let wrong = |what: &str| Error::new(ErrorKind::InvalidOperation, format!("base64_decode got {what}"));
    let mut bytes = Vec::with_capacity(value.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in value.trim_end_matches('=').bytes() {
        let digit = DIGITS.iter().position(|digit| *digit == byte).ok_or_else(|| wrong("no base64"))?;
        bits = (bits << 6 | u32::try_from(digit).unwrap_or_default()) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    String::from_utf8(bytes).map(Value::from).map_err(|_| wrong("what is no text"))
}

/// `ord('a')`.
pub(super) fn ord(value: &str) -> Result<u32, Error> {
    let mut characters = value.chars();
    match (characters.next(), characters.next()) {
        (Some(c), None) => Ok(u32::from(c)),
        _ => Err(Error::new(ErrorKind::InvalidOperation, "ord takes one character")),
    }
}

/// `wordcount`.
pub(super) fn wordcount(value: &str) -> usize {
    value.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).count()
}

/// `center(width)`.
pub(super) fn center(value: Value, width: Option<usize>) -> Result<Value, Error> {
    Ok(Value::from(percent::pad(&python::to_text(&value)?, ' ', '^', width.unwrap_or(80))))
}

/// `truncate(length, killwords, end, leeway)`.
pub(super) fn truncate(value: Value, args: Args) -> Result<Value, Error> {
    let [length, killwords, end, leeway] = args.take(["length", "killwords", "end", "leeway"])?;
    let size = |value: Option<Value>, default| {
        value.filter(|value| !value.is_none()).map_or(Ok(default), usize::try_from)
    };
    let text = python::to_text(&value)?;
    let (length, leeway) = (size(length, 255)?, size(leeway, 5)?);
    let end = end.as_ref().and_then(Value::as_str).unwrap_or("...").to_owned();
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(Value::from(text));
    }
    let cut: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let kept = match cut.rsplit_once(' ') {
        Some((kept, _)) if !super::args::is_given(&killwords) => kept,
        _ => &cut,
    };
    Ok(Value::from(format!("{kept}{end}")))
}

/// `pprint`: on one line.
pub(super) fn pprint(value: Value) -> Result<Value, Error> {
    python::to_repr(&value).map(Value::from)
}

/// `indent(width, first, blank)`.
pub(super) fn indent(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [width, first, blank] = args.take(["width", "first", "blank"])?;
    let text = python::to_text(&value)?;
    let margin = match &width {
        Some(width) if width.as_str().is_some() => width.as_str().unwrap_or_default().to_owned(),
        Some(width) => " ".repeat(width.as_usize().unwrap_or(4).min(1000)),
        None => " ".repeat(4),
    };
    let mut indented = String::new();
    for (n, line) in text.split('\n').enumerate() {
        indented += if n > 0 { "\n" } else { "" };
        let is_moved = if n == 0 { super::args::is_given(&first) } else { true };
        if is_moved && (!line.is_empty() || super::args::is_given(&blank)) {
            indented += &margin;
        }
        indented += line;
        if indented.len() > super::OUTPUT_MAX {
            return Err(too_long());
        }
    }
    Home::of(state)?.keep(Value::from(indented))
}

/// `string_like` and other tests that take whatever stands behind the value.
pub(super) fn is_string(value: Value, _rest: Rest<Value>) -> bool {
    value.as_str().is_some()
}
