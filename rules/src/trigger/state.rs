//! `trigger: state`: fires when an entity's state, or one attribute, becomes another one.

use super::{Change, Reaction, Trigger};
use crate::gap;
use crate::reader::Reader;
use crate::span::Span;
use crate::view::View;
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Data, EntityId};

/// What changes fire it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateTrigger {
    pub(crate) entity_ids: Vec<EntityId>,
    attribute: Option<String>,
    from: Match,
    to: Match,
    /// Whether a change that leaves the state alone counts: none of `from`, `to` and so on is given.
    takes_all: bool,
    hold: Option<Span>,
    /// How long the entity may be away without that counting (`for_gap:`).
    pub(crate) gap: Option<Span>,
    /// With `from:` alone a `for:` holds as long as the entity does not go back.
    is_from_alone: bool,
}

/// Which states, or values of an attribute, are meant.
#[derive(Clone, Debug, PartialEq)]
enum Match {
    Any,
    In(Vec<Data>),
    NotIn(Vec<Data>),
}

impl Match {
    /// Reads `from` or `to`, and whether either it or its opposite is given.
    fn read(
        reader: &mut Reader,
        fields: &mut Fields<'_>,
        key: &'static str,
        not_key: &'static str,
    ) -> (Match, bool) {
        // A state is always text, while an attribute may hold anything.
        let is_attribute = fields.has("attribute");
        let mut values = |fields: &mut Fields<'_>, key| {
            let node = fields.get_or_null(key)?;
            let path = fields.path_of(key);
            let read = |item: &Node| {
                if is_attribute {
                    Some(item.to_data())
                } else {
                    reader.state_text(item, &path).map(Data::Text)
                }
            };
            Some(node.list_or_single().iter().filter_map(read).collect::<Vec<_>>())
        };
        let (wanted, unwanted) = (values(fields, key), values(fields, not_key));
        let is_given = wanted.is_some() || unwanted.is_some();
        if wanted.is_some() && unwanted.is_some() {
            fields.fail(format!("takes `{key}` or `{not_key}`, not both"));
        }
        let matching = match (wanted, unwanted) {
            // `to: null` means any other state, while attributes alone do not count.
            (Some(values), _) if !values.is_empty() => Match::In(values),
            (None, Some(values)) => Match::NotIn(values),
            (Some(_), _) | (None, None) => Match::Any,
        };
        (matching, is_given)
    }

    fn takes(&self, value: &Data) -> bool {
        let is_equal = |wanted: &Data| match (wanted, value) {
            (Data::Int(_) | Data::Float(_), Data::Int(_) | Data::Float(_)) => {
                wanted.to_number() == value.to_number()
            }
            _ => wanted == value,
        };
        match self {
            Match::Any => true,
            Match::In(values) => values.iter().any(is_equal),
            Match::NotIn(values) => !values.iter().any(is_equal),
        }
    }
}

impl StateTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<StateTrigger> {
        let entity_ids = reader.entity_ids_of(fields);
        let (from, has_from) = Match::read(reader, fields, "from", "not_from");
        let (to, has_to) = Match::read(reader, fields, "to", "not_to");
        let (hold, gap) = gap::read(reader, fields);
        Some(StateTrigger {
            entity_ids,
            attribute: fields.text("attribute"),
            from,
            to,
            takes_all: !has_from && !has_to,
            hold,
            gap,
            is_from_alone: fields.has("from") && !fields.has("to"),
        })
    }

    pub(crate) fn react(&self, trigger: &Trigger, change: &Change) -> Reaction {
        let (old, new) = (self.read_view(&change.from), self.read_view(&change.to));
        let is_same = old == new;
        // A named attribute counts only when it is the one that changed.
        let is_ignored = is_same && (self.attribute.is_some() || !self.takes_all);
        if is_ignored || !self.from.takes(&old) || !self.to.takes(&new) {
            return Reaction::Nothing;
        }
        let variable = trigger.variable(
            format!("state of {}", change.entity_id),
            [
                ("platform", "state".into()),
                ("entity_id", Data::Text(change.entity_id.to_string())),
                ("from_state", change.from.to_data(&change.entity_id)),
                ("to_state", change.to.to_data(&change.entity_id)),
                ("attribute", self.attribute.clone().map_or(Data::Null, Data::Text)),
                ("for", Data::Null),
            ],
        );
        match &self.hold {
            Some(hold) => Reaction::Hold(hold.clone(), variable),
            None => Reaction::Fire(variable),
        }
    }

    /// Whether a `for:` that began with the change from `previous` to `held` goes on.
    pub(crate) fn holds_on(&self, view: &View, previous: &Data, held: &Data) -> bool {
        let value = self.read_view(view);
        if self.is_from_alone { value != *previous } else { value == *held }
    }

    /// Whether the entity has a value as far as this trigger is concerned: it is there, or the
    /// trigger asks for its absence by name.
    pub(crate) fn is_value(&self, view: &View) -> bool {
        let names = |wanted: &Match| match wanted {
            Match::In(values) => values.iter().any(|value| value.as_text() == Some(&view.state)),
            Match::Any | Match::NotIn(_) => false,
        };
        !view.is_away() || (self.attribute.is_none() && names(&self.to))
    }

    /// The state or attribute that it looks at.
    pub(crate) fn read_view(&self, view: &View) -> Data {
        view.read(self.attribute.as_deref())
    }
}
