//! Entities that devices announce (Home Assistant's MQTT discovery), as part of the replicated state.
//!
//! A row keeps what a topic announced last and under which ids the home took it, so that a restored
//! home has the same entities under the same ids; the entities themselves follow from that.

use crate::home::TriggerRef;
use crate::listener::Listener;
use crate::state::Rows;
use crate::timer::{Purpose, TriggerKey};
use crate::trigger::TriggerKind;
use crate::work::Work;
use crate::{Effect, Message, TimerId};
use gable_devices::discovery::{self, Announcement};
use gable_devices::{Announced, Context, Entities, EntityId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many topics may announce entities. When there is one more it is refused with a notice.
const TOPICS_MAX: usize = 10_000;

/// How many bytes the announcements may take together. One that does not fit is refused with a notice.
const BYTES_MAX: u64 = 32 << 20;

/// How many entities may be announced. An announcement that goes beyond is refused with a notice.
const ENTITIES_MAX: usize = 20_000;

/// What was announced, topic by topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Announcements {
    by_topic: BTreeMap<String, Row>,
    /// What topics and payloads take together.
    bytes: u64,
}

/// What one topic announced last.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    payload: Vec<u8>,
    /// The ids given to its entities, by their keys in the announcement.
    given: BTreeMap<String, EntityId>,
}

/// What an announcement led to.
pub(crate) enum Outcome {
    Announced(Announced),
    Withdrawn(EntityId),
    Notice(String),
}

impl Announcements {
    /// Gives a home that was just compiled the entities that were announced.
    pub(crate) fn restore(&self, entities: &mut Entities) {
        let Some(prefix) = entities.discovery_prefix().map(str::to_owned) else { return };
        for (topic, row) in &self.by_topic {
            // What this build can not read, another one took: it is left out here.
            let Ok(announcement) = discovery::read(&prefix, topic, &row.payload) else { continue };
            for part in announcement.parts {
                if let (Some(id), Ok(entity)) = (row.given.get(&part.key), part.entity) {
                    entities.take_announced(Arc::new(entity.with_id(id.clone())));
                }
            }
        }
    }

    /// Gives a home's new `entities` those that were announced, and forgets the topics that are no
    /// longer under its prefix.
    pub(crate) fn hand_over(&mut self, before: &Entities, entities: &mut Entities) {
        let prefix = entities.discovery_prefix().map(str::to_owned);
        let is_kept =
            |topic: &str| prefix.as_ref().is_some_and(|prefix| discovery::is_announcement(prefix, topic));
        self.by_topic.retain(|topic, _| is_kept(topic));
        self.bytes = self.by_topic.iter().map(|(topic, row)| weight(topic, &row.payload)).sum();
        let given = self.by_topic.values().flat_map(|row| row.given.values());
        for entity in given.filter_map(|id| before.announced(id)) {
            entities.take_announced(Arc::clone(entity));
        }
        entities.outdate(before);
    }

    /// Why an announcement is too much.
    fn refuse(&self, topic: &str, payload: &[u8], entities: usize) -> Option<String> {
        let former = self.by_topic.get(topic);
        let freed = former.map_or(0, |row| weight(topic, &row.payload));
        match () {
            () if former.is_none() && self.by_topic.len() >= TOPICS_MAX => {
                Some(format!("{TOPICS_MAX} topics announce entities already"))
            }
            () if self.bytes - freed + weight(topic, payload) > BYTES_MAX => {
                Some(format!("announcements take {} MB already", BYTES_MAX >> 20))
            }
            () if entities > ENTITIES_MAX => Some(format!("{ENTITIES_MAX} entities are announced already")),
            () => None,
        }
    }

    fn put(&mut self, topic: &str, row: Option<Row>) {
        if let Some(former) = self.by_topic.remove(topic) {
            self.bytes -= weight(topic, &former.payload);
        }
        if let Some(row) = row {
            self.bytes += weight(topic, &row.payload);
            self.by_topic.insert(topic.to_owned(), row);
        }
    }
}

fn weight(topic: &str, payload: &[u8]) -> u64 {
    (topic.len() + payload.len()) as u64
}

/// Takes a message over if it is an announcement. It replaces what its topic announced before; one
/// that can not be read changes nothing.
pub(crate) fn take(rows: &mut Rows, entities: &mut Arc<Entities>, message: &Message) -> Vec<Outcome> {
    let (topic, payload) = (message.topic.as_str(), &message.payload);
    let Some(prefix) = entities.discovery_prefix() else { return Vec::new() };
    if !discovery::is_announcement(prefix, topic) {
        return Vec::new();
    }
    let announcements = &mut rows.announcements;
    let former = announcements.by_topic.get(topic);
    if former.is_some_and(|row| row.payload == *payload) {
        // Devices repeat themselves, and so do brokers.
        return Vec::new();
    }
    let earlier = former.map(|row| row.given.clone()).unwrap_or_default();
    let announcement = match discovery::read(prefix, topic, payload) {
        Ok(announcement) => announcement,
        Err(error) => return vec![Outcome::Notice(error.fault.to_string())],
    };
    if !announcement.parts.is_empty() {
        let count = (entities.announced_len() + announcement.parts.len()).saturating_sub(earlier.len());
        if let Some(why) = announcements.refuse(topic, payload, count) {
            return vec![Outcome::Notice(format!("the announcement is refused: {why}"))];
        }
    }
    let mut outcomes = Vec::new();
    let given = replace(Arc::make_mut(entities), announcement, earlier, &mut outcomes);
    let row = (!given.is_empty()).then(|| Row { payload: payload.clone(), given });
    announcements.put(topic, row);
    outcomes
}

/// Replaces the entities that a topic announced `earlier`, and returns the ids of the new ones.
fn replace(
    entities: &mut Entities,
    announcement: Announcement,
    mut earlier: BTreeMap<String, EntityId>,
    outcomes: &mut Vec<Outcome>,
) -> BTreeMap<String, EntityId> {
    let mut ready = Vec::new();
    for part in announcement.parts {
        match part.entity {
            Ok(entity) => {
                // Under the same key there may be an entity of another kind now.
                let is_same = |id: &EntityId| id.domain() == entity.id().domain();
                let id = earlier.get(&part.key).filter(|id| is_same(id)).cloned();
                if id.is_some() {
                    earlier.remove(&part.key);
                }
                ready.push((part.key, entity, id));
            }
            Err(error) => outcomes.push(Outcome::Notice(error.fault.to_string())),
        }
    }
    // First, so that what takes their place finds ids and unique ids free.
    for entity_id in earlier.into_values() {
        withdraw(entities, entity_id, outcomes);
    }
    let mut given = BTreeMap::new();
    for (key, entity, id) in ready {
        match entities.announce(entity, id.as_ref()) {
            Ok(announced) => {
                given.insert(key, announced.entity_id.clone());
                outcomes.push(Outcome::Announced(announced));
            }
            Err(conflict) => {
                outcomes.push(Outcome::Notice(conflict.to_string()));
                if let Some(entity_id) = id {
                    withdraw(entities, entity_id, outcomes);
                }
            }
        }
    }
    given
}

fn withdraw(entities: &mut Entities, entity_id: EntityId, outcomes: &mut Vec<Outcome>) {
    if entities.withdraw(&entity_id).is_some() {
        outcomes.push(Outcome::Withdrawn(entity_id));
    }
}

impl Work<'_> {
    /// Fits the rows to what a message on `topic` announced.
    pub(crate) fn on_announced(&mut self, topic: &str, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Outcome::Announced(announced) => self.on_entity_announced(topic, &announced),
                Outcome::Withdrawn(entity_id) => self.on_entity_withdrawn(&entity_id),
                Outcome::Notice(text) => self.notice(topic, text),
            }
        }
    }

    fn on_entity_announced(&mut self, topic: &str, announced: &Announced) {
        let entity_id = &announced.entity_id;
        let Some(declared) = self.declared.get(entity_id).filter(|_| announced.is_in_use) else {
            let text = format!("the home's files declare {entity_id} as well; what they say holds");
            self.notice(topic, text);
            if announced.former.is_some() {
                self.on_entity_withdrawn(entity_id);
            }
            return;
        };
        self.fit_entity(declared, announced.former.as_deref());
        if announced.former.is_none() {
            self.effect(Effect::EntityAnnounced { entity_id: entity_id.clone() });
            self.arm_entity(entity_id);
        }
    }

    fn on_entity_withdrawn(&mut self, entity_id: &EntityId) {
        self.drop_entity(entity_id);
        let is_of_entity = |(timer_id, purpose): (TimerId, &Purpose)| match purpose {
            Purpose::TriggerFor(row) if row.key.entity_id.as_ref() == Some(entity_id) => Some(timer_id),
            _ => None,
        };
        let timers = self.rows.timers.iter().map(|(timer_id, timer)| (timer_id, &timer.purpose));
        let timers: Vec<TimerId> = timers.filter_map(is_of_entity).collect();
        for timer_id in timers {
            self.cancel_timer(timer_id);
        }
        for command_id in self.rows.outbox.ids_of(entity_id) {
            self.expire_command(command_id);
        }
        self.rows.armed.retain(|key| key.entity_id.as_ref() != Some(entity_id));
        self.effect(Effect::EntityWithdrawn { entity_id: entity_id.clone() });
    }

    /// Numeric triggers that wait for a new entity fire at its first number inside their range.
    fn arm_entity(&mut self, entity_id: &EntityId) {
        let home = self.home;
        let context = Context::default();
        for &TriggerRef { automation, trigger } in self.routes.of_entity(&home.routes, entity_id).iter() {
            let Some(automation) = home.automations.get(automation) else { continue };
            let Some(trigger) = automation.triggers.get(trigger) else { continue };
            let TriggerKind::NumericState(kind) = &trigger.kind else { continue };
            let scene = self.scene(&context);
            let inside = scene.view(entity_id).and_then(|view| kind.holds(&scene, entity_id, &view));
            if inside == Ok(false) {
                let listener = Listener::of_automation(&automation.id, trigger.place);
                self.rows.armed.insert(TriggerKey { listener, entity_id: Some(entity_id.clone()) });
            }
        }
    }
}
