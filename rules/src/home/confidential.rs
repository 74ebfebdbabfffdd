//! What is kept out of everything that people and programs are shown about a home: the values that
//! its files take with `!secret`, and the tokens and addresses of its ways out.
//!
//! The rule is one of texts, so that it holds wherever a value has got to: a template, a payload, an
//! error. What is shorter than [`LENGTH_MIN`] can not be told from other texts and is shown, and
//! what is shorter than [`ANYWHERE_MIN`] is hidden only where it stands for itself.

use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// Shorter values are not looked for: they would be found everywhere.
const LENGTH_MIN: usize = 4;
/// Values of this length and longer are hidden inside of words as well.
const ANYWHERE_MIN: usize = 8;

/// Values that nobody is shown, each with the name that stands for it. A copy costs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confidential {
    /// The longest first, as one may hold another.
    values: Arc<Vec<(String, String)>>,
}

impl Confidential {
    /// Takes values and the names that are shown in their place.
    pub(super) fn new(values: impl IntoIterator<Item = (String, String)>) -> Confidential {
        let long = values.into_iter().filter(|(value, _)| value.len() >= LENGTH_MIN);
        let mut values: Vec<(String, String)> = long.collect();
        values.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup_by(|(a, _), (b, _)| a == b);
        Confidential { values: Arc::new(values) }
    }

    /// Whether a text may hold one of the values; where it says no there is nothing to hide.
    pub fn may_be_in(&self, text: &str) -> bool {
        let in_json = |value: &str| {
            let quoted = Value::from(value).to_string();
            text.contains(quoted.trim_matches('"'))
        };
        self.values.iter().any(|(value, _)| text.contains(value) || in_json(value))
    }

    /// The text with names in place of the values.
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut shown = Cow::Borrowed(text);
        for (value, name) in self.values.iter() {
            if let Some(hidden) = hide_one(&shown, value, name) {
                shown = Cow::Owned(hidden);
            }
        }
        shown
    }

    /// Hides the values in all texts and numbers of `json`; the keys of objects stay.
    pub fn hide_in(&self, json: &mut Value) {
        match json {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                let text = number.to_string();
                if let Some((_, name)) = self.values.iter().find(|(value, _)| *value == text) {
                    *json = Value::from(stand_in(name));
                }
            }
            Value::String(text) => {
                if let Cow::Owned(hidden) = self.hide(text) {
                    *text = hidden;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(item)),
            Value::Object(entries) => entries.values_mut().for_each(|entry| self.hide_in(entry)),
        }
    }
}

fn stand_in(name: &str) -> String {
    format!("<secret {name}>")
}

/// The text without `value`; none if it does not hold it.
fn hide_one(text: &str, value: &str, name: &str) -> Option<String> {
    let ends_word = |char: Option<char>| !char.is_some_and(char::is_alphanumeric);
    let is_hidden = |start: usize| {
        let (before, after) = (text.get(..start), text.get(start + value.len()..));
        value.len() >= ANYWHERE_MIN
            || (ends_word(before.and_then(|before| before.chars().next_back()))
                && ends_word(after.and_then(|after| after.chars().next())))
    };
    let places: Vec<usize> = text.match_indices(value).map(|(n, _)| n).filter(|n| is_hidden(*n)).collect();
    let mut hidden = String::new();
    let mut end = 0;
    for place in &places {
        hidden += text.get(end..*place).unwrap_or_default();
        hidden += &stand_in(name);
        end = place + value.len();
    }
    (!places.is_empty()).then(|| hidden + text.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn confidential() -> Confidential {
        let values = [("hush", "short"), ("1234", "code"), ("abc", "tiny"), ("very-secret", "long")];
        let values = values.into_iter().chain([("very-secret\"/x", "longer")]);
        Confidential::new(values.map(|(value, name)| (value.to_owned(), name.to_owned())))
    }

    #[track_caller]
    fn check(json: Value, expected: Value) {
        let (confidential, mut shown) = (confidential(), json.clone());
        confidential.hide_in(&mut shown);
        assert_eq!(shown, expected);
        assert!(shown == json || confidential.may_be_in(&json.to_string()), "{json}");
    }

    #[test]
    fn values_are_hidden_wherever_they_stand() {
        check(json!("hush"), json!("<secret short>"));
        check(json!("say hush, hush!"), json!("say <secret short>, <secret short>!"));
        check(
            json!({"hush": [1234, 12345, "1234"]}),
            json!({"hush": ["<secret code>", 12345, "<secret code>"]}),
        );
        check(json!("xxvery-secretxx"), json!("xx<secret long>xx"));
        check(json!("very-secret\"/x"), json!("<secret longer>"));
    }

    #[test]
    fn what_only_resembles_them_is_shown() {
        check(json!("hushed abc"), json!("hushed abc"));
        check(json!([null, true, 1.5, "on"]), json!([null, true, 1.5, "on"]));
    }
}
