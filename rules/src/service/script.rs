//! `script.*`: a script is called and waited for, or set going and left alone.

use super::{Caller, Served};
use crate::action::Failure;
use crate::action::call::Request;
use crate::automation::Mode;
use crate::work::Work;
use crate::{Ended, RunId};
use gable_devices::{Context, Data, EntityId};
use std::collections::BTreeMap;

impl Work<'_> {
    /// `script.NAME`: its caller waits until it has ended.
    pub(super) fn call_script(
        &mut self,
        name: &str,
        request: &Request,
        caller: Caller,
    ) -> Result<Served, Failure> {
        let mut variables = request.data.clone();
        if !request.chosen.entity_ids.is_empty() && !variables.contains_key("entity_id") {
            let ids = request.chosen.entity_ids.iter().map(|id| Data::Text(id.to_string())).collect();
            variables.insert("entity_id".to_owned(), Data::List(ids));
        }
        let started = self.start_script(name, variables, Some(caller.run_id))?;
        if started.is_some()
            && let Some(run) = self.rows.runs.get_mut(caller.run_id)
        {
            run.answer_to.clone_from(&request.answer_to);
        }
        Ok(if started.is_some() { Served::Waits } else { Served::Done })
    }

    pub(super) fn serve_scripts(
        &mut self,
        entity_ids: &[EntityId],
        service: &str,
        request: &Request,
    ) -> Result<(), Failure> {
        for entity_id in entity_ids {
            let name = entity_id.object_id();
            if self.home.script(name).is_none() {
                self.notice(entity_id.to_string(), "there is no such script; it was not told anything");
                continue;
            }
            let id = entity_id.as_str();
            let starts = match service {
                "turn_on" => true,
                "turn_off" => false,
                "toggle" => self.rows.runs.count_of(id) == 0,
                _ => {
                    let text = format!("there is no service `{}`", request.called);
                    return Err(Failure::mistake(text));
                }
            };
            if starts {
                let variables = match request.data.get("variables").map(Data::meaning) {
                    Some(Data::Map(variables)) => variables.clone(),
                    _ => BTreeMap::new(),
                };
                self.start_script(name, variables, None)?;
            } else {
                self.end_all(id, &Ended::Stopped);
            }
        }
        Ok(())
    }

    /// Starts a script if its mode allows. What it is given goes before what it declares itself.
    fn start_script(
        &mut self,
        name: &str,
        given: BTreeMap<String, Data>,
        parent: Option<RunId>,
    ) -> Result<Option<RunId>, Failure> {
        let home = self.home;
        let Some(script) = home.script(name) else { return Ok(None) };
        let calls_itself = matches!(script.mode, Mode::Restart | Mode::Queued)
            && parent.is_some_and(|parent| self.descends_from(parent, &script.id));
        if calls_itself {
            // It would end itself, or wait for itself for ever.
            self.notice(script.id.as_str(), "it called itself; this call was passed over");
            return Ok(None);
        }
        let mut context = Context::from(given).with_world(self.world());
        self.add_this(script, &mut context);
        let added = script.variables.add_missing_to(&mut context);
        context.set_world(None);
        added?;
        Ok(self.start(script, context, parent))
    }

    /// Whether a run, or one that waits for it, is of this automation.
    fn descends_from(&self, run_id: RunId, automation: &str) -> bool {
        let mut next = self.rows.runs.get(run_id);
        while let Some(run) = next {
            if run.automation == automation {
                return true;
            }
            next = run.parent.and_then(|parent| self.rows.runs.get(parent));
        }
        false
    }
}
