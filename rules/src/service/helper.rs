//! The services of helpers.

use crate::action::Failure;
use crate::action::call::Request;
use crate::helper::{HelperKind, Told};
use crate::work::Work;
use gable_devices::EntityId;

impl Work<'_> {
    pub(super) fn serve_helpers(
        &mut self,
        entity_ids: &[EntityId],
        service: &str,
        request: &Request,
    ) -> Result<(), Failure> {
        let home = self.home;
        for entity_id in entity_ids {
            let row = self.rows.entities.get(entity_id).map(|entity| entity.value.clone());
            let Some((helper, current)) = home.helper(entity_id).zip(row) else {
                self.notice(entity_id.to_string(), "there is no such entity; it was not told anything");
                continue;
            };
            let of_it =
                |failure: Failure| Failure { text: format!("{entity_id}: {}", failure.text), ..failure };
            let data = &request.data;
            if let HelperKind::Timer(timer) = &helper.kind {
                self.serve_timer(helper, timer, (service, data), &current).map_err(of_it)?;
                continue;
            }
            if let Some(why) = helper.misfit(data) {
                self.notice(entity_id.to_string(), format!("{why}; it stays as it is"));
                continue;
            }
            let value = {
                let world = self.world();
                helper.serve(&Told { service, data, current: &current, world: &*world }).map_err(of_it)?
            };
            self.assign(entity_id, value);
        }
        Ok(())
    }
}
