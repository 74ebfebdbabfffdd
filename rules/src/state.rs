//! The home: rows that every node holds alike, and what is derived from them.
//!
//! This file is what others may read; [`crate::apply`] is the only place that changes it.

use crate::broker::{Broker, Output};
use crate::cache::{Counters, Policy};
use crate::calendar::{Calendar, DeclaredPlace};
use crate::deliveries::Deliveries;
use crate::discovery::Announcements;
use crate::echoes::Echoes;
use crate::errand::Errands;
use crate::guard::{Guard, Quarantine};
use crate::home::Home;
use crate::listener::{Listener, Listening};
use crate::nodes::{self, Node};
use crate::order::Reorder;
use crate::outbox::{Outbox, OutboxRow};
use crate::route_cache::RouteCache;
use crate::run::{Run, Runs};
use crate::scene::Wanted;
use crate::seen::Seen;
use crate::sequence::Progress;
use crate::standing::Standings;
use crate::start::Lives;
use crate::takeover::Window;
use crate::timer::{Timer, Timers, TriggerKey};
use crate::trace::{Miss, Trace, Traces};
use crate::watch::Watches;
use crate::world::HomeView;
use crate::{
    CommandId, Confidential, EntityState, Id, LogIndex, NodeId, Origin, Problem, RunId, SourceFile, TimerId,
};
use gable_devices::{Entities, EntityId, Timestamp, World, topic};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The state of the home at one index of the log.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) rows: Rows,
    /// Compiled from `rows.sources`.
    pub(crate) home: Arc<Home>,
    /// Those of the files, and those that devices announced.
    pub(crate) entities: Arc<Entities>,
    pub(crate) routes: RouteCache,
    /// The triggers that runs wait for, from `rows.runs`.
    pub(crate) listening: Listening,
}

/// What is replicated: all of it is in a snapshot, and nothing else is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rows {
    pub(crate) index: LogIndex,
    /// How many ids the entry at `index` has used up.
    pub(crate) minted: u32,
    pub(crate) now: Timestamp,
    pub(crate) seen: Seen,
    pub(crate) window: Window,
    pub(crate) deliveries: Deliveries,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) sources: Arc<[SourceFile]>,
    /// Shared with what templates see of them while they render.
    pub(crate) entities: Arc<BTreeMap<EntityId, EntityState>>,
    pub(crate) timers: Timers,
    /// The numeric triggers that fire at the next number inside their range.
    pub(crate) armed: BTreeSet<TriggerKey>,
    pub(crate) runs: Runs,
    pub(crate) outbox: Outbox,
    pub(crate) watches: Watches,
    pub(crate) calendar: Option<Arc<Calendar>>,
    /// Whether people were told that there is none.
    pub(crate) has_told_of_calendar: bool,
    pub(crate) leader: Option<NodeId>,
    pub(crate) lives: Lives,
    pub(crate) traces: Traces,
    pub(crate) guard: Guard,
    pub(crate) echoes: Echoes,
    /// How automations and scripts stand; shared with what templates see of them.
    pub(crate) standings: Arc<Standings>,
    pub(crate) errands: Errands,
    /// The scenes that `scene.create` has made.
    pub(crate) scenes: BTreeMap<EntityId, Wanted>,
    /// What is put in order for automations that ask.
    pub(crate) reorder: Reorder,
    /// How far the sequences have come.
    pub(crate) sequences: BTreeMap<Listener, Progress>,
    pub(crate) announcements: Announcements,
    pub(crate) broker: Broker,
}

impl State {
    /// The state before the first entry.
    pub fn new() -> State {
        State::from_rows(Rows::default())
    }

    /// Returns the index of the last entry applied.
    pub fn index(&self) -> LogIndex {
        self.rows.index
    }

    /// Returns the home's time: the latest stamp in the log so far.
    pub fn now(&self) -> Timestamp {
        self.rows.now
    }

    /// Returns all entities, in the order of their ids.
    pub fn entities(&self) -> impl Iterator<Item = (&EntityId, &EntityState)> {
        self.rows.entities.iter()
    }

    /// Returns one entity.
    pub fn entity(&self, entity_id: &EntityId) -> Option<&EntityState> {
        self.rows.entities.get(entity_id)
    }

    /// The home as templates see it: also automations, scripts and what else is no row of its own.
    pub fn world(&self) -> impl World + use<> {
        HomeView::of(&self.rows, &self.home, &self.entities, 0)
    }

    /// Returns the promised commands and publishes, oldest first.
    pub fn outbox(&self) -> impl Iterator<Item = &OutboxRow> {
        self.rows.outbox.iter()
    }

    /// Returns the row of one command, while it is not settled.
    pub fn command(&self, command_id: CommandId) -> Option<&OutboxRow> {
        self.rows.outbox.get(command_id)
    }

    /// Returns the next deadline and its timer.
    pub fn next_deadline(&self) -> Option<(Timestamp, TimerId)> {
        self.rows.timers.first()
    }

    /// Returns the timers, oldest first.
    pub fn timers(&self) -> impl Iterator<Item = (TimerId, &Timer)> {
        self.rows.timers.iter()
    }

    /// Returns one timer, while it is not due.
    pub fn timer(&self, timer_id: TimerId) -> Option<&Timer> {
        self.rows.timers.get(timer_id)
    }

    /// Returns one run, while it stands still.
    pub fn run(&self, run_id: RunId) -> Option<&Run> {
        self.rows.runs.get(run_id)
    }

    /// Returns the runs that stand still, oldest first. Between two inputs no run moves.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.rows.runs.iter()
    }

    /// Returns why an automation is set apart, if it is.
    pub fn quarantine(&self, automation: &str) -> Option<&Quarantine> {
        self.rows.guard.quarantine(automation)
    }

    /// Returns the automations that are set apart.
    pub fn quarantined(&self) -> impl Iterator<Item = (&str, &Quarantine)> {
        self.rows.guard.iter()
    }

    /// Returns what one run did, while that is kept.
    pub fn trace(&self, run_id: RunId) -> Option<&Trace> {
        self.rows.traces.get(run_id)
    }

    /// Returns what the runs did that are kept, oldest first.
    pub fn traces(&self) -> impl DoubleEndedIterator<Item = &Trace> {
        self.rows.traces.iter()
    }

    /// Returns what the runs of one automation did, oldest first.
    pub fn traces_of(&self, automation: &str) -> impl DoubleEndedIterator<Item = &Trace> {
        self.rows.traces.of(automation)
    }

    /// Returns the last time that an automation's trigger fired and no run began.
    pub fn miss(&self, automation: &str) -> Option<&Miss> {
        self.rows.traces.miss(automation)
    }

    /// Returns the nodes that the log knows.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, Node)> {
        self.rows.nodes.iter().map(|(node_id, node)| (*node_id, *node))
    }

    /// Returns the last input that was taken from `node`: all its earlier ones were, too.
    pub fn last_origin(&self, node: NodeId) -> Option<Origin> {
        self.rows.seen.last(node)
    }

    /// Returns the node that proposes the messages of `topic` where all nodes hear them.
    pub fn owner(&self, topic: &str) -> Option<NodeId> {
        nodes::owner(&self.rows.nodes, topic)
    }

    /// Whether `node`'s broker delivered this message lately under this packet id, and it counted.
    pub fn was_delivered(&self, node: NodeId, packet_id: u16, topic: &str, payload: &[u8]) -> bool {
        self.rows.deliveries.contains(node, packet_id, topic, payload)
    }

    /// Whether the last message of a topic had this payload: the last one that `node` brought, or
    /// any node.
    pub fn was_last(&self, node: Option<NodeId>, topic: &str, payload: &[u8]) -> bool {
        self.rows.deliveries.is_last(node, topic, payload)
    }

    /// Returns the node that brought the last message of a topic.
    pub fn brought_last(&self, topic: &str) -> Option<NodeId> {
        self.rows.deliveries.last_node(topic)
    }

    /// Returns the home's clock and sun, once a leader has computed them.
    pub fn calendar(&self) -> Option<&Calendar> {
        self.rows.calendar.as_deref()
    }

    /// Returns what the files say about the home's place.
    pub fn declared_place(&self) -> &DeclaredPlace {
        &self.home.place
    }

    /// Returns the node that last began to lead.
    pub fn leader(&self) -> Option<NodeId> {
        self.rows.leader
    }

    /// Returns the home's files in force.
    pub fn sources(&self) -> &[SourceFile] {
        &self.rows.sources
    }

    /// Returns what has to be hidden in whatever is shown of this home.
    pub fn confidential(&self) -> &Confidential {
        &self.home.confidential
    }

    /// Returns what is wrong with them.
    pub fn problems(&self) -> &[Problem] {
        &self.home.problems
    }

    /// Returns the ids of the automations that run.
    pub fn automations(&self) -> impl Iterator<Item = &str> {
        self.home
            .automations
            .iter()
            .filter(|automation| !automation.is_script)
            .map(|automation| automation.id.as_str())
    }

    /// Returns the topic filters that entities and automations need, none covered by another.
    pub fn topic_filters(&self) -> Cow<'_, BTreeSet<String>> {
        let mut filters = Cow::Borrowed(self.entities.topic_filters().minimal());
        for rendered in self.listening.rendered_filters() {
            if !filters.iter().any(|filter| topic::covers(filter, rendered)) {
                let filters = filters.to_mut();
                filters.retain(|filter| !topic::covers(rendered, filter));
                filters.insert(rendered.to_owned());
            }
        }
        filters
    }

    /// Returns what MQTT clients were promised.
    pub fn broker(&self) -> &Broker {
        &self.rows.broker
    }

    /// Takes what the inputs since the last call mean for connections, in their order.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        self.rows.broker.take_outputs()
    }

    /// Sets how the candidates of a topic or an entity are cached. It changes speed only.
    pub fn set_cache(&mut self, policy: Policy, capacity: usize) {
        self.routes = RouteCache::new(policy, capacity);
    }

    /// Returns how that cache did.
    pub fn cache_counters(&self) -> Counters {
        self.routes.counters()
    }

    /// A state of these rows; the rest follows from them.
    pub(crate) fn from_rows(mut rows: Rows) -> State {
        rows.broker.restore();
        let (home, mut entities) = Home::compile(&rows.sources);
        rows.announcements.restore(&mut entities);
        let (home, entities) = (Arc::new(home), Arc::new(entities));
        let mut state = State { rows, home, entities, ..State::default() };
        for run in state.rows.runs.iter() {
            let automation = state.home.automation(&run.automation);
            let triggers = automation.and_then(|automation| run.awaited_triggers(automation));
            for trigger in triggers.into_iter().flatten().filter(|trigger| trigger.is_enabled) {
                state.listening.add((run.run_id, trigger.place), trigger, &run.variables);
            }
        }
        state
    }
}

impl Rows {
    /// The calendar that counts: UTC until there is one.
    pub(crate) fn calendar(&self) -> &Calendar {
        self.calendar.as_deref().unwrap_or(Calendar::utc())
    }

    /// Returns an id that no entry ever used.
    pub(crate) fn mint(&mut self) -> Id {
        let id = Id { index: self.index, n: self.minted };
        self.minted = self.minted.saturating_add(1);
        id
    }
}
