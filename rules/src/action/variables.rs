//! `variables:`: values for the rest of the run, each of which may build on those before it.

use super::Failure;
use crate::reader::Reader;
use crate::text::DataText;
use gable_devices::Context;
use gable_devices::yaml::{Fields, Node, join};

/// The variables in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Variables(Vec<(String, DataText)>);

impl Variables {
    /// Reads the mapping at `key`; no variables if there is none.
    pub(crate) fn read(reader: &mut Reader, fields: &mut Fields<'_>, key: &'static str) -> Variables {
        let path = fields.path_of(key);
        fields.get(key).map(|node| Variables::read_node(reader, node, &path)).unwrap_or_default()
    }

    pub(crate) fn read_node(reader: &mut Reader, node: &Node, path: &str) -> Variables {
        let entries = reader.keep(node.expect_map(path)).unwrap_or_default();
        let read = |(key, value): &(gable_devices::yaml::Key, Node)| {
            Some((key.text.clone(), DataText::read(reader, value, &join(path, &key.text))?))
        };
        Variables(entries.iter().filter_map(read).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &DataText)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Adds those that are not there yet: what an automation or a script declares stands back behind
    /// what it is given.
    pub(crate) fn add_missing_to(&self, context: &mut Context) -> Result<(), Failure> {
        for (name, value) in &self.0 {
            if !context.variables().contains_key(name) {
                let value = value.render(context).map_err(Failure::mistake)?;
                context.set(name.as_str(), value);
            }
        }
        Ok(())
    }

    /// Adds them to what a run knows.
    pub(crate) fn add_to(&self, context: &mut Context) -> Result<(), Failure> {
        for (name, value) in &self.0 {
            let value = value.render(context).map_err(Failure::mistake)?;
            context.set(name.as_str(), value);
        }
        Ok(())
    }
}
