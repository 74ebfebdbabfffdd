//! `repeat:`: a sequence again and again, by count, over a list, while or until something holds.

use super::{Failure, Sequence};
use crate::condition::Condition;
use crate::reader::Reader;
use crate::text::{DataText, Text};
use gable_devices::yaml::Fields;
use gable_devices::{Context, Data};

/// The most passes of a counted loop; the bound on actions per run stops others.
const COUNT_MAX: f64 = 10_000.0;

/// The sequence, and what ends the loop.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Repeat {
    sequence: Sequence,
    pub(crate) bound: Bound,
}

/// What ends a loop.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bound {
    Count(Count),
    /// Asked before each pass.
    While(Vec<Condition>),
    /// Asked after each pass.
    Until(Vec<Condition>),
    Each(DataText),
}

/// How many passes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Count(Text);

impl Repeat {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Repeat> {
        let node = fields.require("repeat")?;
        let mut inside = reader.fields(node, &fields.path_of("repeat"))?;
        let bound = read_bound(reader, &mut inside);
        let path = inside.path_of("sequence");
        let sequence = inside.require("sequence").map(|node| Sequence::read(reader, node, &path));
        inside.accept(&["alias"]);
        reader.finish(inside);
        Some(Repeat { sequence: sequence?, bound: bound? })
    }

    pub(super) fn branch(&self, number: u32) -> Option<&Sequence> {
        (number == 0).then_some(&self.sequence)
    }

    /// What `for_each:` goes through in one run.
    pub(crate) fn items(&self, context: &Context) -> Result<Option<Vec<Data>>, Failure> {
        let Bound::Each(items) = &self.bound else { return Ok(None) };
        match items.render(context).map_err(Failure::mistake)?.into_meaning() {
            Data::List(items) | Data::Tuple(items) => Ok(Some(items)),
            other => Err(Failure::mistake(format!("`for_each` takes a list, not `{}`", other.to_json()))),
        }
    }
}

fn read_bound(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Bound> {
    let mut found = Vec::new();
    if let Some(node) = fields.get("count") {
        let text = reader.text(node, &fields.path_of("count"));
        if let Some(Text::Plain(plain)) = &text
            && let Err(why) = to_count(plain)
        {
            fields.fail(why);
        }
        found.push(text.map(|text| Bound::Count(Count(text))));
    }
    for (key, make) in [
        ("while", Bound::While as fn(Vec<Condition>) -> Bound),
        ("until", Bound::Until as fn(Vec<Condition>) -> Bound),
    ] {
        if let Some(node) = fields.get(key) {
            found.push(Some(make(Condition::read_all(reader, node, &fields.path_of(key)))));
        }
    }
    if let Some(node) = fields.get("for_each") {
        found.push(DataText::read(reader, node, &fields.path_of("for_each")).map(Bound::Each));
    }
    if found.len() != 1 {
        fields.fail("takes one of `count`, `while`, `until` and `for_each`");
        return None;
    }
    found.pop().flatten()
}

impl Count {
    /// How many passes one run makes.
    pub(crate) fn render(&self, context: &Context) -> Result<u32, Failure> {
        let text = self.0.render(context).map_err(Failure::mistake)?;
        to_count(&text).map_err(Failure::mistake)
    }
}

fn to_count(text: &str) -> Result<u32, String> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let number = number.ok_or_else(|| format!("`{text}` is not a number of passes"))?;
    if number > COUNT_MAX {
        return Err(format!("a loop makes {COUNT_MAX} passes at most, not {text}"));
    }
    Ok(number.max(0.0) as u32)
}
