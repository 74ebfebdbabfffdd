//! `action: mqtt.publish`.

use super::Failure;
use crate::reader::Reader;
use crate::text::Text;
use gable_devices::topic;
use gable_devices::yaml::{Fields, float_text};
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

    /// Renders the message of one run. A template that fails may be passed over, what it made wrong
    /// may not: so it is in Home Assistant.
    pub(crate) fn render(&self, context: &Context) -> Result<Publish, Failure> {
        let mistake = |text: &str, what: &str| Failure::mistake(format!("`{text}` is not {what}"));
        let render = |text: &Option<Text>| match text {
            None => Ok(None),
            Some(text) => text.render(context).map(Some).map_err(Failure::refusal),
        };
        let topic = self.topic.render(context).map_err(Failure::refusal)?;
        topic::check_topic(&topic)
            .map_err(|why| Failure::mistake(format!("`{topic}` is not a topic: {why}")))?;
        let payload = through_python(render(&self.payload)?.unwrap_or_default().trim()).into_bytes();
        let qos = match render(&self.qos)? {
            None => QoS::AtMostOnce,
            Some(text) => to_qos(&text).ok_or_else(|| mistake(&text, "a quality of service"))?,
        };
        let retain = match render(&self.retain)? {
            None => false,
            Some(text) => read_boolean(&text).ok_or_else(|| mistake(&text, "a boolean"))?,
        };
        Ok(Publish { topic, payload, qos, retain })
    }
}

/// What a rendered text is once Home Assistant has read it as a Python literal and printed that:
/// `5.50` becomes `5.5`, `+5` becomes `5`, `None` becomes nothing. Lists and mappings keep their text
/// there, and so does what only looks like a number, such as `007` and `1e3`. Plain payloads are
/// treated alike.
fn through_python(text: &str) -> String {
    if text == "None" {
        return String::new();
    }
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = digits.bytes().any(|b| b.is_ascii_digit())
        && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        && !(whole.len() > 1 && whole.starts_with('0'));
    match () {
        () if !is_number => text.to_owned(),
        () if digits.contains('.') => match format!("0{whole}.{fraction}0").parse::<f64>() {
            Ok(number) => float_text(if is_negative { -number } else { number }),
            Err(_) => text.to_owned(),
        },
        () if is_negative && digits != "0" => format!("-{digits}"),
        () => digits.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_go_through_python() {
        let check = |text, expected: &str| assert_eq!(through_python(text), expected, "{text}");
        for same in
            ["", "ON", "007", "-07", "1e3", "5", "-5", "0", "21.5", "True", "[1,2]", "1.2.3", ".", "+", "1_0"]
        {
            check(same, same);
        }
        check("5.50", "5.5");
        check("+5", "5");
        check("-0", "0");
        check("5.", "5.0");
        check(".5", "0.5");
        check("-.50", "-0.5");
        check("None", "");
        check("123456789012345678901234567890", "123456789012345678901234567890");
        check("1.0000000000000000000000001", "1.0");
    }
}
