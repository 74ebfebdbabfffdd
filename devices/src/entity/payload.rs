//! One message's payload, decoded once for all entities that listen to its topic.

use super::{Entity, Fault};
use crate::{Context, Data, Template, TemplateError, World};
use std::cell::OnceCell;
use std::sync::Arc;

/// A payload and the forms of it that someone asked for.
pub(crate) struct Payload<'p> {
    bytes: &'p [u8],
    world: Option<Arc<dyn World>>,
    text: OnceCell<Option<&'p str>>,
    context: OnceCell<Context>,
    /// Whose templates are rendered, and what those see that ask about it.
    entity: Option<&'p Entity>,
    about: OnceCell<Context>,
}

impl<'p> Payload<'p> {
    /// A payload, and the home that templates see beside it.
    pub(crate) fn new(bytes: &'p [u8], world: Option<Arc<dyn World>>) -> Payload<'p> {
        let (context, about) = (OnceCell::new(), OnceCell::new());
        Payload { bytes, world, text: OnceCell::new(), context, entity: None, about }
    }

    /// From here on the templates of this entity are rendered.
    pub(crate) fn turn_to(&mut self, entity: &'p Entity) {
        self.entity = Some(entity);
        self.about = OnceCell::new();
    }

    /// The payload as text.
    pub(crate) fn text(&self) -> Result<&'p str, Fault> {
        self.text.get_or_init(|| std::str::from_utf8(self.bytes).ok()).ok_or(Fault::NotText)
    }

    /// The payload as JSON.
    pub(crate) fn json(&self) -> Result<&Data, Fault> {
        self.context()?.variables().get("value_json").ok_or(Fault::NotJson)
    }

    /// What a value template makes of the payload, or the payload itself; none if the message says
    /// nothing here: a partial update without the template's key, or an empty text.
    pub(crate) fn render(&self, template: Option<&Template>) -> Result<Option<String>, Fault> {
        let text = self.text()?;
        let rendered = match template {
            None => text.to_owned(),
            Some(template) => match template.render(self.context_of(template)?) {
                Ok(rendered) => rendered,
                Err(TemplateError::Undefined(_)) if text.trim().is_empty() || self.json().is_ok() => {
                    return Ok(None);
                }
                Err(TemplateError::Undefined(_)) => return Err(Fault::NotJson),
                Err(error) => return Err(Fault::Template(error)),
            },
        };
        Ok(Some(rendered).filter(|rendered| !rendered.trim().is_empty()))
    }

    /// What a template sees. Few ask about their entity; the others spare themselves a copy.
    fn context_of(&self, template: &Template) -> Result<&Context, Fault> {
        let context = self.context()?;
        let Some(entity) = self.entity.filter(|_| template.asks_about_its_entity()) else {
            return Ok(context);
        };
        Ok(self.about.get_or_init(|| {
            let mut context = context.clone();
            let seen = self.world.as_ref().and_then(|world| world.entity(entity.id.as_str()));
            if let Some(seen) = seen {
                context.set("this", seen.into_data(&entity.id));
            }
            context.set("entity_id", entity.id.as_str().into());
            context.set("name", entity.own_name().map(Data::from).unwrap_or_default());
            context
        }))
    }

    /// Home Assistant's `value` and, if the payload is JSON, `value_json`.
    fn context(&self) -> Result<&Context, Fault> {
        let text = self.text()?;
        Ok(self.context.get_or_init(|| {
            let mut context = Context::new([("value", Data::from(text))]);
            context.set_world(self.world.clone());
            if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
                context.set("value_json", json.into());
            }
            context
        }))
    }
}
