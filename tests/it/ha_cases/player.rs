//! One case in the core: simulated time, what is heard, and what is published.

use super::{Case, Published};
use gable_devices::Timestamp;
use gable_rules::{Calendar, Effect, Input, InputKind, LogIndex, Message, NodeId, Origin, SourceFile, State};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Where commands go. What an automation publishes elsewhere comes back as heard.
const OUTSIDE: &str = "cmd/";

/// The core in simulated time: timers are reported due in the order of their deadlines.
pub(super) struct Player {
    state: State,
    now: i64,
    index: u64,
    pub(super) published: BTreeMap<String, Vec<Published>>,
    /// Published on a topic that is subscribed: the broker gives it back.
    returning: VecDeque<Message>,
}

/// Far enough from zero that nothing happens before time.
const START: i64 = 1_700_000_000_000;

impl Player {
    /// Lets the home start and hear what the broker kept, and then lets it run its automations.
    pub(super) fn start(case: &Case, devices: Vec<SourceFile>, all: Vec<SourceFile>) -> Player {
        let mut player = Player {
            state: State::new(),
            now: 0,
            index: 0,
            published: BTreeMap::new(),
            returning: VecDeque::new(),
        };
        player.apply(InputKind::Calendar(Calendar {
            until: Timestamp(START + 86_400_000),
            ..Calendar::default()
        }));
        if !case.attaches_at_start {
            player.apply(InputKind::Configure(devices));
            case.announcements.iter().for_each(|message| player.hear(message));
            case.retained.iter().for_each(|message| player.hear(message));
        }
        player.apply(InputKind::Configure(all));
        if case.attaches_at_start {
            case.announcements.iter().for_each(|message| player.hear(message));
        }
        // The broker gives what it kept to the subscriptions that automations add.
        case.retained.iter().for_each(|message| player.hear(message));
        player
    }

    pub(super) fn advance_to(&mut self, now: i64) {
        // What is heard in the same millisecond was heard before: the recorded timers began a little late.
        while let Some((deadline, timer_id)) = self.state.next_deadline().filter(|(at, _)| at.0 < START + now)
        {
            self.now = self.now.max(deadline.0 - START);
            self.input(InputKind::TimerDue(timer_id));
        }
        self.now = now;
    }

    pub(super) fn advance_by(&mut self, millis: i64) {
        self.advance_to(self.now + millis);
    }

    pub(super) fn hear(&mut self, line: &Value) {
        let payload = match &line["payload"] {
            Value::String(text) => text.clone().into_bytes(),
            json => json.to_string().into_bytes(),
        };
        let topic = line["topic"].as_str().unwrap().to_owned();
        self.input(InputKind::Message(Message { topic, payload, ..Message::default() }));
    }

    /// Applies an input and everything that the broker gives back because of it.
    fn input(&mut self, kind: InputKind) {
        self.apply(kind);
        // An automation that answers itself would go on for ever.
        for _ in 0..100 {
            let Some(message) = self.returning.pop_front() else { return };
            self.apply(InputKind::Message(message));
        }
        panic!("messages keep coming back: {:?}", self.returning);
    }

    fn apply(&mut self, kind: InputKind) {
        self.index += 1;
        let origin = Origin { node: NodeId(1), boot: 1, sequence: self.index };
        let input = Input { at: Timestamp(START + self.now), origin, heard: Default::default(), kind };
        let effects = self.state.apply(LogIndex(self.index), &input);
        for effect in effects {
            match effect {
                Effect::CommandQueued { command_id, publish, .. } => {
                    if publish.topic.starts_with(OUTSIDE) {
                        let published = Published {
                            at: Some(self.now),
                            payload: String::from_utf8_lossy(&publish.payload).into_owned(),
                            qos: publish.qos as u64,
                            retain: publish.retain,
                        };
                        self.published.entry(publish.topic).or_default().push(published);
                    } else {
                        let (topic, payload) = (publish.topic, publish.payload);
                        self.returning.push_back(Message { topic, payload, ..Message::default() });
                    }
                    self.apply(InputKind::CommandSent(command_id));
                }
                Effect::Refused(refusal) => {
                    // A command may be superseded by a later one of the same entry.
                    assert!(matches!(input.kind, InputKind::CommandSent(_)), "{input:?} {refusal:?}");
                }
                _ => {}
            }
        }
    }
}
