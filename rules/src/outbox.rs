//! Promised commands and publishes, from the decision until the device has shown that it obeyed.
//!
//! A row carries all that is needed to send it, so that a node which takes over needs nothing but
//! the rows. Sending one twice is harmless; [`OutboxRow::repeatable`] says where it is not.

use crate::action::Failure;
use crate::action::call::Order;
use crate::broker::Publication;
use crate::timer::Purpose;
use crate::trace::Settled;
use crate::work::Work;
use crate::{CommandId, Effect, Refusal, RunId, TimerId};
use gable_devices::{EncodeError, EntityId, Expectation, Millis, Publish, Quality, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a command may wait for its confirmation before it is given up.
pub const COMMAND_DEADLINE: Millis = Millis::from_secs(30);

/// How many rows may wait at once. When one more comes the oldest is given up with a notice: a
/// broker that was away for long should not be told what the home wanted an hour ago.
pub const OUTBOX_MAX: usize = 4096;

/// One promised command or publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxRow {
    pub command_id: CommandId,
    /// None for a plain publish.
    pub entity_id: Option<EntityId>,
    /// Which side of the entity it changes; a newer command for the same side supersedes it.
    pub property: String,
    pub publish: Publish,
    pub status: Status,
    pub queued_at: Timestamp,
    pub deadline: Timestamp,
    /// Whether sending it a second time changes nothing.
    pub repeatable: bool,
    /// The run that decided it.
    pub run_id: Option<RunId>,
    /// What the entity reports once it has obeyed; none where the broker's word has to do.
    pub expect: Expectation,
    /// Whether the entity already reports it, though no broker has said yet that it has the
    /// command: devices may be quicker than acknowledgements.
    pub(crate) is_met: bool,
    pub(crate) expiry: TimerId,
}

/// How far a row has come. Rows that are done are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// To be sent.
    Pending,
    /// A broker has it; the entity has not confirmed yet.
    Sent,
}

/// The rows, oldest first, and which entity has which.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    rows: BTreeMap<CommandId, OutboxRow>,
    by_entity: BTreeMap<EntityId, BTreeSet<CommandId>>,
}

impl Outbox {
    fn insert(&mut self, row: OutboxRow) {
        if let Some(entity_id) = &row.entity_id {
            self.by_entity.entry(entity_id.clone()).or_default().insert(row.command_id);
        }
        self.rows.insert(row.command_id, row);
    }

    fn remove(&mut self, command_id: CommandId) -> Option<OutboxRow> {
        let row = self.rows.remove(&command_id)?;
        if let Some(entity_id) = &row.entity_id
            && let Some(ids) = self.by_entity.get_mut(entity_id)
        {
            ids.remove(&command_id);
            if ids.is_empty() {
                self.by_entity.remove(entity_id);
            }
        }
        Some(row)
    }

    pub(crate) fn get(&self, command_id: CommandId) -> Option<&OutboxRow> {
        self.rows.get(&command_id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &OutboxRow> {
        self.rows.values()
    }

    pub(crate) fn ids_of(&self, entity_id: &EntityId) -> Vec<CommandId> {
        self.by_entity.get(entity_id).into_iter().flatten().copied().collect()
    }
}

impl Serialize for Outbox {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Outbox {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Outbox, D::Error> {
        let mut outbox = Outbox::default();
        for row in BTreeMap::<CommandId, OutboxRow>::deserialize(deserializer)?.into_values() {
            outbox.insert(row);
        }
        Ok(outbox)
    }
}

/// A message on its way into the outbox.
struct Draft {
    entity_id: Option<EntityId>,
    property: String,
    publish: Publish,
    expect: Expectation,
    repeatable: bool,
    run_id: Option<RunId>,
}

impl Work<'_> {
    /// Promises a plain message.
    pub(crate) fn queue_publish(&mut self, publish: Publish, run_id: Option<RunId>) {
        self.queue(Draft {
            entity_id: None,
            property: String::new(),
            publish,
            expect: Expectation::None,
            repeatable: true,
            run_id,
        });
    }

    /// Promises the commands of a service call, entity by entity. An entity that can not be told is
    /// passed over with a notice; a call that makes no sense is an error.
    pub(crate) fn give_order(&mut self, order: Order, run_id: RunId) -> Result<(), Failure> {
        for stranger in &order.strangers {
            self.notice(
                stranger.to_string(),
                format!("it does not take `{}`; it was not told anything", order.called),
            );
        }
        for entity_id in &order.entity_ids {
            self.take_action().map_err(Failure::mistake)?;
            self.command(entity_id, &order, run_id)?;
        }
        Ok(())
    }

    fn command(&mut self, entity_id: &EntityId, order: &Order, run_id: RunId) -> Result<(), Failure> {
        let declared = self.declared.get(entity_id).zip(self.rows.entities.get(entity_id));
        let Some((declared, entity)) = declared else {
            self.notice(entity_id.to_string(), "there is no such entity; it was not told anything");
            return Ok(());
        };
        if entity.quality == Quality::Unavailable {
            self.notice(entity_id.to_string(), "it is unavailable; it was not told anything");
            return Ok(());
        }
        let current = entity.whole_value();
        let encoded = declared.encode(&order.service, &order.data, current.as_deref());
        let encoded = encoded.map_err(|error| match error {
            EncodeError::UnknownService { .. } => Failure::mistake(error),
            EncodeError::Unsupported { .. } | EncodeError::Data { .. } | EncodeError::Template { .. } => {
                Failure::refusal(error)
            }
        })?;
        let superseded = self.in_flight(entity_id, encoded.property);
        let last = encoded.publishes.len().saturating_sub(1);
        let mut last_id = None;
        for (n, publish) in encoded.publishes.into_iter().enumerate() {
            let by = self.queue(Draft {
                entity_id: Some(entity_id.clone()),
                property: encoded.property.to_owned(),
                publish,
                // Only after the last of its messages has the entity done what it shall.
                expect: if n == last { encoded.expect.clone() } else { Expectation::None },
                repeatable: encoded.repeatable,
                run_id: Some(run_id),
            });
            last_id = Some(by);
            if n == 0 {
                for command_id in &superseded {
                    self.supersede(*command_id, by);
                }
            }
        }
        if let Some(report) = encoded.assume {
            self.report(entity_id, vec![report], None);
            if let Some(command_id) = last_id {
                let run_id = self.notes.run_id.or(Some(run_id));
                self.credit(entity_id, command_id, run_id);
            }
        }
        Ok(())
    }

    fn in_flight(&self, entity_id: &EntityId, property: &str) -> Vec<CommandId> {
        if property.is_empty() {
            return Vec::new();
        }
        let mut ids = self.rows.outbox.ids_of(entity_id);
        ids.retain(|id| self.rows.outbox.get(*id).is_some_and(|row| row.property == property));
        ids
    }

    fn queue(&mut self, draft: Draft) -> CommandId {
        if self.rows.outbox.rows.len() >= OUTBOX_MAX
            && let Some(oldest) = self.rows.outbox.rows.keys().next().copied()
        {
            if !self.has_warned_of_outbox {
                self.has_warned_of_outbox = true;
                let text = format!("{OUTBOX_MAX} messages wait to be sent; the oldest are given up");
                self.notice("outbox", text);
            }
            self.expire_command(oldest);
        }
        self.rows.echoes.note(self.rows.now, &draft.publish.topic);
        if let Some(entity_id) = &draft.entity_id {
            self.rows.echoes.note(self.rows.now, entity_id.as_str());
        }
        let command_id = CommandId(self.rows.mint());
        // A branch of `parallel:` is nothing that people know by its id.
        let run_id = draft.run_id.map(|run_id| self.notes.run_id.unwrap_or(run_id));
        self.effect(Effect::CommandQueued {
            command_id,
            entity_id: draft.entity_id.clone(),
            publish: draft.publish.clone(),
            run_id,
        });
        if self.rows.broker.is_serving() && draft.expect == Expectation::None {
            // It is committed, and nobody has to confirm it.
            self.take_command(draft.publish);
            self.effect(Effect::CommandSent { command_id });
            self.trace_command(run_id, command_id, Settled::Confirmed);
            self.effect(Effect::CommandConfirmed { command_id, entity_id: draft.entity_id });
            return command_id;
        }
        let deadline = self.now().after(COMMAND_DEADLINE);
        let expiry = self.set_timer(deadline, Purpose::CommandExpiry(command_id));
        let publish = self.rows.broker.is_serving().then(|| draft.publish.clone());
        self.rows.outbox.insert(OutboxRow {
            command_id,
            entity_id: draft.entity_id,
            property: draft.property,
            publish: draft.publish,
            status: Status::Pending,
            queued_at: self.rows.now,
            deadline,
            repeatable: draft.repeatable,
            run_id,
            expect: draft.expect,
            is_met: false,
            expiry,
        });
        if let Some(publish) = publish {
            self.take_command(publish);
            self.on_command_sent(command_id);
        }
        command_id
    }

    /// Takes a command over as the broker of the device.
    fn take_command(&mut self, publish: Publish) {
        let Publish { topic, payload, qos, retain } = publish;
        let publication = Publication { topic, payload, qos, retain, ..Publication::default() };
        let node = self.rows.leader.unwrap_or_default();
        self.publish(Arc::new(publication), None, node);
    }

    /// A broker has taken a command over.
    pub(crate) fn on_command_sent(&mut self, command_id: CommandId) {
        let row = self.rows.outbox.rows.get_mut(&command_id);
        let Some(row) = row.filter(|row| row.status == Status::Pending) else {
            return self.effect(Effect::Refused(Refusal::Stale));
        };
        row.status = Status::Sent;
        let is_done = row.is_met || row.expect == Expectation::None;
        self.effect(Effect::CommandSent { command_id });
        if is_done {
            self.confirm(command_id);
        }
    }

    /// Confirms what an entity, as it now reports, shows to have obeyed.
    pub(crate) fn confirm_by(&mut self, entity_id: &EntityId) {
        for command_id in self.rows.outbox.ids_of(entity_id) {
            let Some(value) = self.rows.entities.get(entity_id).and_then(|entity| entity.known_value())
            else {
                return;
            };
            let Some(row) = self.rows.outbox.rows.get_mut(&command_id) else { continue };
            let was_met = std::mem::replace(&mut row.is_met, row.expect.is_met(value));
            let run_id = row.run_id;
            let is_done = row.is_met && row.status == Status::Sent;
            if row.is_met && !was_met {
                self.credit(entity_id, command_id, run_id);
            }
            if is_done {
                self.confirm(command_id);
            }
        }
    }

    /// What changed an entity just now is what a command wanted.
    fn credit(&mut self, entity_id: &EntityId, command_id: CommandId, run_id: Option<RunId>) {
        let index = self.rows.index;
        if let Some(entity) = Arc::make_mut(&mut self.rows.entities).get_mut(entity_id)
            && entity.change.index == index
        {
            (entity.change.command_id, entity.change.run_id) = (Some(command_id), run_id);
        }
    }

    /// Gives up a command that was not confirmed in time.
    pub(crate) fn expire_command(&mut self, command_id: CommandId) {
        if let Some(row) = self.settle_command(command_id) {
            self.trace_command(row.run_id, command_id, Settled::Expired);
            self.effect(Effect::CommandExpired { command_id, entity_id: row.entity_id });
        }
    }

    fn confirm(&mut self, command_id: CommandId) {
        if let Some(row) = self.settle_command(command_id) {
            self.trace_command(row.run_id, command_id, Settled::Confirmed);
            self.effect(Effect::CommandConfirmed { command_id, entity_id: row.entity_id });
        }
    }

    fn supersede(&mut self, command_id: CommandId, by: CommandId) {
        if let Some(row) = self.settle_command(command_id) {
            self.trace_command(row.run_id, command_id, Settled::Superseded(by));
            self.effect(Effect::CommandSuperseded { command_id, by });
        }
    }

    fn settle_command(&mut self, command_id: CommandId) -> Option<OutboxRow> {
        let row = self.rows.outbox.remove(command_id)?;
        self.cancel_timer(row.expiry);
        Some(row)
    }
}
