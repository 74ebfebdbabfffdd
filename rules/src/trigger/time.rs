//! `trigger: time`: fires at times of day, or at the times that entities say.

use super::Trigger;
use crate::calendar::Calendar;
use crate::clock::{self, Said};
use crate::reader::Reader;
use crate::schedule::recurrence::{Recurrence, Weekdays};
use crate::state::Rows;
use crate::text::Text;
use gable_devices::yaml::{Fields, Kind, Node};
use gable_devices::{Data, EntityId, Quality, Timestamp};
use jiff::civil::Time;

/// When it fires.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimeTrigger {
    at: Vec<At>,
    days: Weekdays,
    /// The entities among them.
    pub(crate) entity_ids: Vec<EntityId>,
}

/// One entry of `at:`.
#[derive(Clone, Debug, PartialEq)]
enum At {
    Time(Time),
    /// What an `input_datetime` or a sensor of the class `timestamp` says, so many milliseconds later.
    Entity {
        entity_id: EntityId,
        offset: i64,
    },
}

impl TimeTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<TimeTrigger> {
        let node = fields.require("at")?;
        let path = fields.path_of("at");
        let items = node.list_or_single();
        if items.is_empty() {
            fields.report(node.problem(&path, "names no time"));
        }
        let at: Vec<At> = items.iter().filter_map(|item| At::read(reader, item, &path)).collect();
        let days = clock::read_weekdays(fields).unwrap_or(Weekdays::ALL);
        let mut entity_ids = Vec::new();
        for part in &at {
            if let At::Entity { entity_id, .. } = part
                && !entity_ids.contains(entity_id)
            {
                entity_ids.push(entity_id.clone());
            }
        }
        Some(TimeTrigger { at, days, entity_ids })
    }

    pub(crate) fn parts(&self) -> u32 {
        u32::try_from(self.at.len()).unwrap_or(u32::MAX)
    }

    /// When one of its parts fires; none while its entity says no time.
    pub(crate) fn recurrence(&self, part: u32, rows: &Rows) -> Option<Recurrence> {
        let days = self.days;
        match self.at.get(usize::try_from(part).ok()?)? {
            At::Time(time) => Some(Recurrence::Daily { time: *time, days }),
            At::Entity { entity_id, offset } => {
                let entity = rows.entities.get(entity_id).filter(|entity| entity.quality == Quality::Good)?;
                let is_sensor = entity_id.domain() == "sensor";
                if is_sensor && !clock::is_timestamp(entity) {
                    return None;
                }
                let said = Said::parse(entity.state())?;
                let is_instant = matches!(said, Said::Instant(_));
                (is_sensor == is_instant).then(|| recurrence(said, *offset, days, rows.calendar()))?
            }
        }
    }

    /// The `trigger` variable of the run to come.
    pub(crate) fn variable(&self, trigger: &Trigger, part: u32, at: Timestamp, calendar: &Calendar) -> Data {
        let part = usize::try_from(part).ok().and_then(|part| self.at.get(part));
        let (description, entity_id) = match part {
            Some(At::Entity { entity_id, .. }) => {
                (format!("time set in {entity_id}"), Data::Text(entity_id.to_string()))
            }
            Some(At::Time(_)) | None => ("time".to_owned(), Data::Null),
        };
        let own = [("platform", "time".into()), ("now", now_data(at, calendar)), ("entity_id", entity_id)];
        trigger.variable(description, own)
    }
}

fn recurrence(said: Said, offset: i64, days: Weekdays, calendar: &Calendar) -> Option<Recurrence> {
    let span = jiff::SignedDuration::from_millis(offset);
    Some(match said {
        // The clock turns round: an offset moves the time, never the day.
        Said::Time(time) => Recurrence::Daily { time: time.wrapping_add(span), days },
        Said::Date(local) => {
            let at = calendar.to_instant(local.checked_add(span).ok()?);
            Recurrence::Once { at, days }
        }
        Said::Instant(at) => Recurrence::Once { at: Timestamp(at.0.saturating_add(offset)), days },
    })
}

impl At {
    fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<At> {
        if node.as_map().is_some() {
            let mut fields = reader.fields(node, path)?;
            let entity_id = fields.require("entity_id");
            let entity_id =
                entity_id.and_then(|node| read_entity(reader, node, &fields.path_of("entity_id")));
            let offset = reader.offset(&mut fields, "offset").unwrap_or(0);
            reader.finish(fields);
            return Some(At::Entity { entity_id: entity_id?, offset });
        }
        match node.as_text() {
            Some(text) if gable_devices::is_template(text) => match reader.early_text(node, path)? {
                Text::Plain(text) => {
                    let kind = Kind::Text(text);
                    At::read_plain(reader, &Node { kind, ..node.clone() }, path)
                }
                Text::Template(_) => {
                    reader.problems.push(node.problem(path, "a template is not supported where a run waits"));
                    None
                }
            },
            Some(_) | None => At::read_plain(reader, node, path),
        }
    }

    /// Reads what is no template, or none any more.
    fn read_plain(reader: &mut Reader, node: &Node, path: &str) -> Option<At> {
        if node.as_text().is_some_and(|text| text.contains('.')) {
            return read_entity(reader, node, path).map(|entity_id| At::Entity { entity_id, offset: 0 });
        }
        clock::read_time(reader, node, path).map(At::Time)
    }
}

fn read_entity(reader: &mut Reader, node: &Node, path: &str) -> Option<EntityId> {
    let entity_id = reader.entity_id(node, path)?;
    if !["input_datetime", "sensor"].contains(&entity_id.domain()) {
        let message = format!("`{entity_id}` says no time: expected an input_datetime or a sensor");
        reader.problems.push(node.problem(path, message));
        return None;
    }
    Some(entity_id)
}

/// The instant at which a trigger fired, for templates: in Home Assistant it is a local time.
pub(super) fn now_data(at: Timestamp, calendar: &Calendar) -> Data {
    Data::LocalTime(at, calendar.offset_at(at))
}
