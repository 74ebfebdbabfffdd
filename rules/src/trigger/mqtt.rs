//! `trigger: mqtt`: fires on every matching message, also on repeats and on retained ones.

use super::Trigger;
use crate::Message;
use crate::reader::{Reader, early};
use crate::text::Text;
use gable_devices::topic;
use gable_devices::yaml::Fields;
use gable_devices::{Context, Data, QoS, Template};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What messages fire it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MqttTrigger {
    /// A topic filter, wildcards included. It is a template only where a run waits for it: those of
    /// automations are rendered when their file is read.
    topic: Text,
    payload: Option<Text>,
    /// Applied to the message before it is compared with `payload`.
    value_template: Option<Template>,
}

impl MqttTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<MqttTrigger> {
        let mut text = |fields: &mut Fields<'_>, key| {
            let node = fields.get(key)?;
            reader.early_text(node, &fields.path_of(key))
        };
        let topic = text(fields, "topic");
        let payload = text(fields, "payload");
        if !fields.has("topic") {
            fields.fail("`topic` is missing");
        } else if let Some((Text::Plain(topic), node)) = topic.as_ref().zip(fields.get("topic"))
            && let Err(message) = check_filter(topic)
        {
            fields.report(node.problem(&fields.path_of("topic"), message));
        }
        let path = fields.path_of("value_template");
        let value_template = fields.get("value_template").and_then(|node| reader.template(node, &path));
        fields.accept(&["qos"]);
        reader.not_yet(fields, &["encoding"]);
        Some(MqttTrigger { topic: topic?, payload, value_template })
    }

    /// The topic filter, where the file says it.
    pub(super) fn plain_topic(&self) -> Option<&str> {
        match &self.topic {
            Text::Plain(topic) => Some(topic),
            Text::Template(_) => None,
        }
    }

    /// The topic filter for whoever has these variables.
    pub(super) fn topic(&self, variables: &BTreeMap<String, Data>) -> Result<Cow<'_, str>, String> {
        match &self.topic {
            Text::Plain(topic) => Ok(Cow::Borrowed(topic)),
            Text::Template(template) => {
                let topic = early::render(template, &Context::from(variables.clone()))?;
                check_filter(&topic)?;
                Ok(Cow::Owned(topic))
            }
        }
    }

    /// Whether `message`, whose topic matches, fires it for whoever has these variables.
    ///
    /// A template that fails (not JSON, no such key) means no: Home Assistant logs and goes on.
    pub(crate) fn fires(&self, message: &MessageText<'_>, variables: &BTreeMap<String, Data>) -> bool {
        let wanted = match &self.payload {
            None => return true,
            Some(Text::Plain(wanted)) => Cow::Borrowed(wanted),
            Some(Text::Template(template)) => {
                match early::render(template, &Context::from(variables.clone())) {
                    Ok(wanted) => Cow::Owned(wanted),
                    Err(_) => return false,
                }
            }
        };
        match &self.value_template {
            None => message.text == *wanted,
            Some(template) => template.render(&message.context()).is_ok_and(|value| value == *wanted),
        }
    }

    /// The `trigger` variable of the run to come.
    pub(crate) fn variable(&self, trigger: &Trigger, message: &MessageText<'_>) -> Data {
        let qos = match message.message.qos {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce => 1,
            QoS::ExactlyOnce => 2,
        };
        let mut variable = trigger.variable(
            format!("mqtt topic {}", message.message.topic),
            [
                ("platform", "mqtt".into()),
                ("topic", Data::Text(message.message.topic.clone())),
                ("payload", message.text.into()),
                ("qos", Data::Int(qos)),
            ],
        );
        if let (Data::Map(map), Some(json)) = (&mut variable, &message.json) {
            map.insert("payload_json".to_owned(), json.clone());
        }
        variable
    }
}

/// A message as its triggers read it, parsed once for all of them.
#[derive(Debug)]
pub(crate) struct MessageText<'m> {
    message: &'m Message,
    text: &'m str,
    json: Option<Data>,
}

impl<'m> MessageText<'m> {
    /// Reads a payload as text, and as JSON if it is some; none if it is no text.
    pub(crate) fn new(message: &'m Message) -> Option<MessageText<'m>> {
        let text = std::str::from_utf8(&message.payload).ok()?;
        let json = serde_json::from_str::<serde_json::Value>(text).ok().map(Data::from);
        Some(MessageText { message, text, json })
    }

    /// What a `value_template` sees; `value_json` is there only if the payload is JSON.
    fn context(&self) -> Context {
        let mut context = Context::new([("value", Data::from(self.text))]);
        if let Some(json) = &self.json {
            context.set("value_json", json.clone());
        }
        context
    }
}

fn check_filter(topic: &str) -> Result<(), String> {
    topic::check_filter(topic).map_err(|why| format!("`{topic}` is not a topic filter: {why}"))
}
