//! `persistent_notification.*`, `system_log.write` and `logbook.log`: people are told.

use super::Served;
use crate::action::Failure;
use crate::action::call::Request;
use crate::text::plain_text;
use crate::work::Work;
use gable_devices::Data;

impl Work<'_> {
    pub(super) fn serve_notice(&mut self, request: &Request) -> Result<Served, Failure> {
        let text = |key: &str| request.data.get(key).filter(|data| **data != Data::Null).map(plain_text);
        let told = match request.called.as_str() {
            "persistent_notification.create" | "notify.persistent_notification" | "system_log.write" => {
                let Some(message) = text("message") else {
                    return Err(Failure::mistake("`message` is missing"));
                };
                let subject = text("title").or_else(|| text("notification_id")).or_else(|| text("level"));
                Some((subject.unwrap_or_else(|| request.called.clone()), message))
            }
            "logbook.log" => {
                let message = text("message").ok_or_else(|| Failure::mistake("`message` is missing"))?;
                let subject =
                    text("name").or_else(|| request.chosen.entity_ids.first().map(ToString::to_string));
                Some((subject.unwrap_or_else(|| request.called.clone()), message))
            }
            // Notices are told once and do not stay, so there is nothing to take back.
            _ => None,
        };
        if let Some((subject, message)) = told {
            self.notice(subject, message);
        }
        Ok(Served::Done)
    }
}
