//! Python's two ways to format: `'%05.1f' % x` and `'{:>8}'.format(x)`.

use super::home::too_long;
use super::numbers::{Number, to_float};
use super::python;
use super::spelled::is_tuple;
use crate::yaml::float_text;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// Widest field, and most digits behind the point.
const WIDTH_MAX: usize = 1000;

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("format: {}", message.into()))
}

/// How one field is laid out.
#[derive(Debug, Default)]
struct Layout {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    is_alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// `'...' % values`: a tuple gives one value for each field, a mapping the ones that are named.
pub(super) fn format(pattern: &str, values: &Value) -> Result<String, Error> {
    let items: Vec<Value> =
        if is_tuple(values) { values.try_iter()?.collect() } else { vec![values.clone()] };
    let mut items = items.iter();
    let mut output = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        output.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('%') {
            output.push('%');
            rest = after;
            continue;
        }
        let mut named = None;
        if let Some(after) = rest.strip_prefix('(') {
            let (name, after) = after.split_once(')').ok_or_else(|| wrong("a `)` is missing"))?;
            named = Some(values.get_attr(name)?);
            rest = after;
        }
        let mut layout = percent_layout(&mut rest, &mut items)?;
        let kind = layout.kind.unwrap_or('s');
        let value = match &named {
            Some(value) => value,
            None => items.next().ok_or_else(|| wrong("there are not enough values"))?,
        };
        let number = || match Number::of(value) {
            Some(_) => Ok(value.clone()),
            None => Err(wrong(format!("%{kind} takes a number, not {}", super::compare::type_name(value)))),
        };
        let field = match kind {
            's' => apply(&mut text_layout(layout, 's'), &Value::from(python::to_text(value)?))?,
            'r' => apply(&mut text_layout(layout, 's'), &Value::from(python::to_repr(value)?))?,
            'd' | 'i' | 'u' => {
                layout.kind = Some('d');
                apply(
                    &mut layout,
                    &super::numbers::int_value(to_float(&number()?).unwrap_or_default() as i128),
                )?
            }
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' | 'x' | 'X' | 'o' => apply(&mut layout, &number()?)?,
            'c' => apply(&mut text_layout(layout, 's'), value)?,
            other => return Err(wrong(format!("`%{other}` is unknown"))),
        };
        output.push_str(&field);
        if output.len() > super::OUTPUT_MAX {
            return Err(too_long());
        }
    }
    if items.next().is_some() && values.kind() != ValueKind::Map {
        return Err(wrong("not all values were used"));
    }
    output.push_str(rest);
    Ok(output)
}

fn percent_layout<'v>(rest: &mut &str, items: &mut impl Iterator<Item = &'v Value>) -> Result<Layout, Error> {
    let mut layout = Layout { align: Some('>'), ..Layout::default() };
    while let Some(flag) = rest.chars().next().filter(|c| "-+ 0#".contains(*c)) {
        match flag {
            '-' => (layout.align, layout.fill) = (Some('<'), Some(' ')),
            '0' if layout.align != Some('<') => (layout.align, layout.fill) = (Some('='), Some('0')),
            '#' => layout.is_alternate = true,
            '+' | ' ' => layout.sign = Some(flag),
            _ => {}
        }
        *rest = &rest[1..];
    }
    let mut size = |rest: &mut &str| match rest.strip_prefix('*') {
        Some(after) => {
            *rest = after;
            let item = items.next().and_then(Value::as_usize);
            item.filter(|width| *width <= WIDTH_MAX).ok_or_else(|| wrong("`*` takes a small integer"))
        }
        None => digits(rest),
    };
    layout.width = size(rest)?;
    if let Some(after) = rest.strip_prefix('.') {
        *rest = after;
        layout.precision = Some(size(rest)?);
    }
    *rest = rest.trim_start_matches(['l', 'h', 'L']);
    layout.kind = rest.chars().next();
    *rest = &rest[layout.kind.ok_or_else(|| wrong("it ends within a field"))?.len_utf8()..];
    Ok(layout)
}

/// Texts know neither signs nor leading zeros.
fn text_layout(layout: Layout, kind: char) -> Layout {
    let align = layout.align.map(|align| if align == '=' { '>' } else { align });
    Layout { kind: Some(kind), fill: None, align, sign: None, ..layout }
}

/// Reads a number, zero if there is none.
fn digits(rest: &mut &str) -> Result<usize, Error> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    *rest = after;
    let number = if number.is_empty() { Ok(0) } else { number.parse::<usize>() };
    number.ok().filter(|number| *number <= WIDTH_MAX).ok_or_else(|| wrong("a field is too wide"))
}

/// `'...'.format(...)`.
pub(super) fn braces(
    pattern: &str,
    places: &[Value],
    name: impl Fn(&str) -> Option<Value>,
) -> Result<String, Error> {
    let mut output = String::new();
    let mut next_place = 0;
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        output.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            output.push_str(brace);
            rest = after;
            continue;
        }
        let (field, after) =
            rest.split_once('}').filter(|_| brace == "{").ok_or_else(|| wrong("a lone brace"))?;
        rest = after;
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        let (field, conversion) = field.split_once('!').unwrap_or((field, ""));
        let end = field.find(['.', '[']).unwrap_or(field.len());
        let (root, path) = field.split_at(end);
        let mut value = match root {
            "" => {
                next_place += 1;
                places.get(next_place - 1).cloned()
            }
            root => root.parse().map_or_else(|_| name(root), |place: usize| places.get(place).cloned()),
        }
        .ok_or_else(|| wrong(format!("there is no value for `{{{root}}}`")))?;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let step = step.trim_end_matches(']');
            value = match step.parse::<usize>() {
                Ok(place) => value.get_item_by_index(place)?,
                Err(_) => value.get_attr(step)?,
            };
        }
        match conversion {
            "r" => value = Value::from(python::to_repr(&value)?),
            "s" => value = Value::from(python::to_text(&value)?),
            _ => {}
        }
        output.push_str(&field_text(&value, spec)?);
        if output.len() > super::OUTPUT_MAX {
            return Err(too_long());
        }
    }
    output.push_str(rest);
    Ok(output)
}

/// One value by Python's format specification.
fn field_text(value: &Value, spec: &str) -> Result<String, Error> {
    if let Some(moment) = value.downcast_object_ref::<super::moment::Moment>()
        && !spec.is_empty()
    {
        return super::strftime::write(moment, spec);
    }
    let mut layout = Layout::default();
    let characters: Vec<char> = spec.chars().take(2).collect();
    let is_align = |c: &char| "<>=^".contains(*c);
    let mut rest = spec;
    if characters.get(1).is_some_and(is_align) {
        (layout.fill, layout.align) = (Some(characters[0]), Some(characters[1]));
        rest = &rest[characters[0].len_utf8() + 1..];
    } else if characters.first().is_some_and(is_align) {
        layout.align = Some(characters[0]);
        rest = &rest[1..];
    }
    if let Some(sign) = rest.chars().next().filter(|c| "+- ".contains(*c)) {
        layout.sign = Some(sign);
        rest = &rest[1..];
    }
    if let Some(after) = rest.strip_prefix('#') {
        layout.is_alternate = true;
        rest = after;
    }
    if rest.starts_with('0') && layout.align.is_none() {
        (layout.fill, layout.align) = (Some('0'), Some('='));
    }
    layout.width = digits(&mut rest)?;
    if let Some(grouping) = rest.chars().next().filter(|c| ",_".contains(*c)) {
        layout.grouping = Some(grouping);
        rest = &rest[1..];
    }
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        layout.precision = Some(digits(&mut rest)?);
    }
    layout.kind = rest.chars().next();
    if rest.chars().count() > 1 {
        return Err(wrong(format!("`{spec}` is no format")));
    }
    apply(&mut layout, value)
}

fn apply(layout: &mut Layout, value: &Value) -> Result<String, Error> {
    let number = Number::of(value).filter(|_| value.kind() == ValueKind::Number || layout.kind.is_some());
    let kind = layout.kind.filter(|kind| *kind != 's');
    let Some(number) = number.filter(|_| layout.kind != Some('s')) else {
        if let Some(kind) = kind {
            let message = format!("`{kind}` does not go with {}", super::compare::type_name(value));
            return Err(wrong(message));
        }
        let mut text = python::to_text(value)?;
        if let Some(precision) = layout.precision {
            text = text.chars().take(precision).collect();
        }
        let align = layout.align.unwrap_or('<');
        return Ok(pad(&text, layout.fill.unwrap_or(' '), align, layout.width));
    };
    let (is_negative, digits) = number_digits(layout, number, kind)?;
    let digits = match layout.grouping {
        Some(separator) => grouped(&digits, separator),
        None => digits,
    };
    let sign = match (is_negative, layout.sign) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        (false, _) => "",
    };
    let fill = layout.fill.unwrap_or(' ');
    if layout.align == Some('=') {
        let width = layout.width.saturating_sub(sign.len());
        return Ok(format!("{sign}{}", pad(&digits, fill, '>', width)));
    }
    Ok(pad(&format!("{sign}{digits}"), fill, layout.align.unwrap_or('>'), layout.width))
}

/// Whether the number is negative, and what stands behind the sign.
fn number_digits(layout: &Layout, number: Number, kind: Option<char>) -> Result<(bool, String), Error> {
    let float = match number {
        Number::Int(int) => int as f64,
        Number::Float(float) => float,
    };
    let whole = match number {
        Number::Int(int) => Some(int),
        Number::Float(_) => None,
    };
    let is_negative = whole.map_or(float.is_sign_negative(), |whole| whole < 0);
    let magnitude = float.abs();
    let places = layout.precision.unwrap_or(6);
    let prefix = |prefix: &'static str| if layout.is_alternate { prefix } else { "" };
    let digits = match (kind, whole) {
        (Some('f' | 'F' | 'e' | 'E' | 'g' | 'G' | '%'), _) | (None, None) if !float.is_finite() => {
            float_text(magnitude)
        }
        (Some('f' | 'F'), _) => format!("{magnitude:.places$}"),
        (Some('%'), _) => format!("{:.places$}%", magnitude * 100.0),
        (Some('e'), _) => exponent(&format!("{magnitude:.places$e}")),
        (Some('E'), _) => exponent(&format!("{magnitude:.places$e}")).to_uppercase(),
        (Some('g' | 'G'), _) => general(magnitude, places.max(1)),
        (None, None) => match layout.precision {
            Some(precision) => general(magnitude, precision.max(1)),
            None => float_text(magnitude),
        },
        (Some('d' | 'n') | None, Some(whole)) => whole.unsigned_abs().to_string(),
        (Some('x'), Some(whole)) => format!("{}{:x}", prefix("0x"), whole.unsigned_abs()),
        (Some('X'), Some(whole)) => format!("{}{:X}", prefix("0X"), whole.unsigned_abs()),
        (Some('o'), Some(whole)) => format!("{}{:o}", prefix("0o"), whole.unsigned_abs()),
        (Some('b'), Some(whole)) => format!("{}{:b}", prefix("0b"), whole.unsigned_abs()),
        (Some(kind), _) => return Err(wrong(format!("`{kind}` does not go with this number"))),
    };
    Ok((is_negative, digits))
}

/// Python writes at least two digits of an exponent, and its sign.
fn exponent(text: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `%g`: so many digits, without zeros at the end.
fn general(magnitude: f64, digits: usize) -> String {
    let scientific = format!("{magnitude:.*e}", digits - 1);
    let power: i32 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or_default();
    let cut = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if power < -4 || power >= digits as i32 {
        let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return exponent(&format!("{}e{power}", cut(mantissa)));
    }
    let places = usize::try_from(digits as i32 - 1 - power).unwrap_or(0);
    cut(&format!("{magnitude:.places$}"))
}

fn grouped(digits: &str, separator: char) -> String {
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    let mut text = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 {
            text.push(separator);
        }
        text.push(digit);
    }
    text + rest
}

/// Pads a text to a width in characters.
pub(super) fn pad(text: &str, fill: char, align: char, width: usize) -> String {
    let missing = width.min(WIDTH_MAX).saturating_sub(text.chars().count());
    let before = match align {
        '<' => 0,
        '^' => missing / 2,
        _ => missing,
    };
    let fills = |count: usize| std::iter::repeat_n(fill, count);
    fills(before).chain(text.chars()).chain(fills(missing - before)).collect()
}
