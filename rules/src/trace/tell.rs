//! Traces as text for people.

use super::{Answer, Asked, Change, Changer, Did, Miss, Settled, Trace, TracedCommand, TracedStep};
use crate::Ended;
use gable_devices::{Data, Timestamp};
use std::fmt;

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} of {}: ", self.run_id, self.automation)?;
        match &self.ended {
            None => writeln!(f, "not at its end")?,
            Some((at, how)) => writeln!(f, "{how}, after {}", since(self.started_at, *at))?,
        }
        let trigger = if self.trigger.is_empty() { "nothing but a call" } else { &self.trigger };
        write!(f, "  {}, entry {}: started by {trigger}", moment(self.started_at), self.cause)?;
        match self.parent {
            Some(parent) => writeln!(f, ", called by run {parent}")?,
            None => writeln!(f)?,
        }
        self.conditions.iter().try_for_each(|asked| tell_asked(f, asked, "  "))?;
        let (first, steps) = self.steps();
        for (n, step) in steps.enumerate() {
            if n == first && self.dropped > 0 {
                writeln!(f, "  … {} steps are not kept …", self.dropped)?;
            }
            tell_step(f, step, self.started_at)?;
        }
        Ok(())
    }
}

fn tell_step(f: &mut fmt::Formatter<'_>, step: &TracedStep, start: Timestamp) -> fmt::Result {
    writeln!(f, "  +{} {} {}{}", since(start, step.at), step.path, step.kind, Doing(&step.did, step.at))?;
    if let Some(error) = &step.error {
        writeln!(f, "    failed: {error}")?;
    }
    step.asked.iter().try_for_each(|asked| tell_asked(f, asked, "    "))?;
    step.notes.iter().try_for_each(|note| writeln!(f, "    notice {note}"))?;
    step.commands.iter().try_for_each(|command| tell_command(f, command, step.at))
}

fn tell_command(f: &mut fmt::Formatter<'_>, command: &TracedCommand, start: Timestamp) -> fmt::Result {
    write!(f, "    command {}", command.command_id)?;
    if let Some(entity_id) = &command.entity_id {
        write!(f, " {entity_id}")?;
    }
    write!(f, ": {} {}", command.topic, command.payload)?;
    match &command.settled {
        None => writeln!(f, ", not confirmed yet"),
        Some((at, Settled::Confirmed)) => writeln!(f, ", confirmed after {}", since(start, *at)),
        Some((at, Settled::Expired)) => writeln!(f, ", given up after {}", since(start, *at)),
        Some((at, Settled::Superseded(by))) => {
            writeln!(f, ", superseded by {by} after {}", since(start, *at))
        }
    }
}

fn tell_asked(f: &mut fmt::Formatter<'_>, asked: &Asked, indent: &str) -> fmt::Result {
    let answer = match &asked.answer {
        Answer::Yes => "yes".to_owned(),
        Answer::No => "no".to_owned(),
        Answer::Unknown(why) => format!("can not be asked: {why}"),
    };
    let path = if asked.path.is_empty() { String::new() } else { format!("{} ", asked.path) };
    writeln!(f, "{indent}{path}{}: {answer}", asked.kind)?;
    for saw in &asked.saw {
        writeln!(f, "{indent}  {} is `{}`, wanted {}", saw.of, saw.found, saw.wanted)?;
    }
    Ok(())
}

/// What an action did, and when it was done.
struct Doing<'a>(&'a Did, Timestamp);

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Doing(did, start) = self;
        match did {
            Did::Done => Ok(()),
            Did::Disabled => write!(f, ": disabled"),
            Did::Publish { topic, payload } => write!(f, ": {topic} {payload}"),
            Did::Call { service, entity_ids } => {
                let entity_ids: Vec<&str> = entity_ids.iter().map(|entity_id| entity_id.as_str()).collect();
                write!(f, ": {service} {}", entity_ids.join(", "))
            }
            Did::Event { event_type } => write!(f, ": {event_type}"),
            Did::Branch(branch) => write!(f, " -> {branch}"),
            Did::Blocked => write!(f, ": not fulfilled, the rest is left out"),
            Did::Ended(how) => write!(f, ": {how}"),
            Did::Other(text) => write!(f, ": {text}"),
            Did::Wait { until, ended } => {
                match until {
                    None => write!(f, ": waits")?,
                    Some(until) => write!(f, ": waits for {} at most", since(*start, *until))?,
                }
                match ended {
                    None => Ok(()),
                    Some((at, true)) => write!(f, ", went on after {}", since(*start, *at)),
                    Some((at, false)) => write!(f, ", timed out after {}", since(*start, *at)),
                }
            }
        }
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, trigger) = (moment(self.at), &self.trigger);
        writeln!(f, "{at}, entry {}: {trigger}, and no run began: {}", self.index, self.reason)?;
        self.conditions.iter().try_for_each(|asked| tell_asked(f, asked, "  "))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, entry {}: changed by ", moment(self.at), self.index)?;
        match &self.by {
            Changer::Home => write!(f, "the home itself")?,
            Changer::Message(topic) => write!(f, "a message of {topic}")?,
        }
        if let Some(command_id) = self.command_id {
            write!(f, ", as command {command_id} wanted")?;
        }
        match self.run_id {
            Some(run_id) => writeln!(f, ", given by run {run_id}"),
            None => writeln!(f),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Finished => f.write_str("finished"),
            Ended::Stopped => f.write_str("stopped"),
            Ended::Replaced => f.write_str("replaced"),
            Ended::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// An instant as ISO 8601 writes it.
pub(super) fn moment(at: Timestamp) -> String {
    Data::Time(at).to_json().as_str().unwrap_or_default().to_owned()
}

fn since(start: Timestamp, at: Timestamp) -> String {
    let millis = at.since(start).0;
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}
