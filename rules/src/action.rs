//! Actions: what a run does, one after the other. One kind, one file; this enum is the table of
//! contents.

pub(crate) mod branch;
pub(crate) mod call;
pub(crate) mod event;
pub(crate) mod publish;
pub(crate) mod repeat;
pub(crate) mod stop;
pub(crate) mod target;
pub(crate) mod variables;
pub(crate) mod wait;

use crate::Ended;
use crate::condition::Condition;
use crate::reader::{Reader, UnknownKind};
use crate::run::Wait;
use crate::span::Span;
use gable_devices::yaml::{Fields, Kind, Node, did_you_mean};

use branch::{Choose, If};
use call::Call;
use event::EventAction;
use publish::PublishAction;
use repeat::Repeat;
use stop::Stop;
use variables::Variables;
use wait::{WaitForTrigger, WaitTemplate};

/// Why an action was not done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) text: String,
    /// Whether `continue_on_error` may pass over it: what a device or a broker would not take, but
    /// not a mistake in the automation itself.
    pub(crate) may_pass: bool,
}

impl Failure {
    /// A mistake in the automation.
    pub(crate) fn mistake(text: impl ToString) -> Failure {
        Failure { text: text.to_string(), may_pass: false }
    }

    /// Something that was refused.
    pub(crate) fn refusal(text: impl ToString) -> Failure {
        Failure { text: text.to_string(), may_pass: true }
    }
}

/// Actions to be done in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sequence(pub(crate) Vec<Action>);

impl Sequence {
    /// The action at a place.
    pub(crate) fn at(&self, place: u32) -> Option<&Action> {
        self.0.get(usize::try_from(place).ok()?)
    }
}

/// One action.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Action {
    pub(crate) is_enabled: bool,
    pub(crate) continue_on_error: bool,
    pub(crate) kind: ActionKind,
}

/// What an action does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ActionKind {
    Publish(PublishAction),
    Call(Call),
    Delay(Span),
    Condition(Condition),
    Choose(Choose),
    If(If),
    Sequence(Sequence),
    Stop(Stop),
    Variables(Variables),
    Repeat(Repeat),
    Parallel(Vec<Sequence>),
    WaitTemplate(WaitTemplate),
    WaitForTrigger(WaitForTrigger),
    Event(EventAction),
}

/// Where a run goes after an action.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Next,
    /// Into one of the action's branches, and then on after the action.
    Enter(u32),
    /// On where its cursor stands by now.
    Stay,
    /// On when what it waits for has come.
    Wait(Wait),
    /// Out of the innermost sequence: a condition in it is false.
    Leave,
    /// Nowhere.
    End(Ended),
}

/// The keys that make a mapping an action of some kind. `alias` and the like belong to all.
const KINDS: [&str; 18] = [
    "action",
    "service",
    "delay",
    "choose",
    "if",
    "sequence",
    "stop",
    "condition",
    "and",
    "or",
    "not",
    "scene",
    "event",
    "parallel",
    "repeat",
    "variables",
    "wait_for_trigger",
    "wait_template",
];
const KINDS_NOT_YET: [&str; 2] = ["device_id", "set_conversation_response"];

impl Sequence {
    /// Reads a list of actions, or a single one.
    pub(crate) fn read(reader: &mut Reader, node: &Node, path: &str) -> Sequence {
        let is_list = node.as_list().is_some();
        let item_path = |n: usize| if is_list { format!("{path}[{n}]") } else { path.to_owned() };
        let items = node.list_or_single().iter().enumerate();
        Sequence(items.filter_map(|(n, item)| Action::read(reader, item, &item_path(n))).collect())
    }
}

impl Action {
    fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<Action> {
        if matches!(node.kind, Kind::Text(_)) {
            let kind = ActionKind::Condition(Condition::read(reader, node, path)?);
            return Some(Action { is_enabled: true, continue_on_error: false, kind });
        }
        let mut fields = reader.fields(node, path)?;
        let unsupported_before = reader.unsupported.len();
        let kind = read_kind(reader, &mut fields);
        let is_enabled = reader.is_enabled(&mut fields);
        if !is_enabled {
            reader.forget_unsupported(unsupported_before);
        }
        let kind = kind.ok()?;
        let continue_on_error = fields.boolean("continue_on_error").unwrap_or(false);
        fields.accept(&["alias", "metadata"]);
        reader.finish(fields);
        Some(Action { is_enabled, continue_on_error, kind: kind? })
    }

    /// Where the sequence of a branch stands: `then`, `choose[1].sequence`.
    pub(crate) fn branch_key(&self, number: u32) -> String {
        match &self.kind {
            ActionKind::Choose(choose) => choose.branch_key(number),
            ActionKind::If(_) => if number == 0 { "then" } else { "else" }.to_owned(),
            ActionKind::Repeat(_) => "repeat.sequence".to_owned(),
            ActionKind::Parallel(_) => format!("parallel[{number}]"),
            ActionKind::Sequence(_) => "sequence".to_owned(),
            kind => kind.word().to_owned(),
        }
    }

    /// The actions behind one of its branches.
    pub(crate) fn branch(&self, number: u32) -> Option<&Sequence> {
        match &self.kind {
            ActionKind::Choose(choose) => choose.branch(number),
            ActionKind::If(action) => action.branch(number),
            ActionKind::Sequence(sequence) => (number == 0).then_some(sequence),
            ActionKind::Repeat(repeat) => repeat.branch(number),
            ActionKind::Parallel(branches) => branches.get(usize::try_from(number).ok()?),
            ActionKind::Publish(_)
            | ActionKind::Call(_)
            | ActionKind::Delay(_)
            | ActionKind::Condition(_)
            | ActionKind::Stop(_)
            | ActionKind::Variables(_)
            | ActionKind::WaitTemplate(_)
            | ActionKind::WaitForTrigger(_)
            | ActionKind::Event(_) => None,
        }
    }
}

impl ActionKind {
    /// Its name, as files say it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            ActionKind::Publish(_) => "mqtt.publish",
            ActionKind::Call(_) => "action",
            ActionKind::Delay(_) => "delay",
            ActionKind::Condition(condition) => condition.word(),
            ActionKind::Choose(_) => "choose",
            ActionKind::If(_) => "if",
            ActionKind::Sequence(_) => "sequence",
            ActionKind::Stop(_) => "stop",
            ActionKind::Variables(_) => "variables",
            ActionKind::Repeat(_) => "repeat",
            ActionKind::Parallel(_) => "parallel",
            ActionKind::WaitTemplate(_) => "wait_template",
            ActionKind::WaitForTrigger(_) => "wait_for_trigger",
            ActionKind::Event(_) => "event",
        }
    }
}

/// Reads what belongs to the kind; an error if there is none, so that its keys mean nothing.
fn read_kind(reader: &mut Reader, fields: &mut Fields<'_>) -> Result<Option<ActionKind>, UnknownKind> {
    let has = |key| fields.has(key);
    Ok(if has("action") || has("service") || has("service_template") {
        call::read(reader, fields)
    } else if has("delay") {
        Span::read(reader, fields, "delay").map(ActionKind::Delay)
    } else if has("choose") {
        Choose::read(reader, fields).map(ActionKind::Choose)
    } else if has("if") {
        If::read(reader, fields).map(ActionKind::If)
    } else if has("sequence") {
        let path = fields.path_of("sequence");
        fields.get("sequence").map(|node| ActionKind::Sequence(Sequence::read(reader, node, &path)))
    } else if has("repeat") {
        Repeat::read(reader, fields).map(ActionKind::Repeat)
    } else if has("parallel") {
        read_parallel(reader, fields).map(ActionKind::Parallel)
    } else if has("wait_template") {
        WaitTemplate::read(reader, fields).map(ActionKind::WaitTemplate)
    } else if has("wait_for_trigger") {
        WaitForTrigger::read(reader, fields).map(ActionKind::WaitForTrigger)
    } else if has("variables") {
        Some(ActionKind::Variables(Variables::read(reader, fields, "variables")))
    } else if has("event") {
        EventAction::read(reader, fields).map(ActionKind::Event)
    } else if has("scene") {
        call::read_scene(reader, fields)
    } else if has("stop") {
        Stop::read(reader, fields).map(ActionKind::Stop)
    } else if has("condition") || has("and") || has("or") || has("not") {
        crate::condition::read_kind(reader, fields)?.map(ActionKind::Condition)
    } else {
        return Err(report_unknown(reader, fields));
    })
}

/// Each item is a branch: one action, a list of them, or a mapping with `sequence:`.
fn read_parallel(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Vec<Sequence>> {
    let path = fields.path_of("parallel");
    let items = fields.require("parallel")?.list_or_single();
    let item = |(n, node): (usize, &Node)| Sequence::read(reader, node, &format!("{path}[{n}]"));
    Some(items.iter().enumerate().map(item).collect())
}

fn report_unknown(reader: &mut Reader, fields: &Fields<'_>) -> UnknownKind {
    let node = fields.node();
    if let Some(key) = KINDS_NOT_YET.iter().find(|key| fields.has(key)) {
        reader.unsupported(node, fields.path(), "action", key);
        return UnknownKind;
    }
    let keys = node.as_map().unwrap_or_default().iter().map(|(key, _)| key.text.as_str());
    let mut problem = node.problem(fields.path(), "says no kind: expected `action:`, `delay:` or the like");
    problem.hint = keys.flat_map(|key| did_you_mean(key, KINDS)).next().map(str::to_owned);
    reader.problems.push(problem);
    UnknownKind
}
