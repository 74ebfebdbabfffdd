//! `choose:` and `if:`: which of several sequences comes next.

use super::{Sequence, Step};
use crate::condition::logic::all_hold;
use crate::condition::{Condition, Scene};
use crate::reader::Reader;
use gable_devices::yaml::Fields;

/// The first option whose conditions hold, or the default.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choose {
    options: Vec<(Vec<Condition>, Sequence)>,
    default: Option<Sequence>,
}

/// One sequence or another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct If {
    conditions: Vec<Condition>,
    then: Sequence,
    otherwise: Option<Sequence>,
}

impl Choose {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<Choose> {
        let path = fields.path_of("choose");
        let items = fields.get("choose").map(|node| node.list_or_single()).unwrap_or_default();
        let read_option = |reader: &mut Reader, (n, node)| {
            let mut option = reader.fields(node, &format!("{path}[{n}]"))?;
            let conditions_path = option.path_of("conditions");
            let conditions = match option.require("conditions") {
                Some(node) => Condition::read_all(reader, node, &conditions_path),
                None => Vec::new(),
            };
            let sequence = read_sequence(reader, &mut option, "sequence");
            option.accept(&["alias"]);
            reader.finish(option);
            Some((conditions, sequence?))
        };
        let options = items.iter().enumerate().filter_map(|item| read_option(reader, item)).collect();
        let default_path = fields.path_of("default");
        let default = fields.get("default").map(|node| Sequence::read(reader, node, &default_path));
        Some(Choose { options, default })
    }

    pub(crate) fn perform(&self, scene: &Scene<'_>) -> Step {
        let holds = |(n, (conditions, _)): (usize, &(Vec<Condition>, Sequence))| {
            scene.under(format_args!("choose[{n}].conditions"));
            all_hold(conditions, scene).is_ok()
        };
        let chosen = self.options.iter().enumerate().position(holds);
        match (chosen, &self.default) {
            (Some(place), _) => enter(place),
            (None, Some(_)) => enter(self.options.len()),
            (None, None) => Step::Next,
        }
    }

    /// Where the sequence of a branch stands.
    pub(super) fn branch_key(&self, number: u32) -> String {
        match usize::try_from(number) {
            Ok(number) if number < self.options.len() => format!("choose[{number}].sequence"),
            Ok(_) | Err(_) => "default".to_owned(),
        }
    }

    /// The options in their order, then the default.
    pub(super) fn branch(&self, number: u32) -> Option<&Sequence> {
        let number = usize::try_from(number).ok()?;
        match self.options.get(number) {
            Some((_, sequence)) => Some(sequence),
            None => self.default.as_ref().filter(|_| number == self.options.len()),
        }
    }
}

impl If {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<If> {
        let path = fields.path_of("if");
        let conditions = fields.get("if").map(|node| Condition::read_all(reader, node, &path));
        let then = read_sequence(reader, fields, "then");
        let else_path = fields.path_of("else");
        let otherwise = fields.get("else").map(|node| Sequence::read(reader, node, &else_path));
        Some(If { conditions: conditions.unwrap_or_default(), then: then?, otherwise })
    }

    pub(crate) fn perform(&self, scene: &Scene<'_>) -> Step {
        scene.under(format_args!("if"));
        match (all_hold(&self.conditions, scene), &self.otherwise) {
            (Ok(()), _) => Step::Enter(0),
            (Err(_), Some(_)) => Step::Enter(1),
            (Err(_), None) => Step::Next,
        }
    }

    /// `then`, `else`.
    pub(super) fn branch(&self, number: u32) -> Option<&Sequence> {
        match number {
            0 => Some(&self.then),
            1 => self.otherwise.as_ref(),
            _ => None,
        }
    }
}

fn enter(place: usize) -> Step {
    Step::Enter(u32::try_from(place).unwrap_or(u32::MAX))
}

fn read_sequence(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Option<Sequence> {
    let path = fields.path_of(key);
    let node = fields.require(key)?;
    Some(Sequence::read(reader, node, &path))
}
