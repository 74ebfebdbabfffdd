//! `scene.*`: entities are brought to states that belong together. What is there already is not told
//! again, as in Home Assistant.

use super::{Caller, Served};
use crate::action::Failure;
use crate::action::call::{Order, Request};
use crate::action::target::Chosen;
use crate::entity::{EntityState, UNAVAILABLE, UNKNOWN};
use crate::scene::{Wanted, WantedState, steps, to_wanted};
use crate::text::plain_text;
use crate::work::Work;
use gable_devices::{Data, EntityId, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many scenes `scene.create` may make. One more is refused.
const CREATED_MAX: usize = 1000;

impl Work<'_> {
    pub(super) fn serve_scene(&mut self, request: &Request, caller: Caller) -> Result<Served, Failure> {
        match request.parts().1 {
            "turn_on" => {
                let (entity_ids, strangers) = self.choose(&request.chosen, |id| id.domain() == "scene");
                self.tell_of_strangers(&strangers, &request.called);
                for entity_id in &entity_ids {
                    self.turn_scene_on(entity_id, request.number("transition"), caller)?;
                }
            }
            "apply" => {
                let wanted = read_entities(request)?;
                self.reproduce(&wanted, request.number("transition"), caller)?;
            }
            "create" => self.create_scene(request)?,
            "delete" => {
                for entity_id in &request.chosen.entity_ids {
                    if self.rows.scenes.remove(entity_id).is_none() {
                        let text = format!("{entity_id} was not made by scene.create");
                        return Err(Failure::refusal(text));
                    }
                    Arc::make_mut(&mut self.rows.entities).remove(entity_id);
                }
            }
            _ => return Err(Failure::mistake(format!("there is no service `{}`", request.called))),
        }
        Ok(Served::Done)
    }

    pub(super) fn turn_scene_on(
        &mut self,
        entity_id: &EntityId,
        transition: Option<f64>,
        caller: Caller,
    ) -> Result<(), Failure> {
        if self.declared.get(entity_id).is_some() {
            // A device keeps this one.
            let (called, service) = ("scene.turn_on".to_owned(), "turn_on".to_owned());
            let (entity_ids, strangers) = (vec![entity_id.clone()], Vec::new());
            let order = Order { called, service, entity_ids, strangers, data: BTreeMap::new() };
            return self.give_order(order, caller.run_id);
        }
        let created = self.rows.scenes.get(entity_id).cloned();
        let declared = || self.home.scene(entity_id).map(|scene| scene.wanted.clone());
        let Some(wanted) = created.or_else(declared) else {
            self.notice(entity_id.to_string(), "there is no such scene; nothing was told");
            return Ok(());
        };
        let row = self.rows.entities.get(entity_id).map(|entity| entity.value.attributes.clone());
        // The state of a scene is when it was last turned on.
        let state = plain_text(&Data::Time(self.rows.now));
        self.assign(entity_id, Value { state, attributes: row.unwrap_or_default() });
        self.reproduce(&wanted, transition, caller)
    }

    /// Brings entities to what is wanted. One that can not be brought there is passed over with a
    /// notice.
    fn reproduce(&mut self, wanted: &Wanted, transition: Option<f64>, caller: Caller) -> Result<(), Failure> {
        for (entity_id, wanted) in wanted {
            if [UNKNOWN, UNAVAILABLE].contains(&wanted.state.as_str()) {
                continue;
            }
            let context = gable_devices::Context::default();
            let Ok(view) = self.scene(&context).view(entity_id) else {
                self.notice(entity_id.to_string(), "there is no such entity; it was not told anything");
                continue;
            };
            let current = Value { state: view.state, attributes: view.attributes };
            let domain = entity_id.domain();
            match steps(domain, wanted, Some(&current), transition) {
                Err(text) => self.notice(entity_id.to_string(), text),
                Ok(steps) => {
                    for (service, data) in steps {
                        let called = format!("{domain}.{service}");
                        let request = Request { called, chosen: Chosen::default(), data, answer_to: None };
                        let chosen = (vec![entity_id.clone()], Vec::new());
                        match self.serve_on(domain, &request, chosen, caller) {
                            Err(failure) if failure.may_pass => {
                                self.notice(entity_id.to_string(), failure.text);
                            }
                            Err(failure) => return Err(failure),
                            Ok(_) => {}
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// `scene.create`: a scene of given states, and of states as they are now.
    fn create_scene(&mut self, request: &Request) -> Result<(), Failure> {
        let name = request.data.get("scene_id").map(plain_text);
        let name = name.ok_or_else(|| Failure::mistake("`scene_id` is missing"))?;
        let entity_id = format!("scene.{name}").parse::<EntityId>().map_err(Failure::mistake)?;
        if self.home.scene(&entity_id).is_some() {
            return Err(Failure::refusal(format!("{entity_id} is declared in the files")));
        }
        if self.rows.scenes.len() >= CREATED_MAX && !self.rows.scenes.contains_key(&entity_id) {
            return Err(Failure::refusal(format!("there are {CREATED_MAX} made scenes already")));
        }
        let mut wanted =
            if request.data.contains_key("entities") { read_entities(request)? } else { Wanted::new() };
        let named = match request.data.get("snapshot_entities").map(Data::meaning) {
            None | Some(Data::Null) => Vec::new(),
            Some(Data::List(items) | Data::Tuple(items)) => items.iter().map(plain_text).collect(),
            Some(one) => plain_text(one).split(',').map(|word| word.trim().to_owned()).collect(),
        };
        for name in named {
            let id = name.parse::<EntityId>().map_err(Failure::mistake)?;
            let context = gable_devices::Context::default();
            match self.scene(&context).view(&id) {
                Ok(view) => {
                    let (state, attributes) = (view.state, view.attributes);
                    wanted.insert(id, WantedState { state, attributes });
                }
                Err(_) => self.notice(id.to_string(), "there is no such entity; the scene is without it"),
            }
        }
        let members = wanted.keys().map(|id| Data::Text(id.to_string())).collect();
        let attributes = BTreeMap::from([("entity_id".to_owned(), Data::List(members))]);
        let value = Value { state: UNKNOWN.to_owned(), attributes };
        let now = self.rows.now;
        self.rows.scenes.insert(entity_id.clone(), wanted);
        Arc::make_mut(&mut self.rows.entities).insert(entity_id, EntityState::kept(now, value));
        Ok(())
    }
}

fn read_entities(request: &Request) -> Result<Wanted, Failure> {
    let Some(Data::Map(entities)) = request.data.get("entities").map(Data::meaning) else {
        return Err(Failure::mistake("`entities` is not a mapping of entities and their states"));
    };
    let read = |(name, data): (&String, &Data)| {
        let entity_id = name.to_lowercase().parse::<EntityId>().map_err(Failure::mistake)?;
        let wanted = to_wanted(data);
        let wanted =
            wanted.ok_or_else(|| Failure::mistake(format!("`{name}` of `entities` says no state")))?;
        Ok((entity_id, wanted))
    };
    entities.iter().map(read).collect()
}
