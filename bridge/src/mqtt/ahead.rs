//! Messages of a shared broker that other nodes proposed and this one has not heard yet.
//!
//! The owner's copy may overtake ours in the broker. And what others proposed while this node had no
//! link is what the broker has queued for it: nothing of that may be proposed again.

use super::fingerprint::Fingerprint;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// How long a message is remembered while the link is up and its topic is silent: our copy left the
/// same broker at the same time. Longer than that it would rather settle the next message of equal
/// content, which is an event of its own.
const AGE_MAX: Duration = Duration::from_secs(5);

/// How many messages are remembered. Another one is not: our copy of it is proposed as a takeover,
/// and the state drops that unless it comes too late.
const COUNT_MAX: usize = 65_536;

/// The messages by topic, because a broker keeps the order of a topic.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    topics: HashMap<String, Topic>,
    count: usize,
    /// Since when messages come as they are published; none while the link is down.
    flows_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Topic {
    messages: VecDeque<(Fingerprint, Instant)>,
    /// When one of them was heard at last.
    matched_at: Option<Instant>,
}

impl Ahead {
    /// Notes that the link is up, or that it is gone. While it is down nothing is forgotten.
    pub(super) fn link(&mut self, linked_at: Option<Instant>) {
        self.flows_since = linked_at;
    }

    /// Notes that the broker waits for an acknowledgement, and may hold back others until it comes.
    pub(super) fn stalled(&mut self, now: Instant) {
        self.flows_since = self.flows_since.map(|_| now);
    }

    /// Notes that the broker begins a new session: what was said before will not be heard any more.
    pub(super) fn session_lost(&mut self) {
        self.topics.clear();
        self.count = 0;
    }

    /// Remembers a message that was applied before it was heard.
    pub(super) fn applied(&mut self, now: Instant, topic: &str, fingerprint: Fingerprint) {
        if self.count >= COUNT_MAX {
            let topics: Vec<String> = self.topics.keys().cloned().collect();
            topics.iter().for_each(|topic| self.forget_old(now, topic));
        }
        if self.count < COUNT_MAX {
            self.topics.entry(topic.to_owned()).or_default().messages.push_back((fingerprint, now));
            self.count += 1;
        }
    }

    /// Whether a message that is heard now was applied before. Those of its topic that came before it
    /// will not be heard any more.
    pub(super) fn heard(&mut self, now: Instant, topic: &str, fingerprint: Fingerprint) -> bool {
        self.forget_old(now, topic);
        let Some(found) = self.topics.get_mut(topic) else { return false };
        let position = found.messages.iter().position(|(message, _)| *message == fingerprint);
        let Some(position) = position else { return false };
        found.messages.drain(..=position);
        found.matched_at = Some(now);
        self.count -= position + 1;
        self.drop_empty(topic);
        true
    }

    fn forget_old(&mut self, now: Instant, topic: &str) {
        let (Some(flows_since), Some(found)) = (self.flows_since, self.topics.get_mut(topic)) else { return };
        let awake = found.matched_at.map_or(flows_since, |matched_at| matched_at.max(flows_since));
        let is_old = |(_, at): &(Fingerprint, Instant)| now - awake.max(*at) > AGE_MAX;
        while found.messages.front().is_some_and(is_old) {
            found.messages.pop_front();
            self.count -= 1;
        }
        self.drop_empty(topic);
    }

    fn drop_empty(&mut self, topic: &str) {
        if self.topics.get(topic).is_some_and(|found| found.messages.is_empty()) {
            self.topics.remove(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `script`, one step a line: `applied PAYLOAD`, `heard PAYLOAD`, `up`, `down`, `stalled`,
    /// `new`, `wait SECONDS`; and compares which messages that were heard had been applied.
    #[track_caller]
    fn check(script: &str, expected: &[bool]) {
        let (mut ahead, mut now) = (Ahead::default(), Instant::now());
        let mut answers = Vec::new();
        for line in script.lines() {
            let fingerprint = |payload: &str| Fingerprint::of("t", payload.as_bytes());
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["applied", payload] => ahead.applied(now, "t", fingerprint(payload)),
                ["heard", payload] => answers.push(ahead.heard(now, "t", fingerprint(payload))),
                ["up"] => ahead.link(Some(now)),
                ["down"] => ahead.link(None),
                ["stalled"] => ahead.stalled(now),
                ["new"] => ahead.session_lost(),
                ["wait", seconds] => now += Duration::from_secs(seconds.parse().unwrap()),
                _ => panic!("{line}"),
            }
        }
        assert_eq!(answers, expected, "{script}");
    }

    #[test]
    fn each_message_is_met_once_and_soon() {
        check("up\napplied on\nheard on\nheard on", &[true, false]);
        check("up\napplied on\nwait 6\nheard on", &[false]);
        check("up\napplied on\nwait 6\nstalled\nheard on", &[true]);
        check("up\nheard off\napplied on\nheard off", &[false, false]);
    }

    #[test]
    fn what_came_while_the_link_was_down_is_met_in_order() {
        check(
            "down\napplied a\napplied b\napplied a\nwait 100\nup\nheard a\nheard b\nwait 4\nheard a\nheard a",
            &[true, true, true, false],
        );
        // The first was heard and acknowledged before the link went down.
        check("down\napplied a\napplied b\nup\nheard b\nheard a", &[true, false]);
        check("down\napplied a\nup\nwait 6\nheard a", &[false]);
    }

    #[test]
    fn a_new_session_brings_nothing_of_the_old_one() {
        check("down\napplied a\nnew\nup\nheard a", &[false]);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut ahead, now) = (Ahead::default(), Instant::now());
        for n in 0..=COUNT_MAX {
            ahead.applied(now, &n.to_string(), Fingerprint::of("", b""));
        }
        assert_eq!((ahead.count, ahead.topics.len()), (COUNT_MAX, COUNT_MAX));
        ahead.link(Some(now));
        ahead.applied(now + AGE_MAX * 2, "t", Fingerprint::of("", b""));
        assert_eq!((ahead.count, ahead.topics.len()), (1, 1));
    }
}
