//! Python literals in rendered text: Home Assistant hands on `5`, `[1, 2]` and `{'a': None}` as the
//! values that they spell, and everything else as text.

use crate::Data;
use std::collections::BTreeMap;

/// How deep lists and mappings may nest; what is deeper stays text.
const DEPTH_MAX: usize = 50;

/// What a rendered text is to Home Assistant: the value that it spells, if it is a Python literal.
/// What only resembles a number, such as `007`, `1e3` and `1_000`, stays text, and so does a number
/// that is longer than an integer here. A list, mapping or tuple remembers its text if Python prints
/// it otherwise.
pub(super) fn native(text: String) -> Data {
    let mut reader = Reader { rest: text.trim_start_matches([' ', '\t']) };
    match reader.document() {
        Some(Data::Text(_)) | None => Data::Text(text),
        Some(Data::Int(_) | Data::Float(_)) if !is_plain_number(&text) => Data::Text(text),
        Some(data @ (Data::List(_) | Data::Map(_) | Data::Tuple(_))) if super::python_text(&data) != text => {
            Data::Spelled(text, Box::new(data))
        }
        Some(data) => data,
    }
}

/// Digits with at most one point and one sign, and no zero before another digit.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_padded = digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit());
    !is_padded && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    /// A whole literal, or several with commas between them, which are a tuple.
    fn document(&mut self) -> Option<Data> {
        let first = self.value(0)?;
        self.skip_blanks();
        if self.rest.is_empty() {
            return Some(first);
        }
        let mut items = vec![first];
        while self.take(',') {
            self.skip_blanks();
            if self.rest.is_empty() {
                break;
            }
            items.push(self.value(0)?);
        }
        self.skip_blanks();
        self.rest.is_empty().then_some(Data::Tuple(items))
    }

    fn value(&mut self, depth: usize) -> Option<Data> {
        self.skip_blanks();
        let first = self.rest.chars().next()?;
        match first {
            '[' if depth < DEPTH_MAX => self.items('[', ']', depth).map(|(items, _)| Data::List(items)),
            '(' if depth < DEPTH_MAX => {
                let (mut items, is_tuple) = self.items('(', ')', depth)?;
                // Parentheses around one value mean nothing.
                if is_tuple { Some(Data::Tuple(items)) } else { items.pop() }
            }
            '{' if depth < DEPTH_MAX => self.braces(depth),
            '\'' | '"' => self.texts(),
            '0'..='9' | '.' | '+' | '-' => self.number(),
            c if c.is_ascii_alphabetic() => self.word(),
            _ => None,
        }
    }

    /// The values between brackets, and whether there was a comma or nothing.
    fn items(&mut self, open: char, close: char, depth: usize) -> Option<(Vec<Data>, bool)> {
        self.expect(open)?;
        let mut items = Vec::new();
        let mut has_comma = false;
        loop {
            self.skip_space();
            if self.take(close) {
                break;
            }
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take(',') {
                has_comma = true;
            } else {
                self.expect(close)?;
                break;
            }
        }
        Some((items.clone(), has_comma || items.is_empty()))
    }

    /// A mapping, or a set, which becomes a list.
    fn braces(&mut self, depth: usize) -> Option<Data> {
        self.expect('{')?;
        let mut map = BTreeMap::new();
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if self.take('}') {
                break;
            }
            let key = self.value(depth + 1)?;
            self.skip_space();
            if self.take(':') {
                self.skip_space();
                map.insert(key_text(key), self.value(depth + 1)?);
            } else {
                items.push(key);
            }
            self.skip_space();
            if !self.take(',') {
                self.expect('}')?;
                break;
            }
        }
        match (map.is_empty(), items.is_empty()) {
            (_, true) => Some(Data::Map(map)),
            (true, false) => Some(Data::List(items)),
            (false, false) => None,
        }
    }

    /// One or more quoted texts side by side, which are one.
    fn texts(&mut self) -> Option<Data> {
        let mut text = String::new();
        while self.rest.starts_with(['\'', '"']) {
            self.quoted(&mut text)?;
            self.skip_blanks();
        }
        Some(Data::Text(text))
    }

    fn quoted(&mut self, text: &mut String) -> Option<()> {
        let quote = self.rest.chars().next()?;
        let long: String = std::iter::repeat_n(quote, 3).collect();
        let end = if self.rest.starts_with(&long) { long } else { quote.to_string() };
        self.rest = &self.rest[end.len()..];
        loop {
            if let Some(rest) = self.rest.strip_prefix(&*end) {
                self.rest = rest;
                return Some(());
            }
            let c = self.next()?;
            match c {
                '\n' if end.len() == 1 => return None,
                '\\' => self.escape(text)?,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let c = self.next()?;
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => text.push(c),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'a' => text.push('\x07'),
            'b' => text.push('\x08'),
            'f' => text.push('\x0c'),
            'v' => text.push('\x0b'),
            'x' => text.push(self.hex(2)?),
            'u' => text.push(self.hex(4)?),
            'U' => text.push(self.hex(8)?),
            '0'..='7' => {
                let mut code = c.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    self.next();
                }
                text.push(char::from_u32(code)?);
            }
            // Python keeps a back-slash that means nothing.
            c => text.extend(['\\', c]),
        }
        Some(())
    }

    fn hex(&mut self, length: usize) -> Option<char> {
        let digits = self.rest.get(..length)?;
        self.rest = &self.rest[length..];
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
    }

    fn number(&mut self) -> Option<Data> {
        let is_negative = self.rest.starts_with('-');
        if let Some(rest) = self.rest.strip_prefix(['+', '-']) {
            self.rest = rest.trim_start_matches([' ', '\t']);
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
        let mut end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let is_exponent = !self.rest.starts_with("0x") && self.rest[..end].ends_with(['e', 'E']);
        if is_exponent && self.rest[end..].starts_with(['+', '-']) {
            let after = &self.rest[end + 1..];
            end += 1 + after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        }
        let digits = &self.rest[..end];
        self.rest = &self.rest[end..];
        let has_lone_underscore = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
        if has_lone_underscore {
            return None;
        }
        unsigned(&digits.replace('_', "").to_ascii_lowercase(), is_negative)
    }

    fn word(&mut self) -> Option<Data> {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "None" => Some(Data::Null),
            "True" => Some(Data::Bool(true)),
            "False" => Some(Data::Bool(false)),
            "set" => {
                self.expect('(')?;
                self.expect(')').map(|()| Data::List(Vec::new()))
            }
            _ => None,
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        self.rest.strip_prefix(c).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    fn expect(&mut self, c: char) -> Option<()> {
        self.take(c).then_some(())
    }

    /// Between values outside of brackets, lines do not end.
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
    }
}

fn unsigned(digits: &str, is_negative: bool) -> Option<Data> {
    let sign = if is_negative { "-" } else { "" };
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return i64::from_str_radix(&format!("{sign}{digits}"), base).ok().map(Data::Int);
        }
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let is_padded = digits.len() > 1 && digits.starts_with('0') && digits.bytes().any(|b| b != b'0');
        return if is_padded { None } else { format!("{sign}{digits}").parse().ok().map(Data::Int) };
    }
    let is_float = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'));
    let number = is_float.then(|| format!("{sign}{digits}").parse::<f64>().ok()).flatten()?;
    Some(Data::Float(number))
}

/// Keys of a mapping are texts here; others are written as Python would.
fn key_text(key: Data) -> String {
    match key {
        Data::Text(text) => text,
        Data::Null => "None".to_owned(),
        Data::Bool(true) => "True".to_owned(),
        Data::Bool(false) => "False".to_owned(),
        Data::Float(float) => crate::yaml::float_text(float),
        other @ (Data::Int(_)
        | Data::List(_)
        | Data::Tuple(_)
        | Data::Map(_)
        | Data::Time(_)
        | Data::LocalTime(..)
        | Data::Spelled(..)) => other.to_json().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, json: &str) {
        let expected = Data::from(serde_json::from_str::<serde_json::Value>(json).unwrap());
        assert_eq!(native(text.to_owned()).into_meaning(), expected, "{text}");
    }

    #[track_caller]
    fn stays(text: &str) {
        assert_eq!(native(text.to_owned()), Data::from(text));
    }

    #[test]
    fn literals_become_what_they_spell() {
        check("5", "5");
        check("-5", "-5");
        check("+5", "5");
        check("0", "0");
        check("5.50", "5.5");
        check("5.", "5.0");
        check(".5", "0.5");
        check("True", "true");
        check("None", "null");
        check("[1, 'a', None, True, 2.5]", r#"[1,"a",null,true,2.5]"#);
        check("[]", "[]");
        check("[(1)]", "[1]");
        check("[- 5, 00, 01.5]", "[-5,0,1.5]");
        check("{'a': {'b': [1]}, \"c\": 'it\\'s'}", r#"{"a":{"b":[1]},"c":"it's"}"#);
        check("{}", "{}");
        check("{1, 2}", "[1,2]");
        check("set()", "[]");
        check("{1: 'x', None: 2, 1.5: 3}", r#"{"1":"x","None":2,"1.5":3}"#);
        check("['a' \"b\", '''c''']", r#"["ab","c"]"#);
        check("[1e3, 0x10, 1_000, -0b11]", "[1000.0,16,1000,-3]");
        check("[\n  1,\n  2,\n]", "[1,2]");
        check(r"['\x41\u00e9\n\d']", r#"["Aé\n\\d"]"#);
    }

    #[test]
    fn commas_and_parentheses_make_tuples() {
        let check = |text: &str, items: &[i64]| {
            let items = items.iter().map(|item| Data::Int(*item)).collect();
            assert_eq!(native(text.to_owned()).into_meaning(), Data::Tuple(items), "{text}");
        };
        check("()", &[]);
        check("(1,)", &[1]);
        check("(1, 2)", &[1, 2]);
        check("1, 2", &[1, 2]);
        check("1,", &[1]);
    }

    #[test]
    fn a_spelling_is_remembered_where_python_would_print_another() {
        let check = |text: &str, is_remembered: bool| {
            let data = native(text.to_owned());
            assert_eq!(data.to_python(), text);
            assert_eq!(matches!(data, Data::Spelled(..)), is_remembered, "{text}");
        };
        for plain in ["[1, 2]", "{'a': 1}", "(1,)", "[]", "5", "007", "text"] {
            check(plain, false);
        }
        for other in ["[1,2]", r#"{"a": 1}"#, "1, 2", "1,", "{1, 2}", "set()", "{'b': 1, 'a': 2}", "[1.50]"] {
            check(other, true);
        }
    }

    #[test]
    fn everything_else_stays_text() {
        for text in [
            "",
            "on",
            "off",
            "true",
            "null",
            "007",
            "1e3",
            "1_000",
            "0x10",
            "1.2.3",
            "'quoted'",
            "\"x\"",
            ".",
            "+",
            "--",
            "--5",
            "- 5",
            "(1)",
            "-True",
            "[+ +5]",
            "[1, 2",
            "[1 2]",
            "[007]",
            "{'a'}b",
            "{'a': 1, 2}",
            "2024-01-01",
            "10:30",
            "5 min",
            "1 + 1",
            "nan",
            "inf",
            "1j",
            "a, b",
            "[a]",
            "[,]",
            "12.5 °C",
            "(",
            "123456789012345678901234567890",
        ] {
            stays(text);
        }
        stays(&"[".repeat(10_000));
        stays(&format!("{}{}", "[".repeat(60), "]".repeat(60)));
    }
}
