//! `notify.*`, and services that are forwarded to Home Assistant.

use super::{Caller, Served};
use crate::action::Failure;
use crate::action::call::Request;
use crate::notifier::Notifier;
use crate::work::Work;
use gable_devices::Data;
use std::collections::BTreeMap;

impl Work<'_> {
    /// `notify.NAME`, where the files declare one.
    pub(super) fn notify(
        &mut self,
        notifier: &Notifier,
        request: &Request,
        caller: Caller,
    ) -> Result<Served, Failure> {
        if !request.data.contains_key("message") {
            return Err(Failure::mistake(format!("`message` of `{}` is missing", request.called)));
        }
        match notifier {
            Notifier::Mqtt(mqtt) => {
                self.queue_publish(mqtt.publish(&request.data), Some(caller.run_id));
            }
            Notifier::Rest(_) => self.queue_errand(&request.called, request.data.clone(), caller.run_id),
        }
        Ok(Served::Done)
    }

    /// A service that is Home Assistant's affair, with all that the call names.
    pub(super) fn forward(&mut self, request: &Request, caller: Caller) -> Result<Served, Failure> {
        let mut data: BTreeMap<String, Data> = request.data.clone();
        let ids = &request.chosen.entity_ids;
        if request.chosen.is_all {
            data.insert("entity_id".to_owned(), "all".into());
        } else if !ids.is_empty() {
            let ids = ids.iter().map(|id| Data::Text(id.to_string())).collect();
            data.insert("entity_id".to_owned(), Data::List(ids));
        }
        for (kind, name) in &request.chosen.places {
            let list = data.entry(kind.key().to_owned()).or_insert_with(|| Data::List(Vec::new()));
            if let Data::List(list) = list {
                list.push(Data::Text(name.clone()));
            }
        }
        self.queue_errand(&request.called, data, caller.run_id);
        Ok(Served::Done)
    }
}
