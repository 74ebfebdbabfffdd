//! Whom a service is called on: entities by name, all of them, or those of areas, floors and labels.

use super::Failure;
use crate::reader::Reader;
use crate::text::{Text, plain_text};
use gable_devices::yaml::Fields;
use gable_devices::{Context, Data, EntityId, is_template};
use std::collections::BTreeMap;

/// A target as the file names it, any part of which may be a template.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Target {
    entities: Vec<Text>,
    places: Vec<(PlaceKind, Text)>,
    /// Whether it is there at all, though it may be an empty list.
    is_named: bool,
}

/// A way to name several entities at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PlaceKind {
    Area,
    Floor,
    Label,
}

/// A target of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) entity_ids: Vec<EntityId>,
    /// `entity_id: all`.
    pub(crate) is_all: bool,
    pub(crate) places: Vec<(PlaceKind, String)>,
    /// Whether a target was named at all, be it an empty one.
    pub(crate) is_named: bool,
}

/// The keys that name a target, in `target:`, in `data:` and beside the service.
pub(crate) const KEYS: [&str; 5] = ["entity_id", "area_id", "floor_id", "label_id", "device_id"];

impl PlaceKind {
    const ALL: [PlaceKind; 3] = [PlaceKind::Area, PlaceKind::Floor, PlaceKind::Label];

    /// The key that names one.
    pub(crate) fn key(self) -> &'static str {
        match self {
            PlaceKind::Area => "area_id",
            PlaceKind::Floor => "floor_id",
            PlaceKind::Label => "label_id",
        }
    }
}

impl Target {
    /// Adds what the mapping names.
    pub(super) fn add(&mut self, reader: &mut Reader, fields: &mut Fields<'_>) {
        self.is_named |= KEYS.iter().any(|key| fields.has(key));
        let path = fields.path_of("entity_id");
        for item in fields.get("entity_id").map(|node| node.list_or_single()).unwrap_or_default() {
            match item.as_text() {
                Some(text) if is_template(text) => {
                    self.entities.extend(reader.template(item, &path).map(Text::Template));
                }
                Some(word @ ("all" | "none")) => self.entities.push(Text::Plain(word.to_owned())),
                _ => {
                    let ids = reader.entity_ids(item, &path);
                    self.entities.extend(ids.into_iter().map(|id| Text::Plain(id.to_string())));
                }
            }
        }
        for kind in PlaceKind::ALL {
            let key = kind.key();
            let path = fields.path_of(key);
            for item in fields.get(key).map(|node| node.list_or_single()).unwrap_or_default() {
                self.places.extend(reader.text(item, &path).map(|text| (kind, text)));
            }
        }
        // Home Assistant makes up ids of devices that no file of this home knows.
        reader.not_yet(fields, &["device_id"]);
    }

    pub(super) fn is_named(&self) -> bool {
        self.is_named
    }

    pub(super) fn render(&self, context: &Context) -> Result<Chosen, Failure> {
        let wrong = |error| Failure::refusal(format!("the target can not be rendered: {error}"));
        let mut chosen = Chosen { is_named: self.is_named, ..Chosen::default() };
        for target in &self.entities {
            let text = target.render(context).map_err(wrong)?;
            chosen.add_entities(&text)?;
        }
        for (kind, place) in &self.places {
            let text = place.render(context).map_err(wrong)?;
            chosen.places.extend(words(&text).map(|word| (*kind, word.to_owned())));
        }
        Ok(chosen)
    }
}

impl Chosen {
    fn add_entities(&mut self, text: &str) -> Result<(), Failure> {
        for word in words(text) {
            match word {
                "all" => self.is_all = true,
                "none" | "None" => {}
                word => {
                    let entity_id = word.to_lowercase().parse::<EntityId>();
                    self.entity_ids.push(entity_id.map_err(Failure::mistake)?);
                }
            }
        }
        Ok(())
    }

    /// Takes what rendered data names as a target, as `target: "{{ ... }}"` does.
    pub(super) fn take_from(&mut self, data: &mut BTreeMap<String, Data>) -> Result<(), Failure> {
        let mut take = |key: &str| data.remove(key).inspect(|_| self.is_named = true);
        let entities = take("entity_id");
        let places = PlaceKind::ALL.map(|kind| (kind, take(kind.key())));
        let text = |data: Option<Data>| match data {
            None | Some(Data::Null) => String::new(),
            Some(data) => plain_text(&data),
        };
        for (kind, place) in places {
            self.places.extend(words(&text(place)).map(|word| (kind, word.to_owned())));
        }
        self.add_entities(&text(entities))
    }
}

/// The words of a text with commas, or of a list that a template rendered.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(',').map(|word| word.trim().trim_matches(['[', ']', '(', ')', '\'', '"', ' ']));
    words.filter(|word| !word.is_empty())
}
