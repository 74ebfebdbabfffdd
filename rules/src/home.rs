//! The home's files, compiled: entities, automations, and what is wrong with either.
//!
//! Entities stand apart from the rest, since devices may announce more of them at any time.
//!
//! Compiling is a pure function of the files, so replicas need to agree on the files only.

mod areas;
mod blueprint;
mod confidential;
mod files;
mod include;
mod kept;
mod place;
mod references;
mod routes;
mod secrets;
mod sections;
mod sources;
mod windows;

use crate::automation::{Automation, Name};
use crate::helper::Helper;
use crate::notifier::Notifiers;
use crate::reader::{Mention, Reader};
use crate::scene::Scene;
use crate::script::{self, SCRIPT_PREFIX};
use crate::service::Known;
use crate::sun::SUN;
use crate::{DeclaredPlace, SourceFile};
use gable_devices::yaml::{self, Node, did_you_mean};
use gable_devices::{Entities, EntityId, slugify};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use areas::Areas;
pub use confidential::Confidential;
use include::Tags;
use kept::Kept;
pub use references::{Reference, references};
pub(crate) use routes::{Routes, TriggerRef};
use secrets::Redaction;
pub(crate) use sections::Declared;
use sections::{Instances, Sections};
use sources::Loaded;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What it stands in is out of use until it is mended.
    Error,
    /// Probably not what was meant; it is in use.
    Warning,
    /// Sound, and nothing that Gable can run: the automation it stands in is out of use.
    Unsupported,
    /// Sound, and left alone: what belongs to other integrations of Home Assistant.
    Info,
}

/// Something that Gable does not run, by kind: for counting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// `trigger`, `condition`, `action`, `service`, `key`, `section`, ...
    pub what: &'static str,
    /// Which: `device`, `tts.speak`, ...
    pub word: String,
    /// How often it stands there.
    pub count: usize,
}

/// One thing that is wrong in the home's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// The automation that it concerns.
    pub automation: Option<String>,
    /// What is missing, if that is all that is wrong.
    pub missing: Option<Missing>,
    /// The place, what is wrong there, and what was perhaps meant.
    pub what: yaml::Problem,
}

/// What is to be said about a home's files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub entities: usize,
    /// The automations that run.
    pub automations: usize,
    /// The automations that are out of use for what Gable does not run.
    pub unsupported: usize,
    /// The automations that are broken.
    pub broken: usize,
    pub blueprints: usize,
    /// The time zone that the files name and where, since only others know which zones there are.
    pub time_zone: Option<(String, yaml::Location)>,
    /// In the order of the files.
    pub problems: Vec<Problem>,
}

/// How many unknown entities get a hint.
const HINTS_MAX: u32 = 50;

/// Compiles the files only to say what is wrong with them.
pub fn check(sources: &[SourceFile]) -> Report {
    let (home, entities) = Home::compile(sources);
    Report {
        entities: entities.len(),
        automations: home.automations.iter().filter(|automation| !automation.is_script).count(),
        unsupported: home.unsupported.len(),
        broken: home.broken.len(),
        blueprints: home.blueprints,
        time_zone: home.time_zone,
        problems: home.problems,
    }
}

/// The home's files in the form in which they run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Home {
    /// Those that are sound, in the order of the files.
    pub(crate) automations: Vec<Automation>,
    by_id: BTreeMap<String, usize>,
    /// The entities of automations and scripts.
    by_entity_id: BTreeMap<EntityId, usize>,
    /// The object ids of automations given so far, broken ones included.
    object_ids: BTreeSet<String>,
    pub(crate) kept: Kept,
    pub(crate) areas: Areas,
    pub(crate) notifiers: Notifiers,
    scenes: BTreeMap<EntityId, Scene>,
    known: Arc<Known>,
    /// The entities that automations name, checked when all are known.
    mentions: Vec<(String, Mention)>,
    /// The ids given so far, broken automations included, each with the last number that was tried
    /// behind it for another automation of that name.
    ids: BTreeMap<String, u32>,
    /// How many more hints may be looked for; each costs a comparison with every entity.
    hints_left: u32,
    /// The ids of those that are not.
    pub(crate) broken: Vec<String>,
    /// The ids of those that are sound and hold something that Gable does not run.
    pub(crate) unsupported: Vec<String>,
    pub(crate) blueprints: usize,
    /// Keeps secrets out of what people are shown.
    pub(crate) redaction: Redaction,
    /// What is hidden in all that is shown of the running home.
    pub(crate) confidential: Confidential,
    pub(crate) problems: Vec<Problem>,
    pub(crate) routes: Routes,
    /// What the files say about where the home is.
    pub(crate) place: DeclaredPlace,
    time_zone: Option<(String, yaml::Location)>,
}

impl Home {
    /// Compiles the files. What is broken is left out and reported.
    pub(crate) fn compile(sources: &[SourceFile]) -> (Home, Entities) {
        let mut home = Home { hints_left: HINTS_MAX, ..Home::default() };
        let Loaded { mut sections, blueprints, tags, redaction } = sources::read(sources);
        home.problems.append(&mut sections.problems);
        home.blueprints = blueprints.len();
        home.redaction = redaction;
        let (mut entities, problems) = Entities::from_nodes(&sections.mqtt);
        home.problems.extend(problems.into_iter().map(Problem::error));
        (home.place, home.time_zone) = place::read(&sections.homeassistant, &mut home.problems);
        home.add_own(&sections);
        home.confidential = home.find_confidential(&entities);
        for (node, path) in &sections.automations {
            home.add_automation(node, path, &sections.instances);
        }
        home.warn_of_strangers(&entities);
        home.routes = Routes::new(&home.automations);
        for automation in &home.automations {
            let triggers = automation.triggers.iter().chain(windows::awaited(automation));
            triggers.flat_map(|trigger| trigger.topic_filters()).for_each(|filter| entities.listen(filter));
        }
        home.finish_problems(sources, &tags);
        (home, entities)
    }

    /// What is secret by the files. Programs need ids and the time zone as they are, and neither lets
    /// anybody in.
    fn find_confidential(&self, entities: &Entities) -> Confidential {
        let is_id = |text: &str| text.parse().is_ok_and(|id| self.knows(entities, &id));
        let is_needed = |text: &str| self.place.time_zone.as_deref() == Some(text) || is_id(text);
        let used = self.redaction.used().filter(|(value, _)| !is_needed(value));
        Confidential::new(used.chain(self.notifiers.secrets()))
    }

    /// Explains tags, keeps secrets out, and puts the problems into the order of the files.
    fn finish_problems(&mut self, sources: &[SourceFile], tags: &Tags) {
        tags.explain(&mut self.problems);
        for problem in &mut self.problems {
            self.redaction.apply_to(&mut problem.what);
        }
        let places: BTreeMap<&str, usize> =
            sources.iter().enumerate().map(|(n, source)| (source.name.as_str(), n)).collect();
        let place = |problem: &Problem| {
            let location = problem.what.location.as_ref();
            location.map(|at| (places.get(&*at.file).copied(), at.line, at.column))
        };
        self.problems.sort_by_key(place);
    }

    /// The automation of this id, if it is sound.
    pub(crate) fn automation(&self, id: &str) -> Option<&Automation> {
        self.by_id.get(id).and_then(|place| self.automations.get(*place))
    }

    fn add_automation(&mut self, node: &Node, path: &str, instances: &Instances) {
        let name = Name::read(node);
        let (id, duplicate) = self.choose_id(node, path, &name);
        let mut reader = self.reader();
        reader.problems.extend(duplicate);
        let entity_id = self.choose_entity_id(&id, &name);
        let automation =
            entity_id.and_then(|entity_id| Automation::read(&mut reader, node, path, id.clone(), entity_id));
        self.take_automation(id, node, automation, reader, instances);
    }

    /// Takes an automation or a script over, with what was wrong in it.
    fn take_automation(
        &mut self,
        id: String,
        node: &Node,
        automation: Option<Automation>,
        reader: Reader,
        instances: &Instances,
    ) {
        self.mentions.extend(reader.mentions.into_iter().map(|mention| (id.clone(), mention)));
        let (is_sound, is_supported) = (reader.problems.is_empty(), reader.unsupported.is_empty());
        let warnings = reader.warnings.into_iter().map(|what| Problem::with(Severity::Warning, what));
        let errors = reader.problems.into_iter().map(Problem::error);
        let unsupported = reader.unsupported.into_iter().map(|(missing, what)| Problem {
            missing: Some(missing),
            ..Problem::with(Severity::Unsupported, what)
        });
        self.problems.extend(errors.chain(unsupported).chain(warnings).map(|mut problem| {
            instances.relocate(node, &mut problem.what);
            Problem { automation: Some(id.clone()), ..problem }
        }));
        match automation {
            Some(automation) if is_sound && is_supported => {
                self.by_id.insert(id, self.automations.len());
                self.by_entity_id.insert(automation.entity_id.clone(), self.automations.len());
                self.automations.push(automation);
            }
            _ if is_sound && !is_supported => self.unsupported.push(id),
            _ => self.broken.push(id),
        }
    }

    /// Chooses an id that no automation has. Two of the same `id:` are a mistake; aliases may repeat.
    fn choose_id(&mut self, node: &Node, path: &str, name: &Name) -> (String, Option<yaml::Problem>) {
        let wanted = name.wanted_id().unwrap_or_else(|| "automation".to_owned());
        let Some(mut number) = self.ids.get(&wanted).copied() else {
            self.ids.insert(wanted.clone(), 1);
            return (wanted, None);
        };
        let taken = name.id.is_some().then(|| {
            let message = format!("the id `{wanted}` is taken by an earlier automation");
            node.get("id").unwrap_or(node).problem(&yaml::join(path, "id"), message)
        });
        let free = loop {
            number += 1;
            let id = format!("{wanted}_{number}");
            if !self.ids.contains_key(&id) {
                break id;
            }
        };
        self.ids.insert(wanted, number);
        self.ids.insert(free.clone(), 1);
        (free, taken)
    }

    /// The automation's entity: `automation.` and its alias in the letters of an entity id.
    fn choose_entity_id(&mut self, id: &str, name: &Name) -> Option<EntityId> {
        let wanted = slugify(name.alias.as_deref().unwrap_or(id));
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        let object_id = std::iter::once(wanted.clone()).chain(numbered);
        let object_id = object_id.into_iter().find(|object_id| !self.object_ids.contains(object_id))?;
        let entity_id = format!("automation.{object_id}").parse().ok();
        self.object_ids.insert(object_id);
        entity_id
    }

    fn reader(&self) -> Reader {
        Reader { known: Arc::clone(&self.known), ..Reader::default() }
    }

    /// Reads what the home keeps itself: helpers, areas, scripts.
    fn add_own(&mut self, sections: &Sections) {
        let scripts = sections.scripts.iter().map(|script| script.object_id.clone());
        let scripts = scripts.collect();
        let mut reader = Reader::default();
        for (node, path) in &sections.notify {
            self.notifiers.add(&mut reader, node, path);
        }
        for (node, path) in &sections.home_assistant {
            self.notifiers.read_home_assistant(&mut reader, node, path);
        }
        self.problems.extend(reader.problems.into_iter().map(Problem::error));
        let notifiers = self.notifiers.names().map(str::to_owned).collect();
        self.known = Arc::new(Known { scripts, notifiers, forwards: self.notifiers.forwards() });
        let mut reader = self.reader();
        for declared in sections.helpers.iter().chain(&sections.groups) {
            if let Some(helper) = Helper::read(&mut reader, declared) {
                self.kept.add(helper);
            }
        }
        for (node, path) in &sections.scenes {
            if let Some(scene) = Scene::read(&mut reader, node, path) {
                self.scenes.insert(scene.entity_id.clone(), scene);
            }
        }
        for declared in &sections.areas {
            self.areas.add(&mut reader, declared);
        }
        self.problems.extend(reader.problems.into_iter().map(Problem::error));
        for declared in &sections.scripts {
            let mut reader = self.reader();
            let script = script::read(&mut reader, declared);
            let id = format!("{SCRIPT_PREFIX}{}", declared.object_id);
            self.ids.insert(id.clone(), 1);
            self.take_automation(id, &declared.node, script, reader, &sections.instances);
        }
    }

    /// The helper of this id.
    pub(crate) fn helper(&self, entity_id: &EntityId) -> Option<&Helper> {
        self.kept.get(entity_id)
    }

    /// The declared scene of this id.
    pub(crate) fn scene(&self, entity_id: &EntityId) -> Option<&Scene> {
        self.scenes.get(entity_id)
    }

    pub(crate) fn scenes(&self) -> impl Iterator<Item = &Scene> {
        self.scenes.values()
    }

    /// The script of this name, if it is sound.
    pub(crate) fn script(&self, name: &str) -> Option<&Automation> {
        self.automation(&format!("{SCRIPT_PREFIX}{name}"))
    }

    /// The automation or script behind an entity.
    pub(crate) fn by_entity_id(&self, entity_id: &EntityId) -> Option<&Automation> {
        self.by_entity_id.get(entity_id).and_then(|place| self.automations.get(*place))
    }

    /// The entities of automations and scripts, which have no rows.
    pub(crate) fn own_entity_ids(&self) -> impl Iterator<Item = EntityId> {
        self.by_entity_id.keys().cloned()
    }

    /// Whether the home itself keeps the value of an entity.
    pub(crate) fn keeps(&self, entity_id: &EntityId) -> bool {
        self.kept.get(entity_id).is_some() || self.scenes.contains_key(entity_id) || entity_id.as_str() == SUN
    }

    fn knows(&self, entities: &Entities, entity_id: &EntityId) -> bool {
        entities.get(entity_id).is_some()
            || self.keeps(entity_id)
            || self.by_entity_id.contains_key(entity_id)
    }

    fn warn_of_strangers(&mut self, entities: &Entities) {
        for (automation, mention) in std::mem::take(&mut self.mentions) {
            // Where the files declare nothing, the entities come from elsewhere.
            if !entities.is_empty() && !self.knows(entities, &mention.entity_id) {
                self.warn_of_stranger(entities, &automation, &mention);
            }
        }
    }

    fn warn_of_stranger(&mut self, entities: &Entities, automation: &str, mention: &Mention) {
        let hints = self.hints_left;
        self.hints_left = hints.saturating_sub(1);
        let declared = entities.iter().map(|entity| entity.id().as_str());
        let own = self.kept.iter().map(|helper| &helper.entity_id);
        let own = own.chain(self.by_entity_id.keys()).chain(self.scenes.keys());
        let known = declared.chain(own.map(EntityId::as_str)).take_while(|_| hints > 0);
        let what = yaml::Problem {
            location: Some(mention.location.clone()),
            path: mention.path.clone(),
            message: format!("there is no entity `{}`", mention.entity_id),
            hint: did_you_mean(mention.entity_id.as_str(), known).map(str::to_owned),
        };
        let automation = Some(automation.to_owned());
        self.problems.push(Problem { automation, ..Problem::with(Severity::Warning, what) });
    }
}

impl Problem {
    pub(crate) fn error(what: yaml::Problem) -> Problem {
        Problem::with(Severity::Error, what)
    }

    pub(crate) fn with(severity: Severity, what: yaml::Problem) -> Problem {
        Problem { severity, automation: None, missing: None, what }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Unsupported => "unsupported",
            Severity::Info => "info",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.what)
    }
}
