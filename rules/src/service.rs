//! Services: which there are, and what serves them. One domain, one file; the table below is the
//! table of contents.

mod automation;
mod choose;
mod helper;
mod notice;
mod notify;
mod scene;
mod script;

use crate::action::Failure;
use crate::action::call::{Order, Request};
use crate::reader::Reader;
use crate::trace::{Did, Draft};
use crate::work::Work;
use crate::{RunId, Wait};
use gable_devices::yaml::{self, Node};
use gable_devices::{EntityId, services_of};
use std::collections::BTreeSet;

/// What serves a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// Devices, by commands in the outbox. The entity itself says in the end whether it can.
    Device,
    Helper,
    Automation,
    Script,
    Scene,
    /// `homeassistant.turn_on` calls `turn_on` of whatever domain the entity has.
    AnyDomain,
    /// People are told.
    Notice,
    /// Nothing: the files of the home are read anew whenever they change.
    Reload,
}

/// The services that no device brings; those of devices are `gable_devices::services_of`.
const SERVICES: &[(&str, Server, &[&str])] = &[
    ("input_boolean", Server::Helper, &["turn_on", "turn_off", "toggle", "reload"]),
    ("input_number", Server::Helper, &["set_value", "increment", "decrement", "reload"]),
    (
        "input_select",
        Server::Helper,
        &[
            "select_option",
            "select_next",
            "select_previous",
            "select_first",
            "select_last",
            "set_options",
            "reload",
        ],
    ),
    ("input_text", Server::Helper, &["set_value", "reload"]),
    ("input_button", Server::Helper, &["press", "reload"]),
    ("input_datetime", Server::Helper, &["set_datetime", "reload"]),
    ("counter", Server::Helper, &["increment", "decrement", "reset", "set_value"]),
    ("timer", Server::Helper, &["start", "pause", "cancel", "finish", "change", "reload"]),
    ("automation", Server::Automation, &["turn_on", "turn_off", "toggle", "trigger", "reload"]),
    ("scene", Server::Scene, &["turn_on", "apply", "create", "delete", "reload"]),
    ("script", Server::Script, &["turn_on", "turn_off", "toggle", "reload"]),
    (
        ANY_DOMAIN,
        Server::AnyDomain,
        &[
            "turn_on",
            "turn_off",
            "toggle",
            "update_entity",
            "reload_all",
            "reload_core_config",
            "reload_custom_templates",
            "reload_config_entry",
            "save_persistent_states",
        ],
    ),
    ("persistent_notification", Server::Notice, &["create", "dismiss", "dismiss_all"]),
    ("system_log", Server::Notice, &["write", "clear"]),
    ("logbook", Server::Notice, &["log"]),
    ("logger", Server::Reload, &["set_level", "set_default_level"]),
    ("group", Server::Reload, &["reload"]),
    ("template", Server::Reload, &["reload"]),
    ("mqtt", Server::Reload, &["reload"]),
];

const ANY_DOMAIN: &str = "homeassistant";

/// Names that the files declare and that make services.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// The scripts, by name.
    pub(crate) scripts: BTreeSet<String>,
    pub(crate) notifiers: BTreeSet<String>,
    /// Whether Home Assistant takes the services that nobody here has.
    pub(crate) forwards: bool,
}

/// A call for which its run is put aside, and the step that it is in the run's trace.
pub(crate) struct Aside {
    request: Request,
    pub(crate) draft: Option<Draft>,
    pub(crate) did: Did,
}

impl Aside {
    pub(crate) fn new(request: Request) -> Aside {
        Aside { request, draft: None, did: Did::Done }
    }
}

/// How a service went.
pub(crate) enum Served {
    Done,
    /// The run goes on when these runs have ended.
    Waits,
}

/// Who calls a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) run_id: RunId,
}

/// What serves a domain, and the services it has. Domains of entities that nobody can tell anything,
/// such as sensors, are not among them.
fn find(domain: &str) -> Option<(Server, &'static [&'static str])> {
    let own = SERVICES.iter().find(|(known, _, _)| *known == domain);
    let of_devices = || services_of(domain).filter(|names| !names.is_empty());
    own.map(|(_, server, names)| (*server, *names))
        .or_else(|| of_devices().map(|names| (Server::Device, names)))
}

/// All domains that [`find`] finds.
fn domains() -> impl Iterator<Item = &'static str> {
    let of_devices = gable_devices::domains().filter(|domain| find(domain).is_some());
    SERVICES.iter().map(|(domain, _, _)| *domain).chain(of_devices)
}

/// Whether a domain has a service.
fn has(domain: &str, service: &str) -> bool {
    find(domain).is_some_and(|(_, names)| names.contains(&service))
}

/// Whether what the data calls `entity_id` and the like is the call's target.
pub(crate) fn takes_target(domain: &str) -> bool {
    find(domain).is_some()
}

/// Whether a service makes no sense without a target.
pub(crate) fn wants_target(service: &str) -> bool {
    let Some((domain, name)) = service.split_once('.') else { return false };
    let is_reload = name.starts_with("reload") || matches!(name, "save_persistent_states" | "update_entity");
    match find(domain) {
        Some((Server::Device | Server::Helper | Server::Automation | Server::AnyDomain, names)) => {
            names.contains(&name) && !is_reload
        }
        Some((Server::Script, names)) => names.contains(&name) && !is_reload,
        Some((Server::Scene, _)) => matches!(name, "turn_on" | "delete"),
        Some((Server::Notice | Server::Reload, _)) | None => false,
    }
}

/// Reports a service that is not known here. Where the home says how to reach Home Assistant it is
/// asked to run it, also one that looks like a slip: it may have a service of that name.
pub(crate) fn check(reader: &mut Reader, node: &Node, path: &str, service: &str) -> bool {
    let (domain, name) = service.split_once('.').unwrap_or((service, ""));
    let known = &reader.known;
    let is_declared = match domain {
        "script" => known.scripts.contains(name),
        "notify" => known.notifiers.contains(name) || is_told(name, known),
        _ => false,
    };
    if is_declared || has(domain, name) {
        return true;
    }
    let problem = node.problem(path, format!("unknown service `{service}`"));
    let problem = match find(domain) {
        Some((_, names)) => {
            let declared = match domain {
                "script" => Some(&known.scripts),
                "notify" => Some(&known.notifiers),
                _ => None,
            };
            let declared = declared.into_iter().flatten().map(String::as_str);
            problem.meant(name, names.iter().copied().chain(declared))
        }
        None => problem.meant(domain, domains().chain(["mqtt"])),
    };
    if known.forwards && !domain.is_empty() && !name.is_empty() {
        if problem.hint.is_some() {
            let message = format!("`{service}` is no service of Gable, so Home Assistant is asked to run it");
            reader.warnings.push(yaml::Problem { message, ..problem });
        }
        return true;
    }
    match problem.hint {
        // Other integrations bring services of their own.
        None => reader.unsupported(node, path, "service", service),
        Some(_) => reader.problems.push(problem),
    }
    false
}

/// Whether a notification goes to whoever there is: the first notifier, or the timeline.
fn is_told(name: &str, known: &Known) -> bool {
    name == "persistent_notification" || (name == "notify" && !known.notifiers.is_empty())
}

impl Request {
    /// Whether it may start or end runs, so that the run which calls it has to stand still among the
    /// others meanwhile.
    pub(crate) fn moves_runs(&self) -> bool {
        match find(self.parts().0) {
            Some((Server::Automation | Server::Script | Server::Scene | Server::AnyDomain, _)) => true,
            Some((Server::Device | Server::Helper | Server::Notice | Server::Reload, _)) | None => false,
        }
    }
}

impl Work<'_> {
    /// Serves a call, and says how its run goes on.
    pub(crate) fn serve(&mut self, request: &Request, caller: Caller) -> Result<Served, Failure> {
        let (domain, service) = request.parts();
        if domain == "script" && self.home.script(service).is_some() {
            return self.call_script(service, request, caller);
        }
        let home = self.home;
        if domain == "notify"
            && let Some(notifier) = home.notifiers.get(service)
        {
            return self.notify(notifier, request, caller);
        }
        let Some((server, _)) = find(domain).filter(|(_, names)| names.contains(&service)) else {
            if request.called == "notify.persistent_notification" {
                return self.serve_notice(request);
            }
            if home.notifiers.forwards() {
                return self.forward(request, caller);
            }
            return Err(Failure::mistake(format!("Gable does not run the service `{}`", request.called)));
        };
        if service.starts_with("reload") {
            return Ok(Served::Done);
        }
        if !request.chosen.is_named && wants_target(&request.called) {
            let text = format!("`{}` names no entity: it needs a target", request.called);
            if server == Server::AnyDomain {
                // Home Assistant says so and goes on.
                self.notice(request.called.as_str(), text);
                return Ok(Served::Done);
            }
            return Err(Failure::mistake(text));
        }
        match server {
            Server::Reload => Ok(Served::Done),
            Server::Notice => self.serve_notice(request),
            Server::AnyDomain => self.serve_any_domain(request, caller),
            Server::Scene => self.serve_scene(request, caller),
            Server::Device | Server::Helper | Server::Automation | Server::Script => {
                let (entity_ids, strangers) = self.choose(&request.chosen, |id| id.domain() == domain);
                self.serve_on(domain, request, (entity_ids, strangers), caller)
            }
        }
    }

    /// Serves a call on entities that all are of one domain.
    fn serve_on(
        &mut self,
        domain: &str,
        request: &Request,
        (entity_ids, strangers): (Vec<EntityId>, Vec<EntityId>),
        caller: Caller,
    ) -> Result<Served, Failure> {
        let service = request.parts().1;
        let Some((server, _)) = find(domain) else { return Ok(Served::Done) };
        if server != Server::Device {
            self.tell_of_strangers(&strangers, &request.called);
        }
        for _ in &entity_ids {
            if server != Server::Device {
                self.take_action().map_err(Failure::mistake)?;
            }
        }
        match server {
            Server::Device => {
                let (called, service) = (request.called.clone(), service.to_owned());
                let order = Order { called, service, entity_ids, strangers, data: request.data.clone() };
                self.give_order(order, caller.run_id)?;
            }
            Server::Helper => self.serve_helpers(&entity_ids, service, request)?,
            Server::Automation => return self.serve_automations(&entity_ids, service, request, caller),
            Server::Script => self.serve_scripts(&entity_ids, service, request)?,
            Server::Scene => {
                for entity_id in &entity_ids {
                    self.turn_scene_on(entity_id, request.number("transition"), caller)?;
                }
            }
            Server::AnyDomain | Server::Notice | Server::Reload => {}
        }
        Ok(Served::Done)
    }

    fn serve_any_domain(&mut self, request: &Request, caller: Caller) -> Result<Served, Failure> {
        let service = request.parts().1;
        if service == "save_persistent_states" || service == "update_entity" {
            return Ok(Served::Done);
        }
        let (mut entity_ids, strangers) = self.choose(&request.chosen, |id| has(id.domain(), service));
        if request.chosen.is_all {
            // All devices, that is: nobody means all automations and helpers by it.
            let is_named = |id: &EntityId| request.chosen.entity_ids.contains(id);
            entity_ids.retain(|id| self.declared.get(id).is_some() || is_named(id));
        }
        self.tell_of_strangers(&strangers, &request.called);
        // Neighbours of one domain are one call, in the order in which they are named.
        let mut served = Served::Done;
        for group in entity_ids.chunk_by(|a, b| a.domain() == b.domain()) {
            let Some(domain) = group.first().map(|id| id.domain()) else { continue };
            if let Served::Waits = self.serve_on(domain, request, (group.to_vec(), Vec::new()), caller)? {
                served = Served::Waits;
            }
        }
        Ok(served)
    }

    fn tell_of_strangers(&mut self, strangers: &[EntityId], called: &str) {
        for stranger in strangers {
            self.notice(
                stranger.to_string(),
                format!("it does not take `{called}`; it was not told anything"),
            );
        }
    }

    /// Serves the call for which a run was put aside, and lets the run go on, wait or end.
    pub(crate) fn serve_aside(&mut self, aside: Aside, run_id: RunId) {
        let served = self.serve(&aside.request, Caller { run_id });
        let home = self.home;
        // The service may have ended the very run that called it.
        let Some(run) = self.rows.runs.get(run_id) else { return };
        let automation = home.automation(&run.automation);
        let action = automation.and_then(|automation| run.cursor.action(&automation.actions));
        if let (Some(draft), Some(action)) = (aside.draft, action) {
            let run = run.clone();
            self.end_step(Some(draft), &run, action, aside.did, served.as_ref().err());
        }
        let Some(run) = self.rows.runs.get_mut(run_id) else { return };
        match served {
            Ok(Served::Waits) => {
                run.wait = Wait::Children;
                return;
            }
            Ok(Served::Done) => run.cursor.advance(),
            Err(failure) if failure.may_pass && action.is_some_and(|action| action.continue_on_error) => {
                run.cursor.advance();
                let automation = run.automation.clone();
                self.notice(automation, failure.text);
            }
            Err(failure) => {
                run.verdict = Some(crate::Ended::Failed(crate::text::shorten(failure.text)));
            }
        }
        // It goes on before those that it has started.
        self.ready.push_front(run_id);
    }
}
