//! Whom a service is called on: entities by name, all of them, or those of areas, floors and labels.

use super::Failure;
use crate::reader::Reader;
use crate::text::Text;
use gable_devices::yaml::Fields;
use gable_devices::{Context, EntityId, is_template};

/// A target as the file names it, any part of which may be a template.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Target {
    entities: Vec<Text>,
    places: Vec<(PlaceKind, Text)>,
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
}

/// The keys that name a target, in `target:`, in `data:` and beside the service.
pub(crate) const KEYS: [&str; 5] = ["entity_id", "area_id", "floor_id", "label_id", "device_id"];

impl PlaceKind {
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
        let kinds =
            [("area_id", PlaceKind::Area), ("floor_id", PlaceKind::Floor), ("label_id", PlaceKind::Label)];
        for (key, kind) in kinds {
            let path = fields.path_of(key);
            for item in fields.get(key).map(|node| node.list_or_single()).unwrap_or_default() {
                self.places.extend(reader.text(item, &path).map(|text| (kind, text)));
            }
        }
        // Home Assistant makes up ids of devices that no file of this home knows.
        reader.not_yet(fields, &["device_id"]);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entities.is_empty() && self.places.is_empty()
    }

    pub(super) fn render(&self, context: &Context) -> Result<Chosen, Failure> {
        let wrong = |error| Failure::refusal(format!("the target can not be rendered: {error}"));
        let mut chosen = Chosen::default();
        for target in &self.entities {
            let text = target.render(context).map_err(wrong)?;
            for word in words(&text) {
                match word {
                    "all" => chosen.is_all = true,
                    "none" | "None" => {}
                    word => {
                        let entity_id = word.to_lowercase().parse::<EntityId>();
                        chosen.entity_ids.push(entity_id.map_err(Failure::mistake)?);
                    }
                }
            }
        }
        for (kind, place) in &self.places {
            let text = place.render(context).map_err(wrong)?;
            chosen.places.extend(words(&text).map(|word| (*kind, word.to_owned())));
        }
        Ok(chosen)
    }
}

/// The words of a text with commas, or of a list that a template rendered.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(',').map(|word| word.trim().trim_matches(['[', ']', '\'', '"', ' ']));
    words.filter(|word| !word.is_empty())
}
