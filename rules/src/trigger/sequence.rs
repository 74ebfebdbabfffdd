//! `trigger: sequence`: fires when several things happen in one order.
//!
//! Gable's own: Home Assistant has no such trigger. The steps are triggers; a step `absent:` is
//! passed when its trigger does not come for a while.

use super::{Trigger, TriggerKind};
use crate::order::WINDOW_MAX;
use crate::reader::Reader;
use crate::span::Span;
use gable_devices::yaml::{Fields, Node};
use gable_devices::{Data, EntityId, Millis};

/// The most steps.
const STEPS_MAX: usize = 16;

/// How far the clocks of two nodes may differ where the file does not say.
const CLOCK_ERROR: Millis = Millis(2);

/// What has to happen, in which order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SequenceTrigger {
    pub(crate) steps: Vec<Step>,
    /// From the first step to the last.
    pub(crate) within: Option<Span>,
    /// How far the clocks of two nodes may differ: what happens closer than that is concurrent.
    pub(crate) clock_error: Millis,
    /// Whether steps that are concurrent count as being in order.
    pub(crate) takes_concurrent: bool,
    /// What the steps listen to, taken together.
    pub(super) entity_ids: Vec<EntityId>,
    pub(super) event_types: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) trigger: Trigger,
    /// The trigger must not come for so long.
    pub(crate) absent_for: Option<Span>,
}

impl SequenceTrigger {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<SequenceTrigger> {
        let ordered = Span::read_window(reader, fields, "ordered", WINDOW_MAX);
        let clock_error = Span::read_window(reader, fields, "clock_error", ordered.unwrap_or(WINDOW_MAX));
        let within = Span::read_with_unit(reader, fields, "within");
        let takes_concurrent = fields.choice("concurrent", &[("match", true), ("no_match", false)]);
        let path = fields.path_of("steps");
        let mut steps = Vec::new();
        for (n, node) in fields.require("steps")?.list_or_single().iter().enumerate() {
            let place = u32::try_from(steps.len()).unwrap_or(u32::MAX);
            let step = Step::read(reader, node, &format!("{path}[{n}]"), place)?;
            if step.trigger.is_enabled {
                steps.push(step);
            }
        }
        for step in &mut steps {
            step.trigger.ordered = ordered;
        }
        let is_absent = |step: &Step| step.absent_for.is_some();
        if steps.len() < 2 || steps.len() > STEPS_MAX {
            fields.fail(format!("a sequence has 2 to {STEPS_MAX} steps"));
        }
        if steps.first().is_some_and(is_absent) {
            fields.fail("the first step has to be something that happens; `absent` can only follow");
        }
        if within.is_none() && !steps.iter().skip(1).all(is_absent) {
            fields.fail("`within` is missing: how long may it take from the first step to the last?");
        }
        check_spans(fields, within.as_ref(), &steps);
        let entity_ids = distinct(steps.iter().flat_map(|step| step.trigger.entity_ids()));
        let event_types = distinct(steps.iter().flat_map(|step| step.trigger.event_types()));
        Some(SequenceTrigger {
            steps,
            within,
            clock_error: clock_error.unwrap_or(CLOCK_ERROR),
            takes_concurrent: takes_concurrent.unwrap_or(true),
            entity_ids,
            event_types,
        })
    }

    pub(crate) fn step(&self, place: u32) -> Option<&Step> {
        self.steps.get(usize::try_from(place).ok()?)
    }

    /// The `trigger` variable of the run to come: `steps` holds those of its steps.
    pub(crate) fn variable(&self, trigger: &Trigger, steps: Vec<Data>) -> Data {
        let is_late = steps.iter().any(|step| step.get("late") == Some(&Data::Bool(true)));
        let last = steps.last().and_then(|step| step.get("description")).and_then(Data::as_text);
        let description = format!("sequence of {} steps, last {}", steps.len(), last.unwrap_or_default());
        let own =
            [("platform", "sequence".into()), ("steps", Data::List(steps)), ("late", Data::Bool(is_late))];
        trigger.variable(description, own)
    }
}

impl Step {
    fn read(reader: &mut Reader, node: &Node, path: &str, place: u32) -> Option<Step> {
        let step = if node.get("absent").is_some() {
            Step::read_absence(reader, node, path, place)?
        } else {
            Step { trigger: Trigger::read(reader, node, path, place)?, absent_for: None }
        };
        if !may_be_step(&step.trigger.kind) {
            let message = "a step is a trigger mqtt, state, numeric_state, event or template";
            reader.problems.push(node.problem(path, message));
            return None;
        }
        Some(step)
    }

    fn read_absence(reader: &mut Reader, node: &Node, path: &str, place: u32) -> Option<Step> {
        let mut fields = reader.fields(node, path)?;
        let inner = fields.path_of("absent");
        let trigger = fields.get("absent").and_then(|node| Trigger::read(reader, node, &inner, place));
        let span = Span::read_with_unit(reader, &mut fields, "for");
        if !fields.has("for") {
            fields.fail("`for` is missing: how long must it not come?");
        }
        let (id, alias) = (fields.text("id"), fields.text("alias"));
        reader.finish(fields);
        let mut trigger = trigger?;
        trigger.id = id.unwrap_or(trigger.id);
        trigger.alias = alias.or(trigger.alias);
        Some(Step { trigger, absent_for: Some(span?) })
    }

    /// What a run sees of an absence that has lasted.
    pub(crate) fn absence(&self, span: Millis) -> Data {
        let what = self.trigger.alias.as_deref().unwrap_or(&self.trigger.id);
        let description = format!("absence of {what}");
        let own = [("platform", "absent".into()), ("for", Data::Text(crate::text::timedelta_text(span)))];
        self.trigger.variable(description, own)
    }
}

/// What no run can ever fulfil is a mistake.
fn check_spans(fields: &mut Fields<'_>, within: Option<&Span>, steps: &[Step]) {
    let Some(Span::Fixed(within)) = within else { return };
    let fixed = |step: &Step| match step.absent_for {
        Some(Span::Fixed(span)) => span.0,
        Some(Span::Rendered(_)) | None => 0,
    };
    let waited = steps.iter().map(fixed).fold(0, u64::saturating_add);
    if waited >= within.0 {
        fields.fail("`within` is not longer than the `for` of its steps together");
    }
}

fn may_be_step(kind: &TriggerKind) -> bool {
    match kind {
        TriggerKind::Mqtt(_)
        | TriggerKind::State(_)
        | TriggerKind::NumericState(_)
        | TriggerKind::Template(_)
        | TriggerKind::Event(_) => true,
        TriggerKind::Time(_)
        | TriggerKind::TimePattern(_)
        | TriggerKind::Sun(_)
        | TriggerKind::HomeAssistant(_)
        | TriggerKind::Node(_)
        | TriggerKind::Sequence(_) => false,
    }
}

fn distinct<'a, T: Clone + Ord + 'a>(items: impl Iterator<Item = &'a T>) -> Vec<T> {
    let mut all: Vec<T> = items.cloned().collect();
    all.sort();
    all.dedup();
    all
}
