//! From files to sections: what stands under `mqtt:`, and each automation with its path.

use super::Problem;
use crate::SourceFile;
use gable_devices::yaml::{self, Kind, Node};

/// The sections of all files, in their order.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) mqtt: Vec<Node>,
    pub(super) automations: Vec<(Node, String)>,
}

/// Reads the files. Each is a mapping of sections, or a bare list of automations.
pub(super) fn read(sources: &[SourceFile], problems: &mut Vec<Problem>) -> Sections {
    let mut sections = Sections::default();
    for source in sources {
        match yaml::parse(&source.name, &source.text) {
            Ok(node) => problems.extend(take_file(&mut sections, node).into_iter().map(Problem::error)),
            Err(problem) => problems.push(Problem::error(problem)),
        }
    }
    sections
}

fn take_file(sections: &mut Sections, node: Node) -> Vec<yaml::Problem> {
    let mut problems = Vec::new();
    match node.kind {
        _ if node.tag.is_some() => problems.extend(node.unresolved_tags("")),
        Kind::Null => {}
        Kind::List(items) => take_automations(sections, items, "automation"),
        Kind::Map(entries) => {
            for (key, value) in entries {
                match key.text.as_str() {
                    "mqtt" => sections.mqtt.push(value),
                    section if is_automation(section) => match value.kind {
                        _ if value.tag.is_some() => problems.extend(value.unresolved_tags(section)),
                        Kind::List(items) => take_automations(sections, items, section),
                        Kind::Null => {}
                        _ => sections.automations.push((value, section.to_owned())),
                    },
                    section => problems.push(
                        yaml::Problem {
                            location: Some(key.location.clone()),
                            path: String::new(),
                            message: format!("unknown section `{section}`"),
                            hint: None,
                        }
                        .meant(section, ["mqtt", "automation"]),
                    ),
                }
            }
        }
        _ => problems.push(node.problem("", "expected sections such as `mqtt:`, or a list of automations")),
    }
    problems
}

/// `automation:`, or `automation NAME:`, of which a file may have several.
fn is_automation(section: &str) -> bool {
    section == "automation" || section.strip_prefix("automation ").is_some_and(|name| !name.trim().is_empty())
}

fn take_automations(sections: &mut Sections, items: Vec<Node>, section: &str) {
    let items = items.into_iter().enumerate();
    sections.automations.extend(items.map(|(n, item)| (item, format!("{section}[{n}]"))));
}
