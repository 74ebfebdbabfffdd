//! The entities of the home: `states('light.hall')`, `states.light.hall.state`, `is_state` and the
//! others that ask for them. What is asked for is noted, so that a template trigger knows when to
//! look again.

use super::args::{Args, is_given};
use super::compare::equal;
use super::context::to_value;
use super::home::Home;
use super::moment::Moment;
use super::operators::{contains, is_list};
use super::world::Seen;
use crate::{Data, EntityId};
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

const UNKNOWN: &str = "unknown";
const UNAVAILABLE: &str = "unavailable";

/// `states`, or `states.light`.
#[derive(Debug)]
pub(super) struct States {
    home: Arc<Home>,
    domain: Option<String>,
}

impl States {
    pub(super) fn all(home: Arc<Home>) -> States {
        States { home, domain: None }
    }
}

impl Object for States {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        match &self.domain {
            None if key.contains('.') => Some(entity_or_none(&self.home, key)),
            None => Some(Value::from_object(States {
                home: Arc::clone(&self.home),
                domain: Some(key.to_owned()),
            })),
            Some(domain) => Some(entity_or_none(&self.home, &format!("{domain}.{key}"))),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let entity_ids = match self.home.entity_ids(self.domain.as_deref()) {
            Ok(entity_ids) => entity_ids,
            Err(error) => return Enumerator::Values(vec![Value::from(error)]),
        };
        let item = |entity_id: String| Value::from_object(Entity::new(Arc::clone(&self.home), entity_id));
        Enumerator::Values(entity_ids.into_iter().map(item).collect())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call(self: &Arc<Self>, state: &mut State, args: &[Value]) -> Result<Value, Error> {
        states(state, args.first().cloned().unwrap_or_default(), Args::of(args.get(1..).unwrap_or_default())?)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.domain {
            None => f.write_str("<template AllStates>"),
            Some(domain) => write!(f, "<template DomainStates('{domain}')>"),
        }
    }
}

/// An entity that a template holds; it is looked up when the template asks something of it.
#[derive(Debug)]
pub(super) struct Entity {
    home: Arc<Home>,
    entity_id: String,
    seen: OnceLock<Seen>,
}

impl Entity {
    fn new(home: Arc<Home>, entity_id: String) -> Entity {
        Entity { home, entity_id, seen: OnceLock::new() }
    }

    fn seen(&self) -> &Seen {
        self.seen.get_or_init(|| self.home.entity(&self.entity_id).unwrap_or_default())
    }

    fn name(&self) -> String {
        match self.seen().attributes.get("friendly_name").and_then(Data::as_text) {
            Some(name) => name.to_owned(),
            None => self.object_id().replace('_', " "),
        }
    }

    fn object_id(&self) -> &str {
        self.entity_id.split_once('.').map_or("", |(_, object_id)| object_id)
    }
}

impl Object for Entity {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let time = |at| Value::from_object(Moment::utc(at));
        Some(match key.as_str()? {
            "entity_id" => Value::from(self.entity_id.as_str()),
            "domain" => Value::from(self.entity_id.split('.').next().unwrap_or_default()),
            "object_id" => Value::from(self.object_id()),
            "name" => Value::from(self.name()),
            "state" => Value::from(self.seen().state.as_str()),
            "attributes" => attributes_value(&self.seen().attributes),
            "last_changed" => time(self.seen().last_changed),
            "last_updated" | "last_reported" => time(self.seen().last_updated),
            "state_with_unit" => Value::from(with_unit(self.seen())),
            "context" => Value::from(()),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Entity>().map(|other| self.entity_id.cmp(&other.entity_id))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<template TemplateState(<state {}={}>)>", self.entity_id, self.seen().state)
    }
}

fn attributes_value(attributes: &BTreeMap<String, Data>) -> Value {
    let map: BTreeMap<String, Value> =
        attributes.iter().map(|(name, data)| (name.clone(), to_value(data))).collect();
    Value::from(map)
}

fn entity_value(home: &Arc<Home>, entity_id: &str) -> Option<Value> {
    let seen = home.entity(entity_id)?;
    let entity = Entity::new(Arc::clone(home), entity_id.to_owned());
    // It was just asked for; there is no need to ask again.
    let _first = entity.seen.set(seen);
    Some(Value::from_object(entity))
}

/// As in Home Assistant, what does not exist is none, and what is asked of that is undefined.
fn entity_or_none(home: &Arc<Home>, entity_id: &str) -> Value {
    entity_value(home, entity_id).unwrap_or(Value::from(()))
}

fn with_unit(seen: &Seen) -> String {
    let unit = seen.attributes.get("unit_of_measurement").and_then(Data::as_text);
    match unit {
        Some(unit) if seen.state != UNKNOWN && seen.state != UNAVAILABLE => format!("{} {unit}", seen.state),
        _ => seen.state.clone(),
    }
}

/// The id in an argument: a text, or an entity.
fn id_of(value: &Value) -> Option<String> {
    match value.downcast_object_ref::<Entity>() {
        Some(entity) => Some(entity.entity_id.clone()),
        None => match value.as_str() {
            Some(text) => Some(text.to_owned()),
            // `trigger.to_state` is plain data.
            None => value.get_attr("entity_id").ok()?.as_str().map(str::to_owned),
        },
    }
}

/// What is known of the entity in an argument. What can be no id is a mistake.
fn look_up(state: &State, value: &Value) -> Result<Option<Seen>, Error> {
    let entity_id = id_of(value).unwrap_or_default();
    if entity_id.parse::<EntityId>().is_err() {
        let kind = if value.is_undefined() { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation };
        let shown: String = value.to_string().chars().take(80).collect();
        return Err(Error::new(kind, format!("`{shown}` is no entity id such as light.hall")));
    }
    Ok(Home::of(state)?.entity(&entity_id))
}

/// `states(entity_id, rounded, with_unit)`.
pub(super) fn states(state: &State, entity_id: Value, args: Args) -> Result<Value, Error> {
    // Precisions for display live in Home Assistant's registry; states are given as they are.
    let [_rounded, unit] = args.take(["rounded", "with_unit"])?;
    let Some(seen) = look_up(state, &entity_id)? else { return Ok(Value::from(UNKNOWN)) };
    Ok(Value::from(if is_given(&unit) { with_unit(&seen) } else { seen.state }))
}

/// `state_translated(entity_id)`: there is one language, the states' own.
pub(super) fn state_translated(state: &State, entity_id: Value) -> Result<Value, Error> {
    Ok(look_up(state, &entity_id)?.map_or(Value::from(UNKNOWN), |seen| Value::from(seen.state)))
}

/// `is_state(entity_id, state)`: one state or a list of them.
pub(super) fn is_state(state: &State, entity_id: Value, wanted: Value) -> Result<bool, Error> {
    let Some(seen) = look_up(state, &entity_id)? else { return Ok(false) };
    let home = Home::of(state)?;
    let seen = Value::from(seen.state);
    Ok(equal(&home, &seen, &wanted)? || (is_list(&wanted) && contains(&home, &wanted, &seen)?))
}

/// `state_attr(entity_id, name)`.
pub(super) fn state_attr(state: &State, entity_id: Value, name: Value) -> Result<Value, Error> {
    let seen = look_up(state, &entity_id)?;
    let attribute = seen.as_ref().zip(name.as_str()).and_then(|(seen, name)| seen.attributes.get(name));
    Ok(attribute.map_or(Value::from(()), to_value))
}

/// `is_state_attr(entity_id, name, value)`.
pub(super) fn is_state_attr(
    state: &State,
    entity_id: Value,
    name: Value,
    wanted: Value,
) -> Result<bool, Error> {
    let attribute = state_attr(state, entity_id, name)?;
    Ok(!attribute.is_none() && equal(&*Home::of(state)?, &attribute, &wanted)?)
}

/// `has_value(entity_id)`: neither unknown nor unavailable.
pub(super) fn has_value(state: &State, entity_id: Value) -> Result<bool, Error> {
    Ok(look_up(state, &entity_id)?.is_some_and(|seen| seen.state != UNKNOWN && seen.state != UNAVAILABLE))
}

/// `expand(entities and groups)`: the entities, those of groups in their place, in order.
pub(super) fn expand(state: &State, args: Args) -> Result<Value, Error> {
    let home = Home::of(state)?;
    let (mut queue, []) = args.split([])?;
    queue.reverse();
    let mut found = BTreeSet::new();
    let mut groups = BTreeSet::new();
    while let Some(next) = queue.pop() {
        home.work(64)?;
        let Some(entity_id) = id_of(&next) else {
            if is_list(&next) {
                queue.extend(next.try_iter()?);
            }
            continue;
        };
        let Some(seen) = home.entity(&entity_id) else { continue };
        let mut members: Vec<Value> =
            home.members(super::Group::Group, &entity_id).into_iter().map(Value::from).collect();
        if entity_id.starts_with("group.") && members.is_empty() {
            members.extend(seen.attributes.get("entity_id").map(to_value));
        }
        if members.is_empty() {
            found.insert(entity_id);
        } else if groups.insert(entity_id) {
            queue.extend(members);
        }
    }
    let list: Vec<Value> = found.iter().filter_map(|entity_id| entity_value(&home, entity_id)).collect();
    home.keep(Value::from(list))
}

/// `area_entities(name)`.
pub(super) fn area_entities(state: &State, name: &str) -> Result<Value, Error> {
    let home = Home::of(state)?;
    home.keep(Value::from(home.members(super::Group::Area, name)))
}

/// `label_entities(name)`.
pub(super) fn label_entities(state: &State, name: &str) -> Result<Value, Error> {
    let home = Home::of(state)?;
    home.keep(Value::from(home.members(super::Group::Label, name)))
}
