//! Traces as JSON for programs.

use super::tell::moment;
use super::{Answer, Asked, Change, Changer, Did, Miss, Settled, Trace, TracedCommand, TracedStep};
use crate::Ended;
use serde_json::{Value, json};

impl Trace {
    /// Returns the trace whole; its `text` is for people.
    pub fn to_json(&self) -> Value {
        let (_, steps) = self.steps();
        json!({
            "run_id": self.run_id.to_string(),
            "automation": self.automation,
            "started_at": moment(self.started_at),
            "index": self.cause.0,
            "trigger": {"description": self.trigger, "variable": self.variable.to_json()},
            "parent": self.parent.map(|run_id| run_id.to_string()),
            "conditions": self.conditions.iter().map(Asked::to_json).collect::<Value>(),
            "steps": steps.map(TracedStep::to_json).collect::<Value>(),
            "steps_dropped": self.dropped,
            "ended": self.ended.as_ref().map(|(at, how)| json!({"at": moment(*at), "how": ended(how)})),
            "text": self.to_string(),
        })
    }

    /// Returns what a list of runs shows of it.
    pub fn summary_json(&self) -> Value {
        json!({
            "run_id": self.run_id.to_string(),
            "automation": self.automation,
            "started_at": moment(self.started_at),
            "index": self.cause.0,
            "trigger": self.trigger,
            "ended": self.ended.as_ref().map(|(at, how)| json!({"at": moment(*at), "how": ended(how)})),
        })
    }
}

impl Asked {
    fn to_json(&self) -> Value {
        let (result, error) = match &self.answer {
            Answer::Yes => (Some(true), None),
            Answer::No => (Some(false), None),
            Answer::Unknown(why) => (None, Some(why)),
        };
        let saw = self.saw.iter();
        let saw = saw.map(|saw| json!({"of": saw.of, "found": saw.found, "wanted": saw.wanted}));
        json!({
            "path": self.path,
            "kind": self.kind,
            "result": result,
            "error": error,
            "saw": saw.collect::<Value>(),
        })
    }
}

impl TracedStep {
    fn to_json(&self) -> Value {
        json!({
            "path": self.path,
            "kind": self.kind,
            "at": moment(self.at),
            "index": self.index.0,
            "did": self.did.to_json(),
            "conditions": self.asked.iter().map(Asked::to_json).collect::<Value>(),
            "commands": self.commands.iter().map(TracedCommand::to_json).collect::<Value>(),
            "notices": self.notes,
            "error": self.error,
        })
    }
}

impl Did {
    fn to_json(&self) -> Value {
        match self {
            Did::Done => json!({"what": "done"}),
            Did::Disabled => json!({"what": "disabled"}),
            Did::Publish { topic, payload } => {
                json!({"what": "publish", "topic": topic, "payload": payload})
            }
            Did::Call { service, entity_ids } => {
                let entity_ids: Value = entity_ids.iter().map(|entity_id| entity_id.as_str()).collect();
                json!({"what": "call", "service": service, "entity_ids": entity_ids})
            }
            Did::Event { event_type } => json!({"what": "event", "event_type": event_type}),
            Did::Wait { until, ended } => json!({
                "what": "wait",
                "until": until.map(moment),
                "ended": ended.map(|(at, came)| json!({"at": moment(at), "completed": came})),
            }),
            Did::Branch(branch) => json!({"what": "branch", "branch": branch}),
            Did::Blocked => json!({"what": "blocked"}),
            Did::Ended(how) => json!({"what": "end", "how": ended(how)}),
            Did::Other(text) => json!({"what": "other", "text": text}),
        }
    }
}

impl TracedCommand {
    fn to_json(&self) -> Value {
        let settled = self.settled.as_ref().map(|(at, how)| {
            let (how, by) = match how {
                Settled::Confirmed => ("confirmed", None),
                Settled::Expired => ("expired", None),
                Settled::Superseded(by) => ("superseded", Some(by.to_string())),
            };
            json!({"at": moment(*at), "how": how, "by": by})
        });
        json!({
            "command_id": self.command_id.to_string(),
            "entity_id": self.entity_id.as_ref().map(|entity_id| entity_id.as_str()),
            "topic": self.topic,
            "payload": self.payload,
            "settled": settled,
        })
    }
}

impl Miss {
    /// Returns it whole; its `text` is for people.
    pub fn to_json(&self) -> Value {
        json!({
            "at": moment(self.at),
            "index": self.index.0,
            "trigger": self.trigger,
            "reason": self.reason,
            "conditions": self.conditions.iter().map(Asked::to_json).collect::<Value>(),
            "text": self.to_string(),
        })
    }
}

impl Change {
    /// Returns it whole; its `text` is for people.
    pub fn to_json(&self) -> Value {
        let topic = match &self.by {
            Changer::Home => None,
            Changer::Message(topic) => Some(topic),
        };
        json!({
            "at": moment(self.at),
            "index": self.index.0,
            "topic": topic,
            "command_id": self.command_id.map(|command_id| command_id.to_string()),
            "run_id": self.run_id.map(|run_id| run_id.to_string()),
            "text": self.to_string(),
        })
    }
}

fn ended(how: &Ended) -> Value {
    match how {
        Ended::Finished => json!({"state": "finished"}),
        Ended::Stopped => json!({"state": "stopped"}),
        Ended::Replaced => json!({"state": "replaced"}),
        Ended::Failed(why) => json!({"state": "failed", "error": why}),
    }
}
