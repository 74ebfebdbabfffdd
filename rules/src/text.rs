//! Texts and data in automations, any of which may be templates.

use crate::reader::Reader;
use gable_devices::yaml::{self, Kind, Node};
use gable_devices::{Context, Data, Millis, Template, TemplateError, is_template};
use std::collections::BTreeMap;

/// A text that is known, or that each run renders.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Text {
    Plain(String),
    Template(Template),
}

impl Text {
    pub(crate) fn render(&self, context: &Context) -> Result<String, TemplateError> {
        match self {
            Text::Plain(text) => Ok(text.clone()),
            Text::Template(template) => template.render(context),
        }
    }
}

/// Data with templates anywhere inside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DataText {
    Plain(Data),
    Template(Template),
    List(Vec<DataText>),
    Map(BTreeMap<String, DataText>),
}

impl DataText {
    /// Reads data whose texts may be templates.
    pub(crate) fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<DataText> {
        if node.tag.is_some() {
            reader.problems.extend(node.unresolved_tags(path));
            return None;
        }
        match &node.kind {
            Kind::Text(text) if is_template(text) => reader.template(node, path).map(DataText::Template),
            Kind::List(items) => {
                let read = |item| DataText::read(reader, item, path);
                items.iter().map(read).collect::<Option<_>>().map(DataText::List)
            }
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, value)| {
                    let path = yaml::join(path, &key.text);
                    Some((key.text.clone(), DataText::read(reader, value, &path)?))
                })
                .collect::<Option<_>>()
                .map(DataText::Map),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => {
                Some(DataText::Plain(node.to_data()))
            }
        }
    }

    pub(crate) fn render(&self, context: &Context) -> Result<Data, TemplateError> {
        self.render_by(&mut |template| template.render_data(context))
    }

    /// Renders it with whatever `render` makes of its templates.
    pub(crate) fn render_by<E>(
        &self,
        render: &mut dyn FnMut(&Template) -> Result<Data, E>,
    ) -> Result<Data, E> {
        Ok(match self {
            DataText::Plain(data) => data.clone(),
            DataText::Template(template) => render(template)?,
            DataText::List(items) => {
                Data::List(items.iter().map(|item| item.render_by(render)).collect::<Result<_, _>>()?)
            }
            DataText::Map(entries) => {
                let mut map = BTreeMap::new();
                for (key, value) in entries {
                    map.insert(key.clone(), value.render_by(render)?);
                }
                Data::Map(map)
            }
        })
    }
}

/// A span as Python prints a `timedelta`: `0:00:01`, `1 day, 2:00:00`, `0:00:00.800000`.
pub(crate) fn timedelta_text(span: Millis) -> String {
    let (seconds, millis) = (span.0 / 1000, span.0 % 1000);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut text = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        days => format!("{days} days, "),
    };
    text += &format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if millis > 0 {
        text += &format!(".{millis:03}000");
    }
    text
}

/// A span that may go back, in milliseconds, as Python prints it: `-1 day, 23:00:00`.
pub(crate) fn offset_text(offset: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let (days, rest) = (offset.div_euclid(DAY_MS), offset.rem_euclid(DAY_MS).unsigned_abs());
    match days {
        0.. => timedelta_text(Millis(offset.unsigned_abs())),
        -1 => format!("-1 day, {}", timedelta_text(Millis(rest))),
        days => format!("{days} days, {}", timedelta_text(Millis(rest))),
    }
}

/// A value of an attribute as people write it in a file.
pub(crate) fn plain_text(data: &Data) -> String {
    match data {
        Data::Text(text) => text.clone(),
        Data::Bool(true) => "True".to_owned(),
        Data::Bool(false) => "False".to_owned(),
        Data::Float(float) => yaml::float_text(*float),
        Data::Time(_) | Data::LocalTime(..) => data.to_json().as_str().unwrap_or_default().to_owned(),
        Data::List(_) | Data::Map(_) | Data::Tuple(_) | Data::Spelled(..) => data.to_python(),
        Data::Null | Data::Int(_) => data.to_json().to_string(),
    }
}

/// Cuts a text that came from outside before it goes into an effect.
pub(crate) fn shorten(mut text: String) -> String {
    const LENGTH_MAX: usize = 400;
    if text.len() > LENGTH_MAX {
        let end = (0..=LENGTH_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_print_as_in_python() {
        let check = |millis, expected: &str| assert_eq!(timedelta_text(Millis(millis)), expected);
        check(0, "0:00:00");
        check(1000, "0:00:01");
        check(800, "0:00:00.800000");
        check(3_723_004, "1:02:03.004000");
        check(86_400_000, "1 day, 0:00:00");
        check(180_000_000, "2 days, 2:00:00");
        assert_eq!(offset_text(-3_600_000), "-1 day, 23:00:00");
        assert_eq!(offset_text(-90_000_000), "-2 days, 23:00:00");
        assert_eq!(offset_text(1_800_000), "0:30:00");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shorten("ä".repeat(300)).chars().count(), 201);
        assert_eq!(shorten("short".into()), "short");
    }
}
