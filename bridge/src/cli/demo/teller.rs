//! The demo's voice: scenes, timeline and verdict on stdout, or JSON.

use super::audit::Verdict;
use super::cluster::Cluster;
use crate::cli::palette::Palette;
use crate::cli::timeline::Timeline;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Speaks for all parts of the demo, a line at a time. Clones share the timeline.
#[derive(Clone)]
pub(super) struct Teller {
    palette: Palette,
    is_json: bool,
    timeline: Arc<Mutex<Timeline>>,
}

impl Teller {
    pub(super) fn new(is_json: bool) -> Teller {
        let palette = Palette::for_stdout();
        Teller { palette, is_json, timeline: Arc::new(Mutex::new(Timeline::new(palette))) }
    }

    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    pub(super) fn node(&self, id: u64) -> String {
        if self.is_json { format!("n{id}") } else { self.palette.node(id) }
    }

    /// Something happens on stage.
    pub(super) fn scene(&self, what: &str) {
        if self.is_json {
            self.object(&json!({ "scene": what }));
        } else {
            say(&format!("{} {}", self.palette.bold("==>"), self.palette.bold(what)));
        }
    }

    pub(super) fn note(&self, what: &str) {
        if self.is_json {
            self.object(&json!({ "note": what }));
        } else {
            say(&self.palette.yellow(what));
        }
    }

    pub(super) fn object(&self, object: &Value) {
        say(&object.to_string());
    }

    /// Tells events of the history.
    pub(super) fn events(&self, events: Vec<Value>, now_ms: i64) {
        let mut timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            if self.is_json {
                self.object(&event);
            } else {
                timeline.push(event).iter().for_each(|line| say(line));
            }
        }
        timeline.pause(now_ms).iter().for_each(|line| say(line));
    }

    /// Tells what was held back.
    pub(super) fn finish(&self) {
        let mut timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        timeline.finish().iter().for_each(|line| say(line));
    }

    /// Says where one can join in.
    pub(super) fn invitation(&self, cluster: &Cluster) {
        if self.is_json {
            for (id, addresses) in cluster.addresses() {
                let (mqtt, http) = (addresses.mqtt.to_string(), format!("http://{}", addresses.http));
                self.object(&json!({ "node": id, "mqtt": mqtt, "http": http }));
            }
            return;
        }
        let mut urls = Vec::new();
        for (id, addresses) in cluster.addresses() {
            say(&format!(
                "    {}  mqtt {}  http://{}",
                self.palette.node(id),
                addresses.mqtt,
                addresses.http
            ));
            urls.push(format!("--url http://{}", addresses.http));
        }
        let Some((_, first)) = cluster.addresses().next() else { return };
        let (host, port) = (first.mqtt.ip(), first.mqtt.port());
        say(&self.palette.dim(&format!(
            "    join in:  mosquitto_sub -h {host} -p {port} -t '#' -v\n              \
             mosquitto_pub -h {host} -p {port} -q 1 -t zigbee2mqtt/hall_motion -m '{{\"occupancy\":true}}'\n              \
             gable status {}\n    logs:     {}",
            urls.join(" "),
            cluster.folder().display()
        )));
    }

    /// Tells what was lost.
    pub(super) fn verdict(
        &self,
        verdict: &Verdict,
        commands_received: u64,
        gap: Option<Duration>,
        nodes: usize,
        agreement: Option<(u64, String)>,
    ) {
        let Verdict { committed, lost, doubled, died_with_broker, commands, timers } = verdict;
        let row = |name: &str, what: String| say(&format!("    {name:<12} {what}"));
        let lost_of = |lost: usize| {
            let text = format!("lost {lost}");
            if lost == 0 { self.palette.green(&text) } else { self.palette.red(&text) }
        };
        row(
            "events",
            format!(
                "{committed} committed, in one order on {}: {}, {}",
                if nodes == 1 { "the node".to_owned() } else { format!("all {nodes} nodes") },
                lost_of(*lost),
                if *doubled == 0 {
                    "doubled 0".to_owned()
                } else {
                    self.palette.red(&format!("doubled {doubled}"))
                },
            ),
        );
        row(
            "commands",
            format!(
                "{} promised, {} confirmed, {} superseded ({commands_received} arrived at devices): {}",
                commands.promised,
                commands.confirmed,
                commands.superseded,
                lost_of(commands.lost)
            ),
        );
        row(
            "timers",
            format!(
                "{} set, {} fired, {} cancelled, {} still running: {}, early {}, doubled {}",
                timers.set,
                timers.fired,
                timers.cancelled,
                timers.running,
                lost_of(timers.lost),
                timers.early,
                timers.doubled
            ),
        );
        if let Some(gap) = gap {
            row("leader", format!("after the kill another node led within {} ms", gap.as_millis()));
        }
        if let Some((index, hash)) = agreement {
            row("state", format!("entry {index}, hash {hash} on every node"));
        }
        if *died_with_broker > 0 {
            row("broker", self.palette.yellow(&format!(
                "{died_with_broker} messages were acknowledged by the killed broker before they were committed, and died with it \
                 (a Mosquitto would have kept them)"
            )));
        }
    }
}

/// Prints a line. A reader that went away is no reason to end the demo before its nodes are stopped.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
