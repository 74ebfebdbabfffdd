//! Whether a device is there: one topic or several, and how they are weighed.

use super::{Fault, Payload};
use crate::Template;
use crate::platform::{Role, read_filter, read_template};
use crate::yaml::{Fields, Node, Problem};
use std::collections::BTreeMap;

/// An entity's availability topics.
#[derive(Clone, Debug, Default)]
pub(super) struct Availability {
    mode: Mode,
    topics: Vec<Topic>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mode {
    /// Each topic has to say that the device is there.
    All,
    Any,
    /// Whichever spoke last.
    #[default]
    Latest,
}

#[derive(Clone, Debug)]
struct Topic {
    filter: String,
    online: String,
    offline: String,
    template: Option<Template>,
}

impl Availability {
    pub(super) fn read(fields: &mut Fields<'_>) -> Availability {
        let modes = [("all", Mode::All), ("any", Mode::Any), ("latest", Mode::Latest)];
        let mode = fields.choice("availability_mode", &modes).unwrap_or_default();
        let list = fields.get("availability");
        let single = Topic::read(fields, "availability_topic", "availability_template");
        let topics = match (list, single) {
            (Some(node), Some(_)) => {
                let path = fields.path_of("availability");
                fields
                    .report(node.problem(&path, "stands beside `availability_topic`; one of them is enough"));
                Vec::new()
            }
            (Some(node), None) => read_list(fields, node),
            (None, single) => single.into_iter().collect(),
        };
        Availability { mode, topics }
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, Role)> {
        (0..).zip(&self.topics).map(|(n, topic)| (topic.filter.as_str(), Role::Availability(n)))
    }

    /// The source under which the n-th topic's word is kept. In mode `latest` they share one, since
    /// each overrules what was said before.
    pub(super) fn source(&self, n: u16) -> u16 {
        if self.mode == Mode::Latest { 0 } else { n }
    }

    /// What a message on the n-th topic says; other words than the two agreed on say nothing.
    pub(super) fn decode(&self, n: u16, payload: &Payload<'_>) -> Result<Option<bool>, Fault> {
        let Some(topic) = self.topics.get(usize::from(n)) else { return Ok(None) };
        let rendered = payload.render(topic.template.as_ref())?;
        Ok(rendered.and_then(|word| match word {
            word if word == topic.online => Some(true),
            word if word == topic.offline => Some(false),
            _ => None,
        }))
    }

    pub(super) fn is_met(&self, heard: &BTreeMap<u16, bool>) -> bool {
        let says = |n: u16| heard.get(&n).copied().unwrap_or(false);
        let mut sources = (0..).zip(&self.topics).map(|(n, _)| n);
        match self.mode {
            _ if self.topics.is_empty() => true,
            Mode::All => sources.all(says),
            Mode::Any => sources.any(says),
            Mode::Latest => says(0),
        }
    }
}

impl Topic {
    fn read(fields: &mut Fields<'_>, topic_key: &'static str, template_key: &'static str) -> Option<Topic> {
        let online = fields.text("payload_available").unwrap_or_else(|| "online".to_owned());
        let offline = fields.text("payload_not_available").unwrap_or_else(|| "offline".to_owned());
        let template = read_template(fields, template_key);
        let filter = read_filter(fields, topic_key)?;
        Some(Topic { filter, online, offline, template })
    }
}

fn read_list(fields: &mut Fields<'_>, node: &Node) -> Vec<Topic> {
    let path = fields.path_of("availability");
    let mut topics = Vec::new();
    for (n, item) in node.list_or_single().iter().enumerate() {
        match read_item(item, format!("{path}[{n}]"), fields.passes_over_unknown()) {
            Ok(topic) => topics.push(topic),
            Err(problems) => problems.into_iter().for_each(|problem| fields.report(problem)),
        }
    }
    if topics.len() > usize::from(u16::MAX) {
        fields.report(node.problem(&path, "too many topics"));
        topics.clear();
    }
    topics
}

fn read_item(node: &Node, path: String, passes_over_unknown: bool) -> Result<Topic, Vec<Problem>> {
    let item = Fields::new(node, path).map_err(|problem| vec![problem])?;
    let mut item = item.pass_over_unknown(passes_over_unknown);
    item.require("topic");
    let topic = Topic::read(&mut item, "topic", "value_template");
    let problems = item.finish();
    topic.filter(|_| problems.is_empty()).ok_or(problems)
}
