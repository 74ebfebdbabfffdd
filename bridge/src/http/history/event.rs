//! One row of the history as JSON. Names are fixed: programs read them.

use crate::calendar::iso8601;
use crate::http::payload;
use crate::store::history::{Kind, Row};
use gable_devices::{Publish, Timestamp};
use gable_rules::broker::{AccessChange, ClientAction, ClientInput};
use gable_rules::{
    Departure, Effect, Ended, ErrandId, ErrandOutcome, InputKind, Message, Refusal, TimerId, TimerReason,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Shows a row: where it stands in the log, when and where it was heard, and what it tells.
pub(crate) fn to_json(row: &Row) -> Value {
    let mut event = Map::new();
    let mut put = |key: &str, value: Value| drop(event.insert(key.to_owned(), value));
    put("index", row.position.index().into());
    put("log_index", row.position.log_index.into());
    put("at", iso8601(row.at).into());
    put("at_ms", row.at.0.into());
    put("node", row.node.0.into());
    match &row.kind {
        Kind::Message(message) => show_message(message, &mut event),
        Kind::Effect(effect) => {
            event.insert("kind".into(), "effect".into());
            extend(&mut event, show_effect(effect));
        }
        Kind::Input(input) => {
            event.insert("kind".into(), "input".into());
            extend(&mut event, show_input(input));
        }
    }
    Value::Object(event)
}

fn extend(event: &mut Map<String, Value>, fields: Value) {
    if let Value::Object(fields) = fields {
        event.extend(fields);
    }
}

fn show_message(message: &Message, event: &mut Map<String, Value>) {
    event.insert("kind".into(), "message".into());
    event.insert("topic".into(), message.topic.clone().into());
    payload::show(&message.payload, event);
    event.insert("qos".into(), (message.qos as u8).into());
    event.insert("retain".into(), message.retain.into());
}

fn show_effect(effect: &Effect) -> Value {
    let id = |id: &dyn ToString| id.to_string();
    match effect {
        Effect::Refused(refusal) => json!({ "effect": "refused", "reason": show_refusal(refusal) }),
        Effect::EntityChanged { entity_id, from, to } => {
            json!({ "effect": "entity_changed", "entity_id": entity_id, "from": from, "to": to })
        }
        Effect::RunStarted { run_id, automation, trigger } => {
            json!({ "effect": "run_started", "run_id": id(run_id), "automation": automation, "trigger": trigger })
        }
        Effect::RunSkipped { automation, reason } => {
            json!({ "effect": "run_skipped", "automation": automation, "reason": reason })
        }
        Effect::RunQueued { run_id, automation, trigger } => {
            json!({ "effect": "run_queued", "run_id": id(run_id), "automation": automation, "trigger": trigger })
        }
        Effect::RunEnded { run_id, automation, ended } => {
            json!({ "effect": "run_ended", "run_id": id(run_id), "automation": automation, "ended": show_ended(ended) })
        }
        Effect::CommandQueued { command_id, entity_id, publish, run_id } => {
            let about = json!({ "command_id": id(command_id), "entity_id": entity_id, "run_id": run_id.map(|run_id| id(&run_id)) });
            show_publish("command_queued", about, publish)
        }
        Effect::CommandSent { command_id } => one("command_sent", "command_id", id(command_id)),
        Effect::CommandConfirmed { command_id, entity_id } => {
            json!({ "effect": "command_confirmed", "command_id": id(command_id), "entity_id": entity_id })
        }
        Effect::CommandExpired { command_id, entity_id } => {
            json!({ "effect": "command_expired", "command_id": id(command_id), "entity_id": entity_id })
        }
        Effect::CommandSuperseded { command_id, by } => {
            json!({ "effect": "command_superseded", "command_id": id(command_id), "by": id(by) })
        }
        Effect::TimerSet { timer_id, deadline, reason } => show_timer(*timer_id, *deadline, reason),
        Effect::TimerFired { timer_id, deadline } => {
            json!({ "effect": "timer_fired", "timer_id": id(timer_id), "deadline_ms": deadline.0 })
        }
        Effect::TimerCancelled { timer_id } => one("timer_cancelled", "timer_id", id(timer_id)),
        Effect::Configured { entities, automations, broken } => {
            json!({ "effect": "configured", "entities": entities, "automations": automations, "broken": broken })
        }
        Effect::NodeChanged { node, up, link } => {
            json!({ "effect": "node_changed", "about": node, "up": up, "link": link })
        }
        Effect::LeaderChanged { node } => one("leader_changed", "about", node),
        Effect::ErrandQueued { errand_id, service, run_id } => {
            let run_id = run_id.map(|run_id| run_id.to_string());
            show_errand("errand_queued", *errand_id, json!({ "service": service, "run_id": run_id }))
        }
        Effect::ErrandDone { errand_id, status } => {
            show_errand("errand_done", *errand_id, json!({ "status": status }))
        }
        Effect::ErrandFailed { errand_id, service, text } => {
            show_errand("errand_failed", *errand_id, json!({ "service": service, "text": text }))
        }
        Effect::Notice { subject, text } => json!({ "effect": "notice", "subject": subject, "text": text }),
        Effect::Quarantined { automation, reason } => {
            json!({ "effect": "quarantined", "automation": automation, "reason": reason })
        }
        Effect::Released { automation } => one("released", "automation", automation),
        Effect::EntityAnnounced { entity_id } => one("entity_announced", "entity_id", entity_id),
        Effect::EntityWithdrawn { entity_id } => one("entity_withdrawn", "entity_id", entity_id),
        Effect::ClientConnected { client_id, node, session_present } => {
            json!({ "effect": "client_connected", "client_id": client_id, "about": node, "session_present": session_present })
        }
        Effect::ClientDisconnected { client_id, departure } => {
            json!({ "effect": "client_disconnected", "client_id": client_id, "departure": show_departure(*departure) })
        }
    }
}

/// An effect that tells one thing.
fn one(effect: &str, key: &str, value: impl Serialize) -> Value {
    json!({ "effect": effect, key: value })
}

fn show_publish(effect: &str, mut about: Value, publish: &Publish) -> Value {
    if let Some(fields) = about.as_object_mut() {
        fields.insert("effect".into(), effect.into());
        fields.insert("topic".into(), publish.topic.clone().into());
        fields.insert("retain".into(), publish.retain.into());
        payload::show(&publish.payload, fields);
    }
    about
}

fn show_timer(timer_id: TimerId, deadline: Timestamp, reason: &TimerReason) -> Value {
    let mut fields =
        json!({ "effect": "timer_set", "timer_id": timer_id.to_string(), "deadline_ms": deadline.0 });
    if let Some(fields) = fields.as_object_mut() {
        extend(fields, show_reason(reason));
    }
    fields
}

fn show_input(input: &InputKind) -> Value {
    match input {
        InputKind::Message(message) => json!({ "input": "message", "topic": message.topic }),
        InputKind::TimerDue(timer_id) => json!({ "input": "timer_due", "timer_id": timer_id.to_string() }),
        InputKind::CommandSent(command_id) => {
            json!({ "input": "command_sent", "command_id": command_id.to_string() })
        }
        InputKind::Configure(files) => {
            let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            json!({ "input": "configure", "files": names })
        }
        InputKind::Link { up } => json!({ "input": "link", "up": up }),
        InputKind::NodeSeen { node, up } => json!({ "input": "node_seen", "seen": node.0, "up": up }),
        InputKind::Calendar(calendar) => {
            json!({ "input": "calendar", "time_zone": calendar.place.time_zone, "until_ms": calendar.until.0 })
        }
        InputKind::ErrandDone { errand_id, attempt, outcome } => json!({
            "input": "errand_done",
            "errand_id": errand_id.to_string(),
            "attempt": attempt,
            "outcome": show_outcome(outcome),
        }),
        InputKind::Leading => json!({ "input": "leading" }),
        InputKind::Release { automation } => json!({ "input": "release", "automation": automation }),
        InputKind::Serve(limits) => json!({ "input": "serve", "up": limits.is_some() }),
        InputKind::Client(client) => show_client(client),
        InputKind::Access(change) => show_access(change),
    }
}

fn show_client(client: &ClientInput) -> Value {
    let (action, filters): (_, Vec<&str>) = match &client.action {
        ClientAction::Connect(_) => ("connect", Vec::new()),
        ClientAction::Publish { .. } => ("publish", Vec::new()),
        ClientAction::Release { .. } => ("release", Vec::new()),
        ClientAction::Subscribe { subscriptions } => {
            ("subscribe", subscriptions.iter().map(|(filter, _)| filter.as_str()).collect())
        }
        ClientAction::Unsubscribe { filters } => {
            ("unsubscribe", filters.iter().map(String::as_str).collect())
        }
        ClientAction::Acknowledge { .. } => ("acknowledge", Vec::new()),
        ClientAction::Disconnect { .. } => ("disconnect", Vec::new()),
    };
    json!({ "input": "client", "client_id": client.client_id, "action": action, "filters": filters })
}

fn show_access(change: &AccessChange) -> Value {
    let (what, name) = match change {
        AccessChange::SetUser { name, .. } => ("set_user", name),
        AccessChange::RemoveUser { name } => ("remove_user", name),
        AccessChange::SetRole { name, .. } => ("set_role", name),
        AccessChange::RemoveRole { name } => ("remove_role", name),
    };
    json!({ "input": "access", "change": what, "name": name })
}

fn show_departure(departure: Departure) -> &'static str {
    match departure {
        Departure::Left => "left",
        Departure::Lost => "lost",
        Departure::TakenOver => "taken_over",
        Departure::NodeLost => "node_lost",
        Departure::Expelled => "expelled",
    }
}

fn show_errand(effect: &str, errand_id: ErrandId, about: Value) -> Value {
    let mut fields = json!({ "effect": effect, "errand_id": errand_id.to_string() });
    if let Some(fields) = fields.as_object_mut() {
        extend(fields, about);
    }
    fields
}

fn show_outcome(outcome: &ErrandOutcome) -> Value {
    match outcome {
        ErrandOutcome::Done { status } => json!({ "done": status }),
        ErrandOutcome::Refused { status } => json!({ "refused": status }),
        ErrandOutcome::Failed { text } => json!({ "failed": text }),
    }
}

fn show_refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Duplicate(_) => "seen before".into(),
        Refusal::Gap { .. } => "an earlier input is missing".into(),
        Refusal::Stale => "settled before, or not due yet".into(),
        Refusal::AlreadyHeard => "another node proposed it".into(),
        Refusal::Invalid(why) => why.clone(),
    }
}

fn show_ended(ended: &Ended) -> Value {
    match ended {
        Ended::Finished => "finished".into(),
        Ended::Stopped => "stopped".into(),
        Ended::Replaced => "replaced".into(),
        Ended::Failed(why) => json!({ "failed": why }),
    }
}

fn show_reason(reason: &TimerReason) -> Value {
    match reason {
        TimerReason::TriggerFor { automation } => {
            json!({ "reason": "trigger_for", "automation": automation })
        }
        TimerReason::RunDelay { run_id } => json!({ "reason": "run_delay", "run_id": run_id.to_string() }),
        TimerReason::CommandExpiry { command_id } => {
            json!({ "reason": "command_expiry", "command_id": command_id.to_string() })
        }
        TimerReason::OffDelay { entity_id } => json!({ "reason": "off_delay", "entity_id": entity_id }),
        TimerReason::ExpireAfter { entity_id } => json!({ "reason": "expire_after", "entity_id": entity_id }),
        TimerReason::WaitTimeout { run_id } => {
            json!({ "reason": "wait_timeout", "run_id": run_id.to_string() })
        }
        TimerReason::Errand { errand_id } => {
            json!({ "reason": "errand", "errand_id": errand_id.to_string() })
        }
        TimerReason::Helper { entity_id } => json!({ "reason": "helper", "entity_id": entity_id }),
        TimerReason::Minute => json!({ "reason": "minute" }),
        TimerReason::Schedule { automation } => json!({ "reason": "schedule", "automation": automation }),
        TimerReason::Sun => json!({ "reason": "sun" }),
        TimerReason::Window { window } => json!({ "reason": "ordered", "window_ms": window.0 }),
        TimerReason::Sequence { automation } => {
            json!({ "reason": "sequence", "automation": automation })
        }
        TimerReason::Will { client_id } => json!({ "reason": "will", "client_id": client_id }),
        TimerReason::SessionExpiry { client_id } => {
            json!({ "reason": "session_expiry", "client_id": client_id })
        }
        TimerReason::Grace { node } => json!({ "reason": "grace", "about": node }),
        TimerReason::MessageExpiry => json!({ "reason": "message_expiry" }),
        TimerReason::ForGap { automation } => json!({ "reason": "for_gap", "automation": automation }),
    }
}
