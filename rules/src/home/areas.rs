//! Areas, floors and labels: names for entities that belong together, Gable's own sections.
//!
//! ```yaml
//! areas:
//!   kitchen: {name: Kitchen, floor: ground, entities: [light.kitchen, switch.kettle]}
//! labels:
//!   night: {name: Off at night, entities: [light.kitchen]}
//! ```

use super::sections::Declared;
use crate::action::target::PlaceKind;
use crate::reader::Reader;
use gable_devices::{EntityId, Group, slugify};
use std::collections::BTreeMap;

/// What is gathered under which name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Areas {
    /// By kind and by id, or the slug of a name.
    members: BTreeMap<(PlaceKind, String), Vec<EntityId>>,
}

impl Areas {
    /// Reads one entry of `areas:` or `labels:`.
    pub(super) fn add(&mut self, reader: &mut Reader, declared: &Declared) {
        let kind = if declared.domain == "labels" { PlaceKind::Label } else { PlaceKind::Area };
        let Some(mut fields) = reader.fields(&declared.node, &declared.path) else { return };
        let name = fields.text("name");
        let path = fields.path_of("entities");
        let entities = fields.get("entities").map(|node| reader.entity_ids(node, &path)).unwrap_or_default();
        let floor = if kind == PlaceKind::Area { fields.text("floor") } else { None };
        fields.accept(&["icon"]);
        reader.finish(fields);
        if let Some(floor) = floor {
            let members = self.members.entry((PlaceKind::Floor, slugify(&floor))).or_default();
            members.extend(entities.iter().cloned());
        }
        if let Some(slug) = name.map(|name| slugify(&name)).filter(|slug| *slug != declared.object_id) {
            self.members.entry((kind, slug)).or_insert_with(|| entities.clone());
        }
        self.members.insert((kind, declared.object_id.clone()), entities);
    }

    /// The entities under an id or a name, in the order of the file.
    pub(crate) fn members(&self, kind: PlaceKind, name: &str) -> Option<&[EntityId]> {
        let members = self.members.get(&(kind, name.to_owned()));
        members.or_else(|| self.members.get(&(kind, slugify(name)))).map(Vec::as_slice)
    }

    /// The same for what templates ask; groups are no areas.
    pub(crate) fn of(&self, kind: Group, name: &str) -> Option<&[EntityId]> {
        match kind {
            Group::Area => self.members(PlaceKind::Area, name),
            Group::Label => self.members(PlaceKind::Label, name),
            Group::Group => None,
        }
    }
}
