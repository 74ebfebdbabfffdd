//! A motor that opens and closes a door, in the plain words of Home Assistant's cover. It feels when
//! someone moves the door by hand: it listens to the contact (`door.rs`) on the same leaf.

use super::{Body, Model, NEVER, message, title};
use crate::{Millis, Publish, Timestamp};

/// How long the whole way takes.
const TRAVEL: u64 = 2000;
/// How often it tells its position on the way.
const TICK: u64 = 500;

#[derive(Debug)]
pub(super) struct Closer {
    name: String,
    state: State,
    /// 0 is closed, 100 is open.
    position: u64,
    next_tick: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    Opening,
    Closed,
    Closing,
}

pub(super) fn base(name: &str) -> String {
    format!("home/{name}/closer")
}

pub(super) fn state_topic(name: &str) -> String {
    format!("{}/state", base(name))
}

impl Closer {
    pub(super) fn new(name: &str) -> Closer {
        Closer { name: name.to_owned(), state: State::Closed, position: 0, next_tick: NEVER }
    }

    fn go(&mut self, now: Timestamp, state: State, body: &mut Body) {
        let is_there = match state {
            State::Opening | State::Open => self.position == 100,
            State::Closing | State::Closed => self.position == 0,
        };
        if is_there {
            self.rest(now, body);
        } else if self.state != state {
            self.state = state;
            self.next_tick = now.after(Millis(TICK));
            // The motor takes a moment to start.
            body.say_within(now, 20, 80, self.states());
        }
    }

    fn rest(&mut self, now: Timestamp, body: &mut Body) {
        self.state = if self.position == 0 { State::Closed } else { State::Open };
        self.next_tick = NEVER;
        body.say(now, self.states());
    }

    fn is_moving(&self) -> bool {
        matches!(self.state, State::Opening | State::Closing)
    }
}

impl Model for Closer {
    fn declaration(&self, availability: &str) -> String {
        let (name, title, base) = (&self.name, title(&self.name), base(&self.name));
        format!(
            "- cover:\n    name: {title}\n    unique_id: sim_{name}_closer\n    default_entity_id: cover.{name}\n    \
             command_topic: {base}/set\n    state_topic: {base}/state\n    position_topic: {base}/position\n    \
             device_class: door\n    qos: 1\n{availability}"
        )
    }

    fn subscriptions(&self) -> Vec<String> {
        vec![format!("{}/set", base(&self.name)), format!("zigbee2mqtt/{}", self.name)]
    }

    fn states(&self) -> Vec<Publish> {
        let word = match self.state {
            State::Open => "open",
            State::Opening => "opening",
            State::Closed => "closed",
            State::Closing => "closing",
        };
        let position = message(&format!("{}/position", base(&self.name)), &self.position.to_string());
        let state = message(&state_topic(&self.name), word);
        [position, state].map(|publish| Publish { retain: true, ..publish }).into()
    }

    fn start(&mut self, _: Timestamp, _: &mut Body) {}

    fn next_act(&self) -> Timestamp {
        self.next_tick
    }

    fn act(&mut self, now: Timestamp, body: &mut Body) {
        let way = 100 * TICK / TRAVEL;
        self.position = match self.state {
            State::Opening | State::Open => (self.position + way).min(100),
            State::Closing | State::Closed => self.position.saturating_sub(way),
        };
        self.next_tick = now.after(Millis(TICK));
        if self.position == 0 || self.position == 100 {
            self.rest(now, body);
        } else {
            body.say(now, self.states());
        }
    }

    fn receive(&mut self, now: Timestamp, topic: &str, payload: &str, body: &mut Body) {
        if topic.starts_with("zigbee2mqtt/") {
            let by_hand = match payload {
                _ if self.is_moving() => None,
                payload if payload.contains(r#""contact":true"#) => Some(0),
                payload if payload.contains(r#""contact":false"#) => Some(100),
                _ => None,
            };
            if let Some(position) = by_hand.filter(|position| (*position == 0) != (self.position == 0)) {
                self.position = position;
                self.rest(now, body);
            }
            return;
        }
        match payload {
            "OPEN" => self.go(now, State::Opening, body),
            "CLOSE" => self.go(now, State::Closing, body),
            "STOP" => self.rest(now, body),
            _ => {}
        }
    }

    /// Someone pushes the door open.
    fn trigger(&mut self, now: Timestamp, body: &mut Body) {
        self.position = 100;
        self.rest(now, body);
    }
}
