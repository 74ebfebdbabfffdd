//! Home Assistant's `regex_` functions. The expressions run in linear time; what Python has beyond
//! that (looking ahead and behind, back references) is refused by name.

use super::args::{Args, is_given};
use super::home::Home;
use super::python;
use minijinja::value::{Tuple, Value};
use minijinja::{Error, ErrorKind, State};
use regex::{Captures, Regex, RegexBuilder};

/// Longest expression, in bytes.
const PATTERN_MAX: usize = 2048;
/// How large a compiled expression may become.
const SIZE_MAX: usize = 512 << 10;

fn compile(state: &State, pattern: &str, ignore_case: bool, text: &str) -> Result<Regex, Error> {
    Home::of(state)?.work(20_000 + 64 * text.len() as u64)?;
    let refuse = |why: String| {
        let shown: String = pattern.chars().take(80).collect();
        Err(Error::new(ErrorKind::InvalidOperation, format!("the regular expression `{shown}` {why}")))
    };
    if pattern.len() > PATTERN_MAX {
        return refuse(format!("is longer than {PATTERN_MAX} bytes"));
    }
    if pattern.contains("(?=")
        || pattern.contains("(?!")
        || pattern.contains("(?<=")
        || pattern.contains("(?<!")
    {
        return refuse("looks ahead or behind, which is not offered: it can take forever".to_owned());
    }
    let compiled = RegexBuilder::new(&pattern.replace("\\Z", "\\z"))
        .case_insensitive(ignore_case)
        .size_limit(SIZE_MAX)
        .dfa_size_limit(SIZE_MAX)
        .nest_limit(50)
        .build();
    match compiled {
        Ok(regex) => Ok(regex),
        Err(regex::Error::CompiledTooBig(_)) => refuse("is too large".to_owned()),
        Err(error) => refuse(format!("is wrong: {}", error.to_string().lines().last().unwrap_or_default())),
    }
}

/// The text to search: numbers are taken as Python prints them.
fn text_of(value: &Value) -> Result<String, Error> {
    python::to_text(value)
}

/// `regex_match(value, find, ignorecase)`: whether the text starts with a match.
pub(super) fn regex_match(state: &State, value: Value, args: Args) -> Result<bool, Error> {
    let [find, ignore_case] = args.take(["find", "ignorecase"])?;
    let (text, find) = (text_of(&value)?, find.map_or(Ok(String::new()), |find| text_of(&find))?);
    let regex = compile(state, &format!("^(?:{find})"), is_given(&ignore_case), &text)?;
    Ok(regex.is_match(&text))
}

/// `regex_search(value, find, ignorecase)`.
pub(super) fn regex_search(state: &State, value: Value, args: Args) -> Result<bool, Error> {
    let [find, ignore_case] = args.take(["find", "ignorecase"])?;
    let (text, find) = (text_of(&value)?, find.map_or(Ok(String::new()), |find| text_of(&find))?);
    Ok(compile(state, &find, is_given(&ignore_case), &text)?.is_match(&text))
}

/// `regex_replace(value, find, replace, ignorecase)`.
pub(super) fn regex_replace(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [find, replace, ignore_case] = args.take(["find", "replace", "ignorecase"])?;
    let text = text_of(&value)?;
    let find = find.map_or(Ok(String::new()), |find| text_of(&find))?;
    let replace = replace.map_or(Ok(String::new()), |replace| text_of(&replace))?;
    let regex = compile(state, &find, is_given(&ignore_case), &text)?;
    let home = Home::of(state)?;
    let mut output = String::new();
    let mut end = 0;
    for captures in regex.captures_iter(&text) {
        let Some(whole) = captures.get(0) else { continue };
        output.push_str(&text[end..whole.start()]);
        expand(&captures, &replace, &mut output);
        end = whole.end();
        if output.len() > super::OUTPUT_MAX {
            return Err(super::home::too_long());
        }
    }
    output.push_str(&text[end..]);
    home.keep(Value::from(output))
}

/// Python's replacements: `\1`, `\g<1>` and `\g<name>`.
fn expand(captures: &Captures<'_>, replace: &str, output: &mut String) {
    let mut rest = replace;
    while let Some((before, after)) = rest.split_once('\\') {
        output.push_str(before);
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()).min(2);
        let (found, left) = if digits > 0 {
            (after[..digits].parse().ok().and_then(|n: usize| captures.get(n)), &after[digits..])
        } else if let Some((name, left)) = after.strip_prefix("g<").and_then(|after| after.split_once('>')) {
            let numbered = name.parse().ok().map(|n: usize| captures.get(n));
            (numbered.unwrap_or_else(|| captures.name(name)), left)
        } else {
            let escaped = after.chars().next();
            output.push(match escaped {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(c) => c,
                None => '\\',
            });
            (None, &after[escaped.map_or(0, char::len_utf8)..])
        };
        output.push_str(found.map_or("", |found| found.as_str()));
        rest = left;
    }
    output.push_str(rest);
}

/// `regex_findall(value, find, ignorecase)`: texts, or tuples of the groups where there are several.
pub(super) fn regex_findall(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [find, ignore_case] = args.take(["find", "ignorecase"])?;
    find_all(state, &value, find, is_given(&ignore_case)).map(Value::from)
}

/// `regex_findall_index(value, find, index, ignorecase)`.
pub(super) fn regex_findall_index(state: &State, value: Value, args: Args) -> Result<Value, Error> {
    let [find, index, ignore_case] = args.take(["find", "index", "ignorecase"])?;
    let found = find_all(state, &value, find, is_given(&ignore_case))?;
    let index = index.map_or(Ok(0), i64::try_from)?;
    let place = if index < 0 { index + found.len() as i64 } else { index };
    let item = usize::try_from(place).ok().and_then(|place| found.get(place).cloned());
    item.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("there is no match number {index}")))
}

fn find_all(
    state: &State,
    value: &Value,
    find: Option<Value>,
    ignore_case: bool,
) -> Result<Vec<Value>, Error> {
    let text = text_of(value)?;
    let find = find.map_or(Ok(String::new()), |find| text_of(&find))?;
    let regex = compile(state, &find, ignore_case, &text)?;
    let home = Home::of(state)?;
    let mut found = Vec::new();
    for captures in regex.captures_iter(&text) {
        home.work(32)?;
        let group = |n: usize| Value::from(captures.get(n).map_or("", |group| group.as_str()));
        found.push(match captures.len() {
            1 => group(0),
            2 => group(1),
            groups => Value::from(Tuple::new((1..groups).map(group).collect())),
        });
    }
    home.keep(Value::from(found.clone()))?;
    Ok(found)
}
