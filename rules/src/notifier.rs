//! Ways out of the home that are no devices: `notify:` to an HTTP address or an MQTT topic, and Home
//! Assistant's own services through its REST API (`home_assistant:`).
//!
//! ```yaml
//! notify:
//!   - {platform: rest, name: phone, resource: !secret phone_url, method: POST_JSON}
//!   - {platform: mqtt, name: display, topic: display/text}
//! home_assistant: {url: "http://ha.local:8123", token: !secret ha_token}
//! ```

use crate::reader::Reader;
use crate::text::plain_text;
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Data, Publish, QoS, slugify, topic};
use std::collections::BTreeMap;
use std::fmt;

/// Shorter words of a header name a scheme (`Bearer`) rather than hold a secret.
const WORD_MIN: usize = 8;

/// An HTTP call as it has to be made. Address, headers and body may hold secrets, so it does not
/// show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// All ways out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Notifiers {
    by_name: BTreeMap<String, Notifier>,
    home_assistant: Option<HomeAssistant>,
}

/// One entry of `notify:`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Notifier {
    Rest(Rest),
    Mqtt(MqttNotifier),
}

#[derive(Clone, PartialEq)]
pub(crate) struct Rest {
    resource: String,
    method: Method,
    headers: Vec<(String, String)>,
    message_param: String,
    title_param: Option<String>,
    target_param: Option<String>,
    data: BTreeMap<String, Data>,
}

/// How the parameters of a notification travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Behind the address.
    Get,
    /// As a form.
    Post,
    Json,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MqttNotifier {
    topic: String,
    qos: QoS,
    retain: bool,
}

/// Where Home Assistant is, and the token that it knows us by.
#[derive(Clone, PartialEq)]
struct HomeAssistant {
    url: String,
    token: String,
}

impl Notifiers {
    /// Reads one item of `notify:`.
    pub(crate) fn add(&mut self, reader: &mut Reader, node: &Node, path: &str) {
        let tags = node.unresolved_tags(path);
        if !tags.is_empty() {
            return reader.problems.extend(tags);
        }
        let Some(mut fields) = reader.fields(node, path) else { return };
        let platform = fields.require_text("platform");
        let name = slugify(fields.text("name").as_deref().unwrap_or("notify"));
        let notifier = match platform.as_deref() {
            Some("rest") => Rest::read(&mut fields).map(Notifier::Rest),
            Some("mqtt") => MqttNotifier::read(&mut fields).map(Notifier::Mqtt),
            Some(other) => {
                fields.fail(format!("Gable notifies by `rest` and `mqtt`, not by `{other}`"));
                // Whatever else it says is for that platform.
                return reader.problems.extend(fields.finish().into_iter().take(1));
            }
            None => None,
        };
        reader.finish(fields);
        self.by_name.extend(notifier.map(|notifier| (name, notifier)));
    }

    /// Reads `home_assistant:`.
    pub(crate) fn read_home_assistant(&mut self, reader: &mut Reader, node: &Node, path: &str) {
        let tags = node.unresolved_tags(path);
        if !tags.is_empty() {
            return reader.problems.extend(tags);
        }
        let Some(mut fields) = reader.fields(node, path) else { return };
        let (url, token) = (fields.require_text("url"), fields.require_text("token"));
        let url = url.filter(|url| check_url(&mut fields, "url", url));
        reader.finish(fields);
        self.home_assistant = url
            .zip(token)
            .map(|(url, token)| HomeAssistant { url: url.trim_end_matches('/').to_owned(), token });
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Whether services that are not known here are Home Assistant's affair.
    pub(crate) fn forwards(&self) -> bool {
        self.home_assistant.is_some()
    }

    /// The notifier of `notify.NAME`; `notify.notify` is the first.
    pub(crate) fn get(&self, name: &str) -> Option<&Notifier> {
        let first = || (name == "notify").then(|| self.by_name.values().next()).flatten();
        self.by_name.get(name).or_else(first)
    }

    /// Whether there is a way out for a service.
    pub(crate) fn knows(&self, service: &str) -> bool {
        let name = service.strip_prefix("notify.");
        self.forwards() || name.is_some_and(|name| matches!(self.get(name), Some(Notifier::Rest(_))))
    }

    /// What nobody is shown of it, and what is shown instead: tokens, and addresses, as those that
    /// notify are often secret themselves.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (String, String)> {
        let token =
            self.home_assistant.iter().map(|to| (to.token.clone(), "home_assistant.token".to_owned()));
        let of_rest = |(name, notifier): (&String, &Notifier)| match notifier {
            Notifier::Rest(rest) => rest.secrets(name),
            Notifier::Mqtt(_) => Vec::new(),
        };
        token.chain(self.by_name.iter().flat_map(of_rest))
    }

    /// The call to make for a service.
    pub(crate) fn request(&self, service: &str, data: &BTreeMap<String, Data>) -> Option<HttpRequest> {
        if let Some(name) = service.strip_prefix("notify.")
            && let Some(Notifier::Rest(rest)) = self.get(name)
        {
            return Some(rest.request(data));
        }
        let to = self.home_assistant.as_ref()?;
        let (domain, name) = service.split_once('.')?;
        Some(HttpRequest {
            method: "POST",
            url: format!("{}/api/services/{domain}/{name}", to.url),
            headers: vec![
                ("Authorization".to_owned(), format!("Bearer {}", to.token)),
                ("Content-Type".to_owned(), "application/json".to_owned()),
            ],
            body: Data::Map(data.clone()).to_json().to_string().into_bytes(),
        })
    }
}

impl Rest {
    fn read(fields: &mut Fields<'_>) -> Option<Rest> {
        let resource = fields.require_text("resource");
        let resource = resource.filter(|url| check_url(fields, "resource", url));
        let methods = [("GET", Method::Get), ("POST", Method::Post), ("POST_JSON", Method::Json)];
        let method = fields.choice("method", &methods).unwrap_or(Method::Get);
        let headers = fields.get("headers").map(Node::to_data).unwrap_or_default();
        let headers = match headers {
            Data::Map(map) => map.iter().map(|(name, data)| (name.clone(), plain_text(data))).collect(),
            _ => Vec::new(),
        };
        let data = match fields.get("data").map(Node::to_data) {
            Some(Data::Map(map)) => map,
            _ => BTreeMap::new(),
        };
        fields.accept(&["verify_ssl"]);
        Some(Rest {
            resource: resource?,
            method,
            headers,
            message_param: fields.text("message_param_name").unwrap_or_else(|| "message".to_owned()),
            title_param: fields.text("title_param_name"),
            target_param: fields.text("target_param_name"),
            data,
        })
    }

    fn secrets(&self, name: &str) -> Vec<(String, String)> {
        let is_secret = |header: &str| {
            ["authorization", "cookie", "key", "secret", "token"].iter().any(|word| header.contains(word))
        };
        let headers = self.headers.iter().filter(|(header, _)| is_secret(&header.to_lowercase()));
        // `Bearer TOKEN`: the token alone is as secret.
        let values =
            headers.flat_map(|(_, value)| value.split_whitespace().map(str::to_owned).chain([value.clone()]));
        let values = values.filter(|value| value.len() >= WORD_MIN).chain([self.resource.clone()]);
        values.map(|value| (value, format!("notify.{name}"))).collect()
    }

    fn request(&self, data: &BTreeMap<String, Data>) -> HttpRequest {
        let mut params = self.data.clone();
        let keys = [
            ("message", Some(&self.message_param)),
            ("title", self.title_param.as_ref()),
            ("target", self.target_param.as_ref()),
        ];
        for (key, param) in keys {
            if let Some((param, data)) = param.zip(data.get(key)) {
                params.insert(param.clone(), data.clone());
            }
        }
        if let Some(Data::Map(more)) = data.get("data").map(Data::meaning) {
            params.extend(more.clone());
        }
        let form = || {
            let pair =
                |(name, data): (&String, &Data)| format!("{}={}", escape(name), escape(&plain_text(data)));
            params.iter().map(pair).collect::<Vec<_>>().join("&")
        };
        let mut headers = self.headers.clone();
        let mut typed = |content: &str| headers.push(("Content-Type".to_owned(), content.to_owned()));
        let url = self.resource.clone();
        let (method, url, body) = match self.method {
            Method::Get => {
                let sign = if url.contains('?') { '&' } else { '?' };
                ("GET", format!("{url}{sign}{}", form()), Vec::new())
            }
            Method::Post => {
                typed("application/x-www-form-urlencoded");
                ("POST", url, form().into_bytes())
            }
            Method::Json => {
                typed("application/json");
                ("POST", url, Data::Map(params).to_json().to_string().into_bytes())
            }
        };
        HttpRequest { method, url, headers, body }
    }
}

impl MqttNotifier {
    fn read(fields: &mut Fields<'_>) -> Option<MqttNotifier> {
        let found = fields.require_text("topic");
        let topic = found.filter(|text| match topic::check_topic(text) {
            Ok(()) => true,
            Err(why) => {
                fields.fail(format!("`{text}` is not a topic: {why}"));
                false
            }
        });
        let qos = match fields.integer("qos") {
            None | Some(0) => QoS::AtMostOnce,
            Some(1) => QoS::AtLeastOnce,
            Some(2) => QoS::ExactlyOnce,
            Some(other) => {
                fields.fail(format!("`qos: {other}` is not 0, 1 or 2"));
                return None;
            }
        };
        Some(MqttNotifier { topic: topic?, qos, retain: fields.boolean("retain").unwrap_or(false) })
    }

    /// The message of a notification: its text, or JSON where there is more to it.
    pub(crate) fn publish(&self, data: &BTreeMap<String, Data>) -> Publish {
        let has_more = data.keys().any(|key| key != "message");
        let payload = match data.get("message") {
            Some(message) if !has_more => plain_text(message),
            _ => Data::Map(data.clone()).to_json().to_string(),
        };
        Publish {
            topic: self.topic.clone(),
            payload: payload.into_bytes(),
            qos: self.qos,
            retain: self.retain,
        }
    }
}

fn check_url(fields: &mut Fields<'_>, key: &str, url: &str) -> bool {
    let is_sound = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
    if !is_sound {
        fields.fail(format!("`{key}` is no address that begins with `http://` or `https://`"));
    }
    is_sound
}

/// Percent-encodes all that may not stand in a query as it is.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte))
            }
            other => escaped += &format!("%{other:02X}"),
        }
    }
    escaped
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("method", &self.method).finish_non_exhaustive()
    }
}

impl fmt::Debug for HomeAssistant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HomeAssistant").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gable_devices::yaml;

    #[track_caller]
    fn check(notify: &str, data: &[(&str, &str)], expected: &str) {
        let node = yaml::parse("home.yaml", notify).unwrap();
        let (mut notifiers, mut reader) = (Notifiers::default(), Reader::default());
        notifiers.add(&mut reader, &node, "notify[0]");
        assert!(reader.problems.is_empty(), "{:?}", reader.problems);
        let data = data.iter().map(|(key, text)| ((*key).to_owned(), Data::from(*text))).collect();
        let request = notifiers.request("notify.phone", &data).unwrap();
        let body = String::from_utf8(request.body).unwrap();
        let headers: Vec<String> =
            request.headers.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        assert_eq!(format!("{} {} [{}] {body}", request.method, request.url, headers.join(", ")), expected);
    }

    #[test]
    fn notifications_travel_as_declared() {
        let message = [("message", "it rings & waits"), ("title", "Door")];
        check(
            "{platform: rest, name: phone, resource: 'http://x/n?k=1'}",
            &message,
            "GET http://x/n?k=1&message=it%20rings%20%26%20waits [] ",
        );
        check(
            "{platform: rest, name: phone, resource: 'http://x/n', method: POST, title_param_name: t}",
            &message,
            "POST http://x/n [Content-Type: application/x-www-form-urlencoded] \
             message=it%20rings%20%26%20waits&t=Door",
        );
        check(
            "{platform: rest, name: phone, resource: 'https://x', method: POST_JSON, message_param_name: text, \
             headers: {Authorization: secret}, data: {chat: 7}}",
            &message,
            "POST https://x [Authorization: secret, Content-Type: application/json] \
             {\"chat\":7,\"text\":\"it rings & waits\"}",
        );
    }

    #[test]
    fn requests_do_not_show_their_secrets() {
        let node = yaml::parse("home.yaml", "{url: 'http://ha:8123/', token: hush}").unwrap();
        let (mut notifiers, mut reader) = (Notifiers::default(), Reader::default());
        notifiers.read_home_assistant(&mut reader, &node, "home_assistant");
        let request = notifiers.request("tts.speak", &BTreeMap::new()).unwrap();
        assert_eq!(request.url, "http://ha:8123/api/services/tts/speak");
        assert!(request.headers.contains(&("Authorization".to_owned(), "Bearer hush".to_owned())));
        assert!(!format!("{request:?} {notifiers:?}").contains("hush"));
    }
}
