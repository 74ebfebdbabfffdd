//! The keys that every kind of entity takes.

use super::availability::Availability;
use super::{Fault, Payload, slugify, title};
use crate::platform::{Domain, Role, Source, Update, read_template};
use crate::yaml::{Fields, Kind, Node};
use crate::{Data, EntityId, Millis};
use std::collections::BTreeMap;

/// What a declaration says apart from its platform's own keys.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    /// The id wished for; another entity may have it already.
    pub(super) wanted_id: EntityId,
    pub(super) unique_id: Option<String>,
    /// Its name without its device's; none if it is called as the device is.
    pub(super) own_name: Option<String>,
    pub(super) friendly_name: String,
    pub(super) device: Option<Data>,
    pub(super) attributes: BTreeMap<String, Data>,
    pub(super) availability: Availability,
    pub(super) expire_after: Option<Millis>,
    pub(super) force_update: bool,
    json_attributes: Option<Source>,
}

/// Attributes that a device may not set, since Home Assistant gives them itself.
const OWN_ATTRIBUTES: [&str; 10] = [
    "assumed_state",
    "available",
    "device_class",
    "editable",
    "entity_picture",
    "friendly_name",
    "icon",
    "should_poll",
    "supported_features",
    "unit_of_measurement",
];

impl Declared {
    pub(super) fn read(domain: Domain, fields: &mut Fields<'_>) -> Option<Declared> {
        fields.accept(&["enabled_by_default", "entity_category", "origin", "platform", "qos", "group"]);
        if let Some(encoding) = fields.text("encoding").filter(|encoding| !is_utf8(encoding)) {
            fields.fail(format!("the encoding `{encoding}` is not supported, only utf-8 is"));
        }
        let device = fields.get("device");
        let (own_name, friendly_name) = read_names(domain, fields, device);
        let attributes = read_attributes(fields, &friendly_name);
        let availability = Availability::read(fields);
        let json_attributes = Source::read(fields, "json_attributes_topic", None).map(|source| {
            let template = read_template(fields, "json_attributes_template");
            Source { template, ..source }
        });
        fields.accept(&["json_attributes_template"]);
        Some(Declared {
            wanted_id: read_id(domain, fields, &friendly_name)?,
            unique_id: fields.text("unique_id"),
            own_name,
            friendly_name,
            device: device.map(Node::to_data),
            attributes,
            availability,
            expire_after: fields.duration("expire_after").filter(|span| span.0 > 0),
            force_update: fields.boolean("force_update").unwrap_or(false),
            json_attributes,
        })
    }

    pub(super) fn attributes_source(&self) -> Option<(&str, Role)> {
        self.json_attributes.as_ref().map(|source| (source.filter.as_str(), Role::Attributes))
    }

    /// Decodes what the topic for further attributes says; `own` are the kind's, which it may not set.
    pub(super) fn decode_attributes(
        &self,
        payload: &Payload<'_>,
        own: &[&str],
        update: &mut Update,
    ) -> Result<(), Fault> {
        let template = self.json_attributes.as_ref().and_then(|source| source.template.as_ref());
        let Some(rendered) = payload.render(template)? else { return Ok(()) };
        // Without a template the payload was perhaps parsed already.
        let json = match template {
            None => payload.json()?.clone(),
            Some(_) => {
                serde_json::from_str::<serde_json::Value>(&rendered).map_err(|_| Fault::NotJson)?.into()
            }
        };
        let Data::Map(map) = json else { return Err(Fault::NotObject) };
        let is_own = |name: &str| OWN_ATTRIBUTES.contains(&name) || own.contains(&name);
        update.described = Some(map.into_iter().filter(|(name, _)| !is_own(name)).collect());
        Ok(())
    }
}

fn is_utf8(encoding: &str) -> bool {
    ["utf-8", "utf8"].contains(&encoding.to_ascii_lowercase().as_str())
}

/// The entity's own name, and the name in full: the device's and its own, as Home Assistant joins them.
fn read_names(domain: Domain, fields: &mut Fields<'_>, device: Option<&Node>) -> (Option<String>, String) {
    let told = |key| fields.node().get(key).and_then(Node::as_text);
    let title = title::title(domain, told("device_class"), told("schema"));
    let own = match fields.get_or_null("name") {
        Some(node) if node.is_null() => None,
        Some(_) => fields.text("name"),
        None => Some(title.clone()),
    };
    if let Some(node) = device
        && !matches!(node.kind, Kind::Map(_))
    {
        let path = fields.path_of("device");
        fields.report(node.problem(&path, "expected a mapping"));
    }
    let device_name = device.and_then(|device| device.get("name")).and_then(|name| name.text("").ok());
    let full = match (device_name, &own) {
        (Some(device), Some(own)) => format!("{device} {own}"),
        (Some(device), None) => device,
        (None, Some(own)) => own.clone(),
        (None, None) => title,
    };
    (own, full)
}

fn read_id(domain: Domain, fields: &mut Fields<'_>, friendly_name: &str) -> Option<EntityId> {
    let object_id = fields.text("object_id");
    let wanted = match fields.text("default_entity_id") {
        Some(whole) => match whole.split_once('.') {
            Some((prefix, object_id)) if prefix == domain.name() => slugify(object_id),
            _ => {
                fields.fail(format!("`default_entity_id: {whole}` does not begin with `{}.`", domain.name()));
                return None;
            }
        },
        None => slugify(object_id.as_deref().unwrap_or(friendly_name)),
    };
    match format!("{}.{wanted}", domain.name()).parse() {
        Ok(id) => Some(id),
        Err(error) => {
            fields.fail(error.to_string());
            None
        }
    }
}

fn read_attributes(fields: &mut Fields<'_>, friendly_name: &str) -> BTreeMap<String, Data> {
    let mut attributes = BTreeMap::from([("friendly_name".to_owned(), Data::from(friendly_name))]);
    for key in ["device_class", "icon", "entity_picture"] {
        if let Some(text) = fields.text(key) {
            attributes.insert(key.to_owned(), Data::Text(text));
        }
    }
    attributes
}
