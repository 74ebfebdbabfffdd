//! One input being worked off: the rows it may change, the effects so far, and what automations
//! have still to look at.
//!
//! Changes are looked at first in, first out: all values of a message change before any trigger
//! sees one of them, and what actions bring about (optimistic states) waits behind what is there
//! already. For each happening triggers are asked in file order, then in their order inside the
//! automation, so that every replica does the same in the same order.

use crate::condition::Scene;
use crate::event::Event;
use crate::home::Home;
use crate::listener::Listening;
use crate::order::{Deferred, Heard, Look};
use crate::route_cache::RouteCache;
use crate::service::Aside;
use crate::state::Rows;
use crate::text::shorten;
use crate::trace::Notes;
use crate::trigger::Change;
use crate::trigger::node::NodeEvent;
use crate::world::HomeView;
use crate::{Effect, Message, NodeId, RunId};
use gable_devices::{Context, Entities, Timestamp, World};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many actions one input may lead to, over all runs, before the rest is given up: far beyond
/// any home's need, and near enough to keep one input from stopping the log.
pub const ACTIONS_PER_INPUT_MAX: u32 = 10_000;

/// How long a chain of automations may be in which each is triggered by what the one before has
/// done, before the rest is given up.
pub const CHAIN_MAX: u32 = 32;

/// One input being worked off.
pub(crate) struct Work<'s> {
    pub(crate) rows: &'s mut Rows,
    pub(crate) home: &'s Arc<Home>,
    /// What the entities are; how they are is in the rows.
    pub(crate) declared: &'s Arc<Entities>,
    pub(crate) routes: &'s mut RouteCache,
    pub(crate) listening: &'s mut Listening,
    pub(crate) effects: Vec<Effect>,
    /// Bounded by the actions that may bring them about, and by [`CHAIN_MAX`].
    happenings: VecDeque<(u32, Happening<'s>)>,
    /// The runs that may move, in their order. Bounded by the number of runs.
    pub(crate) ready: VecDeque<RunId>,
    /// The call for which the run that moves is to be put aside.
    pub(crate) aside: Option<Aside>,
    /// When the input was heard; counts what it brings about.
    heard: Heard,
    pub(crate) look: Look,
    /// How far down the chain the happening is that is being looked at.
    depth: u32,
    actions_left: u32,
    /// Whether the input may be the echo of what the home did.
    pub(crate) has_echo: bool,
    /// How many views of the home templates got, so that each draws other random numbers.
    renderings: u64,
    has_warned_of_chain: bool,
    pub(crate) has_warned_of_outbox: bool,
    pub(crate) notes: Notes,
}

/// Something that triggers look at.
pub(crate) enum Happening<'s> {
    Message(&'s Message),
    Change(Change),
    Event(Event),
    /// The home starts.
    Start,
    Node(NodeId, NodeEvent),
    /// What was held back and is handed over now.
    Deferred(Look, Deferred),
}

impl<'s> Work<'s> {
    pub(crate) fn new(
        rows: &'s mut Rows,
        home: &'s Arc<Home>,
        declared: &'s Arc<Entities>,
        routes: &'s mut RouteCache,
        listening: &'s mut Listening,
    ) -> Work<'s> {
        // Several inputs of one entry draw other numbers, too.
        let rows_minted = rows.minted;
        Work {
            rows,
            home,
            declared,
            routes,
            listening,
            effects: Vec::new(),
            happenings: VecDeque::new(),
            ready: VecDeque::new(),
            aside: None,
            heard: Heard::default(),
            look: Look::default(),
            depth: 0,
            actions_left: ACTIONS_PER_INPUT_MAX,
            has_echo: false,
            renderings: u64::from(rows_minted),
            has_warned_of_chain: false,
            has_warned_of_outbox: false,
            notes: Notes::default(),
        }
    }

    /// Lets automations look at all that has happened, and at what comes of that.
    pub(crate) fn settle(&mut self) {
        self.run_ready();
        while let Some((depth, happening)) = self.happenings.pop_front() {
            self.depth = depth;
            self.heard.n = self.heard.n.saturating_add(1);
            self.look = Look { heard: self.heard, ..Look::default() };
            match happening {
                Happening::Message(message) => self.on_message_triggers(message),
                Happening::Change(change) => self.on_change(&change),
                Happening::Event(event) => self.on_event(&event),
                Happening::Start => self.on_start(),
                Happening::Node(node, event) => self.on_node_event(node, event),
                Happening::Deferred(look, deferred) => {
                    self.look = look;
                    match deferred {
                        Deferred::Message(message) => self.on_message_triggers(&message),
                        Deferred::Change(change) => self.on_change(&change),
                        Deferred::Event(event) => self.on_event(&event),
                    }
                }
            }
        }
    }

    /// Says when the input was heard that is being worked off.
    pub(crate) fn set_heard(&mut self, heard: Heard) {
        self.heard = heard;
        self.look = Look { heard, ..Look::default() };
    }

    /// Lets triggers look at something that was held back from them.
    pub(crate) fn look_again(&mut self, happening: Happening<'s>) {
        self.happenings.push_back((self.depth, happening));
    }

    /// Adds something for triggers to look at.
    pub(crate) fn happen(&mut self, happening: Happening<'s>) {
        if self.depth < CHAIN_MAX {
            self.happenings.push_back((self.depth + 1, happening));
        } else if !self.has_warned_of_chain {
            self.has_warned_of_chain = true;
            let subject = match &happening {
                Happening::Message(message) => message.topic.clone(),
                Happening::Change(change) => change.entity_id.to_string(),
                Happening::Event(event) => event.event_type.clone(),
                Happening::Start => "start".to_owned(),
                Happening::Node(node, _) => format!("node {node}"),
                Happening::Deferred(..) => "what was held back".to_owned(),
            };
            let text =
                format!("automations triggered each other {CHAIN_MAX} times in a row; the chain ends here");
            self.notice(subject, text.as_str());
            self.quarantine_chain(&text);
        }
    }

    /// Whether what is being looked at comes of the home's own doing, as far as can be told.
    pub(crate) fn is_echo(&self) -> bool {
        self.has_echo || self.depth > 1
    }

    /// Uses up one of the actions that this input may lead to.
    pub(crate) fn take_action(&mut self) -> Result<(), String> {
        match self.actions_left.checked_sub(1) {
            Some(left) => {
                self.actions_left = left;
                Ok(())
            }
            None => Err(format!("one input led to more than {ACTIONS_PER_INPUT_MAX} actions")),
        }
    }

    /// The home as conditions and templates see it now.
    pub(crate) fn scene<'a>(&'a self, context: &'a Context) -> Scene<'a> {
        let record = self.notes.is_recording.then_some(&self.notes.record);
        Scene { rows: self.rows, home: self.home, declared: self.declared, context, record }
    }

    /// What templates see. It has to be dropped before entities change, or they are copied.
    pub(crate) fn world(&mut self) -> Arc<dyn World> {
        self.renderings = self.renderings.wrapping_add(1);
        Arc::new(HomeView::of(self.rows, self.home, self.declared, self.renderings))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.rows.now
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.trace_effect(&effect);
        self.effects.push(effect);
    }

    /// Tells people something.
    pub(crate) fn notice(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        self.effect(Effect::Notice { subject: shorten(subject.into()), text: shorten(text.into()) });
    }
}
