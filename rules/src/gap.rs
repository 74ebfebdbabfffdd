//! `for_gap:`: how long an entity may be `unavailable` or `unknown` without a trigger with `for:`
//! taking notice.
//!
//! Within that time the entity counts as being what it was: the `for:` neither ends nor fires, and
//! what the entity comes back with is held against what it was before. A `for:` that would have passed
//! meanwhile fires then. At the end of the time the entity counts as away, as it does at once without
//! `for_gap:` and in Home Assistant.

use crate::react::Candidate;
use crate::reader::Reader;
use crate::span::Span;
use crate::timer::{Purpose, Slot, TriggerFor, TriggerKey};
use crate::trigger::{Change, TriggerKind};
use crate::view::View;
use crate::work::Work;
use gable_devices::Timestamp;
use gable_devices::yaml::Fields;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// An entity that is away, as a trigger with `for_gap:` remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForGap {
    pub key: TriggerKey,
    /// What it was.
    before: View,
    /// The `for:` that was running, and its deadline.
    hold: Option<(Timestamp, TriggerFor)>,
}

/// Reads `for` and `for_gap`.
pub(crate) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> (Option<Span>, Option<Span>) {
    let hold = Span::read(reader, fields, "for").filter(|hold| !hold.is_zero());
    let gap = Span::read_with_unit(reader, fields, "for_gap").filter(|gap| !gap.is_zero());
    if gap.is_some() && !fields.has("for") {
        fields.fail("`for_gap` needs `for`");
    }
    (hold, gap)
}

impl<'s> Work<'s> {
    /// A change as a trigger sees it; none if it does not see it. `is_value` says whether what the
    /// entity has become counts for it.
    pub(crate) fn bridge_gap<'c>(
        &mut self,
        candidate: &Candidate<'s>,
        gap: Option<&Span>,
        is_value: bool,
        change: &'c Change,
    ) -> Option<Cow<'c, Change>> {
        let Some(gap) = gap else { return Some(Cow::Borrowed(change)) };
        let key =
            TriggerKey { listener: candidate.listener.clone(), entity_id: Some(change.entity_id.clone()) };
        let slot = Slot::ForGap(key.clone());
        let open = self.rows.timers.in_slot(&slot).map(|(_, timer)| timer.purpose.clone());
        match open {
            Some(Purpose::ForGap(open)) if is_value => {
                self.cancel_slot(&slot);
                if let Some((deadline, row)) = open.hold {
                    self.set_timer(deadline, Purpose::TriggerFor(row));
                }
                let is_same =
                    open.before.state == change.to.state && open.before.attributes == change.to.attributes;
                let from = open.before;
                (!is_same).then(|| Cow::Owned(Change { from, ..change.clone() }))
            }
            Some(_) => None,
            None if is_value || change.from.is_away() => Some(Cow::Borrowed(change)),
            None => self.open_gap(candidate, gap, key, change),
        }
    }

    fn open_gap<'c>(
        &mut self,
        candidate: &Candidate<'s>,
        gap: &Span,
        key: TriggerKey,
        change: &'c Change,
    ) -> Option<Cow<'c, Change>> {
        let span = match gap.render(&self.base_context(candidate)) {
            Ok(span) => span,
            Err(error) => {
                let text = format!("its `for_gap` is wrong: {error}");
                self.notice(candidate.automation.id.as_str(), text);
                return Some(Cow::Borrowed(change));
            }
        };
        let running = self.rows.timers.in_slot(&Slot::Trigger(key.clone()));
        let hold = running.and_then(|(_, timer)| match &timer.purpose {
            Purpose::TriggerFor(row) => Some((timer.deadline, row.clone())),
            _ => None,
        });
        self.cancel_slot(&Slot::Trigger(key.clone()));
        let row = ForGap { key, before: change.from.clone(), hold };
        self.set_timer(self.now().after(span), Purpose::ForGap(Box::new(row)));
        None
    }

    /// The entity stayed away for too long. The next number inside its range fires a numeric trigger.
    pub(crate) fn on_gap_over(&mut self, gap: ForGap) {
        let is_numeric =
            |candidate: Candidate<'_>| matches!(candidate.trigger.kind, TriggerKind::NumericState(_));
        if self.candidate(&gap.key.listener).is_some_and(is_numeric) {
            self.rows.armed.insert(gap.key);
        }
    }
}
