//! The one way into the state: an input in, its effects out.

use crate::nodes::Node;
use crate::seen::Taken;
use crate::{Effect, Input, InputKind, LogIndex, Message, NodeId, Refusal, State};

impl State {
    /// Applies one committed input and returns what follows from it.
    ///
    /// Every replica runs this, perhaps a day late, and all must end with the same bytes: so it
    /// reads no clock, draws no random number and does no I/O. Several inputs may come with one
    /// `index`, in their order in the entry.
    pub fn apply(&mut self, index: LogIndex, input: &Input) -> Vec<Effect> {
        let rows = self.rows_mut();
        if index > rows.index {
            (rows.index, rows.minted) = (index, 0);
        }
        // A new leader's clock may lag; time must not.
        rows.now = rows.now.max(input.at);
        let node = input.origin.node;
        match rows.seen.take(input.origin) {
            Err(refusal) => return vec![Effect::Refused(refusal)],
            Ok(Taken::Next) => {}
            // A node that started again has no link until it says so.
            Ok(Taken::FirstOfBoot) => {
                rows.nodes.entry(node).and_modify(|node| node.link = false);
            }
        }
        match &input.kind {
            InputKind::Message(message) => self.on_message(node, message),
            InputKind::TimerDue(timer_id) => match self.rows().timers.get(*timer_id) {
                Some(timer) if timer.deadline <= self.now() => {
                    let deadline = timer.deadline;
                    self.rows_mut().timers.remove(*timer_id);
                    vec![Effect::TimerFired { timer_id: *timer_id, deadline }]
                }
                _ => vec![Effect::Refused(Refusal::Stale)],
            },
            InputKind::CommandSent(_) => vec![Effect::Refused(Refusal::Stale)],
            InputKind::Configure(sources) => {
                self.rows_mut().sources = sources.clone().into();
                vec![Effect::Configured { entities: 0, automations: 0, broken: 0 }]
            }
            InputKind::Link { up } => {
                self.rows_mut().nodes.entry(node).or_insert(Node { up: true, link: *up }).link = *up;
                Vec::new()
            }
            InputKind::NodeSeen { node, up } => {
                self.rows_mut().nodes.entry(*node).or_insert(Node { up: *up, link: false }).up = *up;
                Vec::new()
            }
        }
    }

    fn on_message(&mut self, node: NodeId, message: &Message) -> Vec<Effect> {
        let (now, owner) = (self.now(), self.owner(&message.topic));
        if !self.rows_mut().window.is_news(now, node, owner, message) {
            return vec![Effect::Refused(Refusal::AlreadyHeard)];
        }
        Vec::new()
    }
}
