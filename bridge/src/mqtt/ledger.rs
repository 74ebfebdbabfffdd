//! Which messages are heard, settled and acknowledged.
//!
//! The broker forgets a message once it is acknowledged, so the acknowledgement waits until the
//! message is in the log and applied here. Acknowledgements go out in the order of delivery, as
//! MQTT 3.1.1 asks (section 4.6); rumqttd throws a client out that does otherwise.

use super::fingerprint::Fingerprint;
use rumqttc::Publish;
use std::collections::{BTreeMap, VecDeque};

/// The messages between delivery and acknowledgement.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// In the order of delivery. `first` numbers the front.
    entries: VecDeque<Entry>,
    first: u64,
    /// From token to number.
    numbers: BTreeMap<u64, u64>,
    /// What the broker may deliver once more. What was committed before that is not here: the state
    /// remembers it, also for a process that has started anew.
    earlier: VecDeque<Earlier>,
    last_token: u64,
}

/// One message of the present connection.
#[derive(Debug)]
struct Entry {
    token: u64,
    publish: Publish,
    fingerprint: Fingerprint,
    is_settled: bool,
}

/// A message of an earlier connection that was not acknowledged in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Earlier {
    packet_id: u16,
    fingerprint: Fingerprint,
    token: u64,
    is_settled: bool,
}

/// What the ledger knows about a message that was just delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Not seen by this process; to be settled under this token.
    New(u64),
    /// Delivered once more; its proposal is under way or done.
    Again,
}

impl Ledger {
    /// Takes a delivered message.
    pub(super) fn add(&mut self, publish: Publish, fingerprint: Fingerprint) -> Delivery {
        let earlier = self.find_earlier(&publish, fingerprint);
        let (token, is_settled, delivery) = match earlier {
            Some(Earlier { token, is_settled, .. }) => (token, is_settled, Delivery::Again),
            None => {
                self.last_token += 1;
                (self.last_token, false, Delivery::New(self.last_token))
            }
        };
        if !is_settled {
            self.numbers.insert(token, self.first + self.entries.len() as u64);
        }
        self.entries.push_back(Entry { token, publish, fingerprint, is_settled });
        delivery
    }

    /// Notes that nothing more has to happen for a message.
    pub(super) fn settle(&mut self, token: u64) {
        if let Some(number) = self.numbers.remove(&token) {
            let entry = number.checked_sub(self.first).and_then(|at| self.entries.get_mut(at as usize));
            if let Some(entry) = entry {
                entry.is_settled = true;
            }
        } else if let Some(earlier) = self.earlier.iter_mut().find(|earlier| earlier.token == token) {
            earlier.is_settled = true;
        }
    }

    /// Returns the message that was delivered under `token` and is not settled.
    pub(super) fn open(&self, token: u64) -> Option<&Publish> {
        let at = self.numbers.get(&token)?.checked_sub(self.first)?;
        self.entries.get(at as usize).map(|entry| &entry.publish)
    }

    /// Takes the next message whose turn it is to be acknowledged.
    pub(super) fn next_settled(&mut self) -> Option<Publish> {
        if !self.entries.front()?.is_settled {
            return None;
        }
        self.first += 1;
        self.entries.pop_front().map(|entry| entry.publish)
    }

    /// How many messages are not acknowledged yet.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes the end of the connection: the broker will deliver anew what it heard no
    /// acknowledgement for. `is_proposed` tells which unsettled messages go on without it.
    pub(super) fn disconnected(&mut self, is_proposed: impl Fn(u64) -> bool) {
        // What an earlier connection left, and this one did not deliver again, is still possible.
        self.earlier.retain(|earlier| !earlier.is_settled);
        for Entry { token, publish, fingerprint, is_settled } in self.entries.drain(..) {
            if publish.pkid != 0 && (is_settled || is_proposed(token)) {
                self.earlier.push_back(Earlier { packet_id: publish.pkid, fingerprint, token, is_settled });
            }
        }
        self.numbers.clear();
    }

    /// Notes that the broker has forgotten this client: it will deliver nothing again.
    pub(super) fn session_lost(&mut self) {
        self.earlier.clear();
    }

    /// Finds what a redelivered message was. Its packet id stays the same (MQTT 3.1.1, section
    /// 4.4); the content guards against an id that came round.
    fn find_earlier(&mut self, publish: &Publish, fingerprint: Fingerprint) -> Option<Earlier> {
        if !publish.dup {
            return None;
        }
        let is_same =
            |earlier: &Earlier| earlier.packet_id == publish.pkid && earlier.fingerprint == fingerprint;
        let position = self.earlier.iter().rposition(is_same)?;
        self.earlier.remove(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::QoS;

    fn publish(packet_id: u16, payload: &str, dup: bool) -> (Publish, Fingerprint) {
        let mut publish = Publish::new("t", QoS::AtLeastOnce, payload);
        (publish.pkid, publish.dup) = (packet_id, dup);
        (publish, Fingerprint::of("t", payload.as_bytes()))
    }

    /// Plays `script`, one step a line, and compares the answers: `add ID PAYLOAD`, `again ID
    /// PAYLOAD`, `settle TOKEN`, `lost` (every open message is proposed), `new session`.
    #[track_caller]
    fn check(script: &str, expected: &[&str]) {
        let mut ledger = Ledger::default();
        let mut answers = Vec::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["add" | "again", packet_id, payload] => {
                    let (publish, fingerprint) =
                        publish(packet_id.parse().unwrap(), payload, words[0] == "again");
                    answers.push(format!("{:?}", ledger.add(publish, fingerprint)));
                }
                ["settle", token] => ledger.settle(token.parse().unwrap()),
                ["lost"] => ledger.disconnected(|_| true),
                ["new", "session"] => ledger.session_lost(),
                _ => panic!("{line}"),
            }
            while let Some(publish) = ledger.next_settled() {
                answers.push(format!("ack {}", publish.pkid));
            }
        }
        assert_eq!(answers, expected, "{script}");
    }

    #[test]
    fn acknowledgements_keep_the_order_of_delivery() {
        check(
            "add 1 a\nadd 2 b\nadd 3 c\nsettle 2\nsettle 3\nsettle 1\nadd 4 d\nsettle 4",
            &["New(1)", "New(2)", "New(3)", "ack 1", "ack 2", "ack 3", "New(4)", "ack 4"],
        );
    }

    #[test]
    fn a_redelivered_message_is_not_proposed_twice() {
        // Its proposal goes on over the reconnect, and then acknowledges the second delivery.
        check("add 1 a\nlost\nagain 1 a\nsettle 1", &["New(1)", "Again", "ack 1"]);
        // Its proposal ended in between.
        check("add 1 a\nlost\nsettle 1\nagain 1 a", &["New(1)", "Again", "ack 1"]);
        // It was settled, but it was not yet its turn to be acknowledged.
        check(
            "add 1 a\nadd 2 b\nsettle 2\nlost\nagain 1 a\nagain 2 b\nsettle 1",
            &["New(1)", "New(2)", "Again", "Again", "ack 1", "ack 2"],
        );
        // Twice in a row.
        check(
            "add 1 a\nlost\nlost\nagain 1 a\nlost\nagain 1 a\nsettle 1",
            &["New(1)", "Again", "Again", "ack 1"],
        );
    }

    #[test]
    fn an_equal_message_that_is_not_redelivered_is_new() {
        check("add 1 a\nlost\nadd 1 a", &["New(1)", "New(2)"]);
        check("add 1 a\nlost\nagain 2 a", &["New(1)", "New(2)"]);
        check("add 1 a\nlost\nagain 1 b", &["New(1)", "New(2)"]);
        check("add 1 a\nlost\nnew session\nagain 1 a", &["New(1)", "New(2)"]);
        check("add 1 a\nlost\nsettle 1\nagain 1 a\nagain 1 a", &["New(1)", "Again", "ack 1", "New(2)"]);
    }

    #[test]
    fn a_message_that_was_only_held_is_taken_anew() {
        let mut ledger = Ledger::default();
        let (first, fingerprint) = publish(1, "a", false);
        assert_eq!(ledger.add(first, fingerprint), Delivery::New(1));
        ledger.disconnected(|_| false);
        let (second, fingerprint) = publish(1, "a", true);
        assert_eq!(ledger.add(second, fingerprint), Delivery::New(2));
        assert_eq!(ledger.open(2).map(|publish| publish.pkid), Some(1));
        assert_eq!(ledger.len(), 1);
    }
}
