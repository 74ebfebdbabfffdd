//! Keeps the calendar in the log, and says who leads.
//!
//! Only the leader does. It proposes a calendar once files are in force, and again when files or
//! settings move the home or the tables come near their end.

use super::{compute, is_needed, place};
use crate::raft::Replica;
use gable_broker_config::Home;
use gable_rules::{InputKind, Place};
use std::time::Duration;
use tokio::time::sleep;
use tracing::{info, warn};

/// How often the leader looks; a look compares a few numbers.
const INTERVAL: Duration = Duration::from_secs(1);

/// Proposes until the replica stops.
pub(crate) async fn run(replica: Replica, settings: Home) {
    let mut leading = replica.leading();
    while leading.wait_for(|leading| *leading).await.is_ok() {
        if replica.propose(InputKind::Leading).await.is_err() {
            return;
        }
        // What was proposed already and is not applied, or was refused, is not proposed again.
        let mut proposed: Option<Place> = None;
        while *leading.borrow_and_update() {
            if let Some(place) = wanted(&replica, &settings, proposed.as_ref()) {
                proposed = Some(place.clone());
                if propose(&replica, place).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                changed = leading.changed() => if changed.is_err() { return },
                () = sleep(INTERVAL) => {}
            }
        }
    }
}

/// The place whose calendar is missing, if one is.
fn wanted(replica: &Replica, settings: &Home, proposed: Option<&Place>) -> Option<Place> {
    let now = replica.home_time();
    replica.read(|state| {
        let place = place(state.declared_place(), settings);
        let current = state.calendar();
        let is_refused = proposed == Some(&place) && current.is_none_or(|current| current.place != place);
        let is_wanted = !state.sources().is_empty() && !is_refused && is_needed(current, &place, now);
        is_wanted.then_some(place)
    })
}

async fn propose(replica: &Replica, place: Place) -> Result<(), ()> {
    let (node, now) = (replica.node(), replica.home_time());
    let zone = place.time_zone.clone();
    let has_position = place.position.is_some();
    let Ok((calendar, fault)) = tokio::task::spawn_blocking(move || compute(place, now)).await else {
        return Err(());
    };
    if let Some(fault) = fault {
        warn!(node = %node, time_zone = zone, fault, "the home's time zone is not known: times count in UTC");
    }
    if has_position && calendar.sun.is_none() {
        warn!(node = %node, "the home's position can not be used: sun triggers do not fire");
    }
    replica.propose(InputKind::Calendar(calendar)).await.map_err(drop)?;
    info!(node = %node, time_zone = zone, sun = has_position, "told the home its calendar");
    Ok(())
}
