//! How automations and scripts stand: on or off, and when they last began. They are entities, too,
//! made of this whenever somebody asks, so that a run need not write one.

use crate::Effect;
use crate::automation::{Automation, Mode};
use crate::home::Home;
use crate::trigger::Change;
use crate::view::View;
use crate::work::{Happening, Work};
use gable_devices::{Context, Data, EntityId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The row of one automation or script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Whether an automation's triggers listen; scripts always are.
    pub(crate) is_on: bool,
    /// When it was last turned on or off, or came into being.
    pub(crate) changed: Timestamp,
    pub(crate) last_triggered: Option<Timestamp>,
    /// Why it is set apart, if it is: then it is shown as off, for it does not fire.
    pub(crate) quarantined: Option<String>,
}

impl Standing {
    /// Whether it is on as people see it.
    pub(crate) fn shows_on(&self) -> bool {
        self.is_on && self.quarantined.is_none()
    }
}

/// The rows, by the ids of automations.
pub(crate) type Standings = BTreeMap<String, Standing>;

/// The entity of an automation or a script; none if there is none of this id. `running` counts the
/// runs of an automation.
pub(crate) fn view(
    home: &Home,
    standings: &Standings,
    running: impl Fn(&str) -> usize,
    entity_id: &EntityId,
) -> Option<View> {
    let automation = home.by_entity_id(entity_id)?;
    let standing = standings.get(&automation.id)?;
    Some(view_of(automation, standing, running(&automation.id)))
}

/// The entity of an automation or a script with so many runs.
pub(crate) fn view_of(automation: &Automation, standing: &Standing, current: usize) -> View {
    let last_triggered = standing.last_triggered;
    let mut attributes = BTreeMap::from([
        ("last_triggered".to_owned(), last_triggered.map_or(Data::Null, Data::Time)),
        ("mode".to_owned(), automation.mode.name().into()),
        ("current".to_owned(), Data::Int(i64::try_from(current).unwrap_or(i64::MAX))),
        ("friendly_name".to_owned(), Data::Text(automation.alias.clone())),
    ]);
    if matches!(automation.mode, Mode::Queued | Mode::Parallel) {
        let max = i64::try_from(automation.max).unwrap_or(i64::MAX);
        attributes.insert("max".to_owned(), Data::Int(max));
    }
    let (is_on, last_changed) = if automation.is_script {
        (current > 0, last_triggered.unwrap_or(standing.changed))
    } else {
        attributes.insert("id".to_owned(), Data::Text(automation.id.clone()));
        let quarantined = standing.quarantined.clone();
        attributes.extend(quarantined.map(|why| ("quarantined".to_owned(), Data::Text(why))));
        (standing.shows_on(), standing.changed)
    };
    View {
        state: word(is_on),
        attributes,
        last_changed,
        last_updated: last_triggered.map_or(last_changed, |at| at.max(last_changed)),
    }
}

/// The state of what is turned on and off.
pub(crate) fn word(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

impl Work<'_> {
    /// A run of an automation or a script was accepted.
    pub(crate) fn note_triggered(&mut self, automation: &Automation) {
        let before = self.standing_view(automation);
        let now = self.rows.now;
        if let Some(standing) = Arc::make_mut(&mut self.rows.standings).get_mut(&automation.id) {
            standing.last_triggered = Some(now);
        }
        self.tell_of_standing(automation, before);
    }

    /// The entity of an automation, if anybody would look at a change of it.
    pub(crate) fn standing_view(&self, automation: &Automation) -> Option<View> {
        let entity_id = &automation.entity_id;
        let is_watched = !self.home.routes.of_entity(entity_id).is_empty()
            || !self.listening.of_entity(entity_id).is_empty()
            || !self.rows.watches.of_entity(entity_id).is_empty()
            || self.hears_changes();
        let standing = is_watched.then(|| self.rows.standings.get(&automation.id)).flatten()?;
        Some(view_of(automation, standing, self.rows.runs.count_of(&automation.id)))
    }

    /// Lets triggers see how the entity of an automation has changed.
    pub(crate) fn tell_of_standing(&mut self, automation: &Automation, before: Option<View>) {
        let Some((from, to)) = before.zip(self.standing_view(automation)) else { return };
        if from != to {
            let entity_id = automation.entity_id.clone();
            self.happen(Happening::Change(Change { entity_id, from, to }));
        }
    }

    /// Shows an automation as set apart, and as on again once it is not.
    pub(crate) fn show_quarantine(&mut self, automation: &Automation, reason: Option<String>) {
        let before = self.standing_view(automation);
        let now = self.rows.now;
        let Some(standing) = Arc::make_mut(&mut self.rows.standings).get_mut(&automation.id) else { return };
        let was_on = standing.shows_on();
        standing.quarantined = reason;
        let is_on = standing.shows_on();
        if was_on != is_on {
            standing.changed = now;
            let entity_id = automation.entity_id.clone();
            self.effect(Effect::EntityChanged { entity_id, from: word(was_on), to: word(is_on) });
        }
        if let Some((from, to)) = before.zip(self.standing_view(automation)) {
            // Whoever is to hear of it hears of it also where a chain has become too long; an
            // automation is set apart once, so that this has an end.
            let entity_id = automation.entity_id.clone();
            self.look_again(Happening::Change(Change { entity_id, from, to }));
        }
    }

    /// Lets triggers see that a script began its first run, or ended its last one: `counts` are its
    /// runs before and after.
    pub(crate) fn tell_of_script(&mut self, id: &str, (before, after): (usize, usize)) {
        let home = self.home;
        let Some(script) = home.automation(id).filter(|automation| automation.is_script) else { return };
        if (before == 0 && after == 1) || (before == 1 && after == 0) {
            let Some(to) = self.standing_view(script) else { return };
            let Some(standing) = self.rows.standings.get(id) else { return };
            let from = view_of(script, standing, before);
            let entity_id = script.entity_id.clone();
            self.happen(Happening::Change(Change { entity_id, from, to }));
        }
    }

    /// Adds the entity of an automation as `this`, if its templates ask for it.
    pub(crate) fn add_this(&self, automation: &Automation, context: &mut Context) {
        if automation.uses_this
            && let Some(standing) = self.rows.standings.get(&automation.id)
        {
            let view = view_of(automation, standing, self.rows.runs.count_of(&automation.id));
            context.set("this", view.to_dict(&automation.entity_id));
        }
    }

    /// Fits the rows to the automations of new files. Those that go on as they are keep what they have;
    /// the others begin as `initial_state` says, or as the one of this id stood.
    pub(crate) fn fit_standings(&mut self, goes_on: impl Fn(&Automation) -> bool) {
        let home = self.home;
        let now = self.rows.now;
        let standings = Arc::make_mut(&mut self.rows.standings);
        standings.retain(|id, _| home.automation(id).is_some());
        for automation in &home.automations {
            let begins = || Standing {
                is_on: automation.initial_state.unwrap_or(true),
                changed: now,
                last_triggered: None,
                quarantined: None,
            };
            let is_new = !standings.contains_key(&automation.id);
            let standing = standings.entry(automation.id.clone()).or_insert_with(begins);
            let wanted = automation.initial_state.unwrap_or(standing.is_on);
            if !is_new && !goes_on(automation) && standing.is_on != wanted {
                (standing.is_on, standing.changed) = (wanted, now);
            }
        }
    }
}
