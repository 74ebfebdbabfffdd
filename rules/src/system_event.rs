//! Events that the home fires by itself, as Home Assistant does: what changed, what was called, what
//! began. They are made only where a trigger listens to their type; most homes have none.
//!
//! They are part of what they tell of: a chain of automations that goes through them is as long as
//! one that goes through entities, and ends like that one.

use crate::action::call::Request;
use crate::automation::Automation;
use crate::event::Event;
use crate::trigger::Change;
use crate::work::{Happening, Work};
use gable_devices::{Context, Data, Publish, QoS};
use std::collections::BTreeMap;

const STATE_CHANGED: &str = "state_changed";

impl Work<'_> {
    /// Whether a trigger listens to changes of all entities by their event.
    pub(crate) fn hears_changes(&self) -> bool {
        self.hears(STATE_CHANGED)
    }

    fn hears(&self, event_type: &str) -> bool {
        self.home.routes.hears_event(event_type) || self.listening.hears_event(event_type)
    }

    /// `state_changed`.
    pub(crate) fn tell_of_change(&mut self, change: &Change) {
        // What was held back for a window was told of when it happened.
        if self.look.window.is_none() && self.hears_changes() {
            let data = [
                ("entity_id", Data::Text(change.entity_id.to_string())),
                ("old_state", change.from.to_data(&change.entity_id)),
                ("new_state", change.to.to_data(&change.entity_id)),
            ];
            self.on_event(&event(STATE_CHANGED, data));
        }
    }

    /// `homeassistant_start` and `homeassistant_started`.
    pub(crate) fn tell_of_start(&mut self) {
        for event_type in ["homeassistant_start", "homeassistant_started"] {
            if self.hears(event_type) {
                self.on_event(&event(event_type, []));
            }
        }
    }

    /// `automation_triggered` or `script_started`: a run was accepted.
    pub(crate) fn announce_start(&mut self, automation: &Automation, context: &Context) {
        let event_type = if automation.is_script { "script_started" } else { "automation_triggered" };
        if !self.hears(event_type) {
            return;
        }
        let mut event = event(
            event_type,
            [
                ("name", Data::Text(automation.alias.clone())),
                ("entity_id", Data::Text(automation.entity_id.to_string())),
            ],
        );
        let trigger = context.variables().get("trigger").filter(|_| !automation.is_script);
        let trigger = trigger.filter(|trigger| trigger.get("platform") != Some(&Data::Null));
        if let Some(description) = trigger.and_then(|trigger| trigger.get("description")) {
            event.data.insert("source".to_owned(), description.clone());
        }
        self.happen(Happening::Event(event));
    }

    /// `call_service`.
    pub(crate) fn announce_call(&mut self, request: &Request) {
        if self.hears(CALL_SERVICE) {
            let (domain, service) = request.parts();
            self.happen(Happening::Event(called(domain, service, request.service_data())));
        }
    }

    /// `call_service` of `mqtt.publish`.
    pub(crate) fn announce_publish(&mut self, publish: &Publish) {
        if self.hears(CALL_SERVICE) {
            let qos = match publish.qos {
                QoS::AtMostOnce => 0,
                QoS::AtLeastOnce => 1,
                QoS::ExactlyOnce => 2,
            };
            let data = BTreeMap::from([
                ("topic".to_owned(), Data::Text(publish.topic.clone())),
                ("payload".to_owned(), Data::Text(String::from_utf8_lossy(&publish.payload).into_owned())),
                ("qos".to_owned(), Data::Int(qos)),
                ("retain".to_owned(), Data::Bool(publish.retain)),
            ]);
            self.happen(Happening::Event(called("mqtt", "publish", data)));
        }
    }
}

const CALL_SERVICE: &str = "call_service";

fn called(domain: &str, service: &str, data: BTreeMap<String, Data>) -> Event {
    let own = [("domain", domain.into()), ("service", service.into()), ("service_data", Data::Map(data))];
    event(CALL_SERVICE, own)
}

fn event<const N: usize>(event_type: &str, data: [(&str, Data); N]) -> Event {
    let data = data.map(|(key, data)| (key.to_owned(), data));
    Event { event_type: event_type.to_owned(), data: BTreeMap::from(data) }
}
