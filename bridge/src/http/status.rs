//! `GET /api/status`: how this node is, and what it knows of the others.

use super::Api;
use crate::calendar::iso8601;
use crate::raft::PeerStatus;
use axum::Json;
use axum::extract::State;
use gable_broker_config::CachePolicy;
use gable_rules::{Counters, Severity};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn show(State(api): State<Arc<Api>>) -> Json<Value> {
    let status = api.replica.status();
    let mut shown = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "cluster": api.settings.cluster.name,
        "node": status.node,
        "boot": status.boot,
        "time": iso8601(api.replica.home_time()),
        "role": status.role,
        "term": status.term,
        "leader": status.leader,
        "last_log_index": status.last_log_index,
        "committed_index": status.committed_index,
        "applied_index": status.applied_index,
        "snapshot_index": status.snapshot_index,
        // As text: JSON numbers lose the last digits of 64 bits.
        "state_hash": format!("{:016x}", status.state_hash),
        "history_complete": status.history_complete,
        "fsync_p99_ms": status.fsync_p99.as_secs_f64() * 1000.0,
        "peers": status.peers.iter().map(peer).collect::<Vec<_>>(),
        "mqtt": api.mqtt.status(),
        "address": {
            "floating": api.settings.address.floating.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "held_here": *api.holds_address.borrow(),
        },
        "cache": caches(&api),
    });
    let home = api.replica.read(|state| {
        json!({
            "entities": state.entities().count(),
            "automations": state.automations().count(),
            "problems": state.problems().iter().filter(|problem| problem.severity == Severity::Error).count(),
            "outbox": state.outbox().count(),
            "timers": state.timers().count(),
            "runs": state.runs().count(),
        })
    });
    if let (Value::Object(shown), Value::Object(home)) = (&mut shown, home) {
        shown.extend(home);
    }
    Json(shown)
}

fn peer(peer: &PeerStatus) -> Value {
    json!({ "id": peer.node, "address": peer.address, "up": peer.up, "matched": peer.matched, "lag": peer.lag })
}

fn caches(api: &Api) -> Value {
    let cache = &api.settings.cache;
    let policy = match cache.policy {
        CachePolicy::Lru => "lru",
        CachePolicy::Fifo => "fifo",
        CachePolicy::Off => "off",
    };
    let shown = |counters: Counters, capacity: usize| {
        json!({
            "policy": policy,
            "capacity": capacity,
            "entries": counters.entries,
            "hits": counters.hits,
            "misses": counters.misses,
            "evictions": counters.evictions,
        })
    };
    let (pages, answers) = api.cache.counters();
    json!({
        "rules": shown(api.replica.read(|state| state.cache_counters()), cache.capacity),
        "history": shown(pages, cache.history_capacity),
        "states": shown(answers, cache.history_capacity),
    })
}
