//! `trigger: mqtt`: fires on every matching message, also on repeats and on retained ones.

use super::Trigger;
use crate::Message;
use crate::reader::Reader;
use crate::text::Text;
use gable_devices::topic;
use gable_devices::yaml::Fields;
use gable_devices::{Context, Data, QoS, Template};

/// What messages fire it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MqttTrigger {
    /// A topic filter, wildcards included.
    pub(crate) topic: String,
    payload: Option<String>,
    /// Applied to the message before it is compared with `payload`.
    value_template: Option<Template>,
}

impl MqttTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<MqttTrigger> {
        let mut plain = |fields: &mut Fields<'_>, key| {
            let node = fields.get(key)?;
            let path = fields.path_of(key);
            match reader.text(node, &path)? {
                Text::Plain(text) => Some(text),
                Text::Template(_) => {
                    fields.report(node.problem(&path, "a template is not supported yet here"));
                    None
                }
            }
        };
        let topic = plain(fields, "topic");
        let payload = plain(fields, "payload");
        if !fields.has("topic") {
            fields.fail("`topic` is missing");
        } else if let Some((topic, node)) = topic.as_ref().zip(fields.get("topic"))
            && let Err(why) = topic::check_filter(topic)
        {
            let message = format!("`{topic}` is not a topic filter: {why}");
            fields.report(node.problem(&fields.path_of("topic"), message));
        }
        let path = fields.path_of("value_template");
        let value_template = fields.get("value_template").and_then(|node| reader.template(node, &path));
        fields.accept(&["qos"]);
        reader.not_yet(fields, &["encoding"]);
        Some(MqttTrigger { topic: topic?, payload, value_template })
    }

    /// Whether `message`, whose topic matches, fires it. `text` is the payload as text.
    ///
    /// A template that fails (not JSON, no such key) means no: Home Assistant logs and goes on.
    pub(crate) fn fires(&self, message: &MessageText<'_>) -> bool {
        let Some(wanted) = &self.payload else { return true };
        match &self.value_template {
            None => message.text == wanted,
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
