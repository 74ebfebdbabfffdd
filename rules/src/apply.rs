//! The one way into the state: an input in, its effects out.

use crate::home::Home;
use crate::nodes::Node;
use crate::order::Heard;
use crate::seen::Taken;
use crate::state::filters_of;
use crate::trigger::node::NodeEvent;
use crate::work::{Happening, Work};
use crate::{
    Calendar, Effect, Input, InputKind, LogIndex, Message, NodeId, Refusal, SourceFile, State, nodes,
};
use gable_devices::{Entities, topic};
use std::sync::Arc;

impl State {
    /// Applies one committed input and returns what follows from it.
    ///
    /// Every replica runs this, perhaps a day late, and all must end with the same bytes: so it
    /// reads no clock, draws no random number and does no I/O. Several inputs may come with one
    /// `index`, in their order in the entry.
    ///
    /// A refused input leaves the home alone; its number and its time count all the same.
    pub fn apply(&mut self, index: LogIndex, input: &Input) -> Vec<Effect> {
        let rows = &mut self.rows;
        if index > rows.index {
            (rows.index, rows.minted) = (index, 0);
        }
        // A new leader's clock may lag; time must not.
        rows.now = rows.now.max(input.at);
        let taken = match rows.seen.take(input.origin) {
            Err(refusal) => return vec![Effect::Refused(refusal)],
            Ok(taken) => taken,
        };
        let (former, farewell) = match &input.kind {
            InputKind::Configure(sources) => self.replace_home(sources),
            _ => Default::default(),
        };
        let mut work =
            Work::new(&mut self.rows, &self.home, &self.entities, &mut self.routes, &mut self.listening);
        work.effects = farewell;
        work.set_heard(Heard::of(input));
        let node = input.origin.node;
        if taken == Taken::FirstOfBoot {
            work.on_boot(node);
        }
        if work.rows.lives.speak(node, input.origin.boot) {
            work.on_home_start();
        }
        match &input.kind {
            InputKind::Message(message) => work.on_message(node, message),
            InputKind::TimerDue(timer_id) => work.on_timer_due(*timer_id),
            InputKind::CommandSent(command_id) => work.on_command_sent(*command_id),
            InputKind::Configure(_) => {
                let (home, entities) = &former;
                work.on_configured(home, entities);
            }
            InputKind::Link { up } => work.on_node(node, |node| node.link = *up),
            InputKind::NodeSeen { node, up } => work.on_node_seen(*node, *up),
            InputKind::Calendar(calendar) => work.on_calendar(calendar),
            InputKind::ErrandDone { errand_id, attempt, outcome } => {
                work.on_errand_done(*errand_id, *attempt, outcome);
            }
            InputKind::Leading => work.on_leading(node),
            InputKind::Release { automation } => work.on_release(automation),
        }
        work.settle();
        work.effects
    }

    /// Takes new files into force; returns what was in force, and how that took its leave.
    fn replace_home(&mut self, sources: &[SourceFile]) -> (Former, Vec<Effect>) {
        let (home, entities) = Home::compile(sources);
        let mut work =
            Work::new(&mut self.rows, &self.home, &self.entities, &mut self.routes, &mut self.listening);
        work.leave_home(&home);
        let farewell = work.effects;
        self.rows.sources = sources.into();
        self.routes.clear();
        self.filters = filters_of(&home, &entities);
        let home = std::mem::replace(&mut self.home, Arc::new(home));
        let entities = std::mem::replace(&mut self.entities, Arc::new(entities));
        ((home, entities), farewell)
    }
}

/// The home and the entities that were in force before.
type Former = (Arc<Home>, Arc<Entities>);

impl<'s> Work<'s> {
    fn on_message(&mut self, node: NodeId, message: &'s Message) {
        if let Err(why) = topic::check_topic(&message.topic) {
            return self.effect(Effect::Refused(Refusal::Invalid(format!("the topic is none: {why}"))));
        }
        let owner = nodes::owner(&self.rows.nodes, &message.topic);
        if !self.rows.window.is_news(self.rows.now, node, owner, message) {
            return self.effect(Effect::Refused(Refusal::AlreadyHeard));
        }
        self.rows.deliveries.note(self.rows.index, node, message);
        let now = self.rows.now;
        self.has_echo = self.rows.echoes.are_due(now, &message.topic);
        self.happen(Happening::Message(message));
        let entities = &self.rows.entities;
        let current = |entity_id: &_| entities.get(entity_id).and_then(|entity| entity.known_value());
        for decoded in self.declared.decode(&message.topic, &message.payload, current) {
            match decoded {
                Ok(event) => {
                    self.has_echo |= self.rows.echoes.are_due(now, event.entity_id.as_str());
                    self.notes.topic = Some(message.topic.clone());
                    self.report(&event.entity_id, event.report, Some(node));
                    self.notes.topic = None;
                }
                Err(error) => self.notice(message.topic.as_str(), error.to_string()),
            }
        }
    }

    /// A node that started again has no link until it says so.
    fn on_boot(&mut self, node: NodeId) {
        if self.rows.nodes.contains_key(&node) {
            self.on_node(node, |node| node.link = false);
        }
    }

    fn on_node_seen(&mut self, node: NodeId, up: bool) {
        self.on_node(node, |node| node.up = up);
        if !up && self.rows.lives.miss(node) {
            self.on_home_start();
        }
    }

    fn on_leading(&mut self, node: NodeId) {
        if self.rows.leader.replace(node) != Some(node) {
            self.effect(Effect::LeaderChanged { node });
            self.happen(Happening::Node(node, NodeEvent::Leader));
        }
    }

    /// Automations are told of a start when files are in force that hold some.
    fn on_home_start(&mut self) {
        self.rows.lives.is_untold = self.rows.sources.is_empty();
        if !self.rows.lives.is_untold {
            self.happen(Happening::Start);
        }
    }

    fn on_calendar(&mut self, calendar: &Calendar) {
        if let Some(fault) = calendar.fault() {
            return self.effect(Effect::Refused(Refusal::Invalid(format!("the calendar is none: {fault}"))));
        }
        self.rows.calendar = Some(Arc::new(calendar.clone()));
        self.follow_sun();
        self.schedule_all();
    }

    fn on_node(&mut self, node_id: NodeId, change: impl FnOnce(&mut Node)) {
        // A node that speaks for the first time is up: it just did.
        let before = self.rows.nodes.get(&node_id).copied();
        let mut node = before.unwrap_or(Node { up: true, link: false, since: self.rows.now });
        let was_ready = node.is_ready();
        change(&mut node);
        if node.is_ready() != was_ready {
            node.since = self.rows.now;
        }
        self.rows.nodes.insert(node_id, node);
        let was_up = before.is_some_and(|node| node.up);
        if node.up != was_up {
            let event = if node.up { NodeEvent::Joined } else { NodeEvent::Left };
            self.happen(Happening::Node(node_id, event));
        }
        if before.map(|node| (node.up, node.link)) != Some((node.up, node.link)) {
            self.effect(Effect::NodeChanged { node: node_id, up: node.up, link: node.link });
        }
    }
}

#[cfg(test)]
mod tests;
