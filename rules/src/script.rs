//! `script:`: sequences that run when they are called. A script runs as an automation does that has
//! no triggers: same modes, same waits, same rows.

use crate::action::Sequence;
use crate::action::variables::Variables;
use crate::automation::{Automation, Options, read_trace, uses_this};
use crate::home::Declared;
use crate::reader::Reader;
use crate::schedule::missed::OnMissed;

/// What stands before a script's name in the id of its automation, which is its entity's id as well.
pub(crate) const SCRIPT_PREFIX: &str = "script.";

/// Reads one script.
pub(crate) fn read(reader: &mut Reader, declared: &Declared) -> Option<Automation> {
    let (node, path) = (&declared.node, &declared.path);
    let tags = node.unresolved_tags(path);
    if !tags.is_empty() {
        reader.problems.extend(tags);
        return None;
    }
    let id = format!("{SCRIPT_PREFIX}{}", declared.object_id);
    let mut fields = reader.fields(node, path)?;
    let alias = fields.text("alias").unwrap_or_else(|| declared.object_id.clone());
    let options = Options::read(&mut fields);
    // What the fields say is for whoever fills in a form.
    let stored_traces = read_trace(reader, &mut fields);
    fields.accept(&["description", "icon", "fields", "id"]);
    let variables = Variables::read(reader, &mut fields, "variables");
    reader.not_yet(&mut fields, &["use_blueprint"]);
    let actions = match fields.require("sequence") {
        Some(node) => Sequence::read(reader, node, &fields.path_of("sequence")),
        None => Sequence::default(),
    };
    let entity_id = id.parse().map_err(|error: gable_devices::EntityIdError| fields.fail(error.to_string()));
    reader.finish(fields);
    Some(Automation {
        id,
        entity_id: entity_id.ok()?,
        alias,
        ordered: None,
        initial_state: None,
        is_script: true,
        uses_this: uses_this(node),
        mode: options.mode,
        max: options.max,
        is_quiet: options.is_quiet,
        trigger_variables: Variables::default(),
        triggers: Vec::new(),
        variables,
        conditions: Vec::new(),
        actions,
        storm_limit: None,
        stored_traces,
        on_missed: OnMissed::default(),
        definition: node.to_data(),
    })
}
