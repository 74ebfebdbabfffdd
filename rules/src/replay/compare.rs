//! Which commands differ between what happened and what would have happened.

use super::Command;
use gable_devices::Millis;
use std::collections::{BTreeMap, VecDeque};

/// How far apart two commands may be sent and still count as sent at the same time.
const SAME_TIME: Millis = Millis(1_000);
/// How far apart the same command may be sent and still count as one that was sent at another time.
const OTHER_TIME: Millis = Millis::from_secs(600);

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It was sent, and would not be.
    Missing(Command),
    /// It was not sent, and would be.
    Additional(Command),
    OtherPayload {
        was: Command,
        would: Command,
    },
    OtherTime {
        was: Command,
        would: Command,
    },
}

impl Difference {
    /// Returns the command that shows when and where the difference is.
    pub fn command(&self) -> &Command {
        match self {
            Difference::Missing(command) | Difference::Additional(command) => command,
            Difference::OtherPayload { was, .. } | Difference::OtherTime { was, .. } => was,
        }
    }
}

/// Compares topic by topic, as between topics no order is promised. Both lists are in the order of
/// time; so is the answer.
pub fn compare(happened: &[Command], would: &[Command]) -> Vec<Difference> {
    let mut topics: BTreeMap<&str, (VecDeque<&Command>, VecDeque<&Command>)> = BTreeMap::new();
    for command in happened {
        topics.entry(&command.publish.topic).or_default().0.push_back(command);
    }
    for command in would {
        topics.entry(&command.publish.topic).or_default().1.push_back(command);
    }
    let mut differences: Vec<Difference> =
        topics.into_values().flat_map(|(happened, would)| compare_topic(happened, would)).collect();
    differences.sort_by_key(|difference| difference.command().at);
    differences
}

fn compare_topic<'c>(
    mut happened: VecDeque<&'c Command>,
    mut would: VecDeque<&'c Command>,
) -> Vec<Difference> {
    let is_same = |was: &Command, would: &Command| was.publish.payload == would.publish.payload;
    // The closest kin first: what is the same is no candidate for what differs.
    pair(&mut happened, &mut would, SAME_TIME, is_same);
    let later = pair(&mut happened, &mut would, OTHER_TIME, is_same);
    let others = pair(&mut happened, &mut would, SAME_TIME, |_, _| true);
    let other_time =
        |(was, would): (&Command, &Command)| Difference::OtherTime { was: was.clone(), would: would.clone() };
    let other_payload = |(was, would): (&Command, &Command)| Difference::OtherPayload {
        was: was.clone(),
        would: would.clone(),
    };
    let later = later.into_iter().map(other_time);
    let others = others.into_iter().map(other_payload);
    let missing = happened.into_iter().cloned().map(Difference::Missing);
    let additional = would.into_iter().cloned().map(Difference::Additional);
    later.chain(others).chain(missing).chain(additional).collect()
}

/// Takes out the pairs that are alike and no further apart than `span`, in their order.
fn pair<'c>(
    happened: &mut VecDeque<&'c Command>,
    would: &mut VecDeque<&'c Command>,
    span: Millis,
    alike: impl Fn(&Command, &Command) -> bool,
) -> Vec<(&'c Command, &'c Command)> {
    let mut pairs = Vec::new();
    happened.retain(|was| {
        // Both are in the order of time: the window of what may fit is short.
        let from = would.partition_point(|other| other.at < was.at && was.at.since(other.at).0 > span.0);
        let near = would
            .iter()
            .enumerate()
            .skip(from)
            .take_while(|(_, other)| other.at <= was.at || other.at.since(was.at).0 <= span.0);
        let found = near.filter(|(_, other)| alike(was, other)).map(|(n, _)| n).next();
        let other = found.and_then(|n| would.remove(n));
        pairs.extend(other.map(|other| (*was, other)));
        other.is_none()
    });
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use gable_devices::{Publish, QoS, Timestamp};

    /// Commands as `MILLIS TOPIC PAYLOAD`, one a word with `/` between.
    fn commands(text: &str) -> Vec<Command> {
        let command = |word: &str| {
            let mut parts = word.split('/');
            let mut part = || parts.next().unwrap().to_owned();
            let at = Timestamp(part().parse().unwrap());
            let (topic, payload) = (part(), part().into_bytes());
            let publish = Publish { topic, payload, qos: QoS::AtMostOnce, retain: false };
            Command { at, entity_id: None, publish, automation: None }
        };
        text.split_whitespace().map(command).collect()
    }

    #[track_caller]
    fn check(happened: &str, would: &str, expected: &str) {
        let word = |command: &Command| {
            format!("{}/{}", command.at.0, String::from_utf8_lossy(&command.publish.payload))
        };
        let found = compare(&commands(happened), &commands(would)).into_iter().map(|one| match one {
            Difference::Missing(was) => format!("-{}", word(&was)),
            Difference::Additional(would) => format!("+{}", word(&would)),
            Difference::OtherPayload { was, would } => format!("{}!{}", word(&was), word(&would)),
            Difference::OtherTime { was, would } => format!("{}@{}", word(&was), word(&would)),
        });
        assert_eq!(found.collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn what_differs_is_named() {
        check("", "", "");
        check("0/a/on 50/a/off", "20/a/on 60/a/off", "");
        check("0/a/on", "", "-0/on");
        check("", "0/a/on", "+0/on");
        check("0/a/on", "100/a/off", "0/on!100/off");
        check("0/a/on", "5000/a/on", "0/on@5000/on");
        check("5000/a/on", "0/a/on", "5000/on@0/on");
        check("0/a/on", "0/b/on", "-0/on +0/on");
        check("0/a/on", "700000/a/on", "-0/on +700000/on");
        // What stayed the same is not mistaken for what is new beside it.
        check("0/a/on 10/a/off", "0/a/on 5/a/on 10/a/off", "+5/on");
    }
}
