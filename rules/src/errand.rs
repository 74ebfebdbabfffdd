//! Errands: promised HTTP calls, for notifications and for services that Home Assistant runs.
//!
//! A row says what was called and with which data. Where that goes, and with which token, stands in
//! the home's files only and is looked up when a node performs the errand, so that no secret gets
//! into history, API or logs. An errand is performed at least once, and not again after the log has
//! heard that it succeeded.

use crate::notifier::HttpRequest;
use crate::timer::Purpose;
use crate::work::Work;
use crate::{Effect, ErrandId, Refusal, RunId, State, TimerId};
use gable_devices::{Data, Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long an errand is tried before it is given up: nobody wants to hear tomorrow that the door
/// bell rang.
pub const ERRAND_DEADLINE: Millis = Millis::from_secs(15 * 60);

/// How many errands may wait at once. When one more comes the oldest is given up with a notice.
pub const ERRANDS_MAX: usize = 1000;

/// The first pause after a failure; it doubles with each further one, up to the longest.
const PAUSE: Millis = Millis::from_secs(1);
const PAUSE_MAX: Millis = Millis::from_secs(60);

/// One promised HTTP call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errand {
    pub errand_id: ErrandId,
    /// What was called: `notify.phone`, `media_player.play_media`.
    pub service: String,
    pub(crate) data: BTreeMap<String, Data>,
    pub queued_at: Timestamp,
    pub deadline: Timestamp,
    /// How often it has failed.
    pub attempts: u32,
    /// The timer of the next attempt; none while it is to be performed now.
    pub pause: Option<TimerId>,
    /// The run that decided it.
    pub run_id: Option<RunId>,
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrandOutcome {
    /// The server took it.
    Done { status: u16 },
    /// The server said no, and would again.
    Refused { status: u16 },
    /// It may go better later; the text says why, without address and token.
    Failed { text: String },
}

/// The rows, oldest first.
pub(crate) type Errands = BTreeMap<ErrandId, Errand>;

impl State {
    /// Returns the promised HTTP calls, oldest first.
    pub fn errands(&self) -> impl Iterator<Item = &Errand> {
        self.rows.errands.values()
    }

    /// Returns the errands that are to be performed now and are not under way, at most `limit`: each
    /// with the attempt that it is. What it holds is secret.
    pub fn due_errands(
        &self,
        limit: usize,
        under_way: &BTreeSet<ErrandId>,
    ) -> Vec<(ErrandId, u32, HttpRequest)> {
        let is_due = |errand: &&Errand| errand.pause.is_none() && !under_way.contains(&errand.errand_id);
        let due = self.rows.errands.values().filter(is_due);
        let request = |errand: &Errand| {
            let request = self.home.notifiers.request(&errand.service, &errand.data)?;
            Some((errand.errand_id, errand.attempts, request))
        };
        due.filter_map(request).take(limit).collect()
    }
}

impl Work<'_> {
    /// Promises an HTTP call.
    pub(crate) fn queue_errand(&mut self, service: &str, data: BTreeMap<String, Data>, run_id: RunId) {
        if self.rows.errands.len() >= ERRANDS_MAX
            && let Some(oldest) = self.rows.errands.keys().next().copied()
        {
            let text = format!("{ERRANDS_MAX} HTTP calls wait to be made; the oldest is given up");
            self.notice("errands", text.as_str());
            self.give_errand_up(oldest, text);
        }
        let errand_id = ErrandId(self.rows.mint());
        let now = self.rows.now;
        let errand = Errand {
            errand_id,
            service: service.to_owned(),
            data,
            queued_at: now,
            deadline: now.after(ERRAND_DEADLINE),
            attempts: 0,
            pause: None,
            run_id: Some(run_id),
        };
        self.rows.errands.insert(errand_id, errand);
        self.effect(Effect::ErrandQueued { errand_id, service: service.to_owned(), run_id: Some(run_id) });
    }

    /// A node says how an attempt went. Two leaders may have made one each.
    pub(crate) fn on_errand_done(&mut self, errand_id: ErrandId, attempt: u32, outcome: &ErrandOutcome) {
        let now = self.rows.now;
        let errand = self.rows.errands.get_mut(&errand_id);
        let Some(errand) = errand.filter(|errand| errand.attempts == attempt && errand.pause.is_none())
        else {
            return self.effect(Effect::Refused(Refusal::Stale));
        };
        match outcome {
            ErrandOutcome::Done { status } => {
                self.rows.errands.remove(&errand_id);
                self.effect(Effect::ErrandDone { errand_id, status: *status });
            }
            ErrandOutcome::Refused { status } => {
                self.give_errand_up(errand_id, format!("the server answered {status}"));
            }
            ErrandOutcome::Failed { text } => {
                errand.attempts = errand.attempts.saturating_add(1);
                let deadline = errand.deadline;
                let doubled = PAUSE.0.saturating_mul(1 << errand.attempts.saturating_sub(1).min(16));
                let next = now.after(Millis(doubled.min(PAUSE_MAX.0)));
                if next >= deadline {
                    return self.give_errand_up(errand_id, crate::text::shorten(text.clone()));
                }
                let pause = self.set_timer(next, Purpose::Errand(errand_id));
                if let Some(errand) = self.rows.errands.get_mut(&errand_id) {
                    errand.pause = Some(pause);
                }
            }
        }
    }

    /// The pause before the next attempt is over.
    pub(crate) fn on_errand_pause(&mut self, errand_id: ErrandId) {
        if let Some(errand) = self.rows.errands.get_mut(&errand_id) {
            errand.pause = None;
        }
    }

    /// Gives up the errands that the home's files know no way for any more.
    pub(crate) fn fit_errands(&mut self) {
        let home = self.home;
        let lost = self.rows.errands.values().filter(|errand| !home.notifiers.knows(&errand.service));
        let lost: Vec<ErrandId> = lost.map(|errand| errand.errand_id).collect();
        for errand_id in lost {
            self.give_errand_up(errand_id, "it is no longer declared".to_owned());
        }
    }

    fn give_errand_up(&mut self, errand_id: ErrandId, text: String) {
        let Some(errand) = self.rows.errands.remove(&errand_id) else { return };
        if let Some(pause) = errand.pause {
            self.cancel_timer(pause);
        }
        self.effect(Effect::ErrandFailed { errand_id, service: errand.service, text });
    }
}
