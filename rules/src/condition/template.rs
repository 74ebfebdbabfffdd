//! `condition: template`, and a bare template in its place: it renders to `true`, in any case.

use super::Scene;
use crate::reader::Reader;
use crate::trace::Saw;
use gable_devices::yaml::{Fields, Kind, Node};
use gable_devices::{Data, Template};

/// The template that is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TemplateCondition {
    template: Template,
}

impl TemplateCondition {
    pub(super) fn read(reader: &mut Reader, fields: &mut Fields<'_>) -> Option<TemplateCondition> {
        let node = fields.require("value_template")?;
        let template = reader.template(node, &fields.path_of("value_template"))?;
        Some(TemplateCondition { template })
    }

    pub(super) fn read_shorthand(reader: &mut Reader, node: &Node, path: &str) -> Option<TemplateCondition> {
        if node.as_text().is_some_and(|text| !gable_devices::is_template(text))
            && !matches!(node.kind, Kind::Bool(_))
        {
            reader.problems.push(node.problem(path, "expected a condition or a template in `{{ }}`"));
            return None;
        }
        reader.template(node, path).map(|template| TemplateCondition { template })
    }

    pub(super) fn holds(&self, scene: &Scene<'_>) -> Result<bool, String> {
        let text = self.template.render(scene.context).map_err(|error| error.to_string())?;
        scene.saw(|| Saw::new(self.template.text(), text.as_str(), "true"));
        Ok(text.eq_ignore_ascii_case("true"))
    }
}

/// Whether a value counts as true in Python.
pub(crate) fn is_truthy(data: &Data) -> bool {
    match data.meaning() {
        Data::Null => false,
        Data::Bool(bool) => *bool,
        Data::Int(int) => *int != 0,
        Data::Float(float) => *float != 0.0,
        Data::Text(text) => !text.is_empty(),
        Data::List(list) | Data::Tuple(list) => !list.is_empty(),
        Data::Map(map) => !map.is_empty(),
        Data::Time(_) | Data::LocalTime(..) | Data::Spelled(..) => true,
    }
}

/// Whether a rendered text counts as true where Home Assistant takes more than `true` for it:
/// triggers and waits.
pub(crate) fn is_true(text: &str) -> bool {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "enable" => true,
        other => other.parse::<f64>().is_ok_and(|number| number != 0.0),
    }
}
