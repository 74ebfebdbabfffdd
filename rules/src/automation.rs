//! Automations as the files declare them.

use crate::action::Sequence;
use crate::action::variables::Variables;
use crate::condition::Condition;
use crate::guard::StormLimit;
use crate::order::WINDOW_MAX;
use crate::reader::{Reader, early};
use crate::schedule::missed::OnMissed;
use crate::span::Span;
use crate::trace::{STORED, STORED_MAX};
use crate::trigger::Trigger;
use gable_devices::yaml::{Fields, Kind, Node};
use gable_devices::{Data, EntityId, Millis, slugify};

/// How many runs an automation may have at once where it does not say (Home Assistant's number).
const MAX: usize = 10;
/// The largest `max:` taken.
const MAX_MAX: i64 = 1000;

/// One automation, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Automation {
    /// Unique in the home.
    pub(crate) id: String,
    pub(crate) entity_id: EntityId,
    /// How people call it.
    pub(crate) alias: String,
    /// What `initial_state:` says.
    pub(crate) initial_state: Option<bool>,
    /// It has no triggers, and runs when it is called.
    pub(crate) is_script: bool,
    /// Whether its templates ask for their own entity.
    pub(crate) uses_this: bool,
    pub(crate) mode: Mode,
    /// How many runs there may be at once, waiting ones included (modes `queued` and `parallel`).
    pub(crate) max: usize,
    /// `max_exceeded: silent`.
    pub(crate) is_quiet: bool,
    /// What becomes of its times that no node could keep.
    pub(crate) on_missed: OnMissed,
    /// How many runs it may start within one second; none if nobody guards it.
    pub(crate) storm_limit: Option<StormLimit>,
    /// How many of its runs leave a trace.
    pub(crate) stored_traces: u32,
    /// The window in which what happens is put in order for it (`ordered:`).
    pub(crate) ordered: Option<Millis>,
    /// What triggers may use, and runs.
    pub(crate) trigger_variables: Variables,
    pub(crate) triggers: Vec<Trigger>,
    /// What conditions and actions may use.
    pub(crate) variables: Variables,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) actions: Sequence,
    /// What the file says: an automation whose definition is the same after a reload goes on.
    pub(crate) definition: Data,
}

/// What a trigger does while an earlier run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing.
    Single,
    /// It ends that run and starts its own.
    Restart,
    /// Its run waits for its turn.
    Queued,
    /// Its run starts beside it.
    Parallel,
}

const MODES: [(&str, Mode); 4] = [
    ("single", Mode::Single),
    ("restart", Mode::Restart),
    ("queued", Mode::Queued),
    ("parallel", Mode::Parallel),
];

impl Mode {
    /// Its word in the files.
    pub(crate) fn name(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("single", |(name, _)| name)
    }
}

/// The name of an automation as the file gives it, for problems and ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Name {
    pub(crate) id: Option<String>,
    pub(crate) alias: Option<String>,
}

impl Name {
    /// Reads the name alone, which also a broken automation has.
    pub(crate) fn read(node: &Node) -> Name {
        let text = |key| node.get(key).and_then(|node| node.text(key).ok());
        Name { id: text("id"), alias: text("alias") }
    }

    /// The id that it asks for: its `id`, or its alias in the letters of an entity id.
    pub(crate) fn wanted_id(&self) -> Option<String> {
        self.id.clone().or_else(|| self.alias.as_deref().map(slugify)).filter(|id| !id.is_empty())
    }
}

/// What automations and scripts say about several runs at once.
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) max: usize,
    pub(crate) is_quiet: bool,
}

impl Options {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Options {
        let mode = fields.choice("mode", &MODES).unwrap_or(Mode::Single);
        let max = fields.integer("max");
        if max.is_some_and(|max| !(1..=MAX_MAX).contains(&max)) {
            fields.fail(format!("`max` is a number from 1 to {MAX_MAX}"));
        }
        let words = ["silent", "critical", "fatal", "error", "warning", "warn", "info", "debug"];
        let is_quiet = fields.choice("max_exceeded", &words.map(|word| (word, word == "silent")));
        let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(MAX);
        Options { mode, max, is_quiet: is_quiet.unwrap_or(false) }
    }
}

impl Automation {
    /// Reads an automation, in the spelling of 2024.10 and later or the one before.
    pub(crate) fn read(
        reader: &mut Reader,
        node: &Node,
        path: &str,
        id: String,
        entity_id: EntityId,
    ) -> Option<Automation> {
        let tags = node.unresolved_tags(path);
        if !tags.is_empty() {
            reader.problems.extend(tags);
            return None;
        }
        let mut fields = reader.fields(node, path)?;
        let alias = fields.text("alias").unwrap_or_else(|| id.clone());
        let options = Options::read(&mut fields);
        let initial_state = fields.boolean("initial_state");
        let on_missed = OnMissed::read(reader, &mut fields);
        let ordered = Span::read_window(reader, &mut fields, "ordered", WINDOW_MAX);
        let stored_traces = read_trace(reader, &mut fields);
        let storm_limit = crate::guard::read(reader, &mut fields);
        // The last one is of years ago; Home Assistant still takes it.
        fields.accept(&["id", "description", "hide_entity"]);
        let trigger_variables = Variables::read(reader, &mut fields, "trigger_variables");
        let variables = Variables::read(reader, &mut fields, "variables");
        reader.not_yet(&mut fields, &["use_blueprint"]);
        reader.early = Some(early::variables(&trigger_variables));
        let triggers = read_triggers(reader, &mut fields);
        reader.early = None;
        let conditions = match fields.get_any(&["conditions", "condition"]) {
            Some((key, node)) => Condition::read_all(reader, node, &fields.path_of(key)),
            None => Vec::new(),
        };
        let actions = match fields.get_any(&["actions", "action"]) {
            Some((key, node)) => Sequence::read(reader, node, &fields.path_of(key)),
            None => {
                fields.fail("`actions` is missing");
                Sequence::default()
            }
        };
        reader.finish(fields);
        Some(Automation {
            id,
            entity_id,
            alias,
            initial_state,
            is_script: false,
            uses_this: uses_this(node),
            mode: options.mode,
            max: options.max,
            is_quiet: options.is_quiet,
            on_missed,
            storm_limit,
            stored_traces,
            ordered,
            trigger_variables,
            triggers,
            variables,
            conditions,
            actions,
            definition: node.to_data(),
        })
    }
}

/// Whether a text in it holds the word `this`.
pub(crate) fn uses_this(node: &Node) -> bool {
    match &node.kind {
        Kind::Text(text) => text.contains("this"),
        Kind::List(items) => items.iter().any(uses_this),
        Kind::Map(entries) => entries.iter().any(|(_, node)| uses_this(node)),
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => false,
    }
}

pub(crate) fn read_trace(reader: &mut Reader, fields: &mut Fields<'_>) -> u32 {
    let path = fields.path_of("trace");
    let Some(node) = fields.get("trace") else { return STORED };
    let Some(mut trace) = reader.fields(node, &path) else { return STORED };
    let stored = trace.integer("stored_traces").map(u32::try_from);
    let stored = match stored {
        None => STORED,
        Some(Ok(stored)) if stored <= STORED_MAX => stored,
        Some(_) => {
            trace.fail(format!("`stored_traces` is a number from 0 to {STORED_MAX}"));
            STORED
        }
    };
    reader.finish(trace);
    stored
}

fn read_triggers(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<Trigger> {
    let Some((key, node)) = fields.get_any(&["triggers", "trigger"]) else {
        fields.fail("`triggers` is missing");
        return Vec::new();
    };
    let path = fields.path_of(key);
    Trigger::read_all(reader, node, &path)
}
