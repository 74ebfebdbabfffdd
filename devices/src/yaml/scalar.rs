//! What a plain scalar means: the implicit types of YAML 1.1 as PyYAML's safe loader has them,
//! except timestamps, which stay text.

use super::Kind;

/// Resolves a plain (unquoted) scalar.
pub(super) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Kind::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Kind::Bool(false),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Kind::Text(text.to_owned());
    }
    integer(text)
        .map(Kind::Int)
        .or_else(|| float(text).map(Kind::Float))
        .unwrap_or_else(|| Kind::Text(text.to_owned()))
}

/// Reads an integer in the notations of YAML 1.1: decimal, `0x`, `0b`, octal with a leading zero,
/// base sixty (`1:30` is 90). One that does not fit 64 bits is none.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = signed(text);
    let plain = digits.replace('_', "");
    let parse = |digits: &str, radix| {
        let valid = !digits.is_empty() && digits.bytes().all(|b| char::from(b).is_digit(radix));
        valid.then(|| i64::from_str_radix(digits, radix).ok()).flatten()
    };
    let magnitude = if let Some(hex) = plain.strip_prefix("0x") {
        parse(hex, 16)
    } else if let Some(binary) = plain.strip_prefix("0b") {
        parse(binary, 2)
    } else if plain.contains(':') {
        sexagesimal(&plain)
    } else if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        None
    } else if plain.len() > 1 && plain.starts_with('0') {
        parse(&plain[1..], 8)
    } else {
        parse(&plain, 10)
    };
    magnitude.and_then(|magnitude| magnitude.checked_mul(sign))
}

fn sexagesimal(text: &str) -> Option<i64> {
    // The first group of YAML 1.1's base sixty begins with 1-9, so `00:05:00` is text.
    if !text.starts_with(|c: char| ('1'..='9').contains(&c)) {
        return None;
    }
    let mut total: i64 = 0;
    for (n, group) in text.split(':').enumerate() {
        let digits = !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
        if !digits || (n > 0 && (group.len() > 2 || group.parse::<i64>().ok()? > 59)) {
            return None;
        }
        total = total.checked_mul(60)?.checked_add(group.parse().ok()?)?;
    }
    Some(total)
}

/// Reads a float: digits with a dot, and an exponent only after a dot and with its sign, `.inf`,
/// `.nan`. `1e3` is text in YAML 1.1.
pub(super) fn float(text: &str) -> Option<f64> {
    let (sign, digits) = signed(text);
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(sign as f64 * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let plain = digits.replace('_', "");
    let (mantissa, exponent) = plain.split_once(['e', 'E']).unwrap_or((&plain, "+0"));
    let (whole, fraction) = mantissa.split_once('.')?;
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent_digits = exponent.strip_prefix(['+', '-']).filter(|digits| !digits.is_empty())?;
    let valid = all_digits(whole)
        && all_digits(fraction)
        && all_digits(exponent_digits)
        && !(whole.is_empty() && fraction.is_empty());
    if !valid {
        return None;
    }
    format!("0{whole}.{fraction}0e{exponent}").parse::<f64>().ok().map(|number| sign as f64 * number)
}

fn signed(text: &str) -> (i64, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// A float as Python prints it: the shortest digits that read back equal, with `.0` where whole,
/// and an exponent below 1e-4 and from 1e16 on.
pub fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = number.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(format!("{:?}", resolve(text)), expected, "{text}");
    }

    #[test]
    fn plain_scalars_resolve_as_in_pyyaml() {
        check("", "Null");
        check("~", "Null");
        check("on", "Bool(true)");
        check("OFF", "Bool(false)");
        check("oN", "Text(\"oN\")");
        check("y", "Text(\"y\")");
        check("42", "Int(42)");
        check("-1_000", "Int(-1000)");
        check("0x1F", "Int(31)");
        check("0b101", "Int(5)");
        check("010", "Int(8)");
        check("09", "Text(\"09\")");
        check("1:30", "Int(90)");
        check("12:30:00", "Int(45000)");
        check("00:05:00", "Text(\"00:05:00\")");
        check("9223372036854775808", "Text(\"9223372036854775808\")");
        check("5.50", "Float(5.5)");
        check(".5", "Float(0.5)");
        check("5.", "Float(5.0)");
        check("1.5e+3", "Float(1500.0)");
        check("1e3", "Text(\"1e3\")");
        check("1.5e3", "Text(\"1.5e3\")");
        check(".inf", "Float(inf)");
        check("-.inf", "Float(-inf)");
        check(".", "Text(\".\")");
        check("-", "Text(\"-\")");
        check("1.2.3", "Text(\"1.2.3\")");
        check("2024-01-01", "Text(\"2024-01-01\")");
        check("_1", "Text(\"_1\")");
        check("+_1", "Text(\"+_1\")");
        check("0xzz", "Text(\"0xzz\")");
        check("0x-1", "Text(\"0x-1\")");
    }

    #[test]
    fn floats_print_as_in_python() {
        let texts: Vec<String> =
            [5.0, 21.5, 1e16, 1.5e-5, 0.0001, -0.0, 1e22, 123456789.125, f64::INFINITY, f64::NAN]
                .into_iter()
                .map(float_text)
                .collect();
        assert_eq!(
            texts,
            ["5.0", "21.5", "1e+16", "1.5e-05", "0.0001", "-0.0", "1e+22", "123456789.125", "inf", "nan"]
        );
    }
}
