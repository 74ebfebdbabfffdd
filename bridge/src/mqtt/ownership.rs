//! Who proposes a message where all nodes share one broker and each hears every message.
//!
//! The owner of the topic does (rendezvous hashing over the nodes that are up and linked). The
//! others hold the message, unacknowledged, until they see the owner's copy in the log. When the
//! owner falls silent first, whoever owns the topic then proposes what it holds, marked as a
//! takeover, so that the state can drop it should the old owner's proposal have made it after all.
//!
//! MQTT messages carry no identity, so a held message and an applied one are matched by topic and
//! payload, oldest first. Messages that were applied before this node heard them are remembered for
//! the same reason ([`Ahead`]).

use super::ahead::Ahead;
use super::fingerprint::Fingerprint;
use gable_rules::NodeId;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// How long a message is held. An owner that is well takes far less; one that has died is missed
/// sooner. What is left is an owner that never heard the message.
const HOLD_MAX: Duration = Duration::from_secs(10);

/// How many messages are held, and how many topics are known as this node's own. When one more
/// message comes the oldest is taken over; one more topic is not noted, and counts as new at a change.
const COUNT_MAX: usize = 4096;

/// For so long after a topic changed its owner, its messages are proposed as takeovers: the former
/// owner may have proposed the same message just before it learned of the change.
const CHANGE_GRACE: Duration = Duration::from_secs(1);

/// What is to be done with a message that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Propose {
        takeover: bool,
    },
    /// Wait for the owner's copy.
    Hold,
    /// The owner's copy was applied already.
    Settled,
}

/// The messages of others' topics that this node heard, and those it has yet to hear.
#[derive(Debug)]
pub(super) struct Ownership {
    me: NodeId,
    held: VecDeque<Held>,
    ahead: Ahead,
    changed_at: Option<Instant>,
    /// The topics that this node owned before the last change, as far as it heard messages on them.
    mine: HashSet<String>,
}

#[derive(Debug)]
struct Held {
    token: u64,
    topic: String,
    fingerprint: Fingerprint,
    since: Instant,
}

impl Ownership {
    pub(super) fn new(me: NodeId) -> Ownership {
        Ownership {
            me,
            held: VecDeque::new(),
            ahead: Ahead::default(),
            changed_at: None,
            mine: HashSet::new(),
        }
    }

    /// Takes a message from the broker; `token` names it in later answers.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        token: u64,
        topic: &str,
        payload: &[u8],
        owner: Option<NodeId>,
    ) -> Verdict {
        let fingerprint = Fingerprint::of(topic, payload);
        if !self.held.is_empty() {
            self.ahead.stalled(now);
        }
        if self.ahead.heard(now, topic, fingerprint) {
            return Verdict::Settled;
        }
        if owner == Some(self.me) {
            let is_grace = self.changed_at.is_some_and(|changed_at| now - changed_at < CHANGE_GRACE);
            if is_grace {
                return Verdict::Propose { takeover: !self.mine.contains(topic) };
            }
            if self.mine.len() < COUNT_MAX && !self.mine.contains(topic) {
                self.mine.insert(topic.to_owned());
            }
            return Verdict::Propose { takeover: false };
        }
        self.held.push_back(Held { token, topic: topic.to_owned(), fingerprint, since: now });
        Verdict::Hold
    }

    /// Takes another node's message out of the log, and returns the held one that it settles.
    pub(super) fn applied(&mut self, now: Instant, topic: &str, payload: &[u8]) -> Option<u64> {
        let fingerprint = Fingerprint::of(topic, payload);
        match self.held.iter().position(|held| held.fingerprint == fingerprint) {
            Some(position) => {
                self.ahead.stalled(now);
                self.held.remove(position).map(|held| held.token)
            }
            None => {
                self.ahead.applied(now, topic, fingerprint);
                None
            }
        }
    }

    /// Notes that nodes came or went, and returns the held messages that fall to this node now.
    pub(super) fn owners_changed(
        &mut self,
        now: Instant,
        owner: impl Fn(&str) -> Option<NodeId>,
    ) -> Vec<u64> {
        self.changed_at = Some(now);
        let me = self.me;
        self.mine.retain(|topic| owner(topic) == Some(me));
        let (mine, others) = self.held.drain(..).partition(|held| owner(&held.topic) == Some(me));
        self.held = others;
        let mine: VecDeque<Held> = mine;
        mine.into_iter().map(|held| held.token).collect()
    }

    /// Ends the wait for what is too old or too much, and returns what was held of it: it is to be
    /// taken over.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<u64> {
        let is_old = |held: &Held| now - held.since > HOLD_MAX;
        let mut expired = Vec::new();
        if !self.held.is_empty() {
            self.ahead.stalled(now);
        }
        while self.held.len() > COUNT_MAX || self.held.front().is_some_and(is_old) {
            expired.extend(self.held.pop_front().map(|held| held.token));
        }
        expired
    }

    /// When [`Ownership::expire`] has something to do next.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.held.front().map(|held| held.since + HOLD_MAX)
    }

    /// Notes that the broker begins a new session.
    pub(super) fn session_lost(&mut self) {
        self.ahead.session_lost();
    }

    /// Notes that the link is up, and that the log is about to know it.
    pub(super) fn linked(&mut self, now: Instant) {
        self.ahead.link(Some(now));
    }

    /// Notes that the link is gone, and returns what was held: the broker delivers it anew.
    pub(super) fn unlinked(&mut self) -> Vec<u64> {
        self.ahead.link(None);
        self.held.drain(..).map(|held| held.token).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);

    /// Plays `script`, one step a line, and compares the answers. Payloads stand for messages:
    /// `heard TOKEN PAYLOAD OWNER`, `applied PAYLOAD`, `owner NODE`, `wait SECONDS`, `down`, `up`.
    #[track_caller]
    fn check(script: &str, expected: &[&str]) {
        let mut ownership = Ownership::new(ME);
        let mut now = Instant::now();
        ownership.linked(now);
        let mut answers = Vec::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["heard", token, payload, owner] => {
                    let owner = owner.parse().ok().map(NodeId);
                    let token = token.parse().unwrap();
                    answers
                        .push(format!("{:?}", ownership.heard(now, token, "t", payload.as_bytes(), owner)));
                }
                ["applied", payload] => {
                    answers.push(format!("{:?}", ownership.applied(now, "t", payload.as_bytes())));
                }
                ["owner", owner] => {
                    let owner = owner.parse().ok().map(NodeId);
                    answers.push(format!("{:?}", ownership.owners_changed(now, |_| owner)));
                }
                ["wait", seconds] => {
                    now += Duration::from_secs(seconds.parse().unwrap());
                    answers.push(format!("{:?}", ownership.expire(now)));
                }
                ["down"] => answers.push(format!("{:?}", ownership.unlinked())),
                ["up"] => ownership.linked(now),
                _ => panic!("{line}"),
            }
        }
        assert_eq!(answers, expected, "{script}");
    }

    #[test]
    fn the_owner_proposes_and_the_others_hold() {
        check(
            "heard 1 on 1\nheard 2 on 2\nheard 3 on none",
            &["Propose { takeover: false }", "Hold", "Hold"],
        );
    }

    #[test]
    fn a_held_message_is_settled_by_the_owners_copy_in_order() {
        check(
            "heard 1 on 2\nheard 2 on 2\nheard 3 off 2\napplied on\napplied off\napplied on",
            &["Hold", "Hold", "Hold", "Some(1)", "Some(3)", "Some(2)"],
        );
    }

    #[test]
    fn a_copy_that_overtakes_settles_the_message_when_it_comes() {
        check("applied on\nheard 1 on 2\nheard 2 on 2", &["None", "Settled", "Hold"]);
        // Also when the topic fell to this node in between, but not for ever.
        check("applied on\nowner 1\nheard 1 on 1", &["None", "[]", "Settled"]);
        check("applied on\nwait 6\nheard 1 on 2", &["None", "[]", "Hold"]);
    }

    #[test]
    fn what_others_proposed_while_the_link_was_down_is_settled_when_it_comes() {
        check(
            "heard 1 a 2\ndown\napplied a\napplied b\nwait 100\nheard 2 a 1\nup\nheard 3 b 1\nheard 4 b 1",
            &["Hold", "[1]", "None", "None", "[]", "Settled", "Settled", "Propose { takeover: false }"],
        );
    }

    #[test]
    fn a_silent_owners_messages_are_taken_over_once() {
        check(
            "heard 1 on 2\nheard 2 off 2\nowner 3\nowner 1\nowner 1\nheard 3 on 1\nwait 2\nheard 4 on 1",
            &[
                "Hold",
                "Hold",
                "[]",
                "[1, 2]",
                "[]",
                "Propose { takeover: true }",
                "[]",
                "Propose { takeover: false }",
            ],
        );
    }

    #[test]
    fn a_topic_that_was_this_nodes_before_the_change_is_not_taken_over() {
        check(
            "heard 1 on 1\nowner 1\nheard 2 on 1",
            &["Propose { takeover: false }", "[]", "Propose { takeover: false }"],
        );
        check(
            "heard 1 on 1\nowner 2\nowner 1\nheard 2 on 1",
            &["Propose { takeover: false }", "[]", "[]", "Propose { takeover: true }"],
        );
    }

    #[test]
    fn what_no_one_claims_is_taken_over_at_last() {
        check("heard 1 on 2\nwait 10\nwait 1\napplied on", &["Hold", "[]", "[1]", "None"]);
        let mut ownership = Ownership::new(ME);
        let now = Instant::now();
        for token in 0..=COUNT_MAX as u64 {
            ownership.heard(now, token, "t", &token.to_be_bytes(), Some(OTHER));
        }
        assert_eq!(ownership.expire(now), [0]);
    }
}
