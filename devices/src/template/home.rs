//! What goes with one rendering: the home it looks at, what it read, and how much work it may still
//! do. Functions reach it through a name that no template can spell.

use super::context::Context;
use super::states::States;
use super::world::{Reads, Seen, World};
use crate::Timestamp;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where the functions find the [`Home`]: no template can write that name.
const KEY: &str = "\0home";
/// What one rendering may handle, in bytes of text that its expressions make; an item of a list
/// counts as [`ITEM`]. More than that ends the template with an error.
const WORK: u64 = 16 << 20;
/// What an item of a list or mapping costs.
const ITEM: u64 = 32;
/// How deep lists and mappings may nest.
const DEPTH_MAX: usize = 24;
/// Most items in one value, all levels together; also bounds what comparing and printing it costs.
const ITEMS_MAX: usize = 100_000;

/// One rendering's view of the home.
#[derive(Debug)]
pub(super) struct Home {
    world: Option<Arc<dyn World>>,
    reads: Mutex<Reads>,
    work: AtomicU64,
    draws: AtomicU64,
}

impl Home {
    /// The home of the rendering that calls.
    pub(super) fn of(state: &State<'_, '_>) -> Result<Arc<Home>, Error> {
        let home = state.lookup(KEY).and_then(|value| value.downcast_object::<Home>());
        home.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "there is no home to look at"))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.note(|reads| reads.time = true);
        self.world.as_ref().map_or(Timestamp(0), |world| world.now())
    }

    /// The time, for what only depends on it loosely: the entry's time is the same for all that reads.
    pub(super) fn utc_offset(&self, at: Timestamp) -> i32 {
        self.world.as_ref().map_or(0, |world| world.utc_offset(at))
    }

    pub(super) fn to_instant(&self, local: jiff::civil::DateTime) -> Timestamp {
        let utc = || Timestamp(super::moment::micros_of(local).div_euclid(1000));
        self.world.as_ref().map_or_else(utc, |world| world.to_instant(local))
    }

    pub(super) fn entity(&self, entity_id: &str) -> Option<Seen> {
        self.note(|reads| {
            reads.entities.insert(entity_id.to_owned());
        });
        self.world.as_ref()?.entity(entity_id)
    }

    /// All entities, or those of a domain, as something that a template went through.
    pub(super) fn entity_ids(&self, domain: Option<&str>) -> Result<Vec<String>, Error> {
        self.note(|reads| match domain {
            None => reads.all = true,
            Some(domain) => {
                reads.domains.insert(domain.to_owned());
            }
        });
        let entity_ids = self.world.as_ref().map(|world| world.entity_ids(domain)).unwrap_or_default();
        self.work(entity_ids.len() as u64 * 2 * ITEM)?;
        Ok(entity_ids)
    }

    pub(super) fn members(&self, kind: super::Group, name: &str) -> Vec<String> {
        self.world.as_ref().map(|world| world.members(kind, name)).unwrap_or_default()
    }

    /// The next of the numbers that look random and are the same on every node.
    pub(super) fn draw(&self) -> u64 {
        let seed = self.world.as_ref().map_or(0, |world| world.seed());
        let count = self.draws.fetch_add(1, Ordering::Relaxed) + 1;
        // SplitMix64: any seed will do, also neighbouring ones.
        let mut bits = seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Uses up some of the work that the rendering may do.
    pub(super) fn work(&self, amount: u64) -> Result<(), Error> {
        let left = self.work.load(Ordering::Relaxed);
        match left.checked_sub(amount) {
            Some(left) => {
                self.work.store(left, Ordering::Relaxed);
                Ok(())
            }
            None => Err(ErrorKind::OutOfFuel.into()),
        }
    }

    /// Accounts for a value that was made, and refuses one that is too large or nested too deep.
    pub(super) fn keep(&self, value: Value) -> Result<Value, Error> {
        if let Some(text) = value.as_str() {
            if text.len() > super::OUTPUT_MAX {
                return Err(too_long());
            }
            self.work(text.len() as u64)?;
        } else if value.as_object().is_some() {
            let value = settled(value)?;
            let mut items = 0;
            weigh(&value, 0, &mut items)?;
            self.work(items as u64 * ITEM)?;
            return Ok(value);
        }
        Ok(value)
    }

    fn note(&self, change: impl FnOnce(&mut Reads)) {
        change(&mut self.reads.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What was read.
    pub(super) fn reads(&self) -> Reads {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Object for Home {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// An error for a text that a template may not make.
pub(super) fn too_long() -> Error {
    let limit = super::OUTPUT_MAX >> 10;
    Error::new(ErrorKind::InvalidOperation, format!("a text would become longer than {limit} kB"))
}

/// What is made anew whenever it is gone through becomes a list, once.
fn settled(value: Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Iterable || value.downcast_object_ref::<States>().is_some() {
        return Ok(value);
    }
    let items = value.try_iter()?.checked().take(ITEMS_MAX + 1).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::from(items))
}

fn weigh(value: &Value, depth: usize, items: &mut usize) -> Result<(), Error> {
    let refuse = |what: String| Err(Error::new(ErrorKind::InvalidOperation, what));
    *items += 1 + value.as_str().map_or(0, |text| text.len() / 64);
    if *items > ITEMS_MAX {
        return refuse(format!("a value would have more than {ITEMS_MAX} items"));
    }
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        return Ok(());
    }
    if depth > DEPTH_MAX {
        return refuse(format!("a value would be nested more than {DEPTH_MAX} levels deep"));
    }
    if is_namespace(value) && depth > 0 {
        return refuse("a namespace can not be put into another value".to_owned());
    }
    if value.downcast_object_ref::<States>().is_some() {
        return Ok(());
    }
    for item in value.try_iter()? {
        match value.kind() {
            ValueKind::Map => weigh(&value.get_item(&item)?, depth + 1, items)?,
            _ => weigh(&item, depth + 1, items)?,
        }
    }
    Ok(())
}

/// Whether this is what `namespace()` makes, which could otherwise come to hold itself.
pub(super) fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"))
}

/// The variables of one rendering, and beside them what is no variable.
#[derive(Debug)]
pub(super) struct Root {
    variables: Value,
    home: Value,
    states: Value,
}

impl Root {
    /// The root of a rendering and its home.
    pub(super) fn new(context: &Context) -> (Root, Arc<Home>) {
        let home = Arc::new(Home {
            world: context.world().cloned(),
            reads: Mutex::default(),
            work: AtomicU64::new(WORK),
            draws: AtomicU64::new(0),
        });
        let states = Value::from_object(States::all(Arc::clone(&home)));
        let root =
            Root { variables: context.to_value(), home: Value::from_dyn_object(Arc::clone(&home)), states };
        (root, home)
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let variable = self.variables.get_attr(key).ok().filter(|value| !value.is_undefined());
        variable.or_else(|| match key {
            KEY => Some(self.home.clone()),
            "states" => Some(self.states.clone()),
            _ => None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}
