//! `action: mqtt.publish`.

use crate::reader::Reader;
use crate::text::Text;
use crate::topic;
use gable_devices::yaml::Fields;
use gable_devices::{Context, Publish, QoS};

/// The message, any part of which may be a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PublishAction {
    topic: Text,
    payload: Option<Text>,
    qos: Option<Text>,
    retain: Option<Text>,
}

impl PublishAction {
    /// Reads the `data:` of the call.
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<PublishAction> {
        let mut text = |fields: &mut Fields<'_>, keys: &[&'static str]| {
            let (key, node) = fields.get_any(keys)?;
            reader.text(node, &fields.path_of(key))
        };
        let topic = text(fields, &["topic", "topic_template"]);
        let payload = text(fields, &["payload", "payload_template"]);
        let (qos, retain) = (text(fields, &["qos"]), text(fields, &["retain"]));
        if !fields.has("topic") && !fields.has("topic_template") {
            fields.fail("`topic` is missing");
        }
        if let Some(Text::Plain(topic)) = &topic
            && let Err(why) = topic::check_topic(topic)
        {
            fields.fail(format!("`{topic}` is not a topic: {why}"));
        }
        for (key, text, is_sound) in [
            ("qos", &qos, read_qos as fn(&str) -> bool),
            ("retain", &retain, |text| read_boolean(text).is_some()),
        ] {
            if let Some(Text::Plain(plain)) = text
                && !is_sound(plain)
            {
                fields.fail(format!("`{plain}` does not fit `{key}`"));
            }
        }
        fields.accept(&["evaluate_payload"]);
        Some(PublishAction { topic: topic?, payload, qos, retain })
    }

    /// Renders the message of one run.
    pub(crate) fn render(&self, context: &Context) -> Result<Publish, String> {
        let render = |text: &Option<Text>| match text {
            None => Ok(None),
            Some(text) => text.render(context).map(Some).map_err(|error| error.to_string()),
        };
        let topic = self.topic.render(context).map_err(|error| error.to_string())?;
        topic::check_topic(&topic).map_err(|why| format!("`{topic}` is not a topic: {why}"))?;
        // Home Assistant renders plain payloads too, which takes the white space off their ends.
        let payload = render(&self.payload)?.unwrap_or_default().trim().as_bytes().to_vec();
        let qos = match render(&self.qos)? {
            None => QoS::AtMostOnce,
            Some(text) => to_qos(&text).ok_or_else(|| format!("`{text}` is not a quality of service"))?,
        };
        let retain = match render(&self.retain)? {
            None => false,
            Some(text) => read_boolean(&text).ok_or_else(|| format!("`{text}` is not a boolean"))?,
        };
        Ok(Publish { topic, payload, qos, retain })
    }
}

fn read_qos(text: &str) -> bool {
    to_qos(text).is_some()
}

fn to_qos(text: &str) -> Option<QoS> {
    match text.trim() {
        "0" => Some(QoS::AtMostOnce),
        "1" => Some(QoS::AtLeastOnce),
        "2" => Some(QoS::ExactlyOnce),
        _ => None,
    }
}

fn read_boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" | "enable" => Some(true),
        "false" | "off" | "no" | "0" | "disable" => Some(false),
        _ => None,
    }
}
