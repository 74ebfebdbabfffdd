//! The one way into the state: an input in, its effects out.

use crate::discovery;
use crate::home::Home;
use crate::nodes::Node;
use crate::order::Heard;
use crate::seen::Taken;
use crate::trigger::node::NodeEvent;
use crate::work::{Happening, Work};
use crate::{
    Calendar, Effect, Input, InputKind, LogIndex, Message, NodeId, Origin, Refusal, SourceFile, State, nodes,
};
use gable_devices::{Entities, EntityId, Report, topic};
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
        let effects = match &input.kind {
            InputKind::Message(message) => self.apply_message(input, taken, message),
            InputKind::Configure(sources) => {
                let ((home, entities), farewell) = self.replace_home(sources);
                let mut work = self.work(input, farewell);
                work.on_origin(input.origin, taken);
                work.on_configured(&home, &entities);
                work.finish()
            }
            _ => {
                let mut work = self.work(input, Vec::new());
                work.on_origin(input.origin, taken);
                work.on_report(input);
                work.finish()
            }
        };
        self.hear_published(input, effects)
    }

    /// A message that a node heard at a broker, or was given.
    fn apply_message(&mut self, input: &Input, taken: Taken, message: &Message) -> Vec<Effect> {
        let node = input.origin.node;
        let mut work = self.work(input, Vec::new());
        work.on_origin(input.origin, taken);
        let mut effects = work.finish();
        if let Err(refusal) = self.hear(node, message) {
            effects.push(Effect::Refused(refusal));
            return effects;
        }
        if self.rows.broker.is_serving() {
            let mut work = self.work(input, effects);
            work.publish(Arc::new(message.to_publication()), None, node);
            return work.finish();
        }
        self.apply_heard(input, node, message, effects)
    }

    /// Lets the home hear what was published to the clients of its nodes, and what comes of that.
    fn hear_published(&mut self, input: &Input, mut effects: Vec<Effect>) -> Vec<Effect> {
        while let Some((node, message)) = self.rows.broker.next_unheard() {
            effects = self.apply_heard(input, node, &message, effects);
        }
        effects
    }

    /// Messages change which entities there are, before they are looked at.
    fn apply_heard(
        &mut self,
        input: &Input,
        node: NodeId,
        message: &Message,
        effects: Vec<Effect>,
    ) -> Vec<Effect> {
        let announced = discovery::take(&mut self.rows, &mut self.entities, message);
        let mut work = self.work(input, effects);
        work.on_announced(&message.topic, announced);
        work.on_message(node, message);
        work.finish()
    }

    fn work<'s>(&'s mut self, input: &Input, effects: Vec<Effect>) -> Work<'s> {
        let mut work =
            Work::new(&mut self.rows, &self.home, &self.entities, &mut self.routes, &mut self.listening);
        work.effects = effects;
        work.set_heard(Heard::of(input));
        work
    }

    /// Takes new files into force; returns what was in force, and how that took its leave.
    fn replace_home(&mut self, sources: &[SourceFile]) -> (Former, Vec<Effect>) {
        let (home, mut entities) = Home::compile(sources);
        let mut work =
            Work::new(&mut self.rows, &self.home, &self.entities, &mut self.routes, &mut self.listening);
        work.leave_home(&home);
        let farewell = work.effects;
        self.rows.sources = sources.into();
        self.routes.clear();
        self.rows.announcements.hand_over(&self.entities, &mut entities);
        let home = std::mem::replace(&mut self.home, Arc::new(home));
        let entities = std::mem::replace(&mut self.entities, Arc::new(entities));
        ((home, entities), farewell)
    }

    /// Notes that a message was heard, or says why it does not count.
    fn hear(&mut self, node: NodeId, message: &Message) -> Result<(), Refusal> {
        topic::check_topic(&message.topic)
            .map_err(|why| Refusal::Invalid(format!("the topic is none: {why}")))?;
        let rows = &mut self.rows;
        let owner = nodes::owner(&rows.nodes, &message.topic);
        if !rows.window.is_news(rows.now, node, owner, message) {
            return Err(Refusal::AlreadyHeard);
        }
        rows.deliveries.note(rows.index, node, message);
        Ok(())
    }
}

/// The home and the entities that were in force before.
type Former = (Arc<Home>, Arc<Entities>);

impl<'s> Work<'s> {
    /// Does what is on its list, and hands out the effects.
    fn finish(mut self) -> Vec<Effect> {
        self.settle();
        self.effects
    }

    /// A node that speaks may have started again, and with it the home.
    fn on_origin(&mut self, origin: Origin, taken: Taken) {
        if taken == Taken::FirstOfBoot {
            self.on_boot(origin.node);
        }
        if self.rows.lives.speak(origin.node, origin.boot) {
            self.on_home_start();
        }
    }

    /// What nodes tell of themselves, of each other and of what they did for the home.
    fn on_report(&mut self, input: &Input) {
        let node = input.origin.node;
        match &input.kind {
            InputKind::TimerDue(timer_id) => self.on_timer_due(*timer_id),
            InputKind::CommandSent(command_id) => self.on_command_sent(*command_id),
            InputKind::Link { up } => self.on_node(node, |node| node.link = *up),
            InputKind::NodeSeen { node, up } => self.on_node_seen(*node, *up),
            InputKind::Calendar(calendar) => self.on_calendar(calendar),
            InputKind::ErrandDone { errand_id, attempt, outcome } => {
                self.on_errand_done(*errand_id, *attempt, outcome);
            }
            InputKind::Leading => self.on_leading(node),
            InputKind::Release { automation } => self.on_release(automation),
            InputKind::Serve(limits) => self.on_serve(node, limits.as_ref()),
            InputKind::Client(client) => self.on_client(input, client),
            InputKind::Access(change) => self.on_access(change),
            // These come by other ways.
            InputKind::Message(_) | InputKind::Configure(_) => {}
        }
    }

    fn on_message(&mut self, node: NodeId, message: &'s Message) {
        let now = self.rows.now;
        self.has_echo = self.rows.echoes.are_due(now, &message.topic);
        self.happen(Happening::Message(message));
        let world = self.world();
        let entities = &self.rows.entities;
        let current = |entity_id: &_| entities.get(entity_id).and_then(|entity| entity.known_value());
        let decoded = self.declared.decode_in(Some(world), &message.topic, &message.payload, current);
        // What a message says about one entity stands together, and is one change.
        let mut reports: Vec<(EntityId, Vec<Report>)> = Vec::new();
        for decoded in decoded {
            match (decoded, reports.last_mut()) {
                (Ok(event), Some((entity_id, reports))) if *entity_id == event.entity_id => {
                    reports.push(event.report);
                }
                (Ok(event), _) => reports.push((event.entity_id, vec![event.report])),
                (Err(error), _) => self.notice(message.topic.as_str(), error.to_string()),
            }
        }
        for (entity_id, reports) in reports {
            self.has_echo |= self.rows.echoes.are_due(now, entity_id.as_str());
            self.notes.topic = Some(message.topic.clone());
            self.report(&entity_id, reports, Some(node));
            self.notes.topic = None;
        }
    }

    /// A node that started again has no link until it says so.
    fn on_boot(&mut self, node: NodeId) {
        if self.rows.nodes.contains_key(&node) {
            self.on_node(node, |node| node.link = false);
        }
        self.await_clients_of(node);
    }

    fn on_node_seen(&mut self, node: NodeId, up: bool) {
        self.on_node(node, |node| node.up = up);
        self.await_clients_of(node);
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

    pub(crate) fn on_node(&mut self, node_id: NodeId, change: impl FnOnce(&mut Node)) {
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
pub(crate) mod tests;
