//! The applied state and everything that hangs on it: readers, listeners, waiters.

use super::relay::Relayed;
use super::settings::RuleCache;
use super::types::{Batch, Outcome};
use super::window::Window;
use crate::clock::Clock;
use gable_rules::broker::Output;
use gable_rules::{Effect, Input, LogIndex, Refusal, State};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use tokio::sync::{broadcast, watch};

/// How many applied entries a slow listener may lag before it loses some and is told so.
const LISTENERS_LAG_MAX: usize = 4096;

/// An entry that was applied on this node.
#[derive(Debug)]
pub struct Applied {
    pub index: LogIndex,
    batch: Batch,
    effects: Vec<Vec<Effect>>,
}

impl Applied {
    pub(super) fn new(index: LogIndex, batch: Batch, effects: Vec<Vec<Effect>>) -> Applied {
        Applied { index, batch, effects }
    }

    /// Returns the entry's inputs with what followed from each, in their order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = (&Input, &[Effect])> {
        self.batch.inputs().iter().zip(self.effects.iter().map(Vec::as_slice))
    }

    pub(super) fn effects(&self) -> &[Vec<Effect>] {
        &self.effects
    }

    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }
}

/// Takes what inputs mean for MQTT connections, at once and in their order, while the state stands
/// still. It may not wait for anything.
pub trait Audience: std::fmt::Debug + Send + Sync {
    /// An input was applied.
    fn take(&self, outputs: Vec<Output>, state: &State);

    /// Another node sent a message that goes by no log.
    fn relayed(&self, relayed: &Relayed, state: &State);

    /// The state was taken over from a snapshot: inputs went by that were never told.
    fn restored(&self, state: &State);
}

/// The home as of the last applied entry.
#[derive(Debug)]
pub(super) struct Home {
    audience: OnceLock<Arc<dyn Audience>>,
    cache: RuleCache,
    state: RwLock<State>,
    applied: watch::Sender<LogIndex>,
    listeners: broadcast::Sender<Arc<Applied>>,
    restored: watch::Sender<LogIndex>,
    pub(super) window: Arc<Window>,
    pub(super) clock: Clock,
}

impl Home {
    pub(super) fn new(cache: RuleCache, window: Arc<Window>, clock: Clock) -> Home {
        let mut state = State::new();
        state.set_cache(cache.policy, cache.capacity);
        Home {
            audience: OnceLock::new(),
            cache,
            state: RwLock::new(state),
            applied: watch::Sender::new(LogIndex::default()),
            listeners: broadcast::Sender::new(LISTENERS_LAG_MAX),
            restored: watch::Sender::new(LogIndex::default()),
            window,
            clock,
        }
    }

    /// Says who takes the outputs from now on. There is one at most.
    pub(super) fn set_audience(&self, audience: Arc<dyn Audience>) {
        // A second one has nothing to hear.
        let _ = self.audience.set(audience);
    }

    /// Hands a message of another node on.
    pub(super) fn relayed(&self, relayed: &Relayed) {
        if let Some(audience) = self.audience.get() {
            self.read(|state| audience.relayed(relayed, state));
        }
    }

    /// Reads the state. The lock is held meanwhile, and applying waits for it.
    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn applied(&self) -> watch::Receiver<LogIndex> {
        self.applied.subscribe()
    }

    pub(super) fn applied_index(&self) -> LogIndex {
        *self.applied.borrow()
    }

    /// Tells when the state was taken over from a snapshot.
    pub(super) fn restored(&self) -> watch::Receiver<LogIndex> {
        self.restored.subscribe()
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Applied>> {
        self.listeners.subscribe()
    }

    /// Applies the inputs of one entry.
    pub(super) fn apply(&self, index: LogIndex, batch: Batch) -> (Arc<Applied>, Vec<Outcome>) {
        let effects: Vec<_> = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let apply = |input| {
                let effects = state.apply(index, input);
                let outputs = state.take_outputs();
                if let Some(audience) = self.audience.get()
                    && !outputs.is_empty()
                {
                    audience.take(outputs, &state);
                }
                effects
            };
            batch.inputs().iter().map(apply).collect()
        };
        let outcomes: Vec<_> = effects.iter().map(|effects| outcome_of(effects)).collect();
        self.meet_stamps(&batch);
        let applied = Arc::new(Applied::new(index, batch, effects));
        // Here and not with the others: the audience has been told, and its clients may be answered
        // before the history has it.
        #[cfg(feature = "simulation")]
        crate::simulation::tell(self.window.node(), || crate::simulation::Sight::Applied {
            applied: applied.clone(),
            hash: self.read(State::hash),
        });
        (applied, outcomes)
    }

    /// Tells everybody that an entry is applied.
    pub(super) fn announce(&self, applied: Arc<Applied>, outcomes: &[Outcome]) {
        self.window.settle(applied.index, applied.batch(), outcomes);
        self.applied.send_replace(applied.index);
        // It fails when nobody listens.
        let _ = self.listeners.send(applied);
    }

    /// Tells everybody that an entry without inputs is applied.
    pub(super) fn announce_index(&self, index: LogIndex) {
        self.applied.send_replace(index);
    }

    /// Replaces the state by a snapshot's.
    pub(super) fn install(&self, index: LogIndex, mut state: State) {
        state.set_cache(self.cache.policy, self.cache.capacity);
        let seen = state.last_origin(self.window.node());
        let now = state.now();
        {
            let mut current = self.state.write().unwrap_or_else(PoisonError::into_inner);
            *current = state;
            if let Some(audience) = self.audience.get() {
                audience.restored(&current);
            }
        }
        self.clock.applied(now);
        #[cfg(feature = "simulation")]
        crate::simulation::tell(self.window.node(), || crate::simulation::Sight::Installed {
            index,
            hash: self.read(State::hash),
        });
        if let Some(origin) = seen {
            self.window.settle_by_snapshot(index, origin.boot, origin.sequence);
        }
        self.applied.send_replace(index);
        self.restored.send_replace(index);
    }

    fn meet_stamps(&self, batch: &Batch) {
        let stamps = batch.inputs().iter().map(|input| (input.at, input.heard));
        if let Some((at, heard)) = stamps.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))) {
            self.clock.applied(at);
            self.clock.meet(heard);
        }
    }
}

fn outcome_of(effects: &[Effect]) -> Outcome {
    let Some(Effect::Refused(refusal)) = effects.first() else {
        return Outcome::Applied;
    };
    match refusal {
        Refusal::Duplicate(_) | Refusal::AlreadyHeard => Outcome::Duplicate,
        Refusal::Gap { expected, .. } => Outcome::Gap { expected: *expected },
        Refusal::Stale => Outcome::Refused("it was settled before, or is not due yet".to_owned()),
        Refusal::Invalid(text) => Outcome::Refused(text.clone()),
    }
}
