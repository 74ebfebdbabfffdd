//! The entity `sun.sun`: where the sun stands, and when it next does what.
//!
//! It is there as soon as a calendar knows the home's position. State and attributes follow from
//! the calendar; one timer row wakes them at each event, and every few minutes in between, because
//! the sun moves on. Where the calendar ends before the next event of a kind, as in a polar night,
//! that attribute is null.

pub mod julian;
mod position;

use crate::calendar::{SunEvent, SunTable};
use crate::entity::EntityState;
use crate::timer::{Purpose, Slot};
use crate::work::Work;
use gable_devices::{Data, EntityId, Quality, Timestamp, Value};
use position::SunPosition;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The entity's id.
pub(crate) const SUN: &str = "sun.sun";

const NEXT: [(&str, SunEvent); 6] = [
    ("next_dawn", SunEvent::Dawn),
    ("next_dusk", SunEvent::Dusk),
    ("next_midnight", SunEvent::Midnight),
    ("next_noon", SunEvent::Noon),
    ("next_rising", SunEvent::Rising),
    ("next_setting", SunEvent::Setting),
];

impl Work<'_> {
    /// Brings the entity up to date, and promises to do so at the sun's next event or step.
    pub(crate) fn follow_sun(&mut self) {
        let Ok(entity_id) = SUN.parse::<EntityId>() else { return };
        let now = self.now();
        let calendar = self.rows.calendar.clone();
        let Some((table, place)) = calendar.as_ref().and_then(|it| Some((it.sun.as_ref()?, &it.place)))
        else {
            Arc::make_mut(&mut self.rows.entities).remove(&entity_id);
            return self.cancel_slot(&Slot::Sun);
        };
        let position = place.position.and_then(|seen_from| SunPosition::at(now, seen_from));
        let value = value(table, position, now);
        let step = position.map(|position| now.after(position.lasts()));
        let next = table.next(now).map(|moment| moment.at).into_iter().chain(step).min();
        Arc::make_mut(&mut self.rows.entities).entry(entity_id.clone()).or_insert_with(|| EntityState {
            value: Value { state: crate::entity::UNKNOWN.to_owned(), attributes: BTreeMap::new() },
            last_changed: now,
            last_updated: now,
            last_heard: now,
            ..EntityState::default()
        });
        self.update(&entity_id, None, false, |entity, _| {
            entity.value = value;
            entity.quality = Quality::Good;
        });
        let former = self.rows.timers.in_slot(&Slot::Sun).map(|(_, timer)| timer.deadline);
        match next {
            _ if former == next => {}
            Some(deadline) => {
                self.set_timer(deadline, Purpose::Sun);
            }
            None => self.cancel_slot(&Slot::Sun),
        }
    }
}

fn value(table: &SunTable, position: Option<SunPosition>, now: Timestamp) -> Value {
    let state = if table.is_up(now) { "above_horizon" } else { "below_horizon" };
    let after = table.events.partition_point(|moment| moment.at <= now);
    let next = |event| table.events[after..].iter().find(|moment| moment.event == event);
    let mut attributes = BTreeMap::from([("friendly_name".to_owned(), Data::Text("Sun".to_owned()))]);
    for (name, event) in NEXT {
        let at = next(event).map(|moment| Data::from(Data::Time(moment.at).to_json())).unwrap_or_default();
        attributes.insert(name.to_owned(), at);
    }
    if let Some(SunPosition { elevation, azimuth }) = position {
        attributes.insert("elevation".to_owned(), Data::Float(elevation));
        attributes.insert("azimuth".to_owned(), Data::Float(azimuth));
    }
    // Between midnight and noon it climbs.
    let turn =
        table.events[after..].iter().find(|it| [SunEvent::Noon, SunEvent::Midnight].contains(&it.event));
    attributes.insert("rising".to_owned(), Data::Bool(turn.is_some_and(|it| it.event == SunEvent::Noon)));
    Value { state: state.to_owned(), attributes }
}
